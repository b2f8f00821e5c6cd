//! Session timers over hours (RFC 4028): who refreshes, when, and what happens when nobody does.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A carrier's call to Teams, whose 200 says `session_expires`.
pub fn agreed(session_expires: &str) -> (Rig, Sent) {
    let mut rig = from_carrier().edit("Supported: timer, 100rel\r\n", "").begin();
    let invite = rig.last_invite();
    let answer = reply(200)
        .sdp(teams_sdp("sendrecv"))
        .with(HeaderName::SessionExpires, session_expires);
    rig.respond(&invite, answer.with(HeaderName::Require, "timer"));
    rig.ack(CALLER, "");
    (rig, invite)
}

#[test]
fn we_refresh_at_half_the_interval_with_the_same_description() {
    let (mut rig, invite) = agreed("1800;refresher=uac");
    assert!(invite.header(HeaderName::MinSe).is_some());
    for nth in 0..8 {
        rig.wait(Duration::from_secs(899));
        assert_eq!(rig.reinvites(CALLEE).len(), nth, "not before half the interval");
        rig.wait(Duration::from_secs(1));
        let refresh = rig.reinvites(CALLEE)[nth].clone();
        assert_eq!(refresh.header(HeaderName::SessionExpires), Some("1800;refresher=uac"));
        assert_eq!(refresh.sdp(), invite.sdp(), "(TEAMS-074)");
        let answer = reply(200).sdp(teams_sdp("sendrecv"));
        rig.respond(&refresh, answer.with(HeaderName::SessionExpires, "1800;refresher=uac"));
    }
    assert_eq!(rig.call.phase(), Phase::Answered);
    assert_eq!(rig.reinvites(CALLER).len(), 0, "each side has its own timer");
    rig.hang_up_and_finish();
}

#[test]
fn a_refresh_that_gets_no_answer_ends_the_call_at_the_end_of_the_session() {
    let (mut rig, _) = agreed("1800;refresher=uac");
    rig.wait(HOUR);
    assert_eq!(rig.reinvites(CALLEE).len(), 1);
    let record = rig.finish();
    assert_eq!(record.cause.label(), "session_expired");
    let why = "the session timer of the called side expired: our refresh got no answer";
    assert_eq!(record.cause_text, why);
}

#[test]
fn a_peer_that_stops_refreshing_gets_bye() {
    let (mut rig, _) = agreed("1800;refresher=uas");
    rig.wait(Duration::from_secs(1_767));
    assert_eq!((rig.call.phase(), rig.reinvites(CALLEE).len()), (Phase::Answered, 0));
    rig.wait(Duration::from_secs(2));
    assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
    assert_eq!(rig.finish().cause.label(), "session_expired");
}

#[test]
fn a_peer_that_refreshes_keeps_its_call() {
    let (mut rig, _) = agreed("1800;refresher=uas");
    for _ in 0..6 {
        rig.wait(Duration::from_secs(900));
        let refresh = "Session-Expires: 1800;refresher=uac\r\nSupported: timer\r\n";
        rig.request(CALLEE, Method::Invite, refresh, &teams_sdp("sendrecv"));
        let answer = rig.last_response(CALLEE);
        assert_eq!(answer.header(HeaderName::SessionExpires), Some("1800;refresher=uac"));
        rig.ack(CALLEE, "");
    }
    assert_eq!(
        (rig.call.phase(), rig.reinvites(CALLER).len()),
        (Phase::Answered, 0),
        "(TEAMS-076)"
    );
    rig.hang_up_and_finish();
}

#[test]
fn teams_offers_an_hour_and_refreshes_itself() {
    let timer = "SESSION-EXPIRES: 3600\r\nMIN-SE: 300\r\nSUPPORTED: timer\r\n";
    let mut rig = from_teams().with(timer).begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    let answer = rig.last_response(CALLER);
    let expires = answer.header(HeaderName::SessionExpires).unwrap_or_default();
    let (seconds, refresher) = expires.split_once(';').expect("a refresher");
    assert!(
        (300..=3_600).contains(&seconds.parse::<u32>().expect("seconds")),
        "{expires}"
    );
    assert_eq!(refresher, "refresher=uac");
    assert_eq!(answer.header(HeaderName::Require), Some("timer"));
    rig.ack(CALLER, "");
    rig.wait(2 * HOUR);
    assert_eq!(rig.reinvites(CALLER).len(), 0);
    assert_eq!(rig.finish().cause.label(), "session_expired");
}

