//! Applications that leave the WebSocket of a call, lose it, move to another server, or say what can't be carried out: seen
//! on whole calls.

use crate::app_server::{AppServer, AppSocket, Reply};
use crate::applications::{RECEPTION, asked, lab, verbs};
use crate::lab::{BOUND, Lab, OUTSIDE, USER};
use portcullis::sim::{Call, Dial, Script};
use serde_json::{Value, json};

async fn calls(lab: &Lab) -> Call {
    lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap()
}

/// The first message of a connection, and that connection.
async fn begins(server: &mut AppServer, kind: &str) -> (AppSocket, Value) {
    let mut socket = server.socket().await;
    let first = socket.message().await;
    assert_eq!(first["type"], kind, "{first}");
    (socket, first)
}

/// What is said until the connection is closed, and its code.
async fn to_the_end(socket: &mut AppSocket) -> (Vec<Value>, Option<u16>) {
    let mut said = Vec::new();
    loop {
        match socket.event().await {
            Ok(message) => said.push(message),
            Err(code) => return (said, code),
        }
    }
}

fn statuses(said: &[Value]) -> Vec<&str> {
    let events = said.iter().filter(|message| message["type"] == "call:status");
    events
        .filter_map(|event| event["data"]["call_status"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_with_1000_is_asked_nothing_more_and_its_verbs_are_run() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    let verbs = json!([
        { "verb": "answer" },
        { "verb": "gather", "input": ["digits"], "timeout": 1, "actionHook": "/done" },
        { "verb": "redirect", "actionHook": "/more" },
        { "verb": "pause", "length": 1 },
        { "verb": "hangup", "headers": { "X-Left": "yes" } }
    ]);
    socket.ack(&first, verbs).await;
    caller.answered().await.unwrap();
    socket.close(1000).await;
    tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    let said = lab.carrier.transcript();
    let last = said
        .iter()
        .any(|message| String::from_utf8_lossy(message.as_bytes()).contains("X-Left: yes"));
    assert!(last, "the last of its verbs was run");
    assert_eq!(server.connections(), 1);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_made_anew_while_a_destination_rings_hears_the_end() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    lab.teams.set_script(Script::no_answer());
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    let dial = json!([{ "verb": "dial", "target": [{ "type": "teams", "number": USER }], "timeout": 3,
        "actionHook": "/done" }]);
    socket.ack(&first, dial).await;
    caller.answered().await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    while socket.message().await["data"]["call_status"] != "ringing" {}
    socket.crash();
    let (mut socket, again) = begins(&mut server, "session:reconnect").await;
    assert_eq!(again["data"], first["data"]);
    socket.ack(&again, json!([])).await;
    // The one rings on and is given up; what comes of it is told and asked over the new connection.
    let result = loop {
        let message = socket.message().await;
        if message["type"] == "verb:hook" {
            break message;
        }
    };
    assert_eq!(
        (&result["hook"], &result["data"]["dial_call_status"]),
        (&json!("/done"), &json!("no-answer"))
    );
    socket.ack(&result, json!([{ "verb": "hangup" }])).await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"completed"), Some(1000)));
    caller.ended().await.unwrap();
    callee.ended().await.unwrap();
    assert_eq!(lab.records.overflows(), Vec::<&str>::new());
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_call_is_told_over_the_connection_that_is_made_anew() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    socket.ack(&first, json!([{ "verb": "answer" }])).await;
    caller.answered().await.unwrap();
    let answered = loop {
        let told = socket.message().await;
        if told["data"]["call_status"] == "in-progress" {
            break told;
        }
    };
    socket.crash();
    // The call ends while nobody has taken the session up again. What was read right before the crash is told once more: nobody
    // has said that it was.
    let (mut socket, _again) = begins(&mut server, "session:reconnect").await;
    caller.hang_up().await.unwrap();
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!(
        (statuses(&said).as_slice(), code),
        (&["in-progress", "completed"][..], Some(1000))
    );
    assert_eq!(said[0], answered);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_just_when_the_connection_breaks_is_told_again() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    socket.ack(&first, json!([{ "verb": "answer" }])).await;
    caller.answered().await.unwrap();
    while socket.message().await["data"]["call_status"] != "in-progress" {}
    // Nothing more is read: the end of the call is on its way into a connection that breaks.
    caller.hang_up().await.unwrap();
    lab.records.get(0).await;
    socket.crash();
    let (mut socket, _again) = begins(&mut server, "session:reconnect").await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"completed"), Some(1000)));
    let told = lab.running.node.tally.untold.none();
    tokio::time::timeout(BOUND, told).await.expect("an end of what is told");
    lab.close().await;
}

