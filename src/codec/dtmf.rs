//! DTMF digits in audio (ITU-T Q.23, Q.24): eight frequencies measured over blocks of 13 ms.

use super::tone::{Detector, decibels_of, dtmf_groups, level};

/// Samples a second that are listened to.
pub const SAMPLE_RATE: u32 = 8_000;
/// Samples of a block: neighbouring frequencies of a group fall into each other's zeros.
const BLOCK: usize = 105;
/// A block's quieter tone is at least this loud, dBov.
const QUIETEST: f64 = -40.0;
/// One tone may be louder than the other by this much (Q.24 allows 8 dB at most).
const TWIST: f64 = 9.0;
/// Over the group's other tones.
const LEAD: f64 = 8.0;
/// What is not of the two tones is at least this much below them: speech is not.
const PURITY: f64 = -1.3;
/// Blocks that make a digit, and that end it (a gap of 10 ms is none).
const PRESSES: u8 = 2;
const RELEASES: u8 = 2;

/// Hears digits in a stream of samples at 8 kHz.
pub struct Listener {
    low: [Detector; 4],
    high: [Detector; 4],
    block: [i16; BLOCK],
    filled: usize,
    candidate: Option<char>,
    hits: u8,
    pressed: Option<Pressed>,
}

/// A digit that is being heard.
#[derive(Debug, Clone, Copy)]
struct Pressed {
    digit: char,
    samples: u32,
    misses: u8,
}

/// A digit that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How long it was heard, samples at 8 kHz, to within two blocks.
    pub samples: u32,
}

impl Default for Listener {
    fn default() -> Listener {
        let (low, high) = dtmf_groups();
        let detector = |frequency| Detector::new(frequency, SAMPLE_RATE);
        Listener {
            low: low.map(detector),
            high: high.map(detector),
            block: [0; BLOCK],
            filled: 0,
            candidate: None,
            hits: 0,
            pressed: None,
        }
    }
}

impl Listener {
    /// Takes the next samples; a digit that ended in them. Two can't end within 100 ms.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Tone> {
        let mut ended = None;
        let mut rest = samples;
        while !rest.is_empty() {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let count = room.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            for (place, sample) in room.iter_mut().zip(now) {
                *place = *sample;
            }
            self.filled += count;
            rest = later;
            if self.filled == BLOCK {
                self.filled = 0;
                let heard = self.digit_of_block();
                ended = self.step(heard).or(ended);
            }
        }
        ended
    }

    /// The stream stopped: a digit that was being heard is over.
    pub fn stop(&mut self) -> Option<Tone> {
        self.filled = 0;
        self.candidate = None;
        let pressed = self.pressed.take()?;
        Some(pressed.tone())
    }

    fn step(&mut self, heard: Option<char>) -> Option<Tone> {
        self.hits = match heard {
            Some(_) if heard == self.candidate => self.hits.saturating_add(1),
            Some(_) => 1,
            None => 0,
        };
        self.candidate = heard;
        let ended = match &mut self.pressed {
            Some(pressed) if heard == Some(pressed.digit) => {
                pressed.samples += BLOCK as u32 * (1 + u32::from(pressed.misses));
                pressed.misses = 0;
                return None;
            }
            Some(pressed) => {
                pressed.misses += 1;
                (pressed.misses >= RELEASES).then(|| pressed.tone())
            }
            None => None,
        };
        if ended.is_some() {
            self.pressed = None;
        }
        if let (None, Some(digit)) = (&self.pressed, heard)
            && self.hits >= PRESSES
        {
            self.pressed = Some(Pressed {
                digit,
                samples: BLOCK as u32 * u32::from(PRESSES),
                misses: 0,
            });
        }
        ended
    }

    fn digit_of_block(&self) -> Option<char> {
        let total = level(&self.block);
        if total < QUIETEST {
            return None;
        }
        let (row, low) = leader(&self.low.map(|detector| detector.level(&self.block)))?;
        let (column, high) = leader(&self.high.map(|detector| detector.level(&self.block)))?;
        let both = decibels_of(low, high);
        let is_tone = low.min(high) >= QUIETEST && (low - high).abs() <= TWIST && both - total >= PURITY;
        let sign = "123A456B789C*0#D".chars().nth(4 * row + column)?;
        is_tone.then_some(sign)
    }
}

