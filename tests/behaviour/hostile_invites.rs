//! INVITEs that must not become calls, as a carrier's own address sends them: each gets the answer that says what is wrong.

use crate::lab::{BOUND, Lab, OUTSIDE, USER};
use portcullis::sim::Script;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Sends an INVITE with `contact` and the header lines `more`, and gives the first answer that is not 100.
async fn answer(lab: &Lab, contact: &str, more: &str) -> String {
    let IpAddr::V4(carrier) = lab.carrier.address().ip() else {
        panic!("the lab is IPv4")
    };
    let [a, b, c, _] = carrier.octets();
    let sbc = SocketAddr::new(Ipv4Addr::new(a, b, c, 1).into(), 5060);
    let socket = UdpSocket::bind((carrier, 0)).await.unwrap();
    let us = socket.local_addr().unwrap();
    let sdp =
        format!("v=0\r\no=- 1 1 IN IP4 {carrier}\r\ns=-\r\nc=IN IP4 {carrier}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n");
    let invite = format!(
        "INVITE sip:{USER}@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{port}\r\nMax-Forwards: 70\r\n\
         From: <sip:{OUTSIDE}@{us}>;tag=1\r\nTo: <sip:{USER}@{sbc}>\r\nCall-ID: {port}\r\nCSeq: 1 INVITE\r\n\
         Contact: {contact}\r\n{more}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}",
        port = us.port(),
        length = sdp.len(),
    );
    socket.send_to(invite.as_bytes(), sbc).await.unwrap();
    let mut bytes = [0; 4096];
    let wait = async {
        loop {
            let length = socket.recv(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if !text.starts_with("SIP/2.0 100 ") {
                return text;
            }
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("an answer")
}

const CONTACT: &str = "<sip:caller@192.0.2.7>";

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_we_lack_is_refused_by_name() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let refused = answer(&lab, CONTACT, "Require: timer, 100rel\r\nRequire: replaces\r\n").await;
    assert!(refused.starts_with("SIP/2.0 420 "), "{refused}");
    assert!(refused.contains("\r\nUnsupported: 100rel, replaces\r\n"), "{refused}");
    let tried = answer(&lab, CONTACT, "Require: timer\r\n").await;
    assert!(!tried.starts_with("SIP/2.0 420 "), "{tried}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_no_request_can_be_sent_to_is_refused() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let refused = answer(&lab, "<http://192.0.2.7/>", "").await;
    assert!(refused.starts_with("SIP/2.0 400 "), "{refused}");
    lab.close().await;
}
