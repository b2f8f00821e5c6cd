//! A hook is asked as applications expect it: body, query, credentials, signature, repetitions, redirects, TLS.

use crate::app_server::{AppRequest, AppServer, NAME, Reply};
use portcullis::app::outbound::{
    AddressPolicy, BasicAuth, Caller, ClientSettings, ConnectFailure, FileRequest, HookClient, HookFailure,
    HookRequest, HookUrl, Method, sign,
};
use portcullis::config::Secret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn auth(username: &str) -> BasicAuth {
    BasicAuth {
        username: username.to_owned(),
        password: Secret::new("word"),
    }
}

fn caller(url: &str) -> Arc<Caller> {
    Arc::new(Caller {
        account: "a".into(),
        hook: HookUrl::parse(url, None).unwrap(),
        auth: Some(auth("app")),
        secret: Some(Secret::new("wh_secret")),
    })
}

fn request(caller: &Arc<Caller>, url: &str) -> HookRequest {
    let properties = json!({"call_sid": "c1", "from": "+44 1", "sip_status": 200, "ok": true,
        "sip": {"raw": "x"}, "list": [1], "nothing": null});
    HookRequest::new(caller.clone(), url, properties).unwrap()
}

/// The signature of `request` was made under the secret over `signed`.
fn assert_signed(request: &AppRequest, signed: &[u8]) {
    let header = request.header("jambonz-signature").expect("a signature");
    let seconds = header
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(','))
        .unwrap()
        .0;
    assert_eq!(header, sign("wh_secret", seconds.parse().unwrap(), signed));
}

#[tokio::test]
async fn a_post_carries_json_credentials_and_a_signature() {
    let server = AppServer::build()
        .on("/incoming", |_| Reply::Json(200, json!([{"verb": "hangup"}])))
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let caller = caller(&server.url("/incoming"));
    let mut asked = request(&caller, "/incoming?tenant=1");
    asked.trace = Some("trace-span-1".to_owned());
    let reply = client.ask(&asked).await.unwrap();
    assert_eq!((reply.status, reply.attempts), (200, 1));
    assert_eq!(reply.json.as_deref(), Some(&br#"[{"verb":"hangup"}]"#[..]));
    let [got] = &server.requests()[..] else {
        panic!("one request")
    };
    assert_eq!((got.method.as_str(), got.query.as_str()), ("POST", "tenant=1"));
    assert_eq!(got.json(), asked.properties);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("b3"), Some("trace-span-1"));
    assert_eq!(got.header("authorization"), Some("Basic YXBwOndvcmQ="));
    assert!(got.header("user-agent").unwrap().starts_with("portcullis/"));
    assert_signed(got, &got.body);
}

#[tokio::test]
async fn a_get_carries_the_scalars_and_signs_its_query() {
    let server = AppServer::build()
        .on("/x", |_| Reply::Body(204, "", vec![]))
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let mut asked = request(&caller(&server.url("/")), "/x?tenant=1");
    asked.method = Method::Get;
    let reply = client.ask(&asked).await.unwrap();
    assert_eq!((reply.status, reply.json), (204, None));
    let [got] = &server.requests()[..] else {
        panic!("one request")
    };
    assert_eq!(got.method, "GET");
    let mut pairs: Vec<&str> = got.query.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        ["call_sid=c1", "from=%2B44+1", "ok=true", "sip_status=200", "tenant=1"]
    );
    assert!(got.body.is_empty());
    assert_signed(got, got.query.as_bytes());
}

#[tokio::test]
async fn connections_are_used_again_whatever_the_answer_is() {
    let turn = AtomicUsize::new(0);
    let server = AppServer::build()
        .on("/x", move |_| match turn.fetch_add(1, Relaxed) {
            0 => Reply::Body(200, "text/plain", b"OK".to_vec()),
            1 => Reply::Body(204, "", vec![]),
            2 => Reply::Json(202, json!([])),
            _ => Reply::Json(200, json!({})),
        })
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let asked = request(&caller(&server.url("/")), "/x");
    let mut bodies = Vec::new();
    for _ in 0..4 {
        let reply = client.clone().ask(&asked).await.unwrap();
        bodies.push((reply.json.map(|body| body.len()), reply.foreign));
    }
    let text = Some("text/plain".to_owned());
    assert_eq!(bodies, [(None, text), (None, None), (Some(2), None), (Some(2), None)]);
    assert_eq!(server.connections(), 1);
}

/// What servers do that close idle connections, where the close and a request cross.
#[tokio::test]
async fn what_a_kept_connection_has_lost_is_sent_again_where_it_may_be_asked_twice() {
    let turn = AtomicUsize::new(0);
    let server = AppServer::build()
        .on("/every-second", move |_| match turn.fetch_add(1, Relaxed) % 2 {
            0 => Reply::Json(200, json!([])),
            _ => Reply::Hangup,
        })
        .on("/never", |_| Reply::Hangup)
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let caller = caller(&server.url("/"));
    let url = |path: &str| HookUrl::parse(&server.url(path), None).unwrap();
    let patience = ClientSettings::default().patience;
    let speech = FileRequest {
        url: url("/every-second"),
        json: json!({}),
        bearer: None,
    };
    let mut asked = request(&caller, "/every-second");
    asked.method = Method::Get;
    client.ask(&asked).await.expect("the first of a connection");
    client.fetch("a", &speech.url, 100, patience).await.expect("sent again");
    client.speak("a", &speech, 100, patience).await.expect("sent again");
    let reply = client.ask(&asked).await.expect("sent again");
    assert_eq!((reply.attempts, server.connections()), (1, 4));

    let posted = client.ask(&request(&caller, "/every-second")).await;
    assert!(matches!(posted, Err(HookFailure::Broken { .. })), "{posted:?}");
    let new = client.fetch("a", &url("/never"), 100, patience).await;
    assert!(matches!(new, Err(HookFailure::Broken { .. })), "{new:?}");
    let asked_for = |path: &str| server.requests().iter().filter(|request| request.path == path).count();
    assert_eq!([asked_for("/every-second"), asked_for("/never")], [8, 1]);
}

