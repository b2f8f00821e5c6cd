//! All transports of the node as one value: listeners, connections, pool.

use super::admission::Admission;
use super::clock::Clock;
use super::connection::{ConnectionInfo, ConnectionTable};
use super::context::Context;
use super::counters::Counters;
use super::event::Observer;
use super::inbox::Inbox;
use super::listener::{Bound, ListenError, Listener, ListenerSettings, accept_loop, receive_loop};
use super::outgoing::Outgoing;
use super::pool::{Pool, PoolSettings};
use super::tasks::Tasks;
use super::tls::{ClientCertificates, TrustRoots};
use crate::sip::transaction::SendTo;
use crate::sip::{ConnectionId, Flow, Hop, ListenerId, Transport};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the transports take from the rest of the program.
pub struct Surroundings {
    pub clock: Clock,
    pub counters: Arc<Counters>,
    pub inbox: Inbox,
    pub admission: Arc<dyn Admission>,
    pub observer: Arc<dyn Observer>,
}

/// The transports. Cloning shares them.
#[derive(Clone)]
pub struct Transports {
    listeners: Arc<HashMap<ListenerId, Arc<Listener>>>,
    pool: Arc<Pool>,
    context: Arc<Context>,
}

/// Bytes that could not be sent, or not be queued; a report that went with them has been fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent")]
pub struct NotSent;

impl Transports {
    /// Binds all listeners and starts serving them. Needs a tokio runtime.
    pub fn open(
        listeners: Vec<ListenerSettings>,
        pool: PoolSettings,
        surroundings: Surroundings,
    ) -> Result<Transports, ListenError> {
        let mut table = HashMap::with_capacity(listeners.len());
        let mut loops = Vec::with_capacity(listeners.len());
        for settings in listeners {
            let (listener, bound) = Listener::bind(settings)?;
            let listener = Arc::new(listener);
            table.insert(listener.id, listener.clone());
            loops.push((listener, bound));
        }
        let Surroundings {
            clock,
            counters,
            inbox,
            admission,
            observer,
        } = surroundings;
        let tasks = Tasks::new(counters.clone());
        let connections = ConnectionTable::new();
        let context = Arc::new(Context {
            clock,
            counters,
            connections,
            inbox,
            admission,
            observer,
            tasks,
        });
        for (listener, bound) in loops {
            match bound {
                Bound::Stream(socket) => {
                    let accepting = accept_loop(socket, listener, context.clone());
                    context.tasks.spawn_vital("a listener", accepting);
                }
                Bound::Udp(sockets) => {
                    for socket in sockets {
                        let receiving = receive_loop(socket, listener.clone(), context.clone());
                        context.tasks.spawn_vital("a listener", receiving);
                    }
                }
            }
        }
        Ok(Transports {
            listeners: Arc::new(table),
            pool: Arc::new(Pool::new(pool)),
            context,
        })
    }

    /// The address that a listener is bound to, with the port it was given.
    pub fn local_address(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(&listener).map(|listener| listener.local)
    }

    /// `host:port` as it stands in Via for what leaves through a listener.
    pub fn sent_by(&self, listener: ListenerId) -> Option<&Arc<str>> {
        self.listeners.get(&listener).map(|listener| &listener.sent_by)
    }

    /// Sends where the transaction layer says. What cannot be sent is dropped, which reports it.
    ///
    /// A response goes on the connection of its request, or, when that is gone, to the fallback (RFC 3261 §18.2.2); a
    /// request only on connections that we opened, unless its hop names one.
    pub fn send(&self, to: &SendTo, outgoing: Outgoing) -> Result<(), NotSent> {
        match to {
            SendTo::Hop(hop) => {
                // A response's fallback is where its request says: that makes nobody known.
                self.context.admission.speaks_with(hop.remote);
                self.send_to_hop(hop, outgoing)
            }
            SendTo::Flow { flow, .. } if flow.transport == Transport::Udp => {
                self.send_datagram(flow.listener, flow.remote, outgoing)
            }
            SendTo::Flow { flow, fallback } => match (self.send_on(flow.connection, outgoing), fallback) {
                (Ok(()), _) => Ok(()),
                (Err(outgoing), Some(hop)) => self.send_to_hop(hop, outgoing),
                (Err(_), None) => Err(NotSent),
            },
        }
    }

