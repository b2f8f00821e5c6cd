//! OPTIONS: whether Teams sees the trunk as active, and why not.

use super::finding::{Check, Group, Needs, Verdict};
use super::peers::{AtHub, by_hub, hub_and_trunk};
use super::world::{Answered, NodeSeen, PeerSeen, World};
use crate::observe::printable;
use crate::teams::TeamsReason;
use crate::teams::catalogue::{CauseClass, Entry, Failure, Known, look_up};
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Group::Options.check("options.hubs", Needs::Files, hubs),
    Group::Options.check("options.interval", Needs::Files, interval),
    Group::Options.check("options.answer", Needs::Network, answer),
    Group::Options.check("options.region", Needs::Network, region),
    Group::Options.check("options.heard", Needs::Node, heard),
    Group::Options.check("options.health", Needs::Node, health),
];

/// Teams sends OPTIONS every minute: by then five were due.
const PATIENCE: u64 = 300;

fn hubs(world: &World) -> Vec<Verdict> {
    let teams = &world.config.sbc.teams;
    let names: Vec<&str> = teams.hubs.iter().map(|hub| hub.host.as_str()).collect();
    let published = teams.cloud.hubs().iter();
    let lacking: Vec<&str> = published.copied().filter(|name| !names.contains(name)).collect();
    if lacking.is_empty() {
        return Vec::new();
    }
    let evidence = format!(
        "`hubs` under [teams] is {}; not asked: {}",
        names.join(", "),
        lacking.join(", ")
    );
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::fail(
            evidence,
            "Take `hubs` out of [teams]: OPTIONS to all that Microsoft has, every minute; a region that hears none tries this trunk last, and the \
             dashboard shows it active and inactive.",
        )],
    }
}

fn interval(world: &World) -> Vec<Verdict> {
    let interval = world.config.sbc.teams.options_interval;
    if (Duration::from_secs(60)..=Duration::from_secs(180)).contains(&interval) {
        return Vec::new();
    }
    let evidence = format!("OPTIONS go every {} s", interval.as_secs_f64());
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::warn(
            evidence,
            "60 to 180 s (`options_interval` under [teams]).",
        )],
    }
}

fn explained(answer: &Answered) -> (String, String) {
    let reason = TeamsReason::among(&answer.reasons).unwrap_or_default();
    meant(Failure {
        status: Some(answer.status),
        code: None,
        cause: reason.cause,
        phrase: reason.phrase.as_deref(),
    })
}

/// What Teams meant, in a sentence and a cure.
pub(super) fn meant(failure: Failure<'_>) -> (String, String) {
    let status = failure.status.unwrap_or(0);
    let said = failure
        .phrase
        .map(|phrase| format!(" \"{phrase}\""))
        .unwrap_or_default();
    match known_as(failure) {
        Some(entry) => (format!("{status}{said}: {}", entry.meaning), entry.fix.to_owned()),
        None => (
            format!("{status}{said}"),
            format!("See `portcullis explain --sip {status}`."),
        ),
    }
}

