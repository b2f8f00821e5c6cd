//! One configuration file: its text, and what it says as typed.

use super::mend::{Mended, mend};
use super::mistake::{Mistake, Source};
use super::readings;
use super::schema::FileKind;
use super::twice::Firsts;
use serde::de::DeserializeOwned;
use std::cell::LazyCell;
use std::io::{self, Read as _};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use toml::de::{DeTable, Deserializer};

/// Bytes of a file; a thousand tenants' numbers in one would have a tenth of it.
const LARGEST: u64 = 64 << 20;
const WITHOUT_QUOTES: &str = "a text needs quotes";
/// Of a file that is no TOML nothing more is known.
const HIDES_OTHERS: &str = "; what else is wrong in this file is told once it can be read";

/// How much text is read again where files are unclear: once for each way that one may be meant.
#[derive(Debug)]
pub struct Reread(usize);

impl Reread {
    /// What a whole folder may cost.
    pub fn of_a_folder() -> Reread {
        Reread(16 << 20)
    }

    /// Takes `bytes` of what is left, where that is enough.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// A file that was read and parsed. Kept, so that a reload only parses what changed.
#[derive(Debug)]
pub struct File<R> {
    kind: FileKind,
    pub source: Source,
    /// None when its syntax is wrong, or when it does not fit its type though it was mended: then that is a mistake of its own,
    /// and a fault of [`mend`]. Where something is unclear: as it may be meant, in one of the ways.
    pub raw: Option<R>,
    /// Of syntax and structure.
    pub mistakes: Vec<Mistake>,
    /// What of `raw` stands there for something that can't be read.
    pub mended: Mended,
}

impl<R: DeserializeOwned> File<R> {
    /// Parses `source`. All mistakes of syntax; or, when there are none, all of structure.
    pub fn parse(kind: FileKind, source: Source) -> File<R> {
        let text = source.text.clone();
        let (mut root, errors) = DeTable::parse_recoverable(&text);
        let firsts = LazyCell::new(|| Firsts::of(&text));
        let mut mistakes: Vec<Mistake> = errors.iter().map(|error| unreadable(&source, error, &firsts)).collect();
        // What follows on the same line follows from the first; a missing comma explains more than missing quotes.
        mistakes.sort_by_cached_key(|mistake| (mistake.line, mistake.column, mistake.message == WITHOUT_QUOTES));
        mistakes.dedup_by_key(|mistake| mistake.line);
        if let Some(last) = mistakes.last_mut() {
            last.message.push_str(HIDES_OTHERS);
        }
        let mut file = File {
            kind,
            mended: Mended::nothing(&source),
            source,
            raw: None,
            mistakes,
        };
        if file.mistakes.is_empty() {
            file.mended = mend(kind, root.get_mut(), &file.source, &[], Some(&mut file.mistakes));
            match R::deserialize(Deserializer::from(root)) {
                Ok(raw) => file.raw = Some(raw),
                Err(error) => {
                    debug_assert!(false, "what was mended does not fit its type: {}", error.message());
                    file.mistakes.push(unreadable(&file.source, &error, &firsts));
                }
            }
        }
        file
    }

    /// The other ways in which the file may be meant where it is unclear: what is wrong in all of them is wrong. None where
    /// that is more to read than what is `left`.
    pub fn other_readings<'f>(&'f self, left: &mut Reread) -> Option<impl Iterator<Item = R> + use<'f, R>> {
        // The first is `raw`.
        let readings = readings::of(&self.mended.unclear).skip(1);
        let affordable = left.take(readings.len().saturating_mul(self.source.text.len()));
        affordable.then(|| readings.filter_map(|meant| self.read_as(&meant)))
    }

    /// Said where there are too many other readings.
    pub fn too_unclear(&self) -> Mistake {
        let mistake = Mistake::about(
            &self.source.path,
            "too much is unclear in this file to check the rest of it",
        );
        mistake.expected("its other mistakes mended first; what else is wrong in it is told then")
    }

    fn read_as(&self, meant: &[usize]) -> Option<R> {
        let mut root = DeTable::parse(&self.source.text).ok()?;
        mend(self.kind, root.get_mut(), &self.source, meant, None);
        R::deserialize(Deserializer::from(root)).ok()
    }
}

fn unreadable<'t>(source: &Source, error: &toml::de::Error, firsts: &impl Deref<Target = Firsts<'t>>) -> Mistake {
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (error.message(), None),
    };
    if message == "duplicate key" {
        return firsts.mistake(source, error.span().unwrap_or(0..0));
    }
    let mistake = Mistake::at(source, error.span().unwrap_or(0..0), message);
    let word = mistake.text.starts_with(|c: char| c.is_ascii_alphabetic());
    let secret = mistake.text.starts_with('…');
    match expected {
        _ if secret && message == "string values must be quoted" => {
            Mistake::at(source, error.span().unwrap_or(0..0), WITHOUT_QUOTES)
        }
        // The parser takes any bare word for a number.
        _ if word && (message == "invalid float" || message == "string values must be quoted") => {
            let quoted = format!("{:?}, or true or false", mistake.text);
            Mistake::at(source, error.span().unwrap_or(0..0), WITHOUT_QUOTES).expected(quoted)
        }
        Some(expected) => mistake.expected(expected),
        None => mistake,
    }
}

/// The text of a file, or what is wrong with it.
pub fn read(path: &Path) -> Result<String, Box<Mistake>> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source::new(path, &text);
        Box::new(Mistake::at(&source, good..good + 1, "this is not UTF-8").expected("text in UTF-8"))
    })
}

/// What a regular file holds: nothing else is waited for, and none that goes on for ever.
fn read_bytes(path: &Path) -> Result<Vec<u8>, Box<Mistake>> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Box::new(Mistake::about(path, "there is no such file")),
        _ => Box::new(Mistake::about(path, format!("can't be read: {error}"))),
    };
    let wrong = |what: String| Box::new(Mistake::about(path, what));
    // A FIFO would be opened when somebody writes to it, and not before.
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(wrong("is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) {
        true => Ok(bytes),
        false => Err(wrong(format!("is larger than {} MiB", LARGEST >> 20))),
    }
}
