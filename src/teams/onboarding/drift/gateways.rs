//! The pairing of the trunk: `Get-CsOnlinePSTNGateway`.

use super::super::gateway::Gateway;
use super::super::powershell::{pair, quoted};
use super::export::Object;
use super::{Difference, Fix, Weight, file_of};
use crate::config::{Config, Tenant, TenantFqdn};

/// Answered with one of these, Teams tries the next trunk; a list that leaves one out drops that (section 9.1).
const FAILOVER: [&str; 3] = ["408", "503", "504"];
/// What whoever is called says: busy, and no.
const ANSWERS: [&str; 2] = ["486", "603"];
/// Shorter than this is shorter than many carriers take to ring.
const FAILOVER_SECONDS: u64 = 20;
const TRANSLATIONS: [&str; 4] = [
    "InboundTeamsNumberTranslationRules",
    "InboundPstnNumberTranslationRules",
    "OutboundTeamsNumberTranslationRules",
    "OutboundPstnNumberTranslationRules",
];

pub(super) fn compare(config: &Config, tenant: &Tenant, gateways: &[Object]) -> Vec<Difference> {
    let needed = Gateway::all_for(config, tenant);
    let mut found = Vec::new();
    for object in gateways {
        let name = name_of(object);
        if let Some(gateway) = needed.iter().find(|gateway| is(name, gateway.name)) {
            found.extend(settings(tenant, gateway, object));
        } else if let Some(derived) = tenant.trunks().find(|trunk| is(name, trunk))
            && let Some(base) = config.sbc.teams.base_of(derived)
        {
            found.push(paired_itself(name, base.as_str()));
        }
    }
    // The carrier's trunk stands in the carrier's tenant, so an output of the customer's has none.
    let missing = needed
        .iter()
        .filter(|gateway| !gateway.is_carriers && !has(gateways, gateway.name));
    if !gateways.is_empty() {
        found.extend(missing.map(unpaired));
    }
    found
}

/// Which of the gateways are compared with something: those of our names, and names below the base that must be none.
pub(super) fn met<'a>(
    config: &'a Config,
    tenant: &'a Tenant,
    gateways: &'a [Object],
) -> impl Iterator<Item = &'a Object> {
    let needed = Gateway::all_for(config, tenant);
    gateways.iter().filter(move |object| {
        let name = name_of(object);
        tenant.trunks().any(|trunk| is(name, trunk)) || needed.iter().any(|gateway| is(name, gateway.name))
    })
}

/// The trunk whose pairing would be compared, where it is in none of these.
pub(super) fn absent(config: &Config, tenant: &Tenant, gateways: &[Object]) -> Option<String> {
    // Where one of its own is missing, that is a difference.
    let needed = Gateway::all_for(config, tenant);
    let mut absent = needed
        .iter()
        .filter(|gateway| gateway.is_carriers && !has(gateways, gateway.name));
    absent
        .next()
        .filter(|_| !gateways.is_empty())
        .map(|gateway| gateway.name.to_string())
}

/// Those that are not of this node.
pub(super) fn foreign<'a>(config: &'a Config, gateways: &'a [Object]) -> impl Iterator<Item = &'a str> {
    let is_ours = |name: &&str| config.sbc.teams.is_base(name) || config.tenant_by_host(name).is_some();
    gateways
        .iter()
        .map(name_of)
        .filter(move |name| !name.is_empty() && !is_ours(name))
}

fn has(gateways: &[Object], trunk: &TenantFqdn) -> bool {
    gateways.iter().any(|object| is(name_of(object), trunk))
}

fn is(name: &str, trunk: &TenantFqdn) -> bool {
    name.eq_ignore_ascii_case(trunk.as_str())
}

fn name_of(object: &Object) -> &str {
    object
        .text("Fqdn")
        .or_else(|| object.text("Identity"))
        .unwrap_or_default()
}

