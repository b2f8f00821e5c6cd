//! Set-up: a call is born, its media opened, its destinations tried hop by hop.

use super::cause::{Cause, Party};
use super::event::{CallNews, Effect, PeerVerdict, SendFailure, To};
use super::hop_mark::HopMark;
use super::id::{CallId, LegIndex, Token};
use super::leg::{Leg, LegState, SentInvite, decorate_request, with_supported};
use super::location::Location;
use super::record::{CallFacts, Milestones};
use super::value::{Call, Phase};
use crate::dial::{AttemptFailure, DialPlan, LegTerms, PlannedHop};
use crate::media::LegId;
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, LocalMedia, Session};
use crate::sip::dialog::{Dialog, Forks, Initiation};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::session_timer::{
    PeerSessionTimer, SessionExpires, SessionTimerOffer, SessionTimerSettings, parse_seconds,
};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method, NameAddr, Uri};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One attempt of the plan while it rings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ringing {
    /// Hops not tried yet.
    hops: VecDeque<PlannedHop>,
    /// The leg that is being tried.
    pub(super) leg: Option<LegIndex>,
    /// No response at all by then: the next hop.
    pub(super) silent_until: Option<Moment>,
    /// Unanswered by then: it counts as not answered.
    pub(super) rings_until: Option<Moment>,
    /// The last hop's failure.
    failure: Option<AttemptFailure>,
    /// Nothing more comes of it.
    pub(super) over: bool,
}

/// Everything that a call is born from.
#[derive(Debug)]
pub struct Birth<'a> {
    pub id: CallId,
    /// 64 bits of the system's randomness.
    pub seed: u64,
    pub now: Moment,
    pub facts: CallFacts,
    pub plan: DialPlan,
    /// The caller's leg.
    pub terms: Arc<LegTerms>,
    pub contact_user: String,
    pub invite: &'a Message,
    pub flow: &'a Flow,
    pub transaction: ServerTransactionId,
    /// Silence on a leg that should be heard ends the call.
    pub media_timeout_ends_call: bool,
    /// A call on hold for longer than this is ended.
    pub hold_timeout: Duration,
    /// The process's own.
    pub hop_mark: HopMark,
}

impl Call {
    /// A new call and the effects that begin it.
    pub fn begin(birth: Birth<'_>) -> (Call, Vec<Effect>) {
        let mut caller = Leg::new(LegIndex::CALLER, Party::Caller, birth.terms, birth.contact_user);
        caller.waiting = Some(birth.transaction);
        caller.record.call_id = birth.invite.call_id().to_owned();
        caller.note_correlation(birth.invite);
        let mut call = Call {
            id: birth.id,
            facts: birth.facts,
            milestones: Milestones::new(birth.now),
            phase: Phase::Opening,
            legs: vec![caller],
            ringing: Vec::new(),
            failures: Vec::new(),
            winner: None,
            deadline: Some(birth.now + birth.plan.timeout),
            max_forwards: birth.invite.max_forwards().unwrap_or(70).min(70).saturating_sub(1),
            change: None,
            cause: None,
            status: 0,
            offer: None,
            media_timeout_ends_call: birth.media_timeout_ends_call,
            ringing_limit: birth.plan.ringing,
            hold_timeout: birth.hold_timeout,
            held_since: None,
            location: Location::of(birth.invite),
            hop_mark: birth.hop_mark.after(birth.invite.call_id()),
            random: birth.seed,
            requests: 0,
            effects: Vec::new(),
        };
        if let Err(cause) = call.take_invite(birth.invite, birth.flow, &birth.plan) {
            call.end(cause, birth.now);
            call.finish(birth.now);
        } else {
            call.ringing = birth.plan.attempts.into_iter().map(Ringing::new).collect();
            call.open(LegIndex::CALLER);
            for position in 0..call.ringing.len() {
                call.next_hop(position, birth.now);
            }
        }
        let effects = std::mem::take(&mut call.effects);
        (call, effects)
    }

