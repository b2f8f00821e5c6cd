//! Codecs and formats. Identity is name, clock and channels, never the payload type number (RFC 3264 §6.1).

use crate::codec::speech::Speech;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number that most equipment expects telephone-event on, some even without reading `a=rtpmap`.
pub(super) const TELEPHONE_EVENT: u8 = 101;
/// No RTP clock is faster (L16 at studio rate); more would be a mistake, or meant to overflow something.
const MAX_CLOCK: u32 = 192_000;

/// What a payload type carries, by its RTP encoding name (RFC 4855: names are case-blind).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Codec {
    Pcmu,
    Pcma,
    G722,
    G729,
    /// Of 8 or 16 kHz; each is a codec of its own.
    Silk,
    /// RFC 4733 events.
    TelephoneEvent,
    /// RFC 3389 comfort noise, `CN`.
    ComfortNoise,
    /// Passed through untouched; the name keeps its spelling and compares case-blind.
    Other(String),
}

impl Codec {
    /// The encoding name as `a=rtpmap` has it.
    pub fn name(&self) -> &str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::G729 => "G729",
            Codec::Silk => "SILK",
            Codec::TelephoneEvent => "telephone-event",
            Codec::ComfortNoise => "CN",
            Codec::Other(name) => name,
        }
    }

    /// True for what accompanies speech and can't be a call's only format: events, comfort noise, redundancy.
    pub fn is_auxiliary(&self) -> bool {
        match self {
            Codec::TelephoneEvent | Codec::ComfortNoise => true,
            Codec::Other(name) => name.eq_ignore_ascii_case("red"),
            _ => false,
        }
    }
}

impl From<&str> for Codec {
    fn from(name: &str) -> Codec {
        [
            Codec::Pcmu,
            Codec::Pcma,
            Codec::G722,
            Codec::G729,
            Codec::Silk,
            Codec::TelephoneEvent,
            Codec::ComfortNoise,
        ]
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(name))
        .unwrap_or_else(|| Codec::Other(name.to_owned()))
    }
}

impl From<String> for Codec {
    fn from(name: String) -> Codec {
        Codec::from(name.as_str())
    }
}

impl From<Codec> for String {
    fn from(codec: Codec) -> String {
        codec.name().to_owned()
    }
}

impl PartialEq for Codec {
    fn eq(&self, other: &Codec) -> bool {
        self.name().eq_ignore_ascii_case(other.name())
    }
}

impl Eq for Codec {}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One payload type of an m-line. `==` compares numbers and parameters too; [`Format::same_codec`] is identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// 0..=127, as the describer wants to receive it.
    pub payload_type: u8,
    pub codec: Codec,
    /// RTP clock in Hz (G.722 says 8000 although it samples at 16000, RFC 3551 §4.5.2).
    pub clock: u32,
    pub channels: u8,
    /// The text after `a=fmtp:<payload type> `.
    pub fmtp: Option<String>,
}

impl Format {
    /// A format with one channel and no parameters.
    pub fn new(payload_type: u8, codec: Codec, clock: u32) -> Format {
        Format {
            payload_type,
            codec,
            clock,
            channels: 1,
            fmtp: None,
        }
    }

    /// What a payload type means without `a=rtpmap` (RFC 3551 §6), for the numbers that telephony still uses.
    pub fn well_known(payload_type: u8) -> Option<Format> {
        let codec = match payload_type {
            0 => Codec::Pcmu,
            3 => Codec::Other("GSM".to_owned()),
            8 => Codec::Pcma,
            9 => Codec::G722,
            13 => Codec::ComfortNoise,
            18 => Codec::G729,
            _ => return None,
        };
        Some(Format::new(payload_type, codec, 8000))
    }

    /// How a codec of ours is described.
    pub fn of_speech(speech: Speech) -> Format {
        let (number, codec) = match speech {
            Speech::Pcmu => (0, Codec::Pcmu),
            Speech::Pcma => (8, Codec::Pcma),
            Speech::G722 => (9, Codec::G722),
        };
        Format::new(number, codec, Speech::CLOCK_RATE)
    }

    /// Telephone events as we offer them: the keys and the hook flash, beside an 8 kHz clock (RFC 4733).
    pub fn our_events() -> Format {
        let mut events = Format::new(TELEPHONE_EVENT, Codec::TelephoneEvent, 8_000);
        events.fmtp = Some("0-16".to_owned());
        events
    }

    /// The number that RFC 3551 fixes for this codec.
    pub(super) fn fixed_payload_type(&self) -> Option<u8> {
        [0, 3, 8, 9, 13, 18]
            .into_iter()
            .find(|&number| Format::well_known(number).is_some_and(|known| known.same_codec(self)))
    }

    /// The codec that decodes and encodes it here; None: it only passes through.
    pub fn speech(&self) -> Option<Speech> {
        let speech = match self.codec {
            Codec::Pcmu => Speech::Pcmu,
            Codec::Pcma => Speech::Pcma,
            Codec::G722 => Speech::G722,
            _ => return None,
        };
        (self.clock == Speech::CLOCK_RATE && self.channels == 1).then_some(speech)
    }

