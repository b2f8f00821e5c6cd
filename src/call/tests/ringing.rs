//! What the caller hears while destinations ring.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp, with_body};
use super::rig::{Rig, parse};
use super::scenario::{Scenario, from_carrier, from_teams};
use crate::call::{CallNews, Effect, Event, LegIndex, PlayOutcome};
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

const A: &str = "+12065550101";

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
fn teams_048_a_183_in_which_nothing_is_to_be_heard_is_ringing() {
    for silent in ["inactive", "recvonly"] {
        let mut rig = from_teams().begin();
        rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp(silent)));
        assert_eq!((rig.statuses(), rig.bridges), (vec![180], 0), "{silent}");
        let told = rig.last_response(LegIndex::CALLER);
        assert!(told.message.body().is_empty());
        rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
        let answer = rig.last_response(LegIndex::CALLER);
        assert_eq!(answer.sdp_line("a=sendrecv"), Some("a=sendrecv".into()));
        rig.ack(LegIndex::CALLER, "");
        rig.hang_up_and_finish();
    }
}

#[test]
fn teams_048_an_announcement_that_only_sends_is_told_as_the_answer_will_be() {
    let mut rig = from_carrier().ringing("all").begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(teams_sdp("sendonly")));
    let early = rig.last_response(LegIndex::CALLER);
    assert_eq!(early.message.status(), Some(183));
    assert_eq!(early.sdp_line("a=sendrecv"), Some("a=sendrecv".into()));
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.last_response(LegIndex::CALLER).sdp(), early.sdp());
    rig.ack(LegIndex::CALLER, "");
    assert!(rig.reinvites(LegIndex::CALLER).is_empty());
    rig.hang_up_and_finish();
}

#[test]
fn teams_048_who_talks_early_and_answers_on_hold_is_told_so_after_the_answer() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    let early = rig.last_response(LegIndex::CALLER);
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("inactive")));
    let answer = rig.last_response(LegIndex::CALLER);
    assert_eq!((answer.message.status(), answer.sdp()), (Some(200), early.sdp()));
    assert!(rig.reinvites(LegIndex::CALLER).is_empty());
    rig.ack(LegIndex::CALLER, "");
    let told = rig.reinvites(LegIndex::CALLER)[0].clone();
    assert!(told.sdp().contains("a=inactive"), "{}", told.sdp());
    rig.respond(&told, reply(200).sdp(teams_sdp("inactive")));
    rig.hang_up_and_finish();
}

/// Three clients ring, one of them describes itself, another one answers: what the carrier is told.
fn forked(scenario: Scenario) -> Vec<u16> {
    let mut rig = scenario.begin();
    let invite = rig.last_invite();
    for tag in ["f1", "f2", "f3"] {
        rig.respond(&invite, reply(180).tag(tag));
    }
    rig.respond(&invite, reply(183).tag("f2").sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.bridges, 1, "what there is to be heard is heard");
    rig.respond(&invite, reply(181).tag("f1"));
    rig.flows(LegIndex(1));
    rig.respond(&invite, reply(200).tag("f4").sdp(teams_sdp("sendrecv")));
    let ack = &rig.requests_sent(&crate::sip::Method::Ack)[0];
    assert_eq!(ack.message.to_tag(), Some("f4"));
    let tags: HashSet<_> = rig
        .heard_by_caller()
        .iter()
        .map(|heard| heard.message.to_tag().map(str::to_owned))
        .collect();
    assert_eq!(
        tags.len(),
        1,
        "one early dialog, however many there are behind it (TEAMS-060)"
    );
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex(1), crate::sip::Method::Bye, "", "");
    let statuses = rig.statuses();
    rig.finish();
    statuses
}