    /// Checks the INVITE and makes the caller's dialog.
    fn take_invite(&mut self, invite: &Message, flow: &Flow, plan: &DialPlan) -> Result<(), Cause> {
        if invite.max_forwards() == Some(0) {
            return Err(Cause::BadRequest {
                status: 483,
                detail: "Max-Forwards is 0".into(),
            });
        }
        if let Err(min_se) = self.take_session_timer(invite) {
            return Err(Cause::IntervalTooSmall { min_se });
        }
        if self.hop_mark.is_loop() {
            return Err(Cause::BadRequest {
                status: 482,
                detail: "the call has passed this node too often".into(),
            });
        }
        let tag = self.new_tag();
        let offer = offer_of(invite).map_err(|detail| Cause::MediaRefused { detail })?;
        let leg = self.leg_mut(LegIndex::CALLER).ok_or(Cause::Fault {
            detail: "no caller".into(),
        })?;
        let dialog = Dialog::from_request(invite, &tag).map_err(|error| Cause::BadRequest {
            status: 400,
            detail: error.to_string(),
        })?;
        leg.dialog = Some(dialog);
        leg.state = LegState::Inviting;
        if leg.terms.behind_nat {
            leg.flow = Some(super::progress::hop_of(flow));
        }
        let Some(offer) = offer else { return Ok(()) };
        // Media in common with at least one destination, or 488 before anybody rings.
        let session = Session::parse(&offer).map_err(|error| Cause::MediaRefused {
            detail: error.to_string(),
        })?;
        let from = &self.legs[0].terms.media;
        let mut refusal = None;
        for attempt in &plan.attempts {
            for hop in &attempt.hops {
                match sdp::carry_offer(&session, from, &hop.terms.media) {
                    Ok(_) => {
                        self.offer = Some(offer);
                        return Ok(());
                    }
                    Err(refused) => refusal = Some(refused.to_string()),
                }
            }
        }
        Err(Cause::MediaRefused {
            detail: refusal.unwrap_or_else(|| "no destination".into()),
        })
    }

    pub(super) fn new_tag(&mut self) -> String {
        let random = self.random() as u32;
        self.id.tag(random)
    }

    /// Asks for the sockets of a leg. RTCP stays on the RTP port where the peer already said that it can.
    fn open(&mut self, index: LegIndex) {
        let mux = index == LegIndex::CALLER
            && self
                .offer
                .as_deref()
                .and_then(|offer| Session::parse(offer).ok())
                .is_some_and(|session| session.audio().is_some_and(|audio| audio.rtcp_mux))
            && self
                .leg(index)
                .is_some_and(|leg| leg.terms.media.rtcp_mux != sdp::RtcpMux::Never);
        self.effects.push(Effect::OpenMedia { leg: index, mux });
    }

    pub(super) fn media_opened(&mut self, index: LegIndex, result: Result<(LegId, LocalMedia), String>, now: Moment) {
        match result {
            Ok((handle, local)) => {
                let ended = self.phase == Phase::Ending;
                let Some(leg) = self.leg_mut(index) else { return };
                leg.media.handle = Some(handle);
                leg.media.local = Some(local);
                if ended {
                    self.effects.push(Effect::CloseMedia { leg: index, handle });
                } else if index != LegIndex::CALLER {
                    self.phase = Phase::Ringing;
                    self.invite(index, now);
                }
            }
            Err(detail) => self.end(Cause::NoMediaPort { detail }, now),
        }
    }

    /// Makes a leg for the attempt's next hop. Without one left the attempt has failed.
    pub(super) fn next_hop(&mut self, position: usize, now: Moment) {
        let index = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        let Some(hop) = ringing.hops.pop_front() else {
            self.attempt_failed(position, now);
            return;
        };
        ringing.leg = Some(index);
        let mut leg = Leg::new(index, Party::Callee, hop.terms.clone(), hop.contact_user.clone());
        leg.record.peer = Some(hop.peer.clone());
        leg.hop = Some(hop);
        self.legs.push(leg);
        self.open(index);
    }

    /// Sends the INVITE of a leg whose media is open.
    fn invite(&mut self, index: LegIndex, now: Moment) {
        let offer = match self.offer_for(index) {
            Ok(offer) => offer,
            Err(detail) => {
                self.hop_failed(
                    index,
                    AttemptFailure::local(488, "Not Acceptable Here", detail),
                    true,
                    now,
                );
                return;
            }
        };
        let initiation = match self.initiation(index) {
            Ok(initiation) => initiation,
            Err(detail) => {
                self.hop_failed(
                    index,
                    AttemptFailure::local(500, "Server Internal Error", detail),
                    true,
                    now,
                );
                return;
            }
        };
        let Some(leg) = self.leg_mut(index) else { return };
        leg.record.call_id = initiation.call_id().to_owned();
        let session = leg
            .terms
            .session_timer
            .settings()
            .map(|settings| SessionTimerOffer::new(&settings));
        let token = Token::NONE;
        leg.invite = Some(SentInvite {
            token,
            initiation,
            forks: Forks::default(),
            session,
            challenged: 0,
            authorization: None,
        });
        leg.media.described = Some(offer);
        leg.state = LegState::Inviting;
        self.send_invite(index, now);
    }

