//! Refusals of an INVITE: a challenge or a short session interval is answered, everything else decides about the hop.

use super::hunt::Next;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::value::Call;
use crate::dial::{AttemptFailure, LegKind};
use crate::moment::Moment;
use crate::sip::digest::{self, DigestClient};
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::parse_seconds;
use crate::teams::codes;

/// Characters of a realm that are told, and realms.
const REALM_SHOWN: usize = 64;
const REALMS_SHOWN: usize = 3;

impl Call {
    /// A final refusal: a challenge or a short session interval is answered, everything else decides about the hop.
    pub(super) fn refused(&mut self, index: LegIndex, message: &Message, now: Moment) {
        let status = message.status().unwrap_or(500);
        if (matches!(status, 401 | 407) && self.authorize(index, message))
            || (status == 422 && self.raise_session(index, message))
        {
            self.send_invite(index, now);
            return;
        }
        let remark = match status {
            401 | 407 => self.leg(index).map(|leg| unanswered(leg, message)),
            _ => None,
        };
        let rang = self
            .ringing_of(index)
            .is_some_and(|ringing| ringing.rang == Some(index));
        let Some(leg) = self.leg_mut(index) else { return };
        leg.note_final(message);
        leg.state = LegState::Gone;
        let next = match leg.hop.as_ref().map(|hop| &hop.hunt) {
            // Somebody was alerted there, whom the next hop would alert anew.
            Some(hunt) if rang => match hunt.every {
                true => Next::Hunt,
                false => Next::Stop,
            },
            Some(hunt) if hunt.contains(status) && !codes::is_users_word(&leg.record.reasons) => Next::HoldAndHunt,
            Some(hunt) if hunt.every => Next::Hunt,
            _ => Next::Stop,
        };
        let mapped = match leg.terms.kind {
            LegKind::Teams { .. } => codes::from_teams(status, &leg.record.reasons),
            LegKind::Carrier { .. } | LegKind::User { .. } | LegKind::SipUri { .. } => None,
        };
        let (shown, phrase) = match (&mapped, status) {
            (Some(mapped), _) => (mapped.status, mapped.phrase),
            // A redirection is not followed, and nobody else's realm is the caller's business.
            (None, 300..=399) => (480, "Temporarily Unavailable"),
            (None, 401 | 407) => (403, "Forbidden"),
            // Between us and the destination alone: the caller never asked for this interval or this extension.
            (None, 420..=422) => (500, "Server Internal Error"),
            (None, other) => (other, message.reason()),
        };
        let failure = AttemptFailure {
            status: shown,
            phrase: phrase.to_owned(),
            received: (shown != status).then(|| (status, message.reason().to_owned())),
            reasons: mapped.map_or_else(|| leg.record.reasons.clone(), |mapped| mapped.reasons),
            retry_after: message.retry_after(),
            local: None,
            remark,
            rang,
        };
        if next != Next::HoldAndHunt {
            self.peer_lives(index);
        }
        self.hop_failed(index, failure, next, now);
    }

    /// Answers the challenge of an INVITE, once, and again when its nonce was too old.
    fn authorize(&mut self, index: LegIndex, message: &Message) -> bool {
        let Some(leg) = self.leg(index) else { return false };
        let (Some(hop), Some(invite)) = (&leg.hop, &leg.invite) else {
            return false;
        };
        let stale = message
            .headers(challenges(message).1)
            .any(|value| value.to_ascii_lowercase().contains("stale=true"));
        if invite.challenged > u8::from(stale) {
            return false;
        }
        let uri = hop.request_uri.clone();
        let Some(answer) = self.answer_to(index, message, "INVITE", &uri) else {
            return false;
        };
        let Some(leg) = self.leg_mut(index) else { return false };
        leg.authorization = Some(answer.clone());
        if let Some(invite) = &mut leg.invite {
            invite.challenged += 1;
            invite.authorization = Some(answer);
        }
        true
    }

