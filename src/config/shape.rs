//! The structural check: a file against its schema, before it is read into types. Every mistake is named, and what is
//! mistaken is taken out of the tree, so that the rest can be read and checked too.

use super::mistake::{Mistake, Source, nearest};
use super::planned;
use super::schema::{FileKind, schema};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a value may look like.
#[derive(Debug)]
enum Shape {
    Table(TableShape),
    List(Box<Shape>),
    /// One of the choices; any text when there are none.
    Text(Vec<String>),
    /// One of the words, or a table.
    WordOrTable(Vec<String>, TableShape),
    Integer {
        min: i64,
        max: i64,
    },
    Flag,
}

#[derive(Debug, Default)]
struct TableShape {
    keys: BTreeMap<String, Shape>,
    required: Vec<String>,
    /// Exactly one of the keys stands there.
    one_key: bool,
    /// Keys are free, their values look like this.
    others: Option<Box<Shape>>,
}

static SBC: LazyLock<TableShape> = LazyLock::new(|| compile_root(&schema(FileKind::Sbc)));
static TENANT: LazyLock<TableShape> = LazyLock::new(|| compile_root(&schema(FileKind::Tenant)));

/// Lists of `sbc.toml` that are read without an entry that can't be: the rest of the file is then still checked.
const READ_IN_PART: [&str; 2] = ["listeners", "carriers"];

/// What was taken out of a file.
#[derive(Debug)]
pub struct Outcome {
    /// A required key is missing, so that the file can't be read into its type.
    pub incomplete: bool,
    pub gaps: Gaps,
}

/// Where something was taken out: what seems to be missing there may only be mistaken.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Lists at the root that lack an entry.
    pub lists: Vec<&'static str>,
    /// Tables that lack a key; the root is `0..0`.
    pub tables: Vec<Range<usize>>,
}

/// Takes out of `table` what does not fit the schema.
pub fn check(kind: FileKind, table: &mut DeTable<'_>, source: &Source, mistakes: &mut Vec<Mistake>) -> Outcome {
    let shape: &TableShape = match kind {
        FileKind::Sbc => &SBC,
        FileKind::Tenant => &TENANT,
    };
    let mut walk = Walk {
        kind,
        source,
        mistakes,
        path: Vec::new(),
        incomplete: false,
        gaps: Gaps::default(),
    };
    walk.table(shape, table, 0..0);
    Outcome {
        incomplete: walk.incomplete,
        gaps: walk.gaps,
    }
}

struct Walk<'w> {
    kind: FileKind,
    source: &'w Source,
    mistakes: &'w mut Vec<Mistake>,
    /// Keys from the root; list positions are not in it.
    path: Vec<String>,
    incomplete: bool,
    gaps: Gaps,
}

