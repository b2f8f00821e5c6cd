//! Reading an object of an application property by property: every mistake names its place, and a property that nobody
//! knows names the nearest one.

use super::hook::{Hook, read_hook};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// Bytes of a text that ends up in a SIP message.
const LONGEST_LINE: usize = 512;
/// Bytes of data that an application keeps with a call.
const MOST_DATA: usize = 16 * 1_024;

/// What is wrong with an application's answer. Nothing of the answer is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError {
    /// Where: `[1].target[0].sipUri`.
    pub place: String,
    /// What, and what would be right.
    pub problem: String,
}

impl PayloadError {
    pub(in crate::app) fn new(place: impl Into<String>, problem: impl Into<String>) -> PayloadError {
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

pub(in crate::app) type Read<T> = Result<T, PayloadError>;

/// An object that is being read. Properties are taken out; what is left at the end is unknown.
pub(in crate::app) struct Object {
    place: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object {
    pub(in crate::app) fn new(place: String, map: Map<String, Value>) -> Object {
        Object {
            place,
            map,
            known: Vec::new(),
        }
    }

    /// An object at `place`, or the mistake that it is none.
    pub(in crate::app) fn of(place: String, value: Value) -> Read<Object> {
        match value {
            Value::Object(map) => Ok(Object::new(place, map)),
            other => Err(PayloadError::new(
                place,
                format!("an object is expected, not {}", kind(&other)),
            )),
        }
    }

    pub(in crate::app) fn place(&self, name: &str) -> String {
        match self.place.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.place),
        }
    }

    pub(in crate::app) fn wrong<T>(&self, name: &str, problem: impl Into<String>) -> Read<T> {
        Err(PayloadError::new(self.place(name), problem))
    }

    /// A property that has to be there is not; `what` it would be. A name that is near it and that nobody has read may be it.
    pub(in crate::app) fn missing<T>(&self, name: &str, what: &str) -> Read<T> {
        let there = self.map.keys().map(String::as_str).filter(|there| there.len() <= 64);
        let slip = crate::config::nearest(name, there);
        let slip = slip.map(|slip| format!("; is '{}' meant to be it?", slip.escape_debug()));
        self.wrong(name, format!("it is missing{what}{}", slip.unwrap_or_default()))
    }

    /// Takes a property; null is as good as absent.
    pub(in crate::app) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(in crate::app) fn text(&mut self, name: &'static str) -> Read<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => self.wrong(name, format!("a string is expected, not {}", kind(&other))),
        }
    }

    /// A string that ends up in SIP or in a call record: short, one line.
    pub(in crate::app) fn line(&mut self, name: &'static str) -> Read<Option<String>> {
        match self.text(name)? {
            Some(text) if text.len() > LONGEST_LINE => {
                self.wrong(name, format!("it is longer than {LONGEST_LINE} bytes"))
            }
            Some(text) if text.chars().any(char::is_control) => {
                self.wrong(name, "it has a line break or another control character in it")
            }
            text => Ok(text),
        }
    }

    pub(in crate::app) fn required_line(&mut self, name: &'static str) -> Read<String> {
        match self.line(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => self.wrong(name, "it is empty"),
            None => self.missing(name, ""),
        }
    }

    /// A property that goes by two names; both may be given where they say the same.
    pub(in crate::app) fn either<T: PartialEq>(
        &mut self,
        names: [&'static str; 2],
        mut read: impl FnMut(&mut Object, &'static str) -> Read<Option<T>>,
    ) -> Read<Option<T>> {
        let [name, other] = names;
        match (read(self, name)?, read(self, other)?) {
            (Some(one), Some(two)) if one != two => self.wrong(
                other,
                format!("it is another name of {name}, and says otherwise than that"),
            ),
            (one, two) => Ok(one.or(two)),
        }
    }

    pub(in crate::app) fn required_text(&mut self, name: &'static str) -> Read<String> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => self.wrong(name, "it is empty"),
            None => self.missing(name, ""),
        }
    }

    pub(in crate::app) fn flag(&mut self, name: &'static str) -> Read<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => self.wrong(name, format!("true or false is expected, not {}", kind(&other))),
        }
    }

