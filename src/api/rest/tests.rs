//! The interface over a desk that remembers what it was asked.

use super::*;
use crate::config::{TenantId, TokenDigest};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower_service::Service;

const A: &str = "11111111-1111-4111-8111-111111111111";
const B: &str = "22222222-2222-4222-8222-222222222222";
const CALL: &str = "33333333-3333-4333-8333-333333333333";

#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<(String, String, Value)>>,
    changed: Mutex<Vec<(String, String, String)>>,
    many: usize,
}

impl Desk {
    fn note(&self, account: &Account, what: &str, body: Value) {
        let note = (account.tenant.to_string(), what.to_owned(), body);
        self.asked.lock().unwrap().push(note);
    }
}

fn properties(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

impl CallDesk for Desk {
    fn account(&self, token: &TokenDigest) -> Option<Account> {
        [("a-token", A, "a"), ("b-token", B, "b"), ("hasty", A, "a")]
            .into_iter()
            .find(|(text, _, _)| TokenDigest::of(text) == *token)
            .map(|(text, sid, tenant)| Account {
                sid: sid.to_owned(),
                tenant: TenantId::parse(tenant).unwrap(),
                token: text.to_owned(),
            })
    }

    fn place<'d>(&'d self, account: &'d Account, body: Value) -> Doing<'d, Placed> {
        Box::pin(async move {
            self.note(account, "place", body.clone());
            match body["to"].as_str() {
                Some("nobody") => Err(Refusal::Unavailable("no carrier is up".to_owned())),
                Some("many") => Err(Refusal::TooMany {
                    why: "100 calls are being placed".to_owned(),
                    retry_after: Duration::from_secs(5),
                }),
                Some("wrong") => Err(Refusal::Wrong("to: an object is expected".to_owned())),
                _ => Ok(Placed {
                    sid: CALL.to_owned(),
                    call_id: "x@sbc".to_owned(),
                }),
            }
        })
    }

    fn calls(&self, account: &Account) -> Vec<Map<String, Value>> {
        let call = |n: usize| {
            let direction = if n.is_multiple_of(2) { "inbound" } else { "outbound" };
            properties(
                json!({"call_sid": n.to_string(), "account_sid": account.sid, "direction": direction,
                "from": "+1", "to": n.to_string(), "call_status": "in-progress", "customerData": {"n": n}}),
            )
        };
        (0..self.many).map(call).collect()
    }

    fn call(&self, account: &Account, sid: &str) -> Option<Map<String, Value>> {
        (account.sid == A && sid == CALL).then(|| properties(json!({"call_sid": sid, "customerData": {}})))
    }

    fn admit(&self, token: &TokenDigest) -> Result<(), Duration> {
        match *token == TokenDigest::of("hasty") {
            true => Err(Duration::from_millis(1_200)),
            false => Ok(()),
        }
    }

    fn update<'d>(&'d self, account: &'d Account, sid: &'d str, body: Value) -> Doing<'d, Updated> {
        Box::pin(async move {
            self.call(account, sid).ok_or(Refusal::NoSuchCall)?;
            self.note(account, "update", body.clone());
            match (body.get("mute_status"), body.get("sip_request")) {
                (Some(_), _) => Err(Refusal::State("nobody has answered".to_owned())),
                (None, Some(_)) => Ok(Updated::Answered {
                    status: 415,
                    reason: "Unsupported Media Type".to_owned(),
                }),
                (None, None) => Ok(Updated::Taken),
            }
        })
    }

    fn forget(&self, account: &Account, sid: &str) -> Result<(), Refusal> {
        self.call(account, sid).map(drop).ok_or(Refusal::NoSuchCall)
    }

    fn changed(&self, account: &Account, call_sid: &str, what: &str) {
        let change = (account.token.clone(), call_sid.to_owned(), what.to_owned());
        self.changed.lock().unwrap().push(change);
    }

    fn count(&self, _: &Account) -> CallCount {
        CallCount {
            inbound: 2,
            outbound: 3,
        }
    }

    fn resources(&self, account: &Account, resource: Resource) -> Vec<Map<String, Value>> {
        vec![properties(json!({"of": account.sid, "what": format!("{resource:?}")}))]
    }
}

/// One request with `token`, its status and body.
async fn ask(desk: &Arc<Desk>, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, token);
    }
    let desk: Arc<dyn CallDesk> = desk.clone();
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router(desk).call(request).await.unwrap();
    let status = answer.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let wait = answer.headers()[header::RETRY_AFTER].to_str().unwrap();
        assert_eq!(wait, if token == "Bearer hasty" { "2" } else { "5" });
    }
    if status == StatusCode::UNAUTHORIZED {
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))),
    };
    (status.as_u16(), body)
}

