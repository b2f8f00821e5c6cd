//! What is remembered of each target: the last good answer, the last failure, the walk under way.

use super::error::DnsError;
use super::settings::Settings;
use super::walk::{Harvest, Rung};
use crate::sip::locate::{Found, Target};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Names whose answers live shorter aren't renewed ahead: they are asked for again when next needed.
const SHORTEST_RENEWED: Duration = Duration::from_secs(5);

/// Questions that an error names.
const MOST_ASKED: usize = 32;

/// The questions of a walk so far, the first of them, for the error text of a caller who couldn't wait for its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(super) fn note(&self, question: String) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MOST_ASKED && !list.contains(&question) {
            list.push(question);
        }
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A walk under way; `done` closes when its result is in the cache.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) since: Instant,
    pub(super) done: watch::Receiver<()>,
    pub(super) asked: Asked,
}

/// The right and duty to walk: whoever holds it calls [`Cache::settle`], then drops it.
#[derive(Debug)]
pub(super) struct Ticket {
    _done: watch::Sender<()>,
    pub(super) asked: Asked,
}

/// A remembered answer.
#[derive(Debug, Clone)]
pub(super) struct Good {
    pub(super) found: Arc<Found>,
    pub(super) since: Instant,
    fresh_until: Instant,
    rung: Rung,
}

#[derive(Debug, Clone)]
struct Failure {
    error: Arc<DnsError>,
    since: Instant,
    until: Instant,
}

#[derive(Debug)]
struct Entry {
    good: Option<Good>,
    failure: Option<Failure>,
    flight: Option<Flight>,
    used: Instant,
    /// Counts settled walks: only the task of the latest one renews.
    generation: u64,
    renewed: bool,
}

impl Entry {
    fn new(used: Instant) -> Entry {
        Entry {
            good: None,
            failure: None,
            flight: None,
            used,
            generation: 0,
            renewed: false,
        }
    }
}

/// What the cache says to a caller.
#[derive(Debug)]
pub(super) enum View {
    Fresh(Good),
    /// Run out, and the name servers failed just now.
    Stale(Good, Arc<DnsError>),
    Failed(Arc<DnsError>),
    /// Somebody has to ask, or is asking.
    Unknown {
        stale: Option<Good>,
    },
}

/// All targets' memory. Pure but for the clock values that it is given.
#[derive(Debug)]
pub(super) struct Cache {
    settings: Arc<Settings>,
    entries: HashMap<Target, Entry>,
    renewed: usize,
}

impl Cache {
    pub(super) fn new(settings: Arc<Settings>) -> Cache {
        Cache {
            settings,
            entries: HashMap::new(),
            renewed: 0,
        }
    }

    /// Looks a target up and notes that it is in use. A result that came in after `asked_at` counts even when its TTL is zero.
    pub(super) fn look(&mut self, target: &Target, asked_at: Option<Instant>, now: Instant) -> View {
        let Some(entry) = self.entries.get_mut(target) else {
            return View::Unknown { stale: None };
        };
        entry.used = now;
        let after = |since: Instant| asked_at.is_some_and(|asked_at| since >= asked_at);
        if let Some(good) = entry
            .good
            .as_ref()
            .filter(|good| now < good.fresh_until || after(good.since))
        {
            return View::Fresh(good.clone());
        }
        let keep = self.settings.keep_stale;
        let stale = entry
            .good
            .as_ref()
            .filter(|good| now < good.fresh_until + keep)
            .cloned();
        match (&entry.failure, stale) {
            (Some(failure), stale) if now < failure.until || after(failure.since) => match stale {
                Some(good) => View::Stale(good, failure.error.clone()),
                None => View::Failed(failure.error.clone()),
            },
            (_, stale) => View::Unknown { stale },
        }
    }

    /// Whether the name servers were asked so lately that asking again would only be a burden.
    pub(super) fn is_young(&self, target: &Target, now: Instant) -> bool {
        let known = self.entries.get(target);
        let settled = known.map(|entry| (entry.good.as_ref(), entry.failure.as_ref()));
        settled.is_some_and(|(good, failure)| {
            let since = good.map(|good| good.since).max(failure.map(|failure| failure.since));
            since.is_some_and(|since| now.duration_since(since) < self.settings.failure_pause)
        })
    }

