//! The task of a session: it alone owns the connection.

mod acknowledging;
mod closing;
mod pacing;
#[cfg(test)]
mod tests;

use super::failure::SessionFailure;
use super::handshake::connect;
use super::message::{MessageId, Numbered, OutMessage, Said, read};
use super::outstanding::Outstanding;
use super::session::{CloseCode, End, SessionEvent, SessionSettings, Unanswered};
use crate::app::outbound::{Asked, Connector, Stream};
use acknowledging::{Greeted, Waiting};
use closing::{FAREWELL, breach, close_frame};
use futures_util::{SinkExt, StreamExt};
pub(super) use pacing::Errors;
use pacing::Pace;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

type Socket = WebSocketStream<Stream>;

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
    /// We are to close, and messages wait for a connection that is made, or made anew: they leave first.
    parting: Option<CloseCode>,
    /// None where events are told alone.
    first: Option<OutMessage>,
    first_id: MessageId,
    greeted: Greeted,
    /// Sent and not acknowledged, `session:new` and `session:reconnect` aside.
    waiting: Vec<Waiting>,
    /// Their acknowledgements would come too late.
    missed: VecDeque<Waiting>,
    /// The `session:reconnect` under way; queued messages wait for its acknowledgement.
    reconnecting: Option<Waiting>,
    /// What is not known to have arrived.
    outstanding: Outstanding,
    reconnections: u32,
    /// What the application said that could not be read, so often already.
    complaints: u32,
    /// The same, and what could not be done, of late.
    errors: Arc<Errors>,
    pace: Pace,
    /// Connections lost or not made since the application last acknowledged one.
    failures: u8,
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
        first: Option<OutMessage>,
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
            greeted: match first {
                Some(_) => Greeted::Not,
                None => Greeted::Known,
            },
            first,
            first_id,
            waiting: Vec::new(),
            missed: VecDeque::new(),
            reconnecting: None,
            outstanding: Outstanding::default(),
            reconnections: 0,
            complaints: 0,
            errors: Arc::default(),
            pace: Pace::new(Instant::now()),
            failures: 0,
        }
    }

    /// Where errors are counted that the call finds.
    pub(super) fn errors(&self) -> Arc<Errors> {
        self.errors.clone()
    }

    pub(super) async fn run(mut self) {
        let end = self.session().await;
        self.queue.close();
        // Who closes wants no more.
        if !matches!(end, End::ByApplication) {
            self.untold(self.waiting_messages(), &end);
        }
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
            // A first connection that fails tells the call at once, where it waits: it may have a fallback.
            let hurried = self.greeted == Greeted::Not && self.wants_ack();
            let default = if hurried { 0 } else { REPETITIONS };
            let policy = self.settings.url.retry();
            let pause = policy.pause(self.failures, default);
            // Who has missed its time does not get the session again.
            let was_there = self.greeted == Greeted::Known;
            let may_return = failure.is_repeatable(policy, was_there) && self.greeted != Greeted::Missed;
            let Some(pause) = pause.filter(|_| may_return) else {
                return End::Failed(failure);
            };
            self.failures += 1;
            self.reconnecting = None;
            self.missed.clear();
            if let Some(Numbered { kind, times, .. }) = self.outstanding.connection_lost() {
                self.untold(1, &failure);
                self.tell(SessionEvent::Dropped { kind, times }).await;
            }
            if self.parting.is_some() && !self.may_be_told() {
                return End::ByUs;
            }
            for Waiting { id, .. } in std::mem::take(&mut self.waiting) {
                let why = Unanswered::ConnectionLost;
                self.tell(SessionEvent::Unanswered { id, why }).await;
            }
            self.tell(SessionEvent::Lost { failure, pause }).await;
            let (parts, first_due) = (self.parting.is_some(), self.first_due());
            let pausing = sleep(pause);
            tokio::pin!(pausing);
            tokio::select! {
                () = &mut pausing => {}
                code = &mut self.closing, if !parts => match self.parts(code) {
                    true => pausing.await,
                    false => return End::ByUs,
                },
                () = until(first_due) => return End::Failed(self.unacknowledged(NEW)),
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

    /// We are to close while there is no connection: whether messages wait for one whose session has begun, or needs no
    /// acknowledgement.
    fn parts(&mut self, code: Result<CloseCode, oneshot::error::RecvError>) -> bool {
        self.parting = Some(code.unwrap_or(CloseCode::CallOver));
        self.may_be_told()
    }

    fn may_be_told(&self) -> bool {
        (self.greeted == Greeted::Known || !self.wants_ack()) && self.waiting_messages() > 0
    }

    /// Messages that have not arrived, as far as is known.
    fn waiting_messages(&self) -> usize {
        self.queue.len() + self.outstanding.len()
    }

    /// Whether the first message has to be acknowledged.
    fn wants_ack(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.wants_ack)
    }

    fn untold(&self, messages: usize, why: &impl Display) {
        if messages > 0 {
            tracing::warn!(url = %self.settings.url, messages, %why, "events could not be told");
        }
        for _ in 0..messages {
            self.connector.figures().count(Asked::Socket, "untold");
        }
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
            let rest = self.pace.rests_until(Instant::now());
            let left = tokio::select! {
                frame = socket.next(), if rest.is_none() => {
                    heard = Instant::now();
                    match self.hear(socket, frame).await {
                        Ok(()) if self.errors.are_too_many(Instant::now()) => Err(self.shut_out(socket).await),
                        heard => heard,
                    }
                }
                () = until(rest) => Ok(()),
                message = next(&mut self.outstanding, &mut self.queue), if self.reconnecting.is_none() => match message {
                    Some(message) => self.send(socket, message).await.map_err(Left::from),
                    // The session was dropped; `closing` says so too.
                    None => Err(self.farewell(socket, CloseCode::CallOver).await),
                },
                code = &mut self.closing => {
                    Err(self.farewell(socket, code.unwrap_or(CloseCode::CallOver)).await)
                }
                () = until(due) => self.expire(socket).await,
                _ = ping.tick() => match heard.elapsed() >= self.settings.ping * 2 {
                    true => Err(Left::Lost(SessionFailure::Silent { url: self.url(), after: self.settings.ping * 2 })),
                    false => {
                        let mark = self.outstanding.mark();
                        self.ping(socket, mark).await.map_err(Left::from)
                    }
                },
            };
            if let Err(left) = left {
                return left;
            }
        }
    }

    /// `session:new` until the application knows it, `session:reconnect` with the same data afterwards.
    async fn greet(&mut self, socket: &mut Socket) -> Result<(), SessionFailure> {
        let Some(first) = &self.first else {
            return Ok(());
        };
        let due = Instant::now() + self.settings.ack;
        if self.greeted != Greeted::Known {
            self.greeted = match (self.greeted, first.wants_ack) {
                (Greeted::Not, true) => Greeted::Due(due),
                (Greeted::Not, false) => Greeted::Told,
                (greeted, _) => greeted,
            };
            let text = first.numbered(self.first_id.clone()).text;
            return self.write(socket, Message::Text(text)).await;
        }
        self.reconnections += 1;
        let id = MessageId(format!("{}-r{}", self.first_id, self.reconnections));
        let again = OutMessage {
            kind: RECONNECT,
            ..first.clone()
        };
        let text = again.numbered(id.clone()).text;
        self.reconnecting = first.wants_ack.then_some(Waiting {
            id,
            kind: RECONNECT,
            due,
            number: 0,
        });
        self.write(socket, Message::Text(text)).await
    }

    async fn send(&mut self, socket: &mut Socket, message: Numbered) -> Result<(), SessionFailure> {
        let text = self.leaves(message);
        self.write(socket, Message::Text(text)).await?;
        self.ask_what_arrived(socket).await
    }

    /// A message is on its way from here on.
    fn leaves(&mut self, message: Numbered) -> Utf8Bytes {
        let (text, kind, wants_ack) = (message.text.clone(), message.kind, message.wants_ack);
        let id = wants_ack.then(|| message.id.clone());
        let number = self.outstanding.leaves(message);
        if let Some(id) = id {
            let due = Instant::now() + self.settings.ack;
            self.waiting.push(Waiting { id, kind, due, number });
        }
        text
    }

    async fn ask_what_arrived(&mut self, socket: &mut Socket) -> Result<(), SessionFailure> {
        match self.outstanding.next_ping() {
            Some(mark) => self.ping(socket, mark).await,
            None => Ok(()),
        }
    }

    async fn ping(&self, socket: &mut Socket, mark: [u8; 8]) -> Result<(), SessionFailure> {
        self.write(socket, Message::Ping(mark.to_vec().into())).await
    }

    async fn write(&self, socket: &mut Socket, message: Message) -> Result<(), SessionFailure> {
        self.taken(socket.send(message)).await
    }

    /// The application has so long to take what is written.
    async fn taken(&self, writing: impl Future<Output = Result<(), Error>>) -> Result<(), SessionFailure> {
        let after = self.settings.ack;
        match timeout(after, writing).await {
            Ok(Ok(())) => Ok(()),
            Err(_) | Ok(Err(Error::WriteBufferFull(_))) => Err(SessionFailure::NotReading { url: self.url(), after }),
            Ok(Err(error)) => Err(self.broken(&error)),
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
            Some(Ok(Message::Pong(mark))) => {
                if !self.outstanding.pong(&mark) {
                    self.pace.step(Instant::now());
                }
                if !self.wants_ack() {
                    // Who need not say so shows thus that it is there.
                    self.greeted = Greeted::Known;
                    self.failures = 0;
                }
                return self.ask_what_arrived(socket).await.map_err(Left::from);
            }
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => {
                self.pace.step(Instant::now());
                // The library has queued a pong: who does not take it is not listened to.
                return self.taken(socket.flush()).await.map_err(Left::from);
            }
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
            Said::Ack { id, data } => {
                if let Some(late) = self.acknowledged(id, data).await {
                    return self.complain(socket, late).await;
                }
            }
            Said::Command(command) => {
                self.pace.step(Instant::now());
                self.tell(SessionEvent::Command(command)).await;
            }
            Said::Nonsense(reason) => return self.complain(socket, reason).await,
        }
        Ok(())
    }

    async fn complain(&mut self, socket: &mut Socket, reason: String) -> Result<(), Left> {
        let now = Instant::now();
        self.pace.step(now);
        self.errors.one(now);
        let text = self.complaint(&reason);
        self.tell(SessionEvent::Invalid { reason }).await;
        self.write(socket, Message::Text(text)).await?;
        Ok(())
    }

    fn complaint(&mut self, reason: &str) -> Utf8Bytes {
        let call_sid = self.first.as_ref().map(|first| first.call_sid.clone());
        let error = OutMessage {
            kind: "jambonz:error",
            call_sid: call_sid.unwrap_or_default(),
            hook: None,
            data: json!({ "msg": "InvalidMessage", "details": reason }),
            b3: None,
            wants_ack: false,
        };
        self.complaints = self.complaints.saturating_add(1);
        let id = MessageId(format!("{}-e{}", self.first_id, self.complaints));
        error.numbered(id).text
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

/// What leaves next: first what has to leave again. `None`: nobody has anything more to say.
async fn next(outstanding: &mut Outstanding, queue: &mut mpsc::Receiver<Numbered>) -> Option<Numbered> {
    match outstanding.next() {
        Some(message) => Some(message),
        None => queue.recv().await,
    }
}

/// At `due`; never where there is none.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
