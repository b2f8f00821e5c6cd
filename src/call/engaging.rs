//! Calls that an application places: they begin without a caller. The destination that answers becomes the caller of
//! everything that follows: its leg changes its place in one step.

use super::application::{App, AppTerms, CallerFacts, Line};
use super::cause::{Cause, Party};
use super::child::Turn;
use super::event::Effect;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::setup::Placing;
use super::value::{Call, Phase};
use crate::app::payload::Status;
use crate::moment::Moment;
use std::sync::Arc;

impl Call {
    /// A call without a caller: its destinations are rung at once.
    pub(super) fn begin_placed(&mut self, terms: Arc<AppTerms>, caller: CallerFacts, placing: Placing, now: Moment) {
        let mut app = App::new(terms, caller, placing.sid);
        app.engaging = true;
        app.placed = true;
        app.tag = placing.tag;
        self.app = Some(Box::new(app));
        if let Some(desk) = self.leg_mut(LegIndex::CALLER) {
            desk.state = LegState::Gone;
        }
        self.phase = Phase::Ringing;
        self.ring(placing.plan, None, now);
    }

    /// Whether the call was placed and nobody has answered yet.
    pub(super) fn is_engaging(&self) -> bool {
        self.app.as_ref().is_some_and(|app| app.engaging)
    }

    /// The destination that answered takes the caller's place, and its application begins.
    pub(super) fn engage(&mut self, index: LegIndex, now: Moment) {
        self.end_children(Some(index), now);
        self.ringing.clear();
        let others: Vec<LegIndex> = self.legs.iter().skip(1).map(|leg| leg.index).collect();
        for other in others.into_iter().filter(|other| *other != index) {
            self.let_go(other, super::answer::COMPLETED_ELSEWHERE);
        }
        let (Some(desk), position) = (self.legs.first().cloned(), usize::from(index.0)) else {
            return;
        };
        let Some(place) = self.legs.get_mut(position) else {
            return;
        };
        let gone = Leg { index, ..desk };
        let leg = std::mem::replace(place, gone);
        if let Some(caller) = self.legs.first_mut() {
            *caller = Leg {
                index: LegIndex::CALLER,
                side: Party::Caller,
                ..leg
            };
        }
        self.effects.push(Effect::LegMoved {
            from: index,
            to: LegIndex::CALLER,
        });
        let Some(app) = &mut self.app else { return };
        app.engaging = false;
        app.lines.push(Line::new(LegIndex::CALLER));
        self.winner = None;
        self.settled_here = true;
        self.deadline = None;
        self.phase = Phase::Answered;
        self.status = 200;
        self.milestones.answered = Some(now);
        self.connect_alone(LegIndex::CALLER, now);
        self.tell(super::event::CallNews::Answered);
        self.turn_caller(Turn::new(Status::InProgress, 200), now);
        self.ask_first(None, now);
    }

    /// Nobody answered a placed call.
    pub(super) fn engaging_failed(&mut self, now: Moment) {
        let told = self
            .ringing
            .iter()
            .filter_map(|ringing| ringing.child.as_ref())
            .next_back();
        let turn = told.map(|child| Turn {
            status: child.status,
            sip_status: child.sip_status,
            phrase: child.phrase.clone(),
        });
        if let Some(turn) = turn {
            self.status = turn.sip_status;
            self.turn_caller(turn, now);
        }
        let cause = match self.best_failure() {
            Cause::Fault { detail } => Cause::Unreachable { detail },
            other => other,
        };
        self.end(cause, now);
    }
}
