//! A callee that gets an application of its own while it talks: two calls go on, each with its own people.

use crate::app_server::{AppServer, Reply};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::api::rest::{CallDesk, NodeDesk, Refusal, Updated};
use portcullis::call::Direction;
use portcullis::config::TokenDigest;
use portcullis::sim::{Dial, Script};
use portcullis::sip::HeaderName;
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN: &str = "pct_parted";
/// A number of the tenant that its application answers.
const RECEPTION: &str = "+14255550177";
/// Another telephone.
const MOBILE: &str = "+441632960002";

async fn first_request(server: &AppServer, path: &str) -> Value {
    let wait = async {
        loop {
            let found = server.requests().into_iter().find(|request| request.path == path);
            if let Some(request) = found {
                return request.json();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("a request")
}

/// A reception that connects its callers to Teams with these further properties, and has a callee dial a mobile once it is on
/// its own.
async fn reception(more: Value) -> (AppServer, Lab) {
    reception_of(more, "").await
}

/// The same of a tenant with these further lines.
async fn reception_of(more: Value, lines: &str) -> (AppServer, Lab) {
    let mut dial = json!({ "verb": "dial", "target": [{ "type": "teams", "number": USER }], "actionHook": "/done" });
    dial.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let server = AppServer::build()
        .on("/incoming", move |_| Reply::Json(200, json!([dial])))
        .on("/done", |_| {
            Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))
        })
        .on("/own", |_| {
            let target = json!([{ "type": "phone", "number": MOBILE }]);
            Reply::Json(200, json!([{ "verb": "dial", "target": target }]))
        })
        .on("/status", |_| Reply::Json(200, Value::Null))
        .start()
        .await;
    let tenant = format!(
        "[[tokens]]\nname = \"test\"\nsha256 = \"{}\"\n\n[[numbers]]\nnumber = \"{RECEPTION}\"\n\
         to = {{ application = \"reception\" }}\n\n[application.reception]\nhook = \"{}\"\ncall_status_hook = \"/status\"\n{lines}",
        TokenDigest::of(TOKEN),
        server.url("/incoming"),
    );
    let lab = Lab::with(Plan {
        machine: "[application_servers]\nallow_loopback = true\n".to_owned(),
        tenant,
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    (server, lab)
}

/// Has the callee of the reception's call go on with an application of its own.
async fn part(desk: &NodeDesk, server: &AppServer) -> Result<Updated, Refusal> {
    let account = desk.account(&TokenDigest::of(TOKEN)).unwrap();
    let own = first_request(server, "/incoming").await["call_sid"].clone();
    let wish = json!({ "child_call_hook": server.url("/own") });
    desk.update(&account, own.as_str().unwrap(), wish).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_of_who_hides_does_not_show_it() {
    // The tenant shows a number of its own where a foreign one calls.
    let (server, lab) = reception_of(
        json!({}),
        &format!("[caller]\noutside = \"replace\"\nnumber = \"{RECEPTION}\"\n"),
    )
    .await;
    let hidden = Dial::new(OUTSIDE, RECEPTION).header("Privacy", "id");
    let caller = lab.carrier.place_call(hidden).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    let desk = NodeDesk::new(lab.running.node.clone());
    part(&desk, &server).await.unwrap();
    let phone = lab.carrier.incoming().await.unwrap();
    phone.hears(TEAMS_TONE).await.unwrap();
    let invite = phone.invite().unwrap();
    let from = invite.header(HeaderName::From).unwrap_or_default();
    assert!(from.contains("anonymous.invalid"), "{from}");
    assert_eq!(invite.header(HeaderName::Privacy), Some("id"));
    let text = String::from_utf8_lossy(invite.as_bytes());
    assert!(!text.contains(OUTSIDE.trim_start_matches('+')), "{text}");
    for call in [caller, callee, phone] {
        call.hang_up().await.unwrap();
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_is_connected_to_somebody_else_and_outlasts_its_caller() {
    let (server, lab) = reception(json!({ "callerId": RECEPTION })).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    let own = first_request(&server, "/incoming").await["call_sid"].clone();
    let desk = NodeDesk::new(lab.running.node.clone());
    let account = desk.account(&TokenDigest::of(TOKEN)).unwrap();
    part(&desk, &server).await.unwrap();
    // The caller waits, the callee talks to somebody else.
    let phone = lab.carrier.incoming().await.unwrap();
    phone.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    let asked = first_request(&server, "/own").await;
    assert_eq!(asked["parent_call_sid"], own);
    // It dials as whom it was called by.
    assert_eq!(asked["from"], RECEPTION);
    let shown = phone.invite().unwrap().header(HeaderName::From).unwrap_or_default();
    assert!(shown.contains(RECEPTION), "{shown}");
    let done = first_request(&server, "/done").await;
    assert_eq!(
        (&done["call_sid"], &done["dial_ended_by"]),
        (&own, &json!("application"))
    );
    assert_eq!(done["dial_call_sid"], asked["call_sid"]);
    let refused = part(&desk, &server).await;
    assert!(
        refused.is_err_and(|why| why.to_string().contains("no callee")),
        "nobody is left"
    );
    let shown = desk
        .call(&account, asked["call_sid"].as_str().unwrap())
        .expect("the callee's call");
    assert_eq!(
        (&shown["call_status"], &shown["parent_call_sid"]),
        (&json!("in-progress"), &own)
    );
    caller.hang_up().await.unwrap();
    let first = lab.records.get(0).await;
    assert_eq!(json!(first.application.expect("an application").call_sid), own);
    // What it says inside its dialog bears the tag of a call that is over.
    callee.hears(CARRIER_TONE).await.unwrap();
    callee.hang_up().await.unwrap();
    phone.ended().await.unwrap();
    let second = lab.records.get(1).await;
    assert_eq!(
        (second.facts.direction, second.cause.label()),
        (Direction::Placed, "hung_up")
    );
    let application = second.application.expect("an application");
    assert_eq!(json!(application.parent_call_sid), own);
    assert_eq!(application.dials.len(), 1);
    // A call leaves the list right after its record.
    let all_gone = async {
        while lab.running.node.calls.count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, all_gone).await.expect("no call is left");
    let told = lab.running.node.tally.untold.none();
    tokio::time::timeout(BOUND, told).await.expect("an end of what is told");
    // Both calls are told of at one hook: each number stands there once.
    let events: Vec<Value> = server
        .requests()
        .into_iter()
        .filter(|request| request.path == "/status")
        .map(|event| event.json())
        .collect();
    // Each leg is answered and ends, and who was there first has rung before.
    assert!(events.len() >= 8, "{events:?}");
    for call in [&own, &asked["call_sid"]] {
        assert!(
            events.iter().any(|event| event["call_sid"] == *call),
            "{call}: {events:?}"
        );
    }
    let numbers = events.iter();
    let mut numbers: Vec<u64> = numbers
        .map(|event| event["sequence"].as_u64().expect("a number"))
        .collect();
    numbers.sort_unstable();
    let counted: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, counted);
    lab.close().await;
}
