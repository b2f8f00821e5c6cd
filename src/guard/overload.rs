//! When new calls are shed: decided from measurements alone, with hysteresis.
//!
//! A node that is asked for more than it can do must say so early and cheaply: a call that waits in a queue is repeated
//! by its peer and costs twice. While shedding, the shards refuse new INVITEs by 503 with Retry-After before a
//! transaction exists; in-dialog requests, OPTIONS and emergency calls pass.

use crate::moment::Moment;
use std::time::Duration;

/// One measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// How full the fullest queue of received messages is, the kernel's included: 0 to 1.
    pub backlog: f64,
    /// How late the runtime came to a task that was due.
    pub lag: Duration,
}

/// Queues this full, on average, are overload: some hundred messages of a kernel buffer of 4 MiB, a tenth of a second.
const FULL: f64 = 0.10;
/// Below this they are as good as empty.
const EMPTY: f64 = 0.01;
/// Tasks this late, on average, are overload. Retransmissions begin at 500 ms (T1), and a call needs a dozen steps.
const LATE: Duration = Duration::from_millis(40);
/// Below this they are in time.
const IN_TIME: Duration = Duration::from_millis(8);
/// A single measurement counts as no more than this: one stall of the machine is no overload, however long.
const STALL: Duration = Duration::from_millis(200);
/// The weight of a measurement in the average: the sixth one decides, a single hiccup does not.
const WEIGHT: f64 = 0.15;
/// New calls are let in again once it was calm for this long.
const CALM: Duration = Duration::from_millis(200);

/// What has been decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shedding {
    Begins,
    Ends,
}

/// The decision and what it remembers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overload {
    backlog: f64,
    lag: f64,
    shedding: bool,
    calm_since: Option<Moment>,
}

impl Overload {
    /// How often to measure.
    pub const INTERVAL: Duration = Duration::from_millis(20);

    /// Takes a measurement; what changes by it.
    pub fn measure(&mut self, load: Load, now: Moment) -> Option<Shedding> {
        self.backlog += (load.backlog.clamp(0.0, 1.0) - self.backlog) * WEIGHT;
        self.lag += (load.lag.min(STALL).as_secs_f64() - self.lag) * WEIGHT;
        if !self.shedding {
            let overloaded = self.backlog >= FULL || self.lag >= LATE.as_secs_f64();
            self.shedding = overloaded;
            return overloaded.then_some(Shedding::Begins);
        }
        // Shedding works at once, so what is measured now counts, not what was before.
        let calm = load.backlog <= EMPTY && load.lag <= IN_TIME;
        let since = calm.then(|| self.calm_since.unwrap_or(now));
        self.calm_since = since;
        if since.is_none_or(|since| now.since(since) < CALM) {
            return None;
        }
        *self = Overload::default();
        Some(Shedding::Ends)
    }

    /// The averages: fullness of the queues, and lateness.
    pub fn average(&self) -> Load {
        Load {
            backlog: self.backlog,
            lag: Duration::from_secs_f64(self.lag.max(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds measurements, one each interval; the moments of decisions in milliseconds.
    fn decisions(overload: &mut Overload, start: u64, loads: impl IntoIterator<Item = Load>) -> Vec<(u64, Shedding)> {
        let times = (start..).step_by(20);
        let decide = |(millis, load): (u64, Load)| {
            let decided = overload.measure(load, Moment::from_micros(millis * 1000));
            decided.map(|decided| (millis, decided))
        };
        times.zip(loads).filter_map(decide).collect()
    }

    fn load(backlog: f64, lag_ms: u64) -> Load {
        Load {
            backlog,
            lag: Duration::from_millis(lag_ms),
        }
    }

    #[test]
    fn a_single_hiccup_sheds_nothing() {
        let mut overload = Overload::default();
        let hiccup = [load(0.5, 5_000), load(0.0, 1)];
        assert_eq!(decisions(&mut overload, 0, hiccup), []);
    }

    #[test]
    fn full_queues_or_late_tasks_shed_within_a_tenth_of_a_second_or_two() {
        for full in [load(0.3, 0), load(0.0, 120)] {
            let mut overload = Overload::default();
            let decided = decisions(&mut overload, 0, [full; 20]);
            assert!(matches!(decided[..], [(20..=200, Shedding::Begins)]), "{decided:?}");
        }
    }

    #[test]
    fn a_load_that_is_borne_never_sheds() {
        let mut overload = Overload::default();
        assert_eq!(decisions(&mut overload, 0, [load(0.05, 20); 500]), []);
    }

    #[test]
    fn shedding_ends_after_a_calm_while_and_a_relapse_begins_the_while_again() {
        let mut overload = Overload::default();
        assert_eq!(decisions(&mut overload, 0, [load(1.0, 500); 5]).len(), 1);
        assert_eq!(decisions(&mut overload, 100, [load(0.0, 1); 9]), [], "160 ms of calm");
        assert_eq!(decisions(&mut overload, 280, [load(0.2, 1)]), [], "not over");
        let calm = decisions(&mut overload, 300, [load(0.0, 1); 11]);
        assert_eq!(calm, [(500, Shedding::Ends)]);
        assert_eq!(overload.average(), Load::default(), "the past is forgotten");
    }
}