    /// Joins the walk under way, or hands out the ticket for a new one.
    pub(super) fn board(&mut self, target: &Target, now: Instant) -> (Flight, Option<Ticket>) {
        // One that nobody will ever settle is none.
        let under_way = |flight: &&Flight| flight.done.has_changed().is_ok();
        let flight = self.entries.get(target).and_then(|entry| entry.flight.as_ref());
        if let Some(flight) = flight.filter(under_way) {
            return (flight.clone(), None);
        }
        self.make_room();
        let (sender, done) = watch::channel(());
        let asked = Asked::default();
        let flight = Flight {
            since: now,
            done,
            asked: asked.clone(),
        };
        let entry = self.entries.entry(target.clone()).or_insert_with(|| Entry::new(now));
        entry.flight = Some(flight.clone());
        (flight, Some(Ticket { _done: sender, asked }))
    }

    /// Takes a walk's result in. Returns the time to renew it and the generation to renew under, for names worth renewing.
    pub(super) fn settle(
        &mut self,
        target: &Target,
        result: Result<Harvest, DnsError>,
        now: Instant,
    ) -> Option<(Duration, u64)> {
        let settings = &self.settings;
        let entry = self.entries.get_mut(target)?;
        entry.flight = None;
        entry.generation += 1;
        let stale_rung = entry
            .good
            .as_ref()
            .filter(|good| now < good.fresh_until + settings.keep_stale)
            .map(|g| g.rung);
        // The servers failed on the record types that the old answer came from: what was found below them is second best.
        let result = match result {
            Ok(Harvest {
                failed: Some(error),
                rung,
                ..
            }) if stale_rung.is_some_and(|old| old > rung) => Err(error),
            other => other,
        };
        let pause = match result {
            Ok(harvest) => {
                let ttl = harvest
                    .ttl
                    .clamp(settings.ttl_floor.min(settings.ttl_ceiling), settings.ttl_ceiling);
                let found = Arc::new(harvest.found);
                entry.good = Some(Good {
                    found,
                    since: now,
                    fresh_until: now + ttl,
                    rung: harvest.rung,
                });
                entry.failure = None;
                (ttl >= SHORTEST_RENEWED).then(|| ttl.mul_f32(0.8))
            }
            Err(error) => {
                if !error.cause.is_temporary() {
                    entry.good = None;
                }
                let pause = if error.is_brief() {
                    settings.failure_pause
                } else {
                    settings.negative_ttl
                };
                entry.failure = Some(Failure {
                    error: Arc::new(error),
                    since: now,
                    until: now + pause,
                });
                entry.good.is_some().then(|| pause.max(SHORTEST_RENEWED))
            }
        };
        let room = entry.renewed || self.renewed < settings.most_renewed;
        let generation = entry.generation;
        match pause.filter(|_| room) {
            Some(pause) => {
                self.renewed += usize::from(!entry.renewed);
                entry.renewed = true;
                Some((pause, generation))
            }
            None => {
                self.renewed -= usize::from(entry.renewed);
                entry.renewed = false;
                None
            }
        }
    }

    /// The ticket to renew `target`, unless it is no longer in use or somebody else asked meanwhile.
    pub(super) fn renew(&mut self, target: &Target, generation: u64, now: Instant) -> Option<Ticket> {
        let in_use = self.settings.in_use;
        let entry = self
            .entries
            .get_mut(target)
            .filter(|entry| entry.generation == generation && entry.flight.is_none())?;
        if now.duration_since(entry.used) > in_use {
            self.renewed -= usize::from(entry.renewed);
            entry.renewed = false;
            return None;
        }
        self.board(target, now).1
    }

    /// Takes over what `older` knows as answers that have run out: better than nothing while the name servers fail.
    pub(super) fn inherit(&mut self, older: &Cache, now: Instant) {
        for (target, entry) in &older.entries {
            let Some(good) = &entry.good else { continue };
            let good = Good {
                fresh_until: good.fresh_until.min(now),
                ..good.clone()
            };
            let entry = Entry {
                good: Some(good),
                ..Entry::new(entry.used)
            };
            self.entries.insert(target.clone(), entry);
        }
    }

