//! The application's server as the task of one call speaks to it: hooks over HTTP, or one WebSocket.

use super::application::AppTerms;
use super::event::{Event, Reply};
use super::tally::{One, Tally};
use crate::app::command::{NewCall, Said, read_command};
use crate::app::outbound::{BasicAuth, Caller, Connector, HookClient, HookRequest, HookUrl, Method};
use crate::app::payload::{Kind, Properties};
use crate::app::verb::{self, Hook, HookMethod, Verb};
use crate::app::websocket::{CloseCode, End, MessageId, OutMessage, Session, SessionEvent, SessionSettings};
use crate::config::Secret;
use futures_util::FutureExt;
use serde_json::Value;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Status events of a call that wait for its server. More means that the server is far behind: they are dropped and
/// told of.
const NOTICES: usize = 512;
/// Messages that wait for a WebSocket: the events of a call that rings before anybody is asked.
const EARLY: usize = 64;
/// How long questions of a call that has ended may take to reach their server.
const LAST_QUESTIONS: Duration = Duration::from_secs(3);
const CLOSED: &str = "the application has closed the session";

/// The ways to application servers that all calls of a node share.
#[derive(Clone)]
pub struct Ways {
    pub client: HookClient,
    pub connector: Connector,
    /// For the first question of a call, while its caller hears nothing.
    pub initial: Duration,
}

/// The server of one call.
pub struct Server {
    ways: Ways,
    caller: Arc<Caller>,
    /// A call_sid and a trace for every message.
    call_sid: String,
    trace: String,
    answers: JoinSet<(u32, Result<Reply, String>)>,
    /// In order, one after the other.
    notices: mpsc::Sender<Notice>,
    session: Socket,
    /// The WebSocket to where the application goes on, until that has answered.
    moving: Option<Connection>,
    /// Questions over WebSockets.
    open: HashMap<MessageId, u32>,
    /// Where status events go.
    status_hook: Hook,
    tally: Arc<Tally>,
}

/// The WebSocket of a call.
enum Socket {
    /// Not asked for yet. The messages go out behind its first question.
    Early(Vec<OutMessage>),
    Open(Connection),
    /// The application wants no more, or is lost.
    Closed,
}

struct Connection {
    session: Session,
    url: HookUrl,
    /// What was asked first.
    begins: Kind,
    /// That was answered with what can't be carried out.
    invalid: bool,
    open: One,
}

/// An event for the status hook.
struct Notice {
    request: HookRequest,
    _untold: One,
}

/// What the task does with what came.
pub enum Heard {
    Event(Event),
    /// Another call is to be placed.
    Place(Box<NewCall>),
    /// Something that the application did wrong.
    Wrong(String),
}

impl Server {
    /// The server of a call with this application.
    pub fn new(
        ways: Ways,
        tally: Arc<Tally>,
        terms: &AppTerms,
        call_sid: String,
        trace: String,
    ) -> Result<Server, String> {
        let hook = HookUrl::parse(&terms.hook.url, None).map_err(|fault| format!("the application's hook: {fault}"))?;
        let caller = Arc::new(Caller {
            account: terms.account_sid.clone(),
            hook,
            auth: auth_of(&terms.hook),
            secret: terms.secret.clone().map(|secret| Secret::new(&secret.0)),
        });
        let (notices, queue) = mpsc::channel(NOTICES);
        tokio::spawn(tell_in_order(ways.client.clone(), queue));
        Ok(Server {
            ways,
            caller,
            call_sid,
            trace,
            answers: JoinSet::new(),
            notices,
            session: Socket::Early(Vec::new()),
            moving: None,
            open: HashMap::new(),
            status_hook: terms.status_hook.clone().unwrap_or_else(|| terms.hook.clone()),
            tally,
        })
    }

    /// The application's own hook: what is named without a server lies there.
    pub fn hook(&self) -> &HookUrl {
        &self.caller.hook
    }

