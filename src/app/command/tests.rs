//! What is wished of a call, and what is wrong with the wish.

use super::*;
use crate::app::verb::TargetKind;
use proptest::prelude::*;
use serde_json::json;

const SID: &str = "12345678-1234-4234-8234-123456789abc";

fn wish(message: Value) -> Wish {
    match read_command(message.clone()) {
        Ok(Said::Of(command)) => command.wish,
        other => panic!("{message}: {other:?}"),
    }
}

fn command_mistake(message: Value) -> String {
    match read_command(message.clone()) {
        Err(error) => error.to_string(),
        Ok(said) => panic!("{message} is taken: {said:?}"),
    }
}

fn update_mistake(body: Value) -> String {
    match read_update(body.clone()) {
        Err(error) => error.to_string(),
        Ok(wishes) => panic!("{body} is taken: {wishes:?}"),
    }
}

#[test]
fn commands_of_a_websocket() {
    let hangup = json!([{ "verb": "hangup" }]);
    for append in [false, true] {
        let message = json!({ "type": "command", "command": "redirect", "queueCommand": append, "data": hangup });
        assert!(matches!(wish(message), Wish::Verbs { verbs, append: told } if verbs.len() == 1 && told == append));
    }
    let message = json!({ "type": "command", "command": "redirect", "data": { "call_hook": "/next" } });
    assert_eq!(wish(message), Wish::Redirect(Hook::post("/next")));
    let message = json!({ "command": "redirect", "data": { "call_hook": "/next", "call_status_hook": "/told" } });
    let told = Wish::StatusHook(Hook::post("/told"));
    let both = vec![told, Wish::Redirect(Hook::post("/next"))];
    assert_eq!(wish(message), Wish::All(both));
    let message = json!({ "command": "call:status", "data": { "call_status": "completed" } });
    assert_eq!(wish(message), Wish::HangUp(Orderer::Socket));
    for (name, on) in [("mute", true), ("unmute", false)] {
        let message = json!({ "command": "mute:status", "data": { "mute_status": name } });
        assert_eq!(wish(message), Wish::Mute(on));
    }
    let message = json!({ "command": "whisper", "data": [{ "verb": "say", "text": "soon" }] });
    assert!(matches!(wish(message), Wish::Whisper(verbs) if verbs.len() == 1));
    let message = json!({ "command": "whisper", "data": { "whisper": { "verb": "play", "url": "/soon.wav" } } });
    assert!(matches!(wish(message), Wish::Whisper(verbs) if verbs.len() == 1));
    assert_eq!(
        wish(json!({ "command": "mute:status", "data": "unmute" })),
        Wish::Mute(false)
    );
    let message = json!({ "command": "dtmf", "data": { "digit": "1a", "duration": 300 } });
    let digits = Wish::Digits {
        digits: "1A".into(),
        duration: Duration::from_millis(300),
    };
    assert_eq!(wish(message), digits);
    for data in [json!({ "boostAudioSignal": -3 }), json!("-3 dB"), json!(-3)] {
        assert_eq!(
            wish(json!({ "command": "boostAudioSignal", "data": data })),
            Wish::Boost(-3)
        );
    }
    let message = json!({ "command": "tag", "data": { "a": 1 } });
    assert!(matches!(wish(message), Wish::Tag(tag) if tag["a"] == 1));
    let message = json!({ "command": "config", "data": { "referHook": "/refer" } });
    assert!(matches!(wish(message), Wish::Configure(config) if config.refer_hook == Some(Hook::post("/refer"))));
    let message =
        json!({ "command": "sip:request", "data": { "method": "INFO", "content_type": "text/x", "content": "b" } });
    let Wish::Request(request) = wish(message) else {
        panic!()
    };
    assert_eq!(
        (request.content_type.as_deref(), request.body.as_deref()),
        (Some("text/x"), Some("b"))
    );
}

#[test]
fn both_sides_of_a_bridge_get_other_applications() {
    let hook = |url: &str| Onward::Hook(Hook::post(url));
    let both = json!({ "call_hook": "/a", "child_call_hook": "/b" });
    let expected = Wish::Part {
        parent: Some(hook("/a")),
        child: hook("/b"),
    };
    assert_eq!(wish(json!({ "command": "redirect", "data": both })), expected);
    assert_eq!(read_update(both), Ok(vec![expected]));
    let alone = Wish::Part {
        parent: None,
        child: hook("/b"),
    };
    assert_eq!(read_update(json!({ "child_call_hook": "/b" })), Ok(vec![alone]));
    let verbs = json!({ "parent_call": [{ "verb": "hangup" }], "child_call": [{ "verb": "answer" }] });
    let Wish::Part { parent, child } = wish(json!({ "command": "redirect", "data": verbs })) else {
        panic!()
    };
    assert!(matches!(parent, Some(Onward::Verbs(verbs)) if verbs.len() == 1));
    assert!(matches!(child, Onward::Verbs(verbs) if verbs.len() == 1));
    let own = json!({ "parent_call": [{ "verb": "hangup" }] });
    assert!(matches!(
        wish(json!({ "command": "redirect", "data": own })),
        Wish::Verbs { append: false, .. }
    ));
}

