//! Sample rates: halving and doubling on the packet path, and any ratio for whole recordings.

use std::f64::consts::PI;

/// Taps of the half-band filter on one side of its centre, every other of which is zero.
const SIDE: usize = 8;
/// Samples that the filter looks back.
const REACH: usize = 4 * SIDE - 1;

/// The odd taps of a Hann-windowed half-band filter in 1/32768ths, from the centre outwards. They sum to a
/// quarter, so that both sides and the centre sum to one.
static TAPS: [i32; SIDE] = [10_327, -3_183, 1_622, -890, 466, -211, 68, -7];

/// 16 kHz to 8 kHz, from frame to frame without a seam.
#[derive(Debug, Clone)]
pub struct Halver {
    history: [i16; REACH],
}

/// 8 kHz to 16 kHz, from frame to frame without a seam.
#[derive(Debug, Clone)]
pub struct Doubler {
    history: [i16; 2 * SIDE - 1],
}

impl Default for Halver {
    fn default() -> Halver {
        Halver { history: [0; REACH] }
    }
}

impl Default for Doubler {
    fn default() -> Doubler {
        Doubler {
            history: [0; 2 * SIDE - 1],
        }
    }
}

impl Halver {
    /// Writes half as many samples as `wide` has (an odd last one is left out), as far as `narrow` has room; how many.
    pub fn run(&mut self, wide: &[i16], narrow: &mut [i16]) -> usize {
        let (pairs, _) = wide.as_chunks::<2>();
        for (pair, out) in pairs.iter().zip(narrow.iter_mut()) {
            self.history.copy_within(2.., 0);
            let [.., older, newer] = &mut self.history;
            (*older, *newer) = (pair[0], pair[1]);
            *out = self.filtered();
        }
        pairs.len().min(narrow.len())
    }

    fn filtered(&self) -> i16 {
        let centre = 2 * SIDE - 1;
        let at = |index: usize| i32::from(self.history.get(index).copied().unwrap_or(0));
        let mut sum = at(centre) << 14;
        for (tap, distance) in TAPS.iter().zip((1..).step_by(2)) {
            sum += tap * (at(centre - distance) + at(centre + distance));
        }
        rounded(sum)
    }
}

impl Doubler {
    /// Writes twice as many samples as `narrow` has, as far as `wide` has room for pairs; how many.
    pub fn run(&mut self, narrow: &[i16], wide: &mut [i16]) -> usize {
        let (pairs, _) = wide.as_chunks_mut::<2>();
        let written = 2 * pairs.len().min(narrow.len());
        for (sample, pair) in narrow.iter().zip(pairs) {
            // between the samples SIDE - 1 and SIDE of what is remembered
            let at = |index: usize| i32::from(self.history.get(index).copied().unwrap_or(0));
            let mut sum = 0i32;
            let newest = i32::from(*sample);
            for (tap, distance) in TAPS.iter().zip(0usize..) {
                let right = SIDE + distance;
                let right = if right == 2 * SIDE - 1 { newest } else { at(right) };
                sum += tap * (at(SIDE - 1 - distance) + right);
            }
            *pair = [at(SIDE - 1) as i16, rounded(sum.saturating_mul(2))];
            self.history.copy_within(1.., 0);
            if let Some(last) = self.history.last_mut() {
                *last = *sample;
            }
        }
        written
    }
}

fn rounded(sum: i32) -> i16 {
    (sum.saturating_add(1 << 14) >> 15).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// Zero crossings of the interpolation function on each side, at the lower of the two rates.
const LOBES: usize = 24;

/// A whole recording at another rate, both in Hz; allocates and takes its time. A rate of 0 gives nothing.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    if from == 0 || to == 0 {
        return Vec::new();
    }
    let divisor = greatest_common_divisor(from, to);
    let (up, down) = (u64::from(to / divisor), u64::from(from / divisor));
    // relative to the rate that comes in; a little less than half leaves the transition below the fold
    let cutoff = 0.97 * (f64::from(to) / f64::from(from)).min(1.0);
    let reach = (LOBES as f64 / cutoff).ceil() as i64;
    let kernels: Vec<Vec<f32>> = (0..up)
        .map(|phase| kernel(phase as f64 / up as f64, cutoff, reach))
        .collect();
    let count = samples.len() as u64 * up / down;
    (0..count)
        .map(|index| {
            let (base, phase) = (index * down / up, index * down % up);
            let first = base as i64 - reach + 1;
            let kernel = kernels.get(phase as usize).map(Vec::as_slice).unwrap_or_default();
            let skipped = usize::try_from(-first).unwrap_or(0);
            let begin = usize::try_from(first).unwrap_or(0);
            let sum: f32 = kernel
                .iter()
                .skip(skipped)
                .zip(samples.get(begin..).unwrap_or_default())
                .map(|(tap, sample)| tap * f32::from(*sample))
                .sum();
            sum.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
        })
        .collect()
}

