//! The dial verb: rung at once, won by one, and what its application hears.

use super::application::{dial, to_application};
use super::messages::reply;
use crate::app::payload::Kind;
use crate::call::{Effect, LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::json;
use std::time::Duration;

const A: &str = "+12065550101";
const B: &str = "+12065550102";
const C: &str = "+12065550103";

#[test]
fn three_ring_one_wins_two_are_cancelled_with_the_reason() {
    let mut rig = to_application().begin();
    assert_eq!(rig.last_question().kind, Kind::SessionNew);
    rig.answer(&json!([dial(
        &[A, B, C],
        &json!({ "answerOnBridge": true, "actionHook": "/done" })
    )]));
    rig.planned(&[A, B, C]);
    let invites = rig.invites();
    assert_eq!(invites.len(), 3);
    rig.respond(&invites[0], reply(180));
    rig.respond(&invites[1], reply(180));
    assert_eq!(rig.statuses(), [180]);
    rig.picks_up(&invites[1]);
    assert_eq!(rig.statuses(), [180, 200]);
    let reasons: Vec<_> = rig
        .cancelled
        .iter()
        .map(|(_, reason)| reason.clone().unwrap_or_default())
        .collect();
    assert_eq!(reasons, [r#"SIP;cause=200;text="Call completed elsewhere""#; 2]);
    assert_eq!(rig.bridges, 1);
    rig.ack(LegIndex::CALLER, "");
    // The callee hangs up: the application is asked, with the winner's figures.
    rig.wait(Duration::from_secs(7));
    rig.request(invites[1].leg, Method::Bye, "", "");
    let asked = rig.last_question();
    assert_eq!((asked.kind, asked.url.as_str()), (Kind::VerbHook, "/done"));
    let result = &asked.properties;
    assert_eq!(result["dial_call_status"], "completed");
    assert_eq!(result["dial_status"], "completed");
    assert_eq!(result["dial_sip_status"], 200);
    assert_eq!(rig.call.phase(), Phase::Answered, "the caller goes on");
    rig.answer(&json!([]));
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1, "no verb is left");
    assert_eq!(rig.finish().cause.label(), "hung_up");
}

#[test]
fn every_child_is_told_once_and_in_order() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A, B], &json!({ "answerOnBridge": true }))]));
    rig.planned(&[A, B]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(180));
    rig.respond(&invites[0], reply(180));
    rig.respond(&invites[1], reply(486));
    rig.picks_up(&invites[0]);
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
    let events = rig.told(Kind::CallStatus);
    let own = rig.questions()[0].properties["call_sid"].clone();
    let mut children: Vec<_> = events
        .iter()
        .map(|event| event["call_sid"].clone())
        .filter(|sid| *sid != own)
        .collect();
    children.dedup();
    assert_eq!(
        rig.statuses_of(&own),
        ["trying 100", "in-progress 200", "completed 200"]
    );
    let mut told: Vec<Vec<String>> = Vec::new();
    for sid in &children {
        let statuses = rig.statuses_of(sid);
        if !told.contains(&statuses) {
            told.push(statuses);
        }
    }
    assert!(told.contains(&vec![
        "trying 100".into(),
        "ringing 180".into(),
        "in-progress 200".into(),
        "completed 200".into()
    ]));
    assert!(told.contains(&vec!["trying 100".into(), "busy 486".into()]), "{told:?}");
}

#[test]
fn without_a_winner_the_best_failure_is_told_and_the_application_goes_on() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        dial(&[A, B, C], &json!({ "answerOnBridge": true, "actionHook": "/done", "timeout": 20 })),
        { "verb": "sip:decline", "status": 486 }
    ]));
    rig.planned(&[A, B, C]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(486));
    rig.respond(&invites[1], reply(404));
    rig.respond(&invites[2], reply(180));
    rig.wait(Duration::from_secs(21));
    assert_eq!(rig.cancelled.len(), 1);
    let result = rig.last_question().properties;
    assert_eq!(result["dial_call_status"], "busy");
    assert_eq!(result["dial_sip_status"], 486);
    rig.answer(&json!([]));
    assert_eq!(rig.statuses().last(), Some(&486));
    assert_eq!(rig.finish().cause.label(), "application_declined");
}

