//! A call that is to be placed: over REST, or by the command `dial`.

use super::{Object, PayloadError, Read};
use crate::app::verb::synthesizer::read_voicing;
use crate::app::verb::{Hook, Synthesizer, Target, Voicing, dial};
use serde_json::{Map, Value};
use std::time::Duration;

/// A call that somebody wants placed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCall {
    /// Who calls: a number, or a name.
    pub from: String,
    /// The host of the From, where it is not the route's to say.
    pub from_host: Option<String>,
    pub caller_name: Option<String>,
    pub to: Target,
    pub steering: Steering,
    /// Where status events go instead of the application's hook.
    pub status_hook: Option<Hook>,
    pub refer_hook: Option<Hook>,
    pub headers: Vec<(String, String)>,
    /// How long it may ring.
    pub timeout: Duration,
    /// From the answer on.
    pub time_limit: Option<Duration>,
    /// `customerData`.
    pub tag: Option<Map<String, Value>>,
    /// What a say verb without a synthesizer speaks.
    pub synthesizer: Option<Synthesizer>,
}

/// What steers a placed call once it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steering {
    /// An application of the account, by its sid.
    Application(String),
    /// A hook of its own. Over REST there is nothing that a relative one could belong to.
    Hook(Hook),
}

/// Reads the body of a new call.
pub fn read_new_call(body: Value) -> Result<NewCall, PayloadError> {
    read(Object::of(String::new(), body)?)
}

pub(super) fn read(mut object: Object) -> Read<NewCall> {
    object.refuse("amd", "answering machine detection is not supported")?;
    object.refuse("dual_streams", "nothing streams the audio of a call yet")?;
    object.refuse(
        "sipRequestWithinDialogHook",
        "requests of the far side are not told to applications yet",
    )?;
    // Before the answer there is nobody else to be bridged to: the application runs when the call is answered anyway.
    object.flag("answerOnBridge")?;
    // There is no recognition that these could choose.
    for name in [
        "speech_recognizer_vendor",
        "speech_recognizer_language",
        "speech_recognizer_label",
    ] {
        object.line(name)?;
    }
    object.line("speech_synthesis_label")?;
    let Some(to) = object.object("to")? else {
        return object.missing(
            "to",
            ": a target such as {\"type\": \"phone\", \"number\": \"+14255550100\"}",
        );
    };
    let to = dial::read_target(to)?;
    if to.confirm_hook.is_some() {
        return object.wrong(
            "to.confirmHook",
            "there is nobody whom a screening could keep waiting: the application runs on the callee's leg",
        );
    }
    let call = NewCall {
        from: object.required_line("from")?,
        from_host: object.either(["fromHost", "from_host"], Object::line)?,
        caller_name: object.either(["callerName", "caller_name"], Object::line)?,
        to,
        steering: read_steering(&mut object)?,
        status_hook: object.hook("call_status_hook")?,
        refer_hook: object.hook("referHook")?,
        headers: object.headers("headers")?,
        timeout: dial::read_timeout(&mut object)?,
        time_limit: dial::read_time_limit(&mut object)?,
        tag: object.data("tag")?,
        synthesizer: read_synthesizer(&mut object)?,
    };
    object.finish()?;
    Ok(call)
}

fn read_steering(object: &mut Object) -> Read<Steering> {
    let (sid, hook) = (object.line("application_sid")?, object.hook("call_hook")?);
    match (sid, hook) {
        (Some(_), Some(_)) => object.wrong("call_hook", "either this or application_sid steers the call"),
        (Some(sid), None) => Ok(Steering::Application(sid)),
        (None, Some(hook)) => Ok(Steering::Hook(hook)),
        (None, None) => object.missing("call_hook", ", and so is application_sid: one of them steers the call"),
    }
}

fn read_synthesizer(object: &mut Object) -> Read<Option<Synthesizer>> {
    let names = [
        "speech_synthesis_vendor",
        "speech_synthesis_language",
        "speech_synthesis_voice",
    ];
    let voicing = read_voicing(object, names)?;
    let given = voicing != Voicing::default();
    Ok(given.then_some(Synthesizer {
        voicing,
        fallback: None,
    }))
}
