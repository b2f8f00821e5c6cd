//! Connections to applications behind WebSockets that are lost, or never come: which of them are made anew.

use crate::app_server::{AppServer, BOUND, Reply};
use crate::app_session::*;
use portcullis::app::outbound::{AddressPolicy, RetryPolicy};
use portcullis::app::websocket::{
    CloseCode, End, SendRefused, Session, SessionEvent, SessionFailure, SessionSettings, Unanswered,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A session whose first message need not be acknowledged.
fn told(server: &AppServer, path: &str) -> Session {
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let first = message("session:new", json!({"from": "1"}), false);
    Session::open(connector, settings(&server.ws_url(path)), first)
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_nothing_queued_is_lost() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    let asked = session.send(&message("verb:hook", json!({}), true)).unwrap();
    socket.message().await;
    socket.crash();
    let SessionEvent::Unanswered { id, why } = event(&mut session).await else {
        panic!("an answer")
    };
    assert_eq!((id, why), (asked, Unanswered::ConnectionLost));
    let lost = event(&mut session).await;
    assert!(
        matches!(lost, SessionEvent::Lost { pause, .. } if pause == Duration::from_millis(500)),
        "{lost:?}"
    );
    session
        .send(&message("call:status", json!("meanwhile"), false))
        .unwrap();

    let mut socket = server.socket().await;
    let again = socket.message().await;
    assert_eq!(
        (again["type"].clone(), again["data"].clone()),
        ("session:reconnect".into(), json!({"from": "1"}))
    );
    socket.ack(&again, json!([{"verb": "pause"}])).await;
    let SessionEvent::Reconnected { data } = event(&mut session).await else {
        panic!("no reconnection")
    };
    assert_eq!(data, Some(json!([{"verb": "pause"}])));
    assert_eq!(socket.message().await["data"], "meanwhile");
}

#[tokio::test]
async fn what_is_only_told_needs_no_acknowledgement_and_a_connection_that_fails_is_tried_again() {
    let mut server = AppServer::build()
        .on("/503", |_| Reply::Json(503, Value::Null))
        .start()
        .await;
    let mut refused = told(&server, "/503");
    let lost = event(&mut refused).await;
    assert!(
        matches!(lost, SessionEvent::Lost { pause, .. } if pause == Duration::from_millis(500)),
        "nobody waits for it: {lost:?}"
    );
    let mut session = told(&server, "/app");
    session.send(&message("call:status", json!(1), false)).unwrap();
    let mut socket = server.socket().await;
    assert_eq!(socket.message().await["type"], "session:new");
    assert_eq!(socket.message().await["data"], 1);
    // Who reads on has answered the ping behind that.
    session.send(&message("call:status", json!(2), false)).unwrap();
    assert_eq!(socket.message().await["data"], 2);
    socket
        .send(json!({"type": "command", "command": "tag", "data": {}}))
        .await;
    assert!(matches!(event(&mut session).await, SessionEvent::Command(_)));
    socket.crash();
    // It knows the session: nothing waits for its word that it does.
    let mut socket = server.socket().await;
    assert_eq!(socket.message().await["type"], "session:reconnect");
    assert_eq!(socket.message().await["data"], 2);
    session.send(&message("call:status", json!(3), false)).unwrap();
    assert_eq!(socket.message().await["data"], 3);
    let (code, ()) = tokio::join!(closing(socket), session.close(CloseCode::CallOver));
    assert_eq!(code, Some(1000));
}

#[tokio::test]
async fn the_code_of_a_close_says_whether_the_application_comes_back() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, socket) = established(&mut server, settings(&url)).await;
    socket.close(1000).await;
    let end = event(&mut session).await;
    assert!(matches!(end, SessionEvent::Ended(End::ByApplication)), "{end:?}");
    assert_eq!(
        session.send(&message("call:status", json!({}), false)),
        Err(SendRefused::Over)
    );

    let (mut session, socket) = established(&mut server, settings(&url)).await;
    socket.close(1011).await;
    let lost = event(&mut session).await;
    assert!(
        matches!(
            &lost,
            SessionEvent::Lost {
                failure: SessionFailure::Closed { code: 1011, .. },
                ..
            }
        ),
        "{lost:?}"
    );
    let mut silent = server.socket().await;
    assert_eq!(silent.message().await["type"], "session:reconnect");
    let failure = failure_of(event_of_time(&mut session).await);
    assert!(
        matches!(
            failure,
            SessionFailure::Unacknowledged {
                kind: "session:reconnect",
                ..
            }
        ),
        "{failure}"
    );
    let told = silent.message().await;
    let details = told["data"]["details"].as_str().unwrap_or_default();
    assert!(details.contains("session:reconnect was not acknowledged"), "{told}");
    assert_eq!(closing(silent).await, Some(1001));
}

