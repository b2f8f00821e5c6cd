//! Callers that an application leaves without an answer, and dials that nobody answers or that reach nobody.

use super::application::{dial, hook, terms, to_application};
use super::messages::reply;
use super::rig::Rig;
use super::scenario::{from_carrier, placed};
use crate::app::command::read_update;
use crate::app::payload::{Kind, Properties};
use crate::call::{CallNews, Event, LegIndex, Wish};
use crate::sip::Method;
use crate::sip::transaction::Cause;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";
const HELP: &str = "112";

/// What the application was told in the end of the dial, or of the call.
fn last_told(rig: &Rig, kind: Kind) -> Properties {
    rig.told(kind).pop().expect("it was told something")
}

fn header(rig: &Rig, name: &str) -> Option<String> {
    let refusal = rig.last_response(LegIndex::CALLER);
    let mut headers = refusal.message.raw_headers();
    let found = headers.find(|header| header.name() == name)?;
    Some(String::from_utf8_lossy(found.value).into_owned())
}

/// Lets whoever is tried ring, gateway after gateway, until nobody is left; how many there were.
fn rings_everywhere(rig: &mut Rig, limit: u64) -> usize {
    let mut rung = 0;
    while rig.invites().len() > rung {
        rung = rig.invites().len();
        rig.respond(&rig.last_invite(), reply(180));
        rig.wait(Duration::from_secs(limit - 2));
        assert_eq!(rig.cancelled.len(), rung - 1, "it rings on");
        rig.wait(Duration::from_secs(3));
    }
    rung
}

#[test]
fn a_caller_that_its_application_does_not_answer_in_time_is_ended() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "pause", "length": 600 }]));
    rig.wait(Duration::from_secs(179));
    assert!(rig.statuses().iter().all(|status| *status < 200));
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.statuses().last(), Some(&480));
    assert_eq!(header(&rig, "X-Reason").as_deref(), Some("not answered in time"));
    let record = rig.finish();
    assert_eq!(record.cause.label(), "application_declined");
    assert!(record.cause_text.contains("`setup`"), "{}", record.cause_text);
}

#[test]
fn a_dial_that_rings_when_the_time_is_over_is_waited_for() {
    for answers in [true, false] {
        let mut rig = to_application().begin();
        let more = json!({ "answerOnBridge": true, "actionHook": "/done", "timeout": 60 });
        let pause = json!({ "verb": "pause", "length": 170 });
        rig.answer(&json!([pause, dial(&[A], &more), pause]));
        rig.wait(Duration::from_secs(171));
        rig.planned(&[A]);
        let invite = rig.last_invite();
        rig.respond(&invite, reply(180));
        rig.wait(Duration::from_secs(30));
        assert!(rig.statuses().iter().all(|status| *status < 200));
        if answers {
            rig.picks_up(&invite);
            assert_eq!(rig.statuses().last(), Some(&200));
            rig.ack(LegIndex::CALLER, "");
            rig.hang_up_and_finish();
            continue;
        }
        rig.wait(Duration::from_secs(40));
        assert_eq!(last_told(&rig, Kind::VerbHook)["dial_call_status"], "no-answer");
        assert_eq!(rig.statuses().last(), Some(&480));
        assert!(header(&rig, "X-Reason").is_some());
        rig.finish();
    }
}

#[test]
fn an_emergency_number_rings_for_three_minutes_at_each_gateway_whatever_stands_beside_it() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{
        "verb": "dial", "actionHook": "/done", "timeout": 5, "callerId": "+19990001111",
        "target": [{ "type": "phone", "number": HELP }, { "type": "sip", "sipUri": "sip:a@203.0.113.77" }]
    }]));
    rig.planned_really();
    rig.ack(LegIndex::CALLER, "");
    assert_eq!(rings_everywhere(&mut rig, 180), 2);
    let result = rig.last_question().properties;
    assert_eq!(result["dial_call_status"], "no-answer");
    let targets = result["dial_targets"].as_array().expect("targets");
    let of = |position: usize, name: &str| targets[position][name].clone();
    assert_eq!((of(0, "status"), of(0, "error")), (json!("no-answer"), Value::Null));
    assert_eq!((of(1, "status"), of(1, "sip_status")), (json!("failed"), json!(500)));
    let why = of(1, "error").to_string();
    assert!(why.contains("callerId: +19990001111 is not a number"), "{why}");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_placed_emergency_call_ends_where_nobody_answers_it() {
    let mut rig = placed(terms(), &[HELP]);
    assert_eq!(rings_everywhere(&mut rig, 180), 2);
    let end = last_told(&rig, Kind::CallStatus);
    assert_eq!((&end["call_status"], end.get("error")), (&json!("no-answer"), None));
    rig.finish();
}