    /// The application's own hook is this one now. A WebSocket is left when that needs none.
    pub fn moved(&mut self, hook: &Hook) {
        let Ok(url) = HookUrl::parse(&hook.url, None) else {
            return;
        };
        if !url.is_websocket() && matches!(self.session, Socket::Open(_)) {
            self.leave(CloseCode::CallOver);
        }
        self.caller = Arc::new(Caller {
            hook: url,
            auth: auth_of(hook),
            ..(*self.caller).clone()
        });
    }

    /// Asks; the answer comes out of [`Server::heard`]. `moves`: where the hook names another server, the application goes on
    /// there when it answers.
    pub fn ask(&mut self, ask: u32, kind: Kind, moves: bool, hook: &Hook, properties: Properties) {
        if kind == Kind::SessionNew && matches!(&self.session, Socket::Open(open) if open.invalid) {
            // It has answered with nothing that can be done: the fallback is somebody else.
            self.leave(CloseCode::InvalidApplication);
        }
        let url = match HookUrl::parse(&hook.url, Some(&self.caller.hook)) {
            Ok(url) => url,
            Err(fault) => {
                // The URL may hold a password.
                let why = format!("the URL of the hook: {fault}");
                self.answers.spawn(async move { (ask, Err(why)) });
                return;
            }
        };
        if url.is_websocket() {
            self.ask_connected(ask, kind, moves, hook, url, properties);
        } else {
            let mut request = self.request(hook, url, properties);
            request.patience = (kind == Kind::SessionNew).then_some(self.ways.initial);
            let client = self.ways.client.clone();
            let question = self.tally.questions.one();
            self.answers.spawn(async move {
                let _question = question;
                let asked = AssertUnwindSafe(client.ask(&request)).catch_unwind().await;
                let Ok(asked) = asked else {
                    return (ask, Err("the question was lost to a fault of this node".into()));
                };
                let result = match asked {
                    Ok(reply) => verbs_of(reply.json.as_deref()),
                    // It names the URL without the query, which may hold secrets and numbers.
                    Err(failure) => Err(failure.to_string()),
                };
                (ask, result)
            });
        }
    }

    fn ask_connected(&mut self, ask: u32, kind: Kind, moves: bool, hook: &Hook, url: HookUrl, properties: Properties) {
        let moves = moves && !hook.url.starts_with('/');
        let begins = moves || matches!(kind, Kind::SessionNew | Kind::SessionAdulting);
        let sent = match &self.session {
            Socket::Open(open) if moves && !open.url.same_origin(&url) => {
                let first = self.message(Kind::SessionNew, None, properties, true);
                let moving = self.connect(hook, url, kind, first);
                let id = moving.session.first().clone();
                let before = self.moving.replace(moving);
                if let Some(ask) = before.and_then(|before| self.open.remove(before.session.first())) {
                    self.answers.spawn(async move { (ask, Err(CLOSED.into())) });
                }
                Ok(id)
            }
            Socket::Open(Connection { session, .. }) => {
                let named = (kind != Kind::SessionNew).then(|| hook.url.clone());
                let message = self.message(kind, named, properties, true);
                session.send(&message).map_err(|refused| refused.to_string())
            }
            // What it left behind has nobody to ask; an application that is called anew has.
            Socket::Closed if !begins => Err(CLOSED.into()),
            Socket::Early(_) | Socket::Closed => {
                // A call that is moved to a WebSocket is new to it.
                let first = match kind {
                    Kind::SessionAdulting => kind,
                    _ => Kind::SessionNew,
                };
                let first = self.message(first, None, properties, true);
                Ok(self.open_session(hook, url, kind, first))
            }
        };
        match sent {
            Ok(id) => {
                self.open.insert(id, ask);
            }
            Err(why) => {
                self.answers.spawn(async move { (ask, Err(why)) });
            }
        }
    }

    fn connect(&self, hook: &Hook, url: HookUrl, begins: Kind, first: OutMessage) -> Connection {
        let at_home = url.same_origin(&self.caller.hook);
        let auth = auth_of(hook).or_else(|| self.caller.auth.clone().filter(|_| at_home));
        let settings = SessionSettings {
            handshake: self.ways.initial,
            ..SessionSettings::new(url.clone(), auth)
        };
        Connection {
            session: Session::open(self.ways.connector.clone(), settings, first),
            url,
            begins,
            invalid: false,
            open: self.tally.sessions.one(),
        }
    }

