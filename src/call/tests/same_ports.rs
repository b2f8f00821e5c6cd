//! What our descriptions toward Teams say of ports, rtcp-mux and candidates is the same all through a dialog.

use super::holding::{direction, identity};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::scenario::{from_carrier, from_teams};
use crate::call::LegIndex;
use crate::sip::Method;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// A description of Teams, with rtcp-mux or without, and with ICE on a trunk with bypass.
fn described(direction: &str, mux: bool, bypass: bool) -> String {
    let mux = if mux { "a=rtcp-mux\r\n" } else { "" };
    let ice = match bypass {
        true => format!(
            "a=ice-ufrag:tC1u\r\na=ice-pwd:{}\r\na=candidate:1 1 udp 2130706431 10.20.30.40 50012 typ host\r\n",
            "a".repeat(24)
        ),
        false => String::new(),
    };
    teams_sdp(direction) + mux + &ice
}

#[test]
fn teams_073_101_rtcp_mux_and_candidates_stay_as_they_were_first() {
    for (mux, bypass) in [(false, false), (true, false), (false, true), (true, true)] {
        let scenario = || match bypass {
            true => from_teams().bypassing(),
            false => from_teams(),
        };
        let timer = "SESSION-EXPIRES: 1800;refresher=uas\r\nSUPPORTED: timer\r\n";
        let open = described("sendrecv", mux, bypass);
        let mut rig = scenario().with(timer).sdp(&open).begin().answered();
        let first = rig.heard_by_caller()[0].clone();
        assert_eq!(first.sdp().contains("a=rtcp-mux"), mux);
        let candidates = first.sdp().matches("a=candidate").count();
        assert_eq!(candidates, usize::from(bypass) * (2 - usize::from(mux)));
        // Our refresh.
        rig.wait(Duration::from_secs(900));
        let refresh = rig.reinvites(CALLER)[0].clone();
        assert_eq!(identity(&refresh), identity(&first), "mux {mux}, bypass {bypass}");
        rig.respond(&refresh, reply(200).sdp(open.clone()));
        // A hold of the carrier, and its end; Teams speaks of rtcp-mux in another way meanwhile.
        rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendonly"));
        let held = rig.reinvites(CALLER)[1].clone();
        assert_eq!(
            (direction(&held), identity(&held)),
            ("a=inactive".into(), identity(&first))
        );
        rig.respond(&held, reply(200).sdp(described("inactive", true, bypass)));
        rig.ack(CALLEE, "");
        rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendrecv"));
        let resumed = rig.reinvites(CALLER)[2].clone();
        assert_eq!(identity(&resumed), identity(&first));
        rig.respond(&resumed, reply(200).sdp(open.clone()));
        rig.ack(CALLEE, "");
        rig.request(CALLER, Method::Invite, "", &described("inactive", true, bypass));
        rig.respond(
            &rig.reinvites(CALLEE)[0].clone(),
            reply(200).sdp(carrier_sdp("inactive")),
        );
        assert_eq!(
            identity(&rig.last_response(CALLER)),
            identity(&first),
            "nor in an answer"
        );
        rig.ack(CALLER, "");
        rig.hang_up_and_finish();
    }
    // Where we offer first, and Teams has no rtcp-mux.
    let mut rig = from_carrier().begin().answered();
    let invite = rig.last_invite();
    assert!(invite.sdp().contains("a=rtcp-mux"));
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(identity(&rig.reinvites(CALLEE)[0].clone()), identity(&invite));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(200).sdp(teams_sdp("inactive")));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}
