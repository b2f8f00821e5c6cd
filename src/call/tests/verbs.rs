//! Verbs that need nobody but the caller: play, gather, pause, tag, requests; and what an application commands.

use super::application::{dial, terms, to_application, verbs};
use super::messages::reply;
use super::peers::carrier_sdp;
use super::scenario::from_carrier;
use crate::app::payload::Kind;
use crate::call::{Effect, Event, LegIndex, Phase, PlayOutcome, Source, Wish};
use crate::sip::Method;
use serde_json::json;
use std::time::Duration;

#[test]
fn sounds_are_played_one_after_the_other_as_often_as_wanted() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "play", "url": ["a.wav", "b.wav"], "loop": 2, "actionHook": "/played" }]));
    assert_eq!(rig.statuses(), [200]);
    rig.ack(LegIndex::CALLER, "");
    for _ in 0..4 {
        rig.sound_ends();
    }
    let played: Vec<Source> = rig.sounds().into_iter().map(|(.., sound)| sound.source).collect();
    let expected = ["a.wav", "b.wav", "a.wav", "b.wav"].map(|url| Source::Url(url.into()));
    assert_eq!(played, expected);
    let result = rig.last_question();
    assert_eq!(
        (result.url.as_str(), &result.properties["reason"]),
        ("/played", &json!("playCompleted"))
    );
    rig.answer(&json!([{ "verb": "hangup" }]));
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn a_sound_that_can_not_be_had_is_told() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "play", "url": "none.wav", "actionHook": "/played" }]));
    rig.ack(LegIndex::CALLER, "");
    let (leg, play, _) = rig.sounds()[0].clone();
    let outcome = PlayOutcome::Failed { why: "404".into() };
    rig.step(Event::Played { leg, play, outcome });
    assert_eq!(rig.last_question().properties["reason"], "playFailed");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn early_media_plays_before_the_answer() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "play", "url": "a.wav", "earlyMedia": true },
        { "verb": "sip:decline", "status": 404, "reason": "Gone Fishing", "headers": { "X-Why": "season" } }
    ]));
    assert_eq!(rig.statuses(), [183]);
    assert!(rig.last_response(LegIndex::CALLER).sdp_line("m=").is_some());
    rig.sound_ends();
    assert_eq!(rig.statuses(), [183, 404]);
    let raw = String::from_utf8_lossy(rig.last_response(LegIndex::CALLER).message.as_bytes()).into_owned();
    assert!(
        raw.starts_with("SIP/2.0 404 Gone Fishing") && raw.contains("X-Why: season"),
        "{raw}"
    );
    rig.finish();
}

#[test]
fn media_of_our_own_before_the_answer_is_told_as_early_media_once() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "play", "url": "a.wav", "earlyMedia": true, "actionHook": "/played" },
        dial(&["+12065550101"], &json!({ "answerOnBridge": true, "dialMusic": "music.wav" }))
    ]));
    rig.sound_ends();
    let played = rig.last_question().properties;
    assert_eq!(
        (&played["call_status"], &played["sip_status"]),
        (&json!("early-media"), &json!(183))
    );
    rig.answer(&json!([]));
    rig.planned(&["+12065550101"]);
    let (leg, play, _) = rig.sounds().last().cloned().expect("music");
    rig.step(Event::PlayBegan { leg, play });
    rig.picks_up(&rig.last_invite());
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
    let own = rig.questions()[0].properties["call_sid"].clone();
    let told = ["trying 100", "early-media 183", "in-progress 200", "completed 200"];
    assert_eq!(rig.statuses_of(&own), told);
}

