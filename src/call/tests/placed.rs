//! Calls that an application places: one line, whoever rings for it.

use super::application::terms;
use super::messages::reply;
use super::rig::Rig;
use super::scenario::placed;
use crate::app::command::Orderer;
use crate::app::payload::Kind;
use crate::call::{LegIndex, Party, Phase, Wish};
use serde_json::{Value, json};
use std::time::Duration;

const DESK: &str = "+12065550101";
const MOBILE: &str = "+12065550102";

/// What was told of the call: it has one call_sid.
fn told(rig: &Rig) -> Vec<String> {
    let events = rig.told(Kind::CallStatus);
    let sid = events[0]["call_sid"].clone();
    assert!(events.iter().all(|event| event["call_sid"] == sid), "{events:?}");
    rig.statuses_of(&sid)
}

/// Who ended it, as its last event says.
fn ended_by(rig: &Rig) -> Value {
    let end = rig.told(Kind::CallStatus).pop().expect("its end");
    end["call_termination_by"].clone()
}

#[test]
fn a_call_that_rings_in_vain_is_ended_here_and_a_callee_that_hangs_up_ends_it_there() {
    let mut rig = placed(terms(), &[DESK]);
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(61));
    assert_eq!(told(&rig), ["trying 100", "ringing 180", "no-answer 487"]);
    assert_eq!(ended_by(&rig), "jambonz");
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.ended_by), ("no_answer", Party::Node));

    let mut rig = placed(terms(), &[DESK]);
    rig.picks_up(&rig.last_invite());
    rig.answer(&json!([{ "verb": "pause", "length": 60 }]));
    rig.hangs_up_and_finish(LegIndex::CALLER);
    assert_eq!(ended_by(&rig), "caller");
}

#[test]
fn whoever_answers_is_offered_what_it_can_hear_us_in() {
    let mut rig = placed(terms(), &[DESK]);
    let invite = rig.last_invite();
    let media = invite.sdp_line("m=").unwrap_or_default();
    let formats: Vec<&str> = media.split(' ').skip(3).collect();
    assert!(formats.contains(&"8") && !formats.contains(&"18"), "{media}");
    rig.picks_up(&invite);
    rig.answer(&json!([{ "verb": "say", "text": "Hello" }]));
    rig.sound_ends();
    rig.finish();
}

#[test]
fn a_device_that_does_not_answer_is_not_the_end_of_the_call() {
    let mut rig = placed(terms(), &[DESK, MOBILE]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(180));
    rig.respond(&invites[0], reply(486));
    rig.respond(&invites[1], reply(180));
    assert_eq!(told(&rig), ["trying 100", "ringing 180"]);
    rig.picks_up(&invites[1]);
    assert_eq!(told(&rig), ["trying 100", "ringing 180", "in-progress 200"]);
    let asked = rig.last_question();
    assert_eq!(asked.kind, Kind::SessionNew);
    assert_eq!(asked.properties["direction"], "outbound");
    let app = rig.call.app.as_ref().expect("an application");
    assert_eq!(app.lines.len(), 1, "who has answered runs one line");
    rig.answer(&json!([{ "verb": "pause", "length": 60 }]));
    rig.command(Wish::HangUp(Orderer::Socket));
    let record = rig.finish();
    assert_eq!(told(&rig).last().map(String::as_str), Some("completed 200"));
    assert_eq!(record.application.map(|application| application.dials.len()), Some(0));
}

#[test]
fn without_an_answer_the_best_failure_is_the_calls_own_end() {
    let mut rig = placed(terms(), &[DESK, MOBILE]);
    let invites = rig.invites();
    rig.respond(&invites[0], reply(486));
    rig.respond(&invites[1], reply(404));
    assert_eq!(told(&rig), ["trying 100", "busy 486"]);
    assert_eq!(ended_by(&rig), "caller", "its far side refused");
    assert_eq!(rig.finish().status, 486);
}

#[test]
fn a_call_that_is_hung_up_while_it_rings_was_not_answered() {
    let mut rig = placed(terms(), &[DESK]);
    rig.respond(&rig.last_invite(), reply(180));
    rig.command(Wish::HangUp(Orderer::Rest));
    assert_eq!(rig.cancelled.len(), 1);
    assert_eq!(told(&rig), ["trying 100", "ringing 180", "no-answer 487"]);
    assert_eq!(ended_by(&rig), "jambonz");
    let record = rig.finish();
    assert_eq!((record.status, record.cause.label()), (487, "hung_up"));
    let why = "it was ended by call_status over REST, before anybody had answered";
    assert_eq!((record.ended_by, record.cause_text.as_str()), (Party::Node, why));
    assert_eq!(rig.call.phase(), Phase::Over);
    assert!(rig.byes(LegIndex::CALLER).is_empty());
}