#[test]
fn no_timer_is_required_of_who_knows_none() {
    let mut rig = from_teams().begin().answered();
    assert_eq!(
        rig.heard_by_caller()[0].header(HeaderName::Require),
        None,
        "(TEAMS-075)"
    );
    rig.wait(24 * HOUR);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn an_interval_below_ours_gets_422() {
    let timer = "SESSION-EXPIRES: 60\r\nSUPPORTED: timer\r\n";
    let mut rig = from_teams().with(timer).begin();
    let refusal = rig.last_response(CALLER);
    assert_eq!(
        (rig.statuses(), refusal.header(HeaderName::MinSe)),
        (vec![422], Some("300"))
    );
    assert_eq!(rig.finish().cause.label(), "interval_too_small");
    let mut rig = from_teams().begin().answered();
    rig.request(CALLER, Method::Invite, timer, &teams_sdp("sendrecv"));
    let refusal = rig.last_response(CALLER);
    assert_eq!(
        (refusal.message.status(), refusal.header(HeaderName::MinSe)),
        (Some(422), Some("300"))
    );
    rig.hang_up_and_finish();
}

#[test]
fn teams_075_nothing_below_300_is_proposed_whatever_the_carrier_asks_of_its_own_leg() {
    let timer = "Session-Expires: 120;refresher=uac\r\nMin-SE: 90\r\n";
    let mut rig = from_carrier().with(timer).begin();
    let invite = rig.last_invite();
    assert_eq!(invite.header(HeaderName::SessionExpires), Some("1800"));
    assert_eq!(invite.header(HeaderName::MinSe), Some("300"));
    let answer = reply(200)
        .sdp(teams_sdp("sendrecv"))
        .with(HeaderName::SessionExpires, "1800;refresher=uac");
    rig.respond(&invite, answer.with(HeaderName::Require, "timer"));
    let answered = rig.last_response(CALLER);
    assert_eq!(answered.header(HeaderName::SessionExpires), Some("120;refresher=uac"));
    rig.ack(CALLER, "");
    for _ in 0..15 {
        rig.wait(Duration::from_secs(60));
        let refresh = format!("{timer}Supported: timer\r\n");
        rig.request(CALLER, Method::Invite, &refresh, &carrier_sdp("sendrecv"));
        rig.ack(CALLER, "");
    }
    let refresh = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(refresh.header(HeaderName::MinSe), Some("300"));
    rig.respond(&refresh, reply(200).sdp(teams_sdp("sendrecv")));
    rig.hang_up_and_finish();
}

#[test]
fn a_422_raises_our_interval_once() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(422).with(HeaderName::MinSe, "7200"));
    let raised = rig.last_invite();
    assert_eq!(raised.header(HeaderName::SessionExpires), Some("7200"));
    assert_eq!(
        (raised.leg, raised.message.cseq().0),
        (CALLEE, 2),
        "the same dialog to be (RFC 3261 §8.1.3.5)"
    );
    rig.respond(&raised, reply(422).with(HeaderName::MinSe, "9000"));
    assert_eq!(rig.invites().len(), 2);
    assert_eq!(rig.finish().status, 500);
}

#[test]
fn a_422_to_a_refresh_raises_it_too() {
    let (mut rig, invite) = agreed("1800;refresher=uac");
    rig.wait(Duration::from_secs(900));
    rig.respond(
        &rig.reinvites(CALLEE)[0].clone(),
        reply(422).with(HeaderName::MinSe, "3000"),
    );
    let raised = rig.reinvites(CALLEE)[1].clone();
    assert_eq!(raised.header(HeaderName::SessionExpires), Some("3000;refresher=uac"));
    assert_eq!(raised.sdp(), invite.sdp());
    let answer = reply(200).sdp(teams_sdp("sendrecv"));
    rig.respond(&raised, answer.with(HeaderName::SessionExpires, "3000;refresher=uac"));
    rig.wait(Duration::from_secs(1_499));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.reinvites(CALLEE).len(), 3);
    rig.hang_up_and_finish();
}

#[test]
fn teams_074_our_refresh_says_the_largest_min_se_that_was_heard() {
    let min_se = |sent: &Sent| sent.header(HeaderName::MinSe).unwrap_or_default().to_owned();
    // In the 422 of the INVITE.
    let mut rig = from_carrier().edit("Supported: timer, 100rel\r\n", "").begin();
    rig.respond(&rig.last_invite(), reply(422).with(HeaderName::MinSe, "2400"));
    let answer = || reply(200).sdp(teams_sdp("sendrecv")).with(HeaderName::Require, "timer");
    let expires = |reply: super::messages::Reply| reply.with(HeaderName::SessionExpires, "2400;refresher=uac");
    rig.respond(&rig.last_invite(), expires(answer()));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(1_200));
    let refresh = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(min_se(&refresh), "2400");
    rig.respond(&refresh, expires(answer()));
    // In refreshes of the peer, whatever it says later.
    for said in ["2700", "300"] {
        let lines = format!("Session-Expires: 3600;refresher=uas\r\nMin-SE: {said}\r\nSupported: timer\r\n");
        rig.request(CALLEE, Method::Invite, &lines, &teams_sdp("sendrecv"));
        rig.ack(CALLEE, "");
    }
    rig.wait(Duration::from_secs(900));
    let refresh = rig.reinvites(CALLEE)[1].clone();
    assert_eq!(min_se(&refresh), "2700");
    assert_eq!(
        refresh.header(HeaderName::SessionExpires),
        Some("2700;refresher=uac"),
        "no interval is below it"
    );
    rig.hang_up_and_finish();
    // In the INVITE of who has called.
    let timer = "Session-Expires: 1800;refresher=uas\r\nMin-SE: 600\r\n";
    let mut rig = from_carrier().with(timer).begin().answered();
    rig.wait(Duration::from_secs(900));
    let refresh = rig.reinvites(CALLER)[0].clone();
    assert_eq!(min_se(&refresh), "600");
    // In the 422 of a refresh.
    rig.respond(&refresh, reply(422).with(HeaderName::MinSe, "2000"));
    let raised = rig.reinvites(CALLER)[1].clone();
    assert_eq!(min_se(&raised), "2000");
    let expires = "2000;refresher=uac";
    let answer = reply(200).sdp(carrier_sdp("sendrecv"));
    rig.respond(&raised, answer.with(HeaderName::SessionExpires, expires));
    rig.wait(Duration::from_secs(1_000));
    assert_eq!(min_se(&rig.reinvites(CALLER)[2]), "2000");
    rig.hang_up_and_finish();
}

