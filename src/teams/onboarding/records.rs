//! The DNS records that a tenant's trunk names need.

use super::gateway::Gateway;
use super::signaling::signaling_address;
use crate::config::{Config, Tenant, TenantFqdn};
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Without the dot at its end.
    pub name: String,
    pub kind: RecordKind,
    /// `None` where only somebody else knows it: `why` says who.
    pub value: Option<String>,
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    A,
    Aaaa,
    Txt,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Txt => "TXT",
        })
    }
}

/// What has to stand in public DNS so that Teams finds this node by the tenant's names, and lets the two Microsoft tenants use
/// theirs.
pub fn records(config: &Config, tenant: &Tenant) -> Vec<Record> {
    let teams = &config.sbc.teams;
    let gateways = Gateway::all_for(config, tenant);
    let carriers = gateways.iter().filter(|gateway| gateway.is_carriers);
    let bases: Vec<&TenantFqdn> = carriers.map(|gateway| gateway.name).collect();
    // OPTIONS of the node itself bear its base, also where no tenant is below it.
    let node = bases.is_empty().then_some(&teams.base);
    let connected = node.into_iter().chain(bases.iter().copied()).chain(tenant.trunks());
    let mut records: Vec<Record> = connected.map(|name| address(config, name)).collect();
    records.extend(bases.into_iter().map(|base| {
        proof(
            base,
            "proves the domain to Microsoft: the admin centre of the carrier's tenant shows the value (MS=ms…) when the domain is added; not asked for where a domain above it is verified there",
        )
    }));
    records.extend(tenant.trunks().map(|name| {
        let why = match teams.base_of(name) {
            Some(_) => {
                "proves the domain to Microsoft: the admin centre of the tenant shows the value (MS=ms…) when the domain is added"
            }
            None => {
                "proves the domain to Microsoft: the admin centre of the tenant shows the value (MS=ms…) when the domain is added; not asked for where a domain above it is verified there"
            }
        };
        proof(name, why)
    }));
    records
}

fn proof(name: &TenantFqdn, why: &'static str) -> Record {
    Record {
        name: name.to_string(),
        kind: RecordKind::Txt,
        value: None,
        why,
    }
}

fn address(config: &Config, name: &TenantFqdn) -> Record {
    let sbc = &config.sbc;
    let found = signaling_address(config);
    let bound = sbc.listener(sbc.teams.listener).map(|listener| listener.bind.ip());
    Record {
        name: name.to_string(),
        kind: match found.or(bound) {
            Some(IpAddr::V6(_)) => RecordKind::Aaaa,
            Some(IpAddr::V4(_)) | None => RecordKind::A,
        },
        value: found.map(|address| address.to_string()),
        why: match found {
            Some(_) => "Teams connects to this name",
            None => {
                "Teams connects to this name: the public address that leads to the listener for Teams, which only who runs the NAT in front of it knows"
            }
        },
    }
}

/// The records as lines of a zone file; what is still to be filled in is a comment.
pub fn zone(records: &[Record]) -> String {
    let line = |record: &Record| {
        let Record { name, kind, value, why } = record;
        match (value, kind) {
            (Some(value), _) => format!("{name}. 3600 IN {kind} {value}  ; {why}\n"),
            (None, RecordKind::Txt) => format!("; {name}. 3600 IN {kind} \"…\"  ; {why}\n"),
            (None, RecordKind::A | RecordKind::Aaaa) => format!("; {name}. 3600 IN {kind} …  ; {why}\n"),
        }
    };
    records.iter().map(line).collect()
}
