//! Where requests and responses of the shards find their call, and where calls are born.

use super::admitting::can_serve;
use super::app_terms::told_from;
use super::application::{AppTerms, CallerFacts};
use super::directory::Undelivered;
use super::event::{Event, SendFailure};
use super::id::{CallId, Token};
use super::late_answers::LateAnswers;
use super::node::Node;
use super::readable::Unreadable;
use super::record::{CallFacts, Direction, ElinUse};
use super::sender::Sender;
use super::setup::{Birth, Program};
use super::task;
use super::vouching::WaitingRoom;
use crate::carrier::{self, Comer, Unidentified};
use crate::config::{Config, Purpose, UnknownSource};
use crate::dial::targets::{FirstLeg, MOST_STEPS};
use crate::dial::{DialPlan, LegTerms, allow};
use crate::guard::Failures;
use crate::net::shard::{Command, TransactionUser};
use crate::observe::{Happening, Queue, printable};
use crate::registrar;
use crate::route::{self, Decision, Facts, Origin, Refusal, Target, Trace, TraceStep};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::{Cause, ClientTransactionId, ServerTransactionId};
use crate::sip::{Flow, Method};
use crate::teams;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// What [`Switchboard`] hands responses of requests outside calls to: the OPTIONS monitor.
pub type OutsideResponses = mpsc::Sender<OutsideResponse>;

/// The final response to a request outside calls, or the lack of one.
#[derive(Debug)]
pub struct OutsideResponse {
    /// The token that the request was sent with.
    pub token: u64,
    /// The final response, or why none came.
    pub outcome: Result<Message, Cause>,
}

/// The transaction user of one shard.
pub struct Switchboard {
    pub(super) node: Arc<Node>,
    outside: OutsideResponses,
    /// The calls of INVITEs outside dialogs: a CANCEL of one bears no tag of ours.
    invites: HashMap<ServerTransactionId, CallId>,
    pub(super) waiting: WaitingRoom,
    pub(super) late: LateAnswers,
}

/// Remembered INVITEs of calls that are gone are swept out beyond this many more than there are calls.
const SWEEP_ABOVE: usize = 1_024;

impl Switchboard {
    /// For one shard of `node`.
    pub fn new(node: Arc<Node>, outside: OutsideResponses) -> Switchboard {
        Switchboard {
            node,
            outside,
            invites: HashMap::new(),
            waiting: WaitingRoom::default(),
            late: LateAnswers::default(),
        }
    }

    fn outside_dialog(&mut self, id: ServerTransactionId, message: &Message, flow: &Flow, commands: &mut Vec<Command>) {
        let config = self.node.config.load_full();
        let purpose = config.sbc.listener(flow.listener).map(|listener| listener.purpose);
        let sender = match purpose {
            Some(Purpose::Users) => match self.user_at_the_door(id, message, flow, &config, commands) {
                Some(user) => user,
                None => return,
            },
            _ => self.sender(&config, message, flow),
        };
        let refusal = match &sender {
            Sender::Unproven { challenges } => {
                let draft = challenges.iter().fold(self.plain(&config, 401), |draft, challenge| {
                    draft.header(HeaderName::WwwAuthenticate, challenge)
                });
                Command::Refuse { id, draft: Some(draft) }
            }
            Sender::Banned => {
                let wait = Failures::WINDOW.as_secs().to_string();
                let draft = self.plain(&config, 403).header(HeaderName::RetryAfter, wait);
                Command::Refuse { id, draft: Some(draft) }
            }
            Sender::Unknown => {
                let comer = Comer {
                    address: flow.remote.ip().to_canonical(),
                    listener: flow.listener,
                    transport: flow.transport,
                    peer: flow.peer.as_deref(),
                };
                self.turn_away(id, &config, (message, flow), Unidentified::of(&config, &comer))
            }
            _ => return self.serve(id, message, flow, &config, &sender, commands),
        };
        commands.push(refusal);
    }

