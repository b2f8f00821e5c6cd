//! What a known carrier may send and nobody should: odd limits and URIs, methods that have no place here, requests again and
//! again, headers that are somebody else's to write. And a stranger's flood on a connection.

use crate::device::is;
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use crate::phone::Phone;
use portcullis::sim::Script;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

/// The first answer to `request` that is more than 100.
async fn answer(phone: &mut Phone, request: &str) -> String {
    phone.send(request).await;
    let told = |text: &str| text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 100 ");
    phone.receive_that(told).await
}

/// An INVITE whose text is changed.
fn invite(phone: &Phone, (old, new): (&str, &str)) -> String {
    let contact = format!("Contact: <sip:{OUTSIDE}@{}>\r\n", phone.us);
    let invite = phone.request("INVITE", "1 INVITE", "a", &contact, &phone.offer("sendrecv"));
    assert!(invite.contains(old), "{invite}");
    invite.replacen(old, new, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_limits_and_uris_are_refused_or_harmless() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::no_answer());
    let limit = |value: &str| ("Max-Forwards: 70", format!("Max-Forwards: {value}"));
    let called = |user: &str| ("sip:+14255550100@", format!("sip:{user}@"));
    for ((old, new), expected) in [
        (limit("0"), "483 "),
        (limit("-1"), "400 "),
        (limit("99999999999999999999"), "400 "),
        (limit("999"), "180 "),
        (("Max-Forwards: 70\r\n", String::new()), "180 "),
        (called("@"), "400 "),
        (called("%00"), "484 "),
        (called("+1425%35550100%00"), "484 "),
        (called("\u{7f}"), "400 "),
    ] {
        let mut phone = Phone::new(&lab).await;
        let invite = invite(&phone, (old, &new));
        let answer = answer(&mut phone, &invite).await;
        assert!(answer["SIP/2.0 ".len()..].starts_with(expected), "{new:?}: {answer}");
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_have_no_place_outside_dialogs_are_refused() {
    let lab = Lab::start().await;
    for (method, expected) in [
        ("MESSAGE", "405 "),
        ("SUBSCRIBE", "405 "),
        ("PUBLISH", "405 "),
        ("REFER", "405 "),
        ("NONSENSE", "405 "),
        ("NOTIFY", "481 "),
        ("INFO", "481 "),
        ("UPDATE", "481 "),
        ("PRACK", "481 "),
        ("CANCEL", "481 "),
    ] {
        let mut phone = Phone::new(&lab).await;
        let request = phone.request(method, &format!("1 {method}"), "a", "", "");
        let answer = answer(&mut phone, &request).await;
        assert!(answer["SIP/2.0 ".len()..].starts_with(expected), "{method}: {answer}");
        assert_eq!(answer.contains("\r\nAllow: INVITE"), expected == "405 ", "{answer}");
    }
    assert_eq!(lab.records.count(), 0);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_comes_a_hundred_times_is_one_call() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let mut phone = Phone::new(&lab).await;
    let invite = invite(&phone, ("", ""));
    for _ in 0..99 {
        phone.send(&invite).await;
    }
    phone.call().await;
    assert_eq!(lab.running.node.calls.count(), 1);
    phone.send(&phone.request("BYE", "2 BYE", "b", "", "")).await;
    lab.records.get(0).await;
    assert_eq!(
        lab.teams
            .transcript()
            .iter()
            .filter(|message| is(message, "INVITE"))
            .count(),
        1
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_carrier_writes_of_itself_and_of_teams_does_not_reach_teams() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let mut phone = Phone::new(&lab).await;
    let foreign = "\r\nX-MS-SBC: forged\r\nx-ms-UserLocation : internal\r\nP-Asserted-Identity : <sip:boss@evil.example>\r\n\
                   Referred-By: <sip:boss@evil.example>\r\nRecord-Route: <sip:evil.example;lr>\r\nX-Carrier: evil.example\r\nVia";
    let invite = invite(&phone, ("\r\nVia", foreign));
    phone.send(&invite).await;
    phone.receive("SIP/2.0 486 ").await;
    let invite = lab
        .teams
        .transcript()
        .into_iter()
        .find(|message| is(message, "INVITE"))
        .expect("an INVITE");
    let text = String::from_utf8_lossy(invite.as_bytes()).to_ascii_lowercase();
    for word in ["forged", "x-ms-userlocation", "evil.example"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
    lab.close().await;
}

/// A listener for users hears anybody. What is above the rate is not even read.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_on_a_connection_waits_while_calls_are_answered() {
    const RATE: usize = 5;
    const FLOOD: usize = 500;
    let lab = Lab::with(Plan {
        users: true,
        machine: format!("requests_per_source = {RATE}\n"),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let [a, b, c, _] = lab.address().octets();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(a, b, c, 77), 0))).unwrap();
    let begin = Instant::now();
    let mut flooding = socket.connect(SocketAddr::from((lab.address(), 5080))).await.unwrap();
    let register = |number: usize| {
        format!(
            "REGISTER sip:sip.contoso.example SIP/2.0\r\nVia: SIP/2.0/TCP flood.example;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@sip.contoso.example>;tag=1\r\nTo: <sip:alice@sip.contoso.example>\r\n\
             Call-ID: flood{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@flood.example>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let flood: String = (0..FLOOD).map(register).collect();
    flooding.write_all(flood.as_bytes()).await.unwrap();
    let mut phone = Phone::new(&lab).await;
    phone.call().await;
    // As many answers as come in two seconds and the first, which may be but the end of one.
    let mut told = String::new();
    let mut bytes = [0; 4096];
    let answers = |told: &str| told.matches("SIP/2.0 401 ").count();
    let reading = async {
        while answers(&told) < 2 * RATE + 1 {
            let length = flooding.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "the connection stays");
            told.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    timeout(BOUND, reading).await.expect("it is read on");
    let seconds = begin.elapsed().as_secs() as usize + 2;
    assert!(answers(&told) <= seconds * RATE, "{} in {seconds} s", answers(&told));
    phone.send(&phone.request("BYE", "2 BYE", "b", "", "")).await;
    lab.records.get(0).await;
    lab.close().await;
}
