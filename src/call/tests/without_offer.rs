//! INVITEs without an offer: Teams is offered ours at once, the caller's answer comes in its ACK.

use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::scenario::from_carrier;
use crate::call::{LegIndex, Phase};
use crate::sip::Method;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Answered by Teams; the caller's ACK is due.
fn offered() -> super::rig::Rig {
    let mut rig = from_carrier().sdp("").begin();
    let invite = rig.last_invite();
    assert!(
        invite.sdp_line("m=audio").is_some(),
        "never a delayed offer (TEAMS-059)"
    );
    rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
    assert_eq!(
        rig.statuses(),
        [180],
        "the caller has not offered: nothing can be heard yet"
    );
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(
        rig.last_response(CALLER).sdp_line("m="),
        Some("m=audio 20000 RTP/AVP 8 0 13 101".into())
    );
    rig
}

#[test]
fn the_answer_comes_in_the_ack() {
    let mut rig = offered();
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    assert_eq!((rig.call.phase(), rig.reinvites(CALLEE).len()), (Phase::Answered, 0));
    assert!(rig.bridges > 0);
    rig.hang_up_and_finish();
}

#[test]
fn an_answer_that_takes_less_narrows_the_other_side() {
    let mut rig = offered();
    rig.ack(CALLER, &carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 0 101"));
    let narrowed = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(narrowed.sdp_line("m="), Some("m=audio 20002 RTP/SAVP 0 101 13".into()));
    rig.respond(
        &narrowed,
        reply(200).sdp(teams_sdp("sendrecv").replace("SAVP 8 0", "SAVP 0")),
    );
    rig.hang_up_and_finish();
}

#[test]
fn an_ack_without_an_answer_ends_the_call() {
    for answer in ["", "v=0\r\n"] {
        let mut rig = offered();
        rig.ack(CALLER, answer);
        assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
        assert_eq!(rig.finish().cause.label(), "media_refused");
    }
}

#[test]
fn a_re_invite_without_an_offer_gets_ours() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Invite, "", "");
    let ours = rig.last_response(CALLEE);
    assert_eq!(
        ours.sdp_line("m=").map(|line| line[..13].to_owned()),
        Some("m=audio 20002".into())
    );
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(
        rig.last_response(CALLER).message.status(),
        Some(491),
        "the answer is still to come"
    );
    rig.ack(CALLEE, &teams_sdp("inactive"));
    let told = rig.reinvites(CALLER)[0].clone();
    assert!(told.sdp().contains("a=inactive"), "it was a hold");
    rig.respond(&told, reply(200).sdp(carrier_sdp("inactive")));
    rig.hang_up_and_finish();
}
