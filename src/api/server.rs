//! Listeners for HTTP: few connections, deadlines, a stop that lets answers finish.

use super::rest::{self, CallDesk};
use super::routes::router;
use super::state::AdminState;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections of the admin listener at a time; one more is closed at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Connections of the REST listener at a time.
const REST_CONNECTIONS: usize = 256;
/// For the head of a request, and between requests.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection as a whole: a reader that stalls can't keep its place.
const LIFE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1_024;
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
    open("the admin listener", bind, router, ADMIN_CONNECTIONS).await
}

/// Binds and serves the REST interface.
pub async fn serve_rest(bind: SocketAddr, desk: Arc<dyn CallDesk>) -> Result<HttpServer, ServeError> {
    open("the REST listener", bind, rest::router(desk), REST_CONNECTIONS).await
}

async fn open(name: &'static str, bind: SocketAddr, router: Router, most: usize) -> Result<HttpServer, ServeError> {
    let failed = |source| ServeError {
        listener: name,
        bind,
        source,
    };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(name, listener, router, most, stopped));
    Ok(HttpServer { address, stop, task })
}

async fn accept(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    most: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        // A connection that panicked was told by the panic's own message.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < most => {
                connections.spawn(connection(stream, router.clone(), stopped.clone()));
            }
            Ok(_) => tracing::warn!(connections = most, "{name} is full"),
            Err(error) => {
                tracing::warn!(%error, "{name} can't accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Errors are the client's: it went away, or spoke no HTTP.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = sleep(LIFE) => {}
        _ = stopped.changed() => {}
    }
    served.as_mut().graceful_shutdown();
    let _ended = timeout(HEAD, served).await;
}
