//! Re-INVITEs: hold and resume from both sides, codecs, addresses, refreshes, glare, refusals.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{LegIndex, Phase};
use crate::sdp::Direction;
use crate::sip::Method;
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

pub fn direction(sent: &Sent) -> String {
    let known = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    sent.sdp()
        .lines()
        .find(|line| known.contains(line))
        .unwrap_or_default()
        .to_owned()
}

/// Address, port, session id, rtcp-mux and candidates of a description: what never changes toward Teams (TEAMS-073).
pub fn identity(sent: &Sent) -> (Option<String>, Option<String>, String, Vec<String>) {
    let origin = sent.sdp_line("o=").unwrap_or_default();
    let id = origin.split(' ').nth(1).unwrap_or_default().to_owned();
    let port = sent
        .sdp_line("m=")
        .and_then(|line| line.split(' ').nth(1).map(str::to_owned));
    let is_of_ports = |line: &&str| ["a=rtcp", "a=candidate"].iter().any(|start| line.starts_with(start));
    let ports = sent.sdp().lines().filter(is_of_ports).map(str::to_owned).collect();
    (sent.sdp_line("c="), port, id, ports)
}

#[test]
fn a_carrier_holds_in_every_form_and_teams_hears_inactive() {
    let zero = carrier_sdp("sendrecv").replace("c=IN IP4 203.0.113.20", "c=IN IP4 0.0.0.0");
    for hold in [
        carrier_sdp("sendonly"),
        carrier_sdp("recvonly"),
        carrier_sdp("inactive"),
        zero,
    ] {
        let mut rig = from_carrier().begin().answered();
        let invite = rig.last_invite();
        let held = rig.request(CALLER, Method::Invite, "", &hold);
        let offered = rig.reinvites(CALLEE)[0].clone();
        assert_eq!(direction(&offered), "a=inactive", "(TEAMS-071)\n{hold}");
        assert_eq!(identity(&offered), identity(&invite));
        rig.respond(&offered, reply(200).sdp(teams_sdp("inactive")));
        let answer = rig.last_response(CALLER);
        assert_eq!(answer.message.status(), Some(200));
        assert!(
            ["a=inactive", "a=recvonly", "a=sendonly"].contains(&&*direction(&answer)),
            "{}",
            answer.sdp()
        );
        rig.ack(CALLER, "");
        assert!(!rig.acknowledged.is_empty() && rig.acknowledged.contains(&held));
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(CALLEE)[1].clone();
        assert_eq!(
            (direction(&resumed), identity(&resumed)),
            ("a=sendrecv".into(), identity(&invite))
        );
        rig.respond(&resumed, reply(200).sdp(teams_sdp("sendrecv")));
        assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
        rig.ack(CALLER, "");
        rig.hang_up_and_finish();
    }
}

