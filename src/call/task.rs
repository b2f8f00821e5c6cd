//! The task of a call: a mailbox loop around [`Call::step`] that carries out its effects.

use super::delivery::{Deliveries, Guard, Resolved};
use super::directory::{CallStatus, LiveCall, MovedDialog};
use super::event::{CallNews, Effect, Event, PeerVerdict, SendFailure};
use super::id::{CallId, LegIndex};
use super::listed::Listed;
use super::node::Node;
use super::repeated_byes;
use super::setup::{Birth, PlacedBirth};
use super::talkers::Seats;
use super::transfer::RefusedReplace;
use super::value::{Call, Phase};
use crate::dial::{LegKind, PeerName};
use crate::guard::Place;
use crate::media::{LegId, MediaEvent, MediaEvents};
use crate::net::shard::SignallingHandle;
use crate::observe::{Happening, Queue, Way};
use crate::sip::message::{HeaderName, HeaderValue};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use crate::sip::{Method, RequestDraft, ResponseDraft};
use applied::{Applied, EventCount};
use futures_util::FutureExt;
pub use planning::Planner;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

mod applied;
mod joining;
mod loading;
mod media;
mod parting;
mod peers;
mod places;
mod planning;
mod telling;
mod transferring;

/// Events that may wait for a call; room is taken as it is used. Requests find it full earlier
/// (half of it): peers repeat those, but a final response comes once.
pub const MAILBOX: usize = 256;
/// Media events that may wait; they are rare by construction. The end of a sound comes once, and a verb waits for it: digits
/// must not fill the queue before it.
const MEDIA_EVENTS: usize = 128;
/// How long the end of a call that has panicked may take: longer than any call's last answers.
const LONGEST_END: Duration = Duration::from_secs(60);

/// A running call.
struct CallTask {
    node: Arc<Node>,
    signalling: SignallingHandle,
    live: LiveCall,
    call: Call,
    deliveries: Deliveries,
    media_events: MediaEvents,
    /// Media legs by leg of the call.
    handles: Vec<(LegId, LegIndex)>,
    /// Dialogs of callees that have become calls of their own.
    moved: Vec<(MovedDialog, CallId)>,
    /// The places that its legs take at their carriers.
    carrier_places: Vec<places::CarrierPlace>,
    /// A leg of another call that is to come.
    joining: Option<joining::Joining>,
    /// The place that a transfer takes while it rings.
    transfer_place: Option<Place>,
    /// The places that emergency numbers take which its application dials.
    emergency_places: Vec<Place>,
    /// Its place among the calls that are recoded at cost.
    recoding_place: Option<Place>,
    /// What only a call with an application has.
    applied: Option<Box<Applied>>,
    /// What its dials are planned from.
    planner: Option<Box<Planner>>,
    /// What only a call has that was ordered, until it is answered.
    ordered: Option<Ordered>,
    /// Events that carrying out effects made, in order.
    pending: VecDeque<Event>,
    wants_messages: bool,
    /// Requests inside the dialogs that have no final answer yet, when messages are wanted: whose answer is it?
    answering: Vec<(ServerTransactionId, LegIndex, Method)>,
    /// Changes of the application's legs, and who talks, as the published status knows them.
    shown: Option<(u32, Seats)>,
    label: Arc<str>,
    /// None once the call has ended: its legs' last answers keep nobody out.
    place: Option<Place>,
    /// Dropped last.
    listed: Listed,
}

/// What a call is given to begin with, beside its birth.
pub struct Setting {
    pub node: Arc<Node>,
    pub(super) listed: Listed,
    pub place: Place,
    pub events: mpsc::Receiver<Box<Event>>,
    /// What the dials of an application are planned from.
    pub planner: Option<Box<Planner>>,
    /// What a call has that was ordered.
    pub ordered: Option<Ordered>,
    /// What a callee that becomes a call brings along.
    pub(super) dowry: Dowry,
}

/// A call that was ordered and that nobody has answered yet.
pub struct Ordered {
    /// Told the Call-ID of the first INVITE that is sent, or why there is none.
    pub sent: Option<oneshot::Sender<Result<String, String>>>,
    /// Its place among the account's calls that ring.
    pub _placing: Place,
}

