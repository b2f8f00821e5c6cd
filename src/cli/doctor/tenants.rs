//! Tenants: whether Microsoft knows their trunks, and what it said of their calls.

use super::finding::{Check, Group, Needs, Verdict};
use super::options::{SEE_HUB, is_an_answer, is_trouble_of_hub, known_as, meant};
use super::peers::hub_and_trunk;
use super::weight::{Cases, newest};
use super::world::{PastCall, PastLeg, PeerSeen, World};
use crate::config::Tenant;
use crate::teams::catalogue::{CauseClass, Failure};
use std::collections::{BTreeMap, BTreeSet};

pub const CHECKS: &[Check] = &[
    Group::Tenants.check("tenants.route", Needs::Files, route),
    Group::Tenants.check("tenants.unpaired", Needs::Records, unpaired),
    Group::Tenants.check("tenants.endpoints", Needs::Records, endpoints),
    Group::Tenants.check("tenants.refused", Needs::Records, otherwise_refused),
    Group::Tenants.check("tenants.trunk", Needs::Node, trunk),
];

/// Fewer calls than these show no pattern.
const FEW: usize = 3;

fn route(world: &World) -> Vec<Verdict> {
    let mut found = Vec::new();
    for tenant in world.config.tenants.iter() {
        if tenant.numbers.is_empty() {
            found.push(Verdict::note(
                format!("tenant '{}' has no numbers: nobody can call it", tenant.id),
                "Add [[numbers]] to its file.",
            ));
        }
    }
    found
}

/// Calls that Teams itself refused with such a phrase or class, by tenant; the last one stands for all.
pub(super) fn refused(world: &World, is_meant: impl Fn(&PastLeg) -> bool) -> BTreeMap<&str, (usize, &PastCall)> {
    let mut by_tenant = BTreeMap::new();
    for call in world.records.iter().flatten() {
        if call.answered_by("teams").any(&is_meant) {
            let (count, last) = by_tenant.entry(call.tenant.as_str()).or_insert((0, call));
            *count += 1;
            *last = call;
        }
    }
    by_tenant
}

/// The trunk name that a tenant's calls bear.
pub(super) fn key(world: &World, tenant: &str) -> String {
    let known: Option<&std::sync::Arc<Tenant>> = world.config.tenants.iter().find(|known| known.id.as_str() == tenant);
    known.map_or_else(
        || "a trunk that is not configured any more".to_owned(),
        |tenant| tenant.fqdn.to_string(),
    )
}

fn is_unpaired(leg: &PastLeg) -> bool {
    let phrase = leg.reason_phrase.as_deref().unwrap_or_default().to_ascii_lowercase();
    phrase.contains("no trunk config") || phrase.contains("provided trunk fqdn")
}

fn unpaired(world: &World) -> Vec<Verdict> {
    let verdict = |(tenant, (count, last)): (&str, (usize, &PastCall))| {
        let to_it = || world.records.iter().flatten().filter(|call| call.tenant == tenant);
        let taken = to_it().filter(|call| call.teams().any(|leg| leg.status == Some(200)));
        let cases = Cases {
            count,
            of: to_it().count(),
            last,
            worked: newest(taken),
        };
        cases.verdict(
            &format!(
                "Teams knows no trunk {} of tenant '{tenant}': {count} calls refused, the last of them {} (403, 510532)",
                key(world, tenant),
                last.named()
            ),
            unpaired_fix(world, tenant),
        )
    };
    refused(world, is_unpaired).into_iter().map(verdict).collect()
}

/// A name below a carrier trunk has no gateway of its own that could be paired.
fn unpaired_fix(world: &World, tenant: &str) -> String {
    let mut tenants = world.config.tenants.iter();
    let known = tenants.find(|known| known.id.as_str() == tenant);
    match known.and_then(|known| world.config.sbc.teams.base_of(&known.fqdn)) {
        Some(base) => format!(
            "It needs no gateway of its own: its domain is not verified in the customer's tenant, or not active yet (a licensed user with an \
             address in it, up to a day), or the carrier trunk {base} is not paired in the carrier's. `portcullis teams powershell {tenant}` \
             has the commands."
        ),
        None => format!(
            "Pair it with the commands of `portcullis teams powershell {tenant}`; the domain needs a licensed user before it is active, up \
             to a day. A name of another tenant's is refused the same way."
        ),
    }
}

fn endpoints(world: &World) -> Vec<Verdict> {
    let says = |leg: &PastLeg| {
        let phrase = leg.reason_phrase.as_deref().unwrap_or_default().to_ascii_lowercase();
        phrase.contains("no callee endpoints")
    };
    let answered = |tenant: &str| {
        let mut calls = world.records.iter().flatten();
        calls.any(|call| call.tenant == tenant && call.direction.ends_with("_to_teams") && call.status == 200)
    };
    let verdict = |(tenant, (count, last)): (&str, (usize, &PastCall))| {
        let evidence = format!(
            "\"No callee endpoints were found\" for {count} calls to tenant '{tenant}', the last of them {} (480, 10037)",
            last.named()
        );
        match count >= FEW && !answered(tenant) {
            true => Verdict::fail(
                format!("{evidence}; none was answered"),
                format!(
                    "Is {} registered in Azure Communication Services too? A name belongs to one of them. Else nobody is signed in.",
                    key(world, tenant)
                ),
            ),
            false => Verdict::note(
                evidence,
                "Those users are signed in nowhere; other calls to the tenant are answered.",
            ),
        }
    };
    refused(world, says).into_iter().map(verdict).collect()
}

