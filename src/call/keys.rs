//! Keys of peers, in their audio and as INFO, and keys that are sent to them. Where two sides talk they go over to the other one
//! (`passing_keys`).

use super::application::{Line, Running};
use super::event::{Answered, Effect};
use super::hearing::{Beginning, NO_KEYS, Needs, Ready, gives_keys};
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::passing_keys::KEY_PASSED;
use super::value::Call;
use crate::app::verb;
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The same key this soon after it came the other way is that one: events and tones are told when a key is released,
/// an INFO is sent then or when it is pressed.
const SAME_KEY: Duration = Duration::from_secs(3);

/// Keys that may wait to come the other way too.
const MOST_SINGLE: usize = 16;

/// How a peer sends its keys. Some send each of them both ways, which is one key all the same; and a transfer beyond a PBX
/// may change the way in the middle of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWays {
    /// Keys that have come one way so far, the oldest first.
    single: VecDeque<SingleKey>,
    /// Where the media were that brought telephone-events.
    events_of: Option<SocketAddr>,
    /// Keys for the peer that wait for the one that is being sent; neither outlives the process.
    #[serde(skip)]
    pub(super) queued: VecDeque<char>,
    #[serde(skip)]
    pub(super) is_sending: bool,
    /// The number of what an application sends to the peer just now.
    #[serde(skip)]
    pub(super) applications: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SingleKey {
    key: char,
    way: Way,
    at: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Audio,
    Info,
}

impl KeyWays {
    /// Whether a key is none that came the other way before.
    fn is_new(&mut self, key: char, way: Way, now: Moment) -> bool {
        self.single.retain(|single| now.since(single.at) < SAME_KEY);
        let same = |single: &SingleKey| single.key == key && single.way != way;
        if let Some(position) = self.single.iter().position(same) {
            self.single.remove(position);
            return false;
        }
        if self.single.len() >= MOST_SINGLE {
            self.single.pop_front();
        }
        self.single.push_back(SingleKey { key, way, at: now });
        true
    }
}

/// Bodies of INFO that are read.
const KEYS_IN_INFO: &str = "application/dtmf-relay, application/dtmf";

impl Call {
    /// A key in the audio of a leg.
    pub(super) fn heard_key(&mut self, index: LegIndex, key: char, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        if let Some(media) = media_of_events(leg) {
            leg.key_ways.events_of = Some(media);
        }
        if !leg.key_ways.is_new(key, Way::Audio, now) {
            return;
        }
        self.digit(index, key, now);
        if self.passes_keys() {
            self.pass_key_of_audio(index, key);
        }
    }

    /// INFO of a peer: a key ([`KEYS_IN_INFO`]), or nothing that is understood.
    pub(super) fn info(&mut self, leg: LegIndex, transaction: ServerTransactionId, message: &Message, now: Moment) {
        let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
        let of_teams = |leg: &Leg| matches!(leg.terms.kind, LegKind::Teams { .. });
        if self.app.is_none() && self.leg(leg).is_none_or(of_teams) {
            self.answer_plainly(leg, transaction, 405);
            return;
        }
        let Some(digit) = key_of(content_type, message.body()) else {
            let Some(told) = self.leg(leg) else { return };
            let draft = ResponseDraft::new(415).header(HeaderName::Accept, KEYS_IN_INFO);
            let draft = told.decorate(draft);
            self.respond(transaction, draft);
            return;
        };
        self.answer_plainly(leg, transaction, 200);
        let Some(pressed) = self.leg_mut(leg) else { return };
        if !pressed.key_ways.is_new(digit, Way::Info, now) {
            return;
        }
        let media = media_of_events(pressed);
        let comes_as_event = media.is_some() && media == pressed.key_ways.events_of;
        self.digit(leg, digit, now);
        // The other side of a bridge gets it in the form that it takes. An event is relayed by itself.
        if !comes_as_event && self.passes_keys() {
            self.pass_key_of_info(leg, digit);
        }
    }

    /// The verb `dtmf`: the line waits until they are sent.
    pub(super) fn dtmf_verb(&mut self, leg: LegIndex, dtmf: verb::Dtmf, now: Moment) {
        let beginning = Beginning {
            what: "dtmf",
            needs: Needs::Keys,
            early: self.speaks_early(false),
        };
        if self.ready_for(leg, beginning, now) != Ready::Yes {
            return;
        }
        if let Some(why) = self.hears_no_keys(leg) {
            self.tell_bad_answer(leg, "dtmf", why, now);
        } else if let Some(cookie) = self.send_digits(leg, dtmf.digits, dtmf.duration)
            && let Some(line) = self.line_mut(leg)
        {
            line.running = Some(Running::Sending(cookie));
        }
    }

    /// The command `dtmf`, and the wish of REST. Nobody waits for the end of these keys.
    pub(super) fn dtmf_command(&mut self, leg: LegIndex, digits: String, duration: Duration, reply: Option<u32>) {
        let outcome = match self.takes_no_keys(leg) {
            Some(why) => Err(why.to_owned()),
            None => {
                self.send_digits(leg, digits, duration);
                Ok(Answered {
                    status: 202,
                    reason: "Accepted".to_owned(),
                })
            }
        };
        if let (Err(why), None) = (&outcome, reply) {
            self.tell_error("dtmf", why);
        }
        self.done(reply, outcome);
    }

    /// Why a leg can't be sent keys by a command.
    pub(super) fn takes_no_keys(&self, index: LegIndex) -> Option<&'static str> {
        match self.leg(index).is_some_and(|leg| leg.state == LegState::Up) {
            true => self.hears_no_keys(index),
            false => Some("the leg is not answered, or is gone"),
        }
    }

    fn hears_no_keys(&self, index: LegIndex) -> Option<&'static str> {
        let leg = self.leg(index)?;
        let settled = leg.media.handle().and(leg.media.negotiated.as_ref());
        match settled {
            None => Some("the leg has no media yet"),
            Some(settled) if !settled.direction.sends() => Some("the leg is on hold: nothing is sent to it"),
            Some(settled) if !gives_keys(&settled.formats()) => Some(NO_KEYS),
            Some(_) => None,
        }
    }

    /// Sends keys to the peer of a leg; the number tells when they are sent.
    pub(super) fn send_digits(&mut self, leg: LegIndex, digits: String, duration: Duration) -> Option<u32> {
        let handle = self.leg(leg).and_then(|leg| leg.media.handle())?;
        let cookie = self.next_number();
        if let Some(leg) = self.leg_mut(leg) {
            leg.key_ways.applications = Some(cookie);
        }
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
        if cookie == KEY_PASSED {
            self.next_key(leg);
            return;
        }
        if let Some(told) = self.leg_mut(leg)
            && told.key_ways.applications.take_if(|sent| *sent == cookie).is_some()
        {
            self.next_key(leg);
        }
        let waits = |line: &Line| matches!(line.running, Some(Running::Sending(sending)) if sending == cookie);
        if self.line(leg).is_some_and(waits) {
            self.verb_done(leg, now);
        }
    }
}

/// Where the media of a leg are that telephone-events may come in.
fn media_of_events(leg: &Leg) -> Option<SocketAddr> {
    let settled = leg.media.negotiated.as_ref()?;
    settled.telephone_event().map(|_| settled.remote_rtp)
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
