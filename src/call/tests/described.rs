//! What applications and REST are told of legs: their names, whose they are, how they ended.

use super::application::{dial, terms, to_application};
use super::messages::reply;
use super::midcall::{REFER, bridged};
use super::rig::Rig;
use super::scenario::placed;
use crate::app::payload::{Kind, Properties};
use crate::call::{CallStatus, LegIndex};
use crate::sip::Method;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";
const B: &str = "+12065550102";

/// The status events of the children of a dial.
fn of_children(rig: &Rig) -> Vec<Properties> {
    let mut events = rig.told(Kind::CallStatus);
    events.retain(|event| event.contains_key("parent_call_sid"));
    events
}

#[test]
fn every_event_of_a_child_bears_the_call_id_of_its_invite() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A, B], &json!({}))]));
    rig.planned(&[A, B]);
    rig.ack(LegIndex::CALLER, "");
    let ids: Vec<String> = rig
        .invites()
        .iter()
        .map(|invite| invite.message.call_id().to_owned())
        .collect();
    let told: Vec<Value> = of_children(&rig).iter().map(|event| event["call_id"].clone()).collect();
    assert_eq!(json!(told), json!(ids), "each is told of as soon as it begins");
    assert_eq!(of_children(&rig)[0]["sbc_callid"], json!(ids[0]));
    rig.hang_up_and_finish();
    let rig = placed(terms(), &[A]);
    assert_eq!(
        rig.told(Kind::CallStatus)[0]["call_id"],
        json!(rig.last_invite().message.call_id())
    );
}

/// What REST shows of the legs that are over: call_sid and status.
fn past(rig: &Rig) -> Vec<(Value, Value)> {
    let status = CallStatus::of(&rig.call, rig.now);
    let shown = |line: &std::sync::Arc<crate::call::LineStatus>| {
        let properties = &line.properties;
        assert_eq!(json!(line.call_sid), properties["call_sid"]);
        (properties["call_sid"].clone(), properties["call_status"].clone())
    };
    status.past.iter().map(shown).collect()
}

#[test]
fn children_of_a_dial_that_is_over_can_still_be_asked_for() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A, B], &json!({ "actionHook": "/again" }))]));
    rig.planned(&[A, B]);
    rig.ack(LegIndex::CALLER, "");
    let invites = rig.invites();
    rig.respond(&invites[0], reply(486));
    assert!(past(&rig).is_empty(), "the other one rings");
    rig.respond(&invites[1], reply(404));
    let sids: Vec<Value> = of_children(&rig)[..2]
        .iter()
        .map(|event| event["call_sid"].clone())
        .collect();
    assert_eq!(
        past(&rig),
        [(sids[0].clone(), json!("busy")), (sids[1].clone(), json!("failed"))]
    );
    for _ in 0..12 {
        rig.answer(&json!([dial(&[A, B], &json!({ "actionHook": "/again" }))]));
        rig.planned(&[A, B]);
        for invite in rig.invites().iter().rev().take(2) {
            rig.respond(invite, reply(404));
        }
    }
    assert_eq!(past(&rig).len(), 20, "an application may dial for ever");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_callee_that_goes_on_as_a_call_is_no_leg_of_the_old_one() {
    let (mut rig, _) = bridged(&json!({}));
    rig.command(crate::call::Wish::Part {
        parent: None,
        child: crate::call::Onward::Hook(super::application::hook("/own")),
    });
    rig.answer(&json!([{ "verb": "pause", "length": 5 }]));
    assert_eq!((rig.parted.len(), past(&rig)), (1, Vec::new()));
    rig.hang_up_and_finish();
}

#[test]
fn a_callee_whose_caller_is_referred_away_is_described_as_the_callee() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer", "callerId": "+14255550100", "tag": { "job": 7 } }));
    let own = rig.questions()[0].properties["call_sid"].clone();
    let child = of_children(&rig).pop().expect("a status of the child");
    rig.wait(Duration::from_secs(20));
    assert!(rig.call.told_of_called().is_none(), "it has a caller");
    rig.request(LegIndex::CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "gather", "input": ["digits"], "timeout": 3, "actionHook": "/keys" }]));
    assert_eq!(past(&rig), [(own.clone(), json!("completed"))], "it can be asked for");
    // What it dials is shown as whom it was called by, and not as who has left.
    let told = rig.call.told_of_called().map(|told| (told.from.as_str(), told.private));
    assert_eq!(told, Some(("+14255550100", false)));
    rig.wait(Duration::from_secs(4));
    let asked = rig.last_question();
    assert_eq!(asked.url, "/keys");
    let told = asked.properties;
    for name in [
        "call_sid",
        "call_id",
        "direction",
        "from",
        "to",
        "caller_id",
        "customerData",
        "call_status",
        "sip_reason",
    ] {
        assert_eq!(told.get(name), child.get(name), "{name}");
    }
    assert_eq!(told["parent_call_sid"], own);
    assert!(!told.contains_key("originating_sip_ip") && !told.contains_key("originating_sip_trunk_name"));
    rig.answer(&json!([]));
    let record = rig.finish();
    let end = rig.told(Kind::CallStatus).pop().expect("its end");
    assert_eq!(
        (&end["call_status"], &end["call_sid"], &end["duration"]),
        (&json!("completed"), &child["call_sid"], &json!(24)),
        "from its own answer on"
    );
    let sids: Vec<Value> = record.legs.iter().map(|leg| json!(leg.call_sid)).collect();
    assert_eq!(sids, [child["call_sid"].clone(), own]);
    assert_ne!(callee, LegIndex::CALLER);
}

