//! Commands of a connected application, read: `{"type":"command","command":"redirect","data":[…],"callSid":"…"}`.

use super::event::{Command, Wish};
use crate::app::sid::CallSid;
use crate::app::verb::{self, Verb};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Reads a command; the error says in words what is wrong.
pub fn read_command(message: &Value) -> Result<Command, String> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let name = text("command").ok_or("the property 'command' is missing")?;
    let leg = match text("callSid") {
        None => None,
        Some(sid) => Some(CallSid::parse(sid).ok_or_else(|| format!("callSid '{}' is no UUID", sid.escape_debug()))?),
    };
    let data = message.get("data").cloned().unwrap_or(Value::Null);
    let append = message.get("queueCommand").and_then(Value::as_bool).unwrap_or(false);
    let wish = read_wish(name, data, append)?;
    Ok(Command { leg, wish })
}

/// Reads what is wanted, by the name of the command.
pub fn read_wish(name: &str, data: Value, append: bool) -> Result<Wish, String> {
    let object = || data.as_object().ok_or_else(|| format!("{name}: data is an object"));
    match name {
        "redirect" => match &data {
            Value::Object(map) if map.contains_key("call_hook") => {
                let hook = map.get("call_hook").cloned().unwrap_or(Value::Null);
                verb::read_hook_value("call_hook", hook)
                    .map(Wish::Redirect)
                    .map_err(|error| error.to_string())
            }
            _ => {
                let verbs = verb::read_application(data).map_err(|error| error.to_string())?;
                Ok(Wish::Verbs { verbs, append })
            }
        },
        "call:status" => match word(&data, "call_status") {
            Some("completed" | "no-answer") => Ok(Wish::HangUp),
            _ => Err("call:status: call_status is completed or no-answer".into()),
        },
        "mute:status" => match word(&data, "mute_status") {
            Some("mute") => Ok(Wish::Mute(true)),
            Some("unmute") => Ok(Wish::Mute(false)),
            _ => Err("mute:status: mute_status is mute or unmute".into()),
        },
        "whisper" => {
            let inner = match data {
                Value::Object(mut map) if map.contains_key("whisper") => map.remove("whisper").unwrap_or(Value::Null),
                other => other,
            };
            let verbs = verb::read_application(inner).map_err(|error| error.to_string())?;
            match verbs.iter().all(|verb| matches!(verb, Verb::Say(_) | Verb::Play(_))) && !verbs.is_empty() {
                true => Ok(Wish::Whisper(verbs)),
                false => Err("whisper: say or play is expected".into()),
            }
        }
        "dtmf" => {
            let digits = object()?
                .get("digit")
                .or_else(|| object().ok()?.get("dtmf"))
                .and_then(Value::as_str);
            let duration = object()?.get("duration").and_then(Value::as_u64).unwrap_or(250);
            let verbs = verb::read_application(json!([{ "verb": "dtmf", "dtmf": digits, "duration": duration }]));
            match verbs.map_err(|error| error.to_string())?.pop() {
                Some(Verb::Dtmf(dtmf)) => Ok(Wish::Digits {
                    digits: dtmf.digits,
                    duration: dtmf.duration.max(Duration::from_millis(40)),
                }),
                _ => Err("dtmf: data names the digit".into()),
            }
        }
        "sip:request" => {
            let map = object()?;
            let mut headers = map
                .get("headers")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            if let Some(content_type) = map.get("content_type") {
                headers.insert("Content-Type".into(), content_type.clone());
            }
            let body = map
                .get("content")
                .or_else(|| map.get("body"))
                .cloned()
                .unwrap_or(Value::Null);
            let verb =
                json!([{ "verb": "sip:request", "method": map.get("method"), "body": body, "headers": headers }]);
            match verb::read_application(verb).map_err(|error| error.to_string())?.pop() {
                Some(Verb::SipRequest(request)) => Ok(Wish::Request(request)),
                _ => Err("sip:request: data names the method".into()),
            }
        }
        "tag" => Ok(Wish::Tag(object()?.clone())),
        "config" => {
            let mut map: Map<String, Value> = object()?.clone();
            map.insert("verb".into(), "config".into());
            match verb::read_application(Value::Object(map))
                .map_err(|error| error.to_string())?
                .pop()
            {
                Some(Verb::Config(config)) => Ok(Wish::Configure(config)),
                _ => Err("config: data is an object".into()),
            }
        }
        "dial" => Err("dial: calls are placed over the REST interface".into()),
        "listen:status"
        | "stream:status"
        | "transcribe:status"
        | "dub"
        | "record"
        | "conf:mute-status"
        | "conf:hold-status"
        | "conf:participant-action"
        | "media:path"
        | "llm:tool-output"
        | "llm:update"
        | "tts:tokens"
        | "tts:flush"
        | "tts:clear"
        | "boostAudioSignal" => Err(format!("the command {name} is not supported")),
        other => Err(format!("unknown command '{}'", other.escape_debug())),
    }
}

