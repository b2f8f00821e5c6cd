//! SRTP and SRTCP, in place, no allocation per packet (RFC 3711, 4568, 7714). Pure.
//!
//! One [`Sender`] or [`Receiver`] per direction and master key. In: a buffer that holds one RTP or RTCP packet.
//! Out: the length of the protected (or verified and decrypted) packet in the same buffer, or an [`SrtpError`].
//! Nothing is decrypted, counted or remembered before its tag was verified; no bytes of a peer cause a panic.

mod cipher;
mod derivation;
mod error;
mod hmac;
mod master_key;
mod receiver;
mod replay;
mod sender;
mod streams;
mod suite;
#[cfg(test)]
mod tests;

pub use error::SrtpError;
pub(crate) use hmac::HmacSha1;
pub use master_key::{KeyError, MasterKey};
pub use receiver::Receiver;
pub use sender::Sender;
pub use streams::{Snapshot, StreamSnapshot};
pub use suite::Suite;
