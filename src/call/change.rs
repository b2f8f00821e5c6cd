//! Re-INVITEs of ours: what they ask a side for, and its answer. Why there is one: a change that the other side asked for
//! (`asked_change`), our own refresh, or a side that is out of line.

use super::cause::{Cause, Party};
use super::event::{CallNews, SendFailure};
use super::id::{LegIndex, Token};
use super::leg::Leg;
use super::leg_media::LegMedia;
use super::readable::description_of;
use super::realign::{is_passing, may_be_asked_again};
use super::session_clock::{SessionClock, peer_session_timer};
use super::value::Call;
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, Recoding, Session};
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::{SessionTimerOffer, parse_seconds};
use crate::sip::transaction::Cause as TransportCause;
use crate::sip::{Flow, Method};
use serde::{Deserialize, Serialize};

/// A re-INVITE of ours that waits for its final answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// The leg that it was sent on.
    pub(super) to: LegIndex,
    pub(super) token: Token,
    pub(super) purpose: Purpose,
    /// Who has asked for it is answered by then, whatever the other side says.
    pub(super) answer_by: Option<Moment>,
    /// Who has asked for it is refused by then.
    #[serde(default)]
    pub(super) give_up_at: Moment,
    offer: SessionTimerOffer,
    /// It did not leave.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unsent: bool,
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
    /// Somebody had asked, Teams or who holds, and was answered before this is.
    Late,
    /// The same, of a resume: it is answered as open.
    LateResume,
    /// Somebody had asked, and took it back or hung up before it was answered.
    TakenBack,
    /// To bring the leg in line with what the other one has settled, or to have it talk; refused so often already.
    Align { tries: u8, opens: bool },
}

impl Purpose {
    /// Whether it is sent on behalf of nobody who still waits for its answer, and says what was settled when it was sent.
    pub(super) fn is_our_own(&self) -> bool {
        matches!(
            self,
            Purpose::Refresh | Purpose::Late | Purpose::LateResume | Purpose::Align { opens: false, .. }
        )
    }
}

impl Change {
    /// Nobody waits any more for what `from` has asked.
    pub(super) fn take_back(&mut self, from: LegIndex) {
        if matches!(self.purpose, Purpose::Asked { from: asked, .. } if asked == from) {
            self.purpose = Purpose::TakenBack;
        }
    }
}