#[test]
fn music_is_told_as_early_media_when_it_begins() {
    let mut rig = to_application().begin();
    let music = json!({ "answerOnBridge": true, "dialMusic": "music.wav", "actionHook": "/done" });
    rig.answer(&json!([dial(&["+12065550101"], &music)]));
    rig.planned(&["+12065550101"]);
    let own = rig.questions()[0].properties["call_sid"].clone();
    assert_eq!(rig.statuses_of(&own), ["trying 100"]);
    let (leg, play, _) = rig.sounds()[0].clone();
    rig.step(Event::PlayBegan { leg, play });
    assert_eq!(rig.statuses_of(&own), ["trying 100", "early-media 183"]);
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!(rig.last_question().properties["call_status"], "early-media");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_decline_says_which_verb_it_was_unless_its_headers_give_a_reason() {
    for (headers, reason) in [
        (json!({}), "x-reason: sip decline verb\r\n"),
        (json!({ "x-reason": "Closed" }), "x-reason: closed\r\n"),
    ] {
        let mut rig = to_application().begin();
        rig.answer(&json!([{ "verb": "sip:decline", "status": 486, "headers": headers }]));
        assert_eq!(rig.statuses(), [486]);
        let raw = String::from_utf8_lossy(rig.last_response(LegIndex::CALLER).message.as_bytes()).to_lowercase();
        assert!(raw.contains(reason) && raw.matches("x-reason:").count() == 1, "{raw}");
        rig.finish();
    }
}

#[test]
fn keys_are_gathered_and_barge_in_on_the_prompt() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{
        "verb": "gather", "input": ["digits"], "numDigits": 2, "actionHook": "/keys",
        "play": { "url": "enter.wav" }
    }]));
    rig.ack(LegIndex::CALLER, "");
    rig.key(LegIndex::CALLER, '1');
    assert!(matches!(rig.wishes.last(), Some(Effect::StopPlaying { .. })));
    rig.key(LegIndex::CALLER, '2');
    let result = rig.last_question().properties;
    assert_eq!(
        (&result["reason"], &result["digits"]),
        (&json!("dtmfDetected"), &json!("12"))
    );
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn nobody_presses_a_key() {
    let mut rig = to_application().begin();
    rig.answer(
        &json!([{ "verb": "gather", "input": ["digits"], "numDigits": 2, "timeout": 5, "actionHook": "/keys" }]),
    );
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.last_question().properties["reason"], "timeout");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn keys_of_a_bridge_are_told_by_pattern() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &["+12065550101"],
        &json!({ "dtmfHook": "/keys", "dtmfCapture": { "childCall": ["*2"], "parentCall": ["9"] } })
    )]));
    rig.planned(&["+12065550101"]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.key(invite.leg, '9');
    rig.key(invite.leg, '*');
    rig.key(invite.leg, '2');
    rig.key(LegIndex::CALLER, '9');
    let told: Vec<_> = rig
        .told(Kind::VerbHook)
        .iter()
        .map(|told| told["dtmf"].clone())
        .collect();
    assert_eq!(told, ["*2", "9"]);
    rig.hang_up_and_finish();
}

#[test]
fn a_key_in_an_info_counts() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "gather", "input": ["digits"], "numDigits": 1, "actionHook": "/keys" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.key_in_info(LegIndex::CALLER, "7");
    assert_eq!(rig.last_response(LegIndex::CALLER).message.status(), Some(200));
    assert_eq!(rig.last_question().properties["digits"], "7");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_peer_may_change_the_way_of_its_keys() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "gather", "input": ["digits"], "numDigits": 4, "actionHook": "/keys" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.key(LegIndex::CALLER, '7');
    for key in ["8", "8"] {
        rig.key_in_info(LegIndex::CALLER, key);
    }
    rig.key(LegIndex::CALLER, '9');
    assert_eq!(rig.last_question().properties["digits"], "7889");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_key_that_comes_in_the_audio_and_in_an_info_is_one() {
    for info_first in [true, false] {
        let mut rig = to_application().begin();
        rig.answer(&json!([{ "verb": "gather", "input": ["digits"], "numDigits": 3, "actionHook": "/keys" }]));
        rig.ack(LegIndex::CALLER, "");
        for key in ['7', '7', '8'] {
            if info_first {
                rig.key_in_info(LegIndex::CALLER, key);
            }
            rig.key(LegIndex::CALLER, key);
            if !info_first {
                rig.key_in_info(LegIndex::CALLER, key);
            }
        }
        assert_eq!(rig.last_question().properties["digits"], "778");
        rig.answer(&json!([]));
        rig.finish();
    }
}

