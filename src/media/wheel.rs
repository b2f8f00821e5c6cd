//! The coarse wheel of a worker: every leg is visited once a revolution, legs spread over its buckets.

use super::LegId;
use crate::moment::Moment;
use std::time::Duration;

const BUCKETS: usize = 25;

/// Legs by the phase of their visit. Entries of closed legs are dropped when their bucket comes round.
pub(super) struct Wheel {
    buckets: Vec<Vec<LegId>>,
    tick: Duration,
    /// The bucket to visit next, and when.
    hand: usize,
    next: Moment,
    /// Where the next leg is put: round robin spreads better than chance.
    insert: usize,
    population: usize,
}

impl Wheel {
    /// A revolution lasts a fifth of `report_interval`, between an eighth of a second and one second.
    pub fn new(report_interval: Duration) -> Wheel {
        let revolution = (report_interval / 5).clamp(Duration::from_millis(125), Duration::from_secs(1));
        Wheel {
            buckets: vec![Vec::new(); BUCKETS],
            tick: revolution / BUCKETS as u32,
            hand: 0,
            next: Moment::ZERO,
            insert: 0,
            population: 0,
        }
    }

    pub fn insert(&mut self, leg: LegId, now: Moment) {
        if self.population == 0 {
            self.next = now + self.tick;
        }
        // a stride that shares no factor with BUCKETS keeps the legs of one call apart
        self.insert = (self.insert + 7) % BUCKETS;
        if let Some(bucket) = self.buckets.get_mut(self.insert) {
            bucket.push(leg);
            self.population += 1;
        }
    }

    /// Until the next visit; None while there are no legs.
    pub fn timeout(&self, now: Moment) -> Option<Duration> {
        (self.population > 0).then(|| self.next.since(now))
    }

    /// Takes a bucket that is due, to be given back with [`Wheel::put_back`].
    pub fn take_due(&mut self, now: Moment) -> Option<(usize, Vec<LegId>)> {
        if self.population == 0 || now < self.next {
            return None;
        }
        let hand = self.hand;
        self.hand = (hand + 1) % BUCKETS;
        self.next = self.next + self.tick;
        if now.since(self.next) > self.tick * BUCKETS as u32 {
            // stopped for more than a revolution: missed turns are left out
            self.next = now;
        }
        let bucket = std::mem::take(self.buckets.get_mut(hand)?);
        self.population -= bucket.len();
        Some((hand, bucket))
    }

    /// Gives the legs of a bucket back that are still open.
    pub fn put_back(&mut self, hand: usize, legs: Vec<LegId>) {
        self.population += legs.len();
        if let Some(bucket) = self.buckets.get_mut(hand) {
            *bucket = legs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_leg_is_visited_once_a_revolution() {
        let mut wheel = Wheel::new(Duration::from_secs(5));
        (0..60).for_each(|slot| wheel.insert(LegId::first_in(slot), Moment::ZERO));
        let mut visits = HashMap::new();
        for millis in 1..=3000 {
            while let Some((hand, legs)) = wheel.take_due(Moment::from_micros(millis * 1000)) {
                assert!(legs.len() <= 3, "spread evenly");
                legs.iter().for_each(|leg| *visits.entry(*leg).or_insert(0) += 1);
                wheel.put_back(hand, legs);
            }
        }
        assert_eq!(visits.len(), 60);
        assert!(visits.values().all(|count| *count == 3));
    }

    #[test]
    fn an_empty_wheel_never_wakes_and_a_stopped_one_does_not_storm() {
        let mut wheel = Wheel::new(Duration::from_secs(5));
        assert_eq!(wheel.timeout(Moment::ZERO), None);
        wheel.insert(LegId::first_in(1), Moment::ZERO);
        assert_eq!(wheel.timeout(Moment::ZERO), Some(Duration::from_millis(40)));
        let late = Moment::from_micros(3_600_000_000);
        let mut turns = 0;
        while let Some((hand, legs)) = wheel.take_due(late) {
            wheel.put_back(hand, legs);
            turns += 1;
        }
        assert!(turns <= 2, "{turns} buckets at once");
        let mut visits = 0;
        for millis in 1..=1000 {
            while let Some((hand, legs)) = wheel.take_due(late + Duration::from_millis(millis)) {
                visits += legs.len();
                wheel.put_back(hand, Vec::new());
            }
        }
        assert_eq!(visits, 1, "its turn comes");
        assert_eq!(wheel.timeout(late), None);
    }
}
