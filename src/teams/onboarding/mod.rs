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

use crate::config::{Config, Tenant};

/// How a tenant's trunk comes to be (facts of hosting: TEAMS-024, TEAMS-107).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trunk {
    /// A subdomain of the base name: it inherits everything from the trunk in the carrier's Microsoft tenant.
    Derived,
    /// A name of its own: paired in the customer's Microsoft tenant, and asked by OPTIONS of its own.
    Own,
}

impl Trunk {
    fn of(config: &Config, tenant: &Tenant) -> Trunk {
        let base = &config.sbc.teams.base;
        match &tenant.fqdn {
            name if name.is_derived_from(base) => Trunk::Derived,
            _ => Trunk::Own,
        }
    }
}

/// Where Teams connects to, as everybody outside sees it.
fn signaling_port(config: &Config) -> u16 {
    let listener = config.sbc.listener(config.sbc.teams.listener);
    listener.map_or(5061, |listener| listener.advertise_port)
}
