//! What offer and answer settled on a leg, and how two legs fit together.

use super::codec::{Codec, Format};
use super::direction::Direction;
use super::error::Refusal;
use crate::srtp::MasterKey;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A leg's agreed media, all that its sockets need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// `0.0.0.0` only while the peer holds in the old form; `direction` then doesn't send.
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

    fn has(&self, format: &Format) -> bool {
        self.formats
            .iter()
            .any(|negotiated| negotiated.format.same_codec(format))
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

/// Whether a leg must be offered less after the other leg's late answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrowing {
    /// All that the leg may send can be taken.
    NotNeeded,
    /// Offer these on the leg: it may send codecs that the other leg can't take.
    Reoffer(Vec<Format>),
}

/// Compares a leg that was settled first with the other leg's later answer (RFC 3264 §5: the offer came in a 2xx, the
/// answer in the ACK).
pub fn narrow(settled: &Negotiated, late: &Negotiated) -> Result<Narrowing, Refusal> {
    let formats = settled.formats();
    let mut speech = formats.iter().filter(|format| !format.codec.is_auxiliary());
    if speech.clone().all(|format| late.has(format)) {
        return Ok(Narrowing::NotNeeded);
    }
    if !speech.any(|format| late.has(format)) {
        let names = |formats: &[Format]| formats.iter().map(ToString::to_string).collect();
        return Err(Refusal::NothingInCommon {
            peer: names(&late.formats()),
            allowed: names(&formats),
        });
    }
    Ok(Narrowing::Reoffer(
        formats.into_iter().filter(|format| late.has(format)).collect(),
    ))
}
