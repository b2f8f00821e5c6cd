//! The file: appended to, rotated by size and age, opened anew when somebody moved it away.

use crate::config::Cdr;
use crate::observe::rfc3339;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Why a record is not in the file.
#[derive(Debug, thiserror::Error)]
pub enum CdrError {
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot write to {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot rotate {}: {source}", path.display())]
    Rotate { path: PathBuf, source: io::Error },
    #[error("cannot remove {}, which is more than is to be kept: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("cannot bring {} to the disk: {source}", path.display())]
    Sync { path: PathBuf, source: io::Error },
}

impl CdrError {
    /// What comes of it.
    pub fn consequence(&self) -> &'static str {
        match self {
            CdrError::Open { .. } | CdrError::Write { .. } => "call detail records are being lost; calls go on",
            CdrError::Rotate { .. } => "the CDR file grows on",
            CdrError::Remove { .. } => "old CDR files stay",
            CdrError::Sync { .. } => "a power cut may cost call detail records",
        }
    }
}

/// What a power cut may cost.
pub const SYNC_MS: u64 = 1_000;

/// The file as it is open.
#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// A pipe or a terminal is not rotated: its reader would read on where nothing comes.
    is_file: bool,
    size: u64,
    /// When its first record was written, milliseconds since the Unix epoch.
    born_ms: u64,
    /// When the first line was written that the disk may not have.
    unsynced_ms: Option<u64>,
}

/// Appends lines.
#[derive(Debug)]
pub struct RecordFile {
    settings: Cdr,
    open: Option<Open>,
    /// Rotations in a row that did not do all they should.
    rotations_failed: u64,
}

impl RecordFile {
    /// Opens nothing yet.
    pub fn new(settings: Cdr) -> RecordFile {
        RecordFile {
            settings,
            open: None,
            rotations_failed: 0,
        }
    }

    /// Goes by other settings from here on. What was written is brought to the disk before its file is let go.
    pub fn follow(&mut self, settings: Cdr) -> Result<(), CdrError> {
        if settings == self.settings {
            return Ok(());
        }
        let synced = self.let_go();
        *self = RecordFile::new(settings);
        synced
    }

    /// Where the records go.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Opens the file ahead of the first record, so that what is wrong with the path shows at the start.
    pub fn open(&mut self, now_ms: u64) -> Result<(), CdrError> {
        if self.open.is_none() {
            self.open = Some(open(&self.settings.path, now_ms).map_err(|source| CdrError::Open {
                path: self.settings.path.clone(),
                source,
            })?);
        }
        Ok(())
    }

    /// Brings what was written to the disk, and closes the file.
    pub fn let_go(&mut self) -> Result<(), CdrError> {
        match self.open.take() {
            Some(mut open) => sync(&mut open, &self.settings.path),
            None => Ok(()),
        }
    }

    /// Rotations in a row that did not do all they should: what is worth saying of the second is worth it of the fourth.
    pub fn rotations_failed(&self) -> u64 {
        self.rotations_failed
    }

    /// Writes one line, whole or not at all. What goes wrong beside it (a rotation, a file that was moved away) loses no line.
    pub fn append(&mut self, line: &[u8], now_ms: u64) -> Result<Option<CdrError>, CdrError> {
        let mut beside = None;
        if self.open.as_ref().is_some_and(|open| !is_at(&self.settings.path, open)) {
            beside = self.let_go().err();
        }
        let full = |open: &Open| {
            let added = u64::try_from(line.len()).unwrap_or(u64::MAX);
            open.is_file && open.size > 0 && open.size.saturating_add(added) > self.settings.rotate_size
        };
        if self.open.as_ref().is_some_and(full) || self.is_old(now_ms) {
            beside = self.rotate(now_ms).err();
        }
        self.open(now_ms)?;
        let Some(open) = &mut self.open else {
            return Ok(beside);
        };
        match open.file.write_all(line) {
            Ok(()) => {
                if open.size == 0 {
                    open.born_ms = now_ms;
                }
                open.size = open.size.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
                open.unsynced_ms.get_or_insert(now_ms);
                Ok(beside)
            }
            Err(source) => {
                // Half a line would spoil the next one too. When even this fails, opening anew finds the true size.
                if open.file.set_len(open.size).is_err() {
                    self.open = None;
                }
                Err(CdrError::Write {
                    path: self.settings.path.clone(),
                    source,
                })
            }
        }
    }

    /// Rotates a file that is old enough, though no record comes.
    pub fn rotate_when_old(&mut self, now_ms: u64) -> Result<(), CdrError> {
        if self.is_old(now_ms) {
            self.rotate(now_ms)
        } else {
            Ok(())
        }
    }

