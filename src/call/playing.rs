//! What an application lets a leg hear, one sound after the other.

use super::application::Running;
use super::event::{Effect, PlayOutcome, Sound, Source};
use super::id::LegIndex;
use super::value::Call;
use super::verb_events::Doing;
use crate::app::payload;
use crate::app::verb::Hook;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a sound that is cut may take to say how far it came.
const LAST_WORD: Duration = Duration::from_secs(1);

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
    /// Its time is up: nothing more of it is played.
    cut: bool,
    /// The sound that plays is there, and its end will be told.
    began: bool,
    /// Where in that sound it has begun.
    from: Duration,
    /// What was heard, of all sounds.
    played: Duration,
    /// Where in the last sound it has ended.
    position: Duration,
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
            cut: false,
            began: false,
            from: Duration::ZERO,
            played: Duration::ZERO,
            position: Duration::ZERO,
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

    /// The verb that the sound `play` is of.
    pub(super) fn doing(&self, play: u32) -> Option<&Doing> {
        self.doing.as_ref().filter(|_| self.play == play)
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

    /// When it is over at the latest.
    pub(super) fn ends(&self) -> Option<Moment> {
        self.until
    }

    /// Its time is up. True when the sound that plays will say how far it came.
    pub(super) fn cut(&mut self, now: Moment) -> bool {
        let waits = self.began && !self.cut;
        self.cut = true;
        self.until = Some(now + LAST_WORD);
        waits
    }

    fn heard_of(&mut self, played: Duration) {
        self.played += played;
        self.position = self.from + played;
    }

    /// The verb that it is of.
    fn verb(&self) -> &'static str {
        let of_say = self.doing.as_ref().is_some_and(|doing| doing.name() == "say");
        match of_say || matches!(self.all.first(), Some(Source::Speech { .. })) {
            true => "say",
            false => "play",
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

impl Call {
    /// Begins a playback that the line of `leg` waits for.
    pub(super) fn begin_playback(&mut self, leg: LegIndex, playback: Playback, now: Moment) {
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Playing(Box::new(playback)));
        }
        self.play_next(leg, now);
    }

    pub(super) fn playback(&mut self, leg: LegIndex) -> Option<&mut Playback> {
        let app = self.app.as_mut()?;
        let line = app.lines.iter_mut().find(|line| line.leg == leg);
        match line.and_then(|line| line.running.as_mut()) {
            Some(Running::Playing(playback)) => Some(playback),
            Some(Running::Gathering(gathering)) => gathering.prompt.as_mut(),
            _ => app.hold.as_mut().filter(|hold| hold.leg == leg)?.playback(),
        }
    }

    /// Plays the next sound of the line's playback; without one the playback is over.
    pub(super) fn play_next(&mut self, leg: LegIndex, now: Moment) {
        let number = self.next_number();
        let Some(playback) = self.playback(leg) else { return };
        let late = playback.cut || playback.until.is_some_and(|until| until <= now);
        match playback.next().filter(|_| !late) {
            Some(source) => {
                playback.play = number;
                playback.began = false;
                playback.from = std::mem::take(&mut playback.seek);
                let next = playback.left.front().cloned();
                let sound = Sound {
                    source,
                    times: Some(1),
                    seek: playback.from,
                    mixed: false,
                    decibels: 0,
                };
                self.end_whispers(leg);
                self.play(leg, number, sound);
                self.effects
                    .extend(next.filter(Source::is_kept).map(|source| Effect::Prepare { source }));
            }
            None => self.playback_over(leg, None, now),
        }
    }

    pub(super) fn play(&mut self, leg: LegIndex, play: u32, mut sound: Sound) {
        let boost = self.app.as_ref().and_then(|app| app.boost);
        sound.decibels = boost.filter(|_| leg == LegIndex::CALLER).unwrap_or(0);
        if let Some(handle) = self.leg(leg).and_then(|leg| leg.media.handle()) {
            self.effects.push(Effect::Play {
                leg,
                handle,
                play,
                sound,
            });
        }
    }

    /// A sound is there and begins. A caller that is not answered is told that there is music when there is.
    pub(super) fn sound_began(&mut self, leg: LegIndex, play: u32, now: Moment) {
        if self.app.as_ref().is_some_and(|app| app.music == Some(play)) {
            self.tell_caller(183, true, now);
        } else {
            if let Some(playback) = self.playback(leg).filter(|playback| playback.play == play) {
                playback.began = true;
            }
            self.first_heard(leg, play);
        }
    }

    /// Whether a caller that is not answered hears music: 180 would have its side ring over it.
    pub(super) fn hears_music_early(&self) -> bool {
        self.last_word.described && self.app.as_ref().is_some_and(|app| app.music.is_some())
    }

    /// A sound has come to its end.
    pub(super) fn played(&mut self, leg: LegIndex, play: u32, outcome: &PlayOutcome, now: Moment) {
        if let Some(app) = &mut self.app
            && app.music == Some(play)
        {
            app.music = None;
            if let PlayOutcome::Failed { why } = outcome {
                self.tell_bad_answer(LegIndex::CALLER, "dialMusic", why, now);
            }
            if self.somebody_rings() {
                self.ring_where_silent();
            }
            return;
        }
        if self.whispered(leg, play, outcome, now) {
            return;
        }
        let Some(playback) = self.playback(leg).filter(|playback| playback.play == play) else {
            return;
        };
        match outcome {
            PlayOutcome::Completed { played } => {
                playback.heard_of(*played);
                self.play_next(leg, now);
            }
            // Its time was up, another sound took its place, or the leg can't go on.
            PlayOutcome::Stopped { played } => {
                playback.heard_of(*played);
                self.playback_over(leg, None, now);
            }
            PlayOutcome::Failed { why } => {
                let (why, verb) = (why.clone(), playback.verb());
                self.tell_bad_answer(leg, verb, &why, now);
                self.playback_over(leg, Some(why), now);
            }
        }
    }

    /// The playback of a verb is over; a prompt hands over to its gathering.
    pub(super) fn playback_over(&mut self, leg: LegIndex, failed: Option<String>, now: Moment) {
        self.no_longer_heard(leg, "stop-playback");
        let Some(line) = self.line_mut(leg) else {
            // A callee that is on hold has no line.
            self.hold_falls_silent(now);
            return;
        };
        match line.running.take() {
            Some(Running::Playing(playback)) => match &playback.hook {
                Some(hook) => {
                    let properties = payload::played(playback.played, playback.position, failed.as_deref());
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
                self.hold_falls_silent(now);
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

    /// Music for the caller while others ring, until it is stopped.
    pub(super) fn play_music(&mut self, url: &str) {
        self.end_whispers(LegIndex::CALLER);
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
                decibels: 0,
            },
        );
    }

    pub(super) fn stop_music(&mut self) {
        if let Some(play) = self.app.as_mut().and_then(|app| app.music.take()) {
            self.stop_playing(LegIndex::CALLER, play);
        }
    }
}
