//! REFER in a call of an application: what its `referHook` may decide, and what who refers is told.

use super::application::{dial, hook as app_hook, terms, to_application, verbs};
use super::midcall::{REFER, bridged};
use super::rig::Rig;
use super::scenario::from_teams;
use super::transfer::TO_A_USER;
use crate::app::command::Orderer;
use crate::app::payload::Kind;
use crate::app::sid::CallSid;
use crate::app::verb::Verb;
use crate::call::{CallNews, Command, Event, LegIndex, Onward, Phase, Wish};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::{Value, json};
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

#[test]
fn an_emergency_call_of_an_application_is_given_to_nobody_by_either_side() {
    for more in [json!({}), json!({ "referHook": "/refer" })] {
        let mut rig = from_teams().decided_by(terms()).begin();
        rig.answer(&json!([{ "verb": "answer" }, dial(&["112"], &more)]));
        rig.ack(CALLER, "");
        rig.planned_really();
        let help = rig.last_invite();
        let asked = rig.questions().len();
        rig.refer(CALLER, TO_A_USER);
        assert_eq!(
            rig.last_response(CALLER).message.status(),
            Some(603),
            "while it rings: {more}"
        );
        rig.picks_up(&help);
        let invites = rig.invites().len();
        for leg in [CALLER, help.leg] {
            rig.refer(leg, TO_A_USER);
            assert_eq!(rig.last_response(leg).message.status(), Some(603), "{more}");
        }
        assert_eq!((rig.invites().len(), rig.questions().len()), (invites, asked));
        rig.hang_up_and_finish();
    }
}

/// The number may have been dialled while the hook thought about it.
#[test]
fn an_emergency_call_that_began_meanwhile_is_given_to_nobody() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([
        { "verb": "config", "referHook": "/refer" },
        { "verb": "answer" },
        { "verb": "pause", "length": 1 },
        dial(&["112"], &json!({}))
    ]));
    rig.ack(CALLER, "");
    rig.refer(CALLER, TO_A_USER);
    let question = rig.last_question();
    assert_eq!(question.url, "/refer");
    rig.wait(Duration::from_secs(2));
    rig.planned_really();
    rig.picks_up(&rig.last_invite());
    rig.answer_question(question.number, &json!([{ "verb": "hangup" }]));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(603));
    assert!(rig.statuses_notified().is_empty() && rig.requests_sent(&Method::Bye).is_empty());
    rig.hang_up_and_finish();
}

#[test]
fn teams_084_a_refer_that_a_hook_decides_is_told_to_its_end_and_teams_says_bye() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([{ "verb": "answer" }, dial(&["+12065550101"], &json!({ "referHook": "/refer" }))]));
    rig.ack(CALLER, "");
    rig.planned(&["+12065550101"]);
    rig.picks_up(&rig.last_invite());
    let told = |status: &str, last: bool| {
        let state = if last {
            "terminated;reason=noresource"
        } else {
            "active;expires=60"
        };
        (format!("SIP/2.0 {status}"), state.to_owned())
    };
    // Nothing comes of it: it stays as it is.
    rig.refer(CALLER, TO_A_USER);
    assert!(rig.notified().is_empty(), "not before the hook has answered");
    rig.answer(&json!([]));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(202));
    assert_eq!(rig.notified(), [told("100 Trying", false)]);
    rig.hears_that_it_is_under_way(200);
    assert_eq!(rig.notified()[1..], [told("603 Decline", true)]);
    rig.assert_bridged(CALLER, CALLEE);
    rig.refer(CALLER, TO_A_USER);
    rig.answer(&json!([{ "verb": "pause", "length": 30 }]));
    rig.hears_that_it_is_under_way(200);
    assert_eq!(rig.notified()[2..], [told("100 Trying", false), told("200 OK", true)]);
    let decided = rig.news.iter().filter_map(|news| match news {
        CallNews::ReferDecided { leg, refer_to, status } => Some((*leg, refer_to.as_str(), *status)),
        _ => None,
    });
    let decided: Vec<_> = decided.collect();
    assert_eq!(decided, [(CALLER, TO_A_USER, 603), (CALLER, TO_A_USER, 200)]);
    let events: Vec<_> = rig
        .requests_sent(&Method::Notify)
        .iter()
        .map(|notify| notify.header(HeaderName::Event).unwrap_or_default().to_owned())
        .collect();
    assert_eq!(events[..2], ["refer", "refer"]);
    assert!(
        events[2].starts_with("refer;id=") && events[3] == events[2],
        "{events:?}"
    );
    assert!(rig.requests_sent(&Method::Bye).is_empty(), "Teams says BYE");
    // It has another place now.
    let bye = rig.inside(CALLEE, &Method::Bye, 9, "");
    rig.request_of((rig.flow_of_teams(), false), CALLEE, bye);
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    rig.wait(Duration::from_secs(10));
    assert_eq!(
        (rig.call.phase(), rig.requests_sent(&Method::Bye).len()),
        (Phase::Answered, 0)
    );
    rig.hangs_up_and_finish(CALLER);
}

