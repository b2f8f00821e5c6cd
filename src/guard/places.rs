//! Places for calls: so many at a time, so many new ones a second, for the node, each carrier and each tenant.

use crate::config::Limits;
use crate::moment::Moment;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Who calls that are recoded at cost count under.
pub const RECODING: &str = "recoding";

/// Who the calls of the whole node count under.
pub const NODE: &str = "node";

/// Who the calls of a tenant count under.
pub fn tenant_owner(id: &str) -> String {
    format!("tenant {id}")
}

/// Who the calls of a carrier count under.
pub fn carrier_owner(id: &str) -> String {
    format!("carrier {id}")
}

/// Who the calls of a tenant through carriers count under.
pub fn payer(tenant: &str) -> String {
    format!("tenant {tenant} through carriers")
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// Whose limit: `node`, `carrier north`, `tenant contoso`.
    pub owner: String,
    /// Which limit.
    pub limit: FullLimit,
}

/// The limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullLimit {
    Calls(u32),
    CallsPerSecond(u32),
    CallsPerDay(u32),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            FullLimit::Calls(most) => write!(f, "{} has {most} calls up, its limit", self.owner),
            FullLimit::CallsPerDay(most) => write!(f, "{} began {most} calls in this day, its limit", self.owner),
            FullLimit::CallsPerSecond(most) => write!(f, "{} began {most} calls in this second, its limit", self.owner),
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    calls: u32,
    /// The second that `begun` counts in, since the epoch.
    second: u64,
    begun: u32,
    /// The day of the process that `in_day` counts in.
    day: u64,
    in_day: u32,
}

const SECONDS_OF_DAY: u64 = 86_400;

/// The counts of the node. A lock is held for a few additions only.
#[derive(Debug, Clone, Default)]
pub struct Places {
    counts: Arc<Mutex<HashMap<String, Count>>>,
}

impl Places {
    /// A place under every one of `owners`, or none at all. Emergency calls take their places whatever the limits.
    pub fn take(&self, owners: &[(&str, Limits)], emergency: bool, now: Moment) -> Result<Place, Full> {
        let second = now.since(Moment::ZERO).as_secs();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (owner, limits) in owners {
            let count = counts.get(*owner);
            let calls = count.map_or(0, |count| count.calls);
            let begun = count
                .filter(|count| count.second == second)
                .map_or(0, |count| count.begun);
            let in_day = count
                .filter(|count| count.day == second / SECONDS_OF_DAY)
                .map_or(0, |count| count.in_day);
            let full = match (limits.calls, limits.calls_per_second, limits.calls_per_day) {
                (Some(most), ..) if calls >= most => Some(FullLimit::Calls(most)),
                (_, Some(most), _) if begun >= most => Some(FullLimit::CallsPerSecond(most)),
                (_, _, Some(most)) if in_day >= most => Some(FullLimit::CallsPerDay(most)),
                _ => None,
            };
            if let Some(limit) = full.filter(|_| !emergency) {
                return Err(Full {
                    owner: (*owner).to_owned(),
                    limit,
                });
            }
        }
        for (owner, _) in owners {
            let count = match counts.get_mut(*owner) {
                Some(count) => count,
                None => counts.entry((*owner).to_owned()).or_default(),
            };
            if count.second != second {
                (count.second, count.begun) = (second, 0);
            }
            if count.day != second / SECONDS_OF_DAY {
                (count.day, count.in_day) = (second / SECONDS_OF_DAY, 0);
            }
            count.in_day = count.in_day.saturating_add(1);
            count.calls = count.calls.saturating_add(1);
            count.begun = count.begun.saturating_add(1);
        }
        drop(counts);
        Ok(Place {
            places: self.clone(),
            owners: owners.iter().map(|(owner, _)| (*owner).into()).collect(),
        })
    }

    /// Calls up under an owner.
    pub fn calls(&self, owner: &str) -> u32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(owner).map_or(0, |count| count.calls)
    }
}

/// A call's place; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    places: Places,
    owners: Box<[Box<str>]>,
}

impl Place {
    /// Both as one.
    pub fn with(mut self, mut other: Place) -> Place {
        let mut owners = std::mem::take(&mut self.owners).into_vec();
        owners.extend(std::mem::take(&mut other.owners));
        self.owners = owners.into();
        self
    }

