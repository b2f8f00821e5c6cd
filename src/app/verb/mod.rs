//! Verbs: what an application wants done, one after the other.

pub(in crate::app) mod dial;
mod headers;
mod hook;
mod passages;
pub(in crate::app) mod read;
mod recognizer;
pub(in crate::app) mod signalling;
pub(in crate::app) mod speaking;
pub(in crate::app) mod synthesizer;
mod tap;
#[cfg(test)]
mod tests;

pub use dial::{
    CallerId, Dial, DtmfCapture, MOST_TARGETS, Target, TargetAuth, TargetFrom, TargetKind, USUAL_SCREENING,
};
pub use headers::check_header;
pub use hook::{Hook, HookMethod};
pub use passages::{is_markup, passages};
pub use read::PayloadError;
pub use signalling::{Answer, Config, Dtmf, Hangup, Redirect, SipDecline, SipRefer, SipRequest, Tag};
pub use speaking::{Gather, Pause, Play, Say, is_sound};
pub use synthesizer::{Synthesizer, Voice, Voicing};

use read::{Object, Read, kind, meant};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Verbs of one answer.
const MOST_VERBS: usize = 200;

/// One verb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    Answer(Answer),
    Say(Box<Say>),
    Play(Box<Play>),
    Gather(Box<Gather>),
    Pause(Pause),
    Dial(Box<Dial>),
    Hangup(Hangup),
    Redirect(Redirect),
    Tag(Tag),
    Config(Box<Config>),
    SipDecline(SipDecline),
    Dtmf(Dtmf),
    SipRefer(Box<SipRefer>),
    SipRequest(Box<SipRequest>),
}

impl Verb {
    /// As it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            Verb::Answer(_) => "answer",
            Verb::Say(_) => "say",
            Verb::Play(_) => "play",
            Verb::Gather(_) => "gather",
            Verb::Pause(_) => "pause",
            Verb::Dial(_) => "dial",
            Verb::Hangup(_) => "hangup",
            Verb::Redirect(_) => "redirect",
            Verb::Tag(_) => "tag",
            Verb::Config(_) => "config",
            Verb::SipDecline(_) => "sip:decline",
            Verb::Dtmf(_) => "dtmf",
            Verb::SipRefer(_) => "sip:refer",
            Verb::SipRequest(_) => "sip:request",
        }
    }

    /// What the application calls this one.
    pub fn id(&self) -> Option<&str> {
        let id = match self {
            Verb::Answer(verb) => &verb.id,
            Verb::Say(verb) => &verb.id,
            Verb::Play(verb) => &verb.id,
            Verb::Gather(verb) => &verb.id,
            Verb::Pause(verb) => &verb.id,
            Verb::Dial(verb) => &verb.id,
            Verb::Hangup(verb) => &verb.id,
            Verb::Redirect(verb) => &verb.id,
            Verb::Tag(verb) => &verb.id,
            Verb::Config(verb) => &verb.id,
            Verb::SipDecline(verb) => &verb.id,
            Verb::Dtmf(verb) => &verb.id,
            Verb::SipRefer(verb) => &verb.id,
            Verb::SipRequest(verb) => &verb.id,
        };
        id.as_deref()
    }
}

/// The verbs that are understood.
const KNOWN: [&str; 14] = [
    "answer",
    "say",
    "play",
    "gather",
    "pause",
    "dial",
    "hangup",
    "redirect",
    "tag",
    "config",
    "sip:decline",
    "dtmf",
    "sip:refer",
    "sip:request",
];

/// Verbs of the same protocol that this node does not have.
const ELSEWHERE: [&str; 16] = [
    "room",
    "dub",
    "conference",
    "enqueue",
    "dequeue",
    "leave",
    "message",
    "llm",
    "dialogflow",
    "lex",
    "rasa",
    "alert",
    "rest:dial",
    "s2s",
    "agent",
    "transfer",
];

/// Reads a hook that stands at `place`.
pub fn read_hook_value(place: &str, value: Value) -> Result<Hook, PayloadError> {
    hook::read_hook(place.to_owned(), value)
}

/// Reads what an application answered: a list of verbs, or one. All or nothing.
pub fn parse_application(body: &[u8]) -> Result<Vec<Verb>, PayloadError> {
    let value = crate::app::json::read(body)
        .map_err(|error| PayloadError::new("", format!("the answer is no JSON: {error}")))?;
    read_application(value)
}

/// The same for JSON that has been read already.
pub fn read_application(value: Value) -> Result<Vec<Verb>, PayloadError> {
    read_verbs("", value)
}

/// Verbs at a place of a larger payload.
pub(in crate::app) fn read_verbs(place: &str, value: Value) -> Read<Vec<Verb>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(one) => vec![Value::Object(one)],
        Value::Null => Vec::new(),
        other => {
            let problem = format!("a list of verbs is expected, not {}", kind(&other));
            return Err(PayloadError::new(place, problem));
        }
    };
    if list.len() > MOST_VERBS {
        let problem = format!("{} verbs are more than {MOST_VERBS}", list.len());
        return Err(PayloadError::new(place, problem));
    }
    list.into_iter()
        .enumerate()
        .map(|(position, value)| read_verb(format!("{place}[{position}]"), value))
        .collect()
}

/// `{"verb": "dial", …}` or `{"dial": {…}}`.
fn read_verb(place: String, value: Value) -> Read<Verb> {
    let mut object = Object::of(place.clone(), value)?;
    if let Some(name) = object.text("verb")? {
        return read_named(&name, object);
    }
    let map = object.into_map();
    let mut entries = map.into_iter().filter(|(name, _)| name != "_");
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => {
            let place = format!("{place}.{}", name.escape_debug());
            let inner = match value {
                Value::Null => Object::new(place, Map::new()),
                value => Object::of(place, value)?,
            };
            read_named(&name, inner)
        }
        _ => Err(PayloadError::new(place, "the property 'verb' is missing")),
    }
}

fn read_named(name: &str, object: Object) -> Read<Verb> {
    Ok(match name {
        "answer" => Verb::Answer(signalling::read_answer(object)?),
        "say" => Verb::Say(Box::new(speaking::read_say(object)?)),
        "play" => Verb::Play(Box::new(speaking::read_play(object)?)),
        "gather" => Verb::Gather(Box::new(speaking::read_gather(object)?)),
        "pause" => Verb::Pause(speaking::read_pause(object)?),
        "dial" => Verb::Dial(Box::new(dial::read_dial(object)?)),
        "hangup" => Verb::Hangup(signalling::read_hangup(object)?),
        "redirect" => Verb::Redirect(signalling::read_redirect(object)?),
        "tag" => Verb::Tag(signalling::read_tag(object)?),
        "config" => Verb::Config(Box::new(signalling::read_config(object)?)),
        "sip:decline" => Verb::SipDecline(signalling::read_decline(object)?),
        "dtmf" => Verb::Dtmf(signalling::read_dtmf(object)?),
        "sip:refer" => Verb::SipRefer(Box::new(signalling::read_refer(object)?)),
        "sip:request" => Verb::SipRequest(Box::new(signalling::read_request(object)?)),
        "listen" | "stream" => return tap::refuse_listen(object),
        "transcribe" => return tap::refuse_transcribe(object),
        other if ELSEWHERE.contains(&other) || other.ends_with("_s2s") => {
            return object.wrong("verb", format!("the verb {other} is not supported by portcullis"));
        }
        other => {
            let shown: String = other.chars().take(64).collect();
            let problem = format!("unknown verb '{}'{}", shown.escape_debug(), meant(other, &KNOWN));
            return object.wrong("verb", problem);
        }
    })
}
