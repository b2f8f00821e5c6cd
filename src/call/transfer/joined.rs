//! A consultative transfer (RFC 5589 §7): a REFER of a carrier or a user names, by Replaces, another dialog that the same one has
//! with us. The two it talked to are joined: the leg of the other call moves into this one, with its dialog and its media, and
//! that call is over. Nobody is called, and Teams hears of a re-INVITE at most, where it was on hold.

use super::{TransferStep, TransferWish, Unmovable};
use crate::call::cause::{Cause, Party};
use crate::call::event::{Effect, Event};
use crate::call::id::{CallId, LegIndex};
use crate::call::leg::Leg;
use crate::call::realign::Realign;
use crate::call::record::{LegTransfer, TransferKind};
use crate::call::task::Dowry;
use crate::call::value::Call;
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sip::dialog::DialogId;
use crate::sip::header::Replaces;
use tokio::sync::oneshot;

/// Who refers: only its own dialogs are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referring {
    tenant: String,
    kind: LegKind,
}

/// A call wants the leg that the sender of a REFER talks to in another call.
#[derive(Debug)]
pub struct LegWanted {
    /// The sender's dialog in the call that is asked.
    pub dialog: DialogId,
    pub who: Referring,
    /// Who asks.
    pub to: CallId,
    pub answer: LegAnswer,
}

/// Where the leg goes, or why not.
pub type LegAnswer = oneshot::Sender<Result<Box<GivenLeg>, Unmovable>>;

/// A leg on its way to another call.
#[derive(Debug)]
pub struct GivenLeg {
    pub leg: Leg,
    pub(in crate::call) dowry: Dowry,
}

impl Call {
    /// Who the peer of a leg is, as far as others must be the same.
    pub(in crate::call) fn referring(&self, index: LegIndex) -> Option<Referring> {
        let leg = self.leg(index)?;
        Some(Referring {
            tenant: self.facts.tenant.clone(),
            kind: leg.terms.kind.clone(),
        })
    }

    /// A REFER that names a dialog.
    pub(super) fn join_asked(&mut self, wish: TransferWish, replaces: &Replaces) {
        // Whose dialog is up is not to be replaced (RFC 3891 §3).
        match replaces.early_only {
            true => {
                let target = wish.refer_to.said.clone();
                self.refuse_target(wish.by, wish.transaction, Some(target), 486);
            }
            false => {
                self.joining = true;
                self.effects.push(Effect::Join(Box::new(wish)));
            }
        }
    }

    /// Another call wants the leg that the peer of a dialog here talks to.
    pub(in crate::call) fn leg_wanted(&mut self, wanted: LegWanted, now: Moment) {
        let LegWanted {
            dialog,
            who,
            to,
            answer,
        } = wanted;
        let given = self.may_give(&dialog, &who).and_then(|(by, other)| {
            let leg = self.replace_leg(other).ok_or(Unmovable::NoSuchDialog)?;
            Ok((by, other, leg))
        });
        let (by, from, leg) = match given {
            Ok(given) => given,
            Err(why) => {
                // Whoever asked may be gone.
                let _gone = answer.send(Err(why));
                return;
            }
        };
        if let Some(handle) = leg.media.handle() {
            self.effects.push(Effect::UnbridgeMedia { handle });
        }
        let leg = Box::new(leg);
        self.effects.push(Effect::GiveLeg { leg, from, to, answer });
        let asked = match self.leg(by).map(|leg| leg.side) {
            Some(Party::Caller) => "the caller",
            _ => "the called side",
        };
        let detail = format!("joined to call {to}, as {asked} wanted by a REFER there");
        self.end(Cause::hung_up_here(detail), now);
    }

    /// The leg of the sender, and the other one; or why that one stays where it is.
    fn may_give(&self, dialog: &DialogId, who: &Referring) -> Result<(LegIndex, LegIndex), Unmovable> {
        let is_it = |leg: &&Leg| leg.dialog.as_ref().is_some_and(|known| known.id() == dialog);
        let by = self
            .legs
            .iter()
            .find(is_it)
            .map(|leg| leg.index)
            .ok_or(Unmovable::NoSuchDialog)?;
        if self.referring(by).as_ref() != Some(who) || !self.leg(by).is_some_and(Leg::is_up) {
            return Err(Unmovable::NoSuchDialog);
        }
        if self.app.is_some() {
            return Err(Unmovable::OtherSteered);
        }
        if self.legs.iter().any(|leg| self.is_emergency(leg.index)) {
            return Err(Unmovable::OtherEmergency);
        }
        let other = self.who_stays(by)?;
        // Who names its dialog has seen our 2xx, wherever the ACK is.
        let asks = |leg: &Leg| leg.waiting.is_some() || leg.media.offered.is_some();
        let busy = self.leg(by).is_none_or(asks)
            || self
                .leg(other)
                .is_none_or(|leg| asks(leg) || leg.unacknowledged.is_some());
        match self.change.is_some() || busy {
            true => Err(Unmovable::Changing),
            false => Ok((by, other)),
        }
    }

    /// The call that wanted it is gone: the leg is hung up here.
    pub(in crate::call) fn leg_returned(&mut self, leg: Leg, from: LegIndex) {
        if let Some(place) = self.legs.get_mut(usize::from(from.0)) {
            *place = leg;
            self.hang_up(from, Some(crate::call::teardown::NORMAL_CLEARING.into()));
            self.close_media(from);
        }
    }

    /// The other call has given its leg, or has not.
    pub(in crate::call) fn leg_given(&mut self, wish: TransferWish, given: Result<Box<Leg>, Unmovable>, now: Moment) {
        self.joining = false;
        let (old, transaction) = (wish.by, wish.transaction);
        let mut leg = match given {
            Ok(leg) => *leg,
            Err(why) => {
                let target = wish.refer_to.said.clone();
                self.refuse_target(old, transaction, Some(target), why);
                return;
            }
        };
        let new = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        (leg.index, leg.side) = (new, super::side_of(old));
        leg.count_holds_anew(now);
        // Whatever key was being sent, its end is told to nobody.
        leg.key_ways = Default::default();
        let target = wish.refer_to.said;
        leg.record.transfer = Some(LegTransfer {
            kind: TransferKind::Referred,
            of: old.0,
            refer_to: Some(target.clone()),
            referred_by: wish.refer_to.referred_by,
            trace: Vec::new(),
        });
        let has_media = leg.media.handle().is_some();
        self.legs.push(leg);
        let stays = match self.may_refer(old) {
            Ok(stays) if has_media => stays,
            refused => {
                self.hang_up(new, Some(crate::call::teardown::NORMAL_CLEARING.into()));
                self.close_media(new);
                let why = refused.err().unwrap_or(Unmovable::MediaLost);
                self.refuse_target(old, transaction, Some(target), why);
                return;
            }
        };
        self.begin_referred((old, new, stays), wish.cseq, false, now);
        self.accept_refer(old, transaction);
        self.tell_referrer(100, false);
        self.tell_transfer(TransferStep::Began);
        let fits = self.fits(stays, new).is_ok();
        let open = self.is_open_both_ways(new);
        if let Some(leg) = self.leg_mut(new).filter(|_| !open) {
            leg.realign = Some(Realign::opening(now));
        }
        self.arrived(new, now);
        // Both may have been on hold while the one who has left changed from one to the other.
        let new = if old == LegIndex::CALLER { old } else { new };
        if !open {
            self.open(new, now);
        } else if !fits {
            self.align(new, now);
        }
    }
}

impl From<LegWanted> for Event {
    fn from(wanted: LegWanted) -> Event {
        Event::LegWanted(Box::new(wanted))
    }
}
