//! Files of this machine: found and read by threads of their own, so many at once, and given up in time.
//!
//! A thread that its file system keeps can't be ended: it has its place for as long, and what it reads is not begun again.

use super::SoundFault;
use super::cache::{Loaded, Mark};
use super::work::Work;
use crate::app::turns::Turn;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The readers of a node. Clones share their places.
#[derive(Clone)]
pub(super) struct Files {
    readers: Work,
    under_way: Arc<Mutex<Vec<Reading>>>,
}

struct Reading {
    path: Arc<Path>,
    /// When it is given up.
    deadline: Instant,
}

/// What was found of a file.
pub(super) enum Found {
    /// It is the one of before.
    Same(Loaded),
    New {
        bytes: Vec<u8>,
        mark: Mark,
    },
}

impl Files {
    pub fn new(readers: Work) -> Files {
        Files {
            readers,
            under_way: Arc::default(),
        }
    }

    /// Has the file of this name below a folder read within `patience`; with it comes the place of its reader, to be kept as long
    /// as what was read.
    pub async fn read<T: Send + 'static>(
        &self,
        owner: &str,
        (folder, name): (&Path, &str),
        patience: Duration,
        read: impl FnOnce() -> Result<T, SoundFault> + Send + 'static,
    ) -> Result<(T, Turn), SoundFault> {
        let unread = || SoundFault::Unread {
            name: name.to_owned(),
            after: patience,
        };
        let now = Instant::now();
        // Another configuration may have another folder.
        let path: Arc<Path> = folder.join(name).into();
        let hangs = |reading: &Reading| reading.path == path && reading.deadline <= now;
        if self.under_way().iter().any(hangs) {
            return Err(unread());
        }
        let deadline = now + patience;
        let turn = timeout_at(deadline, self.readers.take(owner)).await;
        let turn = turn.map_err(|_| SoundFault::Late(patience))??;
        let noted = self.note(path, deadline);
        let reading = tokio::task::spawn_blocking(move || {
            let _noted = noted;
            Ok((read()?, turn))
        });
        match timeout_at(deadline, reading).await {
            Ok(Ok(content)) => content,
            Ok(Err(_)) => Err(SoundFault::file(name, &io::ErrorKind::Other.into())),
            Err(_) => Err(unread()),
        }
    }

    fn note(&self, path: Arc<Path>, deadline: Instant) -> Noted {
        self.under_way().push(Reading {
            path: path.clone(),
            deadline,
        });
        Noted {
            files: self.clone(),
            path,
        }
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading under way; dropping it ends it.
struct Noted {
    files: Files,
    path: Arc<Path>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let own = |reading: &Reading| Arc::ptr_eq(&reading.path, &self.path);
        self.files.under_way().retain(|reading| !own(reading));
    }
}

