//! A user's mistake: where it is, what stands there, what was expected, and the nearest name that would be right.

use super::secret_text;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The text of a configuration file.
#[derive(Clone)]
pub struct Source {
    /// As the user would type it: the configuration folder and the file.
    pub path: Arc<Path>,
    pub text: Arc<str>,
    /// What mistakes ask for, once the first does.
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// Where its secrets are.
    secrets: OnceLock<Vec<Range<usize>>>,
    /// In order; never empty.
    lines: OnceLock<Vec<Line>>,
}

struct Line {
    start: usize,
    shown: OnceLock<Shown>,
}

/// What of a line may be printed.
#[derive(Clone)]
struct Shown {
    /// With a sign where something is hidden.
    text: Arc<str>,
    /// Bytes of the line that are in it.
    length: usize,
    hides: bool,
}

impl Source {
    /// The `text` of the file at `path`.
    pub fn new(path: &Path, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
            known: Arc::default(),
        }
    }

    /// The line that `at` is on: its number from 1, its first byte, and what of it may be printed. Of each line this is
    /// worked out once, as thousands of mistakes may be on few of them.
    fn line(&self, at: usize) -> (usize, usize, Shown) {
        let lines = self.known.lines.get_or_init(|| {
            // A byte order mark is nothing that an editor shows.
            let first = self
                .text
                .strip_prefix('\u{feff}')
                .map_or(0, |rest| self.text.len() - rest.len());
            let others = self.text.match_indices('\n').map(|(end, _)| end + 1);
            let line = |start| Line {
                start,
                shown: OnceLock::new(),
            };
            std::iter::once(first).chain(others).map(line).collect()
        });
        let number = lines.partition_point(|line| line.start <= at).max(1);
        let Some(line) = lines.get(number - 1) else {
            return (number, 0, self.shown(0));
        };
        let shown = line.shown.get_or_init(|| self.shown(line.start));
        (number, line.start, shown.clone())
    }

    fn shown(&self, start: usize) -> Shown {
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let until = self.secret_begins(line, start).unwrap_or(line.len());
        let shown = line.get(..until).unwrap_or_default();
        let hides = shown.len() < line.len();
        Shown {
            text: if hides {
                format!("{shown}…").into()
            } else {
                shown.into()
            },
            length: shown.len(),
            hides,
        }
    }

    /// Where on the line that begins at `line_start` a secret may begin: a mistake beside it must not print it into a
    /// log. The file as a whole tells of texts of several lines, the line by itself is right where the file is broken.
    fn secret_begins(&self, line: &str, line_start: usize) -> Option<usize> {
        let secrets = self.known.secrets.get_or_init(|| secret_text::spans(&self.text));
        let from = secrets.partition_point(|secret| secret.start < line_start);
        let of_file = secrets
            .get(..from)
            .and_then(|before| before.last())
            .into_iter()
            .chain(secrets.get(from))
            .filter(|secret| secret.end > line_start && secret.start <= line_start + line.len())
            .map(|secret| secret.start.saturating_sub(line_start));
        let of_line = secret_text::spans(line).into_iter().map(|secret| secret.start);
        of_file.chain(of_line).chain(in_url(line)).min()
    }
}

impl fmt::Debug for Source {
    /// Without the text: it may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// One mistake. Printed as `file:line:column: message`, the line with a mark below it, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mistake {
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The offending text, shortened; a secret is never shown.
    pub text: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The nearest name that would be right.
    pub nearest: Option<String>,
    #[serde(skip)]
    source_line: Arc<str>,
}

impl Mistake {
    /// A mistake at `span` of `source`.
    pub fn at(source: &Source, span: Range<usize>, message: impl Into<String>) -> Mistake {
        let text = &*source.text;
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let (line, line_start, shown) = source.line(start);
        let until = end.min(line_start + shown.length).max(start);
        let offending = text.get(start..until).unwrap_or_default();
        Mistake {
            file: source.path.to_path_buf(),
            line,
            column: text.get(line_start..start).unwrap_or_default().chars().count() + 1,
            message: message.into(),
            text: if shown.hides && end > until {
                format!("{offending}…")
            } else {
                offending.to_owned()
            },
            expected: None,
            nearest: None,
            source_line: shown.text,
        }
    }