impl Call {
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
        let mut settings = leg.terms.session_timer.proposing();
        if let Some(running) = running {
            settings.interval = running.interval;
            settings.min_se = settings.min_se.min(running.interval);
        }
        settings.min_se = settings.min_se.max(leg.min_se_heard.unwrap_or_default());
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
            answer_by: None,
            give_up_at: Moment::default(),
            offer,
            unsent: false,
            before: Some(Box::new(before)),
        });
        true
    }

    /// Whether this is the re-INVITE of ours that waits for its answer.
    pub(super) fn is_changed_by(&self, token: Token) -> bool {
        self.change.as_ref().is_some_and(|change| change.token == token)
    }

    /// A response to a re-INVITE of ours.
    pub(super) fn change_response(&mut self, token: Token, message: &Message, flow: &Flow, now: Moment) {
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
            200..=299 => self.changed(change, message, flow, now),
            // RFC 3261 §12.2.1.2; a carrier that is silent about what Teams asks may talk on all the same.
            408 if self.outlives_silence(&change) => self.change_refused(change, status, now),
            408 | 481 => self.dialog_lost(&change, status == 408, now),
            401 | 407 => self.authorize_change(change, message, now),
            422 => self.raise_change(change, message, now),
            _ => self.change_refused(change, status, now),
        }
    }

    fn changed(&mut self, change: Change, message: &Message, flow: &Flow, now: Moment) {
        let Some(leg) = self.leg_mut(change.to) else { return };
        if let Some(dialog) = &mut leg.dialog {
            dialog.refresh_target(message);
        }
        if !leg.terms.keeps_flow() {
            leg.flow = leg.way(message, flow, true);
        }
        // The ACK goes where its 2xx says (RFC 3261 §13.2.2.4).
        self.acknowledge(change.to, message.cseq().0);
        let body = description_of(message).ok().flatten();
        let Some(leg) = self.leg_mut(change.to) else { return };
        let agreed = change.offer.agreed(&peer_session_timer(message));
        leg.session = agreed.map(|timer| SessionClock::start(timer, now));
        // A refresh repeats what was settled before: what waits for its end is still to be told.
        if !matches!(change.purpose, Purpose::Refresh) {
            leg.realign = None;
        }
        let terms = leg.terms.clone();
        let offered = leg.media.offered.as_ref().map(|offer| offer.direction);
        let taken = match body {
            Some(body) => leg
                .media
                .take_answer(&terms, &body, true)
                .map_err(|refusal| refusal.to_string()),
            None => Err("its 200 has no session description".to_owned()),
        };
        let by_teams = self.is_asked_by_teams(&change);
        let Some(leg) = self.leg_mut(change.to) else { return };
        // A hold of Teams is accepted (TEAMS-072), also where the other side's 200 to it makes no sense.
        let taken = taken.or_else(|fault| match by_teams && leg.media.holds_without_an_answer() {
            true => Ok(()),
            false => Err(fault),
        });
        let is_taken = taken.is_ok();
        if !is_taken && let Some(before) = change.before {
            leg.media.bring_back(*before, true);
        }
        match change.purpose {
            Purpose::Refresh if self.is_alone(change.to) => self.connect_alone(change.to, now),
            Purpose::Align { opens: true, .. } => {
                self.reconnect(now);
                if let Some(partner) = self.partner(change.to) {
                    self.align_staying(change.to, partner, now);
                }
            }
            Purpose::Refresh => self.reconnect(now),
            // What nobody can use, it would say again.
            Purpose::Align { .. } if taken.is_err() => self.reconnect(now),
            Purpose::Align { .. } => self.aligned(change.to, offered, now),
            Purpose::Late | Purpose::LateResume => self.agreed_late(change.to, now),
            Purpose::TakenBack => {
                self.reconnect(now);
                self.align(change.to, now);
            }
            Purpose::Asked { from, offer } => match taken.and_then(|()| self.answer_change(from, &offer)) {
                Ok(()) => {
                    self.reconnect(now);
                    self.accept_change(from, now);
                    self.tell_of_hold_beside(change.to, now);
                }
                Err(detail) => {
                    self.refuse_change(from, 488, Some(detail));
                    // The other side has changed for nothing.
                    self.align(change.to, now);
                }
            },
        }
        // To what nobody can use, it would say that again.
        if is_taken {
            self.offer_new_key(change.to, now);
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
                self.limit_wait(change.answer_by, now);
            }
            (_, _, before) => self.change_refused(Change { before, ..change }, status, now),
        }
    }

    /// 422: the interval is raised once (RFC 4028 §7.4).
    fn raise_change(&mut self, change: Change, message: &Message, now: Moment) {
        let min_se = message.header(HeaderName::MinSe).and_then(parse_seconds);
        if let Some(leg) = self.leg_mut(change.to) {
            leg.note_min_se(message);
        }
        let body = self.leg(change.to).and_then(|leg| leg.media.described.clone());
        match (change.offer.raise(min_se), body, change.before) {
            (Some(raised), Some(body), Some(before)) => {
                if let Some(clock) = self.leg_mut(change.to).and_then(|leg| leg.session.as_mut()) {
                    clock.timer.interval = raised.interval;
                }
                self.send_offer(change.to, body, Some(raised), change.purpose, *before);
                self.limit_wait(change.answer_by, now);
            }
            (_, _, before) => self.change_refused(Change { before, ..change }, 422, now),
        }
    }

    /// The other side said no: the asker hears it, and everything stays as it was (RFC 3261 §14.1).
    fn change_refused(&mut self, mut change: Change, status: u16, now: Moment) {
        if let Some(leg) = self.leg_mut(change.to)
            && let Some(before) = change.before.take()
        {
            leg.media.bring_back(*before, false);
        }
        let by_teams = self.is_asked_by_teams(&change);
        if self.answer_anyhow(&change, now) {
            change.purpose = Purpose::Late;
        } else if matches!(change.purpose, Purpose::Asked { .. }) && !by_teams && is_passing(status) {
            let held = self.hold_anyhow(&change, now);
            let (leg, status) = (change.to, (!change.unsent).then_some(status));
            self.tell(CallNews::ChangePutOff { leg, status, held });
            if held {
                change.purpose = Purpose::Late;
            }
        }
        match change.purpose {
            Purpose::Refresh => self.refresh_refused(change.to, (!change.unsent).then_some(status), now),
            Purpose::Asked { from, offer } if self.recodes_instead(status, from, &offer) => {
                match self.answer_change(from, &offer) {
                    Ok(()) => {
                        self.reconnect(now);
                        self.accept_change(from, now);
                    }
                    Err(detail) => self.refuse_change(from, 488, Some(detail)),
                }
            }
            Purpose::Asked { from, .. } => {
                let status = match status {
                    488 | 491 | 606 | 415 => status,
                    // 503 would say of this node that it is to be left alone (RFC 3261 §16.7 step 6).
                    status if is_passing(status) && !by_teams => 500,
                    _ => 488,
                };
                self.refuse_change(from, status, None);
            }
            Purpose::Align { tries, opens } => self.alignment_refused(change.to, (tries, opens), status, now),
            Purpose::LateResume if !may_be_asked_again(status) => {
                if let Some(partner) = self.partner(change.to) {
                    let so = self.leg(partner).and_then(|leg| leg.media.negotiated.as_ref());
                    self.align_unless(partner, so.map(|settled| settled.direction), now);
                }
            }
            Purpose::Late | Purpose::LateResume => self.alignment_refused(change.to, (0, false), status, now),
            Purpose::TakenBack => {}
        }
    }

    /// Whether what the peer of `from` offers is another codec and no more, and is recoded where the other side refuses it.
    fn recodes_instead(&self, status: u16, from: LegIndex, offer: &[u8]) -> bool {
        let partner = self.partner(from).and_then(|partner| self.leg(partner));
        let settled = partner.and_then(|partner| partner.media.negotiated.as_ref());
        let (Some(leg), Some(partner), Some(settled), Ok(session)) =
            (self.leg(from), partner, settled, Session::parse(offer))
        else {
            return false;
        };
        let carried = sdp::carry_offer(&session, &leg.terms.media, &partner.terms.media, Recoding::Any);
        let mut speech = settled
            .formats
            .iter()
            .filter(|known| !known.format.codec.is_auxiliary());
        let is_spoken = speech.all(|known| known.format.speech().is_some());
        !may_be_asked_again(status)
            && is_spoken
            && !session.is_switched_off()
            && carried.is_ok_and(|carried| {
                carried.direction == settled.direction && carried.formats.iter().any(|format| format.speech().is_some())
            })
    }

    /// No final answer to a re-INVITE: a far side that does not answer is gone, one that could not be reached just now
    /// may be back. True when `token` was one.
    pub(super) fn change_failed(&mut self, token: Token, failure: &SendFailure, now: Moment) -> bool {
        let Some(change) = self.change.take_if(|change| change.token == token) else {
            return false;
        };
        match failure {
            SendFailure::Transport(TransportCause::Timeout) if self.outlives_silence(&change) => {
                self.change_refused(change, 408, now);
            }
            SendFailure::Transport(TransportCause::Timeout) => self.dialog_lost(&change, true, now),
            _ => self.change_not_sent(change, now),
        }
        true
    }

    /// Where a carrier's own connection is gone, its Contact is tried.
    fn change_not_sent(&mut self, change: Change, now: Moment) {
        let leg = self.leg_mut(change.to).filter(|_| change.before.is_some());
        let left = leg.is_some_and(Leg::leave_connection);
        let body = self.leg(change.to).and_then(|leg| leg.media.described.clone());
        match (body.filter(|_| left), change.before) {
            (Some(body), Some(before)) => {
                self.send_offer(change.to, body, Some(change.offer), change.purpose, *before);
                self.limit_wait(change.answer_by, now);
            }
            (_, before) => {
                let unsent = Change {
                    before,
                    unsent: true,
                    ..change
                };
                self.change_refused(unsent, 503, now);
            }
        }
    }

    fn outlives_silence(&self, change: &Change) -> bool {
        // Nobody waits for the end of what was taken back, or of what brings a side in line.
        let waits = match change.purpose {
            Purpose::Late | Purpose::TakenBack | Purpose::Align { opens: false, .. } => false,
            Purpose::Refresh | Purpose::Asked { .. } | Purpose::LateResume | Purpose::Align { opens: true, .. } => true,
        };
        !waits || self.is_asked_by_teams(change)
    }

    fn dialog_lost(&mut self, change: &Change, silent: bool, now: Moment) {
        let side = self.leg(change.to).map_or(Party::Node, |leg| leg.side);
        let cause = Cause::DialogLost { side, silent };
        let reason = cause.reason();
        self.lose(change.to, cause, reason, now);
    }

    pub(super) fn reconnect(&mut self, now: Moment) {
        if self.connect_waiting(now) {
            return;
        }
        match self.winner {
            Some(callee) if self.app.is_none() || self.bridged.is_some() => self.connect(callee, now),
            _ if self.app.is_some() => self.connect_alone(LegIndex::CALLER, now),
            _ => {}
        }
    }
}
