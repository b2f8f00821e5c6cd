//! Destinations that are screened before the caller gets them.

use super::application::{dial, hook, to_application};
use super::messages::reply;
use super::rig::Rig;
use crate::app::command::Onward;
use crate::app::payload::{Kind, Status};
use crate::app::sid::CallSid;
use crate::app::verb::Hook;
use crate::call::{Command, Effect, LegIndex, Phase, Source, Wish};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::json;
use std::time::Duration;

const A: &str = "+12065550101";
const B: &str = "+12065550102";

/// A dial whose destinations have to be confirmed, with both of them answered.
fn two_screened() -> (Rig, [super::messages::Sent; 2]) {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A, B],
        &json!({ "answerOnBridge": true, "confirmHook": "/screen", "actionHook": "/done" })
    )]));
    rig.planned(&[A, B]);
    let invites = rig.invites();
    rig.picks_up(&invites[0]);
    rig.picks_up(&invites[1]);
    (rig, [invites[0].clone(), invites[1].clone()])
}

fn answer_on(rig: &mut Rig, leg: LegIndex, verbs: &serde_json::Value) {
    let question = rig
        .questions()
        .into_iter()
        .rfind(|question| question.leg == leg)
        .expect("a question of the leg");
    let verbs = match verbs.as_array() {
        Some(list) if list.is_empty() => Vec::new(),
        _ => super::application::verbs(verbs),
    };
    rig.step(crate::call::Event::Answered {
        ask: question.number,
        result: Ok(crate::call::Reply { verbs }),
    });
}