    /// A request outside dialogs whose sender is known.
    pub(super) fn serve(
        &mut self,
        id: ServerTransactionId,
        message: &Message,
        flow: &Flow,
        config: &Arc<Config>,
        sender: &Sender,
        commands: &mut Vec<Command>,
    ) {
        match message.method() {
            Some(Method::Options) => {
                self.hear(config, sender, message, flow);
                let status = if self.node.is_draining() { 503 } else { 200 };
                let mut draft = self
                    .plain(config, status)
                    .header(HeaderName::Allow, allowed(config, sender, message));
                if matches!(sender, Sender::Teams) {
                    draft = draft.header(HeaderName::XMsSbc, &config.sbc.teams.product);
                }
                commands.push(respond(id, draft));
            }
            Some(Method::Invite) => self.invite(id, message, flow, config, sender, commands),
            Some(Method::Bye | Method::Notify | Method::Info | Method::Update | Method::Prack) => {
                commands.push(respond(id, self.plain(config, 481)));
            }
            _ => commands.push(respond(
                id,
                self.plain(config, 405)
                    .header(HeaderName::Allow, allowed(config, sender, message)),
            )),
        }
    }

    /// Whoever has proven nothing leaves nothing behind. Silence teaches scanners nothing; on a stream they would only wait.
    pub(super) fn turn_away(
        &self,
        id: ServerTransactionId,
        config: &Config,
        (message, flow): (&Message, &Flow),
        why: Unidentified<'_>,
    ) -> Command {
        self.node.observer.happened(&Happening::Unidentified {
            method: message.method(),
            source: flow.remote,
            listener: flow.listener,
            why,
        });
        let told = config.sbc.guard.unknown_source == UnknownSource::Forbid || flow.transport.is_reliable();
        let draft = told.then(|| self.plain(config, 403));
        Command::Refuse { id, draft }
    }

    pub(super) fn plain(&self, config: &Config, status: u16) -> ResponseDraft {
        ResponseDraft::new(status).header(HeaderName::Server, &config.sbc.teams.product)
    }

