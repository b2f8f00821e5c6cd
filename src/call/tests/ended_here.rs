//! Calls that this node hangs up, for whoever steers them: the record says for whom and why.

use super::application::{dial, to_application};
use super::messages::reply;
use super::rig::Rig;
use crate::app::command::Orderer;
use crate::call::{Event, LegIndex, Party, PlayOutcome, Wish};
use serde_json::{Value, json};
use std::time::Duration;

const DESK: &str = "+12065550101";

fn tone() -> Value {
    json!({ "verb": "play", "url": "tone_stream://%(300,0,440)" })
}

/// A call whose application has these verbs.
fn running(verbs: &Value) -> Rig {
    let mut rig = to_application().begin();
    rig.answer(verbs);
    rig
}

fn why(mut rig: Rig) -> String {
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.ended_by), ("hung_up", Party::Node));
    record.cause_text
}

#[test]
fn what_ended_a_call_of_an_application_is_in_its_record() {
    let mut rig = running(&json!([tone(), { "verb": "hangup" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.sound_ends();
    assert_eq!(why(rig), "the application hung up by its verb hangup");

    let mut rig = running(&json!([tone()]));
    rig.ack(LegIndex::CALLER, "");
    rig.sound_ends();
    assert_eq!(why(rig), "the application's verbs ran out");

    for (by, text) in [
        (Orderer::Rest, "it was ended by call_status over REST"),
        (
            Orderer::Socket,
            "the application ended it by call:status over its WebSocket",
        ),
    ] {
        let mut rig = running(&json!([tone()]));
        rig.ack(LegIndex::CALLER, "");
        rig.command(Wish::HangUp(by));
        assert_eq!(why(rig), text);
    }
}

#[test]
fn what_the_last_verb_came_to_is_said_where_the_verbs_run_out() {
    let mut rig = running(&json!([dial(&[DESK], &json!({ "timeLimit": 5 }))]));
    rig.planned(&[DESK]);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.picks_up(&invite);
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(6));
    assert_eq!(
        why(rig),
        "the application's verbs ran out, after the timeLimit of its dial"
    );

    let mut rig = running(&json!([tone(), { "verb": "redirect", "actionHook": "/none" }]));
    rig.ack(LegIndex::CALLER, "");
    rig.sound_ends();
    rig.hook_fails("the server answers 404");
    let text = "the application's verbs ran out, after its hook failed: the server answers 404";
    let record = rig.finish();
    assert_eq!(record.cause_text, text);
    let errors = record
        .application
        .map(|application| application.errors)
        .unwrap_or_default();
    let told = errors.iter().map(|error| (error.what.as_str(), error.why.as_str()));
    let found: Vec<(&str, &str)> = told.collect();
    assert_eq!(found, [("hook", "the server answers 404")]);
}

#[test]
fn failures_of_an_application_are_on_record_as_many_as_fit() {
    let mut rig = running(&json!(vec![tone(); 40]));
    rig.ack(LegIndex::CALLER, "");
    for _ in 0..40 {
        let (leg, play, _) = rig.sounds().pop().expect("a sound");
        let why = "é".repeat(600);
        let outcome = PlayOutcome::Failed { why };
        rig.step(Event::Played { leg, play, outcome });
    }
    let record = rig.finish();
    let errors = record
        .application
        .map(|application| application.errors)
        .unwrap_or_default();
    assert_eq!(errors.len(), 32);
    let first = &errors[0];
    assert_eq!((first.what.as_str(), first.why.len()), ("play", 500));
    assert!(first.call_sid.is_some());
}
