//! The way of calls out of Teams: `Get-CsOnlineVoiceRoute`.

use super::super::powershell::{quoted, route, route_label};
use super::export::Object;
use super::{Difference, Fix, Weight};
use crate::config::{Config, Tenant, TenantFqdn};

pub(super) fn compare(config: &Config, tenant: &Tenant, routes: &[Object]) -> Vec<Difference> {
    let (mut found, mut is_added) = (Vec::new(), false);
    for object in routes {
        let trunks = object.list("OnlinePstnGatewayList");
        if trunks.iter().any(|name| is_below(config, name)) {
            let of_route = strangers(config, tenant, object, &trunks);
            // What puts the trunk in a stranger's place mends that it stands in none.
            let adds = |one: &Difference| matches!(&one.fix, Fix::Powershell(command) if command.contains("@{Add="));
            is_added |= of_route.iter().any(adds);
            found.extend(of_route);
            found.extend(terms(tenant, object, routes));
        }
    }
    let in_a_route = |name: &str| {
        let lists = |object: &Object| {
            let mut trunks = object.list("OnlinePstnGatewayList").into_iter();
            trunks.any(|listed| listed.eq_ignore_ascii_case(name))
        };
        routes.iter().any(lists)
    };
    let own_is_routed = in_a_route(tenant.fqdn.as_str());
    let is_to_be = |name: &TenantFqdn| is_added && *name == tenant.fqdn;
    let missing = |name: &&TenantFqdn| !in_a_route(name.as_str()) && !is_to_be(name);
    for name in tenant.trunks().filter(missing) {
        found.push(unrouted(tenant, name.as_str(), own_is_routed, routes));
    }
    found
}

/// Trunks in routes that are not of this node.
pub(super) fn foreign<'a>(config: &'a Config, routes: &'a [Object]) -> impl Iterator<Item = &'a str> {
    let all = routes.iter().flat_map(|object| object.list("OnlinePstnGatewayList"));
    all.filter(|name| !is_below(config, name))
}

