//! Dialogs (RFC 3261 §12) as plain data: what two user agents agreed on, and the rules for requests inside it.
//!
//! In: responses to our INVITE ([`Initiation`], [`Forks`]) or a peer's INVITE ([`Dialog::from_request`]). Out:
//! drafts of in-dialog requests, and verdicts on the peer's. Contact and body are the caller's to add. Randomness
//! for tags and Call-IDs is a parameter.

mod forks;
mod identifiers;
mod initiation;
mod route;
mod state;
#[cfg(test)]
mod tests;

pub use forks::{Fork, Forks};
pub use identifiers::{DialogId, new_call_id, new_tag};
pub use initiation::Initiation;
pub use state::{Dialog, DialogError, Rejection, Role, Stage};