#[test]
fn teams_060_061_062_forks_are_one_early_dialog_and_told_as_the_carrier_wants() {
    assert_eq!(
        forked(from_carrier()),
        [180, 181, 183, 200],
        "a 183 when there is audio"
    );
    assert_eq!(forked(from_carrier().keeping_back_forwarding()), [180, 183, 200]);
    assert_eq!(forked(from_carrier().ringing("all")), [180, 180, 180, 183, 181, 200]);
    let kept_back = from_carrier().ringing("all").keeping_back_forwarding();
    assert_eq!(forked(kept_back), [180, 180, 180, 183, 200]);
    assert_eq!(forked(from_carrier().ringing("first")), [180, 200]);
    assert_eq!(forked(from_carrier().ringing("plain")), [180, 200]);
}

#[test]
fn teams_062_a_description_without_audio_is_told_as_ringing() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(teams_sdp("sendrecv")));
    assert_eq!((rig.statuses(), rig.bridges), (vec![180], 1));
    rig.flows(LegIndex::CALLER);
    assert_eq!(rig.statuses(), [180], "the caller's own audio is no answer");
    rig.flows(LegIndex(1));
    rig.flows(LegIndex(1));
    assert_eq!(rig.statuses(), [180, 183]);
    let early = rig.last_response(LegIndex::CALLER);
    assert_eq!(early.sdp_line("m="), Some("m=audio 20000 RTP/AVP 8 0 101".into()));
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let answer = rig.last_response(LegIndex::CALLER);
    assert_eq!((answer.message.status(), answer.sdp()), (Some(200), early.sdp()));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

/// Whether the caller hears our ringing tone.
fn tone(rig: &Rig) -> Option<bool> {
    rig.wishes.iter().rev().find_map(|wish| match wish {
        Effect::RingBack { handle, on } => Some(*on && Some(*handle) == rig.call.legs()[0].media.handle()),
        _ => None,
    })
}

