//! Hold while two sides talk, where the application says what is heard meanwhile (`onHoldHook`).

use super::application::to_application;
use super::messages::{Sent, reply};
use super::midcall::{REFER, bridged};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use crate::call::{Effect, LegIndex, Source};
use crate::sdp::Direction;
use crate::sip::Method;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
/// A telephone.
const OTHER: &str = "+12065550101";
/// A number of the tenant's Teams users.
const USER: &str = "+14255550101";

fn held_with_music() -> (Rig, LegIndex) {
    let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold" }));
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.ack(callee, "");
    rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
    (rig, callee)
}

impl Rig {
    /// Which way the media of a leg flow.
    fn way(&self, leg: LegIndex) -> Direction {
        let handle = self.call.legs()[usize::from(leg.0)].media.handle().expect("media");
        self.configured[&handle].direction
    }

    fn questions_about_hold(&self) -> Vec<u32> {
        let all = self.questions().into_iter();
        all.filter(|question| question.url == "/hold")
            .map(|question| question.number)
            .collect()
    }

    fn sounds_stopped(&self) -> Vec<u32> {
        let stopped = |effect: &Effect| match effect {
            Effect::StopPlaying { play, .. } => Some(*play),
            _ => None,
        };
        self.wishes.iter().filter_map(stopped).collect()
    }
}

fn says(sent: &Sent, direction: &str) -> bool {
    sent.sdp().lines().any(|line| line == format!("a={direction}"))
}

#[test]
fn who_is_put_on_hold_hears_what_the_application_says_until_it_is_resumed() {
    for hold in ["sendonly", "inactive"] {
        let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold" }));
        rig.request(callee, Method::Invite, "", &carrier_sdp(hold));
        let accepted = rig.last_response(callee);
        assert!(!says(&accepted, "sendrecv"), "{}", accepted.sdp());
        rig.ack(callee, "");
        let asked = rig.last_question();
        assert_eq!(asked.url, "/hold");
        assert!(asked.properties["hold_detail"]["from"].is_string());
        rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
        let (leg, play, sound) = rig.sounds().pop().expect("a sound");
        assert_eq!((leg, sound.source), (CALLER, Source::Url("hold.wav".into())));
        assert_eq!(rig.way(CALLER), Direction::SendRecv, "it can hear it");
        assert!(!rig.way(callee).sends(), "who holds hears nothing");
        rig.request(callee, Method::Invite, "", &carrier_sdp("sendrecv"));
        assert_eq!(rig.sounds_stopped(), [play]);
        assert!(says(&rig.last_response(callee), "sendrecv"));
        rig.ack(callee, "");
        assert_eq!(rig.way(callee), Direction::SendRecv);
        assert!(rig.reinvites(CALLER).is_empty(), "it is not told of the hold");
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_teams_user_on_hold_hears_it_too_and_one_that_holds_leaves_the_caller_open() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{
        "verb": "dial", "onHoldHook": "/hold", "target": [{ "type": "teams", "number": USER }]
    }]));
    rig.planned_really();
    rig.ack(CALLER, "");
    let invite = rig.last_invite();
    let callee = invite.leg;
    rig.picks_up(&invite);
    assert!(rig.speaks_teams(callee));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.ack(CALLER, "");
    rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
    assert_eq!(rig.sounds().pop().map(|(leg, ..)| leg), Some(callee));
    assert_eq!(rig.way(callee), Direction::SendRecv);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    rig.ack(CALLER, "");
    rig.request(callee, Method::Invite, "", &teams_sdp("inactive"));
    assert!(says(&rig.last_response(callee), "inactive"), "(TEAMS-072)");
    rig.ack(callee, "");
    rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
    assert_eq!(rig.sounds().pop().map(|(leg, ..)| leg), Some(CALLER));
    assert_eq!(rig.way(CALLER), Direction::SendRecv);
    for leg in [CALLER, callee] {
        assert!(rig.reinvites(leg).is_empty());
    }
    rig.hang_up_and_finish();
}

#[test]
fn what_who_is_on_hold_says_meanwhile_is_answered_as_if_it_were_not() {
    let (mut rig, callee) = held_with_music();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert!(says(&rig.last_response(CALLER), "sendrecv"), "its refresh");
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", "");
    assert!(says(&rig.last_response(CALLER), "sendrecv"), "our offer to it");
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.ack(callee, "");
    assert!(!rig.way(callee).sends() && rig.way(CALLER) == Direction::SendRecv);
    assert_eq!(rig.questions_about_hold().len(), 1);
    assert!(rig.reinvites(CALLER).is_empty() && rig.reinvites(callee).is_empty());
    rig.hang_up_and_finish();
}

