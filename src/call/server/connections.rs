//! The WebSockets of a connected application: the session, and the one to where the application goes on.

use super::beside::Beside;
use super::{CLOSED, Heard, Server, auth_of};
use crate::app::command::{Said, read_command};
use crate::app::outbound::{Caller, HookUrl};
use crate::app::payload::{Kind, Properties};
use crate::app::verb::{self, Hook};
use crate::app::websocket::{CloseCode, End, MessageId, OutMessage, Session, SessionEvent, SessionSettings};
use crate::call::event::{Course, Event, Reply};
use crate::call::tally::One;
use serde_json::Value;
use std::sync::Arc;

const NOT_LEADING: &str = "a WebSocket beside webhooks leads nothing: its commands are not carried out";

/// The session of a call.
pub(super) enum Socket {
    /// Not asked for yet. The messages, each with the hook that it is for, go out behind its first question.
    Early(Vec<(Hook, OutMessage)>),
    Open(Connection),
    /// The application wants no more, or is lost.
    Closed,
}

impl Socket {
    pub(super) fn open(&self) -> Option<&Connection> {
        match self {
            Socket::Open(open) => Some(open),
            Socket::Early(_) | Socket::Closed => None,
        }
    }
}

pub(super) struct Connection {
    pub session: Session,
    /// What was asked first.
    pub begins: Kind,
    pub open: One,
}

/// One of the connections of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Session,
    /// Beside webhooks, at this place.
    Beside(usize),
}

/// Where the application goes on. The call says whether it does, once that has answered.
pub(super) struct Moving {
    ask: u32,
    connection: Connection,
    answered: bool,
}

impl Moving {
    pub(super) async fn heard(&mut self) -> Option<SessionEvent> {
        self.connection.session.recv().await
    }
}

impl Server {
    /// Asks over a WebSocket.
    pub(super) fn ask_connected(
        &mut self,
        ask: u32,
        kind: Kind,
        course: Course,
        hook: &Hook,
        url: HookUrl,
        properties: Properties,
    ) {
        let sent = match (course, &self.session) {
            (Course::Moves, _) => {
                let first = self.message(Kind::SessionNew, None, properties, true);
                Ok(self.move_to(ask, self.connect(hook, url, kind, first)))
            }
            (Course::Here, _) if !self.application.is_websocket() => self.ask_beside(kind, hook, url, properties),
            (Course::Here, Socket::Open(Connection { session, .. })) => {
                let named = (kind != Kind::SessionNew).then(|| hook.url.clone());
                let message = self.message(kind, named, properties, true);
                session.send(&message).map_err(|refused| refused.to_string())
            }
            // What it left behind has nobody to ask.
            (Course::Here, Socket::Closed) => Err(CLOSED.into()),
            (Course::Here, Socket::Early(_)) | (Course::Opens, _) => {
                // A call that comes to a WebSocket is new to it.
                let first = match kind {
                    Kind::SessionAdulting => kind,
                    _ => Kind::SessionNew,
                };
                let first = self.message(first, None, properties, true);
                let opened = self.connect(hook, url, kind, first);
                let id = opened.session.first().clone();
                self.begin(opened);
                Ok(id)
            }
        };
        match sent {
            Ok(id) => {
                self.open.insert(id, ask);
            }
            Err(why) => self.unanswered(ask, why),
        }
    }

    pub(super) fn connect(&self, hook: &Hook, url: HookUrl, begins: Kind, first: OutMessage) -> Connection {
        Connection {
            session: Session::open(self.ways.connector.clone(), self.settings(hook, url), first),
            begins,
            open: self.tally.sessions.one(),
        }
    }

    fn settings(&self, hook: &Hook, url: HookUrl) -> SessionSettings {
        let at_home = url.same_origin(&self.caller.hook);
        let auth = auth_of(hook).or_else(|| self.caller.auth.clone().filter(|_| at_home));
        SessionSettings {
            handshake: self.ways.initial,
            ..SessionSettings::new(url, auth)
        }
    }

