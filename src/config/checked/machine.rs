//! `sbc.toml`: the machine.

use super::{Api, ApplicationServers, Carrier, RegistrarSettings, Teams};
use crate::config::names::{CarrierId, HostName, ListenerName, MediaAddressName};
use crate::config::number::DialString;
use crate::media::MediaAddress;
use crate::sip::{ListenerId, Transport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The machine's part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbc {
    /// This node's name in logs, CDRs and metrics.
    pub node: HostName,
    /// Sockets for SIP. The position is the `ListenerId`.
    pub listeners: Vec<Listener>,
    pub media: Media,
    pub teams: Teams,
    /// In the order of the file.
    pub carriers: Vec<Arc<Carrier>>,
    pub registrar: RegistrarSettings,
    pub application_servers: ApplicationServers,
    pub emergency: Emergency,
    pub guard: Guard,
    pub admin: Admin,
    /// None: there is no REST interface.
    pub api: Option<Api>,
    pub log: Log,
    /// None: no call detail records are written.
    pub cdr: Option<Cdr>,
    pub dns: Dns,
    pub timers: Timers,
    /// How long live calls may go on after a stop was asked for.
    pub drain: Duration,
}

impl Sbc {
    /// The listener with this id.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }

    /// Where media of calls over a listener are.
    pub fn media_of(&self, listener: ListenerId) -> MediaAddress {
        self.media.at(self
            .listener(listener)
            .map(|listener| listener.media)
            .unwrap_or_default())
    }
}

/// An IP address or a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Address(IpAddr),
    Name(HostName),
}

impl fmt::Display for Host {
    /// As in a URI or Via: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// A socket that SIP arrives on and leaves from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub id: ListenerId,
    pub name: ListenerName,
    pub purpose: Purpose,
    pub transport: Transport,
    pub bind: SocketAddr,
    /// What peers are told (Via, Contact): behind 1:1 NAT not the bound address. A Teams listener's is a name.
    pub advertise: Host,
    /// The port that peers are told.
    pub advertise_port: u16,
    /// `Some` where, and only where, `transport` is TLS.
    pub tls: Option<ListenerTls>,
    /// Connections that one source may have at a time.
    pub connections_per_source: usize,
    /// Where media of its calls are.
    pub media: MediaAddressId,
    /// Mark of what leaves.
    pub dscp: u8,
}

/// Whom a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    Teams,
    Carrier,
    Users,
}

/// TLS on a listener, and on connections that leave with its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The one whose certificate names what the client asked for (SNI) is shown; the first when none does.
    pub identities: Vec<TlsIdentity>,
    pub client_certificate: ClientCertificate,
    /// Whom to trust, as server and as client.
    pub roots: Roots,
}

/// A certificate chain and its key: PEM files, read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsIdentity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whether a TLS client has to show a certificate. One that is shown is always verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientCertificate {
    None,
    Request,
    Require,
}

/// Certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Roots {
    /// Those that Microsoft's published Teams certificates chain to, built in.
    Teams,
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// Which of the machine's media addresses; the default is that of `[media]` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MediaAddressId(pub u16);

/// Where RTP and RTCP arrive and leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// That of `[media]` itself.
    pub address: MediaAddress,
    /// Those of `[[media.addresses]]`.
    pub further: Vec<NamedMediaAddress>,
    pub ports: PortRange,
    /// The DSCP mark, 0 to 63 (46 is EF, TEAMS-105).
    pub dscp: u8,
    /// Media worker threads, at least 1; the default is one per core.
    pub workers: usize,
    /// Calls whose audio is recoded from or to G.722 at a time; the default is 200 for each worker.
    pub recoded_calls: u32,
    /// A leg that is not on hold and receives nothing for this long ends its call.
    pub timeout: Duration,
    /// The same for a leg on hold.
    pub hold_timeout: Duration,
    /// SDP with loopback addresses is accepted. Only for demonstrations and tests.
    pub allow_loopback: bool,
}

impl Media {
    pub fn at(&self, id: MediaAddressId) -> MediaAddress {
        let further = usize::from(id.0)
            .checked_sub(1)
            .and_then(|place| self.further.get(place));
        further.map_or(self.address, |further| further.address)
    }

    /// The id of a further address.
    pub fn named(&self, name: &MediaAddressName) -> Option<MediaAddressId> {
        let place = self.further.iter().position(|further| further.name == *name)?;
        u16::try_from(place + 1).ok().map(MediaAddressId)
    }

    /// All addresses in the order of their ids.
    pub fn addresses(&self) -> impl Iterator<Item = MediaAddress> + Clone {
        [self.address]
            .into_iter()
            .chain(self.further.iter().map(|further| further.address))
    }
}

/// An address for media that listeners and tenants name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedMediaAddress {
    pub name: MediaAddressName,
    pub address: MediaAddress,
}

/// UDP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// Numbers that pass before everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    pub numbers: Vec<DialString>,
    /// Tried in order for emergency calls. Empty: the tenant's own carriers.
    pub carriers: Vec<CarrierId>,
    /// How long after an emergency call its ELIN leads to the caller.
    pub callback: Duration,
}

/// Admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub unknown_source: UnknownSource,
    /// Of the whole machine; emergency calls are not counted against it.
    pub limits: Limits,
    /// What a refused call is told to wait, in `Retry-After`.
    pub retry_after: Duration,
    /// Requests per second from one address that is neither a carrier's nor Teams'.
    pub requests_per_source: u32,
    /// Calls of one tenant that were ordered and that nobody has answered yet, at the same time.
    pub max_placing: u32,
}

/// What a request from an address that nobody configured gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownSource {
    /// No answer at all: scanners learn nothing.
    Silence,
    /// 403.
    Forbid,
}

/// Caps on calls. `None`: no cap. Emergency calls are exempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// At the same time, in set-up and answered.
    pub calls: Option<u32>,
    /// New calls in one second.
    pub calls_per_second: Option<u32>,
    /// New calls in a day.
    pub calls_per_day: Option<u32>,
}

/// The admin listener: health, metrics, status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address unless the file says `allow_remote`.
    pub bind: SocketAddr,
}

/// Logging, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
    /// All but the last two digits of telephone numbers are masked.
    pub redact_numbers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Call detail records: one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdr {
    pub path: PathBuf,
    /// Bytes after which a new file is begun.
    pub rotate_size: u64,
    /// Age after which a new file is begun.
    pub rotate_after: Duration,
    /// Rotated files kept; older ones are deleted. None: all.
    pub keep: Option<u32>,
}

/// Name resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Empty: those of the operating system.
    pub servers: Vec<SocketAddr>,
    /// Answers that win over DNS.
    pub hosts: BTreeMap<HostName, Vec<IpAddr>>,
    /// No answer is believed for longer.
    pub ttl_ceiling: Duration,
    /// For one query.
    pub timeout: Duration,
}

/// SIP timers of every leg (RFC 3261 Table 4). Shortened in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate.
    pub t1: Duration,
    /// The longest retransmission interval.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// A called party may ring for this long.
    pub ringing: Duration,
    /// From the INVITE to the answer, all attempts together.
    pub setup: Duration,
    /// A TCP or TLS connection without a message either way is closed after this long.
    pub idle_connection: Duration,
    /// To open a TCP connection; TLS gets as long again.
    pub connect: Duration,
}
