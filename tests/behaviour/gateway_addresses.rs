//! Where a gateway's names lead: an address that is dead costs the first call a moment and later calls nothing; a Contact that
//! leads nowhere is told, and one that leads out of the networks is heard.

use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use portcullis::call::{CallNews, CallRecord};
use portcullis::sim::{Change, Dial, HoldForm, Script};
use std::net::SocketAddr;
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
failover = { response_timeout = "4s" }
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

/// A 200 to `invite` with this Contact, and the tag `t`.
fn answer_with_contact(invite: &str, contact: &str) -> String {
    let copied = copied(invite, &["Via:", "From:", "Call-ID:", "CSeq:"]);
    let to = line(invite, "To:");
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.1.2.4\r\ns=-\r\nc=IN IP4 127.1.2.4\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
    format!(
        "SIP/2.0 200 OK\r\n{copied}{to};tag=t\r\nContact: <{contact}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

fn copied(message: &str, names: &[&str]) -> String {
    let head = message.lines().take_while(|line| !line.is_empty());
    head.filter(|line| names.iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

fn line<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find(|line| line.starts_with(name)).expect(name)
}

/// A lab with a carrier for emergency calls whose gateway is at `port` of 127.1.2.4, and `machine` before it.
async fn lab_with_gateway(machine: &str, port: u16) -> Lab {
    Lab::with(Plan {
        machine: format!("{machine}[emergency]\ncarriers = [\"other\"]\n"),
        carrier: format!(
            "[[carriers]]\nid = \"other\"\nnetworks = [\"192.0.2.0/24\"]\n\
             gateways = [{{ host = \"127.1.2.4\", port = {port}, listener = \"carrier\" }}]\n\
             options_interval = \"0s\"\n"
        ),
        ..Plan::default()
    })
    .await
}

async fn receive(socket: &UdpSocket, start: &str) -> (String, SocketAddr) {
    let mut bytes = [0; 4096];
    let wait = async {
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.starts_with(start) {
                return (text, from);
            }
        }
    };
    timeout(BOUND, wait).await.expect("it comes in time")
}

/// A media gateway behind a signalling one: nothing of the configuration names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_hangs_up_from_where_its_contact_leads() {
    let gateway = UdpSocket::bind("127.1.2.4:0").await.unwrap();
    let behind = UdpSocket::bind("127.1.2.50:0").await.unwrap();
    let contact = format!("sip:x@{}", behind.local_addr().unwrap());
    let lab = lab_with_gateway("", gateway.local_addr().unwrap().port()).await;
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    let (invite, sbc) = receive(&gateway, "INVITE ").await;
    let answer = answer_with_contact(&invite, &contact);
    gateway.send_to(answer.as_bytes(), sbc).await.unwrap();
    receive(&behind, "ACK ").await;
    caller.answered().await.unwrap();
    let ours = line(&invite, "Contact:").split(['<', '>']).nth(1).expect("a URI");
    let (from, to) = (line(&invite, "To:"), line(&invite, "From:"));
    let bye = format!(
        "BYE {ours} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye\r\nMax-Forwards: 70\r\nFrom{};tag=t\r\nTo{}\r\n\
         {}CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        behind.local_addr().unwrap(),
        &from["To".len()..],
        &to["From".len()..],
        copied(&invite, &["Call-ID:"]),
    );
    behind.send_to(bye.as_bytes(), sbc).await.unwrap();
    receive(&behind, "SIP/2.0 200 ").await;
    caller.ended().await.unwrap();
    lab.records.get(0).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_finds_no_way_is_told() {
    let gateway = UdpSocket::bind("127.1.2.4:0").await.unwrap();
    let port = gateway.local_addr().unwrap().port();
    // Nobody is at this name server.
    let nowhere = "[dns]\nservers = [\"127.0.0.1:1\"]\ntimeout = \"200ms\"\n";
    let lab = lab_with_gateway(nowhere, port).await;
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    let (invite, sbc) = receive(&gateway, "INVITE ").await;
    let answer = answer_with_contact(&invite, "sip:x@nowhere.invalid");
    gateway.send_to(answer.as_bytes(), sbc).await.unwrap();
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

/// What `request` inside the call is answered with.
async fn answer(socket: &UdpSocket, (request, sbc): &(String, SocketAddr), status: &str, more: &str) {
    let copied = copied(request, &["Via:", "From:", "To:", "Call-ID:", "CSeq:"]);
    let more = if more.is_empty() {
        "Content-Length: 0\r\n\r\n"
    } else {
        more
    };
    let response = format!("SIP/2.0 {status}\r\n{copied}{more}");
    socket.send_to(response.as_bytes(), *sbc).await.unwrap();
}

/// RFC 3263 §4.3: one server of a name drains, the next one takes what is asked in the call; and a BYE that none of them takes
/// is said again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_draining_server_refuses_in_a_call_goes_to_the_next_address_of_its_name() {
    tokio::join!(
        // Left alone by all calls for as long as it has said.
        drains("Retry-After: 60\r\n", [4, 51], [51, 4, 51, 51]),
        // By this call alone.
        drains("", [4, 52], [52, 4, 4, 4]),
    );
}

/// The servers are at 127.1.2.x, and these get the BYEs.
async fn drains(retry_after: &str, servers: [u8; 2], byes: [u8; 4]) {
    let first = UdpSocket::bind((format!("127.1.2.{}", servers[0]), 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = UdpSocket::bind((format!("127.1.2.{}", servers[1]), port))
        .await
        .unwrap();
    let addresses = servers.map(|last| format!("127.1.2.{last}"));
    let machine = format!("\"gw.example.net\" = {addresses:?}\n[timers]\nt1 = \"100ms\"\n");
    let lab = lab_with_gateway(&machine, port).await;
    let contact = format!("sip:x@gw.example.net:{port}");
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    let (invite, sbc) = receive(&first, "INVITE ").await;
    let answered = answer_with_contact(&invite, &contact);
    first.send_to(answered.as_bytes(), sbc).await.unwrap();
    receive(&first, "ACK ").await;
    caller.answered().await.unwrap();

    let gateway = async {
        let asked = receive(&first, "INVITE ").await;
        let more = format!("{retry_after}Content-Length: 0\r\n\r\n");
        answer(&first, &asked, "503 Draining", &more).await;
        receive(&first, "ACK ").await;
        let again = receive(&second, "INVITE ").await;
        assert_eq!(line(&again.0, "CSeq:"), line(&asked.0, "CSeq:"));
        assert_ne!(
            line(&again.0, "Via:"),
            line(&asked.0, "Via:"),
            "a transaction of its own"
        );
        let sdp = "v=0\r\no=- 1 2 IN IP4 127.1.2.4\r\ns=-\r\nc=IN IP4 127.1.2.4\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n\
                   a=inactive\r\n";
        let more = format!(
            "Contact: <{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        answer(&second, &again, "200 OK", &more).await;
        receive(&second, "ACK ").await;
    };
    let (held, ()) = tokio::join!(caller.change(Change::Hold(HoldForm::Inactive)), gateway);
    assert_eq!(held.unwrap(), 200);

    caller.hang_up().await.unwrap();
    for (last, status) in byes
        .into_iter()
        .zip(["503 Draining", "503 Draining", "500 Later", "200 OK"])
    {
        let socket = if last == servers[0] { &first } else { &second };
        let bye = receive(socket, "BYE ").await;
        answer(socket, &bye, status, "").await;
    }
    let delayed = |news: &CallNews| matches!(news, CallNews::ByeDelayed { .. });
    let CallNews::ByeDelayed { why, .. } = lab.records.news(delayed).await else {
        unreachable!()
    };
    assert_eq!(why, "503 Draining");
    let record = lab.records.get(0).await;
    assert_eq!((record.status, record.cause.label()), (200, "hung_up"));
    lab.close().await;
}