/// Whoever takes a call too late hears so, how the call ended, and why the connection is closed.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_call_too_late_is_told() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, _new) = begins(&mut server, "session:new").await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"failed"), Some(1001)));
    let error = said.iter().find(|message| message["type"] == "jambonz:error");
    assert_eq!(
        error.map(|error| (&error["data"]["msg"], &error["data"]["details"])),
        Some((
            &json!("hook"),
            &json!("session:new was not acknowledged within 5000 ms")
        ))
    );
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_can_not_be_carried_out_hears_how_its_call_ends() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    socket
        .ack(&first, json!([{ "verb": "play", "url": "a.wav", "uri": "b.wav" }]))
        .await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"failed"), Some(1001)));
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_lead_to_the_server_that_a_redirect_has_led_to() {
    let other = AppServer::build()
        .on("/moved", |_| {
            verbs(json!([{ "verb": "redirect", "actionHook": "/next" }]))
        })
        .on("/next", |_| verbs(json!([{ "verb": "sip:decline", "status": 486 }])))
        .start()
        .await;
    let there = other.url("/moved");
    let first = AppServer::build()
        .on("/incoming", move |_| {
            verbs(json!([{ "verb": "redirect", "actionHook": there.as_str() }]))
        })
        .start()
        .await;
    let lab = lab(&first, &first.url("/incoming")).await;
    let caller = calls(&lab).await;
    assert_eq!(caller.ended().await.unwrap().status, Some(486));
    asked(&other, "/next", 1).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_a_fallback_lead_to_its_own_server() {
    let mut eye = AppServer::build().start().await;
    let see = eye.ws_url("/keys");
    let backup = AppServer::build()
        .on("/closed", move |_| {
            let gather = json!({ "verb": "gather", "input": ["digits"], "timeout": 0.1, "actionHook": "/next" });
            verbs(json!([gather, { "verb": "play", "url": "music.wav", "actionHook": see.as_str() }]))
        })
        .on("/next", |_| verbs(json!([])))
        .start()
        .await;
    for kind in ["http", "ws"] {
        let first = AppServer::build()
            .on("/incoming", |_| Reply::Json(500, Value::Null))
            .start()
            .await;
        let hook = first.url("/incoming").replacen("http", kind, 1);
        let lab = lab(&first, &format!("{hook}\"\nfallback = \"{}", backup.url("/closed"))).await;
        let caller = calls(&lab).await;
        caller.answered().await.unwrap();
        // What names a WebSocket is asked there too, where the application that failed had one.
        let (mut socket, told) = begins(&mut eye, "session:new").await;
        socket.ack(&told, json!([])).await;
        caller.ended().await.unwrap();
        lab.close().await;
    }
    asked(&backup, "/next", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_moves_to_another_server_when_that_has_taken_it() {
    let mut first = AppServer::build().start().await;
    let mut other = AppServer::build().start().await;
    let lab = lab(&first, &first.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut left, new) = begins(&mut first, "session:new").await;
    let there = json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": other.ws_url("/moved") }]);
    left.ack(&new, there).await;
    let (mut socket, moved) = begins(&mut other, "session:new").await;
    assert_eq!(moved["call_sid"], new["call_sid"]);
    let verbs = json!([{ "verb": "redirect", "actionHook": "/next" }]);
    socket.ack(&moved, verbs).await;
    assert_eq!(to_the_end(&mut left).await.1, Some(1000));
    let next = loop {
        let message = socket.message().await;
        if message["type"] == "session:redirect" {
            break message;
        }
    };
    assert_eq!(next["hook"], "/next");
    socket.ack(&next, json!([{ "verb": "hangup" }])).await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"completed"), Some(1000)));
    caller.ended().await.unwrap();
    assert_eq!(first.connections(), 1);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_where_it_is_when_its_application_speaks_before_the_other_has_taken_it() {
    let mut first = AppServer::build().start().await;
    let mut other = AppServer::build().start().await;
    let lab = lab(&first, &first.ws_url("/socket")).await;
    let caller = calls(&lab).await;
    let (mut socket, new) = begins(&mut first, "session:new").await;
    let there = json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": other.ws_url("/moved") }]);
    socket.ack(&new, there).await;
    let (mut late, _asked) = begins(&mut other, "session:new").await;
    let waits = json!([{ "verb": "pause", "length": 60 }, { "verb": "hangup" }]);
    socket
        .send(json!({ "type": "command", "command": "redirect", "data": waits }))
        .await;
    assert_eq!(to_the_end(&mut late).await.1, Some(1000));
    socket
        .send(json!({ "type": "command", "command": "redirect", "data": [{ "verb": "hangup" }] }))
        .await;
    let (said, code) = to_the_end(&mut socket).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"completed"), Some(1000)));
    caller.ended().await.unwrap();
    assert_eq!((first.connections(), other.connections()), (1, 1));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_at_another_server_when_the_first_goes_down_meanwhile() {
    let mut first = AppServer::build().start().await;
    let mut other = AppServer::build().start().await;
    let lab = lab(&first, &first.ws_url("/socket#rc=0")).await;
    let caller = calls(&lab).await;
    let (mut socket, new) = begins(&mut first, "session:new").await;
    let there = json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": other.ws_url("/moved") }]);
    socket.ack(&new, there).await;
    let (mut next, moved) = begins(&mut other, "session:new").await;
    socket.crash();
    let lost = async {
        while lab.running.node.tally.sessions.count() > 1 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(BOUND, lost).await.expect("the first is given up");
    next.ack(&moved, json!([{ "verb": "hangup" }])).await;
    let (said, code) = to_the_end(&mut next).await;
    assert_eq!((statuses(&said).last(), code), (Some(&"completed"), Some(1000)));
    caller.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_what_can_not_be_done_is_left_for_the_fallback() {
    let mut server = AppServer::build()
        .on("/closed", |_| verbs(json!([{ "verb": "sip:decline", "status": 486 }])))
        .start()
        .await;
    let hooks = format!("{}\"\nfallback = \"{}", server.ws_url("/socket"), server.url("/closed"));
    let lab = lab(&server, &hooks).await;
    let caller = calls(&lab).await;
    let (mut socket, first) = begins(&mut server, "session:new").await;
    socket.ack(&first, json!([{ "verb": "sey", "text": "hello" }])).await;
    assert_eq!(to_the_end(&mut socket).await.1, Some(1001));
    assert_eq!(caller.ended().await.unwrap().status, Some(486));
    lab.close().await;
}