#[tokio::test]
async fn credentials_of_an_application_stay_at_its_origin() {
    let own = AppServer::build().start().await;
    let other = AppServer::build()
        .on("/x", |_| Reply::Json(200, json!([])))
        .start()
        .await;
    let client = other.client(ClientSettings::default());
    let caller = caller(&own.url("/"));
    let mut asked = request(&caller, &other.url("/x"));
    client.ask(&asked).await.unwrap();
    asked.auth = Some(auth("hook"));
    client.ask(&asked).await.unwrap();
    let sent: Vec<_> = other
        .requests()
        .iter()
        .map(|got| got.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(sent, [None, Some("Basic aG9vazp3b3Jk".to_owned())]);
}

#[tokio::test]
async fn only_200_202_and_204_are_good_answers() {
    for status in [201, 206, 400, 401, 404, 500] {
        let server = AppServer::build()
            .on("/x", move |_| Reply::Json(status, json!([{"verb": "hangup"}])))
            .start()
            .await;
        let client = server.client(ClientSettings::default());
        let failure = client
            .ask(&request(&caller(&server.url("/")), "/x?hush=1"))
            .await
            .unwrap_err();
        assert!(
            matches!(failure, HookFailure::Status { status: got, .. } if got == status),
            "{failure}"
        );
        assert!(!failure.to_string().contains("hush"), "{failure}");
    }
}

#[tokio::test]
async fn the_url_says_after_what_a_request_is_repeated() {
    let build = || {
        let turn = AtomicUsize::new(0);
        AppServer::build().on("/x", move |_| match turn.fetch_add(1, Relaxed) {
            0 => Reply::Json(503, Value::Null),
            _ => Reply::Json(200, json!([])),
        })
    };
    let server = build().start().await;
    let client = server.client(ClientSettings::default());
    let base = caller(&server.url("/"));
    let reply = client.ask(&request(&base, "/x#rc=1&rp=5xx")).await.unwrap();
    assert_eq!(reply.attempts, 2);
    for fragment in ["", "#rp=5xx", "#rc=1", "#rc=1&rp=ct,rt,4xx"] {
        let server = build().start().await;
        let url = server.url(&format!("/x{fragment}"));
        assert!(client.ask(&request(&base, &url)).await.is_err(), "{fragment}");
        assert_eq!(server.requests().len(), 1, "{fragment}");
    }
}

#[tokio::test]
async fn redirects_are_followed_at_home_and_a_post_only_where_it_may_be_repeated() {
    let server = AppServer::build()
        .on("/old", |_| Reply::Redirect(307, "/new?x=1".to_owned()))
        .on("/new", |_| Reply::Json(200, json!([])))
        .on("/found", |_| Reply::Redirect(302, "/new".to_owned()))
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let caller = caller(&server.url("/"));
    assert_eq!(client.ask(&request(&caller, "/old")).await.unwrap().status, 200);
    let got = server.requests();
    assert_eq!((got[1].path.as_str(), got[1].query.as_str()), ("/new", "x=1"));
    assert_eq!(got[1].body, got[0].body);
    assert!(got[1].header("authorization").is_some());
    let mut asked = request(&caller, "/found");
    let failure = client.ask(&asked).await.unwrap_err();
    assert!(
        matches!(failure, HookFailure::Redirect { status: 302, .. }),
        "{failure}"
    );
    asked.method = Method::Get;
    assert_eq!(client.ask(&asked).await.unwrap().status, 200);
}

#[tokio::test]
async fn https_proves_its_name_or_is_not_spoken_with() {
    let server = AppServer::build()
        .on("/x", |_| Reply::Json(200, json!([])))
        .on("/down", |_| Reply::Redirect(307, "http://app.example/".to_owned()))
        .tls()
        .start()
        .await;
    let client = server.client(ClientSettings::default());
    let good = caller(&server.url("/"));
    assert_eq!(client.ask(&request(&good, "/x")).await.unwrap().status, 200);
    let failure = client.ask(&request(&good, "/down")).await.unwrap_err();
    assert!(matches!(failure, HookFailure::Redirect { .. }), "{failure}");
    let is_tls = |failure: &HookFailure| {
        matches!(
            failure,
            HookFailure::Connect {
                failure: ConnectFailure::Tls { .. },
                ..
            }
        )
    };
    let by_address = format!("https://{}/x", server.address);
    let failure = client.ask(&request(&good, &by_address)).await.unwrap_err();
    assert!(is_tls(&failure), "{failure}");
    let stranger = AppServer::build().tls().start().await;
    let url = format!("https://{NAME}:{}/x", server.address.port());
    let distrusting = HookClient::new(
        stranger.connector(AddressPolicy::new(vec![], true, vec![])),
        ClientSettings::default(),
    );
    let failure = distrusting.ask(&request(&good, &url)).await.unwrap_err();
    assert!(is_tls(&failure), "{failure}");
    assert_eq!(server.requests().len(), 2);
}
