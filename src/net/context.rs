//! What every listener, connection and pool of a node shares.

use super::admission::Admission;
use super::clock::Clock;
use super::connection::{CloseReason, Connection, ConnectionTable};
use super::counters::Counters;
use super::event::{NetEvent, Observer};
use super::inbox::Inbox;
use super::tasks::Tasks;
use crate::sip::message::ParseError;
use crate::sip::{Flow, ListenerId};
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of a message that still fit into one packet, whatever the way (RFC 3261 §18.1.1).
const LONGEST_DATAGRAM: usize = 1_300;

pub(super) struct Context {
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: ConnectionTable,
    pub(super) inbox: Inbox,
    pub(super) admission: Arc<dyn Admission>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tasks: Tasks,
}

impl Context {
    /// Puts a connection on show; from now on responses find it.
    pub(super) fn connected(&self, connection: &Arc<Connection>) {
        self.connections.insert(connection.clone());
        self.observer.event(&NetEvent::Connected {
            connection: &connection.info(),
        });
    }

    /// Takes an ended connection off.
    pub(super) fn closed(&self, connection: &Connection, reason: &CloseReason) {
        self.connections.remove(connection.flow.connection);
        self.counters.connections_closed.add();
        self.observer.event(&NetEvent::Closed {
            connection: &connection.info(),
            reason,
        });
    }

    /// Counts a datagram that may be lost for its length alone.
    pub(super) fn datagram_left(&self, listener: ListenerId, remote: SocketAddr, length: usize) {
        if length > LONGEST_DATAGRAM {
            self.counters.datagrams_long.add();
            self.observer.event(&NetEvent::LongDatagram {
                listener,
                remote,
                length,
            });
        }
    }

    pub(super) fn unparsable(&self, flow: &Flow, error: &ParseError) {
        self.counters.messages_unparsable.add();
        self.observer.event(&NetEvent::Unparsable { flow, error });
    }
}