    pub(in crate::app) fn number(&mut self, name: &'static str, least: f64, most: f64) -> Read<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) => self.within(name, number, least, most).map(Some),
            None => {
                let quoted = value.as_str().filter(|text| quoted(text).is_some_and(f64::is_finite));
                let quoted = quoted.map(|text| format!(": {} without quotes", text.trim()));
                let problem = format!(
                    "a number is expected, not {}{}",
                    kind(&value),
                    quoted.unwrap_or_default()
                );
                self.wrong(name, problem)
            }
        }
    }

    /// A number that the protocol takes in quotes too.
    pub(in crate::app) fn quoted_number(&mut self, name: &'static str, least: f64, most: f64) -> Read<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64().or_else(|| quoted(value.as_str()?)) {
            Some(number) => self.within(name, number, least, most).map(Some),
            None => self.wrong(
                name,
                format!("a number is expected, also in quotes, not {}", kind(&value)),
            ),
        }
    }

    fn within(&self, name: &str, number: f64, least: f64, most: f64) -> Read<f64> {
        match (least..=most).contains(&number) {
            true => Ok(number),
            false => self.wrong(name, format!("{number} is not between {least} and {most}")),
        }
    }

    /// Seconds, fractions of them too; 0 is as good as absent.
    pub(in crate::app) fn seconds(&mut self, name: &'static str, most: u32) -> Read<Option<Duration>> {
        let seconds = self.number(name, 0.0, f64::from(most))?;
        Ok(seconds.map(Duration::from_secs_f64).filter(|span| !span.is_zero()))
    }

    /// A whole number.
    pub(in crate::app) fn whole(&mut self, name: &'static str, least: u32, most: u32) -> Read<Option<u32>> {
        match self.number(name, f64::from(least), f64::from(most))? {
            None => Ok(None),
            Some(number) if number.fract() == 0.0 => Ok(Some(number as u32)),
            Some(number) => self.wrong(name, format!("{number} is no whole number")),
        }
    }

    /// A string, or a list of strings.
    pub(in crate::app) fn texts(&mut self, name: &'static str, most: usize) -> Read<Vec<String>> {
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

    pub(in crate::app) fn object(&mut self, name: &'static str) -> Read<Option<Object>> {
        let place = self.place(name);
        self.take(name).map(|value| Object::of(place, value)).transpose()
    }

    /// Whether a property is there that nobody has read yet.
    pub(in crate::app) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether a property that nobody has read yet is an object.
    pub(in crate::app) fn is_object(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_object)
    }

    /// The same of a list.
    pub(in crate::app) fn is_list(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_array)
    }

    /// An object that the application gets back as it is.
    pub(in crate::app) fn data(&mut self, name: &'static str) -> Read<Option<Map<String, Value>>> {
        let Some(object) = self.object(name)? else {
            return Ok(None);
        };
        bounded(&object.place, &object.map)?;
        Ok(Some(object.map))
    }

    pub(in crate::app) fn hook(&mut self, name: &'static str) -> Read<Option<Hook>> {
        let place = self.place(name);
        self.take(name).map(|value| read_hook(place, value)).transpose()
    }

    /// Names and values of a map of headers, numbers included, none of them forbidden.
    pub(in crate::app) fn headers(&mut self, name: &'static str) -> Read<Vec<(String, String)>> {
        let Some(map) = self.data(name)? else {
            return Ok(Vec::new());
        };
        super::headers::read_headers(&self.place(name), map)
    }

    /// Refuses a property that exists elsewhere and can't be had here.
    pub(in crate::app) fn refuse(&mut self, name: &'static str, reason: &str) -> Read<()> {
        // Who mistypes another is not led here.
        match self.map.remove(name).filter(|value| !value.is_null()) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => self.wrong(name, reason),
        }
    }

    /// The object as a whole can't be had here.
    pub(in crate::app) fn refused<T>(&self, reason: &str) -> Read<T> {
        Err(PayloadError::new(self.place.clone(), reason))
    }

    /// Takes a property that means nothing here and does no harm.
    pub(in crate::app) fn ignore(&mut self, name: &'static str) {
        self.take(name);
    }

    /// Takes all such properties whose names are of a kind.
    pub(in crate::app) fn ignore_all(&mut self, are: impl Fn(&str) -> bool) {
        self.map.retain(|name, _| !are(name));
    }

    /// Every property has been read, or one is unknown.
    pub(in crate::app) fn finish(self) -> Read<()> {
        let Some(name) = self.map.keys().find(|name| *name != "_") else {
            return Ok(());
        };
        let near = meant(name, &self.known);
        let problem = match near.is_empty() && !self.known.is_empty() {
            true => {
                // In the order in which people look for one.
                let mut known = self.known.clone();
                known.sort_unstable_by_key(|name| name.to_ascii_lowercase());
                format!("unknown property; these are known: {}", known.join(", "))
            }
            false => format!("unknown property{near}"),
        };
        Err(PayloadError::new(self.place(&name.escape_debug().to_string()), problem))
    }

    /// The properties that nobody has read yet.
    pub(in crate::app) fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    pub(in crate::app) fn into_map(self) -> Map<String, Value> {
        self.map
    }
}

/// The name of one entry of a list, which may also stand alone.
pub(super) fn element(name: &str, is_list: bool, position: usize) -> String {
    match is_list {
        true => format!("{name}[{position}]"),
        false => name.to_owned(),
    }
}

/// The number that stands in a text.
fn quoted(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Refuses data that would make a call's value large.
pub(in crate::app) fn bounded(place: &str, data: &Map<String, Value>) -> Read<()> {
    let mut left = Some(MOST_DATA);
    for (name, value) in data {
        left = left
            .and_then(|left| left.checked_sub(name.len()))
            .and_then(|left| less(left, value));
    }
    match left {
        Some(_) => Ok(()),
        None => Err(PayloadError::new(place, format!("it is larger than {MOST_DATA} bytes"))),
    }
}

/// What is left of a budget of bytes after a value. The JSON parser bounds the depth.
fn less(left: usize, value: &Value) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => left.checked_sub(8),
        Value::String(text) => left.checked_sub(text.len() + 2),
        Value::Array(list) => list.iter().try_fold(left.checked_sub(2)?, less),
        Value::Object(map) => map.iter().try_fold(left.checked_sub(2)?, |left, (name, value)| {
            less(left.checked_sub(name.len() + 3)?, value)
        }),
    }
}

/// `; did you mean …?`, where a known name is near.
pub(in crate::app) fn meant(name: &str, known: &[&str]) -> String {
    // A long name is nobody's slip, and would only cost time.
    if name.len() > 64 {
        return String::new();
    }
    match crate::config::nearest(name, known.iter().copied()) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => String::new(),
    }
}

pub(in crate::app) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
