//! Callers that offer nothing that we speak: G.729 passes, and what has to be heard says that it can't be.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::carrier_sdp;
use super::rig::Rig;
use crate::app::payload::Kind;
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use serde_json::{Value, json};

const CALLER: LegIndex = LegIndex::CALLER;
const A: &str = "+12065550101";

fn g729(direction: &str) -> String {
    carrier_sdp(direction).replace("AVP 8 0 101", "AVP 18 101")
}

/// A caller with G.729 alone whose application wants this.
fn wanting(verbs: &Value) -> Rig {
    let mut rig = to_application().sdp(&g729("sendrecv")).begin();
    rig.answer(verbs);
    rig
}

/// What the application was told that can't be had, and why.
fn told(rig: &Rig) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = rig.told(Kind::CallStatus);
    let told = told.iter().filter(|event| event.contains_key("error"));
    told.map(|event| (text(&event["error"]), text(&event["reason"])))
        .collect()
}

#[test]
fn a_dial_passes_what_we_do_not_speak() {
    for on_bridge in [true, false] {
        let mut rig = wanting(&json!([dial(&[A], &json!({ "answerOnBridge": on_bridge }))]));
        rig.planned(&[A]);
        let ours = "m=audio 20000 RTP/AVP 18 101";
        if !on_bridge {
            assert_eq!(rig.last_response(CALLER).sdp_line("m=").as_deref(), Some(ours));
            rig.ack(CALLER, "");
        }
        let invite = rig.last_invite();
        let offered = invite.sdp_line("m=").unwrap_or_default();
        assert!(offered.ends_with("RTP/AVP 18 101"), "{offered}");
        rig.respond(&invite, reply(200).sdp(g729("sendrecv")));
        if on_bridge {
            assert_eq!(rig.last_response(CALLER).sdp_line("m=").as_deref(), Some(ours));
            rig.ack(CALLER, "");
        }
        rig.assert_bridged(CALLER, invite.leg);
        assert_eq!((rig.call.phase(), told(&rig)), (Phase::Answered, Vec::new()));
        // Its hold and its refresh are answered as any others are, also when it is alone again.
        rig.request(CALLER, Method::Invite, "", &g729("sendonly"));
        let held = rig.reinvites(invite.leg).pop().expect("the hold goes on");
        rig.respond(&held, reply(200).sdp(g729("recvonly")));
        assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
        rig.ack(CALLER, "");
        rig.hang_up_and_finish();
    }
}

#[test]
fn what_has_to_be_heard_refuses_a_caller_that_can_not_hear_it() {
    for (what, verb) in [
        ("say", json!({ "verb": "say", "text": "Hello" })),
        ("play", json!({ "verb": "play", "url": "a.wav" })),
        ("play", json!({ "verb": "play", "url": "a.wav", "earlyMedia": true })),
        (
            "gather",
            json!({ "verb": "gather", "numDigits": 1, "play": { "url": "a.wav" } }),
        ),
    ] {
        let mut rig = wanting(&json!([verb]));
        assert_eq!((rig.statuses(), rig.sounds().len()), (vec![488], 0), "{what}");
        let [(named, why)] = &told(&rig)[..] else {
            panic!("{:?}", told(&rig));
        };
        assert_eq!(named, what);
        assert!(why.contains("G729") && why.contains("PCMA"), "{why}");
        assert_eq!(rig.finish().cause.label(), "media_refused");
    }
}

#[test]
fn keys_come_as_events_from_whom_we_do_not_hear() {
    let mut rig = wanting(&json!([{ "verb": "gather", "numDigits": 1, "actionHook": "/keys" }]));
    assert_eq!(rig.statuses(), [200]);
    rig.ack(CALLER, "");
    rig.key(CALLER, '5');
    assert_eq!(rig.last_question().properties["digits"], "5");
    rig.answer(&json!([]));
    rig.finish();

    let deaf = g729("sendrecv").replace("AVP 18 101", "AVP 18");
    let mut rig = to_application().sdp(&deaf).begin();
    rig.answer(&json!([{ "verb": "gather", "numDigits": 1 }]));
    assert_eq!(rig.statuses(), [488], "neither events nor tones");
    rig.finish();

    let mut rig = to_application().sdp(&deaf).begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "gather", "numDigits": 1, "actionHook": "/keys" }]));
    assert_eq!(rig.statuses(), [200]);
    rig.ack(CALLER, "");
    assert_eq!(rig.last_question().properties["reason"], "error");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn music_that_can_not_be_heard_is_told_and_the_call_goes_on_without() {
    for on_bridge in [true, false] {
        let properties = json!({ "answerOnBridge": on_bridge, "dialMusic": "music.wav" });
        let mut rig = wanting(&json!([dial(&[A], &properties)]));
        rig.planned(&[A]);
        assert_eq!(
            told(&rig).iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(),
            ["dialMusic"]
        );
        assert!(rig.sounds().is_empty());
        let invite = rig.last_invite();
        rig.respond(&invite, reply(180));
        assert_eq!(rig.statuses(), [if on_bridge { 180 } else { 200 }]);
        if !on_bridge {
            rig.ack(CALLER, "");
        }
        rig.respond(&invite, reply(200).sdp(g729("sendrecv")));
        if on_bridge {
            rig.ack(CALLER, "");
        }
        rig.assert_bridged(CALLER, invite.leg);
        rig.hang_up_and_finish();
    }
}

#[test]
fn an_answered_caller_that_hears_nothing_may_still_be_connected() {
    let mut rig = wanting(&json!([{ "verb": "answer" }, dial(&[A], &json!({ "answerOnBridge": true }))]));
    assert_eq!(rig.statuses(), [200]);
    rig.ack(CALLER, "");
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(200).sdp(g729("sendrecv")));
    rig.assert_bridged(CALLER, invite.leg);
    rig.request(invite.leg, Method::Bye, "", "");
    rig.finish();
}

#[test]
fn who_offers_nothing_that_passes_is_refused_before_the_application_is_asked() {
    let mut rig = to_application()
        .sdp(&carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 97 101\r\na=rtpmap:97 iLBC/8000"))
        .begin();
    assert_eq!((rig.statuses(), rig.questions().len()), (vec![488], 0));
    rig.finish();
}
