//! Set-up: a call is born, its media opened, its INVITEs sent.

use super::application::{App, AppTerms, CallerFacts};
use super::cause::{Cause, Party};
use super::event::{Effect, To};
use super::hop_mark::HopMark;
use super::hunt::{Awaited, Next, Ringing};
use super::id::{CallId, LegIndex, Token};
use super::last_word::LastWord;
use super::leg::{Leg, LegState, SentInvite, decorate_request, with_supported};
use super::leg_media::Sockets;
use super::location::Location;
use super::readable::description_of;
use super::record::{CallFacts, ElinUse, Milestones};
use super::session_clock::peer_session_timer;
use super::value::{Call, Phase};
use crate::app::sid::CallSid;
use crate::app::verb::Hook;
use crate::config::MediaAddressId;
use crate::dial::{AttemptFailure, DialPlan, LegTerms};
use crate::media::LegId;
use crate::moment::Moment;
use crate::sdp::{self, LocalMedia, Recoding, Session};
use crate::sip::dialog::{Dialog, Forks, Initiation};
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::{SessionTimerAnswer, SessionTimerOffer, answer, parse_seconds};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method, NameAddr, Uri};
use std::sync::Arc;
use std::time::Duration;

/// Everything that a call is born from.
#[derive(Debug)]
pub struct Birth<'a> {
    pub id: CallId,
    /// 64 bits of the system's randomness.
    pub seed: u64,
    pub now: Moment,
    pub facts: CallFacts,
    /// What decides about the call.
    pub program: Program,
    /// The caller's leg.
    pub terms: Arc<LegTerms>,
    pub contact_user: String,
    pub invite: &'a Message,
    pub flow: &'a Flow,
    pub transaction: ServerTransactionId,
    pub settings: Settings,
}

/// What all calls of a configuration go by.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// A call on hold for longer than this is ended.
    pub hold_timeout: Duration,
    /// The process's own.
    pub hop_mark: HopMark,
}

/// Everything that a call which an application places is born from.
#[derive(Debug)]
pub struct PlacedBirth {
    pub id: CallId,
    /// 64 bits of the system's randomness.
    pub seed: u64,
    pub now: Moment,
    pub facts: CallFacts,
    pub terms: Arc<AppTerms>,
    pub caller: CallerFacts,
    pub placing: Placing,
    /// The terms of the place that the caller will take: any of the destinations'.
    pub desk: Arc<LegTerms>,
    pub settings: Settings,
}

/// What decides about a call.
#[derive(Debug)]
pub enum Program {
    /// A route: it rings until somebody answers, and relays the best failure.
    Route(DialPlan),
    /// An application, asked for its verbs at once. It may leave its caller without an answer for the time of `setup`.
    Application {
        terms: Arc<AppTerms>,
        caller: CallerFacts,
        setup: Duration,
    },
}

/// What an application places a call with.
#[derive(Debug)]
pub struct Placing {
    pub sid: CallSid,
    pub plan: DialPlan,
    /// `customerData`.
    pub tag: Option<serde_json::Map<String, serde_json::Value>>,
    /// From the answer on.
    pub time_limit: Option<Duration>,
    /// Decides about REFER.
    pub refer_hook: Option<Hook>,
}

impl Call {
    /// A new call and the effects that begin it.
    pub fn begin(birth: Birth<'_>) -> (Call, Vec<Effect>) {
        let mut caller = Leg::new(LegIndex::CALLER, Party::Caller, birth.terms, birth.contact_user);
        caller.waiting = Some(birth.transaction);
        caller.record.call_id = birth.invite.call_id().to_owned();
        caller.note_caller(birth.invite);
        let expires = birth.invite.header(HeaderName::Expires).and_then(parse_seconds);
        let mut call = Call {
            // Nobody who calls wants no answer.
            expires: expires
                .filter(|seconds| *seconds > 0)
                .map(|seconds| birth.now + Duration::from_secs(seconds.into())),
            max_forwards: birth.invite.max_forwards().unwrap_or(70).min(70).saturating_sub(1),
            location: Location::of(birth.invite),
            hop_mark: birth.settings.hop_mark.after(birth.invite.call_id()),
            ..Call::new(birth.id, birth.seed, birth.facts, caller, birth.settings, birth.now)
        };
        match birth.program {
            Program::Route(plan) => call.begin_route(plan, birth.invite, birth.flow, birth.now),
            Program::Application { terms, caller, setup } => {
                // Whatever is wrong with the INVITE ends the call at once.
                call.deadline = Some(birth.now + setup);
                call.begin_application(terms, caller, birth.invite, birth.flow, birth.now);
            }
        }
        call.finish(birth.now);
        let effects = std::mem::take(&mut call.effects);
        (call, effects)
    }