    /// This is the session now; what waits goes out behind its first message.
    fn begin(&mut self, opened: Connection) {
        match std::mem::replace(&mut self.session, Socket::Closed) {
            Socket::Early(early) => {
                for (_, message) in early {
                    // There are fewer than its queue holds, and one that is too long was refused before.
                    let _taken = opened.session.send(&message);
                }
            }
            Socket::Open(before) => {
                self.give_up_questions(&before, CLOSED);
                self.close(before, CloseCode::CallOver);
            }
            Socket::Closed => {}
        }
        self.session = Socket::Open(opened);
    }

    /// Connects beside the session; whoever was to take it over before is not waited for any more.
    fn move_to(&mut self, ask: u32, connection: Connection) -> MessageId {
        let id = connection.session.first().clone();
        let moving = Moving {
            ask,
            connection,
            answered: false,
        };
        if let Some(before) = self.moving.replace(moving) {
            let ask = before.ask;
            self.stay(before);
            self.unanswered(ask, CLOSED.into());
        }
        id
    }

    /// The application does not go on there.
    fn stay(&mut self, moving: Moving) {
        self.open.remove(moving.connection.session.first());
        self.close(moving.connection, CloseCode::CallOver);
    }

    /// Nobody waits any more for this question, which was to lead the application elsewhere.
    pub fn take_back(&mut self, ask: u32) {
        if let Some(moving) = self.moving.take_if(|moving| moving.ask == ask) {
            self.stay(moving);
        }
    }

    /// The application's own hook is this one now. The WebSocket that has answered is the session from here on; where none
    /// is needed, the session is left.
    pub fn moved(&mut self, hook: &Hook) {
        let Ok(url) = HookUrl::parse(&hook.url, None) else {
            return;
        };
        if let Socket::Early(early) = &mut self.session {
            // What waits for the application that is left goes to this one, where it has a connection too.
            let left = |told: &Hook| *told == self.application;
            match url.is_websocket() {
                true => early
                    .iter_mut()
                    .filter(|(told, _)| left(told))
                    .for_each(|(told, _)| told.clone_from(hook)),
                false => early.retain(|(told, _)| !left(told)),
            }
        }
        if url.is_websocket() {
            // All of its hooks go over its session from here on.
            self.leave_beside();
        }
        if let Some(moving) = self.moving.take_if(|moving| moving.answered) {
            self.begin(moving.connection);
        } else if !url.is_websocket() {
            self.leave(CloseCode::CallOver);
            // From here it may be led to another session.
            if matches!(self.session, Socket::Closed) {
                self.session = Socket::Early(Vec::new());
            }
        }
        self.caller = Arc::new(Caller {
            hook: url,
            auth: auth_of(hook),
            ..(*self.caller).clone()
        });
        self.application = hook.clone();
    }

    /// Closes the session, where there is one; what it was asked has no answer now.
    pub(super) fn leave(&mut self, code: CloseCode) {
        if !matches!(self.session, Socket::Open(_)) {
            return;
        }
        if let Socket::Open(open) = std::mem::replace(&mut self.session, Socket::Closed) {
            self.give_up_questions(&open, CLOSED);
            self.close(open, code);
        }
    }

    pub(super) fn close(&self, connection: Connection, code: CloseCode) {
        let untold = self.tally.untold.one();
        tokio::spawn(async move {
            let _counted = (connection.open, untold);
            connection.session.close(code).await;
        });
    }

    /// Questions over this connection fail.
    pub(super) fn give_up_questions(&mut self, connection: &Connection, why: &str) {
        let lost = self.open.extract_if(|id, _| connection.session.has(id));
        let lost: Vec<u32> = lost.map(|(_, ask)| ask).collect();
        for ask in lost {
            self.unanswered(ask, why.into());
        }
    }

    pub(super) fn session_event(&mut self, event: Option<SessionEvent>) -> Option<Heard> {
        match event {
            Some(SessionEvent::Ended(End::ByApplication | End::ByUs)) | None => self.session_over(None),
            Some(SessionEvent::Ended(End::Failed(failure))) => self.session_over(Some(failure.to_string())),
            Some(event) => self.said(Which::Session, event),
        }
    }

