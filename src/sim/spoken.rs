//! The codecs that a side can be held to, and what was said and heard in them packet by packet.

use super::description::Shape;
use crate::codec::speech::Speech;
use crate::sdp::{Codec, Format};
use serde::Serialize;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::str::FromStr;

/// Packets that are remembered, each way.
const REMEMBERED: usize = 512;

/// A codec of Teams (TEAMS-096). What can't be encoded here is said as packets of its usual length that mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Spoken {
    Pcmu,
    Pcma,
    G722,
    G729,
    SilkNarrow,
    SilkWide,
}

impl Spoken {
    pub const ALL: [Spoken; 6] = [
        Spoken::Pcmu,
        Spoken::Pcma,
        Spoken::G722,
        Spoken::G729,
        Spoken::SilkNarrow,
        Spoken::SilkWide,
    ];

    /// Name and clock, as `a=rtpmap` has them.
    pub const fn name(self) -> &'static str {
        match self {
            Spoken::Pcmu => "PCMU/8000",
            Spoken::Pcma => "PCMA/8000",
            Spoken::G722 => "G722/8000",
            Spoken::G729 => "G729/8000",
            Spoken::SilkNarrow => "SILK/8000",
            Spoken::SilkWide => "SILK/16000",
        }
    }

    /// What a tone can be made and heard in; None: it only passes.
    pub const fn speech(self) -> Option<Speech> {
        match self {
            Spoken::Pcmu => Some(Speech::Pcmu),
            Spoken::Pcma => Some(Speech::Pcma),
            Spoken::G722 => Some(Speech::G722),
            Spoken::G729 | Spoken::SilkNarrow | Spoken::SilkWide => None,
        }
    }

    /// Hz.
    pub(super) const fn clock(self) -> u32 {
        match self {
            Spoken::SilkWide => 16_000,
            _ => 8_000,
        }
    }

    /// Bytes of 20 ms. SILK has as many as its rate says: these are of about 16 and 24 kbit/s.
    pub(super) const fn packet(self) -> usize {
        match self {
            Spoken::Pcmu | Spoken::Pcma | Spoken::G722 => 160,
            Spoken::G729 => 20,
            Spoken::SilkNarrow => 40,
            Spoken::SilkWide => 60,
        }
    }

    pub(super) fn is(self, format: &Format) -> bool {
        let codec = match self {
            Spoken::Pcmu => Codec::Pcmu,
            Spoken::Pcma => Codec::Pcma,
            Spoken::G722 => Codec::G722,
            Spoken::G729 => Codec::G729,
            Spoken::SilkNarrow | Spoken::SilkWide => Codec::Silk,
        };
        format.codec == codec && format.clock == self.clock() && format.channels == 1
    }

    /// Under which number it is offered, and its lines. A carrier has other numbers for SILK than Teams (TV-03).
    pub(super) const fn offered(self, shape: Shape) -> (u8, &'static [&'static str]) {
        match (self, shape) {
            (Spoken::Pcmu, _) => (0, &["rtpmap:0 PCMU/8000"]),
            (Spoken::Pcma, _) => (8, &["rtpmap:8 PCMA/8000"]),
            (Spoken::G722, _) => (9, &["rtpmap:9 G722/8000"]),
            (Spoken::G729, _) => (18, &["rtpmap:18 G729/8000", "fmtp:18 annexb=no"]),
            (Spoken::SilkNarrow, Shape::Carrier) => (97, &["rtpmap:97 SILK/8000"]),
            (Spoken::SilkNarrow, _) => (103, &["rtpmap:103 SILK/8000"]),
            (Spoken::SilkWide, Shape::Carrier) => (96, &["rtpmap:96 SILK/16000"]),
            (Spoken::SilkWide, _) => (104, &["rtpmap:104 SILK/16000"]),
        }
    }
}

impl From<Speech> for Spoken {
    fn from(speech: Speech) -> Spoken {
        match speech {
            Speech::Pcmu => Spoken::Pcmu,
            Speech::Pcma => Spoken::Pcma,
            Speech::G722 => Spoken::G722,
        }
    }
}

/// With or without the clock, where the name alone says it.
impl FromStr for Spoken {
    type Err = ();

    fn from_str(text: &str) -> Result<Spoken, ()> {
        let is_meant = |known: &&Spoken| {
            let name = known.name();
            let alone = name.strip_suffix("/8000").filter(|name| *name != "SILK");
            name.eq_ignore_ascii_case(text) || alone.is_some_and(|name| name.eq_ignore_ascii_case(text))
        };
        Spoken::ALL.iter().find(is_meant).copied().ok_or(())
    }
}

/// The last packets of audio of a side that is held to a codec, as fingerprints of their payloads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payloads {
    pub said: VecDeque<u64>,
    pub heard: VecDeque<u64>,
}

impl Payloads {
    pub(super) fn says(&mut self, payload: &[u8]) {
        remember(&mut self.said, payload);
    }

    pub(super) fn hears(&mut self, payload: &[u8]) {
        remember(&mut self.heard, payload);
    }
}

fn remember(known: &mut VecDeque<u64>, payload: &[u8]) {
    if known.len() == REMEMBERED {
        known.pop_front();
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    known.push_back(hasher.finish());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_codec_is_read_by_its_name() {
        for codec in Spoken::ALL {
            assert_eq!(codec.name().to_lowercase().parse(), Ok(codec));
        }
        assert_eq!("g729".parse(), Ok(Spoken::G729));
        for wrong in ["SILK", "G722/16000", "opus", ""] {
            assert_eq!(wrong.parse::<Spoken>(), Err(()), "{wrong}");
        }
    }
}
