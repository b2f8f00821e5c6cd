//! A BYE that crossed ours and comes when its call is over.

use super::messages::reply;
use super::peers::{carrier_sdp, with_body};
use super::rig::{Rig, flow, parse};
use super::scenario::{from_carrier, from_teams};
use crate::call::directory::Directory;
use crate::call::farewells::{Farewells, MOST, REMEMBERED};
use crate::call::leg::{HungUp, Leg};
use crate::call::repeated_byes;
use crate::call::{LegIndex, Token};
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::dialog::Dialog;
use crate::sip::message::Message;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const NOW: Moment = Moment::from_micros(0);

/// A call whose callee said BYE when we had said it, and that BYE.
fn over() -> (Rig, Message) {
    let mut rig = from_carrier().begin().answered();
    let bye = rig.inside(CALLEE, &Method::Bye, 7, "");
    rig.hang_up_and_finish();
    (rig, bye)
}

/// A leg with a dialog of this number, and the peer's BYE in it.
fn numbered(leg: &Leg, invite: &Message, number: usize) -> (Leg, Message) {
    let dialog = Dialog::from_request(invite, &format!("tag-{number}")).expect("a dialog");
    let head = format!(
        "BYE sip:us@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bKb{number}\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: 2 BYE\r\n",
        dialog.remote(),
        dialog.local(),
        dialog.id().call_id
    );
    let mut leg = leg.clone();
    leg.dialog = Some(dialog);
    (leg, parse(&with_body(&head, "")))
}

#[test]
fn the_peer_is_answered_once_and_nobody_else() {
    let (mut rig, bye) = over();
    let calls = Directory::default();
    calls.keep_hung_up(rig.call.take_hung_up(), NOW);
    let stranger = flow();
    let of_stranger = |leg: &Leg| leg.is_peer(&bye, (&stranger, false));
    assert!(calls.hung_up_too(&bye, NOW, of_stranger).is_none());
    let teams = rig.flow_of_teams();
    let from_teams = || calls.hung_up_too(&bye, NOW, |leg| leg.is_peer(&bye, (&teams, false)));
    let leg = from_teams().expect("the leg that we have hung up");
    assert_eq!(leg.index, CALLEE);
    assert!(from_teams().is_none(), "its second BYE");
}

/// Of two copies that are looked at side by side one is answered; and looking needs no lock.
#[test]
fn no_lock_is_held_while_it_is_looked_at_who_speaks() {
    let (mut rig, bye) = over();
    let calls = Directory::default();
    calls.keep_hung_up(rig.call.take_hung_up(), NOW);
    let mut inner = None;
    let outer = calls.hung_up_too(&bye, NOW, |_| {
        inner = calls.hung_up_too(&bye, NOW, |_| true);
        true
    });
    assert!(inner.is_some() && outer.is_none());
}

#[test]
fn who_hung_up_itself_is_not_kept() {
    let (mut rig, _) = over();
    let kept: Vec<LegIndex> = rig.call.take_hung_up().map(|leg| leg.index).collect();
    assert_eq!(kept, [CALLEE]);
}

#[test]
fn they_are_forgotten_in_time_and_when_there_are_many() {
    let rig = from_carrier().begin();
    let leg = |number| numbered(&rig.call.legs()[usize::from(CALLER.0)], &rig.invite, number);
    let mut farewells = Farewells::default();
    let (first, bye) = leg(0);
    farewells.add([first.clone()], NOW);
    assert!(farewells.find(&leg(1).1, NOW).is_none(), "another dialog");
    assert!(farewells.find(&bye, NOW + REMEMBERED).is_none());
    farewells.add([first.clone()], NOW);
    farewells.add((1..=MOST).map(|number| leg(number).0), NOW);
    assert!(farewells.find(&bye, NOW).is_none(), "the oldest of too many");
    assert!(farewells.find(&leg(1).1, NOW).is_some());
}

#[test]
fn who_lost_is_told_so_as_long_as_it_may_answer() {
    let mut rig = from_teams().in_parallel().begin();
    let both = rig.invites();
    rig.respond(&both[1], reply(180));
    rig.respond(&both[0], reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Bye, "", "");
    rig.respond(&rig.byes(both[0].leg)[0], reply(200));
    rig.wait(Duration::from_secs(40));
    rig.finish();
    let calls = Directory::default();
    calls.keep_lost(rig.call.lost_invites(), NOW);
    let invites: Vec<Token> = both.iter().filter_map(|sent| sent.token).collect();
    let lost = |seconds| {
        let lost = |invite: &Token| calls.has_lost(*invite, NOW + Duration::from_secs(seconds));
        invites.iter().map(lost).collect::<Vec<_>>()
    };
    assert_eq!(lost(31), [false, true]);
    assert_eq!(lost(32), [false, false]);
    let mut farewells = Farewells::default();
    let numbered = (0..=MOST).map(|number| Token::outside(number as u64));
    farewells.add_lost(numbered, NOW);
    let known = [0, 1, MOST].map(|number| farewells.has_lost(Token::outside(number as u64), NOW));
    assert_eq!(known, [false, true, true], "the oldest of too many");
}

/// The peer that has not heard our BYE yet may hang up by itself all the time that we say it again.
#[test]
fn who_has_not_heard_our_bye_is_remembered_while_it_is_said_again() {
    let rig = from_carrier().begin();
    let leg = |number| numbered(&rig.call.legs()[usize::from(CALLER.0)], &rig.invite, number);
    let mut farewells = Farewells::default();
    let (mut unheard, bye) = leg(0);
    unheard.hung_up = HungUp::Unheard;
    farewells.add([unheard.clone(), leg(1).0], NOW);
    let seconds = |seconds| NOW + Duration::from_secs(seconds);
    for second in 1..repeated_byes::LONGEST.as_secs() {
        assert!(farewells.find(&bye, seconds(second)).is_some(), "{second}");
    }
    assert!(farewells.find(&leg(1).1, seconds(31)).is_none());
    assert!(
        farewells
            .find(&bye, NOW + repeated_byes::LONGEST + REMEMBERED)
            .is_none()
    );
    farewells.add([unheard], NOW);
    farewells.add((1..=MOST).map(|number| leg(number).0), NOW);
    assert!(farewells.find(&bye, NOW).is_none(), "the oldest of too many");
}
