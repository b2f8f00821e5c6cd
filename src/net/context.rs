//! What every listener, connection and pool of a node shares.

use super::admission::Admission;
use super::clock::Clock;
use super::connection::{CloseReason, Connection, ConnectionTable};
use super::counters::Counters;
use super::event::{NetEvent, Observer};
use super::inbox::Inbox;
use super::tasks::Tasks;
use crate::sip::Flow;
use crate::sip::message::ParseError;
use std::sync::Arc;

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

    pub(super) fn unparsable(&self, flow: &Flow, error: &ParseError) {
        self.counters.messages_unparsable.add();
        self.observer.event(&NetEvent::Unparsable { flow, error });
    }
}
