//! Calls placed, shown, changed and ended over REST: a real listener, a real node, real peers.

use crate::app_server::{AppRequest, AppServer, Reply};
use crate::device::{Device, is};
use crate::lab::{BOUND, Lab, Plan, USER};
use portcullis::api::rest::{Account, CallDesk, NodeDesk, Refusal};
use portcullis::api::{HttpServer, serve_rest};
use portcullis::app::payload::{Properties, Status};
use portcullis::app::sid::CallSid;
use portcullis::call::{CallFacts, CallId, CallStatus, Command, Direction, Event, LineStatus, LiveCall, Phase, Wish};
use portcullis::config::{Purpose, TenantId, TokenDigest};
use portcullis::sim::Script;
use portcullis::sip::HeaderName;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

const TOKEN: &str = "pct_test";
/// A number of the tenant.
const OWN: &str = "+14255550177";

struct Rest {
    server: AppServer,
    lab: Lab,
    desk: Arc<NodeDesk>,
    http: HttpServer,
    account: String,
}

impl Rest {
    /// A node whose account has the application `reception`, asked at `/incoming`, and an application server.
    async fn start(script: impl Fn(&AppRequest) -> Reply + Send + Sync + 'static) -> Rest {
        Rest::with("", script).await
    }

    /// The same with further lines of `sbc.toml`, and with users.
    async fn with(machine: &str, script: impl Fn(&AppRequest) -> Reply + Send + Sync + 'static) -> Rest {
        let server = AppServer::build()
            .on("/incoming", script)
            .on("/status", |_| Reply::Json(200, json!([])))
            .start()
            .await;
        let tenant = format!(
            "[[tokens]]\nname = \"test\"\nsha256 = \"{}\"\n\n[application.reception]\nhook = \"{}\"\n\
             call_status_hook = \"{}\"\n",
            TokenDigest::of(TOKEN),
            server.url("/incoming"),
            server.url("/status")
        );
        let lab = Lab::with(Plan {
            machine: format!("[application_servers]\nallow_loopback = true\n{machine}"),
            users: true,
            tenant,
            ..Plan::default()
        })
        .await;
        let desk = Arc::new(NodeDesk::new(lab.running.node.clone()));
        let http = serve_rest(([127, 0, 0, 1], 0).into(), desk.clone()).await.unwrap();
        let account = desk.account(&TokenDigest::of(TOKEN)).unwrap().sid;
        Rest {
            server,
            lab,
            desk,
            http,
            account,
        }
    }

