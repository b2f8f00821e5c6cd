//! Secrets: from the file itself, from the environment, or from a file of their own.

use super::reader::Reader;
use crate::config::names::Secret;
use crate::config::raw::{At, SecretText};
use std::ops::Range;

/// The three ways to give a secret, as typed.
pub struct Forms<'f> {
    /// The key of the first form; those of the others end in `_env` and `_file`.
    pub what: &'static str,
    /// Where a mistake is said to be that concerns more than one form.
    pub place: Range<usize>,
    pub text: Option<&'f At<SecretText>>,
    pub variable: Option<&'f At<String>>,
    pub file: Option<&'f At<String>>,
}

/// `Some(None)` when there is none; `None` when something was wrong.
#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a key"
)]
pub fn check(forms: &Forms<'_>, reader: &mut Reader<'_>) -> Option<Option<Secret>> {
    let what = forms.what;
    match (forms.text, forms.variable, forms.file) {
        (None, None, None) => Some(None),
        (Some(text), None, None) => {
            if text.value().0.is_empty() {
                reader.fault(text.span(), format!("`{what}` is empty"));
                return None;
            }
            Some(Some(Secret::new(&text.value().0)))
        }
        (None, Some(variable), None) => from_environment(variable, reader).map(Some),
        (None, None, Some(file)) => from_file(file, reader).map(Some),
        _ => {
            let others = [
                forms.text.map(At::span),
                forms.variable.map(At::span),
                forms.file.map(At::span),
            ];
            let place = std::iter::once(forms.place.clone()).chain(others.into_iter().flatten());
            let place = reader.written(place);
            reader.fault_expecting(
                place,
                format!("`{what}` is given more than once"),
                format!("one of `{what}`, `{what}_env` and `{what}_file`"),
            );
            None
        }
    }
}

/// The secret in an environment variable.
fn from_environment(variable: &At<String>, reader: &mut Reader<'_>) -> Option<Secret> {
    let found = std::env::var(variable.value()).ok().filter(|secret| !secret.is_empty());
    if found.is_none() {
        reader.fault_expecting(
            variable.span(),
            format!("the environment has no {}", variable.value()),
            "a variable that holds the secret",
        );
    }
    found.as_deref().map(Secret::new)
}

/// The secret in a file, without the line end after it.
fn from_file(file: &At<String>, reader: &mut Reader<'_>) -> Option<Secret> {
    let path = reader.path(file.value());
    if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        // Nobody may ever write into a FIFO.
        reader.fault(file.span(), format!("{} is no regular file", path.display()));
        return None;
    }
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim_end_matches(['\r', '\n']).is_empty() => {
            Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
        }
        Ok(_) => {
            reader.fault(file.span(), format!("{} is empty", path.display()));
            None
        }
        Err(error) => {
            reader.fault_expecting(
                file.span(),
                format!("{} can't be read: {error}", path.display()),
                "a file that holds the secret",
            );
            None
        }
    }
}
