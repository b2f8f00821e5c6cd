//! `listen` and `transcribe`: read to the last property, so that a mistake is told as what it is, and then refused, for
//! nothing taps a call yet.

use super::hook::check_url;
use super::read::{Object, Read, meant};
use super::recognizer::read_recognizer;

const RATES: [f64; 5] = [8_000.0, 16_000.0, 24_000.0, 48_000.0, 64_000.0];
const MIXES: [&str; 3] = ["mono", "stereo", "mixed"];

/// Refuses a `listen`, also known as `stream`: for its own mistake, or because there is none yet.
pub(super) fn refuse_listen<T>(mut object: Object) -> Read<T> {
    read_listen(&mut object)?;
    let reason =
        "streaming the audio of a call is not supported yet: the payload is refused rather than run without it";
    let refused = object.refused(reason);
    object.finish()?;
    refused
}

/// Refuses a `transcribe`: for its own mistake, or because there is none yet.
pub(super) fn refuse_transcribe<T>(mut object: Object) -> Read<T> {
    read_transcribe(&mut object)?;
    let reason = "transcription is not supported yet: the payload is refused rather than run without it";
    let refused = object.refused(reason);
    object.finish()?;
    refused
}

fn read_listen(object: &mut Object) -> Read<()> {
    let url = object.required_text("url")?;
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_some_and(|scheme| scheme != "ws" && scheme != "wss") {
        return object.wrong("url", "a ws or wss URL is expected");
    }
    if let Err(problem) = check_url(&url) {
        return object.wrong("url", problem);
    }
    object.line("id")?;
    object.hook("actionHook")?;
    if let Some(mix) = object.line("mixType")?
        && !MIXES.contains(&mix.as_str())
    {
        let problem = format!("mono, stereo or mixed is expected{}", meant(&mix, &MIXES));
        return object.wrong("mixType", problem);
    }
    read_rate(object)?;
    object.data("metadata")?;
    object.flag("passDtmf")?;
    if let Some(key) = object.line("finishOnKey")?
        && !key.chars().all(|key| matches!(key, '0'..='9' | '*' | '#'))
    {
        return object.wrong("finishOnKey", "a key of 0-9, * and # is expected");
    }
    object.number("maxLength", 0.0, 86_400.0)?;
    object.number("timeout", 0.0, 86_400.0)?;
    object.flag("playBeep")?;
    object.flag("earlyMedia")?;
    object.flag("disableBidirectionalAudio")?;
    object.whole("channel", 1, 2)?;
    for name in ["wsAuth", "auth"] {
        if let Some(mut auth) = object.object(name)? {
            auth.required_line("username")?;
            auth.required_line("password")?;
            auth.finish()?;
        }
    }
    if let Some(mut audio) = object.object("bidirectionalAudio")? {
        audio.flag("enabled")?;
        audio.flag("streaming")?;
        read_rate(&mut audio)?;
        audio.finish()?;
    }
    if let Some(mut transcribe) = object.object("transcribe")? {
        read_transcribe(&mut transcribe)?;
        transcribe.finish()?;
    }
    Ok(())
}

fn read_rate(object: &mut Object) -> Read<()> {
    match object.number("sampleRate", 8_000.0, 64_000.0)? {
        Some(rate) if !RATES.contains(&rate) => {
            object.wrong("sampleRate", "8000, 16000, 24000, 48000 or 64000 is expected")
        }
        _ => Ok(()),
    }
}

fn read_transcribe(object: &mut Object) -> Read<()> {
    object.line("id")?;
    object.hook("transcriptionHook")?;
    object.hook("translationHook")?;
    read_recognizer(object)?;
    object.flag("earlyMedia")?;
    object.whole("channel", 1, 2)?;
    Ok(())
}
