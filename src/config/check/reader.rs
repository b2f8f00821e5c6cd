//! Reads single values of one file, and remembers what was wrong with them.

use crate::config::mend::Mended;
use crate::config::mistake::{Mistake, Source, without_password};
use crate::config::names::Invalid;
use crate::config::raw::{At, DurationText, SizeText};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One file being checked. A reading that fails gives `None` and leaves a mistake behind, unless what was read only stands
/// there for something that has its mistake already.
pub struct Reader<'r> {
    pub source: &'r Source,
    /// Where relative paths begin. None: paths are taken as they stand and not looked at.
    pub folder: Option<&'r Path>,
    pub mistakes: Vec<Mistake>,
    mended: &'r Mended,
    /// The files that it names were there when it came into force, and are looked at elsewhere.
    in_force: bool,
}

impl<'r> Reader<'r> {
    pub fn new(source: &'r Source, folder: Option<&'r Path>, mended: &'r Mended) -> Reader<'r> {
        Reader {
            source,
            folder,
            mistakes: Vec::new(),
            mended,
            in_force: false,
        }
    }

    /// The file is in force in the node that runs, as it is: what has become of the files that it names is told by whoever
    /// uses them.
    pub fn in_force(mut self, in_force: bool) -> Reader<'r> {
        self.in_force = in_force;
        self
    }

