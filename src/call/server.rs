//! The application's server as the task of one call speaks to it: hooks over HTTP, or one WebSocket.

use super::application::AppTerms;
use super::event::{Event, Reply};
use crate::app::command::{Said, read_command};
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
    notices: mpsc::Sender<HookRequest>,
    session: Option<Session>,
    /// Questions over the WebSocket.
    open: HashMap<MessageId, u32>,
}

/// What the task does with what came.
pub enum Heard {
    Event(Event),
    /// Something that the application did wrong.
    Wrong(String),
}

impl Server {
    /// The server of a call with this application.
    pub fn new(ways: Ways, terms: &AppTerms, call_sid: String, trace: String) -> Result<Server, String> {
        let hook = HookUrl::parse(&terms.hook.url, None).map_err(|fault| format!("the application's hook: {fault}"))?;
        let caller = Arc::new(Caller {
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
            session: None,
            open: HashMap::new(),
        })
    }

    /// The application's own hook: what is named without a server lies there.
    pub fn hook(&self) -> &HookUrl {
        &self.caller.hook
    }

    /// Asks; the answer comes out of [`Server::heard`].
    pub fn ask(&mut self, ask: u32, kind: Kind, hook: &Hook, properties: Properties) {
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
            self.ask_connected(ask, kind, hook, url, properties);
        } else {
            let mut request = self.request(hook, url, properties);
            request.patience = (kind == Kind::SessionNew).then_some(self.ways.initial);
            let client = self.ways.client.clone();
            self.answers.spawn(async move {
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

    fn ask_connected(&mut self, ask: u32, kind: Kind, hook: &Hook, url: HookUrl, properties: Properties) {
        if self.session.is_none() {
            // A call that is moved to a WebSocket is new to it.
            let first = match kind {
                Kind::SessionAdulting => kind,
                _ => Kind::SessionNew,
            };
            let first = self.message(first, None, properties, true);
            let at_home = url.same_origin(&self.caller.hook);
            let auth = auth_of(hook).or_else(|| self.caller.auth.clone().filter(|_| at_home));
            let settings = SessionSettings {
                handshake: self.ways.initial,
                ..SessionSettings::new(url, auth)
            };
            let session = Session::open(self.ways.connector.clone(), settings, first);
            self.open.insert(session.first().clone(), ask);
            self.session = Some(session);
            return;
        }
        let named = (kind != Kind::SessionNew).then(|| hook.url.clone());
        let message = self.message(kind, named, properties, true);
        let sent = self.session.as_ref().map(|session| session.send(&message));
        match sent {
            Some(Ok(id)) => {
                self.open.insert(id, ask);
            }
            Some(Err(refused)) => {
                let why = refused.to_string();
                self.answers.spawn(async move { (ask, Err(why)) });
            }
            None => {}
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
            return self
                .session
                .as_ref()
                .is_some_and(|session| session.send(&message).is_ok());
        }
        let request = self.request(hook, url, properties);
        self.notices.try_send(request).is_ok()
    }

    /// Tells a connected application that something is wrong.
    pub fn complain(&self, what: &str, detail: &str) {
        let mut properties = Properties::new();
        properties.insert("msg".into(), what.into());
        properties.insert("details".into(), detail.into());
        let message = OutMessage {
            kind: "jambonz:error",
            call_sid: self.call_sid.clone(),
            hook: None,
            data: Value::Object(properties),
            b3: None,
            wants_ack: false,
        };
        if let Some(session) = &self.session {
            // A full queue has worse to tell.
            let _dropped = session.send(&message);
        }
    }

    /// What the application said next; waits for ever while there is nothing to come.
    pub async fn heard(&mut self) -> Heard {
        loop {
            let session = async {
                match &mut self.session {
                    Some(session) => session.recv().await,
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
            }
        }
    }

    fn session_event(&mut self, event: Option<SessionEvent>) -> Option<Heard> {
        let answered = |ask, result| Some(Heard::Event(Event::Answered { ask, result }));
        match event {
            Some(SessionEvent::Acked { id, data }) => {
                let ask = self.open.remove(&id)?;
                let verbs = data.map_or(Ok(Vec::new()), verb::read_application);
                answered(ask, verbs.map(Reply::of).map_err(|error| error.to_string()))
            }
            Some(SessionEvent::Unanswered { id, why }) => {
                let ask = self.open.remove(&id)?;
                answered(ask, Err(why.to_string()))
            }
            Some(SessionEvent::Command(command)) => match read_command(command) {
                Ok(Said::Of(command)) => Some(Heard::Event(Event::Command(Box::new(command)))),
                refused => {
                    let why = match refused {
                        Err(error) => error.to_string(),
                        Ok(_) => "dial: calls are placed over the REST interface".to_owned(),
                    };
                    self.complain("InvalidMessage", &why);
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

    /// The session has ended. What it was asked has no answer now; a call whose first question was among that hears of it
    /// there, for it may have a fallback.
    fn session_over(&mut self, failed: Option<String>) -> Option<Heard> {
        let first = self.session.take().map(|session| session.first().clone());
        let undecided = first.is_some_and(|first| self.open.contains_key(&first));
        let why = failed
            .clone()
            .unwrap_or_else(|| "the application has closed the session".into());
        for (_, ask) in self.open.drain() {
            let why = why.clone();
            self.answers.spawn(async move { (ask, Err(why)) });
        }
        (!undecided).then_some(Heard::Event(Event::Disconnected { failed }))
    }

    /// The call is over: what waits is still told.
    pub fn over(self) {
        if let Some(session) = self.session {
            tokio::spawn(session.close(CloseCode::CallOver));
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
async fn tell_in_order(client: HookClient, mut queue: mpsc::Receiver<HookRequest>) {
    while let Some(request) = queue.recv().await {
        if let Err(failure) = client.ask(&request).await {
            tracing::warn!(url = request.url.as_str(), %failure, "an event could not be told");
        }
    }
}

impl Reply {
    pub(super) fn of(verbs: Vec<Verb>) -> Reply {
        Reply { verbs }
    }
}