    fn initiation(&mut self, index: LegIndex) -> Result<Initiation, String> {
        let tag = self.new_tag();
        let random = self.random();
        let call_id = self.hop_mark.call_id(random);
        let hop = self
            .leg(index)
            .and_then(|leg| leg.hop.as_ref())
            .ok_or("the leg has no destination")?;
        let uri = Uri::parse(&hop.request_uri).map_err(|error| format!("Request-URI {}: {error}", hop.request_uri))?;
        let from = NameAddr::parse(HeaderName::From, &hop.from).map_err(|error| error.to_string())?;
        let to = NameAddr::parse(HeaderName::To, &hop.to).map_err(|error| error.to_string())?;
        Ok(Initiation::named(uri, &from, &to, call_id, tag))
    }

    /// Our offer on a leg: the caller's formats that the leg allows, or all that both allow when the caller made none.
    fn offer_for(&mut self, index: LegIndex) -> Result<String, String> {
        let caller = self.legs.first().map(|leg| leg.terms.clone()).ok_or("no caller")?;
        let session = match self.offer.as_deref().map(Session::parse) {
            Some(session) => Some(session.map_err(|error| error.to_string())?),
            None => None,
        };
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        let (formats, direction): (Vec<Format>, Direction) = match &session {
            Some(session) => {
                let carried =
                    sdp::carry_offer(session, &caller.media, &terms.media).map_err(|refusal| refusal.to_string())?;
                (carried.formats, carried.direction)
            }
            None => (
                sdp::formats_without_offer(&terms.media, &caller.media),
                Direction::SendRecv,
            ),
        };
        leg.media
            .offer(&terms, &formats, direction)
            .ok_or_else(|| "media is not open".into())
    }

