//! Numbers: what Teams did not find, and emergencies.

use super::finding::{Check, Group, Needs, Verdict};
use super::tenants::{key, refused};
use super::world::{PastCall, PastLeg, World};
use crate::cli::elins;

pub const CHECKS: &[Check] = &[
    Group::Numbers.check("numbers.emergency", Needs::Files, emergency),
    Group::Numbers.check("numbers.elin", Needs::Files, elin),
    Group::Numbers.check("numbers.unknown", Needs::Records, unknown),
    Group::Numbers.check("numbers.policy", Needs::Records, policy),
];

fn emergency(world: &World) -> Vec<Verdict> {
    let emergency = &world.config.sbc.emergency;
    let known = |number: &str| emergency.numbers.iter().any(|known| known.as_str() == number);
    let lives_in = |code: &str| {
        let mut entries = world.config.tenants.iter().flat_map(|tenant| &tenant.numbers);
        entries.any(|entry| entry.span.first().to_string().starts_with(code))
    };
    let wanted = [("+1", "911"), ("+44", "999"), ("+", "112")];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .filter(|(code, number)| lives_in(code) && !known(number))
        .map(|(_, number)| number)
        .collect();
    if lacking.is_empty() {
        return Vec::new();
    }
    vec![Verdict::warn(
        format!("not among the emergency numbers: {}", lacking.join(", ")),
        "Add them to `numbers` under [emergency]: calls to them pass before every limit. Emergency patterns in voice routes must not expect \
         a `+`.",
    )]
}

fn elin(world: &World) -> Vec<Verdict> {
    let doubts = elins::doubts(&world.config).into_iter();
    doubts.map(|(doubt, fix)| Verdict::warn(doubt, fix)).collect()
}

fn unknown(world: &World) -> Vec<Verdict> {
    // Others of the class are of records before those of media had one of their own.
    let says = |leg: &PastLeg| {
        leg.cause_class.as_deref() == Some("wrong_number") && matches!(leg.status, Some(404 | 412 | 484 | 604))
    };
    let status = |call: &PastCall| {
        call.answered_by("teams")
            .find(|leg| says(leg))
            .and_then(|leg| leg.status)
    };
    let verdict = |(tenant, (count, last)): (&str, (usize, &PastCall))| {
        let expected = match last.to.starts_with('+') {
            true => "it is E.164, so nobody has it there",
            false => "it is not E.164: expected is + and the country code",
        };
        Verdict::warn(
            format!(
                "Teams found nobody for {count} calls to tenant '{tenant}' (the last with {}): number sent {}, trunk {}; {expected}. The last of \
                 them is {}",
                status(last).unwrap_or(404),
                last.to,
                key(world, tenant),
                last.named()
            ),
            "Compare with Get-CsPhoneNumberAssignment in that tenant; `portcullis explain` shows number and trunk as they are sent.",
        )
    };
    refused(world, says).into_iter().map(verdict).collect()
}

fn policy(world: &World) -> Vec<Verdict> {
    let says = |leg: &PastLeg| leg.cause_class.as_deref() == Some("policy");
    let phrase = |call: &PastCall| {
        let mut refused = call.answered_by("teams").filter(|leg| says(leg));
        let phrase = refused.find_map(|leg| leg.reason_phrase.clone());
        phrase.unwrap_or_else(|| "without a reason".to_owned())
    };
    let verdict = |(tenant, (count, last)): (&str, (usize, &PastCall))| {
        Verdict::warn(
            format!(
                "a policy or licence of tenant '{tenant}' refused {count} calls, the last of them {}: {}",
                last.named(),
                phrase(last)
            ),
            "`portcullis explain --sip 403 --reason \"…\"` says which policy.",
        )
    };
    refused(world, says).into_iter().map(verdict).collect()
}
