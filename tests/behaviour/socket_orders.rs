//! What an application orders over its WebSocket: other calls, and requests inside the dialog. And what it is told of a
//! call before it is asked about it.

use crate::app_server::{AppServer, AppSocket};
use crate::applications::{MOBILE, MUSIC_TONE, RECEPTION, lab, lab_with, verbs};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, USER};
use portcullis::sim::{Call, Dial, Script};
use portcullis::sip::{Message, Method};
use serde_json::{Value, json};
use std::collections::HashSet;

/// A call that is answered and whose application has nothing more to say.
async fn answered(server: &mut AppServer, lab: &Lab) -> (Call, AppSocket) {
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    assert_eq!(first["type"], "session:new");
    socket.ack(&first, json!([{ "verb": "answer" }])).await;
    caller.answered().await.unwrap();
    (caller, socket)
}

/// The next message of this type; status events of the call pass by.
async fn next(socket: &mut AppSocket, kind: &str) -> Value {
    loop {
        let message = socket.message().await;
        if message["type"] == kind {
            return message;
        }
        assert_eq!(message["type"], "call:status", "{message}");
    }
}

async fn command(socket: &mut AppSocket, command: &str, data: Value) {
    socket
        .send(json!({ "type": "command", "command": command, "data": data }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_places_another_call() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let (caller, mut socket) = answered(&mut server, &lab).await;
    lab.teams.set_script(Script::answer());
    let order = json!({ "from": RECEPTION, "to": { "type": "teams", "number": USER }, "call_hook": "/placed",
        "tag": { "order": 7 } });
    command(&mut socket, "dial", order.clone()).await;
    let callee = lab.teams.incoming().await.unwrap();
    // It has a connection of its own, at the path that was ordered, once it is answered.
    let mut placed = server.socket().await;
    assert_eq!(placed.request.path, "/placed");
    let first = placed.message().await;
    let properties = &first["data"];
    assert_eq!(
        (&first["type"], &properties["direction"], &properties["from"]),
        (&json!("session:new"), &json!("outbound"), &json!(RECEPTION))
    );
    assert_eq!(properties["customerData"], json!({ "order": 7 }));
    placed.ack(&first, json!([{ "verb": "pause", "length": 60 }])).await;
    // What happened before it was asked is told behind the question, in order.
    for status in ["trying", "in-progress"] {
        let told = next(&mut placed, "call:status").await;
        assert_eq!(
            (&told["data"]["call_status"], &told["call_sid"]),
            (&json!(status), &first["call_sid"])
        );
    }

    // The same checks as over REST.
    let with = |name: &str, value: Value| {
        let mut order = order.clone();
        order[name] = value;
        order
    };
    for (order, what, why) in [
        (with("from", json!("+12065550100")), "dial", "not a number of tenant"),
        (
            with("call_hook", json!("file:///etc/passwd")),
            "InvalidMessage",
            "call_hook",
        ),
        (with("to", json!({ "type": "telepathy" })), "InvalidMessage", "to.type"),
        (with("tmeout", json!(5)), "InvalidMessage", "timeout"),
    ] {
        command(&mut socket, "dial", order.clone()).await;
        let told = next(&mut socket, "jambonz:error").await;
        let details = told["data"]["details"].as_str().unwrap_or_default();
        assert_eq!(told["data"]["msg"], what, "{order}: {details}");
        assert!(details.contains(why), "{order}: {details}");
    }

    // Each ends by itself, and each event is told once.
    caller.hang_up().await.unwrap();
    command(&mut placed, "call:status", json!({ "call_status": "completed" })).await;
    callee.ended().await.unwrap();
    let last = placed.message().await;
    assert_eq!(
        (&last["type"], &last["data"]["call_status"]),
        (&json!("call:status"), &json!("completed"))
    );
    assert_eq!(placed.event().await, Err(Some(1000)));
    lab.records.get(1).await;
    let told = lab.running.node.tally.untold.none();
    tokio::time::timeout(BOUND, told).await.expect("an end of what is told");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_answers_is_told_of_over_a_connection_made_for_that() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let (_caller, mut socket) = answered(&mut server, &lab).await;
    lab.teams.set_script(Script::busy());
    let order = json!({ "from": RECEPTION, "to": { "type": "teams", "number": USER }, "call_hook": "/placed" });
    command(&mut socket, "dial", order).await;
    let mut told = server.socket().await;
    let mut seen = Vec::new();
    loop {
        match told.event().await {
            Ok(message) => {
                assert_eq!(message["type"], "call:status");
                seen.push(message["data"]["call_status"].clone());
            }
            Err(code) => {
                assert_eq!(
                    (seen.as_slice(), code),
                    (&[json!("trying"), json!("busy")][..], Some(1000))
                );
                break;
            }
        }
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_inside_the_dialog_reach_carriers_and_never_teams() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let (caller, mut socket) = answered(&mut server, &lab).await;
    let info = json!({ "method": "INFO", "headers": { "Content-Type": "application/x-note" }, "body": "hello",
        "actionHook": "/sent" });
    command(&mut socket, "sip:request", info).await;
    let told = next(&mut socket, "verb:hook").await;
    assert_eq!(
        (&told["hook"], &told["data"]["result"], &told["data"]["sip_status"]),
        (&json!("/sent"), &json!("success"), &json!(200))
    );
    lab.teams.set_script(Script::answer());
    let dial = json!([{ "verb": "dial", "target": [{ "type": "teams", "number": USER }] }]);
    command(&mut socket, "redirect", dial).await;
    let callee = lab.teams.incoming().await.unwrap();
    let own = told["call_sid"].clone();
    let child = loop {
        let told = next(&mut socket, "call:status").await;
        let data = &told["data"];
        if data["call_sid"] != own && data["call_status"] == "in-progress" {
            break data["call_sid"].clone();
        }
    };
    let request = json!({ "type": "command", "command": "sip:request", "callSid": child,
        "data": { "method": "INFO", "body": "hello" } });
    socket.send(request).await;
    let told = next(&mut socket, "jambonz:error").await;
    assert!(
        told["data"]["details"]
            .as_str()
            .unwrap()
            .contains("Teams takes no INFO"),
        "{told}"
    );
    let is_info = |message: &&Message| message.method() == Some(&Method::Info);
    assert_eq!(lab.teams.transcript().iter().filter(is_info).count(), 0);
    let heard = lab.carrier.transcript();
    // One may come again on its way.
    let numbers: HashSet<u32> = heard.iter().filter(is_info).map(|info| info.cseq().0).collect();
    assert_eq!(numbers.len(), 1);
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

/// Every event of a call over a WebSocket has its place in the queue: nothing is counted as dropped.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_a_call_is_not_lost() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    let told = socket.message().await;
    assert_eq!(
        (&first["type"], &told["type"]),
        (&json!("session:new"), &json!("call:status"))
    );
    assert_eq!(
        (&told["data"]["call_status"], &told["data"]["sequence"]),
        (&json!("trying"), &json!(1))
    );
    socket
        .ack(&first, json!([{ "verb": "sip:decline", "status": 486 }]))
        .await;
    assert_eq!(caller.ended().await.unwrap().status, Some(486));
    let told = next(&mut socket, "call:status").await;
    assert_eq!(told["data"]["call_status"], "failed");
    assert_eq!(lab.records.overflows(), Vec::<&str>::new());
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_can_not_be_carried_out_is_told_so_and_closed_with_1001() {
    let mut server = AppServer::build().start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    socket.ack(&first, json!([{ "verb": "sey", "text": "hello" }])).await;
    let error = next(&mut socket, "jambonz:error").await;
    let details = error["data"]["details"].as_str().unwrap_or_default();
    assert!(details.contains("did you mean say?"), "{error}");
    let code = loop {
        match socket.event().await {
            Ok(message) => assert_eq!(message["type"], "call:status", "{message}"),
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(1001));
    let ending = tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
    assert_eq!(ending.status, Some(480));
    lab.close().await;
}

/// Hooks over a WebSocket beside webhooks are asked and told at once, and lead nothing: with its verbs the call is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_beside_webhooks_leads_no_call() {
    let mut beside = AppServer::build().start().await;
    let url = beside.ws_url("/beside");
    let server = AppServer::build()
        .on("/incoming", move |_| {
            verbs(json!([{
                "verb": "dial", "answerOnBridge": true, "confirmHook": url, "actionHook": url,
                "dtmfHook": url, "dtmfCapture": ["*2"], "target": [{ "type": "phone", "number": MOBILE }],
            }]))
        })
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    let mut socket = beside.socket().await;
    let confirm = socket.message().await;
    assert_eq!(
        (&confirm["type"], &confirm["data"]["direction"]),
        (&json!("session:new"), &json!("outbound"))
    );
    socket.ack(&confirm, json!([])).await;
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.send_digits("*2").await.unwrap();
    let key = next(&mut socket, "verb:hook").await;
    assert_eq!(
        (&key["hook"], &key["data"]["dtmf"]),
        (&json!(beside.ws_url("/beside")), &json!("*2"))
    );
    callee.hang_up().await.unwrap();
    let done = next(&mut socket, "verb:hook").await;
    assert_eq!(done["data"]["dial_status"], "completed");
    socket.ack(&done, json!([])).await;
    caller.ended().await.unwrap();
    lab.close().await;
}

/// A number whose application is told of its calls elsewhere.
const WATCHED: &str = "+14255550176";

async fn watched(server: &AppServer, status_hook: &str) -> Lab {
    let tenant = format!(
        "[[numbers]]\nnumber = \"{WATCHED}\"\nto = {{ application = \"watched\" }}\n\n\
         [application.watched]\nhook = \"{}\"\ncall_status_hook = \"{status_hook}\"\n",
        server.url("/watched"),
    );
    let plan = Plan {
        tenant,
        ..Plan::default()
    };
    lab_with(server, &server.url("/incoming"), plan).await
}

/// What is only told over a WebSocket beside webhooks is told when it happens, and nobody has to acknowledge anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_hook_beside_webhooks_is_told_at_once() {
    let mut watcher = AppServer::build().start().await;
    let server = AppServer::build()
        .on("/watched", |_| {
            verbs(json!([{ "verb": "answer" }, { "verb": "pause", "length": 60 }]))
        })
        .start()
        .await;
    let lab = watched(&server, &watcher.ws_url("/events?key=1")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, WATCHED)).await.unwrap();
    let mut socket = watcher.socket().await;
    assert_eq!(socket.request.path, "/events");
    let new = socket.message().await;
    assert_eq!(
        (&new["type"], &new["data"]["direction"], new["data"].get("sequence")),
        (&json!("session:new"), &json!("inbound"), None)
    );
    for (sequence, status) in (1..).zip(["trying", "in-progress"]) {
        let told = next(&mut socket, "call:status").await;
        assert_eq!(
            (
                &told["data"]["call_status"],
                &told["data"]["sequence"],
                &told["call_sid"]
            ),
            (&json!(status), &json!(sequence), &new["call_sid"])
        );
    }
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let told = next(&mut socket, "call:status").await;
    assert_eq!(told["data"]["call_status"], "completed");
    assert_eq!(socket.event().await, Err(Some(1000)));
    assert_eq!(lab.records.overflows(), Vec::<&str>::new());
    lab.close().await;
}

/// A WebSocket beside webhooks orders nothing, and one that is lost is opened anew with what there is to tell next.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_hook_beside_webhooks_leads_nothing_and_may_come_back() {
    let mut watcher = AppServer::build().start().await;
    let mut other = AppServer::build().start().await;
    let confirm = other.ws_url("/confirm");
    let server = AppServer::build()
        .on("/watched", move |_| {
            verbs(json!([
                { "verb": "dial", "confirmHook": confirm, "target": [{ "type": "phone", "number": MOBILE }] },
            ]))
        })
        .start()
        .await;
    let lab = watched(&server, &format!("{}#rc=0", watcher.ws_url("/events"))).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, WATCHED)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    let mut judge = other.socket().await;
    let question = judge.message().await;
    judge.ack(&question, json!([])).await;
    callee.hears(CARRIER_TONE).await.unwrap();
    let mut socket = watcher.socket().await;
    let new = socket.message().await;
    assert_eq!(new["type"], "session:new");
    socket
        .send(json!({ "type": "command", "command": "redirect", "data": [{ "verb": "hangup" }] }))
        .await;
    let error = next(&mut socket, "jambonz:error").await;
    assert_eq!(error["data"]["msg"], "InvalidMessage");
    let details = error["data"]["details"].as_str().unwrap();
    assert!(details.contains("leads nothing"), "{details}");
    let both = lab.running.node.tally.sessions.count();
    socket.crash();
    let lost = async {
        while lab.running.node.tally.sessions.count() == both {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, lost).await.expect("it is given up");
    caller.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    let mut socket = watcher.socket().await;
    assert_eq!(socket.message().await["type"], "session:new");
    let own = new["call_sid"].clone();
    loop {
        let told = next(&mut socket, "call:status").await;
        if told["call_sid"] == own && told["data"]["call_status"] == "completed" {
            break;
        }
    }
    // Nobody else heard of the command.
    assert_eq!(judge.event().await, Err(Some(1000)));
    callee.ended().await.unwrap();
    lab.close().await;
}

/// Each WebSocket beside webhooks is asked and told what names it.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_beside_webhooks_are_each_at_their_own_server() {
    let mut judge = AppServer::build().start().await;
    let mut watcher = AppServer::build().start().await;
    let (confirm, done) = (judge.ws_url("/confirm"), watcher.ws_url("/keys"));
    let server = AppServer::build()
        .on("/incoming", move |_| {
            verbs(json!([{
                "verb": "dial", "answerOnBridge": true, "confirmHook": confirm,
                "dtmfHook": done, "dtmfCapture": ["1", "2"], "target": [{ "type": "phone", "number": MOBILE }],
            }]))
        })
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    let mut asked = judge.socket().await;
    let question = asked.message().await;
    assert_eq!(question["type"], "session:new");
    asked.ack(&question, json!([])).await;
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.send_digits("12").await.unwrap();
    let mut told = watcher.socket().await;
    assert_eq!(told.message().await["type"], "session:new");
    for key in ["1", "2"] {
        let pressed = told.message().await;
        assert_eq!(
            (&pressed["type"], &pressed["hook"], &pressed["data"]["dtmf"]),
            (&json!("verb:hook"), &json!(watcher.ws_url("/keys")), &json!(key))
        );
    }
    caller.hang_up().await.unwrap();
    for socket in [&mut asked, &mut told] {
        assert_eq!(socket.event().await, Err(Some(1000)));
    }
    lab.close().await;
}

/// A socket beside webhooks that is lost costs the call nothing, whether anybody talks in it or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_a_socket_beside_its_webhooks() {
    let mut beside = AppServer::build().start().await;
    let url = format!("{}#rc=0", beside.ws_url("/beside"));
    let server = AppServer::build()
        .on("/incoming", move |_| {
            verbs(json!([
                { "verb": "dial", "confirmHook": url, "target": [{ "type": "phone", "number": MOBILE }] },
                { "verb": "play", "url": "music.wav", "loop": 1_000 },
            ]))
        })
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    let mut socket = beside.socket().await;
    let confirm = socket.message().await;
    socket.ack(&confirm, json!([{ "verb": "hangup" }])).await;
    callee.ended().await.unwrap();
    caller.hears(MUSIC_TONE).await.unwrap();
    socket.crash();
    let lost = async {
        while lab.running.node.tally.sessions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, lost).await.expect("it is given up");
    caller.hears(MUSIC_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}