#[test]
fn two_are_screened_at_once_and_the_first_that_passes_wins() {
    let (mut rig, [first, second]) = two_screened();
    let asked: Vec<_> = rig
        .questions()
        .iter()
        .filter(|question| question.kind == Kind::DialConfirm)
        .cloned()
        .collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].properties["call_status"], "in-progress");
    assert_ne!(asked[0].properties["call_sid"], asked[1].properties["call_sid"]);
    assert!(!rig.statuses().contains(&200), "the caller rings on");
    assert_eq!(rig.bridges, 0);
    let prompt = json!([{ "verb": "play", "url": "press-one.wav" }]);
    answer_on(&mut rig, first.leg, &prompt);
    answer_on(&mut rig, second.leg, &prompt);
    assert_eq!(
        rig.sounds().iter().map(|(leg, ..)| *leg).collect::<Vec<_>>(),
        [first.leg, second.leg]
    );
    rig.sound_ends();
    assert_eq!(rig.statuses().last(), Some(&200));
    assert_eq!(rig.bridges, 1);
    let byes = rig.byes(first.leg);
    assert_eq!(byes.len(), 1, "who was answered already is hung up");
    assert_eq!(
        byes[0].header(crate::sip::message::HeaderName::Reason),
        Some(r#"SIP;cause=200;text="Call completed elsewhere""#)
    );
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_refused_screening_fails_its_attempt_and_the_others_ring_on() {
    let (mut rig, [first, second]) = two_screened();
    answer_on(&mut rig, first.leg, &json!([{ "verb": "hangup" }]));
    assert_eq!(rig.byes(first.leg).len(), 1);
    assert_eq!(rig.call.phase(), Phase::Ringing);
    rig.request(second.leg, Method::Bye, "", "");
    let result = rig.last_question();
    assert_eq!(result.url, "/done");
    assert_eq!(result.properties["dial_call_status"], "failed");
    assert_eq!(result.properties["dial_sip_status"], 603);
    rig.answer(&json!([]));
    assert_eq!(rig.finish().status, 603);
    assert_eq!(rig.statuses().iter().filter(|status| **status >= 300).count(), 1);
}

#[test]
fn no_verbs_let_a_destination_through_and_a_failing_hook_does_not() {
    let (mut rig, [first, second]) = two_screened();
    rig.hook_fails("timeout");
    assert_eq!(rig.byes(second.leg).len(), 1);
    answer_on(&mut rig, first.leg, &json!([]));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_screening_that_never_ends_is_ended() {
    let (mut rig, [first, _]) = two_screened();
    answer_on(&mut rig, first.leg, &json!([{ "verb": "pause", "length": 600 }]));
    rig.wait(Duration::from_secs(61));
    assert_eq!(rig.byes(first.leg).len(), 1);
    assert_eq!(rig.last_question().properties["dial_sip_status"], 603);
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn a_caller_that_gives_up_ends_the_screenings_too() {
    let (mut rig, [first, second]) = two_screened();
    rig.cancel(Rig::first_transaction(), "");
    assert_eq!(rig.byes(first.leg).len() + rig.byes(second.leg).len(), 2);
    let application = rig.finish().application.expect("its record");
    let dial = &application.dials[0];
    assert_eq!(
        (dial.dial_status, dial.sip_status),
        (Status::NoAnswer, 487),
        "nobody was talked to, and nobody refused"
    );
    assert_eq!(
        ends(&rig),
        [
            ("no-answer".into(), json!("jambonz")),
            ("no-answer".into(), json!("jambonz"))
        ]
    );
}

/// The ends of children: their status, and who ended them.
fn ends(rig: &Rig) -> Vec<(String, serde_json::Value)> {
    let told = rig.told(Kind::CallStatus).into_iter();
    let ends = told.filter(|event| event.contains_key("parent_call_sid") && event.contains_key("call_termination_by"));
    ends.map(|event| {
        let status = event["call_status"].as_str().unwrap_or_default().to_owned();
        (status, event["call_termination_by"].clone())
    })
    .collect()
}

#[test]
fn who_loses_while_it_is_screened_was_not_talked_to_and_who_ended_a_screening_is_told() {
    let (mut rig, [_, second]) = two_screened();
    answer_on(&mut rig, second.leg, &json!([]));
    assert_eq!(ends(&rig), [("no-answer".into(), json!("jambonz"))]);
    rig.ack(LegIndex::CALLER, "");
    rig.request(second.leg, Method::Bye, "", "");
    assert_eq!(ends(&rig)[1], ("completed".into(), json!("caller")));
    let targets = rig.last_question().properties["dial_targets"].clone();
    assert_eq!(
        (&targets[0]["status"], &targets[0]["sip_status"]),
        (&json!("no-answer"), &json!(487))
    );
    rig.answer(&json!([]));
    rig.finish();

    let (mut rig, [first, second]) = two_screened();
    answer_on(&mut rig, first.leg, &json!([{ "verb": "hangup" }]));
    rig.request(second.leg, Method::Bye, "", "");
    assert_eq!(
        ends(&rig),
        [("failed".into(), json!("jambonz")), ("failed".into(), json!("caller"))]
    );
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn how_a_screening_speaks_is_its_own() {
    let (mut rig, [first, second]) = two_screened();
    let say = json!({ "verb": "say", "text": "Press 1" });
    let synthesizer = json!({ "vendor": "espeak-ng", "language": "de-DE" });
    let config = json!({ "verb": "config", "synthesizer": synthesizer, "earlyMedia": true, "disableTtsCache": true });
    answer_on(&mut rig, first.leg, &json!([config, say]));
    answer_on(&mut rig, second.leg, &json!([say]));
    let spoken: Vec<_> = rig
        .spoken()
        .into_iter()
        .map(|(by, fresh)| (by.voicing.language, fresh))
        .collect();
    let (own, usual) = (&spoken[0], &spoken[1]);
    assert_eq!((own.0.as_deref(), own.1), (Some("de-DE"), true));
    assert!(usual.0.as_deref() != Some("de-DE") && !usual.1, "{usual:?}");
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

/// Passed over, such a verb would let somebody through.
#[test]
fn a_verb_that_has_no_place_in_a_screening_ends_it() {
    let decline = json!({ "verb": "sip:decline", "status": 480 });
    let more = [
        json!([dial(&[A], &json!({}))]),
        json!([{ "verb": "pause", "length": 1 }, decline]),
        json!([{ "verb": "config", "notifyEvents": true }]),
        json!([{ "verb": "config", "boostAudioSignal": 3 }]),
        json!([{ "verb": "config", "referHook": "/refer" }]),
    ];
    for verbs in more {
        let (mut rig, [first, second]) = two_screened();
        answer_on(&mut rig, first.leg, &verbs);
        assert_eq!(rig.byes(first.leg).len(), 1, "{verbs}");
        assert!(rig.byes(second.leg).is_empty());
        assert_eq!(rig.bridges, 0);
        answer_on(&mut rig, second.leg, &json!([{ "verb": "hangup" }]));
        rig.answer(&json!([]));
        rig.finish();
    }
}

#[test]
fn another_application_lets_go_of_everybody() {
    let (mut rig, [first, second]) = two_screened();
    rig.command(Wish::Redirect(hook("/other")));
    assert_eq!(rig.byes(first.leg).len() + rig.byes(second.leg).len(), 0);
    assert_eq!(rig.last_question().kind, Kind::SessionRedirect);
    rig.answer(&json!([{ "verb": "sip:decline", "status": 480 }]));
    assert_eq!(rig.byes(first.leg).len() + rig.byes(second.leg).len(), 2);
    assert_eq!(
        rig.told(Kind::VerbHook).len(),
        1,
        "the results are told, and nothing is asked"
    );
    assert_eq!(rig.finish().status, 480);
}

#[test]
fn a_loser_that_answers_late_is_hung_up() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A, B], &json!({ "answerOnBridge": true }))]));
    rig.planned(&[A, B]);
    let invites = rig.invites();
    rig.picks_up(&invites[0]);
    rig.respond(&invites[1], reply(200).sdp(super::peers::carrier_sdp("sendrecv")));
    let byes = rig.byes(invites[1].leg);
    assert_eq!(byes.len(), 1);
    assert_eq!(
        byes[0].header(HeaderName::Reason),
        Some(r#"SIP;cause=200;text="Call completed elsewhere""#)
    );
    assert_eq!(rig.bridges, 1);
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
    assert!(!rig.wishes.iter().any(|effect| matches!(effect, Effect::Mute { .. })));
}

