//! Connections that are kept for the next request, and what is lost on one that its server closes meanwhile.

use super::connect::{Connector, Stream};
use super::failure::ConnectFailure;
use crate::sip::locate::Host;
use hyper::Uri;
use hyper::http::Extensions;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use tower_service::Service;

/// The pool's way to the connector.
#[derive(Clone)]
pub(super) struct Dialer(pub(super) Connector);

impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            let secure = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            // The URI was made from a HookUrl, whose host was parsed already.
            let host = Host::parse(uri.host().unwrap_or_default())?;
            connector.open_to(&host, port, secure, None).await.map(TokioIo::new)
        })
    }
}

/// Whether a connection has brought an answer already.
#[derive(Debug, Clone, Default)]
struct Proven(Arc<AtomicBool>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Proven::default())
    }
}

/// Notes that the connection of this answer has brought one.
pub(super) fn answered(answer: &Extensions) {
    if let Some(Proven(proven)) = answer.get() {
        proven.store(true, Relaxed);
    }
}

/// Whether a connection that had been kept was closed before the answer's head came: the server had most likely closed it before
/// it saw the request.
pub(super) fn is_lost(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extensions);
    }
    let proven = extensions.get().is_some_and(|Proven(proven)| proven.load(Relaxed));
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    proven && causes.any(is_close)
}

fn is_close(cause: &(dyn Error + 'static)) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let incomplete = cause.downcast_ref().is_some_and(hyper::Error::is_incomplete_message);
    let closed = cause.downcast_ref().map(std::io::Error::kind);
    incomplete
        || matches!(
            closed,
            Some(BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
        )
}
