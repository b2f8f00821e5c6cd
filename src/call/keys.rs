//! Keys of peers, in their audio and as INFO, and keys that are sent to them.

use super::application::{Line, Running};
use super::event::Effect;
use super::id::LegIndex;
use super::value::Call;
use crate::moment::Moment;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a key of an INFO is held for the other side of a bridge.
const KEY_OF_INFO: Duration = Duration::from_millis(160);

/// A key in the audio this soon after the same one in an INFO is that one.
const SAME_KEY: Duration = Duration::from_secs(1);

/// How a peer sends its keys. Some send each of them both ways, which is one key all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWays {
    /// As telephone-events: those alone count from then on.
    as_events: bool,
    last_of_info: Option<(char, Moment)>,
}

impl KeyWays {
    /// Whether a key of an INFO is none that came before.
    fn info(&mut self, key: char, now: Moment) -> bool {
        self.last_of_info = Some((key, now));
        !self.as_events
    }

    /// Whether a key in the audio is none that came before. `events`: telephone-events are settled on the leg.
    fn audio(&mut self, key: char, events: bool, now: Moment) -> bool {
        let is_first = !self.as_events;
        self.as_events |= events;
        let is_known = |(known, at): (char, Moment)| known == key && now.since(at) < SAME_KEY;
        !(is_first && self.last_of_info.is_some_and(is_known))
    }
}

impl Call {
    /// A key in the audio of a leg.
    pub(super) fn heard_key(&mut self, index: LegIndex, key: char, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        let settled = leg.media.negotiated.as_ref();
        let events = settled.is_some_and(|settled| settled.telephone_event().is_some());
        if leg.key_ways.audio(key, events, now) {
            self.digit(index, key, now);
        }
    }

    /// INFO of a peer: a key (`application/dtmf-relay`, `application/dtmf`), or nothing that is understood.
    pub(super) fn info(&mut self, leg: LegIndex, transaction: ServerTransactionId, message: &Message, now: Moment) {
        let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
        let Some(digit) = key_of(content_type, message.body()).filter(|_| self.app.is_some()) else {
            let status = if self.app.is_some() { 415 } else { 405 };
            self.answer_plainly(leg, transaction, status);
            return;
        };
        self.answer_plainly(leg, transaction, 200);
        if !self.leg_mut(leg).is_some_and(|leg| leg.key_ways.info(digit, now)) {
            return;
        }
        self.digit(leg, digit, now);
        // The other side of a bridge hears of it as of a key in the audio: INFO is not for everybody, Teams above all.
        if self.bridged.is_some()
            && let Some(partner) = self.partner(leg)
        {
            self.send_digits(partner, digit.to_string(), KEY_OF_INFO);
        }
    }

    /// Sends keys to the peer of a leg; the number tells when they are sent.
    pub(super) fn send_digits(&mut self, leg: LegIndex, digits: String, duration: Duration) -> Option<u32> {
        let handle = self.leg(leg).and_then(|leg| leg.media.handle())?;
        let cookie = self.next_number();
        self.effects.push(Effect::SendDigits {
            handle,
            cookie,
            digits,
            duration,
        });
        Some(cookie)
    }

    /// Keys have been sent: the verb that sent them is done.
    pub(super) fn digits_sent(&mut self, leg: LegIndex, cookie: u32, now: Moment) {
        let waits = |line: &Line| matches!(line.running, Some(Running::Sending(sending)) if sending == cookie);
        if self.line(leg).is_some_and(waits) {
            self.verb_done(leg, now);
        }
    }
}

/// The key in the body of an INFO.
fn key_of(content_type: &str, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let key = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })?
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        text.trim()
    } else {
        return None;
    };
    let mut keys = key.chars();
    let key = keys.next()?.to_ascii_uppercase();
    (keys.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_info_bodies() {
        assert_eq!(
            key_of("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"),
            Some('5')
        );
        assert_eq!(
            key_of("application/dtmf-relay;x=y", b"Duration=160\r\n signal = *"),
            Some('*')
        );
        assert_eq!(key_of("application/dtmf", b"#\r\n"), Some('#'));
        for (kind, body) in [
            ("application/dtmf-relay", &b"Signal=11"[..]),
            ("application/dtmf-relay", b"Signal="),
            ("application/dtmf", b"x"),
            ("application/dtmf", b"\xff"),
            ("text/plain", b"5"),
        ] {
            assert_eq!(key_of(kind, body), None, "{kind}");
        }
    }
}