#[test]
fn a_screening_lasts_as_long_as_the_dial_allows() {
    for (limit, more) in [(60, json!({})), (10, json!({ "confirmTimeout": 10 }))] {
        let mut rig = to_application().begin();
        let mut verb = dial(
            &[A],
            &json!({ "answerOnBridge": true, "confirmHook": "/screen", "actionHook": "/done" }),
        );
        verb.as_object_mut()
            .expect("a verb")
            .extend(more.as_object().cloned().unwrap_or_default());
        rig.answer(&json!([verb]));
        rig.planned(&[A]);
        let invite = rig.last_invite();
        rig.picks_up(&invite);
        answer_on(&mut rig, invite.leg, &json!([{ "verb": "pause", "length": 300 }]));
        rig.wait(Duration::from_secs(limit - 1));
        assert!(rig.byes(invite.leg).is_empty(), "{limit} s are not over");
        rig.wait(Duration::from_secs(2));
        assert_eq!(rig.byes(invite.leg).len(), 1);
        let result = rig.last_question().properties;
        assert_eq!(
            (&result["dial_status"], &result["dial_sip_status"]),
            (&json!("failed"), &json!(603))
        );
        rig.answer(&json!([]));
        rig.finish();
    }
}

#[test]
fn whoever_was_heard_early_hears_nobody_while_it_is_screened() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A],
        &json!({ "answerOnBridge": true, "confirmHook": "/screen" })
    )]));
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).sdp(super::peers::carrier_sdp("sendrecv")));
    assert_eq!((rig.bridges, rig.bridges_cut), (1, 0), "early media");
    rig.picks_up(&invite);
    assert_eq!((rig.bridges, rig.bridges_cut), (1, 1), "screened alone");
    answer_on(
        &mut rig,
        invite.leg,
        &json!([{ "verb": "play", "url": "press-one.wav" }]),
    );
    rig.sound_ends();
    assert_eq!((rig.bridges, rig.bridges_cut), (2, 1));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn early_media_of_one_that_is_refused_leaves_no_trace() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(
        &[A],
        &json!({ "answerOnBridge": true, "confirmHook": "/screen", "actionHook": "/done" })
    )]));
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).sdp(super::peers::carrier_sdp("sendrecv")));
    rig.picks_up(&invite);
    answer_on(&mut rig, invite.leg, &json!([{ "verb": "hangup" }]));
    assert_eq!((rig.bridges, rig.bridges_cut), (1, 1));
    let done = rig.last_question();
    assert_eq!(done.properties["dial_call_status"], "failed");
    rig.answer(&json!([{ "verb": "hangup" }]));
    rig.finish();
}

