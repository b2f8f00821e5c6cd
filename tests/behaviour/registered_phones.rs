//! Devices that register: known afterwards, also after a restart; strangers learn nothing and leave nothing behind.

use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use portcullis::sim::Dial;
use portcullis::sip::HeaderName;
use tokio::net::TcpListener;

pub const ALICE_NUMBER: &str = "+14255550150";

fn users() -> Plan {
    Plan {
        users: true,
        ..Plan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_registers_over_udp_and_tcp_and_is_answered_from_then_on() {
    let lab = Lab::with(users()).await;
    let mut phones = [
        Device::udp(&lab, 11, "alice", "wonderland").await,
        Device::tcp(&lab, 12, "alice", "wonderland").await,
    ];
    for (count, phone) in (1..).zip(&mut phones) {
        let to = format!("<sip:{REALM}>");
        let options = phone.request("OPTIONS", &format!("sip:{REALM}"), &to, "", "");
        phone.send(&options).await;
        assert_eq!(phone.answer().await.status(), Some(407), "nobody knows it yet");
        let answer = phone.register(600).await;
        assert_eq!(answer.status(), Some(200));
        assert_eq!(answer.headers(HeaderName::Contact).count(), count);
        let via = answer.top_via();
        assert_eq!(via.host(), "10.255.0.1");
        let rport = format!("rport={}", phone.us.port());
        let via = answer.header(HeaderName::Via).unwrap();
        assert!(
            via.contains(&rport) && via.contains(&format!("received={}", phone.us.ip())),
            "{via}"
        );
        let options = phone.request("OPTIONS", &format!("sip:{REALM}"), &to, "", "");
        phone.send(&options).await;
        assert_eq!(phone.answer().await.status(), Some(200));
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_registers_nobody() {
    let lab = Lab::with(users()).await;
    let mut phone = Device::udp(&lab, 11, "alice", "guess").await;
    assert_eq!(phone.register(600).await.status(), Some(401));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let ending = caller.ended().await.unwrap();
    assert_eq!(ending.status, Some(480));
    assert_eq!(ending.reasons, ["Q.850;cause=20;text=\"Subscriber absent\""]);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_leaves_no_transaction_behind() {
    let lab = Lab::with(users()).await;
    let mut stranger = Device::udp(&lab, 11, "nobody", "x").await;
    for _ in 0..100 {
        let to = format!("<sip:nobody@{REALM}>");
        let more = stranger.contact();
        let request = stranger.request("REGISTER", &format!("sip:{REALM}"), &to, &more, "");
        stranger.send(&request).await;
        assert_eq!(stranger.answer().await.status(), Some(401));
    }
    let left: usize = lab
        .running
        .signalling
        .shards()
        .iter()
        .map(|shard| shard.transactions)
        .sum();
    assert!(
        left < 10,
        "{left} transactions after 100 REGISTERs: more than the node's own OPTIONS"
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_realm_meets_silence_over_udp_and_a_no_over_tcp() {
    let lab = Lab::with(users()).await;
    let mut scanner = Device::udp(&lab, 11, "alice", "x").await;
    let foreign = scanner.request("REGISTER", "sip:192.0.2.1", "<sip:100@192.0.2.1>", "", "");
    scanner.send(&foreign).await;
    // The next answer is that of the next request: the first got none.
    let to = format!("<sip:alice@{REALM}>");
    let own = scanner.request("REGISTER", &format!("sip:{REALM}"), &to, "", "");
    scanner.send(&own).await;
    let first = scanner.receive(|message| message.status().is_some()).await;
    assert_eq!((first.status(), first.cseq().0), (Some(401), 2));
    let mut scanner = Device::tcp(&lab, 12, "alice", "x").await;
    let foreign = scanner.request("REGISTER", "sip:192.0.2.1", "<sip:100@192.0.2.1>", "", "");
    scanner.send(&foreign).await;
    assert_eq!(scanner.answer().await.status(), Some(403));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_device_is_still_rung() {
    let mut lab = Lab::with(users()).await;
    let mut phone = Device::udp(&lab, 11, "alice", "wonderland").await;
    assert_eq!(phone.register(600).await.status(), Some(200));
    lab = lab.restart().await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let invite = phone.ring().await;
    phone.reply(&invite, "486 Busy Here", "", "").await;
    phone.receive(|message| is(message, "ACK")).await;
    let ending = tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    assert_eq!(ending.status, Some(486));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_behind_nat_whose_connection_is_gone_is_nowhere() {
    let lab = Lab::with(users()).await;
    let mut phone = Device::tcp(&lab, 11, "alice", "wonderland").await;
    assert_eq!(phone.register(600).await.status(), Some(200));
    phone.disconnect(&lab).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let ending = tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    assert_eq!(ending.status, Some(480));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_closed_its_connection_is_rung_at_its_contact() {
    let lab = Lab::with(users()).await;
    let mut phone = Device::tcp(&lab, 11, "alice", "wonderland").await;
    let listener = TcpListener::bind((phone.us.ip(), 0)).await.unwrap();
    let contact = format!(
        "Contact: <sip:alice@{};transport=tcp>\r\nExpires: 600\r\n",
        listener.local_addr().unwrap()
    );
    let (uri, to) = (format!("sip:{REALM}"), format!("<sip:alice@{REALM}>"));
    let (answer, _) = phone.ask("REGISTER", &uri, &to, &contact, "").await;
    assert_eq!(answer.status(), Some(200));
    phone.disconnect(&lab).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    phone.reached_at(&listener).await;
    let invite = phone.ring().await;
    phone.reply(&invite, "486 Busy Here", "", "").await;
    phone.receive(|message| is(message, "ACK")).await;
    let ending = tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    assert_eq!(ending.status, Some(486));
    lab.close().await;
}