#[test]
fn refreshes_that_cross_back_off_and_let_the_peers_through() {
    let (mut rig, _) = agreed("1800;refresher=uac");
    rig.wait(Duration::from_secs(900));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(491));
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("sendrecv"));
    assert_eq!(
        rig.last_response(CALLEE).message.status(),
        Some(200),
        "nothing of ours is under way"
    );
    rig.ack(CALLEE, "");
    let (mut rig, _) = agreed("1800;refresher=uac");
    rig.wait(Duration::from_secs(900));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(491));
    rig.wait(Duration::from_millis(2_099));
    assert_eq!(
        rig.reinvites(CALLEE).len(),
        1,
        "we own the Call-ID: 2.1 to 4 s (RFC 3261 §14.1)"
    );
    rig.wait(Duration::from_millis(1_901));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn a_refresh_is_answered_while_the_other_leg_has_its_own() {
    let (mut rig, _) = agreed("1800;refresher=uac");
    rig.wait(Duration::from_secs(900));
    assert_eq!(rig.reinvites(CALLEE).len(), 1, "ours to Teams waits for its answer");
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    let ours = rig.reinvites(CALLEE)[0].clone();
    rig.respond(&ours, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn a_refused_refresh_is_tried_again_while_there_is_time() {
    let (mut rig, _) = agreed("1800;refresher=uac");
    rig.wait(Duration::from_secs(900));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(503));
    rig.wait(Duration::from_secs(450));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.respond(&rig.reinvites(CALLEE)[1].clone(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.wait(HOUR);
    assert_eq!(
        rig.call.phase(),
        Phase::Answered,
        "a 200 without Session-Expires ends the timer"
    );
    rig.hang_up_and_finish();
}

/// A session whose refreshes of ours all come to this, at its end.
fn expired(fails: impl Fn(&mut Rig, &Sent)) -> Rig {
    let (mut rig, _) = agreed("1800;refresher=uac");
    let mut failed = 0;
    for _ in 0..500 {
        rig.wait(Duration::from_secs(4));
        let asked = rig.reinvites(CALLEE);
        for refresh in &asked[failed..] {
            fails(&mut rig, refresh);
        }
        failed = asked.len();
    }
    assert!(failed > 1);
    rig
}

#[test]
fn a_session_whose_refreshes_can_not_be_sent_says_so_at_its_end() {
    let mut rig = expired(|rig, refresh| rig.fail(refresh, TransportCause::Transport));
    let told = |news: &&CallNews| matches!(news, CallNews::RefreshRefused { .. });
    assert_eq!(rig.news.iter().filter(told).count(), 0, "nobody has refused any");
    let why = "the session timer of the called side expired: our refresh could not be sent";
    assert_eq!(rig.finish().cause_text, why);
}

#[test]
fn a_session_whose_refreshes_are_refused_says_so_at_its_end() {
    let mut rig = expired(|rig, refresh| rig.respond(refresh, reply(488)));
    let told = |news: &&CallNews| {
        matches!(
            news,
            CallNews::RefreshRefused {
                leg: CALLEE,
                status: 488
            }
        )
    };
    assert_eq!(rig.news.iter().filter(told).count(), 1, "once for each status");
    let record = rig.finish();
    assert_eq!(record.cause.label(), "session_expired");
    let why = "the session timer of the called side expired: our refresh got 488";
    assert_eq!(record.cause_text, why);
}

#[test]
fn a_carrier_that_calls_may_challenge_our_refresh() {
    let timer = "Session-Expires: 1800;refresher=uas\r\n";
    let mut rig = from_carrier().with(timer).begin().answered();
    rig.wait(Duration::from_secs(900));
    let refresh = rig.reinvites(CALLER)[0].clone();
    let challenge = "Digest realm=\"north.example\", nonce=\"abc\"";
    rig.respond(&refresh, reply(401).with(HeaderName::WwwAuthenticate, challenge));
    let again = rig.reinvites(CALLER)[1].clone();
    let answer = again.header(HeaderName::Authorization).unwrap_or_default();
    assert!(answer.contains("username=\"trunk1\""), "{answer}");
    rig.respond(&again, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.hang_up_and_finish();
}
