//! What the owner of a leg decides about it: where the peer is, how it is secured, what may pass. Plain data.

use crate::sdp::Direction;
use crate::srtp::MasterKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One leg for the life of the process: worker, slot and the slot's generation. An id of a closed leg never names
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LegId {
    pub(super) worker: u16,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.slot, self.generation)
    }
}

/// The outcome of the last offer and answer of a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegConfig {
    /// Where the peer wants RTP. Unspecified or port 0 (RFC 3264 §8.4): nothing is sent.
    pub remote: SocketAddr,
    /// Where the peer wants RTCP.
    pub remote_rtcp: RemoteRtcp,
    /// Seen from us, as our own description prints it: a direction that does not receive drops what comes in.
    pub direction: Direction,
    /// Protection of both directions.
    pub security: Security,
    /// What the peer may send. Everything else is dropped and counted.
    pub payloads: Vec<Payload>,
    /// Packet time that the peer is expected to use.
    pub packet_time: Duration,
}

/// Where the peer wants RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteRtcp {
    /// On the RTP port, in both directions (RFC 5761).
    Mux,
    /// On a port of its own: `a=rtcp` (RFC 3605), or the RTP port plus one.
    At(SocketAddr),
    /// Nowhere: none is sent and none is believed.
    Nowhere,
}

/// How a leg's packets are protected, and by that whose packets are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// RTP: believed by source address.
    Plain {
        /// Which addresses.
        latch: Latch,
    },
    /// SRTP with SDES keys: believed when verified, from wherever it came; answers follow the last verified source.
    Sdes {
        /// What we protect with.
        local: MasterKey,
        /// What the peer protects with.
        remote: MasterKey,
        /// Bytes of the master key identifier in the peer's packets; 0 where none was negotiated.
        remote_mki_len: u8,
    },
}

/// Which source addresses a plain leg believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Latch {
    /// Only the signalled address and port.
    Signalled,
    /// The peer is behind NAT: until a first packet was believed, one other address within `window` after the
    /// configuration takes the signalled one's place.
    NatOnce {
        /// How long after `configure` the move is possible.
        window: Duration,
    },
}

/// One payload type that the peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The number on this leg, 0 to 127.
    pub number: u8,
    /// RTP clock, Hz.
    pub clock_rate: u32,
    /// What it carries.
    pub kind: PayloadKind,
    /// Its number on the bridged leg; None: it ends here.
    pub relay_as: Option<u8>,
}

/// What a payload type carries, as far as the relay cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadKind {
    /// Audio or comfort noise.
    Audio,
    /// Named events (RFC 4733): relayed and reported.
    TelephoneEvent,
}
