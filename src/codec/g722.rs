//! G.722 at 64 kbit/s: 16 kHz audio, one byte for two samples. Its RTP clock is 8 kHz all the same (RFC 3551 §4.5.2).

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

/// The static payload type (RFC 3551).
pub const PAYLOAD_TYPE: u8 = 9;
/// Audio samples a second.
pub const SAMPLE_RATE: u32 = 16_000;

/// Encodes one stream: its filters remember the frames before.
#[derive(Default)]
pub struct Encoder(G722Encoder);

impl Encoder {
    /// Starts a stream.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// Encodes pairs of samples while `bytes` has room; returns the bytes written. An odd last sample is left out.
    pub fn encode(&mut self, samples: &[i16], bytes: &mut [u8]) -> usize {
        let pairs = (samples.len() / 2).min(bytes.len());
        let samples = samples.get(..2 * pairs).unwrap_or_default();
        // The only error is a lack of room, which the line above excludes.
        self.0.encode_into(samples, bytes).unwrap_or(0)
    }
}

/// Decodes one stream.
#[derive(Default)]
pub struct Decoder(G722Decoder);

impl Decoder {
    /// Starts a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Decodes bytes while `samples` has room for two each; returns the samples written.
    pub fn decode(&mut self, bytes: &[u8], samples: &mut [i16]) -> usize {
        let bytes = bytes.get(..bytes.len().min(samples.len() / 2)).unwrap_or_default();
        self.0.decode_into(bytes, samples).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, Sine, level};
    use proptest::prelude::*;

    #[test]
    fn a_tone_of_either_band_survives() {
        for frequency in [1_000.0, 5_000.0] {
            let (mut sine, mut encoder, mut decoder) =
                (Sine::new(frequency, -20.0, SAMPLE_RATE), Encoder::new(), Decoder::new());
            let (mut frame, mut bytes, mut heard) = ([0; 320], [0; 160], [0; 320]);
            for _ in 0..10 {
                sine.fill(&mut frame);
                assert_eq!(encoder.encode(&frame, &mut bytes), 160);
                assert_eq!(decoder.decode(&bytes, &mut heard), 320);
            }
            let tone = Detector::new(frequency, SAMPLE_RATE).level(&heard);
            assert!(
                (tone + 20.0).abs() < 1.0 && (level(&heard) + 20.0).abs() < 1.0,
                "{frequency} Hz at {tone}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_lengths_fit(samples in prop::collection::vec(any::<i16>(), 0..50), room in 0usize..50) {
            let mut bytes = vec![0; room];
            let written = Encoder::new().encode(&samples, &mut bytes);
            prop_assert_eq!(written, room.min(samples.len() / 2));
            let mut heard = vec![0; room];
            prop_assert_eq!(Decoder::new().decode(&bytes[..written], &mut heard), 2 * written.min(room / 2));
        }
    }
}
