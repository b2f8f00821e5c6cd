//! Names to servers (RFC 3263) through a DNS resolver of our own; getaddrinfo is never called.
//!
//! In: a [`Target`](crate::sip::locate::Target). Out: an [`Answer`] with its candidates in the order to try them and its
//! age, or a [`DnsError`] that a person can act on. Touches: UDP and TCP to name servers, `/etc/resolv.conf` and `/etc/hosts`
//! once at start. Promises: an answer that was good once is served while name servers fail; no caller waits longer than
//! [`Settings::patience`], or [`Settings::stale_patience`] where an old answer exists; an IP literal or a fresh answer
//! costs no await ([`Resolver::try_cached`]).

mod cache;
mod error;
mod resolver;
mod settings;
#[cfg(test)]
mod tests;
mod walk;

pub use error::{Cause, DnsError};
pub use resolver::{Answer, Resolver};
pub use settings::{Servers, Settings, StaticHost};
