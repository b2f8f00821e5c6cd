//! Listeners for HTTP: few connections, deadlines, a stop that lets answers finish.

use super::host::one_host;
use super::rest::{self, CallDesk};
use super::routes::router;
use super::state::AdminState;
use crate::observe::logs::Throttle;
use crate::sip::source_network;
use axum::{Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections of the admin listener at a time; one more is closed at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Connections of the REST listener at a time.
const REST_CONNECTIONS: usize = 256;
/// Those of one source. What runs on this machine, such as a proxy in front of the listener, has them all.
const REST_PER_SOURCE: usize = 32;
/// For the head of a request, and between requests.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection as a whole: a reader that stalls can't keep its place.
const LIFE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1_024;
/// What a head that did not come in time is answered.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// After a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("{listener} cannot bind {bind}: {source}")]
pub struct ServeError {
    pub listener: &'static str,
    pub bind: SocketAddr,
    pub source: io::Error,
}

/// A running listener.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Where it is bound, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets those that came finish, `grace` at most.
    pub async fn shut_down(self, grace: Duration) {
        // Fails only when the task has ended.
        let _ended = self.stop.send(true);
        let abort = self.task.abort_handle();
        if timeout(grace, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// Binds and serves the admin interface.
pub async fn serve(bind: SocketAddr, state: Arc<AdminState>) -> Result<HttpServer, ServeError> {
    let router = router(state, bind.ip().is_loopback());
    let router = router.layer(middleware::from_fn_with_state("error", one_host));
    open(
        "the admin listener",
        bind,
        router,
        Seats::new(ADMIN_CONNECTIONS, ADMIN_CONNECTIONS),
    )
    .await
}

/// Binds and serves the REST interface.
pub async fn serve_rest(bind: SocketAddr, desk: Arc<dyn CallDesk>) -> Result<HttpServer, ServeError> {
    let seats = Seats::new(REST_CONNECTIONS, REST_PER_SOURCE);
    let router = rest::router(desk).layer(middleware::from_fn_with_state("msg", one_host));
    open("the REST listener", bind, router, seats).await
}

async fn open(name: &'static str, bind: SocketAddr, router: Router, seats: Seats) -> Result<HttpServer, ServeError> {
    let failed = |source| ServeError {
        listener: name,
        bind,
        source,
    };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(name, listener, router, seats, stopped));
    Ok(HttpServer { address, stop, task })
}

async fn accept(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    mut seats: Seats,
    mut stopped: watch::Receiver<bool>,
) {
    let (mut connections, refused) = (JoinSet::new(), Throttle::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        // A connection that panicked was told by the panic's own message.
        while let Some(ended) = connections.try_join_next_with_id() {
            seats.leave(ended.map_or_else(|panicked| panicked.id(), |(id, ())| id));
        }
        match accepted {
            Ok((stream, remote)) => match seats.room_for(remote.ip()) {
                Ok(()) => {
                    let served = connections.spawn(connection(stream, router.clone(), stopped.clone()));
                    seats.sit(served.id(), remote.ip());
                }
                // Strangers can cause it by the thousand.
                Err(full) => refused.say(|withheld| {
                    tracing::warn!(%remote, withheld, "{name} takes no more connections {full}");
                }),
            },
            Err(error) => {
                tracing::warn!(%error, "{name} can't accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Who is connected.
#[derive(Debug)]
struct Seats {
    most: usize,
    per_source: usize,
    taken: HashMap<Id, IpAddr>,
}

impl Seats {
    fn new(most: usize, per_source: usize) -> Seats {
        Seats {
            most,
            per_source,
            taken: HashMap::new(),
        }
    }

    /// Whether one more may come from `remote`; else where there are too many.
    fn room_for(&self, remote: IpAddr) -> Result<(), &'static str> {
        let source = source_network(remote);
        let theirs = self.taken.values().filter(|taken| **taken == source).count();
        match () {
            () if self.taken.len() >= self.most => Err("at all"),
            () if theirs >= self.per_source && !remote.to_canonical().is_loopback() => Err("from there"),
            () => Ok(()),
        }
    }

    fn sit(&mut self, id: Id, remote: IpAddr) {
        self.taken.insert(id, source_network(remote));
    }

    fn leave(&mut self, id: Id) {
        self.taken.remove(&id);
    }
}

async fn connection<S>(stream: S, router: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let mut served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        _ = sleep(LIFE) => None,
        _ = stopped.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut served).graceful_shutdown();
            match timeout(HEAD, &mut served).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    // Other errors are the client's: it went away, or spoke no HTTP, which hyper has answered.
    if ended.is_err_and(|error| error.is_timeout()) {
        let left = served.into_parts();
        // Where nothing has come, nothing is answered: the client has only kept its connection.
        if !left.read_buf.is_empty() {
            let mut stream = left.io.into_inner();
            // A client that does not take it gets it no other way.
            let _late = timeout(HEAD, stream.write_all(LATE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Counts what this file logs.
    struct Lines(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let own = event.metadata().module_path() == module_path!().strip_suffix("::tests");
            self.0.fetch_add(usize::from(own), Relaxed);
        }
    }

    #[tokio::test]
    async fn a_flood_of_connections_that_are_refused_is_a_few_lines() {
        let lines = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
        let _of_this_thread = tracing::subscriber::set_default(subscriber);
        let full = open(
            "a listener",
            ([127, 0, 0, 1], 0).into(),
            Router::new(),
            Seats::new(0, 0),
        )
        .await;
        let full = full.expect("a listener");
        for _ in 0..200 {
            let mut refused = TcpStream::connect(full.address()).await.expect("it is accepted first");
            assert!(refused.read(&mut [0]).await.is_ok_and(|read| read == 0), "and closed");
        }
        // 20 in ten seconds, however slow this machine is.
        let said = lines.load(Relaxed);
        assert!((1..100).contains(&said), "{said} lines");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_not_whole_in_time_is_answered_408_and_a_connection_that_says_nothing_is_closed() {
        for (sent, expected) in [(&b"GET / HTTP/1.1\r\nHost: x\r\n"[..], LATE), (b"", b"")] {
            let (mut client, server) = tokio::io::duplex(4_096);
            let (_stop, stopped) = watch::channel(false);
            let served = tokio::spawn(connection(server, Router::new(), stopped));
            client.write_all(sent).await.expect("room");
            let begun = tokio::time::Instant::now();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("the end");
            assert_eq!(answer, expected);
            assert_eq!(begun.elapsed().as_secs(), HEAD.as_secs());
            served.await.expect("no panic");
        }
    }

    #[tokio::test]
    async fn a_stranger_leaves_seats_for_others_and_a_proxy_on_this_machine_has_them_all() {
        let mut tasks = JoinSet::new();
        let mut seats = Seats::new(5, 2);
        let [host, neighbour, other, proxy] = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "127.0.0.1"]
            .map(|address| address.parse::<IpAddr>().expect("an address"));
        let mut come = |seats: &mut Seats, from: IpAddr| {
            let id = tasks.spawn(async {}).id();
            seats.room_for(from).map(|()| {
                seats.sit(id, from);
                id
            })
        };
        let first = come(&mut seats, host).expect("a seat");
        assert!(come(&mut seats, neighbour).is_ok());
        assert_eq!(come(&mut seats, host), Err("from there"), "one host has a whole /64");
        for _ in 0..3 {
            assert!(come(&mut seats, proxy).is_ok());
        }
        assert_eq!(come(&mut seats, other), Err("at all"));
        seats.leave(first);
        assert!(come(&mut seats, host).is_ok());
    }
}