/// What the task of a call has for a leg that becomes another call's.
#[derive(Debug, Default)]
pub(super) struct Dowry {
    handles: Vec<(LegId, LegIndex)>,
    carrier_places: Vec<places::CarrierPlace>,
    /// What counts the status events of a call that it leaves and that it becomes.
    events: EventCount,
}

/// Begins a call on a task of its own.
pub fn spawn(setting: Setting, birth: Birth<'_>) {
    if setting.node.observer.wants_messages() {
        let begun = setting.node.clock.now();
        telling::tell_message(&setting.node, setting.listed.live(), 0, Way::In, birth.invite, begun);
    }
    begin(setting, Call::begin(birth));
}

/// Begins a call that an application places.
pub fn place(setting: Setting, birth: PlacedBirth) {
    begin(setting, Call::place(birth));
}

fn begin(setting: Setting, (call, effects): (Call, Vec<Effect>)) {
    let Setting {
        node,
        listed,
        place,
        events,
        planner,
        ordered,
        dowry,
    } = setting;
    let Some(signalling) = node.signalling.get().cloned() else {
        // The shards run before any request reaches a switchboard.
        return;
    };
    let live = listed.live().clone();
    let mut carrier_places = dowry.carrier_places;
    let (place, of_caller) = places::apart(place, &live.facts);
    carrier_places.extend(of_caller);
    let label: Arc<str> = live.id.to_string().into();
    let (media_events, media) = mpsc::channel(MEDIA_EVENTS);
    let mut task = CallTask {
        deliveries: Deliveries::new(live.id, node.clone(), signalling.clone()),
        wants_messages: node.observer.wants_messages(),
        node,
        signalling,
        live,
        call,
        media_events,
        handles: dowry.handles,
        carrier_places,
        joining: None,
        transfer_place: None,
        emergency_places: Vec::new(),
        recoding_place: None,
        moved: Vec::new(),
        applied: None,
        planner,
        ordered,
        pending: VecDeque::new(),
        answering: Vec::new(),
        shown: None,
        label,
        place: Some(place),
        listed,
    };
    task.take_over_media();
    if let Some((terms, call_sid, trace)) = task.call.application() {
        task.serve(&terms, call_sid, trace, dowry.events);
    }
    let node = task.node.clone();
    node.call_tasks.spawn(task.live_through(effects, events, media));
}

impl CallTask {
    /// A panic costs this call: what is left of its value hangs up on both sides. Should that panic too, or not come to an
    /// end, the record of what others saw is left.
    async fn live_through(
        mut self,
        effects: Vec<Effect>,
        mut events: mpsc::Receiver<Box<Event>>,
        mut media: mpsc::Receiver<MediaEvent>,
    ) {
        let whole = AssertUnwindSafe(self.run(effects, &mut events, &mut media));
        if whole.catch_unwind().await.is_ok() {
            return;
        }
        self.listed.panicked();
        let detail = "a defect of this program ended the call".into();
        let ending = async {
            let effects = self.call.step(Event::Broken { detail }, self.node.clock.now());
            self.run(effects, &mut events, &mut media).await;
        };
        let ending = tokio::time::timeout(LONGEST_END, ending);
        if !matches!(AssertUnwindSafe(ending).catch_unwind().await, Ok(Ok(()))) {
            self.listed.panicked();
        }
    }

