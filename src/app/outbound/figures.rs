//! How asking went, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A hook, each repetition by itself.
    Hook,
    /// A file.
    File,
    /// A text, spoken.
    Speech,
    /// A WebSocket: `ok` when it is open; its failures, also later ones.
    Socket,
}

impl Asked {
    /// A word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Asked::Hook => "hook",
            Asked::File => "file",
            Asked::Speech => "speech",
            Asked::Socket => "socket",
        }
    }
}

/// Counts by what was asked for and what came of it: `ok`, or the failure's label. A bounded set: labels are constants.
#[derive(Debug, Default)]
pub struct Figures {
    counts: Mutex<BTreeMap<(Asked, &'static str), u64>>,
}

impl Figures {
    pub(in crate::app) fn count(&self, asked: Asked, outcome: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((asked, outcome)).or_default() += 1;
    }

    /// What was counted since the connector was made.
    pub fn read(&self) -> Vec<(Asked, &'static str, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((asked, outcome), count)| (*asked, *outcome, *count))
            .collect()
    }
}
