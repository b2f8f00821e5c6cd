//! Changes while a call is up: re-INVITEs from either side (hold, resume, codec, address) and what they make us ask the
//! other side.
//!
//! What the other side need not know is answered at once: a refresh, or a peer that moved its media (TEAMS-073, TEAMS-076).
//! A change of direction or codec is offered to the other side first, and its answer answers.

use super::cause::{Cause, Party};
use super::event::{Effect, SendFailure};
use super::id::{LegIndex, Token};
use super::leg_media::{LegMedia, description_of};
use super::session_clock::{SessionClock, peer_session_timer};
use super::value::{Call, Phase};
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, NegotiatedFormat, Session};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::session_timer::{Refresher, SessionTimerAnswer, SessionTimerOffer, answer, parse_seconds};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use crate::sip::{Flow, Method};
use serde::{Deserialize, Serialize};

/// A re-INVITE of ours that waits for its final answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// The leg that it was sent on.
    pub(super) to: LegIndex,
    pub(super) token: Token,
    pub(super) purpose: Purpose,
    offer: SessionTimerOffer,
    /// The leg's media as they were: a refused re-INVITE changes nothing (RFC 3261 §14.1).
    #[serde(skip)]
    before: Option<Box<LegMedia>>,
}

/// Why a re-INVITE was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Our own session refresh.
    Refresh,
    /// The peer of `from` offered this, and waits for its answer.
    Asked { from: LegIndex, offer: Vec<u8> },
    /// Somebody had asked, and took it back or hung up before it was answered.
    TakenBack,
    /// To bring the leg in line with what the other one has settled; refused so often already.
    Align { tries: u8 },
}

impl Change {
    /// Nobody waits any more for what `from` has asked.
    pub(super) fn take_back(&mut self, from: LegIndex) {
        if matches!(self.purpose, Purpose::Asked { from: asked, .. } if asked == from) {
            self.purpose = Purpose::TakenBack;
        }
    }
}

