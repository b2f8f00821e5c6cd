//! Who has failed to prove a password too often, so that guessing is slow.

use crate::moment::Moment;
use crate::sip::source_network;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Failures of one source for one user name.
const MOST_FOR_USER: u32 = 10;
/// Failures of one source in all: a whole office may sit behind one address.
const MOST_IN_ALL: u32 = 100;
/// Counters in a window; beyond, nothing more is counted until the next.
const MOST_COUNTERS: usize = 100_000;

/// Counts of the present window and the one before.
#[derive(Debug, Default)]
pub struct Failures {
    recent: HashMap<u64, u32>,
    older: HashMap<u64, u32>,
    since: Moment,
    hasher: RandomState,
}

impl Failures {
    /// Failures are remembered for one to two of these.
    pub const WINDOW: Duration = Duration::from_secs(300);

    /// Whether what `source` says about `username` is not looked at any more.
    pub fn is_banned(&mut self, source: IpAddr, username: &str, now: Moment) -> bool {
        self.turn(now);
        let [user, all] = self.keys(source, username);
        self.count(user) >= MOST_FOR_USER || self.count(all) >= MOST_IN_ALL
    }

    /// One more failure.
    pub fn note(&mut self, source: IpAddr, username: &str, now: Moment) {
        self.turn(now);
        for key in self.keys(source, username) {
            if self.recent.len() < MOST_COUNTERS || self.recent.contains_key(&key) {
                let count = self.recent.entry(key).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// Nothing that `source` says is looked at for a while.
    pub fn ban(&mut self, source: IpAddr, now: Moment) {
        self.turn(now);
        let [_, all] = self.keys(source, "");
        if self.recent.len() < MOST_COUNTERS || self.recent.contains_key(&all) {
            self.recent.insert(all, MOST_IN_ALL);
        }
    }

    fn turn(&mut self, now: Moment) {
        let gone = now.since(self.since);
        if gone >= Failures::WINDOW {
            self.older = std::mem::take(&mut self.recent);
            if gone >= Failures::WINDOW * 2 {
                self.older.clear();
            }
            self.since = now;
        }
    }

    fn count(&self, key: u64) -> u32 {
        let of = |counts: &HashMap<u64, u32>| counts.get(&key).copied().unwrap_or(0);
        of(&self.recent).saturating_add(of(&self.older))
    }

    fn keys(&self, source: IpAddr, username: &str) -> [u64; 2] {
        let network = source_network(source);
        [
            self.hasher.hash_one((network, Some(username))),
            self.hasher.hash_one((network, None::<&str>)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_guesser_is_banned_for_a_user_and_then_for_all_and_others_are_not() {
        let mut failures = Failures::default();
        let (guesser, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..MOST_FOR_USER {
            assert!(!failures.is_banned(guesser, "alice", at(400)));
            failures.note(guesser, "alice", at(400));
        }
        assert!(failures.is_banned(guesser, "alice", at(400)));
        assert!(!failures.is_banned(guesser, "bob", at(400)) && !failures.is_banned(other, "alice", at(400)));
        for guess in 0..MOST_IN_ALL {
            failures.note(guesser, &guess.to_string(), at(400));
        }
        assert!(failures.is_banned(guesser, "bob", at(400)) && !failures.is_banned(other, "bob", at(400)));
        assert!(failures.is_banned(guesser, "bob", at(699)));
        assert!(!failures.is_banned(guesser, "bob", at(1_400)), "forgotten");
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_source() {
        let mut failures = Failures::default();
        for last in 0..MOST_FOR_USER {
            let source: IpAddr = format!("2001:db8::{last:x}").parse().expect("an address");
            failures.note(source, "alice", at(1));
        }
        assert!(failures.is_banned("2001:db8::ffff".parse().expect("an address"), "alice", at(1)));
    }
}
