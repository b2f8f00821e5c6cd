//! What share of the new calls is shed: decided from measurements alone.
//!
//! A node that is asked for more than it can do must say so early and cheaply: a call that waits in a queue is repeated
//! by its peer and costs twice. While shedding, the shards refuse a share of the new INVITEs by 503 with Retry-After
//! before a transaction exists; in-dialog requests, OPTIONS and emergency calls pass. The share follows the queues, so
//! that they stay short and never empty: the node goes on working at its limit. Where hardly a call comes, none is shed.

use crate::moment::Moment;
use std::time::Duration;

/// One measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// How full the fullest queue of received messages is, the kernel's included: 0 to 1.
    pub backlog: f64,
    /// How late the runtime came to a task that was due.
    pub lag: Duration,
    /// Calls a second that have begun since the last one, also those that were refused.
    pub calls: f64,
}

/// Fewer calls a second than this load nobody, and to refuse them would relieve nothing. What makes the node late then, or fills its
/// queues, is its machine, or work that calls have no part in.
const FEW: f64 = 50.0;
/// Queues this full are overload: some hundred messages of a kernel buffer of 4 MiB, a tenth of a second.
const FULL: f64 = 0.10;
/// Tasks this late are overload. Retransmissions begin at 500 ms (T1), and a call needs a dozen steps.
const LATE: Duration = Duration::from_millis(40);
/// A single measurement counts as no more than this: one stall of the machine is no overload, however long.
const STALL: Duration = Duration::from_millis(200);
/// The weight of a measurement in the average: the sixth one decides, a single hiccup does not.
const WEIGHT: f64 = 0.15;
/// New calls are no longer counted out once all were let in, and it was calm, for this long.
const CALM: Duration = Duration::from_millis(200);

/// The pressure that shedding aims at, where 1 is overload: short queues that are not empty.
const AIM: f64 = 0.4;
/// Pressure that is as good as none.
const NONE: f64 = 0.2;
/// How much of the pressure's distance from the aim goes into the exponent of the admitted share at each measurement, and
/// how much of its change. The change damps: pressure is the sum of what came in too much.
const OF_DISTANCE: f64 = 0.1;
const OF_CHANGE: f64 = 0.4;
/// Bounds of that exponent: down by half, up by a tenth. Queues fill faster than they may be filled.
const DOWN: f64 = -0.7;
const UP: f64 = 0.1;
/// The share that is admitted when shedding begins, and the least: from it to the whole takes 3 s of calm.
const FIRST: f64 = 0.5;
const LEAST: f64 = 0.002;

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
    calls: f64,
    shedding: Option<Share>,
}

/// While shedding.
#[derive(Debug, Clone, Copy)]
struct Share {
    admitted: f64,
    /// Of the measurement before.
    pressure: f64,
    calm_since: Option<Moment>,
}

impl Overload {
    /// How often to measure.
    pub const INTERVAL: Duration = Duration::from_millis(20);

    /// Takes a measurement; whether shedding begins or ends by it.
    pub fn measure(&mut self, load: Load, now: Moment) -> Option<Shedding> {
        self.backlog += (load.backlog.clamp(0.0, 1.0) - self.backlog) * WEIGHT;
        self.lag += (load.lag.min(STALL).as_secs_f64() - self.lag) * WEIGHT;
        self.calls += (load.calls - self.calls) * WEIGHT;
        let few = self.calls < FEW;
        let Some(share) = &mut self.shedding else {
            let average = pressure(self.average());
            let begins = average >= 1.0 && !few;
            self.shedding = begins.then_some(Share {
                admitted: FIRST,
                pressure: average,
                calm_since: None,
            });
            return begins.then_some(Shedding::Begins);
        };
        // Shedding works at once, so what is measured now counts, not what was before.
        if share.follow(pressure(load), now) && !few {
            return None;
        }
        *self = Overload::default();
        Some(Shedding::Ends)
    }

