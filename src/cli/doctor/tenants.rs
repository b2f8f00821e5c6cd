//! Tenants: whether Microsoft knows their trunks, and what it said of their calls.

use super::finding::{Check, Group, Needs, Verdict};
use super::weight::{Cases, newest};
use super::world::{PastCall, PeerSeen, World};
use crate::config::Tenant;
use std::collections::BTreeMap;

pub const CHECKS: &[Check] = &[
    Group::Tenants.check("tenants.route", Needs::Files, route),
    Group::Tenants.check("tenants.unpaired", Needs::Records, unpaired),
    Group::Tenants.check("tenants.endpoints", Needs::Records, endpoints),
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
pub(super) fn refused(
    world: &World,
    is_meant: impl Fn(&super::world::PastLeg) -> bool,
) -> BTreeMap<&str, (usize, &PastCall)> {
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

fn unpaired(world: &World) -> Vec<Verdict> {
    let says = |leg: &super::world::PastLeg| {
        let phrase = leg.reason_phrase.as_deref().unwrap_or_default().to_ascii_lowercase();
        phrase.contains("no trunk config") || phrase.contains("provided trunk fqdn")
    };
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
            format!(
                "Pair it with the commands of `portcullis teams powershell {tenant}`; the domain needs a licensed user before it is active, up \
                 to a day. A name of another tenant's is refused the same way."
            ),
        )
    };
    refused(world, says).into_iter().map(verdict).collect()
}

fn endpoints(world: &World) -> Vec<Verdict> {
    let says = |leg: &super::world::PastLeg| {
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

fn trunk(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    // Health tables call a trunk beside `base` "hub for trunk".
    let further = node
        .peers
        .iter()
        .filter(|peer| peer.peer.contains(" for ") && peer.trouble.is_some());
    let verdict = |peer: &PeerSeen| {
        let trunk = peer.peer.split_once(" for ").map_or("", |(_, trunk)| trunk);
        let whose = match world.config.sbc.teams.is_base(trunk) {
            true => "in the carrier's Microsoft tenant",
            false => "in the tenant",
        };
        Verdict::fail(
            format!("{}: {}", peer.peer, peer.trouble.as_deref().unwrap_or_default()),
            format!(
                "403 means that the trunk is not paired {whose}, or not active yet: `portcullis teams powershell TENANT`."
            ),
        )
    };
    further.map(verdict).collect()
}
