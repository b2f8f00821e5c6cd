//! The OPTIONS under way: a round of a peer goes to each of its addresses.

use super::monitor::Asked;
use crate::dial::PeerName;
use crate::moment::Moment;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;
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
    pub(super) sent: Moment,
    /// It is sent again after this long; never where the transport is reliable.
    pub(super) sent_again_after: Option<Duration>,
}

impl Waiting {
    /// How long an answer that comes now took, where it can only be the answer to what was sent first (Karn).
    pub(super) fn round_trip(&self, now: Moment) -> Option<Duration> {
        let took = now.since(self.sent);
        self.sent_again_after.is_none_or(|again| took < again).then_some(took)
    }
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
    fn an_answer_that_may_be_to_a_retransmission_measures_nothing() {
        let config = crate::config::fixture::machine("");
        let config = crate::config::Config::from_toml_strs(&config, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let asked = super::super::monitor::asked(&config).remove(0);
        let sent = Moment::from_micros(7);
        let took = |sent_again_after, ms| {
            let waiting = Waiting {
                asked: asked.clone(),
                address: ([203, 0, 113, 2], 5060).into(),
                round: 0,
                until: Instant::now(),
                sent,
                sent_again_after,
            };
            waiting.round_trip(sent + Duration::from_millis(ms))
        };
        let t1 = Some(Duration::from_millis(500));
        assert_eq!(took(t1, 499), Some(Duration::from_millis(499)));
        assert_eq!((took(t1, 500), took(t1, 1_506)), (None, None));
        assert_eq!(
            took(None, 1_506),
            Some(Duration::from_millis(1_506)),
            "TCP repeats by itself"
        );
    }

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
