//! What destinations answer, sorted; ringing and early media, and what the caller hears of them.

use super::child::Turn;
use super::event::{CallNews, Effect};
use super::id::LegIndex;
use super::leg::LegState;
use super::readable::description_of;
use super::ringing::Word;
use super::value::Call;
use crate::app::payload::Status;
use crate::media::LegConfig;
use crate::moment::Moment;
use crate::sdp::{Direction, Negotiated, Refusal};
use crate::sip::Flow;
use crate::sip::dialog::Fork;
use crate::sip::message::Message;

impl Call {
    /// A response to an INVITE that set up a leg.
    pub(super) fn invite_response(&mut self, index: LegIndex, message: &Message, flow: &Flow, now: Moment) {
        let status = message.status().unwrap_or(0);
        let progress = self.leg(index).and_then(|leg| leg.hop.as_ref()?.progress);
        self.heard_arriving(index, status, progress, now);
        let first = self
            .ringing_of(index)
            .is_some_and(|ringing| ringing.heard(status, progress, now));
        if first && status < 200 {
            self.peer_lives(index);
        }
        let Some(leg) = self.leg_mut(index) else { return };
        leg.heard_from(flow);
        let Some(invite) = &mut leg.invite else { return };
        // What makes no dialog can't be acknowledged or hung up: the far side gives up by itself.
        let Ok(fork) = invite.forks.receive(&invite.initiation, message) else {
            return;
        };
        let has_answered = matches!(fork, Fork::Answered(_) | Fork::AnsweredAgain(_));
        // Its ACK and BYE go where it came from, also where it lost or came too late.
        let way = has_answered.then(|| leg.way(message, flow, true)).flatten();
        if has_answered && matches!(leg.state, LegState::Inviting | LegState::Cancelling) {
            leg.flow.clone_from(&way);
        }
        match (leg.state, fork) {
            (LegState::Inviting, Fork::Early(_)) => self.progress(index, message, now),
            (LegState::Inviting, Fork::Answered(fork)) => self.answered(index, fork, message, now),
            (LegState::Cancelling, Fork::Answered(fork)) => self.answered_too_late(index, fork, message),
            // Another fork answered as well (RFC 3261 §13.2.2.4).
            (_, Fork::Answered(fork)) => self.hang_up_fork(index, fork, message, way),
            (_, Fork::AnsweredAgain(fork)) => self.acknowledge_fork(index, fork, message, way),
            (LegState::Inviting, Fork::None) if (101..=199).contains(&status) => self.progress(index, message, now),
            (LegState::Inviting, Fork::None) if status >= 300 => self.refused(index, message, now),
            (LegState::Cancelling, Fork::None) if status >= 300 => {
                leg.note_final(message);
                leg.state = LegState::Gone;
                leg.forget();
            }
            _ => {}
        }
    }

    fn progress(&mut self, index: LegIndex, message: &Message, now: Moment) {
        if self.is_arriving(index) {
            self.progress_arriving(index, message, now);
            return;
        }
        let has_early_media = self.early_media(index, message, now);
        let word = match message.status() {
            _ if has_early_media => Word::Describes,
            // An early dialog of a fork ended (RFC 6228): others may still ring.
            Some(199) => return,
            // A 183 that lets nothing be heard would end the caller's own ringing tone (TEAMS-048, TEAMS-062).
            Some(183) | None => Word::Rings(180),
            Some(status) => Word::Rings(status),
        };
        if let Some(position) = self.attempt_of(index) {
            let turn = match has_early_media {
                true => Turn::new(Status::EarlyMedia, 183),
                false => Turn::new(Status::Ringing, 180),
            };
            self.turn_child(position, turn, now);
        }
        if self.milestones.ringing.is_none() {
            self.milestones.ringing = Some(now);
            self.tell(CallNews::Ringing);
        }
        if !self.hears_music_early() {
            self.tell_progress(word, now);
        }
    }

