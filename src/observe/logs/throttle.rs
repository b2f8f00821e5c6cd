//! What strangers can cause by the thousand is said a few times, and then counted.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A span of time, and the lines that it may bring.
const SPAN: Duration = Duration::from_secs(10);
const LINES: u32 = 20;

/// Counts the lines of one kind.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    since: Option<Instant>,
    said: u32,
    withheld: u64,
}

impl Throttle {
    /// Calls `say` unless there was too much of this lately; it is told how many lines were withheld before,
    /// if any were.
    pub fn say(&self, say: impl FnOnce(Option<u64>)) {
        if let Some(withheld) = self.admit(Instant::now()) {
            say((withheld > 0).then_some(withheld));
        }
    }

    fn admit(&self, now: Instant) -> Option<u64> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = count
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= SPAN);
        if over {
            count.since = Some(now);
            count.said = 0;
        }
        if count.said >= LINES {
            count.withheld += 1;
            return None;
        }
        count.said += 1;
        Some(std::mem::take(&mut count.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_the_next_span_says_how_much_it_was() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let said = (0..100).filter(|_| throttle.admit(start).is_some()).count();
        assert_eq!(said, LINES as usize);
        assert_eq!(throttle.admit(start + SPAN), Some(100 - u64::from(LINES)));
        assert_eq!(throttle.admit(start + SPAN), Some(0));
    }
}
