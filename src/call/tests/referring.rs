//! REFER: what applications send, and what comes of it.

use super::application::{dial, to_application};
use super::messages::reply;
use super::midcall::REFER;
use super::rig::Rig;
use super::scenario::from_teams;
use crate::app::payload::Kind;
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use crate::sip::transaction::Cause as TransportCause;
use serde_json::{Value, json};

const CALLER: LegIndex = LegIndex::CALLER;

fn refer() -> Value {
    json!([{ "verb": "answer" }, { "verb": "sip:refer", "referTo": "+12065550109", "actionHook": "/referred" }])
}

fn referring(mut rig: Rig) -> Rig {
    rig.answer(&refer());
    rig.ack(CALLER, "");
    rig
}

#[test]
fn a_refer_that_is_not_sent_has_no_status_but_a_reason() {
    let mut rig = referring(from_teams().decided_by(super::application::terms()).begin());
    assert!(rig.requests_sent(&Method::Refer).is_empty());
    let told = rig.last_question();
    assert_eq!(told.url, "/referred");
    assert!(!told.properties.contains_key("refer_status"));
    assert_eq!(told.properties["err"], "Teams takes no REFER");
    rig.hang_up_and_finish();
}

#[test]
fn one_that_is_sent_is_told_with_its_answer() {
    for (answer, status) in [(Some(603), 603), (None, 408)] {
        let mut rig = referring(to_application().begin());
        let sent = rig.requests_sent(&Method::Refer).pop().expect("a REFER");
        match answer {
            Some(answer) => rig.respond(&sent, reply(answer)),
            None => rig.fail(&sent, TransportCause::Timeout),
        }
        let told = rig.last_question();
        assert_eq!(
            (told.url.as_str(), &told.properties["refer_status"]),
            ("/referred", &json!(status))
        );
        assert!(!told.properties.contains_key("err"));
        rig.hang_up_and_finish();
    }
}

#[test]
fn who_is_screened_can_not_refer_the_caller_away() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &["+12065550101"],
        &json!({ "referHook": "/refer", "confirmHook": "/screen" })
    )]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.answer(&json!([{ "verb": "pause", "length": 5 }]));
    rig.request(invite.leg, Method::Refer, REFER, "");
    assert_eq!(rig.last_response(invite.leg).message.status(), Some(603));
    assert_eq!(rig.last_question().url, "/screen", "nobody decides about it");
    rig.wait(std::time::Duration::from_secs(6));
    assert_eq!(
        (rig.bridges, rig.call.phase()),
        (1, Phase::Answered),
        "its screening goes on"
    );
    rig.hang_up_and_finish();
}

#[test]
fn who_is_referred_away_and_hangs_up_leaves_what_is_known() {
    for (answered, known) in [(true, "refer_status"), (false, "err")] {
        let mut rig = referring(to_application().begin());
        let sent = rig.requests_sent(&Method::Refer).pop().expect("a REFER");
        if answered {
            rig.respond(&sent, reply(202));
        }
        rig.request(CALLER, Method::Bye, "", "");
        let told = rig.told(Kind::VerbHook);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains_key(known), "{told:?}");
        assert_eq!(told[0].get("refer_status"), answered.then_some(&json!(202)));
        assert!(!told[0].contains_key("final_referred_call_status"));
        rig.finish();
    }
}

#[test]
fn the_last_event_of_a_transfer_is_told_before_its_result() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "answer" }, {
        "verb": "sip:refer", "referTo": "+12065550109", "actionHook": "/referred", "eventHook": "/event"
    }]));
    rig.ack(CALLER, "");
    let sent = rig.requests_sent(&Method::Refer).pop().expect("a REFER");
    rig.respond(&sent, reply(202));
    let about = "Event: refer\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n";
    rig.request(CALLER, Method::Notify, about, "SIP/2.0 180 Ringing");
    assert_eq!(rig.last_question().properties["call_status"], 180);
    rig.request(CALLER, Method::Notify, about, "SIP/2.0 200 OK");
    assert_eq!(
        rig.last_question().properties["call_status"],
        180,
        "one after the other"
    );
    rig.answer(&json!([]));
    let event = rig.last_question();
    assert_eq!(
        (event.url.as_str(), &event.properties["call_status"]),
        ("/event", &json!(200))
    );
    rig.wait(std::time::Duration::from_secs(20));
    assert_eq!(rig.last_question().url, "/event", "it has limits of its own");
    rig.answer(&json!([]));
    let result = rig.last_question();
    assert_eq!(
        (result.url.as_str(), &result.properties["final_referred_call_status"]),
        ("/referred", &json!(200))
    );
    rig.hang_up_and_finish();
}

#[test]
fn who_waits_for_somebody_to_answer_has_no_call_to_give_away() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({ "referHook": "/refer" }))]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    let asked = rig.last_question().number;
    rig.request(CALLER, Method::Refer, REFER, "");
    assert_eq!(rig.last_response(CALLER).message.status(), Some(603));
    assert_eq!(rig.last_question().number, asked);
    rig.hang_up_and_finish();
}
