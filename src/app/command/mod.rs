//! What an application, or somebody over REST, wants of a call while it lasts, and of calls that are to be placed.
//!
//! In: JSON of a `command` over a WebSocket ([`read_command`]), the body of an update over REST ([`read_update`]), the
//! body of a new call ([`read_new_call`]). Out: typed wishes, or a [`PayloadError`] that names the place. What this node
//! can't do is refused by name, never ignored.

mod new_call;
#[cfg(test)]
mod tests;
mod update;
mod websocket;

pub use new_call::{NewCall, Steering, read_new_call};
pub use update::read_update;
pub use websocket::{Said, read_command};

use super::sid::CallSid;
use super::verb::read::{Object, PayloadError, Read, meant};
use super::verb::{self, Hook, SipRequest, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// What somebody wants of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The call_sid of the leg that is meant; the caller's without one.
    pub leg: Option<CallSid>,
    pub wish: Wish,
    /// The number under which somebody waits for what comes of it.
    pub reply: Option<u32>,
}

/// The wish itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// These, one after the other: all of them, or none where the call can't be reached.
    All(Vec<Wish>),
    /// Other verbs, instead of those left or after them.
    Verbs { verbs: Vec<Verb>, append: bool },
    /// An application to be fetched.
    Redirect(Hook),
    /// An application of its own for the callee of a bridge, and where it is said another one for its caller.
    Part { parent: Option<Onward>, child: Onward },
    /// The end of the call.
    HangUp(Orderer),
    /// Say or play something to one side of a bridge.
    Whisper(Vec<Verb>),
    /// Block what this leg says to the other, or no longer.
    Mute(bool),
    /// Keys for the peer of the leg, each as long as this.
    Digits { digits: String, duration: Duration },
    /// A request inside the leg's dialog.
    Request(Box<SipRequest>),
    /// What the following verbs go by, from now on.
    Configure(Box<verb::Config>),
    /// Decibels on what this leg says to the other.
    Boost(i8),
    /// Where status events go from now on.
    StatusHook(Hook),
    /// Other `customerData`.
    Tag(Map<String, Value>),
}

/// Which way a command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orderer {
    Rest,
    /// The application's WebSocket.
    Socket,
}

impl Orderer {
    /// What ended a call, in words.
    pub const fn hung_up(self) -> &'static str {
        match self {
            Orderer::Rest => "it was ended by call_status over REST",
            Orderer::Socket => "the application ended it by call:status over its WebSocket",
        }
    }
}

/// Another application for a leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Onward {
    /// To be fetched.
    Hook(Hook),
    Verbs(Vec<Verb>),
}

impl Onward {
    /// The hook, where it is one.
    pub fn hook(&self) -> Option<&Hook> {
        match self {
            Onward::Hook(hook) => Some(hook),
            Onward::Verbs(_) => None,
        }
    }
}

/// What the protocol knows and this node does not have: the name, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("listen", "nothing streams the audio of a call yet"),
    ("stream", "nothing streams the audio of a call yet"),
    ("transcribe", "there is no transcription yet"),
    ("conf", "there are no conferences"),
    ("conferenceParticipantAction", "there are no conferences"),
    ("record", "there is no recording yet"),
    ("dub", "there are no dub tracks yet"),
    ("llm", "there are no language models"),
    ("tts", "there is no streamed speech"),
    ("room", "there are no rooms"),
    ("agent", "there are no agents"),
    ("stt", "there is no recognition yet"),
    ("media", "media always stays with the SBC"),
    ("noise", "there is no noise isolation"),
];

/// Why a name of the protocol can't be had, when it is one.
fn elsewhere(name: &str) -> Option<&'static str> {
    let belongs = |family: &str| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_', 'P', 'I']))
    };
    ELSEWHERE
        .iter()
        .find(|(family, _)| belongs(family))
        .map(|(_, reason)| *reason)
}

/// Other applications for the two sides of a bridge, or for the caller alone.
fn onward(parent: Option<Onward>, child: Option<Onward>) -> Option<Wish> {
    match (parent, child) {
        (parent, Some(child)) => Some(Wish::Part { parent, child }),
        (Some(Onward::Hook(hook)), None) => Some(Wish::Redirect(hook)),
        (Some(Onward::Verbs(verbs)), None) => Some(Wish::Verbs { verbs, append: false }),
        (None, None) => None,
    }
}

/// `completed` and `no-answer` both end the call, each in its own state.
fn read_end(object: &mut Object, names: [&'static str; 2], by: Orderer) -> Read<Option<Wish>> {
    let [name, _] = names;
    match object.either(names, Object::line)?.as_deref() {
        None => Ok(None),
        Some("completed" | "no-answer") => Ok(Some(Wish::HangUp(by))),
        Some(_) => object.wrong(name, "completed or no-answer is expected"),
    }
}

fn read_mute(object: &mut Object, names: [&'static str; 2]) -> Read<Option<Wish>> {
    let [name, _] = names;
    match object.either(names, Object::line)?.as_deref() {
        None => Ok(None),
        Some("mute") => Ok(Some(Wish::Mute(true))),
        Some("unmute") => Ok(Some(Wish::Mute(false))),
        Some(_) => object.wrong(name, "mute or unmute is expected"),
    }
}

fn read_boost(object: &mut Object) -> Read<Option<Wish>> {
    Ok(verb::dial::read_decibels(object, "boostAudioSignal")?.map(Wish::Boost))
}

fn read_whisper(object: &mut Object, name: &'static str) -> Read<Option<Wish>> {
    let place = object.place(name);
    object.take(name).map(|value| whispered(&place, value)).transpose()
}

fn whispered(place: &str, value: Value) -> Read<Wish> {
    let wrong = |problem: &str| Err(PayloadError::new(place, problem));
    if value.is_string() {
        return wrong("a say or play verb is expected, not a URL");
    }
    // Before what may be wrong inside of them.
    let named = match &value {
        Value::Array(verbs) => verbs.iter().collect(),
        verb => vec![verb],
    };
    let mut names = named.iter().filter_map(|verb| verb.get("verb").and_then(Value::as_str));
    if let Some(other) = names.find(|name| !["say", "play"].contains(name)) {
        let shown: String = other.chars().take(64).collect();
        return wrong(&format!("only say and play whisper, not {}", shown.escape_debug()));
    }
    let verbs = verb::read_verbs(place, value)?;
    let heard = |verb: &Verb| matches!(verb, Verb::Say(_) | Verb::Play(_));
    match verbs.is_empty() || !verbs.iter().all(heard) {
        true => wrong("say and play, at least one of them, are expected and nothing else"),
        false => Ok(Wish::Whisper(verbs)),
    }
}

fn read_digits(mut keys: Object) -> Read<Wish> {
    let dtmf = verb::signalling::read_keys(&mut keys, ["digit", "dtmf"], 250)?;
    keys.finish()?;
    Ok(Wish::Digits {
        digits: dtmf.digits,
        duration: dtmf.duration,
    })
}

fn read_sip_request(request: Object) -> Read<Wish> {
    let request = verb::signalling::read_request(request)?;
    Ok(Wish::Request(Box::new(request)))
}

/// A name that nobody knows, or that this node can't serve.
fn unknown<T>(object: &Object, name: &str, what: &str, known: &[&str]) -> Read<T> {
    let shown: String = name.chars().take(64).collect();
    let shown = shown.escape_debug();
    match elsewhere(name) {
        Some(reason) => object.wrong(&shown.to_string(), format!("it is not supported: {reason}")),
        None => object.wrong(&shown.to_string(), format!("unknown {what}{}", meant(name, known))),
    }
}
