//! The commands of Microsoft's Teams PowerShell module that pair a trunk, route a tenant's calls to it and give its
//! users their numbers (TEAMS-110).

use super::gateway::Gateway;
use crate::config::{Cloud, Config, Destination, E164, Tenant, TenantFqdn};
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
    let (carriers, own): (Vec<Gateway<'_>>, Vec<Gateway<'_>>) = Gateway::all_for(config, tenant)
        .into_iter()
        .partition(|gateway| gateway.is_carriers);
    let (own_names, derived): (Vec<&TenantFqdn>, Vec<&TenantFqdn>) = tenant
        .trunks()
        .partition(|name| own.iter().any(|gateway| gateway.name == *name));
    for gateway in &carriers {
        let base = gateway.name;
        writeln!(
            out,
            "# 1. In the carrier's Microsoft tenant, once for all customers: {base} is the trunk, the customers'"
        )?;
        writeln!(
            out,
            "#    names below it inherit all of it. That domain has to be verified there, and one licensed user or resource"
        )?;
        writeln!(
            out,
            "#    account must have an address in it (up to 24 hours). It has no other users."
        )?;
        connect(out, cloud)?;
        pairing(out, gateway)?;
        writeln!(out)?;
    }
    match carriers.is_empty() {
        true => writeln!(out, "# In the customer's Microsoft tenant.")?,
        false => writeln!(out, "# 2. In the customer's Microsoft tenant.")?,
    }
    for name in &derived {
        writeln!(
            out,
            "#    The domain {name} has to be verified there, and one licensed user or resource account"
        )?;
        writeln!(
            out,
            "#    must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway for it here."
        )?;
    }
    for name in &own_names {
        writeln!(
            out,
            "#    The domain {name}, or one above it, has to be verified there, and one licensed user or"
        )?;
        writeln!(
            out,
            "#    resource account must have an address in the domain that is (up to 24 hours)."
        )?;
    }
    connect(out, cloud)?;
    for gateway in &own {
        pairing(out, gateway)?;
    }
    routing(out, tenant)?;
    emergency(out, config, tenant)?;
    numbers(out, config, tenant)
}

/// Without the environment the module looks for the account in the commercial cloud.
fn connect(out: &mut String, cloud: Cloud) -> std::fmt::Result {
    match cloud.environment() {
        None => writeln!(out, "Connect-MicrosoftTeams"),
        Some(environment) => writeln!(out, "Connect-MicrosoftTeams -TeamsEnvironmentName {environment}"),
    }
}

/// The command, and what only who administers the Microsoft tenant can fill in.
fn pairing(out: &mut String, gateway: &Gateway<'_>) -> std::fmt::Result {
    let with: Vec<&str> = ids(gateway, |tenant| tenant.forward_pai);
    let without: Vec<&str> = ids(gateway, |tenant| !tenant.forward_pai);
    if !(with.is_empty() || without.is_empty()) {
        writeln!(
            out,
            "# -ForwardPai is for all whose names are below this trunk, and `forward_pai` is on for {}, and not for {}:",
            with.join(", "),
            without.join(", ")
        )?;
        writeln!(out, "# switch it on for all of them here, or for none.")?;
    }
    pair(out, gateway)?;
    if gateway.local_media {
        local_media(out, gateway)?;
    }
    Ok(())
}

fn ids<'g>(gateway: &'g Gateway<'_>, is_it: fn(&Tenant) -> bool) -> Vec<&'g str> {
    let tenants = gateway.tenants.iter().filter(|tenant| is_it(tenant));
    tenants.map(|tenant| tenant.id.as_str()).collect()
}

/// The command that pairs a trunk.
pub(super) fn pair(out: &mut String, gateway: &Gateway<'_>) -> std::fmt::Result {
    let Gateway { name, port, .. } = gateway;
    write!(out, "New-CsOnlinePSTNGateway -Fqdn {name} -SipSignalingPort {port}")?;
    if let Some(calls) = gateway.calls {
        write!(out, " -MaxConcurrentSessions {calls}")?;
    }
    writeln!(out, " `")?;
    // The default of 10 seconds is shorter than many carriers take to ring; naming one code drops the others.
    writeln!(
        out,
        "  -FailoverTimeSeconds 20 -FailoverResponseCodes \"408,503,504\" -ForwardCallHistory $true `"
    )?;
    let more = [
        (gateway.forward_pai, "-ForwardPai $true"),
        (gateway.location, "-PidfLoSupported $true"),
        (gateway.ipv6, "-IPAddressVersion IPv6"),
    ];
    let more: Vec<&str> = more.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
    if !more.is_empty() {
        writeln!(out, "  {} `", more.join(" "))?;
    }
    writeln!(
        out,
        "  -SendSipOptions $true -MediaBypass ${} -Enabled $true",
        gateway.bypass
    )
}

