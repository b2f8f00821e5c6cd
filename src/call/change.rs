//! Changes while a call is up: re-INVITE from either side (hold, resume, codec, address), and our own session refreshes.
//!
//! What the other side need not know is answered at once: a refresh, or a peer that moved its media (TEAMS-073, TEAMS-076).
//! A change of direction or codec is offered to the other side first, and its answer answers.

use super::cause::Cause;
use super::event::SendFailure;
use super::id::{LegIndex, Token};
use super::session_clock::SessionClock;
use super::setup::{offer_of, peer_session_timer};
use super::value::{Call, Phase};
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, Session};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::session_timer::{Refresher, SessionTimerAnswer, SessionTimerOffer, answer};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A re-INVITE of ours that waits for its final answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// The leg that it was sent on.
    pub(super) to: LegIndex,
    pub(super) token: Token,
    /// The peer's re-INVITE that made it necessary; `None`: a refresh of our own, or one whose asker has given up.
    #[serde(skip)]
    pub(super) transaction: Option<ServerTransactionId>,
    asked: Option<Asked>,
    offer: SessionTimerOffer,
    /// After a 491: when to try again.
    pub(super) retry_at: Option<Moment>,
}

/// What the other side asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    from: LegIndex,
    offer: Vec<u8>,
}

/// What a peer's offer means for the other leg.
enum Consequence {
    /// Nothing that it has to know.
    None,
    /// It is offered these.
    Offer(Vec<Format>, Direction),
}

impl Call {
    /// A re-INVITE.
    pub(super) fn reinvite(
        &mut self,
        index: LegIndex,
        transaction: ServerTransactionId,
        message: &Message,
        flow: &Flow,
        now: Moment,
    ) {
        if let Err((status, retry)) = self.may_change(index) {
            let mut draft = ResponseDraft::new(status);
            if retry {
                draft = draft.header(HeaderName::RetryAfter, "2");
            }
            self.respond(transaction, draft);
            return;
        }
        let Some(leg) = self.leg_mut(index) else { return };
        let settings = leg.terms.session_timer.answering();
        let refreshing = leg.session.map(|clock| {
            if clock.timer.we_refresh {
                Refresher::Uas
            } else {
                Refresher::Uac
            }
        });
        let timer = match answer(&peer_session_timer(message), &settings, refreshing) {
            SessionTimerAnswer::TooSmall { min_se } => {
                let draft = ResponseDraft::new(422).header(HeaderName::MinSe, min_se.to_string());
                self.respond(transaction, draft);
                return;
            }
            other => other,
        };
        if let Some(dialog) = &mut leg.dialog {
            dialog.refresh_target(message);
        }
        if leg.terms.behind_nat {
            leg.flow = Some(super::progress::hop_of(flow));
        }
        leg.session_answer = Some(timer);
        leg.waiting = Some(transaction);
        match offer_of(message) {
            Err(detail) => self.refuse_change(index, 488, Some(detail)),
            Ok(None) => self.reoffer(index, now),
            Ok(Some(offer)) => self.consider(index, transaction, offer, now),
        }
    }

    /// Whether a change may begin on this leg now; else the status, and whether a Retry-After goes with it (RFC 3261 §14.2).
    fn may_change(&self, index: LegIndex) -> Result<(), (u16, bool)> {
        let Some(leg) = self.leg(index) else {
            return Err((481, false));
        };
        if self.phase != Phase::Answered || leg.waiting.is_some() || leg.unacknowledged.is_some() {
            return Err((500, true));
        }
        match &self.change {
            Some(change) if change.to == index => Err((491, false)),
            Some(_) => Err((491, false)),
            None => Ok(()),
        }
    }