#[test]
fn teams_holds_and_resumes() {
    let mut rig = from_teams().begin().answered();
    let first = rig.heard_by_caller()[0].clone();
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    let offered = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(direction(&offered), "a=inactive");
    rig.respond(&offered, reply(200).sdp(carrier_sdp("inactive")));
    let held = rig.last_response(CALLER);
    assert_eq!(
        (direction(&held), identity(&held)),
        ("a=inactive".into(), identity(&first)),
        "(TEAMS-072)"
    );
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", &teams_sdp("sendrecv"));
    let offered = rig.reinvites(CALLEE)[1].clone();
    rig.respond(&offered, reply(200).sdp(carrier_sdp("sendrecv")));
    let resumed = rig.last_response(CALLER);
    assert_eq!(
        (direction(&resumed), identity(&resumed)),
        ("a=sendrecv".into(), identity(&first))
    );
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn the_called_side_holds_too() {
    for (scenario, hold) in [
        (from_carrier(), teams_sdp("inactive")),
        (from_teams(), carrier_sdp("sendonly")),
    ] {
        let mut rig = scenario.begin().answered();
        rig.request(CALLEE, Method::Invite, "", &hold);
        let offered = rig.reinvites(CALLER)[0].clone();
        assert_eq!(direction(&offered), "a=inactive");
        let answer = match hold.contains("SAVP") {
            true => carrier_sdp("inactive"),
            false => teams_sdp("inactive"),
        };
        rig.respond(&offered, reply(200).sdp(answer));
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
        rig.ack(CALLEE, "");
        rig.hang_up_and_finish();
    }
}

#[test]
fn the_ack_of_a_change_goes_where_its_2xx_says() {
    let mut rig = from_teams().begin().answered();
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    let offered = rig.reinvites(CALLEE)[0].clone();
    let held = reply(200).sdp(carrier_sdp("inactive"));
    let moved = "sip:moved@203.0.113.31:5060";
    rig.respond(&offered, held.with(HeaderName::Contact, &format!("<{moved}>")));
    let acks = rig.requests_sent(&Method::Ack);
    let ack = acks.last().expect("an ACK");
    assert_eq!(
        (ack.leg, ack.message.request_uri(), ack.message.cseq().0),
        (CALLEE, Some(moved), offered.message.cseq().0)
    );
    rig.hang_up_and_finish();
}

#[test]
fn a_refresh_and_a_move_are_nobody_elses_business() {
    let mut rig = from_carrier().begin().answered();
    let first = rig.heard_by_caller()[0].clone();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    let refreshed = rig.last_response(CALLER);
    assert_eq!(refreshed.sdp(), first.sdp(), "byte for byte");
    rig.ack(CALLER, "");
    let moved = carrier_sdp("sendrecv").replace("c=IN IP4 203.0.113.20", "c=IN IP4 203.0.113.21");
    rig.request(CALLER, Method::Invite, "", &moved);
    assert_eq!(rig.last_response(CALLER).sdp(), first.sdp());
    rig.ack(CALLER, "");
    assert_eq!(rig.reinvites(CALLEE).len(), 0, "(TEAMS-073, TEAMS-076)");
    rig.request(CALLEE, Method::Bye, "", "");
    let bye = rig.byes(CALLER)[0].clone();
    assert_eq!(
        bye.message.request_uri(),
        Some("sip:moved@203.0.113.30:5060"),
        "the new Contact"
    );
    rig.finish();
}

#[test]
fn a_refresh_of_what_we_offered_is_answered_with_what_it_offers() {
    let mut rig = from_carrier().begin();
    let only_pcma = teams_sdp("sendrecv").replace("SAVP 8 0 13 101", "SAVP 8");
    rig.respond(&rig.last_invite(), reply(200).sdp(only_pcma.clone()));
    rig.ack(CALLER, "");
    rig.request(CALLEE, Method::Invite, "", &only_pcma);
    assert_eq!(
        rig.last_response(CALLEE).sdp_line("m="),
        Some("m=audio 20002 RTP/SAVP 8".into())
    );
    rig.ack(CALLEE, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_codec_that_one_side_gives_up_is_given_up_on_the_other() {
    let mut rig = from_carrier().begin().answered();
    let only_pcmu = carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 0 101");
    rig.request(CALLER, Method::Invite, "", &only_pcmu);
    let offered = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(offered.sdp_line("m="), Some("m=audio 20002 RTP/SAVP 0 101 13".into()));
    rig.respond(
        &offered,
        reply(200).sdp(teams_sdp("sendrecv").replace("SAVP 8 0", "SAVP 0")),
    );
    assert_eq!(
        rig.last_response(CALLER).sdp_line("m="),
        Some("m=audio 20000 RTP/AVP 0 101".into())
    );
    rig.ack(CALLER, "");
    assert_eq!(rig.hang_up_and_finish().legs[1].codec.as_deref(), Some("PCMU"));
}

#[test]
fn a_refused_hold_leaves_everything_as_it_was() {
    let mut rig = from_carrier().begin().answered();
    let first = rig.heard_by_caller()[0].clone();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(488));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(488));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert_eq!(rig.last_response(CALLER).sdp(), first.sdp());
    assert_eq!(rig.reinvites(CALLEE).len(), 1);
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_change_that_nobody_understands_is_refused_at_once() {
    let mut rig = from_carrier().begin().answered();
    let video = "v=0\r\no=- 71 2 IN IP4 203.0.113.20\r\ns=-\r\nt=0 0\r\nm=video 4000 RTP/AVP 99\r\n";
    rig.request(CALLER, Method::Invite, "", video);
    let refused = rig.last_response(CALLER);
    assert_eq!(refused.message.status(), Some(488));
    assert!(refused.header(HeaderName::Warning).is_some());
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn changes_that_cross_get_491() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(491));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(491));
    assert_eq!(
        rig.last_response(CALLER).message.status(),
        Some(491),
        "its own back-off decides"
    );
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    assert_eq!(rig.reinvites(CALLER).len(), 1, "nothing is left of either");
    rig.respond(
        &rig.reinvites(CALLER)[0].clone(),
        reply(200).sdp(carrier_sdp("inactive")),
    );
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    rig.ack(CALLEE, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_second_change_of_one_side_waits_for_the_first() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("inactive"));
    let refused = rig.last_response(CALLER);
    assert_eq!(refused.message.status(), Some(500));
    assert!(refused.header(HeaderName::RetryAfter).is_some(), "(RFC 3261 §14.2)");
    rig.hang_up_and_finish();
}

