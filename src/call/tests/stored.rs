//! An answered call can be written down, read again, and goes on.

use super::messages::reply;
use super::peers::carrier_sdp;
use super::scenario::{from_carrier, from_teams};
use crate::call::{Call, LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use std::time::Duration;

/// Bytes of JSON that an answered call may take in the store.
const BOUND: usize = 20 * 1_024;

#[test]
fn an_answered_call_goes_on_after_it_was_stored() {
    for scenario in [from_teams(), from_carrier()] {
        let mut rig = scenario.begin().answered();
        let stored = serde_json::to_string(&rig.call).expect("plain data");
        assert!(stored.len() < BOUND, "{} bytes", stored.len());
        rig.call = serde_json::from_str::<Call>(&stored).expect("what was stored");
        assert_eq!(rig.call.phase(), Phase::Answered);
        rig.request(LegIndex(1), Method::Bye, "", "");
        assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
        rig.finish();
    }
}

#[test]
fn timers_and_dialogs_survive() {
    let mut rig = from_teams().begin();
    let expires = reply(200).sdp(carrier_sdp("sendrecv"));
    rig.respond(
        &rig.last_invite(),
        expires.with(HeaderName::SessionExpires, "1800;refresher=uac"),
    );
    rig.ack(LegIndex::CALLER, "");
    let stored = serde_json::to_vec(&rig.call).expect("plain data");
    rig.call = serde_json::from_slice(&stored).expect("what was stored");
    rig.wait(Duration::from_secs(900));
    let refresh = rig.reinvites(LegIndex(1))[0].clone();
    assert_eq!(refresh.message.cseq().0, 2);
    assert!(refresh.sdp_line("m=audio 20002").is_some());
    rig.respond(&refresh, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.hang_up_and_finish();
}

#[test]
fn hops_that_failed_cost_little() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(503));
    rig.respond(&rig.last_invite(), reply(503));
    let rig = rig.answered();
    let stored = serde_json::to_vec(&rig.call).expect("plain data");
    assert!(stored.len() < BOUND, "{} bytes", stored.len());
}
