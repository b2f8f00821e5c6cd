//! Hunting: the hops of an attempt one after the other, until one answers or fails for good.

use super::answer::COMPLETED_ELSEWHERE;
use super::cause::{Cause, Party};
use super::child::Child;
use super::event::{CallNews, Effect, PeerVerdict, SendFailure};
use super::id::{LegIndex, Token};
use super::leg::{Leg, LegState};
use super::value::{Call, Phase};
use crate::dial::{Attempt, AttemptFailure, EMERGENCY_RINGING, LegKind, PeerName, PlannedHop};
use crate::guard::Fault;
use crate::moment::Moment;
use crate::sip::Hop;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// One attempt of the plan while it rings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ringing {
    /// Hops not tried yet.
    hops: VecDeque<PlannedHop>,
    /// The address that is being tried, once it is known.
    tried: Option<Hop>,
    /// Further addresses of the same name.
    others: VecDeque<Hop>,
    /// The leg that is being tried.
    pub(super) leg: Option<LegIndex>,
    /// What its INVITE waits to hear.
    pub(super) awaited: Option<Awaited>,
    /// Unanswered by then: it counts as not answered.
    pub(super) rings_until: Option<Moment>,
    /// How long it may ring.
    pub(super) limit: Duration,
    /// The last hop's failure.
    pub(super) failure: Option<AttemptFailure>,
    /// Nothing more comes of it.
    pub(super) over: bool,
    /// The last leg that has said 180: somebody was alerted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rang: Option<LegIndex>,
    /// No limit applies to it (promise 6).
    pub(super) emergency: bool,
    /// What an application that dialled knows of it.
    pub(super) child: Option<Child>,
}

impl Ringing {
    /// An attempt that rings for `limit` where it has no limit of its own and nobody's life depends on it.
    pub(super) fn new(attempt: Attempt, limit: Duration) -> Ringing {
        Ringing {
            hops: attempt.hops.into(),
            tried: None,
            others: VecDeque::new(),
            leg: None,
            awaited: None,
            rings_until: None,
            limit: match attempt.emergency {
                true => EMERGENCY_RINGING,
                false => attempt.ringing.unwrap_or(limit),
            },
            failure: attempt.failed,
            over: false,
            rang: None,
            emergency: attempt.emergency,
            child: None,
        }
    }

    /// The address that an INVITE has to go to: one given by the plan, or, when it is sent `again`, the one that answered
    /// (RFC 3261 §22.2: another server doesn't know its challenge).
    pub(super) fn locate(&mut self, given: Option<Hop>, again: bool) -> Option<Hop> {
        match given {
            Some(given) => self.tried = Some(given),
            None if !again => self.tried = None,
            None => {}
        }
        self.tried.clone()
    }

    /// The destination has its fate: no timer runs for it any more.
    pub(super) fn settle(&mut self) {
        self.over = true;
        self.awaited = None;
        self.rings_until = None;
    }

    /// A response to its INVITE has come. True of the first that is more than 100.
    pub(super) fn heard(&mut self, status: u16, progress: Option<Duration>, now: Moment) -> bool {
        if status == 180 {
            self.rang = self.leg;
        }
        let awaited = self.awaited.take();
        self.awaited = awaited.and_then(|awaited| awaited.then(status, progress, now));
        awaited.is_some() && status > 100
    }

    /// Whether whoever is tried next may well answer.
    fn leads_further(&self) -> bool {
        !self.others.is_empty() || self.hops.front().is_some_and(|hop| !hop.held)
    }
}

impl Call {
    /// Whether a destination still waits for its fate.
    pub(super) fn tries_somebody(&self) -> bool {
        self.ringing.iter().any(|ringing| !ringing.over)
    }
}

/// What an INVITE waits to hear, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Awaited {
    /// Any response at all.
    Response { until: Moment },
    /// More than 100 Trying, from which the `patience` counts.
    Progress { patience: Duration, until: Moment },
}

impl Awaited {
    pub(super) fn until(self) -> Moment {
        match self {
            Awaited::Response { until } | Awaited::Progress { until, .. } => until,
        }
    }

    /// What is waited for after a response.
    pub(super) fn then(self, status: u16, progress: Option<Duration>, now: Moment) -> Option<Awaited> {
        match (self, progress) {
            (Awaited::Response { .. }, Some(patience)) if status == 100 => Some(Awaited::Progress {
                patience,
                until: now + patience,
            }),
            (waits @ Awaited::Progress { .. }, _) if status == 100 => Some(waits),
            _ => None,
        }
    }

