//! Addresses that no connection leads to: OPTIONS try a dead gateway for ever, and that it is dead is news once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses that are remembered; beyond, all are forgotten, and told of once more.
const MOST: usize = 4_096;

/// Why the last connection to each did not come about.
#[derive(Debug, Default)]
pub(super) struct Unconnected(Mutex<HashMap<SocketAddr, &'static str>>);

impl Unconnected {
    /// No connection to `address` came about, and why. True when that is news: it is the first that failed, or failed otherwise
    /// than the one before.
    pub fn fails(&self, address: SocketAddr, why: &'static str) -> bool {
        let mut known = self.lock();
        if known.len() >= MOST && !known.contains_key(&address) {
            known.clear();
        }
        known.insert(address, why) != Some(why)
    }

    /// One has come about.
    pub fn connects(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_address_is_news_once_and_again_when_it_was_back_or_fails_otherwise() {
        let unconnected = Unconnected::default();
        let [one, other] = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 5061)));
        let news = [
            unconnected.fails(one, "connect"),
            unconnected.fails(one, "connect"),
            unconnected.fails(other, "connect"),
            unconnected.fails(one, "timeout"),
            unconnected.fails(one, "timeout"),
        ];
        assert_eq!(news, [true, false, true, true, false]);
        unconnected.connects(one);
        assert!(unconnected.fails(one, "timeout") && !unconnected.fails(other, "connect"));
        for last in 0..u16::try_from(MOST).expect("few") {
            unconnected.fails(SocketAddr::from(([192, 0, 2, 3], last)), "connect");
        }
        assert!(unconnected.lock().len() <= MOST);
    }
}
