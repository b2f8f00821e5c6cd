//! Who may speak to us at all, asked before parsing and before TLS cost anything.

use crate::sip::ListenerId;
use std::net::SocketAddr;

/// Tables of addresses and rates that the product ring publishes. Called for each datagram and each accepted
/// connection: it must neither block nor allocate.
pub trait Admission: Send + Sync + 'static {
    /// True when `remote` may speak to `listener` now.
    fn admit(&self, listener: ListenerId, remote: SocketAddr) -> bool;

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
    fn admit(&self, _listener: ListenerId, _remote: SocketAddr) -> bool {
        true
    }
}
