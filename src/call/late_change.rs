//! What Teams asks for in a re-INVITE, above all to hold and to resume, is accepted whatever the other side says to it, and
//! before Teams loses patience (TEAMS-072). The other side then stays as it was: Teams is not heard there while it holds, nor
//! hears anything. A hold of anybody else is accepted so where the other side can't take it just now.

use super::asked_change::Consequence;
use super::change::{Change, Purpose};
use super::event::Effect;
use super::id::LegIndex;
use super::leg::Leg;
use super::readable::description_of;
use super::value::{Call, Phase};
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sdp::{Direction, HoldStyle, Session};
use crate::sip::message::Message;
use std::time::Duration;

/// How long Teams waits for what the other side says.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long anybody waits where the other side says 100 and no more. Longer than a transaction to which nothing is said
/// (RFC 3261 timer B).
const MOST_PATIENCE: Duration = Duration::from_secs(40);

impl Change {
    /// Who waits for its answer, and with which offer.
    fn asked(&self) -> Option<(LegIndex, &[u8])> {
        match &self.purpose {
            Purpose::Asked { from, offer } => Some((*from, offer)),
            _ => None,
        }
    }
}

impl Call {
    /// A re-INVITE is under way: where Teams has asked for it, it does not wait for ever. `until`: what was said of it when it
    /// was sent for the first time.
    pub(super) fn limit_wait(&mut self, until: Option<Moment>, now: Moment) {
        let is_of_teams = self
            .change
            .as_ref()
            .is_some_and(|change| self.is_asked_by_teams(change));
        if let Some(change) = &mut self.change {
            let patience = if is_of_teams { PATIENCE } else { MOST_PATIENCE };
            change.answer_by = Some(until.unwrap_or(now + patience));
            change.give_up_at = now + MOST_PATIENCE;
        }
    }

    pub(super) fn is_asked_by_teams(&self, change: &Change) -> bool {
        let from = change.asked().and_then(|(from, _)| self.leg(from));
        from.is_some_and(|leg: &Leg| matches!(leg.terms.kind, LegKind::Teams { .. }))
    }

    /// When Teams is answered at the latest.
    pub(super) fn next_late_answer(&self) -> Option<Moment> {
        self.change.as_ref().and_then(|change| change.answer_by)
    }

    pub(super) fn late_answers(&mut self, now: Moment) {
        if self.next_late_answer().is_none_or(|by| by > now) {
            return;
        }
        let Some(mut change) = self.change.take() else { return };
        change.answer_by = None;
        if self.answer_anyhow(&change, now) {
            change.purpose = Purpose::Late;
        } else if self.resume_anyhow(&change, now) {
            (change.purpose, change.answer_by) = (Purpose::LateResume, Some(change.give_up_at));
        } else if change.give_up_at > now {
            change.answer_by = Some(change.give_up_at);
        } else if let Some((from, _)) = change.asked() {
            let token = change.token;
            change.purpose = Purpose::TakenBack;
            self.refuse_change(from, 504, None);
            self.effects.push(Effect::CancelRequest { token, reason: None });
        } else if matches!(change.purpose, Purpose::LateResume) {
            let token = change.token;
            self.effects.push(Effect::CancelRequest { token, reason: None });
        }
        self.change = Some(change);
    }

    /// Answers Teams with what the other side has, although that has not agreed. False where somebody else has asked, or
    /// there is nothing in common, or where Teams would be heard again and the other side will not have it.
    pub(super) fn answer_anyhow(&mut self, change: &Change, now: Moment) -> bool {
        if !self.is_asked_by_teams(change) {
            return false;
        }
        let Some((from, offer)) = change.asked() else {
            return false;
        };
        if wants_open(offer) && !self.is_open_both_ways(change.to) {
            return false;
        }
        self.accept_with(from, offer, now)
    }

    /// Answers whoever has asked for a hold of which the other side can't be told just now, although nothing is wrong with it: a
    /// refusal would say that of the description. The other side hears of it when it is asked again.
    pub(super) fn hold_anyhow(&mut self, change: &Change, now: Moment) -> bool {
        match change.asked().filter(|(_, offer)| !wants_open(offer)) {
            Some((from, offer)) => self.accept_with(from, offer, now),
            None => false,
        }
    }

    /// False where the two have nothing in common.
    fn accept_with(&mut self, from: LegIndex, offer: &[u8], now: Moment) -> bool {
        let answered = self.answer_change(from, offer).is_ok();
        if answered {
            self.reconnect(now);
            self.accept_change(from, now);
        }
        answered
    }

    /// Answers a resume of Teams while the other side, which was told of the hold, says nothing yet: once it agrees, both are
    /// heard; where it will not, Teams is told that it is on hold, and where it never answers, it is gone.
    fn resume_anyhow(&mut self, change: &Change, now: Moment) -> bool {
        let Some((from, offer)) = change.asked().filter(|(_, offer)| wants_open(offer)) else {
            return false;
        };
        let answered = self.is_asked_by_teams(change) && self.answer_beside(from, offer, Direction::SendRecv).is_ok();
        if answered {
            self.reconnect(now);
            self.accept_change(from, now);
        }
        answered
    }