#[test]
fn who_no_longer_knows_the_dialog_ends_the_call() {
    for status in [481, 408] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
        rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(status));
        assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
        assert_eq!(rig.finish().cause.label(), "dialog_lost");
    }
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.fail(&rig.reinvites(CALLEE)[0].clone(), TransportCause::Transport);
    assert_eq!(
        rig.call.phase(),
        Phase::Answered,
        "a broken connection is no lost dialog"
    );
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.fail(&rig.reinvites(CALLEE)[0].clone(), TransportCause::Timeout);
    assert_eq!(rig.finish().cause.label(), "dialog_lost");
}

/// A hold by the caller that waits for the callee.
fn holding() -> (Rig, crate::sip::transaction::ServerTransactionId, Sent) {
    let mut rig = from_carrier().begin().answered();
    let hold = rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let offered = rig.reinvites(CALLEE)[0].clone();
    (rig, hold, offered)
}

#[test]
fn a_hold_is_cancelled_before_it_is_accepted() {
    let (mut rig, hold, offered) = holding();
    rig.cancel(hold, "");
    assert_eq!(rig.last_response(CALLER).message.status(), Some(487));
    assert_eq!(rig.cancelled.len(), 1);
    rig.respond(&offered, reply(487));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn a_hold_that_is_cancelled_too_late_is_put_back() {
    let (mut rig, hold, offered) = holding();
    rig.cancel(hold, "");
    rig.respond(&offered, reply(200).sdp(teams_sdp("inactive")));
    let back = rig.reinvites(CALLEE)[1].clone();
    assert_eq!(direction(&back), "a=sendrecv");
    rig.respond(&back, reply(200).sdp(teams_sdp("sendrecv")));
    rig.hang_up_and_finish();
}

#[test]
fn hanging_up_while_a_hold_waits() {
    for by in [CALLER, CALLEE] {
        let (mut rig, _, _) = holding();
        rig.request(by, Method::Bye, "", "");
        let other = if by == CALLER { CALLEE } else { CALLER };
        assert_eq!((rig.byes(by).len(), rig.byes(other).len()), (0, 1), "{by:?} hangs up");
        rig.finish();
    }
}

#[test]
fn a_re_invite_right_after_the_answer() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    assert_eq!(
        direction(&rig.last_response(CALLEE)),
        "a=inactive",
        "Teams holds at once"
    );
    rig.ack(CALLEE, "");
    assert!(rig.reinvites(CALLER).is_empty(), "the caller's ACK is not here yet");
    rig.ack(CALLER, "");
    let told = rig.reinvites(CALLER).pop().expect("it is told once it is");
    assert_eq!(direction(&told), "a=inactive");
    rig.respond(&told, reply(200).sdp(carrier_sdp("inactive")));
    rig.hang_up_and_finish();
}

