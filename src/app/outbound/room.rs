//! Memory for files on their way: bounded in all, and shared so that no account takes that of others.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Bytes that are counted as one.
const GRAIN: usize = 64 * 1_024;
/// What is taken at a time where nobody says how long a file is.
const STEP: usize = 256 * 1_024;

/// The memory of a node. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// In grains, as all that is counted here.
    most: usize,
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
    grains: usize,
    given: oneshot::Sender<Taken>,
}

/// Memory that is taken; clones share it, and the last gives it back.
#[derive(Debug, Clone, Default)]
pub struct Room {
    _held: Option<Arc<Taken>>,
}

#[derive(Debug)]
struct Taken {
    rooms: Rooms,
    owner: Arc<str>,
    grains: usize,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

impl Taken {
    /// Gives back what is not needed for so many bytes.
    fn keep(&mut self, bytes: usize) {
        let needless = self.grains.saturating_sub(grains(bytes));
        self.grains -= needless;
        self.rooms.give_back(&self.owner, needless);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.rooms.give_back(&self.owner, self.grains);
    }
}

/// Who leaves may have kept others from what is there.
struct Leaving<'r>(&'r Rooms);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.admit();
    }
}

impl Rooms {
    /// `most` bytes in all, no less than the longest file.
    pub fn new(most: usize) -> Rooms {
        Rooms(Arc::new(Shared {
            most: grains(most),
            state: Mutex::default(),
        }))
    }

