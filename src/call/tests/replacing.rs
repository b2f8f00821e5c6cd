//! Another application for a call: what runs goes on until it is there, and stays when it is not.

use super::application::{dial, hook, to_application};

use super::rig::Rig;
use crate::call::{Event, LegIndex, Phase, Reply, Wish};
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";

/// A caller and a callee who talk; a pause is left for the caller.
fn bridged(more: &Value) -> (Rig, LegIndex) {
    let mut rig = to_application().begin();
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
