//! Costly work in turn: so much at once, so much waiting, and no tenant keeps the others from it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Places for work of one kind. An owner holds at most half of them, and those that wait are let in owner by owner. Clones
/// share them.
#[derive(Clone)]
pub(super) struct Turns {
    shared: Arc<Shared>,
}

struct Shared {
    what: &'static str,
    /// Places, and how many of them one owner may hold.
    places: usize,
    share: usize,
    /// How many may wait of one owner.
    most_waiting: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Owners that hold a place or wait, whose turn it is first.
    owners: VecDeque<Owner>,
}

struct Owner {
    name: Arc<str>,
    holds: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A place, given back when it is dropped.
pub(super) struct Turn {
    shared: Arc<Shared>,
    owner: Arc<str>,
}

/// Too many of one owner wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} sounds of this tenant wait to be {what} already")]
pub struct TooMany {
    /// What is done in turn: `decoded`, `read`, `spoken`.
    pub what: &'static str,
    /// How many may wait.
    pub limit: usize,
}

impl Turns {
    pub fn new(what: &'static str, places: usize, most_waiting: usize) -> Turns {
        let places = places.max(1);
        Turns {
            shared: Arc::new(Shared {
                what,
                places,
                share: places.div_ceil(2),
                most_waiting,
                state: Mutex::default(),
            }),
        }
    }

    /// A place of this owner, when its turn has come. Who stops waiting gives its turn to the next.
    pub async fn take(&self, owner: &str) -> Result<Turn, TooMany> {
        let (waiting, turn) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            let entry = state.owner(owner);
            entry.waiting.retain(|waiting| !waiting.is_closed());
            if entry.waiting.len() >= self.shared.most_waiting {
                return Err(self.shared.too_many());
            }
            entry.waiting.push_back(waiting);
        }
        self.shared.admit();
        turn.await.map_err(|_| self.shared.too_many())
    }

    /// Who waits.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        let state = self.shared.lock();
        state.owners.iter().map(|owner| owner.waiting.len()).sum()
    }

    /// Places taken, and owners that are known.
    #[cfg(test)]
    pub fn held(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.taken, state.owners.len())
    }
}

impl Shared {
    /// Lets in who waits while there are places.
    fn admit(self: &Arc<Shared>) {
        loop {
            let next = self.lock().next(self.places, self.share);
            let Some((owner, waiting)) = next else { return };
            let shared = self.clone();
            // Where nobody waits any more the turn comes back and is given to the next.
            drop(waiting.send(Turn { shared, owner }));
        }
    }

    fn too_many(&self) -> TooMany {
        TooMany {
            what: self.what,
            limit: self.most_waiting,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn owner(&mut self, name: &str) -> &mut Owner {
        let position = match self.owners.iter().position(|known| &*known.name == name) {
            Some(position) => position,
            None => {
                self.owners.push_back(Owner {
                    name: name.into(),
                    holds: 0,
                    waiting: VecDeque::new(),
                });
                self.owners.len() - 1
            }
        };
        &mut self.owners[position]
    }

    /// Takes a place for the first owner that may have one; it is the last to have another.
    fn next(&mut self, places: usize, share: usize) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        if self.taken >= places {
            return None;
        }
        for owner in &mut self.owners {
            owner.waiting.retain(|waiting| !waiting.is_closed());
        }
        let may = |owner: &Owner| owner.holds < share && !owner.waiting.is_empty();
        let mut owner = self.owners.remove(self.owners.iter().position(may)?)?;
        let waiting = owner.waiting.pop_front()?;
        self.taken += 1;
        owner.holds += 1;
        let name = owner.name.clone();
        self.owners.push_back(owner);
        Some((name, waiting))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.taken -= 1;
            state.owner(&self.owner).holds -= 1;
            state
                .owners
                .retain(|owner| owner.holds > 0 || owner.waiting.iter().any(|waiting| !waiting.is_closed()));
        }
        self.shared.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Whether somebody has a place by now.
    async fn now<T>(waits: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        timeout(Duration::ZERO, waits).await.ok()
    }

    #[tokio::test]
    async fn one_owner_gets_half_of_the_places_and_the_others_come_in_turn() {
        let turns = Turns::new("decoded", 4, 10);
        let (greedy, modest, late) = ("greedy", "modest", "late");
        let first = turns.take(greedy).await.expect("a place");
        let second = turns.take(greedy).await.expect("a place");
        let mut third = Box::pin(turns.take(greedy));
        assert!(now(&mut third).await.is_none(), "half of the places are its own");
        let one = turns.take(modest).await.expect("a place");
        let two = turns.take(modest).await.expect("a place");
        let mut other = Box::pin(turns.take(late));
        assert!(now(&mut other).await.is_none(), "all are taken");
        drop(one);
        assert!(now(&mut other).await.is_some(), "a newcomer is before who has some");
        assert!(now(&mut third).await.is_none());
        drop(first);
        assert!(now(&mut third).await.is_some());
        drop((second, two));
        drop(third);
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing_behind() {
        let turns = Turns::new("spoken", 1, 2);
        let (one, other) = ("one", "other");
        let held = turns.take(one).await.expect("a place");
        let mut waits = [Box::pin(turns.take(one)), Box::pin(turns.take(one))];
        for wait in &mut waits {
            assert!(now(wait).await.is_none());
        }
        let refused = turns.take(one).await.map(|_| ());
        assert_eq!(
            refused,
            Err(TooMany {
                what: "spoken",
                limit: 2
            })
        );
        drop(waits);
        let mut last = Box::pin(turns.take(other));
        assert!(now(&mut last).await.is_none());
        drop(held);
        let place = now(&mut last).await.expect("its turn").expect("a place");
        drop(place);
        drop(last);
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn a_turn_that_nobody_fetched_goes_on() {
        let turns = Turns::new("spoken", 1, 2);
        let (one, other) = ("one", "other");
        let held = turns.take(one).await.expect("a place");
        let mut given_up = Box::pin(turns.take(one));
        assert!(now(&mut given_up).await.is_none());
        let mut last = Box::pin(turns.take(other));
        assert!(now(&mut last).await.is_none());
        drop(held);
        drop(given_up);
        assert!(now(&mut last).await.is_some());
        drop(last);
        assert_eq!(turns.held(), (0, 0));
    }
}