    /// What it takes under one of its owners, as a place of its own, which may be freed sooner.
    pub fn split(&mut self, owner: &str) -> Option<Place> {
        let mut owners = std::mem::take(&mut self.owners).into_vec();
        let position = owners.iter().position(|known| &**known == owner);
        let part = position.map(|position| Place {
            places: self.places.clone(),
            owners: Box::new([owners.swap_remove(position)]),
        });
        self.owners = owners.into();
        part
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in &self.owners {
            if let Some(count) = counts.get_mut(&**owner) {
                count.calls = count.calls.saturating_sub(1);
            }
        }
    }
}

impl Full {
    /// How long a caller should wait: the next second, or the node's own answer where places must become free.
    pub fn retry_after(&self, usual: Duration) -> Duration {
        match self.limit {
            FullLimit::Calls(_) | FullLimit::CallsPerDay(_) => usual,
            FullLimit::CallsPerSecond(_) => Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(calls: Option<u32>, calls_per_second: Option<u32>) -> Limits {
        Limits {
            calls,
            calls_per_second,
            calls_per_day: None,
        }
    }

    #[test]
    fn two_places_are_freed_as_one() {
        let (places, now) = (Places::default(), Moment::ZERO);
        let take = |owner| places.take(&[(owner, limits(Some(1), None))], false, now);
        let both = take("one").expect("free").with(take("two").expect("free"));
        assert!(take("one").is_err() && take("two").is_err());
        drop(both);
        assert!(take("one").is_ok() && take("two").is_ok());
    }

    #[test]
    fn a_refused_call_takes_no_place_anywhere_and_a_freed_place_can_be_taken() {
        let (places, now) = (Places::default(), Moment::ZERO);
        let owners = [("node", limits(None, None)), ("tenant contoso", limits(Some(1), None))];
        let first = places.take(&owners, false, now).expect("a place");
        let full = places.take(&owners, false, now).expect_err("full");
        assert_eq!(full.to_string(), "tenant contoso has 1 calls up, its limit");
        assert_eq!(places.calls("node"), 1);
        let _emergency = places.take(&owners, true, now).expect("emergency calls pass");
        drop(first);
        assert_eq!(places.calls("tenant contoso"), 1);
    }

    #[test]
    fn teams_109_a_day_has_so_many_calls_and_the_next_one_as_many() {
        let (places, now) = (Places::default(), Moment::ZERO);
        let limits = Limits {
            calls_per_day: Some(2),
            ..Limits::default()
        };
        let owner = payer("contoso");
        let owners = [(owner.as_str(), limits)];
        for _ in 0..2 {
            drop(places.take(&owners, false, now).expect("a call"));
        }
        let full = places.take(&owners, false, now + Duration::from_secs(86_399));
        let told = "tenant contoso through carriers began 2 calls in this day, its limit";
        assert_eq!(full.expect_err("a day is over later").to_string(), told);
        assert!(places.take(&owners, true, now).is_ok(), "an emergency call");
        assert!(places.take(&owners, false, now + Duration::from_secs(86_400)).is_ok());
    }

    #[test]
    fn what_a_call_takes_under_one_owner_is_freed_by_itself() {
        let (places, now) = (Places::default(), Moment::ZERO);
        let owners = [(NODE, limits(None, None)), ("carrier north", limits(Some(1), None))];
        let mut whole = places.take(&owners, false, now).expect("a place");
        assert!(whole.split("carrier south").is_none());
        let part = whole.split("carrier north").expect("its part");
        drop(part);
        assert_eq!((places.calls("carrier north"), places.calls(NODE)), (0, 1));
        drop(whole);
        assert_eq!(places.calls(NODE), 0);
    }

    #[test]
    fn the_next_second_has_room_again() {
        let (places, now) = (Places::default(), Moment::ZERO);
        let owners = [("carrier north", limits(None, Some(1)))];
        let _first = places.take(&owners, false, now).expect("a place");
        assert!(places.take(&owners, false, now + Duration::from_millis(999)).is_err());
        assert!(places.take(&owners, false, now + Duration::from_secs(1)).is_ok());
    }
}
