//! Calls placed, shown and ended over REST: a real listener, a real node, real peers.

use crate::app_server::{AppRequest, Reply};
use crate::lab::{BOUND, TEAMS_TONE, USER};
use crate::rest::{OWN, Rest, to_teams};
use portcullis::api::rest::{Account, CallDesk, Refusal};
use portcullis::config::{Purpose, TenantId};
use portcullis::sim::Script;
use portcullis::sip::HeaderName;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

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
    // Who was called dials as what it was called as, without a callerId.
    let rung = rest.lab.carrier.incoming().await.unwrap();
    let invite = rung.invite().unwrap();
    for name in [HeaderName::From, HeaderName::PAssertedIdentity] {
        let shown = invite.header(name).unwrap_or_default();
        assert!(shown.contains(OWN), "{name:?}: {shown}");
    }
    assert_eq!(invite.header(HeaderName::Privacy), None);
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
    assert_eq!(shown["from"], OWN);
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
    let record = rest.lab.records.get(0).await;
    let dials = record.application.expect("an application").dials;
    let trace = &dials[0].targets[0].trace;
    let caller = trace.iter().find(|step| step.rule == "caller");
    assert_eq!(caller.map(|step| step.subject.as_str()), Some(OWN), "{trace:?}");
    assert_eq!(rest.turns(&child, "busy").await, shown);
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
async fn a_node_that_drains_places_emergency_calls_alone() {
    let machine = "[emergency]\nnumbers = [\"911\"]\n";
    let rest = Rest::with(machine, |_| Reply::Json(200, json!([{ "verb": "hangup" }]))).await;
    rest.lab.carrier.set_script(Script::answer());
    rest.lab.running.drain(BOUND).await;
    let application = rest.application().await;
    let order = |number: &str| json!({ "from": OWN, "to": { "type": "phone", "number": number }, "application_sid": application.clone() });
    let (status, refused) = rest.ask("POST", &rest.calls(), order("+441632960001")).await;
    assert_eq!(status, 480, "{refused}");
    for (index, written) in ["911", "911 ", "9-1-1"].into_iter().enumerate() {
        let (status, placed) = rest.ask("POST", &rest.calls(), order(written)).await;
        assert_eq!(status, 201, "{written}: {placed}");
        rest.lab.carrier.incoming().await.unwrap().ended().await.unwrap();
        assert!(rest.lab.records.get(index).await.facts.emergency, "{written}");
    }
    rest.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_a_tenant_have_eight_emergency_calls_up_at_once() {
    let machine = "[emergency]\nnumbers = [\"911\"]\n";
    let pause = json!({ "verb": "pause", "length": 60 });
    let dial = json!({ "verb": "dial", "callerId": OWN, "actionHook": "/status",
        "target": [{ "type": "phone", "number": "911" }] });
    let plain = json!({ "verb": "dial", "callerId": OWN, "target": [{ "type": "phone", "number": "911" }] });
    let rest = Rest::with(machine, move |request| {
        let told = request.json();
        let verbs = match (told["to"] == USER, told["customerData"]["twice"] == true) {
            (true, true) => json!([plain, plain, pause]),
            (true, false) => json!([dial, pause]),
            (false, _) => json!([pause]),
        };
        Reply::Json(200, verbs)
    })
    .await;
    rest.lab.carrier.set_script(Script::answer());
    rest.lab.teams.set_script(Script::answer());
    let application = rest.application().await;
    let order = |to: Value| json!({ "from": OWN, "to": to, "application_sid": application.clone() });
    let help = || order(json!({ "type": "phone", "number": "911" }));
    let mut up = Vec::new();
    for _ in 0..8 {
        let (status, placed) = rest.ask("POST", &rest.calls(), help()).await;
        assert_eq!(status, 201, "{placed}");
        let callee = rest.lab.carrier.incoming().await.unwrap();
        up.push((placed["sid"].as_str().unwrap().to_owned(), callee));
    }
    let (status, head, refused) = rest.answer("POST", &rest.calls(), help()).await;
    assert_eq!((status, head.contains("\r\nretry-after: ")), (429, true), "{refused}");
    let why = refused["msg"].as_str().unwrap_or_default();
    assert!(why.starts_with("8 emergency calls"), "{why}");

    // A dial finds no place either.
    let (_, dials) = rest.ask("POST", &rest.calls(), order(to_teams())).await;
    let told = async {
        loop {
            let requests = rest.server.requests();
            let mut told = requests.iter().map(|request| request.json()["dial_error"].clone());
            if let Some(why) = told.find(Value::is_string) {
                return why;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(tokio::time::timeout(BOUND, told).await.expect("the result"), why);

    // One that is over makes room, for a dial as well.
    let hang_up = json!({ "call_status": "completed" });
    let (over, callee) = up.remove(0);
    let path = |sid: &str| format!("{}/{sid}", rest.calls());
    assert_eq!(rest.ask("PUT", &path(&over), hang_up.clone()).await.0, 202);
    callee.ended().await.unwrap();
    // The callee has its BYE a moment before the place is free.
    let places = &rest.lab.running.node.places;
    let one_free = async {
        while places.calls("emergency calls that applications of tenant contoso make") == 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, one_free).await.expect("its place is free");
    let mut twice = order(to_teams());
    twice["tag"] = json!({ "twice": true });
    let (_, helped) = rest.ask("POST", &rest.calls(), twice).await;
    let callee = rest.lab.carrier.incoming().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    // The next dial of the same call has the place of the one before, at once.
    callee.hang_up().await.unwrap();
    let callee = rest.lab.carrier.incoming().await.unwrap();
    assert_eq!(rest.ask("POST", &rest.calls(), help()).await.0, 429);
    for sid in [&dials["sid"], &helped["sid"]] {
        rest.ask("PUT", &path(sid.as_str().unwrap()), hang_up.clone()).await;
    }
    callee.ended().await.unwrap();
    for (sid, callee) in up {
        rest.ask("PUT", &path(&sid), hang_up.clone()).await;
        callee.ended().await.unwrap();
    }
    rest.close().await;
}