    /// False for a codec of telephony at another clock than its own, or with more channels: peers that have the codec do
    /// not have that (RFC 3551 §4.5). SILK is there at the two clocks that Teams has (TEAMS-096).
    pub fn is_at_its_clock(&self) -> bool {
        match self.codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G729 => self.clock == 8000 && self.channels == 1,
            Codec::Silk => matches!(self.clock, 8_000 | 16_000) && self.channels == 1,
            Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other(_) => true,
        }
    }

    /// Same name, clock and channels. G.729 with and without annex B is one codec: RFC 7261 lets the answer turn annex B
    /// off, and [`Format::without_annex_b`] makes both legs do so when one must.
    pub fn same_codec(&self, other: &Format) -> bool {
        self.codec == other.codec && self.clock == other.clock && self.channels == other.channels
    }

    /// True when G.729 annex B frames may not be sent to the describer (absent means annex B, RFC 4856 §2.1.9).
    pub fn forbids_annex_b(&self) -> bool {
        self.codec == Codec::G729
            && self.fmtp.as_deref().is_some_and(|fmtp| {
                fmtp.split(';').any(|parameter| {
                    parameter.split_once('=').is_some_and(|(name, value)| {
                        name.trim().eq_ignore_ascii_case("annexb") && value.trim().eq_ignore_ascii_case("no")
                    })
                })
            })
    }

    /// The same format with annex B off; other codecs are unchanged.
    pub fn without_annex_b(mut self) -> Format {
        if self.codec == Codec::G729 && !self.forbids_annex_b() {
            self.fmtp = Some("annexb=no".to_owned());
        }
        self
    }

    /// From one number of an m-line, its `a=rtpmap` and `a=fmtp` values. `None`: a number without a meaning.
    pub(super) fn read(payload_type: u8, rtpmap: Option<&str>, fmtp: Option<&str>) -> Option<Format> {
        let mut format = match rtpmap.and_then(|text| Format::read_rtpmap(payload_type, text)) {
            Some(mapped) => mapped,
            None => Format::well_known(payload_type)?,
        };
        format.fmtp = fmtp.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(format)
    }

    fn read_rtpmap(payload_type: u8, text: &str) -> Option<Format> {
        let mut parts = text.trim().split('/');
        let name = parts
            .next()
            .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))?;
        let codec = Codec::from(name);
        let clock = parts.next()?.trim().parse();
        let mut clock: u32 = clock.ok().filter(|hertz| (1..=MAX_CLOCK).contains(hertz))?;
        if codec == Codec::G722 && clock == 16_000 {
            // a common mistake: 16000 is the sampling rate, the RTP clock is 8000
            clock = 8_000;
        }
        let channels = parts
            .next()
            .map_or(Some(1), |text| text.trim().parse().ok())
            .filter(|&count| count > 0)?;
        Some(Format {
            payload_type,
            codec,
            clock,
            channels,
            fmtp: None,
        })
    }
}

/// `PCMU/8000`, `opus/48000/2`: the value of `a=rtpmap` after the number.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.codec, self.clock)?;
        if self.channels > 1 {
            write!(f, "/{}", self.channels)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_ignores_number_case_and_annex_b() {
        let listed = Format::read(111, Some("pcmu/8000"), None).unwrap();
        assert!(listed.same_codec(&Format::well_known(0).unwrap()));
        assert_eq!(listed.fixed_payload_type(), Some(0));
        let with = Format::read(18, None, None).unwrap();
        let without = Format::read(96, Some("G729/8000/1"), Some(" AnnexB = NO ")).unwrap();
        assert!(with.same_codec(&without));
        assert!(without.forbids_annex_b() && !with.forbids_annex_b());
        assert!(with.without_annex_b().forbids_annex_b());
    }

    #[test]
    fn clock_and_channels_tell_formats_apart() {
        let narrow = Format::read(126, Some("telephone-event/8000"), None).unwrap();
        let wide = Format::read(110, Some("telephone-event/48000"), None).unwrap();
        assert!(!narrow.same_codec(&wide));
        let stereo = Format::read(96, Some("opus/48000/2"), None).unwrap();
        let mono = Format::read(96, Some("opus/48000"), None).unwrap();
        assert!(!stereo.same_codec(&mono));
        assert_eq!(stereo.to_string(), "opus/48000/2");
    }

    #[test]
    fn g722_with_its_sampling_rate_as_clock_is_g722() {
        let wrong = Format::read(9, Some("G722/16000"), None).unwrap();
        assert!(wrong.same_codec(&Format::well_known(9).unwrap()));
    }

    #[test]
    fn meaningless_numbers_and_broken_maps_are_dropped() {
        assert_eq!(Format::read(96, None, None), None);
        for text in [
            "",
            "PCMU",
            "/8000",
            "opus/0",
            "PCMA/4294967295",
            "opus/48000/0",
            "a b/8000",
            "opus/48000/x",
            "opus/99999999999",
        ] {
            assert_eq!(Format::read(96, Some(text), None), None, "{text}");
        }
    }
}
