//! The OPTIONS under way: a round of a peer goes to each of its addresses.

use super::monitor::Asked;
use crate::dial::PeerName;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use tokio::time::Instant;

/// OPTIONS under way to the addresses of one peer: it is up when one of them answers.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) left: usize,
    pub(super) answered: bool,
}

impl Round {
    /// One address has answered well, or not. True when that speaks for the peer: the first good answer, or the last bad one
    /// where none was good. One bad address of a peer that answers at another is that address's matter.
    pub(super) fn one_ends(&mut self, is_good: bool) -> bool {
        self.left = self.left.saturating_sub(1);
        let speaks = !self.answered && (is_good || self.left == 0);
        self.answered |= is_good;
        speaks
    }
}

/// OPTIONS that waits for its answer.
pub(super) struct Waiting {
    pub(super) asked: Asked,
    pub(super) address: SocketAddr,
    pub(super) round: u64,
    pub(super) until: Instant,
}

/// What is under way.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) waiting: HashMap<u64, Waiting>,
    pub(super) rounds: HashMap<u64, Round>,
    pub(super) last_round: u64,
    /// The addresses that each peer was asked at.
    pub(super) asked_at: HashMap<PeerName, Vec<SocketAddr>>,
}

impl UnderWay {
    /// Another configuration asks these peers: what is under way to others tells nothing any more. The addresses of those.
    pub(super) fn keep(&mut self, is_asked: impl Fn(&PeerName) -> bool) -> Vec<SocketAddr> {
        self.waiting.retain(|_, waiting| is_asked(&waiting.asked.peer));
        let rounds: HashSet<u64> = self.waiting.values().map(|waiting| waiting.round).collect();
        self.rounds.retain(|round, _| rounds.contains(round));
        let left = self.asked_at.extract_if(|peer, _| !is_asked(peer));
        left.flat_map(|(_, addresses)| addresses).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_answers_when_one_of_its_addresses_does() {
        let ends = |outcomes: &[bool]| -> Vec<bool> {
            let (left, answered) = (outcomes.len(), false);
            let mut round = Round { left, answered };
            outcomes.iter().map(|is_good| round.one_ends(*is_good)).collect()
        };
        assert_eq!(ends(&[true]), [true]);
        assert_eq!(ends(&[false]), [true]);
        assert_eq!(ends(&[false, true, false]), [false, true, false]);
        assert_eq!(ends(&[true, true, false]), [true, false, false]);
        assert_eq!(ends(&[false, false]), [false, true]);
    }
}
