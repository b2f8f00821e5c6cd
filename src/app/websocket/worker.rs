//! The task of a session: it alone owns the connection.

use super::failure::SessionFailure;
use super::handshake::connect;
use super::message::{MessageId, Numbered, OutMessage, Said, read};
use super::session::{CloseCode, End, SessionEvent, SessionSettings, Unanswered};
use crate::app::outbound::{Asked, Connector, Stream};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<Stream>;

/// For the application to answer our close.
const FAREWELL: Duration = Duration::from_secs(1);
/// Repetitions after a lost connection where the URL says nothing.
const REPETITIONS: u8 = 5;
const NEW: &str = "session:new";
const RECONNECT: &str = "session:reconnect";

pub(super) struct Worker {
    connector: Connector,
    settings: SessionSettings,
    queue: mpsc::Receiver<Numbered>,
    events: mpsc::Sender<SessionEvent>,
    closing: oneshot::Receiver<CloseCode>,
    /// We are to close, and messages wait for a connection that is made anew: they leave first.
    parting: Option<CloseCode>,
    first: OutMessage,
    first_id: MessageId,
    /// When the application has to have acknowledged `session:new`, however often it was sent.
    first_due: Option<Instant>,
    first_acked: bool,
    /// Sent and not acknowledged, `session:new` and `session:reconnect` aside.
    waiting: Vec<Waiting>,
    /// The `session:reconnect` under way; queued messages wait for its acknowledgement.
    reconnecting: Option<Waiting>,
    reconnections: u32,
    /// What the application said that could not be read, so often already.
    complaints: u32,
    /// Connections lost or not made since the application last acknowledged one.
    failures: u8,
}

struct Waiting {
    id: MessageId,
    due: Instant,
}

/// Why the task leaves a connection.
enum Left {
    Over(End),
    Lost(SessionFailure),
}

impl From<SessionFailure> for Left {
    fn from(failure: SessionFailure) -> Left {
        Left::Lost(failure)
    }
}

