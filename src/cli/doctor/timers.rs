//! Session timers, lost ACKs, and calls that end by the clock.

use super::finding::{Check, Group, Needs, Verdict};
use super::rehearsal::Scene;
use super::weight::{Cases, newest};
use super::world::{PastCall, PastLeg, World};
use crate::sip::Method;
use crate::teams::catalogue::{CauseClass, Failure, Known, look_up};
use std::collections::BTreeMap;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Group::Timers.check("timers.session", Needs::Files, session),
    Group::Timers.check("timers.refresh", Needs::CallToTeams, refresh),
    Group::Timers.check("timers.early-end", Needs::Records, early_end),
    Group::Timers.check("timers.fixed-minutes", Needs::Records, fixed_minutes),
];

/// What Teams offers itself (TEAMS-075).
const LEAST: Duration = Duration::from_secs(300);
/// Without an ACK Teams gives up after about four seconds.
const WITHOUT_ACK_MS: std::ops::RangeInclusive<u64> = 3_000..=6_000;
/// Microsoft's code for a call that ends so.
const NO_ACK: u32 = 1_106;
/// Minutes at which middleboxes and session timers cut calls.
const MINUTES: [u64; 8] = [5, 10, 15, 20, 30, 45, 60, 120];
const NEAR_MS: u64 = 3_000;
/// Fewer calls than these show no pattern.
const FEW: usize = 3;

fn session(world: &World) -> Vec<Verdict> {
    let teams = &world.config.sbc.teams;
    let is_short = teams.min_se < LEAST;
    let verdict = is_short.then(|| {
        Verdict::note(
            format!("`min_se` under [teams] is {} s", teams.min_se.as_secs()),
            "300 s is what Teams offers itself; a shorter one is never needed.",
        )
    });
    verdict.into_iter().collect()
}

/// Teams was seen to hang up at the second refresh that was passed through (TEAMS-076).
fn refresh(world: &World) -> Vec<Verdict> {
    let passed = world
        .rehearsals()
        .flat_map(|rehearsal| rehearsal.of(Scene::CarrierRefreshes));
    let passed = passed
        .filter(|said| said.to_teams && said.message.method() == Some(&Method::Invite))
        .count();
    if passed == 0 {
        return Vec::new();
    }
    vec![Verdict::fail(
        "a carrier's refresh of its session is passed on to Teams",
        "Teams hangs up after some of them, always at the same minute. It has to be answered here: report it.",
    )]
}

fn answered(world: &World) -> impl Iterator<Item = &PastCall> {
    let calls = world.records.iter().flatten();
    calls.filter(|call| call.talked_ms > 0 && call.teams().next().is_some())
}

/// Whether Teams' side ended it.
fn ended_by_teams(call: &PastCall) -> bool {
    match call.direction.starts_with("teams_") {
        true => call.ended_by == "caller",
        false => call.ended_by == "callee",
    }
}

fn early_end(world: &World) -> Vec<Verdict> {
    let all = answered(world).count();
    let unheard: Vec<&PastCall> = answered(world).filter(|call| call.cause == "ack_lost").collect();
    let early: Vec<&PastCall> = answered(world).filter(|call| misses_our_ack(call)).collect();
    let mut found = Vec::new();
    // A phone or two that lose theirs are no fault of the node.
    if let Some(last) = unheard
        .last()
        .filter(|_| unheard.len() >= FEW && unheard.len() * 100 >= all)
    {
        found.push(Verdict::fail(
            format!(
                "the ACK of our 200 never came in {} of {all} answered calls, the last of them {}",
                unheard.len(),
                last.named()
            ),
            "`cause_text` of these records says from which side. It sends its ACK to the address in our Contact: that has to be reached from \
             there, and its own Contact and NAT have to let our 200 through.",
        ));
    }
    // What Teams gives no reason for may have another one.
    if let Some(last) = early.last().filter(|_| early.len() >= FEW && early.len() * 10 >= all) {
        found.push(Verdict::fail(
            format!(
                "Teams ended {} of {all} answered calls as without an ACK, the last of them {}",
                early.len(),
                last.named()
            ),
            "The ACK does not arrive. It goes to the host in Record-Route over a connection of our own: let the firewall open connections to \
             Teams' ranges on port 5061, not only to the names' addresses.",
        ));
    }
    found
}

/// Whether Teams has ended it because our ACK did not arrive: it says so, or hangs up in time for that without saying that
/// somebody has hung up, as it does of every short call (cause 16).
fn misses_our_ack(call: &PastCall) -> bool {
    let says = |leg: &PastLeg| {
        let failure = Failure {
            phrase: leg.reason_phrase.as_deref(),
            ..Failure::default()
        };
        matches!(look_up(failure), Known::Exactly(entries) if entries.iter().any(|entry| entry.code == Some(NO_ACK)))
    };
    let hung_up = |leg: &PastLeg| leg.cause_class.as_deref() == Some(CauseClass::Normal.label());
    let in_time = || WITHOUT_ACK_MS.contains(&call.talked_ms) && !call.teams().any(hung_up);
    ended_by_teams(call) && (call.teams().any(says) || in_time())
}

/// By carrier: it is its timer, or the way to it, that others do not share.
fn unrefreshed(world: &World) -> impl Iterator<Item = Verdict> {
    let is_it = |call: &&&PastCall| call.cause == "session_expired";
    let mut by_carrier: BTreeMap<Option<&str>, Vec<&PastCall>> = BTreeMap::new();
    for call in answered(world) {
        by_carrier.entry(call.carrier.as_deref()).or_default().push(call);
    }
    by_carrier.into_iter().filter_map(move |(carrier, calls)| {
        // Shorter calls need no refresh.
        let shortest = calls.iter().filter(is_it).map(|call| call.talked_ms).min()?;
        let long = || calls.iter().filter(move |call| call.talked_ms >= shortest);
        let last = newest(long().filter(is_it).copied())?;
        let cases = Cases {
            count: long().filter(is_it).count(),
            of: long().count(),
            last,
            worked: newest(long().filter(|call| !is_it(call)).copied()),
        };
        let evidence = format!(
            "of {} calls {}of {} minutes and more {} ended because a session was not refreshed, the last of them {}",
            cases.of,
            carrier.map(|carrier| format!("with carrier '{carrier}' ")).unwrap_or_default(),
            shortest / 60_000,
            cases.count,
            last.named()
        );
        Some(cases.of_habit(
            &evidence,
            "Who was to refresh did not, or its refresh did not get through: look at the call's ladder (`PUT /v1/ladders?on=true`, then `GET \
             /v1/ladders/{id}` of the next one), and at the carrier's session timer.",
        ))
    })
}

fn fixed_minutes(world: &World) -> Vec<Verdict> {
    let mut found: Vec<Verdict> = unrefreshed(world).collect();
    for minutes in MINUTES {
        let near =
            |call: &&PastCall| call.cause != "session_expired" && call.talked_ms.abs_diff(minutes * 60_000) <= NEAR_MS;
        let near: Vec<&PastCall> = answered(world).filter(near).collect();
        let longer = answered(world)
            .filter(|call| call.talked_ms > minutes * 60_000 + NEAR_MS)
            .count();
        // A limit cuts all of them, and people don't.
        if let Some(last) = near.last()
            && near.len() >= FEW
            && longer < near.len()
        {
            found.push(Verdict::warn(
                format!("{} calls ended after {minutes} minutes, the last of them {}", near.len(), last.named()),
                "A session timer whose refresh is refused, or a firewall that forgets idle connections: keep them alive for longer than the call's \
                 silence in signalling; a carrier's own limit is another cause.",
            ));
        }
    }
    found
}
