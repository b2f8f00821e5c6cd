//! A peer that can't be reached when it is hung up on hears of it later, and nobody waits for that.

use crate::lab::{BOUND, Lab, Plan, USER};
use portcullis::call::CallNews;
use portcullis::sim::{Call, Dial};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The next message; none of these has a body but the INVITE, and of that the head is enough.
async fn receive(stream: &mut TcpStream, start: &str) -> String {
    let mut text = String::new();
    let wait = async {
        loop {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).await.unwrap();
            assert!(length > 0, "closed before {start}: {text}");
            text += &String::from_utf8_lossy(&bytes[..length]);
            if let Some(message) = text.find(start).map(|from| &text[from..])
                && message.contains("\r\n\r\n")
            {
                return message.to_owned();
            }
        }
    };
    timeout(BOUND, wait)
        .await
        .unwrap_or_else(|_| panic!("{start} comes in time"))
}

fn headers(message: &str, names: &[&str]) -> String {
    let head = message.lines().take_while(|line| !line.is_empty());
    head.filter(|line| names.iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

async fn answer(stream: &mut TcpStream, request: &str, tag: &str, more: &str) {
    let copied = headers(request, &["Via:", "From:", "Call-ID:", "CSeq:"]);
    let to = headers(request, &["To:"]);
    let response = format!("SIP/2.0 200 OK\r\n{copied}{}{tag}\r\n{more}", to.trim_end());
    stream.write_all(response.as_bytes()).await.unwrap();
}

/// A call to a gateway over TCP that has answered and then closed its connection and its port.
async fn gone_gateway(timers: &str) -> (Lab, Call, SocketAddr) {
    let gateway = TcpListener::bind("127.1.2.6:0").await.unwrap();
    let address = gateway.local_addr().unwrap();
    let lab = Lab::with(Plan {
        machine: format!(
            "[emergency]\ncarriers = [\"other\"]\n[timers]\n{timers}\n[[listeners]]\nname = \"tcp\"\n\
             purpose = \"carrier\"\ntransport = \"tcp\"\nbind = \"NODE:5070\"\n"
        ),
        carrier: format!(
            "[[carriers]]\nid = \"other\"\nnetworks = [\"192.0.2.0/24\"]\n\
             gateways = [{{ host = \"127.1.2.6\", port = {}, listener = \"tcp\" }}]\noptions_interval = \"0s\"\n",
            address.port()
        ),
        ..Plan::default()
    })
    .await;
    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    let (mut stream, _) = timeout(BOUND, gateway.accept()).await.expect("a call").unwrap();
    let invite = receive(&mut stream, "INVITE ").await;
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.1.2.6\r\ns=-\r\nc=IN IP4 127.1.2.6\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
    let described = format!(
        "Contact: <sip:x@{address}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    answer(&mut stream, &invite, ";tag=t", &described).await;
    receive(&mut stream, "ACK ").await;
    caller.answered().await.unwrap();
    (lab, caller, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bye_reaches_a_peer_that_comes_back_after_the_end_of_its_call() {
    let (lab, caller, address) = gone_gateway("").await;
    caller.hang_up().await.unwrap();
    // Whether the record is there says that nobody has waited: the gateway comes back only now.
    let record = lab.records.get(0).await;
    assert_eq!((record.status, record.cause.label()), (200, "hung_up"));
    let gateway = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = timeout(BOUND, gateway.accept()).await.expect("tried again").unwrap();
    let bye = receive(&mut stream, "BYE ").await;
    assert!(bye.contains("tag=t") && bye.contains("Q.850;cause=16"), "{bye}");
    answer(&mut stream, &bye, "", "Content-Length: 0\r\n\r\n").await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_stops_while_a_bye_waits_to_be_said_again() {
    let (lab, caller, _) = gone_gateway("").await;
    caller.hang_up().await.unwrap();
    lab.records.get(0).await;
    lab.records
        .news(|news| matches!(news, CallNews::ByeDelayed { .. }))
        .await;
    let stopped = timeout(Duration::from_secs(10), lab.close()).await;
    stopped.expect("long before the last try");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bye_that_nobody_takes_is_given_up_and_told() {
    let (lab, caller, _) = gone_gateway("t1 = \"100ms\"").await;
    caller.hang_up().await.unwrap();
    let given_up = |news: &CallNews| matches!(news, CallNews::ByeNotSent { .. });
    let CallNews::ByeNotSent { why, .. } = lab.records.news(given_up).await else {
        unreachable!()
    };
    assert!(why.to_lowercase().contains("refused"), "{why}");
    lab.close().await;
}