#[test]
fn who_refers_again_before_it_has_answered_is_told_what_came_of_both() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([{ "verb": "answer" }, dial(&["+12065550101"], &json!({ "referHook": "/refer" }))]));
    rig.ack(CALLER, "");
    rig.planned(&["+12065550101"]);
    rig.picks_up(&rig.last_invite());
    for _ in 0..2 {
        rig.refer(CALLER, TO_A_USER);
        rig.answer(&json!([]));
    }
    rig.hears_that_it_is_under_way(200);
    let (under_way, declined) = ("SIP/2.0 100 Trying", "SIP/2.0 603 Decline");
    assert_eq!(rig.statuses_notified(), [under_way, declined, under_way, declined]);
    rig.hang_up_and_finish();
}

/// The verbs are for it then, so it is not told that it may leave.
#[test]
fn teams_084_a_caller_whom_nobody_talks_to_goes_on_with_the_verbs() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([
        { "verb": "config", "referHook": "/refer" },
        { "verb": "answer" },
        { "verb": "pause", "length": 30 }
    ]));
    rig.ack(CALLER, "");
    rig.refer(CALLER, TO_A_USER);
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(202));
    rig.hears_that_it_is_under_way(200);
    assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying", "SIP/2.0 603 Decline"]);
    rig.planned(&["+12065550101"]);
    rig.picks_up(&rig.last_invite());
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();
}

/// Who referred has left, and somebody else was dialled before the hook has answered.
#[test]
fn a_refer_that_is_decided_late_ends_no_other_dial() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([
        { "verb": "answer" },
        dial(&["+12065550101"], &json!({ "referHook": "/refer" })),
        dial(&["+12065550102"], &json!({}))
    ]));
    rig.ack(CALLER, "");
    rig.planned(&["+12065550101"]);
    rig.picks_up(&rig.last_invite());
    rig.refer(CALLEE, TO_A_USER);
    let question = rig.last_question();
    assert_eq!(question.url, "/refer");
    rig.request(CALLEE, Method::Bye, "", "");
    rig.planned(&["+12065550102"]);
    let next = rig.last_invite();
    rig.picks_up(&next);
    rig.answer_question(question.number, &json!([{ "verb": "hangup" }]));
    rig.assert_bridged(CALLER, next.leg);
    rig.hang_up_and_finish();
}

/// A caller and a callee who talk; the dial has a referHook.
fn talking(more: &Value) -> Rig {
    let mut of_dial = json!({ "referHook": "/refer", "actionHook": "/done" });
    if let (Some(of_dial), Some(more)) = (of_dial.as_object_mut(), more.as_object()) {
        of_dial.extend(more.clone());
    }
    let (rig, callee) = bridged(&of_dial);
    assert_eq!(callee, CALLEE);
    rig
}

/// A leg refers; the question of the hook.
fn refers(rig: &mut Rig, leg: LegIndex) -> u32 {
    rig.request(leg, Method::Refer, REFER, "");
    let question = rig.last_question();
    assert_eq!(question.url, "/refer");
    question.number
}

fn played(url: &str) -> Vec<Verb> {
    verbs(&json!([{ "verb": "play", "url": url }]))
}

fn wants(rig: &mut Rig, leg: Option<CallSid>, wish: Wish) {
    rig.step(Event::Command(Box::new(Command { leg, wish, reply: None })));
}

/// The call_sid of the callee.
fn child(rig: &Rig) -> Option<CallSid> {
    let event = rig.told(Kind::CallStatus).pop().expect("a status");
    CallSid::parse(event["call_sid"].as_str().unwrap_or_default())
}

/// Why the REFERs so far were refused.
fn refused(rig: &Rig) -> Vec<(LegIndex, u16, String)> {
    let refused = rig.news.iter().filter_map(|news| match news {
        CallNews::ReferRefused { leg, refused } => Some((*leg, refused.status, refused.why.clone())),
        _ => None,
    });
    refused.collect()
}