    /// Sends the leg's INVITE as its state says: the first one, or again after a challenge or a 422.
    pub(super) fn send_invite(&mut self, index: LegIndex, now: Moment) {
        let (max_forwards, limit) = (self.max_forwards, self.ringing_limit);
        let location = self.location.clone();
        let Some(leg) = self.leg_mut(index) else { return };
        let contact = leg.contact();
        let (Some(hop), Some(invite), Some(body)) = (&leg.hop, &mut leg.invite, &leg.media.described) else {
            return;
        };
        let mut draft = invite
            .initiation
            .request(Method::Invite)
            .without(HeaderName::MaxForwards)
            .header(HeaderName::MaxForwards, max_forwards.to_string())
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, &*leg.terms.allow);
        draft = with_supported(draft, &leg.terms);
        if let Some(session) = &invite.session {
            draft = draft
                .header(HeaderName::SessionExpires, session.interval.to_string())
                .header(HeaderName::MinSe, session.min_se.to_string());
        }
        for (name, value) in &hop.headers {
            draft = draft.header(*name, value);
        }
        if let Some((name, value)) = &invite.authorization {
            draft = draft.header(*name, value);
        }
        let mut draft = decorate_request(draft, &leg.terms);
        draft = match location.filter(|_| leg.terms.pass_location) {
            Some(location) => location.wrap(draft, body),
            None => draft.body("application/sdp", body.clone()),
        };
        let (to, patience) = (To::Next(hop.next.clone()), hop.first_response);
        let token = self.send(index, draft, to);
        if let Some(invite) = self.leg_mut(index).and_then(|leg| leg.invite.as_mut()) {
            invite.token = token;
        }
        if let Some(ringing) = self.ringing_of(index) {
            ringing.silent_until = Some(now + patience);
            ringing.rings_until.get_or_insert(now + limit);
        }
    }

    pub(super) fn ringing_of(&mut self, index: LegIndex) -> Option<&mut Ringing> {
        self.ringing.iter_mut().find(|ringing| ringing.leg == Some(index))
    }

    /// Hops that did not say a word in time are given up, and the next one is tried (TEAMS-063).
    pub(super) fn first_response_timeouts(&mut self, now: Moment) {
        let late = |ringing: &&Ringing| ringing.silent_until.is_some_and(|until| until <= now);
        let legs: Vec<LegIndex> = self
            .ringing
            .iter()
            .filter(late)
            .filter_map(|ringing| ringing.leg)
            .collect();
        for index in legs {
            self.give_up(index, None);
            let failure = AttemptFailure::local(503, "Service Unavailable", "no response in time".into());
            self.hop_failed(index, failure, true, now);
        }
    }

    /// Destinations that ring too long are given up; nobody else is tried for them.
    pub(super) fn ringing_timeouts(&mut self, now: Moment) {
        let late = |ringing: &&Ringing| ringing.rings_until.is_some_and(|until| until <= now);
        let legs: Vec<LegIndex> = self
            .ringing
            .iter()
            .filter(late)
            .filter_map(|ringing| ringing.leg)
            .collect();
        for index in legs {
            self.give_up(index, None);
            let failure = AttemptFailure::local(480, "Temporarily Unavailable", "no answer".into());
            self.hop_failed(index, failure, false, now);
        }
    }

    /// The INVITE of a leg can't be delivered, or nobody answered it.
    pub(super) fn invite_failed(&mut self, index: LegIndex, failure: &SendFailure, now: Moment) {
        let detail = failure.to_string();
        let Some(leg) = self.leg_mut(index) else { return };
        let was_cancelled = leg.state == LegState::Cancelling;
        leg.state = LegState::Gone;
        leg.invite = None;
        if !was_cancelled {
            self.hop_failed(
                index,
                AttemptFailure::local(503, "Service Unavailable", detail),
                true,
                now,
            );
        }
    }

    /// One hop is lost: the next one where the plan says so, else the attempt is over.
    pub(super) fn hop_failed(&mut self, index: LegIndex, failure: AttemptFailure, hunt_on: bool, now: Moment) {
        let retry_after = failure.retry_after;
        let why = failure.explain();
        if let Some(leg) = self.leg_mut(index) {
            leg.record.status.get_or_insert(failure.status);
            if let Some(hop) = &leg.hop
                && hunt_on
            {
                let (peer, span) = (hop.peer.clone(), retry_after.unwrap_or(hop.hold_down));
                self.effects.push(Effect::Peer {
                    peer: peer.clone(),
                    verdict: PeerVerdict::HoldDown(span),
                });
                self.tell(CallNews::Hunting { from: peer, why });
            }
        }
        self.release(index);
        let Some(position) = self.ringing.iter().position(|ringing| ringing.leg == Some(index)) else {
            return;
        };
        let ringing = &mut self.ringing[position];
        ringing.leg = None;
        ringing.silent_until = None;
        ringing.rings_until = None;
        ringing.failure = Some(failure);
        if hunt_on {
            self.next_hop(position, now);
        } else {
            self.attempt_failed(position, now);
        }
    }

    /// Closes the media of a leg that will not be talked to, and its state unless a final answer is awaited.
    fn release(&mut self, index: LegIndex) {
        let Some(leg) = self.leg_mut(index) else { return };
        if leg.state != LegState::Cancelling {
            leg.state = LegState::Gone;
        }
        if let Some(handle) = leg.media.handle {
            self.effects.push(Effect::CloseMedia { leg: index, handle });
        }
    }

    fn attempt_failed(&mut self, position: usize, now: Moment) {
        let Some(ringing) = self.ringing.get_mut(position) else {
            return;
        };
        ringing.over = true;
        if let Some(failure) = ringing.failure.take() {
            self.failures.push(failure);
        }
        if self.phase == Phase::Answered
            || self.phase == Phase::Ending
            || !self.ringing.iter().all(|ringing| ringing.over)
        {
            return;
        }
        let cause = match crate::dial::best_failure(&self.failures) {
            Some(failure) if failure.is_local() => match failure.status {
                480 => Cause::NoAnswer,
                488 => Cause::MediaRefused {
                    detail: failure.explain(),
                },
                _ => Cause::Unreachable {
                    detail: failure.explain(),
                },
            },
            Some(failure) => Cause::Refused {
                status: failure.status,
                phrase: failure.phrase.clone(),
                reasons: failure.reasons.clone(),
                retry_after: failure.retry_after,
            },
            None => Cause::Unreachable {
                detail: "the plan has no destination".into(),
            },
        };
        self.end(cause, now);
    }

    /// Nobody answered in time.
    pub(super) fn ring_timeout(&mut self, now: Moment) {
        self.end(Cause::NoAnswer, now);
    }

    /// Gives up on a leg that was not answered: CANCEL, and its final answer is awaited.
    pub(super) fn give_up(&mut self, index: LegIndex, reason: Option<String>) {
        let Some(leg) = self.leg_mut(index) else { return };
        match (leg.state, &leg.invite) {
            (LegState::Inviting, Some(invite)) => {
                let token = invite.token;
                leg.state = LegState::Cancelling;
                self.effects.push(Effect::CancelRequest { token, reason });
            }
            (LegState::Opening, _) => leg.state = LegState::Gone,
            _ => {}
        }
    }

    /// CANCEL from the caller (RFC 3261 §9.2). When our 200 crossed it, the call stands and a BYE will come.
    pub(super) fn cancelled(&mut self, transaction: ServerTransactionId, _cancel: &Message, now: Moment) {
        if self
            .leg(LegIndex::CALLER)
            .is_some_and(|leg| leg.waiting == Some(transaction))
            && self.phase != Phase::Answered
        {
            self.end(Cause::CallerGaveUp, now);
        } else {
            self.change_cancelled(transaction);
        }
    }

    /// Answers the caller's INVITE for good, with the cause's own code and reason.
    pub(super) fn refuse_caller(&mut self, cause: &Cause) {
        let status = cause.status();
        let Some(leg) = self.leg_mut(LegIndex::CALLER) else {
            return;
        };
        let Some(transaction) = leg.waiting.take() else { return };
        leg.state = LegState::Gone;
        leg.record.status = Some(status);
        let tag = leg
            .dialog
            .as_ref()
            .map(|dialog| dialog.id().local_tag.clone())
            .unwrap_or_default();
        let mut draft = ResponseDraft::new(status).reason(cause.phrase());
        if !tag.is_empty() {
            draft = draft.to_tag(&tag);
        }
        for reason in cause.reasons_for_caller() {
            draft = draft.header(HeaderName::Reason, reason);
        }
        if let Some(seconds) = cause.retry_after() {
            draft = draft.header(HeaderName::RetryAfter, seconds.to_string());
        }
        if let Cause::IntervalTooSmall { min_se } = cause {
            draft = draft.header(HeaderName::MinSe, min_se.to_string());
        }
        if let Some(text) = cause.warning() {
            draft = draft.header(HeaderName::Warning, text);
        }
        let draft = leg.decorate(draft);
        self.status = status;
        self.respond(transaction, draft);
    }
}