#[test]
fn a_ring_timer_that_runs_out_is_no_answer() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A],
        &json!({ "answerOnBridge": true, "actionHook": "/done", "timeout": 20 })
    )]));
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.wait(Duration::from_secs(19));
    assert!(rig.cancelled.is_empty());
    rig.wait(Duration::from_secs(2));
    let result = rig.last_question().properties;
    assert_eq!(result["dial_call_status"], "no-answer");
    assert_eq!(result["dial_sip_status"], 487);
    rig.answer(&json!([]));
    assert_eq!(rig.statuses().last(), Some(&603));
    rig.finish();
}

#[test]
fn by_default_the_caller_is_answered_at_once_and_the_callee_gets_its_codec() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({}))]));
    assert!(rig.statuses().is_empty());
    rig.planned(&[A]);
    assert_eq!(rig.statuses(), [200]);
    let answer = rig.last_response(LegIndex::CALLER);
    assert_eq!(answer.sdp_line("m="), Some("m=audio 20000 RTP/AVP 8 101".into()));
    let invite = rig.last_invite();
    assert!(
        invite.sdp_line("m=").is_some_and(|line| line.contains(" RTP/AVP 8")),
        "{invite:?}"
    );
    rig.ack(LegIndex::CALLER, "");
    rig.picks_up(&invite);
    assert_eq!(rig.statuses(), [200]);
    assert_eq!(rig.bridges, 1);
    rig.hang_up_and_finish();
}

#[test]
fn the_time_limit_hangs_up_the_callee_and_the_caller_goes_on() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        dial(&[A], &json!({ "timeLimit": 30, "actionHook": "/done" })),
        { "verb": "pause", "length": 5 }
    ]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.wait(Duration::from_secs(29));
    assert!(rig.byes(invite.leg).is_empty());
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.byes(invite.leg).len(), 1);
    let result = rig.last_question().properties;
    assert_eq!(
        (result["dial_call_status"].as_str(), result["dial_ended_by"].as_str()),
        (Some("completed"), Some("time_limit"))
    );
    rig.answer(&json!([]));
    assert!(rig.byes(LegIndex::CALLER).is_empty());
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn a_caller_that_gives_up_cancels_all_and_the_hook_still_hears_of_it() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A, B],
        &json!({ "answerOnBridge": true, "actionHook": "/done" })
    )]));
    rig.planned(&[A, B]);
    let asked = rig.questions().len();
    rig.cancel(super::rig::Rig::first_transaction(), "");
    assert_eq!(rig.cancelled.len(), 2);
    assert_eq!(rig.questions().len(), asked, "nobody waits for an answer");
    let told = rig.told(Kind::VerbHook);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["dial_call_status"], "no-answer");
    assert_eq!(rig.finish().status, 487);
    let own = rig.questions()[0].properties["call_sid"].clone();
    assert_eq!(rig.statuses_of(&own).last().map(String::as_str), Some("no-answer 487"));
    assert!(matches!(rig.wishes.last(), Some(Effect::ApplicationOver)));
}

#[test]
fn an_application_that_fails_refuses_the_call_and_hears_why_and_the_caller_does_not() {
    let why = "http://10.20.0.9/app: status 500";
    let mut rig = to_application().begin();
    rig.hook_fails(why);
    assert_eq!(rig.statuses(), [480]);
    let refusal = rig.last_response(LegIndex::CALLER);
    let raw = String::from_utf8_lossy(refusal.message.as_bytes()).into_owned();
    assert!(raw.contains("X-Reason: the application failed"), "{raw}");
    assert!(!raw.contains("10.20.0.9") && !raw.contains("500"), "{raw}");
    assert_eq!(refusal.header(HeaderName::Contact), None);
    let told = rig.told(Kind::CallStatus);
    assert!(
        told.iter()
            .any(|event| event.get("error") == Some(&json!("hook")) && event["reason"] == why),
        "{told:?}"
    );
    let cause = rig.finish().cause;
    assert_eq!(cause.label(), "application_failed");
    assert!(cause.explain().contains(why), "the record says it");
}

