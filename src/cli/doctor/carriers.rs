//! Carriers: how fast they ring, what they retry, and what their callers hear.

use super::finding::{Check, Group, Needs, Verdict};
use super::rehearsal::Scene;
use super::world::{PastCall, World};
use std::collections::{BTreeMap, HashMap};

pub const CHECKS: &[Check] = &[
    Group::Carriers.check("carriers.ringback", Needs::CallToTeams, ringback),
    Group::Carriers.check("carriers.retries", Needs::Records, retries),
    Group::Carriers.check("carriers.slow", Needs::Records, slow),
    Group::Carriers.check("carriers.health", Needs::Node, health),
];

/// Teams gives a trunk up that has not rung by then (FailoverTimeSeconds).
const FAILOVER_MS: u64 = 10_000;
/// The same call again, so soon after a "no", is no human's.
const AGAIN_MS: u64 = 15_000;

/// A user's "no" (TEAMS-064).
const fn is_final(status: u16) -> bool {
    matches!(status, 486 | 487 | 600..=699)
}

/// Whoever heard a 180 rings by itself until a description comes, which may be silent (TEAMS-062).
fn ringback(world: &World) -> Vec<Verdict> {
    let Ok(rehearsal) = &world.to_teams else {
        return Vec::new();
    };
    let to_carrier = |scene, status, with_sdp: bool| {
        let mut said = rehearsal.of(scene).filter(|said| !said.to_teams);
        said.any(|said| said.message.status() == Some(status) && said.message.body().is_empty() != with_sdp)
    };
    let rang = to_carrier(Scene::Ring, 180, false);
    let silenced = to_carrier(Scene::EarlyMedia, 183, true) || to_carrier(Scene::EarlyMedia, 180, true);
    if !(rang && silenced) {
        return Vec::new();
    }
    vec![Verdict::note(
        "a carrier hears 180, and then the description of a 183 with which Teams may send nothing yet: some stop their ringing tone there",
        "Where callers hear silence, leave `ringing` of the carrier at \"media\", or say \"tone\" or \"plain\".",
    )]
}

fn retries(world: &World) -> Vec<Verdict> {
    let mut said_no: HashMap<(&str, &str, &str), &PastCall> = HashMap::new();
    let mut again: BTreeMap<&str, (usize, &PastCall, u16)> = BTreeMap::new();
    for call in world.records.iter().flatten() {
        let Some(carrier) = call.carrier.as_deref() else {
            continue;
        };
        if !call.direction.ends_with("_to_teams") {
            continue;
        }
        let key = (carrier, call.from.as_str(), call.to.as_str());
        if let Some(before) = said_no.get(&key)
            && call.began_ms.saturating_sub(before.began_ms) <= AGAIN_MS + before.ringing_after_ms.unwrap_or(0)
        {
            let entry = again.entry(carrier).or_insert((0, call, before.status));
            *entry = (entry.0 + 1, call, before.status);
        }
        match is_final(call.status) && call.status != 487 {
            true => said_no.insert(key, call),
            false => said_no.remove(&key),
        };
    }
    let verdict = |(carrier, (count, last, status)): (&str, (usize, &PastCall, u16))| {
        Verdict::fail(
            format!(
                "carrier '{carrier}' sent {count} calls again at once that Teams had ended with {status}, the last of them {}",
                last.named()
            ),
            "Users see missed calls, and phones ring on after a decline. Let the carrier take 486 and 603 as final; it is told Q.850 cause 17 \
             with 486.",
        )
    };
    again.into_iter().map(verdict).collect()
}

fn slow(world: &World) -> Vec<Verdict> {
    let mut by_carrier: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for call in world.records.iter().flatten() {
        if let (Some(carrier), true) = (call.carrier.as_deref(), call.direction == "teams_to_carrier") {
            by_carrier.entry(carrier).or_default().extend(call.ringing_after_ms);
        }
    }
    let mut found = Vec::new();
    for (carrier, mut delays) in by_carrier {
        delays.sort_unstable();
        let late = delays.iter().filter(|delay| **delay > FAILOVER_MS).count();
        let Some(median) = delays.get(delays.len() / 2).filter(|_| late > 0) else {
            continue;
        };
        found.push(Verdict::warn(
            format!(
                "carrier '{carrier}' rang after more than 10 s in {late} of {} calls (half of them within {:.1} s): Teams gives such calls up \
                 (408, 500001)",
                delays.len(),
                *median as f64 / 1_000.0
            ),
            "Set -FailoverTimeSeconds 20 on the trunk, and ask the carrier.",
        ));
    }
    found
}

fn health(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let is_carrier = |name: &str| {
        let mut carriers = world.config.sbc.carriers.iter();
        name.split_once('/')
            .is_some_and(|(id, _)| carriers.any(|carrier| carrier.id.as_str() == id))
    };
    let down = node.peers.iter().filter(|peer| !peer.up && is_carrier(&peer.peer));
    let verdict = |peer: &super::world::PeerSeen| {
        Verdict::warn(
            format!(
                "gateway {} is down: {}",
                peer.peer,
                peer.trouble.as_deref().unwrap_or("it is held down after a failed call")
            ),
            "Calls take the next gateway; ask the carrier, and look at the firewall.",
        )
    };
    down.map(verdict).collect()
}