#[test]
fn a_ringing_tone_of_ours_sounds_until_there_is_audio() {
    let mut rig = from_carrier().ringing("tone").begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    let early = rig.last_response(LegIndex::CALLER);
    assert_eq!((rig.statuses(), tone(&rig)), (vec![183], Some(true)));
    rig.respond(&invite, reply(180).tag("f2"));
    rig.respond(&invite, reply(183).tag("f2").sdp(teams_sdp("sendrecv")));
    assert_eq!(
        (rig.statuses(), tone(&rig)),
        (vec![183], Some(true)),
        "it may say nothing"
    );
    rig.flows(LegIndex(1));
    assert_eq!(tone(&rig), Some(false));
    rig.respond(&invite, reply(200).tag("f2").sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [183, 200]);
    assert_eq!(rig.last_response(LegIndex::CALLER).sdp(), early.sdp());
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn the_tone_ends_with_the_answer_and_goes_on_to_the_next_hub() {
    let mut rig = from_carrier().ringing("tone").begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    assert_eq!((rig.invites().len(), tone(&rig)), (2, Some(true)));
    let offered = rig.last_invite().sdp_line("m=").unwrap_or_default();
    assert!(offered.contains(" 8 "), "the caller's codec stands: {offered}");
    rig.respond(&rig.last_invite(), reply(183).sdp(teams_sdp("sendrecv")));
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!((rig.statuses(), tone(&rig)), (vec![183, 200], Some(false)));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn who_can_not_hear_a_tone_rings_by_itself() {
    // Without an offer an answer can't be made before the call is answered.
    let mut rig = from_carrier().ringing("tone").sdp("").begin();
    rig.respond(&rig.last_invite(), reply(180));
    assert_eq!((rig.statuses(), tone(&rig)), (vec![180], None));
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn after_the_early_media_of_a_gateway_that_failed_our_tone_sounds_while_the_next_rings() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    rig.flows(LegIndex(1));
    assert_eq!(tone(&rig), None);
    rig.respond(&rig.last_invite(), reply(503));
    let second = rig.last_invite();
    rig.respond(&second, reply(180));
    assert_eq!(tone(&rig), Some(true), "Teams plays what it hears");
    rig.respond(&second, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!((rig.statuses().last(), tone(&rig)), (Some(&200), Some(false)));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn in_a_dial_of_an_application_our_tone_sounds_as_well() {
    // The next gateway of one destination.
    let mut rig = to_application().begin();
    let bridged = json!({ "answerOnBridge": true, "actionHook": "/done" });
    rig.answer(&json!([dial(&[A], &bridged), dial(&[A], &bridged)]));
    rig.planned(&[A]);
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    rig.flows(rig.last_invite().leg);
    assert_eq!((rig.statuses().last(), tone(&rig)), (Some(&183), None));
    rig.respond(&rig.last_invite(), reply(503));
    rig.respond(&rig.last_invite(), reply(180));
    assert_eq!(tone(&rig), Some(true));
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!((rig.last_question().url.as_str(), tone(&rig)), ("/done", Some(false)));
    // The next dial.
    rig.answer(&json!([]));
    rig.planned(&[A]);
    assert_eq!(tone(&rig), Some(false));
    rig.respond(&rig.last_invite(), reply(180));
    assert_eq!(tone(&rig), Some(true));
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    assert_eq!(tone(&rig), Some(true), "it may say nothing");
    rig.flows(rig.last_invite().leg);
    assert_eq!(tone(&rig), Some(false));
    rig.picks_up(&rig.last_invite());
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn after_music_our_tone_sounds_where_the_next_dial_has_none_or_can_not_have_it() {
    for fails in [false, true] {
        let mut rig = to_application().begin();
        let music = json!({ "answerOnBridge": true, "dialMusic": "music.wav" });
        let bridged = if fails {
            music.clone()
        } else {
            json!({ "answerOnBridge": true })
        };
        rig.answer(&json!([dial(&[A], &music), dial(&[A], &bridged)]));
        rig.planned(&[A]);
        let (leg, play, _) = rig.sounds()[0].clone();
        rig.step(Event::PlayBegan { leg, play });
        rig.respond(&rig.last_invite(), reply(180));
        rig.respond(&rig.last_invite(), reply(486));
        assert_eq!((rig.statuses(), tone(&rig)), (vec![183], None), "the music is heard");
        rig.planned(&[A]);
        rig.respond(&rig.last_invite(), reply(180));
        if fails {
            assert_eq!(tone(&rig), None, "music is on its way");
            let (leg, play, _) = rig.sounds().last().cloned().expect("music");
            let outcome = PlayOutcome::Failed { why: "404".into() };
            rig.step(Event::Played { leg, play, outcome });
        }
        assert_eq!(tone(&rig), Some(true));
        rig.picks_up(&rig.last_invite());
        assert_eq!(tone(&rig), Some(false));
        rig.ack(LegIndex::CALLER, "");
        rig.hang_up_and_finish();
    }
}

#[test]
fn who_heard_somebody_early_hears_our_tone_while_that_is_screened() {
    for at_once in [false, true] {
        let mut rig = to_application().begin();
        let screened = json!({ "answerOnBridge": !at_once, "confirmHook": "/screen" });
        rig.answer(&json!([dial(&[A], &screened)]));
        rig.planned(&[A]);
        if at_once {
            rig.ack(LegIndex::CALLER, "");
        }
        rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
        rig.flows(rig.last_invite().leg);
        assert!(tone(&rig) != Some(true));
        rig.picks_up(&rig.last_invite());
        assert_eq!(tone(&rig), Some(true), "at once: {at_once}");
        rig.answer(&json!([]));
        assert_eq!((rig.bridges, tone(&rig)), (2, Some(false)));
        if !at_once {
            rig.ack(LegIndex::CALLER, "");
        }
        rig.hang_up_and_finish();
    }
}

#[test]
fn teams_045_a_caller_in_teams_hears_ringing_in_time_where_somebody_lives() {
    let mut rig = from_teams().holding("north/203.0.113.3").begin();
    rig.respond(&rig.last_invite(), reply(100));
    rig.wait(Duration::from_millis(8_990));
    assert!(rig.statuses().is_empty());
    rig.wait(Duration::from_millis(20));
    assert_eq!(rig.statuses(), [180], "within FailoverTimeSeconds");
    assert!(rig.last_response(LegIndex::CALLER).message.body().is_empty());
    rig.wait(Duration::from_secs(50));
    assert_eq!(rig.statuses(), [180], "then a minute counts");
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 183, 200]);
    rig.ack(LegIndex::CALLER, "");
    let record = rig.hang_up_and_finish();
    assert!(
        record.ringing_after_ms.is_some_and(|after| after > 50_000),
        "what rang is on record, not what was told"
    );
}

#[test]
fn teams_045_where_everybody_is_silent_teams_may_try_its_next_sbc_in_time() {
    let mut rig = from_teams().begin();
    super::hunting::locate(&mut rig, &[11, 12, 13]);
    rig.wait(Duration::from_millis(8_990));
    assert_eq!(
        (rig.invites().len(), rig.statuses()),
        (3, vec![]),
        "one silent address after the other"
    );
    rig.wait(Duration::from_millis(20));
    assert_eq!(rig.statuses(), [503], "before Teams gives the call up by itself");
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.legs.len()), ("unreachable", 4));

    // Who rang already has been told so.
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(181));
    rig.respond(&rig.last_invite(), reply(503));
    rig.wait(Duration::from_secs(3));
    rig.respond(&rig.last_invite(), reply(100));
    rig.wait(Duration::from_secs(20));
    assert_eq!(rig.statuses(), [181]);
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn teams_045_an_emergency_call_is_held_on_to() {
    let mut rig = from_teams().edit("sip:+12065550100@contoso", "sip:112@contoso").begin();
    super::hunting::locate(&mut rig, &[11, 12, 13, 14]);
    rig.wait(Duration::from_millis(9_010));
    assert_eq!(rig.statuses(), [180], "there may be no other SBC");
    rig.wait(Duration::from_secs(4));
    assert_eq!(rig.invites().len(), 4, "and the next address is tried");
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_045_ringing_is_told_while_an_application_decides() {
    let mut rig = from_teams().decided_by(super::application::terms()).begin();
    rig.wait(Duration::from_millis(9_010));
    assert_eq!(
        rig.statuses(),
        [180],
        "what becomes of the call is the application's to say"
    );
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn more_forks_than_anybody_needs_are_ignored_but_the_answer_counts() {
    let tags: Vec<&'static str> = (0..40)
        .map(|nth| &*Box::leak(format!("fork{nth}").into_boxed_str()))
        .collect();
    let mut rig = from_carrier().ringing("all").begin();
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
    rig.flows(LegIndex(1));
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
    let mut rig = from_carrier().ringing("all").begin();
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

/// 481 would end a dialog that is there (RFC 3261 §12.2.1.2).
#[test]
fn an_update_of_who_rings_is_a_method_that_is_not_taken() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    let refused = |rig: &mut Rig, cseq: u32, method: &str| {
        let header = |name| invite.header(name).unwrap_or_default();
        let text = format!(
            "{method} sip:us@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bKp{cseq}\r\n\
             From: {};tag=callee-tag\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
            header(HeaderName::To),
            header(HeaderName::From),
            invite.message.call_id(),
        );
        let flow = rig.flow_of(invite.leg);
        rig.request_of((flow, false), invite.leg, parse(&with_body(&text, "")));
        let response = rig.last_response(invite.leg);
        let allow = response.header(HeaderName::Allow).is_some();
        (response.message.status().unwrap_or_default(), allow)
    };
    assert_eq!(refused(&mut rig, 1, "UPDATE"), (481, false), "nobody has answered");
    rig.respond(&invite, reply(180));
    assert_eq!(refused(&mut rig, 2, "UPDATE"), (405, true));
    assert_eq!(refused(&mut rig, 3, "PRACK"), (405, true));
    let mut rig = rig.answered();
    rig.hang_up_and_finish();
}
