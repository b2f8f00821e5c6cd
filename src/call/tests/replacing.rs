//! Another application for a call: what runs goes on until it is there, and stays when it is not.

use super::application::{dial, hook, terms, to_application};
use super::rig::Rig;
use super::scenario::from_carrier;
use crate::app::payload::Kind;
use crate::app::verb::Hook;
use crate::call::{AppTerms, Cause, Effect, Event, LegIndex, Phase, Reply, Wish};
use crate::sip::Method;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";

/// A caller and a callee who talk; a pause is left for the caller.
fn bridged(more: &Value) -> (Rig, LegIndex) {
    bridged_by(terms(), more)
}

fn bridged_by(terms: AppTerms, more: &Value) -> (Rig, LegIndex) {
    let mut rig = from_carrier().decided_by(terms).begin();
    rig.answer(&json!([dial(&[A], more), { "verb": "pause", "length": 1 }]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    (rig, invite.leg)
}

#[test]
fn two_who_talk_are_parted_by_verbs_and_by_no_failure() {
    let (mut rig, callee) = bridged(&json!({}));
    rig.command(Wish::Redirect(hook("/broken")));
    assert_eq!(rig.last_question().url, "/broken");
    assert!(rig.byes(callee).is_empty(), "nothing is known yet");
    rig.hook_fails("status 500");
    let told = rig.told(Kind::CallStatus).pop().unwrap();
    assert_eq!(
        (&told["error"], &told["reason"]),
        (&json!("call_hook"), &json!("status 500"))
    );
    assert_eq!(told["call_status"], "in-progress");
    assert!(rig.byes(callee).is_empty() && rig.byes(LegIndex::CALLER).is_empty());
    assert_eq!(rig.call.phase(), Phase::Answered);

    // Of two commands the later one counts.
    rig.command(Wish::Redirect(hook("/one")));
    let one = rig.last_question().number;
    rig.command(Wish::Redirect(hook("/two")));
    let other = super::application::verbs(&json!([{ "verb": "hangup" }]));
    rig.step(Event::Answered {
        ask: one,
        result: Ok(Reply { verbs: other }),
    });
    assert!(rig.byes(callee).is_empty());
    rig.answer(&json!([{ "verb": "play", "url": "sorry.wav" }]));
    assert_eq!((rig.byes(callee).len(), rig.byes(LegIndex::CALLER).len()), (1, 0));
    assert_eq!(rig.sounds().len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn what_an_earlier_command_fetches_undoes_no_later_one() {
    let (mut rig, callee) = bridged(&json!({}));
    rig.command(Wish::Redirect(hook("/slow")));
    let slow = rig.last_question().number;
    rig.command(Wish::Verbs {
        verbs: super::application::verbs(&json!([{ "verb": "play", "url": "sorry.wav" }])),
        append: false,
    });
    assert_eq!(rig.byes(callee).len(), 1);
    rig.step(Event::Answered {
        ask: slow,
        result: Ok(Reply {
            verbs: super::application::verbs(&json!([{ "verb": "hangup" }])),
        }),
    });
    assert!(rig.byes(LegIndex::CALLER).is_empty(), "it still hears the sound");
    assert_eq!(rig.sounds().len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn verbs_that_end_before_the_others_are_there_wait_for_them() {
    for fails in [false, true] {
        let mut rig = to_application().begin();
        rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 1 }]));
        rig.ack(LegIndex::CALLER, "");
        rig.command(Wish::Redirect(hook("/slow")));
        rig.wait(Duration::from_secs(2));
        assert!(rig.byes(LegIndex::CALLER).is_empty());
        match fails {
            true => rig.hook_fails("no answer"),
            false => rig.answer(&json!([{ "verb": "play", "url": "sorry.wav" }])),
        }
        assert_eq!(rig.byes(LegIndex::CALLER).len(), usize::from(fails));
        assert_eq!(rig.sounds().len(), usize::from(!fails));
        if fails {
            rig.finish();
        } else {
            rig.hang_up_and_finish();
        }
    }
}

fn connected() -> AppTerms {
    AppTerms {
        hook: hook("wss://app.contoso.example/calls"),
        status_hook: None,
        connected: true,
        ..terms()
    }
}

fn moves(rig: &Rig) -> Vec<Hook> {
    let moved = |effect: &Effect| match effect {
        Effect::Moved { hook } => Some(hook.clone()),
        _ => None,
    };
    rig.wishes.iter().filter_map(moved).collect()
}

#[test]
fn two_who_talk_outlast_the_connection_to_their_application() {
    for action in [json!({}), json!({ "actionHook": "/done" })] {
        let (mut rig, callee) = bridged_by(connected(), &action);
        let failed = Some("gone".to_owned());
        rig.step(Event::Disconnected { failed });
        assert!(rig.byes(LegIndex::CALLER).is_empty() && rig.byes(callee).is_empty());
        rig.request(callee, Method::Bye, "", "");
        if action["actionHook"].is_string() {
            rig.hook_fails("gone");
        }
        assert_eq!(rig.byes(LegIndex::CALLER).len(), 1, "nobody says what comes next");
        assert!(matches!(rig.finish().cause, Cause::Cleared { .. }));
    }
    // Another application takes over; what is left of the first one's verbs is not run.
    let (mut rig, callee) = bridged_by(connected(), &json!({}));
    let failed = Some("gone".to_owned());
    rig.step(Event::Disconnected { failed });
    rig.command(Wish::Redirect(hook("https://other.example/next")));
    rig.answer(&json!([{ "verb": "play", "url": "/a.wav" }, { "verb": "pause", "length": 1 }]));
    assert_eq!(rig.byes(callee).len(), 1);
    rig.sound_ends();
    assert!(rig.byes(LegIndex::CALLER).is_empty());
    rig.hang_up_and_finish();

    let mut alone = from_carrier().decided_by(connected()).begin();
    alone.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 60 }]));
    alone.ack(LegIndex::CALLER, "");
    let failed = Some("gone".to_owned());
    alone.step(Event::Disconnected { failed });
    assert_eq!(alone.byes(LegIndex::CALLER).len(), 1);
    alone.finish();
}

