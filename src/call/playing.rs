//! What an application lets a leg hear, one sound after the other, and the keys that it gathers meanwhile.

use super::application::{Line, Running};
use super::event::{Effect, PlayOutcome, Sound, Source};
use super::id::LegIndex;
use super::value::Call;
use super::verb_events::Doing;
use crate::app::gather::{Gather, Outcome};
use crate::app::payload::{self, Properties};
use crate::app::verb::Hook;
use crate::moment::Moment;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a key of an INFO is held for the other side of a bridge.
const KEY_OF_INFO: Duration = Duration::from_millis(160);
/// Sounds whispered to one leg that may wait.
const MOST_WHISPERS: usize = 100;

/// Sounds that are played one after the other, once or more often.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Playback {
    /// The sound that plays now.
    play: u32,
    all: Vec<Source>,
    left: VecDeque<Source>,
    /// Rounds after this one; `None`: for ever.
    rounds: Option<u32>,
    seek: Duration,
    until: Option<Moment>,
    played: Duration,
    hook: Option<Hook>,
    /// The verb that it is of, where the application hears of that.
    doing: Option<Doing>,
    /// It has been heard, and its end is not told yet.
    heard: bool,
}

impl Playback {
    pub(super) fn new(all: Vec<Source>, times: Option<u32>) -> Playback {
        Playback {
            play: 0,
            left: all.iter().cloned().collect(),
            all,
            rounds: times.map(|times| times.saturating_sub(1)),
            seek: Duration::ZERO,
            until: None,
            played: Duration::ZERO,
            hook: None,
            doing: None,
            heard: false,
        }
    }

    pub(super) fn seeking(mut self, seek: Duration) -> Playback {
        self.seek = seek;
        self
    }

    pub(super) fn until(mut self, until: Option<Moment>) -> Playback {
        self.until = until;
        self
    }

    pub(super) fn telling(mut self, verb: &'static str, hook: Option<Hook>, id: Option<String>) -> Playback {
        (self.hook, self.doing) = (hook, Some(Doing::new(verb, id)));
        self
    }

    /// The verb whose sound `play` is heard for the first time.
    pub(super) fn first_heard(&mut self, play: u32) -> Option<Doing> {
        if self.play != play || self.heard {
            return None;
        }
        self.heard = true;
        self.doing.clone()
    }

    /// The verb whose sounds are heard no longer, once.
    pub(super) fn no_longer_heard(&mut self) -> Option<Doing> {
        std::mem::take(&mut self.heard).then(|| self.doing.clone())?
    }

    /// The number of the sound that plays.
    pub(super) fn current(&self) -> u32 {
        self.play
    }

    /// The verb that it is of.
    fn verb(&self) -> &'static str {
        match self.all.first() {
            Some(Source::Speech { .. }) => "say",
            _ => "play",
        }
    }

    fn next(&mut self) -> Option<Source> {
        if self.left.is_empty() {
            match &mut self.rounds {
                Some(0) => return None,
                Some(rounds) => *rounds -= 1,
                None => {}
            }
            self.left = self.all.iter().cloned().collect();
        }
        self.left.pop_front()
    }
}

/// Keys that are gathered, with the prompt that asks for them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Gathering {
    pub(super) gather: Gather,
    pub(super) prompt: Option<Playback>,
    /// A key ends the prompt.
    pub(super) bargein: bool,
    /// Keys count while the prompt plays.
    pub(super) listens: bool,
    pub(super) hook: Option<Hook>,
    pub(super) id: Option<String>,
}

