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
