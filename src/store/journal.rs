//! The changes that wait for the file.

use super::Table;
use super::file::{StoreError, StoreFile};
use super::writer;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Keys that may wait to be written. One more is not kept: its owner writes it again when it changes next.
const MOST_WAITING: usize = 200_000;

/// Counts of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Keys that wait to be written.
    pub waiting: usize,
    /// Changes that are on the disk.
    pub written: u64,
    /// Changes that found no room to wait.
    pub dropped: u64,
    /// Batches that could not be written, and were tried again.
    pub failures: u64,
    /// The last batch was one of them.
    pub is_failing: bool,
}

/// Changes by what they change; `None` forgets it.
pub(super) type Batch = HashMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// What waits. A later change of a key takes the place of the earlier one, so that a slow disk makes nothing grow beyond
/// the number of keys.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) changes: Batch,
    pub(super) closing: bool,
    pub(super) status: StoreStatus,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    pub(super) woken: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store. Dropping it writes what is waiting.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Begins to write; the file is the writer's from now on.
    pub fn start(mut file: StoreFile) -> Result<Store, StoreError> {
        let shared = Arc::new(Shared::default());
        let waiting = shared.clone();
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread
            .spawn(move || writer::run(&mut file, &waiting))
            .map_err(StoreError::Thread)?;
        Ok(Store {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Keeps `value` under `key`; `None` forgets the key. Returns at once; false when there is no room to wait.
    pub fn put(&self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) -> bool {
        let mut waiting = self.shared.lock();
        let key = (table, key);
        if waiting.changes.len() >= MOST_WAITING && !waiting.changes.contains_key(&key) {
            waiting.status.dropped += 1;
            return false;
        }
        waiting.changes.insert(key, value);
        drop(waiting);
        self.shared.woken.notify_one();
        true
    }

    /// Counts.
    pub fn status(&self) -> StoreStatus {
        let waiting = self.shared.lock();
        StoreStatus {
            waiting: waiting.changes.len(),
            ..waiting.status
        }
    }

    /// Writes what is waiting; nothing is written after that. Blocks for as long as the disk takes.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.woken.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has said so; there is nothing left to write with.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_finds_no_room_is_counted_and_a_known_key_always_has_room() {
        // No writer takes any.
        let store = Store {
            shared: Arc::default(),
            thread: Mutex::default(),
        };
        let put = |key: String| store.put(Table::Bindings, key.into_bytes(), None);
        for index in 0..MOST_WAITING {
            assert!(put(index.to_string()));
        }
        assert!(!put("one more".to_owned()));
        assert!(put("7".to_owned()));
        let status = store.status();
        assert_eq!((status.waiting, status.dropped), (MOST_WAITING, 1));
    }
}