impl Pressed {
    fn tone(&self) -> Tone {
        Tone {
            digit: self.digit,
            samples: self.samples,
        }
    }
}

/// The loudest tone of a group with its level, when it leads clearly.
fn leader(levels: &[f64; 4]) -> Option<(usize, f64)> {
    let (index, loudest) = levels.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let others = levels.iter().enumerate().filter(|(other, _)| *other != index);
    let is_clear = others.into_iter().all(|(_, level)| loudest - level >= LEAD);
    is_clear.then_some((index, *loudest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711::Law;
    use crate::codec::tone::{DigitTone, Sine, dtmf};

    fn pressed(digit: char, millis: usize) -> Vec<i16> {
        let mut samples = vec![0; 8 * millis];
        DigitTone::new(dtmf(digit).expect("a digit"), SAMPLE_RATE).fill(&mut samples);
        samples
    }

    fn heard(samples: &[i16]) -> Vec<(char, u32)> {
        let mut listener = Listener::default();
        let mut told: Vec<Tone> = samples.chunks(160).filter_map(|frame| listener.hear(frame)).collect();
        told.extend(listener.stop());
        told.into_iter().map(|tone| (tone.digit, tone.samples / 8)).collect()
    }

    #[test]
    fn every_key_is_heard_once_with_about_its_length() {
        for digit in "0123456789*#ABCD".chars() {
            for millis in [50, 100, 400] {
                let samples = [vec![0; 133], pressed(digit, millis), vec![0; 800]].concat();
                let through: Vec<i16> = samples
                    .iter()
                    .map(|sample| Law::Mu.decode_sample(Law::Mu.encode_sample(*sample)))
                    .collect();
                let told = heard(&through);
                let [(told, length)] = told.as_slice() else {
                    panic!("{digit} {millis}: {told:?}")
                };
                assert_eq!(*told, digit);
                assert!(
                    (*length as i64 - millis as i64).abs() <= 27,
                    "{digit} {millis}: {length}"
                );
            }
        }
    }

    #[test]
    fn the_same_key_twice_is_two_digits_and_a_drop_out_is_not() {
        let gap = |millis: usize| vec![0; 8 * millis];
        let twice = [pressed('7', 80), gap(60), pressed('7', 80), gap(60)].concat();
        assert_eq!(heard(&twice).len(), 2);
        let dropped = [pressed('7', 80), gap(8), pressed('7', 80), gap(60)].concat();
        assert_eq!(heard(&dropped).len(), 1);
        assert_eq!(heard(&pressed('7', 80)).len(), 1, "the stream stops with the tone");
    }

    #[test]
    fn one_tone_noise_and_chords_are_no_digits() {
        let sine = |frequency: f64, level: f64| {
            let mut samples = vec![0; 8_000];
            Sine::new(frequency, level, SAMPLE_RATE).fill(&mut samples);
            samples
        };
        let sum =
            |parts: &[Vec<i16>]| -> Vec<i16> { (0..8_000).map(|at| parts.iter().map(|part| part[at]).sum()).collect() };
        assert_eq!(heard(&sine(770.0, -10.0)), []);
        assert_eq!(heard(&sine(425.0, -10.0)), []);
        // a voice has the two frequencies and others
        assert_eq!(
            heard(&sum(&[
                sine(697.0, -20.0),
                sine(1_209.0, -20.0),
                sine(300.0, -18.0),
                sine(2_300.0, -20.0)
            ])),
            []
        );
        assert_eq!(
            heard(&sum(&[sine(697.0, -10.0), sine(1_209.0, -25.0)])),
            [],
            "too much twist"
        );
        assert_eq!(
            heard(&sum(&[sine(697.0, -50.0), sine(1_209.0, -50.0)])),
            [],
            "too quiet"
        );
        let mut state = 1u32;
        let noise: Vec<i16> = (0..40_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16 / 8
            })
            .collect();
        assert_eq!(heard(&noise), []);
    }
}
