//! What all calls of one simulator share, and the way of messages to them.

use super::beside::Beside;
use super::call::{Call, Event};
use super::challenge::Challenge;
use super::own_header::OwnHeader;
use super::persona::Persona;
use super::script::Script;
use super::violation::{Violation, Violations};
use super::wire::{Arrival, Ears, status_of};
use crate::net::Clock;
use crate::net::shard::Command;
use crate::sip::dialog::Initiation;
use crate::sip::transaction::{Cause, Output, ServerTransactionId};
use crate::sip::{ConnectionId, Flow, HeaderName, Hop, Message, Method, NameAddr, ResponseDraft, Uri};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Messages that the transcript keeps.
const TRANSCRIPT: usize = 4096;

/// After this time an OPTIONS is the first again.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// How a simulator treats everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    #[default]
    Normal,
    /// 503 with Retry-After in seconds, to INVITE and OPTIONS.
    Unavailable { retry_after: u32 },
    /// Requests are not heard.
    Stalled,
}

/// OPTIONS in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Pings {
    /// From portcullis.
    pub received: u64,
    /// To portcullis.
    pub sent: u64,
    /// Of those sent, with 200.
    pub answered: u64,
}

/// What INVITEs that begin calls say beside the call's own.
#[derive(Debug, Clone, Default)]
pub(super) struct Inviting {
    /// Who takes calls over, where the call itself does not say it.
    pub(super) number: Option<String>,
    /// In place of the simulator's own of the same name.
    pub(super) headers: Vec<OwnHeader>,
}

/// Shared by the calls of one simulator.
pub(super) struct Line {
    pub(super) persona: Arc<dyn Persona>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) clock: Clock,
    /// Where media endpoints are bound.
    pub(super) address: IpAddr,
    /// Hz.
    pub(super) tone: f64,
    pub(super) violations: Arc<Violations>,
    pub(super) pings: watch::Sender<Pings>,
    /// INVITEs that no script saw, because this side answers them all with 503.
    pub(super) turned_away: AtomicU64,
    pub(super) incoming: mpsc::Sender<Call>,
    pub(super) tasks: Mutex<JoinSet<()>>,
    /// Of every challenge.
    nonce: String,
    /// Shared with the hubs beside it.
    pub(super) beside: Arc<Beside>,
    state: Mutex<State>,
    next_token: AtomicU64,
}

#[derive(Default)]
struct State {
    calls: HashMap<String, mpsc::Sender<Event>>,
    /// OPTIONS of ours that are out.
    pings: HashSet<u64>,
    tokens: HashMap<u64, mpsc::Sender<Event>>,
    script: Script,
    /// For the next calls, one each.
    scripts: VecDeque<Script>,
    manner: Manner,
    /// With the connections that they came on.
    transcript: VecDeque<(Message, Flow)>,
    /// Of the INVITEs that begin calls.
    inviting: Inviting,
    /// Where portcullis last spoke from.
    seen: Option<Flow>,
}

/// What a line begins with.
pub(super) struct Beginning {
    pub(super) persona: Arc<dyn Persona>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) clock: Clock,
    pub(super) address: IpAddr,
    pub(super) tone: f64,
    pub(super) violations: Arc<Violations>,
    pub(super) beside: Arc<Beside>,
    pub(super) script: Script,
    pub(super) incoming: mpsc::Sender<Call>,
}

impl Line {
    pub(super) fn new(beginning: Beginning) -> Line {
        Line {
            persona: beginning.persona,
            commands: beginning.commands,
            clock: beginning.clock,
            address: beginning.address,
            tone: beginning.tone,
            violations: beginning.violations,
            beside: beginning.beside,
            pings: watch::Sender::default(),
            turned_away: AtomicU64::new(0),
            incoming: beginning.incoming,
            tasks: Mutex::default(),
            nonce: format!("{:032x}", rand::random::<u128>()),
            state: Mutex::new(State {
                script: beginning.script,
                ..State::default()
            }),
            next_token: AtomicU64::new(1),
        }
    }

