//! What happens between two sides that an application has brought together: REFER, gain.

use super::application::{dial, to_application};
use super::messages::reply;
use super::rig::Rig;
use crate::app::payload::Kind;
use crate::call::{CallNews, Effect, Event, LegIndex, NoReply, Phase, Wish};
use crate::sip::Method;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";

/// A caller and a callee who talk.
pub fn bridged(more: &Value) -> (Rig, LegIndex) {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], more), { "verb": "pause", "length": 1 }]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    assert_eq!(rig.bridges, 1);
    (rig, invite.leg)
}

impl Rig {
    /// Who has referred answers the NOTIFY that came last.
    pub fn hears_that_it_is_under_way(&mut self, status: u16) {
        let notify = self.requests_sent(&Method::Notify).pop().expect("a NOTIFY");
        self.respond(&notify, reply(status));
    }
}

pub const REFER: &str =
    "Refer-To: <sip:+12065550109@north.example>\r\nReferred-By: <sip:me@north.example>\r\nX-Why: busy\r\n";

#[test]
fn a_callee_that_refers_gives_the_caller_to_other_verbs() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer", "actionHook": "/done" }));
    rig.request(callee, Method::Refer, REFER, "");
    let asked = rig.last_question();
    let details = &asked.properties["refer_details"];
    assert_eq!(asked.url, "/refer");
    assert_eq!(details["refer_to_user"], "+12065550109");
    assert_eq!(details["x_why"], "busy");
    rig.answer(&json!([{ "verb": "play", "url": "moment.wav" }]));
    assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying"]);
    rig.hears_that_it_is_under_way(100);
    assert_eq!(rig.statuses_notified().len(), 1, "no answer yet");
    rig.hears_that_it_is_under_way(200);
    assert_eq!(
        rig.statuses_notified(),
        ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"],
        "(RFC 3515 §2.4.4)"
    );
    rig.hears_that_it_is_under_way(200);
    assert_eq!(rig.statuses_notified().len(), 2, "nothing comes behind it");
    assert_eq!(rig.byes(callee).len(), 0, "who refers says BYE");
    assert_eq!(
        rig.told(Kind::VerbHook).len(),
        1,
        "the dial is told of, and asks nothing"
    );
    assert_eq!(rig.sounds().last().map(|(leg, ..)| *leg), Some(LegIndex::CALLER));
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.byes(callee).len(), 1, "or we do");
    rig.hang_up_and_finish();
}

#[test]
fn who_is_referred_to_is_told_without_the_escapes_that_mean_nothing() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
    let refer = "Refer-To: <sip:%2B1206%35550109@north.example>\r\nReferred-By: <sip:m%65%40x@north.example>\r\n";
    rig.request(callee, Method::Refer, refer, "");
    let asked = rig.last_question();
    let details = &asked.properties["refer_details"];
    assert_eq!(details["refer_to_user"], "+12065550109");
    assert_eq!(details["referred_by_user"], "me%40x");
    assert_eq!(details["sip_refer_to"], "<sip:%2B1206%35550109@north.example>");
    rig.answer(&json!([]));
    rig.hang_up_and_finish();
}

#[test]
fn a_caller_that_refers_leaves_the_callee_with_the_verbs() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer", "actionHook": "/done" }));
    rig.request(LegIndex::CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "pause", "length": 8 }]));
    let done = rig.told(Kind::VerbHook).pop().expect("the result of its dial");
    assert_eq!(
        (
            &done["dial_call_status"],
            &done["dial_sip_status"],
            &done["dial_ended_by"]
        ),
        (&json!("completed"), &json!(200), &json!("application"))
    );
    assert!(done["dial_call_sid"].is_string(), "{done:?}");
    let left = rig.told(Kind::CallStatus).pop().expect("the end of who refers");
    assert_eq!(
        (&left["call_status"], &left["call_termination_by"]),
        (&json!("completed"), &json!("jambonz"))
    );
    assert!(rig.requests_sent(&Method::Bye).is_empty(), "who refers says BYE");
    assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying"]);
    rig.wait(Duration::from_secs(6));
    assert_eq!(
        rig.statuses_notified(),
        ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"],
        "a NOTIFY that is not answered keeps nothing back for ever"
    );
    let byes = rig.requests_sent(&Method::Bye);
    assert_eq!(byes.len(), 1, "or we do");
    assert_eq!(byes[0].message.call_id(), "carrier-call-id", "who refers is hung up");
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.wait(Duration::from_secs(3));
    let byes = rig.requests_sent(&Method::Bye);
    assert_eq!(byes.len(), 2, "the callee, when its verbs are done");
    assert_eq!(byes[1].leg, LegIndex::CALLER, "it has taken the caller's place");
    assert_ne!(callee, LegIndex::CALLER);
    rig.finish();
}

