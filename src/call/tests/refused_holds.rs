//! Teams holds and resumes, whatever the carrier says to it (TEAMS-072).

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::replaced::replacing;
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex, Phase};
use crate::sdp::Direction;
use crate::sip::Method;
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Teams asks for this direction; what we have offered the carrier for it.
fn asks(rig: &mut Rig, teams: LegIndex, direction: &str) -> Option<Sent> {
    let carrier = if teams == CALLER { CALLEE } else { CALLER };
    let before = rig.reinvites(carrier).len();
    rig.request(teams, Method::Invite, "", &teams_sdp(direction));
    rig.reinvites(carrier).get(before).cloned()
}

/// Teams is answered 200 with this direction, and its media flow so.
fn assert_answered(rig: &mut Rig, teams: LegIndex, direction: Direction) {
    let answer = rig.last_response(teams);
    assert_eq!(answer.message.status(), Some(200));
    let line = match direction {
        Direction::Inactive => "a=inactive",
        _ => "a=sendrecv",
    };
    assert_eq!(answer.sdp_line(line).as_deref(), Some(line), "{}", answer.sdp());
    rig.ack(teams, "");
    let told = &rig.configured[&rig.handle_of(teams)];
    assert_eq!(told.direction, direction, "what its worker was told");
}

#[test]
fn teams_072_a_carrier_that_refuses_re_invites_does_not_refuse_teams_hold() {
    for status in [405, 408, 415, 488, 501, 503, 603, 606] {
        for teams in [CALLER, CALLEE] {
            let scenario = if teams == CALLER { from_teams() } else { from_carrier() };
            let mut rig = scenario.begin().answered();
            for _ in 0..2 {
                let offered = asks(&mut rig, teams, "inactive").expect("the carrier is asked");
                assert!(offered.sdp().contains("a=inactive"), "{}", offered.sdp());
                rig.respond(&offered, reply(status));
                assert_answered(&mut rig, teams, Direction::Inactive);
                assert_eq!(rig.call.phase(), Phase::Answered, "{status}");
                let asked = asks(&mut rig, teams, "sendrecv");
                assert!(asked.is_none(), "the carrier never was on hold");
                assert_answered(&mut rig, teams, Direction::SendRecv);
            }
            rig.assert_bridged(CALLER, CALLEE);
            rig.hangs_up_and_finish(teams);
        }
    }
}

/// The version in a description.
fn version(sent: &Sent) -> u64 {
    let origin = sent.sdp_line("o=").expect("a session");
    origin.split(' ').nth(2).expect("a version").parse().expect("a number")
}

#[test]
fn teams_072_a_carrier_whose_200_to_a_hold_makes_no_sense_is_on_hold() {
    let off = carrier_sdp("inactive").replace("m=audio 4000 ", "m=audio 0 ");
    let foreign =
        "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 3\r\n";
    assert!(off.contains("m=audio 0 "), "{off}");
    for answer in [off.as_str(), "", foreign] {
        for teams in [CALLER, CALLEE] {
            let scenario = if teams == CALLER { from_teams() } else { from_carrier() };
            let mut rig = scenario.begin().answered();
            let carrier = if teams == CALLER { CALLEE } else { CALLER };
            let held = asks(&mut rig, teams, "inactive").expect("the carrier is asked");
            rig.respond(&held, reply(200).sdp(answer));
            assert_answered(&mut rig, teams, Direction::Inactive);
            assert_eq!(rig.reinvites(carrier).len(), 1, "it is on hold");
            let resumed = asks(&mut rig, teams, "sendrecv").expect("it was on hold");
            assert_eq!(version(&resumed), version(&held) + 1);
            rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
            assert_answered(&mut rig, teams, Direction::SendRecv);
            rig.assert_bridged(CALLER, CALLEE);
            rig.hangs_up_and_finish(teams);
        }
    }
}