/// Teams says where users are over trunks that have a mode and a site (TEAMS-056); the site's name is the administrator's.
fn local_media(out: &mut String, gateway: &Gateway<'_>) -> std::fmt::Result {
    let tenants = ids(gateway, |tenant| tenant.local_media.is_some()).join(", ");
    writeln!(
        out,
        "# `local_media` of {tenants}: Teams says where users are only over a trunk with a mode and a network site. Fill in"
    )?;
    writeln!(
        out,
        "# the site's name as New-CsTenantNetworkSite has it (case counts); left empty, nothing is set. 'OnlyForLocalUsers' where"
    )?;
    writeln!(
        out,
        "# users at other sites don't reach this node's inner address; -ProxySbc where Teams reaches it through another SBC alone."
    )?;
    if !gateway.bypass {
        writeln!(
            out,
            "# Teams wants -MediaBypass $true for that, and `bypass` is off: switch it on here first."
        )?;
    }
    if gateway.is_carriers {
        writeln!(
            out,
            "# Microsoft does not say whose sites count for names below a carrier's trunk: try it with one user."
        )?;
    }
    writeln!(out, "$site = ''")?;
    writeln!(
        out,
        "if ($site) {{ Set-CsOnlinePSTNGateway -Identity {} -BypassMode 'Always' -GatewaySiteId $site -ProxySbc $null }}",
        quoted(gateway.name.as_str())
    )
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

/// The name of the tenant's usage, route and policies.
pub(super) fn route_label(tenant: &Tenant) -> String {
    format!("portcullis-{}", tenant.id)
}

/// The usage and the route that leads to it.
pub(super) fn route(out: &mut String, tenant: &Tenant) -> std::fmt::Result {
    let label = quoted(&route_label(tenant));
    let trunks: Vec<&str> = tenant.trunks().map(|name| name.as_str()).collect();
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

/// Which of the node's emergency numbers are those of the users' country nobody here knows: a proposal.
fn emergency(out: &mut String, config: &Config, tenant: &Tenant) -> std::fmt::Result {
    let emergency = &config.sbc.emergency;
    let numbers = emergency.numbers.iter().map(|number| number.as_str());
    let plain: Vec<&str> = numbers
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    if emergency.carriers.is_empty() || plain.is_empty() {
        return Ok(());
    }
    let label = quoted(&route_label(tenant));
    writeln!(out)?;
    writeln!(
        out,
        "# Emergency calls by this route whatever a user's own policy says: keep the numbers of the users' country, take"
    )?;
    writeln!(out, "# away the marks, and grant the policy to users or network sites.")?;
    writeln!(out, "# $emergency = @(")?;
    for number in plain {
        writeln!(
            out,
            "#   New-CsTeamsEmergencyNumber -EmergencyDialString '{number}' -OnlinePSTNUsage {label}"
        )?;
    }
    writeln!(out, "# )")?;
    writeln!(
        out,
        "# New-CsTeamsEmergencyCallRoutingPolicy -Identity {label} -EmergencyNumbers $emergency -AllowEnhancedEmergencyServices $true"
    )?;
    writeln!(
        out,
        "# Grant-CsTeamsEmergencyCallRoutingPolicy -Identity '<user>' -PolicyName {label}"
    )
}

fn numbers(out: &mut String, config: &Config, tenant: &Tenant) -> std::fmt::Result {
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
                // A narrower entry may lead elsewhere.
                let leads = |number: &E164| config.number(*number).is_some_and(|(_, found)| found == entry);
                listed.extend(span.numbers().filter(leads).map(|number| number.to_string()));
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
        "  # Modules before 2026 have -PhoneNumber and -PhoneNumberType instead of -TelephoneNumber and -NumberType."
    )?;
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
