//! The steps of a decision, as data: what `explain` prints and the CDR keeps.

use serde::{Deserialize, Serialize};

/// One step: which rule looked at what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// A word that names the rule: `tenant`, `number`, `emergency`, `caller`, `carrier` …
    pub rule: String,
    /// What it looked at.
    pub subject: String,
    /// What came of it, in words.
    pub outcome: String,
}

/// Steps in the order they were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace(pub Vec<TraceStep>);

impl Trace {
    /// Adds a step.
    pub fn step(&mut self, rule: &str, subject: impl Into<String>, outcome: impl Into<String>) {
        self.0.push(TraceStep {
            rule: rule.into(),
            subject: subject.into(),
            outcome: outcome.into(),
        });
    }
}
