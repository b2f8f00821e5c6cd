//! Keys that a line gathers, with the prompt that asks for them.

use super::application::Running;
use super::id::LegIndex;
use super::playing::Playback;
use super::value::Call;
use crate::app::gather::{Gather, Outcome};
use crate::app::payload::{self, Properties};
use crate::app::verb::Hook;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

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
    /// Begins to gather keys.
    pub(super) fn begin_gathering(&mut self, leg: LegIndex, mut gathering: Gathering, now: Moment) {
        if gathering.prompt.is_none() {
            gathering.gather.start(now);
        }
        let prompted = gathering.prompt.is_some();
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Gathering(Box::new(gathering)));
        }
        if prompted {
            self.play_next(leg, now);
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

    pub(super) fn gathered(&mut self, leg: LegIndex, outcome: Outcome, now: Moment) {
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
}
