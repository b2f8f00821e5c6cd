//! Who may speak to us at all, asked before parsing and before TLS cost anything.

use crate::sip::ListenerId;
use std::net::SocketAddr;

/// What somebody does. Each has a rate of its own: what one does a lot of keeps others behind the same address from nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    Datagram,
    /// Opens a connection.
    Connection,
    /// Says something on a connection on which no transaction has sent anything: it has proven nothing.
    Message,
    /// Says something on one on which a transaction has.
    Served,
}

/// Whether an address may speak now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admittance {
    /// It is of the configuration, or requests of ours went there lately: no rate concerns it.
    Known,
    /// It is anybody's.
    Stranger,
    /// It is anybody's, and has had what it may in this second.
    Later,
    /// The listener doesn't hear it.
    Never,
}

impl Admittance {
    /// Whether it may speak now.
    pub fn is_granted(self) -> bool {
        matches!(self, Admittance::Known | Admittance::Stranger)
    }
}

/// Tables of addresses and rates that the product ring publishes. Called for each datagram, each accepted connection and
/// each message on one: it must neither block nor allocate.
pub trait Admission: Send + Sync + 'static {
    /// Whether `remote` may speak to `listener` now; asking counts as speaking.
    fn admit(&self, listener: ListenerId, remote: SocketAddr, approach: Approach) -> Admittance;

    /// A request goes to `remote` now, so answers and requests of its own are to be expected from there.
    fn speaks_with(&self, _remote: SocketAddr) {}

    /// False where `remote` may be heard, but is told nothing for which no transaction stands: neither that its request is
    /// broken nor that it is refused.
    fn may_be_told(&self, _listener: ListenerId, _remote: SocketAddr) -> bool {
        true
    }
}

/// Admits everybody: until the tables are published.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, _listener: ListenerId, _remote: SocketAddr, _approach: Approach) -> Admittance {
        Admittance::Known
    }
}
