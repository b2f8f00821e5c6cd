//! `[speech_service.<name>]` of a tenant, and what an application speaks with.

use super::reader::Reader;
use super::secret;
use crate::config::checked::{Speech, SpeechService, SpeechVendor};
use crate::config::hook_url::{HookProtocol, HookUrl};
use crate::config::names::{Invalid, SpeechServiceName};
use crate::config::raw::{At, RawSpeech, RawSpeechService, RawTenant};
use std::sync::Arc;

/// The speech services of a tenant, or `None` when something was wrong.
pub fn services(raw: &RawTenant, reader: &mut Reader<'_>) -> Option<Vec<Arc<SpeechService>>> {
    let checked: Vec<Option<SpeechService>> = raw
        .speech_service
        .iter()
        .map(|(name, service)| check(name, service, reader))
        .collect();
    checked.into_iter().map(|service| service.map(Arc::new)).collect()
}

fn check(name: &str, raw: &At<RawSpeechService>, reader: &mut Reader<'_>) -> Option<SpeechService> {
    let (place, raw) = (raw.span(), raw.value());
    let parsed = SpeechServiceName::parse(name).map_err(|Invalid(expected)| {
        let message = format!("{name:?} is no name for a speech service");
        reader.fault_expecting(place.clone(), message, expected);
    });
    // The message has no text of its own: a password may stand in it.
    let url = HookUrl::parse(raw.url.value()).map_err(|Invalid(expected)| expected);
    let url = url.and_then(|url| match url.protocol() {
        HookProtocol::Http => Ok(url),
        HookProtocol::WebSocket => Err("a URL of http or https"),
    });
    if let Err(expected) = &url {
        reader.fault_expecting(raw.url.span(), "this is no URL of a speech service", *expected);
    }
    let token = secret::check(
        &secret::Forms {
            what: "token",
            place: place.clone(),
            text: raw.token.as_ref(),
            variable: raw.token_env.as_ref(),
            file: raw.token_file.as_ref(),
        },
        reader,
    );
    let token = token?;
    // RFC 6750 §2.1 has fewer characters; a header can hold these.
    let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if token.as_ref().is_some_and(|token| !fits(token.reveal())) {
        reader.fault_expecting(
            place,
            "this `token` can't be sent in a header",
            "one line of ASCII without spaces",
        );
        return None;
    }
    Some(SpeechService {
        name: parsed.ok()?,
        url: url.ok()?,
        token,
    })
}

/// What an application speaks with when the verb does not tell.
pub fn usual(raw: Option<&RawSpeech>, tenant: &RawTenant, reader: &mut Reader<'_>) -> Option<Speech> {
    let language = match raw.and_then(|speech| speech.language.as_ref()) {
        Some(text) => reader.parse(text, "language", word),
        None => Some("en-US".to_owned()),
    };
    let vendor = match raw.and_then(|speech| speech.vendor.as_ref()) {
        Some(text) => vendor(text, tenant, reader).map(Some),
        None => Some(None),
    };
    let is_custom = raw.is_some_and(|speech| speech.vendor.is_some());
    let voice = raw.and_then(|speech| speech.voice.as_ref());
    let voice = reader.parse_optional(voice, "voice", |text| match is_custom {
        true => named(text),
        false => word(text),
    });
    Some(Speech {
        language: language?,
        voice: voice?,
        vendor: vendor?,
    })
}

fn vendor(text: &At<String>, tenant: &RawTenant, reader: &mut Reader<'_>) -> Option<SpeechVendor> {
    let known = || tenant.speech_service.keys().map(String::as_str);
    let Some(name) = text.value().strip_prefix(SpeechService::VENDOR_PREFIX) else {
        let message = format!("{:?} is no vendor of speech", text.value());
        let expected = "`custom:` and the name of a [speech_service.…] in this file";
        reader.fault_expecting(text.span(), message, expected);
        return None;
    };
    if known().any(|known| known == name) {
        return SpeechServiceName::parse(name).ok().map(SpeechVendor);
    }
    let names: Vec<&str> = known().collect();
    // One without a name may be the one that is meant.
    if names.contains(&"") {
        return None;
    }
    reader.tell(text.span(), format!("there is no speech service {name:?}"), |mistake| {
        let mistake = mistake.near(name, names.iter().copied());
        mistake.expected(match names.as_slice() {
            [] => format!("[speech_service.{name}] in this file"),
            names => format!("one of [speech_service.…] in this file: {}", names.join(", ")),
        })
    });
    None
}

/// A child process gets it as an argument: nothing that looks like an option, no path.
fn word(text: &str) -> Result<String, Invalid> {
    let fits = (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'.'));
    fits.then(|| text.to_owned())
        .ok_or(Invalid("1 to 64 letters, digits, '-', '_', '+' or '.'"))
}

/// A voice of a speech service is its own to name.
fn named(text: &str) -> Result<String, Invalid> {
    let fits = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or(Invalid("1 to 256 bytes without line breaks"))
}