impl Ringing {
    fn new(attempt: crate::dial::Attempt) -> Ringing {
        Ringing {
            hops: attempt.hops.into(),
            leg: None,
            silent_until: None,
            rings_until: None,
            failure: None,
            over: false,
        }
    }
}

/// The SDP offer in a request, found in a multipart body too; `None` without one.
pub(super) fn offer_of(message: &Message) -> Result<Option<Vec<u8>>, String> {
    let body = message.body();
    if body.is_empty() {
        return Ok(None);
    }
    let content_type = message.header(HeaderName::ContentType).unwrap_or("application/sdp");
    match sdp::sdp_part(content_type, body) {
        Ok(part) => Ok(Some(part.to_vec())),
        Err(error) => Err(error.to_string()),
    }
}

/// What a message says of session timers.
pub(super) fn peer_session_timer(message: &Message) -> PeerSessionTimer {
    PeerSessionTimer {
        session_expires: message
            .header(HeaderName::SessionExpires)
            .and_then(SessionExpires::parse),
        min_se: message.header(HeaderName::MinSe).and_then(parse_seconds),
        supports_timer: message.lists(HeaderName::Supported, "timer") || message.lists(HeaderName::Require, "timer"),
    }
}

impl crate::dial::SessionTimer {
    /// As the negotiation wants it; `None` when this side offers no timer.
    pub(super) fn settings(&self) -> Option<SessionTimerSettings> {
        self.expires.map(|expires| self.with_interval(expires))
    }

    /// The same, for answering: a side that offers none still honours the peer's.
    pub(super) fn answering(&self) -> SessionTimerSettings {
        self.with_interval(self.expires.unwrap_or(Duration::from_secs(1800)))
    }

    fn with_interval(&self, expires: Duration) -> SessionTimerSettings {
        let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        SessionTimerSettings {
            interval: seconds(expires),
            min_se: seconds(self.min),
        }
    }
}
