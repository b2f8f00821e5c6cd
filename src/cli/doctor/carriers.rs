//! Carriers: how fast they ring, what they retry, and what their callers hear.

use super::finding::{Check, Group, Needs, Verdict};
use super::rehearsal::{Rehearsal, Scene};
use super::weight::{Cases, newest};
use super::world::{PastCall, World};
use crate::config::CarrierId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub const CHECKS: &[Check] = &[
    Group::Carriers.check("carriers.ringback", Needs::CallToTeams, ringback),
    Group::Carriers.check("carriers.retries", Needs::Records, retries),
    Group::Carriers.check("carriers.refused", Needs::Records, refused),
    Group::Carriers.check("carriers.slow", Needs::Records, slow),
    Group::Carriers.check("carriers.health", Needs::Node, health),
];

/// Teams gives a trunk up that has not rung by then (FailoverTimeSeconds).
const FAILOVER_MS: u64 = 10_000;
/// The same call again, so soon after a "no", is hardly a human's.
const AT_ONCE_MS: u64 = 5_000;

/// What a carrier refuses by, whoever is called.
const FORBIDDEN: u16 = 403;

/// A user's "no" (TEAMS-064).
const fn is_final(status: u16) -> bool {
    matches!(status, 486 | 600..=699)
}

/// Whoever heard a 180 rings by itself until a description comes, which may be silent (TEAMS-062).
fn ringback(world: &World) -> Vec<Verdict> {
    let falls_silent = |rehearsal: &&Rehearsal| {
        let to_carrier = |scene, status, with_sdp: bool| {
            let mut said = rehearsal.of(scene).filter(|said| !said.to_teams);
            said.any(|said| said.message.status() == Some(status) && said.message.body().is_empty() != with_sdp)
        };
        let rang = to_carrier(Scene::Ring, 180, false);
        let described = to_carrier(Scene::EarlyMedia, 183, true) || to_carrier(Scene::EarlyMedia, 180, true);
        rang && described && !rehearsal.rings_back
    };
    // Tenants of several kinds are called by the same carriers.
    let carriers: BTreeSet<&str> = world
        .rehearsals()
        .filter(falls_silent)
        .flat_map(|rehearsal| rehearsal.carriers.iter().map(CarrierId::as_str))
        .collect();
    let verdict = |carrier: &str| {
        Verdict::warn(
            format!(
                "carrier '{carrier}' hears 180, and then the description of a 183 with which Teams may send nothing yet: some stop their ringing \
                 tone there, and callers hear silence"
            ),
            "Leave `ringing` of the carrier at \"media\", or say \"tone\" or \"plain\".",
        )
    };
    carriers.into_iter().map(verdict).collect()
}

fn retries(world: &World) -> Vec<Verdict> {
    let mut by_carrier: BTreeMap<&str, Vec<&PastCall>> = BTreeMap::new();
    for call in world.records.iter().flatten() {
        if let (Some(carrier), true) = (call.carrier.as_deref(), call.direction.ends_with("_to_teams")) {
            by_carrier.entry(carrier).or_default().push(call);
        }
    }
    let of_carrier = |(carrier, calls)| retries_of(carrier, calls);
    by_carrier.into_iter().filter_map(of_carrier).collect()
}

/// `calls`: in the order of their ends.
fn retries_of(carrier: &str, calls: Vec<&PastCall>) -> Option<Verdict> {
    let mut said_no: HashMap<(&str, &str), &PastCall> = HashMap::new();
    let (mut refused, mut again, mut let_be) = (0, Vec::new(), Vec::new());
    for call in calls {
        let key = (call.from.as_str(), call.to.as_str());
        if let Some(before) = said_no.remove(&key) {
            // One that began before the other's end was no repetition of it.
            let after = call.began_ms.checked_sub(before.ended_ms);
            match after.is_some_and(|span| span <= AT_ONCE_MS) {
                true => again.push((call, before.status)),
                false => let_be.push(before),
            }
        }
        if is_final(call.status) {
            refused += 1;
            said_no.insert(key, call);
        }
    }
    let (last, status) = again.last().copied()?;
    let cases = Cases {
        count: again.len(),
        of: refused,
        last,
        worked: newest(let_be.into_iter().chain(said_no.into_values())),
    };
    let evidence = format!(
        "of {refused} calls that Teams had ended with a user's \"no\" carrier '{carrier}' sent {} again within {} s, the last of them, after a \
         {status}, {}",
        again.len(),
        AT_ONCE_MS / 1_000,
        last.named()
    );
    Some(cases.of_habit(
        &evidence,
        "Users see missed calls, and phones ring on after a decline. Let the carrier take 486 and 603 as final; it is told Q.850 cause 17 with \
         486.",
    ))
}

/// Calls that one carrier has answered itself, each with the status, in the order of their ends.
#[derive(Default)]
pub(super) struct Answers<'a>(Vec<(&'a PastCall, u16)>);

impl<'a> Answers<'a> {
    /// Those with such a status among them.
    pub fn cases(&self, is_meant: impl Fn(u16) -> bool) -> Option<Cases<'a>> {
        let with = |is_it: &dyn Fn(u16) -> bool| -> Vec<&'a PastCall> {
            let answers = self.0.iter().filter(|(_, status)| is_it(*status));
            answers.map(|(call, _)| *call).collect()
        };
        let meant = with(&is_meant);
        Some(Cases {
            count: meant.len(),
            of: self.0.len(),
            last: meant.last()?,
            worked: newest(with(&|status| status == 200).into_iter()),
        })
    }
}

/// By carrier.
pub(super) fn answers_of_carriers(world: &World) -> BTreeMap<&str, Answers<'_>> {
    let mut by_carrier: BTreeMap<&str, Answers> = BTreeMap::new();
    for call in world.records.iter().flatten() {
        for leg in call.answered_by("carrier") {
            if let (Some(carrier), Some(status)) = (leg.carrier(), leg.status) {
                by_carrier.entry(carrier).or_default().0.push((call, status));
            }
        }
    }
    by_carrier
}

/// A number that is barred is one of many; an account, or the caller's number, is all of them.
fn refused(world: &World) -> Vec<Verdict> {
    let by_carrier = answers_of_carriers(world).into_iter();
    let verdict = |(carrier, answers): (&str, Answers)| {
        let cases = answers.cases(|status| status == FORBIDDEN)?;
        let evidence = format!(
            "carrier '{carrier}' refused {} of {} calls with {FORBIDDEN}, the last of them {}, to {}",
            cases.count,
            cases.of,
            cases.last.named(),
            cases.last.to
        );
        Some(cases.of_habit(
            &evidence,
            "Ask it why: it may not take the number that the caller is shown as (`portcullis explain` shows what is sent), bar the \
             destination, or not know this address.",
        ))
    };
    by_carrier.filter_map(verdict).collect()
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