fn settings(tenant: &Tenant, gateway: &Gateway<'_>, object: &Object) -> Vec<Difference> {
    let name = name_of(object);
    let mut found = Vec::new();
    let mut differs = |weight, property: &str, what: &str, there: String, here: String, argument: String| {
        found.push(Difference {
            weight,
            subject: format!("gateway {name}"),
            what: format!("{property}: {what}"),
            there,
            here,
            fix: Fix::Powershell(format!(
                "Set-CsOnlinePSTNGateway -Identity {} -{property} {argument}",
                quoted(name)
            )),
        });
    };
    let port = u64::from(gateway.port);
    if let Some(there) = object.number("SipSignalingPort").filter(|there| *there != port) {
        let what = "Teams connects where nothing listens";
        differs(
            Weight::Breaks,
            "SipSignalingPort",
            what,
            there.to_string(),
            port.to_string(),
            port.to_string(),
        );
    }
    let mut switch = |property: &str, wanted: bool, weight, what: &str| {
        if object.flag(property) == Some(!wanted) {
            let argument = if wanted { "$true" } else { "$false" };
            differs(
                weight,
                property,
                what,
                capital(!wanted),
                capital(wanted),
                argument.to_owned(),
            );
        }
    };
    switch("Enabled", true, Weight::Breaks, "the trunk takes no calls");
    switch(
        "MediaBypass",
        gateway.bypass,
        Weight::Breaks,
        "media would go another way than `bypass` says",
    );
    switch(
        "SendSipOptions",
        true,
        Weight::Breaks,
        "without OPTIONS Teams does not see that the trunk works",
    );
    switch(
        "ForwardCallHistory",
        true,
        Weight::Note,
        "who forwarded a call is not told",
    );
    if gateway.location {
        switch(
            "PidfLoSupported",
            true,
            Weight::Breaks,
            "no emergency call says where its caller is, and a carrier is to be told",
        );
    }
    if let Some(there) = object.text("FailoverResponseCodes") {
        let is_code = |code: &&str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
        let listed: Vec<&str> = there.split([',', ' ']).filter(is_code).collect();
        let missing: Vec<&str> = FAILOVER.into_iter().filter(|code| !listed.contains(code)).collect();
        if !missing.is_empty() {
            let mut wanted: Vec<&str> = listed.iter().copied().chain(missing).collect();
            wanted.sort_unstable();
            let wanted = wanted.join(",");
            differs(
                Weight::Breaks,
                "FailoverResponseCodes",
                "one of the defaults is missing, and no other trunk is tried after it",
                there.to_owned(),
                wanted.clone(),
                format!("\"{wanted}\""),
            );
        }
        let answers: Vec<&str> = listed.iter().copied().filter(|code| ANSWERS.contains(code)).collect();
        if !answers.is_empty() {
            let mut wanted: Vec<&str> = listed.iter().copied().chain(FAILOVER).collect();
            wanted.retain(|code| !ANSWERS.contains(code));
            wanted.sort_unstable();
            wanted.dedup();
            let wanted = wanted.join(",");
            differs(
                Weight::Note,
                "FailoverResponseCodes",
                &format!(
                    "after {} of whoever was called Teams tries the next trunk",
                    answers.join(" or ")
                ),
                there.to_owned(),
                wanted.clone(),
                format!("\"{wanted}\""),
            );
        }
    }
    if let Some(there) = object
        .number("FailoverTimeSeconds")
        .filter(|there| *there < FAILOVER_SECONDS)
    {
        differs(
            Weight::Note,
            "FailoverTimeSeconds",
            "many carriers take longer to ring",
            there.to_string(),
            FAILOVER_SECONDS.to_string(),
            FAILOVER_SECONDS.to_string(),
        );
    }
    let version = gateway.ip_version();
    if let Some(there) = object
        .text("IPAddressVersion")
        .filter(|there| !there.eq_ignore_ascii_case(version))
    {
        differs(
            Weight::Breaks,
            "IPAddressVersion",
            "our addresses are of the other family",
            there.to_owned(),
            version.to_owned(),
            format!("\"{version}\""),
        );
    }
    if let Some(calls) = gateway.calls.map(u64::from)
        && let Some(there) = object.number("MaxConcurrentSessions").filter(|there| *there != calls)
    {
        let what = match gateway.is_carriers {
            true => "the admin centre warns at another number of calls than [guard] calls allows",
            false => "the admin centre warns at another number of calls than [limits] calls allows",
        };
        differs(
            Weight::Note,
            "MaxConcurrentSessions",
            what,
            there.to_string(),
            calls.to_string(),
            calls.to_string(),
        );
    }
    if gateway.is_carriers {
        for property in TRANSLATIONS {
            let rules = object.list(property);
            if !rules.is_empty() {
                differs(
                    Weight::Note,
                    property,
                    "rules of the carrier's trunk do not apply to the names below it",
                    rules.join(", "),
                    "none".to_owned(),
                    "$null".to_owned(),
                );
            }
        }
    }
    found.extend(privacy(tenant, gateway, object));
    found.extend(places(tenant, gateway, object));
    found
}

