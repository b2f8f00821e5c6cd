//! Re-INVITEs while somebody is about to take the place of a leg: holds are answered at once, and whoever talks to the holder
//! afterwards is brought in line (TEAMS-072).

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::transfer::{THIRD, TO_A_USER, held_by_teams, referred};
use crate::call::LegIndex;
use crate::sip::Method;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Who waits has put on hold with this form; somebody answers the INVITE of the transfer.
fn holds_whoever_answers(mut rig: Rig, invite: &Sent, form: &str) {
    assert!(rig.reinvites(CALLEE).is_empty(), "who leaves need not know");
    rig.respond(invite, reply(200).sdp(teams_sdp("sendrecv")));
    let asked = rig.last_reinvite(CALLER);
    assert!(asked.sdp().contains("a=sendrecv\r\n"), "{}", asked.sdp());
    rig.respond(&asked, reply(200).sdp(carrier_sdp(form)));
    let told = rig.last_reinvite(THIRD);
    assert!(told.sdp().contains("a=inactive\r\n"), "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
    assert!(rig.reinvites(CALLEE).is_empty());
    rig.hangs_up_and_finish(CALLER);
}

#[test]
fn teams_072_who_waits_may_hold_while_it_rings_and_holds_whoever_answers() {
    for (form, ours) in [("sendonly", "a=recvonly\r\n"), ("inactive", "a=inactive\r\n")] {
        let (mut rig, invite) = referred();
        rig.request(CALLER, Method::Invite, "", &carrier_sdp(form));
        let answer = rig.last_response(CALLER);
        assert_eq!(answer.message.status(), Some(200), "{form}");
        assert!(answer.sdp().contains(ours), "{}", answer.sdp());
        rig.ack(CALLER, "");
        holds_whoever_answers(rig, &invite, form);
    }
}

#[test]
fn teams_072_who_refers_may_hold_meanwhile_and_holds_when_it_fails() {
    let (mut rig, invite) = referred();
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    let answer = rig.last_response(CALLEE);
    assert_eq!(answer.message.status(), Some(200));
    assert!(answer.sdp().contains("a=inactive\r\n"), "{}", answer.sdp());
    rig.ack(CALLEE, "");
    assert!(rig.reinvites(CALLER).is_empty(), "it hears the ringing");
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("sendrecv"));
    assert_eq!(
        rig.last_response(CALLEE).message.status(),
        Some(200),
        "nothing else was told to anybody"
    );
    rig.ack(CALLEE, "");
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    rig.ack(CALLEE, "");
    rig.respond(&invite, reply(480));
    let held = rig.last_reinvite(CALLER);
    assert!(held.sdp().contains("a=inactive\r\n"), "{}", held.sdp());
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn teams_072_who_holds_with_its_answer_while_it_rings_holds_whoever_answers() {
    for form in ["sendonly", "inactive"] {
        let (mut rig, invite) = referred();
        rig.request(CALLER, Method::Invite, "", "");
        assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
        rig.ack(CALLER, &carrier_sdp(form));
        holds_whoever_answers(rig, &invite, form);
    }
}

#[test]
fn a_re_invite_without_an_offer_is_answered_while_it_rings() {
    let (mut rig, invite) = referred();
    rig.request(CALLER, Method::Invite, "", "");
    let answer = rig.last_response(CALLER);
    assert_eq!(answer.message.status(), Some(200));
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, THIRD);
    rig.hangs_up_and_finish(CALLER);
}

/// Which codecs are left has to be known to who goes on when nobody answers.
#[test]
fn a_late_answer_that_takes_less_is_told_to_who_talks_on() {
    let (mut rig, invite) = referred();
    rig.request(CALLER, Method::Invite, "", "");
    rig.ack(CALLER, &carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 0 101"));
    rig.respond(&invite, reply(486));
    rig.wait(Duration::from_secs(2));
    let narrowed = rig.last_reinvite(CALLEE);
    let line = narrowed.sdp_line("m=").unwrap_or_default();
    assert!(line.ends_with("SAVP 0 101 13"), "{line}");
    rig.respond(
        &narrowed,
        reply(200).sdp(teams_sdp("sendrecv").replace("SAVP 8 0", "SAVP 0")),
    );
    rig.hangs_up_and_finish(CALLER);
}

/// What needs the other side has to wait.
#[test]
fn a_resume_of_who_is_held_waits_for_the_end_of_the_transfer() {
    let mut rig = held_by_teams();
    rig.refer(CALLER, TO_A_USER);
    rig.request(CALLER, Method::Invite, "", &teams_sdp("sendrecv"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(491));
    rig.respond(&rig.last_invite(), reply(480));
    rig.hang_up_and_finish();
}
