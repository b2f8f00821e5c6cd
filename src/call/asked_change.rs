//! Re-INVITEs of a peer while a call is up (hold, resume, codec, address), and what they make us ask the other side.
//!
//! What the other side need not know is answered at once: a refresh, or a peer that moved its media (TEAMS-073, TEAMS-076).
//! A change of direction or codec is offered to the other side first, and its answer answers.

use super::cause::Cause;
use super::change::Purpose;
use super::event::Effect;
use super::id::LegIndex;
use super::leg::{Leg, Moving};
use super::readable::description_of;
use super::session_clock::{SessionClock, peer_session_timer};
use super::value::{Call, Phase};
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, NegotiatedFormat, Recoding, Session};
use crate::sip::Flow;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::session_timer::{Refresher, SessionTimerAnswer, answer};
use crate::sip::transaction::ServerTransactionId;

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
        let mut at_once = false;
        let verdict = match self.may_change(index) {
            // Who changes what while another leg takes somebody's place?
            Ok(()) if self.transfer.is_some() => Err(491),
            verdict => verdict,
        };
        match verdict {
            // Peers refresh their sessions at the same time: one dialog is not busy because the other one is (TEAMS-076).
            Err(491) if self.is_its_own_business(index, message) => {}
            Err(491) if self.may_answer_at_once(index, message) => at_once = true,
            Err(status) => {
                if status == 491 {
                    self.saw_answer(index);
                }
                self.refuse_reinvite(index, transaction, status);
                return;
            }
            Ok(()) => {}
        }
        self.saw_answer(index);
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_min_se(message);
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
            dialog.take_up_invite(message);
        }
        leg.moving = Some(Moving {
            reinvite: message.clone(),
            flow: leg.way(message, flow, false),
        });
        leg.session_answer = Some(timer);
        leg.waiting = Some(transaction);
        match description_of(message) {
            Err(unreadable) => self.refuse_change(index, unreadable.status(), Some(unreadable.to_string())),
            Ok(None) => self.reoffer(index, now),
            Ok(Some(offer)) => {
                self.note_hold_of(index, message, &offer);
                match at_once {
                    true => self.answer_at_once(index, &offer, now),
                    false => self.consider(index, offer, now),
                }
            }
        }
    }

    /// Who sends a re-INVITE has seen our last 2xx: its ACK was lost or is late (RFC 5407 §3.1.5). One that is to bring an
    /// answer is waited for.
    fn saw_answer(&mut self, index: LegIndex) {
        let leg = self.leg_mut(index).filter(|leg| leg.media.offered.is_none());
        if let Some(seen) = leg.and_then(|leg| leg.unacknowledged.take()) {
            self.effects.push(Effect::Acknowledged { transaction: seen });
        }
    }

    /// Whether a change may begin on this leg now, else the status that says no (RFC 3261 §14.1, §14.2).
    pub(super) fn may_change(&self, index: LegIndex) -> Result<(), u16> {
        let leg = self.leg(index).filter(|leg| leg.is_up() || leg.waiting.is_some());
        let leg = leg.ok_or(481_u16)?;
        if leg.waiting.is_some() {
            return Err(500);
        }
        let busy = |partner: &Leg| {
            partner.media.offered.is_some() || partner.unacknowledged.is_some() || partner.waiting.is_some()
        };
        let half_done = match self.partner(index).and_then(|partner| self.leg(partner)) {
            _ if self.is_alone(index) => leg.media.offered.is_some(),
            Some(partner) => leg.media.offered.is_some() || busy(partner),
            None => return Err(481),
        };
        match self.phase {
            // A destination may be screened while its caller still rings.
            Phase::Ringing if !self.is_alone(index) => Err(481),
            Phase::Ringing | Phase::Answered if self.change.is_some() || half_done => Err(491),
            Phase::Ringing | Phase::Answered => Ok(()),
            Phase::Opening | Phase::Ending | Phase::Over => Err(481),
        }
    }

    /// Whether the other leg need not know of a re-INVITE, and nothing is under way but that leg's own refresh or ACK.
    fn is_its_own_business(&self, index: LegIndex, message: &Message) -> bool {
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let (Some(leg), Some(partner)) = (self.leg(index), partner) else {
            return false;
        };
        let calm = match &self.change {
            Some(change) => change.to != index && change.purpose.is_our_own(),
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
        let draft = refusal(leg, status);
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
                self.limit_wait(None, now);
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
        if session.is_switched_off() {
            // To the other side that is a hold (TEAMS-071).
            return Ok(match settled.direction {
                Direction::Inactive => Consequence::None,
                _ => Consequence::Offer(settled.formats(), Direction::Inactive),
            });
        }
        let carried = sdp::carry_offer(&session, &leg.terms.media, &partner.terms.media, Recoding::Any)
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
            false if leg.plays_on_hold(&session) => Direction::SendRecv,
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
    pub(super) fn answer_change(&mut self, index: LegIndex, offer: &[u8]) -> Result<(), String> {
        let partner = self
            .partner(index)
            .and_then(|partner| self.leg(partner))
            .ok_or("the other side is gone")?;
        let settled = partner.media.negotiated.as_ref().ok_or("the other side has no media")?;
        let style = self.leg(index).ok_or("no such leg")?.terms.media.hold;
        let direction = match partner.media.will() {
            _ if self.is_resuming(partner.index) => Direction::SendRecv,
            // Less than that is what it was told, and not its own hold.
            Direction::SendRecv => settled.carried_direction(),
            _ => partner.media.told_to(style).unwrap_or(Direction::Inactive),
        };
        self.answer_beside(index, offer, direction)
    }

    /// The same beside a leg whose media flow, or will, in this direction.
    pub(super) fn answer_beside(&mut self, index: LegIndex, offer: &[u8], direction: Direction) -> Result<(), String> {
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let settled = partner.and_then(|partner| partner.media.negotiated.clone());
        let settled = settled.ok_or("the other side has no media")?;
        let direction = self.direction_beside(index, direction);
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        let answer = leg.media.answer(&terms, offer, &settled.formats(), direction);
        answer.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    /// 200 with our present description.
    pub(super) fn accept_change(&mut self, index: LegIndex, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        let (Some(transaction), Some(dialog)) = (leg.waiting.take(), leg.dialog.as_mut()) else {
            return;
        };
        if let Some(moving) = leg.moving.take() {
            dialog.refresh_target(&moving.reinvite);
            leg.flow = moving.flow;
        }
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
        (leg.session_answer, leg.moving) = (None, None);
        let mut draft = refusal(leg, status);
        if let Some(warning) = detail.and_then(|detail| Cause::MediaRefused { detail }.warning()) {
            draft = draft.header(HeaderName::Warning, warning);
        }
        self.respond(transaction, draft);
        self.hold_refused(index);
    }

    /// A re-INVITE without an offer: ours repeats what is in use; the answer comes in the ACK (RFC 3261 §14.2).
    fn reoffer(&mut self, index: LegIndex, now: Moment) {
        let alone = self.is_alone(index);
        let Some(style) = self.leg(index).map(|leg| leg.terms.media.hold) else {
            return;
        };
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        // Who asks may want an end to its own hold: of the other side counts what that wants, not what it was told.
        let settled = partner.and_then(|leg| {
            let wanted = match leg.media.announces() {
                true => leg.media.told_to(style)?,
                false => style.offered(self.direction_beside(index, leg.media.will())),
            };
            Some((wanted, leg.media.negotiated.as_ref()?.formats()))
        });
        let Some(leg) = self.leg_mut(index) else { return };
        let terms = leg.terms.clone();
        if alone {
            match leg.media.repeat_offer(&terms) {
                Some(_) => self.accept_change(index, now),
                None => self.refuse_change(index, 488, None),
            }
            return;
        }
        let offered = settled.and_then(|(direction, formats)| leg.media.offer(&terms, &formats, direction));
        match offered {
            Some(_) => self.accept_change(index, now),
            None => self.refuse_change(index, 488, None),
        }
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
}

/// The answer to a re-INVITE that is refused. After a moment it may be another one, where nothing was wrong with it.
fn refusal(leg: &Leg, status: u16) -> ResponseDraft {
    let draft = leg.decorate(ResponseDraft::new(status));
    match status {
        500 => draft.header(HeaderName::RetryAfter, "2"),
        _ => draft,
    }
}