    async fn run(
        &mut self,
        effects: Vec<Effect>,
        events: &mut mpsc::Receiver<Box<Event>>,
        media: &mut mpsc::Receiver<MediaEvent>,
    ) {
        self.carry_out(effects).await;
        self.free_places();
        // A callee that has become a call may wait for long before anything happens to it.
        self.publish();
        while self.call.phase() != Phase::Over {
            let event = match self.pending.pop_front() {
                Some(event) => event,
                None => self.next_event(events, media).await,
            };
            let Some(event) = self.pass_on(event).await else {
                continue;
            };
            let mut event = self.numbered(event);
            self.vouch(&mut event);
            let now = self.node.clock.now();
            if self.wants_messages {
                self.tell_heard(&event);
            }
            if let Event::Response { token, message, .. } = &event
                && let Some(status) = message.status().filter(|status| *status >= 200)
            {
                let asks_still = *message.cseq_method() != Method::Invite || self.call.is_changed_by(*token);
                if asks_still && self.deliveries.refused(*token, status, message.retry_after()).await {
                    self.tell_again(&event);
                    continue;
                }
                self.deliveries.done(*token);
            }
            if let Event::Failed { token, failure } = &mut event
                && let SendFailure::Transport(cause) = *failure
            {
                if token.is_of_ack() {
                    let why = self.deliveries.why_not_sent(*token);
                    let why = why.unwrap_or_else(|| failure.to_string());
                    self.tell(&CallNews::AckNotSent { why });
                    continue;
                }
                if self.deliveries.try_next(*token).await {
                    continue;
                }
                if let (TransportCause::Transport, Some(why)) = (cause, self.deliveries.why_not_sent(*token)) {
                    *failure = SendFailure::Unreached(why);
                }
                self.deliveries.done(*token);
            }
            let effects = self.call.step(event, now);
            self.carry_out(effects).await;
            self.free_places();
            self.publish();
        }
        self.take_leave(events).await;
    }

    /// What came while the call ended is answered, and a BYE that is still to come will be.
    async fn take_leave(&mut self, events: &mut mpsc::Receiver<Box<Event>>) {
        let (calls, now) = (&self.node.calls, self.node.clock.now());
        calls.keep_lost(self.call.lost_invites(), now);
        calls.keep_hung_up(self.call.take_hung_up(), now);
        events.close();
        while let Ok(event) = events.try_recv() {
            let Some(event) = self.pass_on(*event).await else {
                continue;
            };
            let (transaction, farewell) = match event {
                Event::Request {
                    transaction,
                    message,
                    flow,
                    ..
                } => (transaction, self.node.farewell(&message, &flow)),
                Event::Replace {
                    transaction,
                    message,
                    flow,
                    ..
                } => {
                    let why = "the dialog that it would replace is over";
                    let refused = RefusedReplace::of(&message, &flow, 481, why);
                    self.tell(&CallNews::ReplaceRefused(Box::new(refused)));
                    (transaction, None)
                }
                _ => continue,
            };
            let answer = farewell.unwrap_or_else(|| ResponseDraft::new(481));
            self.stopped(self.signalling.respond(transaction, answer).await.is_err());
        }
    }

