//! The destinations of a dial as its application knows them: one child call each, whatever gateways it tries. Every
//! change is told once, and each child has exactly one end.

use super::dialing::EndedBy as DialEndedBy;
use super::event::CallNews;
use super::hunt::Ringing;
use super::id::LegIndex;
use super::value::{Call, Phase};
use crate::app::payload::{EndedBy, Status};
use crate::app::sid::CallSid;
use crate::app::verb::Hook;
use crate::dial::{AttemptFailure, TargetName};
use crate::moment::Moment;
use crate::route::TraceStep;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A child call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Child {
    pub(super) sid: CallSid,
    pub(super) target: TargetName,
    /// The application that screens the call before the caller gets it.
    pub(super) confirm: Option<Hook>,
    pub(super) status: Status,
    /// The SIP status that stands for `status`.
    pub(super) sip_status: u16,
    pub(super) phrase: String,
    pub(super) answered: Option<Moment>,
    pub(super) ended: Option<Moment>,
    /// Who ended it.
    pub(super) ended_by: Option<EndedBy>,
    /// Why it has failed, where nobody's answer says so.
    #[serde(default)]
    pub(super) why: Option<String>,
    /// Screening counts as refused then.
    pub(super) screened_until: Option<Moment>,
    /// The last leg that was tried.
    pub(super) leg: Option<LegIndex>,
    /// `customerData` of the child.
    pub(super) tag: Option<serde_json::Map<String, serde_json::Value>>,
    /// It goes on as a call of its own.
    pub(super) parted: bool,
    /// How its target was planned.
    pub(super) trace: Vec<TraceStep>,
}

impl Child {
    pub(super) fn new(sid: CallSid, target: TargetName, confirm: Option<Hook>) -> Child {
        Child {
            sid,
            target,
            confirm,
            status: Status::Trying,
            sip_status: 100,
            phrase: "Trying".into(),
            answered: None,
            ended: None,
            ended_by: None,
            why: None,
            screened_until: None,
            leg: None,
            tag: None,
            parted: false,
            trace: Vec::new(),
        }
    }

    /// With this `customerData`.
    pub(super) fn tagged(self, tag: Option<serde_json::Map<String, serde_json::Value>>) -> Child {
        Child { tag, ..self }
    }

    /// Planned by these steps.
    pub(super) fn traced(self, trace: Vec<TraceStep>) -> Child {
        Child { trace, ..self }
    }

    /// Whether it can't change any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// From the answer to the end.
    pub(super) fn duration(&self, now: Moment) -> Option<Duration> {
        self.answered.map(|answered| self.ended.unwrap_or(now).since(answered))
    }
}

/// What a child call becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub status: Status,
    pub sip_status: u16,
    pub phrase: String,
    /// Who ends it, where the dial does not say.
    pub by: Option<EndedBy>,
    /// Why, where nobody's answer says so.
    pub why: Option<String>,
}

impl Turn {
    pub(super) fn new(status: Status, sip_status: u16) -> Turn {
        Turn {
            status,
            sip_status,
            phrase: crate::sip::message::reason_phrase(sip_status).to_owned(),
            by: None,
            why: None,
        }
    }

    fn ended_by(self, by: EndedBy) -> Turn {
        Turn { by: Some(by), ..self }
    }

    /// The end that a failure means: 486 and 600 are busy, a ring timer that ran out is no answer, all else has failed.
    fn of_failure(failure: &AttemptFailure) -> Turn {
        let told = (failure.status, failure.phrase.clone());
        let (status, phrase) = failure.received.clone().unwrap_or(told);
        match (status, failure.is_local()) {
            (480, true) => Turn::given_up(),
            (status, local) => Turn {
                status: match status {
                    486 | 600 => Status::Busy,
                    487 => Status::NoAnswer,
                    _ => Status::Failed,
                },
                sip_status: status,
                phrase,
                by: Some(match local {
                    true => EndedBy::Platform,
                    false => EndedBy::FarSide,
                }),
                why: failure.local.clone(),
            },
        }
    }

    /// The end of a call that was answered.
    pub(super) fn completed() -> Turn {
        Turn::new(Status::Completed, 200)
    }

    /// The end of a destination that lost to another, or that nobody waits for any more: nobody has talked to it, also where
    /// it was being screened.
    pub(super) fn given_up() -> Turn {
        Turn::new(Status::NoAnswer, 487).ended_by(EndedBy::Platform)
    }

    /// An answered destination that its screening did not let through: ours, since its INVITE was answered with 200.
    pub(super) fn screened_out(by: EndedBy) -> Turn {
        Turn::new(Status::Failed, 603).ended_by(by)
    }
}

impl Call {
    /// Whether a leg calls an emergency number.
    pub(super) fn is_emergency(&self, leg: LegIndex) -> bool {
        let attempt = self.attempt_of(leg).and_then(|position| self.ringing.get(position));
        self.facts.emergency || attempt.is_some_and(|attempt| attempt.emergency)
    }

