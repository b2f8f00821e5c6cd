//! WebSockets beside an application of webhooks: hooks of its verbs, and status hooks, that name one. Each has a connection of
//! its own, from the first that is asked or told there to the end of the call. They lead nothing.

use super::connections::{Connection, Which};
use super::{CLOSED, Heard, Server};
use crate::app::outbound::HookUrl;
use crate::app::payload::{Kind, Properties};
use crate::app::verb::Hook;
use crate::app::websocket::{CloseCode, End, MessageId, OutMessage, SessionEvent};
use serde_json::Value;
use std::future::poll_fn;
use std::task::Poll;

/// Of one call. What names more of them is neither asked nor told.
const MOST: usize = 8;
/// Connections of one of them that fail. After that many its server is neither asked nor told.
const MOST_FAILURES: u8 = 3;
/// Properties of a status event alone: its first message has those of the call.
const OF_EVENTS: [&str; 2] = ["sequence", "timestamp"];

/// A WebSocket, by its URL without the query.
pub(super) struct Beside {
    at: String,
    connection: Result<Connection, Over>,
    failures: u8,
}

/// Why there is no connection any more.
#[derive(Debug, Clone, Copy)]
enum Over {
    /// Its server wants no more.
    Left,
    /// It failed: what comes next opens another one.
    Lost,
}

/// Where something is asked or told.
enum Place<'a> {
    Open(&'a Connection),
    Left,
    /// Over a connection that is to be made.
    New,
    Never(String),
}

impl Beside {
    pub(super) fn open(&self) -> Option<&Connection> {
        self.connection.as_ref().ok()
    }

    fn lose(&mut self) -> Option<Connection> {
        self.failures = self.failures.saturating_add(1);
        std::mem::replace(&mut self.connection, Err(Over::Lost)).ok()
    }
}

/// What is said over one of them, and which; waits for ever while there is nothing to come.
pub(super) async fn heard(all: &mut [Beside]) -> (usize, Option<SessionEvent>) {
    poll_fn(|context| {
        for (at, beside) in all.iter_mut().enumerate() {
            if let Ok(connection) = &mut beside.connection
                && let Poll::Ready(event) = connection.session.poll_recv(context)
            {
                return Poll::Ready((at, event));
            }
        }
        Poll::Pending
    })
    .await
}

impl Server {
    /// Tells at once: a connection that is not there yet is made, and nobody waits for it.
    pub(super) fn tell_beside(&mut self, hook: &Hook, url: HookUrl, message: OutMessage) -> bool {
        match self.place(&url) {
            Place::Open(open) => return open.session.send(&message).is_ok(),
            Place::Left => return true,
            Place::Never(_) => return false,
            Place::New => {}
        }
        let mut about = message.data.clone();
        if let Value::Object(about) = &mut about {
            about.retain(|name, _| !OF_EVENTS.contains(&name.as_str()));
        }
        let first = OutMessage {
            kind: Kind::SessionNew.as_str(),
            hook: None,
            data: about,
            ..message.clone()
        };
        let connection = self.connect(hook, url.clone(), Kind::SessionNew, first);
        let told = connection.session.send(&message).is_ok();
        self.keep(&url, connection);
        told
    }

    /// Asks; the first question of a connection that is not there yet is its `session:new`.
    pub(super) fn ask_beside(
        &mut self,
        kind: Kind,
        hook: &Hook,
        url: HookUrl,
        properties: Properties,
    ) -> Result<MessageId, String> {
        match self.place(&url) {
            Place::Open(open) => {
                let message = self.message(kind, Some(hook.url.clone()), properties, true);
                return open.session.send(&message).map_err(|refused| refused.to_string());
            }
            Place::Left => return Err(CLOSED.into()),
            Place::Never(why) => return Err(why),
            Place::New => {}
        }
        let first = self.message(Kind::SessionNew, None, properties, true);
        let connection = self.connect(hook, url.clone(), kind, first);
        let id = connection.session.first().clone();
        self.keep(&url, connection);
        Ok(id)
    }

    fn place(&self, url: &HookUrl) -> Place<'_> {
        let at = url.to_string();
        let known = self.beside.iter().find(|beside| beside.at == at);
        match known.map(|known| (&known.connection, known.failures)) {
            Some((Ok(open), _)) => Place::Open(open),
            Some((Err(Over::Left), _)) => Place::Left,
            Some((Err(Over::Lost), MOST_FAILURES..)) => {
                Place::Never(format!("{MOST_FAILURES} connections to {at} have failed in this call"))
            }
            None if self.beside.len() >= MOST => {
                Place::Never(format!("{MOST} WebSockets beside the webhooks of one call are enough"))
            }
            Some((Err(Over::Lost), _)) | None => Place::New,
        }
    }

    fn keep(&mut self, url: &HookUrl, connection: Connection) {
        let at = url.to_string();
        match self.beside.iter_mut().find(|beside| beside.at == at) {
            Some(known) => known.connection = Ok(connection),
            None => self.beside.push(Beside {
                at,
                connection: Ok(connection),
                failures: 0,
            }),
        }
    }

    pub(super) fn beside_event(&mut self, at: usize, event: Option<SessionEvent>) -> Option<Heard> {
        let failed = match event {
            Some(SessionEvent::Ended(End::Failed(failure))) => Some(failure.to_string()),
            Some(SessionEvent::Ended(_)) | None => None,
            Some(event) => return self.said(Which::Beside(at), event),
        };
        let beside = self.beside.get_mut(at)?;
        let over = match failed {
            Some(_) => beside.lose()?,
            None => std::mem::replace(&mut beside.connection, Err(Over::Left)).ok()?,
        };
        self.give_up_questions(&over, failed.as_deref().unwrap_or(CLOSED));
        failed.map(Heard::Wrong)
    }

    /// What it was opened for has no answer that could be carried out.
    pub(super) fn not_begun_beside(&mut self, at: usize, id: &MessageId, detail: &str) {
        let Some(beside) = self.beside.get_mut(at) else { return };
        if !beside.open().is_some_and(|open| open.session.first() == id) {
            return;
        }
        if let Some(open) = beside.lose() {
            // Others may have been asked over it meanwhile.
            self.give_up_questions(&open, CLOSED);
            self.refuse(open, detail);
        }
    }

    /// They are not needed any more: what waits is still told.
    pub(super) fn leave_beside(&mut self) {
        for beside in std::mem::take(&mut self.beside) {
            if let Ok(open) = beside.connection {
                self.give_up_questions(&open, CLOSED);
                self.close(open, CloseCode::CallOver);
            }
        }
    }
}
