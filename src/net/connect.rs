//! Opening a TCP or TLS connection in the name of a listener.

use super::handshake::{self, HandshakeFailure};
use super::listener::{Listener, tune};
use super::pool::PoolSettings;
use super::tls::{Agreed, IdentityPlace};
use crate::sip::{Hop, PeerCertificate, Transport};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

/// An opened connection.
pub(super) struct Opened {
    pub(super) io: Io,
    pub(super) local: SocketAddr,
    pub(super) peer: Option<Arc<PeerCertificate>>,
    pub(super) agreed: Option<Agreed>,
    pub(super) shown: Option<Arc<str>>,
}

/// Either kind of stream.
pub(super) enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects in time, and over TLS, where it shows this identity of the listener's, agrees in time: who swallows what is sent to
/// it costs no more over TLS than over TCP.
pub(super) async fn connect(
    hop: &Hop,
    shown: IdentityPlace,
    listener: &Listener,
    settings: &PoolSettings,
) -> Result<Opened, HandshakeFailure> {
    let failed = |error: io::Error| HandshakeFailure::Connect(error.to_string());
    let socket = listener.outbound_socket(hop.remote).map_err(failed)?;
    let connected = timeout(settings.connect, socket.connect(hop.remote)).await;
    let stream = connected
        .map_err(|_| HandshakeFailure::Silent(settings.connect))?
        .map_err(failed)?;
    tune(&stream).map_err(failed)?;
    let local = stream.local_addr().map_err(failed)?;
    if hop.transport != Transport::Tls {
        return Ok(Opened {
            io: Io::Tcp(stream),
            local,
            peer: None,
            agreed: None,
            shown: None,
        });
    }
    let profile = listener
        .tls
        .as_ref()
        .ok_or_else(|| HandshakeFailure::Setup("a TLS hop was to leave through a listener without TLS".to_owned()))?;
    let server_name = hop.server_name.as_deref().unwrap_or_default();
    let profile = profile.load_full();
    let agreed = timeout(
        settings.connect,
        handshake::connect(stream, &profile, shown, server_name),
    )
    .await;
    let secured = agreed.map_err(|_| HandshakeFailure::Timeout(settings.connect))??;
    Ok(Opened {
        io: Io::Tls(Box::new(secured.stream)),
        local,
        peer: secured.peer,
        agreed: secured.agreed,
        shown: secured.shown,
    })
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
