//! Watches the configuration folder and loads it again when a file in it changes, or when asked to (SIGHUP).
//!
//! A thread of its own: reading files blocks. One editor's save is several events, so that a change counts when the
//! folder has been quiet for a moment.

use super::checked::Config;
use super::load::{Loader, Reload};
use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Without further events for this long, a change counts as finished.
const QUIET: Duration = Duration::from_millis(25);
/// A folder that is never quiet is loaded again after this long all the same.
const PATIENCE: Duration = Duration::from_millis(60);

/// The running watch. Dropping it ends the thread and waits for it.
#[derive(Debug)]
pub struct Watch {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
    _watcher: RecommendedWatcher,
}

enum Wake {
    /// Something in the folder changed.
    Changed,
    /// Somebody asked.
    Asked,
    Stop,
}

impl Watch {
    /// Watches the loader's folder. A configuration that is right is put into `current` before `report` hears of it;
    /// one that is wrong leaves `current` as it is. `report` is called on the watch's own thread, and hears `Unchanged`
    /// only when somebody asked. Fails when the operating system can't watch the folder.
    pub fn start(
        mut loader: Loader,
        current: Arc<ArcSwap<Config>>,
        mut report: impl FnMut(Reload) + Send + 'static,
    ) -> notify::Result<Watch> {
        let (wake, woken) = channel();
        let events = wake.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be a lost event: look at the folder.
            if event.map_or(true, |event| matters(&event)) {
                // Fails only when the thread has ended, and then nobody has to know.
                let _ = events.send(Wake::Changed);
            }
        })?;
        watcher.watch(loader.folder(), RecursiveMode::Recursive)?;
        let thread = std::thread::Builder::new()
            .name("config-watch".to_owned())
            .spawn(move || {
                while let Some(asked) = next(&woken) {
                    let outcome = loader.reload();
                    if let Reload::Applied { config, .. } = &outcome {
                        current.store(config.clone());
                    }
                    if asked || !matches!(outcome, Reload::Unchanged) {
                        report(outcome);
                    }
                }
            })?;
        Ok(Watch {
            wake,
            thread: Some(thread),
            _watcher: watcher,
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

/// Waits until it is time to load: whether somebody asked, or None when it is over.
#[allow(
    clippy::disallowed_methods,
    reason = "a thread of its own, without tokio, waits for quiet"
)]
fn next(woken: &Receiver<Wake>) -> Option<bool> {
    let mut asked = match woken.recv() {
        Ok(Wake::Changed) => false,
        Ok(Wake::Asked) => true,
        Ok(Wake::Stop) | Err(_) => return None,
    };
    let began = Instant::now();
    while let Some(left) = PATIENCE.checked_sub(began.elapsed()) {
        match woken.recv_timeout(QUIET.min(left)) {
            Ok(Wake::Changed) => {}
            Ok(Wake::Asked) => asked = true,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    Some(asked)
}

/// Reading is no change, and certificates and call detail records may live in the same folder.
fn matters(event: &Event) -> bool {
    let writes = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    // A folder or a link to one has no ending; Kubernetes swaps a link named `..data`.
    let ours = |path: &Path| {
        path.extension().is_none_or(|ending| ending == "toml")
            || path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(".."))
    };
    writes && (event.need_rescan() || event.paths.iter().any(|path| ours(path)))
}