#[test]
fn a_key_in_an_info_reaches_the_other_side_of_a_bridge() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned(&["+12065550101"]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.key_in_info(LegIndex::CALLER, "5");
    rig.picks_up(&invite);
    rig.key_in_info(LegIndex::CALLER, "6");
    rig.step(Event::DigitsSent {
        leg: invite.leg,
        cookie: 0,
    });
    // Events are relayed as they are; what else is sent of the same media comes as one too.
    rig.key(LegIndex::CALLER, '7');
    rig.key_in_info(LegIndex::CALLER, "8");
    let moved = carrier_sdp("sendrecv").replace("203.0.113.20", "203.0.113.21");
    rig.request(LegIndex::CALLER, Method::Invite, "", &moved);
    rig.ack(LegIndex::CALLER, "");
    rig.key_in_info(LegIndex::CALLER, "9");
    let callee = rig.call.legs()[1].media.handle();
    let sent: Vec<_> = rig
        .wishes
        .iter()
        .filter_map(|wish| match wish {
            Effect::SendDigits { handle, digits, .. } => Some((Some(*handle), digits.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(callee, "6"), (callee, "9")], "once there is a bridge");
    rig.hang_up_and_finish();
}

#[test]
fn a_connected_application_may_say_more_later_and_leave() {
    let mut connected = terms();
    connected.connected = true;
    let mut rig = from_carrier().decided_by(connected).begin();
    rig.answer(&json!([{ "verb": "answer" }]));
    rig.ack(LegIndex::CALLER, "");
    assert!(rig.byes(LegIndex::CALLER).is_empty(), "it waits for a command");
    let more = verbs(&json!([{ "verb": "play", "url": "a.wav" }]));
    rig.command(Wish::Verbs {
        verbs: more,
        append: true,
    });
    assert_eq!(rig.sounds().len(), 1);
    rig.step(Event::Disconnected { failed: None });
    assert_eq!(rig.call.phase(), Phase::Answered, "what it left is played to the end");
    rig.sound_ends();
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn hold_of_a_caller_that_talks_to_nobody_is_answered_here() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 60 }]));
    rig.ack(LegIndex::CALLER, "");
    for direction in ["sendonly", "inactive", "sendrecv"] {
        rig.request(
            LegIndex::CALLER,
            Method::Invite,
            "",
            &super::peers::carrier_sdp(direction),
        );
        assert_eq!(
            rig.last_response(LegIndex::CALLER).message.status(),
            Some(200),
            "{direction}"
        );
        rig.ack(LegIndex::CALLER, "");
    }
    rig.hang_up_and_finish();
}

