//! Places for requests that are under way: bounded in all, and shared so that nobody takes those of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of a node. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Owners without a request are not in it.
    by_owner: HashMap<String, usize>,
}

impl Places {
    pub fn new(most: usize) -> Places {
        Places {
            most,
            taken: Arc::default(),
        }
    }

    /// A place, as long as the owner has fewer than are left free: one alone gets half of all, two a third each, and there
    /// is always room for the next owner. The error is how many requests the owner has under way.
    pub fn take(&self, owner: &str) -> Result<Place<'_>, usize> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_owner.get(owner).copied().unwrap_or(0);
        if own >= self.most.saturating_sub(taken.all) {
            return Err(own);
        }
        taken.all += 1;
        match taken.by_owner.get_mut(owner) {
            Some(count) => *count += 1,
            None => {
                taken.by_owner.insert(owner.to_owned(), 1);
            }
        }
        Ok(Place {
            places: self,
            owner: owner.to_owned(),
        })
    }
}

/// A request's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place<'p> {
    places: &'p Places,
    owner: String,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_owner.get_mut(&self.owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill<'p>(places: &'p Places, owner: &str) -> Vec<Place<'p>> {
        std::iter::from_fn(|| places.take(owner).ok()).collect()
    }

    #[test]
    fn whoever_comes_next_finds_room() {
        let places = Places::new(120);
        let mut held = Vec::new();
        for (owner, expected) in [("a", 60), ("b", 30), ("c", 15)] {
            let taken = fill(&places, owner);
            assert_eq!(taken.len(), expected, "{owner}");
            held.extend(taken);
        }
        assert_eq!(places.take("a").unwrap_err(), 60);
        assert!(places.take("d").is_ok());
        drop(held);
        assert_eq!(fill(&places, "b").len(), 60, "freed places can be taken");
        assert!(places.taken.lock().unwrap().by_owner.is_empty());
    }

    #[test]
    fn the_last_place_is_the_last() {
        let places = Places::new(1);
        let held = places.take("a").unwrap();
        assert!(places.take("a").is_err() && places.take("b").is_err());
        drop(held);
        assert!(places.take("b").is_ok());
    }
}