    /// What a request inside the dialog is to be sent again with after its challenge.
    pub(super) fn answer_inside(
        &mut self,
        index: LegIndex,
        message: &Message,
        method: &str,
    ) -> Option<(HeaderName, String)> {
        let uri = self.leg(index)?.dialog.as_ref()?.remote_target().to_string();
        self.answer_to(index, message, method, &uri)
    }

    /// Answers a challenge with the leg's own credentials, and only for its realm.
    fn answer_to(
        &mut self,
        index: LegIndex,
        message: &Message,
        method: &str,
        uri: &str,
    ) -> Option<(HeaderName, String)> {
        let cnonce = format!("{:016x}", self.random());
        let leg = self.leg(index)?;
        let credentials = leg.terms.credentials.as_ref()?;
        let (name, challenges) = challenges(message);
        let values: Vec<&str> = message.headers(challenges).collect();
        // Without a configured realm nothing is answered: a called party must not choose whose password it tests. A
        // server that an application named has its password from the same hand.
        let named = matches!(leg.terms.kind, LegKind::SipUri { .. });
        let theirs = || {
            values
                .iter()
                .find_map(|value| digest::realm_of(value))
                .filter(|_| named)
        };
        let realm = credentials.realm.clone().or_else(theirs)?;
        let mut client = DigestClient::new(digest::Credentials {
            realm,
            username: credentials.username.clone(),
            password: credentials.password.0.clone(),
        });
        let answer = client.answer(values, method, uri, &cnonce).ok()?;
        Some((name, answer))
    }

    /// 422: the interval is raised once (RFC 4028 §7.4).
    fn raise_session(&mut self, index: LegIndex, message: &Message) -> bool {
        let Some(leg) = self.leg_mut(index) else { return false };
        leg.note_min_se(message);
        let Some(invite) = leg.invite.as_mut() else {
            return false;
        };
        let min_se = message.header(HeaderName::MinSe).and_then(parse_seconds);
        let Some(raised) = invite.session.and_then(|offer| offer.raise(min_se)) else {
            return false;
        };
        invite.session = Some(raised);
        true
    }
}

/// The header that answers a challenge, and the one that it came in.
fn challenges(message: &Message) -> (HeaderName, HeaderName) {
    match message.status() {
        Some(407) => (HeaderName::ProxyAuthorization, HeaderName::ProxyAuthenticate),
        _ => (HeaderName::Authorization, HeaderName::WwwAuthenticate),
    }
}

/// Why the challenge of a leg's INVITE is not answered, or not again. The password is in none of it.
fn unanswered(leg: &Leg, message: &Message) -> String {
    let (_, name) = challenges(message);
    let asked: Vec<String> = message.headers(name).filter_map(digest::realm_of).collect();
    let shown = |realm: &str| format!("'{}'", realm.chars().take(REALM_SHOWN).collect::<String>());
    if asked.is_empty() {
        return "it asks for a password in no way that can be read".into();
    }
    let realms: Vec<String> = asked.iter().take(REALMS_SHOWN).map(|realm| shown(realm)).collect();
    let asks = format!("it asks for realm {}", realms.join(", "));
    let Some(credentials) = &leg.terms.credentials else {
        return format!("{asks}, and there are no `credentials` for it");
    };
    let named = matches!(leg.terms.kind, LegKind::SipUri { .. });
    let theirs = || asked.first().filter(|_| named);
    let Some(realm) = credentials.realm.as_ref().or_else(theirs) else {
        return format!("{asks}, and `credentials` name no `realm`, without which none is answered");
    };
    if !asked.contains(realm) {
        return format!("{asks}, `credentials` are for {}", shown(realm));
    }
    match leg.invite.as_ref().is_some_and(|invite| invite.challenged > 0) {
        true => format!("it rejects the credentials for realm {}", shown(realm)),
        false => format!("{asks} by no algorithm and qop that we answer"),
    }
}
