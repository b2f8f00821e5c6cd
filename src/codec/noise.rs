//! Noise of a level, for silence that is only described (RFC 3389).

/// Full scale of `i16`.
const FULL: f32 = 32_768.0;

/// White noise that goes on from frame to frame.
#[derive(Debug, Clone)]
pub struct Noise {
    state: u32,
}

impl Default for Noise {
    fn default() -> Noise {
        // Anything but zero: xorshift stays there.
        Noise { state: 0x9e37_79b9 }
    }
}

impl Noise {
    /// Fills a frame; `level` in dB below the overload point: 0 to 127 stand for 0 to -127 dBov.
    pub fn fill(&mut self, level: u8, frame: &mut [i16]) {
        // Evenly distributed values up to a have a power of a²/3.
        let most = (FULL * 3f32.sqrt() * 10f32.powf(-f32::from(level) / 20.0)).min(FULL - 1.0);
        for sample in frame {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            let value = self.state as i32 as f32 / i32::MAX as f32;
            *sample = (value * most) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, level};

    #[test]
    fn noise_has_its_level_and_no_tone() {
        let (mut noise, mut frame) = (Noise::default(), vec![0; 16_000]);
        for loudness in [10, 30, 50, 65] {
            noise.fill(loudness, &mut frame);
            let heard = level(&frame);
            assert!(
                (heard + f64::from(loudness)).abs() < 1.0,
                "{heard} instead of -{loudness}"
            );
            let tone = Detector::new(1_000.0, 8_000).level(&frame);
            assert!(tone < heard - 20.0, "{tone} of {heard}");
        }
        noise.fill(127, &mut frame);
        assert!(frame.iter().all(|sample| *sample == 0));
    }
}