impl Walk<'_> {
    fn table(&mut self, shape: &TableShape, table: &mut DeTable<'_>, place: Range<usize>) {
        let mut out = Vec::new();
        let required = |name: &str| shape.required.iter().any(|required| required == name);
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let fits = match shape.keys.get(name).or(shape.others.as_deref()) {
                Some(shape) => {
                    self.path.push(name.to_owned());
                    let empty = is_empty_list(value);
                    let fits = self.value(shape, value);
                    self.path.pop();
                    // A list of which nothing is left was not meant to be empty.
                    fits && (empty || required(name) || !is_empty_list(value))
                }
                None => {
                    self.unknown(shape, name, key.span());
                    false
                }
            };
            if !fits {
                out.push(name.to_owned());
            }
        }
        for required in &shape.required {
            // One that is present but wrong has its mistake already.
            if !table.contains_key(required.as_str()) {
                let owner = self.owner();
                let mistake = Mistake::at(self.source, place.clone(), format!("{owner} has no `{required}`"));
                let expected = shape
                    .keys
                    .get(required)
                    .map(|shape| format!("`{required}`, {}", shape.describe()));
                self.mistakes.push(match expected {
                    Some(expected) => mistake.expected(expected),
                    None => mistake,
                });
                self.incomplete = true;
            } else if out.contains(required) {
                self.incomplete = true;
            }
        }
        if out.iter().any(|name| shape.keys.contains_key(name)) {
            self.gaps.tables.push(place);
        }
        for name in out {
            table.remove(name.as_str());
        }
    }

    fn owner(&self) -> String {
        match (self.path.last(), self.kind) {
            (Some(name), _) => format!("`{name}`"),
            (None, FileKind::Sbc) => "sbc.toml".to_owned(),
            (None, FileKind::Tenant) => "the tenant".to_owned(),
        }
    }

    fn unknown(&mut self, shape: &TableShape, name: &str, span: Range<usize>) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mistake = match planned::key(self.kind, &path, name) {
            Some(reason) => Mistake::at(self.source, span, format!("`{name}` can't be used yet: {reason}")),
            None => {
                let names = shape.keys.keys().map(String::as_str);
                let mistake = Mistake::at(self.source, span, format!("unknown key `{name}`")).near(name, names.clone());
                match (&mistake.nearest, shape.inside(name)) {
                    (Some(_), _) => mistake,
                    (None, Some((place, inner))) => mistake.expected(format!("`{inner}` under {place}")),
                    (None, None) => mistake.expected(one_of(names, "")),
                }
            }
        };
        self.mistakes.push(mistake);
    }

    /// Whether the item of a list may stay.
    fn item(&mut self, shape: &Shape, item: &mut Spanned<DeValue<'_>>) -> bool {
        let in_part = match (self.kind, self.path.as_slice()) {
            (FileKind::Sbc, [list]) => READ_IN_PART.into_iter().find(|name| name == list),
            _ => None,
        };
        let Some(list) = in_part else {
            return self.value(shape, item);
        };
        let incomplete = std::mem::take(&mut self.incomplete);
        let fits = self.value(shape, item) && !self.incomplete;
        self.incomplete = incomplete;
        if !fits && !self.gaps.lists.contains(&list) {
            self.gaps.lists.push(list);
        }
        fits
    }

    /// Whether the value may stay.
    fn value(&mut self, shape: &Shape, value: &mut Spanned<DeValue<'_>>) -> bool {
        let span = value.span();
        match (shape, value.get_mut()) {
            (Shape::Table(shape), DeValue::Table(table)) => {
                self.table(shape, table, span);
                true
            }
            (Shape::List(shape), DeValue::Array(list)) => {
                let items = std::mem::replace(list, std::iter::empty().collect());
                *list = items
                    .into_iter()
                    .filter_map(|mut item| self.item(shape, &mut item).then_some(item))
                    .collect();
                true
            }
            (Shape::WordOrTable(_, shape), DeValue::Table(table)) => {
                let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
                let planned = |name: &str| planned::key(self.kind, &path, name).is_some();
                // What is planned would be the word's place; that something else is missing there is no help.
                if let Some((key, _)) = table.iter().find(|(key, _)| planned(key.get_ref())) {
                    self.unknown(shape, key.get_ref(), key.span());
                    return false;
                }
                let incomplete = std::mem::take(&mut self.incomplete);
                let before = self.mistakes.len();
                self.table(shape, table, span.clone());
                if shape.one_key && table.len() != 1 {
                    if self.mistakes.len() == before {
                        let message = format!("{} has {} keys", self.owner(), table.len());
                        let expected = format!("one of {}", one_of(shape.keys.keys().map(String::as_str), ""));
                        self.mistakes
                            .push(Mistake::at(self.source, span, message).expected(expected));
                    }
                    self.incomplete = incomplete;
                    return false;
                }
                !std::mem::replace(&mut self.incomplete, incomplete)
            }
            (Shape::Text(choices) | Shape::WordOrTable(choices, _), DeValue::String(text)) => {
                let fits = choices.is_empty() || choices.iter().any(|choice| choice == text);
                if !fits {
                    let key = self.path.last().map(String::as_str).unwrap_or_default();
                    let names = choices.iter().map(String::as_str);
                    let mistake = Mistake::at(self.source, span, format!("`{key}` can't be {text:?}"))
                        .expected(shape.describe())
                        .near(text, names);
                    self.mistakes.push(mistake);
                }
                fits
            }
            (Shape::Integer { min, max }, DeValue::Integer(number)) => {
                let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let fits = value.is_some_and(|value| (*min..=*max).contains(&value));
                if !fits {
                    self.wrong(shape, span, &number.to_string());
                }
                fits
            }
            (Shape::Flag, DeValue::Boolean(_)) => true,
            (_, value) => {
                let found = kind_of(value);
                self.wrong(shape, span, found);
                false
            }
        }
    }

    fn wrong(&mut self, shape: &Shape, span: Range<usize>, found: &str) {
        let key = self.path.last().map(String::as_str).unwrap_or_default();
        let mistake = Mistake::at(self.source, span, format!("`{key}` can't be {found}"));
        self.mistakes.push(mistake.expected(shape.describe()));
    }
}

