//! Application servers that are slow, wrong, huge, gone, or lead elsewhere: each costs a bounded time and says what it was.

use crate::app_server::{AppServer, BOUND, NAME, Reply};
use portcullis::app::outbound::{
    AddressPolicy, Asked, Caller, ClientSettings, ConnectFailure, Forbidden, HookClient, HookFailure, HookRequest,
    HookUrl,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Small, and with more time than any answer takes.
const SMALL: ClientSettings = ClientSettings {
    patience: BOUND,
    most_sent: 2_000,
    most_received: 2_000,
    most_at_once: 8,
    most_file_bytes: 4 << 20,
};
/// For those that will not answer.
const HASTY: ClientSettings = ClientSettings {
    patience: Duration::from_millis(300),
    ..SMALL
};

fn request(url: &str) -> HookRequest {
    request_of("a", url)
}

fn request_of(account: &str, url: &str) -> HookRequest {
    let caller = Arc::new(Caller {
        account: account.into(),
        hook: HookUrl::parse(url, None).unwrap(),
        auth: None,
        secret: None,
    });
    HookRequest::new(caller, url, json!({"call_sid": "c1"})).unwrap()
}

/// The failure that a server with this reply causes, its word for metrics.
async fn label(settings: ClientSettings, reply: Reply) -> &'static str {
    let server = AppServer::build().on("/x", move |_| reply.clone()).start().await;
    let client = server.client(settings);
    let asked = request(&server.url("/x"));
    let answered = tokio::time::timeout(BOUND, client.ask(&asked)).await.expect("an end");
    answered.expect_err("a failure").label()
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[";
    for reply in [
        Reply::Stall(vec![]),
        Reply::Stall(head.to_vec()),
        Reply::Dribble(b"HTTP/1.1 200 OK\r\nx: ", Duration::from_millis(20)),
        Reply::Dribble(head, Duration::from_millis(20)),
    ] {
        let shown = format!("{reply:?}");
        assert_eq!(label(HASTY, reply).await, "timeout", "{shown}");
    }
}

#[tokio::test]
async fn an_answer_that_is_encoded_is_refused_as_that() {
    for (encoding, expected) in [
        ("gzip", Some("encoded")),
        ("deflate", Some("encoded")),
        ("br", Some("encoded")),
        ("identity, gzip", Some("encoded")),
        ("Identity", None),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\ncontent-length: 2\r\n\r\n[]"
        );
        let reply = Reply::Raw(answer.into_bytes());
        let server = AppServer::build().on("/x", move |_| reply.clone()).start().await;
        let asked = request(&server.url("/x"));
        let client = server.client(SMALL);
        let answered = tokio::time::timeout(BOUND, client.ask(&asked)).await.expect("an end");
        let failure = answered.err();
        assert_eq!(failure.as_ref().map(|failure| failure.label()), expected, "{encoding}");
        if let Some(failure) = failure {
            assert!(
                failure.to_string().contains(&format!("encoded ({encoding})")),
                "{failure}"
            );
        }
        assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn who_answers_too_much_is_cut_off() {
    let long = Value::from("x".repeat(3_000));
    assert_eq!(label(SMALL, Reply::Json(200, long)).await, "answer_too_large");
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = format!("{chunked}{}", "400\r\n".to_owned() + &"x".repeat(1_024) + "\r\n");
    assert_eq!(
        label(
            SMALL,
            Reply::Raw((endless.clone() + &endless[chunked.len()..]).into_bytes())
        )
        .await,
        "answer_too_large"
    );
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(label(SMALL, Reply::Raw(head.into_bytes())).await, "not_http");
}

#[tokio::test]
async fn a_body_that_nobody_needs_is_not_waited_for_in_vain() {
    let server = AppServer::build()
        .on("/x", |_| Reply::Body(200, "text/html", vec![b'x'; 100_000]))
        .start()
        .await;
    let reply = server.client(SMALL).ask(&request(&server.url("/x"))).await.unwrap();
    assert_eq!((reply.status, reply.json), (200, None));
}

#[tokio::test]
async fn who_speaks_no_http_or_breaks_off_is_named_so() {
    for (reply, expected) in [
        (Reply::Hangup, "broken"),
        (Reply::Raw(b"SIP/2.0 200 OK\r\n\r\n".to_vec()), "not_http"),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n".to_vec()),
            "not_http",
        ),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n[".to_vec()),
            "broken",
        ),
    ] {
        let shown = format!("{reply:?}");
        assert_eq!(label(SMALL, reply).await, expected, "{shown}");
    }
    let gone = AppServer::build().start().await;
    let (client, url) = (gone.client(SMALL), gone.url("/x"));
    drop(gone);
    // The listener closes with its task, a moment later than the drop.
    let unreachable = async {
        loop {
            if client
                .ask(&request(&url))
                .await
                .is_err_and(|failure| failure.label() == "unreachable")
            {
                break;
            }
        }
    };
    tokio::time::timeout(BOUND, unreachable)
        .await
        .expect("a refused connection");
}

fn forbidden(failure: &HookFailure) -> Option<Forbidden> {
    match failure {
        HookFailure::Connect {
            failure: ConnectFailure::Forbidden { why, .. },
            ..
        } => Some(*why),
        _ => None,
    }
}

#[tokio::test]
async fn a_redirect_never_reaches_what_only_this_machine_can() {
    let inside = AppServer::build()
        .on("/secret", |_| Reply::Json(200, json!([])))
        .start()
        .await;
    let elsewhere = inside.url("/secret");
    let server = AppServer::build()
        .on("/metadata", |_| {
            Reply::Redirect(307, "http://169.254.169.254/latest/".to_owned())
        })
        .on("/odd", |_| Reply::Redirect(307, "http://2130706433/".to_owned()))
        .on("/inside", move |_| Reply::Redirect(307, elsewhere.clone()))
        .on("/file", |_| Reply::Redirect(307, "file:///etc/passwd".to_owned()))
        .on("/loop", |_| Reply::Redirect(307, "/loop".to_owned()))
        .on("/nowhere", |_| {
            Reply::Raw(b"HTTP/1.1 307 X\r\ncontent-length: 0\r\n\r\n".to_vec())
        })
        .start()
        .await;
    let client = server.client(SMALL);
    let mut outcomes = Vec::new();
    for path in ["/metadata", "/odd", "/inside", "/file", "/loop", "/nowhere"] {
        let failure = client.ask(&request(&server.url(path))).await.unwrap_err();
        outcomes.push((failure.label(), forbidden(&failure)));
    }
    assert_eq!(
        outcomes,
        [
            ("forbidden_address", Some(Forbidden::LinkLocal)),
            ("forbidden_address", Some(Forbidden::NotPublic("loopback"))),
            ("forbidden_address", Some(Forbidden::NotPublic("loopback"))),
            ("redirect", None),
            ("redirect", None),
            ("redirect", None),
        ]
    );
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_its_address_and_files_as_hooks_are() {
    let server = AppServer::build()
        .on("/x", |_| Reply::Json(200, json!([])))
        .start()
        .await;
    let strict = HookClient::new(server.connector(AddressPolicy::new(vec![], false, vec![])), SMALL);
    let port = server.address.port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", NAME] {
        let url = format!("http://{host}:{port}/x");
        let failure = strict.ask(&request(&url)).await.unwrap_err();
        assert_eq!(forbidden(&failure), Some(Forbidden::Loopback), "{url}");
        let url = HookUrl::parse(&url, None).unwrap();
        let failure = strict.fetch("a", &url, 100, BOUND).await.unwrap_err();
        assert_eq!(forbidden(&failure), Some(Forbidden::Loopback), "{url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_file_that_is_known_is_asked_for_by_its_tag() {
    let server = AppServer::build()
        .on("/music.wav", |request| match request.header("if-none-match") {
            Some("\"two\"") => Reply::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"two\"\r\n\r\n".to_vec()),
            _ => Reply::Raw(b"HTTP/1.1 200 OK\r\nETag: \"two\"\r\nContent-Length: 3\r\n\r\nnew".to_vec()),
        })
        .start()
        .await;
    let client = server.client(SMALL);
    let url = HookUrl::parse(&server.url("/music.wav"), None).unwrap();
    let first = client.fetch("a", &url, 100, BOUND).await.unwrap();
    assert_eq!(first.etag.as_deref(), Some("\"two\""));
    let again = async |tag: &str| client.fetch_changed("a", &url, tag, 100, BOUND).await.unwrap();
    assert!(again("\"two\"").await.is_none());
    let fetched = again("\"one\"").await.expect("another file");
    assert_eq!((fetched.bytes, fetched.etag), (first.bytes, first.etag));
}

#[tokio::test]
async fn files_come_whole_or_not_at_all() {
    let server = AppServer::build()
        .on("/music.wav", |_| Reply::Body(200, "audio/wav", vec![7; 5_000]))
        .on("/gone.wav", |_| Reply::Json(404, Value::Null))
        .start()
        .await;
    let client = server.client(SMALL);
    let url = |path: &str| HookUrl::parse(&server.url(path), None).unwrap();
    let music = client.fetch("a", &url("/music.wav"), 5_000, BOUND).await.unwrap();
    assert_eq!(
        (music.bytes.len(), music.content_type.as_deref()),
        (5_000, Some("audio/wav"))
    );
    assert_eq!(server.requests()[0].method, "GET");
    let failure = client.fetch("a", &url("/music.wav"), 4_999, BOUND).await.unwrap_err();
    assert_eq!(failure.label(), "answer_too_large");
    let failure = client.fetch("a", &url("/gone.wav"), 5_000, BOUND).await.unwrap_err();
    assert!(matches!(failure, HookFailure::Status { status: 404, .. }), "{failure}");
}

#[tokio::test]
async fn requests_are_bounded_in_size_and_number() {
    let server = AppServer::build().on("/x", |_| Reply::Stall(vec![])).start().await;
    let one = ClientSettings {
        most_at_once: 1,
        ..HASTY
    };
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let figures = connector.figures().clone();
    let client = HookClient::new(connector, one);
    let mut large = request(&server.url("/x"));
    large.properties = json!({"x": "y".repeat(3_000)});
    assert_eq!(client.ask(&large).await.unwrap_err().label(), "request_too_large");
    let asked = request(&server.url("/x"));
    let (first, second) = tokio::join!(client.ask(&asked), client.ask(&asked));
    let labels = [first.unwrap_err().label(), second.unwrap_err().label()];
    assert_eq!(labels, ["timeout", "busy"]);
    let mut counted = figures.read();
    counted.retain(|(_, _, count)| *count > 0);
    assert_eq!(counted, [(Asked::Hook, "busy", 1), (Asked::Hook, "timeout", 1)]);
}

/// A file that stalls has the room that its length says, and one of no known length that of the longest: here half of all.
#[tokio::test]
async fn files_on_their_way_share_memory_and_an_account_waits_for_itself_alone() {
    let told = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\nx", 2 << 20).into_bytes();
    let mut grown = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    grown.resize(grown.len() + (1 << 20), b'x');
    for stalled in [told, grown] {
        let server = AppServer::build()
            .on("/stalled", move |_| Reply::Stall(stalled.clone()))
            .on("/small", |_| Reply::Body(200, "audio/wav", vec![7; 100]))
            .start()
            .await;
        let client = server.client(SMALL);
        let url = |path| HookUrl::parse(&server.url(path), None).unwrap();
        let holding = {
            let (client, stalled) = (client.clone(), url("/stalled"));
            tokio::spawn(async move { client.fetch("a", &stalled, 2 << 20, BOUND).await })
        };
        let small = url("/small");
        let refused = async {
            loop {
                let fetched = client.fetch("a", &small, 1_000, Duration::from_millis(300)).await;
                // Or else it was slow.
                if fetched.is_err_and(|failure| failure.label() == "no_room") {
                    return;
                }
            }
        };
        tokio::time::timeout(BOUND, refused).await.expect("no room");
        // A client in the place of this one has no more room.
        let anew = client.anew(server.connector(AddressPolicy::new(vec![], true, vec![])), SMALL);
        let hasty = Duration::from_millis(300);
        let failure = anew.fetch("a", &small, 1_000, hasty).await.expect_err("no room");
        assert!(["no_room", "timeout"].contains(&failure.label()), "{failure}");
        let other = anew.fetch("b", &small, 1_000, BOUND).await.unwrap();
        assert_eq!(other.bytes.len(), 100);
        // What ends gives its room to who waits, and what is fetched keeps it as long as it is held.
        let waiting = {
            let (client, small) = (client.clone(), small.clone());
            tokio::spawn(async move { client.fetch("a", &small, 1_000, BOUND).await })
        };
        holding.abort();
        assert!(waiting.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn an_account_whose_server_is_slow_leaves_places_to_the_others() {
    let slow = AppServer::build().on("/x", |_| Reply::Stall(vec![])).start().await;
    let quick = AppServer::build()
        .on("/x", |_| Reply::Json(200, json!([])))
        .on("/music.wav", |_| Reply::Body(200, "audio/wav", vec![7; 100]))
        .start()
        .await;
    let client = slow.client(SMALL);
    let asked = request_of("a", &slow.url("/x"));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, asked) = (client.clone(), asked.clone());
        waiting.spawn(async move { client.ask(&asked).await.expect_err("no answer").label() });
    }
    // Half of the eight places are held by requests that nobody answers; the others find none.
    for _ in 0..16 {
        let refused = tokio::time::timeout(BOUND, waiting.join_next()).await.expect("an end");
        assert_eq!(refused.unwrap().unwrap(), "busy");
    }
    let url = HookUrl::parse(&quick.url("/music.wav"), None).unwrap();
    for _ in 0..50 {
        client.ask(&request_of("b", &quick.url("/x"))).await.unwrap();
        client.fetch("c", &url, 100, BOUND).await.unwrap();
    }
    // Its other servers and its files count for the same account.
    assert_eq!(
        client
            .ask(&request_of("a", &quick.url("/x")))
            .await
            .unwrap_err()
            .label(),
        "busy"
    );
    assert_eq!(client.fetch("a", &url, 100, BOUND).await.unwrap_err().label(), "busy");
    waiting.shutdown().await;
    client.ask(&request_of("a", &quick.url("/x"))).await.unwrap();
}