    /// Why its hop is given up.
    pub(super) fn missed(self) -> String {
        match self {
            Awaited::Response { .. } => "no response in time".into(),
            Awaited::Progress { patience, .. } => format!("no more than 100 Trying for {patience:?}"),
        }
    }
}

/// What the failure of a hop leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The peer is at fault: it is held down, and the next hop is tried.
    HoldAndHunt,
    /// The peer is not at fault: the next hop is tried.
    Hunt,
    /// It lives, and what is behind this address doesn't: another address of its name is tried, else the next hop.
    Elsewhere,
    /// The answer counts for the whole attempt.
    Stop,
}

impl Call {
    /// Makes a leg for the attempt's next hop. Without one left the attempt has failed.
    pub(super) fn next_hop(&mut self, position: usize, now: Moment) {
        let index = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        let random = self.random();
        let call_id = self.hop_mark.call_id(random);
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        let is_first = ringing.child.as_ref().is_some_and(|child| child.leg.is_none());
        let Some(hop) = ringing.hops.pop_front() else {
            if is_first {
                self.tell_trying(position, now);
            }
            self.attempt_failed(position, now);
            return;
        };
        ringing.leg = Some(index);
        let mut leg = Leg::new(index, Party::Callee, hop.terms.clone(), hop.contact_user.clone());
        leg.record.peer = Some(hop.peer.clone());
        leg.record.call_id = call_id;
        if let Some(child) = &mut ringing.child {
            child.leg = Some(index);
            leg.record.call_sid = Some(child.sid);
        }
        leg.hop = Some(hop);
        self.legs.push(leg);
        self.note_arriving(index);
        if is_first {
            self.tell_trying(position, now);
        }
        self.open_media(index);
    }

    pub(super) fn ringing_of(&mut self, index: LegIndex) -> Option<&mut Ringing> {
        self.ringing.iter_mut().find(|ringing| ringing.leg == Some(index))
    }

    /// Hops that did not say enough in time are given up, and the next one is tried (TEAMS-063). Who has said 100 at least
    /// is not given up for nobody.
    pub(super) fn first_response_timeouts(&mut self, now: Moment) {
        let mut late = Vec::new();
        for ringing in &mut self.ringing {
            let Some(missed) = ringing.awaited.take_if(|awaited| awaited.until() <= now) else {
                continue;
            };
            if matches!(missed, Awaited::Response { .. }) || ringing.leads_further() {
                late.extend(ringing.leg.map(|index| (index, missed)));
            }
        }
        for (index, missed) in late {
            // One that rings after all is no missed call: another hub has it (TEAMS-070, TEAMS-115).
            let leg = self.leg(index);
            let is_hub = leg.is_some_and(|leg| matches!(leg.terms.kind, LegKind::Teams { .. }));
            self.give_up(index, is_hub.then(|| COMPLETED_ELSEWHERE.to_owned()));
            let failure = AttemptFailure::local(503, "Service Unavailable", missed.missed());
            let next = match missed {
                Awaited::Response { .. } => Next::HoldAndHunt,
                Awaited::Progress { .. } => Next::Elsewhere,
            };
            self.hop_failed(index, failure, next, now);
        }
    }

    /// Destinations that ring too long are given up; nobody else is tried for them. An emergency call goes on to the next
    /// hop, and where there is none it rings on (promise 6), unless an application has made it: nobody may be there to hang up.
    pub(super) fn ringing_timeouts(&mut self, now: Moment) {
        let mut late = Vec::new();
        for ringing in &mut self.ringing {
            let Some(leg) = ringing.leg else { continue };
            if ringing.rings_until.take_if(|until| *until <= now).is_none() {
                continue;
            }
            match (ringing.emergency, ringing.hops.is_empty()) {
                (false, _) => late.push((leg, Next::Stop)),
                (true, false) => late.push((leg, Next::Hunt)),
                (true, true) if ringing.child.is_some() => late.push((leg, Next::Stop)),
                (true, true) => {}
            }
        }
        for (index, next) in late {
            self.give_up(index, Cause::NoAnswer.reason());
            let failure = AttemptFailure::local(480, "Temporarily Unavailable", "no answer".into());
            self.hop_failed(index, failure, next, now);
        }
    }

