//! Reads Rust source far enough to know which paths it names: comments, strings and `#[cfg(test)]` items left out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file under `src/`.
pub struct SourceFile {
    /// Relative to `src/`, with `/`: `sip/flow.rs`.
    pub name: String,
    pub text: String,
    /// Only tests compile it: `tests.rs`, `tests/…`, and what a `#[cfg(test)] mod …;` declares.
    pub is_test: bool,
}

impl SourceFile {
    /// The room it belongs to: `sip` for `sip/flow.rs`, `moment` for `moment.rs`.
    pub fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// A file read from `text`.
    pub fn new(name: &str, text: &str) -> SourceFile {
        let is_test = name.split('/').any(|part| part == "tests" || part == "tests.rs");
        SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
            is_test,
        }
    }

    /// The modules that it declares for tests alone, as names under `src/` without `.rs`.
    pub fn test_modules(&self) -> Vec<String> {
        let folder = match self.name.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            None => String::new(),
            Some(_) => format!("{}/", self.name.trim_end_matches(".rs")),
        };
        let tokens = tokens(&self.text);
        let mut modules = Vec::new();
        for (i, window) in tokens.windows(TEST_MARKER.len()).enumerate() {
            let after = &tokens[i + TEST_MARKER.len()..];
            let is_marker = window.iter().zip(TEST_MARKER).all(|(token, sign)| token.text == *sign);
            if let (true, [keyword, name, ..]) = (is_marker, after)
                && keyword.text == "mod"
            {
                modules.push(format!("{folder}{}", name.text));
            }
        }
        modules
    }

    /// How many modules deep it stands: `sip/mod.rs` 1, `sip/flow.rs` 2.
    fn depth(&self) -> usize {
        let parts = self.name.split('/').count();
        if self.name.ends_with("mod.rs") || self.name == "lib.rs" {
            parts - 1
        } else {
            parts
        }
    }
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src/`, by name.
pub fn all() -> Vec<SourceFile> {
    let src = root().join("src");
    let mut files = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                files.push(SourceFile::new(&relative(&entry, &src), &text));
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let modules: Vec<String> = files.iter().flat_map(SourceFile::test_modules).collect();
    for file in &mut files {
        let within =
            |module: &String| file.name == format!("{module}.rs") || file.name.starts_with(&format!("{module}/"));
        file.is_test |= modules.iter().any(within);
    }
    assert!(files.len() > 10, "the walker must see the sources");
    files
}

fn relative(path: &Path, base: &Path) -> String {
    let parts = path
        .strip_prefix(base)
        .unwrap()
        .iter()
        .map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// One path in the source: `crate::sip::Transport` as its segments, `*` for a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    pub line: usize,
    pub segments: Vec<String>,
}

/// Every path that `file` names, `use` trees unfolded, `super` climbed to `crate` where it gets there, aliases of `use`
/// replaced by what they stand for. `with_tests`: `#[cfg(test)]` items too.
pub fn paths(file: &SourceFile, with_tests: bool) -> Vec<NamedPath> {
    let mut tokens = tokens(&file.text);
    if !with_tests {
        tokens = without_tests(tokens);
    }
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        found: Vec::new(),
        aliases: HashMap::new(),
    };
    reader.read(file.depth());
    let Reader { found, aliases, .. } = reader;
    let unalias = |mut path: NamedPath| {
        if let Some(meaning) = path.segments.first().and_then(|first| aliases.get(first)) {
            path.segments.splice(0..1, meaning.iter().cloned());
        }
        path
    };
    found.into_iter().map(unalias).collect()
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    line: usize,
    /// A word, `::`, or one sign.
    text: String,
}

fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut i, mut line) = (Vec::new(), 0, 1);
    while i < text.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < text.len() && at(i) != '\n' {
                    i += 1
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= text.len() {
                        break;
                    }
                }
            }
            '"' => i = end_of_string(&text, i),
            '\'' => {
                let is_char = at(i + 1) == '\\' || at(i + 2) == '\'';
                i += 1;
                if is_char {
                    i += if at(i) == '\\' { 2 } else { 1 };
                    while i < text.len() && at(i) != '\'' {
                        i += 1
                    }
                    i += 1;
                }
            }
            'r' | 'b' | 'c' if raw_string(&text, i).is_some() => i = raw_string(&text, i).unwrap_or(text.len()),
            'r' if at(i + 1) == '#' && word(at(i + 2)) => i += 2,
            c if word(c) => {
                while word(at(i)) {
                    i += 1
                }
                tokens.push(Token {
                    line,
                    text: text[start..i].iter().collect(),
                });
            }
            ':' if at(i + 1) == ':' => {
                tokens.push(Token {
                    line,
                    text: "::".into(),
                });
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { line, text: c.into() });
                }
                i += 1;
            }
        }
        line += text[start..i.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_string(text: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The end of a raw string that starts here, if one does: `r"…"`, `br##"…"##`.
fn raw_string(text: &[char], start: usize) -> Option<usize> {
    let mut i = start;
    while matches!(text.get(i), Some('b' | 'c')) {
        i += 1
    }
    if text.get(i) != Some(&'r') || i > start + 1 {
        return None;
    }
    i += 1;
    let hashes = text[i..].iter().take_while(|c| **c == '#').count();
    i += hashes;
    if text.get(i) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = i + 1;
    (body..text.len())
        .find(|i| text[*i..].starts_with(&end))
        .map(|i| i + end.len())
}

const TEST_MARKER: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let marker = TEST_MARKER;
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        let is_marker = tokens.len() - i >= marker.len() && (0..marker.len()).all(|k| tokens[i + k].text == marker[k]);
        if !is_marker {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        // The item ends with its braces, or with a semicolon outside all brackets.
        let mut depth = 0i32;
        i += marker.len();
        while i < tokens.len() {
            match tokens[i].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 && matches!(tokens[i].text.as_str(), "}" | ";");
            i += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<NamedPath>,
    aliases: HashMap<String, Vec<String>>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn is_word(&self) -> bool {
        self.text(0)
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
    }

    fn read(&mut self, file_depth: usize) {
        let mut braces = 0usize;
        // Brace levels at which inline modules opened.
        let mut inline: Vec<usize> = Vec::new();
        let mut in_use = false;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "{" => braces += 1,
                "}" => {
                    braces = braces.saturating_sub(1);
                    if inline.last() == Some(&braces) {
                        inline.pop();
                    }
                }
                "mod" if self.text(2) == "{" => inline.push(braces),
                "use" => in_use = true,
                ";" => in_use = false,
                "::" => {}
                _ if self.is_word() => {
                    let field = self.at > 0 && self.tokens[self.at - 1].text == ".";
                    if !field {
                        self.path(Vec::new(), file_depth + inline.len(), in_use);
                        continue;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads one path or `use` tree from here on; `before` are the segments already read.
    fn path(&mut self, before: Vec<String>, depth: usize, in_use: bool) {
        let line = self.tokens[self.at].line;
        let mut segments = before;
        loop {
            if self.is_word() || self.text(0) == "*" {
                segments.push(self.text(0).to_owned());
                self.at += 1;
            } else if self.text(0) == "{" && in_use {
                self.at += 1;
                while self.at < self.tokens.len() && self.text(0) != "}" {
                    if self.is_word() || matches!(self.text(0), "*" | "{") {
                        self.path(segments.clone(), depth, in_use);
                    } else {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            if self.text(0) != "::" {
                break;
            }
            self.at += 1;
            if !(self.is_word() || self.text(0) == "*" || (self.text(0) == "{" && in_use)) {
                break;
            }
        }
        let segments = climbed(segments, depth);
        if in_use && segments.len() > 1 {
            let alias = if self.text(0) == "as" {
                self.text(1)
            } else {
                segments.last().map_or("", String::as_str)
            };
            // `use std::fmt::{self}` names the module itself.
            let (alias, meaning) = match alias {
                "self" => (
                    segments[segments.len() - 2].clone(),
                    segments[..segments.len() - 1].to_vec(),
                ),
                other => (other.to_owned(), segments.clone()),
            };
            self.aliases.insert(alias, meaning);
        }
        if segments.len() > 1 {
            self.found.push(NamedPath { line, segments });
        }
    }
}

/// `super::super::net` two modules deep is `crate::net`.
fn climbed(segments: Vec<String>, depth: usize) -> Vec<String> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    if supers > 0 && supers == depth {
        return std::iter::once("crate".to_owned())
            .chain(segments.into_iter().skip(supers))
            .collect();
    }
    segments
}
