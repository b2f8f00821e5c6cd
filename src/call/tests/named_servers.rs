//! Servers that an application named: where requests go that its dialogs send.

use super::application::{dial, to_application};
use super::messages::{Reply, reply};
use super::peers::carrier_sdp;
use super::rig::{Rig, flow, parse};
use crate::call::{LegIndex, To};
use crate::dial::LegKind;
use crate::sip::message::HeaderName;
use crate::sip::{ConnectionId, Flow, Hop, Method, Transport};
use serde_json::json;
use std::net::SocketAddr;

const CALLER: LegIndex = LegIndex::CALLER;
const INSIDE: &str = "<sip:grace@10.1.2.3:5070>";
const OUTSIDE: &str = "<sip:grace@203.0.113.9:5070>";

/// A dial that rings `pbx.example` over this transport.
fn ringing(transport: Transport) -> Rig {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned_on(&["+12065550101"], |terms| {
        terms.kind = LegKind::SipUri {
            host: "pbx.example".into(),
        };
        terms.networks = [].into();
        terms.transport = transport;
        if transport == Transport::Tls {
            terms.server_names = ["pbx.example".into()].into();
        }
    });
    rig.ack(CALLER, "");
    rig.destinations.clear();
    rig
}

fn answers(contact: &str) -> Reply {
    let answer = reply(200).sdp(carrier_sdp("sendrecv"));
    answer.with(HeaderName::Contact, contact)
}

/// Where requests of ours went: an address, or the host that a URI names.
fn went(rig: &mut Rig) -> Vec<String> {
    let shown = |to: To| match to {
        To::Hop(hop) => hop.remote.to_string(),
        To::Next(next) | To::First(next) => next.host.to_string(),
    };
    rig.destinations.drain(..).map(shown).collect()
}

#[test]
fn over_tls_its_name_is_proven_wherever_its_contact_leads() {
    for (contact, host, proven) in [
        (OUTSIDE, "203.0.113.9", Some("pbx.example")),
        // It speaks of another server, which is to prove that it is that.
        ("<sip:grace@node3.pbx.example>", "node3.pbx.example", None),
    ] {
        let mut rig = ringing(Transport::Tls);
        rig.respond(&rig.last_invite(), answers(contact));
        let Some(To::Next(ack)) = rig.destinations.last() else {
            panic!("{:?}", rig.destinations);
        };
        assert_eq!((&*ack.host, ack.server_name.as_deref()), (host, proven));
        rig.hang_up_and_finish();
    }
}

/// The connection that the INVITE took is found by where it leads and by what was proven there.
#[test]
fn over_tls_an_inside_contact_is_reached_over_the_connection_that_we_opened() {
    let mut rig = ringing(Transport::Tls);
    let over_tls = Flow {
        transport: Transport::Tls,
        connection: ConnectionId(9),
        ..flow()
    };
    rig.respond_from(over_tls, &rig.last_invite(), answers(INSIDE));
    rig.hang_up_and_finish();
    let hops: Vec<&Hop> = rig
        .destinations
        .iter()
        .filter_map(|to| match to {
            To::Hop(hop) => Some(hop),
            _ => None,
        })
        .collect();
    assert_eq!(hops.len(), 2, "ACK and BYE: {:?}", rig.destinations);
    for hop in hops {
        assert_eq!((hop.remote, hop.connection), (flow().remote, None));
        assert_eq!(hop.server_name.as_deref(), Some("pbx.example"));
    }
}

/// Each fork is acknowledged and hung up where it is, and the one that talks is still reached where it was.
#[test]
fn another_fork_goes_its_own_way() {
    let source = flow().remote.to_string();
    for (first, second, ways) in [
        (OUTSIDE, INSIDE, ["203.0.113.9", &source]),
        (INSIDE, OUTSIDE, [&source, "203.0.113.9"]),
    ] {
        let mut rig = ringing(Transport::Udp);
        let invite = rig.last_invite();
        rig.respond(&invite, answers(first));
        assert_eq!(went(&mut rig), [ways[0]]);
        rig.respond(&invite, answers(second).tag("other-fork"));
        assert_eq!(went(&mut rig), [ways[1], ways[1]], "ACK and BYE");
        rig.respond(&invite, answers(second).tag("other-fork"));
        assert_eq!(went(&mut rig), [ways[1]], "its ACK was lost");
        rig.request(CALLER, Method::Bye, "", "");
        assert_eq!(went(&mut rig).last().map(String::as_str), Some(ways[0]));
        rig.finish();
    }
}

/// Nobody listens where that comes from, and it may be closed before we have something to say.
#[test]
fn over_tls_a_re_invite_on_a_connection_of_its_own_does_not_change_where_it_was_dialled() {
    let mut rig = ringing(Transport::Tls);
    let dialled = Flow {
        transport: Transport::Tls,
        connection: ConnectionId(9),
        ..flow()
    };
    let its_own = Flow {
        remote: SocketAddr::from((flow().remote.ip(), 50_000)),
        connection: ConnectionId(11),
        ..dialled.clone()
    };
    let invite = rig.last_invite();
    rig.respond_from(dialled, &invite, answers(INSIDE));
    let reinvite = rig.in_dialog(invite.leg, &Method::Invite, 1, "", &carrier_sdp("sendrecv"));
    let text = String::from_utf8_lossy(reinvite.as_bytes()).replace("<sip:moved@203.0.113.30:5060>", INSIDE);
    rig.request_of((its_own, false), invite.leg, parse(&text));
    assert_eq!(rig.last_response(invite.leg).message.status(), Some(200));
    rig.ack(invite.leg, "");
    rig.destinations.clear();
    rig.request(CALLER, Method::Bye, "", "");
    let Some(To::Hop(bye)) = rig.destinations.last() else {
        panic!("{:?}", rig.destinations);
    };
    assert_eq!((bye.remote, bye.connection), (flow().remote, None));
    assert_eq!(bye.server_name.as_deref(), Some("pbx.example"));
    rig.finish();
}

/// NATs rebind, and a server may be moved out of one.
#[test]
fn who_asks_for_a_change_is_reached_from_then_on_where_that_came_from_or_says() {
    let rebound = Flow {
        remote: SocketAddr::from((flow().remote.ip(), 6_000)),
        ..flow()
    };
    for (contact, way) in [(INSIDE, &*rebound.remote.to_string()), (OUTSIDE, "203.0.113.9")] {
        let mut rig = ringing(Transport::Udp);
        let invite = rig.last_invite();
        rig.respond(&invite, answers(INSIDE));
        let reinvite = rig.in_dialog(invite.leg, &Method::Invite, 1, "", &carrier_sdp("sendrecv"));
        let text = String::from_utf8_lossy(reinvite.as_bytes()).into_owned();
        let moved = text.replace("<sip:moved@203.0.113.30:5060>", contact);
        assert_ne!(moved, text);
        rig.request_of((rebound.clone(), false), invite.leg, parse(&moved));
        assert_eq!(rig.last_response(invite.leg).message.status(), Some(200));
        rig.ack(invite.leg, "");
        rig.destinations.clear();
        rig.request(CALLER, Method::Bye, "", "");
        assert_eq!(went(&mut rig), [way]);
        rig.finish();
    }
}
