//! A carrier that holds with its answer, or goes on holding when Teams is ready to talk: Teams is told so, and the silence of who
//! holds ends no call.

use super::application::{dial, to_application};
use super::holding::direction;
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use super::transfer::TO_A_USER;
use crate::call::{CallStatus, Event, LegIndex, MediaNotice, Phase};
use crate::sip::Method;
use serde_json::json;
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
    assert_eq!(direction(&resumed), "a=inactive", "it is told that it is on hold still");
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(60));
    assert_eq!(
        (rig.reinvites(CALLER).len(), rig.reinvites(CALLEE).len()),
        (1, 1),
        "nobody is asked anything else"
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

/// Which side has the other one on hold, as it is shown: the caller, the callee.
fn holds(rig: &Rig) -> Vec<bool> {
    let talkers = CallStatus::of(&rig.call, rig.now).talkers;
    talkers.iter().map(|talker| talker.holds).collect()
}

/// `media.timeout` is over.
fn falls_silent(rig: &mut Rig, leg: LegIndex) {
    let (lasting, reports) = (Duration::from_secs(20), false);
    rig.step(Event::Media(leg, MediaNotice::Silent { lasting, reports }));
}

/// A side holds, or resumes; whether the other one was asked for it, and has agreed with this.
fn changes(rig: &mut Rig, leg: LegIndex, direction: &str, answer: &str) -> bool {
    let other = if leg == CALLER { CALLEE } else { CALLER };
    let describe = |rig: &Rig, leg, direction: &str| match rig.speaks_teams(leg) {
        true => teams_sdp(direction),
        false => carrier_sdp(direction),
    };
    let before = rig.reinvites(other).len();
    let offer = describe(rig, leg, direction);
    rig.request(leg, Method::Invite, "", &offer);
    let asked = rig.reinvites(other).get(before).cloned();
    if let Some(asked) = &asked {
        let answer = describe(rig, other, answer);
        rig.respond(asked, reply(200).sdp(answer));
    }
    assert_eq!(rig.last_response(leg).message.status(), Some(200));
    rig.ack(leg, "");
    asked.is_some()
}

#[test]
fn teams_072_a_carrier_that_answers_a_resume_with_a_hold_is_not_missed_while_it_is_silent() {
    // What the two do before Teams resumes: both or one of them hold.
    let teams_alone: &[&str] = &["teams"];
    for (first, answer) in [
        (teams_alone, "sendonly"),
        (teams_alone, "inactive"),
        (&["teams", "carrier"], "sendonly"),
        (&["carrier", "teams"], "sendonly"),
    ] {
        for teams in [CALLER, CALLEE] {
            let (scenario, carrier) = match teams {
                CALLER => (from_teams(), CALLEE),
                _ => (from_carrier(), CALLER),
            };
            let mut rig = scenario.begin().answered();
            for side in first {
                match *side {
                    "teams" => changes(&mut rig, teams, "inactive", "inactive"),
                    _ => changes(&mut rig, carrier, "sendonly", "inactive"),
                };
            }
            let told_before = rig.reinvites(teams).len();
            assert!(changes(&mut rig, teams, "sendrecv", answer), "the carrier is asked");
            assert_eq!(direction(&rig.last_response(teams)), "a=inactive", "{first:?} {answer}");
            assert_eq!(rig.reinvites(teams).len(), told_before, "it has been told");
            let of_the_carrier = [carrier == CALLER, carrier == CALLEE];
            assert_eq!(holds(&rig), of_the_carrier);
            falls_silent(&mut rig, carrier);
            assert_eq!(rig.call.phase(), Phase::Answered, "{first:?} {answer}");
            // It resumes, and has its time to be heard again.
            let awaited = rig.awaited.len();
            assert!(changes(&mut rig, carrier, "sendrecv", "sendrecv"));
            assert_eq!(direction(&rig.last_reinvite(teams)), "a=sendrecv");
            assert_eq!(rig.awaited[awaited..], [rig.handle_of(carrier)]);
            assert_eq!(holds(&rig), [false, false]);
            falls_silent(&mut rig, carrier);
            assert_eq!(rig.finish().cause.label(), "media_lost");
        }
    }
}

#[test]
fn teams_072_a_hold_by_an_answer_lasts_for_the_time_of_a_hold() {
    let mut rig = from_carrier().begin().answered();
    changes(&mut rig, CALLEE, "inactive", "inactive");
    changes(&mut rig, CALLEE, "sendrecv", "sendonly");
    rig.wait(Duration::from_secs(3_599));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.wait(Duration::from_secs(2));
    let record = rig.finish();
    assert_eq!(record.cause.label(), "cleared");
    assert_eq!((record.legs[0].holds, record.legs[0].held_ms), (1, 3_600_000));
}

/// Who only listens hears nobody, and holds nobody.
#[test]
fn teams_071_a_carrier_that_answers_a_resume_by_listening_alone_is_inactive_to_teams() {
    let mut rig = from_carrier().begin().answered();
    changes(&mut rig, CALLEE, "inactive", "inactive");
    changes(&mut rig, CALLEE, "sendrecv", "recvonly");
    assert_eq!(direction(&rig.last_response(CALLEE)), "a=inactive");
    assert!(rig.reinvites(CALLEE).is_empty());
    assert_eq!(holds(&rig), [false, false]);
    rig.hang_up_and_finish();
}

/// A holder whose music is to be heard may have none.
#[test]
fn teams_080_a_holder_without_music_is_not_missed() {
    let mut rig = from_carrier().of_carrier("music_on_hold = true\n").begin().answered();
    assert!(!changes(&mut rig, CALLER, "sendonly", ""), "Teams is to hear it");
    falls_silent(&mut rig, CALLER);
    assert_eq!((rig.call.phase(), holds(&rig)), (Phase::Answered, vec![true, false]));
    rig.wait(Duration::from_secs(3_601));
    assert_eq!(rig.finish().cause.label(), "cleared");
}

/// An announcement is no hold, whatever Teams does meanwhile.
#[test]
fn teams_071_a_carrier_that_answers_one_way_from_the_start_stays_open() {
    for one_way in ["sendonly", "recvonly"] {
        let mut rig = from_teams().begin();
        rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp(one_way)));
        assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
        rig.ack(CALLER, "");
        changes(&mut rig, CALLER, "inactive", "inactive");
        changes(&mut rig, CALLER, "sendrecv", one_way);
        assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv", "{one_way}");
        assert!(rig.reinvites(CALLER).is_empty());
        assert_eq!(holds(&rig), [false, false]);
        rig.hang_up_and_finish();
    }
}