    fn invite(
        &mut self,
        id: ServerTransactionId,
        invite: &Message,
        flow: &Flow,
        config: &Arc<Config>,
        sender: &Sender,
        commands: &mut Vec<Command>,
    ) {
        let unreadable = Unreadable::of_uri(invite);
        if unreadable.is_none() && matches!(sender, Sender::Teams) && invite.header(HeaderName::Replaces).is_some() {
            commands.extend(self.replace(id, invite, flow, config));
            return;
        }
        let facts = match sender {
            Sender::Carrier(carrier) => Facts::read(Origin::Carrier(carrier.id.clone()), invite, carrier.caller.read),
            Sender::User { tenant, name, voucher } => self.facts_of_user(tenant, name, voucher.as_ref(), invite),
            _ => Facts::from_teams(config, invite),
        };
        let (facts, decision, trace) = self.node.decide(config, facts.with_location(config, invite));
        // A location record makes a step of each of its numbers.
        let mut trace = Trace(trace.bounded(MOST_STEPS));
        let admitted = unreadable
            .map_or(decision, |unreadable| Err(unreadable.into()))
            .and_then(|decision| can_serve(invite, decision))
            .and_then(|decision| self.node.reachable(&decision).map(|()| decision))
            .and_then(|decision| self.admit(config, sender, decision));
        let (mut decision, place) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.node.observer.happened(&Happening::CallRefused {
                    source: flow.remote,
                    dialled: &facts.dialled,
                    refusal: &refusal,
                    trace: &trace.0,
                });
                commands.push(respond(id, self.refusal(config, sender, &refusal)));
                return;
            }
        };
        let shown = self.node.elins.show(config, &facts, &mut decision, &mut trace);
        let now = self.node.clock.now();
        let (plan, terms) = self.plan(config, &facts, &decision, sender, (invite, flow));
        trace.0.extend(
            plan.attempts
                .iter()
                .flat_map(|attempt| &attempt.hops)
                .map(|hop| TraceStep {
                    rule: "hop".into(),
                    subject: hop.peer.to_string(),
                    outcome: hop.request_uri.clone(),
                }),
        );
        let direction = direction(&facts.origin, &decision.target);
        let call_facts = CallFacts {
            direction,
            tenant: decision.tenant.id.to_string(),
            carrier: match sender {
                Sender::Carrier(carrier) => Some(carrier.id.to_string()),
                _ => None,
            },
            from: decision.caller_text(&facts),
            to: decision.target_text(),
            emergency: decision.emergency,
            elin: ElinUse::of(&decision.elin),
            began_unix_ms: unix_ms(),
            trace: trace.0,
        };
        let program = match &decision.target {
            Target::Application { application, .. } => {
                let account = &decision.tenant.account;
                let base = config.sbc.api.as_ref().and_then(|api| api.base_url.clone());
                let terms = AppTerms::of(application, account, base);
                Program::Application {
                    terms: Arc::new(terms),
                    caller: CallerFacts::of(config, &facts, sender, flow),
                    setup: config.sbc.timers.setup,
                }
            }
            _ => Program::Route(plan),
        };
        let (mut listed, events) = self.node.enter_call(&call_facts, now);
        listed.shows(shown);
        let live = listed.live().clone();
        let birth = Birth {
            id: live.id,
            seed: rand::random(),
            now,
            facts: call_facts,
            program,
            terms,
            contact_user: facts.dialled.clone(),
            invite,
            flow,
            transaction: id,
            settings: self.node.call_settings(config),
        };
        self.remember(id, live.id);
        self.node.observer.happened(&Happening::CallBegan {
            call: live.id,
            facts: &live.facts,
        });
        let planner =
            matches!(decision.target, Target::Application { .. }).then(|| self.planner(config, &facts, &decision));
        let setting = task::Setting {
            node: self.node.clone(),
            listed,
            place,
            events,
            planner,
            ordered: None,
            dowry: task::Dowry::default(),
        };
        task::spawn(setting, birth);
    }

    /// What the dials of an application are planned from: the caller as the rules of its trunk read it.
    fn planner(&self, config: &Arc<Config>, facts: &Facts, decision: &Decision) -> Box<task::Planner> {
        let understood = facts.understood_by(config).into_owned();
        Box::new(task::Planner {
            config: config.clone(),
            tenant: decision.tenant.clone(),
            first: FirstLeg::Calls,
            caller: route::believed_caller(config, decision, &understood).into_owned(),
            told_from: told_from(facts),
            colleague: understood.colleague,
            shown_instead: decision.shown_instead,
            diversions: understood.diversions,
        })
    }

    fn plan(
        &self,
        config: &Arc<Config>,
        facts: &Facts,
        decision: &Decision,
        sender: &Sender,
        (invite, flow): (&Message, &Flow),
    ) -> (DialPlan, Arc<LegTerms>) {
        let understood = facts.understood_by(config);
        let caller = route::believed_caller(config, decision, &understood);
        let attempts = self.node.attempts(config, &understood, decision, &caller);
        let terms = match sender {
            Sender::Carrier(carrier) => {
                carrier::terms(config, carrier, flow.listener, carrier::server_name(carrier, flow))
            }
            Sender::User { tenant, name, .. } => {
                let is_behind_nat = registrar::is_caller_behind_nat(invite, flow);
                registrar::terms(config, tenant, name, flow.listener, is_behind_nat)
            }
            _ => teams::terms_under(config, &decision.tenant, &facts.host),
        };
        let terms = match &decision.target {
            Target::Application { .. } => terms.steered(),
            _ => terms,
        };
        (
            DialPlan::routed(attempts, config.sbc.timers.setup, config.sbc.timers.ringing),
            terms,
        )
    }

    fn refusal(&self, config: &Config, sender: &Sender, refusal: &Refusal) -> ResponseDraft {
        let mut draft = self
            .plain(config, refusal.status)
            .reason(&refusal.phrase)
            .header(HeaderName::Reason, refusal.reason());
        if let Some(span) = refusal.retry_after {
            draft = draft.header(HeaderName::RetryAfter, span.as_secs().max(1).to_string());
        }
        if let Some((name, value)) = &refusal.header {
            draft = draft.header(*name, value);
        }
        // Who registers here is the tenant's own, and is told why. What the node lacks is none of its business.
        if !matches!(sender, Sender::User { .. }) || refusal.status >= 500 {
            return draft;
        }
        // A name that fits into a header.
        let why = printable(&refusal.sentence);
        draft.clone().raw_header("X-Reason", why.as_bytes()).unwrap_or(draft)
    }

    pub(super) fn deliver(&self, call: CallId, event: Event) -> Result<(), Undelivered> {
        let delivered = self.node.calls.deliver(call, event);
        if delivered == Err(Undelivered::Full) {
            self.node.observer.happened(&Happening::Overflow {
                queue: Queue::CallMailbox,
            });
        }
        delivered
    }
}

