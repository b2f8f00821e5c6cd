//! The DNS records that a tenant's trunk name needs.

use super::Trunk;
use crate::config::{Config, Tenant};
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

/// What has to stand in public DNS so that Teams finds this node by the tenant's names, and lets the tenant use them.
pub fn records(config: &Config, tenant: &Tenant) -> Vec<Record> {
    let base = Trunk::of(config, tenant).base().unwrap_or(&config.sbc.teams.base);
    let names = [base, &tenant.fqdn].into_iter().chain(&tenant.aliases);
    let mut records: Vec<Record> = Vec::new();
    for name in names {
        if records.iter().any(|record| record.name == name.as_str()) {
            continue;
        }
        records.push(address(
            name.as_str(),
            config.sbc.media_of(config.sbc.teams.listener).advertise,
        ));
    }
    records.push(Record {
        name: tenant.fqdn.to_string(),
        kind: RecordKind::Txt,
        value: None,
        why: "proves the domain to Microsoft: the admin centre of the tenant shows the value (MS=ms…) when the domain is added",
    });
    records
}

fn address(name: &str, address: IpAddr) -> Record {
    Record {
        name: name.to_owned(),
        kind: match address {
            IpAddr::V4(_) => RecordKind::A,
            IpAddr::V6(_) => RecordKind::Aaaa,
        },
        value: Some(address.to_string()),
        why: "Teams connects to this name",
    }
}

/// The records as lines of a zone file; what is still to be filled in is a comment.
pub fn zone(records: &[Record]) -> String {
    let line = |record: &Record| {
        let Record { name, kind, value, why } = record;
        match value {
            Some(value) => format!("{name}. 3600 IN {kind} {value}  ; {why}\n"),
            None => format!("; {name}. 3600 IN {kind} \"…\"  ; {why}\n"),
        }
    };
    records.iter().map(line).collect()
}
