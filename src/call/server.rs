//! The application's server as the task of one call speaks to it: hooks over HTTP, or one WebSocket.

mod beside;
mod connections;

use super::application::AppTerms;
use super::event::{Course, Event, NoReply, Reply};
use super::tally::{One, Tally};
use crate::app::command::NewCall;
use crate::app::outbound::{
    BasicAuth, Caller, Connector, HookClient, HookFailure, HookReply, HookRequest, HookUrl, Method,
};
use crate::app::payload::{Kind, Properties};
use crate::app::sid::CallSid;
use crate::app::verb::{self, Hook, HookMethod, Verb};
use crate::app::websocket::{CloseCode, MessageId, OutMessage};
use crate::config::Secret;
use beside::Beside;
use connections::{Moving, Socket};
use futures_util::FutureExt;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events of a call that wait for its server, in each of its queues. More means that the server is far behind: they are
/// dropped and told of.
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
    answers: JoinSet<(u32, Result<Reply, NoReply>)>,
    /// Status events. What a slow hook of a verb is told keeps them from nobody.
    events: Queue,
    /// All else that hooks are told and not asked: keys, results.
    results: Queue,
    session: Socket,
    /// The WebSockets of hooks beside webhooks.
    beside: Vec<Beside>,
    moving: Option<Moving>,
    /// To be told before anything else that comes.
    late: VecDeque<Heard>,
    /// Questions over WebSockets.
    open: HashMap<MessageId, u32>,
    /// The application's own hook.
    application: Hook,
    tally: Arc<Tally>,
}

/// What a hook is told.
struct Notice {
    request: HookRequest,
    _untold: One,
}

/// What is told in order, one after the other; most calls have nothing for one of their queues.
#[derive(Default)]
struct Queue(Option<mpsc::Sender<Notice>>);

impl Queue {
    /// False when it is full.
    fn put(&mut self, notice: Notice, client: &HookClient) -> bool {
        let queue = self.0.get_or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(NOTICES);
            tokio::spawn(tell_in_order(client.clone(), waiting));
            queue
        });
        queue.try_send(notice).is_ok()
    }
}

/// What the task does with what came.
pub enum Heard {
    Event(Event),
    /// Another call is to be placed.
    Place(Box<NewCall>),
    /// Something that the application did wrong.
    Wrong(String),
}

