//! What stays, and what does not, when a side is described anew within a call.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::from_carrier;
use crate::call::LegIndex;
use crate::media::Security;
use crate::sdp::Direction;
use crate::sip::Method;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Whoever takes over on the side of Teams has not heard our stream so far: under our old key it would guess the rollover
/// counter.
#[test]
fn another_endpoint_of_teams_hears_another_key() {
    const KEY: &str = "inline:AAEC";
    let mut rig = from_carrier().begin().answered();
    let key = |rig: &Rig| rig.last_response(CALLEE).sdp_line("a=crypto:");
    let ask = |rig: &mut Rig, address: &str, theirs: &str| {
        let offer = teams_sdp("sendrecv")
            .replace("52.112.0.20", address)
            .replace(KEY, theirs);
        rig.request(CALLEE, Method::Invite, "", &offer);
        rig.ack(CALLEE, "");
        key(rig)
    };
    let first = ask(&mut rig, "52.112.0.20", KEY);
    assert!(first.is_some());
    assert_eq!(
        ask(&mut rig, "52.112.0.20", "inline:BAEC"),
        first,
        "the endpoint goes on"
    );
    assert_eq!(
        ask(&mut rig, "52.112.0.21", "inline:BAEC"),
        first,
        "its way has changed"
    );
    let second = ask(&mut rig, "52.112.0.22", "inline:CAEC");
    assert_ne!(second, first);
    assert_eq!(ask(&mut rig, "52.112.0.22", "inline:CAEC"), second, "a refresh");
    let third = ask(&mut rig, "52.112.0.20", KEY);
    assert!(third != first && third != second, "never the same twice");
    rig.hang_up_and_finish();
}

/// What Teams says where the `nth` other endpoint there has taken over.
fn taken_over(nth: u8, direction: &str) -> String {
    let key = char::from(b'A' + nth);
    teams_sdp(direction)
        .replace("52.112.0.20", &format!("52.112.0.{}", 20 + nth))
        .replace("inline:AAEC", &format!("inline:{key}AEC"))
}

fn key_of(sent: &Sent) -> String {
    let line = sent.sdp_line("a=crypto:").expect("a key");
    line.split(['|', ':']).nth(2).unwrap_or_default().to_owned()
}

/// The key that the media of Teams are protected with.
fn key_in_use(rig: &Rig) -> String {
    let callee = &rig.call.legs()[usize::from(CALLEE.0)];
    let handle = callee.media.handle().expect("open");
    match &rig.configured[&handle].security {
        Security::Sdes { local, .. } => local.to_base64().to_string(),
        Security::Plain { .. } => panic!("plain"),
    }
}

/// The carrier holds, and the answer comes from another endpoint of Teams; what it is sent behind that.
fn held_by_another() -> (Rig, String, Sent) {
    let mut rig = from_carrier().begin().answered();
    let first = key_of(&rig.last_invite());
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let hold = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(key_of(&hold), first);
    rig.respond(&hold, reply(200).sdp(taken_over(1, "inactive")));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    assert_eq!(rig.reinvites(CALLEE).len(), 1, "the carrier first");
    rig.ack(CALLER, "");
    let next = rig.reinvites(CALLEE)[1].clone();
    assert!(next.sdp().contains("a=inactive"), "{}", next.sdp());
    (rig, first, next)
}

/// Our numbers may have wrapped by then, and it can't tell.
#[test]
fn a_fork_that_answers_after_long_ringing_is_offered_another_key() {
    for (minutes, answers, is_offered) in [(4, 2, false), (20, 2, true), (20, 1, false)] {
        let timers = "[timers]\nsetup = \"30m\"\nringing = \"30m\"\n";
        let mut rig = from_carrier().of_carrier(timers).begin();
        let invite = rig.last_invite();
        let first = key_of(&invite);
        rig.respond(&invite, reply(183).tag("1").sdp(taken_over(1, "sendrecv")));
        rig.wait(Duration::from_secs(60 * minutes));
        let tag = if answers == 1 { "1" } else { "2" };
        let answer = || reply(200).tag(tag).sdp(taken_over(answers, "sendrecv"));
        rig.respond(&invite, answer());
        rig.ack(CALLER, "");
        let offers = rig.reinvites(CALLEE);
        assert_eq!(offers.len(), usize::from(is_offered), "{minutes} {answers}");
        if let Some(offer) = offers.first() {
            let second = key_of(offer);
            assert_ne!(second, first);
            rig.respond(offer, answer());
            assert_eq!(key_in_use(&rig), second);
        }
        rig.hang_up_and_finish();
    }
}

