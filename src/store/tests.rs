//! What was put is on the disk, whatever the disk did in between.

use super::*;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

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

    fn store(&self) -> Store {
        Store::start(StoreFile::open(&self.0).expect("opened")).expect("a writer")
    }

    fn all(&self) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let mut file = StoreFile::open(&self.0).expect("opened");
        let all = file.read_all(Table::Bindings).expect("read");
        all.into_iter().map(|(key, value)| (text(key), text(value))).collect()
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

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn what_was_put_is_there_after_the_store_is_opened_again() {
    let file = File::new();
    assert_eq!(file.all(), []);
    let store = file.store();
    for index in 0..1_000 {
        assert!(put(&store, &format!("{index:04}"), Some("x")));
    }
    put(&store, "0001", Some("changed"));
    put(&store, "0002", None);
    store.close();
    assert_eq!((store.status().waiting, store.status().failures), (0, 0));
    drop(store);
    let found = file.all();
    assert_eq!(found.len(), 999);
    assert_eq!(found[1], pair("0001", "changed"));
    assert_eq!(found[2].0, "0003");
}

#[test]
fn a_file_that_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    drop(file.store());
    let mode = file.0.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_of_somebody_else_is_refused_by_name() {
    let file = File::new();
    std::fs::write(&file.0, b"something else entirely").expect("written");
    let error = StoreFile::open(&file.0).expect_err("no store");
    assert!(error.to_string().contains("portcullis-store-"), "{error}");
    let other = File::new();
    let _first = StoreFile::open(&other.0).expect("opened");
    assert!(StoreFile::open(&other.0).is_err(), "one process at a time");
}

/// A file on a disk that is full while `full` says so.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        match self.full.load(Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }
}

/// A store upon such a disk.
fn upon_disk(file: &File, full: &Arc<AtomicBool>) -> Store {
    let (path, full) = (file.0.clone(), full.clone());
    let opening = move || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        redb::Database::builder().create_with_backend(Disk {
            file: FileBackend::new(file)?,
            full: full.clone(),
        })
    };
    Store::start(StoreFile::opened_by(Box::new(opening)).expect("opened")).expect("a writer")
}

#[allow(
    clippy::disallowed_methods,
    reason = "a thread without tokio writes, and what it does shows in its counts alone"
)]
fn until(what: &str, store: &Store, holds: impl Fn(StoreStatus) -> bool) {
    let bound = Instant::now() + Duration::from_secs(20);
    while !holds(store.status()) {
        assert!(Instant::now() < bound, "{what}: {:?}", store.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_disk_that_has_room_again_gets_all_that_waited() {
    let (file, full) = (File::new(), Arc::new(AtomicBool::new(false)));
    let store = upon_disk(&file, &full);
    put(&store, "before", Some("1"));
    until("written", &store, |status| status.written == 1);
    full.store(true, Relaxed);
    put(&store, "full", Some("1"));
    put(&store, "changed", Some("1"));
    until("the disk is full", &store, |status| status.is_failing);
    put(&store, "changed", Some("2"));
    put(&store, "before", Some("2"));
    let tries = store.status().failures;
    until("it is tried again", &store, |status| status.failures > tries);
    full.store(false, Relaxed);
    until("all is written", &store, |status| {
        !status.is_failing && status.waiting == 0
    });
    assert_eq!(store.status().dropped, 0);
    drop(store);
    assert_eq!(
        file.all(),
        [pair("before", "2"), pair("changed", "2"), pair("full", "1")]
    );
}

#[test]
fn what_a_full_disk_left_waiting_is_written_at_the_end() {
    let (file, full) = (File::new(), Arc::new(AtomicBool::new(false)));
    let store = upon_disk(&file, &full);
    full.store(true, Relaxed);
    put(&store, "waits", Some("1"));
    until("the disk is full", &store, |status| status.is_failing);
    full.store(false, Relaxed);
    store.close();
    assert_eq!((store.status().waiting, store.status().is_failing), (0, false));
    drop(store);
    assert_eq!(file.all(), [pair("waits", "1")]);
}