impl Call {
    /// Begins a playback that the line of `leg` waits for.
    pub(super) fn begin_playback(&mut self, leg: LegIndex, playback: Playback, now: Moment) {
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Playing(Box::new(playback)));
        }
        self.play_next(leg, now);
    }

    /// Begins to gather keys.
    pub(super) fn begin_gathering(&mut self, leg: LegIndex, mut gathering: Gathering, now: Moment) {
        if gathering.prompt.is_none() {
            gathering.gather.start(now);
        }
        let prompted = gathering.prompt.is_some();
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Gathering(Box::new(gathering)));
        }
        self.listen(leg);
        if prompted {
            self.play_next(leg, now);
        }
    }

    pub(super) fn playback(&mut self, leg: LegIndex) -> Option<&mut Playback> {
        let app = self.app.as_mut()?;
        let line = app.lines.iter_mut().find(|line| line.leg == leg);
        match line.and_then(|line| line.running.as_mut()) {
            Some(Running::Playing(playback)) => Some(playback),
            Some(Running::Gathering(gathering)) => gathering.prompt.as_mut(),
            _ => app.hold.as_mut().filter(|hold| hold.leg == leg)?.playback.as_mut(),
        }
    }

    /// Plays the next sound of the line's playback; without one the playback is over.
    pub(super) fn play_next(&mut self, leg: LegIndex, now: Moment) {
        let number = self.next_number();
        let Some(playback) = self.playback(leg) else { return };
        let late = playback.until.is_some_and(|until| until <= now);
        match playback.next().filter(|_| !late) {
            Some(source) => {
                playback.play = number;
                let next = playback.left.front().cloned();
                let sound = Sound {
                    source,
                    times: Some(1),
                    seek: std::mem::take(&mut playback.seek),
                    mixed: false,
                };
                self.play(leg, number, sound);
                self.effects
                    .extend(next.filter(Source::is_kept).map(|source| Effect::Prepare { source }));
            }
            None => self.playback_over(leg, None, now),
        }
    }

    fn play(&mut self, leg: LegIndex, play: u32, sound: Sound) {
        if let Some(handle) = self.leg(leg).and_then(|leg| leg.media.handle()) {
            self.effects.push(Effect::Play {
                leg,
                handle,
                play,
                sound,
            });
        }
    }

    /// A sound has come to its end.
    pub(super) fn played(&mut self, leg: LegIndex, play: u32, outcome: &PlayOutcome, now: Moment) {
        if let Some(app) = &mut self.app
            && app.music == Some(play)
        {
            app.music = None;
            if let PlayOutcome::Failed { why } = outcome {
                let why = why.clone();
                self.tell_error("dialMusic", &why);
            }
            return;
        }
        let whispered = |whisper: &Whisper| whisper.leg == leg && whisper.play == play;
        if self.app.as_ref().is_some_and(|app| app.whispers.iter().any(whispered)) {
            if let PlayOutcome::Failed { why } = outcome {
                self.tell_error("whisper", why);
            }
            self.whisper_next(leg);
            return;
        }
        let Some(playback) = self.playback(leg).filter(|playback| playback.play == play) else {
            return;
        };
        match outcome {
            PlayOutcome::Completed { played } => {
                playback.played += *played;
                self.play_next(leg, now);
            }
            // Nobody here stopped it: another sound took its place, or the leg can't go on.
            PlayOutcome::Stopped { played } => {
                playback.played += *played;
                self.playback_over(leg, None, now);
            }
            PlayOutcome::Failed { why } => {
                let (why, verb) = (why.clone(), playback.verb());
                self.tell_error(verb, &why);
                self.playback_over(leg, Some(why), now);
            }
        }
    }

    /// The playback of a verb is over; a prompt hands over to its gathering.
    fn playback_over(&mut self, leg: LegIndex, failed: Option<String>, now: Moment) {
        self.no_longer_heard(leg, "stop-playback");
        let Some(line) = self.line_mut(leg) else {
            // A callee that is on hold has no line.
            if let Some(app) = &mut self.app {
                app.hold = None;
            }
            return;
        };
        match line.running.take() {
            Some(Running::Playing(playback)) => match &playback.hook {
                Some(hook) => {
                    let properties = payload::played(playback.played, failed.as_deref());
                    self.ask_action(leg, hook, properties, playback.doing.as_ref().and_then(Doing::id), now);
                }
                None => self.advance(leg, now),
            },
            Some(Running::Gathering(mut gathering)) => {
                gathering.prompt = None;
                gathering.gather.start(now);
                line.running = Some(Running::Gathering(gathering));
            }
            other => {
                line.running = other;
                if let Some(app) = &mut self.app
                    && app.hold.as_ref().is_some_and(|hold| hold.leg == leg)
                {
                    app.hold = None;
                }
            }
        }
    }

    /// Stops what plays on a leg; its verb is left as it is.
    pub(super) fn interrupt(&mut self, leg: LegIndex) {
        let play = self.playback(leg).map(|playback| playback.play);
        if let Some(play) = play {
            self.no_longer_heard(leg, "kill-playback");
            self.stop_playing(leg, play);
        }
    }

    pub(super) fn stop_playing(&mut self, leg: LegIndex, play: u32) {
        if let Some(handle) = self.leg(leg).and_then(|leg| leg.media.handle()) {
            self.effects.push(Effect::StopPlaying { handle, play });
        }
    }

    /// Keys of a peer that negotiated no events come as tones, if at all.
    pub(super) fn listen(&mut self, leg: LegIndex) {
        let Some(leg) = self.leg(leg) else { return };
        let settled = leg.media.negotiated.as_ref();
        let events = settled.is_none_or(|settled| settled.telephone_event().is_some());
        if let Some(handle) = leg.media.handle().filter(|_| !events) {
            self.effects.push(Effect::ListenInBand { handle });
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
        self.digit(leg, digit, now);
        // The other side of a bridge hears of it as of a key in the audio: INFO is not for everybody, Teams above all.
        if self.bridged.is_some()
            && let Some(partner) = self.partner(leg)
        {
            self.send_digits(partner, digit.to_string(), KEY_OF_INFO);
        }
    }

    /// A key on a leg: for the gathering of its line, else for the patterns of the bridge.
    pub(super) fn digit(&mut self, leg: LegIndex, digit: char, now: Moment) {
        let Some(Running::Gathering(gathering)) = self.line_mut(leg).and_then(|line| line.running.as_mut()) else {
            self.captured(leg, digit, now);
            return;
        };
        let (prompted, bargein, listens) = (gathering.prompt.is_some(), gathering.bargein, gathering.listens);
        if prompted && bargein {
            self.tell_bargein(leg, digit);
            self.interrupt(leg);
        } else if prompted && !listens {
            return;
        }
        let Some(Running::Gathering(gathering)) = self.line_mut(leg).and_then(|line| line.running.as_mut()) else {
            return;
        };
        if bargein {
            gathering.prompt = None;
        }
        if let Some(outcome) = gathering.gather.digit(digit, now) {
            self.gathered(leg, outcome, now);
        }
    }

    /// Timers of lines that are due.
    pub(super) fn line_timeouts(&mut self, now: Moment) {
        let legs: Vec<LegIndex> = self
            .app
            .iter()
            .flat_map(|app| &app.lines)
            .map(|line| line.leg)
            .collect();
        for leg in legs {
            match self.line_mut(leg).and_then(|line| line.running.as_mut()) {
                Some(Running::Pausing(until)) if *until <= now => self.verb_done(leg, now),
                Some(Running::Playing(playback)) if playback.until.is_some_and(|until| until <= now) => {
                    self.interrupt(leg);
                    self.playback_over(leg, None, now);
                }
                Some(Running::Referring(referral)) if referral.until.is_some_and(|until| until <= now) => {
                    self.referral_timeout(leg, now);
                }
                Some(Running::Gathering(gathering)) => {
                    if let Some(outcome) = gathering.gather.expired(now) {
                        self.gathered(leg, outcome, now);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn next_line_timeout(&self) -> Option<Moment> {
        let due = |line: &super::application::Line| match line.running.as_ref()? {
            Running::Pausing(until) => Some(*until),
            Running::Playing(playback) => playback.until,
            Running::Gathering(gathering) => gathering.gather.next_timeout(),
            Running::Referring(referral) => referral.until,
            _ => None,
        };
        self.app.as_ref()?.lines.iter().filter_map(due).min()
    }

    fn gathered(&mut self, leg: LegIndex, outcome: Outcome, now: Moment) {
        self.interrupt(leg);
        let Some(Running::Gathering(gathering)) = self.line_mut(leg).and_then(|line| line.running.take()) else {
            return;
        };
        let properties: Properties = payload::gathered(&outcome);
        match &gathering.hook {
            Some(hook) => self.ask_action(leg, hook, properties, gathering.id.as_deref(), now),
            None => self.advance(leg, now),
        }
    }

    /// Music for the caller while others ring, until it is stopped.
    pub(super) fn play_music(&mut self, url: &str) {
        let play = self.next_number();
        if let Some(app) = &mut self.app {
            app.music = Some(play);
        }
        self.play(
            LegIndex::CALLER,
            play,
            Sound {
                source: Source::Url(url.to_owned()),
                times: None,
                seek: Duration::ZERO,
                mixed: false,
            },
        );
    }

    pub(super) fn stop_music(&mut self) {
        if let Some(play) = self.app.as_mut().and_then(|app| app.music.take()) {
            self.stop_playing(LegIndex::CALLER, play);
        }
    }

    /// Says something over what one side of a bridge hears of the other, one sound after the other.
    pub(super) fn whisper(&mut self, leg: LegIndex, sources: Vec<Source>) {
        if self.playback(leg).is_some() {
            self.tell_error("whisper", "this leg is being played to");
            return;
        }
        let Some(app) = &mut self.app else { return };
        match app.whispers.iter_mut().find(|whisper| whisper.leg == leg) {
            Some(whisper) if whisper.left.len() + sources.len() > MOST_WHISPERS => {
                self.tell_error("whisper", "too many whispers wait already");
            }
            Some(whisper) => whisper.left.extend(sources),
            None => {
                app.whispers.push(Whisper {
                    leg,
                    play: 0,
                    left: sources.into(),
                });
                self.whisper_next(leg);
            }
        }
    }

    /// Nobody here whispers to this leg any more.
    pub(super) fn end_whispers(&mut self, leg: LegIndex) {
        let Some(app) = &mut self.app else { return };
        let ended = app.whispers.iter().find(|whisper| whisper.leg == leg);
        let play = ended.map(|whisper| whisper.play);
        app.whispers.retain(|whisper| whisper.leg != leg);
        if let Some(play) = play {
            self.stop_playing(leg, play);
        }
    }

    fn whisper_next(&mut self, leg: LegIndex) {
        let play = self.next_number();
        let Some(app) = &mut self.app else { return };
        let Some(whisper) = app.whispers.iter_mut().find(|whisper| whisper.leg == leg) else {
            return;
        };
        match whisper.left.pop_front() {
            Some(source) => {
                whisper.play = play;
                let sound = Sound {
                    source,
                    times: Some(1),
                    seek: Duration::ZERO,
                    mixed: true,
                };
                self.play(leg, play, sound);
            }
            None => app.whispers.retain(|whisper| whisper.leg != leg),
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

/// Sounds that are whispered to a leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Whisper {
    pub(super) leg: LegIndex,
    play: u32,
    left: VecDeque<Source>,
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
