//! The call value: its data, and the coordinator that hands each event to the concern that owns it.

use super::application::App;
use super::cause::Cause;
use super::change::Change;
use super::dialing::EndedBy;
use super::event::{CallNews, Effect, Event, MediaNotice, To};
use super::hop_mark::HopMark;
use super::hunt::{Awaited, Ringing};
use super::id::{CallId, LegIndex, Token};
use super::last_word::LastWord;
use super::leg::{Leg, LegState};
use super::leg_media::Sockets;
use super::location::Location;
use super::readable::Unreadable;
use super::record::{CallFacts, CallRecord, LegRecord, Milestones};
use super::transfer::Transfer;
use crate::dial::{AttemptFailure, allow};
use crate::moment::Moment;
use crate::sip::message::{HeaderName, Message, RequestDraft, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a call stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Media is being opened, nothing was sent yet.
    Opening,
    /// Destinations are tried.
    Ringing,
    /// Both sides are up.
    Answered,
    /// It is over; final answers and media figures are being collected.
    Ending,
    Over,
}

/// How long a call that has ended waits for the last answers of its legs.
const LINGER: Duration = Duration::from_secs(40);
/// After a limit that an emergency call has outlasted it is looked again.
const AFTER_EMERGENCY: Duration = Duration::from_secs(10);

/// A call: plain data with one owner, moved on by [`Call::step`] alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    pub(super) id: CallId,
    pub(super) facts: CallFacts,
    pub(super) milestones: Milestones,
    pub(super) phase: Phase,
    /// Leg 0 is the caller's; every INVITE to a destination makes another.
    pub(super) legs: Vec<Leg>,
    pub(super) ringing: Vec<Ringing>,
    pub(super) failures: Vec<AttemptFailure>,
    /// The leg that the caller talks to.
    pub(super) winner: Option<LegIndex>,
    /// Unanswered until then: the call fails. After the end: collected until then.
    pub(super) deadline: Option<Moment>,
    /// The caller waits no longer for an answer (Expires of its INVITE).
    #[serde(default)]
    pub(super) expires: Option<Moment>,
    /// Max-Forwards of the INVITEs that we send.
    pub(super) max_forwards: u8,
    /// Both sides talk to each other since then.
    pub(super) bridged: Option<Moment>,
    /// The caller's offer was answered with media of our own, or it was told what a callee settled early: its answer stands,
    /// and who is called later is asked for that.
    pub(super) settled_here: bool,
    /// The application that decides about the call; none where a route does.
    pub(super) app: Option<Box<App>>,
    /// A re-INVITE on its way.
    pub(super) change: Option<Change>,
    /// A leg that is about to take the place of another.
    pub(super) transfer: Option<Box<Transfer>>,
    /// Another call was asked for a leg and has not answered: nobody else takes a place meanwhile.
    #[serde(default)]
    pub(super) joining: bool,
    pub(super) cause: Option<Cause>,
    /// The final status that the caller got.
    pub(super) status: u16,
    /// The caller's offer, until it is answered.
    pub(super) offer: Option<Vec<u8>>,
    pub(super) hold_timeout: Duration,
    pub(super) held_since: Option<Moment>,
    /// Where an emergency caller is.
    pub(super) location: Option<Location>,
    pub(super) hop_mark: HopMark,
    pub(super) random: u64,
    pub(super) requests: u32,
    /// What the caller was told last while its INVITE waits.
    pub(super) last_word: LastWord,
    /// It hears a ringing tone of ours.
    pub(super) ringing_tone: bool,
    #[serde(skip)]
    pub(super) effects: Vec<Effect>,
}

impl Call {
    /// What this call is called.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// What was known at birth.
    pub fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The legs, the caller's first.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// When it was born, rang and was answered.
    pub fn milestones(&self) -> Milestones {
        self.milestones
    }