/// A version that the carrier has seen is never used for anything else, and an accepted one is followed by a higher one.
#[test]
fn versions_never_go_back() {
    let mut rig = from_teams().begin().answered();
    let held = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    rig.ack(CALLER, "");
    let resumed = asks(&mut rig, CALLER, "sendrecv").expect("it is on hold");
    rig.respond(&resumed, reply(200));
    assert_eq!(
        rig.last_response(CALLER).message.status(),
        Some(488),
        "nobody knows where to send"
    );
    let back = rig.reinvites(CALLEE).pop().expect("it is put back");
    assert!(back.sdp().contains("a=inactive"), "{}", back.sdp());
    assert_eq!(version(&back), version(&resumed) + 1);
    rig.respond(&back, reply(200).sdp(carrier_sdp("inactive")));
    let refused = asks(&mut rig, CALLER, "sendrecv").expect("it is on hold");
    rig.respond(&refused, reply(488));
    let again = asks(&mut rig, CALLER, "sendrecv").expect("it is on hold");
    assert_eq!(version(&refused), version(&back) + 1);
    assert_eq!(version(&again), version(&refused) + 1);
    rig.respond(&again, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    rig.hang_up_and_finish();
}

#[test]
fn teams_072_a_carrier_whose_re_invite_crosses_is_held_afterwards() {
    let mut rig = from_teams().begin().answered();
    let offered = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.respond(&offered, reply(491));
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    rig.wait(Duration::from_secs(5));
    let again = rig.reinvites(CALLEE).pop().expect("it is asked again");
    assert!(rig.reinvites(CALLEE).len() == 2 && again.sdp().contains("a=inactive"));
    rig.respond(&again, reply(200).sdp(carrier_sdp("inactive")));
    let resumed = asks(&mut rig, CALLER, "sendrecv").expect("it was on hold");
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    rig.hang_up_and_finish();
}

#[test]
fn teams_072_a_carrier_that_says_nothing_keeps_teams_waiting_for_three_seconds() {
    let mut rig = from_teams().begin().answered();
    let offered = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.wait(Duration::from_secs(3));
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    assert!(asks(&mut rig, CALLER, "sendrecv").is_none());
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    rig.fail(&offered, TransportCause::Timeout);
    assert_eq!(
        rig.call.phase(),
        Phase::Answered,
        "silence about a hold is no lost call"
    );
    rig.hang_up_and_finish();
}

#[test]
fn teams_072_a_carrier_that_agrees_late_is_brought_in_line() {
    let mut rig = from_teams().begin().answered();
    let offered = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.wait(Duration::from_secs(3));
    rig.ack(CALLER, "");
    assert!(asks(&mut rig, CALLER, "sendrecv").is_none());
    rig.ack(CALLER, "");
    rig.respond(&offered, reply(200).sdp(carrier_sdp("inactive")));
    let back = rig.reinvites(CALLEE).pop().expect("it is taken off hold");
    assert!(back.sdp().contains("a=sendrecv"), "{}", back.sdp());
    rig.respond(&back, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.hang_up_and_finish();
}

/// Teams holds, the carrier goes along; Teams resumes, and is answered after three seconds. What the carrier was asked.
fn resumed_without_a_word() -> (Rig, Sent) {
    let mut rig = from_teams().begin().answered();
    let held = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    let resumed = asks(&mut rig, CALLER, "sendrecv").expect("the carrier is asked");
    rig.wait(Duration::from_millis(2_999));
    let before = rig.last_response(CALLER).message.cseq().0;
    rig.wait(Duration::from_millis(1));
    assert_ne!(rig.last_response(CALLER).message.cseq().0, before);
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    (rig, resumed)
}

/// Teams is told that the carrier holds now.
fn assert_held(rig: &mut Rig) {
    let told = rig.reinvites(CALLER).pop().expect("Teams is told");
    assert!(told.sdp().contains("a=inactive"), "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
    assert_eq!(rig.call.phase(), Phase::Answered);
}

#[test]
fn teams_072_a_resume_waits_no_longer_than_a_hold() {
    let (mut rig, resumed) = resumed_without_a_word();
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    assert!(rig.reinvites(CALLER).is_empty(), "both talk");
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();

    let (mut rig, resumed) = resumed_without_a_word();
    rig.respond(&resumed, reply(488));
    assert_held(&mut rig);
    rig.hang_up_and_finish();

    let (mut rig, resumed) = resumed_without_a_word();
    rig.respond(&resumed, reply(100));
    rig.wait(Duration::from_secs(37));
    assert_eq!(rig.cancelled.last().map(|(token, _)| Some(*token)), Some(resumed.token));
    rig.respond(&resumed, reply(487));
    assert_held(&mut rig);
    rig.hang_up_and_finish();

    // Teams goes on meanwhile.
    let (mut rig, resumed) = resumed_without_a_word();
    rig.respond(&resumed, reply(100));
    assert!(asks(&mut rig, CALLER, "sendrecv").is_none(), "a refresh");
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    assert!(asks(&mut rig, CALLER, "inactive").is_none(), "one re-INVITE at a time");
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    let held = rig.reinvites(CALLEE).pop().expect("it is told");
    assert!(held.sdp().contains("a=inactive"), "{}", held.sdp());
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    assert!(rig.reinvites(CALLER).is_empty(), "Teams holds, and knows");
    rig.hang_up_and_finish();

    for status in [200, 488] {
        let (mut rig, resumed) = resumed_without_a_word();
        for direction in [
            Direction::Inactive,
            Direction::SendRecv,
            Direction::Inactive,
            Direction::SendRecv,
        ] {
            let line = if direction == Direction::Inactive {
                "inactive"
            } else {
                "sendrecv"
            };
            assert!(asks(&mut rig, CALLER, line).is_none(), "one re-INVITE at a time");
            assert_answered(&mut rig, CALLER, direction);
        }
        match status {
            200 => {
                rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
                rig.wait(Duration::from_secs(5));
                assert!(rig.reinvites(CALLER).is_empty());
                rig.assert_bridged(CALLER, CALLEE);
            }
            _ => {
                rig.respond(&resumed, reply(488));
                assert_held(&mut rig);
            }
        }
        rig.hang_up_and_finish();
    }

    // What it holds itself, it need not be told.
    let (mut rig, resumed) = resumed_without_a_word();
    assert!(asks(&mut rig, CALLER, "inactive").is_none(), "one re-INVITE at a time");
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    rig.respond(&resumed, reply(488));
    rig.wait(Duration::from_secs(5));
    assert!(rig.reinvites(CALLER).is_empty());
    rig.hang_up_and_finish();

    let (mut rig, resumed) = resumed_without_a_word();
    rig.respond(&resumed, reply(491));
    rig.wait(Duration::from_secs(5));
    let again = rig.reinvites(CALLEE).pop().expect("it is asked again");
    assert!(again.sdp().contains("a=sendrecv"), "{}", again.sdp());
    rig.respond(&again, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();

    let (mut rig, resumed) = resumed_without_a_word();
    rig.fail(&resumed, TransportCause::Timeout);
    assert_eq!(
        rig.finish().cause.label(),
        "dialog_lost",
        "it was there when it was held"
    );
}

/// The carrier asks for this direction; what Teams is asked for, and the answer of the carrier once Teams has refused that so.
fn refused(rig: &mut Rig, teams: LegIndex, direction: &str, status: Option<u16>) -> (Sent, Sent) {
    let carrier = if teams == CALLER { CALLEE } else { CALLER };
    rig.request(carrier, Method::Invite, "", &carrier_sdp(direction));
    let asked = rig.reinvites(teams).pop().expect("Teams is asked");
    match status {
        Some(status) => rig.respond(&asked, reply(status)),
        None => rig.fail(&asked, TransportCause::Transport),
    }
    (asked, rig.last_response(carrier))
}

/// 488 would tell a PBX that its description is bad.
#[test]
fn a_hold_of_a_carrier_outlives_a_hub_that_can_not_pass_it_on() {
    for (teams, status) in [CALLER, CALLEE]
        .into_iter()
        .flat_map(|teams| [None, Some(500), Some(503)].map(|status| (teams, status)))
    {
        let (scenario, carrier) = match teams {
            CALLER => (from_teams(), CALLEE),
            _ => (from_carrier(), CALLER),
        };
        let mut rig = scenario.begin().answered();
        let (asked, held) = refused(&mut rig, teams, "sendonly", status);
        assert_eq!(held.message.status(), Some(200), "{status:?}");
        assert!(held.sdp().contains("a=recvonly"), "{}", held.sdp());
        let put_off = |held| CallNews::ChangePutOff {
            leg: teams,
            status,
            held,
        };
        assert!(rig.news.contains(&put_off(true)), "{:?}", rig.news);
        rig.ack(carrier, "");
        // Whatever was in the way goes on for a while.
        for _ in 0..3 {
            let before = rig.reinvites(teams).len();
            rig.wait(Duration::from_secs(10));
            let again = rig.reinvites(teams).pop().expect("it is asked again");
            assert_eq!(rig.reinvites(teams).len(), before + 1);
            assert!(again.sdp().contains("a=inactive"), "{}", again.sdp());
            rig.respond(&again, reply(503));
        }
        rig.wait(Duration::from_secs(15));
        let again = rig.reinvites(teams).pop().expect("it is asked again");
        assert_eq!(version(&again), version(&asked) + 4);
        rig.respond(&again, reply(200).sdp(teams_sdp("inactive")));

        let (asked, refusal) = refused(&mut rig, teams, "sendrecv", status);
        assert!(asked.sdp().contains("a=sendrecv"), "{}", asked.sdp());
        assert_eq!(refusal.message.status(), Some(500), "it may ask again");
        assert_eq!(refusal.header(HeaderName::RetryAfter), Some("2"));
        assert!(rig.news.contains(&put_off(false)), "{:?}", rig.news);
        rig.request(carrier, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(teams).pop().expect("Teams is asked");
        rig.respond(&resumed, reply(200).sdp(teams_sdp("sendrecv")));
        assert_eq!(rig.last_response(carrier).message.status(), Some(200));
        rig.ack(carrier, "");
        rig.assert_bridged(CALLER, CALLEE);
        rig.hangs_up_and_finish(carrier);
    }
}

#[test]
fn a_hold_of_a_carrier_that_teams_will_not_have_is_refused() {
    for (status, told) in [(491, 491), (488, 488), (606, 606), (403, 488), (603, 488)] {
        let mut rig = from_teams().begin().answered();
        let (_, refusal) = refused(&mut rig, CALLER, "sendonly", Some(status));
        assert_eq!(refusal.message.status(), Some(told), "{status}");
        rig.wait(Duration::from_secs(10));
        assert_eq!(rig.reinvites(CALLER).len(), 1, "{status}");
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_carrier_that_has_lost_the_call_ends_it() {
    let mut rig = from_teams().begin().answered();
    let offered = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
    rig.respond(&offered, reply(481));
    assert_eq!(rig.finish().cause.label(), "dialog_lost");
}

/// A carrier that is slow to answer our own refresh keeps no Teams user from holding and resuming.
#[test]
fn teams_072_a_slow_refresh_of_the_carrier_keeps_nobody_from_holding() {
    let refreshed = reply(200)
        .sdp(carrier_sdp("sendrecv"))
        .with(HeaderName::SessionExpires, "1800;refresher=uac");
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), refreshed.clone().with(HeaderName::Require, "timer"));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(900));
    let refresh = rig.reinvites(CALLEE).pop().expect("a refresh");
    rig.respond(&refresh, reply(100));
    assert!(asks(&mut rig, CALLER, "inactive").is_none(), "one re-INVITE at a time");
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    rig.respond(&refresh, refreshed);
    rig.wait(Duration::from_secs(1));
    let told = rig.reinvites(CALLEE).pop().expect("it is told then");
    assert!(told.sdp().contains("a=inactive"), "{}", told.sdp());
    // It takes its time for that, too.
    assert!(asks(&mut rig, CALLER, "sendrecv").is_none(), "one re-INVITE at a time");
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    rig.respond(&told, reply(200).sdp(carrier_sdp("inactive")));
    let back = rig.reinvites(CALLEE).pop().expect("it is taken off hold");
    assert!(back.sdp().contains("a=sendrecv"), "{}", back.sdp());
    assert!(asks(&mut rig, CALLER, "inactive").is_none(), "one re-INVITE at a time");
    assert_answered(&mut rig, CALLER, Direction::Inactive);
    rig.respond(&back, reply(200).sdp(carrier_sdp("sendrecv")));
    let told = rig.reinvites(CALLEE).pop().expect("it is told");
    assert!(told.sdp().contains("a=inactive"), "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(carrier_sdp("inactive")));
    let resumed = asks(&mut rig, CALLER, "sendrecv").expect("as ever");
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_answered(&mut rig, CALLER, Direction::SendRecv);
    rig.hangs_up_and_finish(CALLER);
}

/// Nor does a side that has nothing to say to what brings it in line hear it for ever.
#[test]
fn who_accepts_without_a_description_is_not_asked_without_end() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    for nth in 0..10 {
        let Some(offered) = rig.reinvites(CALLER).get(nth).cloned() else {
            break;
        };
        rig.respond(&offered, reply(200));
    }
    rig.wait(Duration::from_secs(60));
    assert!(rig.reinvites(CALLER).len() <= 2, "{}", rig.reinvites(CALLER).len());
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

/// What Teams was told at once ends no call when the carrier is silent about it.
#[test]
fn a_hold_before_the_ack_outlives_a_silent_carrier() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    rig.ack(CALLEE, "");
    rig.ack(CALLER, "");
    let told = rig.reinvites(CALLER).pop().expect("it is told");
    rig.fail(&told, TransportCause::Timeout);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

/// Whoever took the call out of hold is on hold itself then, and may resume.
#[test]
fn teams_090_a_carrier_that_refuses_to_be_taken_off_hold_is_no_secret() {
    for status in [405, 488, 603] {
        let mut rig = from_teams().begin().answered();
        let held = asks(&mut rig, CALLER, "inactive").expect("the carrier is asked");
        rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
        assert_answered(&mut rig, CALLER, Direction::Inactive);
        rig.replace(rig.dialog_of(CALLER), &replacing());
        rig.ack_inside(CALLER, "");
        rig.respond(&rig.last_reinvite(CALLEE), reply(status));
        let told = rig.last_reinvite(CALLER);
        assert_eq!(told.message.call_id(), "second-call-id");
        assert!(told.sdp().contains("a=inactive\r\n"), "{}", told.sdp());
        rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
        let said =
            |news: &&CallNews| matches!(news, CallNews::StaysOnHold { leg: CALLEE, status: said } if *said == status);
        assert_eq!(rig.news.iter().filter(said).count(), 1);
        let resumed = {
            let before = rig.reinvites(CALLEE).len();
            let resume = rig.inside(CALLER, &Method::Invite, 2, &teams_sdp("sendrecv"));
            rig.request_of((rig.flow_of_teams(), false), CALLER, resume);
            rig.reinvites(CALLEE)
                .get(before)
                .cloned()
                .expect("the carrier is asked again")
        };
        rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
        assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
        rig.ack_inside(CALLER, "");
        rig.hangs_up_and_finish(CALLEE);
    }
}
