//! Applications that are slow, huge, wrong, gone or malicious, on live calls: the caller is told, the record says why, and
//! nothing is left behind.

use crate::app_server::{AppRequest, AppServer, Reply};
use crate::applications::{RECEPTION, asked, lab_with, verbs};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use crate::live::{Live, TIMERS};
use portcullis::sim::{Dial, Script};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What `/incoming` is answered with, from now on.
type Said = Arc<Mutex<Reply>>;

fn say(said: &Said, reply: Reply) {
    *said.lock().unwrap() = reply;
}

/// An application that says what it is told to, at whatever path but `/done`, `/status` and `/played`.
async fn scripted() -> (AppServer, Said) {
    let said: Said = Arc::new(Mutex::new(Reply::Hangup));
    let script = {
        let said = said.clone();
        move |_: &AppRequest| said.lock().unwrap().clone()
    };
    let server = AppServer::build()
        .on("/incoming", script)
        .on("/done", |_| verbs(json!([{ "verb": "hangup" }])))
        .on("/played", |_| verbs(json!([{ "verb": "hangup" }])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    (server, said)
}

/// A lab that gives its applications more time than they need.
async fn patient(server: &AppServer, hook: &str) -> Lab {
    lab_that_waits(server, hook, "15s").await
}

/// A lab that soon gives up a first question: for those that will not answer it.
async fn impatient(server: &AppServer, hook: &str) -> Lab {
    lab_that_waits(server, hook, "400ms").await
}

async fn lab_that_waits(server: &AppServer, hook: &str, initial: &str) -> Lab {
    let plan = Plan {
        machine: format!("initial_timeout = \"{initial}\"\ntimeout = \"15s\"\n{TIMERS}"),
        ..Plan::default()
    };
    lab_with(server, hook, plan).await
}

fn json_body(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Body(200, "application/json", body.into())
}

/// Each reply costs its call, for a reason that is told with these words, and nothing of it stays.
async fn cost_their_calls(server: &AppServer, lab: Lab, said: &Said, cases: Vec<(&str, Reply, &str)>) {
    let idle = Live::idle(&lab, server).await;
    let count = cases.len();
    for (number, (name, reply, why)) in cases.into_iter().enumerate() {
        say(said, reply);
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        assert_eq!(caller.ended().await.unwrap().status, Some(480), "{name}");
        let record = lab.records.get(number).await;
        assert_eq!(record.cause.label(), "application_failed", "{name}");
        let alerts = lab.records.alerts();
        let (what, detail) = alerts.last().unwrap_or_else(|| panic!("{name}: no alert"));
        assert_eq!((alerts.len(), *what), (number + 1, "hook"), "{name}: {detail}");
        assert!(detail.contains(why), "{name}: {detail}");
        idle.soon_returns(&lab, server).await;
    }
    // The events of calls that never met verbs were told all the same.
    let told = asked(server, "/status", 3 * count).await;
    let told_as = |name: &str, value: &str| told.iter().filter(|event| event[name] == value).count();
    assert_eq!(
        (told_as("call_status", "failed"), told_as("error", "hook")),
        (count, count)
    );
    idle.returns(&lab, server).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_does_not_come_to_an_end_costs_its_call_and_nothing_stays() {
    let (server, said) = scripted().await;
    let lab = impatient(&server, &server.url("/incoming")).await;
    let head = b"HTTP/1.1 200 OK\r\nx: ";
    let cases = vec![
        ("slow", Reply::Stall(vec![]), "no whole answer"),
        (
            "dribbling",
            Reply::Dribble(head, Duration::from_millis(20)),
            "no whole answer",
        ),
    ];
    cost_their_calls(&server, lab, &said, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_brings_no_verbs_costs_its_call_and_nothing_stays() {
    let (server, said) = scripted().await;
    let lab = patient(&server, &server.url("/incoming")).await;
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let deep_object = format!(
        "[{{\"verb\":\"tag\",\"data\":{}1{}}}]",
        "{\"a\":".repeat(1_000),
        "}".repeat(1_000)
    );
    let cases = vec![
        ("huge", json_body(vec![b' '; 300_000]), "longer than"),
        ("no HTTP", Reply::Raw(b"SIP/2.0 200 OK\r\n\r\n".to_vec()), "no HTTP"),
        ("gone at once", Reply::Hangup, "connection broke"),
        ("refusing", Reply::Json(503, Value::Null), "status 503"),
        ("no JSON", json_body("[{"), ""),
        ("1,000 deep", json_body(deep), ""),
        ("1,000 deep inside a verb", json_body(deep_object), ""),
        ("another thing", json_body("\"hello\""), ""),
        ("unknown verb", verbs(json!([{ "verb": "dail" }])), "dial"),
        ("without verbs", verbs(json!([])), "no verbs"),
        (
            "plain text",
            Reply::Body(200, "text/plain", b"[]".to_vec()),
            "text/plain, not application/json",
        ),
        (
            "leading inside",
            Reply::Redirect(307, "http://169.254.169.254/latest/".into()),
            "link-local",
        ),
        (
            "leading to a file",
            Reply::Redirect(307, "file:///etc/passwd".into()),
            "file",
        ),
        (
            "leading in circles",
            Reply::Redirect(307, "/incoming".into()),
            "redirect",
        ),
    ];
    cost_their_calls(&server, lab, &said, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_server_that_is_gone_costs_its_call() {
    let (server, _) = scripted().await;
    let (gone, _) = scripted().await;
    let lab = patient(&server, &gone.url("/incoming")).await;
    let idle = Live::idle(&lab, &server).await;
    drop(gone);
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    idle.returns(&lab, &server).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_in_any_value_reaches_nobody() {
    let (server, said) = scripted().await;
    let lab = patient(&server, &server.url("/incoming")).await;
    let idle = Live::idle(&lab, &server).await;
    let evil = "x\r\nX-Evil: 1";
    let dial = |target: Value| json!([{ "verb": "dial", "target": [target] }]);
    let phone = |name: &str, value: Value| {
        let mut target = json!({ "type": "phone", "number": "+441632960002" });
        target[name] = value;
        dial(target)
    };
    let dial_with = |name: &str, value: Value| {
        let mut verb = json!({ "verb": "dial", "target": [{ "type": "phone", "number": "+441632960002" }] });
        verb[name] = value;
        json!([verb])
    };
    let cases = [
        json!([{ "verb": "sip:decline", "status": 486, "reason": evil }]),
        json!([{ "verb": "sip:decline", "status": 486, "headers": { "X-Note": evil } }]),
        json!([{ "verb": "sip:decline", "status": 486, "headers": { evil: "1" } }]),
        json!([{ "verb": "answer" }, { "verb": "hangup", "headers": { "X-Note": evil } }]),
        json!([{ "verb": "answer" }, { "verb": "sip:request", "method": evil }]),
        json!([{ "verb": "answer" }, { "verb": "sip:request", "method": "INFO", "headers": { "Content-Type": evil } }]),
        json!([{ "verb": "answer" }, { "verb": "sip:refer", "referTo": evil }]),
        json!([{ "verb": "answer" }, { "verb": "sip:refer", "referTo": "+441632960002", "referredBy": evil }]),
        json!([{ "verb": "answer" }, { "verb": "dtmf", "dtmf": "1\r\n2" }]),
        json!([{ "verb": "redirect", "actionHook": format!("/again{evil}") }]),
        json!([{ "verb": "play", "url": format!("http://127.0.0.1/{evil}"), "actionHook": "/played" }]),
        phone("number", json!(evil)),
        phone("trunk", json!(evil)),
        phone("headers", json!({ "X-Note": evil })),
        phone("headers", json!({ evil: "1" })),
        phone("from", json!({ "user": evil })),
        phone("from", json!({ "host": evil })),
        phone("auth", json!({ "username": evil, "password": "1" })),
        phone("confirmHook", json!(format!("/screen{evil}"))),
        dial(json!({ "type": "sip", "sipUri": format!("sip:1@sip.example.com{evil}") })),
        dial(json!({ "type": "sip", "sipUri": "sip:1@sip.example.com", "proxy": evil })),
        dial(json!({ "type": "user", "name": format!("{evil}@sip.contoso.example") })),
        dial(json!({ "type": "teams", "number": USER, "tenant": evil })),
        dial_with("callerId", json!(evil)),
        dial_with("callerName", json!(evil)),
        dial_with("headers", json!({ "X-Note": evil })),
        dial_with("proxy", json!(evil)),
        dial_with("dialMusic", json!(evil)),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        say(&said, verbs(case.clone()));
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        tokio::time::timeout(BOUND, caller.ended()).await.unwrap().unwrap();
        lab.records.get(number).await;
        assert!(lab.records.alerts().len() > number, "{case}: nobody was told");
        idle.soon_returns(&lab, &server).await;
    }
    let mut heard = lab.carrier.transcript();
    heard.extend(lab.teams.transcript());
    for message in heard {
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        assert!(!text.lines().any(|line| line.starts_with("X-Evil")), "{text}");
        assert_ne!(message.cseq_method().as_str(), "REFER", "{text}");
    }
    idle.returns(&lab, &server).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_to_metadata_and_files_are_never_opened() {
    let (server, said) = scripted().await;
    let lab = patient(&server, &server.url("/incoming")).await;
    let idle = Live::idle(&lab, &server).await;
    let urls = [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "ws://169.254.169.254/",
        "file:///etc/passwd",
        "../../../etc/passwd",
        "gopher://169.254.169.254/",
    ];
    for (number, url) in urls.into_iter().enumerate() {
        // As a sound, then as the hook that the failure leads to.
        say(
            &said,
            verbs(json!([
                { "verb": "play", "url": url, "actionHook": "/played" },
                { "verb": "hangup" }
            ])),
        );
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        caller.ended().await.unwrap();
        say(
            &said,
            verbs(json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": url }])),
        );
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        caller.ended().await.unwrap();
        lab.records.get(number * 2 + 1).await;
        assert!(lab.records.alerts().len() > number, "{url}: nobody was told");
        idle.soon_returns(&lab, &server).await;
    }
    for played in asked(&server, "/played", 0).await {
        assert_eq!(played["reason"], "playFailed", "{played}");
    }
    idle.returns(&lab, &server).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_replaces_itself_for_ever_is_stopped() {
    let (server, said) = scripted().await;
    let lab = patient(&server, &server.url("/incoming")).await;
    let idle = Live::idle(&lab, &server).await;
    let again = json!({ "verb": "redirect", "actionHook": "/incoming" });
    for (number, (before, status)) in [
        (json!([again]), Some(480)),
        (json!([{ "verb": "answer" }, again]), None),
    ]
    .into_iter()
    .enumerate()
    {
        say(&said, verbs(before));
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        assert_eq!(caller.ended().await.unwrap().status, status);
        let record = lab.records.get(number).await;
        assert_eq!(record.cause.label(), "application_failed");
        let alerts = lab.records.alerts();
        assert_eq!((alerts.len(), alerts.last().unwrap().0), (number + 1, "replaced"));
    }
    idle.returns(&lab, &server).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_silent_talks_nonsense_or_breaks_costs_its_call() {
    let mut server = AppServer::build().on("/status", |_| verbs(json!([]))).start().await;
    let lab = patient(&server, &server.ws_url("/socket#rc=0")).await;
    lab.teams.set_script(Script::answer());
    let idle = Live::idle(&lab, &server).await;
    let deep = "[".repeat(1_000);
    for number in 0..3 {
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
        let mut socket = server.socket().await;
        let first = socket.message().await;
        match number {
            // Breaks before it has said anything.
            0 => {
                socket.crash();
                assert_eq!(caller.ended().await.unwrap().status, Some(480));
            }
            // Says too much, and then too long a thing.
            1 => {
                socket.ack(&first, json!([{ "verb": "answer" }])).await;
                caller.answered().await.unwrap();
                for _ in 0..50 {
                    socket.send_text(&deep).await;
                    socket
                        .send(json!({ "type": "command", "command": "explode", "data": {} }))
                        .await;
                }
                socket.send_text(&"x".repeat(300_000)).await;
                caller.ended().await.unwrap();
            }
            // Breaks in the middle of a bridge.
            _ => {
                let dial = json!([{ "verb": "dial", "target": [{ "type": "teams", "number": USER }] }]);
                socket.ack(&first, dial).await;
                let callee = lab.teams.incoming().await.unwrap();
                callee.answered().await.unwrap();
                caller.answered().await.unwrap();
                let known = lab.records.alerts().len();
                socket.crash();
                let lost = async {
                    while lab.records.alerts().len() == known {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(BOUND, lost).await.unwrap();
                // The two talk on; what would come next, nobody says.
                callee.hang_up().await.unwrap();
                caller.ended().await.unwrap();
            }
        }
        lab.records.get(number).await;
        idle.soon_returns(&lab, &server).await;
    }
    assert!(lab.records.alerts().iter().any(|(what, _)| *what == "websocket"));
    idle.returns(&lab, &server).await;
    lab.close().await;
}
