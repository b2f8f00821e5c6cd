//! The answer: the first destination that accepts gets the caller, the others are cancelled, and answers that come too
//! late are acknowledged and hung up.

use super::cause::Cause;
use super::child::Turn;
use super::event::{CallNews, Effect, PeerVerdict};
use super::hunt::Next;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::readable::description_of;
use super::session_clock::{SessionClock, peer_session_timer};
use super::teardown::NORMAL_CLEARING;
use super::value::{Call, Phase};
use crate::app::payload::Status;
use crate::dial::AttemptFailure;
use crate::moment::Moment;
use crate::sdp::{self, Direction, Negotiated, Recoding};
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::{SessionTimerAnswer, SessionTimerOffer};
use crate::sip::{Hop, Method};

/// The Reason of a CANCEL for a destination that lost to another (TEAMS-115).
pub(super) const COMPLETED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Call {
    pub(super) fn answered(&mut self, index: LegIndex, fork: usize, message: &Message, now: Moment) {
        let cseq = message.cseq().0;
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.take_fork(fork);
        leg.state = LegState::Up;
        // A side that offers no timer still honours the peer's: it stands in our Supported.
        let offered = leg.invite.as_ref().and_then(|invite| invite.session);
        let offer = offered.unwrap_or_else(|| SessionTimerOffer::new(&leg.terms.session_timer.answering()));
        let agreed = offer.agreed(&peer_session_timer(message));
        leg.session = agreed.map(|timer| SessionClock::start(timer, now));
        let every = leg.hop.as_ref().is_some_and(|hop| hop.hunt.every);
        self.note_transport(index);
        self.acknowledge(index, cseq);
        self.await_media(index);
        self.peer_lives(index);
        if let Err(detail) = self.settle(index, message, now) {
            self.hang_up(index, Some("Q.850;cause=88;text=\"Incompatible media\"".into()));
            let failure = AttemptFailure::local(488, "Not Acceptable Here", detail);
            // Somebody has to take an emergency call (promise 6).
            let next = if every { Next::Hunt } else { Next::Stop };
            self.hop_failed(index, failure, next, now);
            return;
        }
        if self.is_arriving(index) {
            self.arrived(index, now);
            self.offer_new_key(index, now);
            return;
        }
        self.turn_child_of(index, Turn::new(Status::InProgress, 200), now);
        match self.screening_of(index) {
            Some(hook) => self.screen(index, &hook, now),
            None => self.accept(index, now),
        }
        self.offer_new_key(index, now);
    }

    /// This destination gets the caller; all others are given up.
    pub(super) fn accept(&mut self, index: LegIndex, now: Moment) {
        if self.is_engaging() {
            self.engage(index, now);
            return;
        }
        if self.app.is_some() && self.attempt_of(index).is_none() {
            // Nobody waits for it any more.
            self.let_go(index, COMPLETED_ELSEWHERE);
            return;
        }
        self.winner = Some(index);
        self.cancel_losers(index, now);
        self.dial_bridged(now);
        let was_up = self
            .leg(LegIndex::CALLER)
            .is_some_and(|caller| caller.state == LegState::Up);
        let was_told = self.settled_here;
        self.answer_caller(index, now);
        // It was told before of somebody who talks.
        let is_held = was_told && self.has_chosen_hold(index) && self.caller_talks();
        if was_up || is_held {
            self.hold_meets_bridge(index, now);
        }
    }

    /// Whether the caller's media flow some way.
    fn caller_talks(&self) -> bool {
        let settled = self
            .leg(LegIndex::CALLER)
            .and_then(|caller| caller.media.negotiated.as_ref());
        settled.is_some_and(|settled| settled.direction != Direction::Inactive)
    }

    /// Who has just answered, or been answered, may have been silent all the time that it rang.
    pub(super) fn await_media(&mut self, index: LegIndex) {
        let handle = self.leg(index).and_then(|leg| leg.media.handle());
        self.effects.extend(handle.map(|handle| Effect::AwaitMedia { handle }));
    }

    /// Whom a leg was sent to has answered, and not that it can't.
    pub(super) fn peer_lives(&mut self, index: LegIndex) {
        let Some(leg) = self.leg(index) else { return };
        let address = leg.record.address.map(|(_, address)| address);
        if let Some(peer) = leg.hop.as_ref().map(|hop| hop.peer.clone()) {
            let verdict = PeerVerdict::Answered(address);
            self.effects.push(Effect::Peer { peer, verdict });
        }
    }

    /// Takes the answer of a 2xx; the error says in words why there can be no media.
    fn settle(&mut self, index: LegIndex, message: &Message, now: Moment) -> Result<(), String> {
        let body = description_of(message).map_err(|unreadable| unreadable.to_string())?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        match body {
            Some(body) => leg
                .media
                .take_last_answer(&terms, &body, now)
                .map_err(|refusal| refusal.to_string())?,
            // Whose keys and address these were, nobody says.
            None if leg.media.forks.len() > 1 => {
                return Err("its 200 has no session description, and several forks had one each".into());
            }
            // The answer came in a provisional response, and the 200 does not repeat it.
            None if leg.media.negotiated.is_some() => leg.media.settle(),
            None => return Err("its 200 has no session description".into()),
        }
        match self.stays_beside(index) {
            Some(stays) => self.fits(stays, index),
            None if self.settled_here => self.fits(LegIndex::CALLER, index),
            None => Ok(()),
        }
    }

    /// Whether the audio of a leg can go to one whose codec is settled already, and back.
    pub(super) fn fits(&self, settled_first: LegIndex, index: LegIndex) -> Result<(), String> {
        let settled = |index| self.leg(index).and_then(|leg| leg.media.negotiated.as_ref());
        let (Some(caller), Some(callee)) = (settled(settled_first), settled(index)) else {
            return Err("one side has no media".into());
        };
        // What differs is recoded.
        if caller.is_spoken_here() && callee.is_spoken_here() {
            return Ok(());
        }
        let spoken = |settled: &Negotiated| settled.speech().map(|speech| speech.format.clone());
        let heard = |from: &Negotiated, to: &Negotiated| {
            let format = spoken(from)?;
            to.formats
                .iter()
                .any(|known| known.format.same_codec(&format))
                .then_some(())
        };
        heard(caller, callee)
            .zip(heard(callee, caller))
            .map(|_| ())
            .ok_or_else(|| "the other side has settled a codec that this one does not speak".into())
    }

    /// 200 to the caller with what the callee settled, where it was not answered before, and media both ways.
    fn answer_caller(&mut self, index: LegIndex, now: Moment) {
        let direction = self.told_to_caller(index).unwrap_or(Direction::SendRecv);
        let described = match self.offer.is_some() {
            _ if self.settled_here => Ok(()),
            true => self
                .answer_caller_media(index, direction)
                .map_err(|refusal| refusal.to_string()),
            false => self.offer_to_caller(index),
        };
        if let Err(detail) = described {
            self.end(Cause::MediaRefused { detail }, now);
            return;
        }
        self.connect(index, now);
        self.accept_caller(now);
    }

    /// Which way media flow as the caller is told it of this callee.
    fn told_to_caller(&self, index: LegIndex) -> Option<Direction> {
        let style = self.leg(LegIndex::CALLER)?.terms.media.hold;
        self.leg(index)?.media.told_to(style)
    }

    /// 200 to the caller with the description that it has been given.
    pub(super) fn accept_caller(&mut self, now: Moment) {
        self.sound_ringing(false);
        let Some(caller) = self.leg_mut(LegIndex::CALLER) else {
            return;
        };
        let (Some(transaction), Some(dialog)) = (caller.waiting.take(), caller.dialog.as_mut()) else {
            return;
        };
        dialog.confirm();
        let tag = dialog.id().local_tag.clone();
        caller.unacknowledged = Some(transaction);
        caller.state = LegState::Up;
        caller.record.note_own(200);
        let mut draft = caller.dialog_response(200, &tag);
        if let Some(SessionTimerAnswer::On {
            session_expires,
            require,
            timer,
        }) = caller.session_answer.take()
        {
            draft = draft.header(HeaderName::SessionExpires, session_expires.to_string());
            if require {
                draft = draft.header(HeaderName::Require, "timer");
            }
            caller.session = Some(SessionClock::start(timer, now));
        }
        let body = caller.media.described.clone().unwrap_or_default();
        self.status = 200;
        self.phase = Phase::Answered;
        self.deadline = None;
        self.offer = None;
        self.milestones.answered = Some(now);
        self.respond(transaction, draft.body("application/sdp", body));
        self.await_media(LegIndex::CALLER);
        // What an application does next starts from the caller's codec as it stands.
        self.settled_here |= self.app.is_some();
        self.tell(CallNews::Answered);
        self.note_transport(LegIndex::CALLER);
        self.turn_caller(Turn::new(Status::InProgress, 200), now);
    }

    /// Who waits for our requests where they don't go is said to wait there in vain.
    fn note_transport(&mut self, index: LegIndex) {
        let passed_over = self.leg(index).and_then(Leg::transport_passed_over);
        if let Some(named) = passed_over {
            self.tell(CallNews::TransportPassedOver { leg: index, named });
        }
    }

    /// The caller made no offer: ours, with what the callee can take and behind it what we turn into that, goes in the 200 and
    /// its answer comes in the ACK.
    fn offer_to_caller(&mut self, index: LegIndex) -> Result<(), String> {
        let direction = self.told_to_caller(index).ok_or("the callee has no media")?;
        let callee = self.leg(index).ok_or("no such leg")?;
        let recoding = match callee.media.recodes_at_cost {
            true => Recoding::Any,
            false => Recoding::Cheap,
        };
        let settled = callee.media.negotiated.clone().ok_or("the callee has no media")?;
        let caller = self.leg_mut(LegIndex::CALLER).ok_or("no caller")?;
        let terms = caller.terms.clone();
        let carried = sdp::carry_settled(&settled, &terms.media, recoding);
        let (formats, _) = carried.map_err(|refusal| refusal.to_string())?;
        caller
            .media
            .offer(&terms, &formats, direction)
            .map(|_| ())
            .ok_or_else(|| "media is not open".into())
    }

    fn cancel_losers(&mut self, winner: LegIndex, now: Moment) {
        let others: Vec<LegIndex> = self
            .legs
            .iter()
            .skip(1)
            .map(|leg| leg.index)
            .filter(|index| *index != winner)
            .collect();
        for index in others {
            self.let_go(index, COMPLETED_ELSEWHERE);
        }
        if self.app.is_some() {
            self.end_children(Some(winner), now);
            if let Some(position) = self.attempt_of(winner)
                && let Some(ringing) = self.ringing.get_mut(position)
            {
                ringing.settle();
            }
        } else {
            self.ringing.clear();
        }
    }

    /// CANCEL for a leg that rings, BYE for one that was answered (and is screened).
    pub(super) fn let_go(&mut self, index: LegIndex, reason: &str) {
        if self.leg(index).is_some_and(|leg| leg.state == LegState::Up) {
            self.release(index);
            self.hang_up(index, Some(reason.to_owned()));
        } else {
            self.give_up(index, Some(reason.to_owned()));
            // A 200 that crosses the CANCEL is hung up for the same reason.
            let crossing = |leg: &&mut Leg| leg.state == LegState::Cancelling;
            if let Some(leg) = self.leg_mut(index).filter(crossing) {
                leg.farewell = Some(reason.to_owned());
            }
        }
        self.close_line(index);
        self.close_media(index);
    }

    /// A 200 that crossed our CANCEL: it is acknowledged and hung up (RFC 3261 §9.1).
    pub(super) fn answered_too_late(&mut self, index: LegIndex, fork: usize, message: &Message) {
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.take_fork(fork);
        leg.state = LegState::Up;
        let reason = leg.farewell.take().unwrap_or_else(|| NORMAL_CLEARING.into());
        self.acknowledge(index, message.cseq().0);
        self.hang_up(index, Some(reason));
    }

    /// ACK of a fork that is not the leg's dialog, or of that once more.
    pub(super) fn acknowledge_fork(&mut self, index: LegIndex, fork: usize, message: &Message, way: Option<Hop>) {
        let acknowledged = self.leg_mut(index).and_then(|leg| {
            let kept = leg.step_into(fork, way);
            let acknowledged = leg.ack(message.cseq().0);
            (leg.dialog, leg.flow) = kept;
            acknowledged
        });
        if let Some((draft, to)) = acknowledged {
            self.effects.push(Effect::SendAck { leg: index, draft, to });
        }
    }

    pub(super) fn hang_up_fork(&mut self, index: LegIndex, fork: usize, message: &Message, way: Option<Hop>) {
        self.acknowledge_fork(index, fork, message, way.clone());
        let Some(leg) = self.leg_mut(index) else { return };
        let reason = match leg.is_up() || leg.has_lost() {
            true => COMPLETED_ELSEWHERE,
            false => NORMAL_CLEARING,
        };
        let kept = leg.step_into(fork, way);
        let bye = leg.request(Method::Bye);
        (leg.dialog, leg.flow) = kept;
        if let Some((draft, to)) = bye {
            self.send(index, draft.header(HeaderName::Reason, reason), to);
        }
    }

    /// ACK of a 2xx, at once (TEAMS-067).
    pub(super) fn acknowledge(&mut self, index: LegIndex, cseq: u32) {
        if let Some((draft, to)) = self.leg(index).and_then(|leg| leg.ack(cseq)) {
            self.effects.push(Effect::SendAck { leg: index, draft, to });
        }
    }
}
