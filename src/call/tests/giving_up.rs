//! The caller gives up: CANCEL before, while and after the answer; BYE on the early dialog.

use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use std::time::Duration;

const CALLEE: LegIndex = LegIndex(1);

#[test]
fn cancel_before_and_after_a_provisional_response() {
    for provisional in [None, Some(100), Some(180)] {
        let mut rig = from_teams().begin();
        let invite = rig.last_invite();
        if let Some(status) = provisional {
            rig.respond(&invite, reply(status));
        }
        rig.cancel(Rig::first_transaction(), "");
        assert_eq!(rig.statuses().last(), Some(&487));
        assert_eq!(rig.cancelled.len(), 1);
        assert_eq!(rig.call.phase(), Phase::Ending, "its 487 is still to come");
        rig.respond(&invite, reply(487));
        let record = rig.finish();
        assert_eq!((record.status, record.cause.label()), (487, "caller_gave_up"));
        assert_eq!(rig.invites().len(), 1, "nobody else is tried");
    }
}

/// RFC 3261 §13.3.1.
#[test]
fn an_invite_that_has_expired_is_answered_and_nobody_rings_on() {
    for scenario in [from_teams(), from_carrier()] {
        let mut rig = scenario.with("Expires: 20\r\n").begin();
        rig.respond(&rig.last_invite(), reply(180));
        rig.wait(Duration::from_millis(19_999));
        assert_eq!(rig.statuses(), [180]);
        rig.wait(Duration::from_millis(1));
        assert_eq!((rig.statuses().last(), rig.cancelled.len()), (Some(&487), 1));
        rig.respond(&rig.last_invite(), reply(487));
        let record = rig.finish();
        assert_eq!((record.status, record.cause.label()), (487, "caller_gave_up"));
    }
    // What is answered in time goes on, and so does what says nothing that makes sense.
    let mut rig = from_carrier().with("Expires: 20\r\n").begin().answered();
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
    for expires in ["0", "soon"] {
        let mut rig = from_carrier().with(&format!("Expires: {expires}\r\n")).begin();
        rig.respond(&rig.last_invite(), reply(180));
        rig.wait(Duration::from_secs(30));
        assert_eq!(rig.call.phase(), Phase::Ringing, "{expires}");
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
}

#[test]
fn cancel_while_media_is_still_being_opened() {
    let mut rig = from_teams().slow_media().begin();
    rig.cancel(Rig::first_transaction(), "");
    assert_eq!(rig.statuses(), [487]);
    assert_eq!(rig.call.phase(), Phase::Ending, "sockets may still come");
    rig.release_media();
    assert_eq!(rig.invites().len(), 0);
    rig.finish();
}

#[test]
fn the_reason_of_a_cancel_goes_along() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
    rig.cancel(
        Rig::first_transaction(),
        &format!("Reason: {elsewhere}\r\nReason: X-own;secret\r\n"),
    );
    assert_eq!(
        rig.cancelled[0].1.as_deref(),
        Some(elsewhere),
        "no missed call is shown (TEAMS-115)"
    );
    rig.finish();
}

#[test]
fn a_200_that_crosses_our_cancel_is_acknowledged_and_hung_up() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.cancel(Rig::first_transaction(), "");
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 1);
    assert_eq!(rig.byes(CALLEE).len(), 1);
    assert_eq!(rig.statuses(), [180, 487]);
    // The ACK was lost: its 200 comes again.
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 2);
    assert_eq!(rig.byes(CALLEE).len(), 1);
    rig.finish();
}

#[test]
fn a_cancel_that_crosses_our_200_changes_nothing() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.cancel(Rig::first_transaction(), "");
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, Method::Bye, "", "");
    assert_eq!(rig.byes(CALLEE).len(), 1);
    assert_eq!(rig.finish().cause.label(), "hung_up");
}

#[test]
fn bye_on_the_early_dialog_gets_200_and_the_invite_487() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.request(LegIndex::CALLER, Method::Bye, "", "");
    assert_eq!(rig.statuses(), [180, 487]);
    assert_eq!(rig.cancelled.len(), 1);
    assert_eq!(rig.finish().ended_by, crate::call::Party::Caller);
}

#[test]
fn a_hop_that_was_given_up_answers_late() {
    let mut rig = from_teams().begin();
    let first = rig.last_invite();
    rig.wait(std::time::Duration::from_secs(5));
    let second = rig.last_invite();
    assert_ne!(first.leg, second.leg, "silence tries the next gateway");
    rig.respond(&second, reply(180));
    rig.respond(&first, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.byes(first.leg).len(), 1);
    assert_eq!(rig.statuses(), [180], "the second still rings");
    rig.request(first.leg, Method::Bye, "", "");
    assert_eq!(
        rig.call.phase(),
        Phase::Ringing,
        "BYEs that cross end the lost leg alone"
    );
    rig.respond(&second, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(LegIndex::CALLER, "");
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.request(second.leg, Method::Bye, "Reason: Q.850;cause=31\r\n", "");
    let bye = &rig.byes(LegIndex::CALLER)[0];
    assert_eq!(bye.header(HeaderName::Reason), Some("Q.850;cause=31"), "(TEAMS-058)");
    rig.finish();
}

#[test]
fn a_bye_in_an_early_dialog_ends_the_call_with_487_in_its_record_too() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180).sdp(super::peers::carrier_sdp("sendrecv")));
    rig.request(LegIndex::CALLER, Method::Bye, "", "");
    assert_eq!(rig.statuses(), [183, 487]);
    assert_eq!(rig.finish().status, 487);
}
