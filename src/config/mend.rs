//! The structural check: a file against its schema, before it is read into types. Every mistake is named, and what is
//! mistaken is mended, so that the file can be read and all the rest of it be checked too. A configuration in which
//! something was mended never comes into force.

use super::mistake::{Mistake, Source, nearest};
use super::planned;
use super::schema::FileKind;
use super::secret_text::{hides, holds_secrets};
use super::shape::{self, Bounds, Shape, TableShape, one_of};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// What stands in a file instead of what could not be read, or is not there though it has to be.
#[derive(Debug)]
pub struct Mended {
    /// Values in the text that could not be read; in order, none within another.
    places: Vec<Range<usize>>,
    /// Where the text ends: what is not there has its places behind it.
    end: usize,
    /// Where several things may have been meant: how many, in the order of the walk.
    pub unclear: Vec<usize>,
}

impl Mended {
    /// Nothing of `source`.
    pub fn nothing(source: &Source) -> Mended {
        Mended {
            places: Vec::new(),
            end: source.text.len(),
            unclear: Vec::new(),
        }
    }

    /// Whether what stands at `place` is none of the user's, so that it has its mistake already.
    pub fn covers(&self, place: &Range<usize>) -> bool {
        let before = self.places.partition_point(|mended| mended.start <= place.start);
        let nearest = self.places.get(..before).and_then(<[_]>::last);
        place.start > self.end || (!place.is_empty() && nearest.is_some_and(|mended| place.end <= mended.end))
    }
}

/// Mends `table` so that it fits its type. `meant` says which of the things is taken that may have been meant, for each
/// unclear place; the first where it says nothing. `mistakes` is None where they were told before.
pub fn mend(
    kind: FileKind,
    table: &mut DeTable<'_>,
    source: &Source,
    meant: &[usize],
    mistakes: Option<&mut Vec<Mistake>>,
) -> Mended {
    let mut walk = Walk {
        kind,
        source,
        mistakes,
        told: 0,
        path: Vec::new(),
        meant,
        missing: 0,
        mended: Mended::nothing(source),
    };
    walk.table(shape::root(kind), table, 0..0);
    let mut mended = walk.mended;
    mended.places.sort_by_key(|place| (place.start, Reverse(place.end)));
    mended.places.dedup_by(|inner, outer| inner.end <= outer.end);
    mended
}

struct Walk<'w> {
    kind: FileKind,
    source: &'w Source,
    mistakes: Option<&'w mut Vec<Mistake>>,
    told: usize,
    /// Keys from the root; list positions are not in it.
    path: Vec<String>,
    meant: &'w [usize],
    /// Places behind the text that are taken.
    missing: usize,
    mended: Mended,
}

