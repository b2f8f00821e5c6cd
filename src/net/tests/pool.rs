//! Connections that we open.

use super::harness::*;
use crate::net::*;
use crate::sip::transaction::SendTo;
use crate::sip::{Hop, HopAccount, Transport};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

fn pool(change: impl FnOnce(&mut PoolSettings)) -> PoolSettings {
    let mut settings = PoolSettings::default();
    change(&mut settings);
    settings
}

fn node(change: impl FnOnce(&mut PoolSettings)) -> Node {
    Node::with(tcp(|_| {}), pool(change), Arc::new(AdmitAll))
}

async fn accept(listening: &TcpListener) -> TcpStream {
    timeout(BOUND, listening.accept())
        .await
        .expect("a connection")
        .unwrap()
        .0
}

#[tokio::test]
async fn one_connection_is_opened_for_all_requests_to_a_hop() {
    let node = node(|_| {});
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    for transaction in transactions(3) {
        node.request(&hop, transaction);
    }
    let mut peer = accept(&listening).await;
    for _ in 0..3 {
        assert!(read_until(&mut peer, "\r\n\r\n").await.starts_with("OPTIONS "));
    }
    node.request(&hop, transactions(1)[0]);
    assert!(read_until(&mut peer, "\r\n\r\n").await.starts_with("OPTIONS "));
    assert_eq!(node.transports.counters().connections_opened.get(), 1);
}

#[tokio::test]
async fn a_connection_that_was_let_go_carries_nothing_new() {
    let node = node(|_| {});
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    node.request(&hop, transactions(1)[0]);
    let mut old = accept(&listening).await;
    read_until(&mut old, "\r\n\r\n").await;
    node.transports.let_go(&hop);
    node.request(&hop, transactions(1)[0]);
    let mut new = accept(&listening).await;
    assert!(read_until(&mut new, "\r\n\r\n").await.starts_with("OPTIONS "));
    let draining: Vec<bool> = node.transports.connections().iter().map(|c| c.draining).collect();
    assert_eq!(draining.iter().filter(|draining| **draining).count(), 1, "{draining:?}");
}

/// A request to a peer of its own for each account: the second, again of the first account, and the fourth, one too many of
/// their kind, are refused; the others arrive.
async fn the_second_and_fourth_are_refused(node: &mut Node, wanted: [Option<HopAccount>; 5]) {
    let sent = transactions(wanted.len());
    let mut listening = Vec::new();
    for (account, transaction) in wanted.into_iter().zip(&sent) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = Hop {
            account,
            ..hop(Transport::Tcp, socket.local_addr().unwrap())
        };
        node.request(&hop, *transaction);
        listening.push(socket);
    }
    for connected in [0, 2, 4] {
        let mut peer = accept(&listening[connected]).await;
        assert!(read_until(&mut peer, "\r\n\r\n").await.starts_with("OPTIONS "));
    }
    let failed = [node.failure().await, node.failure().await];
    assert_eq!(failed, [sent[1], sent[3]]);
}

#[tokio::test]
async fn what_tenants_lead_to_is_bounded_and_leaves_room_for_configured_peers() {
    let mut node = node(|settings| {
        settings.hops = 3;
        settings.hops_of_tenants = 2;
        settings.hops_per_tenant = 1;
    });
    let account = |tenant: &str| Some(HopAccount::Tenant(tenant.into()));
    let wanted = [account("a"), account("a"), account("b"), account("c"), None];
    the_second_and_fourth_are_refused(&mut node, wanted).await;
    assert_eq!(node.transports.counters().hops_over_limit.get(), 2);
}

