//! All live connections.

use super::{Connection, ConnectionInfo, Opener};
use crate::moment::Moment;
use crate::net::tls::Generation;
use crate::sip::{ConnectionId, ListenerId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(in crate::net) struct ConnectionTable {
    next: AtomicU64,
    live: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
}

impl ConnectionTable {
    pub(in crate::net) fn new() -> ConnectionTable {
        ConnectionTable {
            next: AtomicU64::new(ConnectionId::NONE.0 + 1),
            live: Mutex::default(),
        }
    }

    /// A name that no other connection of this process has, before or after.
    pub(in crate::net) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(in crate::net) fn insert(&self, connection: Arc<Connection>) {
        self.lock().insert(connection.flow.connection, connection);
    }

    pub(in crate::net) fn remove(&self, id: ConnectionId) {
        self.lock().remove(&id);
    }

    pub(in crate::net) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.lock().get(&id).cloned()
    }

    pub(in crate::net) fn list(&self) -> Vec<ConnectionInfo> {
        self.lock().values().map(|connection| connection.info()).collect()
    }

    /// Drains those that peers opened to `listener` under another TLS profile than the present one: whom it let in may
    /// no longer be let in.
    pub(in crate::net) fn drain_accepted(&self, listener: ListenerId, present: Generation, now: Moment) {
        for connection in self.lock().values() {
            let accepted = connection.opener == Opener::Peer && connection.flow.listener == listener;
            if accepted && connection.made_under.generation != present {
                connection.drain(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