    /// Forgets the longest unused when full. Entries with a walk under way stay.
    fn make_room(&mut self) {
        if self.entries.len() < self.settings.most_remembered {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.flight.is_none());
        if let Some(oldest) = idle
            .min_by_key(|(_, entry)| entry.used)
            .map(|(target, _)| target.clone())
            && let Some(entry) = self.entries.remove(&oldest)
        {
            self.renewed -= usize::from(entry.renewed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::Cause;
    use crate::sip::Transport;
    use crate::sip::locate::Service;
    use std::net::IpAddr;

    fn target(host: &str) -> Target {
        Target::new(host).unwrap()
    }

    fn harvest(last: u8, ttl: u64, rung: Rung) -> Result<Harvest, DnsError> {
        let addresses = vec![IpAddr::from([192, 0, 2, last])];
        let services = vec![Service::Addresses {
            transport: Transport::Udp,
            port: 5060,
            addresses,
        }];
        Ok(Harvest {
            found: Found { services },
            ttl: Duration::from_secs(ttl),
            rung,
            failed: None,
        })
    }

    fn error(cause: Cause) -> DnsError {
        DnsError {
            target: "sip:a.example".into(),
            asked: vec![],
            servers: "127.0.0.1:53".into(),
            cause,
            without_soa: false,
        }
    }

    fn servfail() -> DnsError {
        error(Cause::ServerFailed("SERVFAIL".into()))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn cache(settings: Settings) -> Cache {
        Cache::new(Arc::new(settings))
    }

    /// A whole walk at `now`.
    fn fly(
        cache: &mut Cache,
        target: &Target,
        result: Result<Harvest, DnsError>,
        now: Instant,
    ) -> Option<(Duration, u64)> {
        let (_, ticket) = cache.board(target, now);
        assert!(ticket.is_some(), "nobody else was asking");
        cache.settle(target, result, now)
    }

    #[test]
    fn ttl_is_honoured_between_floor_and_ceiling() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        for (ttl, fresh_for) in [(60, 60), (0, 1), (86_400, 900)] {
            fly(&mut cache, &a, harvest(1, ttl, Rung::Address), t0);
            let just_before = t0 + seconds(fresh_for) - Duration::from_millis(1);
            assert!(matches!(cache.look(&a, None, just_before), View::Fresh(_)), "TTL {ttl}");
            assert!(
                matches!(
                    cache.look(&a, None, t0 + seconds(fresh_for)),
                    View::Unknown { stale: Some(_) }
                ),
                "TTL {ttl}"
            );
        }
    }

    #[test]
    fn an_answer_and_a_failure_are_young_for_the_pause_after_failures() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        assert!(!cache.is_young(&a, t0), "never asked for");
        fly(&mut cache, &a, harvest(1, 60, Rung::Address), t0);
        assert!(cache.is_young(&a, t0 + seconds(1)) && !cache.is_young(&a, t0 + seconds(2)));
        fly(&mut cache, &a, Err(servfail()), t0 + seconds(30));
        assert!(cache.is_young(&a, t0 + seconds(31)) && !cache.is_young(&a, t0 + seconds(32)));
    }

    #[test]
    fn failures_serve_the_last_good_answer_until_it_is_too_old() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        fly(&mut cache, &a, harvest(1, 60, Rung::Address), t0);
        let t1 = t0 + seconds(3600);
        fly(&mut cache, &a, Err(servfail()), t1);
        match cache.look(&a, None, t1 + seconds(1)) {
            View::Stale(good, why) => assert_eq!((good.since, why.cause.label()), (t0, "server_failed")),
            other => panic!("{other:?}"),
        }
        assert!(
            matches!(cache.look(&a, None, t1 + seconds(3)), View::Unknown { stale: Some(_) }),
            "asked again after the pause"
        );
        let t2 = t0 + seconds(61) + Settings::default().keep_stale;
        assert!(matches!(cache.look(&a, None, t2), View::Unknown { stale: None }));
    }

    #[test]
    fn no_such_name_is_an_answer_and_replaces_the_old_one() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        fly(&mut cache, &a, harvest(1, 60, Rung::Address), t0);
        fly(&mut cache, &a, Err(error(Cause::NoSuchName)), t0 + seconds(60));
        assert!(matches!(cache.look(&a, None, t0 + seconds(61)), View::Failed(_)));
        assert!(matches!(
            cache.look(&a, None, t0 + seconds(91)),
            View::Unknown { stale: None }
        ));
    }