#[test]
fn a_request_inside_the_dialog_waits_for_its_answer() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "answer" },
        { "verb": "sip:request", "method": "INFO", "body": "hello", "headers": { "X-Note": "1" }, "actionHook": "/sent" }
    ]));
    let info = rig.requests_sent(&Method::Info).pop().expect("an INFO");
    rig.ack(LegIndex::CALLER, "");
    rig.respond(&info, reply(200));
    let result = rig.last_question().properties;
    assert_eq!(
        (&result["result"], &result["sip_status"]),
        (&json!("success"), &json!(200))
    );
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn music_is_played_while_others_ring_and_stops_at_the_bridge() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &["+12065550101"],
        &json!({ "answerOnBridge": true, "dialMusic": "https://media.example/music.mp3" })
    )]));
    rig.planned(&["+12065550101"]);
    let (leg, play, sound) = rig.sounds()[0].clone();
    assert_eq!((leg, sound.times), (LegIndex::CALLER, None));
    let invite = rig.last_invite();
    assert!(rig.statuses().is_empty(), "the music is not there yet");
    rig.step(Event::PlayBegan { leg, play });
    rig.respond(&invite, reply(180));
    assert_eq!(
        rig.statuses(),
        [183],
        "180 would have the caller's side ring over the music"
    );
    rig.picks_up(&invite);
    let stopped = |effect: &&Effect| matches!(effect, Effect::StopPlaying { play: stopped, .. } if *stopped == play);
    assert_eq!(rig.wishes.iter().filter(stopped).count(), 1);
    assert_eq!(rig.statuses(), [183, 200]);
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn music_that_can_not_be_had_is_told_and_the_caller_hears_its_own_side_ring() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &["+12065550101"],
        &json!({ "answerOnBridge": true, "dialMusic": "https://media.example/music.mp3" })
    )]));
    rig.planned(&["+12065550101"]);
    let (leg, play, _) = rig.sounds()[0].clone();
    rig.step(Event::Played {
        leg,
        play,
        outcome: PlayOutcome::Failed {
            why: "status 404".into(),
        },
    });
    let told = rig.told(Kind::CallStatus).pop().expect("an event");
    assert_eq!(
        (&told["error"], &told["reason"]),
        (&json!("dialMusic"), &json!("status 404"))
    );
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    assert_eq!(rig.statuses(), [180]);
    rig.picks_up(&invite);
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_sound_that_can_not_be_had_is_told_and_the_verbs_go_on() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "say", "text": "hello" }, { "verb": "play", "url": "b.wav" }]));
    rig.ack(LegIndex::CALLER, "");
    for verb in ["say", "play"] {
        let (leg, play, _) = rig.sounds().last().cloned().expect("a sound");
        let outcome = PlayOutcome::Failed { why: "gone".into() };
        rig.step(Event::Played { leg, play, outcome });
        let told = rig.told(Kind::CallStatus);
        let errors = told.iter().filter(|event| event.get("error") == Some(&json!(verb)));
        assert_eq!(errors.count(), 1, "{verb}");
    }
    rig.finish();
}

#[test]
fn a_sound_that_another_one_displaces_ends_its_verb() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "play", "url": "a.wav" }, { "verb": "play", "url": "b.wav" }]));
    rig.ack(LegIndex::CALLER, "");
    let (leg, play, _) = rig.sounds()[0].clone();
    let outcome = PlayOutcome::Stopped { played: Duration::ZERO };
    rig.step(Event::Played { leg, play, outcome });
    assert_eq!(rig.sounds().len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn a_play_with_a_time_limit_ends_in_the_middle_of_its_sound() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "play", "url": "long.wav", "timeoutSecs": 5, "actionHook": "/played" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(6));
    assert!(
        rig.wishes
            .iter()
            .any(|effect| matches!(effect, Effect::StopPlaying { .. }))
    );
    assert_eq!(rig.last_question().url, "/played");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_play_that_is_cut_says_how_far_it_came() {
    let mut rig = to_application().begin();
    let play = json!({
        "verb": "play", "url": ["a.wav", "b.wav"], "seekOffset": 8_000, "timeoutSecs": 5, "actionHook": "/played"
    });
    rig.answer(&json!([play]));
    rig.ack(LegIndex::CALLER, "");
    let (leg, play, _) = rig.sounds()[0].clone();
    rig.step(Event::PlayBegan { leg, play });
    rig.wait(Duration::from_millis(3_500));
    let outcome = PlayOutcome::Completed {
        played: Duration::from_millis(3_500),
    };
    rig.step(Event::Played { leg, play, outcome });
    let (leg, play, _) = rig.sounds()[1].clone();
    rig.step(Event::PlayBegan { leg, play });
    rig.wait(Duration::from_millis(1_510));
    assert_ne!(
        rig.last_question().url,
        "/played",
        "the worker has not said how far it came"
    );
    let outcome = PlayOutcome::Stopped {
        played: Duration::from_micros(1_500_125),
    };
    rig.step(Event::Played { leg, play, outcome });
    let told = rig.last_question();
    assert_eq!(told.url, "/played");
    for (name, value) in [
        ("reason", json!("playCompleted")),
        ("playback_seconds", json!(5)),
        ("playback_milliseconds", json!(5_000)),
        ("playback_last_offset_pos", json!(12_001)),
    ] {
        assert_eq!(told.properties[name], value, "{name}");
    }
    assert_eq!(rig.sounds().len(), 2);
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn where_a_play_ends_counts_from_the_beginning_of_its_sound() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "play", "url": "a.wav", "seekOffset": 16_000, "actionHook": "/played" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.sound_ends();
    let told = rig.last_question().properties;
    assert_eq!(
        (&told["playback_milliseconds"], &told["playback_last_offset_pos"]),
        (&json!(1_000), &json!(24_000))
    );
    rig.hang_up_and_finish();
}

