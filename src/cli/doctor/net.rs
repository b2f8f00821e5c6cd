//! Addresses, ports and firewalls.

use super::finding::{Check, Group, Needs, Verdict};
use super::world::World;
use crate::config::Network;

pub const CHECKS: &[Check] = &[
    Group::Net.check("net.networks", Needs::Files, networks),
    Group::Net.check("net.port", Needs::Files, port),
    Group::Net.check("net.listener", Needs::Network, listener),
    Group::Net.check("net.hubs", Needs::Network, hubs),
];

/// Where Teams signals from, by cloud: network and prefix (section 1.1 of the published ranges).
const COMMERCIAL: [(&str, u8); 2] = [("52.112.0.0", 14), ("52.122.0.0", 15)];
const GCC_HIGH: [(&str, u8); 1] = [("52.127.88.0", 21)];
const DOD: [(&str, u8); 1] = [("52.127.64.0", 21)];
const SIPS_PORT: u16 = 5_061;

fn has_hub(world: &World, ending: &str) -> bool {
    let mut hubs = world.config.sbc.teams.hubs.iter();
    hubs.any(|hub| hub.host.as_str().to_ascii_lowercase().ends_with(ending))
}

fn published(world: &World) -> Vec<(&'static str, u8)> {
    let mut wanted = Vec::new();
    if has_hub(world, ".dod.teams.microsoft.us") {
        wanted.extend(DOD);
    }
    if has_hub(world, ".gov.teams.microsoft.us") {
        wanted.extend(GCC_HIGH);
    }
    if wanted.is_empty() {
        wanted.extend(COMMERCIAL);
    }
    wanted
}

fn networks(world: &World) -> Vec<Verdict> {
    let allowed = &world.config.sbc.teams.networks;
    let holds = |network: &Network, base: &str, prefix: u8| {
        network.prefix() <= prefix && base.parse().is_ok_and(|base| network.contains(base))
    };
    let lacking: Vec<String> = published(world)
        .into_iter()
        .filter(|(base, prefix)| !allowed.iter().any(|network| holds(network, base, *prefix)))
        .map(|(base, prefix)| format!("{base}/{prefix}"))
        .collect();
    if lacking.is_empty() {
        return Vec::new();
    }
    let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let evidence = format!(
        "`networks` under [teams] is {}, and Teams also calls from {}",
        list.join(", "),
        lacking.join(", ")
    );
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::fail(
            evidence,
            "Take `networks` out of [teams]: the published ranges are built in. Calls come from addresses that no name leads to; a list \
             of looked-up ones loses about one call in four. The firewall needs the same ranges.",
        )],
    }
}

fn port(world: &World) -> Vec<Verdict> {
    let teams = &world.config.sbc.teams;
    let Some(listener) = world.config.sbc.listener(teams.listener) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let is_government = has_hub(world, ".teams.microsoft.us");
    if is_government && listener.advertise_port != SIPS_PORT {
        found.push(Verdict::fail(
            format!(
                "Teams is told port {}, and in this cloud it calls port 5061 alone",
                listener.advertise_port
            ),
            "Listen on 5061.",
        ));
    }
    if listener.advertise_port != listener.bind.port() && !world.is_laboratory() {
        found.push(Verdict::note(
            format!(
                "the Teams listener is bound to port {}, and Teams is told {}",
                listener.bind.port(),
                listener.advertise_port
            ),
            format!(
                "The firewall has to lead {} to {}, and -SipSignalingPort of the trunk is {}.",
                listener.advertise_port,
                listener.bind.port(),
                listener.advertise_port
            ),
        ));
    }
    found
}

fn listener(world: &World) -> Vec<Verdict> {
    let failed = world.online.as_ref().and_then(|online| online.listener.as_ref().err());
    let verdict = failed.map(|why| {
        Verdict::fail(
            format!("nobody can be reached where the Teams listener should be: {why}"),
            "Start `portcullis run`, or look at what its log says of the listener.",
        )
    });
    verdict.into_iter().collect()
}

fn hubs(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else { return Vec::new() };
    let failed = online.hubs.iter().filter_map(|hub| {
        let (label, why) = hub.connected.as_ref().err()?;
        let blocked = matches!(label.as_str(), "connect" | "timeout");
        (blocked && hub.addresses.is_ok()).then(|| {
            Verdict::fail(
                format!("{} can't be reached: {why}", hub.peer),
                "Let the firewall open connections from this machine to Teams' ranges, TCP port 5061.",
            )
        })
    });
    failed.collect()
}
