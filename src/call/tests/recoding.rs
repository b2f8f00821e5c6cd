//! Codecs that change while a call is up: Teams is never asked, packets are recoded while the sides share none.

use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex, RecodingPlace};
use crate::codec::speech::Speech;
use crate::sip::Method;

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
