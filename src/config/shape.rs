//! What the values of a file may look like: its schema, compiled for the structural check.

use super::mistake::nearest;
use super::raw::{SIZE, TIME};
use super::schema::{FileKind, schema};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a value may look like.
#[derive(Debug)]
pub enum Shape {
    Table(TableShape),
    List(Box<Shape>),
    /// One of the choices; any text when there are none.
    Text(Vec<String>),
    /// A text with a number and a unit, of which this is the usual one.
    Quantity(&'static str),
    /// One of the words (any text when there are none), or a table.
    WordOrTable(Vec<String>, TableShape),
    Integer(Bounds),
    Flag,
}

#[derive(Debug, Default)]
pub struct TableShape {
    pub keys: BTreeMap<String, Shape>,
    pub required: Vec<String>,
    /// Exactly one of the keys stands there.
    pub one_key: bool,
    /// Keys are free, their values look like this.
    pub others: Option<Box<Shape>>,
}

/// The least and the greatest number, both included.
#[derive(Debug)]
pub struct Bounds {
    pub min: i64,
    pub max: i64,
    /// The two as TOML.
    pub written: [String; 2],
}

static SBC: LazyLock<TableShape> = LazyLock::new(|| compile_root(&schema(FileKind::Sbc)));
static TENANT: LazyLock<TableShape> = LazyLock::new(|| compile_root(&schema(FileKind::Tenant)));

/// The root of a file.
pub fn root(kind: FileKind) -> &'static TableShape {
    match kind {
        FileKind::Sbc => &SBC,
        FileKind::Tenant => &TENANT,
    }
}

/// `a`, `b` or `c`.
pub fn one_of<'n>(names: impl Iterator<Item = &'n str>, quote: &str) -> String {
    let names: Vec<String> = names.map(|name| format!("{quote}{name}{quote}")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl TableShape {
    /// A key near to `name` in one of the tables directly below, and that table as it is written.
    pub fn inside(&self, name: &str) -> Option<(String, &str)> {
        self.keys.iter().find_map(|(below, shape)| {
            let (table, is_list) = shape.table()?;
            let place = if is_list {
                format!("[[{below}]]")
            } else {
                format!("[{below}]")
            };
            Some((place, nearest(name, table.keys.keys().map(String::as_str))?))
        })
    }

    /// Whether `name` has a single value here, and is no table.
    pub fn has_value(&self, name: &str) -> bool {
        self.keys.get(name).is_some_and(|shape| shape.table().is_none())
    }

    /// The tables somewhere below that have the key `name`, as they are written.
    pub fn homes(&self, name: &str) -> Vec<String> {
        let mut homes = Vec::new();
        self.find_homes(name, "", &mut homes);
        homes
    }

    fn find_homes(&self, name: &str, above: &str, homes: &mut Vec<String>) {
        let named = self.keys.iter().map(|(key, shape)| (key.as_str(), shape));
        let free = self.others.iter().map(|shape| ("<name>", &**shape));
        for (key, shape) in named.chain(free) {
            let Some((table, is_list)) = shape.table() else {
                continue;
            };
            let path = format!("{above}{key}");
            if table.has_value(name) {
                homes.push(if is_list {
                    format!("[[{path}]]")
                } else {
                    format!("[{path}]")
                });
            }
            table.find_homes(name, &format!("{path}."), homes);
        }
    }
}

impl Shape {
    /// The table of a header, and whether it is one of a list.
    fn table(&self) -> Option<(&TableShape, bool)> {
        match self {
            Shape::Table(table) => Some((table, false)),
            Shape::List(items) => items.table().map(|(table, _)| (table, true)),
            _ => None,
        }
    }

    /// In words that finish "expected …".
    pub fn describe(&self) -> String {
        match self {
            Shape::Table(_) => "a table".to_owned(),
            Shape::List(items) => match &**items {
                Shape::Table(_) => "a list of tables".to_owned(),
                Shape::Text(choices) if choices.is_empty() => "a list of texts in quotes".to_owned(),
                items => format!("a list, each {}", items.describe()),
            },
            Shape::Text(choices) if choices.is_empty() => "a text in quotes".to_owned(),
            Shape::Quantity(_) => "a text in quotes".to_owned(),
            Shape::Text(choices) => one_of(choices.iter().map(String::as_str), "\""),
            Shape::WordOrTable(choices, table) => {
                let keys = one_of(table.keys.keys().map(String::as_str), "");
                let words = Shape::Text(choices.clone()).describe();
                format!("{words}, or a table with {keys}")
            }
            Shape::Integer(Bounds { min, max, .. }) => format!("a whole number from {min} to {max}"),
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
        Some("integer") => {
            let (min, max) = (number("minimum", 0), number("maximum", i64::from(u32::MAX)));
            let written = [min, max].map(|number| number.to_string());
            Shape::Integer(Bounds { min, max, written })
        }
        Some("boolean") => Shape::Flag,
        _ => match schema.get("pattern").and_then(Value::as_str) {
            Some(TIME) => Shape::Quantity("s"),
            Some(SIZE) => Shape::Quantity("MB"),
            _ => Shape::Text(texts(schema, "enum")),
        },
    }
}

fn members<'s>(schema: &'s Value, key: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn texts(schema: &Value, key: &str) -> Vec<String> {
    let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