    /// Whether the other end of a flow is told of refusals for which no transaction stands.
    pub fn may_be_told(&self, flow: &Flow) -> bool {
        self.context.admission.may_be_told(flow.listener, flow.remote)
    }

    /// Replaces whom a TLS listener believes: new handshakes follow it, connections that we opened are renewed, those
    /// that peers opened are drained.
    pub fn set_trust(&self, listener: ListenerId, clients: ClientCertificates, server_roots: Arc<TrustRoots>) {
        if let Some(listener) = self.listeners.get(&listener)
            && let Some(tls) = &listener.tls
        {
            tls.store(Arc::new(tls.load().trusting(clients, server_roots)));
            let now = self.context.clock.now();
            self.context
                .connections
                .drain_accepted(listener.id, listener.generation(), now);
            self.pool.renew(listener, &self.context);
        }
    }

    /// Uses the connection that we opened to a hop for nothing new; it closes once it is quiet. The next request opens another.
    pub fn let_go(&self, hop: &Hop) {
        if let Some(listener) = self.listeners.get(&hop.listener) {
            self.pool.let_go(hop, listener, self.context.clock.now());
        }
    }

    /// Renews the opened connections that show an identity which has been swapped since; call it after a reload.
    pub fn renew(&self) {
        for listener in self.listeners.values() {
            self.pool.renew(listener, &self.context);
        }
    }

    /// Whether a connection still stands.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.context.connections.get(connection).is_some()
    }

    /// All live connections.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.context.connections.list()
    }

    /// How full the fullest queue of received messages is, the kernel's or a shard's: 0 to 1.
    pub fn backlog(&self) -> f64 {
        let kernel = self.listeners.values().filter_map(|listener| listener.udp.as_ref());
        let kernel = kernel.map(|socket| socket.backlog()).fold(0.0, f64::max);
        kernel.max(self.context.inbox.fullness())
    }

    /// What was refused, dropped and lost.
    pub fn counters(&self) -> &Counters {
        &self.context.counters
    }

    /// A listener that has ended before the stop. None: all is well.
    pub(super) fn lost(&self) -> Option<&'static str> {
        self.context.tasks.lost()
    }

    pub(super) async fn losing(&self) -> &'static str {
        self.context.tasks.losing().await
    }

    /// Stops listening, closes all connections, and waits for their tasks, `grace` at most.
    pub async fn shut_down(&self, grace: Duration) {
        self.context.tasks.shut_down(grace).await;
    }

    fn send_to_hop(&self, hop: &Hop, outgoing: Outgoing) -> Result<(), NotSent> {
        if hop.transport == Transport::Udp {
            return self.send_datagram(hop.listener, hop.remote, outgoing);
        }
        if let Some(connection) = hop.connection {
            return self.send_on(connection, outgoing).map_err(|_| NotSent);
        }
        let listener = self.listeners.get(&hop.listener).ok_or(NotSent)?;
        self.pool.send(hop, outgoing, listener, &self.context);
        Ok(())
    }

    fn send_on(&self, connection: ConnectionId, outgoing: Outgoing) -> Result<(), Outgoing> {
        match self.context.connections.get(connection) {
            Some(connection) => connection.send(outgoing),
            None => Err(outgoing),
        }
    }

    fn send_datagram(&self, listener: ListenerId, remote: SocketAddr, outgoing: Outgoing) -> Result<(), NotSent> {
        let sender = self
            .listeners
            .get(&listener)
            .and_then(|listener| listener.udp.as_ref())
            .ok_or(NotSent)?;
        match sender.send(outgoing.bytes(), remote) {
            Ok(()) => {
                self.context.datagram_left(listener, remote, outgoing.bytes().len());
                // A datagram's loss shows by timers alone.
                drop(outgoing.delivered());
                Ok(())
            }
            Err(error) => {
                self.context.counters.datagrams_not_sent.add();
                // A full buffer is a loss like any other: timers repeat it. The rest would fail again.
                match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        drop(outgoing.delivered());
                        Ok(())
                    }
                    _ => Err(NotSent),
                }
            }
        }
    }
}
