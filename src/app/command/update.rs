//! The body of an update of a call over REST: one thing, or a whisper and one thing.

use super::{Object, Onward, Orderer, PayloadError, Read, Wish};
use serde_json::Value;

const KNOWN: &[&str] = &[
    "call_hook",
    "child_call_hook",
    "call_status",
    "mute_status",
    "whisper",
    "sip_request",
    "dtmf",
    "tag",
    "boostAudioSignal",
];

/// Reads an update: its wishes in the order in which they are to be done, at least one.
pub fn read_update(body: Value) -> Result<Vec<Wish>, PayloadError> {
    let mut object = Object::of(String::new(), body)?;
    refuse_elsewhere(&object)?;
    let whisper = super::read_whisper(&mut object, "whisper")?;
    let status_hook = read_status_hook(&mut object)?;
    let mut others = Vec::new();
    let own = object.either(["call_hook", "callHook"], Object::hook)?;
    let child = object.either(["child_call_hook", "childCallHook"], Object::hook)?;
    others.extend(super::onward(own.map(Onward::Hook), child.map(Onward::Hook)));
    if status_hook.is_some() && others.is_empty() {
        return object.wrong("call_status_hook", "it goes with call_hook, not alone");
    }
    others.extend(super::read_end(
        &mut object,
        ["call_status", "callStatus"],
        Orderer::Rest,
    )?);
    others.extend(super::read_mute(&mut object, ["mute_status", "muteStatus"])?);
    if let Some(request) = object.object("sip_request")? {
        others.push(super::read_sip_request(request)?);
    }
    if let Some(keys) = object.object("dtmf")? {
        others.push(super::read_digits(keys)?);
    }
    others.extend(object.data("tag")?.map(Wish::Tag));
    others.extend(super::read_boost(&mut object)?);
    object.finish()?;
    if others.len() > 1 {
        return Err(PayloadError::new(
            "",
            "more than one thing is asked for: ask one after the other",
        ));
    }
    let wishes: Vec<Wish> = whisper.into_iter().chain(status_hook).chain(others).collect();
    match wishes.is_empty() {
        true => Err(PayloadError::new(
            "",
            format!("nothing is asked for: one of {} is expected", KNOWN.join(", ")),
        )),
        false => Ok(wishes),
    }
}

/// Where the status events of a call go that gets another application.
pub(super) fn read_status_hook(object: &mut Object) -> Read<Option<Wish>> {
    let hook = object.either(["call_status_hook", "callStatusHook"], Object::hook)?;
    Ok(hook.map(Wish::StatusHook))
}

/// A property that this node can't serve is refused with its reason before an unknown one is.
pub(super) fn refuse_elsewhere(object: &Object) -> Read<()> {
    match object.names().find(|name| super::elsewhere(name).is_some()) {
        Some(name) => super::unknown(object, name, "property", KNOWN),
        None => Ok(()),
    }
}
