//! The file and the changes that wait for it.

use super::Table;
use super::writer::{self, definition};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Keys that may wait to be written. One more is not kept: its owner writes it again when it changes next.
const MOST_WAITING: usize = 200_000;

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store {}: {source}", path.display())]
    Open { path: PathBuf, source: Box<redb::Error> },
    #[error("store: {0}")]
    Read(Box<redb::Error>),
    #[error("store: no thread for writing: {0}")]
    Thread(std::io::Error),
}

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

pub(super) type Change = (Table, Vec<u8>);

/// What waits. A later change of a key takes the place of the earlier one, so that a slow disk makes nothing grow beyond
/// the number of keys.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) changes: HashMap<Change, Option<Vec<u8>>>,
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

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A store. Dropping it writes what is waiting.
#[derive(Debug)]
pub struct Store {
    database: Arc<Database>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, or makes it. It belongs to one process at a time.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let database = Database::create(path).map_err(|error| StoreError::Open {
            path: path.to_path_buf(),
            source: Box::new(error.into()),
        })?;
        let database = Arc::new(database);
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("store".into());
        let (disk, waiting) = (database.clone(), shared.clone());
        let thread = thread
            .spawn(move || writer::run(&disk, &waiting))
            .map_err(StoreError::Thread)?;
        Ok(Store {
            database,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Everything in a table that is on the disk, in the order of the keys.
    pub fn read_all(&self, table: Table) -> Result<Vec<Entry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.database.begin_read()?;
            let open = match transaction.open_table(definition(table)) {
                Ok(open) => open,
                // Nothing was ever written.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut all = Vec::new();
            for entry in open.iter()? {
                let (key, value) = entry?;
                all.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(all)
        };
        read().map_err(|error| StoreError::Read(Box::new(error)))
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
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static FILES: AtomicU32 = AtomicU32::new(0);

    struct File(PathBuf);

    impl File {
        fn new() -> File {
            let name = format!(
                "portcullis-store-{}-{}",
                std::process::id(),
                FILES.fetch_add(1, Relaxed)
            );
            File(std::env::temp_dir().join(name))
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _gone = std::fs::remove_file(&self.0);
        }
    }

    fn put(store: &Store, key: &str, value: Option<&str>) -> bool {
        store.put(
            Table::Bindings,
            key.as_bytes().to_vec(),
            value.map(|value| value.as_bytes().to_vec()),
        )
    }

    fn all(store: &Store) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let all = store.read_all(Table::Bindings).expect("read");
        all.into_iter().map(|(key, value)| (text(key), text(value))).collect()
    }

    #[test]
    fn what_was_put_is_there_after_the_store_is_opened_again() {
        let file = File::new();
        let store = Store::open(&file.0).expect("opened");
        assert_eq!(all(&store), []);
        for index in 0..1_000 {
            assert!(put(&store, &format!("{index:04}"), Some("x")));
        }
        put(&store, "0001", Some("changed"));
        put(&store, "0002", None);
        store.close();
        assert_eq!((store.status().waiting, store.status().failures), (0, 0));
        drop(store);
        let store = Store::open(&file.0).expect("opened again");
        let found = all(&store);
        assert_eq!(found.len(), 999);
        assert_eq!(found[1], ("0001".to_owned(), "changed".to_owned()));
        assert_eq!(found[2].0, "0003");
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_by_name() {
        let file = File::new();
        std::fs::write(&file.0, b"something else entirely").expect("written");
        let error = Store::open(&file.0).expect_err("no store");
        assert!(error.to_string().contains("portcullis-store-"), "{error}");
        let other = File::new();
        let _first = Store::open(&other.0).expect("opened");
        assert!(Store::open(&other.0).is_err(), "one process at a time");
    }

    #[test]
    fn a_change_that_finds_no_room_is_counted_and_a_known_key_always_has_room() {
        let file = File::new();
        let database = Arc::new(Database::create(&file.0).expect("a file"));
        // No writer takes any.
        let store = Store {
            database,
            shared: Arc::default(),
            thread: Mutex::default(),
        };
        for index in 0..MOST_WAITING {
            assert!(put(&store, &index.to_string(), None));
        }
        assert!(!put(&store, "one more", None));
        assert!(put(&store, "7", Some("x")));
        let status = store.status();
        assert_eq!((status.waiting, status.dropped), (MOST_WAITING, 1));
    }
}
