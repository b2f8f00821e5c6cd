//! Where a gateway's names lead: an address that is dead costs the first call a moment and later calls nothing; a Contact that
//! leads nowhere is told.

use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use portcullis::call::{CallNews, CallRecord};
use portcullis::sim::{Dial, Script};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A call that is answered and hung up, as its record shows it.
async fn record_of_call(lab: &Lab, index: usize) -> CallRecord {
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    lab.records.get(index).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_passed_over_and_then_tried_last() {
    // Nobody is at the first address.
    let lab = Lab::with(Plan {
        machine: "\"gw.example.net\" = [\"127.1.2.3\", \"CARRIER\"]\n[emergency]\ncarriers = [\"named\"]\n\
                  [timers]\nt1 = \"100ms\"\n"
            .into(),
        carrier: r#"
[[carriers]]
id = "named"
networks = ["192.0.2.0/24"]
gateways = [{ host = "gw.example.net", port = 5060, listener = "carrier" }]
failover = { response_timeout = "2s" }
"#
        .into(),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let first = record_of_call(&lab, 0).await;
    assert_eq!(first.legs.len(), 3, "the caller, the dead address, the other one");
    let second = record_of_call(&lab, 1).await;
    assert_eq!(second.legs.len(), 2, "the dead address is held, the name is not");
    lab.close().await;
}

/// The record says it as the log does.
#[tokio::test(flavor = "multi_thread")]
async fn why_there_was_no_connection_stands_in_the_record() {
    let lab = Lab::with(Plan {
        foreign_hub: true,
        ..Plan::default()
    })
    .await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.ended().await.unwrap();
    let record = lab.records.get(0).await;
    let why = record.legs[1].why.as_deref().unwrap_or_default();
    assert!(why.contains("certificate"), "{why}");
    lab.close().await;
}

/// A 200 to `invite` whose Contact is a name that does not exist.
fn answer_from_nowhere(invite: &str) -> String {
    let copied: String = invite
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| {
            ["Via:", "From:", "Call-ID:", "CSeq:"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    let to = invite.lines().find(|line| line.starts_with("To:")).expect("a To");
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.1.2.4\r\ns=-\r\nc=IN IP4 127.1.2.4\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
    format!(
        "SIP/2.0 200 OK\r\n{copied}{to};tag=t\r\nContact: <sip:x@nowhere.invalid>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_finds_no_way_is_told() {
    let gateway = UdpSocket::bind("127.1.2.4:0").await.unwrap();
    let port = gateway.local_addr().unwrap().port();
    let lab = Lab::with(Plan {
        // Nobody is at this name server.
        machine: "[dns]\nservers = [\"127.0.0.1:1\"]\ntimeout = \"200ms\"\n[emergency]\ncarriers = [\"other\"]\n"
            .into(),
        carrier: format!(
            "[[carriers]]\nid = \"other\"\nnetworks = [\"192.0.2.0/24\"]\n\
             gateways = [{{ host = \"127.1.2.4\", port = {port}, listener = \"carrier\" }}]\n\
             options_interval = \"0s\"\n"
        ),
        ..Plan::default()
    })
    .await;
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    let mut bytes = [0; 4096];
    let (length, sbc) = timeout(BOUND, gateway.recv_from(&mut bytes)).await.unwrap().unwrap();
    let invite = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(invite.starts_with("INVITE "), "{invite}");
    gateway
        .send_to(answer_from_nowhere(&invite).as_bytes(), sbc)
        .await
        .unwrap();
    let news = lab
        .records
        .news(|news| matches!(news, CallNews::AckNotSent { .. }))
        .await;
    let CallNews::AckNotSent { why } = news else {
        unreachable!()
    };
    assert!(why.contains("nowhere.invalid"), "{why}");
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    lab.records.get(0).await;
    lab.close().await;
}