    pub(super) fn next_token(&self) -> u64 {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// What becomes of `token` goes to this call.
    pub(super) fn expect(&self, token: u64, events: &mpsc::Sender<Event>) {
        self.state().tokens.insert(token, events.clone());
    }

    /// Requests in this Call-ID go to this call.
    pub(super) fn enter(&self, call_id: &str, events: &mpsc::Sender<Event>) {
        self.state().calls.insert(call_id.to_owned(), events.clone());
    }

    pub(super) fn leave(&self, call_id: &str) {
        self.state().calls.remove(call_id);
    }

    /// OPTIONS to this URI, counted as sent.
    pub(super) fn ping(&self, uri: &Uri, hop: Hop) -> Option<Command> {
        let face = self.persona.face("");
        let own = Uri::parse(&face.home).ok()?;
        let (from, to) = (NameAddr::new(own), NameAddr::new(uri.clone()));
        let mut initiation = Initiation::new(uri.clone(), &from, &to, &mut rand::rng());
        let draft = self.persona.request(initiation.request(Method::Options), &face, false);
        let token = self.next_token();
        self.pings.send_modify(|pings| pings.sent += 1);
        self.state().pings.insert(token);
        Some(Command::Request { token, draft, hop })
    }

    pub(super) fn seen(&self) -> Option<Flow> {
        self.state().seen.clone()
    }

    pub(super) fn set_script(&self, script: Script) {
        self.state().script = script;
    }

    pub(super) fn set_scripts(&self, first: &[Script], last: Script) {
        let mut state = self.state();
        state.scripts = first.iter().cloned().collect();
        state.script = last;
    }

    pub(super) fn script_once(&self, script: Script) {
        self.state().scripts.push_back(script);
    }

    pub(super) fn set_inviting(&self, change: impl FnOnce(&mut Inviting)) {
        change(&mut self.state().inviting);
    }

    pub(super) fn inviting(&self) -> Inviting {
        self.state().inviting.clone()
    }

    pub(super) fn set_manner(&self, manner: Manner) {
        self.state().manner = manner;
    }

    pub(super) fn transcript(&self) -> Vec<(Message, Flow)> {
        self.state().transcript.iter().cloned().collect()
    }

    pub(super) async fn shut_down(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }

    fn next_script(&self) -> Script {
        let mut state = self.state();
        state.scripts.pop_front().unwrap_or_else(|| state.script.clone())
    }

    /// True when the next call is to be met with silence; its script is used up.
    fn meets_with_silence(&self) -> bool {
        let mut state = self.state();
        let next = state.scripts.front().unwrap_or(&state.script).is_silent();
        if next {
            state.scripts.pop_front();
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line as the wire knows it.
pub(super) struct Switch {
    pub(super) line: Arc<Line>,
    /// Call-IDs of INVITEs that are met with silence, retransmissions too.
    silenced: VecDeque<String>,
    /// When the last OPTIONS of each Contact came on each connection.
    pinged: HashMap<(ConnectionId, String), Instant>,
}

impl Switch {
    pub(super) fn new(line: Arc<Line>) -> Switch {
        Switch {
            line,
            silenced: VecDeque::new(),
            pinged: HashMap::new(),
        }
    }

    fn is_silenced(&mut self, message: &Message) -> bool {
        let call_id = message.call_id();
        if self.silenced.iter().any(|known| known == call_id) {
            return true;
        }
        let begins = message.method() == Some(&Method::Invite) && message.to_tag().is_none();
        if !begins || self.line.state().calls.contains_key(call_id) || !self.line.meets_with_silence() {
            return false;
        }
        if self.silenced.len() == TRANSCRIPT {
            self.silenced.pop_front();
        }
        self.silenced.push_back(call_id.to_owned());
        true
    }

    fn request(&mut self, id: ServerTransactionId, message: Message, flow: Flow, commands: &mut Vec<Command>) {
        let line = &self.line;
        if message.to_tag().is_some() {
            let call = line.state().calls.get(message.call_id()).cloned();
            let event = Event::Request {
                id,
                message: message.clone(),
            };
            if call.is_none_or(|call| call.try_send(event).is_err()) {
                self.answer(id, ResponseDraft::new(481), &message, commands);
            }
            return;
        }
        let judgement = line.persona.judge(&message, &flow);
        line.violations.record_all(judgement.violations);
        let mut asked = None;
        if message.method() == Some(&Method::Invite) {
            let hub = line.persona.hub();
            asked = line.beside.transfers.comes(hub, &message);
            let breaches = asked.as_mut().map(|asked| std::mem::take(&mut asked.violations));
            line.violations.record_all(breaches.unwrap_or_default());
            line.violations
                .record_all(hub.and_then(|hub| line.beside.attempts.comes(hub, &message)));
        }
        let manner = line.state().manner;
        let refusal = judgement.refusal.or(match (manner, message.method()) {
            (Manner::Unavailable { retry_after }, Some(method @ (Method::Invite | Method::Options))) => {
                if *method == Method::Invite {
                    line.turned_away.fetch_add(1, Ordering::Relaxed);
                }
                Some(ResponseDraft::new(503).header(HeaderName::RetryAfter, retry_after.to_string()))
            }
            _ => None,
        });
        let is_ping = message.method() == Some(&Method::Options);
        if is_ping {
            line.pings.send_modify(|pings| pings.received += 1);
            self.note_ping(&message, &flow);
        }
        let line = &self.line;
        if let Some(refusal) = refusal {
            return self.answer(id, refusal, &message, commands);
        }
        if is_ping {
            self.answer(id, ResponseDraft::new(200), &message, commands);
            if line.persona.pings_back() {
                self.ping_back(&message, commands);
            }
            return;
        }
        let mut script = line.next_script();
        if let Some(challenge) = Challenge::of(script.steps.first(), &line.nonce) {
            if !challenge.is_met_by(&message) {
                line.state().scripts.push_front(script);
                return self.answer(id, challenge.response(), &message, commands);
            }
            script.steps.remove(0);
        }
        if let Some(asked) = asked {
            script = script.after_refer_of(&asked.script);
        }
        Call::receive(line, id, message, script);
    }

    /// How long after the last one it came.
    fn note_ping(&mut self, message: &Message, flow: &Flow) {
        let now = Instant::now();
        self.pinged.retain(|_, last| now.duration_since(*last) < FORGOTTEN);
        let contact = message.header(HeaderName::Contact).unwrap_or_default().to_owned();
        if let Some(last) = self.pinged.insert((flow.connection, contact), now) {
            let judged = self.line.persona.judge_pings(now.duration_since(last));
            self.line.violations.record_all(judged);
        }
    }

    fn answer(&self, id: ServerTransactionId, draft: ResponseDraft, request: &Message, commands: &mut Vec<Command>) {
        if request.method() == Some(&Method::Invite) {
            self.line.beside.attempts.answered(request.call_id(), draft.status());
        }
        let tag = format!("{:032x}", rand::random::<u128>());
        let draft = self.line.persona.response(draft.to_tag(tag), request, None, false);
        commands.push(Command::Respond { id, draft });
    }

    /// OPTIONS to the Contact of theirs (TV-01).
    fn ping_back(&self, message: &Message, commands: &mut Vec<Command>) {
        let line = &self.line;
        let Some(contact) = message.contact().ok().flatten() else {
            return;
        };
        let Some(hop) = line.persona.hop(contact.uri(), line.seen().as_ref()) else {
            return;
        };
        commands.extend(line.ping(contact.uri(), hop));
    }

    fn to_token(&self, token: u64, event: Event, is_last: bool) -> bool {
        let mut state = self.line.state();
        let call = match is_last {
            true => state.tokens.remove(&token),
            false => state.tokens.get(&token).cloned(),
        };
        // A call that is over takes nothing more.
        call.is_some_and(|call| call.try_send(event).is_ok())
    }

    fn to_call(&self, call_id: &str, event: Event) {
        if let Some(call) = self.line.state().calls.get(call_id) {
            // A call that is over takes nothing more.
            let _ = call.try_send(event);
        }
    }
}

impl Ears for Switch {
    fn overhears(&mut self, message: &Message, flow: &Flow, arrival: Arrival) -> bool {
        let judged = self.line.persona.judge_arrival(message, &arrival);
        self.line.violations.record_all(judged);
        let stalled = {
            let mut state = self.line.state();
            if state.transcript.len() == TRANSCRIPT {
                state.transcript.pop_front();
            }
            state.transcript.push_back((message.clone(), flow.clone()));
            state.seen = Some(flow.clone());
            state.manner == Manner::Stalled
        };
        if message.is_response() {
            return true;
        }
        if arrival.own {
            let method = message.method().map_or("?", Method::as_str);
            let evidence = format!(
                "{method} of call {} came on a connection that this side opened",
                message.call_id()
            );
            self.line.violations.record(Violation::new("own-connection", evidence));
            return false;
        }
        !stalled && !self.is_silenced(message)
    }

    fn dresses(&mut self, bytes: Bytes) -> Bytes {
        self.line.persona.dress(bytes)
    }

    fn hears(&mut self, output: Output, commands: &mut Vec<Command>) {
        match output {
            Output::Request { id, message, flow } => self.request(id, message, flow, commands),
            Output::Ack { message, .. } => {
                let call_id = message.call_id().to_owned();
                self.to_call(&call_id, Event::Ack { message });
            }
            Output::Cancelled { id, message } => {
                let call_id = message.call_id().to_owned();
                self.to_call(&call_id, Event::Cancelled { id, message });
            }
            Output::Response { token, message, .. } => {
                let good_ping = message.cseq_method() == &Method::Options && message.status() == Some(200);
                let is_pong = self.line.state().pings.contains(&token);
                if is_pong {
                    self.line.violations.record_all(self.line.persona.judge_pong(&message));
                }
                let event = Event::Response { token, message };
                if !self.to_token(token, event, false) && good_ping {
                    self.line.pings.send_modify(|pings| pings.answered += 1);
                }
            }
            Output::Failed { token, cause, .. } => {
                let status = status_of(cause);
                let was_ping = self.line.state().pings.remove(&token);
                if was_ping && cause == Cause::Timeout {
                    let breach = Violation::new("options-unanswered", "not answered at all");
                    self.line.violations.record(breach);
                }
                self.to_token(token, Event::Failed { token, status }, true);
            }
            Output::Terminated { token, .. } => {
                let mut state = self.line.state();
                state.tokens.remove(&token);
                state.pings.remove(&token);
            }
            // The call watches its own time, which is the peer's, not RFC 3261's.
            Output::AckTimeout { .. } | Output::Send { .. } => {}
        }
    }
}

/// Waits until OPTIONS went as `enough` wants.
pub(super) async fn pings_until(line: &Line, bound: Duration, enough: impl FnMut(&Pings) -> bool) -> Option<Pings> {
    let mut pings = line.pings.subscribe();
    let seen = tokio::time::timeout(bound, pings.wait_for(enough)).await;
    seen.ok()?.ok().map(|pings| *pings)
}
