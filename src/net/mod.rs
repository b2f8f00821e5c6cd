//! Sockets: UDP, TCP, TLS listeners and pools, DNS, certificates, the transaction shards.
//!
//! In: settings, drafts and hops. Out: messages with the flow they came by, and a report for whatever could not be
//! sent. Parsing happens on the readers' tasks; transactions live on their shard's task.

mod admission;
mod clock;
mod connect;
mod connection;
mod context;
mod counters;
pub mod dns;
mod event;
mod guarded;
mod handshake;
mod inbox;
mod inside;
mod interfaces;
mod listener;
mod mark;
mod outgoing;
mod pool;
mod probe;
pub mod shard;
mod stateless;
mod tasks;
pub mod tls;
mod transports;

pub use admission::{Admission, AdmitAll, Admittance, Approach};
pub use clock::Clock;
pub use connection::{CloseReason, ConnectionInfo, KeepAlive, Opener, StreamLimits};
pub use counters::{Counter, Counters};
pub use event::{NetEvent, Observer};
pub use handshake::HandshakeFailure;
pub use inbox::{Inbox, Received};
pub use inside::{Inside, inside};
pub use interfaces::interface_addresses;
pub use listener::{AcceptLimits, ListenError, ListenerProtocol, ListenerSettings};
pub use mark::mark;
pub use outgoing::{FailureReport, Outgoing};
pub use pool::PoolSettings;
pub use probe::Probe;
pub use transports::{NotSent, Surroundings, Transports};

#[cfg(test)]
mod tests;
