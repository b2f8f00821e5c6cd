//! Codecs that change while a call is up: Teams is not asked for others, packets are recoded while the sides share none.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex, RecodingPlace};
use crate::codec::speech::Speech;
use crate::sip::Method;
use serde_json::json;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// What becomes of each payload type of speech that the peer of a leg may send: its number on the other leg, and the codec
/// that it is recoded to.
fn relayed(rig: &Rig, leg: LegIndex) -> Vec<(u8, Option<u8>, Option<Speech>)> {
    let (handle, _) = rig.opened.iter().find(|(_, known)| *known == leg).expect("media");
    let payloads = &rig.configured[handle].payloads;
    let speech = payloads.iter().filter(|payload| ![13, 101].contains(&payload.number));
    speech
        .map(|payload| (payload.number, payload.relay_as, payload.recode))
        .collect()
}

fn offer(formats: &str) -> String {
    carrier_sdp("sendrecv").replace("RTP/AVP 8 0 101", &format!("RTP/AVP {formats} 101"))
}

#[test]
fn another_codec_of_the_carrier_is_recoded_and_teams_is_not_asked() {
    for (scenario, carrier, teams) in [(from_carrier(), CALLER, CALLEE), (from_teams(), CALLEE, CALLER)] {
        let mut rig = scenario.begin().answered();
        let shared = [(8, Some(8), None), (0, Some(0), None)];
        assert_eq!(relayed(&rig, carrier), shared);
        for (formats, from_carrier, from_teams) in [
            (
                "9",
                &[(9, Some(8), Some(Speech::Pcma))][..],
                [(8, Some(9), Some(Speech::G722)), (0, Some(9), Some(Speech::G722))],
            ),
            ("8 0", &shared, shared),
        ] {
            rig.request(carrier, Method::Invite, "", &offer(formats));
            let answer = rig.last_response(carrier);
            assert_eq!(answer.message.status(), Some(200), "{formats}");
            rig.ack(carrier, "");
            assert!(rig.reinvites(teams).is_empty(), "{formats}: Teams was asked");
            assert_eq!(relayed(&rig, carrier), from_carrier, "{formats}");
            assert_eq!(relayed(&rig, teams), from_teams, "{formats}");
        }
        rig.hang_up_and_finish();
    }
}

/// Teams is asked to give up a codec, an application's callee to take another one: both may refuse.
#[test]
fn a_codec_that_the_other_side_refuses_is_recoded() {
    for status in [405, 488, 606] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Invite, "", &offer("8"));
        rig.respond(&rig.last_reinvite(CALLEE), reply(status));
        assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
        rig.ack(CALLER, "");
        assert_eq!(relayed(&rig, CALLER), [(8, Some(8), None)]);
        let of_teams = [(8, Some(8), None), (0, Some(8), Some(Speech::Pcma))];
        assert_eq!(relayed(&rig, CALLEE), of_teams, "{status}");
        rig.hang_up_and_finish();
    }
    let mut rig = to_application().sdp(&offer("0")).begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({ "answerOnBridge": true }))]));
    rig.planned(&["+12065550101"]);
    rig.respond(&rig.last_invite(), reply(200).sdp(offer("0")));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Invite, "", &offer("9"));
    rig.respond(&rig.last_reinvite(CALLEE), reply(488));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    assert_eq!(relayed(&rig, CALLER), [(9, Some(0), Some(Speech::Pcmu))]);
    assert_eq!(relayed(&rig, CALLEE), [(0, Some(9), Some(Speech::G722))]);
    rig.hang_up_and_finish();
}

/// A hold with another codec is refused as a hold, and what may be asked again is.
#[test]
fn a_refusal_of_more_than_a_codec_is_passed_on() {
    for (asked, status) in [(offer("9").replace("a=sendrecv", "a=sendonly"), 488), (offer("8"), 491)] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Invite, "", &asked);
        rig.respond(&rig.last_reinvite(CALLEE), reply(status));
        assert_eq!(rig.last_response(CALLER).message.status(), Some(status));
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_codec_that_cannot_be_recoded_is_asked_for() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &offer("18"));
    let asked = rig.reinvites(CALLEE).pop().expect("a re-INVITE");
    assert!(asked.sdp().contains("RTP/SAVP 18"), "{}", asked.sdp());
    rig.respond(
        &asked,
        super::messages::reply(200).sdp(teams_sdp("sendrecv").replace("RTP/SAVP 8 0 13", "RTP/SAVP 18 13")),
    );
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    assert_eq!(relayed(&rig, CALLER), [(18, Some(18), None)]);
    rig.hang_up_and_finish();
}

