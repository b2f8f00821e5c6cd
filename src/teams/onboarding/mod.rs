//! What a tenant's administrators do outside this node before Teams calls reach it: DNS records, and the commands of
//! Microsoft's PowerShell module.
//!
//! In: a configuration and one of its tenants, and what is there already. Out: text to paste, and what differs. Nothing is
//! looked up, and nothing is changed anywhere.

pub mod drift;
mod gateway;
mod powershell;
mod records;
mod signaling;

#[cfg(test)]
mod tests;

pub use powershell::powershell;
pub use records::{Record, RecordKind, records, zone};
pub use signaling::{is_bound, signaling_address};
