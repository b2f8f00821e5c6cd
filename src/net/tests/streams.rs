//! Accepted TCP connections: framing, keep-alive, deadlines, limits.

use super::harness::*;
use crate::net::*;
use crate::sip::transaction::SendTo;
use crate::sip::{ConnectionId, ListenerId, Transport};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_message_comes_with_its_flow_and_the_response_goes_back_on_it() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    let text = options("one");
    let (first, second) = text.split_at(40);
    peer.write_all(first).await.unwrap();
    peer.write_all(second).await.unwrap();
    let Received { message, flow } = node.received().await;
    assert_eq!(message.call_id(), "one");
    assert_eq!(flow.transport, Transport::Tcp);
    assert_eq!(flow.remote, peer.local_addr().unwrap());
    assert_ne!(flow.connection, ConnectionId::NONE);
    assert_eq!(node.transports.connections().len(), 1);

    let to = SendTo::Flow { flow, fallback: None };
    node.transports
        .send(
            &to,
            Outgoing::response(Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"), None),
        )
        .unwrap();
    assert_eq!(read_until(&mut peer, "\r\n\r\n").await, "SIP/2.0 200 OK\r\n\r\n");
}

#[tokio::test]
async fn a_response_whose_connection_is_gone_goes_to_the_fallback() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(&options("one")).await.unwrap();
    let flow = node.received().await.flow;
    drop(peer);
    node.closed().await;

    let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fallback = hop(Transport::Tcp, listening.local_addr().unwrap());
    let response = || Outgoing::response(Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"), None);
    let to = SendTo::Flow {
        flow: flow.clone(),
        fallback: Some(fallback),
    };
    node.transports.send(&to, response()).unwrap();
    let (mut fresh, _) = listening.accept().await.unwrap();
    assert_eq!(read_until(&mut fresh, "\r\n\r\n").await, "SIP/2.0 200 OK\r\n\r\n");
    let nowhere = SendTo::Flow { flow, fallback: None };
    assert_eq!(node.transports.send(&nowhere, response()), Err(NotSent));
}

#[tokio::test]
async fn a_ping_is_answered_and_a_flood_of_them_is_not() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_until(&mut peer, "\r\n").await, "\r\n");
    peer.write_all(b"\r\n\r\n".repeat(50).as_slice()).await.unwrap();
    peer.write_all(&options("after")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "after");
    assert_eq!(node.transports.counters().pings_ignored.get(), 50);
}

#[tokio::test]
async fn garbage_closes_its_own_connection_alone() {
    let mut node = Node::open(tcp(|_| {}));
    let mut good = TcpStream::connect(node.address()).await.unwrap();
    let mut bad = TcpStream::connect(node.address()).await.unwrap();
    bad.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (flow, reason) = node.closed().await;
    assert_eq!(flow.remote, bad.local_addr().unwrap());
    assert_eq!(reason.label(), "framing_lost");
    read_to_end(&mut bad).await;
    good.write_all(&options("good")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "good");
}

#[tokio::test]
async fn a_request_without_content_length_is_answered_before_the_close() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    let text = String::from_utf8(options("x").to_vec())
        .unwrap()
        .replace("Content-Length: 0\r\n", "");
    peer.write_all(text.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut peer).await;
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    assert_eq!(node.closed().await.1.label(), "framing_lost");
}

#[tokio::test]
async fn an_unparsable_message_is_answered_and_the_connection_lives() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    let wrong = String::from_utf8(options("x").to_vec())
        .unwrap()
        .replace("1 OPTIONS", "1 INVITE");
    peer.write_all(wrong.as_bytes()).await.unwrap();
    let answer = read_until(&mut peer, "\r\n\r\n").await;
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    peer.write_all(&options("next")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "next");
    assert_eq!(node.transports.counters().messages_unparsable.get(), 1);
}

/// Lets strangers, who are at 127.0.0.2, speak so many times, and tells them nothing.
#[derive(Default)]
struct Turnstile(AtomicU32);

impl Admission for Turnstile {
    fn admit(&self, _: ListenerId, remote: SocketAddr, approach: Approach) -> Admittance {
        if is_known(remote) || approach == Approach::Served {
            return Admittance::Known;
        }
        match self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Admittance::Stranger,
            Err(_) => Admittance::Later,
        }
    }

    fn may_be_told(&self, _: ListenerId, remote: SocketAddr) -> bool {
        is_known(remote)
    }
}

fn is_known(remote: SocketAddr) -> bool {
    remote.ip() != std::net::IpAddr::from([127, 0, 0, 2])
}

async fn stranger(node: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(node.address()).await.unwrap()
}

