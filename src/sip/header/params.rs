//! Header parameters: `;name`, `;name=token`, `;name="quoted"`, kept as written.

use crate::sip::grammar::{PARAM_VALUE, is_token, long_run, quoted_length, token_length, trim, trim_start};
use std::borrow::Cow;
use std::fmt;

/// The parameters of a header value, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Params(String);

impl Params {
    /// Takes a text such as `tag=1;x="a;b"`, without a leading semicolon. None when a parameter has no name or a quote does
    /// not close.
    pub fn parse(text: &str) -> Option<Params> {
        check(text).then(|| Params(trim(text).to_owned()))
    }

    pub(super) fn from_checked(text: &str) -> Params {
        Params(text.to_owned())
    }

    /// Name and value as written (quotes kept).
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        iterate(&self.0)
    }

    /// The value as written, empty for a flag; the name is compared case-blind.
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.0, name)
    }

    /// The value without quotes and escapes.
    pub fn unquoted(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(unquote)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a parameter, replacing one of that name. A value that is no token is quoted; control characters become spaces.
    #[must_use]
    pub fn with(self, name: &str, value: Option<&str>) -> Params {
        let mut kept = self.without(name).0;
        if is_token(name.as_bytes()) {
            if !kept.is_empty() {
                kept.push(';');
            }
            kept.push_str(name);
            if let Some(value) = value {
                kept.push('=');
                push_value(value, &mut kept);
            }
        }
        Params(kept)
    }

    /// Takes a parameter out.
    #[must_use]
    pub fn without(self, name: &str) -> Params {
        if self.get(name).is_none() {
            return self;
        }
        let mut kept = String::with_capacity(self.0.len());
        for (key, value) in self.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(name)) {
            if !kept.is_empty() {
                kept.push(';');
            }
            kept.push_str(key);
            if let Some(value) = value {
                kept.push('=');
                kept.push_str(value);
            }
        }
        Params(kept)
    }
}

impl fmt::Display for Params {
    /// Prints without a leading semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Walks a parameter text without copying it, as far as it is well formed.
pub(crate) fn iterate(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    walk(text.as_bytes()).map_while(|param| {
        let (name, value) = param?;
        let text = |part| std::str::from_utf8(part).unwrap_or_default();
        Some((text(name), value.map(text)))
    })
}

/// The value of a parameter as written, empty for a flag.
pub(crate) fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = walk(text.as_bytes())
        .map_while(|param| param)
        .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.unwrap_or_default())?;
    std::str::from_utf8(value).ok()
}

/// True when every parameter has a token for a name, and a value that is one word or one quoted string. An empty text has no
/// parameters.
pub(crate) fn check(text: &str) -> bool {
    find_checked(text.as_bytes(), "").is_ok()
}

/// Checks every parameter and finds the value of one of them, empty for a flag.
pub(crate) fn find_checked<'a>(text: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Malformed> {
    let mut found = None;
    for param in walk(text) {
        let (key, value) = param.ok_or(Malformed)?;
        if found.is_none() && key.eq_ignore_ascii_case(name.as_bytes()) {
            found = Some(value.unwrap_or_default());
        }
    }
    Ok(found)
}

/// A list with a parameter that is none.
#[derive(Debug)]
pub(crate) struct Malformed;

/// Name and value as written.
type Param<'a> = (&'a [u8], Option<&'a [u8]>);

/// The parameters one after the other; None stands for one that is malformed, and is the last.
fn walk(text: &[u8]) -> impl Iterator<Item = Option<Param<'_>>> {
    let mut rest = Some(trim_start(text)).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let first = first_of(rest.take()?);
        rest = first.and_then(|(_, rest)| rest);
        Some(first.map(|(param, _)| param))
    })
}

/// The first parameter, and what follows its semicolon when there is one.
#[inline]
fn first_of(text: &[u8]) -> Option<(Param<'_>, Option<&[u8]>)> {
    let text = trim_start(text);
    let (name, rest) = text.split_at_checked(token_length(text))?;
    if name.is_empty() {
        return None;
    }
    let (value, rest) = match trim_start(rest) {
        [b'=', rest @ ..] => {
            let rest = trim_start(rest);
            let length = match rest.first() {
                Some(b'"') => quoted_length(rest)?,
                _ => long_run(rest, PARAM_VALUE),
            };
            let (value, rest) = rest.split_at_checked(length)?;
            (Some(value), trim_start(rest))
        }
        rest => (None, rest),
    };
    match rest {
        [] => Some(((name, value), None)),
        [b';', rest @ ..] => Some(((name, value), Some(rest))),
        _ => None,
    }
}

/// A value without its quotes and escapes; control characters become spaces.
pub(crate) fn unquote(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.into();
    };
    if !inner.contains(|letter: char| letter == '\\' || letter.is_control()) {
        return inner.into();
    }
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\\' => letters.next().unwrap_or('\\'),
            letter => letter,
        };
        out.push(if letter.is_control() { ' ' } else { letter });
    }
    out.into()
}

/// Appends `value` as a quoted string; control characters become spaces.
pub(crate) fn push_quoted(value: &str, out: &mut String) {
    out.push('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(if letter.is_control() { ' ' } else { letter });
    }
    out.push('"');
}

/// Appends a value: as it is when it is a token or a host, else quoted.
pub(crate) fn push_value(value: &str, out: &mut String) {
    if is_token(value.as_bytes()) || crate::sip::uri::host_length(value.as_bytes()) == Some(value.len()) {
        out.push_str(value);
    } else {
        push_quoted(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_keep_semicolons() {
        let params = Params::parse("cause=16 ; text=\"a;\\\"b\\\"=c\";lr ; x = [2001:db8::1]").unwrap();
        assert_eq!(params.get("TEXT"), Some("\"a;\\\"b\\\"=c\""));
        assert_eq!(params.unquoted("text").as_deref(), Some("a;\"b\"=c"));
        assert_eq!(params.get("lr"), Some(""));
        assert_eq!(params.get("x"), Some("[2001:db8::1]"));
        assert_eq!(params.get("y"), None);
    }

    #[test]
    fn broken_lists_are_refused() {
        for bad in ["a;;b", "=1", "a=\"x", "a=b c", "a=\"x\"y", ";", "a,b"] {
            assert_eq!(Params::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn setting_replaces_and_quotes() {
        let params = Params::parse("tag=1;x").unwrap().with("TAG", Some("a b\r\n"));
        assert_eq!(params.to_string(), "x;TAG=\"a b  \"");
        assert_eq!(params.without("x").to_string(), "TAG=\"a b  \"");
    }
}
