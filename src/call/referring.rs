//! REFER on the dialog of a leg, sent for an application (`sip:refer`), and the NOTIFYs that tell what came of it
//! (RFC 3515).

use super::application::{Running, Why};
use super::event::Reply;
use super::id::{LegIndex, Token};
use super::leg::{LegState, with_headers};
use super::value::Call;
use crate::app::payload::{self, Properties};
use crate::app::verb::{self, Hook};
use crate::carrier::quoted;
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::message::{HeaderName, HeaderValue, Message};
use crate::sip::transaction::ServerTransactionId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the far side may be silent about a REFER that it has accepted.
const NOTIFY_PATIENCE: Duration = Duration::from_secs(15);
/// Events of one transfer that may wait; what is above is not told.
const MOST_EVENTS: usize = 32;

/// A REFER of an application that is not decided yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Referral {
    token: Token,
    /// The answer to the REFER.
    status: Option<u16>,
    pub(super) until: Option<Moment>,
    hook: Option<Hook>,
    event_hook: Option<Hook>,
    id: Option<String>,
    /// What the last NOTIFY said.
    #[serde(default)]
    outcome: Option<u16>,
    /// What is to be told of NOTIFYs, one after the other: requests over HTTP may overtake each other.
    #[serde(default)]
    events: VecDeque<u16>,
    /// The event that is being told.
    #[serde(default)]
    telling: Option<u32>,
}

impl Call {
    /// The verb `sip:refer`: the line waits for what comes of it.
    pub(super) fn refer_verb(&mut self, leg: LegIndex, refer: verb::SipRefer, now: Moment) {
        match self.try_refer(leg, &refer) {
            Ok(token) => {
                if let Some(line) = self.line_mut(leg) {
                    line.running = Some(Running::Referring(Referral {
                        token,
                        status: None,
                        until: None,
                        hook: refer.action_hook,
                        event_hook: refer.event_hook,
                        id: refer.id,
                        outcome: None,
                        events: VecDeque::new(),
                        telling: None,
                    }));
                }
            }
            Err(detail) => {
                self.tell_error("sip:refer", &detail);
                let result = payload::refer_failed(&detail);
                self.refer_over(leg, refer.action_hook.as_ref(), result, refer.id.as_deref(), now);
            }
        }
    }

    fn try_refer(&mut self, index: LegIndex, refer: &verb::SipRefer) -> Result<Token, String> {
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        if leg.state != LegState::Up {
            return Err("the leg is not answered".into());
        }
        if matches!(leg.terms.kind, LegKind::Teams { .. }) {
            // TEAMS-044: never toward Teams.
            return Err("Teams takes no REFER".into());
        }
        let host = leg
            .dialog
            .as_ref()
            .map(|dialog| dialog.remote_target().host().to_owned());
        let host = host.unwrap_or_default();
        // A bare number or name is one of the peer's.
        let uri_of = |text: &str| match text.contains(':') {
            true => text.to_owned(),
            false => format!("sip:{text}@{host}"),
        };
        let target = uri_of(&refer.refer_to);
        let by = refer.referred_by.as_deref().map(uri_of);
        let (draft, to) = leg.request(Method::Refer).ok_or("the leg has no dialog")?;
        let contact = leg.contact();
        let mut draft = draft
            .header(HeaderName::Contact, contact)
            .header(HeaderName::ReferTo, HeaderValue::cleaned(format!("<{target}>")));
        if let Some(by) = by {
            let name = refer.referred_by_name.as_deref().map(quoted).unwrap_or_default();
            draft = draft.header(HeaderName::ReferredBy, HeaderValue::cleaned(format!("{name}<{by}>")));
        }
        Ok(self.send(index, with_headers(draft, &refer.headers), to))
    }

    /// The final answer to a REFER, or that there is none. True when `token` was one.
    pub(super) fn refer_answered(&mut self, token: Token, status: Option<u16>, now: Moment) -> bool {
        let Some(leg) =
            self.leg_in(|running| matches!(running, Running::Referring(referral) if referral.token == token))
        else {
            return false;
        };
        let Some(Running::Referring(referral)) = self.line_mut(leg).and_then(|line| line.running.as_mut()) else {
            return true;
        };
        match status {
            Some(100..=199) => {}
            Some(status @ 200..=299) => {
                referral.status = Some(status);
                referral.until = Some(now + NOTIFY_PATIENCE).filter(|_| referral.outcome.is_none());
            }
            _ => {
                referral.status = status;
                self.referral_over(leg, now);
            }
        }
        true
    }

