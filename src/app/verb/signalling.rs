//! Verbs that speak SIP, or steer the application itself.

use super::dial::read_decibels;
use super::hook::Hook;
use super::read::{Object, Read};
use super::recognizer::read_recognizer;
use super::synthesizer::{Synthesizer, read_synthesizer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// The body of one request.
const LONGEST_BODY: usize = 8_192;

/// A 200, at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub id: Option<String>,
}

/// The end of an answered call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hangup {
    pub id: Option<String>,
    /// In the BYE.
    pub headers: Vec<(String, String)>,
}

/// Another application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    pub id: Option<String>,
    pub action_hook: Hook,
}

/// `customerData` of a leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    pub id: Option<String>,
    pub data: Map<String, Value>,
}

/// What the following verbs go by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub id: Option<String>,
    /// What was said of a synthesizer before counts no more.
    pub resets_synthesizer: bool,
    pub synthesizer: Option<Synthesizer>,
    /// Texts are spoken anew, also when they were spoken before, and not kept.
    pub fresh: Option<bool>,
    /// Whether say, play and gather are heard before the call is answered, instead of answering it.
    pub early_media: Option<bool>,
    /// REFER outside a dial.
    pub refer_hook: Option<Hook>,
    /// Whether the application hears of its verbs while they run.
    pub notify_events: Option<bool>,
    /// Decibels on all that the caller hears.
    pub boost: Option<i8>,
}

impl Config {
    /// What in it can't be of one leg alone.
    pub fn of_the_whole_call(&self) -> Option<&'static str> {
        let said = [
            (self.refer_hook.is_some(), "config.referHook"),
            (self.notify_events.is_some(), "config.notifyEvents"),
            (self.boost.is_some(), "config.boostAudioSignal"),
        ];
        said.into_iter().find_map(|(said, name)| said.then_some(name))
    }
}

/// A refusal of a call that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipDecline {
    pub id: Option<String>,
    pub status: u16,
    pub reason: Option<String>,
    pub headers: Vec<(String, String)>,
}

/// Keys that are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dtmf {
    pub id: Option<String>,
    pub digits: String,
    /// Of each.
    pub duration: Duration,
}

/// A transfer of the leg by REFER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipRefer {
    pub id: Option<String>,
    /// A number, a user, or a whole URI.
    pub refer_to: String,
    pub referred_by: Option<String>,
    /// The display name beside it.
    pub referred_by_name: Option<String>,
    pub headers: Vec<(String, String)>,
    pub action_hook: Option<Hook>,
    pub event_hook: Option<Hook>,
}

/// A request inside the dialog of the leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipRequest {
    pub id: Option<String>,
    pub method: String,
    pub content_type: Option<String>,
    pub body: Option<String>,
    pub headers: Vec<(String, String)>,
    pub action_hook: Option<Hook>,
}

pub(super) fn read_answer(mut object: Object) -> Read<Answer> {
    let answer = Answer { id: object.line("id")? };
    object.finish()?;
    Ok(answer)
}

pub(super) fn read_hangup(mut object: Object) -> Read<Hangup> {
    let hangup = Hangup {
        id: object.line("id")?,
        headers: object.headers("headers")?,
    };
    object.finish()?;
    Ok(hangup)
}

pub(super) fn read_redirect(mut object: Object) -> Read<Redirect> {
    let Some(action_hook) = object.hook("actionHook")? else {
        return object.missing("actionHook", "");
    };
    object.refuse("statusHook", "status events keep their hook: leave it out")?;
    let redirect = Redirect {
        id: object.line("id")?,
        action_hook,
    };
    object.finish()?;
    Ok(redirect)
}

pub(super) fn read_tag(mut object: Object) -> Read<Tag> {
    let id = object.line("id")?;
    let Some(data) = object.data("data")? else {
        return object.missing("data", ": an object");
    };
    object.finish()?;
    Ok(Tag { id, data })
}

pub(in crate::app) fn read_config(mut object: Object) -> Read<Config> {
    for name in [
        "bargeIn",
        "ttsStream",
        "record",
        "listen",
        "stream",
        "transcribe",
        "amd",
        "fillerNoise",
        "onHoldMusic",
        "actionHookDelayAction",
        "sipRequestWithinDialogHook",
        "vad",
        "autoStreamTts",
        "noiseIsolation",
        "turnTaking",
        "notifySttLatency",
        "trackTtsPlayout",
    ] {
        object.refuse(name, "it is not supported yet: leave it out")?;
    }
    // Nothing is recognised that it could choose.
    read_recognizer(&mut object)?;
    let reset = object.texts("reset", 2)?;
    if let Some(other) = reset
        .iter()
        .find(|name| !["synthesizer", "recognizer"].contains(&name.as_str()))
    {
        let shown: String = other.chars().take(64).collect();
        return object.wrong(
            "reset",
            format!("'{}' is neither synthesizer nor recognizer", shown.escape_debug()),
        );
    }
    let config = Config {
        id: object.line("id")?,
        resets_synthesizer: reset.iter().any(|name| name == "synthesizer"),
        synthesizer: read_synthesizer(&mut object)?,
        fresh: object.flag("disableTtsCache")?,
        early_media: object.flag("earlyMedia")?,
        refer_hook: object.hook("referHook")?,
        notify_events: object.flag("notifyEvents")?,
        boost: read_decibels(&mut object, "boostAudioSignal")?,
    };
    object.finish()?;
    Ok(config)
}

