//! One stream connection, TCP or TLS, accepted or opened: framing, keep-alive, deadlines, a bounded write queue.
//!
//! In: a stream that passed its handshake. Out: messages to the inbox, the reason why it ended. A connection that
//! fails harms no other one.

mod close;
mod reader;
mod serve;
mod table;
mod writer;

pub use close::CloseReason;
pub(super) use serve::serve;
pub(super) use table::ConnectionTable;

use super::outgoing::Outgoing;
use super::tls::{Agreed, Generation};
use crate::moment::Moment;
use crate::sip::Flow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Deadlines and queue of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the accept to the end of the first message. An opened connection has no such deadline.
    pub first_message: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// Without a message either way; an answered ping of a peer that connected to us counts as one. Until a transaction has
    /// sent something to such a peer nothing counts: whoever has proven nothing holds a place for no longer.
    pub idle: Duration,
    /// For one write to be taken by the peer.
    pub write: Duration,
    /// Messages waiting to be written. One more closes the connection.
    pub write_queue: usize,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            first_message: Duration::from_secs(30),
            message: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            write: Duration::from_secs(10),
            write_queue: 256,
        }
    }
}

/// Keep-alive of connections that we opened (RFC 5626 §4.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepAlive {
    /// Between pings; Teams closes after 120 s without one (TEAMS-017).
    pub interval: Duration,
    /// For the peer's next byte after a ping, once it has shown that it answers pings.
    pub pong: Duration,
    /// A connection replaced by a newer one closes after this long without a message: longer than timer C, so that
    /// a ringing INVITE can still be answered on it.
    pub drained: Duration,
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive {
            interval: Duration::from_secs(60),
            pong: Duration::from_secs(10),
            drained: Duration::from_secs(200),
        }
    }
}

/// Who opened a connection. Requests of ours leave only on those that we opened (TEAMS-014).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    Peer,
    Us,
}

/// A connection as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    pub flow: Flow,
    pub opener: Opener,
    pub opened_at: Moment,
    /// Of the last message, either way.
    pub last_message: Moment,
    pub received: u64,
    pub sent: u64,
    /// A newer connection takes the new requests.
    pub draining: bool,
    /// Of a TLS connection.
    pub agreed: Option<Agreed>,
    /// The serial number of our certificate on it, lower-case hexadecimal.
    pub shown: Option<Arc<str>>,
}

/// What a connection was made under.
#[derive(Debug, Clone)]
pub(super) struct MadeUnder {
    /// Of the TLS profile.
    pub(super) generation: Generation,
    /// Of a TLS connection.
    pub(super) agreed: Option<Agreed>,
    /// The serial number of our certificate.
    pub(super) shown: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) flow: Flow,
    pub(super) opener: Opener,
    pub(super) opened_at: Moment,
    pub(super) made_under: MadeUnder,
    queue: mpsc::Sender<Outgoing>,
    closing: OnceLock<CloseReason>,
    closed: Notify,
    /// Since when.
    draining: OnceLock<Moment>,
    drain: Notify,
    last_message: AtomicU64,
    last_life: AtomicU64,
    /// A transaction has sent something on it.
    served: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Connection {
    pub(super) fn new(
        flow: Flow,
        opener: Opener,
        made_under: MadeUnder,
        now: Moment,
        write_queue: usize,
    ) -> (Arc<Connection>, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(write_queue.max(1));
        let connection = Connection {
            flow,
            opener,
            opened_at: now,
            made_under,
            queue,
            closing: OnceLock::new(),
            closed: Notify::new(),
            draining: OnceLock::new(),
            drain: Notify::new(),
            last_message: AtomicU64::new(now.as_micros()),
            last_life: AtomicU64::new(now.as_micros()),
            served: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        };
        (Arc::new(connection), receiver)
    }

    /// Queues bytes. What cannot be queued comes back. A full queue closes the connection: the peer has stopped
    /// reading.
    pub(super) fn send(&self, outgoing: Outgoing) -> Result<(), Outgoing> {
        if self.closing.get().is_some() {
            return Err(outgoing);
        }
        self.queue.try_send(outgoing).map_err(|error| match error {
            mpsc::error::TrySendError::Full(outgoing) => {
                self.close(CloseReason::WriteStalled);
                outgoing
            }
            mpsc::error::TrySendError::Closed(outgoing) => outgoing,
        })
    }

    /// Ends the connection; the first reason counts.
    pub(super) fn close(&self, reason: CloseReason) {
        if self.closing.set(reason).is_ok() {
            self.closed.notify_one();
        }
    }

    /// Lets the connection end when it has been quiet for a while, or has drained for long.
    pub(super) fn drain(&self, now: Moment) {
        if self.draining.set(now).is_ok() {
            self.drain.notify_one();
        }
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            flow: self.flow.clone(),
            opener: self.opener,
            opened_at: self.opened_at,
            last_message: self.last_message(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            draining: self.draining.get().is_some(),
            agreed: self.made_under.agreed,
            shown: self.made_under.shown.clone(),
        }
    }

    fn last_message(&self) -> Moment {
        Moment::from_micros(self.last_message.load(Ordering::Relaxed))
    }

    fn touch(&self, now: Moment) {
        self.last_message.store(now.as_micros(), Ordering::Relaxed);
        if self.opener == Opener::Us || self.has_served() {
            self.last_life.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// Of the last message that keeps it from being idle.
    fn last_life(&self) -> Moment {
        Moment::from_micros(self.last_life.load(Ordering::Relaxed))
    }

    /// A transaction has sent something on it.
    fn serves(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::harness::LISTENER;
    use crate::sip::{ConnectionId, Transport};
    use std::net::SocketAddr;

    #[test]
    fn what_a_peer_says_keeps_its_connection_once_a_transaction_has_sent_something() {
        let flow = Flow {
            transport: Transport::Tcp,
            listener: LISTENER,
            local: SocketAddr::from(([127, 0, 0, 1], 5060)),
            remote: SocketAddr::from(([127, 0, 0, 1], 5061)),
            connection: ConnectionId(1),
            peer: None,
        };
        let made_under = MadeUnder {
            generation: Generation::default(),
            agreed: None,
            shown: None,
        };
        let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
        let (connection, _queue) = Connection::new(flow, Opener::Peer, made_under, at(0), 1);
        connection.touch(at(1));
        assert_eq!((connection.last_life(), connection.last_message()), (at(0), at(1)));
        connection.serves();
        connection.touch(at(2));
        assert_eq!((connection.last_life(), connection.last_message()), (at(2), at(2)));
    }
}
