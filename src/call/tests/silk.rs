//! SILK goes through where both sides may have it (TEAMS-096), and nowhere else.

use super::application::{dial, terms};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use super::transfer::TO_A_USER;
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::json;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);
const MAPS: &str = "a=rtpmap:104 SILK/16000\r\na=rtpmap:103 SILK/8000\r\n";

/// What Teams offers, as far as this goes.
fn offered_by_teams(numbers: &str) -> String {
    teams_sdp("sendrecv").replace("SAVP 8 0 13 101", &format!("SAVP {numbers}")) + MAPS
}

fn of_a_carrier(numbers: &str) -> String {
    carrier_sdp("sendrecv").replace("AVP 8 0 101", &format!("AVP {numbers}")) + MAPS
}

fn formats(line: Option<String>) -> String {
    let line = line.unwrap_or_default();
    line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned()
}

#[test]
fn teams_096_teams_to_teams_has_silk_by_itself() {
    let mut rig = from_teams()
        .decided_by(terms())
        .sdp(&offered_by_teams("104 103 8 13 101"))
        .begin();
    let mut verb = dial(&[], &json!({ "answerOnBridge": true }));
    verb["target"] = json!([{ "type": "teams", "number": "+14255550160" }]);
    rig.answer(&json!([verb]));
    rig.planned_really();
    let invite = rig.last_invite();
    assert!(rig.speaks_teams(invite.leg));
    assert_eq!(formats(invite.sdp_line("m=")), "104 103 8 13 101");
    rig.respond(&invite, reply(200).sdp(offered_by_teams("104 101")));
    assert_eq!(formats(rig.last_response(CALLER).sdp_line("m=")), "104 101");
    rig.ack(CALLER, "");
    rig.assert_bridged(CALLER, invite.leg);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn teams_096_a_carrier_has_silk_where_its_codecs_say_so() {
    for (keys, expected) in [
        ("", "8 13 101"),
        ("codecs = [\"SILK\", \"PCMA\"]\n", "104 103 8 13 101"),
    ] {
        let mut rig = from_teams()
            .of_carrier(keys)
            .sdp(&offered_by_teams("104 103 8 13 101"))
            .begin();
        assert_eq!(formats(rig.last_invite().sdp_line("m=")), expected);
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
}

#[test]
fn teams_096_a_caller_that_has_nothing_but_silk_is_refused_in_words_where_the_carrier_has_none() {
    let mut rig = from_teams()
        .of_carrier("codecs = [\"PCMA\"]\n")
        .sdp(&offered_by_teams("104 103 101"))
        .begin();
    assert_eq!((rig.statuses(), rig.invites().len()), (vec![488], 0));
    let refusal = rig.last_response(CALLER);
    let warning = refusal.header(HeaderName::Warning).unwrap_or_default();
    assert!(warning.contains("SILK/16000") && warning.contains("PCMA"), "{warning}");
    let record = rig.finish();
    assert_eq!(record.status, 488);
    assert_eq!(record.cause.label(), "media_refused");
}

#[test]
fn teams_096_a_transfer_keeps_the_codec_of_who_stays() {
    let mut rig = from_carrier()
        .of_carrier("codecs = [\"SILK\", \"PCMA\"]\n")
        .sdp(&of_a_carrier("104 103 101"))
        .begin();
    let invite = rig.last_invite();
    assert_eq!(formats(invite.sdp_line("m=")), "104 103 101 13");
    rig.respond(&invite, reply(200).sdp(offered_by_teams("104 101")));
    rig.ack(CALLER, "");
    rig.refer(CALLEE, TO_A_USER);
    let invite = rig.last_invite();
    assert_eq!(invite.leg, THIRD);
    assert_eq!(formats(invite.sdp_line("m=")), "104 101 13");
    rig.respond(&invite, reply(200).sdp(offered_by_teams("104 101")));
    rig.request(CALLEE, Method::Bye, "", "");
    rig.assert_bridged(CALLER, THIRD);
    assert!(rig.reinvites(CALLER).is_empty(), "the carrier hears of nothing");
    rig.request(THIRD, Method::Bye, "", "");
    rig.finish();
}
