//! What a Microsoft tenant has that the configuration has not, and the other way round (TEAMS-110).
//!
//! In: the configuration, one of its tenants, and what `Get-CsOnlinePSTNGateway`, `Get-CsOnlineVoiceRoute`,
//! `Get-CsOnlineUser` and `Get-CsPhoneNumberAssignment` printed. Out: differences, each with the line that mends it.
//! Where the output is of one kind alone, only that is compared.

mod export;
mod gateways;
mod numbers;
mod report;
mod routes;

#[cfg(test)]
mod tests;

pub use export::{Export, Fault, decode, read};
pub use report::report;

use crate::config::{Config, Tenant};
use serde::Serialize;

/// One thing that is not as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub weight: Weight,
    /// Such as `gateway sbc1.example.net`.
    pub subject: String,
    /// What differs, in words.
    pub what: String,
    /// As Microsoft's side has it.
    pub there: String,
    /// As the configuration wants it.
    pub here: String,
    pub fix: Fix,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth knowing; calls work.
    Note,
    /// Calls fail, or will.
    Breaks,
}

/// What mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fix {
    /// Commands of Microsoft's Teams PowerShell module.
    Powershell(String),
    /// Lines of a file of the configuration.
    Config { file: String, lines: String },
}

/// How much of an export there was to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Those that are ours.
    pub gateways: usize,
    /// Whether there were any, ours or not.
    #[serde(skip)]
    has_gateways: bool,
    pub routes: usize,
    pub users: usize,
    pub assignments: usize,
    /// The trunk that is in none of the gateways that there were.
    pub trunk_absent: Option<String>,
}

/// All differences between `export` and what `tenant` needs, the weightier first.
pub fn compare(config: &Config, tenant: &Tenant, export: &Export) -> Vec<Difference> {
    let mut found = gateways::compare(config, tenant, &export.gateways);
    if !export.routes.is_empty() {
        found.extend(routes::compare(config, tenant, &export.routes));
    }
    if !(export.users.is_empty() && export.assignments.is_empty()) {
        found.extend(numbers::compare(config, tenant, export));
    }
    found.sort_by_key(|difference| std::cmp::Reverse(difference.weight));
    found
}

impl Compared {
    pub fn of(config: &Config, tenant: &Tenant, export: &Export) -> Compared {
        Compared {
            gateways: gateways::met(config, tenant, &export.gateways).count(),
            has_gateways: !export.gateways.is_empty(),
            routes: export.routes.len(),
            users: export.users.len(),
            assignments: export.assignments.len(),
            trunk_absent: gateways::absent(config, tenant, &export.gateways),
        }
    }
}

/// Where the tenant's own keys stand.
fn file_of(tenant: &Tenant) -> String {
    format!("tenants/{}.toml", tenant.id)
}