/// A name of ours, or one below it.
fn is_below(config: &Config, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_of = |base: &TenantFqdn| {
        let rest = lower.strip_suffix(base.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    config.sbc.teams.bases().any(is_of) || config.tenant_by_host(name).is_some()
}

/// One label below a carrier trunk.
fn is_derived(config: &Config, name: &str) -> bool {
    TenantFqdn::parse(name).is_ok_and(|name| config.sbc.teams.base_of(&name).is_some())
}

/// Names in a route whose calls we would refuse, or take for somebody else's.
fn strangers(config: &Config, tenant: &Tenant, object: &Object, trunks: &[&str]) -> Vec<Difference> {
    let label = object.text("Identity").unwrap_or_default();
    let subject = format!("voice route {label}");
    let mut found = Vec::new();
    // The tenant's trunk is put into the route once.
    let has_own = trunks
        .iter()
        .any(|name| name.eq_ignore_ascii_case(tenant.fqdn.as_str()));
    let mut adds = Some(format!("Add={}; ", quoted(tenant.fqdn.as_str()))).filter(|_| !has_own);
    for name in trunks.iter().filter(|name| is_below(config, name)) {
        let owner = config.tenant_by_host(name);
        let mut replaced = || {
            Fix::Powershell(format!(
                "Set-CsOnlineVoiceRoute -Identity {} -OnlinePstnGatewayList @{{{}Remove={}}}",
                quoted(label),
                adds.take().unwrap_or_default(),
                quoted(name)
            ))
        };
        let (what, here, fix) = match owner {
            Some(owner) if owner.id == tenant.id => continue,
            Some(owner) => (
                format!(
                    "{name} is the trunk of tenant {}: calls would be taken for its calls",
                    owner.id
                ),
                tenant.fqdn.to_string(),
                replaced(),
            ),
            None if config.sbc.teams.is_base(name) => (
                format!("{name} is the carrier's trunk, which has no users: calls to it are refused"),
                tenant.fqdn.to_string(),
                replaced(),
            ),
            None => {
                let what = format!("{name} is no tenant's trunk: calls to it are refused");
                // Teams takes only names in routes that are verified in their tenant, so one that derives is its own. Deeper ones
                // inherit nothing, and no wildcard covers them (TEAMS-024).
                match is_derived(config, name) {
                    true => (
                        what,
                        "missing".to_owned(),
                        Fix::Config {
                            file: super::file_of(tenant),
                            lines: format!("aliases = [{}]", aliases(tenant, name)),
                        },
                    ),
                    false => (what, tenant.fqdn.to_string(), replaced()),
                }
            }
        };
        found.push(Difference {
            weight: Weight::Breaks,
            subject: subject.clone(),
            what,
            there: (*name).to_owned(),
            here,
            fix,
        });
    }
    found
}

/// Whether anybody can use the route at all.
fn terms(tenant: &Tenant, object: &Object, routes: &[Object]) -> Vec<Difference> {
    let label = object.text("Identity").unwrap_or_default();
    let subject = format!("voice route {label}");
    let mut found = Vec::new();
    if object.list("OnlinePstnUsages").is_empty() {
        let wanted = route_label(tenant);
        let usage = quoted(&wanted);
        let has_it = |object: &Object| {
            let mut usages = object.list("OnlinePstnUsages").into_iter();
            usages.any(|usage| usage.eq_ignore_ascii_case(&wanted))
        };
        // One that no route has may not exist.
        let made = match routes.iter().any(has_it) {
            true => String::new(),
            false => format!("Set-CsOnlinePstnUsage -Identity Global -Usage @{{Add={usage}}}\n"),
        };
        found.push(Difference {
            weight: Weight::Breaks,
            subject: subject.clone(),
            what: "has no usage, so that no routing policy leads to it".to_owned(),
            there: "none".to_owned(),
            here: route_label(tenant),
            fix: Fix::Powershell(format!(
                "{made}Set-CsOnlineVoiceRoute -Identity {} -OnlinePstnUsages @{{Add={usage}}}",
                quoted(label)
            )),
        });
    }
    let pattern = object.text("NumberPattern").unwrap_or_default();
    if !pattern.is_ascii() {
        let plain: String = pattern.chars().filter(char::is_ascii).collect();
        found.push(Difference {
            weight: Weight::Breaks,
            subject,
            what: "its number pattern has characters that no number has, such as a word processor leaves".to_owned(),
            there: told(pattern),
            here: plain.clone(),
            fix: Fix::Powershell(format!(
                "Set-CsOnlineVoiceRoute -Identity {} -NumberPattern {}",
                quoted(label),
                quoted(&plain)
            )),
        });
    }
    found
}

/// With what no eye sees written out.
fn told(pattern: &str) -> String {
    let mut text = String::new();
    for letter in pattern.chars() {
        match letter.is_ascii() {
            true => text.push(letter),
            false => text.extend(letter.escape_unicode()),
        }
    }
    text
}

fn unrouted(tenant: &Tenant, name: &str, own_is_routed: bool, routes: &[Object]) -> Difference {
    let label = route_label(tenant);
    let ours = |object: &&Object| {
        object
            .text("Identity")
            .is_some_and(|identity| identity.eq_ignore_ascii_case(&label))
    };
    let command = match routes.iter().find(ours) {
        Some(_) => format!(
            "Set-CsOnlineVoiceRoute -Identity {} -OnlinePstnGatewayList @{{Add={}}}",
            quoted(&label),
            quoted(name)
        ),
        None => {
            let mut command = String::new();
            // A String takes everything.
            let _written = route(&mut command, tenant);
            command.trim_end().to_owned()
        }
    };
    // A list that PowerShell cut may have it after all.
    let cut = routes.iter().any(|object| object.is_cut("OnlinePstnGatewayList"));
    Difference {
        weight: if cut || own_is_routed {
            Weight::Note
        } else {
            Weight::Breaks
        },
        subject: format!("trunk {name}"),
        what: match (cut, own_is_routed) {
            (true, _) => {
                "stands in no route as far as can be seen: lists are cut short, set $FormatEnumerationLimit = -1"
                    .to_owned()
            }
            (false, true) => format!(
                "stands in no voice route: calls out of Teams come to {} instead",
                tenant.fqdn
            ),
            (false, false) => "stands in no voice route: no call out of Teams comes to it".to_owned(),
        },
        there: "missing".to_owned(),
        here: label,
        fix: Fix::Powershell(command),
    }
}

fn aliases(tenant: &Tenant, more: &str) -> String {
    let all = tenant.aliases.iter().map(|name| name.as_str()).chain([more]);
    let quoted: Vec<String> = all.map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}
