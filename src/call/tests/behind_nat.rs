//! A carrier behind NAT: how it is reached inside a call that it has placed.

use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::{Rig, flow};
use super::scenario::{from_carrier, from_teams};
use crate::call::{Effect, LegIndex, Phase, To};
use crate::dial::LegKind;
use crate::sip::transaction::Cause as TransportCause;
use crate::sip::{ConnectionId, Flow, Method, Transport};
use std::sync::Arc;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

fn from(transport: Transport, connection: ConnectionId) -> Flow {
    Flow {
        transport,
        connection,
        remote: (flow().remote.ip(), 49_152).into(),
        ..flow()
    }
}

fn over_tcp() -> Rig {
    let flow = from(Transport::Tcp, ConnectionId(7));
    from_carrier().behind_nat(flow).begin().answered()
}

fn goes_on_its_connection(rig: &Rig) -> bool {
    matches!(rig.destinations.last(), Some(To::Hop(hop)) if hop.connection == Some(ConnectionId(7)))
}

fn goes_to_its_contact(rig: &Rig) -> bool {
    matches!(rig.destinations.last(), Some(To::Next(next)) if &*next.host == "203.0.113.2" && next.port == Some(5_060))
}

#[test]
fn a_bye_goes_on_the_connection_that_the_carrier_opened_else_to_its_contact() {
    let mut rig = over_tcp();
    rig.request(CALLEE, Method::Bye, "", "");
    assert!(goes_on_its_connection(&rig), "{:?}", rig.destinations);
    let bye = rig.byes(CALLER)[0].clone();
    rig.fail(&bye, TransportCause::Transport);
    assert_eq!(rig.byes(CALLER).len(), 2);
    assert!(goes_to_its_contact(&rig), "{:?}", rig.destinations);
    let bye = rig.byes(CALLER)[1].clone();
    rig.fail(&bye, TransportCause::Transport);
    assert_eq!(rig.byes(CALLER).len(), 2, "there is no third way");
    assert!(
        matches!(&rig.wishes[..], [Effect::RepeatBye { to: To::Next(_), .. }]),
        "{:?}",
        rig.wishes
    );
    rig.finish();
}

/// It registers on another connection, if it comes again.
#[test]
fn a_bye_to_a_device_whose_connection_is_gone_is_not_said_again() {
    let mut rig = over_tcp();
    Arc::make_mut(&mut rig.call.legs[0].terms).kind = LegKind::User {
        tenant: "contoso".into(),
        user: "+12065550101@203.0.113.2".into(),
    };
    rig.request(CALLEE, Method::Bye, "", "");
    assert!(goes_on_its_connection(&rig), "{:?}", rig.destinations);
    rig.fail(&rig.byes(CALLER)[0].clone(), TransportCause::Transport);
    assert!(rig.wishes.is_empty(), "{:?}", rig.wishes);
    rig.finish();
}

#[test]
fn a_bye_without_an_answer_is_not_sent_elsewhere() {
    let mut rig = over_tcp();
    rig.request(CALLEE, Method::Bye, "", "");
    let bye = rig.byes(CALLER)[0].clone();
    rig.fail(&bye, TransportCause::Timeout);
    assert_eq!(rig.byes(CALLER).len(), 1);
    rig.finish();
}

#[test]
fn a_change_goes_the_same_ways() {
    let mut rig = over_tcp();
    rig.request(CALLEE, Method::Invite, "", &teams_sdp("inactive"));
    assert!(goes_on_its_connection(&rig), "{:?}", rig.destinations);
    let offered = rig.reinvites(CALLER)[0].clone();
    rig.fail(&offered, TransportCause::Transport);
    let again = rig.reinvites(CALLER)[1].clone();
    assert!(goes_to_its_contact(&rig), "{:?}", rig.destinations);
    assert_eq!(again.sdp(), offered.sdp());
    rig.respond(&again, reply(200).sdp(carrier_sdp("inactive")));
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    rig.ack(CALLEE, "");
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn over_udp_requests_go_back_to_where_the_carrier_sends_from() {
    let flow = from(Transport::Udp, ConnectionId::NONE);
    let mut rig = from_carrier().behind_nat(flow.clone()).begin().answered();
    rig.request(CALLEE, Method::Bye, "", "");
    let sent = rig.destinations.last();
    assert!(
        matches!(sent, Some(To::Hop(hop)) if hop.remote == flow.remote && hop.connection.is_none()),
        "{sent:?}"
    );
    rig.finish();
}

#[test]
fn who_answers_too_late_is_hung_up_where_it_answered_from() {
    let mut rig = from_teams().of_carrier("nat = true\n").begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.cancel(Rig::first_transaction(), "");
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.byes(CALLEE).len(), 1);
    let sent = rig.destinations.last();
    assert!(
        matches!(sent, Some(To::Hop(hop)) if hop.remote == flow().remote),
        "its Contact is a private address: {sent:?}"
    );
    rig.finish();
}
