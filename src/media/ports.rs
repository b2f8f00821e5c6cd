//! The pool of media ports of one address: even/odd pairs (RFC 3550 §11) and single ports for rtcp-mux (RFC 5761).
//!
//! A port that is given back rests, so that stray packets of the last call do not land on the next one. Rest is a
//! preference: before the range counts as exhausted, the ports that rested longest are used.

use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

const EVEN: u8 = 1;
const ODD: u8 = 2;
const BOTH: u8 = EVEN | ODD;

/// Ports that are kept for emergency calls: four calls with a pair on both sides. Of a smaller range it is a sixteenth, but
/// one call at least.
const MOST_RESERVED: u32 = 16;
const ONE_CALL: u32 = 4;
/// Of a range with fewer ports none are kept: it would be a third of them and more.
pub const FEWEST_WITH_RESERVE: u32 = 16;

/// Which local ports a leg gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RtcpPort {
    /// RTP on an even port, RTCP on the next odd one.
    Pair,
    /// One port for both (rtcp-mux).
    Mux,
}

/// How full the port range of one address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortUsage {
    /// Ports held by legs.
    pub in_use: u32,
    /// Ports that rest after a call.
    pub resting: u32,
    /// Ports of the range.
    pub capacity: u32,
}

impl PortUsage {
    /// True from four fifths of the range on: the operator should widen it.
    pub fn is_scarce(&self) -> bool {
        u64::from(self.in_use) * 5 >= u64::from(self.capacity) * 4
    }
}

/// Ports taken from the pool and not yet bound or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The RTP port; for a pair the RTCP port is the next one.
    pub rtp: u16,
    pub rtcp: RtcpPort,
}

impl Claim {
    /// How many they are.
    pub fn ports(self) -> u32 {
        self.halves().count_ones()
    }

    fn halves(self) -> u8 {
        match self.rtcp {
            RtcpPort::Pair => BOTH,
            RtcpPort::Mux if self.rtp & 1 == 1 => ODD,
            RtcpPort::Mux => EVEN,
        }
    }
}

/// The pool. A port is free, taken (by a leg, or while its bind is tried) or resting; both last ones are marked here.
pub(super) struct PortPool {
    low: u16,
    /// One entry a pair: which halves are not free.
    marked: Vec<u8>,
    /// Pairs with exactly one marked half: where single ports go first.
    halved: usize,
    /// Oldest first.
    resting: VecDeque<(Moment, Claim)>,
    resting_ports: u32,
    taken_ports: u32,
    rest: Duration,
}

impl PortPool {
    /// `low` to `high` inclusive; an odd first and an even last port are left out.
    pub fn new(low: u16, high: u16, rest: Duration) -> PortPool {
        let low = low.saturating_add(low & 1);
        let pairs = (usize::from(high) + 1).saturating_sub(usize::from(low)) / 2;
        PortPool {
            low,
            marked: vec![0; pairs],
            halved: 0,
            resting: VecDeque::new(),
            resting_ports: 0,
            taken_ports: 0,
            rest,
        }
    }

    /// Pairs in the range: an upper bound of sensible bind attempts for one leg.
    pub fn pairs(&self) -> usize {
        self.marked.len()
    }

    pub fn usage(&self) -> PortUsage {
        PortUsage {
            in_use: self.taken_ports,
            resting: self.resting_ports,
            capacity: u32::try_from(self.marked.len() * 2).unwrap_or(u32::MAX),
        }
    }

    /// The ports that are left, where so many of them are kept for emergency calls that another leg gets none.
    pub fn kept_from(&self, rtcp: RtcpPort, urgent: bool) -> u32 {
        let usage = self.usage();
        let left = usage.capacity.saturating_sub(usage.in_use);
        let kept = match usage.capacity {
            ..FEWEST_WITH_RESERVE => 0,
            capacity => (capacity / 16).clamp(ONE_CALL, MOST_RESERVED),
        };
        let needed = match rtcp {
            RtcpPort::Pair => 2,
            RtcpPort::Mux => 1,
        };
        match !urgent && kept > 0 && left < kept + needed {
            true => left,
            false => 0,
        }
    }