    /// A call that an application places, and the effects that begin it.
    pub fn place(birth: PlacedBirth) -> (Call, Vec<Effect>) {
        let desk = Leg::new(LegIndex::CALLER, Party::Caller, birth.desk, String::new());
        let mut call = Call::new(birth.id, birth.seed, birth.facts, desk, birth.settings, birth.now);
        call.begin_placed(birth.terms, birth.caller, birth.placing, birth.now);
        call.finish(birth.now);
        let effects = std::mem::take(&mut call.effects);
        (call, effects)
    }

    pub(super) fn new(id: CallId, seed: u64, facts: CallFacts, first: Leg, settings: Settings, now: Moment) -> Call {
        Call {
            id,
            facts,
            milestones: Milestones::new(now),
            phase: Phase::Opening,
            legs: vec![first],
            ringing: Vec::new(),
            failures: Vec::new(),
            winner: None,
            bridged: None,
            settled_here: false,
            app: None,
            deadline: None,
            expires: None,
            max_forwards: 69,
            change: None,
            transfer: None,
            joining: false,
            cause: None,
            status: 0,
            offer: None,
            hold_timeout: settings.hold_timeout,
            held_since: None,
            location: None,
            hop_mark: settings.hop_mark,
            random: seed,
            requests: 0,
            last_word: LastWord::at(now),
            ringing_tone: false,
            effects: Vec::new(),
        }
    }

    fn begin_route(&mut self, plan: DialPlan, invite: &Message, flow: &Flow, now: Moment) {
        let destinations = || plan.attempts.iter().flat_map(|attempt| &attempt.hops);
        let taken = self.take_invite(invite, flow, |session, from| {
            let mut refusal = "no destination".to_owned();
            for hop in destinations() {
                match sdp::carry_offer(session, from, &hop.terms.media, Recoding::Any) {
                    Ok(_) => return Ok(()),
                    Err(refused) => refusal = refused.to_string(),
                }
            }
            Err(refusal)
        });
        if let Err(cause) = taken {
            self.end(cause, now);
            return;
        }
        self.deadline = Some(now + plan.timeout);
        let ringing = |attempt| Ringing::new(attempt, plan.ringing);
        self.ringing = plan.attempts.into_iter().map(ringing).collect();
        self.open_media(LegIndex::CALLER);
        for position in 0..self.ringing.len() {
            self.next_hop(position, now);
        }
    }

    fn begin_application(
        &mut self,
        terms: Arc<AppTerms>,
        caller: CallerFacts,
        invite: &Message,
        flow: &Flow,
        now: Moment,
    ) {
        let taken = self.take_invite(invite, flow, |session, from| {
            sdp::formats_alone(session, from)
                .map(|_| ())
                .map_err(|refusal| refusal.to_string())
        });
        let sid = self.new_sid();
        self.app = Some(Box::new(App::new(terms, caller, sid)));
        if let Err(cause) = taken {
            self.end(cause, now);
            return;
        }
        self.open_media(LegIndex::CALLER);
        self.tell_caller_status(now);
        self.ask_first(Some(invite), now);
    }