impl Worker {
    pub(super) fn new(
        connector: Connector,
        settings: SessionSettings,
        first: OutMessage,
        first_id: MessageId,
        queue: mpsc::Receiver<Numbered>,
        events: mpsc::Sender<SessionEvent>,
        closing: oneshot::Receiver<CloseCode>,
    ) -> Worker {
        Worker {
            connector,
            settings,
            queue,
            events,
            closing,
            parting: None,
            first,
            first_id,
            first_due: None,
            first_acked: false,
            waiting: Vec::new(),
            reconnecting: None,
            reconnections: 0,
            complaints: 0,
            failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let end = self.session().await;
        // The call may have gone without waiting for the end.
        let _gone = self.events.send(SessionEvent::Ended(end)).await;
    }

    async fn session(&mut self) -> End {
        loop {
            let Some(connected) = self.connect().await else {
                return End::ByUs;
            };
            let failure = match connected {
                Ok(mut socket) => {
                    self.connector.figures().count(Asked::Socket, "ok");
                    match self.connected(&mut socket).await {
                        Left::Over(end) => return end,
                        Left::Lost(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            self.connector.figures().count(Asked::Socket, failure.label());
            // A first connection that fails tells the call at once; it may have a fallback.
            let default = if self.first_due.is_some() { REPETITIONS } else { 0 };
            let pause = self.settings.url.retry().pause(self.failures, default);
            let Some(pause) = pause.filter(|_| failure.is_repeatable()) else {
                if self.parting.is_some() {
                    let messages = self.queue.len();
                    tracing::warn!(url = %self.settings.url, messages, %failure, "events could not be told");
                }
                return End::Failed(failure);
            };
            self.failures += 1;
            self.reconnecting = None;
            for Waiting { id, .. } in std::mem::take(&mut self.waiting) {
                let why = Unanswered::ConnectionLost;
                self.tell(SessionEvent::Unanswered { id, why }).await;
            }
            self.tell(SessionEvent::Lost { failure, pause }).await;
            let parts = self.parting.is_some();
            let pausing = sleep(pause);
            tokio::pin!(pausing);
            tokio::select! {
                () = &mut pausing => {}
                code = &mut self.closing, if !parts => match self.parts(code) {
                    true => pausing.await,
                    false => return End::ByUs,
                },
                () = until(self.first_due.filter(|_| !self.first_acked)) => return self.first_unanswered(),
            }
        }
    }

    /// Connects; `None`: we are to close, and nothing waits that has to leave first.
    async fn connect(&mut self) -> Option<Result<Socket, SessionFailure>> {
        let (connector, settings) = (self.connector.clone(), self.settings.clone());
        let connecting = connect(&connector, &settings);
        if self.parting.is_some() {
            return Some(connecting.await);
        }
        tokio::pin!(connecting);
        tokio::select! {
            connected = &mut connecting => Some(connected),
            code = &mut self.closing => match self.parts(code) {
                true => Some(connecting.await),
                false => None,
            },
        }
    }

    /// We are to close while there is no connection: whether messages of a session that had begun wait for another one.
    fn parts(&mut self, code: Result<CloseCode, oneshot::error::RecvError>) -> bool {
        self.parting = Some(code.unwrap_or(CloseCode::CallOver));
        self.first_acked && !self.queue.is_empty()
    }

    /// One connection, from its greeting to its end.
    async fn connected(&mut self, socket: &mut Socket) -> Left {
        if let Err(failure) = self.greet(socket).await {
            return failure.into();
        }
        if let Some(code) = self.parting {
            return self.farewell(socket, code).await;
        }
        let mut heard = Instant::now();
        let mut ping = interval_at(heard + self.settings.ping, self.settings.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.next_due();
            let left = tokio::select! {
                frame = socket.next() => {
                    heard = Instant::now();
                    self.hear(socket, frame).await
                }
                message = self.queue.recv(), if self.reconnecting.is_none() => match message {
                    Some(message) => self.send(socket, message).await.map_err(Left::from),
                    // The session was dropped; `closing` says so too.
                    None => Err(self.farewell(socket, CloseCode::CallOver).await),
                },
                code = &mut self.closing => {
                    Err(self.farewell(socket, code.unwrap_or(CloseCode::CallOver)).await)
                }
                () = until(due) => self.expire().await,
                _ = ping.tick() => match heard.elapsed() >= self.settings.ping * 2 {
                    true => Err(Left::Lost(SessionFailure::Silent { url: self.url(), after: self.settings.ping * 2 })),
                    false => self.write(socket, Message::Ping(Vec::new().into())).await.map_err(Left::from),
                },
            };
            if let Err(left) = left {
                return left;
            }
        }
    }

    /// `session:new` until it was acknowledged once, `session:reconnect` with the same data afterwards.
    async fn greet(&mut self, socket: &mut Socket) -> Result<(), SessionFailure> {
        let now = Instant::now();
        if !self.first_acked {
            self.first_due = self.first_due.or(Some(now + self.settings.ack));
            let text = self.first.numbered(self.first_id.clone()).text;
            self.write(socket, Message::Text(text)).await?;
            if !self.first.wants_ack {
                self.acknowledged(self.first_id.clone(), None).await;
            }
            return Ok(());
        }
        self.reconnections += 1;
        let id = MessageId(format!("{}-r{}", self.first_id, self.reconnections));
        let again = OutMessage {
            kind: RECONNECT,
            ..self.first.clone()
        };
        let text = again.numbered(id.clone()).text;
        let due = now + self.settings.ack;
        self.reconnecting = Some(Waiting { id, due });
        self.write(socket, Message::Text(text)).await
    }

    async fn send(&mut self, socket: &mut Socket, message: Numbered) -> Result<(), SessionFailure> {
        let Numbered {
            id, wants_ack, text, ..
        } = message;
        if wants_ack {
            let due = Instant::now() + self.settings.ack;
            self.waiting.push(Waiting { id, due });
        }
        self.write(socket, Message::Text(text)).await
    }

    async fn write(&self, socket: &mut Socket, message: Message) -> Result<(), SessionFailure> {
        let after = self.settings.ack;
        match timeout(after, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(SessionFailure::NotReading { url: self.url(), after }),
        }
    }

    async fn hear(&mut self, socket: &mut Socket, frame: Option<Result<Message, Error>>) -> Result<(), Left> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                // The library's answer to the close; the connection is dropped in any case.
                let _answered = timeout(FAREWELL, socket.flush()).await;
                return Err(self.closed(frame));
            }
            Some(Ok(Message::Binary(_))) => {
                return self.complain(socket, "a message is text, not binary".to_owned()).await;
            }
            // Pings are answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(error)) => {
                if let Some((code, reason)) = breach(&error) {
                    let frame = close_frame(code, reason);
                    // The connection is given up in any case.
                    let _told = self.write(socket, Message::Close(Some(frame))).await;
                }
                return Err(self.broken(&error).into());
            }
            None => {
                let detail = "closed without a word".to_owned();
                return Err(SessionFailure::Broken {
                    url: self.url(),
                    detail,
                }
                .into());
            }
        };
        match read(&text) {
            Said::Ack { id, data } => self.acknowledged(id, data).await,
            Said::Command(command) => self.tell(SessionEvent::Command(command)).await,
            Said::Nonsense(reason) => return self.complain(socket, reason).await,
        }
        Ok(())
    }

    async fn acknowledged(&mut self, id: MessageId, data: Option<serde_json::Value>) {
        if id == self.first_id && !self.first_acked {
            self.first_acked = true;
            self.failures = 0;
            self.tell(SessionEvent::Acked { id, data }).await;
        } else if self.reconnecting.as_ref().is_some_and(|waiting| waiting.id == id) {
            self.reconnecting = None;
            self.failures = 0;
            self.tell(SessionEvent::Reconnected { data }).await;
        } else if let Some(index) = self.waiting.iter().position(|waiting| waiting.id == id) {
            self.waiting.swap_remove(index);
            self.tell(SessionEvent::Acked { id, data }).await;
        }
        // Else: too late, twice, or for a message that wants none, as applications do.
    }

    async fn complain(&mut self, socket: &mut Socket, reason: String) -> Result<(), Left> {
        let error = OutMessage {
            kind: "jambonz:error",
            call_sid: self.first.call_sid.clone(),
            hook: None,
            data: json!({ "msg": "InvalidMessage", "details": reason }),
            b3: None,
            wants_ack: false,
        };
        self.complaints = self.complaints.saturating_add(1);
        let id = MessageId(format!("{}-e{}", self.first_id, self.complaints));
        let text = error.numbered(id).text;
        self.tell(SessionEvent::Invalid { reason }).await;
        self.write(socket, Message::Text(text)).await?;
        Ok(())
    }

    fn closed(&self, frame: Option<CloseFrame>) -> Left {
        let (code, reason) = match frame {
            Some(frame) => (u16::from(frame.code), frame.reason.as_str().to_owned()),
            // RFC 6455 §7.1.5: no code at all.
            None => (1005, String::new()),
        };
        match code {
            1000 => Left::Over(End::ByApplication),
            _ => Left::Lost(SessionFailure::Closed {
                url: self.url(),
                code,
                reason,
            }),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let first = self.first_due.filter(|_| !self.first_acked);
        let again = self.reconnecting.as_ref().map(|waiting| waiting.due);
        let others = self.waiting.iter().map(|waiting| waiting.due);
        others.chain(first).chain(again).min()
    }

    async fn expire(&mut self) -> Result<(), Left> {
        let now = Instant::now();
        if !self.first_acked && self.first_due.is_some_and(|due| due <= now) {
            return Err(Left::Over(self.first_unanswered()));
        }
        if self.reconnecting.as_ref().is_some_and(|waiting| waiting.due <= now) {
            return Err(Left::Over(End::Failed(self.unacknowledged(RECONNECT))));
        }
        while let Some(index) = self.waiting.iter().position(|waiting| waiting.due <= now) {
            let id = self.waiting.swap_remove(index).id;
            let why = Unanswered::Late;
            self.tell(SessionEvent::Unanswered { id, why }).await;
        }
        Ok(())
    }

    fn first_unanswered(&self) -> End {
        End::Failed(self.unacknowledged(NEW))
    }

    fn unacknowledged(&self, kind: &'static str) -> SessionFailure {
        let failure = SessionFailure::Unacknowledged {
            url: self.url(),
            kind,
            after: self.settings.ack,
        };
        self.connector.figures().count(Asked::Socket, failure.label());
        failure
    }

    /// Sends what was queued before the close, then closes.
    async fn farewell(&mut self, socket: &mut Socket, code: CloseCode) -> Left {
        let (code, reason) = match code {
            CloseCode::CallOver => (coding::CloseCode::Normal, "call over"),
            CloseCode::InvalidApplication => (coding::CloseCode::Away, "invalid application"),
        };
        let parting = async {
            while let Ok(Numbered { text, .. }) = self.queue.try_recv() {
                socket.send(Message::Text(text)).await?;
            }
            socket.close(Some(close_frame(code, reason))).await?;
            while socket.next().await.is_some_and(|frame| frame.is_ok()) {}
            Ok::<(), Error>(())
        };
        // However it ends, the connection is dropped now.
        let _parted = timeout(FAREWELL, parting).await;
        Left::Over(End::ByUs)
    }

    /// Fails only when the call does not listen any more; then `closing` ends the task.
    async fn tell(&self, event: SessionEvent) {
        let _gone = self.events.send(event).await;
    }

    fn broken(&self, error: &Error) -> SessionFailure {
        SessionFailure::Broken {
            url: self.url(),
            detail: error.to_string(),
        }
    }

    fn url(&self) -> String {
        self.settings.url.to_string()
    }
}

/// What the application's end is told that broke the protocol (RFC 6455 §7.4.1); `None` where nobody is left to hear it.
fn breach(error: &Error) -> Option<(coding::CloseCode, &'static str)> {
    match error {
        Error::Capacity(_) => Some((coding::CloseCode::Size, "the message is too long")),
        Error::Utf8(_) => Some((coding::CloseCode::Invalid, "a text is no UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing) => None,
        Error::Protocol(_) => Some((coding::CloseCode::Protocol, "a frame breaks RFC 6455")),
        _ => None,
    }
}

fn close_frame(code: coding::CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}

/// At `due`; never where there is none.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
