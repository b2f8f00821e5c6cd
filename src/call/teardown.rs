//! The end: BYE and CANCEL from either side, our own BYE and CANCEL, ACKs that come or don't, the last answer.

use super::application::{Line, Running};
use super::cause::{Cause, Party};
use super::child::Turn;
use super::dialing::EndedBy;
use super::event::{CallNews, Effect, SendFailure, To};
use super::final_word::FinalWord;
use super::hunt::Next;
use super::id::{LegIndex, Token};
use super::leg::{HungUp, Leg, LegState, with_headers};
use super::readable::description_of;
use super::record::LegRecord;
use super::repeated_byes::may_pass;
use super::value::{Call, Phase};
use crate::app::payload;
use crate::dial::AttemptFailure;
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::header::Reason;
use crate::sip::message::{HeaderName, Message, RequestDraft, ResponseDraft};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};

/// The Reason of a BYE or CANCEL for whom the call has done its work.
pub(super) const NORMAL_CLEARING: &str = "Q.850;cause=16;text=\"Normal call clearing\"";

impl Call {
    /// Ends the call with the cause's own Reason.
    pub(super) fn end(&mut self, cause: Cause, now: Moment) {
        let reason = cause.reason();
        self.end_saying(cause, reason, now);
    }

    /// Ends the call: who is not answered yet gets the cause's status, who is gets a BYE, who rings gets a CANCEL.
    pub(super) fn end_saying(&mut self, cause: Cause, reason: Option<String>, now: Moment) {
        if matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        self.drop_transfer(&AttemptFailure::local(
            487,
            "Request Terminated",
            "the call has ended meanwhile".into(),
        ));
        for position in 0..self.legs.len() {
            let (index, state) = (self.legs[position].index, self.legs[position].state);
            match state {
                LegState::Opening | LegState::Inviting if index == LegIndex::CALLER => self.refuse_caller(&cause),
                LegState::Opening | LegState::Inviting => self.give_up(index, reason.clone()),
                LegState::Up => self.hang_up(index, reason.clone()),
                // Who has referred the other side away still has its time to say BYE itself.
                LegState::Leaving { .. } => {}
                LegState::Cancelling | LegState::AwaitingAck | LegState::Closing | LegState::Gone => {}
            }
            self.refuse_change(index, 487, None);
        }
        self.begin_end(cause, now);
        self.application_over(now);
        self.ringing.clear();
    }

    /// Somebody ends the call at once: who was left to say BYE itself is not waited for either.
    pub(super) fn clear(&mut self, detail: String, now: Moment) {
        for position in 0..self.legs.len() {
            if self.legs[position].state.leaves_at().is_some() {
                self.hang_up(self.legs[position].index, Some(NORMAL_CLEARING.into()));
            }
        }
        self.end(Cause::Cleared { detail }, now);
    }

    /// A leg is lost: the call ends with it, unless an application goes on with the caller.
    pub(super) fn lose(&mut self, index: LegIndex, cause: Cause, reason: Option<String>, now: Moment) {
        if self.is_arriving(index) {
            let failure = AttemptFailure::local(500, "Server Internal Error", cause.explain());
            match self.rings_for_transfer(index) {
                true => self.hop_failed(index, failure, Next::Stop, now),
                false => self.transfer_failed(&failure, now),
            }
            return;
        }
        if self.app.is_none() || index == LegIndex::CALLER || matches!(self.phase, Phase::Ending | Phase::Over) {
            self.end_saying(cause, reason, now);
            return;
        }
        self.end_referrals(Some(index), now);
        self.release(index);
        if self.leg(index).is_some_and(|leg| leg.state == LegState::Up) {
            self.hang_up(index, reason);
        }
        self.close_media(index);
        if self.winner == Some(index) && self.bridged.is_some() {
            self.dial_ended_by(match cause.ended_by() {
                Party::Callee => EndedBy::Callee,
                _ => EndedBy::Node,
            });
            self.turn_child_of(index, Turn::completed(), now);
            self.dial_ended(now);
        } else if let Some(position) = self.attempt_of(index) {
            let by = match cause.ended_by() {
                Party::Callee => payload::EndedBy::FarSide,
                _ => payload::EndedBy::Platform,
            };
            self.screening_refused(position, &cause.explain(), by, now);
        }
    }

