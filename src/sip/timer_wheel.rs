//! A hierarchical timer wheel: O(1) to set and to cancel, whatever the number of timers (one a transaction).
//!
//! Five levels of 64 slots; a slot of the innermost level is one tick of 4 ms, of each further level 64 times more,
//! so that it spans about 50 days. A timer never fires early, and late by less than one tick.

#![allow(
    clippy::indexing_slicing,
    reason = "levels stay below LEVELS, slots are taken modulo SLOTS"
)]

use crate::moment::Moment;
use slab::Slab;

const TICK_MICROS: u64 = 4_000;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 5;
/// The farthest a timer is filed ahead: one outermost slot less than a whole turn. A later one is filed again then.
const REACH_TICKS: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - (1 << (SLOT_BITS * (LEVELS as u32 - 1)));
const NIL: u32 = u32::MAX;

/// Names a timer that is set. Spent once the timer fired or was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerKey(u32);

#[derive(Debug)]
struct Timer<T> {
    value: T,
    deadline: u64,
    previous: u32,
    next: u32,
    level: u8,
    slot: u8,
}

#[derive(Debug)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

/// Timers with a value each, by deadline.
#[derive(Debug)]
pub struct TimerWheel<T> {
    timers: Slab<Timer<T>>,
    levels: [Level; LEVELS],
    /// All ticks up to and including this one have been served.
    elapsed: u64,
}

impl<T> TimerWheel<T> {
    /// A wheel without timers, standing at the epoch.
    pub fn new() -> TimerWheel<T> {
        TimerWheel {
            timers: Slab::new(),
            levels: std::array::from_fn(|_| Level {
                occupied: 0,
                heads: [NIL; SLOTS],
            }),
            elapsed: 0,
        }
    }

    /// True when no timer is set.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Sets a timer. A deadline in the past fires with the next [`TimerWheel::expire`] at a later tick.
    pub fn insert(&mut self, deadline: Moment, value: T) -> TimerKey {
        let deadline = deadline.as_micros().div_ceil(TICK_MICROS).max(self.elapsed + 1);
        let key = self.timers.insert(Timer {
            value,
            deadline,
            previous: NIL,
            next: NIL,
            level: 0,
            slot: 0,
        }) as u32;
        self.link(key);
        TimerKey(key)
    }

