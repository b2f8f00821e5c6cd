//! Where a configuration file holds secrets, whatever else is wrong in it: a mistake beside one must not print it.
//!
//! Which keys hold one is what the schema says (`writeOnly`), so that a new one can't be forgotten here. A key that
//! nobody knows hides its value when its name is near to one of theirs.

use super::mistake::nearest;
use super::schema::{FileKind, schema};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

/// Parts of names that people give to secrets.
const WORDS: [&str; 5] = ["passw", "secret", "pwd", "token", "ha1"];

/// The names of all keys.
#[derive(Debug, Default)]
struct Names {
    /// Keys whose value is a secret.
    texts: BTreeSet<String>,
    /// Keys of tables with free names, whose values all are secrets.
    tables: BTreeSet<String>,
    /// All others.
    others: BTreeSet<String>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut names = Names::default();
    for kind in [FileKind::Sbc, FileKind::Tenant] {
        names.gather(&schema(kind));
    }
    names
});

impl Names {
    fn gather(&mut self, schema: &Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let kind = match property.get("additionalProperties") {
                _ if is_secret(property) => &mut self.texts,
                Some(value) if is_secret(value) => &mut self.tables,
                _ => &mut self.others,
            };
            kind.insert(name.clone());
        }
        match schema {
            Value::Object(object) => object.values().for_each(|inner| self.gather(inner)),
            Value::Array(list) => list.iter().for_each(|inner| self.gather(inner)),
            _ => {}
        }
    }

    /// Whether what follows this key is hidden.
    fn hides(&self, key: &str) -> bool {
        if self.texts.contains(key) || self.tables.contains(key) {
            return true;
        }
        let lower = key.to_ascii_lowercase();
        let secrets = self.texts.iter().chain(&self.tables).map(String::as_str);
        !self.others.contains(key)
            && (WORDS.iter().any(|word| lower.contains(word)) || nearest(&lower, secrets).is_some())
    }

    /// Whether this is a table of secrets.
    fn hides_table(&self, key: &str) -> bool {
        let near = || nearest(key, self.tables.iter().map(String::as_str)).is_some();
        self.tables.contains(key) || (!self.others.contains(key) && near())
    }
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly").and_then(Value::as_bool) == Some(true)
}

/// Whether the value of this key is a secret, or a table of them.
pub fn holds_secrets(key: &str) -> bool {
    NAMES.texts.contains(key) || NAMES.tables.contains(key)
}

/// Whether what follows this key is hidden, whoever knows the key.
pub fn hides(key: &str) -> bool {
    NAMES.hides(key)
}

/// Whether a text names a key of a secret at all: much faster than parsing it.
pub fn may_hold_secrets(text: &str) -> bool {
    let mut names = NAMES.texts.iter().chain(&NAMES.tables);
    names.any(|name| text.contains(name.as_str()))
}

/// The values of secrets in `text`, which may be a whole file, or a line of one; in order, none within another. More is
/// hidden rather than less where `text` is no TOML.
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan {
        text,
        at: 0,
        depth: 0,
        words: Words::default(),
        value: None,
        section: false,
        found: Vec::new(),
    };
    scan.header();
    while let Some(byte) = scan.text.as_bytes().get(scan.at) {
        scan.token(*byte);
    }
    scan.end_value();
    let mut found = scan.found;
    found.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    found.dedup_by(|inner, outer| inner.end <= outer.end);
    found
}

#[derive(Debug)]
struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Brackets that are open.
    depth: usize,
    words: Words,
    /// The secret that is being read: where it begins, and in how many brackets.
    value: Option<(usize, usize)>,
    /// All values of this section are secrets.
    section: bool,
    found: Vec<Range<usize>>,
}

/// What was read since the last sign that parts keys and values.
#[derive(Debug, Default)]
struct Words {
    /// One of them names a secret.
    secret: bool,
    /// The last one does, without quotes, and no dot came since: whatever comes next lacks its `=`.
    waits: bool,
}

impl<'t> Scan<'t> {
    fn token(&mut self, byte: u8) {
        match byte {
            b'"' | b'\'' => return self.string(),
            b'#' => return self.comment(),
            b'.' => self.words.waits = false,
            // The colon is of whoever thinks of YAML.
            b'=' | b':' => {
                if self.words.secret || self.section {
                    self.begin_value(self.at + 1);
                }
                self.words = Words::default();
            }
            b',' | b'\n' => self.end_of_value(),
            b'[' | b'{' => {
                self.words = Words::default();
                self.depth += 1;
            }
            b']' | b'}' => {
                self.end_of_value();
                self.depth = self.depth.saturating_sub(1);
            }
            b' ' | b'\t' | b'\r' => {}
            _ => return self.bare_word(),
        }
        self.at += 1;
        if byte == b'\n' {
            self.header();
        }
    }

    fn begin_value(&mut self, at: usize) {
        if self.value.is_none() {
            self.value = Some((at, self.depth));
        }
    }

    /// What stands here parts this value from the next, where it stands in the value's own brackets.
    fn end_of_value(&mut self) {
        self.words = Words::default();
        if self.value.is_some_and(|(_, depth)| self.depth <= depth) {
            self.end_value();
        }
    }