/// What the file `name` below `folder` holds, at most `most` bytes; it is read where it is another than `before`.
pub(super) fn find(folder: &Path, name: &str, most: usize, before: Option<Loaded>) -> Result<Found, SoundFault> {
    let failed = |error: io::Error| SoundFault::file(name, &error);
    let too_large = |bytes: u64| SoundFault::TooLarge {
        name: name.to_owned(),
        bytes,
        limit: most,
    };
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let path = fs::canonicalize(folder.join(name)).map_err(failed)?;
    // a symbolic link may lead anywhere
    if !path.starts_with(&folder) {
        return Err(SoundFault::Outside { name: name.to_owned() });
    }
    // Before it is opened: a pipe would wait for who writes.
    let kind = fs::metadata(&path).map_err(failed)?.file_type();
    if !kind.is_file() {
        return Err(SoundFault::NoFile {
            name: name.to_owned(),
            what: match kind.is_dir() {
                true => "a folder",
                false => "a pipe, a device or a socket",
            },
        });
    }
    let file = File::open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > most as u64 {
        return Err(too_large(metadata.len()));
    }
    let mark = Mark::File(metadata.modified().ok(), metadata.len());
    if let Some(before) = before.filter(|before| before.mark == mark) {
        return Ok(Found::Same(before));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // It may grow meanwhile.
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() > most {
        true => Err(too_large(bytes.len() as u64)),
        false => Ok(Found::New { bytes, mark }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_millis(400);

    /// A file whose reading ends when its sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() -> Result<(), SoundFault> + Send) {
        let (end, ended) = mpsc::channel::<()>();
        let read = move || {
            let _ended = ended.recv();
            Ok(())
        };
        (end, read)
    }

    async fn is_free(files: &Files) {
        while files.readers.turns().held() != (0, 0) || !files.under_way().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_file_that_hangs_is_given_up_not_begun_again_and_keeps_others_from_nothing() {
        let files = Files::new(Work::new("read", 4, 10));
        let (end, read) = hanging();
        let folder = Path::new("sounds");
        let given_up = files.read("a", (folder, "stuck.wav"), PATIENCE, read).await.map(|_| ());
        assert!(matches!(given_up, Err(SoundFault::Unread { .. })), "{given_up:?}");
        let begun = Arc::new(AtomicUsize::new(0));
        let read_in = async |folder: &str, owner: &str, name: &str| {
            let begun = begun.clone();
            let read = move || {
                begun.fetch_add(1, Relaxed);
                Ok(())
            };
            let place = (Path::new(folder), name);
            files.read(owner, place, PATIENCE, read).await.map(|_| ())
        };
        let read = async |owner: &str, name: &str| read_in("sounds", owner, name).await;
        let refused = read("b", "stuck.wav").await;
        assert!(matches!(refused, Err(SoundFault::Unread { .. })), "{refused:?}");
        assert_eq!(begun.load(Relaxed), 0);
        read("a", "other.wav").await.expect("another file");
        let there = read_in("sounds-that-do-not-hang", "b", "stuck.wav").await;
        there.expect("it hangs in another folder");
        assert_eq!(
            files.readers.turns().held(),
            (1, 1),
            "its place is taken as long as it hangs"
        );
        drop(end);
        is_free(&files).await;
        read("a", "stuck.wav").await.expect("it is there again");
    }

    #[tokio::test]
    async fn threads_that_hang_are_bounded_and_leave_places_to_other_tenants() {
        let files = Files::new(Work::new("read", 4, 10));
        let (folder, mut ends) = (Path::new("sounds"), Vec::new());
        for name in ["1", "2", "3"] {
            let (end, read) = hanging();
            ends.push(end);
            let given_up = files.read("a", (folder, name), PATIENCE, read).await.map(|_| ());
            let expected = match name {
                "3" => matches!(given_up, Err(SoundFault::Late(_))),
                _ => matches!(given_up, Err(SoundFault::Unread { .. })),
            };
            assert!(expected, "{name}: {given_up:?}");
        }
        assert_eq!(files.readers.turns().held(), (2, 1), "half of the places");
        let other = files.read("b", (folder, "4"), PATIENCE, || Ok(())).await;
        drop(other.expect("a place"));
        drop(ends);
        is_free(&files).await;
    }

    #[test]
    fn what_is_no_file_is_not_waited_for_and_one_that_grows_is_cut_off() {
        let folder = std::env::temp_dir().join(format!("portcullis-files-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let made = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status();
        assert!(made.expect("mkfifo").success());
        let found = |folder: &Path, name, most| {
            find(folder, name, most, None).map(|found| match found {
                Found::Same(_) => panic!("nothing was there before"),
                Found::New { bytes, .. } => bytes,
            })
        };
        let pipe = found(&folder, "pipe", 100);
        let told = |found: Result<Vec<u8>, SoundFault>| found.expect_err("no sound").to_string();
        assert_eq!(told(pipe), "sound \"pipe\" is a pipe, a device or a socket, not a file");
        fs::create_dir(folder.join("below")).expect("a folder");
        assert_eq!(
            told(found(&folder, "below", 100)),
            "sound \"below\" is a folder, not a file"
        );
        assert_eq!(told(found(&folder, "none", 100)), "sound \"none\" is not there");
        fs::write(folder.join("x"), b"12345").expect("a file");
        assert_eq!(found(&folder, "x", 5).expect("a file"), b"12345");
        assert!(matches!(
            found(&folder, "x", 4),
            Err(SoundFault::TooLarge { bytes: 5, limit: 4, .. })
        ));
        fs::remove_dir_all(folder).expect("removed");
        // A file of no bytes, until it is read.
        let grown = found(Path::new("/proc"), "version", 10);
        assert!(
            matches!(grown, Err(SoundFault::TooLarge { bytes: 11, .. })),
            "{grown:?}"
        );
    }
}