/// The entry that it is: by its phrase, or the only one that Teams itself can have meant by the status.
pub(super) fn known_as(failure: Failure<'_>) -> Option<&'static Entry> {
    match look_up(failure) {
        Known::Exactly(entries) => entries.first().copied(),
        Known::OneOf(entries) => {
            let mut own = entries.into_iter().filter(|entry| entry.class != CauseClass::HandedOn);
            let entry = own.next();
            entry.filter(|_| own.next().is_none())
        }
        Known::Nothing => None,
    }
}

fn answer(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else { return Vec::new() };
    let reached = online.hubs.iter().filter(|hub| hub.connected.is_ok());
    let failed = reached.filter_map(|hub| match &hub.answer {
        Ok(answer) if (200..300).contains(&answer.status) => None,
        Ok(answer) => {
            let (evidence, fix) = explained(answer);
            Some(Verdict::fail(format!("{} answers OPTIONS with {evidence}", hub.peer), fix))
        }
        Err(why) => Some(Verdict::fail(
            format!("{} takes the connection and answers no OPTIONS: {why}", hub.peer),
            "Teams answers only trunks that it knows: pair it (`portcullis teams powershell TENANT`), with -Enabled $true. Is something \
             between that takes connections in its place?",
        )),
    });
    failed.collect()
}

/// Which datacentre answers: the word behind `i.` in Server (TEAMS-028).
fn region(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else {
        return Vec::new();
    };
    let verdict = |hub: &super::world::HubSeen| {
        let answer = hub.answer.as_ref().ok()?;
        let tls = hub.connected.as_ref().ok()?;
        let server = answer.server.as_deref()?;
        Some(Verdict::note(
            format!(
                "{} answers in {} ms over {tls}: {}",
                hub.peer,
                answer.milliseconds,
                printable(server)
            ),
            "The first hub is the nearest region: where it is not, name servers far away are asked (`dns.servers`).",
        ))
    };
    online.hubs.iter().filter_map(verdict).collect()
}

/// Whether a peer of health tables is one of the hubs: by itself, or for a further trunk.
fn is_hub(world: &World, peer: &str) -> bool {
    let (host, _) = hub_and_trunk(peer);
    world.config.sbc.teams.hubs.iter().any(|hub| hub.host.as_str() == host)
}

fn heard(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let hubs = || node.peers.iter().filter(|peer| is_hub(world, &peer.peer));
    let heard = hubs().filter_map(|peer| peer.heard_seconds_ago);
    let last = heard.chain(node.heard_elsewhere_seconds_ago).min();
    let is_late = last.is_none_or(|seconds| seconds > PATIENCE);
    let is_answered = hubs().any(|peer| peer.answered_seconds_ago.is_some_and(|seconds| seconds <= PATIENCE));
    if !is_late || !is_answered || node.up_seconds < PATIENCE {
        return Vec::new();
    }
    let teams = &world.config.sbc.teams;
    let port = world
        .config
        .sbc
        .listener(teams.listener)
        .map_or(5_061, |listener| listener.advertise_port);
    let bases: Vec<&str> = teams.bases().map(|base| base.as_str()).collect();
    let evidence = match last {
        None => format!(
            "received no OPTIONS from Teams in the {} minutes since the node began",
            node.up_seconds / 60
        ),
        Some(seconds) => format!("received no OPTIONS from Teams for {} minutes", seconds / 60),
    };
    vec![Verdict::fail(
        format!("{evidence}, although it answers ours"),
        format!(
            "Three causes: the firewall does not let Teams' ranges in to port {port}; public DNS does not lead {} to this node (dns.own); \
             -SipSignalingPort of the trunk is not {port}.",
            bases.join(", ")
        ),
    )]
}

fn health(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let down = node.peers.iter().filter(|peer| match hub_and_trunk(&peer.peer) {
        (_, None) => is_hub(world, &peer.peer) && is_wrong(peer),
        (_, Some(_)) => is_wrong(peer) && is_trouble_of_hub(node, peer),
    });
    let verdict = |at: AtHub<&PeerSeen>| {
        let named = at.named(world.config.sbc.teams.base.as_str());
        let why = at
            .seen
            .trouble
            .as_deref()
            .unwrap_or("it is held down after a failed call");
        let evidence = match at.seen.failures {
            0 => format!("the running node tries {named} last: {why}"),
            failures => format!("the running node has {failures} OPTIONS in a row to {named} in vain: {why}"),
        };
        Verdict::fail(evidence, SEE_HUB)
    };
    let by_hub = by_hub(down.map(|peer| (peer.peer.as_str(), peer.trouble.as_deref(), peer)));
    by_hub.into_iter().map(verdict).collect()
}

/// Where to look when a hub is not reached or not understood.
pub(super) const SEE_HUB: &str = "See net.hubs, tls.hub and options.answer.";

fn is_wrong(peer: &PeerSeen) -> bool {
    !peer.up || peer.trouble.is_some()
}

/// Whether what is wrong for a further trunk is wrong with the hub, for the node's own trunk as well. What a hub answers is a word about
/// the trunk that asks.
pub(super) fn is_trouble_of_hub(node: &NodeSeen, further: &PeerSeen) -> bool {
    let (hub, _) = hub_and_trunk(&further.peer);
    let mut peers = node.peers.iter();
    let own = peers.find(|peer| peer.peer == hub);
    own.is_some_and(|own| is_wrong(own) && !is_an_answer(own)) && !is_an_answer(further)
}

pub(super) fn is_an_answer(peer: &PeerSeen) -> bool {
    let trouble = peer.trouble.as_deref().unwrap_or_default();
    trouble.starts_with("it answers OPTIONS with")
}
