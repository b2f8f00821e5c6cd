//! Reading an object of an application property by property: every mistake names its place, and a property that nobody
//! knows names the nearest one.

use super::hook::{Hook, read_hook};
use serde_json::{Map, Value};
use std::fmt;

/// What is wrong with an application's answer. Nothing of the answer is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError {
    /// Where: `[1].target[0].sipUri`.
    pub place: String,
    /// What, and what would be right.
    pub problem: String,
}

impl PayloadError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> PayloadError {
        PayloadError {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.is_empty() {
            true => f.write_str(&self.problem),
            false => write!(f, "{}: {}", self.place, self.problem),
        }
    }
}

impl std::error::Error for PayloadError {}

pub(super) type Read<T> = Result<T, PayloadError>;

/// An object that is being read. Properties are taken out; what is left at the end is unknown.
pub(super) struct Object {
    place: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object {
    pub(super) fn new(place: String, map: Map<String, Value>) -> Object {
        Object {
            place,
            map,
            known: vec!["_"],
        }
    }

    /// An object at `place`, or the mistake that it is none.
    pub(super) fn of(place: String, value: Value) -> Read<Object> {
        match value {
            Value::Object(map) => Ok(Object::new(place, map)),
            other => Err(PayloadError::new(
                place,
                format!("an object is expected, not {}", kind(&other)),
            )),
        }
    }

    pub(super) fn place(&self, name: &str) -> String {
        match self.place.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.place),
        }
    }

    pub(super) fn wrong<T>(&self, name: &str, problem: impl Into<String>) -> Read<T> {
        Err(PayloadError::new(self.place(name), problem))
    }

    /// Takes a property; null is as good as absent.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Read<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => self.wrong(name, format!("a string is expected, not {}", kind(&other))),
        }
    }

    pub(super) fn required_text(&mut self, name: &'static str) -> Read<String> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => self.wrong(name, "it is empty"),
            None => self.wrong(name, "it is missing"),
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Read<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => self.wrong(name, format!("true or false is expected, not {}", kind(&other))),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, least: f64, most: f64) -> Read<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Some(number) => self.wrong(name, format!("{number} is not between {least} and {most}")),
            None => self.wrong(name, format!("a number is expected, not {}", kind(&value))),
        }
    }

    /// A whole number.
    pub(super) fn whole(&mut self, name: &'static str, least: u32, most: u32) -> Read<Option<u32>> {
        match self.number(name, f64::from(least), f64::from(most))? {
            None => Ok(None),
            Some(number) if number.fract() == 0.0 => Ok(Some(number as u32)),
            Some(number) => self.wrong(name, format!("{number} is no whole number")),
        }
    }

    /// A string, or a list of strings.
    pub(super) fn texts(&mut self, name: &'static str, most: usize) -> Read<Vec<String>> {
        let list = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) => return Ok(vec![text]),
            Some(Value::Array(list)) => list,
            Some(other) => return self.wrong(name, format!("a string or a list is expected, not {}", kind(&other))),
        };
        if list.len() > most {
            return self.wrong(name, format!("{} entries are more than {most}", list.len()));
        }
        let mut texts = Vec::with_capacity(list.len());
        for (position, value) in list.into_iter().enumerate() {
            match value {
                Value::String(text) => texts.push(text),
                other => {
                    let problem = format!("a string is expected, not {}", kind(&other));
                    return self.wrong(&format!("{name}[{position}]"), problem);
                }
            }
        }
        Ok(texts)
    }

    pub(super) fn object(&mut self, name: &'static str) -> Read<Option<Object>> {
        let place = self.place(name);
        self.take(name).map(|value| Object::of(place, value)).transpose()
    }

    /// An object that the application gets back as it is.
    pub(super) fn data(&mut self, name: &'static str) -> Read<Option<Map<String, Value>>> {
        Ok(self.object(name)?.map(|object| object.map))
    }

    pub(super) fn hook(&mut self, name: &'static str) -> Read<Option<Hook>> {
        let place = self.place(name);
        self.take(name).map(|value| read_hook(place, value)).transpose()
    }

    /// Names and values of a map of headers, numbers included, none of them forbidden.
    pub(super) fn headers(&mut self, name: &'static str) -> Read<Vec<(String, String)>> {
        let Some(map) = self.data(name)? else {
            return Ok(Vec::new());
        };
        super::headers::read_headers(&self.place(name), map)
    }

    /// Refuses a property that exists elsewhere and can't be had here.
    pub(super) fn refuse(&mut self, name: &'static str, reason: &str) -> Read<()> {
        match self.take(name) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => self.wrong(name, reason),
        }
    }

    /// Takes a property that means nothing here and does no harm.
    pub(super) fn ignore(&mut self, name: &'static str) {
        self.take(name);
    }

    /// Every property has been read, or one is unknown.
    pub(super) fn finish(self) -> Read<()> {
        let Some(name) = self.map.keys().find(|name| *name != "_") else {
            return Ok(());
        };
        let nearest = nearest(name, &self.known).map(|nearest| format!("; did you mean {nearest}?"));
        let problem = format!("unknown property{}", nearest.unwrap_or_default());
        Err(PayloadError::new(self.place(name), problem))
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }
}

/// The name that was most likely meant.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // A long name is nobody's slip, and would only cost time.
    if name.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()),
                *known,
            )
        })
        .filter(|(distance, known)| *distance <= known.len() / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
