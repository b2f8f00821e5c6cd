//! Callees that get an application of their own: they become calls of their own.

use super::application::{dial, hook, terms, to_application, verbs};
use super::messages::{Sent, reply};
use super::peers::carrier_sdp;
use super::rig::Rig;
use super::scenario::{from_carrier, placed};
use crate::app::payload::Kind;
use crate::call::{AppTerms, CallNews, Command, Effect, Event, LegIndex, Onward, Phase, Reply, Wish};
use crate::sip::Method;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";

fn child_hook(url: &str) -> Wish {
    Wish::Part {
        parent: None,
        child: Onward::Hook(hook(url)),
    }
}

/// A caller and a callee who talk; a pause is left for the caller.
fn bridged_by(terms: AppTerms, more: &Value) -> (Rig, Sent) {
    let mut rig = from_carrier().decided_by(terms).begin();
    rig.answer(&json!([dial(&[A], more), { "verb": "pause", "length": 30 }]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.picks_up(&invite);
    (rig, invite)
}

fn bridged(more: &Value) -> (Rig, Sent) {
    bridged_by(terms(), more)
}

fn errors(rig: &Rig, wanted: &str) -> usize {
    let told = |news: &&CallNews| matches!(news, CallNews::ApplicationError { what, .. } if *what == wanted);
    rig.news.iter().filter(told).count()
}

#[test]
fn a_callee_gets_an_application_of_its_own_and_the_caller_goes_on() {
    let (mut rig, callee) = bridged(&json!({ "actionHook": "/done" }));
    let child = rig.told(Kind::CallStatus).pop().expect("a status of the child");
    rig.command(child_hook("/own"));
    let asked = rig.last_question();
    assert_eq!((asked.kind, asked.url.as_str()), (Kind::SessionRedirect, "/own"));
    assert_eq!(asked.properties["call_sid"], child["call_sid"]);
    assert!(rig.parted.is_empty(), "they talk until it has answered");
    rig.answer(&json!([{ "verb": "play", "url": "own.wav" }, { "verb": "pause", "length": 5 }]));
    // The caller's dial is over.
    let result = rig.last_question();
    assert_eq!(result.url, "/done");
    assert_eq!(result.properties["dial_call_status"], "completed");
    assert_eq!(result.properties["dial_ended_by"], "application");
    assert_eq!(result.properties["dial_call_sid"], child["call_sid"]);
    rig.answer(&json!([]));
    assert!(rig.byes(callee.leg).is_empty(), "the callee is not hung up");
    let unbridged = |effect: &&Effect| matches!(effect, Effect::UnbridgeMedia { .. });
    assert_eq!(rig.wishes.iter().filter(unbridged).count(), 1);
    // The callee is a call of its own, with its dialog.
    let (mut own, bye) = rig.become_a_call();
    assert_eq!(own.call.phase(), Phase::Answered);
    assert_eq!(own.sounds().len(), 1);
    own.sound_ends();
    own.receive(bye);
    assert_eq!(own.last_response(LegIndex::CALLER).message.status(), Some(200));
    let record = own.finish();
    let application = record.application.expect("its application");
    assert_eq!(json!(application.call_sid), child["call_sid"]);
    assert_eq!(json!(application.parent_call_sid), child["parent_call_sid"]);
    let end = own.told(Kind::CallStatus).pop().expect("its end");
    assert_eq!(
        (&end["call_status"], &end["call_sid"]),
        (&json!("completed"), &child["call_sid"])
    );
    assert_eq!(end["parent_call_sid"], child["parent_call_sid"]);
    // Each goes its own way.
    assert_eq!(rig.call.phase(), Phase::Answered);
    let ended = |event: &&serde_json::Map<String, Value>| event["call_status"] == "completed";
    assert_eq!(
        rig.told(Kind::CallStatus).iter().filter(ended).count(),
        0,
        "the child's end is told once, by its own call"
    );
    rig.hang_up_and_finish();
}

#[test]
fn both_sides_go_on_with_other_verbs_at_once() {
    let (mut rig, _) = bridged(&json!({ "actionHook": "/done" }));
    rig.command(Wish::Part {
        parent: Some(Onward::Verbs(verbs(&json!([{ "verb": "play", "url": "parent.wav" }])))),
        child: Onward::Verbs(verbs(
            &json!([{ "verb": "play", "url": "child.wav" }, { "verb": "hangup" }]),
        )),
    });
    assert_eq!(
        rig.told(Kind::VerbHook).len(),
        1,
        "the result is told, and nothing asked"
    );
    assert_eq!(rig.sounds().len(), 1);
    let (mut own, _) = rig.become_a_call();
    assert_eq!(own.sounds().len(), 1);
    own.sound_ends();
    assert_eq!(own.byes(LegIndex::CALLER).len(), 1);
    own.finish();
    rig.sound_ends();
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn the_parents_hook_is_asked_once_the_childs_has_answered() {
    let (mut rig, _) = bridged(&json!({}));
    rig.command(Wish::Part {
        parent: Some(Onward::Hook(hook("/parent"))),
        child: Onward::Hook(hook("/child")),
    });
    assert_eq!(rig.last_question().url, "/child");
    rig.answer(&json!([{ "verb": "pause", "length": 1 }]));
    assert_eq!(rig.last_question().url, "/parent");
    rig.answer(&json!([{ "verb": "hangup" }]));
    let (mut own, bye) = rig.become_a_call();
    own.receive(bye);
    own.finish();
    rig.finish();
}

#[test]
fn another_hook_for_the_leg_of_a_callee_means_the_same() {
    let (mut rig, invite) = bridged(&json!({}));
    let sid = rig.told(Kind::CallStatus).pop().expect("a status")["call_sid"].clone();
    let leg = crate::app::sid::CallSid::parse(sid.as_str().unwrap_or_default());
    let wish = Wish::Redirect(hook("/own"));
    rig.step(Event::Command(Box::new(Command { leg, wish, reply: None })));
    assert_eq!(
        (rig.last_question().url.as_str(), rig.last_question().leg),
        ("/own", invite.leg)
    );
    rig.answer(&json!([{ "verb": "pause", "length": 1 }]));
    let (mut own, _) = rig.become_a_call();
    own.wait(Duration::from_secs(2));
    own.finish();
    rig.hang_up_and_finish();
}

#[test]
fn who_talks_to_nobody_and_who_is_asked_already_is_refused_by_name() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({})), { "verb": "pause", "length": 5 }]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    let sid = rig.told(Kind::CallStatus).pop().expect("a status")["call_sid"].clone();
    rig.command(child_hook("/own"));
    assert_eq!(errors(&rig, "child_call_hook"), 1, "it rings only");
    let leg = crate::app::sid::CallSid::parse(sid.as_str().unwrap_or_default());
    let wish = Wish::Redirect(hook("/own"));
    rig.step(Event::Command(Box::new(Command { leg, wish, reply: None })));
    assert_eq!(errors(&rig, "redirect"), 1, "so does this one");
    rig.picks_up(&invite);
    rig.command(child_hook("/own"));
    rig.command(child_hook("/other"));
    assert_eq!(errors(&rig, "child_call_hook"), 2);
    rig.hook_fails("503");
    assert_eq!(errors(&rig, "child_call_hook"), 3);
    assert!(rig.parted.is_empty() && rig.bridges == 1, "they go on talking");
    // A change that waits is not torn apart.
    rig.request(invite.leg, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Verbs(Vec::new()),
    });
    assert_eq!(errors(&rig, "child_call_hook"), 4);
    rig.hang_up_and_finish();
}

