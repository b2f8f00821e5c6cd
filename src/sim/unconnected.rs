//! Connections that did not come about, in either direction, with the reason of whoever refused.

use crate::net::{CloseReason, NetEvent, Opener};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// How many are kept between two looks; strangers can cause them by the thousand.
const KEPT: usize = 32;

/// Who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The peer.
    From,
    /// The simulator.
    To,
}

/// A TCP connection or TLS handshake that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unconnected {
    pub way: Way,
    pub peer: SocketAddr,
    /// Our verdict on the peer, or the alert that it sent.
    pub reason: String,
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::From => "from",
            Way::To => "to",
        };
        write!(f, "no connection {way} {}: {}", self.peer, self.reason)
    }
}

/// What failed since somebody last looked: the first few, and a count of the others.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<(Vec<Unconnected>, u64)>);

impl Failures {
    pub(super) fn note(&self, event: &NetEvent<'_>) {
        let (way, peer, reason) = match event {
            NetEvent::HandshakeRefused { remote, failure, .. } => (Way::From, *remote, failure.to_string()),
            NetEvent::ConnectFailed { hop, failure } => (Way::To, hop.remote, failure.to_string()),
            // With TLS 1.3 a server refuses our certificate when our side of the handshake is done.
            NetEvent::Closed {
                connection,
                reason: reason @ CloseReason::PeerAlert(_),
            } => {
                let way = match connection.opener {
                    Opener::Us => Way::To,
                    Opener::Peer => Way::From,
                };
                (way, connection.flow.remote, reason.to_string())
            }
            _ => return,
        };
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.0.len() < KEPT {
            true => failures.0.push(Unconnected { way, peer, reason }),
            false => failures.1 += 1,
        }
    }

    pub(super) fn take(&self) -> (Vec<Unconnected>, u64) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::HandshakeFailure;
    use crate::net::tls::PeerRejected;
    use crate::sip::ListenerId;

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let failures = Failures::default();
        let failure = HandshakeFailure::Rejected(PeerRejected::NoCertificate);
        let refused = NetEvent::HandshakeRefused {
            listener: ListenerId(0),
            remote: ([127, 0, 0, 1], 40_000).into(),
            failure: &failure,
        };
        for _ in 0..KEPT + 5 {
            failures.note(&refused);
        }
        let (kept, more) = failures.take();
        assert_eq!((kept.len(), more), (KEPT, 5));
        assert_eq!(
            kept[0].to_string(),
            "no connection from 127.0.0.1:40000: the peer was refused: the peer presented no certificate"
        );
        assert_eq!(failures.take(), (Vec::new(), 0));
    }
}
