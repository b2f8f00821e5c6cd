//! What offer and answer settled on a leg, and how two legs fit together.

use super::codec::{Codec, Format};
use super::direction::Direction;
use super::ice::IceSettled;
use super::offer::NEVER_OFFERED;
use crate::srtp::MasterKey;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// For a format that is still to be given a number.
const UNNUMBERED: u8 = *NEVER_OFFERED.start();

/// A leg's agreed media, all that its sockets need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// Unspecified only while the peer holds in the old form; `direction` then doesn't send.
    pub remote_rtp: SocketAddr,
    /// Equal to `remote_rtp` under `rtcp_mux`; `None`: nowhere to send RTCP.
    pub remote_rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// Ours: `sends()` and `receives()` are what this leg's sockets may do.
    pub direction: Direction,
    /// In the order of the answer; the first that is not auxiliary is what the peer most likely sends.
    pub formats: Vec<NegotiatedFormat>,
    /// Present exactly on legs with SRTP.
    pub srtp: Option<SrtpKeys>,
    /// Present when both sides speak ICE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice: Option<IceSettled>,
    /// Milliseconds of audio in a packet that we send.
    pub ptime: u16,
}

/// A format with the number of each direction (RFC 3264 §5.1: a number is what its describer wants to receive).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegotiatedFormat {
    /// With the number that we receive.
    pub format: Format,
    /// The number that we send.
    pub send: u8,
}

impl NegotiatedFormat {
    /// The number that we receive.
    pub fn receive(&self) -> u8 {
        self.format.payload_type
    }
}

/// Both directions' keys, `AES_CM_128_HMAC_SHA1_80`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrtpKeys {
    /// Encrypts what we send.
    pub local: MasterKey,
    /// Verifies and decrypts what we receive.
    pub remote: MasterKey,
    /// Bytes of master key identifier before the tag in the peer's packets; 0 without one. We send none.
    pub remote_mki_length: u8,
}

impl Negotiated {
    /// The formats, for the other leg's [`super::answer`].
    pub fn formats(&self) -> Vec<Format> {
        self.formats
            .iter()
            .map(|negotiated| negotiated.format.clone())
            .collect()
    }

    /// Formats with the numbers that they have here: a number keeps its meaning for the whole session (RFC 3264 §8.3.2). What
    /// is new has none of those.
    pub fn keep_numbers(&self, formats: &[Format]) -> Vec<Format> {
        let is_taken = |number: u8| self.formats.iter().any(|known| known.receive() == number);
        let kept = |format: &Format| {
            let known = self.formats.iter().find(|known| known.format.same_codec(format));
            let payload_type = match known {
                Some(known) => known.receive(),
                None if is_taken(format.payload_type) => UNNUMBERED,
                None => format.payload_type,
            };
            Format {
                payload_type,
                ..format.clone()
            }
        };
        formats.iter().map(kept).collect()
    }

    /// The peer's own direction, which the other leg's answer represents.
    pub fn carried_direction(&self) -> Direction {
        self.direction.reversed()
    }

    /// The codec that stands first.
    pub fn speech(&self) -> Option<&NegotiatedFormat> {
        self.formats
            .iter()
            .find(|negotiated| !negotiated.format.codec.is_auxiliary())
    }

    /// Whether we decode and encode what stands first ourselves: such a leg's audio can become another codec's.
    pub fn is_spoken_here(&self) -> bool {
        self.speech().is_some_and(|speech| speech.format.speech().is_some())
    }

    /// Telephone events at the clock of [`Negotiated::speech`], else any.
    pub fn telephone_event(&self) -> Option<&NegotiatedFormat> {
        let clock = self.speech().map(|speech| speech.format.clock);
        let events = || {
            self.formats
                .iter()
                .filter(|negotiated| negotiated.format.codec == Codec::TelephoneEvent)
        };
        events()
            .find(|event| Some(event.format.clock) == clock)
            .or_else(|| events().next())
    }
}

/// Indexed by the payload type received on one leg: the payload type to send on the other, or [`DROP`].
pub type PayloadMap = [u8; 128];

/// A payload type that the other leg did not negotiate.
pub const DROP: u8 = 255;

/// How payload types are renumbered from one leg to the other.
pub fn payload_map(from: &Negotiated, to: &Negotiated) -> PayloadMap {
    let mut map = [DROP; 128];
    for received in &from.formats {
        let sent = to.formats.iter().find(|sent| sent.format.same_codec(&received.format));
        if let (Some(sent), Some(entry)) = (sent, map.get_mut(usize::from(received.receive()))) {
            *entry = sent.send;
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(formats: &[(&str, u32, u8, u8)]) -> Negotiated {
        let formats = formats.iter().map(|&(name, clock, receive, send)| NegotiatedFormat {
            format: Format::new(receive, Codec::from(name), clock),
            send,
        });
        Negotiated {
            remote_rtp: "192.0.2.9:4000".parse().unwrap(),
            remote_rtcp: None,
            rtcp_mux: false,
            direction: Direction::SendRecv,
            formats: formats.collect(),
            srtp: None,
            ice: None,
            ptime: 20,
        }
    }

    #[test]
    fn numbers_swap_and_strangers_drop() {
        let one = settled(&[
            ("PCMU", 8000, 0, 0),
            ("X", 8000, 96, 97),
            ("telephone-event", 8000, 97, 96),
        ]);
        let other = settled(&[
            ("X", 8000, 97, 96),
            ("telephone-event", 8000, 96, 97),
            ("PCMA", 8000, 8, 8),
        ]);
        let map = payload_map(&one, &other);
        assert_eq!((map[0], map[96], map[97], map[8]), (DROP, 96, 97, DROP));
    }

    #[test]
    fn events_of_another_clock_are_not_the_same_events() {
        let one = settled(&[("opus", 48_000, 111, 111), ("telephone-event", 48_000, 110, 110)]);
        let other = settled(&[("opus", 48_000, 111, 111), ("telephone-event", 8000, 101, 101)]);
        assert_eq!(payload_map(&one, &other)[110], DROP);
    }

    #[test]
    fn events_go_with_the_speech_that_is_sent() {
        let events = [
            ("telephone-event", 48_000, 110, 110),
            ("telephone-event", 8000, 101, 101),
        ];
        let wide = settled(&[events[1], ("opus", 48_000, 111, 111), events[0]]);
        assert_eq!(wide.telephone_event().map(NegotiatedFormat::receive), Some(110));
        let narrow = settled(&[events[0], ("CN", 8000, 13, 13), ("PCMA", 8000, 8, 8), events[1]]);
        assert_eq!(narrow.speech().map(NegotiatedFormat::receive), Some(8));
        assert_eq!(narrow.telephone_event().map(NegotiatedFormat::receive), Some(101));
        let only = settled(&[("PCMA", 8000, 8, 8), events[0]]);
        assert_eq!(only.telephone_event().map(NegotiatedFormat::receive), Some(110));
    }
}