#[test]
fn a_hook_that_fails_lets_nobody_through() {
    let mut rig = to_application().begin();
    let screened = json!({ "answerOnBridge": true, "confirmHook": "/screen", "actionHook": "/done" });
    rig.answer(&json!([dial(&[A], &screened)]));
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    answer_on(
        &mut rig,
        invite.leg,
        &json!([{ "verb": "redirect", "actionHook": "/more" }]),
    );
    let more = rig.last_question();
    assert_eq!((more.leg, more.url.as_str()), (invite.leg, "/more"));
    rig.step(crate::call::Event::Answered {
        ask: more.number,
        result: Err("status 500".into()),
    });
    assert_eq!((rig.bridges, rig.byes(invite.leg).len()), (0, 1));
    assert_eq!(rig.last_question().properties["dial_call_status"], "failed");
    rig.answer(&json!([{ "verb": "hangup" }]));
    rig.finish();
}

#[test]
fn sessions_are_refreshed_while_their_sides_are_screened() {
    let mut rig = to_application().begin();
    let screened = json!({ "answerOnBridge": true, "confirmHook": "/screen" });
    rig.answer(&json!([dial(&[A, B], &screened)]));
    rig.planned(&[A, B]);
    let timed = || {
        reply(200)
            .sdp(super::peers::carrier_sdp("sendrecv"))
            .with(HeaderName::SessionExpires, "90;refresher=uac")
    };
    let invites = rig.invites();
    for invite in &invites {
        rig.respond(invite, timed());
        answer_on(&mut rig, invite.leg, &json!([{ "verb": "pause", "length": 600 }]));
    }
    rig.wait(Duration::from_secs(45));
    let refresh = rig.reinvites(invites[0].leg)[0].clone();
    assert_eq!(rig.reinvites(invites[1].leg).len(), 0, "one after the other");
    rig.respond(&refresh, timed());
    rig.wait(Duration::from_secs(5));
    let refresh = rig.reinvites(invites[1].leg)[0].clone();
    rig.respond(&refresh, timed());
    assert_eq!(rig.call.phase(), Phase::Ringing);
    rig.wait(Duration::from_secs(11));
    assert_eq!(
        rig.requests_sent(&Method::Bye).len(),
        2,
        "the screening itself has an end"
    );
    rig.answer(&json!([{ "verb": "hangup" }]));
    rig.finish();
}

#[test]
fn the_screening_is_no_part_of_what_the_two_talked() {
    let (mut rig, [first, _]) = two_screened();
    answer_on(&mut rig, first.leg, &json!([{ "verb": "pause", "length": 20 }]));
    rig.wait(Duration::from_secs(20));
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(5));
    rig.request(first.leg, Method::Bye, "", "");
    let result = rig.last_question().properties;
    assert_eq!(
        (&result["dial_call_status"], &result["dial_duration"]),
        (&json!("completed"), &json!(5))
    );
    assert_eq!(result["dial_targets"][0]["duration"], 25);
    rig.answer(&json!([]));
    rig.finish();
}

/// The hooks that were asked on a leg.
fn asked(rig: &Rig, leg: LegIndex) -> Vec<Hook> {
    let question = |effect: &Effect| match effect {
        Effect::Ask { leg: of, hook, .. } if *of == leg => Some(hook.clone()),
        _ => None,
    };
    rig.wishes.iter().filter_map(question).collect()
}