#[test]
fn an_application_over_http_is_told_that_the_callees_hook_failed_and_both_talk_on() {
    let (mut rig, _) = bridged(&json!({}));
    let child = rig.told(Kind::CallStatus).pop().expect("a status of the child")["call_sid"].clone();
    let leg = crate::app::sid::CallSid::parse(child.as_str().unwrap_or_default());
    let both = Wish::Part {
        parent: Some(Onward::Hook(hook("/parent"))),
        child: Onward::Hook(hook("/own")),
    };
    for (leg, wish) in [
        (None, child_hook("/own")),
        (None, both),
        (leg, Wish::Redirect(hook("/own"))),
    ] {
        rig.step(Event::Command(Box::new(Command { leg, wish, reply: None })));
        rig.hook_fails("status 500");
        let told = rig.told(Kind::CallStatus).pop().expect("an event");
        assert_eq!(
            ["error", "reason", "call_sid", "call_status"].map(|name| &told[name]),
            [
                &json!("child_call_hook"),
                &json!("status 500"),
                &child,
                &json!("in-progress")
            ]
        );
        assert_eq!(rig.last_question().url, "/own", "the caller's hook is not asked");
    }
    assert!(rig.parted.is_empty() && rig.bridges == 1);
    rig.hang_up_and_finish();
}