#[tokio::test]
async fn the_url_says_how_often_a_lost_connection_is_tried_again() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app#rc=0");
    let (mut session, socket) = established(&mut server, settings(&url)).await;
    socket.crash();
    let failure = failure(&mut session).await;
    assert!(failure.is_repeatable(&RetryPolicy::default(), true), "{failure}");
}

#[tokio::test]
async fn a_handshake_that_fails_ends_the_session_unless_the_url_says_again() {
    let server = AppServer::build()
        .on("/401", |_| Reply::Json(401, Value::Null))
        .on("/503", |_| Reply::Json(503, Value::Null))
        .on("/silent", |_| Reply::Stall(vec![]))
        .on("/metadata", |_| {
            Reply::Redirect(302, "ws://169.254.169.254/".to_owned())
        })
        .on("/http", |_| Reply::Redirect(302, "http://app.example/".to_owned()))
        .on("/gone", |_| Reply::Raw(Vec::new()))
        .on("/404", |_| Reply::Json(404, Value::Null))
        .on("/loop", |_| Reply::Redirect(302, "/loop".to_owned()))
        .on("/plain", |_| {
            Reply::Raw(
                b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n"
                    .to_vec(),
            )
        })
        .on("/long", |_| {
            Reply::Raw(format!("HTTP/1.1 101 X\r\nx: {}\r\n\r\n", "x".repeat(100_000)).into_bytes())
        })
        .on("/extended", |request| {
            let key = request.header("sec-websocket-key").unwrap_or_default();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let head = "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-protocol: ws.jambonz.org\r\n";
            let more = format!("sec-websocket-accept: {accept}\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n");
            Reply::Raw(format!("{head}{more}").into_bytes())
        })
        .start()
        .await;
    for (path, label) in [
        ("/401", "refused"),
        ("/503", "refused"),
        ("/metadata", "forbidden_address"),
        ("/http", "redirect"),
        ("/loop", "redirect"),
        ("/plain", "handshake"),
        ("/gone", "broken"),
        ("/extended", "handshake"),
        ("/long", "handshake"),
    ] {
        let patient = SessionSettings {
            handshake: BOUND,
            ..settings(&server.ws_url(path))
        };
        let mut session = open(&server, patient);
        let failed = failure(&mut session).await;
        assert_eq!(failed.label(), label, "{path}");
        let says = failed
            .to_string()
            .contains("the head of the answer is longer than 64 KiB");
        assert_eq!(says, path == "/long", "{failed}");
    }
    let mut unanswered = open(&server, settings(&server.ws_url("/silent")));
    let asked = async {
        while server.requests().iter().all(|request| request.path != "/silent") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, asked).await.expect("a request");
    let failure_of_time = failure_of(event_of_time(&mut unanswered).await);
    assert_eq!(failure_of_time.label(), "handshake_timeout");
    for (path, label) in [
        ("/503#rc=1", "refused"),
        ("/gone#rc=1", "broken"),
        ("/404#rc=1&rp=4xx", "refused"),
    ] {
        let mut again = open(&server, settings(&server.ws_url(path)));
        let first = event(&mut again).await;
        assert!(matches!(first, SessionEvent::Lost { .. }), "{path}: {first:?}");
        assert_eq!(failure(&mut again).await.label(), label);
    }
    let mut once = open(&server, settings(&server.ws_url("/404#rc=1")));
    assert_eq!(failure(&mut once).await.label(), "refused");
    let connector = server.connector(AddressPolicy::new(vec![], false, vec![]));
    let mut inside = Session::open(
        connector,
        settings(&server.ws_url("/app")),
        message("session:new", json!({}), true),
    );
    assert_eq!(failure(&mut inside).await.label(), "forbidden_address");
}

#[tokio::test]
async fn who_answers_no_ping_is_lost() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let watchful = SessionSettings {
        ping: BOUND / 5,
        ..settings(&url)
    };
    let (mut session, _unread) = established(&mut server, watchful).await;
    let lost = event_of_time(&mut session).await;
    assert!(
        matches!(
            &lost,
            SessionEvent::Lost {
                failure: SessionFailure::Silent { .. },
                ..
            }
        ),
        "{lost:?}"
    );
}