    /// Checks the INVITE and makes the caller's dialog; `carry` says whether its offer can be served.
    fn take_invite(
        &mut self,
        invite: &Message,
        flow: &Flow,
        carry: impl FnOnce(&Session, &sdp::LegProfile) -> Result<(), String>,
    ) -> Result<(), Cause> {
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
        let offer = match description_of(invite) {
            Ok(offer) => offer,
            // Who needs help is not refused for how a location is wrapped (TEAMS-053): without any description the offer is ours.
            Err(_) if self.facts.emergency => sdp::sdp_somewhere(invite.body()).map(<[u8]>::to_vec),
            Err(unreadable) => {
                return Err(Cause::MediaRefused {
                    detail: unreadable.to_string(),
                });
            }
        };
        let leg = self.leg_mut(LegIndex::CALLER).ok_or(Cause::Fault {
            detail: "no caller".into(),
        })?;
        let dialog = Dialog::from_request(invite, &tag).map_err(|error| Cause::BadRequest {
            status: 400,
            detail: error.to_string(),
        })?;
        leg.dialog = Some(dialog);
        leg.state = LegState::Inviting;
        leg.heard_from(flow);
        if leg.terms.keeps_flow() {
            leg.flow = Some(leg.way_back(flow, false));
        }
        let Some(offer) = offer else { return Ok(()) };
        // Media in common with at least one destination, or 488 before anybody rings.
        let profile = &leg.terms.media;
        Session::parse(&offer)
            .map_err(|error| error.to_string())
            .and_then(|session| carry(&session, profile))
            .map_err(|detail| Cause::MediaRefused { detail })?;
        self.offer = Some(offer);
        Ok(())
    }

    pub(super) fn new_tag(&mut self) -> String {
        let random = self.random() as u32;
        self.id.tag(random)
    }

    /// Asks for the sockets of a leg. RTCP stays on the RTP port where the peer already said that it can.
    pub(super) fn open_media(&mut self, index: LegIndex) {
        let mux = index == LegIndex::CALLER
            && self
                .offer
                .as_deref()
                .and_then(|offer| Session::parse(offer).ok())
                .is_some_and(|session| session.audio().is_some_and(|audio| audio.rtcp_mux))
            && self
                .leg(index)
                .is_some_and(|leg| leg.terms.media.rtcp_mux != sdp::RtcpMux::Never);
        self.open_sockets(index, mux);
    }

    pub(super) fn open_sockets(&mut self, index: LegIndex, mux: bool) {
        let mut address = MediaAddressId::default();
        if let Some(leg) = self.leg_mut(index) {
            leg.media.sockets = Sockets::Opening;
            address = leg.media_address;
        }
        let may_recode = self.may_recode(index);
        self.effects.push(Effect::OpenMedia {
            leg: index,
            address,
            mux,
            may_recode,
        });
    }

    /// Closes the sockets of a leg, once.
    pub(super) fn close_media(&mut self, index: LegIndex) {
        let Some(leg) = self.leg_mut(index) else { return };
        if let Some(handle) = leg.media.handle() {
            leg.media.sockets = Sockets::Closing(handle);
            self.effects.push(Effect::CloseMedia { leg: index, handle });
        }
    }

    pub(super) fn media_opened(
        &mut self,
        index: LegIndex,
        result: Result<(LegId, LocalMedia), String>,
        may_recode: bool,
        now: Moment,
    ) {
        let Some(leg) = self.leg_mut(index) else { return };
        let wanted = matches!(leg.state, LegState::Opening | LegState::Inviting);
        match result {
            Ok((handle, local)) => {
                leg.media.sockets = Sockets::Open(handle);
                let local = local.for_profile(&leg.terms.media);
                let checks = local.ice(&leg.terms.media);
                leg.media.local = Some(local);
                let expected = checks.map(|credentials| Effect::ExpectChecks { handle, credentials });
                self.effects.extend(expected);
                if !wanted {
                    self.close_media(index);
                } else if self.brings_invite(index) {
                    self.accept_arriving(index, now);
                } else if index == LegIndex::CALLER {
                    self.advance(index, now);
                } else {
                    if self.phase == Phase::Opening {
                        self.phase = Phase::Ringing;
                    }
                    self.invite(index, may_recode, now);
                }
            }
            Err(detail) => {
                leg.media.sockets = Sockets::None;
                if wanted && self.brings_invite(index) {
                    self.arriving_refused(index, 503, format!("no media port was free: {detail}"), now);
                } else if wanted && self.is_arriving(index) && !self.rings_for_transfer(index) {
                    let why = format!("no media port was free: {detail}");
                    let failure = AttemptFailure::local(503, "Service Unavailable", why);
                    self.transfer_failed(&failure, now);
                } else if wanted && (self.is_arriving(index) || self.app.is_some()) && index != LegIndex::CALLER {
                    let failure = AttemptFailure::local(503, "Service Unavailable", detail);
                    self.hop_failed(index, failure, Next::Stop, now);
                } else if wanted {
                    self.end(Cause::NoMediaPort { detail }, now);
                }
            }
        }
    }

