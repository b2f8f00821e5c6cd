//! The listener: few connections, deadlines, a stop that lets answers finish.

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

/// Connections at a time; one more is closed at once.
const CONNECTIONS: usize = 64;
/// For the head of a request, and between requests.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection as a whole: a reader that stalls can't keep its place.
const LIFE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1_024;
/// After a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The admin listener can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("the admin listener cannot bind {bind}: {source}")]
pub struct ServeError {
    pub bind: SocketAddr,
    pub source: io::Error,
}

/// The running listener.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AdminServer {
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

/// Binds and serves.
pub async fn serve(bind: SocketAddr, state: Arc<AdminState>) -> Result<AdminServer, ServeError> {
    let failed = |source| ServeError { bind, source };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = router(state, bind.ip().is_loopback());
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(listener, router, stopped));
    Ok(AdminServer { address, stop, task })
}

async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        // A connection that panicked was told by the panic's own message.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS => {
                connections.spawn(connection(stream, router.clone(), stopped.clone()));
            }
            Ok(_) => tracing::warn!(connections = CONNECTIONS, "the admin listener is full"),
            Err(error) => {
                tracing::warn!(%error, "the admin listener can't accept");
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
