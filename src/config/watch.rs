//! Watches the configuration folder and loads it again when a file in it changes, or when asked to (SIGHUP).
//!
//! A thread of its own: reading files blocks. One editor's save is several events, so that a change counts when the
//! folder has been quiet for a moment, and half of a file may be a right configuration, so that one that is being written
//! counts when its writer closes it. The operating system watches folders, not paths: where another folder takes the
//! place of one, or a link leads elsewhere, the watch is set anew.

use super::load::{Loader, Reload};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Without further events for this long, a change counts.
const QUIET: Duration = Duration::from_millis(25);
/// The same once a file's writer closed it or it was renamed into place: for what is saved together with it.
const SETTLED: Duration = Duration::from_millis(10);
/// A folder that is never quiet is loaded again after this long all the same.
const PATIENCE: Duration = Duration::from_millis(60);
/// A file whose writer does not close it is read after this long as it is.
const UNFINISHED: Duration = Duration::from_secs(5);
/// How often it is looked which folders stand at the paths: no event tells of a folder far above that was renamed, or of
/// something that was mounted.
const LOOK: Duration = Duration::from_secs(1);

/// The running watch. Dropping it ends the thread and waits for it.
#[derive(Debug)]
pub struct Watch {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    /// Something in the folder changed.
    Changed(Change),
    /// Somebody asked.
    Asked,
    Stop,
}

impl Watch {
    /// Watches the loader's folder for the node that runs with what the loader read last. A configuration that is right
    /// is for whoever hears `report` to put into force, in the order of the reports. `report` is called on the watch's own
    /// thread, and hears `Unchanged` only when somebody asked, or when that ends a mistake. Fails when the operating
    /// system can't watch the folder.
    pub fn start(mut loader: Loader, mut report: impl FnMut(Reload) + Send + 'static) -> notify::Result<Watch> {
        loader.started();
        let (wake, woken) = channel();
        let events = wake.clone();
        let folder = Folder {
            watched: std::path::absolute(loader.folder()).unwrap_or_default(),
            named: loader.folder().to_path_buf(),
        };
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be a lost event: look at the folder.
            let change = event.map_or(Some(Change::EVERYTHING), |event| Change::of(&event, &folder));
            if let Some(change) = change {
                // Fails only when the thread has ended, and then nobody has to know.
                let _ = events.send(Wake::Changed(change));
            }
        })?;
        let mut place = Place::new(watcher, loader.folder());
        place.watch()?;
        // What was written between the loader's reading and here made no event. The thread is not there yet to be gone.
        let _ = wake.send(Wake::Changed(Change::EVERYTHING));
        let thread = std::thread::Builder::new()
            .name("config-watch".to_owned())
            .spawn(move || {
                let mut refused = false;
                while let Some(Due { asked, files, .. }) = next(&woken, &mut place) {
                    let outcome = match files {
                        Some(files) => loader.reload_files(&files),
                        None => {
                            // What changes from here on makes an event, or is read now. Where it fails it is tried again.
                            let _later = place.watch();
                            loader.reload()
                        }
                    };
                    let was_refused = std::mem::replace(&mut refused, matches!(outcome, Reload::Refused { .. }));
                    if asked || was_refused || !matches!(outcome, Reload::Unchanged) {
                        report(outcome);
                    }
                }
            })?;
        Ok(Watch {
            wake,
            thread: Some(thread),
        })
    }

    /// Loads the folder again now (SIGHUP).
    pub fn reload(&self) {
        // Fails only when the thread has ended, which takes a panic of `report`; drop passes that on.
        let _ = self.wake.send(Wake::Asked);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::Stop);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The paths that are followed, and the operating system's watch of what stands there.
struct Place {
    watcher: RecommendedWatcher,
    folder: PathBuf,
    /// What stood there when the watch was set.
    stood: [Option<Inode>; 2],
    is_watched: bool,
}

/// Device and number.
type Inode = (u64, u64);

impl Place {
    fn new(watcher: RecommendedWatcher, folder: &Path) -> Place {
        Place {
            watcher,
            folder: folder.to_path_buf(),
            stood: [None; 2],
            is_watched: false,
        }
    }