#[test]
fn an_endpoint_that_takes_over_with_its_answer_is_offered_another_key() {
    for refused in [false, true] {
        let (mut rig, first, mut next) = held_by_another();
        let second = key_of(&next);
        assert_ne!(second, first);
        if refused {
            rig.respond(&next, reply(491));
            assert_eq!(key_in_use(&rig), first);
            rig.wait(Duration::from_secs(4));
            next = rig.reinvites(CALLEE)[2].clone();
            assert_eq!(key_of(&next), second);
        }
        assert_eq!(key_in_use(&rig), first, "until it is accepted");
        rig.respond(&next, reply(200).sdp(taken_over(1, "inactive")));
        assert_eq!(key_in_use(&rig), second);
        let sent = rig.reinvites(CALLEE).len();
        rig.wait(Duration::from_secs(60));
        assert_eq!(rig.reinvites(CALLEE).len(), sent);
        // it goes on under that key
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resume = rig.reinvites(CALLEE).pop().expect("a re-INVITE");
        assert_eq!(key_of(&resume), second);
        rig.respond(&resume, reply(200).sdp(taken_over(1, "sendrecv")));
        rig.ack(CALLER, "");
        assert_eq!(rig.reinvites(CALLEE).len(), sent + 1);
        rig.hang_up_and_finish();
    }
}

#[test]
fn who_answers_nothing_that_can_be_used_is_not_asked_without_end() {
    let (mut rig, _, mut next) = held_by_another();
    for _ in 0..5 {
        rig.respond(&next, reply(200));
        match rig.reinvites(CALLEE).pop() {
            Some(again) if again.token != next.token => next = again,
            _ => break,
        }
    }
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn its_own_offer_gets_the_key_that_it_still_needs() {
    let (mut rig, first, next) = held_by_another();
    rig.respond(&next, reply(491));
    rig.request(CALLEE, Method::Invite, "", &taken_over(1, "inactive"));
    let answer = rig.last_response(CALLEE);
    assert_eq!(answer.message.status(), Some(200));
    rig.ack(CALLEE, "");
    let second = key_of(&answer);
    assert_ne!(second, first);
    assert_eq!(key_in_use(&rig), second);
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(CALLEE).len(), 2, "it has it");
    rig.hang_up_and_finish();
}

#[test]
fn whoever_answers_an_offer_with_a_new_key_begins_alike() {
    let (mut rig, _, next) = held_by_another();
    rig.respond(&next, reply(200).sdp(taken_over(2, "inactive")));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    assert_eq!(key_in_use(&rig), key_of(&next));
    rig.hang_up_and_finish();
}

#[test]
fn an_answer_in_an_ack_is_one_too() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Invite, "", "");
    let ours = key_of(&rig.last_response(CALLEE));
    rig.ack(CALLEE, &taken_over(1, "sendrecv"));
    let next = rig.reinvites(CALLEE)[0].clone();
    assert_ne!(key_of(&next), ours);
    rig.respond(&next, reply(200).sdp(taken_over(1, "sendrecv")));
    assert_eq!(key_in_use(&rig), key_of(&next));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(CALLEE).len(), 1);
    rig.hang_up_and_finish();
}

/// It has heard our stream from its beginning, or a stream that does not wrap.
#[test]
fn another_fork_that_answers_keeps_the_key_of_the_offer() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).tag("f1").sdp(teams_sdp("sendrecv")));
    rig.respond(&invite, reply(200).tag("f2").sdp(taken_over(1, "sendrecv")));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(CALLEE).len(), 0);
    assert_eq!(key_in_use(&rig), key_of(&invite));
    rig.hang_up_and_finish();
}

#[test]
fn an_offer_that_is_refused_leaves_our_side_as_it_was() {
    let mut rig = from_carrier().begin().answered();
    let callee = &rig.call.legs()[usize::from(CALLEE.0)];
    let (mut media, terms) = (callee.media.clone(), callee.terms.clone());
    let before = media.local.clone();
    let another = teams_sdp("sendrecv")
        .replace("52.112.0.20", "52.112.0.22")
        .replace("inline:AAEC", "inline:CAEC");
    let nothing_in_common = media.answer(&terms, another.as_bytes(), &[], Direction::SendRecv);
    assert!(nothing_in_common.is_err());
    assert_eq!(media.local, before);
    rig.hang_up_and_finish();
}

/// A number keeps its meaning for the whole session (RFC 3264 §8.3.2), whoever offers.
#[test]
fn keys_keep_the_number_that_the_carrier_has_given_them() {
    let sdp = carrier_sdp("sendrecv").replace("101", "96");
    let mut rig = from_carrier().sdp(&sdp).begin().answered();
    let line = |sent: &Sent| sent.sdp_line("m=").unwrap_or_default();
    assert!(
        line(&rig.last_response(CALLER)).ends_with(" 96"),
        "{}",
        line(&rig.last_response(CALLER))
    );
    for direction in ["inactive", "sendrecv"] {
        rig.request(CALLEE, Method::Invite, "", &teams_sdp(direction));
        let offered = rig.reinvites(CALLER).pop().expect("a re-INVITE");
        assert!(line(&offered).ends_with(" 96"), "{}", line(&offered));
        let answer = carrier_sdp(direction).replace("101", "96");
        rig.respond(&offered, reply(200).sdp(answer));
        rig.ack(CALLEE, "");
    }
    rig.request(CALLER, Method::Invite, "", "");
    let ours = rig.last_response(CALLER);
    assert!(line(&ours).split(' ').any(|number| number == "96"), "{}", line(&ours));
    rig.ack(CALLER, &sdp);
    rig.hang_up_and_finish();
}