/// What asks for privacy stands in every call over a trunk with ForwardPai, and in those of who hides over any other.
fn privacy(tenant: &Tenant, gateway: &Gateway<'_>, object: &Object) -> Option<Difference> {
    let (there, here) = (object.flag("ForwardPai")?, tenant.forward_pai);
    if there == here {
        return None;
    }
    let what = match there {
        true => "each call comes as that of somebody who hides, and `forward_pai` is off",
        false => "what a caller says of privacy is not heeded, as `forward_pai` is on",
    };
    // It may be right for the others below the same trunk.
    let fix = match there == gateway.forward_pai {
        true => Fix::Config {
            file: file_of(tenant),
            lines: format!("[caller]\nforward_pai = {there}"),
        },
        false => Fix::Powershell(format!(
            "Set-CsOnlinePSTNGateway -Identity {} -ForwardPai ${here}",
            quoted(name_of(object))
        )),
    };
    Some(Difference {
        weight: Weight::Breaks,
        subject: format!("gateway {}", name_of(object)),
        what: format!("ForwardPai: {what}"),
        there: capital(there),
        here: capital(here),
        fix,
    })
}

/// Without a mode and a site Teams never says where a user is (TEAMS-056).
fn places(tenant: &Tenant, gateway: &Gateway<'_>, object: &Object) -> Vec<Difference> {
    let Some(media) = &tenant.local_media else {
        return Vec::new();
    };
    let lacks = |property: &str| {
        let there = object.text(property).unwrap_or_default();
        object.has(property) && (there.is_empty() || there.eq_ignore_ascii_case("None"))
    };
    let lacking = [("BypassMode", "Always"), ("GatewaySiteId", "<site>")]
        .into_iter()
        .filter(|(property, _)| lacks(property));
    let difference = |(property, wanted): (&str, &str)| Difference {
        weight: Weight::Breaks,
        subject: format!("gateway {}", gateway.name),
        what: format!("{property}: Teams does not say who is inside, and nobody's media go to `local_media`"),
        there: "none".to_owned(),
        here: format!("local_media = \"{media}\""),
        fix: Fix::Powershell(format!(
            "Set-CsOnlinePSTNGateway -Identity {} -{property} '{wanted}'",
            quoted(name_of(object))
        )),
    };
    lacking.map(difference).collect()
}

/// A name below the base inherits all of the carrier's trunk, and we send no OPTIONS under it (TEAMS-024).
fn paired_itself(name: &str, base: &str) -> Difference {
    Difference {
        weight: Weight::Breaks,
        subject: format!("gateway {name}"),
        what: format!("is paired, and is a name below the trunk {base}: no OPTIONS come under it, so Teams avoids it"),
        there: "paired".to_owned(),
        here: "named in voice routes alone".to_owned(),
        fix: Fix::Powershell(format!("Remove-CsOnlinePSTNGateway -Identity {}", quoted(name))),
    }
}

fn unpaired(gateway: &Gateway<'_>) -> Difference {
    let name = gateway.name;
    let mut command = String::new();
    // A String takes everything.
    let _written = pair(&mut command, gateway);
    Difference {
        weight: Weight::Breaks,
        subject: format!("gateway {name}"),
        what: "is not paired".to_owned(),
        there: "missing".to_owned(),
        here: format!("{} at port {}", quoted(name.as_str()), gateway.port),
        fix: Fix::Powershell(command.trim_end().to_owned()),
    }
}

fn capital(flag: bool) -> String {
    if flag { "True" } else { "False" }.to_owned()
}