#[test]
fn who_comes_back_to_a_side_that_holds_too_is_on_hold_there() {
    let (mut rig, callee) = held_with_music();
    let (_, first, _) = rig.sounds().pop().expect("a sound");
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.ack(CALLER, "");
    assert_eq!(rig.questions_about_hold().len(), 1);
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendrecv"));
    let told = rig.reinvites(CALLER).pop().expect("the other side hears of it");
    rig.respond(&told, reply(200).sdp(carrier_sdp("sendonly")));
    assert!(!says(&rig.last_response(callee), "sendrecv"), "nobody listens yet");
    rig.ack(callee, "");
    assert_eq!(rig.sounds_stopped(), [first]);
    assert_eq!(rig.questions_about_hold().len(), 2);
    rig.answer(&json!([{ "verb": "play", "url": "other.wav" }]));
    let (leg, second, sound) = rig.sounds().pop().expect("a sound");
    assert_eq!((leg, sound.source), (callee, Source::Url("other.wav".into())));
    let opened = rig.reinvites(callee).pop().expect("it is to hear it");
    assert!(says(&opened, "sendrecv"), "{}", opened.sdp());
    rig.respond(&opened, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.way(callee), Direction::SendRecv);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert!(says(&rig.last_response(CALLER), "sendrecv"));
    rig.ack(CALLER, "");
    assert_eq!(rig.sounds_stopped(), [first, second]);
    rig.hang_up_and_finish();
}

