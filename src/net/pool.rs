//! The connections that we open: one for each next hop and identity shown there, shared by all requests to it, renewed in
//! time.
//!
//! In: bytes for a hop. Out: connections served like accepted ones, and a report for each message that found none.
//! Only connections opened here are in the pool, so no request leaves on a connection that a peer opened (TEAMS-014).

use super::connect::connect;
use super::connection::{CloseReason, Connection, KeepAlive, MadeUnder, Opener, serve};
use super::context::Context;
use super::event::NetEvent;
use super::handshake::HandshakeFailure;
use super::listener::Listener;
use super::outgoing::Outgoing;
use super::tls::IdentityPlace;
use crate::moment::Moment;
use crate::sip::{ConnectionId, Flow, Hop, HopAccount, ListenerId, Transport};
use futures_util::FutureExt;
use std::collections::HashMap;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const CONNECT: Duration = Duration::from_secs(2);
const MAX_AGE: Duration = Duration::from_secs(50 * 60);
/// What is sent when a connection is due still goes on it, and brings the next one up. To hubs that is an OPTIONS, every 180
/// seconds at the latest, a tenth more where it is spread (TEAMS-022).
const SLOWEST_RENEWAL: u64 = MAX_AGE.as_secs() + 180 * 11 / 10 + 2 * CONNECT.as_secs();
const _: () = assert!(SLOWEST_RENEWAL < 3_600, "Teams wants a new connection at least hourly");
const _: () = assert!(MAX_AGE.as_secs() > 1_800, "calls are not disturbed without need");

/// Limits and times of the connections that we open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// For TCP to connect; TLS has as long again.
    pub connect: Duration,
    /// A connection this old is replaced when it is next used; Teams wants it at least hourly (TEAMS-017).
    pub max_age: Duration,
    /// After a failed renewal the old connection is used this long before the next attempt.
    pub renewal_pause: Duration,
    /// Messages that may wait for one connection to come up. One more fails at once.
    pub waiting: usize,
    /// Hops connected or being connected at a time. A message to one more fails at once.
    pub hops: usize,
    /// Those among them that tenants lead to: the rest is kept for hubs and gateways.
    pub hops_of_tenants: usize,
    /// Those of one tenant.
    pub hops_per_tenant: usize,
    /// Those that senders of requests lead to, beside those of tenants: strangers may be among them.
    pub hops_of_sources: usize,
    /// Those of one source.
    pub hops_per_source: usize,
    pub keep_alive: KeepAlive,
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings {
            connect: CONNECT,
            max_age: MAX_AGE,
            renewal_pause: Duration::from_secs(30),
            waiting: 64,
            hops: 4096,
            hops_of_tenants: 2048,
            hops_per_tenant: 256,
            hops_of_sources: 256,
            hops_per_source: 16,
            keep_alive: KeepAlive::default(),
        }
    }
}

/// What tells one pooled connection from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    listener: ListenerId,
    transport: Transport,
    remote: SocketAddr,
    server_name: Option<Arc<str>>,
    /// What we show, not for whom: trunks under one certificate share a connection, and no trunk's requests go where another
    /// certificate is shown (TEAMS-029). A reload may move a name to another identity, which then has a connection of its own.
    shown: IdentityPlace,
}

impl Key {
    fn of(hop: &Hop, listener: &Listener) -> Key {
        Key {
            listener: hop.listener,
            transport: hop.transport,
            remote: hop.remote,
            server_name: hop.server_name.clone(),
            shown: listener.presented(hop.presented.as_deref()),
        }
    }
}

/// The connections to one hop. While a successor is being connected, the old one carries on.
#[derive(Debug)]
struct Entry {
    key: Key,
    /// The first that was asked for.
    hop: Hop,
    connected: Option<Arc<Connection>>,
    /// Single flight: one attempt at a time.
    connecting: bool,
    waiting: Vec<Outgoing>,
    /// Not before this is a stale connection replaced.
    renew_after: Instant,
}

#[derive(Debug)]
pub(super) struct Pool {
    settings: PoolSettings,
    entries: Mutex<HashMap<Key, Entry>>,
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Pool {
        Pool {
            settings,
            entries: Mutex::default(),
        }
    }

    /// Sends to a hop, over the connection there is or a new one. What cannot be sent is reported failed.
    pub(super) fn send(
        self: &Arc<Pool>,
        hop: &Hop,
        outgoing: Outgoing,
        listener: &Arc<Listener>,
        context: &Arc<Context>,
    ) {
        let key = Key::of(hop, listener);
        let mut entries = self.lock();
        if !entries.contains_key(&key) && !self.has_room(&entries, hop) {
            context.counters.hops_over_limit.add();
            // Dropping reports it; so it does below when too many wait.
            return;
        }
        let entry = entries.entry(key).or_insert_with_key(|key| Entry {
            key: key.clone(),
            hop: hop.clone(),
            connected: None,
            connecting: false,
            waiting: Vec::new(),
            renew_after: Instant::now(),
        });
        let outgoing = match &entry.connected {
            None => outgoing,
            Some(connection) => match connection.send(outgoing) {
                Ok(()) => {
                    if self.is_stale(connection, listener, context) && Instant::now() >= entry.renew_after {
                        self.start(entry, listener, context);
                    }
                    return;
                }
                // It has just ended or hangs: this message goes over a fresh one.
                Err(outgoing) => {
                    entry.connected = None;
                    outgoing
                }
            },
        };
        if entry.waiting.len() < self.settings.waiting {
            entry.waiting.push(outgoing);
        }
        self.start(entry, listener, context);
    }

