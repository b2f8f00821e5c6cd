//! Connections to application servers: name, address, TCP, TLS, each checked before the next.

use super::address::{AddressPolicy, Forbidden};
use super::failure::ConnectFailure;
use super::figures::Figures;
use super::paced::{Paced, ReadRate};
use super::url::HookUrl;
use crate::net::dns::{self, Resolver};
use crate::sip::Transport;
use crate::sip::locate::{Host, Target};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    resolver: Resolver,
    policy: Arc<AddressPolicy>,
    tls: TlsConnector,
    patience: Duration,
    figures: Arc<Figures>,
}

impl Connector {
    /// `patience`: for name, TCP and TLS together. The resolver must be one of [`Connector::resolver`].
    pub fn new(resolver: Resolver, policy: AddressPolicy, tls: Arc<ClientConfig>, patience: Duration) -> Connector {
        Connector {
            resolver,
            policy: Arc::new(policy),
            tls: TlsConnector::from(tls),
            patience,
            figures: Arc::default(),
        }
    }

    /// How asking over this connector and its clones went.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// A resolver for application servers: `settings` with the one transport that HTTP has.
    pub fn resolver(settings: dns::Settings) -> Resolver {
        Resolver::new(dns::Settings {
            spoken: vec![Transport::Tcp],
            ..settings
        })
    }

    /// The same toward public addresses alone.
    pub fn public_only(&self) -> Connector {
        Connector {
            policy: Arc::new(self.policy.public_only()),
            ..self.clone()
        }
    }

    /// Whether the URL's host, where it is an address, may be asked at all. A name is judged by what it leads to.
    pub fn permits(&self, url: &HookUrl) -> Result<(), Forbidden> {
        match url.host() {
            Host::Ip(address) => self.policy.check_socket(SocketAddr::new(*address, url.port())),
            Host::Name(_) => Ok(()),
        }
    }

    /// A connection to the URL's host that is read no faster than `rate`.
    pub async fn open(&self, url: &HookUrl, rate: ReadRate) -> Result<Stream, ConnectFailure> {
        self.open_to(url.host(), url.port(), url.is_secure(), Some(rate)).await
    }

    pub(super) async fn open_to(
        &self,
        host: &Host,
        port: u16,
        secure: bool,
        rate: Option<ReadRate>,
    ) -> Result<Stream, ConnectFailure> {
        let after = self.patience;
        match timeout(after, self.attempt(host, port, secure, rate)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectFailure::TimedOut { after }),
        }
    }

    async fn attempt(
        &self,
        host: &Host,
        port: u16,
        secure: bool,
        rate: Option<ReadRate>,
    ) -> Result<Stream, ConnectFailure> {
        let target = Target {
            host: host.clone(),
            port: Some(port),
            transport: Some(Transport::Tcp),
            secure: false,
        };
        let answer = self.resolver.resolve(&target).await;
        let answer = answer.map_err(|error| ConnectFailure::Name(Arc::new(error)))?;
        let addresses: Vec<SocketAddr> = answer.candidates.iter().map(|found| found.address).collect();
        let permitted = self.permitted(host, &addresses)?;
        let mut last = None;
        // A silent address must leave time for the next.
        let share = self.patience / u32::try_from(permitted.len()).unwrap_or(1).max(1);
        for address in permitted {
            match timeout(share, connect(address)).await {
                Ok(Ok(tcp)) => return self.secure(Paced::new(tcp, rate), address, host, secure).await,
                Ok(Err(kind)) => last = Some(ConnectFailure::Unreachable { address, kind }),
                Err(_) => {
                    let kind = io::ErrorKind::TimedOut;
                    last = Some(ConnectFailure::Unreachable { address, kind });
                }
            }
        }
        Err(last.unwrap_or(ConnectFailure::TimedOut { after: self.patience }))
    }

    /// The addresses that may be asked; where there are none, the first refusal.
    fn permitted(&self, host: &Host, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, ConnectFailure> {
        let mut refused: Option<(SocketAddr, Forbidden)> = None;
        let mut permitted = Vec::new();
        for address in addresses {
            match self.policy.check_socket(*address) {
                Ok(()) => permitted.push(*address),
                Err(why) => refused = refused.or(Some((*address, why))),
            }
        }
        permitted.truncate(MOST_ADDRESSES);
        match (permitted.is_empty(), refused) {
            (true, Some((address, why))) => Err(ConnectFailure::Forbidden {
                host: host.to_string(),
                address: address.ip(),
                why,
            }),
            _ => Ok(permitted),
        }
    }

    async fn secure(
        &self,
        tcp: Paced<TcpStream>,
        address: SocketAddr,
        host: &Host,
        secure: bool,
    ) -> Result<Stream, ConnectFailure> {
        if !secure {
            return Ok(Stream::Plain(tcp));
        }
        let failed = |detail: String| ConnectFailure::Tls { address, detail };
        let name = match host {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| failed(error.to_string()))?,
        };
        match self.tls.connect(name, tcp).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, io::ErrorKind> {
    let tcp = TcpStream::connect(address).await.map_err(|error| error.kind())?;
    // Small requests and answers: Nagle's delay would be most of their time. A socket that can't is as good otherwise.
    let _faster = tcp.set_nodelay(true);
    Ok(tcp)
}

/// A connection to an application server.
#[derive(Debug)]
pub enum Stream {
    Plain(Paced<TcpStream>),
    Tls(Box<TlsStream<Paced<TcpStream>>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