    /// Takes the next free ports at or after the pair that `start` (any number) points to. The last ones are for what is
    /// `urgent`.
    pub fn take(&mut self, rtcp: RtcpPort, urgent: bool, start: usize, now: Moment) -> Option<Claim> {
        if self.kept_from(rtcp, urgent) > 0 {
            return None;
        }
        while self
            .resting
            .front()
            .is_some_and(|(since, _)| now.since(*since) >= self.rest)
        {
            self.wake_oldest();
        }
        loop {
            if let Some(claim) = self.find(rtcp, start) {
                self.mark(claim);
                self.taken_ports += claim.ports();
                return Some(claim);
            }
            if !self.wake_oldest() {
                return None;
            }
        }
    }

    /// Gives ports back: they rest from now on.
    pub fn release(&mut self, claim: Claim, now: Moment) {
        let ports = claim.ports();
        self.taken_ports = self.taken_ports.saturating_sub(ports);
        self.resting_ports += ports;
        self.resting.push_back((now, claim));
    }

    fn wake_oldest(&mut self) -> bool {
        let Some((_, claim)) = self.resting.pop_front() else {
            return false;
        };
        self.resting_ports = self.resting_ports.saturating_sub(claim.ports());
        self.unmark(claim);
        true
    }

    fn find(&self, rtcp: RtcpPort, start: usize) -> Option<Claim> {
        let pairs = self.marked.len();
        let start = if pairs == 0 { return None } else { start % pairs };
        let (before, after) = self.marked.split_at(start);
        let circle = || {
            after
                .iter()
                .chain(before)
                .enumerate()
                .map(|(i, halves)| ((start + i) % pairs, *halves))
        };
        let (pair, odd) = match rtcp {
            RtcpPort::Mux if self.halved > 0 => circle()
                .find(|(_, halves)| *halves == EVEN || *halves == ODD)
                .map(|(pair, halves)| (pair, halves == EVEN)),
            _ => circle().find(|(_, halves)| *halves == 0).map(|(pair, _)| (pair, false)),
        }?;
        let offset = u16::try_from(pair * 2).ok()?;
        Some(Claim {
            rtp: self.low.checked_add(offset)? + u16::from(odd),
            rtcp,
        })
    }

    fn mark(&mut self, claim: Claim) {
        self.change(claim, |halves| halves | claim.halves());
    }

    fn unmark(&mut self, claim: Claim) {
        self.change(claim, |halves| halves & !claim.halves());
    }

