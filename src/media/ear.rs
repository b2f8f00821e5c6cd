//! Digits as tones in what a leg receives, for the owner that asked for them.

use super::dtmf::Digit;
use super::sound::duration;
use super::speaker::FRAME;
use crate::codec::dtmf::{Listener, Tone};
use crate::codec::resample::Halver;
use crate::codec::speech::{Decoder, Speech};
use crate::moment::Moment;
use std::time::Duration;

/// A digit whose stream stopped is over after this long.
const STOPPED: Duration = Duration::from_millis(200);

/// Decodes a leg's audio and listens.
#[derive(Default)]
pub(super) struct Ear {
    decoder: Decoder,
    halver: Halver,
    listener: Listener,
    last: Moment,
    /// The peer sends events: its tones would be the same digits again.
    has_events: bool,
}

impl Ear {
    /// Takes a payload; the digit that ended in it.
    pub fn hear(&mut self, codec: Speech, payload: &[u8], now: Moment) -> Option<Digit> {
        if self.has_events {
            return None;
        }
        self.last = now;
        let (mut frame, mut narrow) = ([0i16; FRAME], [0i16; FRAME / 2]);
        let count = self.decoder.decode(codec, payload, &mut frame);
        let samples = match codec {
            Speech::Pcmu | Speech::Pcma => frame.get(..count),
            Speech::G722 => {
                let count = self.halver.run(frame.get(..count).unwrap_or_default(), &mut narrow);
                narrow.get(..count)
            }
        };
        self.listener.hear(samples.unwrap_or_default()).map(digit)
    }

    /// An event came.
    pub fn event(&mut self) {
        self.has_events = true;
    }

    /// The digit whose stream stopped.
    pub fn overdue(&mut self, now: Moment) -> Option<Digit> {
        if now.since(self.last) < STOPPED {
            return None;
        }
        self.listener.stop().map(digit)
    }
}

fn digit(tone: Tone) -> Digit {
    Digit {
        sign: tone.digit,
        duration: duration(tone.samples as usize),
    }
}
