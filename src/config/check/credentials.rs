//! User names and passwords. The password comes from the file itself, from the environment or from a file of its own.

use super::reader::Reader;
use super::secret;
use crate::config::checked::Credentials;
use crate::config::names::Secret;
use crate::config::raw::{At, RawCredentials};

/// `Some(None)` when there are none; `None` when something was wrong.
#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a key"
)]
pub fn check(raw: Option<&At<RawCredentials>>, reader: &mut Reader<'_>) -> Option<Option<Credentials>> {
    let Some(raw) = raw else { return Some(None) };
    let (place, raw) = (raw.span(), raw.value());
    let given = [
        raw.password.is_some(),
        raw.password_env.is_some(),
        raw.password_file.is_some(),
    ]
    .iter()
    .filter(|given| **given)
    .count();
    if given != 1 {
        let message = if given == 0 {
            "there is no password"
        } else {
            "there is more than one password"
        };
        reader.fault_expecting(
            place,
            message,
            "exactly one of `password`, `password_env` and `password_file`",
        );
        return None;
    }
    let printable = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '"');
    if !printable(raw.username.value()) {
        reader.fault_expecting(
            raw.username.span(),
            "this is no user name",
            "a text without quotes or line ends",
        );
        return None;
    }
    let password = password(raw, reader)?;
    Some(Some(Credentials {
        realm: raw.realm.as_ref().map(|realm| realm.value().clone()),
        username: raw.username.value().clone(),
        password,
    }))
}

/// Credentials that we answer challenges with. They need their realm: whoever may name it himself can have our digest
/// of any realm, and so test passwords or answer another's challenge with it (ES2021-05).
#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a key"
)]
pub fn check_own(raw: Option<&At<RawCredentials>>, reader: &mut Reader<'_>) -> Option<Option<Credentials>> {
    let checked = check(raw, reader);
    if let Some(raw) = raw.filter(|raw| raw.value().realm.is_none()) {
        reader.fault_expecting(
            raw.span(),
            "there is no realm: challenges of this carrier would never be answered",
            "realm = \"…\", as its WWW-Authenticate or Proxy-Authenticate shows it",
        );
        return None;
    }
    checked
}

fn password(raw: &RawCredentials, reader: &mut Reader<'_>) -> Option<Secret> {
    if let Some(password) = &raw.password {
        return Some(Secret::new(&password.value().0));
    }
    if let Some(variable) = &raw.password_env {
        return secret::from_environment(variable, reader);
    }
    secret::from_file(raw.password_file.as_ref()?, reader)
}