#[tokio::test]
async fn a_stranger_that_floods_a_connection_waits_for_its_turn_and_others_do_not() {
    let turnstile = Arc::new(Turnstile(AtomicU32::new(1 + 3)));
    let mut node = Node::with(tcp(|_| {}), PoolSettings::default(), turnstile.clone());
    let mut flooding = stranger(&node).await;
    for number in 0..10 {
        flooding.write_all(&options(&number.to_string())).await.unwrap();
    }
    for number in 0..3 {
        assert_eq!(node.received().await.message.call_id(), number.to_string());
    }
    let counters = node.transports.counters();
    let waits = async {
        while counters.stream_messages_paced.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, waits).await.expect("it waits");
    let mut known = TcpStream::connect(node.address()).await.unwrap();
    for number in 0..10 {
        known.write_all(&options(&format!("known{number}"))).await.unwrap();
    }
    for number in 0..10 {
        assert_eq!(node.received().await.message.call_id(), format!("known{number}"));
    }
    turnstile.0.store(100, Relaxed);
    for number in 3..10 {
        assert_eq!(node.received().await.message.call_id(), number.to_string());
    }
}

#[tokio::test]
async fn who_was_served_on_a_connection_does_not_wait_behind_a_neighbour_that_floods() {
    // Two connections, and one message of each.
    let turnstile = Arc::new(Turnstile(AtomicU32::new(4)));
    let mut node = Node::with(tcp(|_| {}), PoolSettings::default(), turnstile);
    let mut neighbour = stranger(&node).await;
    neighbour.write_all(&options("first")).await.unwrap();
    let flow = node.received().await.flow;
    node.answer(flow, transactions(1)[0]);
    read_until(&mut neighbour, "\r\n\r\n").await;
    let mut flooding = stranger(&node).await;
    for _ in 0..10 {
        flooding.write_all(&options("flood")).await.unwrap();
    }
    assert_eq!(node.received().await.message.call_id(), "flood");
    for number in 0..3 {
        neighbour.write_all(&options(&number.to_string())).await.unwrap();
        assert_eq!(node.received().await.message.call_id(), number.to_string());
    }
}

/// Admits a connection and panics over the first message on it.
#[derive(Default)]
struct Trap(AtomicU32);