    fn has_room(&self, entries: &HashMap<Key, Entry>, hop: &Hop) -> bool {
        let settings = &self.settings;
        let Some(account) = &hop.account else {
            return entries.len() < settings.hops;
        };
        let (most_alike, most_own) = match account {
            HopAccount::Tenant(_) => (settings.hops_of_tenants, settings.hops_per_tenant),
            HopAccount::Source(_) => (settings.hops_of_sources, settings.hops_per_source),
        };
        let (mut alike, mut own) = (0, 0);
        for other in entries.values().filter_map(|entry| entry.hop.account.as_ref()) {
            alike += usize::from(discriminant(other) == discriminant(account));
            own += usize::from(other == account);
        }
        entries.len() < settings.hops && alike < most_alike && own < most_own
    }

    /// Replaces the connections of `listener` that show an old identity or are too old.
    pub(super) fn renew(self: &Arc<Pool>, listener: &Arc<Listener>, context: &Arc<Context>) {
        for entry in self
            .lock()
            .values_mut()
            .filter(|entry| entry.hop.listener == listener.id)
        {
            let stale = entry
                .connected
                .as_ref()
                .is_some_and(|old| self.is_stale(old, listener, context));
            if stale {
                self.start(entry, listener, context);
            }
        }
    }

    /// Drains the connection to a hop, so that the next request finds none.
    pub(super) fn let_go(&self, hop: &Hop, listener: &Listener, now: Moment) {
        self.drain(&Key::of(hop, listener), now);
    }

    fn drain(&self, key: &Key, now: Moment) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return };
        if let Some(old) = entry.connected.take() {
            old.drain(now);
        }
        if !entry.connecting {
            entries.remove(key);
        }
    }

    fn is_stale(&self, connection: &Connection, listener: &Listener, context: &Context) -> bool {
        connection.made_under.generation != listener.generation()
            || context.clock.now().since(connection.opened_at) >= self.settings.max_age
    }

    fn start(self: &Arc<Pool>, entry: &mut Entry, listener: &Arc<Listener>, context: &Arc<Context>) {
        if !std::mem::replace(&mut entry.connecting, true) {
            let (pool, key, counters) = (self.clone(), entry.key.clone(), context.counters.clone());
            let attempt = run(
                pool.clone(),
                (key.clone(), entry.hop.clone()),
                listener.clone(),
                context.clone(),
            );
            context.tasks.spawn(async move {
                if AssertUnwindSafe(attempt).catch_unwind().await.is_err() {
                    counters.tasks_panicked.add();
                    // Else nobody would try the hop again.
                    pool.failed(&key);
                }
            });
        }
    }

    /// The attempt succeeded: who waits is served, and the predecessor may end. The lock is held until all that waited is
    /// queued, which never blocks: what is sent later must not leave before it.
    fn connected(&self, key: &Key, connection: &Arc<Connection>, now: Moment) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else {
            return;
        };
        entry.connecting = false;
        if let Some(old) = entry.connected.replace(connection.clone()) {
            old.drain(now);
        }
        for outgoing in entry.waiting.drain(..) {
            // What does not fit is dropped, which reports it.
            let _ = connection.send(outgoing);
        }
    }

    /// The attempt failed: who waits is told.
    fn failed(&self, key: &Key) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return };
        entry.connecting = false;
        entry.renew_after = Instant::now() + self.settings.renewal_pause;
        let waiting = std::mem::take(&mut entry.waiting);
        if entry.connected.is_none() {
            entries.remove(key);
        }
        drop(entries);
        drop(waiting);
    }

    fn ended(&self, key: &Key, connection: ConnectionId) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return };
        if entry
            .connected
            .as_ref()
            .is_some_and(|current| current.flow.connection == connection)
        {
            entry.connected = None;
            if !entry.connecting {
                entries.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection from its attempt to its end.
async fn run(pool: Arc<Pool>, (key, hop): (Key, Hop), listener: Arc<Listener>, context: Arc<Context>) {
    // Taken before the handshake: a certificate swapped meanwhile makes the connection stale, not fresh.
    let generation = listener.generation();
    let attempt = tokio::select! {
        attempt = connect(&hop, key.shown, &listener, &pool.settings) => attempt,
        () = context.tasks.stopping() => return pool.failed(&key),
    };
    let stream = match attempt {
        Ok(stream) => stream,
        Err(failure) => {
            count(&failure, &context);
            context.observer.event(&NetEvent::ConnectFailed {
                hop: &hop,
                failure: &failure,
            });
            if let HandshakeFailure::Rejected(_) = failure {
                // Nor is who answers at the old connection believed any longer.
                pool.drain(&key, context.clock.now());
            }
            return pool.failed(&key);
        }
    };
    let flow = Flow {
        transport: hop.transport,
        listener: hop.listener,
        local: stream.local,
        remote: hop.remote,
        connection: context.connections.next_id(),
        peer: stream.peer,
    };
    let limits = &listener.limits.stream;
    let now = context.clock.now();
    let made_under = MadeUnder {
        generation,
        agreed: stream.agreed,
        shown: stream.shown,
    };
    let (connection, queue) = Connection::new(flow, Opener::Us, made_under, now, limits.write_queue);
    context.counters.connections_opened.add();
    context.connected(&connection);
    pool.connected(&key, &connection, now);
    let reason = serve(
        stream.io,
        &connection,
        queue,
        limits,
        &pool.settings.keep_alive,
        &context,
    )
    .await;
    pool.ended(&key, connection.flow.connection);
    if let CloseReason::PeerAlert(_) = reason {
        context.counters.handshake_failed("alert");
    }
    context.closed(&connection, &reason);
}

fn count(failure: &HandshakeFailure, context: &Context) {
    match failure {
        HandshakeFailure::Connect(_) | HandshakeFailure::Silent(_) => context.counters.connects_failed.add(),
        other => context.counters.handshake_failed(other.label()),
    }
}
