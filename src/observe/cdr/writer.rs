//! The queue and the thread behind it.

use super::file::{CdrError, RecordFile, SYNC_MS};
use super::line::CdrLine;
use crate::config::Cdr;
use crate::observe::ending::finish;
use crate::observe::{Happening, Observer, unix_ms};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Records that may wait. Overflow: the newest is dropped and counted.
const WAITING: usize = 4_096;
/// How often an idle writer looks at the age of its file.
const LOOK: Duration = Duration::from_secs(60);

/// What became of the records so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CdrCounts {
    pub written: u64,
    /// Found the queue full.
    pub dropped: u64,
    /// The file could not take them (disk full, no permission).
    pub lost: u64,
    /// The last of them was lost.
    pub is_losing: bool,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    /// Said already that the file takes nothing.
    is_losing: AtomicBool,
}

enum Item {
    Line(Vec<u8>),
    /// Another place for the records from here on; `None`: none are written.
    Settings(Option<Cdr>),
    End,
}

/// Writes the record of every call that ends.
pub struct CdrWriter {
    node: Arc<str>,
    items: SyncSender<Item>,
    counts: Arc<Counts>,
    /// The configuration names a file.
    wanted: AtomicBool,
    /// Told when the thread is done.
    done: Mutex<Receiver<()>>,
}

impl CdrWriter {
    /// Starts the thread. `None` writes nothing until [`CdrWriter::apply`] says where. A file that can't be opened is
    /// an error at the start; later it is counted and said.
    pub fn start(node: &str, settings: Option<Cdr>) -> Result<CdrWriter, CdrError> {
        CdrWriter::with_queue(node, settings, WAITING)
    }

    pub(super) fn with_queue(node: &str, settings: Option<Cdr>, waiting: usize) -> Result<CdrWriter, CdrError> {
        let wanted = AtomicBool::new(settings.is_some());
        let mut file = settings.map(RecordFile::new);
        if let Some(file) = &mut file {
            file.open(unix_ms())?;
        }
        let (items, received) = sync_channel(waiting);
        let (tell, done) = channel();
        let counts = Arc::new(Counts::default());
        let thread = Thread {
            file,
            counts: counts.clone(),
            is_unsynced: false,
        };
        thread::Builder::new()
            .name("cdr".to_owned())
            .spawn(move || {
                thread.run(&received);
                // Nobody may be waiting.
                let _ = tell.send(());
            })
            .map_err(|source| CdrError::Open {
                path: Default::default(),
                source,
            })?;
        Ok(CdrWriter {
            node: node.into(),
            items,
            counts,
            wanted,
            done: Mutex::new(done),
        })
    }

    /// Takes over the settings of a new configuration.
    pub fn apply(&self, settings: Option<&Cdr>) {
        match self.items.try_send(Item::Settings(settings.cloned())) {
            Ok(()) => self.wanted.store(settings.is_some(), Relaxed),
            Err(_) => tracing::error!("the CDR writer is behind: it keeps its old settings"),
        }
    }

    /// What became of the records so far.
    pub fn counts(&self) -> CdrCounts {
        CdrCounts {
            written: self.counts.written.load(Relaxed),
            dropped: self.counts.dropped.load(Relaxed),
            lost: self.counts.lost.load(Relaxed),
            is_losing: self.counts.is_losing.load(Relaxed),
        }
    }

    /// Waits until everything queued so far is written, `grace` at most; false when it was not.
    pub fn finish(&self, grace: Duration) -> bool {
        finish(&self.items, Item::End, &self.done, grace)
    }
}

