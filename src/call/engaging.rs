//! Calls that an application places: they begin without a caller. The destination that answers becomes the caller of
//! everything that follows: its leg changes its place in one step.

use super::application::{App, AppTerms, CallerFacts};
use super::cause::Party;
use super::child::Turn;
use super::dialing::EndedBy;
use super::event::Effect;
use super::id::LegIndex;
use super::leg::LegState;
use super::setup::Placing;
use super::value::{Call, Phase};
use crate::app::payload::Status;
use crate::app::verb::Verb;
use crate::moment::Moment;
use crate::sdp::Direction;
use std::sync::Arc;

impl App {
    /// Where legs are named that may change their places. The lines stay: they are of the place; whispers have ended by then.
    fn legs_named(&mut self) -> impl Iterator<Item = &mut LegIndex> {
        let asked = self.asked.iter_mut().map(|asked| &mut asked.leg);
        let requests = self.requests.iter_mut().map(|request| &mut request.leg);
        asked.chain(requests)
    }
}

impl Call {
    /// A call without a caller: its destinations are rung at once.
    pub(super) fn begin_placed(&mut self, terms: Arc<AppTerms>, caller: CallerFacts, placing: Placing, now: Moment) {
        let mut app = App::new(terms, caller, placing.sid);
        app.engaging = true;
        app.placed = true;
        app.tag = placing.tag;
        app.time_limit = placing.time_limit;
        app.refer_hook = placing.refer_hook;
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

    /// The callee takes the place of a caller that has referred it and leaves, and runs these verbs; the dial is over.
    pub(super) fn take_over(&mut self, index: LegIndex, verbs: Vec<Verb>, now: Moment) {
        let child = self
            .attempt_of(index)
            .and_then(|position| self.child(position))
            .cloned();
        let view = child.as_ref().and_then(|child| self.as_first_leg(child));
        self.dial_ended_by(EndedBy::Application);
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.abandoned = true;
        }
        let outcome = self.outcome_so_far(now);
        self.release(LegIndex::CALLER);
        self.winner = None;
        self.bridged = None;
        // Its child call goes on as the call itself.
        if let Some(position) = self.attempt_of(index) {
            self.ringing.remove(position);
        }
        self.dial_over(outcome, now);
        self.turn_caller(Turn::completed(), now);
        self.keep_own_line(now);
        self.leaves(LegIndex::CALLER, now);
        self.close_media(LegIndex::CALLER);
        self.move_to_caller(index);
        self.settled_here = true;
        if let (Some(app), Some(child), Some(view)) = (&mut self.app, child, view) {
            let left = std::mem::replace(&mut app.sid, child.sid);
            (app.placed, app.parent, app.caller) = (true, Some(left), view);
            (app.answered, app.tag) = (child.answered, child.tag);
            (app.status, app.sip_status, app.phrase) = (child.status, child.sip_status, child.phrase);
            app.ended_by = None;
            if let Some(leg) = self.leg_mut(index) {
                leg.record.call_sid = Some(left);
            }
        }
        self.connect_alone(LegIndex::CALLER, now);
        let settled = self.leg(LegIndex::CALLER).and_then(|leg| leg.media.negotiated.as_ref());
        if settled.is_some_and(|settled| settled.direction != Direction::SendRecv) {
            // Who referred it had it on hold.
            self.align(LegIndex::CALLER, now);
        }
        self.replace_verbs(LegIndex::CALLER, verbs, now);
    }

    /// Two legs change their places: the caller's is that of who the application talks to.
    pub(super) fn move_to_caller(&mut self, index: LegIndex) {
        let position = usize::from(index.0);
        if position == 0 || position >= self.legs.len() {
            return;
        }
        let moved = |leg| match leg {
            LegIndex::CALLER => index,
            leg if leg == index => LegIndex::CALLER,
            leg => leg,
        };
        self.legs.swap(0, position);
        for (position, side) in [(0, Party::Caller), (position, Party::Callee)] {
            if let Some(leg) = self.legs.get_mut(position) {
                leg.index = LegIndex(u16::try_from(position).unwrap_or(u16::MAX));
                leg.side = side;
            }
        }
        if let Some(change) = &mut self.change {
            change.to = moved(change.to);
        }
        if let Some(app) = &mut self.app {
            for leg in app.legs_named() {
                *leg = moved(*leg);
            }
        }
        // What is carried out is looked up by the numbers that hold from now on: they change before anything else happens.
        for leg in self.effects.iter_mut().filter_map(Effect::leg_mut) {
            *leg = moved(*leg);
        }
        let swapped = |effect: &&Effect| matches!(effect, Effect::LegsSwapped { .. });
        let first = self.effects.iter().take_while(swapped).count();
        self.effects.insert(first, Effect::LegsSwapped { with: index });
    }

    /// The destination that answered takes the caller's place, and its application begins.
    pub(super) fn engage(&mut self, index: LegIndex, now: Moment) {
        self.end_children(Some(index), now);
        self.ringing.clear();
        let others: Vec<LegIndex> = self.legs.iter().skip(1).map(|leg| leg.index).collect();
        for other in others.into_iter().filter(|other| *other != index) {
            self.let_go(other, super::answer::COMPLETED_ELSEWHERE);
        }
        self.move_to_caller(index);
        let Some(app) = &mut self.app else { return };
        app.engaging = false;
        // No limit cuts an emergency call off (promise 6).
        let limit = app.time_limit.filter(|_| !self.facts.emergency);
        self.winner = None;
        self.settled_here = true;
        self.deadline = limit.map(|limit| now + limit);
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
        let turn = self.best_child().map(|child| Turn {
            status: child.status,
            sip_status: child.sip_status,
            phrase: child.phrase.clone(),
            by: child.ended_by,
            why: child.why.clone(),
        });
        if let Some(turn) = turn {
            self.status = turn.sip_status;
            self.turn_caller(turn, now);
        }
        self.end(self.best_failure(), now);
    }
}
