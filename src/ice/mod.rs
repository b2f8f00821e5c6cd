//! The lite side of ICE (RFC 8445 §2.5): answers connectivity checks, follows nominations, never checks itself. Pure.
//!
//! In: datagrams that look like STUN, with their source and the time. Out: a [`Reply`] for the socket that they came
//! to, and where media goes ([`Lite::nominated`], [`Lite::checked`]). Only a request that proves our password is
//! answered or remembered; a reply is no longer than its request; a datagram costs no allocation, and what it leaves
//! behind is bounded.
//!
//! Several peers may check at once under the same password of ours, as the forks of one offer do (TEAMS-100). Each is
//! known by its own half of the user name; [`Lite::settle`] says whose checks count from the answer on.

mod crc;
mod credentials;
mod lite;
mod stun;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, Secret};
pub use lite::{Component, Heard, Lite, Why};
pub use stun::{Fault, Key, Reply, Request, Role, read};