impl Observer for CdrWriter {
    fn happened(&self, happening: &Happening<'_>) {
        let Happening::CallOver { record } = happening else {
            return;
        };
        if !self.wanted.load(Relaxed) {
            return;
        }
        let line = serde_json::to_vec(&CdrLine::new(&self.node, record));
        let sent = line.map_err(io::Error::from).map(|line| {
            let mut line = escape_controls(line);
            line.push(b'\n');
            self.items.try_send(Item::Line(line)).is_ok()
        });
        if !matches!(sent, Ok(true)) {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// JSON may hold DEL and the controls of ISO 6429 as they are, terminals obey them: they are written as escapes.
fn escape_controls(line: Vec<u8>) -> Vec<u8> {
    const LEAD: u8 = 0xc2;
    let is_control = |pair: &[u8]| matches!(pair, [LEAD, 0x80..=0x9f]);
    if !line.contains(&0x7f) && !line.windows(2).any(is_control) {
        return line;
    }
    let mut escaped = Vec::with_capacity(line.len() + 32);
    let mut rest = line.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let (control, length) = match (first, after.first()) {
            (0x7f, _) => (Some(0x7f), 1),
            (&LEAD, Some(second @ 0x80..=0x9f)) => (Some(*second), 2),
            _ => (None, 1),
        };
        match control {
            Some(control) => escaped.extend(format!("\\u00{control:02x}").into_bytes()),
            None => escaped.push(*first),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    escaped
}

struct Thread {
    file: Option<RecordFile>,
    counts: Arc<Counts>,
    /// Said already that the disk does not take what was written.
    is_unsynced: bool,
}

impl Thread {
    fn run(mut self, items: &Receiver<Item>) {
        loop {
            let patience = match self.file.as_ref().is_none_or(RecordFile::is_synced) {
                true => LOOK,
                false => Duration::from_millis(SYNC_MS),
            };
            match items.recv_timeout(patience) {
                Ok(Item::Line(line)) => self.write(&line),
                Ok(Item::Settings(settings)) => self.follow(settings),
                Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.sync(u64::MAX);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(Err(error)) = self.file.as_mut().map(|file| file.rotate_when_old(unix_ms())) {
                        self.tell(&error);
                    }
                }
            }
            self.sync(unix_ms());
        }
    }

    fn follow(&mut self, settings: Option<Cdr>) {
        // Where none are kept, none are lost.
        if settings.is_none() {
            self.counts.is_losing.store(false, Relaxed);
        }
        let let_go = match (&mut self.file, settings) {
            (Some(file), Some(settings)) => file.follow(settings),
            (Some(file), None) => {
                let synced = file.let_go();
                self.file = None;
                synced
            }
            (None, settings) => {
                self.file = settings.map(RecordFile::new);
                Ok(())
            }
        };
        if let Err(error) = let_go {
            self.tell(&error);
        }
    }

    /// Something went wrong that cost no record; of rotations the first, second, fourth … time in a row.
    fn tell(&self, error: &CdrError) {
        let of_rotation = matches!(error, CdrError::Rotate { .. } | CdrError::Remove { .. });
        let times = self.file.as_ref().map_or(0, RecordFile::rotations_failed);
        if !of_rotation || times.is_power_of_two() {
            tracing::error!(%error, "{}", error.consequence());
        }
    }

    fn sync(&mut self, now_ms: u64) {
        match self.file.as_mut().map(|file| file.sync_when_due(now_ms)) {
            Some(Err(error)) => {
                if !std::mem::replace(&mut self.is_unsynced, true) {
                    tracing::error!(%error, "{}", error.consequence());
                }
            }
            _ => self.is_unsynced &= !self.file.as_ref().is_none_or(RecordFile::is_synced),
        }
    }

    fn write(&mut self, line: &[u8]) {
        let Some(file) = &mut self.file else { return };
        match file.append(line, unix_ms()) {
            Ok(beside) => {
                self.counts.written.fetch_add(1, Relaxed);
                if self.counts.is_losing.swap(false, Relaxed) {
                    let lost = self.counts.lost.load(Relaxed);
                    tracing::warn!(file = %file.path().display(), lost, "call detail records are written again");
                }
                if let Some(error) = beside {
                    self.tell(&error);
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(1, Relaxed);
                if !self.counts.is_losing.swap(true, Relaxed) {
                    tracing::error!(%error, "{}", error.consequence());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_is_left_and_the_line_means_the_same() {
        let text = "a\u{7f}b\u{9b}31mc é \u{80}\u{9f}";
        let line = serde_json::to_vec(text).expect("a text");
        let escaped = escape_controls(line);
        let shown = std::str::from_utf8(&escaped).expect("UTF-8");
        assert!(!shown.contains(char::is_control), "{shown}");
        assert_eq!(serde_json::from_slice::<String>(&escaped).expect("JSON"), text);
        let plain = serde_json::to_vec("é ÿ").expect("a text");
        assert_eq!(escape_controls(plain.clone()), plain);
    }
}
