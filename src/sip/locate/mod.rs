//! Which servers a SIP URI means (RFC 3263, RFC 2782), as pure rules.
//!
//! In: a [`Target`] (what the URI says), the transports we speak, the records that a resolver found, random numbers.
//! Out: the next lookup to make, and at the end a sorted list of [`Candidate`]s. Nothing here asks a name server.

mod naptr;
mod order;
mod target;

pub use naptr::{Naptr, Replacement, pick_services};
pub use order::{AddressFamilies, Candidate, Found, Service, Srv, SrvTarget, arrange};
pub use target::{Host, Route, SrvQuery, Start, Target, TargetError, srv_queries, start};
