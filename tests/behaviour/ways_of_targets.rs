//! Targets whose INVITE goes another way than they are named: by a proxy, or to another user part at a device.

use crate::app_server::{AppServer, Reply};
use crate::device::{Device, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use portcullis::sim::Dial;
use portcullis::sip::HeaderName;
use serde_json::{Value, json};

const RECEPTION: &str = "+14255550177";

/// A node with users, whose reception asks `server`.
async fn lab(server: &AppServer) -> Lab {
    let tenant = format!(
        "[[numbers]]\nnumber = \"{RECEPTION}\"\nto = {{ application = \"reception\" }}\n\n[application.reception]\n\
         hook = \"{}\"\n",
        server.url("/incoming")
    );
    Lab::with(Plan {
        users: true,
        machine: "[application_servers]\nallow_loopback = true\n".into(),
        tenant,
        ..Plan::default()
    })
    .await
}

/// A server whose answer is set once the addresses of a lab are known.
async fn server() -> (AppServer, tokio::sync::watch::Sender<Value>) {
    let (set, verbs) = tokio::sync::watch::channel(json!([]));
    let server = AppServer::build()
        .on("/incoming", move |_| Reply::Json(200, verbs.borrow().clone()))
        .start()
        .await;
    (server, set)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_the_invite_and_the_request_uri_keeps_the_target() {
    let (server, verbs) = server().await;
    let lab = lab(&server).await;
    let mut proxy = Device::udp(&lab, 11, "grace", "").await;
    verbs.send_replace(
        json!([{ "verb": "dial", "answerOnBridge": true, "proxy": proxy.us.to_string(),
        "target": [{ "type": "sip", "sipUri": "sip:grace@pbx.example" }] }]),
    );
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let invite = proxy.receive(|message| is(message, "INVITE")).await;
    assert_eq!(invite.request_uri(), Some("sip:grace@pbx.example"));
    assert_eq!(invite.header(HeaderName::To), Some("<sip:grace@pbx.example>"));
    assert_eq!(invite.header(HeaderName::Route), None, "nobody asked for one");
    let contact = format!("Contact: <sip:grace@{}>\r\n", proxy.us);
    let sdp = proxy.sdp();
    proxy.reply(&invite, "200 OK", &contact, &sdp).await;
    proxy.receive(|message| is(message, "ACK")).await;
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    caller.hang_up().await.unwrap();
    let bye = proxy.receive(|message| is(message, "BYE")).await;
    assert_eq!(bye.request_uri(), Some(&*format!("sip:grace@{}", proxy.us)));
    proxy.reply(&bye, "200 OK", "", "").await;
    lab.records.get(0).await;
    lab.close().await;
}

/// A server behind NAT says where it believes to be; nobody could reach it there, and we may not go there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_an_inside_address_is_reached_where_it_answers_from() {
    let (server, verbs) = server().await;
    let lab = lab(&server).await;
    let mut pbx = Device::udp(&lab, 11, "grace", "").await;
    verbs.send_replace(json!([{ "verb": "dial", "answerOnBridge": true,
        "target": [{ "type": "sip", "sipUri": format!("sip:grace@{}", pbx.us) }] }]));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let invite = pbx.receive(|message| is(message, "INVITE")).await;
    let sdp = pbx.sdp();
    pbx.reply(&invite, "200 OK", "Contact: <sip:grace@10.255.255.1:5070>\r\n", &sdp)
        .await;
    let ack = pbx.receive(|message| is(message, "ACK")).await;
    assert_eq!(ack.request_uri(), Some("sip:grace@10.255.255.1:5070"));
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    caller.hang_up().await.unwrap();
    let bye = pbx.receive(|message| is(message, "BYE")).await;
    pbx.reply(&bye, "200 OK", "", "").await;
    lab.records.get(0).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_has_a_proxy_of_its_own_before_the_dials() {
    let (server, verbs) = server().await;
    let lab = lab(&server).await;
    let mut own = Device::udp(&lab, 11, "grace", "").await;
    let mut other = Device::udp(&lab, 12, "hopper", "").await;
    verbs.send_replace(
        json!([{ "verb": "dial", "answerOnBridge": true, "proxy": other.us.to_string(), "target": [
        { "type": "sip", "sipUri": "sip:grace@pbx.example", "proxy": own.us.to_string() },
        { "type": "sip", "sipUri": "sip:hopper@pbx.example" }] }]),
    );
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    for (device, uri) in [
        (&mut own, "sip:grace@pbx.example"),
        (&mut other, "sip:hopper@pbx.example"),
    ] {
        let invite = device.receive(|message| is(message, "INVITE")).await;
        assert_eq!(invite.request_uri(), Some(uri));
        device.reply(&invite, "486 Busy Here", "", "").await;
        device.receive(|message| is(message, "ACK")).await;
    }
    tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn override_to_stands_in_the_request_uri_of_every_device() {
    let (server, verbs) = server().await;
    let lab = lab(&server).await;
    let mut desk = Device::udp(&lab, 11, "alice", "wonderland").await;
    let mut mobile = Device::tcp(&lab, 12, "alice", "wonderland").await;
    for device in [&mut desk, &mut mobile] {
        assert_eq!(device.register(600).await.status(), Some(200));
    }
    verbs.send_replace(json!([{ "verb": "dial", "answerOnBridge": true,
        "target": [{ "type": "user", "name": "alice", "overrideTo": "queue-7" }] }]));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    for (device, parameters) in [(&mut desk, ""), (&mut mobile, ";transport=tcp")] {
        let invite = device.ring().await;
        let wanted = format!("sip:queue-7@10.255.0.1:5060{parameters}");
        assert_eq!(invite.request_uri(), Some(&*wanted));
        assert_eq!(invite.header(HeaderName::To), Some("<sip:alice@sip.contoso.example>"));
        device.reply(&invite, "486 Busy Here", "", "").await;
        device.receive(|message| is(message, "ACK")).await;
    }
    tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    lab.close().await;
}