    /// A leg goes, and the call goes on: no re-INVITE to it is waited for, what it asked of the other side is taken back,
    /// and what that side asked of it is to be asked again: nothing was wrong with it (RFC 3261 §14.1).
    pub(super) fn release(&mut self, index: LegIndex) {
        self.end_whispers(index);
        let Some(leg) = self.leg_mut(index) else { return };
        // The INVITE of a caller that waits is no change.
        let up = leg.is_up();
        (leg.session, leg.realign) = (None, None);
        if up {
            self.refuse_change(index, 487, None);
        }
        match &mut self.change {
            Some(change) if change.to == index => self.change = None,
            Some(change) => change.take_back(index),
            None => {}
        }
        if let Some(other) = self.partner(index)
            && self.leg(other).is_some_and(Leg::is_up)
        {
            self.refuse_change(other, 491, None);
        }
    }

    /// Answers the caller's INVITE for good.
    fn refuse_caller(&mut self, cause: &Cause) {
        // Who calls for help may try everybody.
        let rang = !self.facts.emergency && self.failures.iter().any(|failure| failure.rang);
        let Some(leg) = self.leg_mut(LegIndex::CALLER) else {
            return;
        };
        let FinalWord {
            status,
            phrase,
            reasons,
            retry_after,
        } = FinalWord::to(&leg.terms.kind, cause, rang);
        leg.state = LegState::Gone;
        (leg.record.status, leg.record.phrase) = (Some(status), Some(phrase.clone()));
        let Some(transaction) = leg.waiting.take() else { return };
        let mut draft = ResponseDraft::new(status).reason(&phrase);
        if let Some(dialog) = &leg.dialog {
            draft = draft.to_tag(&dialog.id().local_tag);
        }
        for reason in reasons {
            draft = draft.header(HeaderName::Reason, reason);
        }
        if let Some(span) = retry_after {
            draft = draft.header(HeaderName::RetryAfter, span.as_secs().to_string());
        }
        if let Cause::IntervalTooSmall { min_se } = cause {
            draft = draft.header(HeaderName::MinSe, min_se.to_string());
        }
        if let Some(text) = cause.warning() {
            draft = draft.header(HeaderName::Warning, text);
        }
        for (name, value) in cause.headers() {
            draft = draft.clone().raw_header(&name, value).unwrap_or(draft);
        }
        let draft = leg.decorate(draft);
        self.status = status;
        self.respond(transaction, draft);
    }

    /// Sends BYE on a leg; one whose ACK has not come yet is not hung up before it, or before it is given up
    /// (RFC 3261 §15).
    pub(super) fn hang_up(&mut self, index: LegIndex, reason: Option<String>) {
        // The last that it may be told of its REFER.
        self.tell_outcome(index);
        let Some(leg) = self.leg_mut(index) else { return };
        if leg.unacknowledged.is_some() {
            leg.state = LegState::AwaitingAck;
            leg.farewell = reason;
            return;
        }
        leg.farewell = reason;
        self.send_bye(index, None);
    }

    fn send_bye(&mut self, index: LegIndex, authorization: Option<(HeaderName, String)>) {
        let Some(leg) = self.leg_mut(index) else { return };
        let Some((mut draft, to)) = bye_of(leg) else {
            leg.state = LegState::Gone;
            return;
        };
        if let Some((name, value)) = authorization {
            draft = draft.header(name, value);
        }
        (leg.state, leg.hung_up) = (LegState::Closing, HungUp::Yes);
        let token = self.send(index, draft, to);
        if let Some(leg) = self.leg_mut(index) {
            leg.closing = Some(token);
        }
    }

    /// The final answer to our BYE ends the leg (RFC 3261 §15.1.1), but for a challenge, and for a server that could not pass it
    /// on: a peer that was not told the end would go on with the call.
    pub(super) fn bye_answered(&mut self, token: Token, message: &Message) {
        match message.status() {
            Some(401 | 407) if self.authorize_bye(token, message) => {}
            Some(status) if may_pass(status) => {
                self.repeat_bye(token, format!("{status} {}", message.reason()), false);
                self.closed(token);
            }
            Some(200..) => self.closed(token),
            _ => {}
        }
    }