#[tokio::test]
async fn senders_of_requests_lead_to_few_hops_and_take_none_of_the_tenants() {
    let mut node = node(|settings| {
        settings.hops_of_tenants = 1;
        settings.hops_of_sources = 2;
        settings.hops_per_source = 1;
    });
    let source = |address: &str| Some(HopAccount::Source(address.parse().unwrap()));
    let wanted = [
        source("192.0.2.1"),
        source("192.0.2.1"),
        source("192.0.2.2"),
        source("192.0.2.3"),
        Some(HopAccount::Tenant("a".into())),
    ];
    the_second_and_fourth_are_refused(&mut node, wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_a_connection_leaves_before_what_is_sent_once_it_stands() {
    const MESSAGES: usize = 300;
    let settings = pool(|settings| settings.waiting = MESSAGES);
    let node = Node::with(
        tcp(|limits| limits.stream.write_queue = MESSAGES),
        settings,
        Arc::new(AdmitAll),
    );
    // Each is a race of its own between who connects and who sends.
    for _ in 0..20 {
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = SendTo::Hop(hop(Transport::Tcp, listening.local_addr().unwrap()));
        let transports = node.transports.clone();
        let sender = tokio::task::spawn_blocking(move || {
            for number in 0..MESSAGES {
                let outgoing = Outgoing::request(options(&number.to_string()), None);
                transports.send(&to, outgoing).unwrap();
            }
        });
        let mut peer = BufReader::new(accept(&listening).await);
        for number in 0..MESSAGES {
            let message = read_until(&mut peer, "\r\n\r\n").await;
            assert!(
                message.contains(&format!("Call-ID: {number}\r\n")),
                "{number}: {message}"
            );
        }
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn every_message_that_waits_for_a_failing_connect_is_reported() {
    let mut node = node(|_| {});
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    drop(listening);
    let sent = transactions(3);
    for transaction in &sent {
        node.request(&hop, *transaction);
    }
    let mut failed = Vec::new();
    for _ in &sent {
        failed.push(node.failure().await);
    }
    assert_eq!(failed, sent);
    assert_eq!(node.event().await, Seen::ConnectFailed("connect"));
    assert_eq!(node.transports.counters().connects_failed.get(), 1);
}

#[tokio::test]
async fn no_more_wait_for_a_connect_than_the_limit() {
    let mut node = node(|settings| settings.waiting = 2);
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    let sent = transactions(3);
    for transaction in &sent {
        node.request(&hop, *transaction);
    }
    assert_eq!(node.failure().await, sent[2]);
}

#[tokio::test]
async fn a_request_that_the_peer_never_heard_fails_with_its_connection() {
    let mut node = node(|_| {});
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    let sent = transactions(2);
    node.request(&hop, sent[0]);
    let mut peer = accept(&listening).await;
    read_until(&mut peer, "\r\n\r\n").await;
    // The first is heard: the peer speaks after it.
    peer.write_all(&options("mine")).await.unwrap();
    node.received().await;
    node.request(&hop, sent[1]);
    read_until(&mut peer, "\r\n\r\n").await;
    drop(peer);
    assert_eq!(node.failure().await, sent[1]);
    node.closed().await;
    assert!(node.failures.try_recv().is_err());
}

#[tokio::test]
async fn a_closed_connection_is_replaced_by_the_next_request() {
    let mut node = node(|_| {});
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    let sent = transactions(2);
    node.request(&hop, sent[0]);
    drop(accept(&listening).await);
    node.closed().await;
    node.request(&hop, sent[1]);
    let mut peer = accept(&listening).await;
    assert!(read_until(&mut peer, "\r\n\r\n").await.starts_with("OPTIONS "));
}

/// Lets so much time pass for the node, and none while it waits for a peer.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// The next request, behind pings.
async fn next_request(peer: &mut TcpStream) -> String {
    loop {
        let read = read_until(peer, "\r\n\r\n").await;
        if read != "\r\n\r\n" {
            return read;
        }
    }
}

#[tokio::test]
async fn teams_017_a_connection_is_renewed_within_the_hour() {
    // OPTIONS, which keep it from being idle, are none here.
    let listener = tcp(|limits| limits.stream.idle = Duration::from_secs(7_200));
    let node = Node::with(listener, PoolSettings::default(), Arc::new(AdmitAll));
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    let sent = transactions(4);
    node.request(&hop, sent[0]);
    let mut first = accept(&listening).await;
    next_request(&mut first).await;
    pass(1_800).await;
    node.request(&hop, sent[1]);
    next_request(&mut first).await;
    // The last OPTIONS of the hour.
    pass(1_590).await;
    node.request(&hop, sent[2]);
    next_request(&mut first).await;
    let mut second = accept(&listening).await;
    let is_used = async {
        while node.transports.connections().iter().all(|one| !one.draining) {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, is_used).await.expect("the new one");
    node.request(&hop, sent[3]);
    assert!(next_request(&mut second).await.starts_with("OPTIONS "));
    assert_eq!(node.transports.counters().connections_opened.get(), 2);
}

#[tokio::test]
async fn an_old_connection_is_renewed_and_drained() {
    let mut node = node(|settings| {
        settings.max_age = Duration::ZERO;
        settings.keep_alive.drained = Duration::from_millis(100);
    });
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    let sent = transactions(2);
    node.request(&hop, sent[0]);
    let mut first = accept(&listening).await;
    read_until(&mut first, "\r\n\r\n").await;
    let Seen::Connected(old, Opener::Us) = node.event().await else {
        panic!()
    };

    // Too old: this one still goes on it, and brings the successor up.
    node.request(&hop, sent[1]);
    read_until(&mut first, "\r\n\r\n").await;
    let _second = accept(&listening).await;
    let (closed, reason) = node.closed().await;
    assert_eq!((closed.connection, reason), (old.connection, CloseReason::Drained));
    assert_eq!(read_to_end(&mut first).await, "");
    assert!(node.failures.try_recv().is_err(), "a drained connection fails nothing");
}

#[tokio::test]
async fn a_connection_that_the_peer_opened_never_carries_our_request() {
    let mut node = node(|_| {});
    let listening = TcpSocket::new_v4().unwrap();
    listening.set_reuseport(true).unwrap();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    let listening = listening.listen(8).unwrap();
    // The peer calls from the very port that it listens on.
    let calling = TcpSocket::new_v4().unwrap();
    calling.set_reuseport(true).unwrap();
    calling.bind(address).unwrap();
    let mut calling = calling.connect(node.address()).await.unwrap();
    calling.write_all(&options("theirs")).await.unwrap();
    assert_eq!(node.received().await.flow.remote, address);

    node.request(&hop(Transport::Tcp, address), transactions(1)[0]);
    let mut ours = accept(&listening).await;
    assert!(read_until(&mut ours, "\r\n\r\n").await.starts_with("OPTIONS "));
    node.transports.shut_down(BOUND).await;
    assert_eq!(read_to_end(&mut calling).await, "");
}

#[tokio::test]
async fn a_named_connection_is_used_or_the_request_fails() {
    let mut node = node(|_| {});
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(&options("register")).await.unwrap();
    let flow = node.received().await.flow;
    let mut hop = hop(Transport::Tcp, flow.remote);
    hop.connection = Some(flow.connection);
    let sent = transactions(2);
    node.request(&hop, sent[0]);
    assert!(read_until(&mut peer, "\r\n\r\n").await.starts_with("OPTIONS "));
    peer.write_all(&options("heard")).await.unwrap();
    node.received().await;
    drop(peer);
    node.closed().await;
    node.request(&hop, sent[1]);
    assert_eq!(node.failure().await, sent[1]);
}

#[tokio::test]
async fn our_connections_are_pinged_and_a_missing_pong_counts_once_the_peer_has_ponged() {
    let mut node = node(|settings| {
        settings.keep_alive.interval = Duration::from_millis(60);
        settings.keep_alive.pong = Duration::from_millis(30);
    });
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(Transport::Tcp, listening.local_addr().unwrap());
    node.request(&hop, transactions(1)[0]);
    let mut peer = accept(&listening).await;
    read_until(&mut peer, "\r\n\r\n").await;
    // Two pings without an answer are no reason to close.
    read_until(&mut peer, "\r\n\r\n").await;
    read_until(&mut peer, "\r\n\r\n").await;
    peer.write_all(b"\r\n").await.unwrap();
    read_until(&mut peer, "\r\n\r\n").await;
    assert_eq!(node.closed().await.1, CloseReason::NoPong);
}
