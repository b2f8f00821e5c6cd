//! A caller that hangs up in every state of a dial: whoever rings or talks is let go, the application hears the end, and
//! nothing is left behind.

use crate::app_server::{AppServer, Reply};
use crate::applications::{MOBILE, RECEPTION, asked, lab_with, verbs};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use crate::live::{Live, TIMERS};
use portcullis::sim::{Call, Change, Dial, HoldForm, Script};
use serde_json::{Value, json};
use std::time::Duration;

/// A lab with one call, in the state in which its caller is to hang up.
struct Stage {
    server: AppServer,
    lab: Lab,
    idle: Live,
    caller: Call,
}

impl Stage {
    async fn set(application: Value, prepare: impl FnOnce(&Lab)) -> Stage {
        let server = AppServer::build()
            .on("/incoming", move |_| match &application {
                Value::Null => Reply::Stall(vec![]),
                application => verbs(application.clone()),
            })
            .on("/stall", |_| Reply::Stall(vec![]))
            .on("/prompt", |_| {
                verbs(
                    json!([{ "verb": "gather", "input": ["digits"], "numDigits": 1, "timeout": 60,
                    "play": { "url": "music.wav", "loop": 50 } }]),
                )
            })
            .on("/done", |_| verbs(json!([])))
            .on("/hold", |_| {
                verbs(json!([{ "verb": "play", "url": "music.wav", "loop": 50 }]))
            })
            .on("/status", |_| verbs(json!([])))
            .start()
            .await;
        let plan = Plan {
            machine: format!("initial_timeout = \"60s\"\ntimeout = \"60s\"\n{TIMERS}"),
            ..Plan::default()
        };
        let lab = lab_with(&server, &server.url("/incoming"), plan).await;
        prepare(&lab);
        let idle = Live::idle(&lab, &server).await;
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        Stage {
            server,
            lab,
            idle,
            caller,
        }
    }

    /// The caller hangs up; `callees` hear of it.
    async fn caller_leaves(self, status: &str, callees: &[&Call]) {
        self.caller.hang_up().await.unwrap();
        for callee in callees {
            callee.ended().await.unwrap();
        }
        self.lab.records.get(0).await;
        // The last event of every leg is told, the caller's as the last of all.
        let told = async {
            let mut count = 1;
            loop {
                let events = asked(&self.server, "/status", count).await;
                let own = &events[0]["call_sid"];
                let is_last = |event: &Value| event["call_sid"] == *own && event["call_status"] == status;
                if events.last().is_some_and(is_last) {
                    return events;
                }
                count = events.len() + 1;
            }
        };
        let events = tokio::time::timeout(BOUND, told)
            .await
            .expect("the caller's last event");
        let legs: std::collections::HashSet<&str> =
            events.iter().filter_map(|event| event["call_sid"].as_str()).collect();
        for leg in legs {
            let last = events.iter().rfind(|event| event["call_sid"] == leg).unwrap();
            let last = last["call_status"].as_str().unwrap_or_default();
            assert!(
                ["completed", "no-answer", "failed", "busy"].contains(&last),
                "{leg}: {last}"
            );
        }
        self.idle.returns(&self.lab, &self.server).await;
        assert_eq!(self.lab.records.overflows(), Vec::<&str>::new());
        self.lab.close().await;
    }
}

fn dial(more: Value) -> Value {
    let mut dial = json!({ "verb": "dial", "answerOnBridge": true, "actionHook": "/done",
        "target": [{ "type": "phone", "number": MOBILE }] });
    dial.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([dial])
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_application_has_answered() {
    let stage = Stage::set(Value::Null, |_| {}).await;
    asked(&stage.server, "/incoming", 1).await;
    stage.caller_leaves("no-answer", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_destination_has_not_said_anything() {
    let stage = Stage::set(dial(json!({})), |lab| lab.carrier.set_script(Script::silent())).await;
    asked(&stage.server, "/status", 2).await;
    stage.caller_leaves("no-answer", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_destination_rings() {
    let stage = Stage::set(dial(json!({})), |lab| lab.carrier.set_script(Script::no_answer())).await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.provisional(180).await.unwrap();
    stage.caller_leaves("no-answer", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_music_plays() {
    let stage = Stage::set(dial(json!({ "dialMusic": "music.wav" })), |lab| {
        lab.carrier.set_script(Script::no_answer());
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.hears(crate::applications::MUSIC_TONE).await.unwrap();
    stage.caller_leaves("no-answer", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_early_media_flows() {
    let stage = Stage::set(dial(json!({})), |lab| {
        lab.carrier.set_script(Script::early_media(Duration::from_secs(60)));
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.provisional(183).await.unwrap();
    stage.caller_leaves("no-answer", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_screening_is_asked_for() {
    let stage = Stage::set(dial(json!({ "confirmHook": "/stall" })), |lab| {
        lab.carrier.set_script(Script::answer());
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    asked(&stage.server, "/stall", 1).await;
    stage.caller_leaves("no-answer", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_is_screened_and_another_rings() {
    let target = json!([{ "type": "phone", "number": MOBILE }, { "type": "teams", "number": USER }]);
    let stage = Stage::set(dial(json!({ "confirmHook": "/prompt", "target": target })), |lab| {
        lab.carrier.set_script(Script::answer());
        lab.teams.set_script(Script::no_answer());
    })
    .await;
    let screened = stage.lab.carrier.incoming().await.unwrap();
    let ringing = stage.lab.teams.incoming().await.unwrap();
    screened.hears(crate::applications::MUSIC_TONE).await.unwrap();
    stage.caller_leaves("no-answer", &[&screened, &ringing]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_talks() {
    let stage = Stage::set(dial(json!({ "timeLimit": 600 })), |lab| {
        lab.carrier.set_script(Script::answer());
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.answered().await.unwrap();
    stage.caller.hears(crate::lab::CARRIER_TONE).await.unwrap();
    stage.caller_leaves("completed", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_on_hold() {
    let stage = Stage::set(dial(json!({ "onHoldHook": "/hold" })), |lab| {
        lab.carrier.set_script(Script::answer());
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.answered().await.unwrap();
    stage.caller.hears(crate::lab::CARRIER_TONE).await.unwrap();
    callee.change(Change::Hold(HoldForm::SendOnly)).await.unwrap();
    asked(&stage.server, "/hold", 1).await;
    stage.caller.hears(crate::applications::MUSIC_TONE).await.unwrap();
    stage.caller_leaves("completed", &[&callee]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_action_hook_is_asked() {
    let stage = Stage::set(dial(json!({ "actionHook": "/stall" })), |lab| {
        lab.carrier.set_script(Script::answer());
    })
    .await;
    let callee = stage.lab.carrier.incoming().await.unwrap();
    stage.caller.answered().await.unwrap();
    callee.hang_up().await.unwrap();
    asked(&stage.server, "/stall", 1).await;
    stage.caller_leaves("completed", &[]).await;
}