#[test]
fn a_server_named_by_uri_gets_the_targets_own_credentials_for_whatever_realm_it_has() {
    let mut rig = to_application().begin();
    let target =
        json!({ "type": "sip", "sipUri": "sip:bob@pbx.example", "auth": { "user": "bob", "password": "s3cret" } });
    rig.answer(&json!([{ "verb": "dial", "answerOnBridge": true, "target": [target] }]));
    rig.planned_really();
    let invite = rig.last_invite();
    let challenge = r#"Digest realm="pbx.example", nonce="abc", qop="auth""#;
    rig.respond(&invite, reply(407).with(HeaderName::ProxyAuthenticate, challenge));
    let again = rig.last_invite();
    let answer = again
        .header(HeaderName::ProxyAuthorization)
        .unwrap_or_default()
        .to_owned();
    assert!(
        answer.contains(r#"username="bob""#) && answer.contains(r#"realm="pbx.example""#),
        "{answer}"
    );
    // Wrong credentials are not tried for ever.
    rig.respond(&again, reply(407).with(HeaderName::ProxyAuthenticate, challenge));
    assert_eq!(rig.finish().status, 603);
}

#[test]
fn a_second_dial_starts_from_the_callers_codec_and_the_caller_may_still_hold() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        dial(&[A], &json!({ "answerOnBridge": true })),
        dial(&[B], &json!({ "answerOnBridge": true }))
    ]));
    rig.planned(&[A]);
    let first = rig.last_invite();
    rig.picks_up(&first);
    rig.ack(LegIndex::CALLER, "");
    rig.request(first.leg, Method::Bye, "", "");
    rig.planned(&[B]);
    let second = rig.last_invite();
    assert_ne!(second.leg, first.leg);
    rig.picks_up(&second);
    assert_eq!(rig.bridges, 2);
    rig.request(
        LegIndex::CALLER,
        Method::Invite,
        "",
        &super::peers::carrier_sdp("sendonly"),
    );
    let held = rig.reinvites(second.leg).pop().expect("the hold goes on");
    rig.respond(&held, reply(200).sdp(super::peers::carrier_sdp("recvonly")));
    assert_eq!(rig.last_response(LegIndex::CALLER).message.status(), Some(200));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_callee_that_holds_and_hangs_up_leaves_no_caller_on_hold() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({})), { "verb": "pause", "length": 60 }]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.request(invite.leg, Method::Invite, "", &super::peers::carrier_sdp("inactive"));
    let held = rig.reinvites(LegIndex::CALLER).pop().expect("the caller is held");
    rig.respond(&held, reply(200).sdp(super::peers::carrier_sdp("inactive")));
    rig.ack(invite.leg, "");
    rig.request(invite.leg, Method::Bye, "", "");
    let resumed = rig.reinvites(LegIndex::CALLER).pop().expect("the caller is resumed");
    assert_eq!(resumed.sdp_line("a=sendrecv"), Some("a=sendrecv".into()));
    rig.respond(&resumed, reply(200).sdp(super::peers::carrier_sdp("sendrecv")));
    rig.hang_up_and_finish();
}

#[test]
fn a_ringing_child_that_is_hung_up_gets_a_cancel_and_never_the_caller() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A, B],
        &json!({ "answerOnBridge": true, "actionHook": "/done" })
    )]));
    rig.planned(&[A, B]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(180));
    let own = rig.questions()[0].properties["call_sid"].clone();
    let events = rig.told(Kind::CallStatus);
    let child = events
        .iter()
        .find(|event| event["call_status"] == "ringing" && event["call_sid"] != own)
        .and_then(|event| event["call_sid"].as_str())
        .and_then(crate::app::sid::CallSid::parse);
    rig.step(crate::call::Event::Command(Box::new(crate::call::Command {
        leg: child,
        wish: crate::call::Wish::HangUp(crate::app::command::Orderer::Socket),
        reply: None,
    })));
    assert_eq!(rig.cancelled.len(), 1);
    let last = rig.told(Kind::CallStatus).last().cloned().expect("its end");
    assert_eq!(
        (&last["call_status"], &last["sip_status"]),
        (&"no-answer".into(), &487.into())
    );
    rig.respond(&invites[0], reply(200).sdp(super::peers::carrier_sdp("sendrecv")));
    assert_eq!(rig.byes(invites[0].leg).len(), 1, "it answered too late");
    assert_eq!(rig.bridges, 0);
    rig.picks_up(&invites[1]);
    assert_eq!(rig.bridges, 1);
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn hubs_and_gateways_are_no_sip_targets() {
    for (uri, said) in [
        (
            "sip:+14255550100@sip.pstnhub.microsoft.com",
            "say a target of type teams",
        ),
        ("sip:+14255550100@203.0.113.2:5060", "say a target of type phone"),
    ] {
        let mut rig = to_application().begin();
        let target = json!({ "type": "sip", "sipUri": uri });
        rig.answer(&json!([{ "verb": "dial", "answerOnBridge": true, "target": [target], "actionHook": "/done" }]));
        rig.planned_really();
        let told = |news: &crate::call::CallNews| match news {
            crate::call::CallNews::ApplicationError { detail, .. } => detail.contains(said),
            _ => false,
        };
        assert!(rig.news.iter().any(told), "{uri}: {:?}", rig.news);
        assert_eq!(rig.last_question().properties["dial_call_status"], "failed");
        assert!(rig.invites().is_empty());
        rig.answer(&json!([]));
        rig.finish();
    }
}

