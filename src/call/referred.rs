//! REFER from a peer, decided by the application (`referHook`): 202 when its hook has answered, its verbs for who stays
//! behind, and NOTIFY of what comes of it to who asked (RFC 3515 §2.4.4).

use super::application::{Asked, Why};
use super::event::{CallNews, NoReply, Reply};
use super::id::LegIndex;
use super::leg::{Leg, OutcomeDue};
use super::transfer::Unmovable;
use super::value::Call;
use crate::app::payload;
use crate::app::verb::Hook;
use crate::dial::Transfers;
use crate::moment::Moment;
use crate::route::{Unreferable, refer_target};
use crate::sip::message::{Message, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;

/// A REFER that waits for the application.
#[derive(Debug, Clone)]
pub(super) struct OpenRefer {
    /// The question about it.
    asked: u32,
    transaction: ServerTransactionId,
    cseq: u32,
    refer_to: String,
    /// Its sender and another talked: whoever of the two stays behind gets the verbs.
    in_bridge: bool,
    /// The legs that there were: whoever was dialled since has nothing to do with it.
    legs: usize,
}

impl Call {
    /// A REFER inside the dialog of a leg: the application is asked, where it wants to be.
    pub(super) fn refer_received(
        &mut self,
        index: LegIndex,
        transaction: ServerTransactionId,
        message: &Message,
        now: Moment,
    ) {
        let transfers = self.leg(index).and_then(|leg| leg.terms.transfers.clone());
        match transfers {
            Some(Transfers::ToHubs(_)) if self.hook_for_refer().is_none() => {
                self.transfer_asked(index, transaction, message, now);
                return;
            }
            Some(Transfers::AsCalls) if self.app.is_none() => {
                self.route_asked(index, transaction, message);
                return;
            }
            _ if self.app.is_none() => {
                self.refuse_refer(index, transaction, message, 405);
                return;
            }
            _ => {}
        }
        if self.calls_emergency() {
            // It is left as it is.
            self.refuse_refer(index, transaction, message, Unmovable::Emergency);
            return;
        }
        // Who is screened has no call to give away, nor has who waits for somebody to answer.
        let talks = self.bridged.is_some() && self.partner(index).is_some();
        if !talks && (index != LegIndex::CALLER || self.is_dialing()) {
            self.refuse_refer(index, transaction, message, Unmovable::Alone);
            return;
        }
        let refer_to = match refer_target(message) {
            Ok(target) => target.as_str().to_owned(),
            Err(status) => {
                self.refuse_refer(index, transaction, message, status);
                return;
            }
        };
        // Whoever asks first, from either side: both can't leave.
        let pending = |asked: &Asked| asked.why == Why::Refer;
        let is_decided = self.app.as_ref().is_some_and(|app| app.asked.iter().any(pending));
        if is_decided || self.is_transferring() {
            self.refuse_refer(index, transaction, message, Unmovable::Transferring);
            return;
        }
        let Some(hook) = self.hook_for_refer() else {
            self.refuse_refer(index, transaction, message, 501);
            return;
        };
        let partner = self.partner(index).unwrap_or(index);
        let mut properties = self.properties(index, now);
        let details = payload::refer_details(message, self.sid_of(index), self.sid_of(partner));
        properties.extend(details);
        let number = self.ask_aside(index, Why::Refer, hook, properties);
        if let Some(app) = &mut self.app {
            app.referrals.push(OpenRefer {
                asked: number,
                transaction,
                cseq: message.cseq().0,
                refer_to,
                in_bridge: talks,
                legs: self.legs.len(),
            });
        }
    }

    /// The hook that decides about a REFER now.
    fn hook_for_refer(&self) -> Option<Hook> {
        let app = self.app.as_ref()?;
        let of_dial = app.dialing.as_ref().and_then(|dialing| dialing.verb.refer_hook.clone());
        of_dial.or_else(|| app.refer_hook.clone())
    }

    /// The application has decided about a REFER.
    pub(super) fn refer_decided(&mut self, number: u32, index: LegIndex, result: Result<Reply, NoReply>, now: Moment) {
        let Some(app) = &mut self.app else { return };
        let Some(position) = app.referrals.iter().position(|open| open.asked == number) else {
            return;
        };
        let open = app.referrals.swap_remove(position);
        let too_late = self.decides_too_late(&open);
        let OpenRefer {
            transaction,
            cseq,
            refer_to,
            ..
        } = open;
        let reply = match result {
            Ok(reply) => reply,
            Err(none) => {
                self.tell_bad_answer(index, "referHook", &none.why, now);
                // The hook's refusal is the referrer's answer, but for what would end the dialog as well (RFC 5057 §5.1) or
                // would need more than its number.
                let said = none
                    .status
                    .filter(|status| matches!(status, 400 | 403 | 486 | 488 | 600 | 603 | 606));
                let refused = Unreferable {
                    status: said.unwrap_or(501),
                    why: Some(format!("its referHook: {}", none.why)),
                };
                self.refuse_target(index, transaction, Some(refer_to), refused);
                return;
            }
        };
        if let Some(why) = too_late {
            self.refuse_target(index, transaction, Some(refer_to), why);
            return;
        }
        self.tell_outcome(index);
        let id = self.referral_id(index, cseq);
        self.accept_refer(index, transaction);
        let under_way = self.notify_referrer(index, id, 100, false);
        // Who is being replaced may have left already.
        let is_up = |index: LegIndex| self.leg(index).is_some_and(Leg::is_up);
        let winner = self.winner.filter(|winner| self.bridged.is_some() && is_up(*winner));
        let leaves = index != LegIndex::CALLER && is_up(index);
        // Nobody takes its place where there are no verbs, and a caller whom nobody talks to goes on with them itself.
        let stays = reply.verbs.is_empty() || (index == LegIndex::CALLER && winner.is_none());
        let status = if stays { 603 } else { 200 };
        self.tell(CallNews::ReferDecided {
            leg: index,
            refer_to,
            status,
        });
        if let (Some(after), Some(leg)) = (under_way, self.leg_mut(index)) {
            leg.outcome_due = Some(OutcomeDue { after, id, status });
        }
        if reply.verbs.is_empty() {
            return;
        }
        match (index, winner) {
            // Who refers leaves: the callee becomes the first party of what follows.
            (LegIndex::CALLER, Some(winner)) => self.take_over(winner, reply.verbs, now),
            _ => {
                if leaves {
                    self.release(index);
                    self.leaves(index, now);
                }
                self.abandon_dial(LegIndex::CALLER, now);
                self.replace_verbs(LegIndex::CALLER, reply.verbs, now);
            }
        }
    }

    /// Why the hook of a REFER decides nothing any more, though it was waited for.
    fn decides_too_late(&self, open: &OpenRefer) -> Option<Unmovable> {
        let others_talk = self.is_dialing() && self.legs.len() > open.legs;
        if self.calls_emergency() || others_talk {
            return Some(Unmovable::OthersDialled);
        }
        // What a command wants fetched since would be lost with who leaves.
        let is_later = |asked: &Asked| {
            let replaces = asked.why == Why::Replace && asked.leg == LegIndex::CALLER;
            asked.number > open.asked && (replaces || asked.why == Why::Part)
        };
        let app = self.app.as_ref()?;
        app.asked.iter().any(is_later).then_some(Unmovable::Overruled)
    }

    /// The bridge is over: nobody stays behind for whom the hooks of REFERs sent in it could have verbs.
    pub(super) fn refers_outlast_bridge(&mut self) {
        self.overtake_refers(Unmovable::BridgeOver, |open| open.in_bridge);
    }

    /// A later command counts, and no hook of a REFER that came before it.
    pub(super) fn overrule_refers(&mut self) {
        self.overtake_refers(Unmovable::Overruled, |_| true);
    }

    /// These REFERs are refused without their hooks, whose answers nobody waits for any more.
    fn overtake_refers(&mut self, why: Unmovable, which: impl Fn(&OpenRefer) -> bool) {
        let Some(app) = &mut self.app else { return };
        let overtaken: Vec<OpenRefer> = app.referrals.extract_if(.., |open| which(open)).collect();
        for open in overtaken {
            let asked = |asked: &&Asked| asked.number == open.asked;
            let by = self.app.as_ref().and_then(|app| app.asked.iter().find(asked));
            if let Some(by) = by.map(|asked| asked.leg) {
                self.refuse_target(by, open.transaction, Some(open.refer_to), why);
            }
            self.forget_questions(|asked| asked.number == open.asked);
        }
    }

    /// REFERs that nobody will decide any more.
    pub(super) fn drop_referrals(&mut self) {
        let open = self.app.as_mut().map(|app| std::mem::take(&mut app.referrals));
        for open in open.unwrap_or_default() {
            self.respond(open.transaction, ResponseDraft::new(487));
        }
    }
}