    fn consider(&mut self, index: LegIndex, transaction: ServerTransactionId, offer: Vec<u8>, now: Moment) {
        if self.leg(index).is_some_and(|leg| leg.media.is_refresh(&offer)) {
            self.accept_change(index, now);
            return;
        }
        match self.consequence(index, &offer) {
            Err(detail) => self.refuse_change(index, 488, Some(detail)),
            Ok(Consequence::None) => match self.answer_change(index, &offer) {
                Ok(()) => {
                    self.reconnect(now);
                    self.accept_change(index, now);
                }
                Err(detail) => self.refuse_change(index, 488, Some(detail)),
            },
            Ok(Consequence::Offer(formats, direction)) => {
                let Some(partner) = self.partner(index) else { return };
                let asked = Asked { from: index, offer };
                if !self.send_change(partner, &formats, direction, Some(transaction), Some(asked)) {
                    self.refuse_change(index, 488, Some("the other side has no media".into()));
                }
            }
        }
    }

    /// What an offer on `index` means for the other leg.
    fn consequence(&self, index: LegIndex, offer: &[u8]) -> Result<Consequence, String> {
        let session = Session::parse(offer).map_err(|error| error.to_string())?;
        let partner = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .ok_or("the other side is gone")?;
        let leg = self.leg(index).ok_or("no such leg")?;
        let settled = partner.media.negotiated.as_ref().ok_or("the other side has no media")?;
        let carried = sdp::carry_offer(&session, &leg.terms.media, &partner.terms.media)
            .map_err(|refusal| refusal.to_string())?;
        let still_heard = settled
            .formats
            .iter()
            .filter(|known| !known.format.codec.is_auxiliary())
            .any(|known| carried.formats.iter().any(|format| format.same_codec(&known.format)));
        if still_heard && carried.direction == settled.direction {
            return Ok(Consequence::None);
        }
        Ok(Consequence::Offer(carried.formats, carried.direction))
    }

