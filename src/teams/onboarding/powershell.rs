//! The commands of Microsoft's Teams PowerShell module that pair a trunk, route a tenant's calls to it and give its
//! users their numbers (TEAMS-110).

use super::{Trunk, signaling_port};
use crate::config::{Cloud, Config, Destination, Tenant};
use std::fmt::Write;

/// Numbers that are written out one by one; a range above stands as a range.
const WRITTEN_OUT: u64 = 100;

/// A script for the administrators of both Microsoft tenants, the carrier's part first.
pub fn powershell(config: &Config, tenant: &Tenant) -> String {
    let mut script = String::new();
    // A String takes everything.
    let _written = write_script(&mut script, config, tenant);
    script
}

fn write_script(out: &mut String, config: &Config, tenant: &Tenant) -> std::fmt::Result {
    let cloud = config.sbc.teams.cloud;
    let base = Trunk::of(config, tenant).base();
    match base {
        None => writeln!(out, "# In the Microsoft tenant that has the domain of {}.", tenant.fqdn)?,
        Some(base) => {
            writeln!(
                out,
                "# 1. In the carrier's Microsoft tenant, once for all customers: {base} is the trunk, the customers'"
            )?;
            writeln!(out, "#    names below it inherit all of it. It has no users.")?;
        }
    }
    connect(out, cloud)?;
    let name = base.unwrap_or(&tenant.fqdn);
    gateway(out, config, name.as_str(), base.is_none().then_some(tenant))?;
    if base.is_some() {
        writeln!(out)?;
        writeln!(
            out,
            "# 2. In the customer's Microsoft tenant. Its domain {} has to be verified there, and one licensed",
            tenant.fqdn
        )?;
        writeln!(
            out,
            "#    user or resource account must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway here."
        )?;
        connect(out, cloud)?;
    }
    routing(out, tenant)?;
    numbers(out, tenant)
}

/// Without the environment the module looks for the account in the commercial cloud.
fn connect(out: &mut String, cloud: Cloud) -> std::fmt::Result {
    match cloud.environment() {
        None => writeln!(out, "Connect-MicrosoftTeams"),
        Some(environment) => writeln!(out, "Connect-MicrosoftTeams -TeamsEnvironmentName {environment}"),
    }
}

pub(super) fn gateway(out: &mut String, config: &Config, name: &str, tenant: Option<&Tenant>) -> std::fmt::Result {
    let teams = &config.sbc.teams;
    let port = signaling_port(config);
    write!(out, "New-CsOnlinePSTNGateway -Fqdn {name} -SipSignalingPort {port}")?;
    if let Some(calls) = tenant.and_then(|tenant| tenant.limits.calls) {
        write!(out, " -MaxConcurrentSessions {calls}")?;
    }
    writeln!(out, " `")?;
    // The default of 10 seconds is shorter than many carriers take to ring; naming one code drops the others.
    writeln!(
        out,
        "  -FailoverTimeSeconds 20 -FailoverResponseCodes \"408,503,504\" -ForwardCallHistory $true `"
    )?;
    let bypass = tenant.map_or(teams.bypass, |tenant| tenant.bypasses(teams));
    writeln!(out, "  -SendSipOptions $true -MediaBypass ${bypass} -Enabled $true")
}

fn routing(out: &mut String, tenant: &Tenant) -> std::fmt::Result {
    writeln!(out)?;
    route(out, tenant)?;
    let label = quoted(&route_label(tenant));
    writeln!(
        out,
        "New-CsOnlineVoiceRoutingPolicy -Identity {label} -OnlinePstnUsages {label}"
    )
}

/// The name of the tenant's usage, route and policy.
pub(super) fn route_label(tenant: &Tenant) -> String {
    format!("portcullis-{}", tenant.id)
}

/// The usage and the route that leads to it.
pub(super) fn route(out: &mut String, tenant: &Tenant) -> std::fmt::Result {
    let label = quoted(&route_label(tenant));
    let trunks: Vec<&str> = std::iter::once(&tenant.fqdn)
        .chain(&tenant.aliases)
        .map(|name| name.as_str())
        .collect();
    writeln!(out, "Set-CsOnlinePstnUsage -Identity Global -Usage @{{Add={label}}}")?;
    writeln!(
        out,
        "New-CsOnlineVoiceRoute -Identity {label} -NumberPattern '.*' -Priority 1 `"
    )?;
    writeln!(
        out,
        "  -OnlinePstnGatewayList {} -OnlinePstnUsages {label}",
        trunks.join(",")
    )
}

fn numbers(out: &mut String, tenant: &Tenant) -> std::fmt::Result {
    let label = quoted(&route_label(tenant));
    let teams = tenant
        .numbers
        .iter()
        .filter(|entry| matches!(entry.to, Destination::Teams | Destination::TeamsVoicemail));
    let mut listed = Vec::new();
    let mut ranges = Vec::new();
    for entry in teams {
        let span = entry.span;
        if let Some(form) = &entry.assigned {
            listed.push(form.to_string());
            continue;
        }
        match span.count() {
            ..=WRITTEN_OUT => {
                listed.extend((span.first().value()..=span.last().value()).map(|number| format!("+{number}")))
            }
            _ => ranges.push(format!("{} to {}", span.first(), span.last())),
        }
    }
    writeln!(out)?;
    if listed.is_empty() && ranges.is_empty() {
        return writeln!(out, "# No number of this tenant goes to Teams.");
    }
    writeln!(
        out,
        "# Who has which number: fill in the users' names; those left empty are left out."
    )?;
    writeln!(out, "$users = [ordered]@{{")?;
    for number in &listed {
        writeln!(out, "  '{number}' = ''")?;
    }
    for range in &ranges {
        writeln!(out, "  # and, one line a number, those of {range}")?;
    }
    writeln!(out, "}}")?;
    writeln!(out, "foreach ($number in $users.Keys) {{")?;
    writeln!(out, "  $user = $users[$number]")?;
    writeln!(out, "  if (-not $user) {{ continue }}")?;
    writeln!(
        out,
        "  Set-CsPhoneNumberAssignment -Identity $user -TelephoneNumber $number -NumberType DirectRouting"
    )?;
    writeln!(
        out,
        "  Grant-CsOnlineVoiceRoutingPolicy -Identity $user -PolicyName {label}"
    )?;
    writeln!(out, "}}")
}

/// A literal of PowerShell, to which typographic quotes are quotes too.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for letter in text.chars() {
        if matches!(letter, '\'' | '\u{2018}'..='\u{201b}') {
            literal.push(letter);
        }
        literal.push(letter);
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_quote_does_not_end_a_literal() {
        assert_eq!(super::quoted("o'brien; $x"), "'o''brien; $x'");
        assert_eq!(super::quoted("a\u{2019}; b"), "'a\u{2019}\u{2019}; b'");
    }
}
