//! When legs that send by themselves send next. Legs that only relay are not in here.

use super::LegId;
use crate::moment::Moment;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Due times are multiples of this, so that many legs share a wake-up.
const GRAIN: u64 = 2_000;
/// Over which phases are spread: ten grains.
const SPREAD: u64 = 20_000;
/// Who is later than this goes on from now: a burst would only fill the peer's jitter buffer.
const LATEST: Duration = Duration::from_millis(100);

/// Legs by when they are due. Each leg is in here at most once.
#[derive(Default)]
pub(super) struct Pacer {
    due: BinaryHeap<Reverse<(Moment, LegId)>>,
}

impl Pacer {
    /// Adds a leg; its phase comes from its slot.
    pub fn begin(&mut self, leg: LegId, now: Moment) {
        let phase = u64::from(leg.slot()) * 7 % (SPREAD / GRAIN) * GRAIN;
        let base = now.as_micros() / SPREAD * SPREAD + phase;
        let due = if base < now.as_micros() { base + SPREAD } else { base };
        self.due.push(Reverse((Moment::from_micros(due), leg)));
    }

    /// Until the next leg is due; None while nobody sends.
    pub fn timeout(&self, now: Moment) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, _))| due.since(now))
    }

    /// Takes a leg that is due.
    pub fn take_due(&mut self, now: Moment) -> Option<(Moment, LegId)> {
        self.due.peek().filter(|Reverse((due, _))| *due <= now)?;
        self.due.pop().map(|Reverse(entry)| entry)
    }

    /// Puts a leg back that was due at `due`. The heap has room: it was taken out before.
    pub fn again(&mut self, due: Moment, interval: Duration, leg: LegId, now: Moment) {
        let next = due + interval;
        let next = if now.since(next) > LATEST { now + interval } else { next };
        self.due.push(Reverse((next, leg)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_spread_and_each_comes_every_interval() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.timeout(Moment::ZERO), None);
        let start = Moment::from_micros(1_000_007);
        (0..20).for_each(|slot| pacer.begin(LegId::first_in(slot), start));
        let mut visits = vec![Vec::new(); 20];
        let mut moments = std::collections::BTreeSet::new();
        for micros in (0..201_000).step_by(500) {
            let now = start + Duration::from_micros(micros);
            while let Some((due, leg)) = pacer.take_due(now) {
                visits[leg.slot as usize].push(due.as_micros());
                moments.insert(due.as_micros() % 20_000);
                pacer.again(due, Duration::from_millis(20), leg, now);
            }
        }
        assert_eq!(moments.len(), 10);
        for times in visits {
            assert_eq!(times.len(), 10);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 20_000));
        }
    }

    #[test]
    fn a_stopped_worker_does_not_burst() {
        let mut pacer = Pacer::default();
        pacer.begin(LegId::first_in(0), Moment::ZERO);
        let late = Moment::from_micros(5_000_000);
        let mut packets = 0;
        while let Some((due, leg)) = pacer.take_due(late) {
            packets += 1;
            pacer.again(due, Duration::from_millis(20), leg, late);
        }
        assert_eq!(packets, 1);
    }
}
