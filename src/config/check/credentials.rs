//! User names and passwords. The password comes from the file itself, from the environment or from a file of its own.

use super::reader::Reader;
use super::secret::{self, Forms};
use crate::config::checked::Credentials;
use crate::config::raw::{At, RawCredentials};

/// `Some(None)` when there are none; `None` when something was wrong.
#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a key"
)]
pub fn check(raw: Option<&At<RawCredentials>>, reader: &mut Reader<'_>) -> Option<Option<Credentials>> {
    let Some(raw) = raw else { return Some(None) };
    let (place, raw) = (raw.span(), raw.value());
    let forms = Forms {
        what: "password",
        place: place.clone(),
        text: raw.password.as_ref(),
        variable: raw.password_env.as_ref(),
        file: raw.password_file.as_ref(),
    };
    let password = match secret::check(&forms, reader) {
        Some(None) => {
            reader.fault_expecting(
                place,
                "there is no password",
                "exactly one of `password`, `password_env` and `password_file`",
            );
            None
        }
        checked => checked.flatten(),
    };
    let printable = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '"');
    if !printable(raw.username.value()) {
        reader.fault_expecting(
            raw.username.span(),
            "this is no user name",
            "a text without quotes or line ends",
        );
        return None;
    }
    Some(Some(Credentials {
        realm: raw.realm.as_ref().map(|realm| realm.value().clone()),
        username: raw.username.value().clone(),
        password: password?,
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
    if let Some(raw) = raw.filter(|raw| raw.value().realm.as_ref().is_none_or(|realm| realm.value().is_empty())) {
        reader.fault_expecting(
            raw.span(),
            "there is no realm: challenges of this carrier would never be answered",
            "realm = \"…\", as its WWW-Authenticate or Proxy-Authenticate shows it",
        );
        return None;
    }
    checked
}
