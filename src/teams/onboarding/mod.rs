//! What a tenant's administrators do outside this node before Teams calls reach it: DNS records, and the commands of
//! Microsoft's PowerShell module.
//!
//! In: a configuration and one of its tenants, and what is there already. Out: text to paste, and what differs. Nothing is
//! looked up, and nothing is changed anywhere.

pub mod drift;
mod powershell;
mod records;

#[cfg(test)]
mod tests;

pub use powershell::powershell;
pub use records::{Record, RecordKind, records, zone};

use crate::config::{Config, Tenant, TenantFqdn};

/// How a tenant's trunk comes to be (facts of hosting: TEAMS-024, TEAMS-107).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trunk<'c> {
    /// One label in front of this carrier trunk: it inherits everything from that, which is in the carrier's Microsoft tenant.
    Derived(&'c TenantFqdn),
    /// A name of its own: paired in the customer's Microsoft tenant, and asked by OPTIONS of its own.
    Own,
}

impl<'c> Trunk<'c> {
    fn of(config: &'c Config, tenant: &Tenant) -> Trunk<'c> {
        config
            .sbc
            .teams
            .base_of(&tenant.fqdn)
            .map_or(Trunk::Own, Trunk::Derived)
    }

    /// The carrier trunk that it derives from.
    const fn base(self) -> Option<&'c TenantFqdn> {
        match self {
            Trunk::Derived(base) => Some(base),
            Trunk::Own => None,
        }
    }
}

/// Where Teams connects to, as everybody outside sees it.
fn signaling_port(config: &Config) -> u16 {
    let listener = config.sbc.listener(config.sbc.teams.listener);
    listener.map_or(5061, |listener| listener.advertise_port)
}