#[test]
fn why_nobody_could_be_called_is_told_to_the_application_and_the_log() {
    let mut rig = to_application().begin();
    let more = json!({ "answerOnBridge": true, "actionHook": "/done" });
    rig.answer(&json!([dial(&[A], &more)]));
    rig.planned(&[A]);
    for _ in 0..2 {
        rig.fail(&rig.last_invite(), Cause::Transport);
    }
    let result = rig.last_question().properties;
    assert_eq!(result["dial_call_status"], "failed");
    assert_eq!(result["dial_error"], format!("phone {A}: no connection"));
    assert_eq!(result["dial_targets"][0]["error"], "no connection");
    let end = last_told(&rig, Kind::CallStatus);
    assert_eq!(
        (&end["error"], &end["reason"]),
        (&json!("dial"), &json!("no connection"))
    );
    let failed = |news: &&CallNews| matches!(news, CallNews::TargetFailed { why, .. } if why == "no connection");
    assert_eq!(rig.news.iter().filter(failed).count(), 1);
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn why_a_placed_call_went_nowhere_is_told_in_its_end() {
    let mut rig = placed(terms(), &[A]);
    for _ in 0..2 {
        rig.fail(&rig.last_invite(), Cause::Transport);
    }
    let end = last_told(&rig, Kind::CallStatus);
    assert_eq!(end["call_status"], "failed");
    assert_eq!(
        (&end["error"], &end["reason"]),
        (&json!("dial"), &json!("no connection"))
    );
    rig.finish();
}

#[test]
fn the_time_limit_of_a_placed_call_ends_its_dial_too() {
    let mut rig = placed(terms(), &[A]);
    rig.picks_up(&rig.last_invite());
    let more = json!({ "actionHook": "/done" });
    rig.answer(&json!([dial(&["+12065550102"], &more)]));
    rig.planned(&["+12065550102"]);
    rig.picks_up(&rig.last_invite());
    rig.call.deadline = Some(rig.now + Duration::from_secs(5));
    rig.wait(Duration::from_secs(6));
    assert_eq!(last_told(&rig, Kind::VerbHook)["dial_ended_by"], "time_limit");
    rig.finish();
}

/// A call whose time for an answer is over while its dial rings, and whose application is being asked for something else.
fn asked_late() -> Rig {
    let mut rig = to_application().begin();
    let more = json!({ "answerOnBridge": true, "timeout": 600 });
    rig.answer(&json!([dial(&[A], &more)]));
    rig.planned(&[A]);
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(181));
    assert!(rig.statuses().iter().all(|status| *status < 200), "it rings");
    rig.command(redirect("/next"));
    rig
}

/// The same where it has said these verbs.
fn told_late(verbs: &Value) -> Rig {
    let mut rig = asked_late();
    rig.answer(verbs);
    rig
}

fn redirect(to: &str) -> Wish {
    read_update(json!({ "call_hook": to })).expect("an update").remove(0)
}

#[test]
fn what_an_application_says_instead_of_a_late_dial_may_still_answer() {
    let pause = json!({ "verb": "pause", "length": 600 });
    let mut rig = told_late(&json!([{ "verb": "answer" }, pause]));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 0, "its time is no limit any more");
    rig.hang_up_and_finish();

    let mut rig = told_late(&json!([pause]));
    rig.wait(Duration::from_secs(29));
    assert!(rig.statuses().iter().all(|status| *status < 200));
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.statuses().last(), Some(&480));
    assert_eq!(header(&rig, "X-Reason").as_deref(), Some("not answered in time"));
    rig.finish();
}

#[test]
fn another_dial_instead_of_a_late_one_is_waited_for_too() {
    let more = json!({ "answerOnBridge": true, "timeout": 60 });
    let mut rig = told_late(&json!([dial(&["+12065550102"], &more)]));
    rig.planned(&["+12065550102"]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.wait(Duration::from_secs(45));
    assert!(rig.statuses().iter().all(|status| *status < 200));
    rig.picks_up(&invite);
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

/// Its application was to steer what comes afterwards.
#[test]
fn who_calls_for_help_is_not_left_when_its_application_is_lost() {
    let mut connected = terms();
    connected.hook = hook("wss://app.contoso.example/calls");
    connected.connected = true;
    let mut rig = from_carrier().decided_by(connected).begin();
    rig.answer(&json!([dial(&[HELP], &json!({ "answerOnBridge": true }))]));
    rig.planned_really();
    rig.respond(&rig.last_invite(), reply(180));
    rig.step(Event::Disconnected {
        failed: Some("closed".into()),
    });
    rig.wait(Duration::from_secs(60));
    assert!(rig.cancelled.is_empty(), "it rings on");
    rig.picks_up(&rig.last_invite());
    rig.ack(LegIndex::CALLER, "");
    assert_eq!(rig.bridges, 1);
    rig.request(LegIndex(1), Method::Bye, "", "");
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1, "nobody steers it any more");
    rig.finish();
}

#[test]
fn a_time_limit_waits_for_the_end_of_an_emergency_call() {
    let mut rig = placed(terms(), &[A]);
    rig.picks_up(&rig.last_invite());
    rig.answer(&json!([dial(&[HELP], &json!({ "actionHook": "/done" }))]));
    rig.planned_really();
    rig.picks_up(&rig.last_invite());
    let help = rig.last_invite().leg;
    rig.call.deadline = Some(rig.now + Duration::from_secs(5));
    rig.wait(Duration::from_secs(60));
    assert!(rig.requests_sent(&Method::Bye).is_empty());
    rig.request(help, Method::Bye, "", "");
    rig.answer(&json!([{ "verb": "pause", "length": 600 }]));
    rig.wait(Duration::from_secs(11));
    assert_eq!(
        rig.byes(LegIndex::CALLER).len(),
        1,
        "what comes after it has no time to spare"
    );
    rig.finish();
}

#[test]
fn other_verbs_that_are_asked_for_when_a_late_dial_ends_are_waited_for() {
    let mut rig = asked_late();
    rig.respond(&rig.last_invite(), reply(603));
    assert!(
        rig.statuses().iter().all(|status| *status < 200),
        "its hook is being asked"
    );
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 5 }]));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn one_dial_instead_of_the_other_gains_no_time() {
    let more = json!({ "answerOnBridge": true, "timeout": 600 });
    let mut rig = told_late(&json!([dial(&["+12065550102"], &more)]));
    rig.planned(&["+12065550102"]);
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(40));
    assert!(
        rig.statuses().iter().all(|status| *status < 200),
        "a dial is waited for"
    );
    rig.command(redirect("/again"));
    rig.answer(&json!([{ "verb": "pause", "length": 600 }]));
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.statuses().last(), Some(&480));
    rig.finish();
}