    /// The folder and that of the tenants, wherever links lead.
    fn standing(&self) -> [Option<Inode>; 2] {
        let inode = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
        [inode(&self.folder), inode(&self.folder.join("tenants"))]
    }

    /// Sets the watch upon what stands there now.
    fn watch(&mut self) -> notify::Result<()> {
        // Before the watch is set: what takes its place in between is seen at the next look.
        self.stood = self.standing();
        // Fails where the old folder is gone, and its watch with it.
        let _gone = self.watcher.unwatch(&self.folder);
        let set = self.watcher.watch(&self.folder, RecursiveMode::Recursive);
        self.is_watched = set.is_ok();
        set
    }

    /// Whether something else stands there than what was watched. A folder that could not be watched is tried again.
    fn has_changed(&mut self) -> bool {
        let stands = self.standing();
        stands != self.stood || (!self.is_watched && stands[0].is_some() && self.watch().is_ok())
    }
}

/// What happened since the last load.
struct Due {
    asked: bool,
    /// The files that changed; None when it may be any.
    files: Option<BTreeSet<PathBuf>>,
    /// Those that are being written.
    open: BTreeSet<PathBuf>,
}

impl Due {
    fn add(&mut self, change: Change) -> Duration {
        for file in change.files.iter().flatten() {
            match change.stage {
                Stage::Writing => self.open.insert(file.clone()),
                Stage::Finished | Stage::Gone => self.open.remove(file),
                Stage::Other => false,
            };
        }
        match (&mut self.files, change.files) {
            (Some(all), Some(more)) => all.extend(more),
            _ => self.files = None,
        }
        if change.stage == Stage::Finished {
            SETTLED
        } else {
            QUIET
        }
    }

    /// A file is half written, and nobody has asked for it as it is.
    fn waits_for_a_writer(&self) -> bool {
        !self.asked && !self.open.is_empty()
    }

    fn ask(&mut self) -> Duration {
        (self.asked, self.files) = (true, None);
        QUIET
    }
}

/// Waits until it is time to load, or None when it is over.
#[allow(
    clippy::disallowed_methods,
    reason = "a thread of its own, without tokio, waits for quiet"
)]
fn next(woken: &Receiver<Wake>, place: &mut Place) -> Option<Due> {
    let mut due = Due {
        asked: false,
        files: Some(BTreeSet::new()),
        open: BTreeSet::new(),
    };
    let mut quiet = loop {
        match woken.recv_timeout(LOOK) {
            Ok(Wake::Changed(change)) => break due.add(change),
            Ok(Wake::Asked) => break due.ask(),
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if place.has_changed() => break due.add(Change::EVERYTHING),
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    let began = Instant::now();
    let mut written = began;
    loop {
        let waits = due.waits_for_a_writer();
        let (quiet_for, until) = match waits {
            true => (UNFINISHED, began + UNFINISHED),
            false => (quiet, written + PATIENCE),
        };
        let left = until.saturating_duration_since(Instant::now());
        match woken.recv_timeout(quiet_for.min(left)) {
            Ok(Wake::Changed(change)) => quiet = due.add(change),
            Ok(Wake::Asked) => quiet = due.ask(),
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => return Some(due),
        }
        if waits && !due.waits_for_a_writer() {
            written = Instant::now();
        } else if left.is_zero() {
            return Some(due);
        }
    }
}

/// The folder as the operating system's events name it, and as the loader does.
struct Folder {
    watched: PathBuf,
    named: PathBuf,
}

/// What one event says.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    /// None when it may be anything in the folder.
    files: Option<Vec<PathBuf>>,
    stage: Stage,
}

/// How far a file's change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its writer goes on.
    Writing,
    /// Its writer closed it, or it was renamed into place.
    Finished,
    /// It was removed or renamed: another one may be about to take its place.
    Gone,
    /// Nobody can say.
    Other,
}

impl Change {
    const EVERYTHING: Change = Change {
        files: None,
        stage: Stage::Other,
    };