/// A word, given as it is or as a property.
fn word<'a>(data: &'a Value, name: &str) -> Option<&'a str> {
    data.as_str().or_else(|| data.get(name)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Command, String> {
        read_command(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn commands() {
        let redirect =
            read(r#"{"type":"command","command":"redirect","queueCommand":true,"data":[{"verb":"hangup"}]}"#);
        assert!(matches!(redirect.unwrap().wish, Wish::Verbs { append: true, verbs } if verbs.len() == 1));
        let hook = read(r#"{"command":"redirect","data":{"call_hook":"/next"}}"#).unwrap();
        assert!(matches!(hook.wish, Wish::Redirect(hook) if hook.url == "/next"));
        for (json, wish) in [
            (
                r#"{"command":"mute:status","data":{"mute_status":"mute"}}"#,
                Wish::Mute(true),
            ),
            (r#"{"command":"mute:status","data":"unmute"}"#, Wish::Mute(false)),
            (
                r#"{"command":"call:status","data":{"call_status":"completed"}}"#,
                Wish::HangUp,
            ),
        ] {
            assert_eq!(read(json).unwrap().wish, wish);
        }
        let whisper = read(
            r#"{"command":"whisper","callSid":"0d2b7c5a-4a4e-4a55-9d4a-b9a5b1a1c001","data":{"whisper":{"verb":"say","text":"x"}}}"#,
        );
        assert!(whisper.is_ok_and(|command| command.leg.is_some()));
        let digits = read(r#"{"command":"dtmf","data":{"digit":"5"}}"#).unwrap();
        assert!(matches!(digits.wish, Wish::Digits { digits, .. } if digits == "5"));
        let info = read(r#"{"command":"sip:request","data":{"method":"INFO","content_type":"text/x","content":"b"}}"#);
        assert!(
            matches!(info.unwrap().wish, Wish::Request(request) if request.content_type.as_deref() == Some("text/x"))
        );
    }

    #[test]
    fn what_is_wrong_with_a_command() {
        for (json, expected) in [
            (r#"{"data":[]}"#, "'command' is missing"),
            (r#"{"command":"explode"}"#, "unknown command"),
            (r#"{"command":"dub","data":{}}"#, "not supported"),
            (r#"{"command":"dial","data":{}}"#, "REST"),
            (r#"{"command":"tag","callSid":"x","data":{}}"#, "no UUID"),
            (r#"{"command":"whisper","data":[{"verb":"hangup"}]}"#, "say or play"),
            (
                r#"{"command":"redirect","data":[{"verb":"dail"}]}"#,
                "did you mean dial",
            ),
            (r#"{"command":"dtmf","data":{"digit":"x"}}"#, "keys"),
        ] {
            let told = read(json).unwrap_err();
            assert!(told.contains(expected), "{json}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_command_panics(name in "[a-z:]{0,12}", data in "[\\[\\]{}\",:a-z0-9]{0,40}") {
            let data: Value = serde_json::from_str(&data).unwrap_or(Value::Null);
            let _read = read_wish(&name, data, false);
        }
    }
}