#[test]
fn a_cut_that_no_worker_answers_ends_the_verb_all_the_same() {
    for began in [true, false] {
        let mut rig = to_application().begin();
        rig.answer(&json!([{ "verb": "play", "url": "a.wav", "timeoutSecs": 5, "actionHook": "/played" }]));
        rig.ack(LegIndex::CALLER, "");
        let (leg, play, _) = rig.sounds()[0].clone();
        if began {
            rig.step(Event::PlayBegan { leg, play });
        }
        rig.wait(Duration::from_millis(5_100));
        assert_eq!(
            rig.last_question().url == "/played",
            !began,
            "what is not there yet is not waited for"
        );
        rig.wait(Duration::from_secs(2));
        assert_eq!(rig.last_question().url, "/played");
        rig.hang_up_and_finish();
    }
}

#[test]
fn keys_are_sent_to_their_end_before_the_next_verb() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "dtmf", "dtmf": "12#" }, { "verb": "hangup" }]));
    rig.ack(LegIndex::CALLER, "");
    assert!(rig.byes(LegIndex::CALLER).is_empty());
    let cookie = rig.wishes.iter().find_map(|effect| match effect {
        Effect::SendDigits { cookie, .. } => Some(*cookie),
        _ => None,
    });
    let cookie = cookie.expect("keys");
    rig.step(Event::DigitsSent {
        leg: LegIndex::CALLER,
        cookie,
    });
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn an_application_that_is_asked_over_another_websocket_is_connected_again() {
    let mut connected = terms();
    connected.connected = true;
    let mut rig = from_carrier().decided_by(connected).begin();
    rig.answer(&json!([
        { "verb": "play", "url": "a.wav" },
        { "verb": "redirect", "actionHook": "wss://other.example/calls" }
    ]));
    rig.ack(LegIndex::CALLER, "");
    rig.step(Event::Disconnected { failed: None });
    rig.sound_ends();
    assert_eq!(rig.last_question().url, "wss://other.example/calls");
    rig.answer(&json!([{ "verb": "play", "url": "b.wav" }]));
    rig.sound_ends();
    assert!(
        rig.byes(LegIndex::CALLER).is_empty(),
        "more may come over the new connection"
    );
    rig.step(Event::Disconnected { failed: None });
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn patterns_of_a_list_hold_for_both_sides_however_the_keys_come() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &["+12065550101"],
        &json!({ "dtmfHook": { "url": "/keys", "method": "GET" }, "dtmfCapture": ["*2", "2"] })
    )]));
    rig.planned(&["+12065550101"]);
    rig.ack(LegIndex::CALLER, "");
    rig.key(LegIndex::CALLER, '2');
    assert!(rig.told(Kind::VerbHook).is_empty(), "nobody talks yet");
    let callee = rig.last_invite();
    rig.picks_up(&callee);
    rig.key(LegIndex::CALLER, '*');
    rig.wait(Duration::from_secs(4));
    rig.key(LegIndex::CALLER, '2');
    let info = "Content-Type: application/dtmf-relay\r\n";
    for key in ["*", "2"] {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        rig.request(callee.leg, Method::Info, info, &body);
        assert_eq!(rig.last_response(callee.leg).message.status(), Some(200));
    }
    let told = rig.told(Kind::VerbHook);
    let keys: Vec<_> = told
        .iter()
        .map(|told| told["dtmf"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(keys, ["2", "*2"], "a pause begins anew");
    assert_eq!(
        told[1]["parent_call_sid"], told[0]["call_sid"],
        "each side by its own name"
    );
    let before = rig.told(Kind::VerbHook).len();
    rig.request(callee.leg, Method::Bye, "", "");
    rig.key(LegIndex::CALLER, '2');
    assert_eq!(rig.told(Kind::VerbHook).len(), before, "nobody talks any more");
    rig.finish();
}
