//! Other verbs for a line, and the end of an application that does nothing but replace itself.

use super::cause::Cause;
use super::id::LegIndex;
use super::value::{Call, Phase};
use crate::app::verb::Verb;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// So often the verbs of a call may be replaced within [`SPAN`]: far above what a caller can bring about with keys.
const MOST: u32 = 100;
const SPAN: Duration = Duration::from_secs(10);

/// How often the verbs were replaced lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Replacements {
    since: Option<Moment>,
    count: u32,
}

impl Replacements {
    /// One more; false when there are too many.
    fn count(&mut self, now: Moment) -> bool {
        if self.since.is_none_or(|since| now.since(since) >= SPAN) {
            *self = Replacements {
                since: Some(now),
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        self.count <= MOST
    }
}

impl Call {
    /// Other verbs for a line: what runs is stopped.
    pub(super) fn replace_verbs(&mut self, leg: LegIndex, verbs: Vec<Verb>, now: Moment) {
        self.interrupt(leg);
        self.verb_ends(leg);
        let Some(line) = self.line_mut(leg) else { return };
        line.verbs = VecDeque::from(verbs);
        line.running = None;
        line.begun = true;
        if matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        if self.app.as_mut().is_some_and(|app| !app.replacements.count(now)) {
            let detail = format!("its verbs were replaced more than {MOST} times in {} s", SPAN.as_secs());
            self.tell_error("replaced", &detail);
            self.end(Cause::ApplicationFailed { detail }, now);
            return;
        }
        self.advance(leg, now);
    }
}
