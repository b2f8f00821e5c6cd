//! REFER (RFC 3515, RFC 5589 §6): we call whom it names, and tell by NOTIFY what comes of that. Where Teams refers, whom it
//! names is called at Teams; what a carrier or a user names is routed ([`routed`](super::routed)).

use super::{Kind, Transfer, TransferStep, Unmovable, side_of};
use crate::call::event::Effect;
use crate::call::hunt::{Awaited, Next};
use crate::call::id::{LegIndex, Token};
use crate::call::leg::{Leg, LegState, OutcomeDue};
use crate::call::readable::description_of;
use crate::call::record::{LegTransfer, TransferKind};
use crate::call::value::Call;
use crate::dial::{AttemptFailure, Transfers};
use crate::moment::Moment;
use crate::route::Unreferable;
use crate::sdp::{self, Direction, Recoding};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message, reason_phrase};
use crate::sip::transaction::ServerTransactionId;
use crate::teams::transfer::{self, Shown};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the other one may ring: as long as the subscription that is told of lasts.
pub(super) const RINGS: Duration = Duration::from_secs(60);

/// A REFER that we carry out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Referral {
    /// As of [`Call::referral_id`].
    id: Option<u32>,
    /// Its REFER was routed: who rings stands among the call's attempts, which know when to try the next hop.
    pub(super) routed: bool,
    /// What it asks for, where it was routed.
    pub(super) asked: Option<LegTransfer>,
    /// The status that was told last.
    said: u16,
    pub(super) heard: Heard,
    /// What the INVITE waits to hear, where one hub alone is asked.
    awaited: Option<Awaited>,
    /// Unanswered by then: it is given up.
    rings_until: Moment,
}

/// What the one who waits hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Heard {
    /// Who referred it, or nothing where that one holds it.
    Old,
    RingBack,
    /// Early media of who is called.
    New,
}

impl Referral {
    fn new(id: Option<u32>, routed: bool, now: Moment) -> Referral {
        Referral {
            id,
            routed,
            asked: None,
            said: 100,
            heard: Heard::Old,
            awaited: None,
            rings_until: now + RINGS,
        }
    }

    /// The status that its sender was told last.
    pub(super) const fn said(&self) -> u16 {
        self.said
    }
}

impl Call {
    /// A REFER inside the dialog of a Teams leg.
    pub(in crate::call) fn transfer_asked(
        &mut self,
        index: LegIndex,
        transaction: ServerTransactionId,
        message: &Message,
        now: Moment,
    ) {
        match self.begin_referral(index, message, now) {
            Err(fault) => self.refuse_refer(index, transaction, message, fault),
            Ok(new) => {
                self.accept_refer(index, transaction);
                self.tell_referrer(100, false);
                self.tell_transfer(TransferStep::Began);
                self.open_media(new);
            }
        }
    }

    /// 202 to a REFER.
    pub(in crate::call) fn accept_refer(&mut self, index: LegIndex, transaction: ServerTransactionId) {
        let Some(leg) = self.leg(index) else { return };
        let tag = leg.dialog.as_ref().map(|dialog| dialog.id().local_tag.clone());
        let draft = leg.dialog_response(202, &tag.unwrap_or_default());
        self.respond(transaction, draft);
    }

    /// What tells the NOTIFYs of a REFER that is accepted from those of an earlier one in the dialog: its CSeq
    /// (RFC 3515 §2.4.6).
    pub(in crate::call) fn referral_id(&mut self, index: LegIndex, cseq: u32) -> Option<u32> {
        let later = self
            .leg_mut(index)
            .is_some_and(|leg| std::mem::replace(&mut leg.has_referred, true));
        later.then_some(cseq)
    }

    /// Begins the transfer that a REFER with this CSeq asks for.
    pub(super) fn begin_referred(
        &mut self,
        (old, new, stays): (LegIndex, LegIndex, LegIndex),
        cseq: u32,
        routed: bool,
        now: Moment,
    ) {
        let id = self.referral_id(old, cseq);
        let kind = Kind::Referred(Referral::new(id, routed, now));
        self.transfer = Some(Box::new(Transfer { old, new, stays, kind }));
    }