fn calls(account: &str) -> String {
    format!("/v1/Accounts/{account}/Calls")
}

fn call(account: &str, sid: &str) -> String {
    format!("/v1/Accounts/{account}/Calls/{sid}")
}

#[tokio::test]
async fn every_operation_needs_a_token_of_the_account_in_the_path() {
    let desk = Arc::new(Desk::default());
    for operation in routes::operations() {
        let path = operation.path.replace("{account_sid}", A).replace("{call_sid}", CALL);
        let method = operation.method.to_uppercase();
        for token in [
            "",
            "a-token",
            "Bearer",
            "Bearer wrong",
            "Basic a-token",
            "Bearer a-token x",
        ] {
            let (status, body) = ask(&desk, token, &method, &path, "{}").await;
            assert_eq!(status, 401, "{method} {path} with {token:?}");
            assert!(body["msg"].is_string());
        }
        if operation.path.contains("{account_sid}") {
            for account in [B, "44444444-4444-4444-8444-444444444444", "x"] {
                let path = path.replace(A, account);
                let (status, _) = ask(&desk, "Bearer a-token", &method, &path, "{}").await;
                assert_eq!(status, 403, "{method} {path}");
            }
        }
        let (status, _) = ask(&desk, "bearer a-token", &method, &path, "{}").await;
        assert!((200..300).contains(&status), "{method} {path}: {status}");
    }
    let tenants: Vec<String> = desk
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|(tenant, ..)| tenant.clone())
        .collect();
    assert_eq!(tenants, ["a", "a", "a"], "no refused request reached the desk");
}

#[tokio::test]
async fn two_tokens_are_none() {
    for (first, second) in [("a-token", "wrong"), ("wrong", "a-token"), ("a-token", "a-token")] {
        let desk: Arc<dyn CallDesk> = Arc::new(Desk::default());
        let request = Request::builder()
            .uri(call(A, CALL))
            .header(header::AUTHORIZATION, format!("Bearer {first}"))
            .header(header::AUTHORIZATION, format!("Bearer {second}"));
        let answer = router(desk).call(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{first} {second}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], br#"{"msg":"Authorization is there twice"}"#);
    }
}

