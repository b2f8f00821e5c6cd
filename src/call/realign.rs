//! Re-INVITEs of our own that bring a leg in line with what the other side has settled. One that meets the peer's is sent
//! again after a random time (RFC 3261 §14.1), with what is settled by then, until the leg has been through an exchange.

use super::asked_change::Consequence;
use super::change::Purpose;
use super::event::CallNews;
use super::id::LegIndex;
use super::leg::Leg;
use super::value::{Call, Phase};
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, Negotiated, Recoding};
use crate::sip::dialog::Role;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An alignment that meets another change of ours looks again after this long.
const BUSY: Duration = Duration::from_secs(1);
/// A peer that says 491 this often does not mean it.
const MOST_TRIES: u8 = 8;
/// Of the random waits (RFC 3261 §14.1).
const UNIT: Duration = Duration::from_millis(10);

/// A leg that is to be brought in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realign {
    at: Moment,
    /// Re-INVITEs that were refused already.
    tries: u8,
    /// It is offered to talk, whatever the other side has settled, and the other side follows.
    #[serde(default)]
    pub(super) opens: bool,
}

impl Realign {
    /// For a leg that was on hold and is to talk to somebody else.
    pub(super) fn opening(now: Moment) -> Realign {
        Realign {
            at: now,
            tries: 0,
            opens: true,
        }
    }

    fn of(now: Moment) -> Realign {
        Realign {
            opens: false,
            ..Realign::opening(now)
        }
    }
}

/// Whether a refusal of a re-INVITE may be another one's a moment later.
pub(super) const fn may_be_asked_again(status: u16) -> bool {
    status == 491 || is_passing(status)
}

/// Whether a side that refuses a re-INVITE so could not take it just now, whatever was in it: it is overloaded, or what leads
/// there drains or is not reached, for which 503 stands.
pub(super) const fn is_passing(status: u16) -> bool {
    matches!(status, 500 | 503)
}

impl Leg {
    /// Whether an offer of the peer says nothing new, and nothing old that the other side has not heard yet.
    pub(super) fn is_refresh(&self, offer: &[u8]) -> bool {
        self.realign.is_none() && self.media.is_refresh(offer)
    }
}

impl Call {
    /// Offers the other leg what the late answer of `index` allows, where it has settled more.
    pub(super) fn align_partner(&mut self, index: LegIndex, answer: &[u8], now: Moment) -> Result<(), String> {
        if let Consequence::Offer(formats, _) = self.consequence(index, answer)?
            && let Some(partner) = self.partner(index)
        {
            let settled = self.leg(partner).and_then(|leg| leg.media.negotiated.as_ref());
            let is_left = |known: &Format| formats.iter().any(|format| format.same_codec(known));
            let mut speech = settled.map(Negotiated::formats).into_iter().flatten();
            let narrows = speech.any(|known| !known.codec.is_auxiliary() && !is_left(&known));
            // Which way media flows, whoever talks to it after a transfer is told then.
            if narrows || !self.is_transferring() {
                self.align(partner, now);
            }
        }
        Ok(())
    }

    /// Offers a leg what the other side has settled; as soon as nothing else is under way.
    pub(super) fn align(&mut self, to: LegIndex, now: Moment) {
        self.try_to_align(to, Realign::of(now), now);
    }

    /// Offers a leg to talk, and the other one then what it has settled; as soon as nothing else is under way.
    pub(super) fn open(&mut self, to: LegIndex, now: Moment) {
        self.try_to_align(to, Realign::opening(now), now);
    }

    /// Offers a new key of ours to an endpoint that has taken over with an answer: it can't tell how far our stream under the
    /// old one has come (RFC 4568 §7.1.4).
    pub(super) fn offer_new_key(&mut self, to: LegIndex, now: Moment) {
        if self.leg(to).is_some_and(|leg| leg.media.owes_key) {
            self.align(to, now);
        }
    }

    fn try_to_align(&mut self, to: LegIndex, realign: Realign, now: Moment) {
        let allowed = self.may_change(to);
        let Some(leg) = self.leg_mut(to) else { return };
        leg.realign = None;
        match allowed {
            Err(481) => return,
            Ok(()) if leg.unacknowledged.is_none() => {}
            _ => {
                let at = now + BUSY;
                leg.realign = Some(Realign { at, ..realign });
                return;
            }
        }
        if let Some((formats, direction)) = self.settled_beside(to) {
            let direction = if realign.opens { Direction::SendRecv } else { direction };
            let Realign { tries, opens, .. } = realign;
            self.send_change(to, &formats, direction, Purpose::Align { tries, opens });
        }
    }

