//! Screening: an application of its own runs on a destination that has answered, before the caller gets it. Several may
//! be screened at the same time; the first that ends with its leg up wins.

use super::application::Line;
use super::child::Turn;
use super::event::Effect;
use super::id::LegIndex;
use super::leg::LegState;
use super::value::Call;
use crate::app::payload::EndedBy;
use crate::app::verb::{Hook, USUAL_SCREENING};
use crate::moment::Moment;

impl Call {
    /// The screening that a leg has to pass, once it has answered.
    pub(super) fn screening_of(&self, index: LegIndex) -> Option<Hook> {
        self.child(self.attempt_of(index)?)?.confirm.clone()
    }

    /// Begins the screening of a leg that has answered: it rings no more, and nobody hears it but us.
    pub(super) fn screen(&mut self, index: LegIndex, hook: &Hook, now: Moment) {
        let Some(position) = self.attempt_of(index) else { return };
        if let Some(ringing) = self.ringing.get_mut(position) {
            ringing.awaited = None;
            ringing.rings_until = None;
        }
        let dialing = self.app.as_ref().and_then(|app| app.dialing.as_ref());
        let limit = dialing.map_or(USUAL_SCREENING, |dialing| dialing.verb.confirm_timeout);
        if let Some(child) = self.child_mut(position) {
            child.screened_until = Some(now + limit);
        }
        // Its early media was heard; what the caller says may not reach it before it has passed. To the caller it rings on,
        // also where that was answered at once.
        if self.winner == Some(index) {
            self.winner = None;
            let handle = self.leg(index).and_then(|leg| leg.media.handle());
            self.effects
                .extend(handle.map(|handle| Effect::UnbridgeMedia { handle }));
            self.sound_ringing(true);
        }
        self.ring_where_silent();
        self.connect_alone(index, now);
        if let Some(app) = &mut self.app {
            app.lines.push(Line::new(index));
        }
        self.ask_confirmation(index, hook, now);
    }

    /// The screening application has ended with its leg up: this destination gets the caller.
    pub(super) fn screening_passed(&mut self, index: LegIndex, now: Moment) {
        let up = self.leg(index).is_some_and(|leg| leg.state == LegState::Up);
        let Some(position) = self.attempt_of(index) else { return };
        if let Some(child) = self.child_mut(position) {
            child.screened_until = None;
        }
        self.close_line(index);
        match up && self.bridged.is_none() {
            true => self.accept(index, now),
            false => self.screening_refused(position, "the destination has hung up", EndedBy::FarSide, now),
        }
    }

    /// The destination is not let through, or is gone, or is given up while it rings: its attempt is over, the others ring
    /// on.
    pub(super) fn screening_refused(&mut self, position: usize, why: &str, by: EndedBy, now: Moment) {
        let Some(index) = self.child(position).and_then(|child| child.leg) else {
            return;
        };
        self.close_line(index);
        if let Some(child) = self.child_mut(position) {
            child.screened_until = None;
        }
        let answered = self.child(position).is_some_and(|child| child.answered.is_some());
        if let Some(leg) = self.leg_mut(index) {
            leg.record.phrase = Some(match answered {
                true => format!("screening: {why}"),
                false => why.to_owned(),
            });
        }
        if self.leg(index).is_some_and(|leg| leg.state == LegState::Up) {
            self.release(index);
            self.hang_up(index, Some("Q.850;cause=21;text=\"Call rejected\"".into()));
        } else {
            self.give_up(index, Some(super::teardown::NORMAL_CLEARING.into()));
        }
        self.close_media(index);
        let turn = match answered {
            true => Turn::screened_out(by),
            false => Turn::given_up(),
        };
        self.turn_child(position, turn, now);
        if let Some(ringing) = self.ringing.get_mut(position) {
            ringing.settle();
            ringing.leg = None;
        }
        if self.bridged.is_none() && self.ringing.iter().all(|ringing| ringing.over) {
            self.dial_ended(now);
        }
    }
}
