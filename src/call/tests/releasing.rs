//! A side that goes while a re-INVITE is under way: the one that stays can go on at once.

use super::application::{dial, to_application, verbs};
use super::messages::reply;
use super::midcall::{REFER, bridged};
use super::peers::carrier_sdp;
use super::rig::Rig;
use crate::app::command::Orderer;
use crate::app::payload::Kind;
use crate::app::sid::CallSid;
use crate::app::verb::Verb;
use crate::call::{Command, Event, LegIndex, Phase, PlayOutcome, Wish};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;

/// The caller's hold waits for the callee's answer.
fn holding(limit: u32) -> (Rig, LegIndex) {
    let (mut rig, callee) = bridged(&json!({ "timeLimit": limit }));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.reinvites(callee).len(), 1);
    (rig, callee)
}

/// Its hold was refused with the callee that is gone, and it may ask again at once.
fn caller_is_free(mut rig: Rig, callee: LegIndex) {
    assert_eq!(rig.last_response(CALLER).message.status(), Some(491));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    // The callee answers all the same: it wants its ACK, and changes nothing.
    let late = rig.reinvites(callee)[0].clone();
    let acks = rig.requests_sent(&Method::Ack).len();
    rig.respond(&late, reply(200).sdp(carrier_sdp("recvonly")));
    assert_eq!(rig.requests_sent(&Method::Ack).len(), acks + 1);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn a_time_limit_does_not_wait_for_the_callee() {
    let (mut rig, callee) = holding(30);
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.byes(callee).len(), 1);
    caller_is_free(rig, callee);
}

#[test]
fn nor_do_other_verbs() {
    let (mut rig, callee) = holding(600);
    rig.command(Wish::Verbs {
        verbs: verbs(&json!([{ "verb": "pause", "length": 30 }])),
        append: false,
    });
    assert_eq!(rig.byes(callee).len(), 1);
    caller_is_free(rig, callee);
}

#[test]
fn a_callee_that_is_hung_up_has_its_answer_first() {
    let (mut rig, callee) = bridged(&json!({}));
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    let asked = rig.reinvites(CALLER)[0].clone();
    let leg = Some(sid_of_callee(&rig));
    rig.step(Event::Command(Box::new(Command {
        leg,
        wish: Wish::HangUp(Orderer::Socket),
        reply: None,
    })));
    let response = rig.sent.iter().rev().find(|sent| sent.leg == callee);
    assert!(response.is_some_and(|sent| sent.is(&Method::Bye)));
    assert_eq!(rig.last_response(callee).message.status(), Some(487));
    // The caller was put on hold for nothing.
    rig.respond(&asked, reply(200).sdp(carrier_sdp("recvonly")));
    assert!(rig.reinvites(CALLER)[1].sdp().contains("a=sendrecv"));
    rig.hang_up_and_finish();
}

#[test]
fn a_callee_that_asked_a_caller_who_refers_has_its_answer() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.reinvites(CALLER).len(), 1);
    rig.request(CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "pause", "length": 5 }]));
    let refused = |sent: &&super::messages::Sent| sent.leg == callee && sent.message.status() == Some(491);
    assert_eq!(rig.sent.iter().filter(refused).count(), 1);
    rig.wait(Duration::from_secs(6));
    rig.finish();
}

fn sid_of_callee(rig: &Rig) -> CallSid {
    let child = rig.told(Kind::CallStatus).pop().expect("a status of the child");
    CallSid::parse(child["call_sid"].as_str().unwrap_or_default()).expect("its sid")
}

#[test]
fn a_leg_that_takes_the_callers_place_is_whispered_to_no_longer() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
    let leg = Some(sid_of_callee(&rig));
    rig.step(Event::Command(Box::new(Command {
        leg,
        wish: Wish::Whisper(verbs(&json!([{ "verb": "play", "url": ["one.wav", "two.wav"] }]))),
        reply: None,
    })));
    let (on, play, _) = rig.sounds().pop().expect("a whisper");
    assert_eq!(on, callee);
    rig.request(CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "pause", "length": 5 }]));
    rig.step(Event::Played {
        leg: CALLER,
        play,
        outcome: PlayOutcome::Stopped {
            played: Duration::from_secs(1),
        },
    });
    assert_eq!(rig.sounds().len(), 1, "the bridge is gone that it was whispered over");
    rig.wait(Duration::from_secs(6));
    rig.finish();
}

#[test]
fn a_destination_that_is_not_let_through_leaves_the_caller_free() {
    let mut rig = to_application().begin();
    rig.answer(
        &json!([dial(&["+12065550101"], &json!({ "confirmHook": "/screen" })), { "verb": "pause", "length": 30 }]),
    );
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    let invite = rig.last_invite();
    let answer = reply(200).sdp(carrier_sdp("sendrecv"));
    rig.respond(&invite, answer.with(HeaderName::SessionExpires, "90;refresher=uac"));
    rig.answer(&json!([{ "verb": "pause", "length": 50 }, { "verb": "hangup" }]));
    rig.wait(Duration::from_secs(49));
    assert_eq!(rig.reinvites(invite.leg).len(), 1, "our refresh has no answer");
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.byes(invite.leg).len(), 1);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn what_a_leg_has_asked_stays_its_own_in_the_callers_place() {
    let (mut rig, _) = bridged(&json!({ "referHook": "/refer" }));
    let leg = sid_of_callee(&rig);
    let mut verbs = verbs(&json!([{ "verb": "sip:request", "method": "INFO", "body": "x", "actionHook": "/info" }]));
    let Some(Verb::SipRequest(request)) = verbs.pop() else {
        panic!("no request");
    };
    rig.step(Event::Command(Box::new(Command {
        leg: Some(leg),
        wish: Wish::Request(request),
        reply: None,
    })));
    rig.request(CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "pause", "length": 5 }]));
    let sent = rig.requests_sent(&Method::Info).pop().expect("the INFO");
    rig.respond(&sent, reply(200));
    let told = rig.told(Kind::VerbHook).pop().expect("what came of it");
    assert_eq!((&told["result"], &told["call_sid"]), (&json!("success"), &json!(leg)));
    rig.wait(Duration::from_secs(6));
    rig.finish();
}
