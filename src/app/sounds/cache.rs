//! Decoded sounds by name, the longest unused ones dropped when they are too many bytes; it says which ones were not looked
//! at for a while.

use super::SoundFault;
use crate::media::Sound;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Names that are being loaded or were; what fails or is given up leaves nothing behind.
pub(super) struct Cache {
    limit: usize,
    /// A sound that can change is looked at again when its last look is this long ago.
    recheck: Duration,
    kept: Mutex<Kept>,
}

/// A sound, and what tells whether its place holds another one by now.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub sound: Arc<Sound>,
    pub mark: Mark,
    pub took: Took,
}

/// How long a text took to be spoken: told once, to the first who hears it.
#[derive(Debug, Clone, Default)]
pub struct Took(Arc<Mutex<Option<Duration>>>);

impl Took {
    /// The time; nothing after the first call, whoever made it.
    pub fn take(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What tells whether a place holds another sound by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// It never does: a text that was spoken, a tone.
    Lasting,
    /// A file's last change and its bytes.
    File(Option<SystemTime>, u64),
    /// The `ETag` of a server, where it has given one.
    Url(Option<String>),
}

impl Loaded {
    pub fn new(sound: Sound, mark: Mark) -> Loaded {
        Loaded {
            sound: Arc::new(sound),
            mark,
            took: Took::default(),
        }
    }

    /// A text that took so long to be spoken.
    pub fn spoken(sound: Sound, took: Duration) -> Loaded {
        Loaded {
            took: Took(Arc::new(Mutex::new(Some(took)))),
            ..Loaded::new(sound, Mark::Lasting)
        }
    }
}

type Cell = Arc<OnceCell<Loaded>>;

#[derive(Default)]
struct Kept {
    entries: HashMap<String, Entry>,
    /// Counts uses; the smallest is the longest unused.
    clock: u64,
    bytes: usize,
}

struct Entry {
    sound: Cell,
    looked: Instant,
    used: u64,
    /// 0 while it is being loaded for the first time.
    bytes: usize,
}

impl Entry {
    fn is_due(&self, recheck: Duration, now: Instant) -> bool {
        let can_change = |loaded: &Loaded| loaded.mark != Mark::Lasting;
        self.sound.get().is_some_and(can_change) && now - self.looked >= recheck
    }

    fn holds(&self, loaded: &Loaded) -> bool {
        self.sound
            .get()
            .is_some_and(|held| Arc::ptr_eq(&held.sound, &loaded.sound))
    }
}

/// What is there of a name.
pub(super) struct Got {
    pub loaded: Loaded,
    /// Who is told so looks at its place again, and nobody else until that is due the next time.
    pub is_due: bool,
}

/// Somebody who waits for a sound.
struct Waiting<'c> {
    cache: &'c Cache,
    name: &'c str,
    cell: Cell,
}

impl Drop for Waiting<'_> {
    /// After a failure, or a wait that was given up: who asks next tries again. Others that wait for the same cell try in
    /// turn, and the last of them takes the entry away.
    fn drop(&mut self) {
        let mut kept = self.cache.lock();
        // Cells are cloned and given back under the lock alone: the only one left is the entry's own.
        drop(std::mem::take(&mut self.cell));
        let given_up = |entry: &Entry| !entry.sound.initialized() && Arc::strong_count(&entry.sound) == 1;
        if kept.entries.get(self.name).is_some_and(given_up) {
            kept.remove(self.name);
        }
    }
}

impl Kept {
    fn remove(&mut self, name: &str) {
        self.bytes -= self.entries.remove(name).map_or(0, |entry| entry.bytes);
    }

    /// Notes the bytes of a sound that has come; those unused longest make room.
    fn weigh(&mut self, name: &str, bytes: usize, limit: usize) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut entry.bytes, bytes.max(1));
        self.bytes = self.bytes - before + bytes.max(1);
        while self.bytes > limit {
            let loaded = self.entries.iter().filter(|(_, entry)| entry.bytes > 0);
            let oldest = loaded.min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
        }
    }
}

impl Cache {
    pub fn new(limit: usize, recheck: Duration) -> Cache {
        Cache {
            limit,
            recheck,
            kept: Mutex::default(),
        }
    }

    /// The sound of this name; `load` is run when nobody has it, once for all who wait. Where all who wait are gone before
    /// it came, nothing of it is left.
    pub async fn get<F>(&self, name: &str, load: impl FnOnce() -> F) -> Result<Got, SoundFault>
    where
        F: Future<Output = Result<Loaded, SoundFault>>,
    {
        let (cell, is_due) = self.entry(name);
        let waiting = Waiting {
            cache: self,
            name,
            cell,
        };
        let loaded = waiting.cell.get_or_try_init(load).await?.clone();
        self.keep(name, &waiting.cell, loaded.sound.bytes());
        Ok(Got { loaded, is_due })
    }

    /// The cell of a name, and whether its place is to be looked at again.
    fn entry(&self, name: &str) -> (Cell, bool) {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.clock += 1;
        let used = kept.clock;
        if let Some(entry) = kept.entries.get_mut(name) {
            entry.used = used;
            let is_due = entry.is_due(self.recheck, now);
            if is_due {
                entry.looked = now;
            }
            return (Arc::clone(&entry.sound), is_due);
        }
        let sound = Cell::default();
        let entry = Entry {
            sound: Arc::clone(&sound),
            looked: now,
            used,
            bytes: 0,
        };
        kept.entries.insert(name.to_owned(), entry);
        (sound, false)
    }

    fn keep(&self, name: &str, cell: &Cell, bytes: usize) {
        let mut kept = self.lock();
        let entry = kept.entries.get(name);
        if entry.is_some_and(|entry| entry.bytes == 0 && Arc::ptr_eq(&entry.sound, cell)) {
            kept.weigh(name, bytes, self.limit);
        }
    }

    /// A look at the place has found `now`; nothing changes where another look was faster.
    pub fn replace(&self, name: &str, before: &Loaded, now: Loaded) {
        let mut kept = self.lock();
        let Some(entry) = kept.entries.get_mut(name).filter(|entry| entry.holds(before)) else {
            return;
        };
        let bytes = now.sound.bytes();
        entry.sound = Arc::new(OnceCell::new_with(Some(now)));
        kept.weigh(name, bytes, self.limit);
    }

    /// A look at the place has found nothing any more.
    pub fn remove(&self, name: &str, before: &Loaded) {
        let mut kept = self.lock();
        if kept.entries.get(name).is_some_and(|entry| entry.holds(before)) {
            kept.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn held(&self) -> (usize, usize) {
        let kept = self.lock();
        (kept.entries.len(), kept.bytes)
    }
}