#[test]
fn an_application_goes_on_where_a_redirect_leads_once_that_has_answered() {
    let mut at_home = terms();
    at_home.hook.credentials = Some(("app".into(), crate::dial::Secret("word".into())));
    let mut rig = from_carrier().decided_by(at_home).begin();
    rig.answer(&json!([{ "verb": "redirect", "actionHook": "/next" }]));
    rig.answer(
        &json!([{ "verb": "redirect", "actionHook": "https://app.contoso.example/more" },
        { "verb": "pause", "length": 1 }]),
    );
    assert!(moves(&rig).is_empty(), "a path is no other server");
    rig.answer(&json!([{ "verb": "redirect", "actionHook": "https://b.example/x" }, { "verb": "pause", "length": 9 }]));
    let moved = moves(&rig);
    assert_eq!(moved.len(), 1);
    assert!(moved[0].credentials.is_some(), "the same server");
    rig.hook_fails("status 500");
    assert_eq!(moves(&rig).len(), 1, "it stays where it is");
    rig.command(Wish::Redirect(hook("https://b.example/x")));
    rig.answer(&json!([{ "verb": "pause", "length": 9 }]));
    let moved = moves(&rig);
    assert_eq!((moved.len(), moved[1].url.as_str()), (2, "https://b.example/x"));
    assert_eq!(moved[1].credentials, None, "they are of the other server");
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

/// The questions that nobody waits for any more.
fn taken_back(rig: &Rig) -> Vec<u32> {
    let taken = |effect: &Effect| match effect {
        Effect::TakeBack { ask } => Some(*ask),
        _ => None,
    };
    rig.wishes.iter().filter_map(taken).collect()
}

/// A connected application whose call waits in a pause, and the question that may lead it to another WebSocket.
fn led_elsewhere() -> (Rig, u32) {
    let mut rig = from_carrier().decided_by(connected()).begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 60 }]));
    rig.ack(LegIndex::CALLER, "");
    rig.command(Wish::Redirect(hook("wss://b.example/calls")));
    let ask = rig.last_question().number;
    (rig, ask)
}

