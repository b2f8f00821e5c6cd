//! Other verbs for a line: those that were sent, and those that a command has fetched; and the end of an application that
//! does nothing but replace itself.

use super::application::{Asked, Line, Running, Why};
use super::cause::Cause;
use super::event::{Course, Reply};
use super::id::LegIndex;
use super::value::{Call, Phase};
use crate::app::verb::{Hook, Verb};
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
    /// Fetches the verbs that a command wants. Until they are there everything goes on; the latest command counts.
    pub(super) fn ask_for_replacement(&mut self, leg: LegIndex, hook: Hook, now: Moment) {
        let properties = self.properties(leg, now);
        self.forget_replacement(leg);
        self.ask_aside(leg, Why::Replace, hook, properties);
    }

    /// Nobody waits any more for what an earlier command wanted fetched: a later one counts.
    pub(super) fn forget_replacement(&mut self, leg: LegIndex) {
        self.forget_questions(|asked| asked.leg == leg && asked.why == Why::Replace);
    }

    /// Whether a line waits for other verbs that a command named.
    pub(super) fn is_being_replaced(&self, leg: LegIndex) -> bool {
        let Some(app) = &self.app else { return false };
        app.asked
            .iter()
            .any(|asked| asked.leg == leg && asked.why == Why::Replace)
    }

    /// Whether somebody else is being asked to take the call over: where a redirect leads elsewhere, or a command.
    pub(super) fn is_being_led_on(&self) -> bool {
        let leads =
            |asked: &Asked| asked.leg == LegIndex::CALLER && (asked.moves.is_some() || asked.why == Why::Replace);
        self.app.as_ref().is_some_and(|app| app.asked.iter().any(leads))
    }

    /// What a command wanted fetched is there, or is not: then nothing has changed.
    pub(super) fn replacement_came(&mut self, asked: Asked, result: Result<Reply, String>, now: Moment) {
        let leg = asked.leg;
        match result {
            Ok(reply) => {
                self.application_moved(asked.moves);
                self.abandon_dial(leg, now);
                self.replace_verbs(leg, reply.verbs, now);
            }
            Err(detail) => {
                self.tell_bad_answer(leg, "call_hook", &detail, now);
                if self.ends_alone(now) {
                    return;
                }
                let waits = |line: &Line| matches!(line.running, Some(Running::Idle));
                if self.line(leg).is_some_and(waits) {
                    self.verb_done(leg, now);
                }
            }
        }
    }

    /// Other verbs for a line: what runs is stopped.
    pub(super) fn replace_verbs(&mut self, leg: LegIndex, verbs: Vec<Verb>, now: Moment) {
        // Passed over, it would let somebody through whom the application meant to ask more.
        // What `config` sets for the whole call, a destination that is screened has no part in yet.
        let misplaced = |verb: &Verb| match verb {
            Verb::Dial(_) | Verb::SipDecline(_) => Some(verb.name()),
            Verb::Config(config) => config.of_the_whole_call(),
            _ => None,
        };
        if let Some(what) = verbs.iter().find_map(misplaced).filter(|_| leg != LegIndex::CALLER) {
            let detail = format!("{what} has no place in a screening");
            self.confirmation_failed(leg, &detail, now);
            return;
        }
        self.interrupt(leg);
        self.verb_ends(leg);
        if let Some(Running::Asking(number)) = self.line(leg).and_then(|line| line.running.as_ref()) {
            let number = *number;
            self.forget_questions(|asked| asked.number == number && asked.course == Course::Moves);
        }
        if let Some(app) = &mut self.app {
            // Somebody steers it again.
            app.lost = None;
        }
        let Some(line) = self.line_mut(leg) else { return };
        line.verbs = VecDeque::from(verbs);
        line.running = None;
        line.begun = true;
        if matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        if self.app.as_mut().is_some_and(|app| !app.replacements.count(now)) {
            let detail = format!("its verbs were replaced more than {MOST} times in {} s", SPAN.as_secs());
            if leg != LegIndex::CALLER {
                self.confirmation_failed(leg, &detail, now);
                return;
            }
            self.tell_bad_answer(leg, "replaced", &detail, now);
            self.end(Cause::ApplicationFailed { detail }, now);
            return;
        }
        self.advance(leg, now);
    }
}
