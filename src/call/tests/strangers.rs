//! Whoever has learnt a dialog's names is not its peer: requests inside a dialog that come from elsewhere change nothing.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::{TENANT_FQDN, carrier_sdp};
use super::replaced::{Replacing, replacing};
use super::rig::{Rig, flow, parse};
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, LegIndex, Phase, To};
use crate::dial::LegKind;
use crate::media::{Latch, Security};
use crate::sip::message::HeaderName;
use crate::sip::{ConnectionId, Flow, ListenerId, Method, PeerCertificate, Transport};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
/// The listener of carriers in scenarios; Teams' is the first.
const OF_CARRIERS: ListenerId = ListenerId(1);

fn from(address: [u8; 4]) -> Flow {
    Flow {
        listener: OF_CARRIERS,
        remote: SocketAddr::from((IpAddr::from(address), 5060)),
        ..flow()
    }
}

fn certified(flow: Flow) -> Flow {
    let peer = PeerCertificate {
        common_name: None,
        dns_names: vec!["sip.pstnhub.microsoft.com".into()],
        serial: "01".into(),
        not_after: 0,
    };
    Flow {
        transport: Transport::Tls,
        connection: ConnectionId(7),
        peer: Some(Arc::new(peer)),
        ..flow
    }
}

/// Nothing that comes this way is heard.
fn is_deaf_to(rig: &mut Rig, leg: LegIndex, flow: &Flow) {
    for (method, sdp) in [
        (Method::Invite, carrier_sdp("inactive")),
        (Method::Refer, String::new()),
        (Method::Info, String::new()),
        (Method::Bye, String::new()),
    ] {
        let told = rig.news.len();
        rig.request_from((flow.clone(), false), leg, method, "", &sdp);
        assert_eq!(rig.last_response(leg).message.status(), Some(481), "{flow:?}");
        let source = flow.remote;
        assert_eq!(rig.news[told..], [CallNews::Stranger { leg, source }]);
    }
    assert_eq!(rig.call.phase(), Phase::Answered);
    assert!(rig.reinvites(CALLER).is_empty() && rig.reinvites(CALLEE).is_empty());
}

fn hears(rig: &mut Rig, leg: LegIndex, flow: Flow) {
    rig.request_from((flow, false), leg, Method::Options, "", "");
    assert_eq!(rig.last_response(leg).message.status(), Some(200));
}

#[test]
fn another_carrier_can_not_end_a_call() {
    let mut rig = from_carrier().begin().answered();
    is_deaf_to(&mut rig, CALLER, &from([192, 0, 2, 66]));
    is_deaf_to(&mut rig, CALLEE, &from([192, 0, 2, 66]));
    is_deaf_to(&mut rig, CALLEE, &from([203, 0, 113, 2]));
    rig.hang_up_and_finish();
    let mut rig = from_teams().begin().answered();
    is_deaf_to(
        &mut rig,
        CALLEE,
        &certified(Flow {
            remote: ([192, 0, 2, 66], 5061).into(),
            ..flow()
        }),
    );
    is_deaf_to(&mut rig, CALLER, &from([203, 0, 113, 2]));
    rig.hang_up_and_finish();
}

#[test]
fn a_carrier_speaks_from_all_its_addresses_and_where_its_contact_is() {
    let mut rig = from_carrier().begin().answered();
    hears(&mut rig, CALLER, from([203, 0, 113, 77]));
    let another_port = Flow {
        remote: ([203, 0, 113, 2], 45_000).into(),
        transport: Transport::Tcp,
        ..from([203, 0, 113, 2])
    };
    hears(&mut rig, CALLER, another_port);
    rig.hang_up_and_finish();
    let elsewhere = "<sip:gw@192.0.2.99:5060;x-own=a>";
    let scenario = from_carrier().edit("<sip:gw@203.0.113.2:5060;x-own=a>", elsewhere);
    let mut rig = scenario.begin().answered();
    is_deaf_to(&mut rig, CALLER, &from([192, 0, 2, 98]));
    hears(&mut rig, CALLER, from([192, 0, 2, 99]));
    // A gateway of the carrier, or what its names lead to.
    rig.request_from((from([192, 0, 2, 98]), true), CALLER, Method::Options, "", "");
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.hang_up_and_finish();
}

#[test]
fn any_hub_of_teams_speaks_on_its_listener_alone() {
    let mut rig = from_teams().begin().answered();
    let hub = |address: [u8; 4]| Flow {
        remote: SocketAddr::from((IpAddr::from(address), 40_001)),
        transport: Transport::Tls,
        ..flow()
    };
    hears(&mut rig, CALLER, hub([52, 114, 7, 7]));
    hears(&mut rig, CALLER, certified(hub([192, 0, 2, 66])));
    is_deaf_to(&mut rig, CALLER, &hub([192, 0, 2, 66]));
    let elsewhere = Flow {
        listener: OF_CARRIERS,
        ..hub([52, 114, 7, 7])
    };
    is_deaf_to(&mut rig, CALLER, &elsewhere);
    rig.hang_up_and_finish();
}

#[test]
fn a_stranger_can_not_answer_for_the_caller() {
    let mut rig = from_carrier().sdp("").begin();
    rig.respond(
        &rig.last_invite(),
        super::messages::reply(200).sdp(super::peers::teams_sdp("sendrecv")),
    );
    rig.ack_from(from([192, 0, 2, 66]), CALLER, &carrier_sdp("inactive"));
    assert!(rig.acknowledged.is_empty());
    rig.ack(CALLER, &carrier_sdp("sendrecv"));
    assert_eq!(rig.acknowledged, [Rig::first_transaction()]);
    assert!(rig.reinvites(CALLEE).is_empty());
    rig.hang_up_and_finish();
}

