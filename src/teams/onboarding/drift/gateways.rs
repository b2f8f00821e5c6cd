//! The pairing of the trunk: `Get-CsOnlinePSTNGateway`.

use super::super::powershell::{gateway, quoted};
use super::super::{Trunk, signaling_port};
use super::export::Object;
use super::{Difference, Fix, Weight};
use crate::config::{Config, Tenant, TenantFqdn};

/// Answered with one of these, Teams tries the next trunk; a list that leaves one out drops that (section 9.1).
const FAILOVER: [&str; 3] = ["408", "503", "504"];
/// Shorter than this is shorter than many carriers take to ring.
const FAILOVER_SECONDS: u64 = 20;
const TRANSLATIONS: [&str; 4] = [
    "InboundTeamsNumberTranslationRules",
    "InboundPstnNumberTranslationRules",
    "OutboundTeamsNumberTranslationRules",
    "OutboundPstnNumberTranslationRules",
];

pub(super) fn compare(config: &Config, tenant: &Tenant, gateways: &[Object]) -> Vec<Difference> {
    let trunk = Trunk::of(config, tenant);
    let mut found = Vec::new();
    let mut ours = None;
    for object in gateways {
        let name = name_of(object);
        let is = |known: &TenantFqdn| name.eq_ignore_ascii_case(known.as_str());
        match trunk {
            Trunk::Derived(base) if is(&tenant.fqdn) => found.push(paired_itself(name, base.as_str())),
            Trunk::Derived(base) if is(base) => ours = Some(object),
            Trunk::Own if is(&tenant.fqdn) => ours = Some(object),
            _ => {}
        }
    }
    match ours {
        Some(object) => found.extend(settings(config, tenant, trunk, object)),
        // The carrier's trunk stands in the carrier's tenant, so an output of the customer's has none.
        None if gateways.is_empty() || trunk.base().is_some() => {}
        None => found.push(unpaired(config, tenant)),
    }
    found
}

/// Which of the gateways are compared with something: those of our names, and names below the base that must be none.
pub(super) fn met<'a>(
    config: &'a Config,
    tenant: &'a Tenant,
    gateways: &'a [Object],
) -> impl Iterator<Item = &'a Object> {
    let names = Trunk::of(config, tenant).base().into_iter().chain([&tenant.fqdn]);
    gateways.iter().filter(move |object| {
        let mut names = names.clone();
        names.any(|name| name_of(object).eq_ignore_ascii_case(name.as_str()))
    })
}

/// The trunk whose pairing would be compared, where it is in none of these.
pub(super) fn absent<'a>(config: &'a Config, tenant: &'a Tenant, gateways: &[Object]) -> Option<&'a str> {
    // Where one of its own is missing, that is a difference.
    let name = Trunk::of(config, tenant).base()?.as_str();
    let has_it = gateways.iter().any(|object| name_of(object).eq_ignore_ascii_case(name));
    (!has_it && !gateways.is_empty()).then_some(name)
}

fn name_of(object: &Object) -> &str {
    object
        .text("Fqdn")
        .or_else(|| object.text("Identity"))
        .unwrap_or_default()
}

fn settings(config: &Config, tenant: &Tenant, trunk: Trunk<'_>, object: &Object) -> Vec<Difference> {
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
    let port = u64::from(signaling_port(config));
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
        tenant.bypasses(&config.sbc.teams),
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
    if let Some(there) = object.text("FailoverResponseCodes") {
        let is_code = |code: &&str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
        let listed: Vec<&str> = there.split([',', ' ']).filter(is_code).collect();
        let missing: Vec<&str> = FAILOVER.into_iter().filter(|code| !listed.contains(code)).collect();
        if !missing.is_empty() {
            let mut wanted: Vec<&str> = listed.into_iter().chain(missing).collect();
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
    let family = if config.sbc.media_of(config.sbc.teams.listener).advertise.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    };
    if let Some(there) = object
        .text("IPAddressVersion")
        .filter(|there| !there.eq_ignore_ascii_case(family))
    {
        differs(
            Weight::Breaks,
            "IPAddressVersion",
            "our addresses are of the other family",
            there.to_owned(),
            family.to_owned(),
            format!("\"{family}\""),
        );
    }
    // The carrier's trunk is for all tenants: no one's limit is its own.
    if let Some(calls) = tenant.limits.calls.filter(|_| trunk == Trunk::Own) {
        let calls = u64::from(calls);
        if let Some(there) = object.number("MaxConcurrentSessions").filter(|there| *there != calls) {
            differs(
                Weight::Note,
                "MaxConcurrentSessions",
                "the admin centre warns at another number of calls than [limits] calls allows",
                there.to_string(),
                calls.to_string(),
                calls.to_string(),
            );
        }
    }
    if trunk != Trunk::Own {
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
    found
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

fn unpaired(config: &Config, tenant: &Tenant) -> Difference {
    let mut command = String::new();
    // A String takes everything.
    let _written = gateway(&mut command, config, tenant.fqdn.as_str(), Some(tenant));
    Difference {
        weight: Weight::Breaks,
        subject: format!("gateway {}", tenant.fqdn),
        what: "is not paired".to_owned(),
        there: "missing".to_owned(),
        here: format!("{} at port {}", quoted(tenant.fqdn.as_str()), signaling_port(config)),
        fix: Fix::Powershell(command.trim_end().to_owned()),
    }
}

fn capital(flag: bool) -> String {
    if flag { "True" } else { "False" }.to_owned()
}
