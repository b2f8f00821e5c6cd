//! A node that goes out of service while calls are up.

use crate::app_server::AppServer;
use crate::applications::{RECEPTION, lab_with, verbs};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::phone::Phone;
use portcullis::sim::{Dial, Script};
use serde_json::json;
use std::time::Duration;

/// Waits until the other calls are over: each has its record a moment before it leaves the list.
async fn one_is_left(lab: &Lab) {
    let others = async {
        while lab.running.node.calls.count() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, others).await.expect("the others are over");
    assert_eq!(lab.running.node.calls.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_goes_on_while_new_ones_and_options_get_503_and_emergencies_pass() {
    let lab = Lab::with(Plan {
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let mut phone = Phone::new(&lab).await;
    let options = |phone: &Phone, branch: &str| phone.request("OPTIONS", "9 OPTIONS", branch, "", "");
    phone.send(&options(&phone, "o1")).await;
    phone.receive("SIP/2.0 200 ").await;

    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    let drained = async {
        lab.running.drain(BOUND).await;
        lab.running.node.calls.count()
    };
    let meanwhile = async {
        drain_begins(&lab).await;
        phone.send(&options(&phone, "o2")).await;
        phone.receive("SIP/2.0 503 ").await;
        for call in [
            lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap(),
            lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap(),
        ] {
            assert_eq!(call.ended().await.unwrap().status, Some(503));
        }
        let emergency = lab.teams.place_call(Dial::new(USER, "911")).await.unwrap();
        emergency.answered().await.unwrap();
        emergency.hang_up().await.unwrap();
        assert!(lab.records.get(0).await.facts.emergency);
        caller.hears(TEAMS_TONE).await.unwrap();
        callee.hears(CARRIER_TONE).await.unwrap();
        one_is_left(&lab).await;
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    };
    let (left, ()) = tokio::join!(drained, meanwhile);
    assert_eq!(left, 0);
    assert_eq!(lab.records.get(1).await.cause.label(), "hung_up");
    lab.close().await;
}

/// What is left at the deadline is ended, but no emergency call: that one ends by itself (promise 6).
#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_every_call_but_emergencies() {
    let lab = Lab::with(Plan {
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let plain = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    plain.answered().await.unwrap();
    let emergency = lab.teams.place_call(Dial::new(USER, "911")).await.unwrap();
    emergency.answered().await.unwrap();
    let meanwhile = async {
        plain.ended().await.unwrap();
        let record = lab.records.get(0).await;
        assert_eq!((record.cause.label(), record.facts.emergency), ("cleared", false));
        emergency.hears(CARRIER_TONE).await.unwrap();
        one_is_left(&lab).await;
        emergency.hang_up().await.unwrap();
    };
    let drained = tokio::time::timeout(BOUND, lab.running.drain(Duration::ZERO));
    let (ended, ()) = tokio::join!(drained, meanwhile);
    ended.expect("the last call ends the drain");
    let record = lab.records.get(1).await;
    assert_eq!((record.cause.label(), record.facts.emergency), ("hung_up", true));
    lab.close().await;
}

/// Nor one that an application has dialled, however it has written the number, until its caller hangs up.
#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_leaves_an_application_its_emergency() {
    let server = AppServer::build()
        .on("/reception", |_| {
            verbs(json!([{ "verb": "dial", "target": [{ "type": "phone", "number": "9-1-1" }] }]))
        })
        .start()
        .await;
    let plan = Plan {
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    };
    let lab = lab_with(&server, &server.url("/reception"), plan).await;
    lab.carrier.set_script(Script::answer());
    lab.teams.set_script(Script::answer());
    let plain = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    plain.answered().await.unwrap();
    lab.carrier.incoming().await.unwrap();
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let helper = lab.carrier.incoming().await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    let meanwhile = async {
        plain.ended().await.unwrap();
        assert_eq!(lab.records.get(0).await.cause.label(), "cleared");
        helper.hears(CARRIER_TONE).await.unwrap();
        one_is_left(&lab).await;
        caller.hang_up().await.unwrap();
    };
    let drained = tokio::time::timeout(BOUND, lab.running.drain(Duration::ZERO));
    let (ended, ()) = tokio::join!(drained, meanwhile);
    ended.expect("the last call ends the drain");
    assert_eq!(lab.records.get(1).await.cause.label(), "hung_up");
    lab.close().await;
}

async fn drain_begins(lab: &Lab) {
    let begun = async {
        while !lab.running.node.is_draining() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, begun).await.expect("a drain");
}