    /// Sends the INVITE of a leg whose media is open.
    fn invite(&mut self, index: LegIndex, may_recode: bool, now: Moment) {
        let offer = match self.offer_for(index, may_recode) {
            Ok(offer) => offer,
            Err(failure) => {
                // Another hop may share a codec.
                self.hop_failed(index, *failure, Next::Hunt, now);
                return;
            }
        };
        let initiation = match self.initiation(index) {
            Ok(initiation) => initiation,
            Err(detail) => {
                self.hop_failed(
                    index,
                    AttemptFailure::local(500, "Server Internal Error", detail),
                    Next::Hunt,
                    now,
                );
                return;
            }
        };
        let Some(leg) = self.leg_mut(index) else { return };
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
        let leg = self.leg(index).ok_or("no such leg")?;
        let call_id = leg.record.call_id.clone();
        let hop = leg.hop.as_ref().ok_or("the leg has no destination")?;
        let uri = Uri::parse(&hop.request_uri).map_err(|error| format!("Request-URI {}: {error}", hop.request_uri))?;
        let from = NameAddr::parse(HeaderName::From, &hop.from).map_err(|error| error.to_string())?;
        let to = NameAddr::parse(HeaderName::To, &hop.to).map_err(|error| error.to_string())?;
        Ok(Initiation::named(uri, &from, &to, call_id, tag))
    }

    /// Sends the leg's INVITE as its state says: the first one, or again after a challenge or a 422.
    pub(super) fn send_invite(&mut self, index: LegIndex, now: Moment) {
        let max_forwards = self.max_forwards;
        // Where somebody is, is nobody's business on any other call (TEAMS-053), nor on a call back to who called for help.
        let calls_back = matches!(self.facts.elin, Some(ElinUse::CalledBack(_)));
        let location = self
            .location
            .clone()
            .filter(|_| self.is_emergency(index) && !calls_back);
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
        for (name, value) in &hop.extra_headers {
            // The plan holds none that can't be written.
            draft = draft.clone().raw_header(name, value).unwrap_or(draft);
        }
        if let Some((name, value)) = &invite.authorization {
            draft = draft.header(*name, value);
        }
        let mut draft = decorate_request(draft, &leg.terms);
        draft = match location.filter(|_| leg.terms.pass_location) {
            Some(location) => location.wrap(draft, body),
            None => draft.body("application/sdp", body.clone()),
        };
        let (direct, next, patience) = (hop.direct.clone(), hop.next.clone(), hop.first_response);
        let again = invite.token != Token::NONE;
        let located = self.ringing_of(index).and_then(|ringing| ringing.locate(direct, again));
        if let (Some(leg), Some(hop)) = (self.leg_mut(index), &located) {
            leg.record.address = Some((hop.transport, hop.remote));
        }
        let token = self.send(index, draft, located.map_or(To::First(next), To::Hop));
        if let Some(invite) = self.leg_mut(index).and_then(|leg| leg.invite.as_mut()) {
            invite.token = token;
        }
        self.await_arriving(index, patience, now);
        if let Some(ringing) = self.ringing_of(index) {
            ringing.awaited = Some(Awaited::Response { until: now + patience });
            let limit = ringing.limit;
            ringing.rings_until.get_or_insert(now + limit);
        }
    }

    /// Decides the session timer of the caller's INVITE (RFC 4028 §9); the error is the Min-SE of a 422.
    fn take_session_timer(&mut self, invite: &Message) -> Result<(), u32> {
        let Some(caller) = self.leg_mut(LegIndex::CALLER) else {
            return Ok(());
        };
        caller.note_min_se(invite);
        match answer(
            &peer_session_timer(invite),
            &caller.terms.session_timer.answering(),
            None,
        ) {
            SessionTimerAnswer::TooSmall { min_se } => Err(min_se),
            other => {
                caller.session_answer = Some(other);
                Ok(())
            }
        }
    }
}
