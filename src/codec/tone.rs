//! Sine tones, DTMF's tones, and the detection of a frequency.

use std::f64::consts::{SQRT_2, TAU};

/// Full scale of `i16`.
const FULL: f64 = 32_768.0;
/// What silence measures as.
const FLOOR: f64 = -127.0;

/// A sine that goes on from frame to frame without a click.
#[derive(Debug, Clone)]
pub struct Sine {
    amplitude: f64,
    step: f64,
    phase: f64,
}

impl Sine {
    /// `frequency` and `rate` in Hz; `level` in dBov (RFC 6465: a full-scale square wave is 0, the loudest sine -3.01).
    pub fn new(frequency: f64, level: f64, rate: u32) -> Sine {
        let amplitude = (FULL * SQRT_2 * 10f64.powf(level / 20.0)).min(FULL - 1.0);
        Sine {
            amplitude,
            step: TAU * frequency / f64::from(rate),
            phase: 0.0,
        }
    }

    /// Fills a frame.
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = (self.amplitude * self.phase.sin()).round() as i16;
            self.phase = (self.phase + self.step) % TAU;
        }
    }
}

const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// The frequencies of DTMF in Hz: rows and columns of the keypad (ITU-T Q.23).
pub(super) fn dtmf_groups() -> ([f64; 4], [f64; 4]) {
    (LOW, HIGH)
}

/// The two frequencies of a DTMF digit in Hz, low and high; letters in either case.
pub fn dtmf(digit: char) -> Option<(f64, f64)> {
    let place = "123A456B789C*0#D".find(digit.to_ascii_uppercase())?;
    Some((*LOW.get(place / 4)?, *HIGH.get(place % 4)?))
}

/// The sound of a pressed DTMF key.
#[derive(Debug, Clone)]
pub struct DigitTone {
    low: Sine,
    high: Sine,
}

impl DigitTone {
    /// From [`dtmf`]'s frequencies; `rate` in Hz.
    pub fn new((low, high): (f64, f64), rate: u32) -> DigitTone {
        // the high group 2 dB above the low one, as telephones send it; 0 dBm0 is -6.2 dBov
        DigitTone {
            low: Sine::new(low, -15.0, rate),
            high: Sine::new(high, -13.0, rate),
        }
    }

    /// Fills a frame.
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            let (mut low, mut high) = ([0], [0]);
            self.low.fill(&mut low);
            self.high.fill(&mut high);
            *sample = low[0].saturating_add(high[0]);
        }
    }
}

/// Measures one frequency (Goertzel).
#[derive(Debug, Clone, Copy)]
pub struct Detector {
    coefficient: f64,
}

impl Detector {
    /// `frequency` and `rate` in Hz. Over `n` samples it tells frequencies apart that differ by `rate / n` (50 Hz with
    /// 20 ms frames).
    pub fn new(frequency: f64, rate: u32) -> Detector {
        Detector {
            coefficient: 2.0 * (TAU * frequency / f64::from(rate)).cos(),
        }
    }

    /// The level of that frequency in `frame`, in dBov; -127 for none.
    pub fn level(&self, frame: &[i16]) -> f64 {
        let (mut last, mut before) = (0.0, 0.0);
        for sample in frame {
            (last, before) = (f64::from(*sample) + self.coefficient * last - before, last);
        }
        let power = last * last + before * before - self.coefficient * last * before;
        // |X|² of a sine with amplitude A is (A n / 2)²; its mean square is A² / 2.
        let samples = frame.len().max(1) as f64;
        decibels(2.0 * power / (samples * samples))
    }
}

/// The level of everything in `frame`, in dBov; -127 for silence.
pub fn level(frame: &[i16]) -> f64 {
    let sum: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    decibels(sum / frame.len().max(1) as f64)
}

/// The level of two signals together.
pub(super) fn decibels_of(one: f64, other: f64) -> f64 {
    10.0 * (10f64.powf(one / 10.0) + 10f64.powf(other / 10.0)).log10()
}

fn decibels(mean_square: f64) -> f64 {
    (10.0 * (mean_square / (FULL * FULL)).log10()).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_tone_only() {
        for rate in [8_000, 16_000, 48_000] {
            let mut sine = Sine::new(1_000.0, -20.0, rate);
            let mut frame = vec![0; rate as usize / 50];
            for _ in 0..3 {
                sine.fill(&mut frame);
                assert!((level(&frame) + 20.0).abs() < 0.05, "{}", level(&frame));
                assert!((Detector::new(1_000.0, rate).level(&frame) + 20.0).abs() < 0.05);
                assert!(Detector::new(1_200.0, rate).level(&frame) < -60.0);
            }
        }
    }

    #[test]
    fn every_key_has_two_frequencies() {
        assert_eq!(dtmf('1'), Some((697.0, 1_209.0)));
        assert_eq!(dtmf('#'), Some((941.0, 1_477.0)));
        assert_eq!(dtmf('d'), Some((941.0, 1_633.0)));
        assert_eq!(dtmf('E'), None);
        let mut frame = [0; 800];
        DigitTone::new((770.0, 1_336.0), 8_000).fill(&mut frame);
        assert!((Detector::new(770.0, 8_000).level(&frame) + 15.0).abs() < 0.5);
        assert!((Detector::new(1_336.0, 8_000).level(&frame) + 13.0).abs() < 0.5);
    }

    #[test]
    fn silence_and_overload() {
        assert_eq!(level(&[0; 160]), FLOOR);
        assert_eq!(Detector::new(440.0, 8_000).level(&[0; 160]), FLOOR);
        assert_eq!(level(&[]), FLOOR);
        let mut frame = [0; 160];
        Sine::new(1_000.0, 6.0, 8_000).fill(&mut frame);
        assert!((level(&frame) + 3.01).abs() < 0.05);
    }

    #[test]
    fn frames_join_without_a_step() {
        let mut whole = [0; 320];
        Sine::new(437.0, -10.0, 8_000).fill(&mut whole);
        let mut sine = Sine::new(437.0, -10.0, 8_000);
        let mut halves = [0; 320];
        let (first, second) = halves.split_at_mut(160);
        sine.fill(first);
        sine.fill(second);
        assert_eq!(whole, halves);
    }
}
