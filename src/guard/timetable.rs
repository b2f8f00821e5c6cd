//! When each peer is asked next. Pure; time and chance are parameters.

use crate::dial::PeerName;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The next times. Later rounds are spread by a tenth of the interval, so that peers are not asked in step.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    due: HashMap<PeerName, Instant>,
}

impl Timetable {
    /// Forgets the others.
    pub(super) fn keep(&mut self, wanted: impl Fn(&PeerName) -> bool) {
        self.due.retain(|peer, _| wanted(peer));
    }

    /// True when it is time for `peer`, whose next time is set then. One that is not known yet has its first time within
    /// `first_within`. `chance` is 0 to 1, drawn anew for each call.
    pub(super) fn is_due(
        &mut self,
        peer: &PeerName,
        (first_within, interval): (Duration, Duration),
        chance: f64,
        now: Instant,
    ) -> bool {
        let Some(due) = self.due.get_mut(peer) else {
            self.due.insert(peer.clone(), now + first_within.mul_f64(chance));
            return false;
        };
        let is_due = *due <= now;
        if is_due {
            *due = now + interval + (interval / 10).mul_f64(chance);
        }
        is_due
    }

    /// The earliest of the next times.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn teams_022_hubs_are_asked_each_minute_and_not_in_step() {
        let hubs = ["sip", "sip2", "sip3"].map(|hub| PeerName::Hub(hub.into()));
        let mut timetable = Timetable::default();
        let begin = Instant::now();
        let mut asked: [Vec<Instant>; 3] = Default::default();
        let mut now = begin;
        while now < begin + 60 * MINUTE {
            for (hub, times) in hubs.iter().zip(&mut asked) {
                let spans = (Duration::from_millis(300), MINUTE);
                if timetable.is_due(hub, spans, rand::random(), now) {
                    times.push(now);
                }
            }
            now = timetable
                .next()
                .expect("somebody is asked next")
                .max(now + Duration::from_millis(1));
        }
        for times in &asked {
            assert!(times[0] <= begin + Duration::from_millis(301));
            assert!((54..=60).contains(&times.len()), "{}", times.len());
            let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let allowed = MINUTE..=MINUTE + MINUTE / 10 + Duration::from_millis(1);
            assert!(gaps.iter().all(|gap| allowed.contains(gap)), "{gaps:?}");
            let longest = gaps.iter().max().expect("gaps");
            let shortest = gaps.iter().min().expect("gaps");
            assert!(
                *longest - *shortest > Duration::from_millis(500),
                "they are spread: {gaps:?}"
            );
        }
        assert_ne!(asked[0], asked[1]);
    }

    #[test]
    fn who_left_the_configuration_is_asked_no_more() {
        let (hub, gateway) = (PeerName::Hub("sip".into()), PeerName::Uri("sip:gone.example".into()));
        let mut timetable = Timetable::default();
        let now = Instant::now();
        for peer in [&hub, &gateway] {
            assert!(
                !timetable.is_due(peer, (MINUTE, MINUTE), 0.5, now),
                "its first time is to come"
            );
        }
        timetable.keep(|peer| *peer == hub);
        assert!(timetable.is_due(&hub, (MINUTE, MINUTE), 0.5, now + MINUTE));
        assert!(
            !timetable.is_due(&gateway, (MINUTE, MINUTE), 0.5, now + MINUTE),
            "it begins anew"
        );
    }
}