/// What a peer's offer means for the other leg.
pub(super) enum Consequence {
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
        match self.may_change(index) {
            // Peers refresh their sessions at the same time: one dialog is not busy because the other one is (TEAMS-076).
            Err(491) if self.is_its_own_business(index, message) => {}
            Err(status) => {
                self.refuse_reinvite(index, transaction, status);
                return;
            }
            Ok(()) => {}
        }
        let Some(leg) = self.leg_mut(index) else { return };
        let settings = leg.terms.session_timer.answering();
        let refreshing = leg.session.map(|clock| match clock.timer.we_refresh {
            true => Refresher::Uas,
            false => Refresher::Uac,
        });
        let timer = match answer(&peer_session_timer(message), &settings, refreshing) {
            SessionTimerAnswer::TooSmall { min_se } => {
                let draft = leg.decorate(ResponseDraft::new(422).header(HeaderName::MinSe, min_se.to_string()));
                self.respond(transaction, draft);
                return;
            }
            other => other,
        };
        if let Some(dialog) = &mut leg.dialog {
            dialog.refresh_target(message);
            dialog.take_up_invite(message);
        }
        if leg.terms.keeps_flow() {
            leg.flow = Some(super::answer::hop_of(flow, &leg.terms));
        }
        leg.session_answer = Some(timer);
        leg.waiting = Some(transaction);
        // Who sends a re-INVITE has seen our last 2xx: its ACK was lost or is late (RFC 5407 §3.1.5).
        if let Some(seen) = leg.unacknowledged.take() {
            self.effects.push(Effect::Acknowledged { transaction: seen });
        }
        match description_of(message) {
            Err(detail) => self.refuse_change(index, 488, Some(detail)),
            Ok(None) => self.reoffer(index, now),
            Ok(Some(offer)) => {
                self.note_hold_of(index, message, &offer);
                self.consider(index, offer, now);
            }
        }
    }

    /// Whether a change may begin on this leg now, else the status that says no (RFC 3261 §14.1, §14.2).
    pub(super) fn may_change(&self, index: LegIndex) -> Result<(), u16> {
        let leg = self.leg(index).filter(|leg| leg.is_up() || leg.waiting.is_some());
        let leg = leg.ok_or(481_u16)?;
        if leg.waiting.is_some() {
            return Err(500);
        }
        let busy = |partner: &super::leg::Leg| {
            partner.media.offered.is_some() || partner.unacknowledged.is_some() || partner.waiting.is_some()
        };
        let half_done = match self.partner(index).and_then(|partner| self.leg(partner)) {
            _ if self.is_alone(index) => leg.media.offered.is_some(),
            Some(partner) => leg.media.offered.is_some() || busy(partner),
            None => return Err(481),
        };
        match self.phase {
            // A destination may be screened while its caller still rings.
            Phase::Ringing if self.is_alone(index) && !half_done => Ok(()),
            Phase::Answered if self.change.is_some() || half_done => Err(491),
            Phase::Answered => Ok(()),
            Phase::Opening | Phase::Ringing | Phase::Ending | Phase::Over => Err(481),
        }
    }

    /// Whether the other leg need not know of a re-INVITE, and nothing is under way but that leg's own refresh or ACK.
    fn is_its_own_business(&self, index: LegIndex, message: &Message) -> bool {
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let (Some(leg), Some(partner)) = (self.leg(index), partner) else {
            return false;
        };
        let calm = match &self.change {
            Some(change) => change.to != index && matches!(change.purpose, Purpose::Refresh),
            None => partner.media.offered.is_none(),
        };
        if !calm || leg.media.offered.is_some() || partner.waiting.is_some() {
            return false;
        }
        let offer = description_of(message).ok().flatten();
        offer.is_some_and(|offer| {
            leg.is_refresh(&offer) || matches!(self.consequence(index, &offer), Ok(Consequence::None))
        })
    }

    fn refuse_reinvite(&mut self, index: LegIndex, transaction: ServerTransactionId, status: u16) {
        let Some(leg) = self.leg(index) else { return };
        let mut draft = leg.decorate(ResponseDraft::new(status));
        if status == 500 {
            draft = draft.header(HeaderName::RetryAfter, "2");
        }
        self.respond(transaction, draft);
    }

    fn consider(&mut self, index: LegIndex, offer: Vec<u8>, now: Moment) {
        let refresh = self.leg(index).is_some_and(|leg| leg.is_refresh(&offer));
        let consequence = match refresh {
            true => Ok(Consequence::None),
            false => self.consequence(index, &offer),
        };
        let refused = match (consequence, self.partner(index)) {
            _ if self.is_alone(index) => match self.answer_alone(index, &offer, now) {
                Ok(()) => {
                    self.accept_change(index, now);
                    None
                }
                Err(detail) => Some(detail),
            },
            (Err(detail), _) => Some(detail),
            (Ok(Consequence::None), _) => match self.answer_change(index, &offer) {
                Ok(()) => {
                    self.reconnect(now);
                    self.accept_change(index, now);
                    None
                }
                Err(detail) => Some(detail),
            },
            (Ok(Consequence::Offer(formats, direction)), Some(partner)) => {
                let purpose = Purpose::Asked { from: index, offer };
                let sent = self.send_change(partner, &formats, direction, purpose);
                (!sent).then(|| "the other side has no media".to_owned())
            }
            (Ok(Consequence::Offer(..)), None) => Some("the other side is gone".to_owned()),
        };
        if let Some(detail) = refused {
            self.refuse_change(index, 488, Some(detail));
        }
    }

    /// What a description of the peer of `index` means for the other leg: it goes on as it is while all that it may send
    /// can be taken, in the same direction.
    pub(super) fn consequence(&self, index: LegIndex, offer: &[u8]) -> Result<Consequence, String> {
        let session = Session::parse(offer).map_err(|error| error.to_string())?;
        let partner = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .ok_or("the other side is gone")?;
        let leg = self.leg(index).ok_or("no such leg")?;
        let settled = partner.media.negotiated.as_ref().ok_or("the other side has no media")?;
        let carried = sdp::carry_offer(&session, &leg.terms.media, &partner.terms.media)
            .map_err(|refusal| refusal.to_string())?;
        let is_heard = |known: &NegotiatedFormat| carried.formats.iter().any(|format| format.same_codec(&known.format));
        let mut speech = settled
            .formats
            .iter()
            .filter(|known| !known.format.codec.is_auxiliary());
        // legs that are recoded already go on so
        let recoded = leg.media.recodes(&partner.media) && !speech.clone().any(is_heard);
        // Teams is asked to give up a codec, but not for another one where we can recode instead (TEAMS-076)
        let spared = matches!(partner.terms.kind, LegKind::Teams { .. })
            && carried.formats.iter().any(|format| format.speech().is_some())
            && speech
                .clone()
                .all(|known| !is_heard(known) && known.format.speech().is_some());
        let direction = match self.keeps_hold_from_partner(index, &session) {
            true => settled.direction,
            false => carried.direction,
        };
        if (recoded || spared || speech.all(is_heard)) && direction == settled.direction {
            return Ok(Consequence::None);
        }
        let formats = if recoded || spared {
            settled.formats()
        } else {
            carried.formats
        };
        Ok(Consequence::Offer(formats, direction))
    }

    /// Our answer on `index` from what the other leg has settled.
    fn answer_change(&mut self, index: LegIndex, offer: &[u8]) -> Result<(), String> {
        let partner = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .ok_or("the other side is gone")?;
        let settled = partner.media.negotiated.clone().ok_or("the other side has no media")?;
        let direction = self.direction_beside(index, &settled);
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        let answer = leg.media.answer(&terms, offer, &settled.formats(), direction);
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
        leg.realign = None;
        let body = leg.media.described.clone().unwrap_or_default();
        self.respond(transaction, draft.body("application/sdp", body));
        self.hold_settled(index, now);
    }

    /// Answers a peer's re-INVITE that waits with a refusal; nothing is done when none waits.
    pub(super) fn refuse_change(&mut self, index: LegIndex, status: u16, detail: Option<String>) {
        let Some(leg) = self.leg_mut(index) else { return };
        let Some(transaction) = leg.waiting.take() else { return };
        leg.session_answer = None;
        let mut draft = leg.decorate(ResponseDraft::new(status));
        if let Some(warning) = detail.and_then(|detail| Cause::MediaRefused { detail }.warning()) {
            draft = draft.header(HeaderName::Warning, warning);
        }
        self.respond(transaction, draft);
        self.hold_refused(index);
    }

    /// A re-INVITE without an offer: ours repeats what is in use; the answer comes in the ACK (RFC 3261 §14.2).
    fn reoffer(&mut self, index: LegIndex, now: Moment) {
        let alone = self.is_alone(index);
        let settled = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .and_then(|leg| leg.media.negotiated.clone());
        let settled = settled.map(|settled| (self.direction_beside(index, &settled), settled.formats()));
        let Some(leg) = self.leg_mut(index) else { return };
        let terms = leg.terms.clone();
        if alone {
            match leg.media.repeat_offer(&terms) {
                Some(_) => self.accept_change(index, now),
                None => self.refuse_change(index, 488, None),
            }
            return;
        }
        let offered = settled
            .and_then(|(direction, formats)| leg.media.offer(&terms, &formats, terms.media.hold.offered(direction)));
        match offered {
            Some(_) => self.accept_change(index, now),
            None => self.refuse_change(index, 488, None),
        }
    }

    /// Sends a re-INVITE with this offer. False when the leg has no media or dialog.
    pub(super) fn send_change(
        &mut self,
        to: LegIndex,
        formats: &[Format],
        direction: Direction,
        purpose: Purpose,
    ) -> bool {
        let Some(leg) = self.leg_mut(to) else { return false };
        let (terms, before) = (leg.terms.clone(), leg.media.clone());
        leg.authorization = None;
        let Some(body) = leg.media.offer(&terms, formats, direction) else {
            return false;
        };
        self.send_offer(to, body, None, purpose, before)
    }

    /// Sends a re-INVITE with this body; `timer` is raised after a 422, `before` is what a refusal brings back.
    pub(super) fn send_offer(
        &mut self,
        to: LegIndex,
        body: String,
        timer: Option<SessionTimerOffer>,
        purpose: Purpose,
        before: LegMedia,
    ) -> bool {
        let Some(leg) = self.leg_mut(to) else { return false };
        let running = leg.session.map(|clock| clock.timer);
        let mut settings = leg.terms.session_timer.answering();
        if let Some(running) = running {
            settings.interval = running.interval;
        }
        let offer = timer.unwrap_or_else(|| SessionTimerOffer::new(&settings));
        let Some((mut draft, destination)) = leg.request(Method::Invite) else {
            return false;
        };
        if let Some(running) = running {
            let refresher = if running.we_refresh { "uac" } else { "uas" };
            draft = draft
                .header(
                    HeaderName::SessionExpires,
                    format!("{};refresher={refresher}", offer.interval),
                )
                .header(HeaderName::MinSe, offer.min_se.to_string());
        }
        if let Some((name, value)) = self.leg(to).and_then(|leg| leg.authorization.clone()) {
            draft = draft.header(name, value);
        }
        let token = self.send(to, draft.body("application/sdp", body), destination);
        if let Some(leg) = self.leg_mut(to) {
            leg.reinvited = Some(token);
        }
        self.change = Some(Change {
            to,
            token,
            purpose,
            offer,
            before: Some(Box::new(before)),
        });
        true
    }

    /// A response to a re-INVITE of ours.
    pub(super) fn change_response(&mut self, token: Token, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(500);
        if status < 200 {
            return;
        }
        let Some(change) = self.change.take_if(|change| change.token == token) else {
            // Our ACK of the 2xx was lost.
            let repeated = self.legs.iter().find(|leg| leg.reinvited == Some(token));
            if status < 300
                && let Some(index) = repeated.map(|leg| leg.index)
            {
                self.acknowledge(index, message.cseq().0);
            }
            return;
        };
        match status {
            200..=299 => self.changed(change, message, now),
            // RFC 3261 §12.2.1.2
            408 | 481 => self.dialog_lost(&change, now),
            401 | 407 => self.authorize_change(change, message, now),
            422 => self.raise_change(change, message, now),
            _ => self.change_refused(change, status, now),
        }
    }

    fn changed(&mut self, change: Change, message: &Message, now: Moment) {
        self.acknowledge(change.to, message.cseq().0);
        let body = description_of(message).ok().flatten();
        let Some(leg) = self.leg_mut(change.to) else { return };
        if let Some(dialog) = &mut leg.dialog {
            dialog.refresh_target(message);
        }
        let agreed = change.offer.agreed(&peer_session_timer(message));
        leg.session = agreed.map(|timer| SessionClock::start(timer, now));
        leg.realign = None;
        let terms = leg.terms.clone();
        let taken = match body {
            Some(body) => leg
                .media
                .take_answer(&terms, &body, true)
                .map_err(|refusal| refusal.to_string()),
            None => Err("its 200 has no session description".to_owned()),
        };
        if taken.is_err()
            && let Some(before) = change.before
        {
            leg.media.bring_back(*before);
        }
        match change.purpose {
            Purpose::Refresh | Purpose::Align { .. } => self.reconnect(now),
            Purpose::TakenBack => {
                self.reconnect(now);
                self.align(change.to, now);
            }
            Purpose::Asked { from, offer } => match taken.and_then(|()| self.answer_change(from, &offer)) {
                Ok(()) => {
                    self.reconnect(now);
                    self.accept_change(from, now);
                }
                Err(detail) => {
                    self.refuse_change(from, 488, Some(detail));
                    // The other side has changed for nothing.
                    self.align(change.to, now);
                }
            },
        }
    }

    /// A challenge is answered once.
    fn authorize_change(&mut self, change: Change, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(401);
        let leg = self.leg(change.to);
        let first = leg.is_some_and(|leg| leg.authorization.is_none());
        let body = leg.and_then(|leg| leg.media.described.clone());
        let answer = first.then(|| self.answer_inside(change.to, message, Method::Invite.as_str()));
        match (answer.flatten(), body, change.before) {
            (Some(answer), Some(body), Some(before)) => {
                if let Some(leg) = self.leg_mut(change.to) {
                    leg.authorization = Some(answer);
                }
                self.send_offer(change.to, body, Some(change.offer), change.purpose, *before);
            }
            (_, _, before) => self.change_refused(Change { before, ..change }, status, now),
        }
    }

    /// 422: the interval is raised once (RFC 4028 §7.4).
    fn raise_change(&mut self, change: Change, message: &Message, now: Moment) {
        let min_se = message.header(HeaderName::MinSe).and_then(parse_seconds);
        let body = self.leg(change.to).and_then(|leg| leg.media.described.clone());
        match (change.offer.raise(min_se), body, change.before) {
            (Some(raised), Some(body), Some(before)) => {
                if let Some(clock) = self.leg_mut(change.to).and_then(|leg| leg.session.as_mut()) {
                    clock.timer.interval = raised.interval;
                }
                self.send_offer(change.to, body, Some(raised), change.purpose, *before);
            }
            (_, _, before) => self.change_refused(Change { before, ..change }, 422, now),
        }
    }

    /// The other side said no: the asker hears it, and everything stays as it was (RFC 3261 §14.1).
    fn change_refused(&mut self, change: Change, status: u16, now: Moment) {
        if let Some(leg) = self.leg_mut(change.to)
            && let Some(before) = change.before
        {
            leg.media.bring_back(*before);
        }
        match change.purpose {
            Purpose::Refresh => self.refresh_refused(change.to, status, now),
            Purpose::Asked { from, .. } => {
                let status = if matches!(status, 488 | 491 | 606 | 415) {
                    status
                } else {
                    488
                };
                self.refuse_change(from, status, None);
            }
            Purpose::Align { tries } => self.alignment_refused(change.to, tries, status, now),
            Purpose::TakenBack => {}
        }
    }

    /// No final answer to a re-INVITE: a far side that does not answer is gone, one that could not be reached just now
    /// may be back. True when `token` was one.
    pub(super) fn change_failed(&mut self, token: Token, failure: &SendFailure, now: Moment) -> bool {
        let Some(change) = self.change.take_if(|change| change.token == token) else {
            return false;
        };
        match failure {
            SendFailure::Transport(TransportCause::Timeout) => self.dialog_lost(&change, now),
            _ => self.change_refused(change, 503, now),
        }
        true
    }

    fn dialog_lost(&mut self, change: &Change, now: Moment) {
        let side = self.leg(change.to).map_or(Party::Node, |leg| leg.side);
        let cause = Cause::DialogLost { side };
        let reason = cause.reason();
        self.lose(change.to, cause, reason, now);
    }

    /// CANCEL of a peer's re-INVITE: ours goes too, and where it was accepted already it is put back.
    pub(super) fn change_cancelled(&mut self, index: LegIndex) {
        self.refuse_change(index, 487, None);
        if let Some(change) = &mut self.change
            && matches!(change.purpose, Purpose::Asked { from, .. } if from == index)
        {
            change.purpose = Purpose::TakenBack;
            let token = change.token;
            self.effects.push(Effect::CancelRequest { token, reason: None });
        }
    }

    pub(super) fn reconnect(&mut self, now: Moment) {
        match self.winner {
            Some(callee) if self.app.is_none() || self.bridged.is_some() => self.connect(callee, now),
            _ if self.app.is_some() => self.connect_alone(LegIndex::CALLER, now),
            _ => {}
        }
    }
}
