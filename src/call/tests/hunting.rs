//! Hops one after the other: which failures go on to the next one, and what the caller is told in the end.

use super::messages::{Reply, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::scenario::{Scenario, from_carrier, from_teams};
use crate::call::{LegIndex, PeerVerdict};
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use std::time::Duration;

/// How many hops a call tries that all answer `status`, and what the caller gets.
fn all_answer(scenario: Scenario, answer: impl Fn() -> Reply) -> (usize, u16) {
    let mut rig = scenario.begin();
    let mut tried = 0;
    while tried < rig.invites().len() {
        let invite = rig.invites()[tried].clone();
        tried += 1;
        rig.respond(&invite, answer());
    }
    (tried, rig.finish().status)
}

#[test]
fn teams_is_tried_again_on_503_alone() {
    assert_eq!(all_answer(from_carrier(), || reply(503)), (3, 503));
    for status in [400, 403, 404, 408, 480, 486, 488, 500, 504, 600, 603, 606] {
        assert_eq!(all_answer(from_carrier(), || reply(status)), (1, status), "(TEAMS-064)");
    }
}

#[test]
fn a_carriers_gateways_are_tried_on_its_codes() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(all_answer(from_teams(), || reply(status)).0, 2, "{status}");
    }
    for status in [404, 484, 486, 603] {
        assert_eq!(all_answer(from_teams(), || reply(status)), (1, status));
    }
}

#[test]
fn what_is_between_us_and_a_gateway_is_not_the_callers_business() {
    for (status, told) in [
        (302, 480),
        (305, 480),
        (401, 403),
        (407, 403),
        (420, 500),
        (421, 500),
        (422, 500),
    ] {
        assert_eq!(all_answer(from_teams(), || reply(status)), (1, told), "{status}");
    }
}

#[test]
fn silence_no_connection_and_no_answer_try_the_next_hub() {
    let mut rig = from_carrier().begin();
    let hubs = |rig: &super::rig::Rig| -> Vec<String> {
        let uri = |sent: &super::messages::Sent| sent.message.uri().map(|uri| uri.host().to_owned());
        rig.invites().iter().filter_map(uri).collect()
    };
    rig.wait(Duration::from_secs(30));
    assert!(hubs(&rig).len() > 1, "silence");
    let mut rig = from_carrier().begin();
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    rig.fail(&rig.last_invite(), TransportCause::Timeout);
    assert_eq!(
        hubs(&rig),
        [
            "sip.pstnhub.microsoft.com",
            "sip2.pstnhub.microsoft.com",
            "sip3.pstnhub.microsoft.com"
        ]
    );
    assert_eq!(rig.verdicts.len(), 2);
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.invites().len(), 3, "who rings is not silent");
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 200]);
    assert_eq!(
        rig.verdicts.last().map(|(_, verdict)| verdict.clone()),
        Some(PeerVerdict::Answered)
    );
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, crate::sip::Method::Bye, "", "");
    rig.finish();
}

#[test]
fn nobody_can_be_reached() {
    let mut rig = from_teams().begin();
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    let record = rig.finish();
    assert_eq!(
        (record.status, record.cause.label()),
        (503, "unreachable"),
        "Teams tries the next SBC (TEAMS-046)"
    );
}

#[test]
fn retry_after_holds_a_hub_down_and_reaches_the_carrier() {
    let mut rig = from_carrier().begin();
    for _ in 0..3 {
        rig.respond(
            &rig.last_invite(),
            reply(503).with(HeaderName::RetryAfter, "60 (busy);duration=3"),
        );
    }
    let held = PeerVerdict::HoldDown(Duration::from_secs(60));
    assert!(
        rig.verdicts.iter().all(|(_, verdict)| *verdict == held),
        "{:?}",
        rig.verdicts
    );
    assert_eq!(
        rig.last_response(LegIndex::CALLER).header(HeaderName::RetryAfter),
        Some("60")
    );
    rig.finish();
    let mut rig = from_carrier().begin();
    rig.respond(
        &rig.last_invite(),
        reply(503).with(HeaderName::RetryAfter, "4000000000"),
    );
    assert_eq!(rig.verdicts[0].1, PeerVerdict::HoldDown(Duration::from_secs(3_600)));
    rig.cancel(super::rig::Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn the_best_failure_is_told_with_its_own_reason() {
    let mut rig = from_teams().in_parallel().begin();
    let both = rig.invites();
    rig.respond(
        &both[0],
        reply(486).with(HeaderName::Reason, "Q.850;cause=17;text=\"busy\""),
    );
    rig.respond(&both[1], reply(503));
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(refusal.message.status(), Some(486));
    assert_eq!(refusal.header(HeaderName::Reason), Some("Q.850;cause=17;text=\"busy\""));
    rig.finish();
}

#[test]
fn a_busy_teams_user_is_no_full_trunk_to_the_carrier() {
    let mut rig = from_carrier().begin();
    rig.respond(
        &rig.last_invite(),
        reply(486).with(HeaderName::Reason, "Q.850;cause=34;text=\"9f;busy\""),
    );
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(
        refusal.header(HeaderName::Reason),
        Some("Q.850;cause=17;text=\"9f;busy\""),
        "(TEAMS-065)"
    );
    rig.finish();
}

#[test]
fn early_media_of_a_hop_that_then_fails_does_not_deafen_the_caller() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    rig.respond(&rig.last_invite(), reply(503));
    let second = rig.last_invite();
    rig.respond(&second, reply(183).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [183, 183]);
    assert_eq!(rig.bridges, 2);
    rig.respond(&second, reply(486));
    rig.finish();
}