impl Admission for Trap {
    fn admit(&self, _: ListenerId, _: SocketAddr, _: Approach) -> Admittance {
        assert!(self.0.fetch_add(1, Relaxed) == 0, "the trap of this test");
        Admittance::Known
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_takes_it_out_of_the_table() {
    let mut node = Node::with(tcp(|_| {}), PoolSettings::default(), Arc::new(Trap::default()));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(&options("one")).await.unwrap();
    let (flow, reason) = node.closed().await;
    assert_eq!(reason, CloseReason::Panicked);
    assert!(!node.transports.is_open(flow.connection) && node.transports.connections().is_empty());
    assert_eq!(read_to_end(&mut peer).await, "");
    assert_eq!(node.transports.counters().tasks_panicked.get(), 1);
}

#[tokio::test]
async fn control_characters_in_a_header_are_answered_and_the_connection_lives() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    for bad in ["a\0b", "a\rb"] {
        let wrong = String::from_utf8(options("x").to_vec())
            .unwrap()
            .replace("Content-Length", &format!("User-Agent: {bad}\r\nContent-Length"));
        peer.write_all(wrong.as_bytes()).await.unwrap();
        let answer = read_until(&mut peer, "\r\n\r\n").await;
        assert!(answer.starts_with("SIP/2.0 400 "), "{bad:?}: {answer}");
    }
    peer.write_all(&options("next")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "next");
}

#[tokio::test]
async fn who_is_told_nothing_hears_nothing_of_what_is_malformed() {
    let turnstile = Arc::new(Turnstile(AtomicU32::new(100)));
    let mut node = Node::with(tcp(|_| {}), PoolSettings::default(), turnstile);
    let text = String::from_utf8(options("x").to_vec()).unwrap();
    let unreadable = text.replace("1 OPTIONS", "1 INVITE");
    let unframed = text.replace("Content-Length: 0\r\n", "");
    let mut scanner = stranger(&node).await;
    scanner.write_all(unreadable.as_bytes()).await.unwrap();
    scanner.write_all(&options("whole")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "whole");
    scanner.write_all(unframed.as_bytes()).await.unwrap();
    assert_eq!(read_to_end(&mut scanner).await, "");
    assert_eq!(node.closed().await.1.label(), "framing_lost");
    assert_eq!(node.transports.counters().messages_unparsable.get(), 2);
    assert_eq!(node.transports.counters().requests_refused_unparsed.get(), 0);
}

#[tokio::test]
async fn who_has_no_transaction_holds_a_place_no_longer_for_speaking() {
    let mut node = Node::open(tcp(|limits| limits.stream.idle = Duration::from_millis(300)));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    let speaking = async {
        loop {
            // The node closes on the way: later requests find nobody.
            if peer.write_all(&options("again")).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let hearing = async {
        loop {
            tokio::select! {
                _ = node.received.recv() => {}
                seen = node.events.recv() => if let Some(Seen::Closed(_, reason)) = seen {
                    return reason;
                }
            }
        }
    };
    let reason = tokio::select! {
        () = speaking => unreachable!("it speaks on"),
        reason = tokio::time::timeout(BOUND, hearing) => reason.expect("an end in time"),
    };
    assert_eq!(reason, CloseReason::Idle);
}

#[tokio::test]
async fn slow_loris_is_closed() {
    let mut node = Node::open(tcp(|limits| limits.stream.message = SHORT));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    let text = options("slow");
    let feeder = async {
        for byte in text.iter() {
            // The node closes on the way: later bytes find nobody.
            if peer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = feeder => panic!("the whole message went through"),
        (_, reason) = node.closed() => assert_eq!(reason, CloseReason::SlowMessage),
    }
}

#[tokio::test]
async fn who_only_pings_or_says_nothing_is_closed() {
    let mut node = Node::open(tcp(|limits| limits.stream.first_message = SHORT));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(node.closed().await.1, CloseReason::NoMessage);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut node = Node::open(tcp(|limits| limits.stream.idle = SHORT));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(&options("one")).await.unwrap();
    node.received().await;
    assert_eq!(node.closed().await.1, CloseReason::Idle);
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection_and_no_other() {
    let mut node = Node::open(tcp(|limits| {
        limits.stream.write = Duration::from_millis(300);
        limits.stream.write_queue = 8;
    }));
    let mut stalled = TcpStream::connect(node.address()).await.unwrap();
    stalled.write_all(&options("stalled")).await.unwrap();
    let flow = node.received().await.flow;
    let to = SendTo::Flow {
        flow: flow.clone(),
        fallback: None,
    };
    let large = Bytes::from(vec![b'x'; 60_000]);
    let flood = async {
        while node
            .transports
            .send(&to, Outgoing::response(large.clone(), None))
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, flood).await.expect("the queue is bounded");
    let (closed, reason) = node.closed().await;
    assert_eq!(
        (closed.connection, reason),
        (flow.connection, CloseReason::WriteStalled)
    );

    let mut other = TcpStream::connect(node.address()).await.unwrap();
    other.write_all(&options("other")).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "other");
}

#[tokio::test]
async fn connections_are_limited_by_source_and_admission_comes_first() {
    let mut node = Node::open(tcp(|limits| limits.connections_per_source = 1));
    let mut first = TcpStream::connect(node.address()).await.unwrap();
    first.write_all(&options("one")).await.unwrap();
    node.received().await;
    let mut second = TcpStream::connect(node.address()).await.unwrap();
    assert_eq!(read_to_end(&mut second).await, "");
    assert_eq!(node.transports.counters().connections_over_limit.get(), 1);

    struct Nobody;
    impl Admission for Nobody {
        fn admit(&self, _: ListenerId, _: SocketAddr, _: Approach) -> Admittance {
            Admittance::Never
        }
    }
    let mut closed = Node::with(tcp(|_| {}), PoolSettings::default(), Arc::new(Nobody));
    let mut peer = TcpStream::connect(closed.address()).await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, "");
    assert_eq!(closed.transports.counters().connections_not_admitted.get(), 1);
    let turned_away = closed.events.recv().await;
    assert_eq!(turned_away, Some(Seen::NotAdmitted(peer.local_addr().unwrap())));
}

#[tokio::test]
async fn shutting_down_sends_what_is_queued_and_ends_all_connections() {
    let mut node = Node::open(tcp(|_| {}));
    let mut peer = TcpStream::connect(node.address()).await.unwrap();
    peer.write_all(&options("one")).await.unwrap();
    let to = SendTo::Flow {
        flow: node.received().await.flow,
        fallback: None,
    };
    node.transports
        .send(
            &to,
            Outgoing::response(Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"), None),
        )
        .unwrap();
    node.transports.shut_down(BOUND).await;
    assert_eq!(read_to_end(&mut peer).await, "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(node.closed().await.1, CloseReason::Stopped);
    assert!(TcpStream::connect(node.address()).await.is_err());
}
