//! Recoding what a leg receives for the bridged leg, where they share no codec.

use super::speaker::FRAME;
use crate::codec::noise::Noise;
use crate::codec::resample::{Doubler, Halver};
use crate::codec::speech::{Decoder, Encoder, Speech};

/// The state of one received stream's recoding. Packets keep their length and their times: both codecs have a byte for
/// each unit of the same clock.
#[derive(Default)]
pub struct Converter {
    decoder: Decoder,
    encoder: Encoder,
    halver: Halver,
    doubler: Doubler,
    noise: Noise,
}

impl Converter {
    /// Recodes a payload where it lies; false: it is longer than 120 ms.
    pub fn run(&mut self, from: Speech, to: Speech, payload: &mut [u8]) -> bool {
        let (mut heard, mut said) = ([0i16; FRAME], [0i16; FRAME]);
        let count = payload.len();
        let (Some(heard), Some(said)) = (
            heard.get_mut(..count * from.samples_per_byte()),
            said.get_mut(..count * to.samples_per_byte()),
        ) else {
            return false;
        };
        self.decoder.decode(from, payload, heard);
        let said = match (from.samples_per_byte(), to.samples_per_byte()) {
            (1, 2) => {
                self.doubler.run(heard, said);
                said
            }
            (2, 1) => {
                self.halver.run(heard, said);
                said
            }
            _ => heard,
        };
        self.encoder.encode(to, said, payload);
        true
    }

    /// Fills a payload with noise of this level (RFC 3389 §3); false: it is longer than 120 ms.
    pub fn hush(&mut self, level: u8, to: Speech, payload: &mut [u8]) -> bool {
        let mut frame = [0i16; FRAME];
        let Some(frame) = frame.get_mut(..payload.len() * to.samples_per_byte()) else {
            return false;
        };
        self.noise.fill(level, frame);
        self.encoder.encode(to, frame, payload);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, Sine, level};

    #[test]
    fn every_pair_keeps_the_tone_alone() {
        let codecs = [Speech::Pcmu, Speech::Pcma, Speech::G722];
        for (from, to) in codecs.iter().flat_map(|from| codecs.iter().map(move |to| (*from, *to))) {
            let (mut encoder, mut decoder, mut converter) =
                (Encoder::default(), Decoder::default(), Converter::default());
            let mut sine = Sine::new(1_000.0, -20.0, from.sample_rate());
            let mut frame = vec![0; 160 * from.samples_per_byte()];
            let mut heard = vec![0; 160 * to.samples_per_byte()];
            let mut payload = [0; 160];
            for _ in 0..10 {
                sine.fill(&mut frame);
                encoder.encode(from, &frame, &mut payload);
                assert!(converter.run(from, to, &mut payload));
                decoder.decode(to, &payload, &mut heard);
            }
            let tone = Detector::new(1_000.0, to.sample_rate()).level(&heard);
            assert!(
                (tone + 20.0).abs() < 1.0 && (level(&heard) + 20.0).abs() < 1.0,
                "{from:?} to {to:?}: {tone}"
            );
        }
    }

    #[test]
    fn long_and_empty_payloads() {
        let mut converter = Converter::default();
        assert!(!converter.run(Speech::G722, Speech::Pcma, &mut [0; 961]));
        assert!(converter.run(Speech::Pcma, Speech::G722, &mut [0xd5; 960]));
        assert!(converter.run(Speech::Pcma, Speech::G722, &mut []));
    }
}
