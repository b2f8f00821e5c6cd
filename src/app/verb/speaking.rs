//! Verbs that a caller hears, and keys that it presses.

use super::hook::Hook;
use super::read::{Object, Read, element};
use super::recognizer::read_recognizer;
use super::synthesizer::{Synthesizer, read_synthesizer};
use crate::app::tones::Tones;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The entries of one list of texts or URLs, the bytes of one text.
const MOST_SOUNDS: usize = 100;
const LONGEST_TEXT: usize = 20_000;

/// Text that is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    pub id: Option<String>,
    pub text: Vec<String>,
    /// How often; `None`: for ever.
    pub times: Option<u32>,
    pub early_media: bool,
    pub synthesizer: Option<Synthesizer>,
    /// It is spoken anew, also when it was spoken before, and not kept.
    pub fresh: bool,
}

/// Sounds that are played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    pub id: Option<String>,
    pub urls: Vec<String>,
    /// How often; `None`: for ever.
    pub times: Option<u32>,
    pub early_media: bool,
    /// Where the first sound begins.
    pub seek: Duration,
    /// Not longer than this.
    pub limit: Option<Duration>,
    pub action_hook: Option<Hook>,
}

/// Keys that are gathered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    pub id: Option<String>,
    pub action_hook: Option<Hook>,
    pub num_digits: Option<u16>,
    pub min_digits: Option<u16>,
    pub max_digits: Option<u16>,
    pub finish_on_key: Option<char>,
    /// Zero: none.
    pub timeout: Duration,
    pub inter_digit_timeout: Option<Duration>,
    pub dtmf_bargein: bool,
    pub listen_during_prompt: bool,
    pub say: Option<Say>,
    pub play: Option<Play>,
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub id: Option<String>,
    pub length: Duration,
}

pub(super) fn read_say(mut object: Object) -> Read<Say> {
    if !object.has("text") {
        return object.missing("text", "");
    }
    let text = object.texts("text", MOST_SOUNDS)?;
    if text.iter().all(|text| text.trim().is_empty()) {
        return object.wrong("text", "there is nothing to say");
    }
    if text.iter().map(String::len).sum::<usize>() > LONGEST_TEXT {
        return object.wrong("text", format!("more than {LONGEST_TEXT} bytes of text"));
    }
    let is_list = text.len() > 1;
    for (position, sound) in text.iter().enumerate().filter(|(_, text)| is_sound(text)) {
        let place = element("text", is_list, position);
        check_sound(sound.trim()).or_else(|problem| object.wrong(&place, problem))?;
    }
    let goes_on = goes_on(&text);
    if goes_on && is_list {
        return object.wrong("text", ENDLESS);
    }
    for (name, reason) in [
        ("stream", "streamed text is not supported: give text"),
        ("closeStreamOnEmpty", "streamed text is not supported: give text"),
        ("instructions", "instructions to a voice are not supported"),
    ] {
        object.refuse(name, reason)?;
    }
    let say = Say {
        id: object.line("id")?,
        text,
        times: read_times(&mut object)?.filter(|_| !goes_on),
        early_media: object.flag("earlyMedia")?.unwrap_or(false),
        synthesizer: read_synthesizer(&mut object)?,
        fresh: object.flag("disableTtsCache")?.unwrap_or(false),
    };
    object.finish()?;
    Ok(say)
}

/// A number, or `"forever"`; 0 is once, as absent is.
fn read_times(object: &mut Object) -> Read<Option<u32>> {
    match object.take("loop") {
        None => Ok(Some(1)),
        Some(serde_json::Value::String(text)) if text == "forever" => Ok(None),
        Some(value) => match value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()) {
            Some(times) if (0.0..=10_000.0).contains(&times) && times.fract() == 0.0 => Ok(Some((times as u32).max(1))),
            _ => object.wrong("loop", "a number up to 10000 or \"forever\" is expected"),
        },
    }
}

const ENDLESS: &str = "a tone that goes on for ever stands alone";

/// Whether one of these sounds has no end.
fn goes_on(sounds: &[String]) -> bool {
    let tones = sounds.iter().map(|sound| sound.trim());
    let tones = tones.filter(|sound| Tones::are_meant(sound));
    tones
        .filter_map(|text| Tones::read(text).ok())
        .any(|tones| tones.are_endless())
}

/// Whether a text is no words but a sound: a tone, or a URL and nothing around it.
pub fn is_sound(text: &str) -> bool {
    let text = text.trim();
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_url = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    Tones::are_meant(text) || (is_url && !text.contains(char::is_whitespace))
}

/// A URL, a name below the folder of sounds, or a tone.
pub(super) fn check_sound(text: &str) -> Result<(), String> {
    match Tones::are_meant(text) {
        true => Tones::read(text).map(|_| ()).map_err(|fault| fault.to_string()),
        false => super::hook::check_url(text).map_err(str::to_owned),
    }
}

