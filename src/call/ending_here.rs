//! Media that end here: a caller whom an application answers or plays something early, and legs that talk to nobody
//! but us.

use super::event::Effect;
use super::id::LegIndex;
use super::leg::LegState;
use super::value::Call;
use crate::moment::Moment;
use crate::sdp::{Direction, formats_of_our_own};

impl Call {
    /// 200 to the caller with media of our own; nothing where it was sent already.
    pub(super) fn answer_here(&mut self, now: Moment) -> Result<(), String> {
        if self.leg(LegIndex::CALLER).is_none_or(|caller| caller.waiting.is_none()) {
            return Ok(());
        }
        self.settle_caller(now)?;
        self.accept_caller(now);
        Ok(())
    }

    /// 183 to the caller with media of our own, so that it hears us before the call is answered.
    pub(super) fn early_here(&mut self, now: Moment) -> Result<(), String> {
        let told = self.settled_here;
        self.ready_early(now)?;
        if !told {
            self.tell_caller(183, true, now);
        }
        Ok(())
    }

    /// The same without the 183: what is to be heard is not there yet.
    pub(super) fn ready_early(&mut self, now: Moment) -> Result<(), String> {
        if self.offer.is_none() && !self.settled_here {
            // An answer to an offer of ours comes with the ACK of a 200 alone (RFC 3261 §13.2.1).
            return Err("the caller made no offer".into());
        }
        self.settle_caller(now)
    }

    /// Answers the caller's offer for ourselves, once; a caller without an offer gets ours.
    fn settle_caller(&mut self, now: Moment) -> Result<(), String> {
        if self.settled_here {
            return Ok(());
        }
        let offer = self.offer.clone();
        let caller = self.leg_mut(LegIndex::CALLER).ok_or("no caller")?;
        let terms = caller.terms.clone();
        match offer {
            Some(offer) => {
                caller.media.answer_alone(&terms, &offer)?;
            }
            None => {
                caller
                    .media
                    .offer(&terms, &formats_of_our_own(&terms.media), Direction::SendRecv)
                    .ok_or("media is not open")?;
            }
        }
        self.settled_here = true;
        // The callee of early media is heard no longer.
        self.winner = None;
        self.connect_alone(LegIndex::CALLER, now);
        Ok(())
    }

    /// Tells the worker how a leg stands that talks to nobody but us.
    pub(super) fn connect_alone(&mut self, index: LegIndex, now: Moment) {
        let Some(leg) = self.leg(index) else { return };
        let told = leg.media.handle().zip(leg.worker_config(None));
        let held = leg.media.is_on_hold();
        if let Some(leg) = self.leg_mut(index) {
            leg.media.recodes_at_cost = false;
        }
        if let Some((handle, config)) = told {
            self.effects.push(Effect::ConfigureMedia { handle, config });
        }
        if index == LegIndex::CALLER {
            self.held_since = held.then(|| self.held_since.unwrap_or(now));
        }
    }

    /// A re-INVITE on a leg that talks to nobody but us is answered here: hold, resume, another address.
    pub(super) fn answer_alone(&mut self, index: LegIndex, offer: &[u8], now: Moment) -> Result<(), String> {
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        leg.media.answer_alone(&terms, offer)?;
        self.connect_alone(index, now);
        Ok(())
    }

    /// Whether a leg of an application is up and talks to nobody but us.
    pub(super) fn is_alone(&self, index: LegIndex) -> bool {
        let up = self.leg(index).is_some_and(|leg| leg.state == LegState::Up);
        self.app.is_some() && up && (self.partner(index).is_none() || self.bridged.is_none())
    }
}
