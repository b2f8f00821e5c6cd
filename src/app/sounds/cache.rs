//! Decoded sounds by name, the longest unused ones dropped when they are too many bytes.

use super::SoundFault;
use crate::media::Sound;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Names that are being loaded or were; what fails or is given up leaves nothing behind.
pub(super) struct Cache {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<String, Entry>,
    /// Counts uses; the smallest is the longest unused.
    clock: u64,
    bytes: usize,
}

struct Entry {
    sound: Arc<OnceCell<Arc<Sound>>>,
    used: u64,
    /// 0 while it is being loaded.
    bytes: usize,
}

/// Somebody who waits for a sound.
struct Waiting<'c> {
    cache: &'c Cache,
    name: &'c str,
    cell: Arc<OnceCell<Arc<Sound>>>,
}

impl Drop for Waiting<'_> {
    /// After a failure, or a wait that was given up: who asks next tries again. Others that wait for the same cell try in
    /// turn, and the last of them takes the entry away.
    fn drop(&mut self) {
        let mut kept = self.cache.lock();
        // Cells are cloned and given back under the lock alone: the only one left is the entry's own.
        drop(std::mem::take(&mut self.cell));
        let is_left = |entry: &Entry| !entry.sound.initialized() && Arc::strong_count(&entry.sound) == 1;
        if kept.entries.get(self.name).is_some_and(is_left) {
            kept.entries.remove(self.name);
        }
    }
}

impl Cache {
    pub fn new(limit: usize) -> Cache {
        Cache {
            limit,
            kept: Mutex::default(),
        }
    }

    /// The sound of this name; `load` is run when nobody has it, once for all who wait. Where all who wait are gone before
    /// it came, nothing of it is left.
    pub async fn get<F>(&self, name: &str, load: impl FnOnce() -> F) -> Result<Arc<Sound>, SoundFault>
    where
        F: Future<Output = Result<Sound, SoundFault>>,
    {
        let waiting = Waiting {
            cache: self,
            name,
            cell: self.entry(name),
        };
        let cell = &waiting.cell;
        let sound = cell
            .get_or_try_init(|| async { load().await.map(Arc::new) })
            .await
            .cloned();
        if let Ok(sound) = &sound {
            self.keep(name, cell, sound.bytes());
        }
        sound
    }

    fn entry(&self, name: &str) -> Arc<OnceCell<Arc<Sound>>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let used = kept.clock;
        if let Some(entry) = kept.entries.get_mut(name) {
            entry.used = used;
            return Arc::clone(&entry.sound);
        }
        let sound = Arc::<OnceCell<_>>::default();
        let entry = Entry {
            sound: Arc::clone(&sound),
            used,
            bytes: 0,
        };
        kept.entries.insert(name.to_owned(), entry);
        sound
    }

    fn keep(&self, name: &str, cell: &Arc<OnceCell<Arc<Sound>>>, bytes: usize) {
        let mut kept = self.lock();
        let Some(entry) = kept.entries.get_mut(name) else {
            return;
        };
        if !Arc::ptr_eq(&entry.sound, cell) || entry.bytes != 0 {
            return;
        }
        entry.bytes = bytes.max(1);
        kept.bytes += bytes.max(1);
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