    /// What is said over a connection that goes on.
    pub(super) fn said(&mut self, which: Which, event: SessionEvent) -> Option<Heard> {
        match event {
            SessionEvent::Acked { id, data } => self.answer(which, &id, verbs_of(data)),
            SessionEvent::Unanswered { id, why } => self.answer(which, &id, Err(why.to_string())),
            SessionEvent::Command(command) => Some(self.ordered(which, command)),
            SessionEvent::Invalid { reason } => Some(Heard::Wrong(reason)),
            SessionEvent::Lost { failure, .. } => Some(Heard::Wrong(format!("the connection is lost: {failure}"))),
            SessionEvent::Dropped { kind, times } => Some(Heard::Wrong(dropped(kind, times))),
            SessionEvent::Reconnected { .. } | SessionEvent::Ended(_) => None,
        }
    }

    /// A command. Who has none to give, or gives none that can be read, is told so, and nobody else.
    fn ordered(&self, which: Which, command: Value) -> Heard {
        let (from, read) = match which {
            Which::Session => (
                self.session.open(),
                read_command(command).map_err(|error| error.to_string()),
            ),
            Which::Beside(at) => (self.beside.get(at).and_then(Beside::open), Err(NOT_LEADING.to_owned())),
        };
        match read {
            Ok(Said::Of(command)) => Heard::Event(Event::Command(Box::new(command))),
            Ok(Said::Place(order)) => Heard::Place(order),
            Err(why) => {
                if let Some(from) = from {
                    from.session.blame();
                    // A full queue has worse to tell.
                    let _dropped = from.session.send(&self.complaint(None, "InvalidMessage", &why, None));
                }
                Heard::Wrong(why)
            }
        }
    }

    fn answer(&mut self, which: Which, id: &MessageId, result: Result<Reply, String>) -> Option<Heard> {
        let ask = self.open.remove(id)?;
        if let Err(detail) = &result {
            match which {
                Which::Session => self.not_begun(id, detail),
                Which::Beside(at) => self.not_begun_beside(at, id, detail),
            }
        }
        Some(Heard::answered(ask, result))
    }

    /// What comes from where the application may go on. It has nothing to say but its answer until it does.
    pub(super) fn moving_event(&mut self, event: Option<SessionEvent>) -> Option<Heard> {
        let moving = self.moving.as_mut()?;
        let ask = moving.ask;
        let result = match event {
            Some(SessionEvent::Acked { id, data }) => {
                self.open.remove(&id)?;
                verbs_of(data)
            }
            Some(SessionEvent::Unanswered { id, why }) => {
                self.open.remove(&id)?;
                Err(why.to_string())
            }
            Some(SessionEvent::Ended(End::Failed(failure))) => Err(failure.to_string()),
            Some(SessionEvent::Ended(_)) | None => Err(CLOSED.into()),
            Some(SessionEvent::Command(_)) => {
                moving.connection.session.blame();
                let why = "a command came before the application goes on there";
                return Some(Heard::Wrong(why.into()));
            }
            Some(SessionEvent::Invalid { reason }) => return Some(Heard::Wrong(reason)),
            Some(SessionEvent::Dropped { kind, times }) => return Some(Heard::Wrong(dropped(kind, times))),
            Some(SessionEvent::Lost { .. } | SessionEvent::Reconnected { .. }) => return None,
        };
        match &result {
            Ok(_) => moving.answered = true,
            Err(detail) => {
                if let Some(moving) = self.moving.take() {
                    self.open.remove(moving.connection.session.first());
                    self.refuse(moving.connection, detail);
                }
            }
        }
        Some(Heard::answered(ask, result))
    }

    /// What the session was opened for has no answer that could be carried out.
    fn not_begun(&mut self, id: &MessageId, detail: &str) {
        let Socket::Open(open) = &self.session else {
            return;
        };
        // Of a first question the call says what is wrong, and how it ends, before the connection is closed.
        if open.session.first() != id || open.begins == Kind::SessionNew {
            return;
        }
        if let Socket::Open(open) = std::mem::replace(&mut self.session, Socket::Closed) {
            // Others may have been asked over it meanwhile.
            self.give_up_questions(&open, CLOSED);
            self.refuse(open, detail);
        }
        self.late.push_back(Heard::Event(Event::Disconnected { failed: None }));
    }