    /// A mistake about a whole file or folder.
    pub fn about(file: &Path, message: impl Into<String>) -> Mistake {
        Mistake {
            file: file.to_path_buf(),
            line: 0,
            column: 0,
            message: message.into(),
            text: String::new(),
            expected: None,
            nearest: None,
            source_line: Arc::default(),
        }
    }

    /// Says what would be right.
    pub fn expected(mut self, expected: impl Into<String>) -> Mistake {
        self.expected = Some(expected.into());
        self
    }

    /// Says which of `names` is nearest to `typed`, when one is near.
    pub fn near<'n>(mut self, typed: &str, names: impl IntoIterator<Item = &'n str>) -> Mistake {
        self.nearest = nearest(typed, names).map(str::to_owned);
        self
    }

    /// `file:line:column`, or the file alone.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.display().to_string(),
            line => format!("{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", visible(&self.place()), visible(&self.message))?;
        if self.line > 0 {
            let gutter = self.line.to_string();
            let pad = " ".repeat(gutter.len());
            let before: String = self.source_line.chars().take(self.column - 1).collect();
            let lacking = (self.column - 1).saturating_sub(before.chars().count());
            let indent: String = visible(&before)
                .chars()
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .chain(std::iter::repeat_n(' ', lacking))
                .collect();
            let marks = "^".repeat(visible(&self.text).chars().count().clamp(1, 60));
            write!(
                f,
                "\n {gutter} | {}\n {pad} | {indent}{marks}",
                visible(self.source_line.trim_end())
            )?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "\n   expected {}", visible(expected))?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "\n   did you mean `{nearest}`?")?;
        }
        Ok(())
    }
}

/// A text of a file without what a terminal would obey.
fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// All mistakes of a configuration, in the order of files and lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorts the mistakes; `Ok` when there are none.
    pub fn none_in(mut mistakes: Vec<Mistake>) -> Result<(), Mistakes> {
        if mistakes.is_empty() {
            return Ok(());
        }
        mistakes.sort();
        mistakes.dedup();
        Err(Mistakes(mistakes))
    }

    /// `mistake` alone.
    pub(super) fn one(mistake: Mistake) -> Mistakes {
        Mistakes(vec![mistake])
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// How many, at least 1.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.0 {
            writeln!(f, "{mistake}\n")?;
        }
        write!(
            f,
            "{} mistake{}",
            self.0.len(),
            if self.0.len() == 1 { "" } else { "s" }
        )
    }
}

/// The nearest of `names` to `typed`: at most a third of the letters wrong, or one a beginning of the other.
pub fn nearest<'n>(typed: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.to_ascii_lowercase();
    let allowed = (typed.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let distance = strsim::osa_distance(&typed, &lower);
            let begins =
                typed.len() >= 3 && lower.len() >= 3 && (lower.starts_with(&typed) || typed.starts_with(&lower));
            // Of two that are equally near it is the one that begins alike: first letters are seldom wrong.
            let begins_otherwise = lower.chars().next() != typed.chars().next();
            (distance <= allowed || begins).then_some((distance, begins_otherwise, name))
        })
        .min()
        .map(|(.., name)| name)
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A user name with its password in front of a URL's host.
fn in_url(line: &str) -> Option<usize> {
    line.match_indices("://")
        .map(|(at, sign)| at + sign.len())
        .find(|begin| {
            let rest = line.get(*begin..).unwrap_or_default();
            rest.split(['/', '?', '#', '"', '\''])
                .next()
                .is_some_and(|authority| authority.contains('@'))
        })
}

