//! What the caller hears while destinations ring.

use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex};
use crate::sip::message::HeaderName;
use std::time::Duration;

#[test]
fn ringing_is_relayed_with_a_contact_and_no_description() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    for status in [100, 180, 181, 182] {
        rig.respond(&invite, reply(status));
    }
    assert_eq!(rig.statuses(), [180, 181, 182]);
    assert!(
        rig.heard_by_caller()
            .iter()
            .all(|heard| heard.message.body().is_empty())
    );
    assert_eq!(rig.news.iter().filter(|news| **news == CallNews::Ringing).count(), 1);
    rig.cancel(super::rig::Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn a_183_that_says_nothing_is_ringing_and_early_media_is_183() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183));
    assert_eq!(rig.bridges, 0);
    rig.respond(&invite, reply(180).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 183]);
    assert_eq!(rig.bridges, 1);
    let heard = rig.last_response(LegIndex::CALLER);
    assert_eq!(heard.sdp_line("m="), Some("m=audio 20000 RTP/SAVP 8 0 101".into()));
    rig.respond(&invite, reply(199));
    assert_eq!(rig.statuses(), [180, 183], "a fork that ended is nobody's business");
    rig.cancel(super::rig::Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn an_early_announcement_that_only_sends_reaches_teams() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).sdp(carrier_sdp("sendonly")));
    assert_eq!(
        rig.last_response(LegIndex::CALLER).sdp_line("a=send"),
        Some("a=sendrecv".into())
    );
    rig.respond(&invite, reply(486));
    assert_eq!(rig.finish().status, 486);
}

#[test]
fn a_new_fork_answers_after_others_rang() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    for tag in ["f1", "f2", "f3"] {
        rig.respond(&invite, reply(180).tag(tag));
    }
    rig.respond(&invite, reply(183).tag("f2").sdp(teams_sdp("sendrecv")));
    rig.respond(&invite, reply(200).tag("f4").sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 180, 180, 183, 200]);
    let ack = &rig.requests_sent(&crate::sip::Method::Ack)[0];
    assert_eq!(ack.message.to_tag(), Some("f4"));
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex(1), crate::sip::Method::Bye, "", "");
    rig.finish();
}

#[test]
fn more_forks_than_anybody_needs_are_ignored_but_the_answer_counts() {
    let tags: Vec<&'static str> = (0..40)
        .map(|nth| &*Box::leak(format!("fork{nth}").into_boxed_str()))
        .collect();
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    for tag in &tags {
        rig.respond(&invite, reply(180).tag(tag));
    }
    assert_eq!(rig.statuses().len(), 16);
    rig.respond(&invite, reply(200).tag("late").sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, crate::sip::Method::Bye, "", "");
    rig.finish();
}

#[test]
fn nobody_answers_in_time() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.wait(Duration::from_secs(600));
    assert_eq!(rig.statuses(), [180, 180, 480]);
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(
        refusal.header(HeaderName::Reason),
        Some("Q.850;cause=19;text=\"No answer\"")
    );
    assert_eq!(rig.cancelled.len(), 1);
    assert_eq!(rig.finish().cause.label(), "no_answer");
}

#[test]
fn a_caller_that_waits_hears_so_every_minute() {
    let minute = Duration::from_secs(60);
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.wait(minute - Duration::from_secs(1));
    assert_eq!(rig.statuses(), [180]);
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.statuses(), [180, 180], "(RFC 3261 §13.3.1.1)");
    rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
    rig.wait(minute - Duration::from_secs(1));
    assert_eq!(rig.statuses(), [180, 180, 183], "a minute of silence, not of the clock");
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.ack(LegIndex::CALLER, "");
    rig.wait(3 * minute);
    assert_eq!(rig.statuses(), [180, 180, 183, 200]);
    rig.hang_up_and_finish();
}

#[test]
fn early_media_is_described_again_every_minute() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(teams_sdp("sendrecv")));
    rig.wait(Duration::from_secs(60));
    let heard = rig.heard_by_caller();
    assert_eq!(rig.statuses(), [183, 183]);
    assert_eq!(heard[1].sdp(), heard[0].sdp());
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn a_caller_of_which_nothing_is_known_yet_hears_that_it_waits() {
    let mut rig = from_carrier().begin();
    for _ in 0..3 {
        rig.respond(&rig.last_invite(), reply(100));
        rig.wait(Duration::from_secs(20));
    }
    assert_eq!(rig.statuses(), [180]);
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}