impl Heard {
    fn answered(ask: u32, result: Result<Reply, impl Into<NoReply>>) -> Heard {
        let result = result.map_err(Into::into);
        Heard::Event(Event::Answered { ask, result })
    }
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
        Ok(Server {
            ways,
            caller,
            call_sid,
            trace,
            answers: JoinSet::new(),
            events: Queue::default(),
            results: Queue::default(),
            session: Socket::Early(Vec::new()),
            beside: Vec::new(),
            moving: None,
            late: VecDeque::new(),
            open: HashMap::new(),
            application: terms.hook.clone(),
            tally,
        })
    }

    /// The application's own hook: what is named without a server lies there.
    pub fn hook(&self) -> &HookUrl {
        &self.caller.hook
    }

    /// Asks; the answer comes out of [`Server::heard`].
    pub fn ask(&mut self, ask: u32, kind: Kind, course: Course, hook: &Hook, properties: Properties) {
        if kind == Kind::SessionNew {
            // Who was asked that before could not say what is to be done: the fallback is somebody else.
            self.leave(CloseCode::InvalidApplication);
        }
        let url = match HookUrl::parse(&hook.url, Some(&self.caller.hook)) {
            Ok(url) => url,
            Err(fault) => {
                // The URL may hold a password.
                return self.unanswered(ask, format!("the URL of the hook: {fault}"));
            }
        };
        if url.is_websocket() {
            self.ask_connected(ask, kind, course, hook, url, properties);
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
                    // Elsewhere it means "go on"; here there is nothing that could.
                    Ok(HookReply {
                        foreign: Some(content), ..
                    }) if kind == Kind::SessionNew => Err(no_verbs(&content).into()),
                    Ok(reply) => verbs_in(reply.json.as_deref()).map_err(NoReply::from),
                    Err(failure) => Err(NoReply::of(&failure)),
                };
                (ask, result)
            });
        }
    }

    /// A question that has no answer.
    fn unanswered(&mut self, ask: u32, why: String) {
        self.answers.spawn(async move { (ask, Err(why.into())) });
    }

    /// Tells; false when it was dropped.
    pub fn tell(&mut self, kind: Kind, hook: &Hook, properties: Properties) -> bool {
        let Ok(url) = HookUrl::parse(&hook.url, Some(&self.caller.hook)) else {
            return false;
        };
        if url.is_websocket() {
            let named = (kind == Kind::VerbHook).then(|| hook.url.clone());
            let message = self.message(kind, named, properties, false);
            if !self.application.is_websocket() {
                return self.tell_beside(hook, url, message);
            }
            return match &mut self.session {
                Socket::Open(open) => open.session.send(&message).is_ok(),
                Socket::Early(early) if early.len() < EARLY => {
                    early.push((hook.clone(), message));
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
        let queue = match kind {
            Kind::CallStatus => &mut self.events,
            _ => &mut self.results,
        };
        queue.put(notice, &self.ways.client)
    }

    /// The application wants what can't be done.
    pub fn blame(&self) {
        if let Some(leads) = self.session.open() {
            leads.session.blame();
        }
    }

    /// Tells who steers the call over a WebSocket that something is wrong, with which verb and on which leg. Hooks beside
    /// webhooks may be somebody else's: those hear of their own faults alone.
    pub fn complain(&self, verb: Option<&str>, what: &str, detail: &str, leg: Option<CallSid>) {
        if let Some(open) = self.session.open() {
            // A full queue has worse to tell.
            let _dropped = open.session.send(&self.complaint(verb, what, detail, leg));
        }
    }

    fn complaint(&self, verb: Option<&str>, what: &str, detail: &str, leg: Option<CallSid>) -> OutMessage {
        let mut properties = Properties::new();
        properties.insert("msg".into(), what.into());
        properties.insert("details".into(), detail.into());
        if let Some(verb) = verb {
            properties.insert("verb".into(), verb.into());
        }
        if let Some(leg) = leg {
            properties.insert("call_sid".into(), leg.to_string().into());
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
        if let Some(heard) = self.late.pop_front() {
            return heard;
        }
        loop {
            let session = async {
                match &mut self.session {
                    Socket::Open(open) => open.session.recv().await,
                    Socket::Early(_) | Socket::Closed => std::future::pending().await,
                }
            };
            let beside = beside::heard(&mut self.beside);
            let moving = async {
                match &mut self.moving {
                    Some(moving) => moving.heard().await,
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
                    Ok((ask, result)) => return Heard::answered(ask, result),
                    // Only the end of the call takes a question back.
                    Err(_) => return Heard::Wrong("a question was taken back".into()),
                },
                event = session => {
                    if let Some(heard) = self.session_event(event) {
                        return heard;
                    }
                }
                (at, event) = beside => {
                    if let Some(heard) = self.beside_event(at, event) {
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

    /// The call is over: what waits is still told, as long as the node runs. `code` says why to a connected application.
    pub fn over(mut self, code: CloseCode) {
        // Questions that were begun reach their server whole; nobody waits for the answers any longer than that takes.
        let mut answers = std::mem::take(&mut self.answers);
        if !answers.is_empty() {
            let asked = async move { while answers.join_next().await.is_some() {} };
            tokio::spawn(tokio::time::timeout(LAST_QUESTIONS, asked));
        }
        self.last_words(code);
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
fn verbs_in(json: Option<&[u8]>) -> Result<Reply, String> {
    match json {
        None => Ok(Reply::of(Vec::new())),
        Some(body) => match crate::app::json::read(body) {
            // An object that is no verb says nothing, as an empty list does.
            Ok(Value::Object(object)) if object.is_empty() => Ok(Reply::of(Vec::new())),
            _ => verb::parse_application(body)
                .map(Reply::of)
                .map_err(|error| error.to_string()),
        },
    }
}

/// Why an answer whose content type is this holds no verbs.
fn no_verbs(content: &str) -> String {
    match content.is_empty() {
        true => "the answer has no Content-Type: application/json is expected".to_owned(),
        false => format!("the answer is {}, not application/json", content.escape_debug()),
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

impl NoReply {
    /// It names the URL without the query, which may hold secrets and numbers.
    fn of(failure: &HookFailure) -> NoReply {
        NoReply {
            why: failure.to_string(),
            status: match failure {
                HookFailure::Status { status, .. } => Some(*status),
                _ => None,
            },
        }
    }
}

impl Reply {
    pub(super) fn of(verbs: Vec<Verb>) -> Reply {
        Reply { verbs }
    }
}