#[test]
fn a_move_that_a_later_command_supersedes_is_taken_back() {
    let (mut rig, ask) = led_elsewhere();
    rig.command(Wish::Verbs {
        verbs: super::application::verbs(&json!([{ "verb": "pause", "length": 30 }])),
        append: false,
    });
    assert_eq!(taken_back(&rig), [ask]);
    rig.step(Event::Answered {
        ask,
        result: Ok(Reply { verbs: Vec::new() }),
    });
    assert!(moves(&rig).is_empty());
    rig.hang_up_and_finish();

    // A move over HTTP supersedes it as well, and fails: the session is where it was.
    let (mut rig, ask) = led_elsewhere();
    rig.command(Wish::Redirect(hook("https://c.example/calls")));
    assert_eq!(taken_back(&rig), [ask]);
    rig.hook_fails("status 500");
    assert!(moves(&rig).is_empty());
    rig.hang_up_and_finish();

    // So do verbs, for the redirect that a line is in.
    let mut rig = from_carrier().decided_by(connected()).begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": "wss://b.example/calls" }]));
    rig.ack(LegIndex::CALLER, "");
    let ask = rig.last_question().number;
    rig.command(Wish::Verbs {
        verbs: super::application::verbs(&json!([{ "verb": "pause", "length": 30 }])),
        append: false,
    });
    assert_eq!(taken_back(&rig), [ask]);
    rig.hang_up_and_finish();
}

#[test]
fn a_call_outlasts_the_connection_to_the_server_that_leads_it_elsewhere() {
    for fails in [true, false] {
        let (mut rig, ask) = led_elsewhere();
        let failed = Some("gone".to_owned());
        rig.step(Event::Disconnected { failed });
        assert!(rig.byes(LegIndex::CALLER).is_empty());
        if fails {
            rig.hook_fails("refused");
            assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
            assert!(matches!(rig.finish().cause, Cause::Cleared { .. }));
            continue;
        }
        rig.step(Event::Answered {
            ask,
            result: Ok(Reply {
                verbs: super::application::verbs(&json!([{ "verb": "redirect", "actionHook": "/next" }])),
            }),
        });
        assert_eq!(moves(&rig)[0].url, "wss://b.example/calls");
        assert_eq!(rig.last_question().url, "/next", "it goes on there");
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_call_outlasts_its_connection_while_a_server_over_http_is_asked() {
    for fails in [true, false] {
        let mut rig = from_carrier().decided_by(connected()).begin();
        rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 60 }]));
        rig.ack(LegIndex::CALLER, "");
        rig.command(Wish::Redirect(hook("https://c.example/calls")));
        let failed = Some("gone".to_owned());
        rig.step(Event::Disconnected { failed });
        assert!(rig.byes(LegIndex::CALLER).is_empty());
        match fails {
            true => rig.hook_fails("status 500"),
            false => rig.answer(&json!([{ "verb": "pause", "length": 9 }])),
        }
        assert_eq!(rig.byes(LegIndex::CALLER).len(), usize::from(fails));
        match fails {
            true => rig.finish(),
            false => rig.hang_up_and_finish(),
        };
    }
    // Nobody could say what to do first, but a command has named somebody else.
    let mut rig = from_carrier().decided_by(terms()).begin();
    let first = rig.last_question().number;
    rig.command(Wish::Redirect(hook("https://c.example/calls")));
    rig.step(Event::Answered {
        ask: first,
        result: Err("status 500".into()),
    });
    assert_eq!(rig.statuses(), Vec::<u16>::new());
    rig.answer(&json!([{ "verb": "sip:decline", "status": 486 }]));
    assert_eq!(rig.finish().status, 486);
}
