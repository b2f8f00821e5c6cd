//! The task of a call: a mailbox loop around [`Call::step`] that carries out its effects.

use super::delivery::{Deliveries, Resolved};
use super::directory::{CallStatus, LiveCall};
use super::event::{CallNews, Effect, Event, MediaNotice, PeerVerdict, SendFailure};
use super::id::{CallId, LegIndex};
use super::node::Node;
use super::setup::Birth;
use super::value::{Call, Phase};
use crate::dial::PeerName;
use crate::guard::Place;
use crate::media::{LegId, MediaEvent, MediaEvents, OpenSpec, RtcpPort};
use crate::net::shard::SignallingHandle;
use crate::observe::{Happening, LadderLine, Way};
use crate::sdp::LocalMedia;
use crate::sip::message::{HeaderName, HeaderValue, Message};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Method, RequestDraft, ResponseDraft};
use crate::srtp::{MasterKey, Suite};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// Events that may wait for a call; room is taken as it is used. Requests find it full earlier
/// (half of it): peers repeat those, but a final response comes once.
pub const MAILBOX: usize = 256;
/// Media events that may wait; they are rare by construction.
const MEDIA_EVENTS: usize = 16;

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
    /// The carrier that the call is placed through, and the place that it takes there.
    carrier_place: Option<(Arc<str>, Place)>,
    /// Events that carrying out effects made, in order.
    pending: VecDeque<Event>,
    wants_messages: bool,
    /// Requests inside the dialogs that have no final answer yet, when messages are wanted: whose answer is it?
    answering: Vec<(ServerTransactionId, LegIndex, Method)>,
    label: Arc<str>,
    _place: Place,
    /// Dropped last.
    _listed: Listed,
}

/// A call's entry in the directory, taken out however its task ends: a panic costs this call, and nobody else waits for it.
struct Listed {
    node: Arc<Node>,
    id: CallId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.node.calls.remove(self.id);
        self.node.call_ended.notify_waiters();
        if std::thread::panicking() {
            self.node.observer.happened(&Happening::CallPanicked { call: self.id });
        }
    }
}

/// Begins a call on a task of its own.
pub fn spawn(node: Arc<Node>, live: LiveCall, birth: Birth<'_>, place: Place, events: mpsc::Receiver<Box<Event>>) {
    let Some(signalling) = node.signalling.get().cloned() else {
        // The shards run before any request reaches a switchboard.
        node.calls.remove(live.id);
        return;
    };
    let wants_messages = node.observer.wants_messages();
    let begun = node.clock.now();
    if wants_messages {
        tell_message(&node, &live, 0, Way::In, birth.invite, begun);
    }
    let listed = Listed {
        node: node.clone(),
        id: live.id,
    };
    let (call, effects) = Call::begin(birth);
    let label: Arc<str> = live.id.to_string().into();
    let (media_events, media) = mpsc::channel(MEDIA_EVENTS);
    let task = CallTask {
        deliveries: Deliveries::new(node.clone(), signalling.clone()),
        node,
        signalling,
        live,
        call,
        media_events,
        handles: Vec::new(),
        carrier_place: None,
        pending: VecDeque::new(),
        wants_messages,
        answering: Vec::new(),
        label,
        _place: place,
        _listed: listed,
    };
    tokio::spawn(task.run(effects, events, media));
}

