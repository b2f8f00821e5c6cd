//! Something of which there is so much, taken by owners in turn, so that none of them keeps the others from it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// How much of it one owner may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Half of all. For units that are alike: work that ends soon, and whose next turn soon comes.
    Half,
    /// No more than is left to the others: one alone half of all, the next one half of the rest. Who holds nothing is before
    /// all others, and what is free is kept until it is enough. For what is taken in very different amounts.
    Rest,
}

/// So many units, of which each waits for some. Those that wait are let in owner by owner. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    units: usize,
    share: Share,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Owners that hold something or wait, whose turn it is first.
    owners: VecDeque<Owner>,
}

#[derive(Debug)]
struct Owner {
    name: Arc<str>,
    holds: usize,
    waiting: VecDeque<Wish>,
}

/// Somebody who waits for so much.
#[derive(Debug)]
struct Wish {
    units: usize,
    given: oneshot::Sender<Turn>,
}

/// Units that are held, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    owner: Arc<str>,
    units: usize,
}

/// As many of one owner as may wait do so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded;

impl Turns {
    /// One unit at least.
    pub fn new(units: usize, share: Share) -> Turns {
        Turns(Arc::new(Shared {
            units: units.max(1),
            share,
            state: Mutex::default(),
        }))
    }

    /// So many units for this owner, when its turn has come; never more than there are. Who stops waiting gives its turn to the
    /// next.
    pub async fn take(&self, owner: &str, units: usize) -> Turn {
        match self.take_unless(owner, units, usize::MAX).await {
            Ok(turn) => turn,
            Err(Crowded) => std::future::pending().await,
        }
    }

    /// The same, unless so many of this owner wait already.
    pub async fn take_unless(&self, owner: &str, units: usize, most_waiting: usize) -> Result<Turn, Crowded> {
        let (given, turn) = oneshot::channel();
        {
            let mut state = self.lock();
            let entry = state.owner(owner);
            entry.waiting.retain(Wish::is_wanted);
            if entry.waiting.len() >= most_waiting {
                return Err(Crowded);
            }
            let units = units.min(self.0.units);
            entry.waiting.push_back(Wish { units, given });
        }
        let _leaving = Leaving(self);
        self.admit();
        match turn.await {
            Ok(turn) => Ok(turn),
            // Nobody takes back a wish whose owner waits.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets in who waits while it can.
    fn admit(&self) {
        loop {
            let next = self.lock().next(self.0.units, self.0.share);
            let Some((owner, Wish { units, given })) = next else {
                return;
            };
            let turns = self.clone();
            // Where nobody waits any more it comes back and is given to the next.
            drop(given.send(Turn { turns, owner, units }));
        }
    }

    fn give_back(&self, owner: &str, units: usize) {
        {
            let mut state = self.lock();
            state.taken -= units;
            state.owner(owner).holds -= units;
        }
        self.admit();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Units taken, and owners that hold some or wait.
    #[cfg(test)]
    pub fn held(&self) -> (usize, usize) {
        self.admit();
        let state = self.lock();
        (state.taken, state.owners.len())
    }

    /// Who waits.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        let state = self.lock();
        state.owners.iter().map(|owner| owner.waiting.len()).sum()
    }
}

impl Turn {
    /// Gives back all but so many units.
    pub fn keep(&mut self, units: usize) {
        let needless = self.units.saturating_sub(units);
        self.units -= needless;
        self.turns.give_back(&self.owner, needless);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.owner, self.units);
    }
}

/// Who leaves may have kept others from what is there.
struct Leaving<'t>(&'t Turns);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.admit();
    }
}

