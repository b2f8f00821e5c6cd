//! How asking went, counted.

use super::failure::{ConnectFailure, HookFailure};
use crate::app::websocket::SessionFailure;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// It went well.
const OK: &str = "ok";
/// A message that a WebSocket was not told.
const UNTOLD: &str = "untold";

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
    const ALL: [Asked; 4] = [Asked::Hook, Asked::File, Asked::Speech, Asked::Socket];

    /// What can come of it.
    fn outcomes(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Asked::Hook | Asked::File | Asked::Speech => &HookFailure::OWN_LABELS,
            Asked::Socket => &SessionFailure::OWN_LABELS,
        };
        let untold = (self == Asked::Socket).then_some(UNTOLD);
        std::iter::once(OK)
            .chain(ConnectFailure::LABELS)
            .chain(own.iter().copied())
            .chain(untold)
    }

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

    /// What was counted since the connector was made; what has not come is at 0.
    pub fn read(&self) -> Vec<(Asked, &'static str, u64)> {
        let known = Asked::ALL.into_iter();
        let known = known.flat_map(|asked| asked.outcomes().map(move |outcome| ((asked, outcome), 0)));
        let mut all: BTreeMap<_, _> = known.collect();
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(counts.iter().map(|(key, count)| (*key, *count)));
        all.into_iter()
            .map(|((asked, outcome), count)| (asked, outcome, count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_there_from_the_start() {
        let figures = Figures::default();
        let of = |asked, outcome| {
            let read = figures.read();
            let found = read.iter().find(|figure| (figure.0, figure.1) == (asked, outcome));
            found.map(|figure| figure.2)
        };
        assert_eq!(of(Asked::Hook, "status"), Some(0));
        assert_eq!(of(Asked::Socket, "untold"), Some(0));
        assert_eq!(of(Asked::Socket, "tls"), Some(0));
        assert_eq!(of(Asked::Socket, "nonsense"), Some(0));
        assert_eq!(of(Asked::File, "no_room"), Some(0));
        assert_eq!(of(Asked::Hook, "untold"), None);
        let before = figures.read().len();
        figures.count(Asked::Hook, "status");
        assert_eq!(of(Asked::Hook, "status"), Some(1));
        assert_eq!(figures.read().len(), before);
    }
}