#[tokio::test]
async fn it_is_told_who_changed_what() {
    let desk = Arc::new(Desk::default());
    let one = call(A, CALL);
    for (method, path, body) in [
        ("POST", &calls(A), r#"{"to": "+14255550100"}"#),
        (
            "PUT",
            &one,
            r#"{"call_hook": "https://secret.example", "call_status_hook": "/x"}"#,
        ),
        ("PUT", &one, r#"{"mute_status": "mute"}"#),
        ("GET", &one, ""),
        ("DELETE", &one, ""),
    ] {
        ask(&desk, "Bearer b-token", method, &path.replace(A, B), body).await;
        ask(&desk, "Bearer a-token", method, path, body).await;
    }
    let told = desk.changed.lock().unwrap();
    let told: Vec<(&str, &str, &str)> = told.iter().map(|(who, sid, what)| (&**who, &**sid, &**what)).collect();
    // The other account may place calls, and knows none; what was refused has changed nothing.
    assert_eq!(
        told,
        [
            ("b-token", CALL, "placed"),
            ("a-token", CALL, "placed"),
            ("a-token", CALL, "call_hook call_status_hook"),
            ("a-token", CALL, "forgotten")
        ]
    );
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_to_wait() {
    let desk = Arc::new(Desk::default());
    for operation in routes::operations() {
        let path = operation.path.replace("{account_sid}", A).replace("{call_sid}", CALL);
        let method = operation.method.to_uppercase();
        let (status, body) = ask(&desk, "Bearer hasty", &method, &path, "{}").await;
        assert_eq!(status, 429, "{method} {path}");
        assert!(body["msg"].is_string());
    }
    assert!(desk.asked.lock().unwrap().is_empty(), "nothing of it reached the desk");
}

#[tokio::test]
async fn a_call_is_placed_and_changed() {
    let desk = Arc::new(Desk::default());
    let token = "Bearer a-token";
    let placed = ask(&desk, token, "POST", &calls(A), r#"{"from":"1","to":"2"}"#).await;
    assert_eq!(placed, (201, json!({"sid": CALL, "callId": "x@sbc"})));
    assert_eq!(desk.asked.lock().unwrap()[0].2, json!({"from": "1", "to": "2"}));
    for (body, status, msg) in [
        (r#"{"to":"nobody"}"#, 480, "no carrier"),
        (r#"{"to":"many"}"#, 429, "100 calls"),
        (r#"{"to":"wrong"}"#, 400, "to: an object"),
        ("[]", 400, "object"),
        ("{", 400, "JSON"),
        (r#"{"to":"1","to":"2"}"#, 400, "'to' is there twice"),
        ("", 400, "JSON"),
        (&"[".repeat(1_000), 400, "JSON"),
    ] {
        let (got, answer) = ask(&desk, token, "POST", &calls(A), body).await;
        assert_eq!(got, status, "{body}");
        assert!(
            answer["msg"].as_str().is_some_and(|text| text.contains(msg)),
            "{answer}"
        );
    }
    for (method, path) in [("POST", calls(A)), ("PUT", call(A, CALL))] {
        let (status, answer) = ask(&desk, token, method, &path, &"x".repeat(300_000)).await;
        assert_eq!(
            (status, &answer["msg"]),
            (413, &json!("the body is longer than 262144 bytes"))
        );
    }
    for method in ["PUT", "POST"] {
        let path = call(A, CALL);
        let done = ask(&desk, token, method, &path, r#"{"call_status":"completed"}"#).await;
        assert_eq!(done, (202, Value::Null));
        let asked = ask(&desk, token, method, &path, r#"{"sip_request":{}}"#).await;
        let answer = json!({"status": 415, "reason": "Unsupported Media Type"});
        assert_eq!(asked, (200, answer));
        let (status, _) = ask(&desk, token, method, &path, r#"{"mute_status":"mute"}"#).await;
        assert_eq!(status, 422);
    }
    for method in ["PUT", "GET", "DELETE"] {
        assert_eq!(
            ask(&desk, token, method, &call(A, "other"), "{}").await.0,
            404,
            "{method}"
        );
        assert_eq!(
            ask(&desk, "Bearer b-token", method, &call(B, CALL), "{}").await.0,
            404,
            "{method}"
        );
    }
    assert_eq!(
        ask(&desk, token, "DELETE", &call(A, CALL), "").await,
        (204, Value::Null)
    );
    let shown = ask(&desk, token, "GET", &call(A, CALL), "").await;
    assert_eq!(shown, (200, json!({"call_sid": CALL})));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let desk = Arc::new(Desk {
        many: 1_201,
        ..Desk::default()
    });
    let list = async |query: &str| ask(&desk, "Bearer a-token", "GET", &format!("{}{query}", calls(A)), "").await;
    let sids = |(status, body): (u16, Value)| {
        assert_eq!(status, 200, "{body}");
        let calls = body.as_array().unwrap();
        assert!(calls.iter().all(|call| call.get("customerData").is_none()));
        let sid = |call: Option<&Value>| call.map(|call| call["call_sid"].as_str().unwrap().to_owned());
        (calls.len(), sid(calls.first()), sid(calls.last()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(sids(list("").await), (500, some("0"), some("499")));
    assert_eq!(sids(list("?page=3").await), (201, some("1000"), some("1200")));
    assert_eq!(sids(list("?page=4").await), (0, None, None));
    assert_eq!(
        sids(list("?page=2&count=10&direction=outbound").await),
        (10, some("21"), some("39"))
    );
    assert_eq!(
        sids(list("?to=7&from=%2B1&callStatus=in-progress").await),
        (1, some("7"), some("7"))
    );
    assert_eq!(sids(list("?callStatus=completed").await).0, 0);
    assert_eq!(sids(list("?callStatus=queued").await).0, 0);
}

#[tokio::test]
async fn a_number_is_found_with_its_plus_without_it_and_as_what_a_plus_is_in_a_query() {
    let desk = Arc::new(Desk {
        many: 20,
        ..Desk::default()
    });
    let found = async |query: &str| {
        let (status, body) = ask(&desk, "Bearer a-token", "GET", &format!("{}{query}", calls(A)), "").await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().len()
    };
    for from in ["%2B1", "1", "+1", "%201"] {
        assert_eq!(found(&format!("?from={from}&to=+7")).await, 1, "{from}");
    }
    for from in ["%2B2", "11", "%2B%2B1", "1+"] {
        assert_eq!(found(&format!("?from={from}")).await, 0, "{from}");
    }
}

#[tokio::test]
async fn a_filter_that_could_find_nothing_is_refused_with_its_name_and_what_it_says() {
    let desk = Arc::new(Desk::default());
    let ask = async |path: &str| ask(&desk, "Bearer a-token", "GET", path, "").await;
    for (query, msg) in [
        (
            "callStatus=nope",
            "callStatus: 'nope' is none of trying, ringing, early-media, in-progress, completed, failed, busy, no-answer, queued",
        ),
        ("callStatus=", "callStatus: '' is none of"),
        ("direction=up", "direction: 'up' is none of inbound, outbound"),
        ("from=", "from: it is empty"),
        ("to=+", "to: it is empty"),
        ("from=1&from=2", "from: it stands twice"),
        ("page=0", "page: '0' is not a whole number from 1 on"),
        ("page=x", "page: 'x' is not a whole number"),
        ("count=0", "count: '0' is not a whole number from 1 to 500"),
        ("count=501", "count: '501' is not"),
        (
            "callstatus=completed",
            "callstatus: there is no such filter; direction, from, to, callStatus, page, count are known",
        ),
        ("page_size=50", "page_size: there is no such filter; direction,"),
        ("days=2", "days: there is no such filter"),
        ("start=2026-01-01", "start: there is no such filter"),
    ] {
        let (status, body) = ask(&format!("{}?{query}", calls(A))).await;
        let said = body["msg"].as_str().unwrap_or_default();
        assert!(status == 400 && said.starts_with(msg), "{query}: {status} {body}");
    }
    for path in [
        format!("/v1/Accounts/{A}/CallCount"),
        "/v1/Applications".to_owned(),
        "/v1/PhoneNumbers".to_owned(),
    ] {
        let (status, body) = ask(&format!("{path}?number=1")).await;
        assert_eq!(
            (status, body),
            (
                400,
                json!({"msg": "number: there is no such filter; everything is told"})
            ),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_rest_of_the_account_can_be_read() {
    let desk = Arc::new(Desk::default());
    let token = "Bearer b-token";
    let count = ask(&desk, token, "GET", &format!("/v1/Accounts/{B}/CallCount"), "").await;
    assert_eq!(count, (200, json!({"inbound": 2, "outbound": 3})));
    for name in ["Applications", "PhoneNumbers"] {
        for path in [format!("/v1/{name}"), format!("/v1/Accounts/{B}/{name}")] {
            let listed = ask(&desk, token, "GET", &path, "").await;
            assert_eq!(listed, (200, json!([{"of": B, "what": name}])), "{path}");
        }
        let foreign = ask(&desk, token, "GET", &format!("/v1/Accounts/{A}/{name}"), "").await;
        assert_eq!(foreign.0, 403);
    }
    assert_eq!(ask(&desk, token, "GET", "/v1/Nothing", "").await.0, 404);
    assert_eq!(ask(&desk, token, "PATCH", &calls(B), "").await.0, 405);
}

#[tokio::test]
async fn a_slash_behind_a_path_changes_nothing() {
    let desk = Arc::new(Desk::default());
    for operation in routes::operations() {
        let path = operation.path.replace("{account_sid}", A).replace("{call_sid}", CALL);
        let method = operation.method.to_uppercase();
        let plain = ask(&desk, "Bearer a-token", &method, &path, "{}").await;
        let slashed = ask(&desk, "Bearer a-token", &method, &format!("{path}/"), "{}").await;
        assert_eq!(plain, slashed, "{method} {path}");
        assert_ne!(slashed.0, 404, "{method} {path}");
    }
    assert_eq!(ask(&desk, "", "GET", "/v1/openapi.json/", "").await.0, 200);
}

/// `PORTCULLIS_WRITE_OPENAPI=1 cargo test --lib openapi` writes the copy.
#[tokio::test]
async fn the_openapi_document_is_the_published_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let text = format!("{:#}\n", openapi());
    if std::env::var_os("PORTCULLIS_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        text,
        "docs/openapi.json is stale"
    );
    let (status, served) = ask(&Arc::new(Desk::default()), "", "GET", "/v1/openapi.json", "").await;
    assert_eq!((status, served), (200, openapi()));
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_ids_are_unique() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = openapi();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(
            document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference}"
        );
    }
    let mut ids: Vec<&str> = routes::operations().iter().map(|operation| operation.id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let desk: Arc<dyn CallDesk> = Arc::new(Desk::default());
    let begun = tokio::time::Instant::now();
    for (length, status, seconds) in [("10000000000", 413, 0), ("262145", 413, 0), ("200000", 408, 10)] {
        let request = Request::builder().method("POST").uri(calls(A));
        let request = request
            .header(header::AUTHORIZATION, "Bearer a-token")
            .header(header::CONTENT_LENGTH, length);
        let silence = futures_util::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>();
        let request = request.body(Body::from_stream(silence)).unwrap();
        let answer = router(desk.clone()).call(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), begun.elapsed().as_secs()), (status, seconds));
        assert_eq!(answer.headers()[header::CONNECTION], "close");
    }
}
