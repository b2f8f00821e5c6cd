//! Hunting: the hops of an attempt one after the other, until one answers or fails for good.

use super::cause::{Cause, Party};
use super::child::Child;
use super::event::{CallNews, Effect, PeerVerdict, SendFailure};
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::value::{Call, Phase};
use crate::dial::{Attempt, AttemptFailure, PlannedHop};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// A peer can't have itself held down for longer, whatever its Retry-After says.
const LONGEST_HOLD_DOWN: Duration = Duration::from_secs(3_600);

/// One attempt of the plan while it rings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ringing {
    /// Hops not tried yet.
    hops: VecDeque<PlannedHop>,
    /// The leg that is being tried.
    pub(super) leg: Option<LegIndex>,
    /// No response at all by then: the next hop.
    pub(super) silent_until: Option<Moment>,
    /// Unanswered by then: it counts as not answered.
    pub(super) rings_until: Option<Moment>,
    /// How long it may ring.
    pub(super) limit: Duration,
    /// The last hop's failure.
    pub(super) failure: Option<AttemptFailure>,
    /// Nothing more comes of it.
    pub(super) over: bool,
    /// No limit applies to it (promise 6).
    pub(super) emergency: bool,
    /// What an application that dialled knows of it.
    pub(super) child: Option<Child>,
}

impl Ringing {
    /// An attempt that rings for `limit` where it has no limit of its own.
    pub(super) fn new(attempt: Attempt, limit: Duration) -> Ringing {
        Ringing {
            hops: attempt.hops.into(),
            leg: None,
            silent_until: None,
            rings_until: None,
            limit: attempt.ringing.unwrap_or(limit),
            failure: attempt.failed,
            over: false,
            emergency: attempt.emergency,
            child: None,
        }
    }

    /// The destination has its fate: no timer runs for it any more.
    pub(super) fn settle(&mut self) {
        self.over = true;
        self.silent_until = None;
        self.rings_until = None;
    }
}

/// What the failure of a hop leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The peer is at fault: it is held down, and the next hop is tried.
    HoldAndHunt,
    /// The peer is not at fault: the next hop is tried.
    Hunt,
    /// The answer counts for the whole attempt.
    Stop,
}

impl Call {
    /// Makes a leg for the attempt's next hop. Without one left the attempt has failed.
    pub(super) fn next_hop(&mut self, position: usize, now: Moment) {
        let index = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        let Some(hop) = ringing.hops.pop_front() else {
            self.attempt_failed(position, now);
            return;
        };
        ringing.leg = Some(index);
        let mut leg = Leg::new(index, Party::Callee, hop.terms.clone(), hop.contact_user.clone());
        leg.record.peer = Some(hop.peer.clone());
        if let Some(child) = &mut ringing.child {
            child.leg = Some(index);
            leg.record.call_sid = Some(child.sid);
        }
        leg.hop = Some(hop);
        self.legs.push(leg);
        self.open_media(index);
    }

    pub(super) fn ringing_of(&mut self, index: LegIndex) -> Option<&mut Ringing> {
        self.ringing.iter_mut().find(|ringing| ringing.leg == Some(index))
    }

    /// Hops that did not say a word in time are given up, and the next one is tried (TEAMS-063).
    pub(super) fn first_response_timeouts(&mut self, now: Moment) {
        let late = |ringing: &&Ringing| ringing.silent_until.is_some_and(|until| until <= now);
        let legs: Vec<LegIndex> = self
            .ringing
            .iter()
            .filter(late)
            .filter_map(|ringing| ringing.leg)
            .collect();
        for index in legs {
            self.give_up(index, None);
            let failure = AttemptFailure::local(503, "Service Unavailable", "no response in time".into());
            self.hop_failed(index, failure, Next::HoldAndHunt, now);
        }
    }

    /// Destinations that ring too long are given up; nobody else is tried for them.
    pub(super) fn ringing_timeouts(&mut self, now: Moment) {
        let late = |ringing: &&Ringing| ringing.rings_until.is_some_and(|until| until <= now);
        let legs: Vec<LegIndex> = self
            .ringing
            .iter()
            .filter(late)
            .filter_map(|ringing| ringing.leg)
            .collect();
        for index in legs {
            self.give_up(index, Cause::NoAnswer.reason());
            let failure = AttemptFailure::local(480, "Temporarily Unavailable", "no answer".into());
            self.hop_failed(index, failure, Next::Stop, now);
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
                    SendFailure::Unresolved(_) | SendFailure::Transport(_) => Next::HoldAndHunt,
                };
                let failure = AttemptFailure::local(503, "Service Unavailable", failure.to_string());
                self.hop_failed(index, failure, next, now);
            }
            // Another fork's INVITE transaction ends after the answer.
            LegState::Opening | LegState::Up | LegState::AwaitingAck | LegState::Closing | LegState::Gone => {}
        }
    }

    /// One hop is lost: the next one where that helps, else the attempt is over.
    pub(super) fn hop_failed(&mut self, index: LegIndex, failure: AttemptFailure, next: Next, now: Moment) {
        if self.winner == Some(index) {
            self.winner = None;
        }
        if let Some(leg) = self.leg_mut(index) {
            leg.record.status.get_or_insert(failure.status);
            if matches!(leg.state, LegState::Opening | LegState::Inviting) {
                leg.state = LegState::Gone;
            }
            if let Some(hop) = &leg.hop {
                let (peer, usual) = (hop.peer.clone(), hop.hold_down);
                if next == Next::HoldAndHunt {
                    let span = failure.retry_after.unwrap_or(usual).min(LONGEST_HOLD_DOWN);
                    self.effects.push(Effect::Peer {
                        peer: peer.clone(),
                        verdict: PeerVerdict::HoldDown(span),
                    });
                }
                if next != Next::Stop {
                    let why = failure.explain();
                    self.tell(CallNews::Hunting { from: peer, why });
                }
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
            ringing.silent_until = None;
            // Each gateway of a route rings anew under the limit of the whole; a target of a dial has one limit.
            if ringing.child.is_none() {
                ringing.rings_until = None;
            }
            ringing.failure = Some(failure);
        }
        match next {
            Next::Stop => self.attempt_failed(position, now),
            Next::HoldAndHunt | Next::Hunt => self.next_hop(position, now),
        }
    }

    fn attempt_failed(&mut self, position: usize, now: Moment) {
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        ringing.settle();
        let failure = ringing.failure.take().unwrap_or_else(|| {
            AttemptFailure::local(503, "Service Unavailable", "the target has no destination".into())
        });
        if ringing.child.is_some() {
            self.child_failed(position, &failure, now);
        }
        self.failures.push(failure);
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
                reasons: failure.reasons.clone(),
                retry_after: failure.retry_after,
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
