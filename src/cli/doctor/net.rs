//! Addresses, ports and firewalls.

use super::finding::{Check, Group, Needs, Verdict};
use super::peers::{AtHub, by_hub};
use super::world::World;

pub const CHECKS: &[Check] = &[
    Group::Net.check("net.networks", Needs::Files, networks),
    Group::Net.check("net.port", Needs::Files, port),
    Group::Net.check("net.listener", Needs::Network, listener),
    Group::Net.check("net.hubs", Needs::Network, hubs),
];

fn networks(world: &World) -> Vec<Verdict> {
    let teams = &world.config.sbc.teams;
    let allowed = &teams.networks;
    let lacking: Vec<String> = teams
        .cloud
        .signalling()
        .into_iter()
        .filter(|published| !allowed.iter().any(|network| network.covers(*published)))
        .map(|published| published.to_string())
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
    if let Some(port) = teams.cloud.port().filter(|port| listener.advertise_port != *port) {
        found.push(Verdict::fail(
            format!(
                "Teams is told port {}, and in this cloud it calls port {port} alone",
                listener.advertise_port
            ),
            format!("Listen on {port}."),
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
        (label == "connect" && hub.addresses.is_ok()).then_some((hub.peer.as_str(), (), why))
    });
    let verdict = |at: AtHub<&String>| {
        Verdict::fail(
            format!(
                "{} can't be reached: {}",
                at.named(world.config.sbc.teams.base.as_str()),
                at.seen
            ),
            "Let the firewall open connections from this machine to Teams' ranges, TCP port 5061.",
        )
    };
    by_hub(failed).into_iter().map(verdict).collect()
}