impl CallTask {
    async fn run(
        mut self,
        effects: Vec<Effect>,
        mut events: mpsc::Receiver<Box<Event>>,
        mut media: mpsc::Receiver<MediaEvent>,
    ) {
        self.carry_out(effects).await;
        while self.call.phase() != Phase::Over {
            let event = match self.pending.pop_front() {
                Some(event) => event,
                None => self.next_event(&mut events, &mut media).await,
            };
            let now = self.node.clock.now();
            if self.wants_messages {
                self.tell_heard(&event);
            }
            if let Event::Response { token, message, .. } = &event
                && message.status().is_some_and(|status| status >= 200)
            {
                self.deliveries.done(*token);
            }
            if let Event::Failed {
                token,
                failure: SendFailure::Transport(_),
            } = &event
                && self.deliveries.try_next(*token).await
            {
                continue;
            }
            let effects = self.call.step(event, now);
            self.carry_out(effects).await;
            self.publish();
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
                () = tick => return Event::Tick,
            }
        }
    }

    async fn sent(&mut self, resolved: Resolved) -> Option<Event> {
        let token = resolved.token;
        match self.deliveries.send_resolved(resolved).await {
            Ok(()) => None,
            Err(why) => token.map(|token| Event::Failed {
                token,
                failure: SendFailure::Unresolved(why),
            }),
        }
    }

    fn media_event(&mut self, event: MediaEvent) -> Option<Event> {
        let leg_of = |handle: LegId| {
            self.handles
                .iter()
                .find(|(known, _)| *known == handle)
                .map(|(_, leg)| *leg)
        };
        match event {
            // A peer in discontinuous transmission still reports: it is not gone.
            MediaEvent::Silence {
                since_rtcp: Some(span),
                lasting,
                ..
            } if span < lasting => None,
            MediaEvent::Silence { leg, lasting, .. } => Some(Event::Media(leg_of(leg)?, MediaNotice::Silent(lasting))),
            MediaEvent::Closed { leg, stats } => Some(Event::Media(leg_of(leg)?, MediaNotice::Closed(stats))),
            MediaEvent::Flowing { .. }
            | MediaEvent::Resumed { .. }
            | MediaEvent::Dtmf { .. }
            | MediaEvent::Played { .. }
            | MediaEvent::DigitsSent { .. } => None,
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.do_one(effect).await;
        }
    }

    async fn do_one(&mut self, effect: Effect) {
        match effect {
            Effect::OpenMedia { leg, mux } => self.open_media(leg, mux),
            // A leg whose worker refuses a command was closed by it: its Closed event ends the matter.
            Effect::ConfigureMedia { handle, config } => self.media_command(self.node.media.configure(handle, config)),
            Effect::BridgeMedia { a, b } => self.media_command(self.node.media.bridge(a, b)),
            Effect::CloseMedia { handle, .. } => self.media_command(self.node.media.close(handle)),
            Effect::Send { leg, token, draft, to } => {
                if let Err(detail) = self.take_carrier_place(leg, &draft) {
                    self.pending.push_back(Event::Failed {
                        token,
                        failure: SendFailure::NoPlace(detail),
                    });
                    return;
                }
                self.tell_sent(
                    leg,
                    draft.method().as_str(),
                    draft.method().as_str(),
                    !draft.body_bytes().is_empty(),
                );
                if let Err(why) = self.deliveries.send(Some(token), draft, to).await {
                    self.pending.push_back(Event::Failed {
                        token,
                        failure: SendFailure::Unresolved(why),
                    });
                }
            }
            Effect::SendAck { leg, draft, to } => {
                self.tell_sent(leg, "ACK", "ACK", !draft.body_bytes().is_empty());
                // An ACK that can't be sent shows as a 2xx that is repeated.
                let _repeated = self.deliveries.send(None, draft, to).await;
            }
            Effect::CancelRequest { token, reason } => {
                // Nobody has heard of it: a CANCEL would find nothing, and the INVITE must not follow it.
                if self.deliveries.withdraw(token) {
                    let failure = SendFailure::Unresolved("given up before the name was resolved".into());
                    self.pending.push_back(Event::Failed { token, failure });
                    return;
                }
                let headers = reason.map(|reason| (HeaderName::Reason, HeaderValue::cleaned(reason)));
                self.deliveries.done(token);
                if let Some(leg) = self.call.leg_inviting(token) {
                    self.tell_sent(leg, "CANCEL", "CANCEL", false);
                }
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
            Effect::Tell(news) => self.tell(&news),
            Effect::Over(record) => self.node.observer.happened(&Happening::CallOver { record: &record }),
        }
    }

    /// The shards are gone only when the node stops; nothing can be sent then.
    fn stopped(&self, stopped: bool) {
        if stopped {
            self.node
                .observer
                .happened(&Happening::Overflow { queue: "signalling" });
        }
    }

    fn media_command(&self, result: Result<(), crate::media::MediaError>) {
        if result.is_err() {
            self.node.observer.happened(&Happening::Overflow {
                queue: "media commands",
            });
        }
    }

    fn open_media(&mut self, leg: LegIndex, mux: bool) {
        let spec = OpenSpec {
            address: 0,
            rtcp: if mux { RtcpPort::Mux } else { RtcpPort::Pair },
            near: self.handles.first().map(|(handle, _)| *handle),
            events: self.media_events.clone(),
            label: self.label.clone(),
        };
        let result = match self.node.media.open(spec) {
            Ok(opened) => {
                self.handles.push((opened.id, leg));
                let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
                let rtcp_port = (opened.rtcp_port != opened.rtp_port).then_some(opened.rtcp_port);
                Ok((
                    opened.id,
                    LocalMedia::new(opened.address, opened.rtp_port, rtcp_port, rand::random(), key),
                ))
            }
            Err(error) => Err(error.to_string()),
        };
        self.pending.push_back(Event::MediaOpened { leg, result });
    }

    /// A call out takes its place at the carrier of the gateway that is tried now.
    fn take_carrier_place(&mut self, leg: LegIndex, draft: &RequestDraft) -> Result<(), String> {
        let hop = self
            .call
            .legs()
            .get(usize::from(leg.0))
            .and_then(|leg| leg.hop.as_ref());
        let (Method::Invite, Some(PeerName::Gateway { carrier, .. })) = (draft.method(), hop.map(|hop| &hop.peer))
        else {
            return Ok(());
        };
        if self.carrier_place.as_ref().is_some_and(|(taken, _)| taken == carrier) {
            return Ok(());
        }
        let config = self.node.config.load();
        let limits = config
            .sbc
            .carriers
            .iter()
            .find(|known| known.id.as_str() == &**carrier)
            .map(|known| known.limits);
        let owner = format!("carrier {carrier}");
        let owners = [(owner.as_str(), limits.unwrap_or_default())];
        let emergency = self.call.facts().emergency;
        let place = self
            .node
            .places
            .take(&owners, emergency, self.node.clock.now())
            .map_err(|full| full.to_string())?;
        self.carrier_place = Some((carrier.clone(), place));
        Ok(())
    }

    fn peer(&self, peer: &PeerName, verdict: &PeerVerdict) {
        // A device has no health of its own: it registers, or it is gone.
        if matches!(peer, PeerName::User { .. }) {
            return;
        }
        // An answer proves nothing about a hold-down that another call was told of.
        if let PeerVerdict::HoldDown(span) = verdict {
            let now = self.node.clock.now();
            self.node.peers.update(peer, |known| known.hold_down(*span, now));
        }
    }

    fn tell(&self, news: &CallNews) {
        self.node.observer.happened(&Happening::CallNews {
            call: self.live.id,
            facts: &self.live.facts,
            news,
        });
    }

    fn publish(&self) {
        let mut status = self.live.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.phase != self.call.phase() || self.call.phase() == Phase::Ringing {
            *status = CallStatus::of(&self.call);
        }
    }

    fn tell_sent(&self, leg: LegIndex, what: &str, method: &str, has_sdp: bool) {
        if self.wants_messages {
            let at = self.node.clock.now();
            let line = LadderLine {
                at,
                call: self.live.id,
                leg: leg.0,
                way: Way::Out,
                what,
                method,
                has_sdp,
            };
            self.node.observer.happened(&Happening::Message(line));
        }
    }

    fn tell_answer(&mut self, transaction: ServerTransactionId, draft: &ResponseDraft) {
        let what = format!("{} {}", draft.status(), draft.reason_text());
        let found = self.answering.iter().position(|(id, ..)| *id == transaction);
        // The caller's INVITE was there before the task.
        let (leg, method) = match found {
            Some(at) => {
                let (_, leg, method) = self.answering.swap_remove(at);
                (leg, method)
            }
            None => (LegIndex::CALLER, Method::Invite),
        };
        self.tell_sent(leg, &what, method.as_str(), !draft.body_bytes().is_empty());
        if draft.status() < 200 && found.is_some() {
            self.answering.push((transaction, leg, method));
        }
    }

    fn tell_heard(&mut self, event: &Event) {
        let message = match event {
            Event::Response { message, .. }
            | Event::Request { message, .. }
            | Event::Ack { message }
            | Event::Cancelled { message, .. } => message,
            _ => return,
        };
        let leg = self.call.leg_heard(event).unwrap_or(LegIndex::CALLER);
        if let Event::Request {
            transaction, message, ..
        } = event
        {
            let method = message.cseq_method().clone();
            self.answering.push((*transaction, leg, method));
        }
        tell_message(&self.node, &self.live, leg.0, Way::In, message, self.node.clock.now());
    }
}

fn tell_message(node: &Node, live: &LiveCall, leg: u16, way: Way, message: &Message, at: crate::moment::Moment) {
    let method = message.cseq_method().as_str();
    let what = match message.status() {
        Some(status) => format!("{status} {}", message.reason()),
        None => method.to_owned(),
    };
    let has_sdp = !message.body().is_empty();
    node.observer.happened(&Happening::Message(LadderLine {
        at,
        call: live.id,
        leg,
        way,
        what: &what,
        method,
        has_sdp,
    }));
}