    /// Whether the disk has all that was written.
    pub fn is_synced(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.unsynced_ms.is_none())
    }

    /// Brings what was written to the disk, once some of it has waited for a second.
    pub fn sync_when_due(&mut self, now_ms: u64) -> Result<(), CdrError> {
        let due = |open: &&mut Open| {
            open.unsynced_ms
                .is_some_and(|since| now_ms.saturating_sub(since) >= SYNC_MS)
        };
        let Some(open) = self.open.as_mut().filter(due) else {
            return Ok(());
        };
        sync(open, &self.settings.path).inspect_err(|_| open.unsynced_ms = Some(now_ms))
    }

    fn is_old(&self, now_ms: u64) -> bool {
        let age = u64::try_from(self.settings.rotate_after.as_millis()).unwrap_or(u64::MAX);
        self.open
            .as_ref()
            .is_some_and(|open| open.is_file && open.size > 0 && now_ms.saturating_sub(open.born_ms) >= age)
    }

    /// Renames the file and begins a new one with the next record.
    fn rotate(&mut self, now_ms: u64) -> Result<(), CdrError> {
        let path = &self.settings.path;
        let synced = self.open.as_mut().map_or(Ok(()), |open| sync(open, path));
        let renamed = fs::rename(path, rotated(path, now_ms)).map_err(|source| CdrError::Rotate {
            path: path.clone(),
            source,
        });
        let rotated = renamed.and_then(|()| {
            self.open = None;
            self.settings.keep.map_or(Ok(()), |keep| remove_old(path, keep))?;
            synced
        });
        self.rotations_failed = match rotated {
            Ok(()) => 0,
            Err(_) => self.rotations_failed.saturating_add(1),
        };
        rotated
    }
}

/// How the file is opened: for its end, and to look whether its last line is whole. Owner and group may read: the records
/// hold who called whom. A pipe that nobody reads yet keeps nobody waiting.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640);
    options
}

/// Opens the file as a node that starts does, but makes none: what can be told beforehand.
pub fn try_open(path: &Path) -> io::Result<()> {
    options().open(path).map(drop)
}

fn open(path: &Path, now_ms: u64) -> io::Result<Open> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = options().create(true).open(path)?;
    // A power cut may have left half a line: what comes next gets one of its own.
    let mut last = *b"\n";
    if let Some(end) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, end)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    let metadata = file.metadata()?;
    let born = metadata.created().or_else(|_| metadata.modified()).ok();
    let born_ms = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born_ms = born_ms.and_then(|born| u64::try_from(born.as_millis()).ok());
    Ok(Open {
        identity: (metadata.dev(), metadata.ino()),
        is_file: metadata.is_file(),
        size: metadata.len(),
        born_ms: born_ms.filter(|_| metadata.len() > 0).unwrap_or(now_ms).min(now_ms),
        unsynced_ms: None,
        file,
    })
}

fn sync(open: &mut Open, path: &Path) -> Result<(), CdrError> {
    if open.unsynced_ms.is_none() {
        return Ok(());
    }
    match open.file.sync_data() {
        // A pipe has no disk behind it.
        Err(source) if source.kind() != io::ErrorKind::InvalidInput => {
            let path = path.to_path_buf();
            Err(CdrError::Sync { path, source })
        }
        _ => {
            open.unsynced_ms = None;
            Ok(())
        }
    }
}

/// Whether the path still names the open file.
fn is_at(path: &Path, open: &Open) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == open.identity)
}

/// `cdr.jsonl` becomes `cdr-2026-11-23T01-31-19.042Z.jsonl`, which sorts by time.
fn rotated(path: &Path, now_ms: u64) -> PathBuf {
    let (stem, ending) = parts(path);
    let named = |ms: u64| {
        let stamp = rfc3339(ms).replace(':', "-");
        path.with_file_name(format!("{stem}-{stamp}{ending}"))
    };
    // Two rotations in one millisecond: the later name is still free.
    (now_ms..)
        .map(named)
        .find(|name| !name.exists())
        .unwrap_or_else(|| named(now_ms))
}

fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    (stem, ending.unwrap_or_default())
}

/// Keeps the `keep` newest rotated files. Only names that a rotation gives are looked at. One that can't be removed keeps
/// no other; the first such error is told.
fn remove_old(path: &Path, keep: u32) -> Result<(), CdrError> {
    let (stem, ending) = parts(path);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_rotated = |name: &str| {
        name.strip_prefix(&format!("{stem}-"))
            .and_then(|rest| rest.strip_suffix(&ending))
            .is_some_and(|stamp| {
                stamp.len() == "2026-11-23T01-31-19.042Z".len() && stamp.starts_with(|c: char| c.is_ascii_digit())
            })
    };
    let failed = |path: &Path, source| CdrError::Remove {
        path: path.to_path_buf(),
        source,
    };
    let mut rotated: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|source| failed(folder, source))?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_rotated))
        .map(|entry| entry.path())
        .collect();
    rotated.sort();
    let surplus = rotated
        .len()
        .saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    let mut removed = Ok(());
    for old in rotated.iter().take(surplus) {
        removed = removed.and(fs::remove_file(old).map_err(|source| failed(old, source)));
    }
    removed
}
