//! A carrier that goes on holding when Teams is ready to talk: Teams is told so.

use super::holding::direction;
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::scenario::{from_carrier, from_teams};
use super::transfer::TO_A_USER;
use crate::call::LegIndex;
use crate::sip::Method;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);

#[test]
fn teams_071_a_resume_of_teams_does_not_end_the_carriers_hold() {
    let mut rig = from_teams().begin().answered();
    rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.respond(&rig.reinvites(CALLER)[0].clone(), reply(200).sdp(teams_sdp("inactive")));
    rig.ack(CALLEE, "");
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", &teams_sdp("sendrecv"));
    let asked = rig.reinvites(CALLEE).pop().expect("the carrier is asked");
    rig.respond(&asked, reply(200).sdp(carrier_sdp("sendonly")));
    let resumed = rig.last_response(CALLER);
    assert_eq!(resumed.message.status(), Some(200), "(TEAMS-072)");
    rig.ack(CALLER, "");
    let told = rig
        .reinvites(CALLER)
        .pop()
        .expect("it is told that it is on hold still");
    assert_eq!(
        (rig.reinvites(CALLER).len(), direction(&told)),
        (2, "a=inactive".into())
    );
    rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
    rig.wait(Duration::from_secs(60));
    assert_eq!(
        (rig.reinvites(CALLER).len(), rig.reinvites(CALLEE).len()),
        (2, 1),
        "once"
    );
    rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendrecv"));
    let opened = rig.reinvites(CALLER).pop().expect("the end of the hold");
    assert_eq!(direction(&opened), "a=sendrecv");
    rig.respond(&opened, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(direction(&rig.last_response(CALLEE)), "a=sendrecv");
    rig.ack(CALLEE, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_071_who_comes_by_a_transfer_hears_of_the_hold_that_the_carrier_keeps() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.respond(&rig.last_reinvite(CALLEE), reply(200).sdp(teams_sdp("inactive")));
    rig.ack(CALLER, "");
    rig.refer(CALLEE, TO_A_USER);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let asked = rig.last_reinvite(CALLER);
    assert!(asked.sdp().contains("a=sendrecv"), "{}", asked.sdp());
    rig.respond(&asked, reply(200).sdp(carrier_sdp("sendonly")));
    let told = rig.last_reinvite(THIRD);
    assert!(told.sdp().contains("a=inactive"), "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
    rig.wait(Duration::from_secs(60));
    assert_eq!(
        (rig.reinvites(CALLER).len(), rig.reinvites(THIRD).len()),
        (1, 1),
        "once"
    );
    rig.hangs_up_and_finish(THIRD);
}
