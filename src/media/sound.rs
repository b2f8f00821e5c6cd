//! A sound that can be played: decoded once, shared by all who play it.

use crate::codec::resample::{Doubler, Halver, resample};
use crate::codec::speech::{Speech, mix};
use crate::codec::tone::Sine;
use std::fmt;
use std::time::Duration;

/// Decoded audio, mono, at both rates of our codecs. Share it as `Arc<Sound>`.
pub struct Sound {
    narrow: Box<[i16]>,
    wide: Box<[i16]>,
}

impl Sound {
    /// From samples at any rate in Hz; resamples, so not on a media worker.
    pub fn new(samples: &[i16], rate: u32) -> Sound {
        let (narrow, wide) = match rate {
            8_000 => (samples.to_vec(), doubled(samples)),
            _ => {
                let wide = resample(samples, rate, Speech::G722.sample_rate());
                (halved(&wide), wide)
            }
        };
        Sound {
            narrow: narrow.into_boxed_slice(),
            wide: wide.into_boxed_slice(),
        }
    }

    /// Tones in Hz, each at `level` dBov, for `on`, and silence for `off`: one round of a call progress tone.
    pub fn cadence(frequencies: &[f64], level: f64, on: Duration, off: Duration) -> Sound {
        let rate = Speech::G722.sample_rate();
        let mut wide = vec![0; 2 * units(on)];
        let mut part = wide.clone();
        for frequency in frequencies {
            Sine::new(*frequency, level, rate).fill(&mut part);
            mix(&mut wide, &part);
        }
        wide.resize(wide.len() + 2 * units(off), 0);
        Sound::new(&wide, rate)
    }

    /// The European ring-back tone (ITU-T E.180): 425 Hz for a second, four seconds of silence. Play it for ever.
    pub fn ring_back() -> Sound {
        Sound::cadence(&[425.0], -20.0, Duration::from_secs(1), Duration::from_secs(4))
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        duration(self.narrow.len())
    }

    /// Bytes of memory that its samples take.
    pub fn bytes(&self) -> usize {
        2 * (self.narrow.len() + self.wide.len())
    }

    /// Samples at 8 kHz from one time to another.
    #[cfg(test)]
    pub fn heard(&self, from: Duration, to: Duration) -> &[i16] {
        self.narrow.get(units(from)..units(to)).unwrap_or_default()
    }

    /// Length in units of the RTP clock: samples at 8 kHz.
    pub(super) fn units(&self) -> usize {
        self.narrow.len().min(self.wide.len() / 2)
    }

    /// The samples for a codec, from `unit` on.
    pub(super) fn from(&self, unit: usize, codec: Speech) -> &[i16] {
        let (samples, each) = match codec {
            Speech::Pcmu | Speech::Pcma => (&self.narrow, 1),
            Speech::G722 => (&self.wide, 2),
        };
        samples.get(unit * each..self.units() * each).unwrap_or_default()
    }
}

/// Without the samples.
impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sound")
            .field("duration", &self.duration())
            .finish_non_exhaustive()
    }
}

/// The time of so many units of the RTP clock.
pub(super) fn duration(units: usize) -> Duration {
    Duration::from_micros(units as u64 * 125)
}

/// So many units of the RTP clock, whole ones.
pub(super) fn units(duration: Duration) -> usize {
    usize::try_from(duration.as_micros() / 125).unwrap_or(usize::MAX)
}

fn halved(wide: &[i16]) -> Vec<i16> {
    let mut narrow = vec![0; wide.len() / 2];
    Halver::default().run(wide, &mut narrow);
    narrow
}

fn doubled(narrow: &[i16]) -> Vec<i16> {
    let mut wide = vec![0; 2 * narrow.len()];
    Doubler::default().run(narrow, &mut wide);
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, level};

    #[test]
    fn both_rates_sound_alike_and_are_equally_long() {
        for rate in [8_000, 16_000, 44_100] {
            let mut samples = vec![0; rate as usize];
            Sine::new(900.0, -12.0, rate).fill(&mut samples);
            let sound = Sound::new(&samples, rate);
            assert_eq!((sound.duration(), sound.bytes()), (Duration::from_secs(1), 48_000));
            for codec in [Speech::Pcma, Speech::G722] {
                let heard = sound.from(4_000, codec);
                assert_eq!(heard.len(), 4_000 * codec.samples_per_byte());
                let level = Detector::new(900.0, codec.sample_rate()).level(&heard[..1_600]);
                assert!((level + 12.0).abs() < 0.2, "{rate} {codec:?} {level}");
            }
            assert!(sound.from(8_001, Speech::Pcmu).is_empty());
        }
    }

    #[test]
    fn a_cadence_has_its_tones_and_its_silence() {
        let sound = Sound::cadence(&[440.0, 480.0], -20.0, Duration::from_secs(2), Duration::from_secs(4));
        assert_eq!(sound.duration(), Duration::from_secs(6));
        for codec in [Speech::Pcmu, Speech::G722] {
            let second = codec.sample_rate() as usize;
            for frequency in [440.0, 480.0] {
                let heard = Detector::new(frequency, codec.sample_rate()).level(&sound.from(0, codec)[..second]);
                assert!((heard + 20.0).abs() < 0.2, "{frequency} Hz at {heard}");
            }
            assert!(level(&sound.from(8_000 * 3, codec)[..second]) < -90.0);
        }
        assert_eq!(Sound::ring_back().duration(), Duration::from_secs(5));
    }
}
