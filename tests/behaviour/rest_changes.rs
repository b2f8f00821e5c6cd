//! Calls changed over REST while they last.

use crate::app_server::{AppServer, Reply};
use crate::calls_in_progress::hears_digits;
use crate::device::{Device, is};
use crate::lab::USER;
use crate::rest::{OWN, Rest, to_teams};
use portcullis::app::payload::{Properties, Status};
use portcullis::app::sid::CallSid;
use portcullis::call::{CallFacts, CallId, CallStatus, Command, Direction, Event, LineStatus, LiveCall, Phase, Wish};
use portcullis::sim::Script;
use portcullis::sip::HeaderName;
use serde_json::json;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_sent_to_another_application_while_it_lasts() {
    let rest = Rest::start(|_| Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))).await;
    rest.lab.teams.set_script(Script::answer());
    let order = json!({ "from": OWN, "to": to_teams(), "call_hook": rest.server.url("/incoming") });
    let (status, placed) = rest.ask("POST", &rest.calls(), order).await;
    assert_eq!(status, 201, "{placed}");
    let callee = rest.lab.teams.incoming().await.unwrap();
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    rest.turns(&call, "in-progress").await;
    let next = AppServer::build()
        .on("/next", |_| Reply::Json(200, json!([{ "verb": "hangup" }])))
        .start()
        .await;
    assert_eq!(
        rest.ask("PUT", &call, json!({ "call_hook": next.url("/next") }))
            .await
            .0,
        202
    );
    callee.ended().await.unwrap();
    assert_eq!(next.requests()[0].json()["call_sid"], placed["sid"]);
    // Who is steered by a hook of its own has no application that a sid could name.
    for asked in [&rest.asked("/incoming").await, &next.requests()[0]] {
        let told = asked.json();
        assert_eq!(
            (told.get("application_sid"), told.get("account_sid").is_some()),
            (None, true)
        );
    }
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_a_call_that_rings_hears_how_it_ended_and_nobody_else_does() {
    let rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
    let mut next = AppServer::build().start().await;
    rest.lab.teams.set_script(Script::no_answer());
    let order = json!({ "from": OWN, "to": to_teams(), "call_hook": rest.server.ws_url("/socket") });
    let (status, placed) = rest.ask("POST", &rest.calls(), order).await;
    assert_eq!(status, 201, "{placed}");
    let callee = rest.lab.teams.incoming().await.unwrap();
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    rest.turns(&call, "ringing").await;
    let hook = json!({ "call_hook": next.ws_url("/socket") });
    assert_eq!(rest.ask("PUT", &call, hook).await.0, 202);
    let over = json!({ "call_status": "completed" });
    assert_eq!(rest.ask("PUT", &call, over).await.0, 202);
    let mut socket = next.socket().await;
    let mut heard = Vec::new();
    while let Ok(message) = socket.event().await {
        heard.push(message["data"]["call_status"].clone());
    }
    assert_eq!(heard.last(), Some(&json!("no-answer")), "{heard:?}");
    callee.ended().await.unwrap();
    assert_eq!(rest.server.connections(), 0);
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_connected_application_are_led_to_no_other_socket() {
    let mut rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
    rest.lab.teams.set_script(Script::answer());
    let order = json!({ "from": OWN, "to": to_teams(), "call_hook": rest.server.ws_url("/socket") });
    let (status, placed) = rest.ask("POST", &rest.calls(), order).await;
    assert_eq!(status, 201, "{placed}");
    let mut socket = rest.server.socket().await;
    let new = socket.message().await;
    socket.ack(&new, json!([{ "verb": "pause", "length": 60 }])).await;
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    rest.turns(&call, "in-progress").await;
    let other = AppServer::build().start().await;
    let there = |path: &str| json!({ "call_hook": path, "call_status_hook": other.ws_url("/told") });
    let (status, answer) = rest.ask("PUT", &call, there("/next")).await;
    let msg = answer["msg"].as_str().unwrap_or_default();
    assert_eq!(status, 400, "{answer}");
    assert!(
        msg.starts_with("call_status_hook: events of an application on the WebSocket API"),
        "{msg}"
    );
    // Where the application goes there itself, they go with it.
    assert_eq!(rest.ask("PUT", &call, there(&other.ws_url("/next"))).await.0, 202);
    assert_eq!(
        rest.ask("PUT", &call, json!({ "call_status": "completed" })).await.0,
        202
    );
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_two_things_reaches_a_busy_call_as_a_whole() {
    let rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
    let call_sid = CallSid::from_random(7);
    let (call, mut events) = live(&rest, &[call_sid]);
    let path = format!("{}/{call_sid}", rest.calls());
    let change = json!({ "whisper": { "verb": "play", "url": "a.wav" }, "mute_status": "mute" });
    assert_eq!(rest.ask("PUT", &path, change.clone()).await.0, 202);
    let Event::Command(command) = *events.recv().await.unwrap() else {
        panic!("a command");
    };
    let Command {
        leg,
        wish: Wish::All(wishes),
        ..
    } = *command
    else {
        panic!("{command:?}");
    };
    assert_eq!((leg, wishes.len(), events.is_empty()), (Some(call_sid), 2, true));
    assert_eq!(rest.ask("PUT", &path, change.clone()).await.0, 202);
    assert_eq!(rest.ask("PUT", &path, change).await.0, 429, "nothing of it");
    assert_eq!(events.len(), 1);
    rest.lab.running.node.calls.remove(call.id);
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_that_is_screened_gets_no_other_application() {
    let rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
    let [caller, screened] = [7, 8].map(CallSid::from_random);
    let (call, events) = live(&rest, &[caller, screened]);
    let path = format!("{}/{screened}", rest.calls());
    let hook = rest.server.url("/incoming");
    for (change, why) in [
        (
            json!({ "call_hook": hook }),
            "call_hook: the caller does not talk to this leg: it is screened, or gone",
        ),
        (
            json!({ "child_call_hook": hook }),
            "child_call_hook: the caller talks to no callee",
        ),
    ] {
        let (status, told) = rest.ask("PUT", &path, change).await;
        assert_eq!((status, told["msg"].as_str()), (422, Some(why)));
    }
    assert!(events.is_empty());
    rest.lab.running.node.calls.remove(call.id);
    rest.close().await;
}

/// A call that lives in the directory alone, with these legs that have answered, and what it would hear of. Nobody in it is
/// bridged.
fn live(rest: &Rest, legs: &[CallSid]) -> (LiveCall, mpsc::Receiver<Box<Event>>) {
    let node = &rest.lab.running.node;
    let facts = CallFacts {
        direction: Direction::Placed,
        tenant: "contoso".into(),
        carrier: None,
        from: OWN.into(),
        to: USER.into(),
        emergency: false,
        elin: None,
        began_unix_ms: 0,
        trace: Vec::new(),
    };
    // Room for one event more, beside what is left to events that come once.
    let (mailbox, events) = mpsc::channel(129);
    let call = LiveCall::new(CallId::from_random(7), node.clock.now(), facts, mailbox);
    assert!(node.calls.add(call.clone()));
    let line = |call_sid: &CallSid| LineStatus {
        call_sid: *call_sid,
        status: Status::InProgress,
        properties: Properties::new(),
    };
    node.calls.publish(
        &call,
        CallStatus {
            phase: Phase::Answered,
            answered: None,
            ended: None,
            emergency: false,
            peer: None,
            talkers: Vec::new(),
            transfer: None,
            bridged: None,
            lines: legs.iter().map(line).collect(),
            past: Vec::new(),
            terms: None,
        },
    );
    (call, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sip_request_reaches_the_far_side_and_its_answer_comes_back() {
    let rest = Rest::start(|_| Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))).await;
    let mut phone = Device::udp(&rest.lab, 11, "alice", "wonderland").await;
    assert_eq!(phone.register(600).await.status(), Some(200));
    let order = json!({ "from": OWN, "to": { "type": "user", "name": "alice" },
        "application_sid": rest.application().await });
    // 201 comes once the INVITE has left, and the phone rings meanwhile.
    let calls = rest.calls();
    let placing = rest.ask("POST", &calls, order);
    let answering = async {
        let invite = phone.ring().await;
        phone.accept(&invite).await;
    };
    let ((status, placed), ()) = tokio::join!(placing, answering);
    assert_eq!(status, 201, "{placed}");
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    rest.turns(&call, "in-progress").await;

    let wish = json!({ "sip_request": { "method": "INFO", "content_type": "application/x-lamp",
        "content": "on", "headers": { "X-Room": "7" } } });
    for (status, phrase) in [(200, "OK"), (405, "Method Not Allowed")] {
        let asking = rest.ask("PUT", &call, wish.clone());
        let hearing = async {
            let info = phone.receive(|message| is(message, "INFO")).await;
            phone.reply(&info, &format!("{status} {phrase}"), "", "").await;
            info
        };
        let (answer, info) = tokio::join!(asking, hearing);
        assert_eq!(answer, (200, json!({ "status": status, "reason": phrase })));
        assert_eq!(info.header(HeaderName::ContentType), Some("application/x-lamp"));
        assert_eq!((info.body(), info.header_named("X-Room")), (&b"on"[..], Some("7")));
    }
    let hang_up = json!({ "call_status": "completed" });
    assert_eq!(rest.ask("PUT", &call, hang_up).await.0, 202);
    let bye = phone.receive(|message| is(message, "BYE")).await;
    phone.reply(&bye, "200 OK", "", "").await;
    rest.lab.records.get(0).await;
    rest.close().await;
}

/// Whether keys can be sent the call alone knows: the answer waits for its word.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_sent_where_somebody_has_answered_and_refused_while_it_rings() {
    let rest = Rest::start(|_| Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))).await;
    let order = json!({ "from": OWN, "to": to_teams(), "application_sid": rest.application().await });
    let keys = |digits: &str| json!({ "dtmf": { "digit": digits, "duration": 100 } });
    for (script, status) in [(Script::no_answer(), "ringing"), (Script::answer(), "in-progress")] {
        rest.lab.teams.set_script(script);
        let (placing, placed) = rest.ask("POST", &rest.calls(), order.clone()).await;
        assert_eq!(placing, 201, "{placed}");
        let callee = rest.lab.teams.incoming().await.unwrap();
        let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
        rest.turns(&call, status).await;
        let (sent, answer) = rest.ask("PUT", &call, keys("42")).await;
        match status {
            "ringing" => assert_eq!((sent, answer["msg"].is_string()), (422, true), "{answer}"),
            _ => {
                assert_eq!((sent, &answer), (202, &json!(null)));
                hears_digits(&callee, "42").await;
            }
        }
        let over = json!({ "call_status": "completed" });
        assert_eq!(rest.ask("PUT", &call, over).await.0, 202);
        callee.ended().await.unwrap();
    }
    rest.close().await;
}
