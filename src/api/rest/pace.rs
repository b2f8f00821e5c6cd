//! How many requests a token may make: so many a second, and no more at once than in one second.

use crate::config::TokenDigest;
use crate::moment::Moment;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Buckets, above which those that are full again are forgotten.
const MANY: usize = 1_024;

/// The paces of all tokens. Only tokens of the configuration are asked for here, so it can't be filled by strangers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    buckets: Mutex<HashMap<TokenDigest, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Requests that may come at once.
    left: f64,
    at: Moment,
}

impl Bucket {
    fn filled(self, rate: f64, now: Moment) -> f64 {
        (self.left + now.since(self.at).as_secs_f64() * rate).min(rate)
    }
}

impl Pace {
    /// One more request of a token that may make `rate` a second. The error is how long it should wait.
    pub fn step(&self, token: TokenDigest, rate: u32, now: Moment) -> Result<(), Duration> {
        let rate = f64::from(rate.max(1));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY && !buckets.contains_key(&token) {
            buckets.retain(|_, bucket| bucket.filled(rate, now) < rate);
        }
        let bucket = buckets.entry(token).or_insert(Bucket { left: rate, at: now });
        let left = bucket.filled(rate, now);
        *bucket = Bucket { left, at: now };
        if left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - left) / rate));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_requests_of_a_second_and_no_more() {
        let pace = Pace::default();
        let (one, other) = (TokenDigest::of("one"), TokenDigest::of("other"));
        let at = |ms| Moment::ZERO + Duration::from_millis(ms);
        for _ in 0..5 {
            assert_eq!(pace.step(one, 5, at(0)), Ok(()));
        }
        assert_eq!(pace.step(one, 5, at(0)), Err(Duration::from_millis(200)));
        assert_eq!(pace.step(other, 5, at(0)), Ok(()), "another token has its own");
        assert_eq!(pace.step(one, 5, at(100)), Err(Duration::from_millis(100)));
        assert_eq!(pace.step(one, 5, at(200)), Ok(()));
        assert!(pace.step(one, 5, at(200)).is_err());
        // What was not used is not saved up beyond a second.
        let used = (0..20).filter(|_| pace.step(one, 5, at(60_000)).is_ok()).count();
        assert_eq!(used, 5);
    }
}