    async fn next_event(
        &mut self,
        events: &mut mpsc::Receiver<Box<Event>>,
        media: &mut mpsc::Receiver<MediaEvent>,
    ) -> Event {
        loop {
            let due = self.call.next_timeout().map(|at| self.node.clock.instant(at));
            let tick = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => return *event,
                    // The directory holds a sender while the call lives.
                    None => return Event::Clear { detail: "the node stops".into() },
                },
                event = media.recv() => {
                    if let Some(event) = event.and_then(|event| self.media_event(event)) {
                        return event;
                    }
                }
                resolved = self.deliveries.resolved() => {
                    if let Some(event) = self.sent(resolved).await {
                        return event;
                    }
                }
                given = joining::given(&mut self.joining) => {
                    if let Some(event) = self.take_leg(given).await {
                        return event;
                    }
                }
                next = Applied::next(&mut self.applied) => {
                    if let Some(event) = self.came(next) {
                        return event;
                    }
                }
                () = tick => return Event::Tick,
            }
        }
    }

    async fn sent(&mut self, resolved: Resolved) -> Option<Event> {
        let token = resolved.token;
        match self.deliveries.send_resolved(resolved).await {
            Ok(located) => located,
            Err(why) => {
                let Some(token) = token else {
                    self.tell(&CallNews::AckNotSent { why });
                    return None;
                };
                let failure = SendFailure::Unresolved(why);
                Some(Event::Failed { token, failure })
            }
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.do_one(effect).await;
        }
    }

    async fn do_one(&mut self, effect: Effect) {
        match effect {
            Effect::OpenMedia {
                leg,
                address,
                mux,
                may_recode,
            } => self.open_media(leg, address, mux, may_recode),
            // A leg whose worker refuses a command was closed by it: its Closed event ends the matter.
            Effect::ConfigureMedia { handle, config } => self.media_command(self.node.media.configure(handle, config)),
            Effect::ExpectChecks { handle, credentials } => {
                self.media_command(self.node.media.expect_checks(handle, credentials));
            }
            Effect::BridgeMedia { a, b } => self.media_command(self.node.media.bridge(a, b)),
            Effect::UnbridgeMedia { handle } => self.media_command(self.node.media.unbridge(handle)),
            Effect::AwaitMedia { handle } => self.media_command(self.node.media.await_rtp(handle)),
            Effect::RingBack { handle, on } => self.ring_back(handle, on),
            Effect::Part(parted) => self.part(*parted),
            Effect::PlanTransfer(wish) => self.plan_transfer(wish),
            Effect::Join(wish) => self.ask_for_leg(wish),
            Effect::GiveLeg { leg, from, to, answer } => self.give_leg(*leg, from, to, answer),
            Effect::CloseMedia { handle, .. } => self.media_command(self.node.media.close(handle)),
            Effect::Send { leg, token, draft, to } => {
                if let Err(detail) = self.take_carrier_place(leg, &draft) {
                    self.pending.push_back(Event::Failed {
                        token,
                        failure: SendFailure::NoPlace(detail),
                    });
                    return;
                }
                self.tell_request(leg, &draft);
                let guard = self.guard_of(leg, &draft);
                if let Some(sent) = self.ordered.as_mut().and_then(|ordered| ordered.sent.take()) {
                    // Whoever placed the call may not wait any more.
                    let _gone = sent.send(Ok(draft.value(HeaderName::CallId).unwrap_or_default().to_owned()));
                }
                let sent = self.deliveries.send(Some(token), draft, to, guard).await;
                let event = sent.unwrap_or_else(|why| {
                    Some(Event::Failed {
                        token,
                        failure: SendFailure::Unresolved(why),
                    })
                });
                self.pending.extend(event);
            }
            Effect::RepeatBye { leg, draft, to } => {
                let guard = self.guard_of(leg, &draft);
                let call = self.live.clone();
                let bye = repeated_byes::Bye {
                    call,
                    leg,
                    draft,
                    to,
                    guard,
                };
                repeated_byes::repeat(&self.node, &self.signalling, bye);
            }
            Effect::SendAck { leg, draft, to } => {
                self.tell_request(leg, &draft);
                let guard = self.guard_of(leg, &draft);
                if let Err(why) = self.deliveries.send(None, draft, to, guard).await {
                    self.tell(&CallNews::AckNotSent { why });
                }
            }
            Effect::CancelRequest { token, reason } => {
                // Nobody has heard of it: a CANCEL would find nothing, and the INVITE must not follow it.
                if self.deliveries.withdraw(token) {
                    let failure = SendFailure::Unresolved("given up before the name was resolved".into());
                    self.pending.push_back(Event::Failed { token, failure });
                    return;
                }
                self.deliveries.done(token);
                if let Some(leg) = self.call.leg_inviting(token) {
                    self.tell_cancel(leg, reason.as_deref());
                }
                let headers = reason.map(|reason| (HeaderName::Reason, HeaderValue::cleaned(reason)));
                self.stopped(
                    self.signalling
                        .cancel(token.to_wire(), headers.into_iter().collect())
                        .await
                        .is_err(),
                );
            }
            Effect::Respond { transaction, draft } => {
                if self.wants_messages {
                    self.tell_answer(transaction, &draft);
                }
                self.stopped(self.signalling.respond(transaction, draft).await.is_err());
            }
            Effect::Acknowledged { transaction } => {
                self.stopped(self.signalling.acknowledged(transaction).await.is_err());
            }
            Effect::Peer { peer, verdict } => self.peer(&peer, &verdict),
            Effect::AddressDown { hop, fault, drop } => {
                let now = self.node.clock.now();
                self.node.peers.hold_address(hop.remote, &fault, now);
                if let Some(name) = drop {
                    self.look_up_anew(&name);
                    self.stopped(self.signalling.drop_connection(hop).await.is_err());
                }
            }
            Effect::Tell(news) => {
                self.tell(&news);
                self.complain(&news);
            }
            Effect::Over(record) => {
                if let Some(sent) = self.ordered.as_mut().and_then(|ordered| ordered.sent.take()) {
                    let _gone = sent.send(Err(record.cause_text.clone()));
                }
                self.listed.record(&record);
            }
            effect => self.apply(effect),
        }
    }

    /// The shards are gone only when the node stops; nothing can be sent then.
    fn stopped(&self, stopped: bool) {
        if stopped {
            self.overflow(Queue::Signalling);
        }
    }

    fn overflow(&self, queue: Queue) {
        self.node.observer.happened(&Happening::Overflow { queue });
    }

    /// What keeps a peer from leading us to ourselves, or where nobody but us comes.
    fn guard_of(&self, leg: LegIndex, draft: &RequestDraft) -> Option<Guard> {
        let leg = self.call.legs().get(usize::from(leg.0))?;
        let in_dialog = draft.value(HeaderName::To).is_some_and(|to| to.contains(";tag="));
        match &leg.terms.kind {
            LegKind::SipUri { .. } => self.planner.as_ref().map(|planner| Guard::Named {
                config: planner.config.clone(),
                tenant: planner.tenant.clone(),
            }),
            // What is in no dialog goes to a gateway, and where that is the configuration says.
            LegKind::Carrier { carrier } if in_dialog => Some(Guard::Carrier {
                config: self.node.config.load_full(),
                carrier: carrier.clone(),
                heard: leg.sources.clone(),
            }),
            LegKind::User { tenant, .. } => Some(Guard::Device { tenant: tenant.clone() }),
            LegKind::Carrier { .. } | LegKind::Teams { .. } => None,
        }
    }

    fn peer(&self, peer: &PeerName, verdict: &PeerVerdict) {
        // A device has no health of its own: it registers, or it is gone.
        if matches!(peer, PeerName::User { .. } | PeerName::Uri(_)) {
            return;
        }
        let (peers, now) = (&self.node.peers, self.node.clock.now());
        match verdict {
            PeerVerdict::HoldDown(fault) => peers.update(peer, |known| known.call_failed(fault, now)),
            PeerVerdict::Answered(address) => {
                if let Some(turn) = peers.takes_calls(peer, *address) {
                    let trouble = None;
                    self.node
                        .observer
                        .happened(&Happening::PeerTurned { peer, turn, trouble });
                }
            }
        }
    }

    fn tell(&self, news: &CallNews) {
        let legs = self.call.legs();
        let shown = match news {
            // The last that was tried has nothing to do with what its application answered.
            CallNews::Answered => self.call.answered_leg(),
            _ => Some(self.call.shown_leg()),
        };
        let shown = shown.and_then(|leg| legs.get(usize::from(leg.0)));
        self.node.observer.happened(&Happening::CallNews {
            call: self.live.id,
            facts: &self.live.facts,
            news,
            peer: shown.and_then(|leg| leg.record.peer.as_ref()),
            hub: legs.first().and_then(|leg| leg.record.hub.as_deref()),
        });
    }

    fn publish(&mut self) {
        if self.call.milestones.answered.is_some() {
            self.ordered = None;
        }
        let changes = Some((self.call.changes(), self.call.seats()));
        let phase = self.call.phase();
        let (shown, urgent) = {
            let status = self.live.status.lock().unwrap_or_else(PoisonError::into_inner);
            (status.phase, status.emergency)
        };
        let is_news = shown != phase || changes != self.shown || urgent != self.call.calls_emergency();
        if is_news || phase == Phase::Ringing {
            let status = CallStatus::of(&self.call, self.node.clock.now());
            self.node.calls.publish(&self.live, status);
            self.shown = changes;
        }
    }
}