#[test]
fn a_command_names_the_leg_that_it_means() {
    let message = json!({ "command": "tag", "callSid": SID, "data": {} });
    let Ok(Said::Of(command)) = read_command(message) else {
        panic!()
    };
    assert_eq!(command.leg, CallSid::parse(SID));
    assert!(command_mistake(json!({ "command": "tag", "callSid": "x", "data": {} })).contains("callSid: a UUID"));
}

#[test]
fn a_command_that_is_wrong_is_told_why() {
    for (message, expected) in [
        (json!([]), "an object is expected"),
        (json!({}), "command: it is missing"),
        (json!({ "command": "redirct", "data": [] }), "did you mean redirect?"),
        (json!({ "command": "redirect" }), "data: it is missing"),
        (
            json!({ "command": "redirect", "dta": [] }),
            "data: it is missing: verbs, or an object with call_hook; is 'dta' meant to be it?",
        ),
        (
            json!({ "command": "redirect", "data": { "call_hok": "/x" } }),
            "; is 'call_hok' meant to be it?",
        ),
        (
            json!({ "command": "call:status", "data": { "call_state": "completed" } }),
            "data.call_status: it is missing: completed or no-answer; is 'call_state' meant to be it?",
        ),
        (
            json!({ "command": "redirect", "data": [{ "verb": "dail" }] }),
            "data[0].verb: unknown verb 'dail'",
        ),
        (
            json!({ "command": "redirect", "data": { "child_call_hook": "/x", "child_call": [] } }),
            "child_call: either this or child_call_hook",
        ),
        (
            json!({ "command": "tag", "data": {}, "dat": 1 }),
            "dat: unknown property",
        ),
        (
            json!({ "command": "call:status", "data": { "call_status": "gone" } }),
            "completed or no-answer",
        ),
        (
            json!({ "command": "call:status", "data": {} }),
            "data.call_status: it is missing",
        ),
        (json!({ "command": "whisper", "data": "http://x/a.wav" }), "not a URL"),
        (
            json!({ "command": "whisper", "data": [{ "verb": "hangup" }] }),
            "only say and play whisper, not hangup",
        ),
        (
            json!({ "command": "whisper", "data": [{ "verb": "say", "text": "x" }, { "verb": "dial" }] }),
            "data: only say and play whisper, not dial",
        ),
        (
            json!({ "command": "dtmf", "data": { "digit": "x" } }),
            "data.digit: 1 to 64 keys",
        ),
        (json!({ "command": "listen:status", "data": {} }), "nothing streams"),
        (json!({ "command": "stream:status", "data": {} }), "nothing streams"),
        (
            json!({ "command": "transcribe:status", "data": {} }),
            "no transcription",
        ),
        (json!({ "command": "conf:mute-status", "data": {} }), "no conferences"),
        (json!({ "command": "record", "data": {} }), "no recording"),
        (json!({ "command": "llm:update", "data": {} }), "not supported"),
        (json!({ "command": "tts:tokens", "data": {} }), "not supported"),
        (json!({ "command": "media:path", "data": {} }), "media always stays"),
    ] {
        let told = command_mistake(message.clone());
        assert!(told.contains(expected), "{message}\n  says: {told}\n  not:  {expected}");
    }
}

