//! The connections between Teams and the node, and what their ends do to calls: many at once, idle ones that Teams closes, hubs that
//! move.

use crate::lab::{BOUND, CARRIER_TONE, HUB, Lab, OUTSIDE, Plan, TEAMS_TONE, USER, both_heard};
use portcullis::sim::{Change, Dial, HoldForm, Script};
use portcullis::sip::{Flow, Message, Method};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// As many as the node takes of one address, each with a handshake of its own and an OPTIONS.
#[tokio::test(flavor = "multi_thread")]
async fn teams_016_one_machine_opens_64_connections_at_once_and_each_is_answered() {
    let lab = Lab::start().await;
    // One that the hub has already, over which it answers the node's OPTIONS by one of its own.
    lab.teams.pings_until(|pings| pings.answered > 0).await.unwrap();
    lab.teams.ping_on_connections(63).await.unwrap();
    assert_eq!(lab.teams.take_unconnected(), (Vec::new(), 0));
    lab.close().await;
}

/// One of Teams stands all the time, and calls come over it.
#[tokio::test(flavor = "multi_thread")]
async fn teams_014_no_request_of_ours_goes_over_a_connection_that_teams_opened() {
    let lab = Lab::start().await;
    lab.teams.pings_until(|pings| pings.answered > 0).await.unwrap();
    lab.carrier.set_script(Script::answer());
    lab.teams.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    both_heard((&caller, CARRIER_TONE), (&callee, TEAMS_TONE)).await;
    assert_eq!(callee.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
    // The hold may still be on its way to Teams.
    let resumed = async {
        while callee.change(Change::Resume).await.unwrap() == 491 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, resumed).await.expect("it is resumed");
    both_heard((&caller, CARRIER_TONE), (&callee, TEAMS_TONE)).await;
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();

    // At the hub's end a connection that it opened leads to where we listen, and one of ours to a port of no meaning.
    let is_theirs = |flow: &Flow| flow.remote.port() == 5061;
    let heard: Vec<(Message, Flow)> = lab.teams.overheard().collect();
    let of_requests = heard.iter().filter(|(message, _)| message.is_request());
    let methods: HashSet<&str> = of_requests
        .clone()
        .filter_map(|(message, _)| Some(message.method()?.as_str()))
        .collect();
    assert_eq!(methods, HashSet::from(["OPTIONS", "INVITE", "ACK", "BYE"]));
    let astray: Vec<&Message> = of_requests
        .filter(|(_, flow)| is_theirs(flow))
        .map(|(message, _)| message)
        .collect();
    assert!(astray.is_empty(), "{astray:?}");
    let answers = |(message, flow): &&(Message, Flow)| !message.is_request() && is_theirs(flow);
    assert!(heard.iter().any(|heard| answers(&heard)), "Teams has a connection");
    lab.close().await;
}

/// Until no connection between Teams and the node is left.
async fn all_closed(lab: &Lab) {
    let transports = lab.running.signalling.transports();
    let closed = async {
        while !transports.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, closed)
        .await
        .expect("idle connections are closed");
}

/// Teams closes what is idle, in both directions; the next request of either side opens a connection of its own (TEAMS-014), and
/// the media go on.
#[tokio::test(flavor = "multi_thread")]
async fn teams_018_connections_that_close_in_mid_call_harm_neither_side() {
    let lab = Lab::with(Plan {
        idle: Some(Duration::from_millis(1_500)),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    lab.teams.set_script(Script::answer());
    for teams_hangs_up in [false, true] {
        let teams = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
        let carrier = lab.carrier.incoming().await.unwrap();
        teams.answered().await.unwrap();
        for held in [&carrier, &teams] {
            all_closed(&lab).await;
            assert_eq!(held.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
            all_closed(&lab).await;
            assert_eq!(held.change(Change::Resume).await.unwrap(), 200);
            both_heard((&teams, CARRIER_TONE), (&carrier, TEAMS_TONE)).await;
        }
        all_closed(&lab).await;
        let (first, last) = match teams_hangs_up {
            true => (&teams, &carrier),
            false => (&carrier, &teams),
        };
        first.hang_up().await.unwrap();
        last.ended().await.unwrap();
    }
    let heard = lab.teams.overheard().filter(|(message, _)| message.is_request());
    // A hub that is slow to hear anything on a new connection may have closed it before the ACK.
    let inside = heard.filter(|(message, _)| !matches!(message.method(), Some(Method::Options | Method::Ack)));
    let connections: HashSet<_> = inside.map(|(_, flow)| flow.connection).collect();
    // Of each call the carrier's hold and resume, and of one its BYE.
    assert_eq!(connections.len(), 5, "one for each request of the node");
    lab.close().await;
}

/// What its Contact names is at two addresses, and nobody is at the first: an ACK goes on to the other, as all requests do
/// (RFC 3263 §4.3), and the next ones go there at once.
#[tokio::test(flavor = "multi_thread")]
async fn teams_067_an_ack_reaches_the_other_address_of_a_name() {
    let lab = Lab::with(Plan {
        names_that_move: true,
        ..Plan::default()
    })
    .await;
    let [_, contact] = lab.teams.names();
    let addresses = [[127, 1, 2, 3].into(), lab.teams.address().ip()];
    let names = lab.names.as_ref().expect("a name server");
    names.lead(&contact, Duration::from_secs(60), &addresses);
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    let acknowledged = async {
        let is_ack = |message: &Message| message.method() == Some(&Method::Ack);
        while !lab.teams.overheard().any(|(message, _)| is_ack(&message)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, acknowledged).await.expect("the ACK");
    for change in [Change::Hold(HoldForm::Inactive), Change::Resume] {
        assert_eq!(caller.change(change).await.unwrap(), 200);
    }
    both_heard((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

/// Its name leads elsewhere, and its old address is still there: new calls go where the name leads.
#[tokio::test(flavor = "multi_thread")]
async fn teams_019_calls_follow_a_hub_whose_name_moves() {
    let lab = Lab::with(Plan {
        names_that_move: true,
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let talk = async |hub: &portcullis::sim::TeamsSim| {
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
        caller.answered().await.unwrap();
        let callee = hub.incoming_within(Duration::from_millis(500)).await.ok();
        if let Some(callee) = &callee {
            both_heard((&caller, TEAMS_TONE), (callee, CARRIER_TONE)).await;
        }
        caller.hang_up().await.unwrap();
        callee.is_some()
    };
    assert!(talk(&lab.teams).await);
    let moved = lab.hub_elsewhere();
    let names = lab.names.as_ref().expect("a name server");
    for name in moved.names() {
        names.lead(&name, Duration::from_secs(1), &[moved.address().ip()]);
    }
    let follows = async { while !talk(&moved).await {} };
    tokio::time::timeout(BOUND, follows).await.expect("the new address");
    let asked = names.asked().iter().filter(|asked| asked.ends_with(HUB)).count();
    assert!(asked >= 2, "{:?}", names.asked());
    assert_eq!(moved.violations(), []);
    lab.close().await;
}