    /// NOTIFY inside a dialog: of a REFER that we sent, or of nothing that we know.
    pub(super) fn notified(
        &mut self,
        index: LegIndex,
        transaction: ServerTransactionId,
        message: &Message,
        now: Moment,
    ) {
        let refers = message.header(HeaderName::Event).is_some_and(|event| {
            event
                .trim_start()
                .get(..5)
                .is_some_and(|name| name.eq_ignore_ascii_case("refer"))
        });
        let status = fragment_status(message.body());
        let is_connected = self.app.as_ref().is_some_and(|app| app.session.is_some());
        let event_hook = match self.line_mut(index).and_then(|line| line.running.as_mut()) {
            Some(Running::Referring(referral)) if refers && referral.outcome.is_none() => {
                // It may overtake the 202, and says as much (RFC 3515 §2.4.4).
                referral.status.get_or_insert(202);
                if let Some(outcome) = status.filter(|status| *status >= 200) {
                    (referral.outcome, referral.until) = (Some(outcome), None);
                }
                if !is_connected && referral.event_hook.is_some() && referral.events.len() < MOST_EVENTS {
                    referral.events.extend(status);
                }
                referral.event_hook.clone()
            }
            // We never subscribe otherwise (RFC 6665 §4.1.3).
            _ => {
                self.answer_plainly(index, transaction, 481);
                return;
            }
        };
        self.answer_plainly(index, transaction, 200);
        if let (Some(status), Some(hook), true) = (status, event_hook, is_connected) {
            self.notify(index, &hook, payload::transfer_status(status), None, now);
        }
        self.transfer_goes_on(index, now);
    }

    /// Tells the next event of a transfer; the result is told after the last one.
    fn transfer_goes_on(&mut self, leg: LegIndex, now: Moment) {
        let Some(Running::Referring(referral)) = self.line_mut(leg).and_then(|line| line.running.as_mut()) else {
            return;
        };
        if referral.telling.is_some() {
            return;
        }
        let is_decided = referral.outcome.is_some();
        match (referral.events.pop_front(), referral.event_hook.clone()) {
            (Some(status), Some(hook)) => {
                let mut properties = self.properties(leg, now);
                properties.extend(payload::transfer_status(status));
                let number = self.ask_aside(leg, Why::Transferred, hook, properties);
                if let Some(Running::Referring(referral)) = self.line_mut(leg).and_then(|line| line.running.as_mut()) {
                    referral.telling = Some(number);
                }
            }
            _ if is_decided => self.referral_over(leg, now),
            _ => {}
        }
    }

    /// An event of a transfer has been told, or can't be.
    pub(super) fn transfer_told(&mut self, number: u32, leg: LegIndex, result: &Result<Reply, String>, now: Moment) {
        if let Err(why) = result {
            self.tell_error("eventHook", why);
        }
        if let Some(Running::Referring(referral)) = self.line_mut(leg).and_then(|line| line.running.as_mut())
            && referral.telling == Some(number)
        {
            referral.telling = None;
            self.transfer_goes_on(leg, now);
        }
    }

    /// A leg that was referred away hangs up, as most do, or the call ends: what is known of the transfer is told.
    pub(super) fn end_referrals(&mut self, only: Option<LegIndex>, now: Moment) {
        let legs = self.legs_with_lines().into_iter();
        for leg in legs.filter(|leg| only.is_none_or(|only| only == *leg)) {
            let Some(line) = self.line_mut(leg) else { continue };
            let Some(Running::Referring(referral)) =
                line.running.take_if(|running| matches!(running, Running::Referring(_)))
            else {
                continue;
            };
            let result = match referral.status {
                Some(status) => payload::referred(Some(status), referral.outcome),
                None => payload::refer_failed("the call ended before the REFER was answered"),
            };
            if let Some(hook) = &referral.hook {
                self.notify(leg, hook, result, referral.id.as_deref(), now);
            }
        }
    }

    pub(super) fn referral_timeout(&mut self, leg: LegIndex, now: Moment) {
        self.referral_over(leg, now);
    }

    fn referral_over(&mut self, leg: LegIndex, now: Moment) {
        if let Some(Running::Referring(referral)) = self.line_mut(leg).and_then(|line| line.running.take()) {
            let result = payload::referred(referral.status, referral.outcome);
            self.refer_over(leg, referral.hook.as_ref(), result, referral.id.as_deref(), now);
        }
    }

    fn refer_over(&mut self, leg: LegIndex, hook: Option<&Hook>, result: Properties, id: Option<&str>, now: Moment) {
        match hook {
            Some(hook) => self.ask_action(leg, hook, result, id, now),
            None => self.advance(leg, now),
        }
    }
}

/// The status in a `message/sipfrag` body.
fn fragment_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let text = std::str::from_utf8(line).ok()?;
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_fragment() {
        assert_eq!(fragment_status(b"SIP/2.0 200 OK\r\n"), Some(200));
        assert_eq!(fragment_status(b"SIP/2.0 486"), Some(486));
        for wrong in [&b""[..], b"SIP/2.0 ", b"SIP/2.0 2\xc3\xa4", b"HTTP/1.1 200 OK"] {
            assert_eq!(fragment_status(wrong), None);
        }
    }
}