#[test]
fn an_update_is_one_thing_or_a_whisper_and_one_thing() {
    let say = json!({ "verb": "say", "text": "soon" });
    assert_eq!(
        read_update(json!({ "call_hook": { "url": "https://a.example/x", "method": "POST" } })),
        Ok(vec![Wish::Redirect(Hook::post("https://a.example/x"))])
    );
    assert_eq!(
        read_update(json!({ "call_hook": "/x", "call_status_hook": "/y" })),
        Ok(vec![
            Wish::StatusHook(Hook::post("/y")),
            Wish::Redirect(Hook::post("/x"))
        ])
    );
    assert_eq!(
        read_update(json!({ "boostAudioSignal": "6 dB" })),
        Ok(vec![Wish::Boost(6)])
    );
    let wishes = read_update(json!({ "mute_status": "mute", "whisper": say })).unwrap();
    assert!(
        matches!(&wishes[..], [Wish::Whisper(_), Wish::Mute(true)]),
        "{wishes:?}"
    );
    for (body, expected) in [
        (json!({}), "nothing is asked for"),
        (json!({ "nope": 1 }), "these are known: boostAudioSignal, call_hook, "),
        (
            json!({ "mute_status": "mute", "call_status": "completed" }),
            "more than one thing",
        ),
        (
            json!({ "listen_status": "pause" }),
            "listen_status: it is not supported: nothing streams",
        ),
        (json!({ "conf_hold_status": "hold" }), "no conferences"),
        (json!({ "conferenceParticipantAction": {} }), "no conferences"),
        (
            json!({ "call_status_hook": "/y" }),
            "call_status_hook: it goes with call_hook",
        ),
        (json!({ "mute_staus": "mute" }), "did you mean mute_status?"),
        (
            json!({ "whisper": { "verb": "dial" } }),
            "whisper: only say and play whisper, not dial",
        ),
        (
            json!({ "sip_request": { "method": "INFO", "content": "x".repeat(100_000) } }),
            "sip_request.content: it is longer than",
        ),
        (
            json!({ "sip_request": { "method": "INFO", "body": "x".repeat(100_000) } }),
            "sip_request.body: it is longer than",
        ),
        (
            json!({ "sip_request": { "method": "BYE" } }),
            "sip_request.method: INFO, MESSAGE or NOTIFY",
        ),
        (
            json!({ "sip_request": { "method": "INFO", "headers": { "Via": "x" } } }),
            "sip_request.headers.Via",
        ),
    ] {
        let told = update_mistake(body.clone());
        assert!(told.contains(expected), "{body}\n  says: {told}\n  not:  {expected}");
    }
}

#[test]
fn a_new_call() {
    let body = json!({
        "from": "+15085551212", "to": { "type": "phone", "number": "+16175550100", "trunk": "north" },
        "call_hook": "https://a.example/x", "timeLimit": 3600, "tag": { "k": "v" }, "headers": { "X-Foo": "1" },
        "speech_synthesis_vendor": "default", "speech_synthesis_language": "en-GB", "speech_synthesis_voice": "en",
        "speech_recognizer_vendor": "x", "speech_recognizer_language": "en-GB",
    });
    let call = read_new_call(body.clone()).unwrap();
    assert!(matches!(&call.to.kind, TargetKind::Phone { number, trunk: Some(_) } if number == "+16175550100"));
    assert_eq!(call.steering, Steering::Hook(Hook::post("https://a.example/x")));
    assert_eq!(
        (call.timeout.as_secs(), call.time_limit),
        (60, Some(Duration::from_secs(3_600)))
    );
    assert_eq!(
        call.synthesizer.and_then(|given| given.voicing.language).as_deref(),
        Some("en-GB")
    );
    let placed = read_command(json!({ "command": "dial", "data": body }));
    assert!(matches!(placed, Ok(Said::Place(_))), "{placed:?}");
    for (body, expected) in [
        (json!({ "from": "1", "call_hook": "/x" }), "to: it is missing"),
        (
            json!({ "to": { "type": "user", "name": "a@b" }, "call_hook": "/x" }),
            "from: it is missing",
        ),
        (
            json!({ "from": "1", "to": { "type": "user" }, "call_hook": "/x" }),
            "to.name: it is missing",
        ),
        (
            json!({ "from": "1", "to": { "type": "user", "name": "a@b" } }),
            "one of them steers the call",
        ),
        (
            json!({ "from": "1", "to": { "type": "user", "name": "a@b" }, "callhook": "/x" }),
            "; is 'callhook' meant to be it?",
        ),
        (
            json!({ "from": "1\r\nX: y", "to": { "type": "user", "name": "a@b" }, "call_hook": "/x" }),
            "from: it has a line break",
        ),
        (
            json!({ "from": "1", "to": { "type": "user", "name": "a@b" }, "call_hook": "/x", "application_sid": SID }),
            "either this or application_sid",
        ),
        (json!({ "from": "1", "amd": {} }), "amd: answering machine"),
        (
            json!({ "from": "1", "to": { "type": "user", "name": "a@b", "url": "/s" }, "call_hook": "/x" }),
            "to.confirmHook: there is nobody",
        ),
    ] {
        let told = read_new_call(body.clone()).unwrap_err().to_string();
        assert!(told.contains(expected), "{body}\n  says: {told}\n  not:  {expected}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "redirect",
            "dial",
            "dtmf",
            "whisper",
            "mute",
            "completed",
            "phone",
            "/x",
            "1",
            SID
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let name = prop::sample::select(vec![
            "type",
            "command",
            "callSid",
            "queueCommand",
            "data",
            "call_hook",
            "call_status",
            "mute_status",
            "whisper",
            "sip_request",
            "dtmf",
            "digit",
            "tag",
            "to",
            "from",
            "number",
            "verb",
            "text",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6).prop_map(|entries| Value::Object(
                entries
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_panics(value in json()) {
        let _refused = read_command(value.clone());
        let _refused = read_update(value.clone());
        let _refused = read_new_call(value);
    }
}
