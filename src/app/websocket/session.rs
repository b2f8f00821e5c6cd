//! The call's end of a session.

use super::failure::SessionFailure;
use super::message::{MessageId, Numbered, OutMessage};
use super::worker::{Errors, Worker};
use crate::app::outbound::{BasicAuth, Connector, HookUrl};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Messages that wait for the connection, and events that wait for the call.
const QUEUE: usize = 256;
/// Bytes of one message to the application.
pub(super) const MOST_SENT: usize = 256 * 1_024;

/// How one application is reached over a WebSocket.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// `ws` or `wss`. `#rc=` says how often a connection is tried again: where it is silent 5 times, but not at all for the
    /// very first connection of a session whose first message has to be acknowledged.
    pub url: HookUrl,
    pub auth: Option<BasicAuth>,
    /// For connection and handshake together with their redirects.
    pub handshake: Duration,
    /// For an acknowledgement; also for the application to take one message.
    pub ack: Duration,
    /// Between our pings; after twice this long without a whole message, be it a pong, the connection counts as lost.
    pub ping: Duration,
    /// Bytes of one message from the application.
    pub most_received: usize,
}

impl SessionSettings {
    /// The usual times and sizes.
    pub fn new(url: HookUrl, auth: Option<BasicAuth>) -> SessionSettings {
        SessionSettings {
            url,
            auth,
            handshake: Duration::from_secs(3),
            ack: Duration::from_secs(5),
            ping: Duration::from_secs(20),
            most_received: 256 * 1_024,
        }
    }
}

/// What happens in a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// The application acknowledged a message; `data` are its verbs, unchecked.
    Acked { id: MessageId, data: Option<Value> },
    /// It did not, and will not.
    Unanswered { id: MessageId, why: Unanswered },
    /// A message of type `command`, unchecked.
    Command(Value),
    /// Something else; the application was told so.
    Invalid { reason: String },
    /// The connection is lost; another one is tried after `pause`.
    Lost { failure: SessionFailure, pause: Duration },
    /// A message of this kind has left so often, and each time the connection was lost behind it. It does not leave again.
    Dropped { kind: &'static str, times: u8 },
    /// There is another one, and the application acknowledged `session:reconnect`.
    Reconnected { data: Option<Value> },
    /// The last event. Messages without an answer have none any more.
    Ended(End),
}

/// Why there is no acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error("{kind} was not acknowledged within {} ms", .after.as_millis())]
    Late { kind: &'static str, after: Duration },
    #[error("the connection was lost before the acknowledgement")]
    ConnectionLost,
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// Code 1000 from the application: it wants no more, and the verbs that are left go on.
    #[error("the application closed the session")]
    ByApplication,
    /// [`Session::close`], or the session was dropped.
    #[error("the session was closed")]
    ByUs,
    /// There is no connection and none will come, or the application does not take the session.
    #[error("{0}")]
    Failed(SessionFailure),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    #[error("{QUEUE} messages wait for the application already")]
    Full,
    #[error("the session is over")]
    Over,
    #[error("a message has {0} bytes, more than {MOST_SENT}")]
    TooLarge(usize),
}

/// What the application is told when we close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000: the call is over.
    CallOver,
    /// 1001: what it sent can't be carried out.
    InvalidApplication,
}

/// A session, from `session:new` to its close. Dropped, it closes by itself.
#[derive(Debug)]
pub struct Session {
    outgoing: mpsc::Sender<Numbered>,
    events: mpsc::Receiver<SessionEvent>,
    close: Option<oneshot::Sender<CloseCode>>,
    task: JoinHandle<()>,
    first: MessageId,
    prefix: u32,
    count: AtomicU32,
    errors: Arc<Errors>,
}

impl Session {
    /// Connects and sends `first`, the `session:new`; its acknowledgement, where it wants one, is an event as others are. A
    /// connection that is made anew begins with `session:reconnect`. Must be called within a tokio runtime.
    pub fn open(connector: Connector, settings: SessionSettings, first: OutMessage) -> Session {
        Session::begin(connector, settings, Some(first))
    }

    /// Connects for what is told alone: there is no `session:new`. Must be called within a tokio runtime.
    pub fn tell(connector: Connector, settings: SessionSettings) -> Session {
        Session::begin(connector, settings, None)
    }

    fn begin(connector: Connector, settings: SessionSettings, first: Option<OutMessage>) -> Session {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let (to_call, events) = mpsc::channel(QUEUE);
        let (close, closing) = oneshot::channel();
        let prefix = rand::random();
        let id = MessageId(format!("{prefix:08x}-0"));
        let worker = Worker::new(connector, settings, first, id.clone(), queue, to_call, closing);
        let errors = worker.errors();
        Session {
            outgoing,
            events,
            close: Some(close),
            task: tokio::spawn(worker.run()),
            first: id,
            prefix,
            count: AtomicU32::new(1),
            errors,
        }
    }

    /// The number of the `session:new`.
    pub fn first(&self) -> &MessageId {
        &self.first
    }

    /// Whether a message of this number is one of this session's.
    pub fn has(&self, id: &MessageId) -> bool {
        id.0.starts_with(&format!("{:08x}-", self.prefix))
    }

    /// Queues a message; it never waits. While the connection is being made anew, messages wait in the queue. When the
    /// queue is full, this message is refused.
    pub fn send(&self, message: &OutMessage) -> Result<MessageId, SendRefused> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = MessageId(format!("{:08x}-{number}", self.prefix));
        let numbered = message.numbered(id.clone());
        if numbered.text.len() > MOST_SENT {
            return Err(SendRefused::TooLarge(numbered.text.len()));
        }
        match self.outgoing.try_send(numbered) {
            Ok(()) => Ok(id),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SendRefused::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendRefused::Over),
        }
    }

    /// Something that the application wants can't be done. Who keeps wanting that is closed with 1008.
    pub fn blame(&self) {
        self.errors.one(Instant::now());
    }

    /// The next event; `None` after [`SessionEvent::Ended`]. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        self.events.recv().await
    }

    /// The same for who waits for several sessions.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        self.events.poll_recv(context)
    }

    /// Sends what is queued, closes with `code`, and waits until the connection is gone: for the time of an acknowledgement at
    /// most, but while a connection is made, or made anew, and messages wait for it, as long as that is tried.
    pub async fn close(mut self, code: CloseCode) {
        if let Some(close) = self.close.take() {
            // Fails only when the task has ended.
            let _over = close.send(code);
        }
        self.events.close();
        // The task bounds itself; a panic in it was reported by its own message.
        let _ended = self.task.await;
    }
}