/// What was typed, as far as a message may show it.
pub fn without_password(typed: &str) -> Cow<'_, str> {
    match in_url(typed).and_then(|at| typed.get(..at)) {
        Some(shown) => Cow::Owned(format!("{shown}…")),
        None => Cow::Borrowed(typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("config/sbc.toml"), text)
    }

    #[test]
    fn a_mistake_is_printed_with_its_place_its_line_and_the_way_out() {
        let source = source("a = 1\nñ = 2 # x\n");
        let at = source.text.find('2').unwrap_or_default();
        let mistake = Mistake::at(&source, at..at + 1, "wrong")
            .expected("3")
            .near("voicemial", ["voicemail", "to"]);
        assert_eq!(
            mistake.to_string(),
            "config/sbc.toml:2:5: wrong\n 2 | ñ = 2 # x\n   |     ^\n   expected 3\n   did you mean `voicemail`?"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let source = source("a\u{1b}[31m = 2\n");
        let at = source.text.find('2').unwrap_or_default();
        let mistake = Mistake::at(&source, at..at + 1, "is no \u{9b}number");
        let expected = "config/sbc.toml:1:10: is no \\u{9b}number\n 1 | a\\u{1b}[31m = 2\n   |               ^";
        assert_eq!(mistake.to_string(), expected);
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let source = source("\u{feff}a = 2\nb = 2\n");
        let at = |needle| {
            let at = source.text.find(needle).unwrap_or_default();
            Mistake::at(&source, at..at + 1, "wrong")
        };
        assert_eq!((at("a").line, at("a").column), (1, 1));
        assert_eq!(
            at("2").to_string(),
            "config/sbc.toml:1:5: wrong\n 1 | a = 2\n   |     ^"
        );
        assert_eq!((at("b").line, at("b").column), (2, 1));
        let begin = Mistake::at(&source, 0..1, "wrong");
        assert_eq!((begin.line, begin.column), (1, 1));
    }

    #[test]
    fn every_place_has_the_line_and_the_column_of_an_editor() {
        let text = "\u{feff}a = 1\r\n\nñ = \"x\"\n\u{1f980}";
        let source = source(text);
        let (mut line, mut column) = (1, 1);
        for (at, c) in text.char_indices() {
            let mistake = Mistake::at(&source, at..at + c.len_utf8(), "wrong");
            assert_eq!((mistake.line, mistake.column), (line, column), "{at}");
            (line, column) = match c {
                '\n' => (line + 1, 1),
                '\u{feff}' => (line, column),
                _ => (line, column + 1),
            };
        }
    }

    /// Whoever scans the text for each reads 40 GB here.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "what is told is timed")]
    fn a_mistake_far_behind_in_a_long_file_costs_no_more_than_one_at_its_beginning() {
        let long = source(&"number = 5\n".repeat(200_000));
        let begin = long.text.len() - 2;
        Mistake::at(&long, begin..begin + 1, "wrong");
        let began = std::time::Instant::now();
        for _ in 0..20_000 {
            assert_eq!(Mistake::at(&long, begin..begin + 1, "wrong").line, 200_000);
        }
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }

    #[test]
    fn a_span_beyond_the_end_is_the_end() {
        let mistake = Mistake::at(&source("a ="), 90..91, "wrong");
        assert_eq!((mistake.line, mistake.column), (1, 4));
    }

    #[test]
    fn a_secret_beside_a_mistake_is_not_printed() {
        for key in [
            "passwrd",
            "password",
            "webhook_secret",
            "token",
            "ha1_md5",
            "ha1_sha256",
            "env_vars.PIN",
        ] {
            let text = format!("x = {{ username = \"x\", password_file = \"f\", {key} = \"hunter2\", realm = 5 }}");
            for needle in [key, "hunter2", "realm", "x =", "{ user"] {
                let at = text.find(needle).unwrap_or_default();
                let mistake = Mistake::at(&source(&text), at..text.len(), "wrong");
                assert!(!format!("{mistake} {mistake:?}").contains("hunter2"), "{mistake:?}");
                assert!(mistake.to_string().contains("password_file = \"f\""), "{mistake}");
            }
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_not_printed() {
        let text = "a = 1\n[application.x.env_vars]\nPIN = \"\"\"\nhunter2\"\"\"\n";
        for line in ["PIN", "hunter2"] {
            let at = text.find(line).unwrap_or_default();
            let mistake = Mistake::at(&source(text), at..text.len(), "wrong");
            assert!(!format!("{mistake} {mistake:?}").contains("hunter2"), "{mistake:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_printed() {
        let text = "hook = \"https://ada:hunter2@app.example/\"";
        let at = text.find('"').unwrap_or_default();
        let mistake = Mistake::at(&source(text), at..text.len(), "wrong");
        assert!(!format!("{mistake} {mistake:?}").contains("hunter2"), "{mistake:?}");
        let text = "password_file = \"secrets/north\"";
        assert!(
            Mistake::at(&source(text), 0..text.len(), "wrong")
                .text
                .contains("north")
        );
    }

    #[test]
    fn names_that_are_near() {
        let names = ["voicemail", "number", "range", "to"];
        assert_eq!(nearest("voicemial", names), Some("voicemail"));
        assert_eq!(nearest("numbers", names), Some("number"));
        assert_eq!(nearest("Range", names), Some("range"));
        assert_eq!(nearest("colour", names), None);
    }
}