    fn authorize_bye(&mut self, token: Token, message: &Message) -> bool {
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.closing == Some(token)) else {
            return false;
        };
        let index = leg.index;
        if std::mem::replace(&mut leg.farewell_authorized, true) {
            return false;
        }
        let answer = self.answer_inside(index, message, Method::Bye.as_str());
        let answered = answer.is_some();
        if answered {
            self.send_bye(index, answer);
        }
        answered
    }

    /// A BYE that could not go on a carrier's own connection goes to its Contact. True when it did.
    pub(super) fn bye_goes_elsewhere(&mut self, token: Token, failure: &SendFailure) -> bool {
        let unsent = !matches!(failure, SendFailure::Transport(TransportCause::Timeout));
        let leg = self.legs.iter_mut().find(|leg| leg.closing == Some(token));
        let Some(leg) = leg.filter(|_| unsent) else {
            return false;
        };
        if !leg.leave_connection() {
            return false;
        }
        let index = leg.index;
        self.send_bye(index, None);
        true
    }

    /// Our BYE gets no answer: the leg is over. A BYE that has reached nobody is said again beside the call and after its end,
    /// for its peer goes on with a call that is none. A connection that a peer had opened does not come again.
    pub(super) fn bye_failed(&mut self, token: Token, failure: &SendFailure) {
        if !matches!(failure, SendFailure::Transport(TransportCause::Timeout)) {
            self.repeat_bye(token, failure.to_string(), true);
        }
        self.closed(token);
    }

    /// Whether its connection is `lost` counts where that is the peer's own: no other leads there.
    fn repeat_bye(&mut self, token: Token, why: String, lost: bool) {
        let leg = self.legs.iter_mut().find(|leg| leg.closing == Some(token));
        let Some((leg, (draft, to))) = leg.and_then(|leg| bye_of(leg).map(|bye| (leg, bye))) else {
            return;
        };
        let index = leg.index;
        if lost && matches!(&to, To::Hop(hop) if hop.connection.is_some()) {
            self.tell(CallNews::ByeNotSent { leg: index, why });
        } else {
            leg.hung_up = HungUp::Unheard;
            self.tell(CallNews::ByeDelayed { leg: index, why });
            self.effects.push(Effect::RepeatBye { leg: index, draft, to });
        }
    }

    /// Our BYE has its answer, or gets none.
    fn closed(&mut self, token: Token) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.closing == Some(token)) {
            leg.closing = None;
            leg.state = LegState::Gone;
        }
    }

    /// The INVITEs whose destinations lost against another one and may still answer.
    pub(super) fn lost_invites(&self) -> impl Iterator<Item = Token> {
        let lost = self.legs.iter().filter(|leg| leg.has_lost());
        lost.filter_map(|leg| Some(leg.invite.as_ref()?.token))
    }

    /// The call is over: what is left of the legs that we have hung up.
    pub(super) fn take_hung_up(&mut self) -> impl Iterator<Item = Leg> + use<> {
        let legs = std::mem::take(&mut self.legs).into_iter();
        legs.filter(|leg| leg.hung_up != HungUp::No).map(Leg::remains)
    }

    /// BYE from a peer. One that crossed ours is answered as well (glare).
    pub(super) fn bye(&mut self, index: LegIndex, transaction: ServerTransactionId, message: &Message, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        let (draft, by, state) = (leg.decorate(ResponseDraft::new(200)), leg.side, leg.state);
        if state != LegState::Gone {
            leg.note_farewell(message);
        }
        // A caller may hang up its early dialog with BYE; the INVITE still wants its answer (RFC 3261 §15.1.2).
        let early = matches!(state, LegState::Opening | LegState::Inviting);
        if !early {
            leg.state = LegState::Gone;
        }
        leg.closing = None;
        // Who hangs up has seen our 2xx.
        let seen = leg.unacknowledged.take();
        self.respond(transaction, draft);
        if let Some(transaction) = seen {
            self.effects.push(Effect::Acknowledged { transaction });
        }
        if !early {
            self.refuse_change(index, 487, None);
        }
        // A leg that lost, or that we hang up already, does not end the call.
        if state == LegState::Up && self.has_successor(index) {
            self.release(index);
            self.close_media(index);
        } else if early || state == LegState::Up {
            let cause = match (early, by) {
                (true, Party::Caller) => Cause::CallerGaveUp,
                _ => Cause::hung_up(by),
            };
            let reason = told_on(message).or_else(|| cause.reason());
            self.lose(index, cause, reason, now);
        }
    }

    /// CANCEL from a peer (RFC 3261 §9.2): of the call, or of a re-INVITE. When our 200 crossed it, the call stands and a
    /// BYE will come.
    pub(super) fn cancelled(&mut self, transaction: ServerTransactionId, cancel: &Message, now: Moment) {
        let waiting = |leg: &&mut Leg| leg.waiting == Some(transaction);
        let Some(leg) = self.legs.iter_mut().find(waiting) else {
            return;
        };
        if leg.state == LegState::Up {
            let index = leg.index;
            self.change_cancelled(index);
        } else if leg.index != LegIndex::CALLER {
            // It was to take another's place.
            leg.record.note_reasons(cancel);
            let failure = AttemptFailure {
                local: None,
                remark: Some("its INVITE was cancelled".into()),
                ..AttemptFailure::local(487, "Request Terminated", String::new())
            };
            self.transfer_failed(&failure, now);
        } else {
            leg.record.note_reasons(cancel);
            let cause = Cause::CallerGaveUp;
            let reason = told_on(cancel).or_else(|| cause.reason());
            self.end_saying(cause, reason, now);
        }
    }

    /// The ACK of our 2xx; it may carry the answer to our offer.
    pub(super) fn ack(&mut self, message: &Message, now: Moment) {
        let ours = |leg: &&mut super::leg::Leg| leg.dialog.as_ref().is_some_and(|dialog| dialog.accepts_ack(message));
        let Some(leg) = self.legs.iter_mut().find(ours) else {
            return;
        };
        let (index, state) = (leg.index, leg.state);
        let Some(transaction) = leg.unacknowledged.take() else {
            return;
        };
        let (farewell, answer_due) = (leg.farewell.take(), leg.media.offered.is_some());
        self.effects.push(Effect::Acknowledged { transaction });
        if state == LegState::AwaitingAck {
            self.hang_up(index, farewell);
        } else if answer_due
            && state == LegState::Up
            && let Err(detail) = self.late_answer(index, message, now)
        {
            let cause = Cause::MediaRefused { detail };
            let reason = cause.reason();
            self.lose(index, cause, reason, now);
        }
        for ready in [Some(index), self.partner(index)].into_iter().flatten() {
            self.align_waiting(ready, now);
        }
    }

    /// Our 2xx carried an offer: the ACK carries the answer (RFC 3261 §13.2.1). What the other leg has settled may go
    /// beyond it.
    fn late_answer(&mut self, index: LegIndex, message: &Message, now: Moment) -> Result<(), String> {
        let body = description_of(message).map_err(|unreadable| unreadable.to_string())?;
        let body = body.ok_or("the ACK has no answer to our offer")?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        leg.media
            .take_answer(&terms, &body, true)
            .map_err(|refusal| refusal.to_string())?;
        if self.is_alone(index) {
            self.connect_alone(index, now);
            self.offer_new_key(index, now);
            let settling = |line: &Line| matches!(line.running, Some(Running::Settling));
            if self.line(index).is_some_and(settling) {
                self.verb_done(index, now);
            }
            return Ok(());
        }
        self.reconnect(now);
        self.hold_settled(index, now);
        self.align_partner(index, &body, now)?;
        self.offer_new_key(index, now);
        Ok(())
    }

    /// 64*T1 without an ACK: BYE to both (RFC 3261 §13.3.1.4).
    pub(super) fn ack_timeout(&mut self, transaction: ServerTransactionId, now: Moment) {
        let unacknowledged = |leg: &&mut super::leg::Leg| leg.unacknowledged == Some(transaction);
        let Some(leg) = self.legs.iter_mut().find(unacknowledged) else {
            return;
        };
        leg.unacknowledged = None;
        let (index, by, state, farewell) = (leg.index, leg.side, leg.state, leg.farewell.take());
        match state {
            LegState::AwaitingAck => self.hang_up(index, farewell),
            LegState::Up => {
                let cause = Cause::AckLost { by };
                let reason = cause.reason();
                self.lose(index, cause, reason, now);
            }
            _ => {}
        }
    }
}

/// A BYE with what is to be said in it, and where it goes. `None` without a dialog.
fn bye_of(leg: &mut Leg) -> Option<(RequestDraft, To)> {
    let (mut draft, to) = leg.request(Method::Bye)?;
    if let Some(reason) = &leg.farewell {
        draft = draft.header(HeaderName::Reason, reason.clone());
    }
    Some((with_headers(draft, &leg.farewell_headers), to))
}

/// The Reason of a BYE or CANCEL as it goes to the other side: that a call was completed elsewhere, or why a network
/// released it, matters there too (RFC 3326; TEAMS-058, TEAMS-115).
fn told_on(message: &Message) -> Option<String> {
    let known = |value: &&str| {
        let protocol = value.split(';').next().unwrap_or_default().trim();
        let is_known = protocol.eq_ignore_ascii_case("Q.850") || protocol.eq_ignore_ascii_case("SIP");
        is_known && Reason::is_list(value)
    };
    let reasons: Vec<&str> = LegRecord::reasons_of(message).filter(known).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}
