//! Transfers: one leg takes the place of another, beside the one that stays.
//!
//! The call has a third leg meanwhile. It is `new`: `partner()` and `winner` do not know it, and go on naming `old` and
//! `stays` until the swap; so does everything that is asked between those two. What happens to whom, until then:
//!
//! - `old` says BYE: it is gone, and the transfer goes on; should that fail, the call is lost with `old`.
//! - `stays` says BYE, or the call ends: `new` gets a CANCEL (or 487), who asked a NOTIFY of 487, and `old` its BYE.
//! - `new` fails, falls silent, or is cancelled: `old` and `stays` are as they were. For Teams nobody else is tried
//!   (TEAMS-085); a carrier's or a user's REFER is routed, so `new` stands for all that ring, and the next hop is tried as in
//!   any call. A 200 that crosses our CANCEL is acknowledged and hung up like any other.
//! - a re-INVITE of `old` or `stays` is answered where the other need not know, and a hold too (TEAMS-072): whoever talks to
//!   it when the transfer is over is brought in line then. A resume that needs the other, and other codecs, get 491.
//! - one transfer at a time: another REFER or INVITE with Replaces gets 491.
//!
//! The swap is one step: `new` has the place of `old` (the caller's, or the winner's and its child's), the media of `stays`
//! are bridged with its own, whose socket, SSRC and description stay as they are (TEAMS-073); it is offered a change only
//! where it was on hold. Then `old` is no party any more: hung up at once, or left to say BYE itself for a while.

mod door;
mod joined;
mod news;
mod referred;
mod refused;
mod replaced;
mod routed;
mod unmovable;

use super::cause::{Cause, Party};
use super::change::{Change, Purpose};
use super::dialing::MOST_LEGS;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::teardown::NORMAL_CLEARING;
use super::value::{Call, Phase};
use crate::dial::AttemptFailure;
use crate::moment::Moment;
use crate::sdp::Direction;
pub use door::{CalledTrunk, RefusedReplace};
pub use joined::{GivenLeg, LegAnswer, LegWanted, Referring};
pub use news::{TransferNews, TransferStatus, TransferStep};
use referred::{Heard, Referral};
pub use routed::TransferWish;
use serde::{Deserialize, Serialize};
use std::time::Duration;
pub use unmovable::Unmovable;

/// How long who has referred a call has to say BYE itself before we do (facts of transfers: never early).
const LEAVES: Duration = Duration::from_secs(5);

/// A leg that is about to take the place of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transfer {
    /// Who leaves.
    pub(super) old: LegIndex,
    /// Who comes; of several that ring, the one that is heard.
    pub(super) new: LegIndex,
    /// Who goes on talking.
    pub(super) stays: LegIndex,
    kind: Kind,
}

/// What brings the leg that comes.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kind {
    /// Its peer's INVITE, with this offer; none: it waits for ours.
    Replaced { offer: Option<Vec<u8>> },
    /// Ours, to whom the peer of `old` has named.
    Referred(Referral),
}

impl Call {
    /// Whether a leg is about to take another's place.
    pub(super) fn is_arriving(&self, index: LegIndex) -> bool {
        let is_new = self.transfer.as_ref().is_some_and(|transfer| transfer.new == index);
        is_new || self.rings_for_transfer(index)
    }

    /// Whether a transfer is under way.
    pub(super) fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    /// Who stays when a leg that is to come does.
    pub(super) fn stays_beside(&self, index: LegIndex) -> Option<LegIndex> {
        let transfer = self.transfer.as_ref().filter(|_| self.is_arriving(index))?;
        Some(transfer.stays)
    }