    fn change(&mut self, claim: Claim, set: impl Fn(u8) -> u8) {
        let pair = usize::from(claim.rtp.saturating_sub(self.low)) / 2;
        let Some(halves) = self.marked.get_mut(pair) else {
            return;
        };
        let half = |halves: u8| usize::from(halves == EVEN || halves == ODD);
        let after = set(*halves);
        self.halved = self.halved + half(after) - half(*halves);
        *halves = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const REST: Duration = Duration::from_secs(10);

    #[test]
    fn pairs_are_even_and_distinct_until_the_range_is_exhausted() {
        let mut pool = PortPool::new(20001, 20016, REST);
        let now = Moment::ZERO;
        let taken: HashSet<u16> = (0..7)
            .map(|_| pool.take(RtcpPort::Pair, false, 5, now).expect("free").rtp)
            .collect();
        assert_eq!(taken.len(), 7, "20002..=20015 holds seven pairs");
        assert!(taken.iter().all(|port| port % 2 == 0 && (20002..=20014).contains(port)));
        assert_eq!(pool.take(RtcpPort::Pair, false, 0, now), None);
        assert_eq!(pool.take(RtcpPort::Mux, false, 0, now), None);
        assert_eq!(
            pool.usage(),
            PortUsage {
                in_use: 14,
                resting: 0,
                capacity: 14
            }
        );
    }

    #[test]
    fn single_ports_fill_a_halved_pair_before_they_break_another() {
        let mut pool = PortPool::new(30000, 30007, REST);
        let now = Moment::ZERO;
        let singles: Vec<u16> = (0..4)
            .map(|i| pool.take(RtcpPort::Mux, false, i * 3, now).expect("free").rtp)
            .collect();
        let pairs: HashSet<u16> = singles.iter().map(|port| port & !1).collect();
        assert_eq!(pairs.len(), 2);
        assert!(pool.take(RtcpPort::Pair, false, 0, now).is_some());
        assert!(pool.take(RtcpPort::Pair, false, 0, now).is_some());
        assert!(pool.take(RtcpPort::Pair, false, 0, now).is_none());
    }

    #[test]
    fn the_last_ports_are_for_emergency_calls() {
        let mut pool = PortPool::new(30000, 30319, REST);
        let mut take = |urgent| pool.take(RtcpPort::Pair, urgent, 0, Moment::ZERO).is_some();
        let others = (0..200).filter(|_| take(false)).count();
        assert_eq!(others, 152, "of 160 pairs");
        let urgent = (0..200).filter(|_| take(true)).count();
        assert_eq!(urgent, 8);
    }

    #[test]
    fn a_small_range_keeps_the_ports_of_one_emergency_call() {
        for (last, rtcp, others, urgent) in [
            (30015, RtcpPort::Pair, 6, 2),
            (30015, RtcpPort::Mux, 12, 4),
            (30013, RtcpPort::Pair, 7, 0),
        ] {
            let mut pool = PortPool::new(30000, last, REST);
            let mut take = |rtcp, urgent| pool.take(rtcp, urgent, 0, Moment::ZERO).is_some();
            assert_eq!((0..20).filter(|_| take(rtcp, false)).count(), others, "{last} {rtcp:?}");
            assert_eq!((0..20).filter(|_| take(rtcp, true)).count(), urgent, "{last} {rtcp:?}");
        }
        // An odd one that is left makes no pair out of those that are kept.
        let mut pool = PortPool::new(30000, 30015, REST);
        let mut take = |rtcp, urgent| pool.take(rtcp, urgent, 0, Moment::ZERO).is_some();
        assert!(take(RtcpPort::Mux, false));
        assert_eq!((0..20).filter(|_| take(RtcpPort::Pair, false)).count(), 5);
        assert!(take(RtcpPort::Mux, false), "the other half");
        assert_eq!((0..20).filter(|_| take(RtcpPort::Pair, true)).count(), 2);
    }

    #[test]
    fn a_released_port_rests_while_others_are_free() {
        let mut pool = PortPool::new(30000, 30003, REST);
        let now = Moment::ZERO;
        let first = pool.take(RtcpPort::Pair, false, 0, now).expect("free");
        pool.release(first, now);
        let second = pool.take(RtcpPort::Pair, false, 0, now).expect("free");
        assert_ne!(first.rtp, second.rtp);
        pool.release(second, now + Duration::from_secs(1));
        assert_eq!(
            pool.usage(),
            PortUsage {
                in_use: 0,
                resting: 4,
                capacity: 4
            }
        );
        assert_eq!(
            pool.take(RtcpPort::Pair, false, 1, now + REST).map(|c| c.rtp),
            Some(first.rtp),
            "its rest is over"
        );
    }

    #[test]
    fn a_small_range_is_not_starved_by_resting_ports() {
        let mut pool = PortPool::new(30000, 30001, REST);
        let now = Moment::ZERO;
        for _ in 0..3 {
            let claim = pool
                .take(RtcpPort::Pair, false, 0, now)
                .expect("the oldest resting port");
            pool.release(claim, now);
        }
    }

    #[test]
    fn four_fifths_are_scarce() {
        let usage = |in_use| PortUsage {
            in_use,
            resting: 0,
            capacity: 10,
        };
        assert!(!usage(7).is_scarce());
        assert!(usage(8).is_scarce());
    }

    #[test]
    fn an_empty_range_gives_nothing() {
        assert_eq!(
            PortPool::new(30001, 30001, REST).take(RtcpPort::Mux, false, 7, Moment::ZERO),
            None
        );
        assert_eq!(
            PortPool::new(65535, 65535, REST).take(RtcpPort::Pair, false, 7, Moment::ZERO),
            None
        );
    }
}