impl Walk<'_> {
    fn table(&mut self, shape: &'static TableShape, table: &mut DeTable<'_>, place: Range<usize>) {
        let mut unknown = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            match shape.keys.get(name).or(shape.others.as_deref()) {
                Some(shape) => self.under(name, shape, value),
                None => unknown.push(name.to_owned()),
            }
        }
        for name in unknown {
            let Some((key, mut value)) = table.remove_entry(name.as_str()) else {
                continue;
            };
            self.unknown(shape, &name, key.span());
            // A misspelt key is read as the one that it is near to: the rest means what it would mean with that.
            if let Some((meant, shape)) = self.misspelt(shape, &name)
                && !table.contains_key(meant)
            {
                self.under(meant, shape, &mut value);
                table.insert(Spanned::new(key.span(), Cow::Borrowed(meant)), value);
            }
        }
        for required in &shape.required {
            let Some(inner) = shape.keys.get(required) else {
                continue;
            };
            if !table.contains_key(required.as_str()) {
                let message = format!("{} has no `{required}`", self.owner());
                self.tell(place.clone(), message, |mistake| {
                    mistake.expected(format!("`{required}`, {}", inner.describe()))
                });
                let value = self.missing(inner);
                table.insert(Spanned::new(value.span(), Cow::Borrowed(required.as_str())), value);
            }
        }
    }

    fn under(&mut self, name: &str, shape: &'static Shape, value: &mut Spanned<DeValue<'_>>) {
        self.path.push(name.to_owned());
        self.value(shape, value);
        self.path.pop();
    }

    fn owner(&self) -> String {
        match (self.path.last(), self.kind) {
            (Some(name), _) => format!("`{name}`"),
            (None, FileKind::Sbc) => "sbc.toml".to_owned(),
            (None, FileKind::Tenant) => "the tenant".to_owned(),
        }
    }

    fn planned(&self, name: &str) -> Option<&'static str> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        planned::key(self.kind, &path, name)
    }

    fn tell(&mut self, span: Range<usize>, message: String, more: impl FnOnce(Mistake) -> Mistake) {
        self.told += 1;
        if let Some(mistakes) = &mut self.mistakes {
            mistakes.push(more(Mistake::at(self.source, span, message)));
        }
    }

    fn unknown(&mut self, shape: &TableShape, name: &str, span: Range<usize>) {
        match self.planned(name) {
            Some(reason) => self.tell(span, format!("`{name}` can't be used yet: {reason}"), |mistake| mistake),
            None => {
                let names = shape.keys.keys().map(String::as_str);
                let near = match self.is_of_the_root(name) {
                    true => None,
                    false => nearest(name, names.clone()).map(str::to_owned),
                };
                // What stands below a table's head belongs to it, wherever it was meant to.
                let message = match self.path.is_empty() || near.is_some() {
                    true => format!("unknown key `{name}`"),
                    false => format!("unknown key `{name}` under `{}`", self.path.join(".")),
                };
                let homes = shape::root(self.kind).homes(name);
                let expected = match (&near, shape.inside(name)) {
                    (Some(_), _) => None,
                    _ if self.is_of_the_root(name) => Some(format!("`{name}` above the first table of the file")),
                    (None, Some((place, inner))) => Some(format!("`{inner}` under {place}")),
                    (None, None) if (1..4).contains(&homes.len()) => Some(format!(
                        "`{name}` under {}",
                        one_of(homes.iter().map(String::as_str), "")
                    )),
                    (None, None) => Some(one_of(names, "")),
                };
                self.tell(span, message, |mut mistake| {
                    (mistake.expected, mistake.nearest) = (expected, near);
                    mistake
                });
            }
        }
    }

    /// Whether `name`, which stands in a table, is a key of the file itself.
    fn is_of_the_root(&self, name: &str) -> bool {
        !self.path.is_empty() && shape::root(self.kind).has_value(name)
    }

    /// The key that `name` is near to. A secret is taken for nothing that mistakes would print.
    fn misspelt(&self, shape: &'static TableShape, name: &str) -> Option<(&'static str, &'static Shape)> {
        let meant = nearest(name, shape.keys.keys().map(String::as_str))?;
        let prints = hides(name) && !holds_secrets(meant);
        let is_other = prints || self.is_of_the_root(name);
        let meant = shape.keys.get_key_value(meant).filter(|_| !is_other)?;
        self.planned(name).is_none().then_some((meant.0.as_str(), meant.1))
    }

    fn value(&mut self, shape: &'static Shape, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        match (shape, value.get_mut()) {
            (Shape::Table(shape), DeValue::Table(table)) => self.table(shape, table, span),
            (Shape::List(shape), DeValue::Array(list)) => {
                for item in list.iter_mut() {
                    self.value(shape, item);
                }
            }
            (Shape::WordOrTable(words, shape), DeValue::Table(table)) => {
                // What is planned would be the word's place; that something else is missing there is no help.
                let planned = table.iter().find(|(key, _)| self.planned(key.get_ref()).is_some());
                if let Some((name, span)) = planned.map(|(key, _)| (key.get_ref().to_string(), key.span())) {
                    self.unknown(shape, &name, span);
                } else {
                    let before = self.told;
                    self.table(shape, table, span.clone());
                    if !shape.one_key || table.len() == 1 {
                        return;
                    }
                    if self.told == before {
                        let message = format!("{} has {} keys", self.owner(), table.len());
                        let expected = format!("one of {}", one_of(shape.keys.keys().map(String::as_str), ""));
                        self.tell(span, message, |mistake| mistake.expected(expected));
                    }
                }
                let meant = self.word_or_table(words, shape);
                self.replace(value, meant);
            }
            (Shape::Text(words) | Shape::WordOrTable(words, _), DeValue::String(text)) => {
                if words.is_empty() || words.iter().any(|word| word == text) {
                    return;
                }
                let near = nearest(text, words.iter().map(String::as_str));
                let found = format!("{text:?}");
                self.wrong(shape, span, &found, near);
                let meant = match near {
                    Some(word) => DeValue::String(Cow::Borrowed(word)),
                    None => self.instead(shape),
                };
                self.replace(value, meant);
            }
            (Shape::Integer(bounds), DeValue::Integer(number)) => {
                let typed = i128::from_str_radix(number.as_str(), number.radix());
                // What is longer than that is beyond the bounds too.
                let beyond = if number.as_str().starts_with('-') {
                    i128::MIN
                } else {
                    i128::MAX
                };
                let typed = typed.unwrap_or(beyond);
                let [min, max] = &bounds.written;
                let meant = match typed {
                    below if below < i128::from(bounds.min) => min,
                    above if above > i128::from(bounds.max) => max,
                    _ => return,
                };
                let found = number.to_string();
                self.wrong(shape, span, &found, None);
                self.replace(value, integer(meant));
            }
            (Shape::Flag, DeValue::Boolean(_)) | (Shape::Quantity(_), DeValue::String(_)) => {}
            (_, found) => {
                let meant = self.other_form(shape, found, span.start);
                self.wrong(shape, span, kind_of(found), meant.as_deref());
                if !self.wraps(shape, value) {
                    let meant = self.instead(shape);
                    self.replace(value, meant);
                }
            }
        }
    }

    /// The same in the form that it should have: a number with a unit, a table of a list.
    fn other_form(&self, shape: &Shape, found: &DeValue<'_>, start: usize) -> Option<String> {
        match (shape, found) {
            (Shape::Quantity(unit), DeValue::Integer(number)) => {
                let plain = number.radix() == 10 && !number.as_str().starts_with(['-', '+']);
                plain.then(|| format!("\"{number}{unit}\""))
            }
            (Shape::List(items), DeValue::Table(_)) if matches!(**items, Shape::Table(_)) => {
                let has_head = self.source.text.get(start..)?.starts_with('[');
                has_head.then(|| format!("[[{}]]", self.path.join(".")))
            }
            _ => None,
        }
    }

    /// One thing instead of a list of it, or a list of one table instead of the table: what the user wrote stays.
    fn wraps(&mut self, shape: &'static Shape, value: &mut Spanned<DeValue<'_>>) -> bool {
        match (shape, value.get_mut()) {
            (Shape::List(items), single) if is_like(items, single) => {
                self.value(items, value);
                let item = Spanned::new(
                    value.span(),
                    std::mem::replace(value.get_mut(), DeValue::Boolean(false)),
                );
                *value.get_mut() = DeValue::Array(std::iter::once(item).collect());
                true
            }
            (Shape::Table(_), DeValue::Array(list)) if list.len() == 1 => {
                let Some(only) = list.iter_mut().next().filter(|only| is_like(shape, only.get_ref())) else {
                    return false;
                };
                let only = std::mem::replace(only.get_mut(), DeValue::Boolean(false));
                *value.get_mut() = only;
                self.value(shape, value);
                true
            }
            _ => false,
        }
    }

    fn wrong(&mut self, shape: &Shape, span: Range<usize>, found: &str, near: Option<&str>) {
        let key = self.path.last().map(String::as_str).unwrap_or_default();
        let message = format!("`{key}` can't be {found}");
        self.tell(span, message, |mistake| {
            let mut mistake = mistake.expected(shape.describe());
            mistake.nearest = near.map(str::to_owned);
            mistake
        });
    }

    fn replace<'v>(&mut self, value: &mut Spanned<DeValue<'v>>, meant: DeValue<'v>) {
        self.mended.places.push(value.span());
        *value.get_mut() = meant;
    }

    /// What stands where nothing is.
    fn missing(&mut self, shape: &'static Shape) -> Spanned<DeValue<'static>> {
        self.missing += 1;
        let start = self.mended.end + self.missing;
        let value = self.instead(shape);
        Spanned::new(start..start + 1, value)
    }

    /// A value of which nobody can tell anything: an empty text, which is no name, number or address; a list that has
    /// something in it; a table with all its keys; any of the choices where there are some, and of two numbers or flags.
    fn instead(&mut self, shape: &'static Shape) -> DeValue<'static> {
        match shape {
            Shape::Table(shape) => DeValue::Table(self.whole(shape)),
            Shape::List(items) => DeValue::Array(std::iter::once(self.missing(items)).collect()),
            Shape::Text(words) => self.word(words),
            Shape::Quantity(_) => self.word(&[]),
            Shape::WordOrTable(words, shape) => self.word_or_table(words, shape),
            Shape::Integer(Bounds { written, .. }) => {
                self.choose(written).map_or_else(|| integer("0"), |text| integer(text))
            }
            Shape::Flag => DeValue::Boolean(self.choose(&[false, true]).copied().unwrap_or_default()),
        }
    }

    fn whole(&mut self, shape: &'static TableShape) -> DeTable<'static> {
        let unnamed = String::new();
        let free = shape.others.as_deref().map(|shape| (unnamed, shape));
        let keys = shape.keys.iter().map(|(key, shape)| (key.clone(), shape));
        let mut table = DeTable::new();
        for (key, shape) in keys.chain(free) {
            let value = self.missing(shape);
            table.insert(Spanned::new(value.span(), Cow::Owned(key)), value);
        }
        table
    }

    fn word(&mut self, words: &'static [String]) -> DeValue<'static> {
        DeValue::String(Cow::Borrowed(self.choose(words).map_or("", String::as_str)))
    }

    fn word_or_table(&mut self, words: &'static [String], shape: &'static TableShape) -> DeValue<'static> {
        if words.is_empty() {
            return self.word(words);
        }
        let mut forms: Vec<Form> = words.iter().map(|word| Form::Word(word)).collect();
        match shape.one_key {
            true => forms.extend(shape.keys.iter().map(|(key, shape)| Form::Key(key, shape))),
            false => forms.push(Form::Table),
        }
        match self.choose(&forms) {
            Some(Form::Word(word)) => DeValue::String(Cow::Borrowed(*word)),
            Some(Form::Key(key, shape)) => {
                let value = self.missing(shape);
                let mut table = DeTable::new();
                table.insert(Spanned::new(value.span(), Cow::Borrowed(*key)), value);
                DeValue::Table(table)
            }
            Some(Form::Table) | None => DeValue::Table(self.whole(shape)),
        }
    }

    /// One of the choices: the place is unclear where there are several.
    fn choose<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        if choices.len() < 2 {
            return choices.first();
        }
        let chosen = self.meant.get(self.mended.unclear.len()).copied().unwrap_or(0);
        self.mended.unclear.push(choices.len());
        choices.get(chosen % choices.len())
    }
}

/// What may stand where a word or a table does.
enum Form {
    Word(&'static str),
    /// A table with this key alone.
    Key(&'static str, &'static Shape),
    Table,
}

fn is_like(shape: &Shape, value: &DeValue<'_>) -> bool {
    matches!(
        (shape, value),
        (Shape::Table(_), DeValue::Table(_))
            | (Shape::Text(_) | Shape::Quantity(_), DeValue::String(_))
            | (Shape::Integer(_), DeValue::Integer(_))
    )
}

fn integer(written: &'static str) -> DeValue<'static> {
    DeValue::parse(written).map_or_else(|_| DeValue::Integer(DeInteger::default()), Spanned::into_inner)
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