#[test]
fn a_refer_is_refused_as_its_hook_says() {
    let hook_says = [
        (Some(403), 403),
        (Some(603), 603),
        (Some(404), 501),
        (Some(408), 501),
        (Some(503), 501),
        (None, 501),
    ];
    for (status, expected) in hook_says {
        let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
        rig.request(callee, Method::Refer, REFER, "");
        let none = NoReply {
            why: "no".into(),
            status,
        };
        rig.step(Event::Answered {
            ask: rig.last_question().number,
            result: Err(none),
        });
        assert_eq!(rig.last_response(callee).message.status(), Some(expected));
        let record = rig.hang_up_and_finish();
        let refused = &record.legs[usize::from(callee.0)].refers_refused;
        assert_eq!((refused.len(), refused[0].status), (1, expected));
        assert_eq!(refused[0].why, "its referHook: no");
        assert_eq!(refused[0].refer_to.as_deref(), Some("sip:+12065550109@north.example"));
    }
}

#[test]
fn both_sides_of_a_bridge_that_refer_at_once_are_not_both_taken_at_their_word() {
    for (first, second) in [(LegIndex::CALLER, LegIndex(1)), (LegIndex(1), LegIndex::CALLER)] {
        let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
        assert_eq!(callee, LegIndex(1));
        rig.request(first, Method::Refer, REFER, "");
        let asked = rig.last_question();
        rig.request(second, Method::Refer, REFER, "");
        assert_eq!(rig.last_response(second).message.status(), Some(491));
        assert_eq!(rig.last_question().number, asked.number, "nobody decides about it");
        rig.answer_question(asked.number, &json!([{ "verb": "pause", "length": 5 }]));
        let accepted = |sent: &&super::messages::Sent| sent.message.status() == Some(202);
        let accepted: Vec<_> = rig.sent.iter().filter(accepted).map(|sent| sent.leg).collect();
        assert_eq!(accepted, [first], "the first goes on");
        assert_eq!(rig.call.phase(), Phase::Answered);
        rig.wait(Duration::from_secs(6));
        rig.finish();
    }
}

#[test]
fn a_refer_names_a_target() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
    let asked = rig.last_question().number;
    for unreadable in ["", "Refer-To: xx yy\r\n"] {
        rig.request(callee, Method::Refer, unreadable, "");
        assert_eq!(rig.last_response(callee).message.status(), Some(400));
    }
    assert_eq!(rig.last_question().number, asked);
    rig.hang_up_and_finish();
}

#[test]
fn nobody_decides_about_a_refer_without_a_hook() {
    let (mut rig, callee) = bridged(&json!({}));
    rig.request(callee, Method::Refer, REFER, "");
    assert_eq!(rig.last_response(callee).message.status(), Some(501));
    rig.hang_up_and_finish();
}

#[test]
fn the_callee_hears_the_caller_louder_and_its_child_bears_the_tag() {
    let (mut rig, callee) = bridged(&json!({ "boostAudioSignal": "6 dB", "tag": { "job": 7 } }));
    assert_eq!(gains(&rig), [(callee, Some(6))]);
    let events = rig.told(Kind::CallStatus);
    assert!(
        events
            .iter()
            .any(|event| event.get("customerData").is_some_and(|data| data["job"] == 7)),
        "{events:?}"
    );
    rig.hang_up_and_finish();
}

/// Gains so far: the position of the leg that hears them, and decibels.
fn gains(rig: &Rig) -> Vec<(LegIndex, Option<i8>)> {
    let gain = |effect: &Effect| match effect {
        Effect::Boost { handle, decibels } => {
            let (_, leg) = rig.opened.iter().find(|(known, _)| known == handle)?;
            Some((*leg, *decibels))
        }
        _ => None,
    };
    rig.wishes.iter().filter_map(gain).collect()
}

#[test]
fn a_boost_of_a_running_call_ends_with_its_dial() {
    let (mut rig, callee) = bridged(&json!({ "boostAudioSignal": 3 }));
    rig.command(Wish::Boost(-6));
    assert_eq!(
        gains(&rig),
        [(callee, Some(3)), (LegIndex::CALLER, Some(-6))],
        "what a leg hears of the other"
    );
    rig.request(callee, Method::Bye, "", "");
    assert_eq!(
        gains(&rig).last(),
        Some(&(LegIndex::CALLER, None)),
        "the caller goes on alone"
    );
    rig.command(Wish::Boost(6));
    assert_eq!(gains(&rig).len(), 3);
    let told = |news: &CallNews| {
        matches!(
            news,
            CallNews::ApplicationError {
                what: "boostAudioSignal",
                ..
            }
        )
    };
    assert!(rig.news.iter().any(told), "nobody hears it");
    rig.hang_up_and_finish();
}

#[test]
fn status_events_go_to_another_hook_from_then_on() {
    let (mut rig, _) = bridged(&json!({}));
    rig.command(Wish::StatusHook(super::application::hook(
        "https://other.example/status",
    )));
    rig.hang_up_and_finish();
    let urls: Vec<String> = rig
        .wishes
        .iter()
        .filter_map(|effect| match effect {
            Effect::Notify {
                kind: Kind::CallStatus,
                hook,
                ..
            } => Some(hook.url.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(urls[0], "https://app.contoso.example/status");
    assert_eq!(urls.last().map(String::as_str), Some("https://other.example/status"));
}
