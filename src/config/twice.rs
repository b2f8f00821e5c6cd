//! Where a key stood first that stands in a file twice.

use super::mistake::{Mistake, Source};
use std::collections::HashMap;
use std::ops::Range;

/// Where tables begin and keys stand first: read once for a file, as each of its lines may have a key that was there before.
#[derive(Debug)]
pub struct Firsts<'t> {
    lines: Vec<Line<'t>>,
    /// By name: the index of the line that begins such a table first.
    tables: HashMap<&'t str, usize>,
    /// By section and key.
    keys: HashMap<(usize, &'t str), usize>,
}

#[derive(Debug)]
struct Line<'t> {
    table: Option<Table<'t>>,
    /// Lines that begin with a bracket, this one too, bound what is one table.
    section: usize,
}

/// The head of one.
#[derive(Debug, Clone, Copy)]
struct Table<'t> {
    name: &'t str,
    /// In two brackets: one of many.
    is_list: bool,
}

impl<'t> Firsts<'t> {
    pub fn of(text: &'t str) -> Firsts<'t> {
        let mut firsts = Firsts {
            lines: Vec::new(),
            tables: HashMap::new(),
            keys: HashMap::new(),
        };
        let mut section = 0;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            section += usize::from(line.starts_with('['));
            let table = table(line);
            if let Some(table) = table {
                firsts.tables.entry(table.name).or_insert(index);
            } else if let Some(key) = key(line) {
                firsts.keys.entry((section, key)).or_insert(index);
            }
            firsts.lines.push(Line { table, section });
        }
        firsts
    }

    /// The mistake of a key at `span` that was there before, and where.
    pub fn mistake(&self, source: &Source, span: Range<usize>) -> Mistake {
        let mistake = Mistake::at(source, span, "duplicate key");
        let index = mistake.line.saturating_sub(1);
        let Some(line) = self.lines.get(index) else {
            return mistake;
        };
        let before = |first: Option<&usize>| first.copied().filter(|first| *first < index);
        if let Some(Table { name, is_list }) = line.table {
            let first = before(self.tables.get(name));
            let head = first.and_then(|first| Some((first + 1, self.lines.get(first)?.table?.is_list)));
            return match head {
                Some((first, was_list)) if was_list == is_list => {
                    mistake.expected(format!("one table `{name}`, which begins in line {first}"))
                }
                Some((first, _)) => {
                    mistake.expected(format!("`[[{name}]]` in front of each, here and in line {first}"))
                }
                None => mistake,
            };
        }
        // Within the same table.
        let expected = match before(self.keys.get(&(line.section, mistake.text.as_str()))) {
            Some(first) => format!("each key once; the first is in line {}", first + 1),
            None => "each key once".to_owned(),
        };
        mistake.expected(expected)
    }
}

fn table(line: &str) -> Option<Table<'_>> {
    let list = line.strip_prefix("[[").and_then(|rest| rest.split_once("]]"));
    let one = || line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, is_list) = match list {
        Some((name, _)) => (name, true),
        None => (one()?.0, false),
    };
    let name = name.trim();
    Some(Table { name, is_list })
}

/// The key that a line begins with, up to its first dot.
fn key(line: &str) -> Option<&str> {
    let end = match line.chars().next()? {
        quote @ ('"' | '\'') => quoted(line, quote)?,
        _ => line.find(['=', '.'])?,
    };
    let (key, rest) = line.split_at_checked(end)?;
    rest.trim_start().starts_with(['=', '.']).then(|| key.trim_end())
}

/// Where the quoted name ends that `line` begins with.
fn quoted(line: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let is_end = |(_, c): &(usize, char)| {
        let is_end = *c == quote && !escaped;
        escaped = quote == '"' && *c == '\\' && !escaped;
        is_end
    };
    line.char_indices().skip(1).find(is_end).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What is expected instead of the last `key` of a text.
    fn expected(text: &str, key: &str) -> Option<String> {
        let source = Source::new(Path::new("sbc.toml"), text);
        let at = text.rfind(key).expect("it is there");
        Firsts::of(text).mistake(&source, at..at + key.len()).expected
    }

    #[test]
    fn keys_are_told_apart_by_their_tables_and_whole_names() {
        let first = |line: usize| Some(format!("each key once; the first is in line {line}"));
        assert_eq!(expected("a = 1\nab = 2\n a= 3", "a"), first(1));
        assert_eq!(expected("a = 1\n[t]\nb = 1\na = 1\na.x = 1", "a"), first(4));
        assert_eq!(expected("\"a.b\" = 1\na = 2\n\"a.b\" = 3", "\"a.b\""), first(1));
        let escaped = r#""a\"=b""#;
        assert_eq!(expected(&format!("{escaped} = 1\n{escaped} = 3"), escaped), first(1));
        assert_eq!(expected("'a=' = 1\n'a='.x = 3", "'a='"), first(1));
        let nowhere = Some("each key once".to_owned());
        assert_eq!(expected("a = 1\n[t]\na = 1", "a"), nowhere);
        assert_eq!(expected("x = { a = 1, a = 2 }", "a"), nowhere);
    }

    #[test]
    fn a_table_that_was_one_of_many_is_told_so() {
        let one = Some("one table `t.u`, which begins in line 1".to_owned());
        assert_eq!(expected("[t.u]\na = 1\n[ t.u ]", "t.u"), one);
        let many = Some("`[[t]]` in front of each, here and in line 2".to_owned());
        assert_eq!(expected("\n[[t]]\n[t]", "t"), many);
        assert_eq!(expected("[t]", "t"), None);
    }

    /// Whoever looks back from each to the beginning of its table reads 4 GB here.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "what is told is timed")]
    fn thousands_of_them_in_one_table_cost_no_more_than_they_are() {
        use crate::config::file::File;
        use crate::config::raw::RawSbc;
        use crate::config::schema::FileKind;
        let text = "number = 5\n".repeat(20_000);
        let began = std::time::Instant::now();
        let file: File<RawSbc> = File::parse(FileKind::Sbc, Source::new(Path::new("sbc.toml"), &text));
        let took = began.elapsed();
        assert_eq!(file.mistakes.len(), 19_999);
        assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    }
}