/// What `sender` may send us. Calls of applications may take more, and say so themselves.
fn allowed(config: &Config, sender: &Sender, message: &Message) -> &'static str {
    match sender {
        Sender::Teams => {
            let called = message.uri();
            let tenant = called.and_then(|uri| config.tenant_by_host(uri.host()));
            teams::allow(config, tenant.map(Arc::as_ref))
        }
        Sender::User { tenant, .. } => registrar::allow(tenant.realm.as_ref()),
        Sender::Carrier(carrier) => carrier::allow(carrier),
        _ => allow::ROUTED,
    }
}

fn direction(origin: &Origin, target: &Target) -> Direction {
    match (origin, target) {
        (Origin::Teams, Target::User { .. }) => Direction::TeamsToUser,
        (Origin::Teams, _) => Direction::TeamsToCarrier,
        (Origin::Carrier(_), Target::Teams { .. } | Target::Application { .. }) => Direction::CarrierToTeams,
        (Origin::Carrier(_), Target::Carriers { .. }) => Direction::CarrierToCarrier,
        (Origin::Carrier(_), Target::User { .. }) => Direction::CarrierToUser,
        (Origin::User { .. }, Target::Teams { .. } | Target::Application { .. }) => Direction::UserToTeams,
        (Origin::User { .. }, Target::Carriers { .. }) => Direction::UserToCarrier,
        (Origin::User { .. }, Target::User { .. }) => Direction::UserToUser,
    }
}

pub(super) fn respond(id: ServerTransactionId, draft: ResponseDraft) -> Command {
    Command::Respond { id, draft }
}

