//! The end: BYE from either side, our own BYE and CANCEL, ACKs that come or don't.

use super::cause::Cause;
use super::event::Effect;
use super::id::{LegIndex, Token};
use super::leg::LegState;
use super::setup::offer_of;
use super::value::{Call, Phase};
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;

impl Call {
    /// Ends the call: who is not answered yet gets the cause's status, who is gets a BYE, who rings gets a CANCEL.
    pub(super) fn end(&mut self, cause: Cause, now: Moment) {
        if matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        self.refuse_caller(&cause);
        let reason = cause.reason();
        for position in 0..self.legs.len() {
            let index = self.legs[position].index;
            match self.legs[position].state {
                LegState::Up => self.hang_up(index, reason.clone()),
                LegState::Inviting if index == LegIndex::CALLER => self.legs[position].state = LegState::Gone,
                LegState::Inviting | LegState::Opening => self.give_up(index, None),
                LegState::Cancelling | LegState::Closing | LegState::Gone => {}
            }
        }
        if let Some(transaction) = self.change.as_ref().and_then(|change| change.transaction) {
            self.respond(transaction, ResponseDraft::new(487));
        }
        self.begin_end(cause, now);
    }

    /// Sends BYE on a leg.
    pub(super) fn hang_up(&mut self, index: LegIndex, reason: Option<String>) {
        let Some(leg) = self.leg_mut(index) else { return };
        let Some((mut draft, to)) = leg.request(Method::Bye) else {
            leg.state = LegState::Gone;
            return;
        };
        if let Some(reason) = reason {
            draft = draft.header(HeaderName::Reason, reason);
        }
        leg.state = LegState::Closing;
        let token = self.send(index, draft, to);
        if let Some(leg) = self.leg_mut(index) {
            leg.closing = Some(token);
        }
    }

    /// The answer to our BYE, whatever it is, ends the leg (RFC 3261 §15.1.1).
    pub(super) fn bye_answered(&mut self, token: Token, _now: Moment) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.closing == Some(token)) {
            leg.closing = None;
            leg.state = LegState::Gone;
        }
    }

    /// BYE from a peer. A BYE that crossed ours is answered as well (glare).
    pub(super) fn bye(&mut self, index: LegIndex, transaction: ServerTransactionId, message: &Message, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        let draft = leg.decorate(ResponseDraft::new(200));
        leg.record
            .reasons
            .extend(message.headers(HeaderName::Reason).map(str::to_owned));
        let by = leg.side;
        // A caller may hang up its early dialog with BYE; the INVITE still wants its answer (RFC 3261 §15.1.2).
        if leg.waiting.is_none() {
            leg.state = LegState::Gone;
        }
        leg.closing = None;
        self.respond(transaction, draft);
        self.end(Cause::HungUp { by }, now);
    }

    /// The ACK of our 2xx; it may carry the answer to our offer.
    pub(super) fn ack(&mut self, message: &Message, now: Moment) {
        let ours = |leg: &&mut super::leg::Leg| leg.dialog.as_ref().is_some_and(|dialog| dialog.accepts_ack(message));
        let Some(leg) = self.legs.iter_mut().find(ours) else {
            return;
        };
        let index = leg.index;
        let Some(transaction) = leg.unacknowledged.take() else {
            return;
        };
        self.effects.push(Effect::Acknowledged { transaction });
        let answer_due = self.leg(index).is_some_and(|leg| leg.media.offered.is_some());
        if !answer_due || self.phase != Phase::Answered {
            return;
        }
        if let Err(detail) = self.late_answer(index, message, now) {
            self.end(Cause::MediaRefused { detail }, now);
        }
    }

    /// Our 2xx carried an offer: the ACK carries the answer (RFC 3261 §13.2.1).
    fn late_answer(&mut self, index: LegIndex, message: &Message, now: Moment) -> Result<(), String> {
        let body = offer_of(message)?.ok_or("the ACK has no answer to our offer")?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        leg.media
            .take_answer(&terms, &body, true)
            .map_err(|refusal| refusal.to_string())?;
        if let Some(callee) = self.winner {
            self.connect(callee, now);
        }
        Ok(())
    }

    /// 64*T1 without an ACK: BYE to both (RFC 3261 §13.3.1.4).
    pub(super) fn ack_timeout(&mut self, transaction: ServerTransactionId, now: Moment) {
        let unacknowledged = |leg: &&super::leg::Leg| leg.unacknowledged == Some(transaction);
        if let Some(by) = self.legs.iter().find(unacknowledged).map(|leg| leg.side) {
            self.end(Cause::AckLost { by }, now);
        }
    }
}