    /// The body of an answer, of at most `limit` bytes. It waits for room; while it does, nothing is read, and its server waits.
    /// Before it begins it has room for all of it, and for the longest where it does not say how long it is.
    ///
    /// Beside the reading: whether it waits for room at the moment.
    pub fn read<'r>(
        &'r self,
        owner: &'r str,
        answer: Response<Incoming>,
        limit: usize,
    ) -> (
        Arc<AtomicBool>,
        impl Future<Output = Result<(Bytes, Room), Unread>> + use<'r>,
    ) {
        let waits = Arc::new(AtomicBool::new(false));
        let reading = self.collect(owner, answer.into_body(), limit, waits.clone());
        (waits, reading)
    }

    async fn collect(
        &self,
        owner: &str,
        mut body: Incoming,
        limit: usize,
        waits: Arc<AtomicBool>,
    ) -> Result<(Bytes, Room), Unread> {
        let told = body.size_hint().exact();
        let told = told.map(|told| usize::try_from(told).unwrap_or(usize::MAX));
        if told.is_some_and(|told| told > limit) {
            return Err(Unread::TooLarge);
        }
        // A file that waits holds nothing: of those that grow side by side none could end.
        let mut room = self.take(owner, told.unwrap_or(limit).min(limit), &waits).await;
        let mut bytes = Vec::with_capacity(told.unwrap_or(0));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
                continue;
            };
            let needed = bytes.len().saturating_add(data.len());
            if needed > limit {
                return Err(Unread::TooLarge);
            }
            if needed > bytes.capacity() {
                bytes.reserve_exact(needed.next_multiple_of(STEP) - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        room.keep(bytes.capacity());
        let room = Room {
            _held: Some(Arc::new(room)),
        };
        Ok((Bytes::from(bytes), room))
    }

    async fn take(&self, owner: &str, bytes: usize, waits: &AtomicBool) -> Taken {
        waits.store(true, Relaxed);
        let _leaving = Leaving(self);
        let (given, taken) = oneshot::channel();
        let grains = grains(bytes).min(self.0.most);
        self.lock().owner(owner).waiting.push_back(Wish { grains, given });
        self.admit();
        let taken = match taken.await {
            Ok(taken) => taken,
            // Nobody takes back a wish whose owner waits.
            Err(_) => std::future::pending().await,
        };
        waits.store(false, Relaxed);
        taken
    }

    /// Lets in who waits while there is room.
    fn admit(&self) {
        loop {
            let next = self.lock().next(self.0.most);
            let Some((owner, Wish { grains, given })) = next else {
                return;
            };
            let rooms = self.clone();
            // Where nobody waits any more it comes back and is given to the next.
            drop(given.send(Taken { rooms, owner, grains }));
        }
    }

    fn give_back(&self, owner: &str, grains: usize) {
        self.lock().free(owner, grains);
        self.admit();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Takes what the next owner waits for, that is the last to have more then. An owner gets no more than is left to the
    /// others: one alone half of all, the next one half of the rest. Who holds nothing is before all others, and room is kept
    /// until its file fits.
    fn next(&mut self, most: usize) -> Option<(Arc<str>, Wish)> {
        for owner in &mut self.owners {
            owner.waiting.retain(|wish| !wish.given.is_closed());
        }
        self.owners.retain(|owner| owner.holds > 0 || !owner.waiting.is_empty());
        let left = most.saturating_sub(self.taken);
        let fits = |owner: &Owner| {
            let wish = owner.waiting.front();
            wish.is_some_and(|wish| owner.holds + wish.grains <= left)
        };
        let holds_nothing = |owner: &Owner| owner.holds == 0 && !owner.waiting.is_empty();
        let at = match self.owners.iter().position(holds_nothing) {
            Some(at) => Some(at).filter(|at| self.owners.get(*at).is_some_and(fits)),
            None => self.owners.iter().position(fits),
        };
        let mut owner = self.owners.remove(at?)?;
        let wish = owner.waiting.pop_front()?;
        self.taken += wish.grains;
        owner.holds += wish.grains;
        let name = owner.name.clone();
        self.owners.push_back(owner);
        Some((name, wish))
    }

    fn free(&mut self, owner: &str, grains: usize) {
        self.taken -= grains;
        self.owner(owner).holds -= grains;
    }
}

fn grains(bytes: usize) -> usize {
    bytes.div_ceil(GRAIN).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const LONGEST: usize = 16 << 20;

    /// Room for as many of the longest files as are let in at once.
    async fn fill(rooms: &Rooms, owner: &str) -> Vec<Taken> {
        let mut held = Vec::new();
        while let Some(taken) = now(&mut taking(rooms, owner, LONGEST)).await {
            held.push(taken);
        }
        held
    }

    fn taking<'r>(
        rooms: &'r Rooms,
        owner: &'r str,
        bytes: usize,
    ) -> std::pin::Pin<Box<impl Future<Output = Taken> + 'r>> {
        Box::pin(async move { rooms.take(owner, bytes, &AtomicBool::default()).await })
    }

    /// What somebody has by now.
    async fn now<T>(waits: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        timeout(Duration::ZERO, waits).await.ok()
    }

    #[tokio::test]
    async fn an_account_takes_half_of_what_is_left_and_the_next_one_finds_room() {
        let rooms = Rooms::new(256 << 20);
        let mut held = Vec::new();
        for (owner, expected) in [("a", 8), ("b", 4), ("c", 2), ("d", 1), ("e", 1), ("f", 0)] {
            let taken = fill(&rooms, owner).await;
            assert_eq!(taken.len(), expected, "{owner}");
            held.extend(taken);
        }
        drop(held);
        assert_eq!(fill(&rooms, "b").await.len(), 8, "what is given back can be taken");
        rooms.admit();
        assert!(rooms.lock().owners.is_empty() && rooms.lock().taken == 0);
    }

    #[tokio::test]
    async fn who_holds_nothing_is_let_in_before_who_came_first_and_room_is_kept_for_it() {
        let rooms = Rooms::new(4 * LONGEST);
        let greedy = fill(&rooms, "greedy").await;
        let other = fill(&rooms, "other").await;
        assert_eq!((greedy.len(), other.len()), (2, 1));
        let mut more = taking(&rooms, "greedy", GRAIN);
        assert!(now(&mut more).await.is_none());
        let small = now(&mut taking(&rooms, "small", GRAIN)).await.expect("room");
        let mut late = taking(&rooms, "late", LONGEST);
        assert!(now(&mut late).await.is_none(), "a grain is missing");
        let mut another = taking(&rooms, "another", GRAIN);
        assert!(now(&mut another).await.is_none(), "it would be missing for longer");
        drop(greedy);
        let late = now(&mut late).await.expect("room");
        assert!(now(&mut another).await.is_some() && now(&mut more).await.is_some());
        drop((other, small, late));
    }

    #[tokio::test]
    async fn who_stops_waiting_keeps_nothing_from_the_others() {
        let rooms = Rooms::new(2 * LONGEST);
        let held = fill(&rooms, "a").await;
        let small = now(&mut taking(&rooms, "b", GRAIN)).await.expect("room");
        let mut long = taking(&rooms, "c", LONGEST);
        let mut short = taking(&rooms, "d", GRAIN);
        assert!(now(&mut long).await.is_none() && now(&mut short).await.is_none());
        drop(long);
        let mut short = now(&mut short).await.expect("room");
        short.keep(GRAIN);
        drop((held, small, short));
        assert_eq!(rooms.lock().taken, 0);
    }
}
