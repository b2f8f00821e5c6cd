//! What a simulated peer saw that its real model would not have stood.

use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How many are kept; a peer gone wild would fill the memory.
const KEPT: usize = 1000;

/// The number of a rule of Direct Routing, as docs/teams-conformance.md has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u8);

/// A rule that a simulated peer enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// A stable word, such as `own-connection`.
    pub word: &'static str,
    /// `None`: it is of SIP itself.
    pub id: Option<RuleId>,
    /// What breaks it.
    pub broken_by: &'static str,
    /// What the real peer does then; `None`: it goes on, and the call suffers elsewhere.
    pub answer: Option<&'static str>,
    /// Noted by a strict simulator alone: the real peer goes on, and laboratories may rightly do otherwise.
    pub only_strict: bool,
}

/// One breach of the peer's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule's word.
    pub rule: &'static str,
    pub id: Option<RuleId>,
    /// What was seen.
    pub evidence: String,
}

impl Violation {
    pub(super) fn new(rule: &'static str, evidence: impl Into<String>) -> Violation {
        Violation {
            rule,
            id: None,
            evidence: evidence.into(),
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TEAMS-{:03}", self.0)
    }
}

impl Serialize for RuleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{id} {}: {}", self.rule, self.evidence),
            None => write!(f, "{}: {}", self.rule, self.evidence),
        }
    }
}

/// All breaches of one simulator, in their order.
#[derive(Debug, Default)]
pub(super) struct Violations {
    list: Mutex<Vec<Violation>>,
    rules: &'static [Rule],
    strict: bool,
}

impl Violations {
    /// Numbered as `rules` says.
    pub(super) fn of(rules: &'static [Rule], strict: bool) -> Violations {
        Violations {
            list: Mutex::default(),
            rules,
            strict,
        }
    }

    pub(super) fn record(&self, mut violation: Violation) {
        let rule = self.rules.iter().find(|rule| rule.word == violation.rule);
        if rule.is_some_and(|rule| rule.only_strict) && !self.strict {
            return;
        }
        violation.id = rule.and_then(|rule| rule.id);
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < KEPT {
            list.push(violation);
        }
    }

    pub(super) fn record_all(&self, violations: impl IntoIterator<Item = Violation>) {
        for violation in violations {
            self.record(violation);
        }
    }

    pub(super) fn list(&self) -> Vec<Violation> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