#[test]
fn the_application_of_a_callee_lives_at_the_server_that_answered_for_it() {
    for (named, lives_at) in [
        ("/own", "https://app.contoso.example/incoming"),
        ("https://agents.example/own", "https://agents.example/own"),
    ] {
        let mut connected = terms();
        connected.connected = named != "/own";
        let (mut rig, _) = bridged_by(connected, &json!({}));
        rig.command(child_hook(named));
        rig.answer(&json!([{ "verb": "gather", "timeout": 1, "actionHook": "/keys" }]));
        let parted = rig.parted.last().expect("a callee with a call of its own");
        assert_eq!(parted.terms.hook.url, lives_at);
        assert!(
            !parted.terms.connected,
            "no connection is opened where the server is asked over HTTP"
        );
        let (mut own, bye) = rig.become_a_call();
        own.receive(bye);
        own.finish();
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_callee_that_is_gone_meanwhile_leaves_the_caller_with_its_own() {
    let (mut rig, invite) = bridged(&json!({}));
    rig.command(Wish::Part {
        parent: Some(Onward::Verbs(verbs(&json!([{ "verb": "play", "url": "parent.wav" }])))),
        child: Onward::Hook(hook("/own")),
    });
    let ask = rig.last_question().number;
    rig.request(invite.leg, Method::Bye, "", "");
    rig.step(Event::Answered {
        ask,
        result: Ok(Reply {
            verbs: verbs(&json!([{ "verb": "pause", "length": 1 }])),
        }),
    });
    assert!(rig.parted.is_empty());
    assert_eq!(rig.sounds().len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn a_connected_application_gets_a_connection_for_the_new_call() {
    let mut connected = terms();
    connected.connected = true;
    connected.hook = hook("wss://app.contoso.example/calls#rc=1");
    let (mut rig, _) = bridged_by(connected, &json!({}));
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Verbs(verbs(&json!([{ "verb": "play", "url": "child.wav" }]))),
    });
    let parent = rig.questions()[0].properties["call_sid"].clone();
    let (mut own, bye) = rig.become_a_call();
    let asked = own.last_question();
    assert_eq!(
        (asked.kind, asked.url.as_str()),
        (Kind::SessionAdulting, "wss://app.contoso.example/calls/adulting#rc=1")
    );
    assert_eq!(asked.properties["parent_call_info"]["call_sid"], parent);
    assert_eq!(asked.properties["parent_call_sid"], parent);
    own.answer(&json!([]));
    own.sound_ends();
    assert!(own.byes(LegIndex::CALLER).is_empty(), "more may come");
    own.command(Wish::Verbs {
        verbs: verbs(&json!([{ "verb": "play", "url": "more.wav" }])),
        append: true,
    });
    assert_eq!(own.sounds().len(), 2);
    own.receive(bye);
    own.finish();
    rig.hang_up_and_finish();
}

#[test]
fn without_a_connection_the_new_call_ends_with_its_verbs() {
    let mut connected = terms();
    connected.connected = true;
    let (mut rig, _) = bridged_by(connected, &json!({}));
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Verbs(verbs(&json!([{ "verb": "play", "url": "child.wav" }]))),
    });
    let (mut own, _) = rig.become_a_call();
    own.hook_fails("refused");
    assert_eq!(errors(&own, "session:adulting"), 1);
    own.sound_ends();
    assert_eq!(own.byes(LegIndex::CALLER).len(), 1);
    own.finish();
    rig.hang_up_and_finish();
}

#[test]
fn a_placed_call_that_rings_gets_another_application_for_its_answer() {
    let mut rig = placed(terms(), &[A]);
    rig.respond(&rig.last_invite(), reply(180));
    rig.command(Wish::Redirect(hook("https://other.example/answered")));
    assert!(rig.questions().is_empty());
    rig.picks_up(&rig.last_invite());
    let asked = rig.last_question();
    assert_eq!(
        (asked.kind, asked.url.as_str()),
        (Kind::SessionNew, "https://other.example/answered")
    );
    rig.answer(&json!([{ "verb": "hangup" }]));
    rig.finish();
}

#[test]
fn a_callee_that_was_on_hold_hears_what_comes_next() {
    let (mut rig, callee) = bridged(&json!({}));
    rig.request(LegIndex::CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let offer = rig.reinvites(callee.leg).pop().expect("the hold");
    rig.respond(&offer, reply(200).sdp(carrier_sdp("recvonly")));
    rig.ack(LegIndex::CALLER, "");
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Verbs(verbs(&json!([{ "verb": "play", "url": "own.wav" }]))),
    });
    let (mut own, bye) = rig.become_a_call();
    let resumed = own.reinvites(LegIndex::CALLER).pop().expect("a re-INVITE");
    assert!(resumed.sdp().contains("a=sendrecv"), "{}", resumed.sdp());
    own.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    own.receive(bye);
    own.finish();
    rig.hang_up_and_finish();
}
