//! Where a message came from and where one goes: plain data that the transaction layer carries without looking inside.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A transport protocol of SIP as it stands in Via and URI parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// True when the transport itself retransmits (RFC 3261 §17: timers A, E, G are off, D, I, J, K are zero).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// The name in a Via header: `UDP`, `TCP`, `TLS`.
    pub const fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The value of a `transport=` URI parameter.
    pub const fn uri_name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The port when a URI or Via names none (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri_name())
    }
}

/// Index of a configured listener. Its table (bind, advertise, TLS identity, sent-by) lives in the runtime ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListenerId(pub u16);

/// One stream connection, unique for the life of the process. `NONE` on datagram transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// No connection: a datagram.
    pub const NONE: ConnectionId = ConnectionId(0);
}

/// What the verified TLS peer presented. Absent on plain transports and where no certificate was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCertificate {
    /// Subject common name, if any.
    pub common_name: Option<String>,
    /// DNS names of the subject alternative name, as written.
    pub dns_names: Vec<String>,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// End of validity, seconds since the Unix epoch.
    pub not_after: i64,
}

impl PeerCertificate {
    /// What it is for: its DNS names, or the common name where it has none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let common = self.common_name.as_deref().filter(|_| self.dns_names.is_empty());
        self.dns_names.iter().map(String::as_str).chain(common)
    }

    /// Whether it is for the client `name`: a wildcard is for nobody in particular (RFC 5922 §7.2).
    pub fn bears(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Whence a message came, exactly; a response goes back the same way (RFC 3261 §18.2.2, RFC 3581).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub transport: Transport,
    pub listener: ListenerId,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub connection: ConnectionId,
    pub peer: Option<Arc<PeerCertificate>>,
}

/// A resolved next hop of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    pub transport: Transport,
    /// The listener whose address, identity and trust the request leaves with.
    pub listener: ListenerId,
    pub remote: SocketAddr,
    /// The name that the TLS server must prove. `Some` on TLS hops, and there only.
    pub server_name: Option<Arc<str>>,
    /// Some: send on this very connection or fail (a registered client's flow). None: the pool chooses or opens one.
    pub connection: Option<ConnectionId>,
    /// On whose account a connection is opened there; `None`: the configuration's, which names the peer.
    #[serde(default)]
    pub account: Option<HopAccount>,
    /// The name that our certificate there has to bear, of those that the listener has: a trunk's, toward Teams. `None`: the
    /// listener's own.
    #[serde(default)]
    pub presented: Option<Arc<str>>,
}

/// Who else than the configuration may lead us somewhere. The connections of one account are bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopAccount {
    /// A tenant, by its applications and its users' devices.
    Tenant(Arc<str>),
    /// Whoever sent a request from this network and closed its connection before our response.
    Source(IpAddr),
}