    /// Whether anybody in this call calls an emergency number, or talks to one.
    pub(super) fn calls_emergency(&self) -> bool {
        match self.winner.filter(|_| self.bridged.is_some()) {
            Some(winner) => self.is_emergency(winner),
            None => self.facts.emergency || self.ringing.iter().any(|attempt| attempt.emergency),
        }
    }

    /// Whether a dial of the application calls an emergency number, or has one on the line.
    pub(super) fn dials_emergency(&self) -> bool {
        let mut attempts = self.ringing.iter();
        match self.winner.filter(|_| self.bridged.is_some()) {
            Some(winner) => {
                let won = self.attempt_of(winner).and_then(|position| self.ringing.get(position));
                won.is_some_and(|attempt| attempt.emergency)
            }
            None => attempts.any(|attempt| attempt.emergency),
        }
    }

    /// The attempt that a leg belongs to.
    pub(super) fn attempt_of(&self, index: LegIndex) -> Option<usize> {
        let theirs = |ringing: &Ringing| {
            ringing.leg == Some(index) || ringing.child.as_ref().is_some_and(|child| child.leg == Some(index))
        };
        self.ringing.iter().position(theirs)
    }

    pub(super) fn child(&self, position: usize) -> Option<&Child> {
        self.ringing.get(position)?.child.as_ref()
    }

    pub(super) fn child_mut(&mut self, position: usize) -> Option<&mut Child> {
        self.ringing.get_mut(position)?.child.as_mut()
    }

    /// A child call has begun. A placed call is one line, whoever rings for it, and begins once.
    pub(super) fn tell_trying(&mut self, position: usize, now: Moment) {
        match self.is_engaging() {
            false => self.tell_child_status(position, now),
            true if position == 0 => self.tell_caller_status(now),
            true => {}
        }
    }

    /// A child call has changed: its application is told, once.
    pub(super) fn turn_child(&mut self, position: usize, turn: Turn, now: Moment) {
        let ended = self.app.as_ref().and_then(|app| app.dialing.as_ref()?.ended_by);
        let Some(child) = self.child_mut(position) else { return };
        if child.is_over() || child.status == turn.status {
            return;
        }
        // A hop that comes after one that rang begins again; the application has heard of the ringing already.
        if turn.status.rank() < child.status.rank() {
            return;
        }
        match turn.status {
            Status::InProgress => child.answered = Some(now),
            Status::Trying | Status::Ringing | Status::EarlyMedia => {}
            _ => {
                child.ended = Some(now);
                child.ended_by = turn.by.or(Some(match ended {
                    Some(DialEndedBy::Callee) | None => EndedBy::FarSide,
                    Some(_) => EndedBy::Platform,
                }));
            }
        }
        child.status = turn.status;
        child.sip_status = turn.sip_status;
        child.phrase.clone_from(&turn.phrase);
        child.why.clone_from(&turn.why);
        match self.is_engaging() {
            // A placed call is one line, whoever rings for it; it ends when nobody is left to answer.
            true if turn.status.is_final() => {}
            true => self.turn_caller(turn, now),
            false => self.tell_child_status(position, now),
        }
    }

    /// The same by leg.
    pub(super) fn turn_child_of(&mut self, index: LegIndex, turn: Turn, now: Moment) {
        if let Some(position) = self.attempt_of(index) {
            self.turn_child(position, turn, now);
        }
    }

    pub(super) fn child_failed(&mut self, position: usize, failure: &AttemptFailure, now: Moment) {
        let turn = Turn::of_failure(failure);
        if let (Some(child), Some(why)) = (self.child(position), turn.why.clone()) {
            let target = child.target.clone();
            self.tell(CallNews::TargetFailed { target, why });
        }
        self.turn_child(position, turn, now);
    }

    /// Everybody but the winner is given up: CANCEL while it rings, BYE when it was answered already.
    pub(super) fn end_children(&mut self, winner: Option<LegIndex>, now: Moment) {
        for position in 0..self.ringing.len() {
            let Some(child) = self.child(position) else { continue };
            if child.is_over() || (winner.is_some() && child.leg == winner) {
                continue;
            }
            self.turn_child(position, Turn::given_up(), now);
            if let Some(ringing) = self.ringing.get_mut(position) {
                ringing.settle();
                ringing.leg = ringing.leg.filter(|leg| Some(*leg) == winner);
            }
        }
    }

    /// Whether a destination of a dial has rung, and has not ended.
    pub(super) fn somebody_rings(&self) -> bool {
        let rings = |status: Status| matches!(status, Status::Ringing | Status::EarlyMedia | Status::InProgress);
        let mut children = self.ringing.iter().filter_map(|ringing| ringing.child.as_ref());
        children.any(|child| rings(child.status))
    }

    /// Whether the caller still waits for the outcome of a dial.
    pub(super) fn caller_is_there(&self) -> bool {
        !matches!(self.phase, Phase::Ending | Phase::Over)
    }
}