    /// Our answer on `index` from what the other leg has settled.
    fn answer_change(&mut self, index: LegIndex, offer: &[u8]) -> Result<(), String> {
        let partner = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .ok_or("the other side is gone")?;
        let settled = partner.media.negotiated.clone().ok_or("the other side has no media")?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        let answer = leg
            .media
            .answer(&terms, offer, &settled.formats(), settled.carried_direction());
        answer.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    /// 200 with our present description.
    fn accept_change(&mut self, index: LegIndex, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        let (Some(transaction), Some(dialog)) = (leg.waiting.take(), leg.dialog.as_ref()) else {
            return;
        };
        let tag = dialog.id().local_tag.clone();
        let mut draft = leg.dialog_response(200, &tag);
        match leg.session_answer.take() {
            Some(SessionTimerAnswer::On {
                session_expires,
                require,
                timer,
            }) => {
                draft = draft.header(HeaderName::SessionExpires, session_expires.to_string());
                if require {
                    draft = draft.header(HeaderName::Require, "timer");
                }
                leg.session = Some(SessionClock::start(timer, now));
            }
            _ => leg.session = None,
        }
        leg.unacknowledged = Some(transaction);
        let body = leg.media.described.clone().unwrap_or_default();
        self.respond(transaction, draft.body("application/sdp", body));
    }

    fn refuse_change(&mut self, index: LegIndex, status: u16, detail: Option<String>) {
        let Some(leg) = self.leg_mut(index) else { return };
        let Some(transaction) = leg.waiting.take() else { return };
        leg.session_answer = None;
        let mut draft = leg.decorate(ResponseDraft::new(status));
        if let Some(warning) = detail.and_then(|detail| Cause::MediaRefused { detail }.warning()) {
            draft = draft.header(HeaderName::Warning, warning);
        }
        self.respond(transaction, draft);
    }

    /// A re-INVITE without an offer: ours repeats what is in use; the answer comes in the ACK (RFC 3261 §14.2).
    fn reoffer(&mut self, index: LegIndex, now: Moment) {
        let settled = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .and_then(|leg| leg.media.negotiated.clone());
        let Some(leg) = self.leg_mut(index) else { return };
        let terms = leg.terms.clone();
        let offered = settled.and_then(|settled| {
            let direction = terms.media.hold.offered(settled.carried_direction());
            leg.media.offer(&terms, &settled.formats(), direction)
        });
        match offered {
            Some(_) => self.accept_change(index, now),
            None => self.refuse_change(index, 488, None),
        }
    }

    /// Sends a re-INVITE with this offer. False when the leg has no media or dialog.
    fn send_change(
        &mut self,
        to: LegIndex,
        formats: &[Format],
        direction: Direction,
        transaction: Option<ServerTransactionId>,
        asked: Option<Asked>,
    ) -> bool {
        let Some(leg) = self.leg_mut(to) else { return false };
        let terms = leg.terms.clone();
        let Some(body) = leg.media.offer(&terms, formats, direction) else {
            return false;
        };
        self.send_offer(to, body, transaction, asked)
    }

    fn send_offer(
        &mut self,
        to: LegIndex,
        body: String,
        transaction: Option<ServerTransactionId>,
        asked: Option<Asked>,
    ) -> bool {
        let Some(leg) = self.leg_mut(to) else { return false };
        let offer = SessionTimerOffer::new(&leg.terms.session_timer.answering());
        let running = leg.session.map(|clock| clock.timer);
        let Some((mut draft, destination)) = leg.request(Method::Invite) else {
            return false;
        };
        if let Some(timer) = running {
            let refresher = if timer.we_refresh { "uac" } else { "uas" };
            draft = draft
                .header(
                    HeaderName::SessionExpires,
                    format!("{};refresher={refresher}", timer.interval),
                )
                .header(HeaderName::MinSe, offer.min_se.to_string());
        }
        let token = self.send(to, draft.body("application/sdp", body), destination);
        if let Some(leg) = self.leg_mut(to) {
            leg.reinvited = Some(token);
        }
        self.change = Some(Change {
            to,
            token,
            transaction,
            asked,
            offer,
            retry_at: None,
        });
        true
    }

    /// A response to a re-INVITE of ours.
    pub(super) fn change_response(&mut self, token: Token, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(500);
        if status < 200 {
            return;
        }
        let repeated = |leg: &&super::leg::Leg| leg.reinvited == Some(token);
        let Some(change) = self.change.take_if(|change| change.token == token) else {
            // Our ACK of the 2xx was lost.
            if status < 300
                && let Some(index) = self.legs.iter().find(repeated).map(|leg| leg.index)
            {
                self.acknowledge(index, message.cseq().0);
            }
            return;
        };
        match status {
            200..=299 => self.changed(change, message, now),
            408 | 481 => {
                self.change = Some(change);
                let side = self.side(token);
                self.end(Cause::DialogLost { side }, now);
            }
            491 if change.asked.is_none() => {
                // The owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s (RFC 3261 §14.1).
                let ours = self.leg(change.to).is_some_and(|leg| leg.index != LegIndex::CALLER);
                let spread = Duration::from_millis(self.random() % 1_900);
                let wait = if ours {
                    Duration::from_millis(2_100) + spread
                } else {
                    spread
                };
                self.change = Some(Change {
                    retry_at: Some(now + wait),
                    ..change
                });
            }
            _ => self.change_refused(change, message, now),
        }
    }

    fn changed(&mut self, change: Change, message: &Message, now: Moment) {
        self.acknowledge(change.to, message.cseq().0);
        let body = offer_of(message).ok().flatten();
        let Some(leg) = self.leg_mut(change.to) else { return };
        if let Some(dialog) = &mut leg.dialog {
            dialog.refresh_target(message);
        }
        let agreed = change.offer.agreed(&peer_session_timer(message));
        leg.session = agreed.map(|timer| SessionClock::start(timer, now));
        let terms = leg.terms.clone();
        let taken = match body {
            Some(body) => leg
                .media
                .take_answer(&terms, &body, true)
                .map_err(|refusal| refusal.to_string()),
            None => Err("its 200 has no session description".to_owned()),
        };
        let Some(asked) = change.asked else {
            // A refresh: an answer that can't be read changes nothing.
            self.reconnect(now);
            return;
        };
        match taken.and_then(|()| self.answer_change(asked.from, &asked.offer)) {
            Ok(()) => {
                self.reconnect(now);
                self.accept_change(asked.from, now);
            }
            Err(detail) => self.refuse_change(asked.from, 488, Some(detail)),
        }
    }

    /// The other side said no: the asker hears it, and everything stays as it was (RFC 3261 §14.1).
    fn change_refused(&mut self, change: Change, message: &Message, now: Moment) {
        if let Some(leg) = self.leg_mut(change.to) {
            leg.media.offered = None;
            if change.asked.is_none()
                && let Some(clock) = &mut leg.session
            {
                // A refused refresh is tried again while there is time.
                let left = clock.expires_at.since(now);
                clock.refresh_at = (left > Duration::from_secs(10)).then(|| now + left / 2);
            }
        }
        if let Some(asked) = change.asked {
            let status = message
                .status()
                .filter(|status| matches!(status, 488 | 491 | 606 | 415))
                .unwrap_or(488);
            self.refuse_change(asked.from, status, None);
        }
    }

    /// No final answer to a re-INVITE: the far side is gone. True when `token` was one.
    pub(super) fn change_failed(&mut self, token: Token, _failure: &SendFailure, now: Moment) -> bool {
        if !self.change.as_ref().is_some_and(|change| change.token == token) {
            return false;
        }
        let side = self.side(token);
        self.end(Cause::DialogLost { side }, now);
        true
    }

    fn side(&self, token: Token) -> super::cause::Party {
        let change = self.change.as_ref().filter(|change| change.token == token);
        change
            .and_then(|change| self.leg(change.to))
            .map_or(super::cause::Party::Node, |leg| leg.side)
    }

    /// CANCEL of a re-INVITE: answered 487; what the other side was offered stands once it answers.
    pub(super) fn change_cancelled(&mut self, transaction: ServerTransactionId) {
        let waiting = |leg: &&mut super::leg::Leg| leg.waiting == Some(transaction);
        if let Some(leg) = self.legs.iter_mut().find(waiting) {
            leg.waiting = None;
            leg.session_answer = None;
            if let Some(change) = &mut self.change {
                change.transaction = None;
            }
            self.respond(transaction, ResponseDraft::new(487));
        }
    }

    /// Session timers that are due: refreshes are sent, dead sessions end the call (RFC 4028 §10).
    pub(super) fn session_timers(&mut self, now: Moment) {
        if self.phase != Phase::Answered {
            return;
        }
        for position in 0..self.legs.len() {
            let leg = &self.legs[position];
            let (index, side) = (leg.index, leg.side);
            let Some(clock) = leg.session.filter(|_| leg.is_up()) else {
                continue;
            };
            if clock.expires_at <= now {
                self.end(Cause::SessionExpired { side }, now);
                return;
            }
            if clock.refresh_at.is_some_and(|at| at <= now) {
                self.refresh(index, now);
            }
        }
    }

    /// Repeats our description unchanged (TEAMS-074).
    fn refresh(&mut self, index: LegIndex, now: Moment) {
        let busy = self.may_change(index).is_err();
        let Some(leg) = self.leg_mut(index) else { return };
        let terms = leg.terms.clone();
        if let Some(clock) = &mut leg.session {
            clock.refresh_at = busy.then(|| now + Duration::from_secs(5));
        }
        if busy {
            return;
        }
        if let Some(body) = leg.media.repeat_offer(&terms) {
            self.send_offer(index, body, None, None);
        }
    }

    /// A refresh that met another re-INVITE is tried again.
    pub(super) fn retry_change(&mut self, now: Moment) {
        let due = |change: &mut Change| change.retry_at.is_some_and(|at| at <= now);
        if let Some(change) = self.change.take_if(due) {
            self.refresh(change.to, now);
        }
    }

    fn reconnect(&mut self, now: Moment) {
        if let Some(callee) = self.winner {
            self.connect(callee, now);
        }
    }
}
