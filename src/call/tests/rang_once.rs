//! Whom one gateway has rung, and the call failed: nobody rings the same phone again.

use super::hunting::in_need;
use super::messages::reply;
use super::peers::carrier_sdp;
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
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(
        (rig.invites().len(), rig.statuses()),
        (1, vec![180, 503]),
        "of a hub, too"
    );
    rig.finish();
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
