//! INVITEs without an offer: Teams is offered ours at once, the caller's answer comes in its ACK; and what an application may
//! have such a caller hear.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::from_carrier;
use crate::app::payload::Kind;
use crate::call::{Effect, LegIndex, Phase, RecodingPlace};
use crate::sdp::Direction;
use crate::sip::Method;
use serde_json::json;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Answered by Teams; the caller's ACK is due.
fn offered() -> Rig {
    let mut rig = from_carrier().sdp("").begin();
    let invite = rig.last_invite();
    assert!(
        invite.sdp_line("m=audio").is_some(),
        "never a delayed offer (TEAMS-059)"
    );
    rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
    assert_eq!(
        rig.statuses(),
        [180],
        "the caller has not offered: nothing can be heard yet"
    );
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(
        rig.last_response(CALLER).sdp_line("m="),
        Some("m=audio 20000 RTP/AVP 8 0 9 13 101".into())
    );
    rig
}

#[test]
fn the_answer_comes_in_the_ack() {
    let mut rig = offered();
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    assert_eq!((rig.call.phase(), rig.reinvites(CALLEE).len()), (Phase::Answered, 0));
    assert!(rig.bridges > 0);
    rig.hang_up_and_finish();
}

#[test]
fn an_answer_that_takes_less_narrows_the_other_side() {
    let mut rig = offered();
    rig.ack(CALLER, &carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 0 101"));
    let narrowed = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(narrowed.sdp_line("m="), Some("m=audio 20002 RTP/SAVP 0 101 13".into()));
    rig.respond(
        &narrowed,
        reply(200).sdp(teams_sdp("sendrecv").replace("SAVP 8 0", "SAVP 0")),
    );
    rig.hang_up_and_finish();
}

#[test]
fn a_carrier_without_the_codec_of_who_answers_is_offered_what_becomes_it() {
    for (is_full, ours) in [(false, "9 8 0 101"), (true, "9 101")] {
        let scenario = from_carrier().sdp("");
        let scenario = if is_full { scenario.recoding_is_full() } else { scenario };
        let mut rig = scenario.begin();
        assert_eq!(rig.call.recoding_place() == RecodingPlace::Needed, !is_full);
        let answer = teams_sdp("sendrecv").replace("RTP/SAVP 8 0 13 101", "RTP/SAVP 9 101");
        rig.respond(&rig.last_invite(), reply(200).sdp(answer));
        let offered = rig.last_response(CALLER).sdp_line("m=");
        assert_eq!(offered, Some(format!("m=audio 20000 RTP/AVP {ours}")));
        assert_eq!(
            rig.call.recoding_place() == RecodingPlace::Needed,
            !is_full,
            "until it shows"
        );
        let answered = if is_full { "AVP 9 101" } else { "AVP 8 101" };
        rig.ack(CALLER, &carrier_sdp("sendrecv").replace("AVP 8 0 101", answered));
        assert_eq!((rig.call.phase(), rig.reinvites(CALLEE).len()), (Phase::Answered, 0));
        let place = match is_full {
            true => RecodingPlace::Needless,
            false => RecodingPlace::Needed,
        };
        assert_eq!(rig.call.recoding_place(), place);
        rig.hang_up_and_finish();
    }
}

#[test]
fn an_ack_without_an_answer_ends_the_call() {
    for answer in ["", "v=0\r\n"] {
        let mut rig = offered();
        rig.ack(CALLER, answer);
        assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
        assert_eq!(rig.finish().cause.label(), "media_refused");
    }
}

#[test]
fn a_re_invite_without_an_offer_gets_ours() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Invite, "", "");
    let ours = rig.last_response(CALLEE);
    assert_eq!(
        ours.sdp_line("m=").map(|line| line[..13].to_owned()),
        Some("m=audio 20002".into())
    );
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(
        rig.last_response(CALLER).message.status(),
        Some(491),
        "the answer is still to come"
    );
    rig.ack(CALLEE, &teams_sdp("inactive"));
    let told = rig.reinvites(CALLER)[0].clone();
    assert!(told.sdp().contains("a=inactive"), "it was a hold");
    rig.respond(&told, reply(200).sdp(carrier_sdp("inactive")));
    rig.hang_up_and_finish();
}