fn is_empty_list(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Array(list) if list.is_empty())
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

/// `a`, `b` or `c`.
fn one_of<'n>(names: impl Iterator<Item = &'n str>, quote: &str) -> String {
    let names: Vec<String> = names.map(|name| format!("{quote}{name}{quote}")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl TableShape {
    /// A key near to `name` in one of the tables directly below, and that table as it is written.
    fn inside(&self, name: &str) -> Option<(String, &str)> {
        self.keys.iter().find_map(|(below, shape)| {
            let (table, place) = match shape {
                Shape::Table(table) => (table, format!("[{below}]")),
                Shape::List(items) => match &**items {
                    Shape::Table(table) => (table, format!("[[{below}]]")),
                    _ => return None,
                },
                _ => return None,
            };
            Some((place, nearest(name, table.keys.keys().map(String::as_str))?))
        })
    }
}

impl Shape {
    /// In words that finish "expected …".
    fn describe(&self) -> String {
        match self {
            Shape::Table(_) => "a table".to_owned(),
            Shape::List(items) => match &**items {
                Shape::Table(_) => "a list of tables".to_owned(),
                Shape::Text(choices) if choices.is_empty() => "a list of texts in quotes".to_owned(),
                items => format!("a list, each {}", items.describe()),
            },
            Shape::Text(choices) if choices.is_empty() => "a text in quotes".to_owned(),
            Shape::Text(choices) => one_of(choices.iter().map(String::as_str), "\""),
            Shape::WordOrTable(choices, table) => {
                let keys = one_of(table.keys.keys().map(String::as_str), "");
                let words = Shape::Text(choices.clone()).describe();
                format!("{words}, or a table with {keys}")
            }
            Shape::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Shape::Flag => "true or false".to_owned(),
        }
    }
}

fn compile_root(schema: &Value) -> TableShape {
    match compile(schema, schema) {
        Shape::Table(table) => table,
        _ => TableShape::default(),
    }
}

fn compile(schema: &Value, root: &Value) -> Shape {
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
    {
        return compile(target, root);
    }
    let number = |key: &str, default: i64| {
        schema
            .get(key)
            .and_then(Value::as_f64)
            .map_or(default, |value| value as i64)
    };
    if let Some(forms) = schema.get("oneOf").and_then(Value::as_array) {
        let mut words = Vec::new();
        let mut table = TableShape::default();
        for form in forms {
            match compile(form, root) {
                Shape::Text(choices) => words.extend(choices),
                Shape::Table(shape) if table.keys.is_empty() => table = shape,
                Shape::Table(shape) => {
                    // Several forms of a table with one key each are one table with one of the keys.
                    table.keys.extend(shape.keys);
                    table.required.clear();
                    table.one_key = true;
                }
                _ => {}
            }
        }
        return Shape::WordOrTable(words, table);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Shape::Table(TableShape {
            keys: members(schema, "properties")
                .map(|(key, value)| (key.clone(), compile(value, root)))
                .collect(),
            required: texts(schema, "required"),
            one_key: false,
            others: schema
                .get("additionalProperties")
                .filter(|others| others.is_object())
                .map(|others| Box::new(compile(others, root))),
        }),
        Some("array") => Shape::List(Box::new(
            schema
                .get("items")
                .map_or(Shape::Text(Vec::new()), |items| compile(items, root)),
        )),
        Some("integer") => Shape::Integer {
            min: number("minimum", 0),
            max: number("maximum", i64::from(u32::MAX)),
        },
        Some("boolean") => Shape::Flag,
        _ => Shape::Text(texts(schema, "enum")),
    }
}

fn members<'s>(schema: &'s Value, key: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn texts(schema: &Value, key: &str) -> Vec<String> {
    let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