#[test]
fn a_re_invite_whose_2xx_lost_its_ack() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert_eq!(
        rig.last_response(CALLER).message.status(),
        Some(200),
        "its ACK was lost"
    );
    assert_eq!(rig.acknowledged, [Rig::first_transaction()]);
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_200_to_a_re_invite_that_comes_again_is_acknowledged_again() {
    let (mut rig, _, offered) = holding();
    rig.respond(&offered, reply(200).sdp(teams_sdp("inactive")));
    let acks = rig.requests_sent(&Method::Ack).len();
    rig.respond(&offered, reply(200).sdp(teams_sdp("inactive")));
    let again = rig.requests_sent(&Method::Ack);
    assert_eq!(again.len(), acks + 1);
    assert_eq!(
        again.last().map(|ack| ack.message.cseq().0),
        Some(offered.message.cseq().0)
    );
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn the_ack_of_our_200_is_heard_behind_a_re_invite_that_was_refused() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let short = "Supported: timer\r\nSession-Expires: 30\r\n";
    rig.request(CALLER, Method::Invite, short, &carrier_sdp("sendrecv"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(422));
    rig.last_peer_invite.insert(CALLER, 1);
    rig.ack(CALLER, "");
    assert_eq!(rig.acknowledged, [Rig::first_transaction()]);
    // A second one is refused while the first waits for the other side.
    let first = rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let its_cseq = rig.last_peer_invite[&CALLER];
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("inactive"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(500));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(200).sdp(teams_sdp("inactive")));
    rig.last_peer_invite.insert(CALLER, its_cseq);
    rig.ack(CALLER, "");
    assert_eq!(rig.acknowledged, [Rig::first_transaction(), first]);
    rig.hang_up_and_finish();
}

#[test]
fn only_an_accepted_re_invite_moves_the_target() {
    let target = |rig: &Rig| rig.byes(CALLER)[0].message.request_uri().unwrap_or_default().to_owned();
    let foreign = carrier_sdp("sendrecv").replace("RTP/AVP 8 0 101", "RTP/AVP 97 101") + "a=rtpmap:97 opus/48000/2\r\n";
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &foreign);
    assert_eq!(rig.last_response(CALLER).message.status(), Some(488));
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(target(&rig), "sip:gw@203.0.113.2:5060;x-own=a", "(RFC 3261 §12.2.2)");
    rig.finish();

    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    rig.ack(CALLER, "");
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(target(&rig), "sip:moved@203.0.113.30:5060");
    rig.finish();
}