#[test]
fn a_caller_without_an_offer_hears_the_prompt_once_its_answer_is_there() {
    let mut rig = to_application().sdp("").begin();
    rig.answer(&json!([{ "verb": "play", "url": "a.wav" }]));
    assert_eq!(rig.statuses(), [200]);
    assert!(rig.sounds().is_empty(), "nobody could hear it yet");
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    assert_eq!(rig.sounds().len(), 1);
    rig.sound_ends();
    rig.finish();
}

#[test]
fn a_caller_without_an_offer_has_its_answer_before_anybody_is_dialled() {
    let plans = |rig: &Rig| {
        rig.wishes
            .iter()
            .filter(|wish| matches!(wish, Effect::Plan { .. }))
            .count()
    };
    for first in [json!([]), json!([{ "verb": "answer" }])] {
        let mut all = first.as_array().cloned().expect("verbs");
        let on_bridge = json!({ "answerOnBridge": !all.is_empty() });
        all.push(dial(&["+12065550101"], &on_bridge));
        let mut rig = to_application().sdp("").begin();
        rig.answer(&json!(all));
        assert_eq!((rig.statuses(), plans(&rig)), (vec![200], 0));
        rig.ack(CALLER, &carrier_sdp("sendrecv"));
        assert_eq!(plans(&rig), 1);
        rig.planned(&["+12065550101"]);
        let callee = rig.last_invite();
        rig.picks_up(&callee);
        rig.assert_bridged(CALLER, callee.leg);
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_caller_without_an_offer_is_not_answered_for_what_was_to_be_heard_before() {
    let mut rig = to_application().sdp("").begin();
    rig.answer(&json!([
        { "verb": "say", "text": "Nobody has this number", "earlyMedia": true },
        { "verb": "play", "url": "a.wav", "earlyMedia": true, "actionHook": "/played" }
    ]));
    let told = rig.last_question();
    assert_eq!(told.url, "/played");
    assert_eq!(told.properties["reason"], "playFailed");
    rig.answer(&json!([
        { "verb": "config", "earlyMedia": true },
        { "verb": "gather", "numDigits": 1, "actionHook": "/keys" }
    ]));
    let told = rig.last_question();
    assert_eq!(
        (told.url.as_str(), &told.properties["reason"]),
        ("/keys", &json!("error"))
    );
    rig.answer(&json!([{ "verb": "sip:decline", "status": 404 }]));
    assert_eq!((rig.statuses(), rig.sounds().len()), (vec![404], 0));
    for verb in ["say", "play", "gather"] {
        assert_eq!(bad_answers(&rig, verb), 1, "{verb}");
    }
    rig.finish();
}

/// How often the application was told that this can't be had.
fn bad_answers(rig: &Rig, what: &str) -> usize {
    let told = rig.told(Kind::CallStatus);
    told.iter()
        .filter(|event| event.get("error") == Some(&json!(what)))
        .count()
}

#[test]
fn a_caller_without_an_offer_that_is_answered_on_the_bridge_hears_no_music() {
    let mut rig = to_application().sdp("").begin();
    let properties = json!({ "answerOnBridge": true, "dialMusic": "music.wav" });
    rig.answer(&json!([dial(&["+12065550101"], &properties)]));
    rig.planned(&["+12065550101"]);
    let callee = rig.last_invite();
    rig.respond(&callee, reply(180));
    assert_eq!((rig.statuses(), rig.sounds().len()), (vec![180], 0));
    assert_eq!(bad_answers(&rig, "dialMusic"), 1);
    rig.picks_up(&callee);
    assert_eq!(rig.statuses(), [180, 200]);
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    rig.assert_bridged(CALLER, callee.leg);
    for leg in [CALLER, callee.leg] {
        let handle = rig.call.legs()[usize::from(leg.0)].media.handle().expect("media");
        let config = &rig.configured[&handle];
        assert_eq!(config.direction, Direction::SendRecv, "{leg:?} hears and is heard");
        assert_ne!(config.remote.port(), 0);
    }
    rig.hang_up_and_finish();
}
