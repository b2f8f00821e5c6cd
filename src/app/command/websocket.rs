//! Commands of an application over its WebSocket.

use super::{Command, NewCall, Object, Onward, Orderer, PayloadError, Read, Wish};
use crate::app::sid::CallSid;
use crate::app::verb;
use serde_json::Value;

/// What a command asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Something of a leg of this call.
    Of(Command),
    /// Another call.
    Place(Box<NewCall>),
}

const KNOWN: &[&str] = &[
    "redirect",
    "call:status",
    "config",
    "dial",
    "mute:status",
    "whisper",
    "sip:request",
    "dtmf",
    "tag",
    "boostAudioSignal",
];

/// Reads `{"type": "command", "command": …, "data": …}`.
pub fn read_command(message: Value) -> Result<Said, PayloadError> {
    let mut object = Object::of(String::new(), message)?;
    object.ignore("type");
    object.ignore("msgid");
    let name = object.required_text("command")?;
    let leg = match object.either(["callSid", "call_sid"], Object::line)? {
        None => None,
        Some(text) => match CallSid::parse(&text) {
            Some(sid) => Some(sid),
            None => return object.wrong("callSid", "a UUID is expected"),
        },
    };
    let append = match name.as_str() {
        "redirect" => object.flag("queueCommand")?.unwrap_or(false),
        _ => {
            object.ignore("queueCommand");
            false
        }
    };
    let wish = match name.as_str() {
        "redirect" => read_redirect(&mut object, append)?,
        "call:status" => {
            let mut data = status(&mut object, "call_status")?;
            let wish = super::read_end(&mut data, ["call_status", "callStatus"], Orderer::Socket)?;
            finished(data, wish, "call_status", "completed or no-answer")?
        }
        "mute:status" => {
            let mut data = status(&mut object, "mute_status")?;
            let wish = super::read_mute(&mut data, ["mute_status", "muteStatus"])?;
            finished(data, wish, "mute_status", "mute or unmute")?
        }
        "config" => Wish::Configure(Box::new(verb::signalling::read_config(data(&mut object)?)?)),
        "dial" => {
            let call = super::new_call::read(data(&mut object)?)?;
            object.finish()?;
            return Ok(Said::Place(Box::new(call)));
        }
        "boostAudioSignal" => {
            let mut data = boosted(&mut object)?;
            let wish = super::read_boost(&mut data)?;
            finished(data, wish, "boostAudioSignal", "decibels")?
        }
        "whisper" => read_whisper(&mut object)?,
        "sip:request" => super::read_sip_request(data(&mut object)?)?,
        "dtmf" => super::read_digits(data(&mut object)?)?,
        "tag" => match object.data("data")? {
            Some(tag) => Wish::Tag(tag),
            None => return object.missing("data", ": an object"),
        },
        other => return super::unknown(&object, other, "command", KNOWN),
    };
    object.finish()?;
    Ok(Said::Of(Command { leg, wish, reply: None }))
}

fn data(object: &mut Object) -> Read<Object> {
    match object.object("data")? {
        Some(data) => Ok(data),
        None => object.missing("data", ": an object"),
    }
}

/// The data of a status command: an object, or the bare word.
fn status(object: &mut Object, name: &str) -> Read<Object> {
    match object.take("data") {
        Some(Value::Object(map)) => Ok(Object::new("data".to_owned(), map)),
        Some(word @ Value::String(_)) => Ok(Object::new(
            "data".to_owned(),
            [(name.to_owned(), word)].into_iter().collect(),
        )),
        _ => object.wrong("data", format!("an object with {name} is expected")),
    }
}

/// Decibels, bare or as the property of an object.
fn boosted(object: &mut Object) -> Read<Object> {
    match object.take("data") {
        Some(Value::Object(map)) => Ok(Object::new("data".to_owned(), map)),
        Some(bare @ (Value::String(_) | Value::Number(_))) => Ok(Object::new(
            "data".to_owned(),
            [("boostAudioSignal".to_owned(), bare)].into_iter().collect(),
        )),
        _ => object.wrong("data", "an object with boostAudioSignal is expected"),
    }
}

/// Verbs to be whispered, bare or as the property `whisper` of an object.
fn read_whisper(object: &mut Object) -> Read<Wish> {
    let wish = match object.take("data") {
        Some(Value::Object(map)) if map.contains_key("whisper") => {
            let mut data = Object::new("data".to_owned(), map);
            let wish = super::read_whisper(&mut data, "whisper")?;
            data.finish()?;
            wish
        }
        Some(value) => super::whispered("data", value).map(Some)?,
        None => None,
    };
    match wish {
        Some(wish) => Ok(wish),
        None => object.missing("data", ": say or play"),
    }
}

/// An application for one side of a bridge: a hook, or its verbs.
fn read_onward(data: &mut Object, hooks: [&'static str; 2], verbs: &'static str) -> Read<Option<Onward>> {
    let hook = data.either(hooks, Object::hook)?;
    let place = data.place(verbs);
    match (hook, data.take(verbs)) {
        (Some(_), Some(_)) => data.wrong(verbs, format!("either this or {}", hooks[0])),
        (Some(hook), None) => Ok(Some(Onward::Hook(hook))),
        (None, Some(value)) => Ok(Some(Onward::Verbs(verb::read_verbs(&place, value)?))),
        (None, None) => Ok(None),
    }
}

fn finished(data: Object, wish: Option<Wish>, name: &str, expected: &str) -> Read<Wish> {
    let Some(wish) = wish else {
        return data.missing(name, &format!(": {expected}"));
    };
    data.finish()?;
    Ok(wish)
}

/// Verbs, or a hook to fetch them from and where status events go from then on.
fn read_redirect(object: &mut Object, append: bool) -> Read<Wish> {
    let value = match object.take("data") {
        Some(Value::Object(map)) if !map.contains_key("verb") => {
            let mut data = Object::new("data".to_owned(), map);
            super::update::refuse_elsewhere(&data)?;
            let status_hook = super::update::read_status_hook(&mut data)?;
            let parent = read_onward(&mut data, ["call_hook", "callHook"], "parent_call")?;
            let child = read_onward(&mut data, ["child_call_hook", "childCallHook"], "child_call")?;
            let Some(wish) = super::onward(parent, child) else {
                return data.missing("call_hook", ": a hook, or a list of verbs instead of this object");
            };
            data.finish()?;
            return Ok(match status_hook {
                Some(status_hook) => Wish::All(vec![status_hook, wish]),
                None => wish,
            });
        }
        Some(value) => value,
        None => return object.missing("data", ": verbs, or an object with call_hook"),
    };
    let verbs = verb::read_verbs("data", value)?;
    Ok(Wish::Verbs { verbs, append })
}