    /// Whether another leg is about to take this one's place.
    pub(super) fn has_successor(&self, index: LegIndex) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| transfer.old == index)
    }

    /// Who stays when somebody takes the place of a leg, or why nobody can.
    fn who_stays(&self, old: LegIndex) -> Result<LegIndex, Unmovable> {
        if self.transfer.is_some() || self.joining {
            return Err(Unmovable::Transferring);
        }
        let stays = self
            .partner(old)
            .filter(|_| self.app.is_none() || self.bridged.is_some());
        let is_up = |index| self.leg(index).is_some_and(Leg::is_up);
        match stays.filter(|stays| self.phase == Phase::Answered && is_up(*stays)) {
            Some(stays) if self.legs.len() < MOST_LEGS => Ok(stays),
            Some(_) => Err(Unmovable::TooManyLegs),
            None => Err(Unmovable::Alone),
        }
    }

    /// `new` has its description settled: it takes the place of `old`.
    fn swap_in(&mut self, now: Moment) {
        self.tell_transfer(TransferStep::Made);
        let Some(transfer) = self.transfer.take() else { return };
        let Transfer { old, new, stays, kind } = *transfer;
        if matches!(&kind, Kind::Referred(referral) if referral.heard == Heard::RingBack) {
            self.ring_back(stays, false);
        }
        self.release(old);
        self.stop_hold_music();
        self.application_follows(old, new);
        let sid = self.leg(old).and_then(|leg| leg.record.call_sid);
        let (old, new) = match old {
            LegIndex::CALLER => {
                self.move_to_caller(new);
                self.records_follow(new);
                (new, old)
            }
            _ => {
                self.winner = Some(new);
                (old, new)
            }
        };
        if let Some(leg) = self.leg_mut(new) {
            leg.record.call_sid = sid;
            leg.came = Some(now);
            // What it costs is told anew when it is joined.
            leg.media.recodes_at_cost = false;
        }
        if let Some(winner) = self.winner {
            self.connect(winner, now);
        }
        self.await_media(new);
        self.align_staying(new, stays, now);
        match (kind, self.leg(old).is_some_and(Leg::is_up)) {
            (Kind::Replaced { .. }, true) => self.hang_up(old, Some(NORMAL_CLEARING.into())),
            (Kind::Referred(_), true) => self.leaves(old, now),
            (_, false) => {}
        }
        self.close_media(old);
    }

    /// Who has referred the other side is left to say BYE itself: an early one of ours would count as a transfer that failed.
    pub(super) fn leaves(&mut self, index: LegIndex, now: Moment) {
        if let Some(leg) = self.leg_mut(index).filter(|leg| leg.is_up()) {
            leg.state = LegState::Leaving { until: now + LEAVES };
        }
    }

    /// Who stays is offered a change only where its media does not flow as the other side's does: it was on hold.
    pub(super) fn align_staying(&mut self, beside: LegIndex, stays: LegIndex, now: Moment) {
        // Who follows when the other one talks need not be put on hold before.
        if self
            .leg(beside)
            .and_then(|leg| leg.realign)
            .is_some_and(|realign| realign.opens)
        {
            return;
        }
        let direction = |leg: LegIndex| Some(self.leg(leg)?.media.negotiated.as_ref()?.direction);
        let flows = direction(beside).map(Direction::reversed);
        let aligns = |change: &Change| change.to == stays && matches!(change.purpose, Purpose::Align { .. });
        let changes = self.change.as_ref().is_some_and(aligns);
        if flows.is_some() && (changes || flows != direction(stays)) {
            self.align(stays, now);
        }
    }

    /// What an application knows of a destination goes over to the leg in its place. A caller's place keeps its number.
    fn application_follows(&mut self, old: LegIndex, new: LegIndex) {
        let Some(app) = &mut self.app else { return };
        if let Some(dialing) = &mut app.dialing {
            dialing.boosted.retain(|known| *known != old);
        }
        if old == LegIndex::CALLER {
            return;
        }
        for capture in app.captures.iter_mut().filter(|capture| capture.leg == old) {
            capture.leg = new;
        }
        for ringing in &mut self.ringing {
            let child = ringing.child.as_mut().map(|child| &mut child.leg);
            for leg in child.into_iter().chain([&mut ringing.leg]) {
                if *leg == Some(old) {
                    *leg = Some(new);
                }
            }
        }
    }

    /// The legs have changed their numbers: the caller's, and this one.
    fn records_follow(&mut self, with: LegIndex) {
        let of_legs = self.legs.iter_mut().filter_map(|leg| leg.record.transfer.as_mut());
        for of in of_legs.map(|transfer| &mut transfer.of) {
            *of = match *of {
                0 => with.0,
                of if of == with.0 => 0,
                of => of,
            };
        }
    }

    /// Nothing comes of the transfer: `old` and `stays` go on as they were. Without `old` the call is lost.
    pub(super) fn transfer_failed(&mut self, failure: &AttemptFailure, now: Moment) {
        let Some(transfer) = self.drop_transfer(failure) else {
            return;
        };
        let Transfer { old, stays, kind, .. } = transfer;
        let Some(leg) = self.leg(old) else { return };
        if !leg.is_up() {
            let cause = Cause::hung_up(leg.side);
            let reason = cause.reason();
            self.lose(old, cause, reason, now);
            return;
        }
        if matches!(&kind, Kind::Referred(referral) if referral.heard == Heard::New) {
            self.reconnect(now);
        }
        // It may have been silent while it had nobody to talk to.
        self.await_media(old);
        self.align_staying(old, stays, now);
    }

    /// Ends the leg that was to come; who asked for it hears the status, the log and the record hear why.
    pub(super) fn drop_transfer(&mut self, failure: &AttemptFailure) -> Option<Transfer> {
        let status = failure.came();
        self.tell_referrer(status, true);
        let why = failure.explain();
        self.tell_transfer(TransferStep::Failed { status, why });
        let transfer = *self.transfer.take()?;
        let new = transfer.new;
        if matches!(&transfer.kind, Kind::Referred(referral) if referral.heard == Heard::RingBack) {
            self.ring_back(transfer.stays, false);
        }
        if let Kind::Referred(Referral { routed: true, .. }) = &transfer.kind {
            self.give_up_ringing(None);
        }
        // Its INVITE, where it is the peer's.
        self.refuse_arriving(new, status);
        self.give_up(new, None);
        self.close_media(new);
        if let Some(leg) = self.leg_mut(new) {
            leg.record.note_missed(status, failure);
            if leg.state == LegState::Gone {
                leg.forget();
            }
        }
        Some(transfer)
    }
}

/// Which side a leg is on in the place of another.
fn side_of(old: LegIndex) -> Party {
    match old {
        LegIndex::CALLER => Party::Caller,
        _ => Party::Callee,
    }
}