/// Taps for a point `fraction` behind a sample, for the samples from `1 - reach` to `reach` relative to it.
fn kernel(fraction: f64, cutoff: f64, reach: i64) -> Vec<f32> {
    let tap = |index: i64| {
        let distance = index as f64 - fraction;
        let window = 0.5 + 0.5 * (PI * distance / (reach as f64 + 1.0)).cos();
        cutoff * sinc(cutoff * distance) * window
    };
    let taps: Vec<f64> = (1 - reach..=reach).map(tap).collect();
    // each phase passes a constant unchanged
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / sum) as f32).collect()
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, Sine, level};

    fn tone(frequency: f64, rate: u32, samples: usize) -> Vec<i16> {
        let mut frame = vec![0; samples];
        Sine::new(frequency, -10.0, rate).fill(&mut frame);
        frame
    }

    #[test]
    fn halving_keeps_speech_and_leaves_no_images() {
        for (frequency, kept) in [
            (300.0, true),
            (1_000.0, true),
            (3_300.0, true),
            (5_000.0, false),
            (7_000.0, false),
        ] {
            let (wide, mut halver) = (tone(frequency, 16_000, 3_200), Halver::default());
            let mut narrow = vec![0; 1_600];
            for (wide, narrow) in wide.chunks(320).zip(narrow.chunks_mut(160)) {
                assert_eq!(halver.run(wide, narrow), 160);
            }
            let heard = level(&narrow[160..]);
            match kept {
                true => assert!((heard + 10.0).abs() < 0.6, "{frequency} Hz at {heard}"),
                false => assert!(heard < -50.0, "{frequency} Hz at {heard}"),
            }
        }
    }

    #[test]
    fn doubling_keeps_the_tone_alone_over_odd_frames() {
        for frequency in [300.0, 1_000.0, 3_000.0] {
            let (narrow, mut doubler) = (tone(frequency, 8_000, 1_600), Doubler::default());
            let mut wide = vec![0; 3_200];
            for (narrow, wide) in narrow.chunks(77).zip(wide.chunks_mut(154)) {
                assert_eq!(doubler.run(narrow, wide), 2 * narrow.len());
            }
            let (wide, detector) = (&wide[320..], Detector::new(frequency, 16_000));
            assert!((detector.level(wide) + 10.0).abs() < 0.2 && (level(wide) + 10.0).abs() < 0.2);
        }
    }

    #[test]
    fn short_rooms_and_extremes_are_fine() {
        let mut room = [0; 3];
        assert_eq!(Halver::default().run(&[i16::MAX; 7], &mut room), 3);
        assert_eq!(Doubler::default().run(&[i16::MIN; 7], &mut room), 2);
        let alternating: Vec<i16> = (0..64).map(|n| if n % 4 < 2 { i16::MIN } else { i16::MAX }).collect();
        Halver::default().run(&alternating, &mut [0; 32]);
        Doubler::default().run(&alternating, &mut [0; 128]);
    }

    #[test]
    fn any_ratio_keeps_the_tone_and_the_length() {
        for (from, to) in [
            (44_100, 16_000),
            (44_100, 8_000),
            (48_000, 16_000),
            (11_025, 8_000),
            (8_000, 16_000),
            (22_050, 16_000),
        ] {
            let samples = resample(&tone(1_000.0, from, from as usize), from, to);
            assert_eq!(samples.len(), to as usize, "{from} to {to}");
            let middle = &samples[to as usize / 10..to as usize * 4 / 10];
            let (heard, all) = (Detector::new(1_000.0, to).level(middle), level(middle));
            assert!(
                (heard + 10.0).abs() < 0.1 && (all + 10.0).abs() < 0.1,
                "{from} to {to}: {heard} {all}"
            );
            if from > to {
                let folded = resample(&tone(f64::from(to) * 0.6, from, from as usize / 2), from, to);
                assert!(
                    level(&folded[1_000..3_000]) < -50.0,
                    "{from} to {to}: {}",
                    level(&folded[1_000..3_000])
                );
            }
        }
        assert!(resample(&[1, 2], 0, 8_000).is_empty() && resample(&[], 44_100, 8_000).is_empty());
    }
}