/// What Teams refuses for the messages or the settings of this side, where no other check tells of it. A 503 is a hub's own trouble.
fn is_otherwise_refused(leg: &PastLeg) -> bool {
    const OURS: [CauseClass; 4] = [
        CauseClass::Protocol,
        CauseClass::Configuration,
        CauseClass::Service,
        CauseClass::Unknown,
    ];
    let class = leg.cause_class.as_deref().unwrap_or(CauseClass::Unknown.label());
    let is_refused = leg.status.is_some_and(|status| status >= 300 && status != 503);
    is_refused && OURS.iter().any(|ours| ours.label() == class) && !is_unpaired(leg)
}

/// A call, and its leg that Teams has refused.
type Refused<'w> = (&'w PastCall, &'w PastLeg);

/// By what it is: one cause is one finding, however many tenants it concerns.
fn otherwise_refused(world: &World) -> Vec<Verdict> {
    let mut by_cause: BTreeMap<(u16, Option<&str>), Vec<Refused<'_>>> = BTreeMap::new();
    for call in world.records.iter().flatten() {
        let mut refused = call.answered_by("teams").filter(|leg| is_otherwise_refused(leg));
        if let Some((leg, failure)) = refused.next().map(|leg| (leg, failure(leg))) {
            let title = known_as(failure).map(|entry| entry.title);
            by_cause
                .entry((leg.status.unwrap_or(0), title))
                .or_default()
                .push((call, leg));
        }
    }
    let answered = || {
        let calls = world.records.iter().flatten();
        calls.filter(|call| call.answered_by("teams").any(|leg| leg.status.is_some()))
    };
    let taken = |call: &&PastCall| call.answered_by("teams").any(|leg| leg.status == Some(200));
    let verdict = |calls: Vec<Refused<'_>>| {
        let (last, leg) = calls.last().copied()?;
        let cases = Cases {
            count: calls.len(),
            of: answered().count(),
            last,
            worked: newest(answered().filter(taken)),
        };
        let tenants: BTreeSet<&str> = calls.iter().map(|(call, _)| call.tenant.as_str()).collect();
        let (meaning, fix) = meant(failure(leg));
        Some(cases.verdict(
            &format!(
                "Teams refused {} of {} calls ({}), the last of them {}, with {meaning}",
                cases.count,
                cases.of,
                some_of("tenant", &tenants),
                last.named()
            ),
            fix,
        ))
    };
    by_cause.into_values().filter_map(verdict).collect()
}

fn failure(leg: &PastLeg) -> Failure<'_> {
    Failure {
        status: leg.status,
        phrase: leg.reason_phrase.as_deref(),
        ..Failure::default()
    }
}

/// The first few by name: `tenants 'a', 'b', 'c' and 4 more`.
fn some_of(what: &str, names: &BTreeSet<&str>) -> String {
    const MOST: usize = 3;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("'{name}'")).collect();
    let plural = if names.len() > 1 { "s" } else { "" };
    match names.len().saturating_sub(MOST) {
        0 => format!("{what}{plural} {}", shown.join(", ")),
        more => format!("{what}{plural} {} and {more} more", shown.join(", ")),
    }
}

fn trunk(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let further = node.peers.iter().filter_map(|peer| {
        let trunk = hub_and_trunk(&peer.peer).1?;
        let trouble = peer.trouble.as_deref()?;
        (!is_trouble_of_hub(node, peer)).then_some((trunk, trouble, peer))
    });
    // A trunk that is wrong is so for all hubs.
    let mut by_trunk: BTreeMap<(&str, &str), Vec<&PeerSeen>> = BTreeMap::new();
    for (trunk, trouble, peer) in further {
        by_trunk.entry((trunk, trouble)).or_default().push(peer);
    }
    let verdict = |((trunk, trouble), peers): ((&str, &str), Vec<&PeerSeen>)| {
        let hubs: Vec<&str> = peers.iter().map(|peer| hub_and_trunk(&peer.peer).0).collect();
        let is_answered = peers.first().is_some_and(|peer| is_an_answer(peer));
        Verdict::fail(
            format!("{trunk}: {trouble} ({})", hubs.join(", ")),
            trunk_fix(world, trunk, trouble, is_answered),
        )
    };
    by_trunk.into_iter().map(verdict).collect()
}

/// What fits the evidence: only a hub that answers has said anything about the trunk.
fn trunk_fix(world: &World, trunk: &str, trouble: &str, is_answered: bool) -> String {
    let whose = match world.config.sbc.teams.is_base(trunk) {
        true => "in the carrier's Microsoft tenant",
        false => "in the tenant",
    };
    match is_answered {
        true if trouble.ends_with(" 403") => format!(
            "403 means that the trunk is not paired {whose}, or not active yet: `portcullis teams powershell TENANT`. Where the certificate does \
             not bear the name it is refused so too: tls.names."
        ),
        true => "See options.answer.".to_owned(),
        false => format!(
            "{SEE_HUB} Where the same hubs answer for other trunks, it is the certificate that is shown for this one: see tls.names, tls.root and \
             tls.chain."
        ),
    }
}
