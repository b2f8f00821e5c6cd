//! Sounds that are whispered to one side of a bridge, over what it hears of the other.

use super::event::{PlayOutcome, Sound, Source};
use super::id::LegIndex;
use super::value::Call;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Sounds whispered to one leg that may wait.
const MOST_WHISPERS: usize = 100;

/// Sounds that are whispered to a leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Whisper {
    leg: LegIndex,
    play: u32,
    left: VecDeque<Source>,
}

impl Call {
    /// Says something over what one side of a bridge hears of the other, one sound after the other. A leg plays one sound
    /// at a time: one that hears a verb, music or its hold is not whispered to.
    pub(super) fn whisper(&mut self, leg: LegIndex, sources: Vec<Source>, now: Moment) {
        let hears_music = leg == LegIndex::CALLER && self.app.as_ref().is_some_and(|app| app.music.is_some());
        if hears_music || self.playback(leg).is_some() {
            self.tell_bad_answer(leg, "whisper", "this leg is being played to", now);
            return;
        }
        if self.leg(leg).and_then(|leg| leg.media.handle()).is_none() {
            self.tell_bad_answer(leg, "whisper", "this leg has no media", now);
            return;
        }
        let Some(app) = &mut self.app else { return };
        match app.whispers.iter_mut().find(|whisper| whisper.leg == leg) {
            Some(whisper) if whisper.left.len() + sources.len() > MOST_WHISPERS => {
                self.tell_bad_answer(leg, "whisper", "too many whispers wait already", now);
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

    /// Nobody whispers to any leg any more: the two sides are parted.
    pub(super) fn end_all_whispers(&mut self) {
        let whispers = self.app.iter().flat_map(|app| &app.whispers);
        let legs: Vec<LegIndex> = whispers.map(|whisper| whisper.leg).collect();
        for leg in legs {
            self.end_whispers(leg);
        }
    }

    /// Nobody whispers to this leg any more: it is parted from the other side, or another sound begins there.
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
                    decibels: 0,
                };
                self.play(leg, play, sound);
            }
            None => app.whispers.retain(|whisper| whisper.leg != leg),
        }
    }

    /// A sound has come to its end: a whisper goes on with the next. False when it was none.
    pub(super) fn whispered(&mut self, leg: LegIndex, play: u32, outcome: &PlayOutcome, now: Moment) -> bool {
        let ours = |whisper: &Whisper| whisper.leg == leg && whisper.play == play;
        if !self.app.as_ref().is_some_and(|app| app.whispers.iter().any(ours)) {
            return false;
        }
        if let PlayOutcome::Failed { why } = outcome {
            self.tell_bad_answer(leg, "whisper", why, now);
        }
        self.whisper_next(leg);
        true
    }
}
