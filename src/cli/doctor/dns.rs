//! Names: where ours lead, and where the hubs' do.

use super::finding::{Check, Group, Needs, Verdict};
use super::world::World;
use crate::teams::onboarding::signaling_address;
use std::net::IpAddr;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Group::Dns.check("dns.pinned", Needs::Files, pinned),
    Group::Dns.check("dns.ttl", Needs::Files, ttl),
    Group::Dns.check("dns.own", Needs::Network, own),
    Group::Dns.check("dns.hubs", Needs::Network, hubs),
];

/// No answer may be believed for longer (TEAMS-019).
const LONGEST: Duration = Duration::from_secs(15 * 60);

fn pinned(world: &World) -> Vec<Verdict> {
    let sbc = &world.config.sbc;
    let pinned = sbc.teams.hubs.iter().filter_map(|hub| {
        let addresses = sbc.dns.hosts.get(&hub.host)?;
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Some(format!("{} = {}", hub.host, addresses.join(", ")))
    });
    let pinned: Vec<String> = pinned.collect();
    if pinned.is_empty() {
        return Vec::new();
    }
    let evidence = format!("hubs are pinned to addresses under [dns.hosts]: {}", pinned.join("; "));
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::fail(
            evidence,
            "Take them out: Microsoft's addresses change in every maintenance, and the trunk turns active and inactive.",
        )],
    }
}

fn ttl(world: &World) -> Vec<Verdict> {
    let ceiling = world.config.sbc.dns.ttl_ceiling;
    if ceiling <= LONGEST {
        return Vec::new();
    }
    vec![Verdict::warn(
        format!(
            "answers of name servers are believed for {} s (`dns.ttl_ceiling`)",
            ceiling.as_secs()
        ),
        "At most 15 minutes: a proxy that goes out of service answers 503 (540998) until its name is looked up again.",
    )]
}

fn own(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else { return Vec::new() };
    let is_pinned = |name: &str| world.config.sbc.dns.hosts.keys().any(|host| host.as_str() == name);
    let verdict = |(name, found): (&String, &Result<Vec<IpAddr>, String>)| {
        let known = signaling_address(&world.config);
        let wanted = known.map_or("its public address is not in the configuration".to_owned(), |known| {
            known.to_string()
        });
        match found {
            Ok(addresses) if !is_pinned(name) && addresses.iter().all(|address| world.is_ours(*address)) => None,
            _ if world.is_laboratory() && !is_pinned(name) => Some(Verdict::note(
                format!("Teams connects to {name}, and in a laboratory no name server needs to know it"),
                "Nothing in a laboratory.",
            )),
            Err(why) => Some(Verdict::fail(
                format!("{name} leads nowhere, and Teams connects to that name: {why}"),
                format!("Publish it: `portcullis teams dns TENANT` prints the record ({wanted})."),
            )),
            Ok(_) if is_pinned(name) => Some(Verdict::note(
                format!("{name} stands under [dns.hosts]: what public name servers say of it was not asked"),
                "Ask them from outside: Teams connects to that name.",
            )),
            Ok(addresses) if known.is_none() => Some(Verdict::note(
                format!(
                    "{name} leads to {}, and whether that is this node the configuration does not say",
                    list(addresses)
                ),
                "Look at the NAT in front of this node: Teams' port there has to lead to the listener for Teams.",
            )),
            Ok(addresses) if addresses.iter().any(|address| world.is_ours(*address)) => {
                let others = addresses.iter().filter(|address| !world.is_ours(**address));
                Some(Verdict::warn(
                    format!(
                        "{name} leads to {} too, which is not this node ({wanted})",
                        list(others)
                    ),
                    "Teams takes any of them: calls to another node are not found there, unless it is one of a pair.",
                ))
            }
            Ok(addresses) => Some(Verdict::fail(
                format!("{name} leads to {}, which is not this node ({wanted})", list(addresses)),
                "Correct the record; where a NAT in front of this node has another address for its listener for Teams, nothing is wrong.",
            )),
        }
    };
    let left = (online.names_left > 0).then(|| {
        let all = online.names_left + online.own_names.len();
        Verdict::note(
            format!("{} of {all} trunk names were not looked up", online.names_left),
            "Look them up yourself, or publish one wildcard for the names below the base.",
        )
    });
    online.own_names.iter().filter_map(verdict).chain(left).collect()
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let addresses: Vec<String> = addresses.into_iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

fn hubs(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else { return Vec::new() };
    let failed = online.hubs.iter().filter_map(|hub| {
        let why = hub.addresses.as_ref().err()?;
        Some(Verdict::fail(
            format!("{} is not found: {why}", hub.peer),
            "Without it no call reaches Teams: look at this machine's name servers, or set `dns.servers`.",
        ))
    });
    failed.collect()
}
