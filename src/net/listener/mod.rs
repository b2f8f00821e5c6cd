//! Listeners: UDP, TCP and TLS, several of each, and what each may be asked to bear.
//!
//! In: settings. Out: bound sockets whose loops feed the inbox. Connections that peers open are served here; those that
//! we open come from the pool, but carry a listener's address, identity and trust.

mod accept;
mod limits;
mod udp;

pub(super) use accept::accept_loop;
pub use limits::AcceptLimits;
pub(super) use limits::Occupancy;
pub(super) use udp::{UdpSender, receive_loop};

use super::mark::mark;
use super::tls::{Generation, IdentityPlace, TlsProfile};
use crate::sip::{ListenerId, Transport};
use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

/// Room for bursts while a reader is parsing: about a thousand INVITEs.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
const BACKLOG: i32 = 1024;
/// After this long without an acknowledgement of sent data the kernel gives a connection up; its default is a quarter
/// of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// One configured listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    pub id: ListenerId,
    /// The name in the configuration.
    pub name: String,
    pub protocol: ListenerProtocol,
    /// Port 0 takes a free one.
    pub bind: SocketAddr,
    /// Host that peers reach us by, as it stands in Via; the bound address if `None`. Behind 1:1 NAT they differ.
    pub advertise_host: Option<String>,
    /// Port that peers reach us by; the bound one if `None`.
    pub advertise_port: Option<u16>,
    /// Mark of the packets that leave, for routers.
    pub dscp: u8,
    pub limits: AcceptLimits,
}

/// What a listener speaks.
#[derive(Debug, Clone)]
pub enum ListenerProtocol {
    /// `sockets`: how many share the port (SO_REUSEPORT), each with its own reader.
    Udp {
        sockets: usize,
    },
    Tcp,
    Tls(TlsProfile),
}

impl ListenerProtocol {
    /// The transport of Via.
    pub fn transport(&self) -> Transport {
        match self {
            ListenerProtocol::Udp { .. } => Transport::Udp,
            ListenerProtocol::Tcp => Transport::Tcp,
            ListenerProtocol::Tls(_) => Transport::Tls,
        }
    }
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {name} cannot bind {transport} {bind}: {source}")]
pub struct ListenError {
    pub name: String,
    pub transport: Transport,
    pub bind: SocketAddr,
    pub source: io::Error,
}

/// A bound listener.
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) sent_by: Arc<str>,
    /// Replaced as a whole when trust or identities change.
    pub(super) tls: Option<ArcSwap<TlsProfile>>,
    pub(super) udp: Option<UdpSender>,
    dscp: u8,
    pub(super) limits: AcceptLimits,
}

/// The sockets whose loops are still to be started.
pub(super) enum Bound {
    Udp(Vec<Arc<UdpSocket>>),
    Stream(TcpListener),
}

impl Listener {
    /// Binds the sockets of `settings`.
    pub(super) fn bind(settings: ListenerSettings) -> Result<(Listener, Bound), ListenError> {
        let transport = settings.protocol.transport();
        let (bound, local) = match &settings.protocol {
            ListenerProtocol::Udp { sockets } => bind_udp(settings.bind, (*sockets).max(1), settings.dscp),
            ListenerProtocol::Tcp | ListenerProtocol::Tls(_) => bind_stream(settings.bind, settings.dscp),
        }
        .map_err(|source| ListenError {
            name: settings.name.clone(),
            transport,
            bind: settings.bind,
            source,
        })?;
        let udp = match &bound {
            Bound::Udp(sockets) => sockets.first().cloned().map(UdpSender::new),
            Bound::Stream(_) => None,
        };
        let host = settings.advertise_host.unwrap_or_else(|| host_text(local.ip()));
        let port = settings.advertise_port.unwrap_or(local.port());
        let listener = Listener {
            id: settings.id,
            transport,
            local,
            sent_by: format!("{host}:{port}").into(),
            tls: match settings.protocol {
                ListenerProtocol::Tls(profile) => Some(ArcSwap::from_pointee(profile)),
                ListenerProtocol::Udp { .. } | ListenerProtocol::Tcp => None,
            },
            udp,
            dscp: settings.dscp,
            limits: settings.limits,
        };
        Ok((listener, bound))
    }

    /// Changes with every change of the identities or of the profile itself.
    pub(super) fn generation(&self) -> Generation {
        self.tls
            .as_ref()
            .map(|profile| profile.load().generation())
            .unwrap_or_default()
    }

    /// Which of its identities is shown on a connection that we open in the name of `host`; over TLS alone it matters.
    pub(super) fn presented(&self, host: Option<&str>) -> IdentityPlace {
        self.tls
            .as_ref()
            .map(|profile| profile.load().presented(host))
            .unwrap_or_default()
    }

    /// A socket for a connection that we open, from this listener's address.
    pub(super) fn outbound_socket(&self, remote: SocketAddr) -> io::Result<TcpSocket> {
        let socket = socket_from(self.local.ip(), remote)?;
        mark(SockRef::from(&socket), remote.ip(), self.dscp)?;
        Ok(socket)
    }
}

/// A socket for a connection from `local`, where that is one address and of the right family, to `remote`.
pub(super) fn socket_from(local: IpAddr, remote: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if !local.is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    Ok(socket)
}

/// No delay for small messages, and an early end for a peer that vanished.
pub(super) fn tune(stream: &tokio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// An address as a sent-by host: IPv6 in brackets.
fn host_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn bind_udp(bind: SocketAddr, sockets: usize, dscp: u8) -> io::Result<(Bound, SocketAddr)> {
    let mut at = bind;
    let mut bound = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if sockets > 1 {
            socket.set_reuse_port(true)?;
        }
        if at.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        mark(SockRef::from(&socket), at.ip(), dscp)?;
        // The kernel caps it at net.core.rmem_max without an error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&at.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        at = socket.local_addr()?;
        bound.push(Arc::new(socket));
    }
    Ok((Bound::Udp(bound), at))
}

fn bind_stream(bind: SocketAddr, dscp: u8) -> io::Result<(Bound, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if bind.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    mark(SockRef::from(&socket), bind.ip(), dscp)?;
    socket.bind(&bind.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((Bound::Stream(listener), local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::harness::listener;
    use std::os::fd::AsFd;

    fn class(socket: impl AsFd) -> u32 {
        SockRef::from(&socket).tos_v4().expect("a class")
    }

    #[tokio::test]
    async fn teams_105_datagrams_and_connections_either_way_bear_the_listeners_mark() {
        let bind = |protocol, dscp| {
            let settings = ListenerSettings {
                dscp,
                ..listener(protocol)
            };
            Listener::bind(settings).expect("a listener")
        };
        let (_, Bound::Udp(sockets)) = bind(ListenerProtocol::Udp { sockets: 2 }, 40) else {
            panic!("UDP has datagrams");
        };
        assert!(sockets.iter().all(|socket| class(socket) == 40 << 2));
        let (stream, Bound::Stream(accepting)) = bind(ListenerProtocol::Tcp, 24) else {
            panic!("TCP has connections");
        };
        let (other, _) = bind(ListenerProtocol::Tcp, 0);
        let socket = other.outbound_socket(stream.local).expect("a socket");
        assert_eq!(class(&socket), 0);
        let _connected = socket.connect(stream.local).await.expect("a connection");
        let (accepted, _) = accepting.accept().await.expect("a connection");
        assert_eq!(class(&accepted), 24 << 2);
        assert_eq!(class(stream.outbound_socket(other.local).expect("a socket")), 24 << 2);
    }
}