#[test]
fn a_screening_moves_to_where_its_redirect_leads_and_nobody_else_does() {
    let (mut rig, [first, second]) = two_screened();
    let there = json!({ "url": "https://b.example/x", "username": "app", "password": "word" });
    let away = json!([{ "verb": "redirect", "actionHook": there }]);
    answer_on(&mut rig, first.leg, &away);
    answer_on(
        &mut rig,
        second.leg,
        &json!([{ "verb": "redirect", "actionHook": "/g" }]),
    );
    let prompt = json!([{ "verb": "say", "text": "hello" }, { "verb": "play", "url": "/p.wav", "actionHook": "/g" }]);
    answer_on(&mut rig, first.leg, &prompt);
    while rig.last_question().leg != first.leg {
        rig.sound_ends();
    }
    let sounds: Vec<_> = rig.sounds().into_iter().map(|(.., sound)| sound.source).collect();
    assert!(
        sounds.contains(&Source::Url("https://b.example/p.wav".into())),
        "{sounds:?}"
    );
    let last = asked(&rig, first.leg).pop().expect("a question");
    assert_eq!(last.url, "https://b.example/g");
    assert_eq!(last.credentials.map(|(user, _)| user).as_deref(), Some("app"));
    // Elsewhere its credentials are nobody's business.
    let on = json!([{ "verb": "redirect", "actionHook": "https://c.example/x" }]);
    answer_on(&mut rig, first.leg, &on);
    assert_eq!(asked(&rig, first.leg).pop(), Some(hook("https://c.example/x")));
    answer_on(
        &mut rig,
        first.leg,
        &json!([{ "verb": "redirect", "actionHook": "/g" }]),
    );
    assert_eq!(asked(&rig, first.leg).pop(), Some(hook("https://c.example/g")));
    assert_eq!(asked(&rig, second.leg).pop(), Some(hook("/g")));
    answer_on(&mut rig, first.leg, &json!([{ "verb": "hangup" }]));
    answer_on(&mut rig, second.leg, &json!([{ "verb": "hangup" }]));
    assert_eq!(rig.last_question().url, "/done", "the call has not moved");
    assert!(!rig.wishes.iter().any(|effect| matches!(effect, Effect::Moved { .. })));
    rig.answer(&json!([]));
    rig.finish();
}

/// They would let the destination through without what it is asked for.
#[test]
fn other_verbs_for_a_leg_that_is_screened_are_refused_and_the_screening_goes_on() {
    let (mut rig, [first, _]) = two_screened();
    answer_on(
        &mut rig,
        first.leg,
        &json!([{ "verb": "pause", "length": 9 }, { "verb": "hangup" }]),
    );
    let confirmed = rig.questions();
    let confirmed = confirmed.iter().find(|question| question.leg == first.leg);
    let sid = confirmed
        .and_then(|question| question.properties["call_sid"].as_str())
        .unwrap_or_default();
    let leg = CallSid::parse(sid);
    let verbs = super::application::verbs(&json!([{ "verb": "pause", "length": 1 }]));
    for (wish, name) in [
        (Wish::Redirect(hook("/other")), "redirect"),
        (Wish::Verbs { verbs, append: false }, "redirect"),
        (
            Wish::Part {
                parent: None,
                child: Onward::Hook(hook("/other")),
            },
            "child_call_hook",
        ),
    ] {
        rig.step(crate::call::Event::Command(Box::new(Command {
            leg,
            wish,
            reply: None,
        })));
        let told = rig.told(Kind::CallStatus).pop().expect("an event");
        assert_eq!(told["error"], name);
    }
    assert!(rig.questions().iter().all(|question| question.url != "/other"));
    rig.wait(Duration::from_secs(2));
    assert_eq!((rig.bridges, rig.byes(first.leg).len()), (0, 0), "it is screened still");
    rig.wait(Duration::from_secs(8));
    assert_eq!((rig.bridges, rig.byes(first.leg).len()), (0, 1));
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}