    /// The share of new calls to refuse; None while there is no overload.
    pub fn refused(&self) -> Option<f64> {
        self.shedding.map(|share| 1.0 - share.admitted)
    }

    /// The averages.
    pub fn average(&self) -> Load {
        Load {
            backlog: self.backlog,
            lag: Duration::from_secs_f64(self.lag.max(0.0)),
            calls: self.calls,
        }
    }
}

impl Share {
    /// Follows one measurement; false once there is nothing more to shed.
    fn follow(&mut self, pressure: f64, now: Moment) -> bool {
        let exponent = OF_DISTANCE * (AIM - pressure) + OF_CHANGE * (self.pressure - pressure);
        self.pressure = pressure;
        self.admitted = (self.admitted * exponent.clamp(DOWN, UP).exp()).clamp(LEAST, 1.0);
        let calm = self.admitted >= 1.0 && pressure <= NONE;
        let since = calm.then(|| self.calm_since.unwrap_or(now));
        self.calm_since = since;
        since.is_none_or(|since| now.since(since) < CALM)
    }
}

/// 1 where overload begins.
fn pressure(load: Load) -> f64 {
    let late = load.lag.min(STALL).as_secs_f64() / LATE.as_secs_f64();
    (load.backlog.clamp(0.0, 1.0) / FULL).max(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    /// Feeds measurements, one each interval; the moments of decisions in milliseconds.
    fn decisions(overload: &mut Overload, start: u64, loads: impl IntoIterator<Item = Load>) -> Vec<(u64, Shedding)> {
        let times = (start..).step_by(20);
        let decide = |(millis, load): (u64, Load)| overload.measure(load, at(millis)).map(|decided| (millis, decided));
        times.zip(loads).filter_map(decide).collect()
    }

    fn load(backlog: f64, lag_ms: u64) -> Load {
        Load {
            backlog,
            lag: Duration::from_millis(lag_ms),
            calls: 1_000.0,
        }
    }

    #[test]
    fn a_single_hiccup_sheds_nothing() {
        let mut overload = Overload::default();
        let hiccup = [load(0.5, 5_000), load(0.0, 1)];
        assert_eq!(decisions(&mut overload, 0, hiccup), []);
        assert_eq!(overload.refused(), None);
    }

    #[test]
    fn full_queues_or_late_tasks_shed_within_a_tenth_of_a_second_or_two() {
        for full in [load(0.3, 0), load(0.0, 120)] {
            let mut overload = Overload::default();
            let decided = decisions(&mut overload, 0, [full; 20]);
            assert!(matches!(decided[..], [(20..=200, Shedding::Begins)]), "{decided:?}");
            assert!(overload.refused() >= Some(0.5));
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
        while overload.refused() > Some(0.0) {
            assert_eq!(overload.measure(load(0.0, 1), at(100)), None);
        }
        assert_eq!(decisions(&mut overload, 120, [load(0.0, 1); 9]), [], "180 ms of calm");
        assert_eq!(decisions(&mut overload, 280, [load(0.03, 1)]), [], "not over");
        let calm = decisions(&mut overload, 300, [load(0.0, 1); 11]);
        assert_eq!(calm, [(500, Shedding::Ends)]);
        assert_eq!(overload.average(), Load::default(), "the past is forgotten");
    }

    #[test]
    fn the_last_call_is_not_shed_away_and_the_share_comes_back_by_itself() {
        let mut overload = Overload::default();
        decisions(&mut overload, 0, [load(1.0, 500); 1_000]);
        assert_eq!(overload.refused(), Some(1.0 - LEAST));
        let decided = decisions(&mut overload, 20_000, [load(0.0, 0); 1_000]);
        assert!(
            matches!(decided[..], [(22_000..=27_000, Shedding::Ends)]),
            "{decided:?}"
        );
    }

    #[test]
    fn hardly_a_call_is_never_shed_however_late_the_machine_makes_the_node() {
        let mut overload = Overload::default();
        // 25 a second, now and then several at once.
        let late = (0..500).map(|look: u32| Load {
            calls: if look.is_multiple_of(8) { 200.0 } else { 0.0 },
            ..load(0.5, 500)
        });
        assert_eq!(decisions(&mut overload, 0, late), []);
        assert_eq!(overload.refused(), None);
        let many = Load {
            calls: 60.0,
            ..load(0.5, 500)
        };
        assert_eq!(decisions(&mut overload, 10_000, [many; 20]).len(), 1);
    }

    #[test]
    fn shedding_ends_when_the_calls_do_though_the_machine_stays_late() {
        let mut overload = Overload::default();
        assert_eq!(decisions(&mut overload, 0, [load(0.0, 500); 10]).len(), 1);
        let none = Load {
            calls: 0.0,
            ..load(0.0, 500)
        };
        let ended = decisions(&mut overload, 200, [none; 50]);
        assert!(matches!(ended[..], [(200..=700, Shedding::Ends)]), "{ended:?}");
    }

    /// A node of one core under a load: calls wait as work, the work is a queue.
    struct Core {
        overload: Overload,
        /// Seconds of work that wait.
        waiting: f64,
        /// How full the queue is that holds a second of work.
        fullness: f64,
        micros: u64,
        worst: f64,
    }

    /// Seconds of work.
    const CALL: f64 = 1.0 / 2_000.0;
    const REFUSAL: f64 = CALL / 15.0;

    impl Core {
        /// `queue`: seconds of work that fill the queue.
        fn new(queue: f64) -> Core {
            Core {
                overload: Overload::default(),
                waiting: 0.0,
                fullness: queue.recip(),
                micros: 0,
                worst: 0.0,
            }
        }

        /// Calls admitted a second, over `seconds` of `offered` calls a second. Half of a call's work comes an interval after
        /// the other half.
        fn run(&mut self, offered: f64, seconds: u64) -> f64 {
            let step = Overload::INTERVAL.as_secs_f64();
            let (mut admitted, mut later) = (0.0, 0.0);
            for _ in 0..seconds * 50 {
                let refused = self.overload.refused().unwrap_or(0.0);
                let calls = offered * step * (1.0 - refused);
                admitted += calls;
                let work = calls * CALL / 2.0 + later + offered * step * refused * REFUSAL;
                later = calls * CALL / 2.0;
                self.waiting = (self.waiting + work - step).max(0.0);
                self.worst = self.worst.max(self.waiting);
                self.micros += 20_000;
                let backlog = (self.waiting * self.fullness).min(1.0);
                let lag = Duration::from_secs_f64(self.waiting / 4.0);
                let load = Load {
                    backlog,
                    lag,
                    calls: offered,
                };
                self.overload.measure(load, Moment::from_micros(self.micros));
            }
            admitted / seconds as f64
        }
    }

    #[test]
    fn in_overload_the_node_goes_on_at_its_limit() {
        for (times, queue) in [(1.2, 1.0), (2.0, 1.0), (2.0, 0.3), (2.0, 0.05), (4.0, 1.0)] {
            let mut core = Core::new(queue);
            let offered = times / CALL;
            core.run(offered, 2);
            assert!(
                core.worst < 0.4,
                "{times}, {queue}: retransmissions begin, {} s wait",
                core.worst
            );
            let possible = (1.0 - offered * REFUSAL) / (CALL - REFUSAL);
            let admitted = core.run(offered, 10);
            let part = admitted / possible;
            assert!(
                (0.95..1.01).contains(&part),
                "{times}, {queue}: {part} of what is possible"
            );
        }
    }

    #[test]
    fn when_the_load_falls_every_call_is_taken_again() {
        let mut core = Core::new(1.0);
        core.run(4.0 / CALL, 5);
        assert!(core.overload.refused().is_some());
        core.run(0.5 / CALL, 3);
        assert_eq!(core.overload.refused(), None);
        assert_eq!(core.run(0.5 / CALL, 1).round(), (0.5 / CALL).round());
    }
}
