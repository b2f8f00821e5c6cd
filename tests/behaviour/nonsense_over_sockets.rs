//! Applications behind WebSockets that misbehave: nonsense, broken frames, more than their rate.

use crate::app_server::{AppServer, AppServerBuilder};
use crate::app_session::*;
use portcullis::app::websocket::{End, SessionEvent, SessionSettings};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

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