    /// The INVITE of a leg can't be delivered, or nobody answered it.
    pub(super) fn invite_failed(&mut self, index: LegIndex, failure: &SendFailure, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        match leg.state {
            LegState::Cancelling => {
                leg.state = LegState::Gone;
                leg.forget();
            }
            LegState::Inviting => {
                leg.state = LegState::Gone;
                let next = match failure {
                    SendFailure::NoPlace(_) => Next::Hunt,
                    SendFailure::Unresolved(_) | SendFailure::Transport(_) | SendFailure::Unreached(_) => {
                        Next::HoldAndHunt
                    }
                };
                let failure = AttemptFailure::local(503, "Service Unavailable", failure.to_string());
                self.hop_failed(index, failure, next, now);
            }
            // Another fork's INVITE transaction ends after the answer.
            LegState::Opening
            | LegState::Up
            | LegState::AwaitingAck
            | LegState::Leaving { .. }
            | LegState::Closing
            | LegState::Gone => {}
        }
    }

    /// One hop is lost: the next one where that helps, else the attempt is over.
    pub(super) fn hop_failed(&mut self, index: LegIndex, failure: AttemptFailure, next: Next, now: Moment) {
        if self.is_arriving(index) && !self.rings_for_transfer(index) {
            if let Some(leg) = self.leg_mut(index).filter(|leg| leg.is_alive()) {
                leg.state = LegState::Gone;
            }
            self.arriving_failed(&failure, next, index, now);
            return;
        }
        if self.winner == Some(index) {
            self.winner = None;
        }
        self.unhear_arriving(index, now);
        let (mut elsewhere, mut from) = (None, None);
        let why = failure.explain();
        let was_to_arrive = self.is_arriving(index);
        if let Some(leg) = self.leg_mut(index) {
            if was_to_arrive {
                leg.record.note_missed(failure.came(), &failure);
            }
            leg.record.status.get_or_insert(failure.status);
            leg.record.why = failure.local.clone().or_else(|| failure.remark.clone());
            if matches!(leg.state, LegState::Opening | LegState::Inviting) {
                leg.state = LegState::Gone;
            }
            if let Some(hop) = leg.hop.clone() {
                from = Some(hop.peer.clone()).filter(|_| next != Next::Stop);
                elsewhere = match next {
                    Next::HoldAndHunt => self.hold_and_look_elsewhere(index, hop, &failure),
                    Next::Elsewhere => {
                        let other = self.ringing_of(index).and_then(|ringing| ringing.others.pop_front());
                        other.map(|other| PlannedHop {
                            direct: Some(other),
                            ..hop
                        })
                    }
                    Next::Hunt | Next::Stop => None,
                };
            }
        }
        self.close_media(index);
        if let Some(leg) = self.leg_mut(index).filter(|leg| leg.state == LegState::Gone) {
            leg.forget();
        }
        let Some(position) = self.ringing.iter().position(|ringing| ringing.leg == Some(index)) else {
            return;
        };
        if let Some(ringing) = self.ringing.get_mut(position) {
            ringing.leg = None;
            ringing.awaited = None;
            // Each gateway of a route rings anew under the limit of the whole, as all that may help in an emergency; a target
            // of a dial has one limit.
            if ringing.child.is_none() || ringing.emergency {
                ringing.rings_until = None;
            }
            // Who answers decides; of those that only let the next be tried, the one that says most.
            ringing.failure = match ringing.failure.take() {
                Some(before) if next != Next::Stop && before.outranks(&failure) => Some(before),
                _ => Some(failure),
            };
            match elsewhere {
                Some(hop) => ringing.hops.push_front(hop),
                None => ringing.others.clear(),
            }
        }
        let goes_on = self
            .ringing
            .get(position)
            .is_some_and(|ringing| !ringing.hops.is_empty());
        if let Some(from) = from.filter(|_| goes_on) {
            self.tell(CallNews::Hunting { from, why });
        }
        match next {
            Next::Stop => self.attempt_failed(position, now),
            Next::HoldAndHunt | Next::Hunt | Next::Elsewhere => self.next_hop(position, now),
        }
    }

