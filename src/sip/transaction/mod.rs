//! SIP transactions (RFC 3261 §17 and §9, RFC 6026), sans-IO.
//!
//! In: messages with the flow they came by, requests and responses of the transaction user, the time. Out, by
//! [`Transactions::poll`]: bytes to send, and what the transaction user must know. Retransmission, the answer to
//! CANCEL, the ACK of a refusal, and refusal under load happen here and are seen by nobody else.
//!
//! One [`Transactions`] is one shard; nothing is shared between shards. [`Shard::of`] says which one a message goes
//! to. After each call: drain `poll`, then arm one timer for [`Transactions::next_timeout`].

mod admission;
mod client;
mod client_invite;
mod client_non_invite;
mod identifiers;
mod marks;
mod matching;
mod output;
mod reply;
mod server;
mod server_invite;
mod server_non_invite;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use admission::Shed;
pub use client::RequestError;
pub use identifiers::{ClientTransactionId, ServerTransactionId, Shard, TransactionId};
pub use marks::Marks;
pub use output::{Cause, Output, SendTo};
pub use server::Ended;
pub use settings::{Limits, Settings, Timers};
pub use table::{Counters, Transactions};
