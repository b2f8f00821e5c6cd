//! An application dials a registered user: every device is a leg of its own to the application, as to the caller.

use crate::app_server::{AppServer, Reply};
use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use crate::users_call::hang_up;
use portcullis::sim::Dial;
use portcullis::sip::{HeaderName, Message};
use serde_json::{Value, json};
use std::time::Duration;

const RECEPTION: &str = "+14255550177";
const ALICE: &str = "alice@sip.contoso.example";

/// A node whose reception dials alice, and two of her devices.
async fn ringing() -> (AppServer, Lab, Device, Device) {
    let dial = json!([{
        "verb": "dial", "answerOnBridge": true, "actionHook": "/done", "target": [{ "type": "user", "name": ALICE }]
    }]);
    let server = AppServer::build()
        .on("/incoming", move |_| Reply::Json(200, dial.clone()))
        .on("/done", |_| Reply::Json(200, json!([])))
        .on("/status", |_| Reply::Json(200, json!([])))
        .start()
        .await;
    let tenant = format!(
        "[[numbers]]\nnumber = \"{RECEPTION}\"\nto = {{ application = \"reception\" }}\n\n[application.reception]\n\
         hook = \"{}\"\ncall_status_hook = \"{}\"\n",
        server.url("/incoming"),
        server.url("/status")
    );
    let lab = Lab::with(Plan {
        users: true,
        machine: "[application_servers]\nallow_loopback = true\n".into(),
        tenant,
        ..Plan::default()
    })
    .await;
    let mut desk = Device::udp(&lab, 11, "alice", "wonderland").await;
    let mut mobile = Device::tcp(&lab, 12, "alice", "wonderland").await;
    for device in [&mut desk, &mut mobile] {
        assert_eq!(device.register(600).await.status(), Some(200));
    }
    (server, lab, desk, mobile)
}

/// What was told at `path`, once `enough` of it has come.
async fn told(server: &AppServer, path: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let wait = async {
        loop {
            let requests = server.requests().into_iter().filter(|request| request.path == path);
            let told: Vec<Value> = requests.map(|request| request.json()).collect();
            if enough(&told) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("it is told")
}

fn history<'e>(events: &'e [Value], sid: &Value) -> Vec<&'e str> {
    let theirs = events.iter().filter(|event| event["call_sid"] == *sid);
    theirs.filter_map(|event| event["call_status"].as_str()).collect()
}

