//! What is told of holds and transfers: news, status and record.

use super::application::{dial, hook, to_application};
use super::messages::reply;
use super::peers::{TENANT_FQDN, carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::routed_refers::ANOTHER;
use super::scenario::{from_carrier, from_teams};
use super::transfer::{TO_A_USER, referred};
use crate::call::{CallNews, CallStatus, Event, LegIndex, LegRecord, Onward, SendFailure, TransferStep, Wish};
use crate::sip::Method;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Each leg's record counts what its own peer did; who is put on hold holds nothing.
#[test]
fn who_holds_is_news_is_shown_and_counted() {
    let mut rig = from_carrier().begin().answered();
    let holds = |rig: &Rig| {
        let talkers = CallStatus::of(&rig.call, rig.now).talkers;
        talkers.iter().map(|talker| talker.holds).collect::<Vec<_>>()
    };
    let seats = rig.call.seats();
    for seconds in [7, 3] {
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
        let offered = rig.reinvites(CALLEE).pop().expect("the hold");
        rig.respond(&offered, reply(200).sdp(teams_sdp("inactive")));
        rig.ack(CALLER, "");
        assert_eq!(holds(&rig), [true, false]);
        assert_ne!(rig.call.seats(), seats, "published");
        rig.wait(Duration::from_secs(seconds));
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(CALLEE).pop().expect("the resume");
        rig.respond(&resumed, reply(200).sdp(teams_sdp("sendrecv")));
        rig.ack(CALLER, "");
        assert_eq!(holds(&rig), [false, false]);
    }
    let told = rig.news.iter().filter(|news| {
        matches!(
            news,
            CallNews::Holds { leg: CALLER } | CallNews::Resumes { leg: CALLER, .. }
        )
    });
    let told: Vec<CallNews> = told.cloned().collect();
    let resumes = |held_ms| CallNews::Resumes { leg: CALLER, held_ms };
    let hold = || CallNews::Holds { leg: CALLER };
    assert_eq!(told, [hold(), resumes(7_000), hold(), resumes(3_000)]);
    // One that lasts to the end counts as long.
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    let offered = rig.reinvites(CALLER).pop().expect("the hold");
    rig.respond(&offered, reply(200).sdp(carrier_sdp("inactive")));
    rig.ack(CALLEE, "");
    rig.wait(Duration::from_secs(2));
    let record = rig.hang_up_and_finish();
    let counted: Vec<_> = record.legs.iter().map(|leg| (leg.holds, leg.held_ms)).collect();
    assert_eq!(counted, [(2, 10_000), (1, 2_000)]);
}

/// A callee that becomes a call of its own while it holds.
#[test]
fn a_hold_that_outlasts_its_call_is_counted_in_both_for_as_long_as_it_was_there() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({})), { "verb": "pause", "length": 30 }]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    rig.picks_up(&rig.last_invite());
    rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.respond(&rig.last_reinvite(CALLER), reply(200).sdp(carrier_sdp("recvonly")));
    rig.ack(CALLEE, "");
    rig.wait(Duration::from_secs(4));
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Hook(hook("/own")),
    });
    rig.answer(&json!([{ "verb": "pause", "length": 3 }]));
    let parted = rig.parted.last().expect("a callee with a call of its own");
    let counted = |record: &LegRecord| (record.holds, record.held_ms);
    assert_eq!(counted(&parted.leg.record), (1, 0));
    let (mut own, _) = rig.become_a_call();
    own.wait(Duration::from_secs(3));
    assert_eq!(counted(&own.finish().legs[0]), (1, 3_000), "it holds on");
    let record = rig.hang_up_and_finish();
    assert_eq!(counted(&record.legs[1]), (1, 4_000));
}

/// The steps of the transfers of a call, as they were told.
pub fn steps_told(rig: &Rig) -> Vec<TransferStep> {
    let told = rig.news.iter().filter_map(|news| match news {
        CallNews::Transfer(told) => Some(told.step.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn each_step_of_a_transfer_is_news() {
    let (mut rig, invite) = referred();
    rig.respond(&invite, reply(180));
    rig.respond(&invite, reply(486));
    rig.refer(CALLEE, TO_A_USER);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let rings = TransferStep::Rings { status: 180 };
    let failed = TransferStep::Failed {
        status: 486,
        why: "486 Busy Here".into(),
    };
    let (began, made) = (TransferStep::Began, TransferStep::Made);
    assert_eq!(steps_told(&rig), [began.clone(), rings, failed, began, made]);
    let told = rig.news.iter().find_map(|news| match news {
        CallNews::Transfer(told) => Some(told),
        _ => None,
    });
    let told = told.expect("news");
    assert_eq!(told.leg, CALLEE);
    assert_eq!(
        (told.about.leaves.as_str(), told.about.stays.as_str()),
        (&*format!("teams {TENANT_FQDN}"), "carrier north")
    );
    assert_eq!(told.about.refer_to.as_deref(), Some(TO_A_USER));
    // The first one that came has failed.
    rig.hangs_up_and_finish(LegIndex(3));
}

/// What the log and the record say of a transfer that has failed: status and reason of each.
fn missed(mut rig: Rig) -> [(Option<u16>, Option<String>); 2] {
    let told = steps_told(&rig).into_iter().find_map(|step| match step {
        TransferStep::Failed { status, why } => Some((Some(status), Some(why))),
        _ => None,
    });
    let record = rig.hang_up_and_finish();
    let leg = &record.legs[2];
    [told.expect("a transfer that failed"), (leg.status, leg.why.clone())]
}

#[test]
fn why_a_transfer_failed_is_in_the_log_and_in_the_record() {
    let both = |status, why: &str| {
        [
            (Some(status), Some(why.to_owned())),
            (Some(status), Some(why.to_owned())),
        ]
    };
    // It answers with RTP that is not encrypted.
    let (mut rig, invite) = referred();
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(missed(rig), both(488, "the answer has RTP/AVP to our RTP/SAVP"));
    // It can't be reached.
    let (mut rig, invite) = referred();
    let failure = SendFailure::Unreached("cannot connect: Connection refused".into());
    let token = invite.token.expect("a request");
    rig.step(Event::Failed { token, failure });
    assert_eq!(missed(rig), both(503, "cannot connect: Connection refused"));
    // It says nothing.
    let mut rig = from_carrier().begin().answered();
    rig.refer(CALLEE, TO_A_USER);
    rig.wait(Duration::from_secs(10));
    let [told, record] = missed(rig);
    let why = Some("no response in time".to_owned());
    assert_eq!((told, record), ((Some(408), why.clone()), (Some(487), why)));
    // It rings on.
    let (mut rig, _) = referred();
    rig.wait(Duration::from_secs(61));
    let [told, record] = missed(rig);
    assert_eq!((told.0, record), (Some(480), (Some(487), Some("no answer".into()))));
    // The same where a carrier refers, and several may ring.
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(missed(rig), both(488, "the answer has RTP/AVP to our RTP/SAVP"));
}