    /// Closes a connection whose application can't be carried out.
    pub(super) fn refuse(&self, connection: Connection, detail: &str) {
        // A full queue has worse to tell.
        let _dropped = connection
            .session
            .send(&self.complaint(None, "InvalidMessage", detail, None));
        self.close(connection, CloseCode::InvalidApplication);
    }

    /// The session has ended. What it was asked has no answer now; a call whose first question was among that hears of it
    /// there, for it may have a fallback.
    fn session_over(&mut self, failed: Option<String>) -> Option<Heard> {
        let before = std::mem::replace(&mut self.session, Socket::Closed);
        let undecided = match before {
            Socket::Open(open) => {
                let undecided = self.open.contains_key(open.session.first());
                self.give_up_questions(&open, failed.as_deref().unwrap_or(CLOSED));
                undecided
            }
            Socket::Early(_) | Socket::Closed => false,
        };
        (!undecided).then_some(Heard::Event(Event::Disconnected { failed }))
    }

    /// The call is over: what waits is still told. `code` says why.
    pub(super) fn last_words(&mut self, code: CloseCode) {
        if let Some(moving) = self.moving.take() {
            self.stay(moving);
        }
        match std::mem::replace(&mut self.session, Socket::Closed) {
            // Nobody answered, so nobody was asked: connections are made for the events alone.
            Socket::Early(early) => {
                for (hook, messages) in by_hook(early) {
                    self.tell_alone(&hook, messages, code);
                }
            }
            Socket::Open(open) => self.close(open, code),
            Socket::Closed => {}
        }
        self.leave_beside();
    }

    /// Tells events over a connection of their own.
    fn tell_alone(&self, hook: &Hook, messages: Vec<OutMessage>, code: CloseCode) {
        let Ok(url) = HookUrl::parse(&hook.url, Some(&self.caller.hook)) else {
            return;
        };
        let connection = Connection {
            session: Session::tell(self.ways.connector.clone(), self.settings(hook, url)),
            begins: Kind::CallStatus,
            open: self.tally.sessions.one(),
        };
        for message in messages {
            // There are fewer than its queue holds, and one that is too long was refused before.
            let _taken = connection.session.send(&message);
        }
        self.close(connection, code);
    }
}

/// Messages in their order, those to one hook together as long as no other's are between them.
fn by_hook(early: Vec<(Hook, OutMessage)>) -> Vec<(Hook, Vec<OutMessage>)> {
    let mut all: Vec<(Hook, Vec<OutMessage>)> = Vec::new();
    for (hook, message) in early {
        match all.last_mut().filter(|(last, _)| *last == hook) {
            Some((_, messages)) => messages.push(message),
            None => all.push((hook, vec![message])),
        }
    }
    all
}

fn dropped(kind: &str, times: u8) -> String {
    format!("the connection was lost {times} times behind the same {kind}: it is not told again")
}

/// The verbs of an acknowledgement; without data, none.
pub(super) fn verbs_of(data: Option<Value>) -> Result<Reply, String> {
    let verbs = data.map_or(Ok(Vec::new()), verb::read_application);
    verbs.map(Reply::of).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_nobody_was_asked_about_go_where_each_was_to_go() {
        let message = |call_sid: &str| OutMessage {
            kind: "call:status",
            call_sid: call_sid.to_owned(),
            hook: None,
            data: Value::Null,
            b3: None,
            wants_ack: false,
        };
        let early = [
            ("wss://a.example", "1"),
            ("wss://a.example", "2"),
            ("wss://b.example", "3"),
        ];
        let early = early.map(|(url, call_sid)| (Hook::post(url), message(call_sid)));
        let told: Vec<(String, Vec<String>)> = by_hook(early.into())
            .into_iter()
            .map(|(hook, messages)| (hook.url, messages.into_iter().map(|message| message.call_sid).collect()))
            .collect();
        let expected = [("wss://a.example", vec!["1", "2"]), ("wss://b.example", vec!["3"])];
        let expected = expected.map(|(url, sids)| (url.to_owned(), sids.into_iter().map(str::to_owned).collect()));
        assert_eq!(told, expected);
    }
}
