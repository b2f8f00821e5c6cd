//! SIP wire and machines (RFC 3261, 3263 rules, 6026, 4028, 8760). Pure: bytes and time come in, messages and
//! effects go out; nothing here reads a clock or touches a socket.

pub mod digest;
mod flow;
pub mod locate;
pub mod session_timer;

pub use flow::{ConnectionId, Flow, Hop, ListenerId, PeerCertificate, Transport};