    /// Unsets a timer and gives its value back; `None` when it has fired.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        if !self.timers.contains(key.0 as usize) {
            return None;
        }
        self.unlink(key.0);
        self.timers.try_remove(key.0 as usize).map(|timer| timer.value)
    }

    /// When [`TimerWheel::expire`] has work next: at or before the earliest deadline, rounded up to a tick.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.next_slot()
            .map(|(_, _, tick)| Moment::from_micros(tick.saturating_mul(TICK_MICROS)))
    }

    /// Takes out one timer that is due at `now`; call until `None`.
    pub fn expire(&mut self, now: Moment) -> Option<T> {
        let now = now.as_micros() / TICK_MICROS;
        loop {
            let Some((level, slot, tick)) = self.next_slot().filter(|(_, _, tick)| *tick <= now) else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            let key = self.levels[level].heads[slot];
            self.unlink(key);
            if self
                .timers
                .get(key as usize)
                .is_some_and(|timer| timer.deadline <= tick)
            {
                // The tick stays unserved while its slot holds further timers.
                self.elapsed = self.elapsed.max(tick.saturating_sub(1));
                return self.timers.try_remove(key as usize).map(|timer| timer.value);
            }
            // A slot of an outer level has come: spread it over the inner ones.
            self.elapsed = self.elapsed.max(tick.saturating_sub(1));
            self.link(key);
        }
    }

    /// The first slot that is occupied: level, slot, and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let base = self.elapsed + 1;
        let mut first: Option<(usize, usize, u64)> = None;
        for (index, level) in self.levels.iter().enumerate() {
            if level.occupied == 0 {
                continue;
            }
            let shift = SLOT_BITS * index as u32;
            let position = base >> shift;
            let ahead = level
                .occupied
                .rotate_right((position % SLOTS as u64) as u32)
                .trailing_zeros();
            let slot_start = (position + u64::from(ahead)) << shift;
            let slot = ((position + u64::from(ahead)) % SLOTS as u64) as usize;
            if first.is_none_or(|(_, _, tick)| slot_start < tick) {
                first = Some((index, slot, slot_start));
            }
        }
        first
    }

    fn link(&mut self, key: u32) {
        let base = self.elapsed + 1;
        let Some(timer) = self.timers.get_mut(key as usize) else {
            return;
        };
        let target = timer.deadline.clamp(base, base + REACH_TICKS);
        // The innermost level on which the target lies less than one whole turn ahead.
        let level = (0..LEVELS)
            .find(|level| {
                let shift = SLOT_BITS * *level as u32;
                (target >> shift) - (base >> shift) < SLOTS as u64
            })
            .unwrap_or(LEVELS - 1);
        let slot = ((target >> (SLOT_BITS * level as u32)) % SLOTS as u64) as usize;
        let head = self.levels[level].heads[slot];
        timer.level = level as u8;
        timer.slot = slot as u8;
        timer.previous = NIL;
        timer.next = head;
        if let Some(old) = self.timers.get_mut(head as usize) {
            old.previous = key;
        }
        self.levels[level].heads[slot] = key;
        self.levels[level].occupied |= 1 << slot;
    }

    fn unlink(&mut self, key: u32) {
        let Some(timer) = self.timers.get(key as usize) else {
            return;
        };
        let (previous, next, level, slot) = (timer.previous, timer.next, timer.level as usize, timer.slot as usize);
        if let Some(timer) = self.timers.get_mut(next as usize) {
            timer.previous = previous;
        }
        if let Some(timer) = self.timers.get_mut(previous as usize) {
            timer.next = next;
        } else {
            self.levels[level].heads[slot] = next;
            if next == NIL {
                self.levels[level].occupied &= !(1 << slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(micros: u64) -> Moment {
        Moment::from_micros(micros)
    }

    #[test]
    fn a_timer_fires_at_its_tick_and_not_before() {
        let mut wheel = TimerWheel::new();
        wheel.insert(at(500_000), 'a');
        assert_eq!(wheel.expire(at(499_999)), None);
        assert_eq!(wheel.expire(at(500_000)), Some('a'));
        assert!(wheel.is_empty() && wheel.next_timeout().is_none());
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_its_key_is_spent() {
        let mut wheel = TimerWheel::new();
        let key = wheel.insert(at(8_000), 1);
        wheel.insert(at(8_000), 2);
        assert_eq!(wheel.cancel(key), Some(1));
        assert_eq!(wheel.expire(at(9_000)), Some(2));
        assert_eq!(wheel.cancel(key), None);
    }

    #[test]
    fn a_timer_beyond_the_reach_of_the_wheel_waits_its_time() {
        let mut wheel = TimerWheel::new();
        let year = Moment::ZERO + Duration::from_secs(365 * 86_400);
        wheel.insert(year, ());
        let mut wakes = 0;
        while let Some(wake) = wheel.next_timeout() {
            assert!(wake <= year, "{wake:?}");
            wakes += 1;
            if wheel.expire(wake).is_some() {
                break;
            }
        }
        assert!(wheel.is_empty() && wakes < 40, "{wakes}");
    }

    proptest! {
        /// Against the plain model: every timer fires, in order, at the first visit on or after its deadline.
        #[test]
        fn fires_like_a_sorted_list(
            deadlines in prop::collection::vec(0u64..100_000_000_000, 1..60),
            cancelled in prop::collection::vec(any::<bool>(), 60),
            late in 0u64..50_000,
        ) {
            let mut wheel = TimerWheel::new();
            let mut keys = Vec::new();
            for (index, deadline) in deadlines.iter().enumerate() {
                keys.push(wheel.insert(at(*deadline), index));
            }
            let mut expected: Vec<usize> = Vec::new();
            for (index, key) in keys.iter().enumerate() {
                if cancelled[index] {
                    prop_assert_eq!(wheel.cancel(*key), Some(index));
                } else {
                    expected.push(index);
                }
            }
            let mut fired = Vec::new();
            while let Some(wake) = wheel.next_timeout() {
                let now = at(wake.as_micros() + late);
                while let Some(index) = wheel.expire(now) {
                    prop_assert!(deadlines[index] <= now.as_micros(), "early");
                    prop_assert!(now.as_micros() < deadlines[index].max(1) + TICK_MICROS + late, "late");
                    fired.push(index);
                }
            }
            fired.sort_unstable();
            prop_assert_eq!(fired, expected);
        }
    }
}