    /// Takes the description in a provisional response; true when the caller can hear it now.
    fn early_media(&mut self, index: LegIndex, message: &Message, now: Moment) -> bool {
        let someone_elses = self.winner.is_some_and(|winner| winner != index);
        let nobody_hears = self.offer.is_none() && !self.settled_here;
        if message.body().is_empty() || someone_elses || nobody_hears || !self.early_media_wanted() {
            return false;
        }
        let Ok(Some(body)) = description_of(message) else {
            return false;
        };
        let Some(leg) = self.leg_mut(index) else { return false };
        let terms = leg.terms.clone();
        if leg.media.take_early_answer(&terms, &body, now).is_err() {
            // Early media that can't be read is not heard; the final answer decides.
            return false;
        }
        let settled = leg.media.negotiated.as_ref();
        if !settled.is_some_and(|settled| settled.direction.receives()) {
            // It is on hold, or listens: told in a 183, the caller's own ringing tone would end for silence.
            return false;
        }
        // Somebody has to take an emergency call (promise 6): a codec that is told stands, and that nothing here makes of others
        // would leave no gateway but those that have it.
        let takes_any = leg.hop.as_ref().is_some_and(|hop| hop.hunt.every);
        if takes_any && !settled.is_some_and(Negotiated::is_spoken_here) {
            return false;
        }
        // What an announcement does not let in will be let in by the answer, which is the same.
        let heard = match self.settled_here {
            true => self.fits(LegIndex::CALLER, index).is_ok(),
            false => self.answer_caller_media(index, Direction::SendRecv).is_ok(),
        };
        if heard {
            self.winner = Some(index);
            self.connect(index, now);
        }
        heard
    }

    /// Makes the caller's answer from what the callee settled. Once told it stands (`settled_here`), and is not made again.
    pub(super) fn answer_caller_media(&mut self, index: LegIndex, direction: Direction) -> Result<(), Refusal> {
        let callee = self.leg(index).and_then(|leg| leg.media.negotiated.as_ref());
        let formats = callee.map(Negotiated::formats);
        let (Some(formats), Some(offer)) = (formats, self.offer.clone()) else {
            return Err(Refusal::NoAudio);
        };
        let caller = self.leg_mut(LegIndex::CALLER).ok_or(Refusal::NoAudio)?;
        let terms = caller.terms.clone();
        caller.media.answer(&terms, &offer, &formats, direction).map(|_| ())
    }

    /// Tells the media worker how both legs stand and joins them.
    pub(super) fn connect(&mut self, index: LegIndex, now: Moment) {
        if self.join(LegIndex::CALLER, index) {
            self.note_hold(index, now);
        }
    }

    /// The same of any two legs. False where one has no sockets.
    pub(super) fn join(&mut self, from: LegIndex, to: LegIndex) -> bool {
        let (Some(caller), Some(callee)) = (self.leg(from), self.leg(to)) else {
            return false;
        };
        let (Some(a), Some(b)) = (caller.media.handle(), callee.media.handle()) else {
            return false;
        };
        let caller_config = caller.worker_config(Some(&callee.media));
        let callee_config = callee.worker_config(Some(&caller.media));
        let mut configs = caller_config.iter().chain(&callee_config);
        let recodes_at_cost = configs.any(LegConfig::recodes_at_cost);
        // What is to be recoded shows when it has answered: its place is kept until then.
        let waits = caller.media.negotiated.is_none() && caller.media.offered.is_some();
        let keeps_place = waits && callee.media.recodes_at_cost;
        if let Some(config) = caller_config {
            self.effects.push(Effect::ConfigureMedia { handle: a, config });
        }
        if let Some(config) = callee_config {
            self.effects.push(Effect::ConfigureMedia { handle: b, config });
        }
        self.effects.push(Effect::BridgeMedia { a, b });
        if let Some(leg) = self.leg_mut(to) {
            leg.media.recodes_at_cost = recodes_at_cost || keeps_place;
        }
        true
    }

    /// A call is on hold while one of its sides holds, or may not send.
    fn note_hold(&mut self, index: LegIndex, now: Moment) {
        let is_on_hold = |index| self.leg(index).is_some_and(|leg| leg.media.is_on_hold());
        let held = is_on_hold(LegIndex::CALLER) || is_on_hold(index);
        self.held_since = held.then(|| self.held_since.unwrap_or(now));
    }

    /// A provisional response to the caller; with our answer when there is early media, be it of a destination or our own.
    pub(super) fn tell_caller(&mut self, status: u16, early_media: bool, now: Moment) {
        let Some(leg) = self.leg(LegIndex::CALLER).filter(|leg| !leg.is_up()) else {
            return;
        };
        let (Some(transaction), Some(dialog)) = (leg.waiting, &leg.dialog) else {
            return;
        };
        let mut draft = leg.dialog_response(status, &dialog.id().local_tag);
        if early_media && let Some(body) = &leg.media.described {
            draft = draft.body("application/sdp", body.clone());
        }
        self.last_word = self.last_word.then(status, early_media, now);
        self.respond(transaction, draft);
        if early_media {
            // A caller takes the first description for the answer, and ignores all others (RFC 3261 §13.2.1).
            self.settled_here = true;
            self.turn_caller(Turn::new(Status::EarlyMedia, status), now);
        }
    }
}
