//! What an application behind a WebSocket may not have heard before its connection was lost: it is told again, nothing that
//! arrived is, and nothing for ever.

use crate::app_server::{AppServer, AppSocket, BOUND, Reply};
use crate::app_session::{established, event, failure, message, settings};
use portcullis::app::outbound::{AddressPolicy, Connector};
use portcullis::app::websocket::{CloseCode, Session, SessionEvent};
use serde_json::{Value, json};

/// Acknowledges the `session:reconnect` of the next connection.
async fn again(server: &mut AppServer) -> AppSocket {
    let mut socket = server.socket().await;
    let reconnect = socket.message().await;
    assert_eq!(reconnect["type"], "session:reconnect");
    socket.ack(&reconnect, json!([])).await;
    socket
}

#[tokio::test]
async fn what_a_broken_connection_has_swallowed_is_told_again_and_nothing_that_arrived() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    let status = |n: u32| message("call:status", json!(n), false);
    session.send(&status(1)).unwrap();
    let swallowed = session.send(&status(2)).unwrap();
    assert_eq!(socket.message().await["data"], 1);
    // Behind the first came a ping: who reads on has answered it. Nothing is read of what comes behind the second.
    assert_eq!(socket.message().await["data"], 2);
    socket
        .send(json!({"type": "command", "command": "tag", "data": {}}))
        .await;
    assert!(matches!(event(&mut session).await, SessionEvent::Command(_)));
    session.send(&status(3)).unwrap();
    socket.crash();
    session.send(&status(4)).unwrap();
    let mut socket = again(&mut server).await;
    for n in [2, 3, 4] {
        let told = socket.message().await;
        assert_eq!(told["data"], n);
        assert_eq!(n == 2, told["msgid"] == swallowed.to_string());
    }
    // An acknowledgement says of all that was sent before its question that it has arrived.
    session.send(&status(5)).unwrap();
    session.send(&message("verb:hook", json!(6), true)).unwrap();
    assert_eq!(socket.message().await["data"], 5);
    let asked = socket.message().await;
    socket.ack(&asked, json!([])).await;
    loop {
        match event(&mut session).await {
            SessionEvent::Acked { .. } => break,
            SessionEvent::Lost { .. } | SessionEvent::Reconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    socket.close(1011).await;
    session.send(&status(7)).unwrap();
    let mut socket = again(&mut server).await;
    assert_eq!(socket.message().await["data"], 7);
}

/// How many events could not be told.
fn untold(connector: &Connector) -> u64 {
    let figures = connector.figures().read().into_iter();
    figures
        .filter(|(_, outcome, _)| *outcome == "untold")
        .map(|(.., count)| count)
        .sum()
}

#[tokio::test]
async fn an_event_that_breaks_its_server_is_given_up_and_the_next_ones_are_told() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (mut session, mut socket) = established(&mut server, settings(&url)).await;
    for n in [1, 2] {
        session.send(&message("call:status", json!(n), false)).unwrap();
    }
    for time in 1..=3 {
        assert_eq!(socket.message().await["data"], 1, "for the {time}. time");
        socket.crash();
        socket = again(&mut server).await;
    }
    assert_eq!(socket.message().await["data"], 2);
    let dropped = async {
        loop {
            if let SessionEvent::Dropped { kind, times } = event(&mut session).await {
                return (kind, times);
            }
        }
    };
    assert_eq!(dropped.await, ("call:status", 3));
}

#[tokio::test]
async fn who_reads_the_last_event_and_leaves_without_a_close_has_heard_it() {
    let mut server = AppServer::build().start().await;
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let session = Session::tell(connector.clone(), settings(&server.ws_url("/app")));
    session.send(&message("call:status", json!(1), false)).unwrap();
    let reading = async {
        let mut socket = server.socket().await;
        assert_eq!(socket.message().await["data"], 1);
        socket.answers_a_ping().await;
        socket.crash();
    };
    tokio::join!(session.close(CloseCode::CallOver), reading);
    assert_eq!((server.connections(), untold(&connector)), (1, 0));
}

#[tokio::test]
async fn events_that_never_leave_are_counted() {
    let server = AppServer::build()
        .on("/silent", |_| Reply::Stall(vec![]))
        .on("/401", |_| Reply::Json(401, Value::Null))
        .start()
        .await;
    let connector = server.connector(AddressPolicy::new(vec![], true, vec![]));
    let open = |path: &str| {
        let first = message("session:new", json!({}), true);
        let session = Session::open(connector.clone(), settings(&server.ws_url(path)), first);
        session.send(&message("call:status", json!(1), false)).unwrap();
        session
    };
    // The caller is gone before anybody has taken the call.
    open("/silent").close(CloseCode::CallOver).await;
    assert_eq!(untold(&connector), 1);
    // Nobody closes this one: it fails.
    failure(&mut open("/401")).await;
    assert_eq!(untold(&connector), 2);
}

#[tokio::test]
async fn what_was_told_while_the_application_closed_is_told_again() {
    let mut server = AppServer::build().start().await;
    let url = server.ws_url("/app");
    let (session, mut socket) = established(&mut server, settings(&url)).await;
    session.send(&message("call:status", json!(1), false)).unwrap();
    // It reads up to there and no further: neither a ping nor our close, if there is one yet.
    let crash = async {
        assert_eq!(socket.message().await["data"], 1);
        socket.crash();
        let mut socket = server.socket().await;
        assert_eq!(socket.message().await["type"], "session:reconnect");
        assert_eq!(socket.message().await["data"], 1);
        assert_eq!(socket.event().await, Err(Some(1000)));
    };
    let closing = tokio::time::timeout(BOUND, session.close(CloseCode::CallOver));
    let (closed, ()) = tokio::join!(closing, crash);
    closed.expect("a close");
}
