//! What is wanted of a call from outside while it lasts: requests inside the dialog, and applications that go too far.

use super::application::{terms, to_application};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::from_teams;
use crate::app::command::read_update;
use crate::app::payload::Kind;
use crate::call::{Answered, CallNews, Cause, Command, Effect, Event, LegIndex, Outcome, Phase, SendFailure, Wish};
use crate::sip::Method;
use crate::sip::transaction::Cause as TransportCause;
use serde_json::{Value, json};
use std::time::Duration;

/// A call that is answered and waits.
fn answered() -> Rig {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 3_600 }]));
    rig.ack(LegIndex::CALLER, "");
    rig
}

fn request(body: &Value) -> Wish {
    let wish = read_update(json!({ "sip_request": body }))
        .expect("an update")
        .remove(0);
    assert!(matches!(wish, Wish::Request(_)));
    wish
}

fn info() -> Value {
    json!({ "method": "INFO", "content_type": "text/plain", "content": "hello" })
}

fn want(rig: &mut Rig, wish: Wish, reply: u32) {
    rig.step(Event::Command(Box::new(Command {
        leg: None,
        wish,
        reply: Some(reply),
    })));
}

fn outcomes(rig: &Rig) -> Vec<(u32, Outcome)> {
    let done = |effect: &Effect| match effect {
        Effect::Done { reply, outcome } => Some((*reply, outcome.clone())),
        _ => None,
    };
    rig.wishes.iter().filter_map(done).collect()
}

fn errors(rig: &Rig) -> Vec<(&'static str, String)> {
    let error = |news: &CallNews| match news {
        CallNews::ApplicationError { what, detail, .. } => Some((*what, detail.clone())),
        _ => None,
    };
    rig.news.iter().filter_map(error).collect()
}

#[test]
fn who_wants_a_request_sent_hears_its_final_response() {
    let mut rig = answered();
    want(&mut rig, request(&info()), 7);
    want(&mut rig, request(&info()), 8);
    let sent = rig.requests_sent(&Method::Info);
    assert_eq!(sent.len(), 2);
    rig.respond(&sent[1], reply(100));
    assert!(outcomes(&rig).is_empty());
    rig.respond(&sent[1], reply(415));
    let token = sent[0].token.unwrap();
    let failure = SendFailure::Transport(TransportCause::Timeout);
    rig.step(Event::Failed { token, failure });
    let outcomes = outcomes(&rig);
    let status = |outcome: &Outcome| outcome.as_ref().map_or(0, |Answered { status, .. }| *status);
    let told: Vec<_> = outcomes
        .iter()
        .map(|(reply, outcome)| (*reply, status(outcome)))
        .collect();
    assert_eq!(told, [(8, 415), (7, 408)]);
    assert!(errors(&rig).is_empty(), "who asked was told");
    rig.hang_up_and_finish();
}

#[test]
fn a_redirect_with_events_for_another_socket_is_refused_as_a_whole() {
    let mut connected = terms();
    connected.hook = super::application::hook("wss://app.contoso.example/calls");
    connected.connected = true;
    let mut rig = super::scenario::from_carrier().decided_by(connected).begin();
    rig.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 3_600 }]));
    rig.ack(LegIndex::CALLER, "");
    let redirect = |to: &str| {
        let wishes = read_update(json!({ "call_hook": "/next", "call_status_hook": to })).expect("an update");
        Wish::All(wishes)
    };
    rig.command(redirect("wss://other.example/told"));
    let told = errors(&rig);
    assert_eq!(told.last().map(|(what, _)| *what), Some("call_status_hook"), "{told:?}");
    assert_ne!(rig.last_question().url, "/next", "nothing of it is done");
    rig.command(redirect("wss://app.contoso.example/told"));
    assert_eq!(
        (errors(&rig).len(), rig.last_question().url.as_str()),
        (told.len(), "/next")
    );
}

#[test]
fn a_command_tells_its_hook_and_complains_without_one() {
    let mut rig = answered();
    let mut hooked = info();
    hooked["actionHook"] = json!("/sent");
    rig.command(request(&hooked));
    rig.command(request(&info()));
    for sent in rig.requests_sent(&Method::Info) {
        rig.respond(&sent, reply(488));
    }
    let told = rig.told(Kind::VerbHook);
    assert_eq!(
        (told.len(), &told[0]["result"], &told[0]["sip_status"]),
        (1, &json!("failed"), &json!(488))
    );
    let errors = errors(&rig);
    assert_eq!((errors.len(), errors[0].0), (1, "sip:request"));
    assert!(errors[0].1.starts_with("INFO was answered with 488"), "{}", errors[0].1);
    rig.hang_up_and_finish();
}