    fn end_value(&mut self) {
        if let Some((begin, _)) = self.value.take() {
            self.found.push(begin..self.at);
        }
    }

    /// A line that begins with a bracket begins a section, if it does not go on with a list; which of them it is does
    /// not matter, as lists hold no keys of their own.
    fn header(&mut self) {
        let line = self.rest().lines().next().unwrap_or_default();
        let Some(name) = line.trim_start().strip_prefix('[') else {
            return;
        };
        let name = name.split(']').next().unwrap_or(name);
        let keys = name.split('.').map(|key| key.trim_matches(['[', ' ', '\t', '"', '\'']));
        self.section = keys.into_iter().any(|key| NAMES.hides_table(key));
    }

    fn comment(&mut self) {
        let begin = self.at;
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        let comment = self.taken(begin).to_ascii_lowercase();
        let names = NAMES.texts.iter().chain(&NAMES.tables).map(String::as_str);
        if self.section || names.chain(WORDS).any(|word| comment.contains(word)) {
            self.found.push(begin + 1..self.at);
        }
    }

    fn bare_word(&mut self) {
        let begin = self.at;
        let parts = |c: char| "=:.,[]{}#\"'".contains(c) || c.is_ascii_whitespace();
        self.at += self.rest().find(parts).unwrap_or(self.rest().len()).max(1);
        let hides = NAMES.hides(self.taken(begin));
        self.word(begin, hides);
        self.words.waits = hides;
    }

    fn string(&mut self) {
        let begin = self.at;
        self.at += string_length(self.rest());
        let hides = NAMES.hides(self.taken(begin).trim_matches(['"', '\'']));
        self.word(begin, hides);
        self.words.waits = false;
    }

    fn word(&mut self, begin: usize, hides: bool) {
        if self.words.waits {
            self.begin_value(begin);
        }
        self.words.secret |= hides;
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn taken(&self, begin: usize) -> &'t str {
        self.text.get(begin..self.at).unwrap_or_default()
    }
}

/// A string from its first quote to the last one, or to the end of the line where that is missing.
fn string_length(text: &str) -> usize {
    let quote = text.get(..1).unwrap_or_default();
    let line = text.find('\n').unwrap_or(text.len());
    let long = quote.repeat(3);
    let (delimiter, within) = match text.starts_with(&long) {
        true => (long.as_str(), text),
        false => (quote, text.get(..line).unwrap_or(text)),
    };
    let mut at = delimiter.len();
    while let Some(rest) = within.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(delimiter) {
            return at + delimiter.len();
        }
        let escaped = usize::from(quote == "\"" && rest.starts_with('\\'));
        at += rest.chars().take(1 + escaped).map(char::len_utf8).sum::<usize>();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> Vec<&str> {
        spans(text)
            .into_iter()
            .map(|span| text.get(span).unwrap_or_default().trim())
            .collect()
    }

    #[test]
    fn the_keys_of_secrets_are_those_of_the_schema() {
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(
            names(&NAMES.texts),
            "ha1_md5 ha1_sha256 password token webhook_secret",
            "a new secret is hidden already; it needs its name in docs/configuration.md"
        );
        assert_eq!(names(&NAMES.tables), "env_vars");
        let page = include_str!("../../docs/configuration.md");
        let sentence = page.split("\n- ").find(|item| item.starts_with("Secrets"));
        for name in NAMES.texts.iter().chain(&NAMES.tables) {
            assert!(
                sentence.is_some_and(|said| said.contains(&format!("`{name}`"))),
                "{name}"
            );
            assert!(!NAMES.others.contains(name), "{name} is a secret here and none there");
        }
    }

    #[test]
    fn values_of_secrets_end_where_the_next_key_begins() {
        assert_eq!(
            hidden(
                "credentials = { username = \"a\", password_file = \"f\", password = \"hunter2\", realm = 5 }\nb = 1"
            ),
            ["\"hunter2\""]
        );
        assert_eq!(hidden("application.x.env_vars.PIN = '1'\nhook = \"u\""), ["'1'"]);
        assert_eq!(
            hidden("env_vars = { A = \"b\", C = \"d\" }\nhook = 1"),
            ["{ A = \"b\", C = \"d\" }"]
        );
        assert_eq!(
            hidden("[application.x.env_vars]\nA = \"b\"\nC = 5\n[application.y]\nsid = \"e\""),
            ["\"b\"", "5"]
        );
        assert_eq!(
            hidden("token = \"\"\"\nhunter2\n\"\"\"\nurl = 1"),
            ["\"\"\"\nhunter2\n\"\"\""]
        );
        assert_eq!(
            hidden("password_env = \"NORTH\"\n[[tokens]]\nsha256 = \"e\""),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn what_is_no_toml_hides_too() {
        for text in [
            "password \"hunter2\"",
            "password: hunter2",
            "password = hunter2",
            "Passwort = \"hunter2\"",
            "tokn = \"hunter2\"",
            "\"token\" = \"hunter2",
            "realm = 5 # the old password was hunter2",
            "sid = \"\"\"x\ntoken = \"hunter2\"",
            "carriers = [\"north\",\n[application.x.env_vars]\nA = \"hunter2\"",
        ] {
            let mut shown = text.to_owned();
            for span in spans(text).into_iter().rev() {
                shown.replace_range(span, "…");
            }
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
    }
}