    fn begin_referral(&mut self, old: LegIndex, message: &Message, now: Moment) -> Result<LegIndex, Unreferable> {
        let leg = self.leg(old).filter(|leg| leg.is_up()).ok_or(Unmovable::LegDown)?;
        let (terms, hop_from) = (leg.terms.clone(), leg.hop.as_ref().map(|hop| hop.from.clone()));
        let Some(Transfers::ToHubs(hubs)) = &terms.transfers else {
            return Err(405.into());
        };
        let stays = self.who_stays(old)?;
        if self.is_emergency(old) || self.is_emergency(stays) {
            // It is left as it is.
            return Err(Unmovable::Emergency.into());
        }
        let wanted = transfer::read(message)?;
        let shown = Shown {
            user: &leg.contact_user,
            from: hop_from.as_deref(),
        };
        let hop = transfer::hop(&terms, hubs, &shown, &wanted)?;

        let new = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        let random = self.random();
        let mut leg = Leg::new(new, side_of(old), terms.clone(), hop.contact_user.clone());
        leg.record.call_id = self.hop_mark.call_id(random);
        leg.record.peer = Some(hop.peer.clone());
        leg.record.transfer = Some(LegTransfer {
            kind: TransferKind::Referred,
            of: old.0,
            refer_to: Some(wanted.target.as_str().to_owned()),
            referred_by: wanted.referred_by,
            trace: Vec::new(),
        });
        leg.hop = Some(hop);
        self.legs.push(leg);
        self.begin_referred((old, new, stays), message.cseq().0, false, now);
        Ok(new)
    }

    /// NOTIFY to who has asked for the transfer, while its dialog is there (TEAMS-084).
    pub(super) fn tell_referrer(&mut self, status: u16, is_last: bool) {
        let Some(transfer) = &self.transfer else { return };
        let (old, Kind::Referred(referral)) = (transfer.old, &transfer.kind) else {
            return;
        };
        let id = referral.id;
        if self.leg(old).is_some_and(Leg::is_up) {
            self.notify_referrer(old, id, status, is_last);
        }
    }