    /// Connects; what waits goes out behind `first`.
    fn open_session(&mut self, hook: &Hook, url: HookUrl, begins: Kind, first: OutMessage) -> MessageId {
        let opened = self.connect(hook, url, begins, first);
        let id = opened.session.first().clone();
        if let Socket::Early(early) = std::mem::replace(&mut self.session, Socket::Closed) {
            for message in early {
                // There are fewer than its queue holds, and one that is too long was refused before.
                let _taken = opened.session.send(&message);
            }
        }
        self.session = Socket::Open(opened);
        id
    }

    /// Closes the session; what it was asked has no answer now.
    fn leave(&mut self, code: CloseCode) {
        if let Socket::Open(open) = std::mem::replace(&mut self.session, Socket::Closed) {
            self.close(open, code);
        }
        self.give_up_questions(CLOSED);
    }

    fn close(&self, connection: Connection, code: CloseCode) {
        let untold = self.tally.untold.one();
        tokio::spawn(async move {
            let _counted = (connection.open, untold);
            connection.session.close(code).await;
        });
    }

    /// Questions over the session fail; the one that waits for where the application goes on does not.
    fn give_up_questions(&mut self, why: &str) {
        let moving = self.moving.as_ref().map(|moving| moving.session.first().clone());
        let (kept, lost): (HashMap<_, _>, HashMap<_, _>) =
            self.open.drain().partition(|(id, _)| Some(id) == moving.as_ref());
        self.open = kept;
        for (_, ask) in lost {
            let why = why.to_owned();
            self.answers.spawn(async move { (ask, Err(why)) });
        }
    }

    /// Tells; false when it was dropped.
    pub fn tell(&mut self, kind: Kind, hook: &Hook, properties: Properties) -> bool {
        let Ok(url) = HookUrl::parse(&hook.url, Some(&self.caller.hook)) else {
            return false;
        };
        if url.is_websocket() {
            let named = (kind == Kind::VerbHook).then(|| hook.url.clone());
            let message = self.message(kind, named, properties, false);
            return match &mut self.session {
                Socket::Open(open) => open.session.send(&message).is_ok(),
                Socket::Early(early) if early.len() < EARLY => {
                    early.push(message);
                    true
                }
                Socket::Early(_) => false,
                // It said that it wants no more.
                Socket::Closed => true,
            };
        }
        let notice = Notice {
            request: self.request(hook, url, properties),
            _untold: self.tally.untold.one(),
        };
        self.notices.try_send(notice).is_ok()
    }

    /// Tells a connected application that something is wrong, and with which verb.
    pub fn complain(&self, verb: Option<&str>, what: &str, detail: &str) {
        if let Socket::Open(open) = &self.session {
            // A full queue has worse to tell.
            let _dropped = open.session.send(&self.complaint(verb, what, detail));
        }
    }

    fn complaint(&self, verb: Option<&str>, what: &str, detail: &str) -> OutMessage {
        let mut properties = Properties::new();
        properties.insert("msg".into(), what.into());
        properties.insert("details".into(), detail.into());
        if let Some(verb) = verb {
            properties.insert("verb".into(), verb.into());
        }
        OutMessage {
            kind: "jambonz:error",
            call_sid: self.call_sid.clone(),
            hook: None,
            data: Value::Object(properties),
            b3: None,
            wants_ack: false,
        }
    }

