//! Sessions with applications behind WebSockets, and what is waited for of them.

use crate::app_server::{AppServer, AppSocket, BOUND};
use portcullis::app::outbound::{AddressPolicy, BasicAuth, HookUrl};
use portcullis::app::websocket::{End, OutMessage, Session, SessionEvent, SessionFailure, SessionSettings};
use portcullis::config::Secret;
use serde_json::{Value, json};

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
pub async fn event_of_time(session: &mut Session) -> SessionEvent {
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

pub fn failure_of(event: SessionEvent) -> SessionFailure {
    match event {
        SessionEvent::Ended(End::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

pub async fn closing(mut socket: AppSocket) -> Option<u16> {
    loop {
        if let Err(code) = socket.event().await {
            return code;
        }
    }
}
