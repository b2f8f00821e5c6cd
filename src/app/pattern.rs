//! Patterns of keys that an application wants to hear of while two sides talk.

use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A key that comes later than this after the one before begins anew.
const BETWEEN_KEYS: Duration = Duration::from_secs(3);

/// The keys of one side, and the patterns that they may end in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Collector {
    patterns: Vec<String>,
    keys: String,
    longest: usize,
    last: Option<Moment>,
}

impl Collector {
    /// Keys are the digits, `*` and `#`; the first pattern of the list that fits is told.
    pub fn new(patterns: Vec<String>) -> Collector {
        Collector {
            longest: patterns.iter().map(String::len).max().unwrap_or(0),
            patterns,
            keys: String::new(),
            last: None,
        }
    }

    /// A key was pressed: the pattern that the keys end in now. The letters A to D count for nothing.
    pub fn key(&mut self, key: char, now: Moment) -> Option<String> {
        if !matches!(key, '0'..='9' | '*' | '#') {
            return None;
        }
        if self.last.is_some_and(|last| now.since(last) >= BETWEEN_KEYS) {
            self.keys.clear();
        }
        self.last = Some(now);
        self.keys.push(key);
        // All keys are one byte long.
        let surplus = self.keys.len().saturating_sub(self.longest);
        self.keys.drain(..surplus);
        let fits = |pattern: &&String| self.keys.ends_with(pattern.as_str());
        self.patterns.iter().find(fits).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(patterns: &[&str], keys: &[(char, u64)]) -> Vec<String> {
        let mut collector = Collector::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect());
        let mut now = Moment::from_micros(0);
        let key = |(key, after): &(char, u64)| {
            now = now + Duration::from_millis(*after);
            collector.key(*key, now)
        };
        keys.iter().filter_map(key).collect()
    }

    #[test]
    fn the_end_of_the_keys_counts_and_a_match_keeps_them() {
        assert_eq!(
            told(&["*2"], &[('5', 0), ('*', 100), ('2', 100), ('*', 100), ('2', 100)]),
            ["*2", "*2"]
        );
        assert_eq!(
            told(&["2", "*2"], &[('*', 0), ('2', 100)]),
            ["2"],
            "the first of the list"
        );
        assert_eq!(
            told(&["*2"], &[('*', 0), ('A', 100), ('2', 100)]),
            ["*2"],
            "letters are no keys"
        );
    }

    #[test]
    fn a_pause_begins_anew() {
        assert_eq!(told(&["*2"], &[('*', 0), ('2', 2_999)]), ["*2"]);
        assert!(told(&["*2"], &[('*', 0), ('2', 3_000)]).is_empty());
    }
}
