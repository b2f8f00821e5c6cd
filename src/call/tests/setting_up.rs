//! A call comes in, a destination rings and answers.

use super::messages::reply;
use super::peers::{TENANT_FQDN, carrier_sdp, teams_sdp};
use super::scenario::{from_carrier, from_teams};
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use crate::sip::message::HeaderName;

const CALLEE: LegIndex = LegIndex(1);

#[test]
fn a_carrier_calls_a_teams_user() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    assert_eq!(
        invite.message.request_uri(),
        Some("sip:+14255550150@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls")
    );
    assert_eq!(invite.header(HeaderName::MaxForwards), Some("69"));
    assert_eq!(invite.sdp_line("m="), Some("m=audio 20002 RTP/SAVP 8 0 101 13".into()));
    rig.respond(&invite, reply(180));
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 200]);
    let answer = rig.last_response(LegIndex::CALLER);
    assert_eq!(answer.sdp_line("m="), Some("m=audio 20000 RTP/AVP 8 0 101".into()));
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 1, "at once (TEAMS-067)");
    let ack = &rig.requests_sent(&Method::Ack)[0];
    assert_eq!(
        ack.message.request_uri(),
        Some("sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=0c1d;x-c=%2Fa"),
        "the Contact of Teams, byte for byte (TEAMS-033, TEAMS-034)"
    );
    assert!(rig.bridges > 0);
    rig.ack(LegIndex::CALLER, "");
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.request(LegIndex::CALLER, Method::Bye, "", "");
    assert_eq!(rig.byes(CALLEE).len(), 1);
    let record = rig.finish();
    assert_eq!((record.status, record.cause.label()), (200, "hung_up"));
    assert_eq!(record.legs[1].correlation.as_deref(), Some("0c1d"));
    assert_eq!(record.legs[1].codec.as_deref(), Some("PCMA"));
}

#[test]
fn a_teams_user_calls_a_telephone() {
    let mut rig = from_teams().begin();
    let invite = rig.last_invite();
    assert_eq!(
        invite.message.request_uri(),
        Some("sip:+12065550100@203.0.113.2;user=phone")
    );
    let contact = invite.message.contact().ok().flatten().expect("a Contact");
    assert_eq!(contact.uri().host(), "192.0.2.10");
    rig.respond(&invite, reply(183).sdp(carrier_sdp("sendrecv")));
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [183, 200]);
    let heard = rig.heard_by_caller();
    assert_eq!(
        heard[0].sdp(),
        heard[1].sdp(),
        "the answer does not change after early media"
    );
    let contact = heard[1].message.contact().ok().flatten().expect("a Contact");
    assert_eq!(contact.uri().host(), TENANT_FQDN);
    rig.ack(LegIndex::CALLER, "");
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    assert_eq!(rig.finish().ended_by, crate::call::Party::Callee);
}

/// All that Teams may write, twice over: a Contact and Record-Routes of half a kilobyte, every codec, a dozen candidates.
#[test]
fn teams_037_four_kilobytes_of_teams_are_a_short_invite_to_a_carrier() {
    let mut sdp = teams_sdp("sendrecv").replace("SAVP 8 0 13 101", "SAVP 104 117 103 111 18 9 0 8 97 118 13 101");
    for (number, name) in [
        (104, "SILK/16000"),
        (117, "G722/8000/2"),
        (103, "SILK/8000"),
        (111, "SIREN/16000"),
    ] {
        sdp.push_str(&format!(
            "a=rtpmap:{number} {name}\r\na=fmtp:{number} useinbandfec=1;usedtx=0\r\n"
        ));
    }
    for nth in 1..=12 {
        sdp.push_str(&format!(
            "a=candidate:{nth} 1 UDP 2130706431 52.112.0.{nth} 50{nth:03} typ relay raddr 10.0.139.{nth} rport 50{nth:03}\r\n"
        ));
    }
    let mut more = String::new();
    for nth in 1..=5 {
        let token = "0123456789abcdef".repeat(20);
        more.push_str(&format!(
            "X-MS-Routing-{nth}: <sip:api.pstnhub.microsoft.com;x-c={token}>\r\n"
        ));
    }
    let mut rig = from_teams().with(&more).sdp(&sdp).begin();
    let invite = rig.last_invite();
    let (came, leaves) = (rig.invite.as_bytes().len(), invite.message.as_bytes().len());
    assert!(came > 4_000, "{came}");
    // Its Via is made by the transport.
    assert!(leaves + 150 < 1_300, "{leaves}: {invite:?}");
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(LegIndex::CALLER, "");
    rig.hang_up_and_finish();
}
