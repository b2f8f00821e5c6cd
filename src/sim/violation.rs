//! What a simulated peer saw that its real model would not have stood.

use serde::Serialize;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How many are kept; a peer gone wild would fill the memory.
const KEPT: usize = 1000;

/// One breach of the peer's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// A stable word, such as `contact-ip` or `own-connection`.
    pub rule: &'static str,
    /// What was seen.
    pub evidence: String,
}

impl Violation {
    pub(super) fn new(rule: &'static str, evidence: impl Into<String>) -> Violation {
        Violation {
            rule,
            evidence: evidence.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.evidence)
    }
}

/// All breaches of one simulator, in their order.
#[derive(Debug, Default)]
pub(super) struct Violations(Mutex<Vec<Violation>>);

impl Violations {
    pub(super) fn record(&self, violation: Violation) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
