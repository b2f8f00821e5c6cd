//! Media: the address in SDP, ports, and what past calls heard.

use super::carriers::answers_of_carriers;
use super::finding::{Check, Group, Needs, Verdict};
use super::weight::{Cases, newest};
use super::world::{PastCall, PastMedia, World};
use crate::cli::ip_versions;
use crate::net::{Inside, inside};
use std::net::IpAddr;

pub const CHECKS: &[Check] = &[
    Group::Media.check("media.address", Needs::Files, address),
    Group::Media.check("media.loopback", Needs::Files, loopback),
    Group::Media.check("media.ports", Needs::Files, ports),
    Group::Media.check("media.family", Needs::Files, family),
    Group::Media.check("media.silent", Needs::Records, silent),
    Group::Media.check("media.unauthenticated", Needs::Records, unauthenticated),
    Group::Media.check("media.refused", Needs::Records, refused),
];

/// A packet every 20 ms: so many failed ones are no stray.
const UNAUTHENTICATED: u64 = 50;
/// What media are refused with.
const REFUSED: u16 = 488;
/// An answered call this short may have heard nothing by itself.
const SHORT_MS: u64 = 3_000;

/// Why packets from the Internet don't get there.
fn unreachable(address: IpAddr) -> Option<&'static str> {
    match inside(address) {
        Some(Inside::Private) => Some("a private address"),
        Some(Inside::Shared) => Some("an address of a carrier's NAT (RFC 6598)"),
        Some(Inside::LinkLocal) => Some("a link-local address"),
        None if address.is_loopback() => Some("a loopback address"),
        None if address.is_unspecified() || address.is_multicast() => Some("no address of a host"),
        None => None,
    }
}

fn address(world: &World) -> Vec<Verdict> {
    let sbc = &world.config.sbc;
    let advertise = sbc.media_of(sbc.teams.listener).advertise;
    let Some(kind) = unreachable(advertise) else {
        return Vec::new();
    };
    let evidence = format!("SDP to Teams says {advertise}, which is {kind}");
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::fail(
            evidence,
            "`advertise` under [media] is the public address, that the firewall maps to this machine: else calls end after 10 to 20 s of \
             silence.",
        )],
    }
}

fn loopback(world: &World) -> Vec<Verdict> {
    if !world.config.sbc.media.allow_loopback || world.is_laboratory() {
        return Vec::new();
    }
    vec![Verdict::fail(
        "`allow_loopback` is on: descriptions and hooks may lead to this machine itself",
        "Take it out of [media]: it is for demonstrations and tests.",
    )]
}

fn ports(world: &World) -> Vec<Verdict> {
    let ports = world.config.sbc.media.ports;
    let count = u32::from(ports.last.saturating_sub(ports.first)) + 1;
    // Two legs, RTP and RTCP of each (TEAMS-106).
    let calls = count / 4;
    match world.config.sbc.guard.limits.calls {
        Some(limit) if limit > calls => vec![Verdict::warn(
            format!("{count} media ports are enough for {calls} calls, and `calls` under [guard] is {limit}"),
            format!(
                "Widen `ports` under [media] to {} ports, or lower the limit.",
                u64::from(limit) * 4
            ),
        )],
        _ => Vec::new(),
    }
}

fn family(world: &World) -> Vec<Verdict> {
    let doubts = ip_versions::doubts(&world.config.sbc).into_iter();
    doubts.map(|(doubt, fix)| Verdict::warn(doubt, fix)).collect()
}

fn answered(world: &World) -> impl Iterator<Item = &PastCall> {
    let calls = world.records.iter().flatten();
    calls.filter(|call| call.talked_ms > SHORT_MS || call.cause == "media_lost")
}

/// Whether media of a tenant come from its users' clients.
fn bypasses(world: &World, tenant: &str) -> bool {
    let mut tenants = world.config.tenants.iter();
    tenants.any(|known| known.id.as_str() == tenant && known.bypasses(&world.config.sbc.teams))
}