    /// Whether a re-INVITE of Teams is answered before the other side hears of it: that one takes its time for something of
    /// ours that nobody waits for, or still owes us the ACK of its own.
    pub(super) fn may_answer_at_once(&self, index: LegIndex, message: &Message) -> bool {
        if self.is_transferring() {
            return self.is_answered_beside_transfer(index, message);
        }
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let (Some(leg), Some(partner)) = (self.leg(index), partner) else {
            return false;
        };
        let will_be_open = self.is_open_both_ways(partner.index) || self.is_resuming(partner.index);
        let is_free = leg.is_up() && leg.waiting.is_none() && leg.media.offered.is_none();
        let is_slow = match &self.change {
            Some(change) => change.to == partner.index && change.purpose.is_our_own(),
            None => partner.unacknowledged.is_some() && partner.media.offered.is_none(),
        };
        matches!(leg.terms.kind, LegKind::Teams { .. })
            && is_free
            && is_slow
            && partner.waiting.is_none()
            && self.phase == Phase::Answered
            && matches!(description_of(message), Ok(Some(offer)) if will_be_open || !wants_open(&offer))
    }

    /// Whether a hold or a re-INVITE without an offer is answered while somebody is about to take the place of this leg or of the
    /// other: whoever talks to it then is brought in line when the transfer is over, however it ends. A resume that needs the
    /// other side, and other codecs, have to wait (491).
    fn is_answered_beside_transfer(&self, index: LegIndex, message: &Message) -> bool {
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let (Some(leg), Some(partner)) = (self.leg(index), partner) else {
            return false;
        };
        let is_free = leg.is_up() && leg.waiting.is_none() && leg.media.offered.is_none();
        if !is_free || self.change.is_some() || self.phase != Phase::Answered {
            return false;
        }
        match description_of(message) {
            Ok(None) => true,
            Ok(Some(offer)) if wants_open(&offer) => false,
            Ok(Some(offer)) => match (self.consequence(index, &offer), &partner.media.negotiated) {
                (Ok(Consequence::Offer(formats, _)), Some(settled)) => {
                    let mut speech = settled
                        .formats()
                        .into_iter()
                        .filter(|known| !known.codec.is_auxiliary());
                    speech.all(|known| formats.iter().any(|format| format.same_codec(&known)))
                }
                _ => false,
            },
            Err(_) => false,
        }
    }

    /// Answers with what the other side has settled, and brings that side in line as soon as it can be asked.
    pub(super) fn answer_at_once(&mut self, index: LegIndex, offer: &[u8], now: Moment) {
        if let Err(detail) = self.answer_change(index, offer) {
            self.refuse_change(index, 488, Some(detail));
            return;
        }
        self.reconnect(now);
        self.accept_change(index, now);
        if let Some(partner) = self.partner(index).filter(|_| !self.is_transferring()) {
            self.align(partner, now);
        }
    }

    /// Whether a leg is about to be open for a Teams that was answered so already.
    pub(super) fn is_resuming(&self, leg: LegIndex) -> bool {
        let change = self.change.as_ref().filter(|change| change.to == leg);
        change.is_some_and(|change| matches!(change.purpose, Purpose::LateResume))
    }

    /// The other side has agreed to what Teams was answered long ago; things may have changed since.
    pub(super) fn agreed_late(&mut self, to: LegIndex, now: Moment) {
        self.reconnect(now);
        let settled = self.leg(to).and_then(|leg| leg.media.negotiated.as_ref());
        self.align_unless(to, settled.map(|settled| settled.direction), now);
        self.tell_of_hold_beside(to, now);
    }

    /// A side has answered what we `offered` to bring it in line; the other one may have settled something else since. Who
    /// answers with less than was offered is not asked again.
    pub(super) fn aligned(&mut self, to: LegIndex, offered: Option<Direction>, now: Moment) {
        self.reconnect(now);
        self.align_unless(to, offered, now);
        self.tell_of_hold_beside(to, now);
    }

    /// Who holds on when it is asked to talk: a Teams leg beside it that was answered as open hears of that by an offer, as of
    /// any hold (TEAMS-071).
    pub(super) fn tell_of_hold_beside(&mut self, holder: LegIndex, now: Moment) {
        let partner = self.partner(holder).and_then(|partner| self.leg(partner));
        let Some(leg) = partner.filter(|leg| leg.is_up() && leg.terms.media.hold == HoldStyle::Inactive) else {
            return;
        };
        let (index, settled) = (leg.index, leg.media.negotiated.as_ref());
        let so = settled.map(|settled| settled.direction);
        if so == Some(Direction::SendRecv) && !self.is_transferring() {
            self.align_unless(index, so, now);
        }
    }

    pub(super) fn align_unless(&mut self, to: LegIndex, so: Option<Direction>, now: Moment) {
        let wanted = self.settled_beside(to).map(|(_, direction)| direction);
        if so != wanted {
            self.align(to, now);
        }
    }
}

fn wants_open(offer: &[u8]) -> bool {
    let session = Session::parse(offer).ok();
    let audio = session.as_ref().and_then(|session| session.audio());
    audio.is_some_and(|audio| audio.direction == Direction::SendRecv)
}