#[test]
fn every_destination_is_shown_the_number_that_the_dial_names() {
    let shown = |invite: &super::messages::Sent| {
        let from = invite.message.from().expect("a From");
        from.uri().user().unwrap_or_default().to_owned()
    };
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A, B],
        &json!({ "callerId": "+14255550150", "callerName": "Desk" })
    )]));
    rig.planned_really();
    rig.ack(LegIndex::CALLER, "");
    let invites = rig.invites();
    assert_eq!(invites.len(), 2);
    for invite in &invites {
        assert_eq!(shown(invite), "+14255550150");
        assert_eq!(invite.message.from().expect("a From").display(), Some("Desk"));
    }
    let child = rig.told(Kind::CallStatus).pop().expect("a status of a child");
    assert_eq!(
        (&child["from"], &child["caller_id"]),
        (&json!("+14255550150"), &json!("+14255550150"))
    );
    rig.hang_up_and_finish();
    // Without it the caller's own identity goes on.
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({}))]));
    rig.planned_really();
    rig.ack(LegIndex::CALLER, "");
    assert_eq!(shown(&rig.last_invite()), "+12065550100");
    rig.hang_up_and_finish();
}

#[test]
fn a_number_of_somebody_else_is_not_shown() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A],
        &json!({ "callerId": "+442079460000", "actionHook": "/done" })
    )]));
    rig.planned_really();
    assert!(rig.invites().is_empty());
    let result = rig.last_question().properties;
    assert_eq!(
        (&result["dial_status"], &result["dial_sip_status"]),
        (&json!("failed"), &json!(500))
    );
    let why = result["dial_error"].as_str().unwrap();
    assert!(why.contains("+442079460000"), "{why}");
    let told = |news: &crate::call::CallNews| match news {
        crate::call::CallNews::ApplicationError {
            what: "dial", detail, ..
        } => detail.contains("+442079460000"),
        _ => false,
    };
    assert!(rig.news.iter().any(told), "{:?}", rig.news);
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn the_record_says_what_became_of_every_target() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        dial(&[A, B], &json!({ "answerOnBridge": true })),
        dial(&[C], &json!({}))
    ]));
    rig.planned(&[A, B]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(486));
    rig.picks_up(&invites[1]);
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(7));
    rig.request(invites[1].leg, Method::Bye, "", "");
    rig.planned(&[C]);
    rig.respond(&rig.last_invite(), reply(404));
    let own = rig.questions()[0].properties["call_sid"].clone();
    let record = rig.finish();
    let application = record.application.expect("an application");
    assert_eq!(
        (application.name.as_str(), json!(application.call_sid)),
        ("reception", own)
    );
    let [first, second] = &application.dials[..] else {
        panic!("{:?}", application.dials)
    };
    assert_eq!((first.dial_status.as_str(), first.sip_status), ("completed", 200));
    assert_eq!(first.ended_by.as_deref(), Some("callee"));
    assert_eq!(first.ended_after_ms - first.began_after_ms, 7_000);
    let target = |position: usize| {
        let target = &first.targets[position];
        (
            target.name.as_str(),
            target.status.as_str(),
            target.sip_status,
            target.talked_ms,
        )
    };
    assert_eq!(target(0), (A, "busy", 486, None));
    assert_eq!(target(1), (B, "completed", 200, Some(7_000)));
    assert_eq!(first.call_sid, Some(first.targets[1].call_sid));
    assert_eq!((second.dial_status.as_str(), second.sip_status), ("failed", 404));
    assert_eq!(second.ended_by, None);
    let sids: Vec<_> = record.legs.iter().map(|leg| leg.call_sid).collect();
    assert_eq!(sids[0], Some(application.call_sid));
    assert_eq!(sids[2], first.call_sid);
}
