//! Decoded sounds by name, the longest unused ones dropped when they are too many bytes, and those that were not looked at
//! for a while looked at again.

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
    /// It never does: a text that was spoken.
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
    /// What the place held when it was looked at last, while it is looked at again.
    before: Option<Loaded>,
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
}

/// Somebody who waits for a sound.
struct Waiting<'c> {
    cache: &'c Cache,
    name: &'c str,
    cell: Cell,
}

impl Drop for Waiting<'_> {
    /// After a failure, or a wait that was given up: who asks next tries again. Others that wait for the same cell try in
    /// turn, and the last of them takes the entry away, or brings back what it had before.
    fn drop(&mut self) {
        let mut kept = self.cache.lock();
        // Cells are cloned and given back under the lock alone: the only one left is the entry's own.
        drop(std::mem::take(&mut self.cell));
        let Some(entry) = kept.entries.get_mut(self.name) else {
            return;
        };
        if entry.sound.initialized() || Arc::strong_count(&entry.sound) > 1 {
            return;
        }
        match entry.before.take() {
            Some(before) => entry.sound = Arc::new(OnceCell::new_with(Some(before))),
            None => {
                let bytes = kept.entries.remove(self.name).map_or(0, |entry| entry.bytes);
                kept.bytes -= bytes;
            }
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

    /// The sound of this name; `load` is run when nobody has it, or when it is time to look at its place again, with what
    /// was there before; once for all who wait. What was there before serves on where its place can't be looked at. Where
    /// all who wait are gone before it came, nothing of it is left.
    pub async fn get<F>(&self, name: &str, load: impl FnOnce(Option<Loaded>) -> F) -> Result<Loaded, SoundFault>
    where
        F: Future<Output = Result<Loaded, SoundFault>>,
    {
        let (cell, before) = self.entry(name);
        let waiting = Waiting {
            cache: self,
            name,
            cell,
        };
        let loaded = waiting
            .cell
            .get_or_try_init(|| async {
                let loaded = load(before.clone()).await;
                match (loaded, before) {
                    (Err(fault), Some(_)) if fault.is_gone() => {
                        self.forget(name, &waiting.cell);
                        Err(fault)
                    }
                    (Err(_), Some(before)) => Ok(before),
                    (loaded, _) => loaded,
                }
            })
            .await
            .cloned();
        if let Ok(loaded) = &loaded {
            self.keep(name, &waiting.cell, loaded.sound.bytes());
        }
        loaded
    }

    /// The cell of a name; and what was there before, where it is to be looked at again.
    fn entry(&self, name: &str) -> (Cell, Option<Loaded>) {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.clock += 1;
        let used = kept.clock;
        if let Some(entry) = kept.entries.get_mut(name) {
            entry.used = used;
            if entry.is_due(self.recheck, now) {
                entry.before = std::mem::take(&mut entry.sound).get().cloned();
                entry.looked = now;
            }
            return (Arc::clone(&entry.sound), entry.before.clone());
        }
        let sound = Cell::default();
        let entry = Entry {
            sound: Arc::clone(&sound),
            before: None,
            looked: now,
            used,
            bytes: 0,
        };
        kept.entries.insert(name.to_owned(), entry);
        (sound, None)
    }

    /// What was there before is there no more.
    fn forget(&self, name: &str, cell: &Cell) {
        let mut kept = self.lock();
        if let Some(entry) = kept
            .entries
            .get_mut(name)
            .filter(|entry| Arc::ptr_eq(&entry.sound, cell))
        {
            entry.before = None;
        }
    }

    fn keep(&self, name: &str, cell: &Cell, bytes: usize) {
        let mut kept = self.lock();
        let Some(entry) = kept.entries.get_mut(name) else {
            return;
        };
        let is_kept = entry.bytes != 0 && entry.before.is_none();
        if !Arc::ptr_eq(&entry.sound, cell) || is_kept {
            return;
        }
        entry.before = None;
        let before = std::mem::replace(&mut entry.bytes, bytes.max(1));
        kept.bytes = kept.bytes - before + bytes.max(1);
        while kept.bytes > self.limit {
            let loaded = kept.entries.iter().filter(|(_, entry)| entry.bytes > 0);
            let oldest = loaded.min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
            let Some(entry) = oldest.and_then(|oldest| kept.entries.remove(&oldest)) else {
                return;
            };
            kept.bytes -= entry.bytes;
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