pub(super) fn read_play(mut object: Object) -> Read<Play> {
    if !object.has("url") {
        return object.missing("url", "");
    }
    let is_list = object.is_list("url");
    let urls = object.texts("url", MOST_SOUNDS)?;
    if urls.is_empty() || urls.iter().any(|url| url.trim().is_empty()) {
        return object.wrong("url", "it is empty");
    }
    for (position, url) in urls.iter().enumerate() {
        let place = element("url", is_list, position);
        check_sound(url).or_else(|problem| object.wrong(&place, problem))?;
    }
    let goes_on = goes_on(&urls);
    if goes_on && urls.len() > 1 {
        return object.wrong("url", ENDLESS);
    }
    let seconds = |number: f64| Duration::from_secs_f64(number);
    let play = Play {
        id: object.line("id")?,
        urls,
        times: read_times(&mut object)?.filter(|_| !goes_on),
        early_media: object.flag("earlyMedia")?.unwrap_or(false),
        // In samples of 8 kHz, as the protocol has it.
        seek: seconds(object.quoted_number("seekOffset", 0.0, 3.0e8)?.unwrap_or(0.0) / 8_000.0),
        limit: object
            .quoted_number("timeoutSecs", 0.0, 86_400.0)?
            .filter(|limit| *limit > 0.0)
            .map(seconds),
        action_hook: object.hook("actionHook")?,
    };
    object.finish()?;
    Ok(play)
}

pub(super) fn read_gather(mut object: Object) -> Read<Gather> {
    for input in object.texts("input", 2)? {
        match input.as_str() {
            "digits" => {}
            "speech" => return object.wrong("input", "speech recognition is not supported yet: gather digits"),
            other => return object.wrong("input", format!("'{}' is not digits", other.escape_debug())),
        }
    }
    const OF_SPEECH: &str = "it belongs to speech recognition, which is not supported yet";
    if read_recognizer(&mut object)? {
        return object.wrong("recognizer", OF_SPEECH);
    }
    for name in [
        "partialResultHook",
        "speechTimeout",
        "fillerNoise",
        "actionHookDelayAction",
    ] {
        object.refuse(name, OF_SPEECH)?;
    }
    for name in ["bargein", "minBargeinWordCount"] {
        object.ignore(name);
    }
    let say = object.object("say")?.map(read_say).transpose()?;
    let play = object.object("play")?.map(read_play).transpose()?;
    if say.is_some() && play.is_some() {
        return object.wrong("play", "a prompt is either said or played");
    }
    let keys = |number: Option<u32>| {
        number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| *number > 0)
    };
    let finish_on_key = object.text("finishOnKey")?.filter(|key| !key.is_empty());
    let finish_on_key = match finish_on_key {
        None => None,
        Some(key) => {
            let mut chars = key.chars();
            match (chars.next(), chars.next()) {
                (Some(key @ ('0'..='9' | '*' | '#')), None) => Some(key),
                _ => return object.wrong("finishOnKey", "one key of 0-9, * and # is expected"),
            }
        }
    };
    let seconds = |number: f64| Duration::from_secs_f64(number);
    let gather = Gather {
        id: object.line("id")?,
        action_hook: object.hook("actionHook")?,
        num_digits: keys(object.whole("numDigits", 0, 128)?),
        min_digits: keys(object.whole("minDigits", 0, 128)?),
        max_digits: keys(object.whole("maxDigits", 0, 128)?),
        finish_on_key,
        timeout: seconds(object.number("timeout", 0.0, 3_600.0)?.unwrap_or(15.0)),
        inter_digit_timeout: object
            .number("interDigitTimeout", 0.0, 3_600.0)?
            .filter(|span| *span > 0.0)
            .map(seconds),
        dtmf_bargein: object.flag("dtmfBargein")?.unwrap_or(true),
        listen_during_prompt: object.flag("listenDuringPrompt")?.unwrap_or(true),
        say,
        play,
    };
    object.finish()?;
    Ok(gather)
}

pub(super) fn read_pause(mut object: Object) -> Read<Pause> {
    let id = object.line("id")?;
    let Some(length) = object.number("length", 0.0, 86_400.0)? else {
        return object.missing("length", ": seconds");
    };
    object.finish()?;
    Ok(Pause {
        id,
        length: Duration::from_secs_f64(length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::verb::{Verb, parse_application};
    use serde_json::json;

    #[test]
    fn a_text_that_means_a_sound_is_one_or_is_refused() {
        for sound in [
            "silence_stream://500",
            " https://a.example/x.wav ",
            "HTTP://a.example/x",
        ] {
            assert!(is_sound(sound), "{sound}");
        }
        for words in [
            "https://a.example/ is our page",
            "https:",
            "hello.wav",
            "a silence_stream://500",
        ] {
            assert!(!is_sound(words), "{words}");
        }
        let read = |text: serde_json::Value| {
            parse_application(json!({ "verb": "say", "text": text, "loop": 2 }).to_string().as_bytes())
        };
        let mistake = |text| read(text).expect_err("a mistake").to_string();
        assert!(mistake(json!(["a", "silence_stream://x"])).starts_with("[0].text[1]: 'x' is no silence"));
        assert!(mistake(json!("tone_stream://x")).starts_with("[0].text: "));
        assert_eq!(
            mistake(json!(["a", "silence_stream://-1"])),
            format!("[0].text: {ENDLESS}")
        );
        let verbs = read(json!("silence_stream://-1")).expect("it stands alone");
        assert!(matches!(&verbs[..], [Verb::Say(say)] if say.times.is_none()));
    }
}