async fn cancelled(device: &mut Device, invite: &Message) -> String {
    let cancel = device.receive(|message| is(message, "CANCEL")).await;
    device.reply(&cancel, "200 OK", "", "").await;
    device.reply(invite, "487 Request Terminated", "", "").await;
    cancel.header(HeaderName::Reason).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_devices_ring_the_first_wins_and_each_has_a_call_sid_and_one_end() {
    let (server, lab, mut desk, mut mobile) = ringing().await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let (at_desk, at_mobile) = (desk.ring().await, mobile.ring().await);
    assert!(at_desk.lists(HeaderName::Allow, "REFER") && at_desk.lists(HeaderName::Allow, "INFO"));
    mobile.accept(&at_mobile).await;
    let reason = cancelled(&mut desk, &at_desk).await;
    assert_eq!(reason, r#"SIP;cause=200;text="Call completed elsewhere""#);
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let bye = mobile.receive(|message| is(message, "BYE")).await;
    mobile.reply(&bye, "200 OK", "", "").await;
    let done = told(&server, "/done", |told| !told.is_empty()).await.remove(0);
    assert_eq!(
        (&done["dial_call_status"], &done["dial_sip_status"]),
        (&json!("completed"), &json!(200))
    );
    let targets = done["dial_targets"].as_array().unwrap();
    assert!(
        targets.len() == 2 && targets.iter().all(|target| target["name"] == ALICE),
        "{targets:?}"
    );
    let events = told(&server, "/status", |events| {
        targets.iter().all(|target| {
            let told = history(events, &target["call_sid"]);
            told.last()
                .is_some_and(|last| matches!(*last, "completed" | "no-answer"))
        })
    })
    .await;
    for target in targets {
        let won = target["call_sid"] == done["dial_call_sid"];
        let expected: &[&str] = match won {
            true => &["trying", "ringing", "in-progress", "completed"],
            false => &["trying", "ringing", "no-answer"],
        };
        assert_eq!(history(&events, &target["call_sid"]), expected, "{target}");
    }
    assert_ne!(targets[0]["call_sid"], targets[1]["call_sid"]);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_number_is_known_by_its_name() {
    let (server, lab, mut desk, mut mobile) = ringing().await;
    let mut bob = Device::udp(&lab, 13, "bob", "builder").await;
    assert_eq!(bob.register(600).await.status(), Some(200));
    let uri = format!("sip:{RECEPTION}@{REALM}");
    let (contact, sdp) = (bob.contact(), bob.sdp());
    let calling = tokio::spawn(async move {
        let (answer, _) = bob.ask("INVITE", &uri, &format!("<{uri}>"), &contact, &sdp).await;
        (bob, answer)
    });
    let (at_desk, at_mobile) = (desk.ring().await, mobile.ring().await);
    for invite in [&at_desk, &at_mobile] {
        assert_eq!(invite.from().unwrap().uri().as_str(), format!("sip:bob@{REALM}"));
    }
    mobile.accept(&at_mobile).await;
    cancelled(&mut desk, &at_desk).await;
    let (mut bob, answer) = tokio::time::timeout(BOUND, calling).await.unwrap().unwrap();
    assert_eq!(answer.status(), Some(200));
    hang_up(&mut bob, &answer).await;
    let bye = mobile.receive(|message| is(message, "BYE")).await;
    mobile.reply(&bye, "200 OK", "", "").await;
    let asked = told(&server, "/incoming", |told| !told.is_empty()).await.remove(0);
    assert_eq!(asked["from"], "bob");
    let named = asked["sip"]["headers"]["From"].as_str().unwrap();
    assert!(named.contains(&format!("sip:bob@{REALM}")), "{named}");
    assert!(asked["originating_sip_ip"].is_string() && asked["originating_sip_trunk_name"].is_null());
    let events = told(&server, "/status", |events| events.len() >= 4).await;
    let children = events.iter().filter(|event| event["parent_call_sid"].is_string());
    assert!(children.clone().count() > 0);
    for event in children {
        assert_eq!((&event["from"], &event["caller_id"]), (&json!("bob"), &json!("bob")));
    }
    let record = lab.records.get(0).await;
    let explained = record
        .facts
        .trace
        .iter()
        .any(|step| step.outcome.starts_with("has no number"));
    assert!(explained, "{:?}", record.facts.trace);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_device_leaves_the_other_ringing_and_busy_is_the_result_when_nobody_answers() {
    let (server, lab, mut desk, mut mobile) = ringing().await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let (at_desk, at_mobile) = (desk.ring().await, mobile.ring().await);
    desk.reply(&at_desk, "486 Busy Here", "", "").await;
    desk.receive(|message| is(message, "ACK")).await;
    told(&server, "/status", |events| {
        events.iter().any(|event| event["call_status"] == "busy")
    })
    .await;
    assert!(
        server.requests().iter().all(|request| request.path != "/done"),
        "the other rings on"
    );
    mobile.reply(&at_mobile, "480 Temporarily Unavailable", "", "").await;
    mobile.receive(|message| is(message, "ACK")).await;
    let done = told(&server, "/done", |told| !told.is_empty()).await.remove(0);
    assert_eq!(
        (&done["dial_call_status"], &done["dial_sip_status"]),
        (&json!("busy"), &json!(486))
    );
    caller.ended().await.unwrap();
    lab.close().await;
}