#[test]
fn a_request_that_can_not_be_sent_is_refused_with_the_reason() {
    let mut ringing = to_application().begin();
    want(&mut ringing, request(&info()), 1);
    let mut teams = from_teams().decided_by(terms()).begin();
    teams.answer(&json!([{ "verb": "answer" }, { "verb": "pause", "length": 3_600 }]));
    teams.ack(LegIndex::CALLER, &teams_sdp("sendrecv"));
    want(&mut teams, request(&info()), 1);
    let mut unknown = answered();
    unknown.step(Event::Command(Box::new(Command {
        leg: Some(crate::app::sid::CallSid::from_random(1)),
        wish: request(&info()),
        reply: Some(1),
    })));
    for (rig, why) in [
        (&ringing, "not answered"),
        (&teams, "Teams takes no INFO"),
        (&unknown, "no leg"),
    ] {
        let outcomes = outcomes(rig);
        let told = outcomes[0].1.as_ref().expect_err("a refusal");
        assert!(told.contains(why), "{told}");
        assert!(rig.requests_sent(&Method::Info).is_empty());
    }
}

#[test]
fn requests_without_answers_are_bounded() {
    let mut rig = answered();
    for number in 0..40 {
        want(&mut rig, request(&info()), number);
    }
    assert_eq!(rig.requests_sent(&Method::Info).len(), 32);
    assert_eq!(outcomes(&rig).len(), 8);
}

#[test]
fn an_application_that_only_replaces_itself_is_stopped() {
    let again = json!([{ "verb": "redirect", "actionHook": "/again" }]);
    let mut rig = to_application().begin();
    let mut rounds = 0;
    while rig.call.phase() == Phase::Opening {
        rig.answer(&again);
        rounds += 1;
        assert!(rounds < 1_000);
    }
    assert_eq!(rounds, 101);
    assert_eq!(rig.statuses(), [480]);
    assert_eq!(errors(&rig).last().map(|(what, _)| *what), Some("replaced"));
    let record = rig.finish();
    assert!(
        matches!(record.cause, Cause::ApplicationFailed { .. }),
        "{:?}",
        record.cause
    );

    // At the pace of a person it may go on for ever.
    let mut rig = answered();
    for _ in 0..500 {
        rig.command(Wish::Redirect(super::application::hook("/again")));
        rig.answer(&json!([{ "verb": "pause", "length": 3_600 }]));
        rig.wait(Duration::from_secs(1));
    }
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn keys_that_can_not_be_sent_are_refused_with_the_reason() {
    let keys = || Wish::Digits {
        digits: "12".into(),
        duration: Duration::from_millis(250),
    };
    let sent = |rig: &Rig| {
        rig.wishes
            .iter()
            .any(|effect| matches!(effect, Effect::SendDigits { .. }))
    };
    let ringing = || to_application().begin();
    let held = || {
        let mut rig = answered();
        rig.request(LegIndex::CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
        rig.ack(LegIndex::CALLER, "");
        rig
    };
    for (mut rig, why) in [(ringing(), "not answered"), (held(), "on hold")] {
        want(&mut rig, keys(), 1);
        want(&mut rig, Wish::All(vec![keys()]), 2);
        let told: Vec<_> = outcomes(&rig);
        assert_eq!(told.len(), 2);
        for (_, outcome) in told {
            let told = outcome.expect_err("a refusal");
            assert!(told.contains(why), "{told}");
        }
        assert!(errors(&rig).is_empty(), "who asked was told");
        rig.command(keys());
        rig.command(Wish::All(vec![keys()]));
        let told = errors(&rig);
        assert_eq!((told.len(), told[0].0), (2, "dtmf"));
        assert!(!sent(&rig));
    }
    let mut rig = answered();
    want(&mut rig, Wish::All(vec![keys()]), 1);
    assert!(
        matches!(&outcomes(&rig)[..], [(1, Ok(Answered { status: 202, .. }))]) && sent(&rig),
        "{:?}",
        outcomes(&rig)
    );
    rig.hang_up_and_finish();
}

#[test]
fn verbs_that_are_queued_before_the_first_ones_are_there_follow_them() {
    let first = [json!([{ "verb": "play", "url": "first.wav" }]), json!([])];
    for (first, fails) in [(&first[0], false), (&first[0], true), (&first[1], false)] {
        let mut connected = terms();
        connected.connected = true;
        connected.fallback = Some(super::application::hook("https://app.contoso.example/fallback"));
        let mut rig = super::scenario::from_carrier().decided_by(connected).begin();
        for url in ["second.wav", "third.wav"] {
            rig.command(Wish::Verbs {
                verbs: super::application::verbs(&json!([{ "verb": "play", "url": url }])),
                append: true,
            });
        }
        assert!(rig.sounds().is_empty(), "the first ones are waited for");
        if fails {
            rig.hook_fails("no answer");
        }
        rig.answer(first);
        rig.ack(LegIndex::CALLER, "");
        let expected = first.as_array().map_or(0, Vec::len) + 2;
        for nth in 1..=expected {
            assert_eq!(rig.sounds().len(), nth);
            rig.sound_ends();
        }
        let played = rig.sounds();
        let sources: Vec<_> = played.iter().map(|(.., sound)| format!("{:?}", sound.source)).collect();
        let order = ["first.wav", "second.wav", "third.wav"];
        for (source, url) in sources.iter().zip(&order[order.len() - expected..]) {
            assert!(source.contains(url), "{sources:?}");
        }
        assert_eq!(sources.len(), expected);
        rig.hang_up_and_finish();
    }
}