    /// NOTIFY of what comes of a REFER to its sender, while its dialog is there, also where its sender is left to say BYE.
    pub(in crate::call) fn notify_referrer(
        &mut self,
        old: LegIndex,
        id: Option<u32>,
        status: u16,
        is_last: bool,
    ) -> Option<Token> {
        let event = match id {
            Some(id) => format!("refer;id={id}"),
            None => "refer".to_owned(),
        };
        let is_there = |leg: &&mut Leg| matches!(leg.state, LegState::Up | LegState::Leaving { .. });
        let leg = self.leg_mut(old).filter(is_there)?;
        let contact = leg.contact();
        let (draft, to) = leg.request(Method::Notify)?;
        let state = match is_last {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={}", RINGS.as_secs()),
        };
        let fragment = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status));
        let draft = draft
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .body("message/sipfrag;version=2.0", fragment);
        Some(self.send(old, draft, to))
    }

    /// A NOTIFY has its answer, or gets none: what came of the REFER may be told now. Two on their way at once could arrive the
    /// other way round, and the last one ends the subscription.
    pub(in crate::call) fn notice_answered(&mut self, token: Token, status: Option<u16>) -> bool {
        let waits = |leg: &&Leg| leg.outcome_due.is_some_and(|due| due.after == token);
        let Some(index) = self.legs.iter().find(waits).map(|leg| leg.index) else {
            return false;
        };
        // Nobody listens any more (RFC 6665 §4.2.2).
        let is_over = matches!(status, Some(404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604));
        match self.leg_mut(index).filter(|_| is_over) {
            Some(leg) => leg.outcome_due = None,
            None => self.tell_outcome(index),
        }
        true
    }

    /// What came of a REFER that a hook has decided, where that is still to be told.
    pub(in crate::call) fn tell_outcome(&mut self, index: LegIndex) {
        let due = self.leg_mut(index).and_then(|leg| leg.outcome_due.take());
        if let Some(OutcomeDue { id, status, .. }) = due {
            self.notify_referrer(index, id, status, true);
        }
    }

    pub(super) fn referral_of(&mut self, index: LegIndex) -> Option<(LegIndex, &mut Referral)> {
        let arrives = self.is_arriving(index);
        let transfer = self.transfer.as_mut().filter(|_| arrives)?;
        match &mut transfer.kind {
            Kind::Referred(referral) => Some((transfer.stays, referral)),
            Kind::Replaced { .. } => None,
        }
    }

    /// The INVITE of a leg that is to come has been sent.
    pub(in crate::call) fn await_arriving(&mut self, index: LegIndex, patience: Duration, now: Moment) {
        if let Some((_, referral)) = self.referral_of(index).filter(|(_, referral)| !referral.routed) {
            referral.awaited = Some(Awaited::Response { until: now + patience });
        }
    }

    /// Its peer says something.
    pub(in crate::call) fn heard_arriving(
        &mut self,
        index: LegIndex,
        status: u16,
        progress: Option<Duration>,
        now: Moment,
    ) {
        if let Some((_, referral)) = self.referral_of(index) {
            referral.awaited = referral.awaited.and_then(|awaited| awaited.then(status, progress, now));
        }
    }

    /// The offer of a leg that is to come: what the one who stays has settled, live whoever was on hold.
    pub(in crate::call) fn offer_arriving(&mut self, index: LegIndex, may_recode: bool) -> Result<String, String> {
        let stays = self.transfer.as_ref().ok_or("no transfer")?.stays;
        let settled = self.leg(stays).and_then(|leg| leg.media.negotiated.clone());
        let settled = settled.ok_or("the other side has no media")?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        let carry = |recoding| {
            let carried = sdp::carry_settled(&settled, &terms.media, recoding);
            carried
                .map(|(formats, _)| formats)
                .map_err(|refusal| refusal.to_string())
        };
        let (cheap, any) = (carry(Recoding::Cheap), carry(Recoding::Any)?);
        let formats = if may_recode { any.clone() } else { cheap.clone()? };
        leg.media.recodes_at_cost = may_recode && cheap != Ok(any);
        let offered = leg.media.offer(&terms, &formats, Direction::SendRecv);
        offered.ok_or_else(|| "media is not open".into())
    }

    /// A provisional response: who waits hears it ring, or whom it will talk to (TEAMS-087).
    pub(in crate::call) fn progress_arriving(&mut self, index: LegIndex, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(180);
        let early_media = self.early_media_arriving(index, message, now);
        if early_media && let Some(transfer) = &mut self.transfer {
            transfer.new = index;
        }
        let Some((stays, referral)) = self.referral_of(index) else {
            return;
        };
        let before = referral.heard;
        referral.heard = match before {
            _ if early_media => Heard::New,
            // The early dialog of a fork has ended (RFC 6228).
            _ if status == 199 => before,
            Heard::Old => Heard::RingBack,
            heard => heard,
        };
        let (heard, is_news) = (referral.heard, referral.said != status && status != 199);
        if is_news {
            referral.said = status;
            self.tell_referrer(status, false);
        }
        if before == Heard::Old && heard != before {
            self.tell_transfer(TransferStep::Rings { status });
        }
        if heard != before && (heard == Heard::RingBack || before == Heard::RingBack) {
            self.ring_back(stays, heard == Heard::RingBack);
        }
        if early_media {
            self.reconnect(now);
        }
        let settled = self.leg(stays).and_then(|leg| leg.media.negotiated.as_ref());
        if before == Heard::Old && settled.is_some_and(|settled| settled.direction != Direction::SendRecv) {
            // Who referred it had it on hold.
            self.align(stays, now);
        }
    }

    fn early_media_arriving(&mut self, index: LegIndex, message: &Message, now: Moment) -> bool {
        let heard = self.transfer.as_ref().map(|transfer| transfer.new);
        let Some((stays, referral)) = self.referral_of(index) else {
            return false;
        };
        // The first that says something is heard.
        if referral.heard == Heard::New && heard != Some(index) {
            return false;
        }
        let Ok(Some(body)) = description_of(message) else {
            return false;
        };
        let Some(leg) = self.leg_mut(index) else { return false };
        let terms = leg.terms.clone();
        // What can't be read is not heard; the final answer decides.
        leg.media.take_early_answer(&terms, &body, now).is_ok() && self.fits(stays, index).is_ok()
    }

    /// Whom we have called in the place of another has answered, and its media are settled.
    pub(in crate::call) fn arrived(&mut self, index: LegIndex, now: Moment) {
        self.choose_arriving(index);
        self.tell_referrer(200, true);
        self.swap_in(now);
    }

    /// The INVITE of a leg that was to come has failed.
    pub(in crate::call) fn arriving_failed(
        &mut self,
        failure: &AttemptFailure,
        next: Next,
        index: LegIndex,
        now: Moment,
    ) {
        let hop = self.leg(index).and_then(|leg| leg.hop.clone());
        if let Some(hop) = hop.filter(|_| next == Next::HoldAndHunt) {
            self.hold_and_look_elsewhere(index, hop, failure);
        }
        if let Some(leg) = self.leg_mut(index) {
            leg.record.why = failure.local.clone().or_else(|| failure.remark.clone());
        }
        self.transfer_failed(failure, now);
    }

    /// The tone that a leg hears while somebody rings for it, from a call of any kind.
    pub(super) fn ring_back(&mut self, leg: LegIndex, on: bool) {
        if let Some(handle) = self.leg(leg).and_then(|leg| leg.media.handle()) {
            self.effects.push(Effect::RingBack { handle, on });
        }
    }

    /// Whether a leg waits for somebody, and hears something meanwhile.
    pub(in crate::call) fn hears_transfer(&self, index: LegIndex) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| {
            transfer.stays == index
                && matches!(&transfer.kind, Kind::Referred(referral) if referral.heard != Heard::Old)
        })
    }

    /// Joins who waits with whom it hears by now, where that is not who has referred it. True when it did.
    pub(in crate::call) fn connect_waiting(&mut self, now: Moment) -> bool {
        let Some(transfer) = &self.transfer else { return false };
        let (old, new, stays) = (transfer.old, transfer.new, transfer.stays);
        let Kind::Referred(referral) = &transfer.kind else {
            return false;
        };
        let old_is_there = self.leg(old).is_some_and(|leg| leg.media.handle().is_some());
        match referral.heard {
            Heard::New => {
                self.join(stays, new);
            }
            Heard::Old | Heard::RingBack if old_is_there => return false,
            Heard::Old | Heard::RingBack => self.connect_alone(stays, now),
        }
        true
    }

    /// When a transfer, or who leaves after one, is waited for no longer.
    pub(in crate::call) fn next_transfer_timeout(&self) -> Option<Moment> {
        let leaving = self.legs.iter().filter_map(|leg| leg.state.leaves_at());
        let referral = self.transfer.as_ref().and_then(|transfer| match &transfer.kind {
            Kind::Referred(referral) => Some(referral),
            Kind::Replaced { .. } => None,
        });
        let times = referral.map(|referral| [referral.awaited.map(Awaited::until), Some(referral.rings_until)]);
        leaving.chain(times.into_iter().flatten().flatten()).min()
    }

    pub(in crate::call) fn transfer_timeouts(&mut self, now: Moment) {
        for position in 0..self.legs.len() {
            let leg = &self.legs[position];
            if leg.state.leaves_at().is_some_and(|at| at <= now) {
                let index = leg.index;
                self.hang_up(index, Some(crate::call::teardown::NORMAL_CLEARING.into()));
            }
        }
        let Some(transfer) = &self.transfer else { return };
        let (new, Kind::Referred(referral)) = (transfer.new, &transfer.kind) else {
            return;
        };
        let rings_no_more = referral.rings_until <= now;
        if let Some(missed) = referral.awaited.filter(|awaited| awaited.until() <= now) {
            // Who has said 100 lives: what is silent is behind it.
            let hop = self.leg(new).and_then(|leg| leg.hop.clone());
            if let Some(hop) = hop.filter(|_| matches!(missed, Awaited::Response { .. })) {
                let failure = AttemptFailure::local(503, "Service Unavailable", missed.missed());
                self.hold_and_look_elsewhere(new, hop, &failure);
            }
            let failure = AttemptFailure::local(408, "Request Timeout", missed.missed());
            self.transfer_failed(&failure, now);
        } else if rings_no_more {
            let failure = AttemptFailure::local(480, "Temporarily Unavailable", "no answer".into());
            self.transfer_failed(&failure, now);
        }
    }
}