/// The hook of a REFER answers, and nothing comes of it: who referred was refused, and what runs goes on.
fn decides_nothing(rig: &mut Rig, (leg, hook): (LegIndex, u32), why: &str) {
    let before = (
        rig.sounds().len(),
        rig.requests_sent(&Method::Bye).len(),
        rig.invites().len(),
    );
    rig.answer_question(hook, &json!([{ "verb": "hangup" }]));
    let after = (
        rig.sounds().len(),
        rig.requests_sent(&Method::Bye).len(),
        rig.invites().len(),
    );
    assert_eq!((before, rig.call.phase()), (after, Phase::Answered), "{why}");
    assert_eq!(refused(rig), [(leg, 603, why.to_owned())]);
    assert!(rig.notified().is_empty(), "{why}");
}

const BRIDGE_OVER: &str = "the bridge that it was sent in was over before its referHook had answered";
const OVERRULED: &str = "a later command has other verbs for the call than its referHook";

#[test]
fn a_hook_decides_nothing_once_the_bridge_of_its_refer_is_over() {
    for leg in [CALLER, CALLEE] {
        for ends in ["a BYE", "the end of the child", "the time limit"] {
            let mut rig = talking(&json!({ "timeLimit": 9 }));
            let sid = child(&rig);
            let hook = refers(&mut rig, leg);
            match ends {
                "a BYE" => _ = rig.request(CALLEE, Method::Bye, "", ""),
                "the end of the child" => wants(&mut rig, sid, Wish::HangUp(Orderer::Rest)),
                _ => rig.wait(Duration::from_secs(10)),
            }
            assert_eq!(rig.last_question().url, "/done", "{ends}");
            rig.answer(&json!([{ "verb": "play", "url": "done.wav" }]));
            decides_nothing(&mut rig, (leg, hook), BRIDGE_OVER);
            rig.hang_up_and_finish();
        }
    }
}

#[test]
fn verbs_of_a_later_command_are_not_replaced_by_the_hook_of_a_refer() {
    for leg in [CALLER, CALLEE] {
        for fetched in [false, true] {
            let mut rig = talking(&json!({}));
            let hook = refers(&mut rig, leg);
            match fetched {
                true => {
                    rig.command(Wish::Redirect(app_hook("/new")));
                    rig.answer(&json!([{ "verb": "play", "url": "new.wav" }]));
                }
                false => rig.command(Wish::Verbs {
                    verbs: played("new.wav"),
                    append: false,
                }),
            }
            assert_eq!((rig.sounds().len(), rig.byes(CALLEE).len()), (1, 1));
            decides_nothing(&mut rig, (leg, hook), OVERRULED);
            rig.hang_up_and_finish();
        }
    }
}

/// Nobody leaves a bridge for which other verbs are on their way.
#[test]
fn what_a_later_command_fetches_is_waited_for_unless_it_fails() {
    for leg in [CALLER, CALLEE] {
        for fails in [false, true] {
            let mut rig = talking(&json!({}));
            let hook = refers(&mut rig, leg);
            rig.command(Wish::Redirect(app_hook("/new")));
            let new = rig.last_question().number;
            if fails {
                rig.hook_fails("no answer");
                rig.answer_question(hook, &json!([{ "verb": "play", "url": "refer.wav" }]));
                assert_eq!((refused(&rig).len(), rig.sounds().len()), (0, 1));
                assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying"]);
                rig.sound_ends();
                rig.finish();
                continue;
            }
            decides_nothing(&mut rig, (leg, hook), OVERRULED);
            rig.answer_question(new, &json!([{ "verb": "play", "url": "new.wav" }]));
            assert_eq!((rig.sounds().len(), rig.byes(CALLEE).len()), (1, 1));
            rig.hang_up_and_finish();
        }
    }
}

#[test]
fn who_is_parted_from_a_caller_that_refers_or_refers_itself_goes_on_and_the_hook_decides_nothing() {
    for leg in [CALLER, CALLEE] {
        for is_pending in [false, true] {
            let mut rig = talking(&json!({}));
            let hook = refers(&mut rig, leg);
            let child = match is_pending {
                true => Onward::Hook(app_hook("/child")),
                false => Onward::Verbs(played("child.wav")),
            };
            rig.command(Wish::Part { parent: None, child });
            let part = rig.last_question().number;
            if is_pending {
                decides_nothing(&mut rig, (leg, hook), OVERRULED);
                rig.answer_question(part, &json!([{ "verb": "play", "url": "child.wav" }]));
            }
            assert_eq!(rig.last_question().url, "/done");
            rig.answer(&json!([{ "verb": "play", "url": "done.wav" }]));
            if !is_pending {
                decides_nothing(&mut rig, (leg, hook), BRIDGE_OVER);
            }
            let (mut own, _) = rig.become_a_call();
            assert_eq!(own.sounds().len(), 1);
            own.sound_ends();
            own.finish();
            rig.hang_up_and_finish();
        }
    }
}