    /// None for what is no change: reading, and certificates, call detail records and the store of registrations, which may
    /// live in the same folder.
    fn of(event: &Event, folder: &Folder) -> Option<Change> {
        // A link that is made has its content at once, and is closed by nobody.
        let is_empty = |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0);
        let stage = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Stage::Finished,
            EventKind::Access(_) => return None,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Stage::Gone,
            EventKind::Modify(ModifyKind::Name(_)) => Stage::Finished,
            EventKind::Modify(ModifyKind::Data(_)) => Stage::Writing,
            EventKind::Create(_) if event.paths.iter().any(is_empty) => Stage::Writing,
            _ => Stage::Other,
        };
        if event.need_rescan() {
            return Some(Change::EVERYTHING);
        }
        let mut files = Some(Vec::new());
        let mut some = false;
        for path in &event.paths {
            let is_root = *path == folder.watched;
            let is_file = !is_root && path.extension().is_some_and(|ending| ending == "toml");
            // A folder or a link to one has no ending; Kubernetes swaps a link named `..data`. Records may have none either.
            let is_folder = is_root
                || (path.extension().is_none() && !is_plain_file(path))
                || path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(".."));
            if !is_file && !is_folder {
                continue;
            }
            some = true;
            let inside = path.strip_prefix(&folder.watched).ok().filter(|_| !is_folder);
            match (&mut files, inside) {
                (Some(files), Some(inside)) => files.push(folder.named.join(inside)),
                _ => files = None,
            }
        }
        some.then_some(Change { files, stage })
    }
}

/// Links are none: what they lead to may be a folder.
fn is_plain_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange};

    fn change(kind: EventKind, paths: &[&str]) -> Option<Change> {
        let folder = Folder {
            watched: "/etc/sbc".into(),
            named: "sbc".into(),
        };
        let event = paths
            .iter()
            .fold(Event::new(kind), |event, path| event.add_path(path.into()));
        Change::of(&event, &folder)
    }

    fn files(names: &[&str], stage: Stage) -> Option<Change> {
        Some(Change {
            files: Some(names.iter().map(PathBuf::from).collect()),
            stage,
        })
    }

    #[test]
    fn a_file_is_named_as_the_loader_names_it() {
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(
            change(written, &["/etc/sbc/tenants/a.toml"]),
            files(&["sbc/tenants/a.toml"], Stage::Writing)
        );
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(
            change(closed, &["/etc/sbc/sbc.toml"]),
            files(&["sbc/sbc.toml"], Stage::Finished)
        );
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        assert_eq!(
            change(renamed, &["/etc/sbc/tenants/.a.toml.new", "/etc/sbc/tenants/a.toml"]),
            files(&["sbc/tenants/a.toml"], Stage::Finished)
        );
    }

    #[test]
    fn what_may_hide_changes_is_a_change_of_everything() {
        let created = EventKind::Create(CreateKind::Any);
        for path in [
            "/etc/sbc",
            "/etc/sbc/tenants",
            "/etc/sbc/..data",
            "/etc/sbc/..2026.toml",
            "/elsewhere/a.toml",
        ] {
            assert_eq!(change(created, &[path]), Some(Change::EVERYTHING), "{path}");
        }
        let folder = Folder {
            watched: "/etc/sbc.toml".into(),
            named: "/etc/sbc.toml".into(),
        };
        let created = Event::new(created).add_path("/etc/sbc.toml".into());
        assert_eq!(Change::of(&created, &folder), Some(Change::EVERYTHING));
    }

    #[test]
    fn reading_and_other_files_are_no_change() {
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        assert_eq!(change(read, &["/etc/sbc/sbc.toml"]), None);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(change(written, &["/etc/sbc/node.pem"]), None);
    }

    #[test]
    fn records_without_an_ending_are_no_change_and_folders_are() {
        let folder = std::env::temp_dir().join(format!("portcullis-watch-{}", std::process::id()));
        let (records, tenants, link) = (folder.join("records"), folder.join("tenants"), folder.join("link"));
        std::fs::create_dir_all(&tenants).expect("a folder");
        std::fs::write(&records, "{}\n").expect("a file");
        std::os::unix::fs::symlink(&tenants, &link).expect("a link");
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let created = EventKind::Create(CreateKind::Any);
        let of = |kind, path: &Path| change(kind, &[&path.to_string_lossy()]);
        assert_eq!(of(written, &records), None);
        for path in [&tenants, &link] {
            assert_eq!(of(created, path), Some(Change::EVERYTHING), "{}", path.display());
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