    fn calls(&self) -> String {
        format!("/v1/Accounts/{}/Calls", self.account)
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, _, body) = self.answer(method, path, body).await;
        (status, body)
    }

    /// Status, head and body of the answer.
    async fn answer(&self, method: &str, path: &str, body: Value) -> (u16, String, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sbc\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let asking = async {
            let mut stream = TcpStream::connect(self.http.address()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(BOUND, asking).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (status, head.to_ascii_lowercase(), body)
    }

    /// The sid of the account's only application.
    async fn application(&self) -> Value {
        let (status, applications) = self.ask("GET", "/v1/Applications", Value::Null).await;
        assert_eq!((status, applications[0]["name"].as_str()), (200, Some("reception")));
        applications[0]["application_sid"].clone()
    }

    /// Waits until the call has this status.
    async fn turns(&self, call: &str, status: &str) -> Value {
        let wait = async {
            loop {
                let (_, shown) = self.ask("GET", call, Value::Null).await;
                if shown["call_status"] == status {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("the status")
    }

    /// The first request of this path, as soon as it has come.
    async fn asked(&self, path: &str) -> AppRequest {
        let wait = async {
            loop {
                let requests = self.server.requests();
                if let Some(request) = requests.into_iter().find(|request| request.path == path) {
                    return request;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("a request")
    }

    async fn close(self) {
        self.http.shut_down(Duration::from_secs(1)).await;
        self.lab.close().await;
    }
}

fn to_teams() -> Value {
    json!({ "type": "teams", "number": USER })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_placed_shown_and_ended() {
    let rest = Rest::start(|_| Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))).await;
    rest.lab.teams.set_script(Script::answer());
    // As clients of jambonz write numbers.
    let order = json!({ "from": &OWN[1..], "to": to_teams(), "application_sid": rest.application().await,
        "tag": { "order": 7 } });
    let (status, placed) = rest.ask("POST", &rest.calls(), order).await;
    assert_eq!(status, 201, "{placed}");
    let callee = rest.lab.teams.incoming().await.unwrap();
    assert!(!placed["callId"].as_str().unwrap().is_empty());
    let sid = placed["sid"].as_str().unwrap();
    let call = format!("{}/{sid}", rest.calls());
    let shown = rest.turns(&call, "in-progress").await;
    assert_eq!(
        (&shown["direction"], &shown["from"], &shown["to"]),
        (&json!("outbound"), &json!(OWN), &json!(USER))
    );
    let hook = rest.asked("/incoming").await;
    assert_eq!(
        (&hook.json()["call_sid"], &hook.json()["customerData"]),
        (&placed["sid"], &json!({ "order": 7 }))
    );
    let ours = {
        let config = rest.lab.running.node.config.load();
        let listener = config
            .sbc
            .listeners
            .iter()
            .find(|listener| listener.purpose == Purpose::Teams);
        let listener = listener.unwrap();
        format!("{}:{}", listener.advertise, listener.advertise_port)
    };
    assert_eq!(hook.json()["fs_sip_address"], ours);

    let (_, listed) = rest
        .ask("GET", &format!("{}?direction=outbound", rest.calls()), Value::Null)
        .await;
    assert_eq!(
        (listed.as_array().map(Vec::len), &listed[0]["call_sid"]),
        (Some(1), &placed["sid"])
    );
    let count = rest
        .ask("GET", &format!("/v1/Accounts/{}/CallCount", rest.account), Value::Null)
        .await;
    assert_eq!(count, (200, json!({ "inbound": 0, "outbound": 1 })));
    assert_eq!(
        rest.ask("DELETE", &call, Value::Null).await.0,
        422,
        "a live call keeps its record"
    );

    // Another account sees nothing of it.
    let stranger = Account {
        sid: "00000000-0000-4000-8000-000000000000".to_owned(),
        tenant: TenantId::parse("fabrikam").unwrap(),
        token: "test".to_owned(),
    };
    let hang_up = json!({ "call_status": "completed" });
    assert!(rest.desk.calls(&stranger).is_empty());
    assert_eq!(rest.desk.call(&stranger, sid), None);
    assert_eq!(
        rest.desk.update(&stranger, sid, hang_up.clone()).await,
        Err(Refusal::NoSuchCall)
    );
    assert_eq!(rest.desk.forget(&stranger, sid), Err(Refusal::NoSuchCall));
    assert_eq!(
        (rest.desk.count(&stranger).inbound, rest.desk.count(&stranger).outbound),
        (0, 0)
    );

    let (status, wrong) = rest.ask("PUT", &call, json!({ "call_status": "over" })).await;
    assert_eq!((status, wrong["msg"].is_string()), (400, true));
    assert_eq!(rest.ask("PUT", &call, hang_up.clone()).await, (202, Value::Null));
    callee.ended().await.unwrap();
    rest.turns(&call, "completed").await;
    let record = rest.lab.records.get(0).await;
    assert_eq!(record.status, 200);
    let rules: Vec<&str> = record.facts.trace.iter().map(|step| &*step.rule).collect();
    assert_eq!(
        rules,
        ["target", "caller", "teams", "hop"],
        "how its target was planned"
    );
    assert_eq!(rest.ask("POST", &call, hang_up).await.0, 422, "it is over");
    // Its record is written a moment before it counts as over.
    let mut forgotten = rest.ask("DELETE", &call, Value::Null).await.0;
    let begun = Instant::now();
    while forgotten == 422 && begun.elapsed() < BOUND {
        forgotten = rest.ask("DELETE", &call, Value::Null).await.0;
    }
    assert_eq!(forgotten, 204);
    assert_eq!(rest.ask("GET", &call, Value::Null).await.0, 404);
    rest.close().await;
}

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
async fn a_busy_callee_and_a_time_limit_end_a_placed_call() {
    let rest = Rest::start(|_| Reply::Json(200, json!([{ "verb": "pause", "length": 60 }]))).await;
    rest.lab.teams.set_script(Script::busy());
    let mut order = json!({ "from": OWN, "to": to_teams(), "application_sid": rest.application().await });
    let (_, placed) = rest.ask("POST", &rest.calls(), order.clone()).await;
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    let shown = rest.turns(&call, "busy").await;
    assert_eq!(shown["sip_status"], 486);
    assert!(
        rest.server.requests().iter().all(|request| request.path != "/incoming"),
        "nobody answered"
    );

    rest.lab.teams.set_script(Script::answer());
    order["timeLimit"] = json!(1);
    let (_, placed) = rest.ask("POST", &rest.calls(), order).await;
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    rest.turns(&call, "completed").await;
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_can_not_be_carried_out_says_why() {
    let rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
    let sid = rest.application().await;
    for (order, words) in [
        (json!({ "from": OWN, "to": to_teams() }), "application_sid"),
        (
            json!({ "from": OWN, "to": to_teams(), "call_hook": "/incoming" }),
            "call_hook: \"/incoming\" is a path, and there is no application's URL",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "call_hook": "file:///etc/passwd" }),
            "call_hook",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "application_sid": sid, "call_status_hook": "told" }),
            "call_status_hook: the URL is neither a whole one nor a path",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "call_hook": "http://169.254.169.254/" }),
            "call_hook: 169.254.169.254 is never asked: it is link-local",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "application_sid": sid, "call_status_hook": "http://10.0.0.1/" }),
            "call_status_hook: 10.0.0.1 is never asked: it is private",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "call_hook": "http://app.example/#rp=zz" }),
            "`rp=zz`",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "application_sid": "00000000-0000-4000-8000-000000000000" }),
            "application_sid",
        ),
        (
            json!({ "from": "+12065550100", "to": to_teams(), "application_sid": sid }),
            "not a number of tenant",
        ),
        (
            json!({ "from": "alice", "to": to_teams(), "application_sid": sid }),
            "from: 'alice' is no E.164",
        ),
        (
            json!({ "from": "+12065550199", "to": to_teams(), "application_sid": sid }),
            "from: +12065550199 is not a number",
        ),
        (
            json!({ "from": OWN, "to": { "type": "teams", "number": "12", "tenant": "x.example" }, "application_sid": sid }),
            "to.tenant: ",
        ),
        (
            json!({ "from": OWN, "to": { "type": "telepathy" }, "application_sid": sid }),
            "to.type",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "application_sid": sid, "headers": { "X": "a\r\nVia: b" } }),
            "headers",
        ),
        (
            json!({ "from": OWN, "to": to_teams(), "application_sid": sid, "tmeout": 5 }),
            "timeout",
        ),
    ] {
        let (status, answer) = rest.ask("POST", &rest.calls(), order.clone()).await;
        assert_eq!(status, 400, "{order}: {answer}");
        let msg = answer["msg"].as_str().unwrap_or_default();
        assert!(msg.contains(words), "{order}\n  says: {msg}\n  not:  {words}");
    }
    assert_eq!(rest.ask("GET", &rest.calls(), Value::Null).await, (200, json!([])));
    rest.lab.running.node.drain();
    let order = json!({ "from": OWN, "to": to_teams(), "application_sid": sid });
    assert_eq!(rest.ask("POST", &rest.calls(), order).await.0, 480);
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_can_be_asked_for_after_its_dial() {
    let verbs = json!([
        { "verb": "dial", "target": [{ "type": "phone", "number": "+441632960002" }] },
        { "verb": "pause", "length": 60 }
    ]);
    let rest = Rest::start(move |_| Reply::Json(200, verbs.clone())).await;
    rest.lab.teams.set_script(Script::answer());
    rest.lab.carrier.set_script(Script::busy());
    let order = json!({ "from": OWN, "to": to_teams(), "application_sid": rest.application().await });
    let (status, placed) = rest.ask("POST", &rest.calls(), order).await;
    assert_eq!(status, 201, "{placed}");
    let callee = rest.lab.teams.incoming().await.unwrap();
    let child = async {
        loop {
            let requests = rest.server.requests();
            let events = requests.iter().filter(|request| request.path == "/status");
            let mut told = events.map(AppRequest::json);
            if let Some(event) = told.find(|event| event["parent_call_sid"] == placed["sid"]) {
                return event["call_sid"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let child = tokio::time::timeout(BOUND, child).await.expect("an event of the child");
    let child = format!("{}/{child}", rest.calls());
    let shown = rest.turns(&child, "busy").await;
    assert_eq!(
        (&shown["parent_call_sid"], &shown["sip_status"]),
        (&placed["sid"], &json!(486))
    );
    let hang_up = json!({ "call_status": "completed" });
    assert_eq!(rest.ask("PUT", &child, hang_up.clone()).await.0, 422, "it is over");
    let (_, listed) = rest
        .ask("GET", &format!("{}?callStatus=busy", rest.calls()), Value::Null)
        .await;
    assert_eq!(listed[0]["call_sid"], shown["call_sid"]);
    // A plus of a query is a space to whoever reads it.
    let from = shown["from"].as_str().unwrap();
    let digits = from.strip_prefix('+').unwrap();
    for written in [from.to_owned(), digits.to_owned(), format!("%2B{digits}")] {
        let path = format!("{}?callStatus=busy&from={written}", rest.calls());
        assert_eq!(rest.ask("GET", &path, Value::Null).await.1, listed, "{written}");
    }
    let count = rest
        .ask("GET", &format!("/v1/Accounts/{}/CallCount", rest.account), Value::Null)
        .await;
    assert_eq!(count.1["outbound"], 1, "what is over is not counted");
    // It is known as long as its call is.
    let call = format!("{}/{}", rest.calls(), placed["sid"].as_str().unwrap());
    assert_eq!(rest.ask("PUT", &call, hang_up).await.0, 202);
    callee.ended().await.unwrap();
    rest.lab.records.get(0).await;
    assert_eq!(rest.turns(&child, "busy").await, shown);
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_two_things_reaches_a_busy_call_as_a_whole() {
    let rest = Rest::start(|_| Reply::Json(200, json!([]))).await;
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
    let (mailbox, mut events) = mpsc::channel(129);
    let call = LiveCall::new(CallId::from_random(7), node.clock.now(), facts, mailbox);
    let call_sid = CallSid::from_random(7);
    assert!(node.calls.add(call.clone()));
    node.calls.publish(
        &call,
        CallStatus {
            phase: Phase::Answered,
            answered: None,
            ended: None,
            emergency: false,
            peer: None,
            talkers: Vec::new(),
            bridged: None,
            lines: vec![LineStatus {
                call_sid,
                status: Status::InProgress,
                properties: Properties::new(),
            }],
            past: Vec::new(),
            terms: None,
        },
    );
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
    node.calls.remove(call.id);
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_fast_is_told_when_to_come_again() {
    let rest = Rest::with("[api]\nrequests_per_second = 1\n", |_| Reply::Json(200, json!([]))).await;
    let calls = rest.calls();
    let asked = futures_util::future::join_all((0..8).map(|_| rest.answer("GET", &calls, Value::Null))).await;
    let refused: Vec<_> = asked.iter().filter(|(status, ..)| *status == 429).collect();
    let answered = asked.iter().filter(|(status, ..)| *status == 200).count();
    assert!(answered >= 1 && !refused.is_empty(), "{asked:?}");
    assert_eq!(answered + refused.len(), asked.len());
    for (_, head, body) in refused {
        assert!(head.contains("\r\nretry-after: 1"), "{head}");
        assert!(body["msg"].is_string(), "{body}");
    }
    rest.close().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_places_emergency_calls_alone() {
    let machine = "[emergency]\nnumbers = [\"911\"]\n";
    let rest = Rest::with(machine, |_| Reply::Json(200, json!([{ "verb": "hangup" }]))).await;
    rest.lab.carrier.set_script(Script::answer());
    rest.lab.running.drain(BOUND).await;
    let application = rest.application().await;
    let order = |number: &str| json!({ "from": OWN, "to": { "type": "phone", "number": number }, "application_sid": application.clone() });
    let (status, refused) = rest.ask("POST", &rest.calls(), order("+441632960001")).await;
    assert_eq!(status, 480, "{refused}");
    let (status, placed) = rest.ask("POST", &rest.calls(), order("911")).await;
    assert_eq!(status, 201, "{placed}");
    rest.lab.carrier.incoming().await.unwrap().ended().await.unwrap();
    assert!(rest.lab.records.get(0).await.facts.emergency);
    rest.close().await;
}