/// A dial rings a target of this kind, which has no networks of its own.
fn ringing(kind: LegKind) -> Rig {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({})), { "verb": "pause", "length": 1 }]));
    rig.planned_on(&["+12065550101"], |terms| {
        terms.kind = kind.clone();
        terms.networks = [].into();
    });
    rig.ack(CALLER, "");
    rig
}

#[test]
fn a_server_of_a_sip_target_speaks_from_where_it_answered_or_said() {
    let mut rig = ringing(LegKind::SipUri {
        host: "pbx.example".into(),
    });
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    let contact = rig.requests_sent(&Method::Ack)[0]
        .message
        .request_uri()
        .map(str::to_owned);
    assert_eq!(contact.as_deref(), Some("sip:gw9@203.0.113.9:5070"));
    hears(&mut rig, invite.leg, flow());
    hears(&mut rig, invite.leg, from([203, 0, 113, 9]));
    is_deaf_to(&mut rig, invite.leg, &from([203, 0, 113, 10]));
    rig.hang_up_and_finish();
}

#[test]
fn a_user_speaks_from_its_device_wherever_it_has_registered_since() {
    let mut rig = ringing(LegKind::User {
        tenant: "contoso".into(),
        user: "+12065550101@203.0.113.2".into(),
    });
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    let leg = invite.leg;
    let rebound = Flow {
        remote: (flow().remote.ip(), 61_000).into(),
        ..flow()
    };
    hears(&mut rig, leg, rebound);
    let mobile = from([198, 51, 100, 50]);
    is_deaf_to(&mut rig, leg, &mobile);
    rig.request_from((mobile.clone(), true), leg, Method::Options, "", "");
    assert_eq!(rig.last_response(leg).message.status(), Some(200));
    // Somebody else who is registered names himself, and is nobody here.
    let other = from([198, 51, 100, 51]);
    let bye = rig.in_dialog(leg, &Method::Bye, 90, "", "");
    let bye = String::from_utf8_lossy(bye.as_bytes()).replace("From: <sip:+12065550101", "From: <sip:mallory");
    assert!(bye.contains("mallory"));
    rig.request_of((other, true), leg, parse(&bye));
    assert_eq!(rig.last_response(leg).message.status(), Some(481));
    rig.hang_up_and_finish();
}

#[test]
fn no_record_route_leads_our_requests_away_from_a_device() {
    let mut rig = ringing(LegKind::User {
        tenant: "contoso".into(),
        user: "+12065550101@203.0.113.2".into(),
    });
    let invite = rig.last_invite();
    let elsewhere = "<sip:192.0.2.66:5066;lr>";
    let answer = reply(200).sdp(carrier_sdp("sendrecv"));
    rig.destinations.clear();
    rig.respond(&invite, answer.with(HeaderName::RecordRoute, elsewhere));
    rig.hang_up_and_finish();
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 1);
    assert_eq!(rig.byes(invite.leg).len(), 1);
    assert_eq!(rig.byes(invite.leg)[0].header(HeaderName::Route), Some(elsewhere));
    let [To::Hop(ack), To::Hop(bye)] = &rig.destinations[..] else {
        panic!("{:?}", rig.destinations);
    };
    assert_eq!([ack.remote, bye.remote], [flow().remote; 2]);
}

#[test]
fn the_media_of_a_device_behind_nat_comes_from_where_it_signals() {
    for (is_device, host) in [(true, Some(flow().remote.ip())), (false, None)] {
        let mut rig = to_application().begin();
        rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
        rig.planned_on(&["+12065550101"], |terms| {
            terms.behind_nat = true;
            if is_device {
                terms.kind = LegKind::User {
                    tenant: "contoso".into(),
                    user: "+12065550101@203.0.113.2".into(),
                };
            }
        });
        rig.ack(CALLER, "");
        let invite = rig.last_invite();
        rig.picks_up(&invite);
        let leg = &rig.call.legs()[usize::from(invite.leg.0)];
        let config = &rig.configured[&leg.media.handle().expect("media")];
        let Security::Plain {
            latch: Latch::NatOnce { host: told, .. },
        } = config.security
        else {
            panic!("{config:?}");
        };
        assert_eq!(told, host);
        rig.hang_up_and_finish();
    }
}

/// The dialog that comes is one of the name that Teams calls then.
#[test]
fn teams_029_a_dialog_is_replaced_by_whatever_name_of_its_tenant() {
    const ALIAS: &str = "sbc.contoso.example";
    let mut rig = from_teams().begin().answered();
    let terms = rig.call.legs()[0].terms.clone();
    let called = Arc::make_mut(&mut rig.call.legs[0].terms);
    called.kind = LegKind::Teams {
        tenant_fqdn: ALIAS.into(),
    };
    called.contact = format!("{ALIAS}:5061;transport=tls").into();
    let by_name = Replacing {
        trunk: TENANT_FQDN,
        others: &[TENANT_FQDN, ALIAS],
        terms: Some(terms),
        ..replacing()
    };
    rig.replace(rig.dialog_of(CALLER), &by_name);
    let answer = rig.answers_to("second-call-id").pop().expect("an answer");
    assert_eq!(answer.message.status(), Some(200));
    let contact = answer.header(HeaderName::Contact).unwrap_or_default();
    assert!(contact.contains(&format!("@{TENANT_FQDN}:5061")), "{contact}");
    assert_eq!(rig.call.legs()[0].terms.presented().as_deref(), Some(TENANT_FQDN));
}