    /// What the application said next; waits for ever while there is nothing to come.
    pub async fn heard(&mut self) -> Heard {
        loop {
            let session = async {
                match &mut self.session {
                    Socket::Open(open) => open.session.recv().await,
                    Socket::Early(_) | Socket::Closed => std::future::pending().await,
                }
            };
            let moving = async {
                match &mut self.moving {
                    Some(moving) => moving.session.recv().await,
                    None => std::future::pending().await,
                }
            };
            let answer = async {
                match self.answers.join_next().await {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                answer = answer => match answer {
                    Ok((ask, result)) => return Heard::Event(Event::Answered { ask, result }),
                    // Only the end of the call takes a question back.
                    Err(_) => return Heard::Wrong("a question was taken back".into()),
                },
                event = session => {
                    if let Some(heard) = self.session_event(event) {
                        return heard;
                    }
                }
                event = moving => {
                    if let Some(heard) = self.moving_event(event) {
                        return heard;
                    }
                }
            }
        }
    }

    fn session_event(&mut self, event: Option<SessionEvent>) -> Option<Heard> {
        let answered = |ask, result| Some(Heard::Event(Event::Answered { ask, result }));
        match event {
            Some(SessionEvent::Acked { id, data }) => {
                let ask = self.open.remove(&id)?;
                let verbs = data.map_or(Ok(Vec::new()), verb::read_application);
                let result = verbs.map(Reply::of).map_err(|error| error.to_string());
                self.begun(&id, &result);
                answered(ask, result)
            }
            Some(SessionEvent::Unanswered { id, why }) => {
                let ask = self.open.remove(&id)?;
                answered(ask, Err(why.to_string()))
            }
            Some(SessionEvent::Command(command)) => match read_command(command) {
                Ok(Said::Of(command)) => Some(Heard::Event(Event::Command(Box::new(command)))),
                Ok(Said::Place(order)) => Some(Heard::Place(order)),
                Err(error) => {
                    let why = error.to_string();
                    self.complain(None, "InvalidMessage", &why);
                    Some(Heard::Wrong(why))
                }
            },
            Some(SessionEvent::Invalid { reason }) => Some(Heard::Wrong(reason)),
            Some(SessionEvent::Lost { failure, .. }) => {
                Some(Heard::Wrong(format!("the connection is lost: {failure}")))
            }
            Some(SessionEvent::Reconnected { .. }) => None,
            Some(SessionEvent::Ended(End::ByApplication | End::ByUs)) | None => self.session_over(None),
            Some(SessionEvent::Ended(End::Failed(failure))) => self.session_over(Some(failure.to_string())),
        }
    }

    fn moving_event(&mut self, event: Option<SessionEvent>) -> Option<Heard> {
        let why = match event {
            Some(SessionEvent::Ended(End::Failed(failure))) => failure.to_string(),
            Some(SessionEvent::Ended(_)) | None => CLOSED.into(),
            event => return self.session_event(event),
        };
        // The application stays where it is.
        let moving = self.moving.take()?;
        let ask = self.open.remove(moving.session.first())?;
        let result = Err(why);
        Some(Heard::Event(Event::Answered { ask, result }))
    }

    /// What a connection was made for has its answer.
    fn begun(&mut self, id: &MessageId, result: &Result<Reply, String>) {
        if self.moving.as_ref().is_some_and(|moving| moving.session.first() == id) {
            let moving = self.moving.take();
            match (moving, result) {
                (Some(moving), Ok(_)) => {
                    self.leave(CloseCode::CallOver);
                    self.session = Socket::Open(moving);
                }
                (Some(moving), Err(detail)) => self.refuse(moving, detail),
                (None, _) => {}
            }
            return;
        }
        let Socket::Open(open) = &mut self.session else { return };
        if open.session.first() != id {
            return;
        }
        match (open.begins, result) {
            // The call says what is wrong, and how it ends, before the connection is closed.
            (Kind::SessionNew, Ok(reply)) => open.invalid = reply.verbs.is_empty(),
            (Kind::SessionNew, Err(_)) => open.invalid = true,
            (_, Ok(_)) => {}
            (_, Err(detail)) => {
                if let Socket::Open(open) = std::mem::replace(&mut self.session, Socket::Closed) {
                    self.refuse(open, detail);
                }
            }
        }
    }

    /// Closes a connection whose application can't be carried out.
    fn refuse(&self, connection: Connection, detail: &str) {
        // A full queue has worse to tell.
        let _dropped = connection.session.send(&self.complaint(None, "InvalidMessage", detail));
        self.close(connection, CloseCode::InvalidApplication);
    }

    /// The session has ended. What it was asked has no answer now; a call whose first question was among that hears of it
    /// there, for it may have a fallback.
    fn session_over(&mut self, failed: Option<String>) -> Option<Heard> {
        let before = std::mem::replace(&mut self.session, Socket::Closed);
        let undecided = match before {
            Socket::Open(open) => self.open.contains_key(open.session.first()),
            Socket::Early(_) | Socket::Closed => false,
        };
        self.give_up_questions(failed.as_deref().unwrap_or(CLOSED));
        (!undecided).then_some(Heard::Event(Event::Disconnected { failed }))
    }

    /// The call is over: what waits is still told, as long as the node runs. `code` says why to a connected application.
    pub fn over(mut self, code: CloseCode) {
        // Questions that were begun reach their server whole; nobody waits for the answers any longer than that takes.
        let mut answers = std::mem::take(&mut self.answers);
        if !answers.is_empty() {
            let asked = async move { while answers.join_next().await.is_some() {} };
            tokio::spawn(tokio::time::timeout(LAST_QUESTIONS, asked));
        }
        let mut unsent = false;
        if let Socket::Early(early) = &mut self.session {
            let mut early = std::mem::take(early).into_iter();
            // Nobody answered, so nobody was asked: the connection is made for the events alone.
            let Some(first) = early.next() else { return };
            unsent = true;
            let hook = self.status_hook.clone();
            let Ok(url) = HookUrl::parse(&hook.url, Some(&self.caller.hook)) else {
                return;
            };
            self.session = Socket::Early(early.collect());
            self.open_session(&hook, url, Kind::CallStatus, first);
        }
        if let Socket::Open(mut connection) = self.session {
            let untold = self.tally.untold.one();
            tokio::spawn(async move {
                let _counted = (connection.open, untold);
                if unsent {
                    connection.session.opened().await;
                }
                connection.session.close(code).await;
            });
        }
    }

    fn request(&self, hook: &Hook, url: HookUrl, properties: Properties) -> HookRequest {
        HookRequest {
            url,
            method: match hook.method {
                HookMethod::Get => Method::Get,
                HookMethod::Post => Method::Post,
            },
            auth: auth_of(hook),
            caller: self.caller.clone(),
            properties: Value::Object(properties),
            trace: Some(self.b3()),
            patience: None,
        }
    }

    fn message(&self, kind: Kind, hook: Option<String>, properties: Properties, wants_ack: bool) -> OutMessage {
        let of_leg = properties.get("call_sid").and_then(Value::as_str).map(str::to_owned);
        OutMessage {
            kind: kind.as_str(),
            call_sid: of_leg.unwrap_or_else(|| self.call_sid.clone()),
            hook,
            data: Value::Object(properties),
            b3: Some(self.b3()),
            wants_ack,
        }
    }

    fn b3(&self) -> String {
        let span = self.trace.get(..16).unwrap_or("0000000000000001");
        format!("{}-{span}-1", self.trace)
    }
}

fn auth_of(hook: &Hook) -> Option<BasicAuth> {
    let (username, password) = hook.credentials.clone()?;
    Some(BasicAuth {
        username,
        password: Secret::new(&password.0),
    })
}

/// The verbs of an answer; without a body, none.
fn verbs_of(json: Option<&[u8]>) -> Result<Reply, String> {
    match json {
        None => Ok(Reply::of(Vec::new())),
        Some(body) => match serde_json::from_slice::<Value>(body) {
            // An object that is no verb says nothing, as an empty list does.
            Ok(Value::Object(object)) if object.is_empty() => Ok(Reply::of(Vec::new())),
            _ => verb::parse_application(body)
                .map(Reply::of)
                .map_err(|error| error.to_string()),
        },
    }
}

/// Tells one event after the other, until the call and its queue are gone. A server that fails does not stop the next one.
async fn tell_in_order(client: HookClient, mut queue: mpsc::Receiver<Notice>) {
    while let Some(Notice { request, _untold }) = queue.recv().await {
        if let Err(failure) = client.ask(&request).await {
            tracing::warn!(url = %request.url, %failure, "an event could not be told");
        }
    }
}

impl Reply {
    pub(super) fn of(verbs: Vec<Verb>) -> Reply {
        Reply { verbs }
    }
}
