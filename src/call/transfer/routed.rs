//! REFER of a carrier or of a user (TEAMS-091): the call that it asks for is routed as one of its own, outside of the call
//! value, and rings like any other. Nothing of it is sent to Teams but INVITEs: who stays there stays on its leg.

use super::referred::{Heard, RINGS, Referral};
use super::{Kind, TransferStep, Unmovable, side_of};
use crate::call::answer::COMPLETED_ELSEWHERE;
use crate::call::dialing::MOST_LEGS;
use crate::call::event::Effect;
use crate::call::hunt::Ringing;
use crate::call::id::LegIndex;
use crate::call::record::{LegTransfer, TransferKind};
use crate::call::value::Call;
use crate::dial::{Attempt, AttemptFailure, best_failure};
use crate::moment::Moment;
use crate::route::{ReferTo, Refusal, Trace, Unreferable};
use crate::sip::message::Message;
use crate::sip::transaction::ServerTransactionId;

/// A REFER that is to be routed.
#[derive(Debug)]
pub struct TransferWish {
    /// Whose peer has sent it.
    pub by: LegIndex,
    pub refer_to: ReferTo,
    pub(super) transaction: ServerTransactionId,
    pub(super) cseq: u32,
}

impl Call {
    /// A REFER inside the dialog of a leg that may be routed.
    pub(in crate::call) fn route_asked(
        &mut self,
        index: LegIndex,
        transaction: ServerTransactionId,
        message: &Message,
    ) {
        let may_refer = self.may_refer(index).map_err(Unreferable::from);
        let wish = may_refer.and_then(|_| {
            Ok(TransferWish {
                by: index,
                refer_to: ReferTo::read(message)?,
                transaction,
                cseq: message.cseq().0,
            })
        });
        match wish {
            Ok(wish) => match wish.refer_to.replaces.clone() {
                Some(replaces) => self.join_asked(wish, &replaces),
                None => self.effects.push(Effect::PlanTransfer(Box::new(wish))),
            },
            Err(fault) => self.refuse_refer(index, transaction, message, fault),
        }
    }

    /// Who stays when the peer of this leg refers it, or why it may not.
    pub(super) fn may_refer(&self, index: LegIndex) -> Result<LegIndex, Unmovable> {
        if !self.leg(index).is_some_and(|leg| leg.is_up()) {
            return Err(Unmovable::LegDown);
        }
        let stays = self.who_stays(index)?;
        match self.is_emergency(index) || self.is_emergency(stays) {
            // It is left as it is.
            true => Err(Unmovable::Emergency),
            false => Ok(stays),
        }
    }

    /// The REFER is routed: whom it names is rung, or it is refused.
    pub(in crate::call) fn transfer_planned(
        &mut self,
        wish: TransferWish,
        plan: Result<Vec<Attempt>, Refusal>,
        trace: Trace,
        now: Moment,
    ) {
        let (old, transaction) = (wish.by, wish.transaction);
        let target = wish.refer_to.said.clone();
        let planned = match plan {
            Ok(attempts) => self.may_ring(old, attempts),
            Err(refusal) => {
                self.refuse_routed(old, transaction, target, (refusal, trace));
                return;
            }
        };
        let (stays, attempts) = match planned {
            Ok(planned) => planned,
            Err(why) => {
                self.refuse_target(old, transaction, Some(target), why);
                return;
            }
        };
        let new = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        self.begin_referred((old, new, stays), wish.cseq, true, now);
        self.accept_refer(old, transaction);
        self.tell_referrer(100, false);
        self.failures.clear();
        let ringing = |attempt| Ringing::new(attempt, RINGS);
        self.ringing = attempts.into_iter().map(ringing).collect();
        if let Some(transfer) = &mut self.transfer
            && let Kind::Referred(referral) = &mut transfer.kind
        {
            referral.asked = Some(LegTransfer {
                kind: TransferKind::Referred,
                of: old.0,
                refer_to: Some(target),
                referred_by: wish.refer_to.referred_by,
                trace: trace.0,
            });
        }
        self.tell_transfer(TransferStep::Began);
        for position in 0..self.ringing.len() {
            self.next_hop(position, now);
        }
    }

    fn may_ring(&self, old: LegIndex, attempts: Vec<Attempt>) -> Result<(LegIndex, Vec<Attempt>), Unmovable> {
        let stays = self.may_refer(old)?;
        let fits = self.legs.len() + attempts.len() <= MOST_LEGS;
        fits.then_some((stays, attempts)).ok_or(Unmovable::TooManyLegs)
    }

    fn routed(&self) -> Option<&Referral> {
        match &self.transfer.as_ref()?.kind {
            Kind::Referred(referral) if referral.routed => Some(referral),
            _ => None,
        }
    }

    /// Whether the attempts of the call ring for whoever waits.
    pub(in crate::call) fn is_ringing_for_transfer(&self) -> bool {
        self.routed().is_some()
    }

    /// Whether a leg is one of those that ring for whoever waits.
    pub(in crate::call) fn rings_for_transfer(&self, index: LegIndex) -> bool {
        self.routed().is_some() && self.ringing.iter().any(|ringing| ringing.leg == Some(index))
    }

    /// A leg has been made for the next hop: whose place it is to take.
    pub(in crate::call) fn note_arriving(&mut self, index: LegIndex) {
        let Some(asked) = self.routed().and_then(|referral| referral.asked.clone()) else {
            return;
        };
        if let Some(leg) = self.leg_mut(index) {
            leg.side = side_of(LegIndex(asked.of));
            leg.record.transfer = Some(asked);
        }
    }

    /// Who was heard while it rang has failed: the tone is heard instead of it.
    pub(in crate::call) fn unhear_arriving(&mut self, index: LegIndex, now: Moment) {
        let is_heard = self.transfer.as_ref().is_some_and(|transfer| transfer.new == index);
        if !is_heard || !self.rings_for_transfer(index) {
            return;
        }
        let Some((stays, referral)) = self.referral_of(index) else {
            return;
        };
        if referral.heard == Heard::New {
            referral.heard = Heard::RingBack;
            self.reconnect(now);
            self.ring_back(stays, true);
        }
    }

    /// This one of those that ring is to come; the others are given up.
    pub(super) fn choose_arriving(&mut self, index: LegIndex) {
        if !self.rings_for_transfer(index) {
            return;
        }
        if let Some(transfer) = &mut self.transfer {
            transfer.new = index;
        }
        if let Some(ringing) = self.ringing_of(index) {
            ringing.leg = None;
        }
        self.give_up_ringing(Some(COMPLETED_ELSEWHERE));
    }

    /// Gives up all that ring for who waits.
    pub(super) fn give_up_ringing(&mut self, reason: Option<&str>) {
        for ringing in std::mem::take(&mut self.ringing) {
            let Some(index) = ringing.leg else { continue };
            self.give_up(index, reason.map(str::to_owned));
            self.close_media(index);
        }
    }

    /// Nobody that the REFER leads to has answered.
    pub(in crate::call) fn nobody_arrives(&mut self, now: Moment) {
        let failure = best_failure(&self.failures).cloned();
        let failure = failure.unwrap_or_else(|| {
            let why = "it leads to no destination".to_owned();
            AttemptFailure::local(503, "Service Unavailable", why)
        });
        self.transfer_failed(&failure, now);
    }
}