fn silent(world: &World) -> Vec<Verdict> {
    let all = answered(world).count();
    let ranges: Vec<String> = world
        .config
        .sbc
        .teams
        .cloud
        .media()
        .iter()
        .map(ToString::to_string)
        .collect();
    let of_processors = format!(
        "Is the address in SDP the public one (media.address), and do the firewall's UDP ports let Microsoft's media ranges ({}) in?",
        ranges.join(", ")
    );
    let mut verdicts = Vec::new();
    for side in ["teams", "carrier", "user"] {
        let any = |call: &PastCall, is_meant: fn(&PastMedia) -> bool| {
            let mut legs = call.legs.iter();
            legs.any(|leg| leg.side == side && leg.status == Some(200) && leg.media.as_ref().is_some_and(is_meant))
        };
        let heard_nothing = |call: &&PastCall| any(call, |media| media.received_packets == 0 && media.sent_packets > 0);
        let heard = |call: &&PastCall| any(call, |media| media.received_packets > 0);
        let silent: Vec<&PastCall> = answered(world).filter(heard_nothing).collect();
        let Some(last) = silent.last() else { continue };
        let fix = match side {
            "teams" if bypasses(world, &last.tenant) => {
                "Is the address in SDP the public one (media.address), and do the firewall's UDP ports let everybody in? With media bypass \
                 clients send from wherever they are."
            }
            "teams" => &of_processors,
            _ => "Is its media behind NAT (`nat = true` of the carrier), or does the firewall keep it out?",
        };
        let cases = Cases {
            count: silent.len(),
            of: all,
            last,
            worked: newest(answered(world).filter(heard)),
        };
        verdicts.push(cases.verdict(
            &format!(
                "in {} of {all} answered calls nothing was heard of {side}, the last of them {}",
                silent.len(),
                last.named()
            ),
            fix,
        ));
    }
    let lost: Vec<&PastCall> = answered(world).filter(|call| call.cause == "media_lost").collect();
    if let Some(last) = lost.last()
        && verdicts.is_empty()
    {
        verdicts.push(Verdict::warn(
            format!(
                "{} of {all} answered calls ended for silence, the last of them {}",
                lost.len(),
                last.named()
            ),
            "A firewall or NAT forgot the way in the middle of a call: look at its time-outs for UDP.",
        ));
    }
    verdicts
}

fn unauthenticated(world: &World) -> Vec<Verdict> {
    let failures = |call: &PastCall| -> u64 {
        let media = call.legs.iter().filter_map(|leg| leg.media.as_ref());
        media.filter_map(|media| media.dropped.get("auth_failures")).sum()
    };
    let calls = world
        .records
        .iter()
        .flatten()
        .filter(|call| failures(call) >= UNAUTHENTICATED);
    let calls: Vec<&PastCall> = calls.collect();
    let Some(last) = calls.last() else { return Vec::new() };
    vec![Verdict::warn(
        format!(
            "{} had SRTP packets that no key of theirs opens, the last of them {} ({})",
            match calls.len() {
                1 => "1 call".to_owned(),
                count => format!("{count} calls"),
            },
            last.named(),
            failures(last)
        ),
        "Where that leg was silent too, the keys don't fit: report it. Else somebody sends to our ports.",
    )]
}

fn refused(world: &World) -> Vec<Verdict> {
    let calls = || world.records.iter().flatten();
    let by_teams =
        |status: u16| calls().filter(move |call| call.answered_by("teams").any(|leg| leg.status == Some(status)));
    let phrase = |call: &PastCall| {
        let mut legs = call.answered_by("teams").filter(|leg| leg.status == Some(REFUSED));
        let phrase = legs.find_map(|leg| leg.reason_phrase.clone());
        phrase.unwrap_or_else(|| "no reason".to_owned())
    };
    let of_teams = by_teams(REFUSED).next_back().map(|last| {
        let cases = Cases {
            count: by_teams(REFUSED).count(),
            of: calls().count(),
            last,
            worked: newest(by_teams(200)),
        };
        cases.verdict(
            &format!(
                "Teams refused the media of {} calls, the last of them {}: {}",
                cases.count,
                last.named(),
                phrase(last)
            ),
            "sip-lint judges what we send; a device between may take the crypto lines out. `codecs` of the carrier must name one that Teams has.",
        )
    });
    let of_carriers = answers_of_carriers(world).into_iter().filter_map(|(carrier, answers)| {
        let cases = answers.cases(|status| status == REFUSED)?;
        Some(cases.verdict(
            &format!(
                "carrier '{carrier}' refused the media of {} calls ({REFUSED}), the last of them {}",
                cases.count,
                cases.last.named()
            ),
            "`codecs` of the carrier must name one that it takes; ask it what it wants.",
        ))
    });
    of_teams.into_iter().chain(of_carriers).collect()
}
