//! What destinations answer: ringing, early media, the answer, refusals; and what the caller hears of it.

use super::cause::Cause;
use super::event::{CallNews, Effect, PeerVerdict};
use super::id::LegIndex;
use super::leg::LegState;
use super::session_clock::SessionClock;
use super::setup::{offer_of, peer_session_timer};
use super::value::{Call, Phase};
use crate::dial::{AttemptFailure, PeerName};
use crate::moment::Moment;
use crate::sip::dialog::Fork;
use crate::sip::digest::{self, DigestClient};
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::{SessionTimerAnswer, answer, parse_seconds};
use crate::sip::{Flow, Hop, Method};
use std::time::Duration;

/// The Reason of a CANCEL for a destination that lost to another (TEAMS-115).
const COMPLETED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Call {
    /// A response to an INVITE that set up a leg.
    pub(super) fn invite_response(&mut self, index: LegIndex, message: &Message, flow: &Flow, now: Moment) {
        let status = message.status().unwrap_or(0);
        if let Some(ringing) = self.ringing_of(index) {
            ringing.silent_until = None;
        }
        let Some(leg) = self.leg_mut(index) else { return };
        let Some(invite) = &mut leg.invite else { return };
        // What makes no dialog can't be acknowledged or hung up: the far side gives up by itself.
        let Ok(fork) = invite.forks.receive(&invite.initiation, message) else {
            return;
        };
        match (leg.state, fork) {
            (LegState::Inviting, Fork::Early(_)) => self.progress(index, message, now),
            (LegState::Inviting, Fork::Answered(fork)) => self.answered(index, fork, message, flow, now),
            (LegState::Cancelling, Fork::Answered(fork)) => self.answered_too_late(index, fork, message),
            // Another fork answered as well (RFC 3261 §13.2.2.4).
            (_, Fork::Answered(fork)) => self.hang_up_fork(index, fork, message),
            (_, Fork::AnsweredAgain(fork)) => self.acknowledge_fork(index, fork, message),
            (LegState::Inviting, Fork::None) if (101..=199).contains(&status) => self.progress(index, message, now),
            (LegState::Inviting, Fork::None) if status >= 300 => self.refused(index, message, now),
            (LegState::Cancelling, Fork::None) if status >= 300 => {
                leg.note_final(message);
                leg.state = LegState::Gone;
            }
            _ => {}
        }
    }

    fn progress(&mut self, index: LegIndex, message: &Message, now: Moment) {
        let has_early_media = self.early_media(index, message, now);
        let status = message.status().unwrap_or(180);
        if self.milestones.ringing.is_none() {
            self.milestones.ringing = Some(now);
            self.tell(CallNews::Ringing);
        }
        self.tell_caller(status, has_early_media);
    }

    /// Takes the description in a provisional response; true when the caller can hear it now.
    fn early_media(&mut self, index: LegIndex, message: &Message, now: Moment) -> bool {
        let someone_elses = self.winner.is_some_and(|winner| winner != index);
        if message.body().is_empty() || someone_elses || self.offer.is_none() {
            return false;
        }
        let Ok(Some(body)) = offer_of(message) else {
            return false;
        };
        let Some(leg) = self.leg_mut(index) else { return false };
        let terms = leg.terms.clone();
        if leg.media.take_answer(&terms, &body, false).is_err() {
            // Early media that can't be read is not heard; the final answer decides.
            return false;
        }
        self.winner = Some(index);
        if self.answer_caller_media(index).is_err() {
            self.winner = None;
            return false;
        }
        self.connect(index, now);
        true
    }

    /// Makes the caller's answer from what the callee settled.
    fn answer_caller_media(&mut self, index: LegIndex) -> Result<(), crate::sdp::Refusal> {
        let callee = self.leg(index).and_then(|leg| leg.media.negotiated.clone());
        let (Some(callee), Some(offer)) = (callee, self.offer.clone()) else {
            return Err(crate::sdp::Refusal::NoAudio);
        };
        let Some(caller) = self.leg_mut(LegIndex::CALLER) else {
            return Err(crate::sdp::Refusal::NoAudio);
        };
        let terms = caller.terms.clone();
        caller
            .media
            .answer(&terms, &offer, &callee.formats(), callee.carried_direction())
            .map(|_| ())
    }

    /// Tells the media worker how both legs stand and joins them.
    pub(super) fn connect(&mut self, index: LegIndex, now: Moment) {
        let (Some(caller), Some(callee)) = (self.leg(LegIndex::CALLER), self.leg(index)) else {
            return;
        };
        let (Some(a), Some(b)) = (caller.media.handle, callee.media.handle) else {
            return;
        };
        let caller_config = caller.media.worker_config(&caller.terms, Some(&callee.media));
        let callee_config = callee.media.worker_config(&callee.terms, Some(&caller.media));
        if let Some(config) = caller_config {
            self.effects.push(Effect::ConfigureMedia { handle: a, config });
        }
        if let Some(config) = callee_config {
            self.effects.push(Effect::ConfigureMedia { handle: b, config });
        }
        self.effects.push(Effect::BridgeMedia { a, b });
        self.note_hold(index, now);
    }

    /// A call is on hold while one of its sides may not send.
    fn note_hold(&mut self, index: LegIndex, now: Moment) {
        let hears = |index| {
            let settled = self.leg(index).and_then(|leg| leg.media.negotiated.as_ref());
            settled.is_none_or(|settled| settled.direction.receives())
        };
        let held = !(hears(LegIndex::CALLER) && hears(index));
        self.held_since = held.then(|| self.held_since.unwrap_or(now));
    }

    /// A provisional response to the caller; with our answer when there is early media (TEAMS-048).
    fn tell_caller(&mut self, status: u16, early_media: bool) {
        let Some(leg) = self.leg(LegIndex::CALLER) else { return };
        let (Some(transaction), Some(dialog)) = (leg.waiting, &leg.dialog) else {
            return;
        };
        let status = if early_media { 183 } else { status };
        let mut draft = leg.dialog_response(status, &dialog.id().local_tag);
        if early_media && let Some(body) = &leg.media.described {
            draft = draft.body("application/sdp", body.clone());
        }
        self.respond(transaction, draft);
    }

    fn answered(&mut self, index: LegIndex, fork: usize, message: &Message, flow: &Flow, now: Moment) {
        let cseq = message.cseq().0;
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.take_fork(fork);
        leg.state = LegState::Up;
        if leg.terms.behind_nat {
            leg.flow = Some(hop_of(flow));
        }
        let agreed = leg
            .invite
            .as_ref()
            .and_then(|invite| invite.session)
            .and_then(|offer| offer.agreed(&peer_session_timer(message)));
        leg.session = agreed.map(|timer| SessionClock::start(timer, now));
        let peer = leg.hop.as_ref().map(|hop| hop.peer.clone());
        self.acknowledge(index, cseq);
        self.peer_answered(peer);
        if let Err(detail) = self.settle(index, message) {
            self.hang_up(index, Some("Q.850;cause=88;text=\"Incompatible media\"".into()));
            self.hop_failed(
                index,
                AttemptFailure::local(488, "Not Acceptable Here", detail),
                false,
                now,
            );
            return;
        }
        self.winner = Some(index);
        if let Some(ringing) = self.ringing_of(index) {
            ringing.over = true;
        }
        self.cancel_losers(index);
        self.answer_caller(index, now);
    }

    fn peer_answered(&mut self, peer: Option<PeerName>) {
        if let Some(peer) = peer {
            self.effects.push(Effect::Peer {
                peer,
                verdict: PeerVerdict::Answered,
            });
        }
    }

    /// Takes the answer of a 2xx; the error says in words why there can be no media.
    fn settle(&mut self, index: LegIndex, message: &Message) -> Result<(), String> {
        let body = offer_of(message)?;
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        match body {
            Some(body) => leg
                .media
                .take_answer(&terms, &body, true)
                .map_err(|refusal| refusal.to_string()),
            // The answer came in a provisional response, and the 200 does not repeat it.
            None if leg.media.negotiated.is_some() => Ok(()),
            None => Err("its 200 has no session description".into()),
        }
    }

    /// 200 to the caller with what the callee settled, and media both ways.
    fn answer_caller(&mut self, index: LegIndex, now: Moment) {
        let described = match self.offer.is_some() {
            true => self.answer_caller_media(index).map_err(|refusal| refusal.to_string()),
            false => self.offer_to_caller(index),
        };
        if let Err(detail) = described {
            self.end(Cause::MediaRefused { detail }, now);
            return;
        }
        self.connect(index, now);
        let Some(caller) = self.leg_mut(LegIndex::CALLER) else {
            return;
        };
        let (Some(transaction), Some(dialog)) = (caller.waiting.take(), caller.dialog.as_ref()) else {
            return;
        };
        let tag = dialog.id().local_tag.clone();
        caller.unacknowledged = Some(transaction);
        caller.state = LegState::Up;
        caller.record.status = Some(200);
        let mut draft = caller.dialog_response(200, &tag);
        if let Some(SessionTimerAnswer::On {
            session_expires,
            require,
            timer,
        }) = caller.session_answer.take()
        {
            draft = draft.header(HeaderName::SessionExpires, session_expires.to_string());
            if require {
                draft = draft.header(HeaderName::Require, "timer");
            }
            caller.session = Some(SessionClock::start(timer, now));
        }
        let body = caller.media.described.clone().unwrap_or_default();
        self.status = 200;
        self.phase = Phase::Answered;
        self.deadline = None;
        self.milestones.answered = Some(now);
        self.respond(transaction, draft.body("application/sdp", body));
        self.tell(CallNews::Answered);
    }

    /// The caller made no offer: ours, with what the callee can take, goes in the 200 and its answer comes in the ACK.
    fn offer_to_caller(&mut self, index: LegIndex) -> Result<(), String> {
        let callee = self
            .leg(index)
            .and_then(|leg| leg.media.negotiated.clone())
            .ok_or("the callee has no media")?;
        let caller = self.leg_mut(LegIndex::CALLER).ok_or("no caller")?;
        let terms = caller.terms.clone();
        let direction = terms.media.hold.offered(callee.carried_direction());
        caller
            .media
            .offer(&terms, &callee.formats(), direction)
            .map(|_| ())
            .ok_or_else(|| "media is not open".into())
    }

    fn cancel_losers(&mut self, winner: LegIndex) {
        let others: Vec<LegIndex> = self
            .legs
            .iter()
            .skip(1)
            .map(|leg| leg.index)
            .filter(|index| *index != winner)
            .collect();
        for index in others {
            self.give_up(index, Some(COMPLETED_ELSEWHERE.into()));
            if let Some(handle) = self.leg(index).and_then(|leg| leg.media.handle) {
                self.effects.push(Effect::CloseMedia { leg: index, handle });
            }
        }
        for ringing in &mut self.ringing {
            ringing.over = true;
            ringing.silent_until = None;
            ringing.rings_until = None;
        }
    }

    /// A 200 that crossed our CANCEL: it is acknowledged and hung up (RFC 3261 §9.1).
    fn answered_too_late(&mut self, index: LegIndex, fork: usize, message: &Message) {
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.take_fork(fork);
        leg.state = LegState::Up;
        self.acknowledge(index, message.cseq().0);
        self.hang_up(index, Some("Q.850;cause=16;text=\"Normal call clearing\"".into()));
    }

    fn acknowledge_fork(&mut self, index: LegIndex, fork: usize, message: &Message) {
        let Some(leg) = self.leg_mut(index) else { return };
        let kept = leg.dialog.clone();
        leg.take_fork(fork);
        let acknowledged = leg.ack(message.cseq().0);
        leg.dialog = kept;
        if let Some((draft, to)) = acknowledged {
            self.effects.push(Effect::SendAck { leg: index, draft, to });
        }
    }

    fn hang_up_fork(&mut self, index: LegIndex, fork: usize, message: &Message) {
        self.acknowledge_fork(index, fork, message);
        let Some(leg) = self.leg_mut(index) else { return };
        let kept = leg.dialog.clone();
        leg.take_fork(fork);
        let bye = leg.request(Method::Bye);
        leg.dialog = kept;
        if let Some((draft, to)) = bye {
            self.send(index, draft, to);
        }
    }

    /// ACK of a 2xx, at once (TEAMS-067).
    pub(super) fn acknowledge(&mut self, index: LegIndex, cseq: u32) {
        if let Some((draft, to)) = self.leg(index).and_then(|leg| leg.ack(cseq)) {
            self.effects.push(Effect::SendAck { leg: index, draft, to });
        }
    }

    /// A final refusal: a challenge or a short session interval is answered, everything else decides about the hop.
    fn refused(&mut self, index: LegIndex, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(500);
        if (matches!(status, 401 | 407) && self.authorize(index, message))
            || (status == 422 && self.raise_session(index, message))
        {
            self.send_invite(index, now);
            return;
        }
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.state = LegState::Gone;
        let hunt = leg.hop.as_ref().is_some_and(|hop| hop.hunt.contains(status));
        let retry_after = message.header(HeaderName::RetryAfter).and_then(parse_seconds);
        let (shown, phrase) = match status {
            // A redirection is not followed, and nobody else's realm is the caller's business.
            300..=399 => (480, "Temporarily Unavailable"),
            401 | 407 => (403, "Forbidden"),
            other => (other, message.reason()),
        };
        let failure = AttemptFailure {
            status: shown,
            phrase: phrase.to_owned(),
            reasons: leg.record.reasons.clone(),
            retry_after: retry_after.map(|seconds| Duration::from_secs(u64::from(seconds))),
            local: None,
        };
        self.hop_failed(index, failure, hunt, now);
    }

    /// Answers a challenge with the hop's own credentials, once and only for its realm.
    fn authorize(&mut self, index: LegIndex, message: &Message) -> bool {
        let cnonce = format!("{:016x}", self.random());
        let Some(leg) = self.leg_mut(index) else { return false };
        let (Some(hop), Some(invite)) = (&leg.hop, &mut leg.invite) else {
            return false;
        };
        let Some(credentials) = &hop.credentials else {
            return false;
        };
        let (name, challenges) = match message.status() {
            Some(407) => (HeaderName::ProxyAuthorization, HeaderName::ProxyAuthenticate),
            _ => (HeaderName::Authorization, HeaderName::WwwAuthenticate),
        };
        let stale = message
            .headers(challenges)
            .any(|value| value.to_ascii_lowercase().contains("stale=true"));
        if invite.challenged > u8::from(stale) {
            return false;
        }
        // Without a configured realm nothing is answered: a called party must not choose whose password it tests.
        let Some(realm) = credentials.realm.clone() else {
            return false;
        };
        let mut client = DigestClient::new(digest::Credentials {
            realm,
            username: credentials.username.clone(),
            password: credentials.password.0.clone(),
        });
        let values: Vec<&str> = message.headers(challenges).collect();
        let Ok(answer) = client.answer(values, "INVITE", &hop.request_uri, &cnonce) else {
            return false;
        };
        invite.challenged += 1;
        invite.authorization = Some((name, answer));
        true
    }

    /// 422: the interval is raised once (RFC 4028 §7.4).
    fn raise_session(&mut self, index: LegIndex, message: &Message) -> bool {
        let Some(invite) = self.leg_mut(index).and_then(|leg| leg.invite.as_mut()) else {
            return false;
        };
        let min_se = message.header(HeaderName::MinSe).and_then(parse_seconds);
        let Some(raised) = invite.session.and_then(|offer| offer.raise(min_se)) else {
            return false;
        };
        invite.session = Some(raised);
        true
    }

    /// Decides the session timer of the caller's INVITE (RFC 4028 §9); the error is the Min-SE of a 422.
    pub(super) fn take_session_timer(&mut self, invite: &Message) -> Result<(), u32> {
        let Some(caller) = self.leg_mut(LegIndex::CALLER) else {
            return Ok(());
        };
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

/// The way back to a peer that is behind NAT.
pub(super) fn hop_of(flow: &Flow) -> Hop {
    Hop {
        transport: flow.transport,
        listener: flow.listener,
        remote: flow.remote,
        server_name: None,
        connection: None,
    }
}