#[test]
fn the_status_of_a_destination_is_told_as_it_was_received() {
    for (status, word) in [
        (407, "failed"),
        (302, "failed"),
        (420, "failed"),
        (486, "busy"),
        (487, "no-answer"),
    ] {
        let mut rig = to_application().begin();
        rig.answer(&json!([dial(&[A], &json!({ "actionHook": "/done" }))]));
        rig.planned(&[A]);
        rig.ack(LegIndex::CALLER, "");
        let invite = rig.last_invite();
        rig.respond(&invite, reply(status));
        let end = of_children(&rig).pop().expect("its end");
        assert_eq!(
            (&end["sip_status"], &end["call_status"]),
            (&json!(status), &json!(word))
        );
        let result = rig.last_question().properties;
        assert_eq!(
            (&result["dial_sip_status"], &result["dial_call_status"]),
            (&json!(status), &json!(word))
        );
        assert_eq!(result["dial_sbc_callid"], json!(invite.message.call_id()));
        rig.answer(&json!([]));
        rig.finish();
    }
}

#[test]
fn what_a_bye_says_is_told_with_the_end_of_its_leg() {
    let (mut rig, callee) = bridged(&json!({}));
    let long = "x".repeat(2_000);
    let said =
        format!("Reason: Q.850;cause=16;text=\"Bye\"\r\nX-Survey-Score: 5\r\nX-Long: {long}\r\nSubject: standard\r\n");
    rig.request(callee, Method::Bye, &said, "");
    let end = of_children(&rig).pop().expect("its end");
    assert_eq!(end["call_status"], "completed");
    assert_eq!(end["headers"], json!({ "x_survey_score": "5" }));
    assert_eq!(end["sip_reason_header"], r#"Q.850;cause=16;text="Bye""#);
    rig.request(LegIndex::CALLER, Method::Bye, "X-Mood: fine\r\n", "");
    let end = rig.told(Kind::CallStatus).pop().expect("the call's end");
    assert_eq!(end["headers"], json!({ "x_mood": "fine" }));
    assert!(!end.contains_key("sip_reason_header"));
    rig.finish();
}

#[test]
fn why_a_caller_gave_up_is_told() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({ "answerOnBridge": true }))]));
    rig.planned(&[A]);
    rig.cancel(Rig::first_transaction(), "Reason: SIP;cause=200;text=\"Elsewhere\"\r\n");
    let end = rig.told(Kind::CallStatus).pop().expect("the call's end");
    assert_eq!(end["sip_reason_header"], r#"SIP;cause=200;text="Elsewhere""#);
    rig.finish();
}

#[test]
fn who_hides_stays_hidden_where_its_callee_goes_on_alone() {
    let (hidden, own) = (("+12065550100", true), ("+14255550100", false));
    for (caller_id, expected) in [(None, hidden), (Some(hidden.0), hidden), (Some(own.0), own)] {
        let mut rig = to_application().with("Privacy: id\r\n").begin();
        let mut more = json!({ "referHook": "/refer" });
        if let Some(caller_id) = caller_id {
            more["callerId"] = json!(caller_id);
        }
        rig.answer(&json!([dial(&[A], &more)]));
        rig.planned(&[A]);
        rig.ack(LegIndex::CALLER, "");
        rig.picks_up(&rig.last_invite());
        rig.request(LegIndex::CALLER, Method::Refer, REFER, "");
        rig.answer(&json!([{ "verb": "pause", "length": 60 }]));
        let told = rig.call.told_of_called().map(|told| (told.from.as_str(), told.private));
        assert_eq!(told, Some(expected), "{caller_id:?}");
    }
}