impl Wish {
    fn is_wanted(&self) -> bool {
        !self.given.is_closed()
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

    /// Takes what the first owner waits for that may have it; it is the last to have more then.
    fn next(&mut self, units: usize, share: Share) -> Option<(Arc<str>, Wish)> {
        for owner in &mut self.owners {
            owner.waiting.retain(Wish::is_wanted);
        }
        self.owners.retain(|owner| owner.holds > 0 || !owner.waiting.is_empty());
        let left = units.saturating_sub(self.taken);
        let may = |owner: &Owner| {
            let wish = owner.waiting.front();
            wish.is_some_and(|wish| match share {
                Share::Half => wish.units <= left && owner.holds + wish.units <= units.div_ceil(2),
                Share::Rest => owner.holds + wish.units <= left,
            })
        };
        let is_first = |owner: &Owner| share == Share::Rest && owner.holds == 0 && !owner.waiting.is_empty();
        let at = match self.owners.iter().position(is_first) {
            Some(first) => Some(first).filter(|first| self.owners.get(*first).is_some_and(may)),
            None => self.owners.iter().position(may),
        };
        let mut owner = self.owners.remove(at?)?;
        let wish = owner.waiting.pop_front()?;
        self.taken += wish.units;
        owner.holds += wish.units;
        let name = owner.name.clone();
        self.owners.push_back(owner);
        Some((name, wish))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::time::Duration;
    use tokio::time::timeout;

    /// As much as one may want.
    const MUCH: usize = 16;

    type Taking<'t> = Pin<Box<dyn Future<Output = Turn> + 't>>;

    fn taking<'t>(turns: &'t Turns, owner: &'t str, units: usize) -> Taking<'t> {
        Box::pin(turns.take(owner, units))
    }

    /// What somebody has by now.
    async fn now<T>(waits: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        timeout(Duration::ZERO, waits).await.ok()
    }

    /// As many times much as are let in at once.
    async fn fill(turns: &Turns, owner: &str) -> Vec<Turn> {
        let mut held = Vec::new();
        while let Some(turn) = now(&mut taking(turns, owner, MUCH)).await {
            held.push(turn);
        }
        held
    }

    #[tokio::test]
    async fn one_owner_gets_half_and_the_others_come_in_turn() {
        let turns = Turns::new(4, Share::Half);
        let first = turns.take("greedy", 1).await;
        let second = turns.take("greedy", 1).await;
        let mut third = taking(&turns, "greedy", 1);
        assert!(now(&mut third).await.is_none(), "half of all is its own");
        let one = turns.take("modest", 1).await;
        let two = turns.take("modest", 1).await;
        let mut other = taking(&turns, "late", 1);
        assert!(now(&mut other).await.is_none(), "all are taken");
        drop(one);
        assert!(now(&mut other).await.is_some(), "a newcomer is before who has some");
        assert!(now(&mut third).await.is_none());
        drop(first);
        assert!(now(&mut third).await.is_some());
        drop((second, two, third));
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn of_one_owner_only_so_many_wait_and_who_stops_waiting_is_none_of_them() {
        let turns = Turns::new(1, Share::Half);
        let held = turns.take("one", 1).await;
        let wait = || Box::pin(turns.take_unless("one", 1, 2));
        let mut waits = [wait(), wait()];
        for wait in &mut waits {
            assert!(now(wait).await.is_none());
        }
        assert_eq!(turns.waiting(), 2);
        assert!(matches!(now(&mut wait()).await, Some(Err(Crowded))));
        drop(waits);
        assert_eq!(turns.waiting(), 0);
        let (mut again, mut other) = (wait(), taking(&turns, "other", 1));
        assert!(now(&mut again).await.is_none() && now(&mut other).await.is_none());
        drop(held);
        let turn = now(&mut again).await.expect("its turn");
        assert!(turn.is_ok());
        drop(turn);
        drop((again, other));
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn a_turn_that_nobody_fetched_goes_on() {
        for share in [Share::Half, Share::Rest] {
            let turns = Turns::new(1, share);
            let held = turns.take("one", 1).await;
            let mut given_up = taking(&turns, "one", 1);
            assert!(now(&mut given_up).await.is_none());
            let mut last = taking(&turns, "other", 1);
            assert!(now(&mut last).await.is_none());
            drop(held);
            drop(given_up);
            assert!(now(&mut last).await.is_some(), "{share:?}");
            drop(last);
            assert_eq!(turns.held(), (0, 0), "{share:?}");
        }
    }

    #[tokio::test]
    async fn an_owner_gets_half_of_the_rest_and_the_next_one_finds_some() {
        let turns = Turns::new(16 * MUCH, Share::Rest);
        let mut held = Vec::new();
        for (owner, expected) in [("a", 8), ("b", 4), ("c", 2), ("d", 1), ("e", 1), ("f", 0)] {
            let taken = fill(&turns, owner).await;
            assert_eq!(taken.len(), expected, "{owner}");
            held.extend(taken);
        }
        drop(held);
        assert_eq!(fill(&turns, "b").await.len(), 8, "what is given back can be taken");
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn who_holds_nothing_is_let_in_before_who_came_first_and_the_rest_is_kept_for_it() {
        let turns = Turns::new(4 * MUCH, Share::Rest);
        let greedy = fill(&turns, "greedy").await;
        let other = fill(&turns, "other").await;
        assert_eq!((greedy.len(), other.len()), (2, 1));
        let mut more = taking(&turns, "greedy", 1);
        assert!(now(&mut more).await.is_none());
        let small = now(&mut taking(&turns, "small", 1)).await.expect("a unit");
        let mut late = taking(&turns, "late", MUCH);
        assert!(now(&mut late).await.is_none(), "a unit is missing");
        let mut another = taking(&turns, "another", 1);
        assert!(now(&mut another).await.is_none(), "it would be missing for longer");
        drop(greedy);
        let late = now(&mut late).await.expect("its turn");
        assert!(now(&mut another).await.is_some() && now(&mut more).await.is_some());
        drop((other, small, late));
    }

    #[tokio::test]
    async fn who_stops_waiting_keeps_nothing_from_the_others() {
        let turns = Turns::new(2 * MUCH, Share::Rest);
        let held = fill(&turns, "a").await;
        let small = now(&mut taking(&turns, "b", 1)).await.expect("a unit");
        let mut long = taking(&turns, "c", MUCH);
        let mut short = taking(&turns, "d", 2);
        assert!(now(&mut long).await.is_none() && now(&mut short).await.is_none());
        drop(long);
        let mut short = now(&mut short).await.expect("its turn");
        assert_eq!(turns.held(), (MUCH + 3, 3));
        short.keep(1);
        assert_eq!(turns.held(), (MUCH + 2, 3));
        drop((held, small, short));
        assert_eq!(turns.held(), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_more_than_there_is() {
        let turns = Turns::new(3, Share::Rest);
        assert!(now(&mut taking(&turns, "a", 4)).await.is_some());
    }
}