    /// What a leg is to be offered: what the other side has settled, or both ways where it talks to us alone.
    pub(super) fn settled_beside(&self, index: LegIndex) -> Option<(Vec<Format>, Direction)> {
        let leg = self.leg(index)?;
        let own = leg.media.negotiated.as_ref()?;
        if self.is_alone(index) {
            return Some((own.formats(), Direction::SendRecv));
        }
        let partner = self.leg(self.partner(index)?)?;
        let settled = partner.media.negotiated.as_ref()?;
        let (profile, known) = (&leg.terms.media, settled.formats());
        let is_shared = |format: &Format| known.iter().any(|known| known.same_codec(format));
        let told = partner.media.told_to(profile.hold)?;
        let direction = profile.hold.offered(self.direction_beside(index, told));
        let mut formats = match sdp::carry_settled(settled, profile, Recoding::Any) {
            Ok((carried, _)) if !leg.media.recodes(&partner.media) => carried,
            _ => own.formats(),
        };
        // What can be recoded is no reason to recode.
        let is_speech = |format: &Format| !format.codec.is_auxiliary();
        if formats.iter().any(|format| is_speech(format) && is_shared(format)) {
            formats.retain(|format| !is_speech(format) || is_shared(format));
        }
        Some((formats, direction))
    }

    /// An alignment was refused: one that came at a bad moment is tried again.
    pub(super) fn alignment_refused(&mut self, to: LegIndex, (tries, opens): (u8, bool), status: u16, now: Moment) {
        if !may_be_asked_again(status) || tries >= MOST_TRIES {
            match self.partner(to) {
                Some(partner) if opens => self.align(partner, now),
                Some(partner) => self.stays_closed(to, partner, status, now),
                None => {}
            }
            return;
        }
        // What leads there may take its time to come back: together the tries last for some four minutes.
        let more = match is_passing(status) {
            true => BUSY * ((1 << tries) - 1),
            false => Duration::ZERO,
        };
        let at = now + self.back_off(to) + more;
        if let Some(leg) = self.leg_mut(to) {
            let tries = tries + 1;
            leg.realign = Some(Realign { at, tries, opens });
        }
    }

    /// Who was to talk again will not, as one whom a transfer finds on hold and who refuses to be taken off it: the other side
    /// is told that it is on hold, and may ask again by a resume of its own.
    fn stays_closed(&mut self, refuses: LegIndex, partner: LegIndex, status: u16, now: Moment) {
        let settled = self.leg(partner).and_then(|leg| leg.media.negotiated.as_ref());
        let told = settled.map(|settled| settled.direction);
        let flows = self.settled_beside(partner).map(|(_, direction)| direction);
        let closes = told
            .zip(flows)
            .is_some_and(|(told, flows)| told != flows && told.and(flows) == flows);
        if closes {
            self.tell(CallNews::StaysOnHold { leg: refuses, status });
            self.align(partner, now);
        }
    }

    /// The other side is ready: what only waited for it goes on at once. One that was refused keeps its time.
    pub(super) fn align_waiting(&mut self, to: LegIndex, now: Moment) {
        let waits = self.leg(to).and_then(|leg| leg.realign);
        if let Some(realign) = waits.filter(|realign| realign.tries == 0) {
            self.try_to_align(to, realign, now);
        }
    }

    /// When the next alignment is due.
    pub(super) fn next_alignment(&self) -> Option<Moment> {
        let waiting = self.legs.iter().filter(|leg| leg.is_up());
        let times = waiting.filter_map(|leg| leg.realign).map(|realign| realign.at);
        times.min().filter(|_| self.phase == Phase::Answered)
    }

    /// Alignments that are due.
    pub(super) fn alignments(&mut self, now: Moment) {
        for position in 0..self.legs.len() {
            let leg = &self.legs[position];
            let due = leg.realign.filter(|realign| realign.at <= now && leg.is_up());
            let (index, answered) = (leg.index, self.phase == Phase::Answered);
            if let Some(realign) = due.filter(|_| answered) {
                self.try_to_align(index, realign, now);
            }
        }
    }

    /// After a 491 the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s (RFC 3261 §14.1).
    pub(super) fn back_off(&mut self, index: LegIndex) -> Duration {
        let random = u32::try_from(self.random() % 191).unwrap_or(0);
        let dialog = self.leg(index).and_then(|leg| leg.dialog.as_ref());
        match dialog.map(|dialog| dialog.role()) {
            Some(Role::Uac) => UNIT * (210 + random),
            _ => UNIT * random,
        }
    }
}