#[test]
fn a_hold_reaches_teams_with_the_codecs_that_it_has() {
    let mut rig = from_carrier().begin().answered();
    rig.request(
        CALLER,
        Method::Invite,
        "",
        &offer("9").replace("a=sendrecv", "a=sendonly"),
    );
    let asked = rig.reinvites(CALLEE).pop().expect("a re-INVITE");
    assert!(
        asked.sdp().contains("a=inactive") && asked.sdp().contains("RTP/SAVP 8 0"),
        "{}",
        asked.sdp()
    );
    rig.respond(&asked, super::messages::reply(200).sdp(teams_sdp("inactive")));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

/// An INVITE to a destination without G.722, and whether too many calls are recoded already.
fn ring(formats: &str, full: bool) -> Rig {
    let scenario = from_carrier().sdp(&offer(formats)).narrow_callee();
    match full {
        true => scenario.recoding_is_full(),
        false => scenario,
    }
    .begin()
}

#[test]
fn beyond_the_bound_who_must_be_recoded_is_refused_before_anybody_rings() {
    let mut rig = ring("9", true);
    assert_eq!(rig.statuses().last(), Some(&503));
    assert!(rig.sent.iter().all(|sent| sent.token.is_none()), "nobody was rung");
    assert!(
        rig.news
            .iter()
            .any(|news| matches!(news, CallNews::NotRecoded { leg: CALLEE }))
    );
    rig.ack(CALLER, "");
    assert_ne!(rig.recoding_asked, 0);
    let shared = ring("8", true).answered();
    assert_eq!(shared.recoding_asked, 0, "who is only relayed competes with nobody");
    let shared = ring("9 8", true).answered();
    assert_eq!(
        relayed(&shared, CALLER),
        [(8, Some(8), None)],
        "what passes through does"
    );
    assert_eq!(shared.call.recoding_place(), RecodingPlace::Needless);
}

#[test]
fn a_call_counts_as_recoded_from_its_invite_until_the_codecs_fit() {
    let rig = ring("9", false);
    assert_eq!(
        rig.call.recoding_place(),
        RecodingPlace::Needed,
        "it is offered what must be recoded"
    );
    let mut rig = rig.answered();
    assert_eq!(relayed(&rig, CALLER), [(9, Some(8), Some(Speech::Pcma))]);
    assert_eq!(rig.call.recoding_place(), RecodingPlace::Needed);
    for (formats, place) in [("8 0", RecodingPlace::Needless), ("9", RecodingPlace::Needed)] {
        rig.request(CALLER, Method::Invite, "", &offer(formats));
        rig.ack(CALLER, "");
        assert_eq!(rig.call.recoding_place(), place, "{formats}");
    }
    rig.hang_up_and_finish();
    assert_eq!(rig.call.recoding_place(), RecodingPlace::Needless);
}

/// What a peer in Teams answers with these codecs.
fn teams_answer(formats: &str) -> String {
    teams_sdp("sendrecv").replace("RTP/SAVP 8 0 13 101", &format!("RTP/SAVP {formats} 101"))
}

/// A carrier's caller that was told PCMU by the description of a fork that rings.
fn told_pcmu(ringing: &str) -> Rig {
    let mut rig = from_carrier().ringing(ringing).sdp(&offer("0 8 9 18")).begin();
    rig.respond(&rig.last_invite(), reply(183).tag("c").sdp(teams_answer("0")));
    rig.flows(CALLEE);
    let told = rig.last_response(CALLER);
    assert_eq!(told.message.status(), Some(183));
    assert_eq!(told.sdp_line("m="), Some("m=audio 20000 RTP/AVP 0 101".into()));
    rig
}

#[test]
fn teams_048_the_200_repeats_what_the_183_said_whichever_codec_answers() {
    for ringing in ["media", "all", "first"] {
        // Another fork, and one that changes its mind.
        for tag in ["d", "c"] {
            for (answered, codec) in [(9, Speech::G722), (8, Speech::Pcma)] {
                let mut rig = told_pcmu(ringing);
                let told = rig.last_response(CALLER).sdp();
                let answer = teams_answer(&answered.to_string());
                rig.respond(&rig.last_invite(), reply(200).tag(tag).sdp(answer));
                let accepted = rig.last_response(CALLER);
                assert_eq!((accepted.message.status(), accepted.sdp()), (Some(200), told));
                rig.ack(CALLER, "");
                assert_eq!(relayed(&rig, CALLER), [(0, Some(answered), Some(codec))]);
                assert_eq!(relayed(&rig, CALLEE), [(answered, Some(0), Some(Speech::Pcmu))]);
                let place = match codec {
                    Speech::G722 => RecodingPlace::Needed,
                    _ => RecodingPlace::Needless,
                };
                assert_eq!(rig.call.recoding_place(), place);
                rig.hang_up_and_finish();
            }
        }
    }
}

#[test]
fn teams_048_who_answers_with_what_can_not_become_what_the_183_said_is_hung_up() {
    let mut rig = told_pcmu("all");
    rig.respond(&rig.last_invite(), reply(200).tag("d").sdp(teams_answer("18")));
    let statuses = rig.statuses();
    assert!(!statuses.contains(&200), "nobody would hear anybody: {statuses:?}");
    assert_eq!((statuses.last(), rig.byes(CALLEE).len()), (Some(&488), 1));
    rig.ack(CALLER, "");
    rig.finish();

    // What has not been told yet may still become something else.
    let mut rig = from_carrier().sdp(&offer("0 8 9 18")).begin();
    rig.respond(&rig.last_invite(), reply(183).tag("c").sdp(teams_answer("0")));
    rig.respond(&rig.last_invite(), reply(200).tag("d").sdp(teams_answer("18")));
    let accepted = rig.last_response(CALLER);
    assert_eq!(accepted.sdp_line("m="), Some("m=audio 20000 RTP/AVP 18 101".into()));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_048_the_next_gateway_is_asked_for_what_the_183_of_the_one_before_said() {
    let gateway = |formats: &str| offer(formats);
    for (told, is_full, asked, answered) in [
        ("0", false, "0 8 9", Some(("9", Speech::G722))),
        ("0", true, "0 8", Some(("8", Speech::Pcma))),
        ("18", false, "18", None),
    ] {
        let scenario = from_teams().sdp(&teams_answer("0 8 9 18"));
        let scenario = if is_full { scenario.recoding_is_full() } else { scenario };
        let mut rig = scenario.begin();
        let offered = rig.last_invite().sdp_line("m=");
        assert_eq!(offered, Some("m=audio 20002 RTP/AVP 0 8 9 18 101".into()));
        rig.respond(&rig.last_invite(), reply(183).sdp(gateway(told)));
        let early = rig.last_response(CALLER);
        assert_eq!(early.message.status(), Some(183));
        assert_eq!(early.sdp_line("m="), Some(format!("m=audio 20000 RTP/SAVP {told} 101")));
        rig.respond(&rig.last_invite(), reply(503));
        let second = rig.last_invite();
        assert_eq!(second.leg, LegIndex(2));
        assert_eq!(
            second.sdp_line("m="),
            Some(format!("m=audio 20004 RTP/AVP {asked} 101"))
        );
        rig.respond(
            &second,
            reply(200).sdp(gateway(answered.map_or(told, |(formats, _)| formats))),
        );
        let accepted = rig.last_response(CALLER);
        assert_eq!((accepted.message.status(), accepted.sdp()), (Some(200), early.sdp()));
        rig.ack(CALLER, "");
        let codecs: Vec<Option<Speech>> = relayed(&rig, CALLER).iter().map(|speech| speech.2).collect();
        assert_eq!(codecs, [answered.map(|(_, codec)| codec)], "{told}");
        rig.hang_up_and_finish();
    }
}
