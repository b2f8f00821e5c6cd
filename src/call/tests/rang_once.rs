//! Whom one gateway has rung, and the call failed: nobody rings the same phone again.

use super::hunting::in_need;
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::scenario::{from_carrier, from_teams};
use crate::call::{LegIndex, PeerVerdict};
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;

#[test]
fn teams_046_who_has_rung_is_rung_by_nobody_else() {
    for status in [408, 500, 503, 504] {
        let mut rig = from_teams().begin();
        rig.respond(&rig.last_invite(), reply(180));
        let failed = reply(status).with(HeaderName::Reason, "Q.850;cause=41");
        rig.respond(&rig.last_invite(), failed.with(HeaderName::RetryAfter, "60"));
        assert_eq!((rig.invites().len(), rig.statuses()), (1, vec![180, 480]), "{status}");
        let told = rig.last_response(LegIndex::CALLER);
        let reasons: Vec<_> = told.message.headers(HeaderName::Reason).collect();
        assert_eq!(reasons[0], "Q.850;cause=41");
        assert!(
            reasons[1].starts_with(&format!("SIP;cause={status};")),
            "what came: {reasons:?}"
        );
        let held = |(_, verdict): &(_, PeerVerdict)| matches!(verdict, PeerVerdict::HoldDown(_));
        assert!(
            !rig.verdicts.iter().any(held),
            "it has served the call: {:?}",
            rig.verdicts
        );
        rig.finish();
    }
}

/// A carrier goes on to its next route at a 5xx, as Teams does at some.
#[test]
fn whom_a_hub_has_rung_is_rung_by_no_other_route_of_the_carrier() {
    for status in [408, 500, 503, 504] {
        let mut rig = from_carrier().begin();
        rig.respond(&rig.last_invite(), reply(180));
        let reason = "Q.850;cause=42;text=\"38b99b53-e25d-49da-a9c8-0a9986786898;x\"";
        rig.respond(&rig.last_invite(), reply(status).with(HeaderName::Reason, reason));
        assert_eq!((rig.invites().len(), rig.statuses()), (1, vec![180, 480]), "{status}");
        let told = rig.last_response(LegIndex::CALLER);
        let reasons: Vec<_> = told.message.headers(HeaderName::Reason).collect();
        assert_eq!(reasons, [reason]);
        let record = rig.finish();
        assert_eq!((record.status, record.legs[1].status), (480, Some(status)));
        assert!(
            record.cause_text.ends_with("; the caller was told 480"),
            "{}",
            record.cause_text
        );
    }
    // What the called party says stays, and so does the failure of what has rung nobody.
    for (rings, status) in [(true, 486), (true, 404), (true, 603), (false, 503), (false, 504)] {
        let mut rig = from_carrier().begin();
        if rings {
            rig.respond(&rig.last_invite(), reply(180));
        }
        while rig.statuses().last().is_none_or(|last| *last < 200) {
            rig.respond(&rig.last_invite(), reply(status));
        }
        assert_eq!(rig.statuses().last(), Some(&status));
        rig.finish();
    }
}

#[test]
fn teams_046_who_has_rung_before_its_connection_was_lost_is_tried_here_and_nowhere_else() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    assert_eq!(rig.invites().len(), 2);
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    assert_eq!(rig.statuses(), [180, 480]);
    rig.finish();
}

/// An announcement alerts nobody.
#[test]
fn after_an_announcement_the_next_gateway_is_tried() {
    for (status, sdp) in [(183, carrier_sdp("sendrecv")), (181, String::new())] {
        let mut rig = from_teams().begin();
        let progress = reply(status);
        rig.respond(
            &rig.last_invite(),
            if sdp.is_empty() { progress } else { progress.sdp(sdp) },
        );
        rig.respond(&rig.last_invite(), reply(503));
        assert_eq!(rig.invites().len(), 2, "{status}");
        rig.respond(&rig.last_invite(), reply(503));
        assert_eq!(rig.statuses().last(), Some(&503), "{status}");
        rig.finish();
    }
}

#[test]
fn an_emergency_call_that_has_rung_is_tried_everywhere() {
    let mut rig = in_need().begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(rig.invites().len(), 2);
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(rig.statuses().last(), Some(&503), "another SBC may help");
    rig.finish();
}

/// What its caller was told stands, and nothing here makes G.729 of other codecs.
#[test]
fn an_emergency_call_is_not_bound_to_a_codec_that_one_gateway_has() {
    let both = teams_sdp("sendrecv").replace("RTP/SAVP 8", "RTP/SAVP 18 8");
    let g729 = carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 18 101");
    let mut rig = in_need().sdp(&both).begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(g729));
    assert_eq!(rig.statuses(), [180]);
    rig.respond(&rig.last_invite(), reply(503));
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    let answer = rig.last_response(LegIndex::CALLER);
    assert_eq!(answer.message.status(), Some(200));
    assert!(
        answer.sdp_line("m=").is_some_and(|line| line.contains("SAVP 8 ")),
        "{}",
        answer.sdp()
    );
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}