pub(super) fn read_decline(mut object: Object) -> Read<SipDecline> {
    let id = object.line("id")?;
    let Some(status) = object.whole("status", 400, 699)? else {
        return object.missing("status", ": 400 to 699");
    };
    let reason = object.line("reason")?;
    let decline = SipDecline {
        id,
        status: u16::try_from(status).unwrap_or(603),
        reason,
        headers: object.headers("headers")?,
    };
    object.finish()?;
    Ok(decline)
}

pub(super) fn read_dtmf(mut object: Object) -> Read<Dtmf> {
    let id = object.line("id")?;
    let keys = read_keys(&mut object, ["dtmf", "digit"], 500)?;
    object.finish()?;
    Ok(Dtmf { id, ..keys })
}

/// Keys to be sent, under either of two names, each for `default` milliseconds where nothing else is said.
pub(in crate::app) fn read_keys(object: &mut Object, names: [&'static str; 2], default: u32) -> Read<Dtmf> {
    let [name, _] = names;
    let Some(digits) = object.either(names, Object::text)? else {
        return object.missing(name, ": keys such as 1234#");
    };
    let key = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d');
    if !(1..=64).contains(&digits.len()) || !digits.chars().all(key) {
        return object.wrong(name, "1 to 64 keys of 0-9, *, #, A-D are expected");
    }
    let duration = object.whole("duration", 40, 5_000)?.unwrap_or(default);
    Ok(Dtmf {
        id: None,
        digits: digits.to_ascii_uppercase(),
        duration: Duration::from_millis(u64::from(duration)),
    })
}

pub(super) fn read_refer(mut object: Object) -> Read<SipRefer> {
    let refer_to = object.required_line("referTo")?;
    let referred_by = object.line("referredBy")?;
    let plain = |text: &str| {
        !text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || "<>\"".contains(c))
    };
    if !plain(&refer_to) {
        return object.wrong("referTo", "a number, a user or a URI is expected");
    }
    if referred_by.as_deref().is_some_and(|by| !plain(by)) {
        return object.wrong("referredBy", "a URI is expected");
    }
    let referred_by_name = object.line("referredByDisplayName")?;
    if referred_by_name.is_some() && referred_by.is_none() {
        return object.wrong(
            "referredByDisplayName",
            "it is the name of referredBy, which is missing",
        );
    }
    let refer = SipRefer {
        id: object.line("id")?,
        refer_to,
        referred_by,
        referred_by_name,
        headers: object.headers("headers")?,
        action_hook: object.hook("actionHook")?,
        event_hook: object.hook("eventHook")?,
    };
    object.finish()?;
    Ok(refer)
}

/// `body` and `contentType` go by `content` and `content_type` where a running call is told to.
pub(in crate::app) fn read_request(mut object: Object) -> Read<SipRequest> {
    let method = object.required_text("method")?.to_ascii_uppercase();
    if !["INFO", "MESSAGE", "NOTIFY"].contains(&method.as_str()) {
        return object.wrong(
            "method",
            "INFO, MESSAGE or NOTIFY is expected: all others belong to the signalling itself",
        );
    }
    let written = match object.names().any(|name| name == "content") {
        true => "content",
        false => "body",
    };
    let body = object.either(["body", "content"], Object::text)?;
    if body.as_deref().is_some_and(|body| body.len() > LONGEST_BODY) {
        return object.wrong(written, format!("it is longer than {LONGEST_BODY} bytes"));
    }
    let mut map = object.data("headers")?.unwrap_or_default();
    // The content type of an application's body may stand among its headers.
    let named = object.either(["contentType", "content_type"], Object::text)?;
    let named = named.map(|value| ("content_type", value));
    let listed = taken(&mut map, "Content-Type").map(|(_, value)| ("headers.Content-Type", value));
    let content_type = match (named, listed) {
        (Some((_, one)), Some((_, other))) if one != other => {
            return object.wrong("headers.Content-Type", "it says something else than content_type");
        }
        (named, listed) => named.or(listed),
    };
    // A NOTIFY has an event (RFC 6665 §8.2.1), and those of a REFER are the signalling's own.
    let mut event = Vec::new();
    if method == "NOTIFY" {
        event.extend(taken(&mut map, "Event").map(|header| ("headers.Event", header)));
        event.extend(taken(&mut map, "Subscription-State").map(|header| ("headers.Subscription-State", header)));
    }
    for (place, (name, value)) in &event {
        let package = value.split(';').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("Event") && package.eq_ignore_ascii_case("refer") {
            return object.wrong(place, "what became of a REFER is told by the signalling itself");
        }
        if let Err(problem) = super::headers::check_value(value) {
            return object.wrong(place, problem);
        }
    }
    let mut headers = super::headers::read_headers(&object.place("headers"), map)?;
    headers.extend(event.into_iter().map(|(_, header)| header));
    if let Some((place, text)) = &content_type
        && (text.len() > 128 || text.chars().any(char::is_control))
    {
        return object.wrong(
            place,
            "it is no content type: more than 128 bytes, or a line end or other control character in it",
        );
    }
    let request = SipRequest {
        id: object.line("id")?,
        method,
        content_type: content_type.map(|(_, value)| value),
        body,
        headers,
        action_hook: object.hook("actionHook")?,
    };
    object.finish()?;
    Ok(request)
}

/// A header that is taken out of a map, as it is named there; what is no text stays.
fn taken(map: &mut Map<String, Value>, wanted: &str) -> Option<(String, String)> {
    let (name, value) = map.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    let header = (name.clone(), value.as_str()?.to_owned());
    map.remove(&header.0);
    Some(header)
}