    /// Holds down what failed: the address, and with the last one its name. Gives the hop at the next address of its name where
    /// the address is at fault (RFC 3263 §4.3).
    pub(super) fn hold_and_look_elsewhere(
        &mut self,
        index: LegIndex,
        hop: PlannedHop,
        failure: &AttemptFailure,
    ) -> Option<PlannedHop> {
        let fault = Fault {
            span: failure.retry_after.unwrap_or(hop.hold_down).min(Fault::LONGEST),
            told: failure.local.is_none() && failure.retry_after.is_some(),
            why: failure.explain(),
        };
        let is_hub = matches!(hop.peer, PeerName::Hub(_));
        let name = &hop.next;
        let is_ours = is_hub || matches!(hop.peer, PeerName::Gateway { .. });
        // What a hub answers is the hub's word: the next hub follows at once (TEAMS-063).
        let moves = failure.status == 503 && !(is_hub && failure.local.is_none());
        let ringing = self.ringing_of(index);
        let (tried, other) = ringing.map_or((None, None), |ringing| {
            (ringing.tried.take(), ringing.others.pop_front().filter(|_| moves))
        });
        if let Some(address) = tried.filter(|_| is_ours) {
            // Its connection may be as dead as it looks (TEAMS-070).
            let is_silent = is_hub && self.leg(index).is_some_and(|leg| leg.state == LegState::Cancelling);
            let drop = (fault.told || is_silent).then(|| name.clone());
            self.effects.push(Effect::AddressDown {
                hop: address,
                fault: fault.clone(),
                drop,
            });
        }
        let Some(other) = other else {
            let (peer, verdict) = (hop.peer, PeerVerdict::HoldDown(fault));
            self.effects.push(Effect::Peer { peer, verdict });
            return None;
        };
        Some(PlannedHop {
            direct: Some(other),
            ..hop
        })
    }

    /// Where an INVITE went, and where else its name leads.
    pub(super) fn located(&mut self, token: Token, hop: Hop, others: VecDeque<Hop>) {
        let inviting = self.leg_inviting(token);
        if let Some(leg) = inviting.and_then(|index| self.leg_mut(index)) {
            leg.record.address = Some((hop.transport, hop.remote));
        }
        if let Some(ringing) = inviting.and_then(|index| self.ringing_of(index)) {
            ringing.tried = Some(hop);
            ringing.others = others;
        }
    }

    fn attempt_failed(&mut self, position: usize, now: Moment) {
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        ringing.settle();
        let mut failure = ringing.failure.take().unwrap_or_else(|| {
            AttemptFailure::local(503, "Service Unavailable", "the target has no destination".into())
        });
        failure.rang = ringing.rang.is_some();
        if ringing.child.is_some() {
            self.child_failed(position, &failure, now);
        }
        self.failures.push(failure);
        if self.is_ringing_for_transfer() {
            if self.ringing.iter().all(|ringing| ringing.over) {
                self.nobody_arrives(now);
            }
            return;
        }
        if self.bridged.is_some() || !self.ringing.iter().all(|ringing| ringing.over) {
            return;
        }
        if self.is_engaging() {
            self.engaging_failed(now);
        } else if self.app.is_some() {
            self.dial_ended(now);
        } else if matches!(self.phase, Phase::Opening | Phase::Ringing) {
            self.end(self.best_failure(), now);
        }
    }

    /// What the caller is told when nobody answered.
    pub(super) fn best_failure(&self) -> Cause {
        let Some(failure) = crate::dial::best_failure(&self.failures) else {
            return Cause::Unreachable {
                detail: "the plan has no destination".into(),
            };
        };
        match &failure.local {
            Some(_) if failure.status == 480 => Cause::NoAnswer,
            Some(detail) if failure.status == 488 => Cause::MediaRefused { detail: detail.clone() },
            Some(detail) => Cause::Unreachable { detail: detail.clone() },
            None => Cause::Refused {
                status: failure.status,
                phrase: failure.phrase.clone(),
                received: failure.received.clone(),
                reasons: failure.reasons.clone(),
                retry_after: failure.retry_after,
                remark: failure.remark.clone(),
            },
        }
    }

    /// Gives up on a leg that was not answered: CANCEL, and its final answer is awaited.
    pub(super) fn give_up(&mut self, index: LegIndex, reason: Option<String>) {
        let Some(leg) = self.leg_mut(index) else { return };
        match (leg.state, &leg.invite) {
            (LegState::Inviting, Some(invite)) => {
                let token = invite.token;
                leg.state = LegState::Cancelling;
                self.effects.push(Effect::CancelRequest { token, reason });
            }
            (LegState::Opening | LegState::Inviting, _) => leg.state = LegState::Gone,
            _ => {}
        }
    }
}
