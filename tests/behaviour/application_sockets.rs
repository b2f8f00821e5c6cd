//! An application behind a WebSocket: what it is told and asked, its acknowledgements and its commands.

use crate::app_server::{AppServer, Reply};
use crate::app_session::*;
use portcullis::app::outbound::AddressPolicy;
use portcullis::app::websocket::{CloseCode, MessageId, SendRefused, Session, SessionEvent, Unanswered};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn messages_are_acknowledged_and_commands_arrive() {
    for tls in [false, true] {
        let builder = AppServer::build();
        let mut server = if tls {
            builder.tls().start().await
        } else {
            builder.start().await
        };
        let url = server.ws_url("/app?x=1");
        let (mut session, mut socket) = established(&mut server, settings(&url)).await;
        assert_eq!(socket.request.query, "x=1");
        assert_eq!(socket.request.header("authorization"), Some("Basic YXBwOndvcmQ="));
        assert_eq!(socket.request.header("sec-websocket-protocol"), Some("ws.jambonz.org"));

        session.send(&message("call:status", json!({"n": 1}), false)).unwrap();
        let asked = session.send(&message("verb:hook", json!({"n": 2}), true)).unwrap();
        session.send(&message("call:status", json!({"n": 3}), false)).unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let got = socket.message().await;
            seen.push((got["type"].clone(), got["data"]["n"].clone()));
            assert_eq!(got["call_sid"], "c1");
            if got["type"] == "verb:hook" {
                assert_eq!(
                    (got["msgid"].clone(), got["hook"].clone()),
                    (asked.to_string().into(), "/done".into())
                );
                socket.ack(&got, json!([{"verb": "hangup"}])).await;
            }
        }
        assert_eq!(
            seen,
            [("call:status", 1), ("verb:hook", 2), ("call:status", 3)].map(|(kind, n)| (kind.into(), n.into()))
        );
        let SessionEvent::Acked { id, data } = event(&mut session).await else {
            panic!("no ack")
        };
        assert_eq!((id, data), (asked, Some(json!([{"verb": "hangup"}]))));

        let command = json!({"type": "command", "command": "redirect", "data": [{"verb": "hangup"}]});
        socket.send(command.clone()).await;
        let SessionEvent::Command(got) = event(&mut session).await else {
            panic!("no command")
        };
        assert_eq!(got, command);
        let (code, ()) = tokio::join!(closing(socket), session.close(CloseCode::CallOver));
        assert_eq!(code, Some(1000));
    }
}

#[tokio::test]
async fn what_was_queued_leaves_before_the_close() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (session, mut socket) = established(&mut server, settings(&url)).await;
    for n in 0..20 {
        session.send(&message("call:status", json!(n), false)).unwrap();
    }
    let reading = async {
        let mut seen = Vec::new();
        loop {
            match socket.event().await {
                Ok(got) => seen.push(got["data"].as_u64().unwrap()),
                Err(code) => return (seen, code),
            }
        }
    };
    let ((seen, code), ()) = tokio::join!(reading, session.close(CloseCode::InvalidApplication));
    assert_eq!((seen, code), ((0..20).collect(), Some(1001)));
    let (session, socket) = established(&mut server, settings(&url)).await;
    drop(session);
    assert_eq!(closing(socket).await, Some(1000), "a dropped session closes");
}

#[tokio::test]
async fn an_acknowledgement_that_is_late_is_none() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    let asked = session.send(&message("verb:hook", json!({}), true)).unwrap();
    let got = socket.message().await;
    let SessionEvent::Unanswered { id, why } = event_of_time(&mut session).await else {
        panic!("an answer")
    };
    let late = |kind| Unanswered::Late {
        kind,
        after: Duration::from_secs(5),
    };
    assert_eq!((id, why), (asked, late("verb:hook")));
    // The session goes on, and what comes too late is told so.
    socket.ack(&got, json!([])).await;
    let told = socket.message().await;
    assert_eq!(
        (&told["type"], &told["data"]["msg"]),
        (&json!("jambonz:error"), &json!("InvalidMessage"))
    );
    let details = format!(
        "the ack of verb:hook ({}) came after its 5000 ms",
        got["msgid"].as_str().unwrap()
    );
    assert_eq!(told["data"]["details"], details);
    assert!(matches!(event(&mut session).await, SessionEvent::Invalid { .. }));
    socket
        .send(json!({"type": "command", "command": "tag", "data": {}}))
        .await;
    assert!(matches!(event(&mut session).await, SessionEvent::Command(_)));

    // Whose session was not taken in time can still be told why it is closed, and so can one that takes it too late.
    let mut unanswered = open(&server, settings(&url));
    let mut silent = server.socket().await;
    let new = silent.message().await;
    assert_eq!(new["type"], "session:new");
    let SessionEvent::Unanswered { id, why } = event_of_time(&mut unanswered).await else {
        panic!("an answer")
    };
    assert_eq!((&id, why), (unanswered.first(), late("session:new")));
    silent.ack(&new, json!([])).await;
    let told = silent.message().await;
    let details = told["data"]["details"].as_str().unwrap_or_default();
    assert!(details.contains("the ack of session:new"), "{told}");
    unanswered
        .send(&message("jambonz:error", json!({"msg": "hook"}), false))
        .unwrap();
    let (closed, ()) = tokio::join!(closing(silent), unanswered.close(CloseCode::InvalidApplication));
    assert_eq!(closed, Some(1001));

    // Who is lost then does not get it again.
    let mut unanswered = open(&server, settings(&url));
    let mut silent = server.socket().await;
    assert_eq!(silent.message().await["type"], "session:new");
    assert!(matches!(
        event_of_time(&mut unanswered).await,
        SessionEvent::Unanswered { .. }
    ));
    silent.crash();
    let failure = failure(&mut unanswered).await;
    assert_eq!(failure.label(), "broken");
    assert!(unanswered.recv().await.is_none());
}

#[tokio::test]
async fn events_that_are_told_alone_need_no_session() {
    let mut server = AppServer::build().start().await;
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let session = Session::tell(connector, settings(&server.ws_url("/app")));
    for n in [1, 2] {
        session.send(&message("call:status", json!(n), false)).unwrap();
    }
    let reading = async {
        let mut socket = server.socket().await;
        assert_eq!(socket.message().await["data"], 1);
        socket.crash();
        let mut socket = server.socket().await;
        for n in [1, 2] {
            assert_eq!(socket.message().await["data"], n);
        }
        assert_eq!(socket.event().await, Err(Some(1000)));
    };
    // There is no connection yet, and still it is made.
    tokio::join!(session.close(CloseCode::CallOver), reading);
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_message() {
    let server = AppServer::build().on("/app", |_| Reply::Stall(vec![])).start().await;
    let session = open(&server, settings(&server.ws_url("/app")));
    let status = message("call:status", json!({}), false);
    let sent: Vec<Result<MessageId, SendRefused>> = (0..257).map(|_| session.send(&status)).collect();
    assert!(sent[..256].iter().all(Result::is_ok));
    assert_eq!(sent[256], Err(SendRefused::Full));
    let long = message("call:status", json!("x".repeat(300_000)), false);
    assert!(matches!(session.send(&long), Err(SendRefused::TooLarge(_))));
    session.close(CloseCode::CallOver).await;
}
