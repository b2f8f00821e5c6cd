//! Acknowledgements: those that come, those that do not, and those that come too late.

use super::{Left, NEW, RECONNECT, Socket, Worker};
use crate::app::outbound::Asked;
use crate::app::websocket::failure::SessionFailure;
use crate::app::websocket::message::MessageId;
use crate::app::websocket::session::{SessionEvent, Unanswered};
use serde_json::Value;
use tokio::time::Instant;

/// Messages whose late acknowledgements are told so.
const MOST_MISSED: usize = 16;

/// How far the first message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeted {
    Not,
    /// Sent; it has to be acknowledged by then, however often it was sent.
    Due(Instant),
    /// Sent, and need not be acknowledged; whether it has arrived is not known.
    Told,
    /// The application knows the session; where there is no first message it need not.
    Known,
    /// Not acknowledged in time.
    Missed,
}

pub(super) struct Waiting {
    pub id: MessageId,
    pub kind: &'static str,
    pub due: Instant,
    /// Among the messages that were sent.
    pub number: u64,
}

impl Worker {
    /// An acknowledgement; what is wrong with it, where nobody waits for it any more.
    pub(super) async fn acknowledged(&mut self, id: MessageId, data: Option<Value>) -> Option<String> {
        let missed = self.missed.iter().position(|waiting| waiting.id == id);
        if id == self.first_id && matches!(self.greeted, Greeted::Due(_)) {
            self.greeted = Greeted::Known;
            self.failures = 0;
            self.tell(SessionEvent::Acked { id, data }).await;
        } else if let Some(late) = missed.and_then(|position| self.missed.remove(position)) {
            let allowed = self.settings.ack.as_millis();
            return Some(format!("the ack of {} ({id}) came after its {allowed} ms", late.kind));
        } else if self.reconnecting.as_ref().is_some_and(|waiting| waiting.id == id) {
            self.reconnecting = None;
            self.failures = 0;
            self.tell(SessionEvent::Reconnected { data }).await;
        } else if let Some(index) = self.waiting.iter().position(|waiting| waiting.id == id) {
            let waiting = self.waiting.swap_remove(index);
            self.outstanding.arrived(waiting.number);
            self.tell(SessionEvent::Acked { id, data }).await;
        } else if id == self.first_id && self.greeted == Greeted::Told {
            self.greeted = Greeted::Known;
            self.failures = 0;
        } else {
            // Twice, or for a message that wants none, as applications do.
            self.pace.step(Instant::now());
        }
        None
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let again = self.reconnecting.as_ref().map(|waiting| waiting.due);
        let others = self.waiting.iter().map(|waiting| waiting.due);
        others.chain(self.first_due()).chain(again).min()
    }

    pub(super) async fn expire(&mut self, socket: &mut Socket) -> Result<(), Left> {
        let now = Instant::now();
        if let Some(due) = self.first_due().filter(|due| *due <= now) {
            self.greeted = Greeted::Missed;
            // Who has asked says what comes of it, and closes.
            let kind = self.first.as_ref().map_or(NEW, |first| first.kind);
            let _counted = self.unacknowledged(kind);
            let first = Waiting {
                id: self.first_id.clone(),
                kind,
                due,
                number: 0,
            };
            self.miss(first).await;
        }
        if self.reconnecting.as_ref().is_some_and(|waiting| waiting.due <= now) {
            let failure = self.unacknowledged(RECONNECT);
            return Err(self.refuse(socket, failure).await);
        }
        while let Some(index) = self.waiting.iter().position(|waiting| waiting.due <= now) {
            let waiting = self.waiting.swap_remove(index);
            self.miss(waiting).await;
        }
        Ok(())
    }

    /// An acknowledgement has not come in time. One that comes late is told so.
    async fn miss(&mut self, waiting: Waiting) {
        let id = waiting.id.clone();
        let (kind, after) = (waiting.kind, self.settings.ack);
        if self.missed.len() >= MOST_MISSED {
            self.missed.pop_front();
        }
        self.missed.push_back(waiting);
        let why = Unanswered::Late { kind, after };
        self.tell(SessionEvent::Unanswered { id, why }).await;
    }

    pub(super) fn unacknowledged(&self, kind: &'static str) -> SessionFailure {
        let failure = SessionFailure::Unacknowledged {
            url: self.url(),
            kind,
            after: self.settings.ack,
        };
        self.connector.figures().count(Asked::Socket, failure.label());
        failure
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        match self.greeted {
            Greeted::Due(due) => Some(due),
            _ => None,
        }
    }
}