/// Wall clock, for the record alone.
#[allow(
    clippy::disallowed_methods,
    reason = "a CDR says when a call began; nothing is timed by it"
)]
pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl TransactionUser for Switchboard {
    fn request(&mut self, id: ServerTransactionId, message: Message, flow: Flow, commands: &mut Vec<Command>) {
        let Some(tag) = message.to_tag() else {
            self.outside_dialog(id, &message, &flow, commands);
            return;
        };
        // No dialog, no proof of who asks: nothing may stay behind of it.
        let unknown = Command::Refuse {
            id,
            draft: Some(ResponseDraft::new(481)),
        };
        let Some(call) = self.node.calls.call_of_tag(tag) else {
            commands.push(unknown);
            return;
        };
        if let Some(farewell) = self.node.farewell(&message, &flow) {
            commands.push(respond(id, farewell));
            return;
        }
        let is_bye = message.method() == Some(&Method::Bye);
        let kept = is_bye.then(|| (message.clone(), flow.clone()));
        match self.deliver(
            call,
            Event::Request {
                transaction: id,
                message,
                flow,
                vouched: false,
            },
        ) {
            Ok(()) => {}
            // Its call has ended just now.
            Err(Undelivered::Unknown) => {
                let farewell = kept.and_then(|(bye, flow)| self.node.farewell(&bye, &flow));
                commands.push(farewell.map_or(unknown, |farewell| respond(id, farewell)));
            }
            Err(Undelivered::Full) => {
                commands.push(respond(id, ResponseDraft::new(500).header(HeaderName::RetryAfter, "2")))
            }
        }
    }

    fn has_dialog(&self, to_tag: &str) -> bool {
        let calls = &self.node.calls;
        calls.call_of_tag(to_tag).is_some_and(|call| calls.contains(call))
    }

    fn ack(&mut self, message: Message, flow: Flow, _commands: &mut Vec<Command>) {
        if let Some(call) = message.to_tag().and_then(|tag| self.node.calls.call_of_tag(tag)) {
            // An ACK of a call that is gone needs nothing.
            let _gone = self.deliver(
                call,
                Event::Ack {
                    message,
                    flow,
                    vouched: false,
                },
            );
        }
    }

    fn cancelled(&mut self, id: ServerTransactionId, cancel: Message, commands: &mut Vec<Command>) {
        // A re-INVITE's bears the tag.
        let tagged = || cancel.to_tag().and_then(|tag| self.node.calls.call_of_tag(tag));
        let Some(call) = self.invites.get(&id).copied().or_else(tagged) else {
            self.waiting.leave(id);
            commands.push(respond(id, ResponseDraft::new(487)));
            return;
        };
        if self
            .deliver(
                call,
                Event::Cancelled {
                    transaction: id,
                    message: cancel,
                },
            )
            .is_err()
        {
            commands.push(respond(id, ResponseDraft::new(487)));
        }
    }

    fn response(&mut self, token: u64, message: Message, flow: Flow, commands: &mut Vec<Command>) {
        match Token::from_wire(token) {
            Some(token) => {
                let call = self.node.calls.call_of_token(token);
                let answer = LateAnswers::wants(&message).then(|| (message.clone(), flow.clone()));
                // A call that is gone wants no more responses.
                let delivered = self.deliver(call, Event::Response { token, message, flow });
                if let (Err(Undelivered::Unknown), Some((answer, flow))) = (delivered, answer) {
                    self.answered_late((call, token), &answer, &flow, commands);
                }
            }
            None if message.status().is_some_and(|status| status < 200) => {}
            None if self.node.repeated_byes.ended(token, Ok(message.status())) => {}
            None => self.tell_outside(OutsideResponse {
                token,
                outcome: Ok(message),
            }),
        }
    }

    fn failed(&mut self, token: u64, _id: Option<ClientTransactionId>, cause: Cause, _commands: &mut Vec<Command>) {
        match Token::from_wire(token) {
            Some(token) => {
                let _gone = self.deliver(
                    token.call,
                    Event::Failed {
                        token,
                        failure: SendFailure::Transport(cause),
                    },
                );
            }
            None if self.node.repeated_byes.ended(token, Err(cause)) => {}
            None => self.tell_outside(OutsideResponse {
                token,
                outcome: Err(cause),
            }),
        }
    }

    fn woken(&mut self, commands: &mut Vec<Command>) {
        self.hooks_have_spoken(commands);
    }

    fn terminated(&mut self, _token: u64, _commands: &mut Vec<Command>) {}

    fn ack_timeout(&mut self, id: ServerTransactionId, to_tag: &str, _commands: &mut Vec<Command>) {
        if let Some(call) = self.node.calls.call_of_tag(to_tag) {
            let _gone = self.deliver(call, Event::AckTimeout { transaction: id });
        }
    }
}

impl Switchboard {
    pub(super) fn remember(&mut self, id: ServerTransactionId, call: CallId) {
        if self.invites.len() > 2 * self.node.calls.count() + SWEEP_ABOVE {
            let calls = &self.node.calls;
            self.invites.retain(|_, call| calls.contains(*call));
        }
        self.invites.insert(id, call);
    }

    fn tell_outside(&self, response: OutsideResponse) {
        if self.outside.try_send(response).is_err() {
            self.node
                .observer
                .happened(&Happening::Overflow { queue: Queue::Monitor });
        }
    }
}