    #[test]
    fn a_no_without_soa_is_believed_no_longer_than_a_failure() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        for (without_soa, believed) in [(false, 30), (true, 2)] {
            let no = DnsError {
                without_soa,
                ..error(Cause::NoSuchName)
            };
            fly(&mut cache, &a, Err(no), t0);
            let end = t0 + seconds(believed);
            assert!(matches!(
                cache.look(&a, None, end - Duration::from_millis(1)),
                View::Failed(_)
            ));
            assert!(matches!(cache.look(&a, None, end), View::Unknown { stale: None }));
        }
    }

    #[test]
    fn an_answer_from_a_lower_rung_after_a_failure_does_not_replace_a_better_one() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        fly(&mut cache, &a, harvest(1, 60, Rung::Naptr), t0);
        let below = harvest(9, 60, Rung::Address).map(|harvest| Harvest {
            failed: Some(servfail()),
            ..harvest
        });
        fly(&mut cache, &a, below, t0 + seconds(60));
        assert!(matches!(cache.look(&a, None, t0 + seconds(61)), View::Stale(good, _) if good.since == t0));
        // Without a failure the same answer means that the domain changed.
        fly(&mut cache, &a, harvest(9, 60, Rung::Address), t0 + seconds(70));
        assert!(matches!(cache.look(&a, None, t0 + seconds(71)), View::Fresh(_)));
    }

    #[test]
    fn one_walk_at_a_time_and_its_end_wakes_the_others() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        let (_, first) = cache.board(&a, t0);
        let (flight, second) = cache.board(&a, t0);
        assert!(first.is_some() && second.is_none());
        cache.settle(&a, harvest(1, 0, Rung::Address), t0);
        assert!(flight.done.has_changed().is_ok());
        drop(first);
        assert!(flight.done.has_changed().is_err());
    }

    #[test]
    fn names_in_use_are_renewed_before_they_run_out_and_others_are_left() {
        let (mut cache, t0, a) = (cache(Settings::default()), Instant::now(), target("a.example"));
        let (pause, generation) = fly(&mut cache, &a, harvest(1, 100, Rung::Address), t0).unwrap();
        assert!(pause > seconds(79) && pause < seconds(81), "{pause:?}");
        let ticket = cache.renew(&a, generation, t0 + pause);
        assert!(ticket.is_some());
        let (_, generation) = cache.settle(&a, harvest(1, 100, Rung::Address), t0 + pause).unwrap();
        assert!(
            cache.renew(&a, generation - 1, t0 + pause).is_none(),
            "an older task has no say"
        );
        assert!(
            cache.renew(&a, generation, t0 + seconds(700)).is_none(),
            "ten minutes unused"
        );
        assert_eq!(cache.renewed, 0);
        assert_eq!(
            fly(&mut cache, &a, harvest(1, 4, Rung::Address), t0),
            None,
            "too short-lived"
        );
    }

    #[test]
    fn memory_and_renewals_are_bounded() {
        let mut cache = cache(Settings {
            most_remembered: 3,
            most_renewed: 2,
            ..Settings::default()
        });
        let t0 = Instant::now();
        let names: Vec<Target> = (0..5).map(|i| target(&format!("n{i}.example"))).collect();
        let renewed: Vec<bool> = names
            .iter()
            .enumerate()
            .map(|(i, name)| fly(&mut cache, name, harvest(1, 100, Rung::Address), t0 + seconds(i as u64)).is_some())
            .collect();
        assert_eq!(
            renewed,
            [true, true, false, true, true],
            "room comes back when a name is forgotten"
        );
        assert_eq!((cache.entries.len(), cache.renewed), (3, 2));
        assert!(matches!(cache.look(&names[0], None, t0), View::Unknown { stale: None }));
        assert!(matches!(cache.look(&names[4], None, t0), View::Fresh(_)));
    }
}