#[test]
fn what_was_said_of_a_hold_that_is_over_is_not_heard_in_the_next() {
    let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold" }));
    for direction in ["sendonly", "sendrecv", "sendonly"] {
        rig.request(callee, Method::Invite, "", &carrier_sdp(direction));
        rig.ack(callee, "");
    }
    let verbs = json!([{ "verb": "play", "url": "hold.wav" }]);
    let [first, second] = rig.questions_about_hold()[..] else {
        panic!("a question each");
    };
    rig.answer_question(first, &verbs);
    assert!(rig.sounds().is_empty());
    rig.answer_question(second, &verbs);
    assert_eq!(rig.sounds().len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn a_hold_that_resumes_without_an_offer_ends_the_music() {
    let (mut rig, callee) = held_with_music();
    let (_, play, _) = rig.sounds().pop().expect("a sound");
    rig.request(callee, Method::Invite, "", "");
    rig.ack(callee, &carrier_sdp("sendrecv"));
    assert_eq!(rig.sounds_stopped(), [play]);
    rig.hang_up_and_finish();
}

#[test]
fn who_holds_and_transfers_leaves_the_other_open_for_its_verbs() {
    let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold", "referHook": "/refer" }));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("inactive"));
    rig.ack(CALLER, "");
    rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
    let (_, music, _) = rig.sounds().pop().expect("a sound");
    rig.request(CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([{ "verb": "play", "url": "next.wav" }]));
    assert_eq!(rig.sounds_stopped(), [music]);
    let (leg, _, sound) = rig.sounds().pop().expect("a sound");
    assert_eq!(
        (leg, sound.source),
        (CALLER, Source::Url("next.wav".into())),
        "it has taken the caller's place"
    );
    assert_eq!(rig.way(CALLER), Direction::SendRecv);
    assert!(rig.reinvites(CALLER).is_empty() && rig.reinvites(callee).is_empty());
    rig.sound_ends();
    rig.finish();
}

#[test]
fn a_hold_that_is_not_accepted_asks_nobody() {
    let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold" }));
    // Another codec that we can't decode is the other side's business, and it refuses.
    let other = carrier_sdp("sendonly").replace("AVP 8 0 101", "AVP 18 101");
    rig.request(callee, Method::Invite, "", &other);
    let asked = rig.reinvites(CALLER).pop().expect("a re-INVITE");
    rig.respond(&asked, reply(488));
    assert_eq!(rig.last_response(callee).message.status(), Some(488));
    assert!(rig.questions_about_hold().is_empty());
    rig.hang_up_and_finish();
}

#[test]
fn without_anything_to_hear_it_is_a_hold_like_any_other() {
    for fails in [false, true] {
        let (mut rig, callee) = bridged(&json!({ "onHoldHook": "/hold" }));
        rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
        rig.ack(callee, "");
        match fails {
            true => rig.hook_fails("503"),
            false => rig.answer(&json!([])),
        }
        rig.wait(Duration::from_secs(2));
        let told = rig.reinvites(CALLER).pop().expect("it is told of the hold");
        assert!(says(&told, "sendonly"), "{}", told.sdp());
        rig.respond(&told, reply(200).sdp(carrier_sdp("recvonly")));
        rig.request(callee, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(CALLER).pop().expect("and of its end");
        assert!(says(&resumed, "sendrecv"));
        rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
        assert!(says(&rig.last_response(callee), "sendrecv"));
        rig.ack(callee, "");
        rig.hang_up_and_finish();
    }
}

/// A hold that began before the two talk, without and with a hook for it.
#[test]
fn a_hold_that_begins_while_it_rings_is_told_when_the_two_talk() {
    for hook in [json!({}), json!({ "onHoldHook": "/hold" })] {
        let mut rig = to_application().begin();
        rig.answer(&json!([super::application::dial(&[OTHER], &hook)]));
        rig.planned(&[OTHER]);
        rig.ack(CALLER, "");
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
        rig.ack(CALLER, "");
        let invite = rig.last_invite();
        assert!(says(&invite, "sendrecv"), "the hold may be over by then");
        rig.picks_up(&invite);
        if hook == json!({}) {
            let told = rig.reinvites(invite.leg).pop().expect("it is told");
            assert!(says(&told, "sendonly"), "{}", told.sdp());
            rig.respond(&told, reply(200).sdp(carrier_sdp("recvonly")));
            rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
            let resumed = rig.reinvites(invite.leg).pop().expect("it is told of that too");
            rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
        } else {
            assert_eq!(rig.questions_about_hold().len(), 1);
            rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
            assert_eq!(rig.sounds().pop().map(|(leg, ..)| leg), Some(invite.leg));
            rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
            assert!(rig.reinvites(invite.leg).is_empty());
        }
        assert!(says(&rig.last_response(CALLER), "sendrecv"));
        rig.ack(CALLER, "");
        for leg in [CALLER, invite.leg] {
            assert_eq!(rig.way(leg), Direction::SendRecv);
        }
        rig.hang_up_and_finish();
    }
}

/// As every telephone does that transfers a call: hold first, then REFER. Whoever leaves has held who stays.
#[test]
fn who_stays_when_a_holder_is_transferred_away_talks_to_whom_comes() {
    for by_caller in [true, false] {
        let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
        let (by, stays) = if by_caller { (CALLER, callee) } else { (callee, CALLER) };
        rig.request(by, Method::Invite, "", &carrier_sdp("sendonly"));
        let told = rig.reinvites(stays).pop().expect("who stays is told");
        rig.respond(&told, reply(200).sdp(carrier_sdp("recvonly")));
        rig.ack(by, "");
        rig.request(by, Method::Refer, REFER, "");
        rig.answer(&json!([super::application::dial(&[OTHER], &json!({}))]));
        rig.planned(&[OTHER]);
        let invite = rig.last_invite();
        assert!(says(&invite, "sendrecv"), "{}", invite.sdp());
        let opened = rig.reinvites(CALLER).pop().expect("who stays is to talk");
        assert!(says(&opened, "sendrecv"), "{}", opened.sdp());
        rig.picks_up(&invite);
        rig.respond(&opened, reply(200).sdp(carrier_sdp("sendrecv")));
        rig.wait(Duration::from_secs(2));
        for leg in [CALLER, invite.leg] {
            assert_eq!(rig.way(leg), Direction::SendRecv, "by the caller: {by_caller}");
        }
        rig.hangs_up_and_finish(CALLER);
    }
}

/// Who stays holds by itself, and resumes when the new one has answered.
#[test]
fn a_holder_who_stays_resumes_with_whom_comes() {
    let (mut rig, callee) = bridged(&json!({ "referHook": "/refer" }));
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    let told = rig.reinvites(CALLER).pop().expect("the caller is told");
    rig.respond(&told, reply(200).sdp(carrier_sdp("recvonly")));
    rig.ack(callee, "");
    rig.request(CALLER, Method::Refer, REFER, "");
    rig.answer(&json!([super::application::dial(&[OTHER], &json!({}))]));
    rig.planned(&[OTHER]);
    let opened = rig.reinvites(CALLER).pop().expect("it is asked to talk");
    rig.respond(&opened, reply(200).sdp(carrier_sdp("sendonly")));
    let invite = rig.last_invite();
    assert!(says(&invite, "sendrecv"), "{}", invite.sdp());
    rig.picks_up(&invite);
    let held = rig.reinvites(invite.leg).pop().expect("it is told of the hold");
    rig.respond(&held, reply(200).sdp(carrier_sdp("recvonly")));
    let resume = rig.inside(CALLER, &Method::Invite, 9, &carrier_sdp("sendrecv"));
    rig.request_of((rig.flow_of(CALLER), false), CALLER, resume);
    let resumed = rig.reinvites(invite.leg).pop().expect("and of its end");
    assert!(says(&resumed, "sendrecv"), "{}", resumed.sdp());
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    assert!(says(&rig.last_response(CALLER), "sendrecv"));
    for leg in [CALLER, invite.leg] {
        assert_eq!(rig.way(leg), Direction::SendRecv);
    }
    rig.hangs_up_and_finish(invite.leg);
}