/// The old form of hold.
fn at_no_address() -> String {
    carrier_sdp("sendrecv").replace("c=IN IP4 203.0.113.20", "c=IN IP4 0.0.0.0")
}

#[test]
fn teams_071_a_carrier_that_answers_at_no_address_holds() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(at_no_address()));
    let answer = rig.last_response(CALLER);
    assert_eq!(
        (answer.message.status(), direction(&answer)),
        (Some(200), "a=inactive".into())
    );
    rig.ack(CALLER, "");
    assert_eq!(holds(&rig), [false, true]);
    falls_silent(&mut rig, CALLEE);
    assert_eq!(rig.call.phase(), Phase::Answered);
    assert!(changes(&mut rig, CALLEE, "sendrecv", "sendrecv"));
    assert_eq!(direction(&rig.last_reinvite(CALLER)), "a=sendrecv");
    assert_eq!(holds(&rig), [false, false]);
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();
}

#[test]
fn who_is_dialled_and_answers_at_no_address_holds_whoever_was_answered_before() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    rig.respond(&rig.last_invite(), reply(200).sdp(at_no_address()));
    let told = rig.last_reinvite(CALLER);
    assert_eq!(direction(&told), "a=sendonly", "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(carrier_sdp("recvonly")));
    rig.hang_up_and_finish();
}

/// The caller was told of early media before, and its 200 says the same again.
#[test]
fn teams_071_who_holds_after_early_media_holds_a_caller_that_waits_for_the_bridge() {
    for (answer, told) in [(carrier_sdp("inactive"), "a=inactive"), (at_no_address(), "a=sendonly")] {
        let mut rig = to_application().begin();
        rig.answer(&json!([dial(&["+12065550101"], &json!({ "answerOnBridge": true }))]));
        rig.planned(&["+12065550101"]);
        let invite = rig.last_invite();
        rig.respond(&invite, reply(183).sdp(carrier_sdp("sendrecv")));
        rig.flows(invite.leg);
        assert_eq!(rig.last_response(CALLER).message.status(), Some(183));
        rig.respond(&invite, reply(200).sdp(answer));
        assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
        rig.ack(CALLER, "");
        rig.wait(Duration::from_secs(3));
        let reinvite = rig.last_reinvite(CALLER);
        assert_eq!(direction(&reinvite), told);
        rig.respond(&reinvite, reply(200).sdp(carrier_sdp("recvonly")));
        rig.hang_up_and_finish();
    }
}

/// It may go on: Teams is not told.
#[test]
fn teams_071_an_announcement_that_falls_silent_is_a_hold_until_it_goes_on() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendonly")));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(3_700));
    for _ in 0..2 {
        assert_eq!((rig.call.phase(), holds(&rig)), (Phase::Answered, vec![false, false]));
        falls_silent(&mut rig, CALLEE);
        assert_eq!((rig.call.phase(), holds(&rig)), (Phase::Answered, vec![false, true]));
        rig.wait(Duration::from_secs(3_000));
        rig.step(Event::Media(CALLEE, MediaNotice::FlowsAgain));
    }
    falls_silent(&mut rig, CALLEE);
    rig.wait(Duration::from_secs(3_601));
    assert!(rig.reinvites(CALLER).is_empty());
    assert_eq!(rig.finish().cause.label(), "cleared");
}

/// What the media say counts, whatever becomes of a change meanwhile.
#[test]
fn an_announcement_that_goes_on_while_a_change_is_refused_holds_nobody() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendonly")));
    rig.ack(CALLER, "");
    falls_silent(&mut rig, CALLEE);
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.step(Event::Media(CALLEE, MediaNotice::FlowsAgain));
    rig.respond(&rig.last_reinvite(CALLEE), reply(488));
    assert!(!holds(&rig)[1]);
    rig.hang_up_and_finish();
}

/// What it asks may have no offer: ours is no hold, as nobody holds.
#[test]
fn teams_071_teams_hears_an_announcement_on_when_it_asks_without_an_offer() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendonly")));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", "");
    assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
    rig.ack(CALLER, &teams_sdp("sendrecv"));
    let asked = rig.last_reinvite(CALLEE);
    rig.respond(&asked, reply(200).sdp(carrier_sdp("sendonly")));
    assert_eq!(holds(&rig), [false, false]);
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();
}
