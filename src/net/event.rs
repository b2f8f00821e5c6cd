//! What the transports have to tell people: each event once, with its evidence. The product ring makes log lines of
//! them.

use super::connection::{CloseReason, ConnectionInfo};
use super::handshake::HandshakeFailure;
use crate::sip::message::ParseError;
use crate::sip::{Flow, Hop, ListenerId};
use std::net::SocketAddr;

/// One event.
#[derive(Debug)]
pub enum NetEvent<'a> {
    /// A handshake failed that a peer began.
    HandshakeRefused {
        listener: ListenerId,
        remote: SocketAddr,
        failure: &'a HandshakeFailure,
    },
    /// A connection is up, after TLS.
    Connected { connection: &'a ConnectionInfo },
    /// A connection ended.
    Closed {
        connection: &'a ConnectionInfo,
        reason: &'a CloseReason,
    },
    /// We could not connect.
    ConnectFailed {
        hop: &'a Hop,
        failure: &'a HandshakeFailure,
    },
    /// A connection was closed as it came: its listener does not hear this address. Told of each: make it cheap.
    NotAdmitted { listener: ListenerId, remote: SocketAddr },
    /// A message did not parse.
    Unparsable { flow: &'a Flow, error: &'a ParseError },
    /// A message left over UDP that most likely doesn't fit into one packet.
    LongDatagram {
        listener: ListenerId,
        remote: SocketAddr,
        /// Bytes.
        length: usize,
    },
    /// An accept failed; out of descriptors, for one.
    AcceptFailed {
        listener: ListenerId,
        error: &'a std::io::Error,
    },
}

/// Hears of events on the tasks that they happen on: it must not block.
pub trait Observer: Send + Sync + 'static {
    fn event(&self, event: &NetEvent<'_>);
}
