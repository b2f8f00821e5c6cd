//! The accept loop of a TCP or TLS listener.

use super::limits::{Full, Place};
use super::{Listener, Occupancy, tune};
use crate::net::admission::{Admittance, Approach};
use crate::net::connection::{Connection, KeepAlive, MadeUnder, Opener, serve};
use crate::net::context::Context;
use crate::net::event::NetEvent;
use crate::net::handshake::{self, HandshakeFailure};
use crate::sip::{Flow, PeerCertificate};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Out of descriptors, an accept fails again at once: do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the stop.
pub(in crate::net) async fn accept_loop(socket: TcpListener, listener: Arc<Listener>, context: Arc<Context>) {
    let occupancy = Arc::new(Occupancy::default());
    let stopping = context.tasks.stopping();
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = &mut stopping => return,
        };
        let (stream, remote) = match accepted {
            Ok((stream, remote)) => (stream, SocketAddr::new(remote.ip().to_canonical(), remote.port())),
            Err(error) => {
                context.counters.accept_errors.add();
                context.observer.event(&NetEvent::AcceptFailed {
                    listener: listener.id,
                    error: &error,
                });
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let admitted = context.admission.admit(listener.id, remote, Approach::Connection);
        if !admitted.is_granted() {
            context.counters.connections_not_admitted.add();
            if admitted == Admittance::Never {
                let listener = listener.id;
                context.observer.event(&NetEvent::NotAdmitted { listener, remote });
            }
            continue;
        }
        match occupancy.take(remote.ip(), admitted, &listener.limits, listener.tls.is_some()) {
            Ok(place) => {
                let task = accepted_connection(stream, remote, place, listener.clone(), context.clone());
                context.tasks.spawn(task);
            }
            Err(Full::Connections) => context.counters.connections_over_limit.add(),
            Err(Full::Handshakes) => context.counters.handshakes_over_limit.add(),
        }
    }
}

async fn accepted_connection(
    stream: TcpStream,
    remote: SocketAddr,
    mut place: Place,
    listener: Arc<Listener>,
    context: Arc<Context>,
) {
    let local = match tune(&stream).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        // The peer has closed already.
        Err(error) => {
            return refused(
                &listener,
                remote,
                &HandshakeFailure::Broken(error.to_string()),
                &context,
            );
        }
    };
    let generation = listener.generation();
    let limit = listener.limits.handshake;
    match listener.tls.as_ref().map(|profile| profile.load_full()) {
        None => {
            run(
                stream,
                flow(&listener, local, remote, None, &context),
                MadeUnder {
                    generation,
                    agreed: None,
                    shown: None,
                },
                &listener,
                &context,
            )
            .await
        }
        Some(profile) => {
            let shaken = tokio::select! {
                shaken = handshake::accept(stream, &profile, limit) => shaken,
                () = context.tasks.stopping() => return,
            };
            place.handshake_done();
            match shaken {
                Ok(secured) => {
                    let flow = flow(&listener, local, remote, secured.peer, &context);
                    let made_under = MadeUnder {
                        generation,
                        agreed: secured.agreed,
                        shown: secured.shown,
                    };
                    run(secured.stream, flow, made_under, &listener, &context).await;
                }
                Err(failure) => refused(&listener, remote, &failure, &context),
            }
        }
    }
}

fn refused(listener: &Listener, remote: SocketAddr, failure: &HandshakeFailure, context: &Context) {
    context.counters.handshake_failed(failure.label());
    context.observer.event(&NetEvent::HandshakeRefused {
        listener: listener.id,
        remote,
        failure,
    });
}

fn flow(
    listener: &Listener,
    local: SocketAddr,
    remote: SocketAddr,
    peer: Option<Arc<PeerCertificate>>,
    context: &Context,
) -> Flow {
    let connection = context.connections.next_id();
    Flow {
        transport: listener.transport,
        listener: listener.id,
        local,
        remote,
        connection,
        peer,
    }
}

async fn run<S>(stream: S, flow: Flow, made_under: MadeUnder, listener: &Listener, context: &Context)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = &listener.limits.stream;
    let now = context.clock.now();
    let (connection, queue) = Connection::new(flow, Opener::Peer, made_under, now, limits.write_queue);
    context.counters.connections_accepted.add();
    context.connected(&connection);
    let reason = serve(stream, &connection, queue, limits, &KeepAlive::default(), context).await;
    context.closed(&connection, &reason);
}
