//! Datagrams.

use super::harness::*;
use crate::net::*;
use crate::sip::transaction::SendTo;
use crate::sip::{ListenerId, Transport};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::time::timeout;

fn udp() -> ListenerSettings {
    listener(ListenerProtocol::Udp { sockets: 2 })
}

async fn datagram(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2000];
    let (length, _) = timeout(BOUND, socket.recv_from(&mut buffer))
        .await
        .expect("a datagram")
        .unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_datagram_comes_with_its_flow_and_the_response_leaves_from_the_port() {
    let mut node = Node::open(udp());
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(b"\r\n\r\n", node.address()).await.unwrap();
    peer.send_to(&options("one"), node.address()).await.unwrap();
    let Received { message, flow } = node.received().await;
    assert_eq!(message.call_id(), "one");
    assert_eq!(
        (flow.transport, flow.remote),
        (Transport::Udp, peer.local_addr().unwrap())
    );
    let to = SendTo::Flow { flow, fallback: None };
    node.transports
        .send(
            &to,
            Outgoing::response(Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"), None),
        )
        .unwrap();
    peer.connect(node.address()).await.unwrap();
    assert_eq!(datagram(&peer).await, "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(node.transports.counters().messages_unparsable.get(), 0);
}

#[tokio::test]
async fn teams_037_a_message_that_leaves_in_fragments_is_told_of() {
    let mut node = Node::open(udp());
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(&options("one"), node.address()).await.unwrap();
    let Received { flow, .. } = node.received().await;
    let to = SendTo::Flow { flow, fallback: None };
    for length in [1_300, 1_301] {
        let bytes = Bytes::from(vec![b'x'; length]);
        node.transports.send(&to, Outgoing::response(bytes, None)).unwrap();
    }
    assert_eq!(node.transports.counters().datagrams_long.get(), 1);
    let event = timeout(BOUND, node.events.recv()).await.expect("an event");
    assert!(matches!(event, Some(Seen::LongDatagram(1_301))), "{event:?}");
}

/// Panics at the first datagram.
#[derive(Default)]
struct Trap(std::sync::atomic::AtomicBool);

impl Admission for Trap {
    fn admit(&self, _: ListenerId, _: SocketAddr, _: Approach) -> Admittance {
        assert!(
            self.0.swap(true, std::sync::atomic::Ordering::Relaxed),
            "the trap of this test"
        );
        Admittance::Known
    }
}

#[tokio::test]
async fn a_panic_over_a_datagram_costs_that_datagram() {
    let one_socket = listener(ListenerProtocol::Udp { sockets: 1 });
    let mut node = Node::with(one_socket, PoolSettings::default(), Arc::new(Trap::default()));
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(&options("one"), node.address()).await.unwrap();
    peer.send_to(&options("two"), node.address()).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "two");
    assert_eq!(node.transports.counters().tasks_panicked.get(), 1);
}

#[tokio::test]
async fn a_broken_request_is_answered_and_noise_is_not() {
    let mut node = Node::open(udp());
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(b"noise", node.address()).await.unwrap();
    let wrong = String::from_utf8(options("x").to_vec())
        .unwrap()
        .replace("1 OPTIONS", "1 INVITE");
    peer.send_to(wrong.as_bytes(), node.address()).await.unwrap();
    let answer = datagram(&peer).await;
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    peer.send_to(&options("good"), node.address()).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "good");
    let counters = node.transports.counters();
    assert_eq!(counters.messages_unparsable.get(), 2);
    assert_eq!(counters.requests_refused_unparsed.get(), 1);
}

#[tokio::test]
async fn a_source_that_is_not_admitted_is_not_parsed() {
    struct Only(SocketAddr);
    impl Admission for Only {
        fn admit(&self, _: ListenerId, remote: SocketAddr, _: Approach) -> Admittance {
            match remote == self.0 {
                true => Admittance::Known,
                false => Admittance::Never,
            }
        }
    }
    let friend = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let admission = Arc::new(Only(friend.local_addr().unwrap()));
    // One socket, one reader: the stranger's datagram is looked at first.
    let one = listener(ListenerProtocol::Udp { sockets: 1 });
    let mut node = Node::with(one, PoolSettings::default(), admission);
    stranger.send_to(&options("stranger"), node.address()).await.unwrap();
    friend.send_to(&options("friend"), node.address()).await.unwrap();
    assert_eq!(node.received().await.message.call_id(), "friend");
    assert_eq!(node.transports.counters().datagrams_not_admitted.get(), 1);
}

#[tokio::test]
async fn datagrams_beyond_the_queue_are_shed_and_counted() {
    let one = listener(ListenerProtocol::Udp { sockets: 1 });
    let mut node = Node::open(one);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // The inbox holds 64.
    for number in 0..70 {
        peer.send_to(&options(&number.to_string()), node.address())
            .await
            .unwrap();
    }
    let counters = node.transports.counters();
    timeout(BOUND, async {
        while counters.datagrams_received.get() < 70 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(counters.datagrams_shed.get(), 6);
    assert_eq!(node.received().await.message.call_id(), "0");
}
