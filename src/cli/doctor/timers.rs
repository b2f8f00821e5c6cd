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

/// On which side the session of a call expired, as its record says.
fn expired_on(call: &PastCall) -> Option<&str> {
    let of = call.cause_text.strip_prefix("the session timer of the ")?;
    match of.starts_with("caller") {
        true => call.legs.first(),
        false => call.legs.iter().skip(1).rfind(|leg| leg.status == Some(200)),
    }
    .map(|leg| leg.side.as_str())
}

/// Calls that ended because a session was not refreshed, among those that are at least as long as the shortest of them:
/// shorter ones need no refresh.
fn unrefreshed<'a>(calls: &[&'a PastCall], is_it: impl Fn(&PastCall) -> bool) -> Option<(u64, Cases<'a>)> {
    let shortest = calls
        .iter()
        .filter(|call| is_it(call))
        .map(|call| call.talked_ms)
        .min()?;
    let long = || calls.iter().copied().filter(|call| call.talked_ms >= shortest);
    let cases = Cases {
        count: long().filter(|call| is_it(call)).count(),
        of: long().count(),
        last: newest(long().filter(|call| is_it(call)))?,
        worked: newest(long().filter(|call| !is_it(call))),
    };
    Some((shortest / 60_000, cases))
}

/// Of Teams all together, else by carrier: it is its timer, or the way to it, that others do not share.
fn expired_sessions(world: &World) -> Vec<Verdict> {
    let has_expired = |call: &PastCall| call.cause == "session_expired";
    let of_teams = |call: &PastCall| has_expired(call) && expired_on(call) == Some("teams");
    let of_others = |call: &PastCall| has_expired(call) && expired_on(call) != Some("teams");
    let mut by_carrier: BTreeMap<Option<&str>, Vec<&PastCall>> = BTreeMap::new();
    for call in answered(world) {
        by_carrier.entry(call.carrier.as_deref()).or_default().push(call);
    }
    let mut found = Vec::new();
    for (carrier, calls) in by_carrier {
        let Some((minutes, cases)) = unrefreshed(&calls, of_others) else {
            continue;
        };
        let with = carrier
            .map(|carrier| format!("with carrier '{carrier}' "))
            .unwrap_or_default();
        let evidence = format!(
            "of {} calls {with}of {minutes} minutes and more {} ended because a session was not refreshed, the last of them {}",
            cases.of,
            cases.count,
            cases.last.named()
        );
        found.push(cases.of_habit(
            &evidence,
            "Who was to refresh did not, or its refresh did not get through: look at the call's ladder (`PUT /v1/ladders?on=true`, then `GET \
             /v1/ladders/{id}` of the next one), and at the carrier's session timer.",
        ));
    }
    let all: Vec<&PastCall> = answered(world).collect();
    if let Some((minutes, cases)) = unrefreshed(&all, of_teams) {
        let evidence = format!(
            "of {} calls of {minutes} minutes and more {} ended because the session with Teams was not refreshed, the last of them {}",
            cases.of,
            cases.count,
            cases.last.named()
        );
        found.push(cases.of_habit(
            &evidence,
            "`cause_text` of these records says whether Teams has refused our refresh: the call's ladder (`PUT /v1/ladders?on=true`, then `GET \
             /v1/ladders/{id}` of the next one) shows what it said. Where Teams was to refresh, its re-INVITE did not arrive: let the firewall take \
             connections from Teams' ranges to the host and port of our Contact for as long as calls last.",
        ));
    }
    found
}

fn fixed_minutes(world: &World) -> Vec<Verdict> {
    let mut found = expired_sessions(world);
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