#[test]
fn teams_080_a_carriers_own_music_is_heard_where_it_is_configured() {
    let mut rig = from_carrier().of_carrier("music_on_hold = true\n").begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let answer = rig.last_response(CALLER);
    assert_eq!(
        (answer.message.status(), &*direction(&answer)),
        (Some(200), "a=recvonly")
    );
    rig.ack(CALLER, "");
    assert_eq!(rig.reinvites(CALLEE).len(), 0, "Teams is not told");
    let told = |rig: &Rig, leg| rig.configured[&rig.handle_of(leg)].direction;
    assert_eq!(told(&rig, CALLEE), Direction::SendRecv, "it hears the music");
    assert_eq!(told(&rig, CALLER), Direction::RecvOnly, "and is not heard");
    // Teams holds and resumes meanwhile.
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    let asked = rig.reinvites(CALLER)[0].clone();
    rig.respond(&asked, reply(200).sdp(carrier_sdp("inactive")));
    rig.ack(CALLEE, "");
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("sendrecv"));
    let asked = rig.reinvites(CALLER)[1].clone();
    rig.respond(&asked, reply(200).sdp(carrier_sdp("sendonly")));
    assert_eq!(direction(&rig.last_response(CALLEE)), "a=sendrecv");
    rig.ack(CALLEE, "");
    // Every other form of hold is told, and so is the end of it.
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("inactive"));
    let held = rig.reinvites(CALLEE)[0].clone();
    assert_eq!(direction(&held), "a=inactive");
    rig.respond(&held, reply(200).sdp(teams_sdp("inactive")));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let opened = rig.reinvites(CALLEE)[1].clone();
    assert_eq!(direction(&opened), "a=sendrecv", "now it plays");
    rig.respond(&opened, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(direction(&rig.last_response(CALLER)), "a=recvonly");
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
    rig.ack(CALLER, "");
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn teams_071_a_stream_that_a_carrier_switches_off_is_a_hold() {
    let off = carrier_sdp("sendrecv").replace("m=audio 4000", "m=audio 0");
    for carrier in [CALLER, CALLEE] {
        let (scenario, teams) = match carrier {
            CALLER => (from_carrier(), CALLEE),
            _ => (from_teams(), CALLER),
        };
        let mut rig = scenario.begin().answered();
        rig.request(carrier, Method::Invite, "", &off);
        let held = rig.reinvites(teams)[0].clone();
        assert_eq!(direction(&held), "a=inactive");
        rig.respond(&held, reply(200).sdp(teams_sdp("inactive")));
        let answer = rig.last_response(carrier);
        assert_eq!(answer.message.status(), Some(200));
        assert_eq!(
            answer.sdp_line("m=").as_deref(),
            Some("m=audio 0 RTP/AVP 8"),
            "(RFC 3264 §8.2)"
        );
        rig.ack(carrier, "");
        let told = &rig.configured[&rig.handle_of(carrier)];
        assert_eq!((told.direction, told.remote.port()), (Direction::Inactive, 0));
        // Again, as a refresh.
        rig.request(carrier, Method::Invite, "", &off);
        assert_eq!(
            rig.last_response(carrier).sdp_line("m=").as_deref(),
            Some("m=audio 0 RTP/AVP 8")
        );
        rig.ack(carrier, "");
        assert_eq!(rig.reinvites(teams).len(), 1);
        rig.request(carrier, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(teams)[1].clone();
        assert_eq!(direction(&resumed), "a=sendrecv");
        rig.respond(&resumed, reply(200).sdp(teams_sdp("sendrecv")));
        assert_eq!(direction(&rig.last_response(carrier)), "a=sendrecv");
        rig.ack(carrier, "");
        assert_eq!(rig.configured[&rig.handle_of(carrier)].remote.port(), 4000);
        rig.hang_up_and_finish();
    }
}

/// A fax machine's gateway goes on in audio where T.38 is refused.
#[test]
fn a_switch_to_fax_is_refused_and_holds_nobody() {
    let mut rig = from_carrier().begin().answered();
    let fax = "m=image 41002 udptl t38\r\n";
    let off = carrier_sdp("sendrecv").replace("m=audio 4000", "m=audio 0");
    for offer in [
        off + fax,
        carrier_sdp("sendrecv").replace("m=audio 4000 RTP/AVP", "m=image 4000 udptl t38"),
    ] {
        rig.request(CALLER, Method::Invite, "", &offer);
        assert_eq!(rig.last_response(CALLER).message.status(), Some(488), "{offer}");
        rig.ack(CALLER, "");
        assert!(rig.reinvites(CALLEE).is_empty(), "{offer}");
    }
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();
}

/// Many PBX resume by an INVITE without an offer: what we offer then is to talk, not the hold that they have begun themselves.
#[test]
fn an_offerless_resume_is_offered_to_talk() {
    for hold in ["sendonly", "inactive"] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Invite, "", &carrier_sdp(hold));
        let held = rig.reinvites(CALLEE)[0].clone();
        rig.respond(&held, reply(200).sdp(teams_sdp("inactive")));
        rig.ack(CALLER, "");
        rig.request(CALLER, Method::Invite, "", "");
        assert_eq!(direction(&rig.last_response(CALLER)), "a=sendrecv");
        rig.ack(CALLER, &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(CALLEE)[1].clone();
        assert_eq!(direction(&resumed), "a=sendrecv");
        rig.respond(&resumed, reply(200).sdp(teams_sdp("sendrecv")));
        rig.assert_bridged(CALLER, CALLEE);
        rig.hang_up_and_finish();
    }
}

/// Whom Teams holds stays on hold, whatever it asks without an offer.
#[test]
fn an_offerless_re_invite_of_who_is_held_is_offered_the_hold() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    let held = rig.reinvites(CALLER)[0].clone();
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    rig.ack(CALLEE, "");
    rig.request(CALLER, Method::Invite, "", "");
    assert_eq!(direction(&rig.last_response(CALLER)), "a=inactive");
    rig.ack(CALLER, &carrier_sdp("inactive"));
    rig.hang_up_and_finish();
}

/// The other side is there, and says nothing to a re-INVITE but 100: whoever has asked is told, and may ask again.
#[test]
fn a_change_to_which_the_other_side_says_100_alone_is_taken_back() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let offered = rig.reinvites(CALLEE)[0].clone();
    rig.respond(&offered, reply(100));
    rig.wait(Duration::from_secs(39));
    assert_ne!(rig.last_response(CALLER).message.status(), Some(504));
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(504));
    assert_eq!(rig.cancelled.last().map(|(token, _)| Some(*token)), Some(offered.token));
    // Neither does it answer the CANCEL; its audio may flow all the same.
    rig.fail(&offered, TransportCause::Timeout);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let again = rig.reinvites(CALLEE).pop().expect("it is asked again");
    rig.respond(&again, reply(200).sdp(teams_sdp("inactive")));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}
