//! What applications send inside a dialog (`sip:request`, `sip:refer`), how a peer answers, or that it does not, and what the
//! application is told of it.

use crate::app_server::AppServer;
use crate::applications::{MOBILE, RECEPTION, asked, lab_with, verbs};
use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, Plan};
use crate::live::TIMERS;
use crate::referring_peers::acknowledged;
use crate::users_call::call;
use portcullis::sip::{HeaderName, Message};
use serde_json::{Value, json};

/// An application of these verbs whose hooks answer nothing, and alice, who has called it.
async fn connected(first: Value) -> (AppServer, Lab, Device) {
    let mut server = AppServer::build().on("/incoming", move |_| verbs(first.clone()));
    for path in ["/status", "/one", "/two", "/three", "/event"] {
        server = server.on(path, |_| verbs(json!([])));
    }
    let server = server.start().await;
    let plan = Plan {
        users: true,
        machine: TIMERS.into(),
        ..Plan::default()
    };
    let lab = lab_with(&server, &server.url("/incoming"), plan).await;
    let mut alice = Device::udp(&lab, 11, "alice", "wonderland").await;
    assert_eq!(alice.register(600).await.status(), Some(200));
    let (answer, _) = call(&mut alice, &format!("sip:{RECEPTION}@{REALM}")).await;
    assert_eq!(answer.status(), Some(200));
    acknowledged(&mut alice, &answer).await;
    (server, lab, alice)
}

/// The end of the application's verbs is the end of the call.
async fn hung_up(mut alice: Device, lab: Lab) {
    let bye = alice.receive(|message| is(message, "BYE")).await;
    alice.reply(&bye, "200 OK", "", "").await;
    lab.records.get(0).await;
    lab.close().await;
}

async fn told(server: &AppServer, path: &str) -> Value {
    asked(server, path, 1).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_hears_how_its_request_was_answered_and_that_it_was_not() {
    let (server, lab, mut alice) = connected(json!([
        { "verb": "answer" },
        { "verb": "sip:request", "method": "INFO", "body": "on", "headers": { "Content-Type": "application/x-lamp" },
          "actionHook": "/one" },
        { "verb": "sip:request", "method": "MESSAGE", "body": "hello", "actionHook": "/two" },
        { "verb": "sip:request", "method": "NOTIFY", "headers": { "Event": "x-lamp", "Subscription-State": "active" }, "actionHook": "/three" },
        { "verb": "hangup" }
    ]))
    .await;
    let info = alice.receive(|message| is(message, "INFO")).await;
    assert_eq!(
        (info.header(HeaderName::ContentType), info.body()),
        (Some("application/x-lamp"), &b"on"[..])
    );
    alice.reply(&info, "200 OK", "", "").await;
    let message = alice.receive(|message| is(message, "MESSAGE")).await;
    assert_eq!(
        (message.header(HeaderName::ContentType), message.body()),
        (Some("text/plain"), &b"hello"[..])
    );
    alice.reply(&message, "415 Unsupported Media Type", "", "").await;
    let notify = alice.receive(|message| is(message, "NOTIFY")).await;
    assert_eq!(notify.header_named("Event"), Some("x-lamp"));
    // It is never answered, whatever comes again of it.
    hung_up(alice, lab).await;
    let result = async |path| {
        let told = told(&server, path).await;
        (told["result"].clone(), told["sip_status"].clone(), told["err"].clone())
    };
    assert_eq!(result("/one").await, (json!("success"), json!(200), Value::Null));
    assert_eq!(result("/two").await, (json!("failed"), json!(415), Value::Null));
    assert_eq!(
        result("/three").await,
        (json!("failed"), json!(408), json!("no answer"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_hears_what_became_of_who_it_has_referred() {
    let (server, lab, mut alice) = connected(json!([
        { "verb": "answer" },
        { "verb": "sip:refer", "referTo": MOBILE, "actionHook": "/one", "eventHook": "/event" },
        { "verb": "sip:refer", "referTo": format!("sip:{MOBILE}@elsewhere.example"), "actionHook": "/two" },
        { "verb": "sip:refer", "referTo": MOBILE, "actionHook": "/three" },
        { "verb": "hangup" }
    ]))
    .await;
    let refer = alice.receive(|message| is(message, "REFER")).await;
    let to = refer.header(HeaderName::ReferTo);
    assert_eq!(
        to,
        Some(format!("<sip:{MOBILE}@10.255.0.1>").as_str()),
        "a number is one of the peer's"
    );
    alice.reply(&refer, "202 Accepted", "", "").await;
    for (fragment, state) in [
        ("SIP/2.0 100 Trying", "active;expires=60"),
        ("SIP/2.0 486 Busy Here", "terminated;reason=noresource"),
    ] {
        notify(&mut alice, &refer, fragment, state).await;
    }
    let refer = alice.receive(|message| is(message, "REFER")).await;
    let to = refer.header(HeaderName::ReferTo);
    assert_eq!(to, Some(format!("<sip:{MOBILE}@elsewhere.example>").as_str()));
    alice.reply(&refer, "403 Forbidden", "", "").await;
    let refer = alice.receive(|message| is(message, "REFER")).await;
    // A NOTIFY may overtake the 202, which gets lost here.
    notify(&mut alice, &refer, "SIP/2.0 200 OK", "terminated;reason=noresource").await;
    hung_up(alice, lab).await;
    let result = async |path| {
        let told = told(&server, path).await;
        (told["refer_status"].clone(), told["final_referred_call_status"].clone())
    };
    assert_eq!(result("/one").await, (json!(202), json!(486)));
    assert_eq!(result("/two").await, (json!(403), Value::Null));
    assert_eq!(result("/three").await, (json!(202), json!(200)));
    let events = asked(&server, "/event", 2).await;
    let events: Vec<_> = events
        .iter()
        .map(|told| (&told["event"], &told["call_status"]))
        .collect();
    let step = json!("transfer-status");
    assert_eq!(events, [(&step, &json!(100)), (&step, &json!(486))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_hears_that_nobody_answers_its_refer() {
    let (server, lab, mut alice) = connected(json!([
        { "verb": "answer" },
        { "verb": "sip:refer", "referTo": MOBILE, "actionHook": "/one" },
        { "verb": "hangup" }
    ]))
    .await;
    alice.receive(|message| is(message, "REFER")).await;
    hung_up(alice, lab).await;
    let told = told(&server, "/one").await;
    assert_eq!(told["refer_status"], 408);
    assert!(told.get("final_referred_call_status").is_none(), "{told}");
}

/// Tells what became of a REFER, inside the dialog that it came in.
async fn notify(device: &mut Device, refer: &Message, fragment: &str, state: &str) {
    let uri = refer.contact().unwrap().unwrap().uri().to_string();
    let to = refer.header(HeaderName::From).unwrap().to_owned();
    let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
    let notify = device.request("NOTIFY", &uri, &to, &more, &format!("{fragment}\r\n"));
    device.send(&notify.replace("application/sdp", "message/sipfrag")).await;
    let answer = tokio::time::timeout(BOUND, device.answer()).await.expect("an answer");
    assert_eq!(answer.status(), Some(200));
}
