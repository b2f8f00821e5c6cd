//! What an endpoint receives, as samples of one rate.

use crate::codec::resample::Halver;
use crate::codec::speech::{Decoder, Speech};

/// Bytes of a payload that are listened to: far more than any packet time has.
const LONGEST: usize = 1_600;

/// One stream in.
#[derive(Default)]
pub(super) struct Inbound {
    decoder: Decoder,
    halver: Halver,
    samples: Vec<i16>,
    narrow: Vec<i16>,
}

impl Inbound {
    /// The samples of a payload, at 8 kHz.
    pub(super) fn decode(&mut self, codec: Speech, payload: &[u8]) -> &[i16] {
        let payload = payload.get(..LONGEST).unwrap_or(payload);
        self.samples.resize(payload.len() * codec.samples_per_byte(), 0);
        let count = self.decoder.decode(codec, payload, &mut self.samples);
        self.samples.truncate(count);
        if codec.samples_per_byte() == 1 {
            return &self.samples;
        }
        self.narrow.resize(count / 2, 0);
        let count = self.halver.run(&self.samples, &mut self.narrow);
        self.narrow.truncate(count);
        &self.narrow
    }
}
