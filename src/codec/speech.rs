//! The codecs that we speak ourselves, as one: PCMU, PCMA and G.722. All have an RTP clock of 8 kHz and one byte for
//! each of its units, so that recoding a packet changes neither its length nor its timestamps.

use super::g711::Law;
use super::g722;
use serde::{Deserialize, Serialize};

/// A codec that can be decoded and encoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speech {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
}

impl Speech {
    /// Units of the RTP clock a second, and bytes of payload.
    pub const CLOCK_RATE: u32 = 8_000;

    /// All of them, in the order that we offer them in.
    pub const ALL: [Speech; 3] = [Speech::Pcma, Speech::Pcmu, Speech::G722];

    /// The codec of a static payload type (RFC 3551 §6).
    pub const fn from_payload_type(number: u8) -> Option<Speech> {
        match number {
            0 => Some(Speech::Pcmu),
            8 => Some(Speech::Pcma),
            9 => Some(Speech::G722),
            _ => None,
        }
    }

    /// Audio samples for each byte of payload.
    pub const fn samples_per_byte(self) -> usize {
        match self {
            Speech::Pcmu | Speech::Pcma => 1,
            Speech::G722 => 2,
        }
    }

    /// The byte that, again and again, is silence.
    pub const fn silence(self) -> u8 {
        match self {
            Speech::Pcmu => 0xff,
            Speech::Pcma => 0xd5,
            Speech::G722 => 0xfc,
        }
    }

    /// Whether recoding to `other` costs more than all else that a packet does (docs/performance.md): from and to G.722,
    /// while PCMU and PCMA are a table's length apart.
    pub const fn is_far_from(self, other: Speech) -> bool {
        matches!(self, Speech::G722) != matches!(other, Speech::G722)
    }

    /// Audio samples a second.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Speech::Pcmu | Speech::Pcma => 8_000,
            Speech::G722 => g722::SAMPLE_RATE,
        }
    }
}

/// Encodes one stream, whatever the codec of its packets is.
#[derive(Default)]
pub struct Encoder {
    g722: g722::Encoder,
}

impl Encoder {
    /// Encodes while `bytes` has room; returns the bytes written.
    pub fn encode(&mut self, codec: Speech, samples: &[i16], bytes: &mut [u8]) -> usize {
        match codec {
            Speech::Pcmu => Law::Mu.encode(samples, bytes),
            Speech::Pcma => Law::A.encode(samples, bytes),
            Speech::G722 => self.g722.encode(samples, bytes),
        }
    }
}

/// Decodes one stream, whatever the codec of its packets is.
#[derive(Default)]
pub struct Decoder {
    g722: g722::Decoder,
}

impl Decoder {
    /// Decodes while `samples` has room; returns the samples written.
    pub fn decode(&mut self, codec: Speech, bytes: &[u8], samples: &mut [i16]) -> usize {
        match codec {
            Speech::Pcmu => Law::Mu.decode(bytes, samples),
            Speech::Pcma => Law::A.decode(bytes, samples),
            Speech::G722 => self.g722.decode(bytes, samples),
        }
    }
}

/// A gain with the arithmetic of the packet path: 1/4096ths, saturating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gain(i32);

impl Gain {
    /// What goes in comes out.
    pub const UNITY: Gain = Gain(1 << 12);

    /// Limits of [`Gain::decibels`], both ways.
    pub const MOST_DECIBELS: f32 = 40.0;

    /// Louder (positive) or softer; more than 40 dB either way is 40 dB, what is no number changes nothing.
    pub fn decibels(decibels: f32) -> Gain {
        if !decibels.is_finite() {
            return Gain::UNITY;
        }
        let decibels = decibels.clamp(-Gain::MOST_DECIBELS, Gain::MOST_DECIBELS);
        Gain((10f32.powf(decibels / 20.0) * 4096.0).round() as i32)
    }

    /// One sample.
    #[inline]
    pub fn of(self, sample: i16) -> i16 {
        saturated((i64::from(sample) * i64::from(self.0)) >> 12)
    }

    /// A frame in place.
    pub fn apply(self, frame: &mut [i16]) {
        if self != Gain::UNITY {
            frame.iter_mut().for_each(|sample| *sample = self.of(*sample));
        }
    }
}

/// Adds `other` to `frame`, saturating.
pub fn mix(frame: &mut [i16], other: &[i16]) {
    for (sample, other) in frame.iter_mut().zip(other) {
        *sample = sample.saturating_add(*other);
    }
}

fn saturated(value: i64) -> i16 {
    value.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, Sine};

    #[test]
    fn each_codec_keeps_a_tone_and_the_length() {
        for codec in [Speech::Pcmu, Speech::Pcma, Speech::G722] {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
            let samples = 160 * codec.samples_per_byte();
            let mut sine = Sine::new(1_000.0, -15.0, codec.sample_rate());
            let (mut frame, mut bytes, mut heard) = (vec![0; samples], [0; 160], vec![0; samples]);
            for _ in 0..10 {
                sine.fill(&mut frame);
                assert_eq!(encoder.encode(codec, &frame, &mut bytes), 160);
                assert_eq!(decoder.decode(codec, &bytes, &mut heard), samples);
            }
            let level = Detector::new(1_000.0, codec.sample_rate()).level(&heard);
            assert!((level + 15.0).abs() < 1.0, "{codec:?} {level}");
        }
    }

    #[test]
    fn the_byte_of_silence_is_heard_as_silence() {
        for codec in [Speech::Pcmu, Speech::Pcma, Speech::G722] {
            let mut decoder = Decoder::default();
            let samples = 160 * codec.samples_per_byte();
            let mut heard = vec![0; samples];
            let mut sine = Sine::new(1_000.0, -15.0, codec.sample_rate());
            let (mut encoder, mut bytes) = (Encoder::default(), [0; 160]);
            for _ in 0..5 {
                sine.fill(&mut heard);
                encoder.encode(codec, &heard, &mut bytes);
                decoder.decode(codec, &bytes, &mut heard);
            }
            for _ in 0..3 {
                decoder.decode(codec, &[codec.silence(); 160], &mut heard);
            }
            let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max();
            assert!(loudest <= Some(64), "{codec:?}: {loudest:?}");
        }
    }

    #[test]
    fn gain_saturates_and_nonsense_is_unity() {
        assert_eq!(Gain::decibels(0.0), Gain::UNITY);
        assert_eq!(Gain::decibels(f32::NAN), Gain::UNITY);
        assert_eq!(Gain::decibels(500.0), Gain::decibels(40.0));
        let mut frame = [1_000, -1_000, 20_000, -20_000];
        Gain::decibels(6.0206).apply(&mut frame);
        assert_eq!(frame, [2_000, -2_000, i16::MAX, i16::MIN]);
        assert_eq!(Gain::decibels(40.0).of(i16::MIN), i16::MIN);
        Gain::decibels(-6.0206).apply(&mut frame);
        assert_eq!(frame[..2], [1_000, -1_000]);
        mix(&mut frame, &[1, 2, i16::MAX, i16::MIN]);
        assert_eq!(frame, [1_001, -998, i16::MAX, i16::MIN]);
    }
}