    /// The same file, for readings whose mistakes are told elsewhere.
    pub fn silent(&self) -> Reader<'r> {
        Reader::new(self.source, self.folder, self.mended).in_force(self.in_force)
    }

    /// Whether what stands at `place` is not what the user wrote.
    pub fn is_mended(&self, place: &Range<usize>) -> bool {
        self.mended.covers(place)
    }

    /// The first of `places` that the user wrote, for a mistake that is none of a single value; the last where there is
    /// none. `0..0` is the whole file.
    pub fn written(&self, places: impl IntoIterator<Item = Range<usize>>) -> Range<usize> {
        let mut last = 0..0;
        for place in places {
            last = place;
            if !self.is_mended(&last) {
                break;
            }
        }
        last
    }

    /// A mistake at `span`, with what `more` says of it.
    pub fn tell(&mut self, span: Range<usize>, message: impl Into<String>, more: impl FnOnce(Mistake) -> Mistake) {
        if !self.is_mended(&span) {
            self.mistakes.push(more(Mistake::at(self.source, span, message)));
        }
    }

    /// A mistake at `span`.
    pub fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.tell(span, message, |mistake| mistake);
    }

    /// A mistake at `span`, with what would be right.
    pub fn fault_expecting(&mut self, span: Range<usize>, message: impl Into<String>, expected: impl Into<String>) {
        self.tell(span, message, |mistake| mistake.expected(expected));
    }

    /// `text` as `what`.
    pub fn parse<T>(
        &mut self,
        text: &At<String>,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        match parse(text.value()) {
            Ok(value) => Some(value),
            Err(Invalid(expected)) => {
                let typed = without_password(text.value());
                self.fault_expecting(text.span(), format!("{typed:?} is no {what}"), expected);
                None
            }
        }
    }

    /// The same for an absent key: `Some(None)`; `None` is a mistake.
    #[expect(
        clippy::option_option,
        reason = "outside: was there a mistake; inside: was there a key"
    )]
    pub fn parse_optional<T>(
        &mut self,
        text: Option<&At<String>>,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        text.map_or(Some(None), |text| self.parse(text, what, parse).map(Some))
    }

    /// Every item, or `None` after naming all that are wrong.
    pub fn parse_list<T>(
        &mut self,
        list: &[At<String>],
        what: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        let items: Vec<Option<T>> = list.iter().map(|item| self.parse(item, what, &parse)).collect();
        items.into_iter().collect()
    }

    /// Those that are right, after naming all that are wrong.
    pub fn parse_each<T>(
        &mut self,
        list: &[At<String>],
        what: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Vec<T> {
        list.iter().filter_map(|item| self.parse(item, what, &parse)).collect()
    }

    /// The same as [`Reader::parse_list`] with a default for an absent key.
    pub fn parse_list_or<T>(
        &mut self,
        list: Option<&Vec<At<String>>>,
        default: &[&str],
        what: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        match list {
            Some(list) => self.parse_list(list, what, parse),
            None => Some(default.iter().filter_map(|text| parse(text).ok()).collect()),
        }
    }

    /// A time above zero.
    pub fn duration(&mut self, text: Option<&At<DurationText>>, default: Duration) -> Option<Duration> {
        let value = self.duration_or_zero(text, default)?;
        match text {
            Some(text) if value.is_zero() => {
                self.fault_expecting(text.span(), "a time of zero", "more than zero");
                None
            }
            _ => Some(value),
        }
    }

    /// A time.
    pub fn duration_or_zero(&mut self, text: Option<&At<DurationText>>, default: Duration) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        let value = duration(&text.value().0);
        if value.is_none() {
            let expected = "a whole number and ms, s, m, h or d, such as 500ms, 30s or 24h";
            self.fault_expecting(text.span(), format!("{:?} is no time", text.value().0), expected);
        }
        value
    }

    /// A time that was read may not be longer than `longest`.
    pub fn at_most(&mut self, text: Option<&At<DurationText>>, longest: Duration) {
        let Some(text) = text else { return };
        if duration(&text.value().0).is_some_and(|value| value > longest) {
            let expected = format!("at most {} s", longest.as_secs());
            self.fault_expecting(text.span(), format!("{:?} is too long", text.value().0), expected);
        }
    }

    /// A number of bytes above zero.
    pub fn size(&mut self, text: Option<&At<SizeText>>, default: u64) -> Option<u64> {
        let Some(text) = text else { return Some(default) };
        let value = size(&text.value().0);
        if value.is_none() {
            self.fault_expecting(
                text.span(),
                format!("{:?} is no size", text.value().0),
                "a whole number above zero and kB, MB or GB, such as 100MB",
            );
        }
        value
    }

    /// A path; a relative one begins at the configuration folder.
    pub fn path(&self, text: &str) -> PathBuf {
        self.folder
            .map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
    }

    /// A path to a folder that has to be there.
    pub fn folder_there(&mut self, text: &At<String>) -> PathBuf {
        let path = self.path(text.value());
        if self.folder.is_some() && !path.is_dir() {
            self.fault_expecting(
                text.span(),
                format!("there is no folder {}", path.display()),
                "a folder; relative paths begin at the configuration folder",
            );
        }
        path
    }

    /// A path to a file that has to be there.
    pub fn file(&mut self, text: &At<String>) -> PathBuf {
        self.file_or(text, &[])
    }

    /// The same where one of `words` could stand as well.
    pub fn file_or(&mut self, text: &At<String>, words: &[&str]) -> PathBuf {
        let path = self.path(text.value());
        if self.folder.is_some() && !self.in_force && !path.is_file() {
            let or: String = words.iter().map(|word| format!("\"{word}\", ")).collect();
            let or = if or.is_empty() { or } else { format!("{or}or ") };
            let expected = format!("{or}a file; relative paths begin at the configuration folder");
            let shown = path.display();
            let message = match path.metadata() {
                Ok(found) if found.is_dir() => format!("{shown} is a directory"),
                Ok(_) => format!("{shown} is no file that can be read from"),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    format!("{shown} can't be looked at by this user: {error}")
                }
                Err(_) => format!("there is no file {shown}"),
            };
            self.tell(text.span(), message, |mistake| {
                mistake.expected(expected).near(text.value(), words.iter().copied())
            });
        }
        path
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let longest = 3650 * 86_400_000;
    number
        .checked_mul(millis)
        .filter(|total| *total <= longest)
        .map(Duration::from_millis)
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let bytes = match unit {
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(bytes).filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        for wrong in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "1.5s",
            "5min",
            "99999999999999999999s",
            "9999999d",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(size("100MB"), Some(100_000_000));
        for wrong in ["", "100", "MB", "0MB", "100mb", "99999999999999GB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
