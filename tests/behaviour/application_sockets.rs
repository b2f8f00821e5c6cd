//! An application behind a WebSocket: acknowledgements, commands, lost connections, and those that misbehave.

use crate::app_server::{AppServer, AppServerBuilder, AppSocket, BOUND, Reply};
use portcullis::app::outbound::{AddressPolicy, BasicAuth, HookUrl, RetryPolicy};
use portcullis::app::websocket::{
    CloseCode, End, MessageId, OutMessage, SendRefused, Session, SessionEvent, SessionFailure, SessionSettings,
    Unanswered,
};
use portcullis::config::Secret;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

pub fn message(kind: &'static str, data: Value, wants_ack: bool) -> OutMessage {
    OutMessage {
        kind,
        call_sid: "c1".to_owned(),
        hook: wants_ack.then(|| "/done".to_owned()),
        data,
        b3: None,
        wants_ack,
    }
}

pub fn settings(url: &str) -> SessionSettings {
    let auth = BasicAuth {
        username: "app".to_owned(),
        password: Secret::new("word"),
    };
    SessionSettings::new(HookUrl::parse(url, None).unwrap(), Some(auth))
}

pub fn open(server: &AppServer, settings: SessionSettings) -> Session {
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    Session::open(connector, settings, message("session:new", json!({"from": "1"}), true))
}

pub async fn event(session: &mut Session) -> SessionEvent {
    tokio::time::timeout(BOUND, session.recv())
        .await
        .expect("an event")
        .expect("a session that goes on")
}

/// The event that time alone brings: nobody else has anything to do, so the clock goes at once to where it comes.
async fn event_of_time(session: &mut Session) -> SessionEvent {
    tokio::time::pause();
    let event = event(session).await;
    tokio::time::resume();
    event
}

/// A session whose `session:new` was acknowledged.
pub async fn established(server: &mut AppServer, settings: SessionSettings) -> (Session, AppSocket) {
    let mut session = open(server, settings);
    let mut socket = server.socket().await;
    let new = socket.message().await;
    assert_eq!(new["type"], "session:new");
    socket.ack(&new, json!([{"verb": "answer"}])).await;
    let acked = event(&mut session).await;
    assert!(
        matches!(&acked, SessionEvent::Acked { id, .. } if id == session.first()),
        "{acked:?}"
    );
    (session, socket)
}

pub async fn failure(session: &mut Session) -> SessionFailure {
    failure_of(event(session).await)
}

fn failure_of(event: SessionEvent) -> SessionFailure {
    match event {
        SessionEvent::Ended(End::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

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

async fn closing(mut socket: AppSocket) -> Option<u16> {
    loop {
        if let Err(code) = socket.event().await {
            return code;
        }
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

/// A session whose first message need not be acknowledged.
fn told(server: &AppServer, path: &str) -> Session {
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let first = message("session:new", json!({"from": "1"}), false);
    Session::open(connector, settings(&server.ws_url(path)), first)
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
    ] {
        let patient = SessionSettings {
            handshake: BOUND,
            ..settings(&server.ws_url(path))
        };
        let mut session = open(&server, patient);
        assert_eq!(failure(&mut session).await.label(), label, "{path}");
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
async fn nonsense_is_named_to_the_application_and_to_the_call() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let small = SessionSettings {
        most_received: 2_000,
        ..settings(&url)
    };
    let (mut session, mut socket) = established(&mut server, small).await;
    let deep = "[".repeat(1_000);
    let mut numbers = HashSet::new();
    for text in ["hello", "{}", r#"{"type":"session:new"}"#, &deep] {
        socket.send_text(text).await;
        let told = socket.message().await;
        assert_eq!(
            (told["type"].clone(), told["data"]["msg"].clone()),
            ("jambonz:error".into(), "InvalidMessage".into())
        );
        assert!(numbers.insert(told["msgid"].to_string()), "{told}");
        assert!(
            matches!(event(&mut session).await, SessionEvent::Invalid { .. }),
            "{text}"
        );
    }
    socket.send_binary(vec![0; 10]).await;
    assert_eq!(socket.message().await["type"], "jambonz:error");
    assert!(matches!(event(&mut session).await, SessionEvent::Invalid { .. }));
    socket.send_text(&"x".repeat(3_000)).await;
    assert_eq!(socket.event().await, Err(Some(1009)));
    let lost = event(&mut session).await;
    assert!(matches!(lost, SessionEvent::Lost { .. }), "{lost:?}");
}

#[tokio::test]
async fn who_keeps_talking_nonsense_is_closed_with_1008_and_not_connected_to_again() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    for _ in 0..150 {
        socket.send_text("hello").await;
    }
    let hearing = async {
        let mut invalid = 0;
        loop {
            match event(&mut session).await {
                SessionEvent::Invalid { .. } => invalid += 1,
                SessionEvent::Ended(End::Failed(failure)) => return (invalid, failure.label()),
                other => panic!("{other:?}"),
            }
        }
    };
    let (code, heard) = tokio::join!(closing(socket), hearing);
    assert_eq!((code, heard), (Some(1008), (101, "nonsense")));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn commands_above_their_rate_wait_and_none_is_lost() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    let begun = tokio::time::Instant::now();
    for n in 0..160 {
        socket
            .send(json!({"type": "command", "command": "config", "data": {"n": n}}))
            .await;
    }
    for n in 0..160 {
        match event(&mut session).await {
            SessionEvent::Command(command) => assert_eq!(command["data"]["n"], n),
            other => panic!("{other:?}"),
        }
    }
    // A hundred at once, and fifty a second.
    assert!(begun.elapsed() >= Duration::from_millis(1_100), "{:?}", begun.elapsed());
    // An answer waits behind no rate of its own.
    let asked = session.send(&message("verb:hook", json!({}), true)).unwrap();
    let got = socket.message().await;
    socket.ack(&got, json!([])).await;
    assert!(matches!(event(&mut session).await, SessionEvent::Acked { id, .. } if id == asked));
}

/// A megabyte of frames that hold nothing, all of one message: no pace of messages sees them.
#[tokio::test]
async fn frames_of_a_message_that_does_not_end_have_a_rate_and_none_is_lost() {
    let flooded = async |builder: AppServerBuilder| {
        let mut server = builder.start().await;
        let url = server.ws_url("/app");
        let (mut session, mut socket) = established(&mut server, settings(&url)).await;
        let (first, last) = ([0x01, 1, b'{'], [0x80, 1, b'}']);
        let frames = [&first[..], &vec![0; 1 << 20], &last].concat();
        let begun = tokio::time::Instant::now();
        let (_, heard) = tokio::join!(socket.send_raw(&frames), event(&mut session));
        // An object that says nothing.
        assert!(matches!(heard, SessionEvent::Invalid { .. }), "{heard:?}");
        // Half of it at once, and a quarter a second.
        assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
    };
    tokio::join!(flooded(AppServer::build()), flooded(AppServer::build().tls()));
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_how() {
    // A text that is no UTF-8, and a masked frame, which only clients send.
    for (bytes, code) in [
        (&[0x81, 2, 0xff, 0xfe][..], 1007),
        (&[0x81, 0x82, 1, 2, 3, 4, b'{' ^ 1, b'}' ^ 2][..], 1002),
    ] {
        let mut server = AppServer::build().start().await;
        let url = server.ws_url("/app");
        let (mut session, mut socket) = established(&mut server, settings(&url)).await;
        socket.send_raw(bytes).await;
        assert_eq!(socket.event().await, Err(Some(code)));
        let lost = event(&mut session).await;
        assert!(matches!(lost, SessionEvent::Lost { .. }), "{lost:?}");
    }
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