    /// Moves the call on. Pure: everything that is to be done comes out as effects, in order.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match event {
            Event::MediaOpened {
                leg,
                result,
                may_recode,
            } => self.media_opened(leg, result, may_recode, now),
            Event::Response { token, message, flow } => self.response(token, &message, &flow, now),
            Event::Located { token, hop, others } => self.located(token, hop, others),
            Event::Failed { token, failure } => self.request_failed(token, &failure, now),
            Event::Request {
                transaction,
                message,
                flow,
                vouched,
            } => self.request(transaction, &message, (&flow, vouched), now),
            Event::Replace {
                transaction,
                message,
                flow,
                replaces,
                trunk,
            } => self.replace_asked(transaction, &message, (&replaces, &trunk), &flow),
            Event::Ack { message, flow, vouched } => {
                let leg = self.leg_of_dialog(&message);
                if leg.is_some_and(|leg| self.comes_from_peer(leg, &message, (&flow, vouched))) {
                    self.ack(&message, now);
                }
            }
            Event::Cancelled { transaction, message } => self.cancelled(transaction, &message, now),
            Event::AckTimeout { transaction } => self.ack_timeout(transaction, now),
            Event::Media(leg, notice) => self.media_notice(leg, notice, now),
            Event::Tick => self.tick(now),
            Event::LegWanted(wanted) => self.leg_wanted(*wanted, now),
            Event::LegReturned { leg, from } => self.leg_returned(*leg, from),
            Event::LegGiven { wish, given } => self.leg_given(*wish, given, now),
            Event::Planned { result } => self.dial_planned(result, now),
            Event::TransferPlanned { wish, plan, trace } => self.transfer_planned(*wish, plan, trace, now),
            Event::Answered { ask, result } => self.asked_answered(ask, result, now),
            Event::Voiced { leg, play, voiced } => self.tell_voiced(leg, play, &voiced),
            Event::PlayBegan { leg, play } => self.sound_began(leg, play, now),
            Event::Played { leg, play, outcome } => self.played(leg, play, &outcome, now),
            Event::DigitsSent { leg, cookie } => self.digits_sent(leg, cookie, now),
            Event::Digit { leg, digit } => self.heard_key(leg, digit, now),
            // Who waits hears that there is nobody to tell it.
            Event::Wanted { command, .. } | Event::Command(command) => self.commanded(*command, now),
            Event::Disconnected { failed } => self.application_left(failed, now),
            Event::Clear { detail } => self.clear(detail, now),
            Event::Cut { detail } => {
                self.clear(detail, now);
                self.wait_no_more();
            }
            Event::Broken { detail } => self.end(Cause::Fault { detail }, now),
        }
        self.settle_listening();
        self.note_holds(now);
        self.finish(now);
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        let sessions = self
            .legs
            .iter()
            .filter(|leg| leg.is_up() && self.keeps_sessions())
            .filter_map(|leg| leg.session.map(|clock| clock.next()));
        let ringing = self
            .ringing
            .iter()
            .flat_map(|ringing| [ringing.awaited.map(Awaited::until), ringing.rings_until])
            .flatten();
        sessions
            .chain(ringing)
            .chain(self.held_until())
            .chain(self.next_alignment())
            .chain(self.next_dial_timeout())
            .chain(self.next_line_timeout())
            .chain(self.next_word())
            .chain(self.next_transfer_timeout())
            .chain(self.next_late_answer())
            .chain(self.expires_at())
            .chain(self.deadline)
            .min()
    }

    fn response(&mut self, token: Token, message: &Message, flow: &Flow, now: Moment) {
        match message.cseq_method() {
            Method::Invite => match self.leg_inviting(token) {
                Some(leg) => self.invite_response(leg, message, flow, now),
                None => self.change_response(token, message, flow, now),
            },
            Method::Bye => self.bye_answered(token, message),
            _ => {
                let is_final = message.status().is_some_and(|status| status >= 200);
                let told = self.refer_answered(token, message.status(), now)
                    || (is_final && self.notice_answered(token, message.status()));
                if !told {
                    self.request_answered(token, Some(message), now);
                }
            }
        }
    }

    fn request_failed(&mut self, token: Token, failure: &super::event::SendFailure, now: Moment) {
        if let Some(leg) = self.leg_inviting(token) {
            self.invite_failed(leg, failure, now);
        } else if self.bye_goes_elsewhere(token, failure) {
            // It has another answer to come.
        } else if !self.change_failed(token, failure, now)
            && !self.request_answered(token, None, now)
            && !self.refer_answered(token, None, now)
            && !self.notice_answered(token, None)
        {
            self.bye_failed(token, failure);
        }
    }

    fn request(
        &mut self,
        transaction: ServerTransactionId,
        message: &Message,
        (flow, vouched): (&Flow, bool),
        now: Moment,
    ) {
        if matches!(message.method(), Some(Method::Update | Method::Prack))
            && let Some(early) = self.leg_of_early_dialog(message)
            && self.comes_from_peer(early, message, (flow, vouched))
        {
            // Its dialog is there, if not for good: 481 would end it (RFC 3261 §12.2.1.2).
            self.answer_plainly(early, transaction, 405);
            return;
        }
        let leg = self.leg_of_dialog(message);
        let Some(leg) = leg.filter(|leg| self.comes_from_peer(*leg, message, (flow, vouched))) else {
            self.respond(transaction, ResponseDraft::new(481));
            return;
        };
        if self.refused_by_dialog(leg, transaction, message) {
            return;
        }
        if let Some(unreadable) = Unreadable::inside_dialog(message) {
            let Some(leg) = self.leg(leg) else { return };
            let draft = leg.decorate(unreadable.answer());
            self.respond(transaction, draft);
            return;
        }
        // A BYE is what it is, whatever else it asks for.
        let foreign = allow::foreign_extensions(message).filter(|_| !matches!(message.method(), Some(Method::Bye)));
        if let (Some(foreign), Some(leg)) = (foreign, self.leg(leg)) {
            let draft = ResponseDraft::new(420).header(HeaderName::Unsupported, foreign);
            self.respond(transaction, leg.decorate(draft));
            return;
        }
        match message.method() {
            Some(Method::Bye) => self.bye(leg, transaction, message, now),
            Some(Method::Invite) => self.reinvite(leg, transaction, message, flow, now),
            Some(Method::Options) => self.answer_plainly(leg, transaction, 200),
            Some(Method::Refer) => self.refer_received(leg, transaction, message, now),
            Some(Method::Info) => self.info(leg, transaction, message, now),
            Some(Method::Notify) => self.notified(leg, transaction, message, now),
            _ => self.answer_plainly(leg, transaction, 405),
        }
    }

    /// CSeq order (RFC 3261 §12.2.2). True when the request was answered here.
    fn refused_by_dialog(&mut self, index: LegIndex, transaction: ServerTransactionId, message: &Message) -> bool {
        let Some(dialog) = self.leg_mut(index).and_then(|leg| leg.dialog.as_mut()) else {
            return false;
        };
        let Err(refused) = dialog.accept_request(message) else {
            return false;
        };
        self.answer_plainly(index, transaction, refused.status());
        true
    }

    pub(super) fn answer_plainly(&mut self, index: LegIndex, transaction: ServerTransactionId, status: u16) {
        let Some(leg) = self.leg(index) else { return };
        let allow = leg.terms.allow.clone();
        let draft = leg
            .decorate(ResponseDraft::new(status))
            .header(crate::sip::message::HeaderName::Allow, &*allow);
        self.respond(transaction, draft);
    }

    fn media_notice(&mut self, index: LegIndex, notice: MediaNotice, now: Moment) {
        match notice {
            MediaNotice::Silent { lasting, reports } => {
                // Many a peer that holds sends nothing: `media.hold_timeout` counts.
                let Some(leg) = self.leg(index).filter(|leg| leg.is_up() && !leg.holds_now()) else {
                    return;
                };
                let (side, unacknowledged) = (leg.side, leg.unacknowledged.is_some());
                self.tell(CallNews::Silent {
                    leg: index,
                    seconds: lasting.as_secs(),
                    reports,
                });
                // Who has referred the other side may be gone already.
                let is_missed = !reports && self.phase == Phase::Answered && !self.has_successor(index);
                if is_missed && (unacknowledged || !self.announcement_ends(index, now)) {
                    let seconds = lasting.as_secs();
                    let cause = match unacknowledged {
                        // Signalling is the first to fail: who has not got our 200 does not talk either. 64*T1 may be
                        // longer than the patience with silence.
                        true => Cause::AckLost { by: side },
                        false => Cause::MediaLost { side, seconds },
                    };
                    let reason = cause.reason();
                    self.lose(index, cause, reason, now);
                }
            }
            MediaNotice::Flows => {
                self.media_flows(index, now);
                self.announcement_goes_on(index, now);
            }
            MediaNotice::FlowsAgain => self.announcement_goes_on(index, now),
            MediaNotice::Closed(stats) => {
                let Some(leg) = self.leg_mut(index) else { return };
                leg.record.media = Some(*stats);
                let lost = leg.media.handle().is_some();
                leg.media.sockets = Sockets::None;
                if lost {
                    let cause = Cause::Fault {
                        detail: "the media worker has closed a leg in use".into(),
                    };
                    let reason = cause.reason();
                    self.lose(index, cause, reason, now);
                }
            }
        }
    }

    fn tick(&mut self, now: Moment) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            match self.phase {
                Phase::Opening | Phase::Ringing => self.unanswered(now),
                Phase::Ending => self.wait_no_more(),
                // No limit cuts an emergency call off (promise 6): what comes after it has none to spare.
                Phase::Answered if self.calls_emergency() => self.deadline = Some(now + AFTER_EMERGENCY),
                Phase::Answered => {
                    let detail = "the call's time limit".into();
                    self.dial_ended_by(EndedBy::TimeLimit);
                    self.end(Cause::Cleared { detail }, now);
                }
                Phase::Over => {}
            }
        }
        if self.expires_at().is_some_and(|expires| expires <= now) {
            self.end(Cause::CallerGaveUp, now);
        }
        if self.held_until().is_some_and(|until| until <= now) {
            let detail = "on hold for longer than media.hold_timeout".into();
            self.end(Cause::Cleared { detail }, now);
        }
        self.first_response_timeouts(now);
        self.ringing_timeouts(now);
        self.dial_timeouts(now);
        self.line_timeouts(now);
        self.say_again(now);
        self.session_timers(now);
        self.alignments(now);
        self.transfer_timeouts(now);
        self.late_answers(now);
    }

    /// When an INVITE that has no answer yet is answered 487 (RFC 3261 §13.3.1).
    fn expires_at(&self) -> Option<Moment> {
        let waits = matches!(self.phase, Phase::Opening | Phase::Ringing) && !self.calls_emergency();
        self.expires.filter(|_| waits)
    }

    /// What the legs of a call that ends still wait for is not waited for.
    fn wait_no_more(&mut self) {
        for leg in &mut self.legs {
            leg.state = LegState::Gone;
            leg.media.sockets = Sockets::None;
        }
    }

    fn held_until(&self) -> Option<Moment> {
        // No limit cuts an emergency call off (promise 6).
        self.held_since
            .filter(|_| self.phase == Phase::Answered && !self.calls_emergency())
            .map(|since| since + self.hold_timeout)
    }

    /// Ends the call record when the last leg is gone.
    pub(super) fn finish(&mut self, now: Moment) {
        if self.phase != Phase::Ending || !self.legs.iter().all(Leg::is_over) {
            return;
        }
        self.phase = Phase::Over;
        self.deadline = None;
        let cause = self.cause.clone().unwrap_or(Cause::Fault {
            detail: "ended without a cause".into(),
        });
        let legs = self.leg_records();
        let record = CallRecord {
            call: self.id.to_string(),
            facts: self.facts.clone(),
            ringing_after_ms: self.milestones.ringing.map(|at| self.milestones.after_ms(at)),
            answered_after_ms: self.milestones.answered.map(|at| self.milestones.after_ms(at)),
            ended_after_ms: self.milestones.after_ms(self.milestones.ended.unwrap_or(now)),
            status: self.status,
            cause_text: cause.explain_told(self.status),
            ended_by: cause.ended_by(),
            cause,
            application: self.application_record(),
            legs,
        };
        self.effects.push(Effect::Over(Box::new(record)));
    }

    /// What is on record of each leg, the caller's first.
    fn leg_records(&self) -> Vec<LegRecord> {
        let mut legs: Vec<_> = self.legs.iter().map(|leg| leg.record.clone()).collect();
        for (record, leg) in legs.iter_mut().zip(&self.legs) {
            record.codec = leg.media.codec();
            leg.terms.kind.side().clone_into(&mut record.side);
        }
        if let (Some(caller), Some(app)) = (legs.first_mut(), &self.app) {
            caller.call_sid = Some(app.sid);
        }
        // A placed call begins without a caller: that leg never was.
        if let Some(desk) = legs.iter().position(|leg| leg.call_id.is_empty() && leg.peer.is_none()) {
            legs.remove(desk);
            for transfer in legs.iter_mut().filter_map(|leg| leg.transfer.as_mut()) {
                transfer.of -= u16::from(usize::from(transfer.of) > desk);
            }
        }
        legs
    }

    /// Begins the end: the cause is kept, and the legs have [`LINGER`] for their last answers.
    pub(super) fn begin_end(&mut self, cause: Cause, now: Moment) {
        self.phase = Phase::Ending;
        self.milestones.ended.get_or_insert(now);
        self.cause.get_or_insert(cause);
        self.deadline = Some(now + LINGER);
        self.change = None;
        for position in 0..self.legs.len() {
            let leg = &mut self.legs[position];
            leg.session = None;
            let index = leg.index;
            self.close_media(index);
        }
    }

    pub(super) fn leg(&self, index: LegIndex) -> Option<&Leg> {
        self.legs.get(usize::from(index.0))
    }

    pub(super) fn leg_mut(&mut self, index: LegIndex) -> Option<&mut Leg> {
        self.legs.get_mut(usize::from(index.0))
    }

    /// The leg that talks with `index`.
    pub(super) fn partner(&self, index: LegIndex) -> Option<LegIndex> {
        match index {
            LegIndex::CALLER => self.winner,
            other => (self.winner == Some(other)).then_some(LegIndex::CALLER),
        }
    }

    /// The leg that an event with a message concerns.
    pub(super) fn leg_heard(&self, event: &Event) -> Option<LegIndex> {
        match event {
            Event::Response { token, .. } => self.leg_inviting(*token).or_else(|| {
                let theirs = |leg: &&Leg| leg.closing == Some(*token) || leg.reinvited == Some(*token);
                self.legs.iter().find(theirs).map(|leg| leg.index)
            }),
            Event::Request { message, .. } | Event::Ack { message, .. } => self.leg_of_dialog(message),
            // The leg that it makes, where it may.
            Event::Replace { .. } => Some(LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX))),
            _ => Some(LegIndex::CALLER),
        }
    }

    pub(super) fn leg_inviting(&self, token: Token) -> Option<LegIndex> {
        let inviting = |leg: &&Leg| leg.invite.as_ref().is_some_and(|invite| invite.token == token);
        self.legs.iter().find(inviting).map(|leg| leg.index)
    }

    /// The leg whose dialog a request belongs to.
    pub(super) fn leg_of_dialog(&self, message: &Message) -> Option<LegIndex> {
        let ours = |leg: &&Leg| leg.dialog.as_ref().is_some_and(|dialog| dialog.owns(message));
        self.legs.iter().find(ours).map(|leg| leg.index)
    }

    /// The leg that has not answered and that a provisional response of the peer has made this dialog with.
    fn leg_of_early_dialog(&self, message: &Message) -> Option<LegIndex> {
        let mut ringing = self.legs.iter().filter(|leg| leg.dialog.is_none());
        let early = |leg: &&Leg| {
            let dialogs = leg.invite.as_ref().map(|invite| invite.forks.dialogs());
            dialogs.is_some_and(|dialogs| dialogs.iter().any(|dialog| dialog.owns(message)))
        };
        ringing.find(early).map(|leg| leg.index)
    }

    pub(super) fn respond(&mut self, transaction: ServerTransactionId, draft: ResponseDraft) {
        self.effects.push(Effect::Respond { transaction, draft });
    }

    /// Sends a request and returns its token.
    pub(super) fn send(&mut self, leg: LegIndex, draft: RequestDraft, to: To) -> Token {
        self.requests += 1;
        let token = Token {
            call: self.id,
            number: self.requests,
        };
        self.effects.push(Effect::Send { leg, token, draft, to });
        token
    }

    pub(super) fn tell(&mut self, news: CallNews) {
        self.effects.push(Effect::Tell(news));
    }

    /// A random number of this call (splitmix64 over the seed that the call was born with).
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }
}

/// The finaliser of splitmix64: every bit of the input moves half of the output.
pub(super) const fn mix(input: u64) -> u64 {
    let mut mixed = input;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