/// It stays, and the call that waits for the answer to the first NOTIFY is its own no longer.
#[test]
fn a_callee_that_is_parted_is_told_before_what_came_of_its_refer() {
    let mut rig = talking(&json!({}));
    refers(&mut rig, CALLEE);
    rig.answer(&json!([]));
    rig.command(Wish::Part {
        parent: None,
        child: Onward::Verbs(played("child.wav")),
    });
    assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying", "SIP/2.0 603 Decline"]);
    let (mut own, _) = rig.become_a_call();
    own.sound_ends();
    own.finish();
    rig.hang_up_and_finish();
}

/// A caller that is alone with its application may refer once more then.
#[test]
fn a_later_command_counts_for_a_caller_that_nobody_talks_to_too() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "config", "referHook": "/refer" },
        { "verb": "answer" },
        { "verb": "pause", "length": 30 }
    ]));
    rig.ack(CALLER, "");
    let hook = refers(&mut rig, CALLER);
    rig.command(Wish::Verbs {
        verbs: played("new.wav"),
        append: false,
    });
    decides_nothing(&mut rig, (CALLER, hook), OVERRULED);
    refers(&mut rig, CALLER);
    rig.answer(&json!([{ "verb": "play", "url": "refer.wav" }]));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(202));
    assert_eq!(rig.sounds().len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn teams_084_who_refers_hears_the_end_and_says_bye_however_short_the_verbs_are() {
    let short = [
        json!({ "verb": "hangup" }),
        json!({ "verb": "tag", "data": { "a": 1 } }),
        json!({ "verb": "sip:decline", "status": 486 }),
    ];
    for leg in [CALLER, CALLEE] {
        for verb in &short {
            for says_bye in [true, false] {
                let mut rig = talking(&json!({}));
                refers(&mut rig, leg);
                rig.answer(&json!([verb]));
                assert_eq!(rig.call.phase(), Phase::Ending);
                // It has taken the caller's place, or the callee's.
                let [bye] = &rig.requests_sent(&Method::Bye)[..] else {
                    panic!("who stays is hung up: {:?}", rig.requests_sent(&Method::Bye));
                };
                assert_eq!(bye.leg, CALLER);
                assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying"]);
                rig.hears_that_it_is_under_way(200);
                assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
                match says_bye {
                    true => _ = rig.request(CALLEE, Method::Bye, "", ""),
                    false => rig.wait(Duration::from_secs(6)),
                }
                let byes = rig.requests_sent(&Method::Bye).len();
                assert_eq!(byes, if says_bye { 1 } else { 2 }, "{verb} {leg:?}");
                rig.finish();
            }
        }
    }
}

#[test]
fn what_came_of_a_refer_is_told_before_a_bye_of_ours() {
    // Somebody clears the call while who has referred is left to say BYE.
    for ends_before in [false, true] {
        let mut rig = talking(&json!({}));
        refers(&mut rig, CALLEE);
        rig.answer(&match ends_before {
            true => json!([{ "verb": "hangup" }]),
            false => json!([{ "verb": "pause", "length": 30 }]),
        });
        rig.step(Event::Clear {
            detail: "cleared by ada".into(),
        });
        let told: Vec<_> = rig
            .sent
            .iter()
            .filter(|sent| sent.leg == CALLEE)
            .map(|sent| sent.sdp())
            .collect();
        assert_eq!(told[told.len() - 2].trim_end(), "SIP/2.0 200 OK", "{told:?}");
        assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
        rig.finish();
    }
    // A caller for which the verbs are itself.
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "config", "referHook": "/refer" },
        { "verb": "answer" },
        { "verb": "pause", "length": 30 }
    ]));
    rig.ack(CALLER, "");
    refers(&mut rig, CALLER);
    rig.answer(&json!([{ "verb": "hangup" }]));
    assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying", "SIP/2.0 603 Decline"]);
    assert!(rig.sent.last().is_some_and(|sent| sent.is(&Method::Bye)));
    rig.finish();
}
