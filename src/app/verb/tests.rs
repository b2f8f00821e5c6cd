//! What applications write, and what is wrong with it.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn read(json: &str) -> Vec<Verb> {
    parse_application(json.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{json}"))
}

fn mistake(json: &str) -> String {
    match parse_application(json.as_bytes()) {
        Ok(verbs) => panic!("{json} is taken: {verbs:?}"),
        Err(error) => error.to_string(),
    }
}

/// The example of the page that describes the verb, byte for byte.
const EXAMPLE: &str = include_str!("../../../tests/data/dial/page_example.json");

#[test]
fn the_example_of_the_page() {
    let verbs = read(EXAMPLE);
    let [Verb::Dial(dial)] = &verbs[..] else {
        panic!("{verbs:?}")
    };
    assert_eq!(
        dial.action_hook.as_ref().map(|hook| hook.url.as_str()),
        Some("/outdial")
    );
    assert!(dial.answer_on_bridge);
    assert_eq!(
        dial.caller_id.as_ref().map(ToString::to_string),
        Some("+16173331212".into())
    );
    assert_eq!(dial.dtmf_capture.parent, ["*2", "*3"]);
    assert_eq!(dial.dtmf_capture.child, ["*2", "*3"]);
    assert_eq!(dial.dtmf_hook.as_ref().map(|hook| hook.method), Some(HookMethod::Get));
    assert_eq!(dial.timeout.as_secs(), 60);
    assert_eq!(dial.targets.len(), 3);
    assert_eq!(
        dial.targets[1]
            .auth
            .as_ref()
            .map(|auth| (auth.username.as_str(), auth.password.0.as_str())),
        Some(("foo", "bar"))
    );
    assert!(!format!("{dial:?}").contains("\"bar\""), "a password shows");
}

#[test]
fn both_spellings_and_both_forms() {
    let verbs = read(
        r#"[{"dial":{"target":[
            {"type":"teams","number":"+14255550100","vmail":true},
            {"type":"teams","number":"+14255550101","voicemail":true},
            {"type":"phone","number":"+14255550102","url":"/screen"},
            {"type":"phone","number":"+14255550103","confirmHook":"/screen"},
            {"type":"sip","sipUri":"sip:a@b.example","auth":{"username":"u","password":"p"}}
        ]}}, {"hangup":{}}]"#,
    );
    let Verb::Dial(dial) = &verbs[0] else { panic!() };
    for target in &dial.targets[..2] {
        assert!(matches!(&target.kind, TargetKind::Teams { voicemail: true, .. }));
    }
    for target in &dial.targets[2..4] {
        assert_eq!(target.confirm_hook, Some(Hook::post("/screen")));
    }
    assert!(matches!(verbs[1], Verb::Hangup(_)));
}

#[test]
fn a_target_named_twice_is_rung_once() {
    let verbs = read(
        r#"{"verb":"dial","target":[{"type":"phone","number":"1"},{"type":"phone","number":"1","timeout":5},
            {"type":"phone","number":"2"},{"type":"sip","sipUri":"sip:a@b","proxy":"c"},{"type":"sip","sipUri":"sip:a@b","proxy":"d"}]}"#,
    );
    let Verb::Dial(dial) = &verbs[0] else { panic!() };
    let proxies: Vec<_> = dial.targets.iter().map(|target| target.proxy.as_deref()).collect();
    assert_eq!(proxies, [None, None, Some("c"), Some("d")]);
    assert_eq!(dial.targets[0].timeout, None);
}

#[test]
fn mistakes_name_their_place_and_the_nearest_name() {
    for (json, expected) in [
        (
            r#"[{"verb":"dail"}]"#,
            "[0].verb: unknown verb 'dail'; did you mean dial?",
        ),
        (
            r#"[{"verb":"conference","name":"x"}]"#,
            "the verb conference is not supported",
        ),
        (
            r#"[{"verb":"answer"},{"verb":"dial","target":[{"type":"sip","sipUrl":"sip:a@b"}]}]"#,
            "[1].target[0].sipUri: it is missing; is 'sipUrl' meant to be it?",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a@b","sipUrl":"x"}]}]"#,
            "[0].target[0].sipUrl: unknown property; did you mean sipUri?",
        ),
        (r#"[{"verb":"dial","target":[]}]"#, "1 to 10 targets"),
        (r#"[{"verb":"dial","targets":[]}]"#, "; is 'targets' meant to be it?"),
        (r#"[{"verb":"dial"}]"#, "[0].target: it is missing"),
        (
            r#"[{"verb":"dial","target":[{"type":"fax","number":"1"}]}]"#,
            "none of phone, sip, user, teams",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1","url":"/a","confirmHook":"/b"}]}]"#,
            "another name of confirmHook",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"callerId":123}]"#,
            "[0].callerId: ",
        ),
        (
            r#"[{"verb":"redirect","actionHook":"next"}]"#,
            "[0].actionHook: the URL is neither a whole one nor a path",
        ),
        (
            r#"[{"verb":"redirect","actionHook":{"url":"//other.example/next"}}]"#,
            "[0].actionHook: the URL is neither a whole one nor a path",
        ),
        (
            r#"[{"verb":"config","reset":["synthesizer","voice"]}]"#,
            "[0].reset: 'voice' is neither synthesizer nor recognizer",
        ),
        (
            r#"[{"verb":"sip:refer","referTo":"1","referredByDisplayName":"A"}]"#,
            "[0].referredByDisplayName: it is the name of referredBy",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"listen":{"url":"/x"}}]"#,
            "[0].listen: streaming the audio of a call is not supported yet",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"listen":{"url":"/x","mixTyp":"mono"}}]"#,
            "[0].listen.mixTyp: unknown property; did you mean mixType?",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"stream":{"url":"/x","sampleRate":11025}}]"#,
            "[0].stream.sampleRate: 8000, 16000",
        ),
        (
            r#"[{"verb":"listen","url":"wss://x","transcribe":{"channel":3}}]"#,
            "[0].transcribe.channel: 3 is not between 1 and 2",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a@b?Replaces=x"}]}]"#,
            "[0].target[0].sipUri: headers have no place",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a\\b@c.example"}]}]"#,
            "[0].target[0].sipUri: '\\\\' can't stand there in a SIP URI: write it as %5C",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:jürgen@c.example"}]}]"#,
            "sipUri: 'ü' can't stand there in a SIP URI: write it as %C3%BC",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a%2@c.example"}]}]"#,
            "write it as %25",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a@c.example;x=\"1\""}]}]"#,
            "write it as %22",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"sip:a@bücher.example"}]}]"#,
            "'ü' has no place in a host",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"sip","sipUri":"a b"}]}]"#,
            "it is no SIP URI",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1\r\nX: y"}]}]"#,
            "[0].target[0].number: it has a line break",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"callerName":"A\nB"}]"#,
            "[0].callerName: it has a line break",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"user","name":"a@b","from":{"host":"x\u0000"}}]}]"#,
            "[0].target[0].from.host: it has a line break",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"teams","number":"1","vmail":true,"voicemail":false}]}]"#,
            "says otherwise",
        ),
        (
            r#"[{"verb":"play","url":["a.wav","b c.wav"]}]"#,
            "[0].url[1]: the URL has a space",
        ),
        (r#"[{"verb":"dtmf","dtmf":""}]"#, "1 to 64 keys"),
        (
            r#"[{"verb":"sip:request","method":"INFO","headers":{"P-Asserted-Identity":"x"}}]"#,
            "it can't be set",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"transcribe":{}}]"#,
            "[0].transcribe: transcription is not supported yet",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"amd":{}}]"#,
            "not supported",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"exitMediaPath":true}]"#,
            "media always stays",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1"}],"srtpEncryption":"dtls"}]"#,
            "use sdes",
        ),
        (
            "[{\"verb\":\"dial\",\"target\":[{\"type\":\"phone\",\"number\":\"1\"}],\"headers\":{\"X-A\":\"b\\r\\nVia: x\"}}]",
            "[0].headers.X-A: the value has a line break",
        ),
        (
            r#"[{"verb":"dial","target":[{"type":"phone","number":"1","headers":{"Contact":"x"}}]}]"#,
            "[0].target[0].headers.Contact: this header is written by the signalling",
        ),
        (
            r#"[{"verb":"gather","input":["speech"]}]"#,
            "speech recognition is not supported",
        ),
        (r#"[{"verb":"pause"}]"#, "[0].length: it is missing"),
        (
            r#"[{"verb":"sip:decline","status":200}]"#,
            "200 is not between 400 and 699",
        ),
        (r#"[{"verb":"sip:request","method":"BYE"}]"#, "INFO, MESSAGE or NOTIFY"),
        (
            r#"[{"verb":"redirect","actionHook":"ftp://x"}]"#,
            "none of http, https, ws and wss",
        ),
        ("7", "a list of verbs is expected, not a number"),
        ("{", "the answer is no JSON"),
        (r#"[{"a":1,"b":2}]"#, "the property 'verb' is missing"),
    ] {
        let told = mistake(json);
        assert!(told.contains(expected), "{json}\n  says: {told}\n  not:  {expected}");
    }
    let eleven: Vec<String> = (0..11)
        .map(|number| format!(r#"{{"type":"phone","number":"{number}"}}"#))
        .collect();
    let told = mistake(&format!(r#"{{"verb":"dial","target":[{}]}}"#, eleven.join(",")));
    assert!(told.contains("more than 10 targets"), "{told}");
}

#[test]
fn the_other_verbs() {
    let verbs = read(
        r##"[
            {"verb":"answer"},
            {"verb":"say","text":["a","b"],"loop":"forever","synthesizer":{"vendor":"default","language":"en-GB"}},
            {"verb":"play","url":"x.wav","loop":3,"seekOffset":16000,"timeoutSecs":5,"id":"p1"},
            {"verb":"gather","finishOnKey":"#","timeout":5,"say":{"text":"enter"},"actionHook":"/keys"},
            {"verb":"pause","length":0.5},
            {"verb":"tag","data":{"customer":{"id":1}}},
            {"verb":"config","synthesizer":{"vendor":"default","voice":"en"},"reset":"synthesizer","earlyMedia":true},
            {"verb":"dtmf","dtmf":"1*#a","duration":100},
            {"verb":"sip:request","method":"info","headers":{"Content-Type":"text/x","X-A":1},"body":"b"},
            {"verb":"sip:refer","referTo":"+14255550100","referredBy":"sip:a@b.example","referredByDisplayName":"A B"},
            {"verb":"redirect","actionHook":{"url":"/next","method":"GET"}},
            {"verb":"sip:decline","status":603,"reason":"No","headers":{"X-A":"b"}},
            {"verb":"hangup","headers":{"X-A":"b"}, "_":"note"}
        ]"##,
    );
    assert_eq!(verbs.len(), 13);
    let Verb::Say(say) = &verbs[1] else { panic!() };
    assert_eq!((say.times, say.text.len()), (None, 2));
    let Verb::Play(play) = &verbs[2] else { panic!() };
    assert_eq!((play.times, play.seek.as_secs()), (Some(3), 2));
    let Verb::Config(config) = &verbs[6] else { panic!() };
    assert_eq!(
        (config.resets_synthesizer, config.early_media, config.fresh),
        (true, Some(true), None)
    );
    let Verb::SipRequest(request) = &verbs[8] else { panic!() };
    assert_eq!(request.content_type.as_deref(), Some("text/x"));
    assert_eq!(request.headers, [("X-A".to_owned(), "1".to_owned())]);
    let Verb::Dtmf(dtmf) = &verbs[7] else { panic!() };
    assert_eq!(dtmf.digits, "1*#A");
}

#[test]
fn seconds_have_fractions_and_stand_in_quotes_where_the_protocol_says_so() {
    let verbs = read(
        r#"[
            {"verb":"dial","timeout":2.5,"timeLimit":0.5,"confirmTimeout":1.25,
             "target":[{"type":"phone","number":"1","timeout":1.5}]},
            {"verb":"dial","timeout":0,"timeLimit":0,"confirmTimeout":0.0,"target":[{"type":"phone","number":"1"}]},
            {"verb":"play","url":"a.wav","seekOffset":"12000","timeoutSecs":"2.5","loop":"2"},
            {"verb":"play","url":"a.wav","seekOffset":4000.0,"loop":2.0}
        ]"#,
    );
    let [
        Verb::Dial(dial),
        Verb::Dial(usual),
        Verb::Play(quoted),
        Verb::Play(play),
    ] = &verbs[..]
    else {
        panic!("{verbs:?}")
    };
    let millis = Duration::from_millis;
    assert_eq!(
        (
            dial.timeout,
            dial.time_limit,
            dial.confirm_timeout,
            dial.targets[0].timeout
        ),
        (millis(2_500), Some(millis(500)), millis(1_250), Some(millis(1_500)))
    );
    assert_eq!(
        (usual.timeout, usual.time_limit, usual.confirm_timeout),
        (millis(60_000), None, USUAL_SCREENING)
    );
    assert_eq!(
        (quoted.seek, quoted.limit, quoted.times),
        (millis(1_500), Some(millis(2_500)), Some(2))
    );
    assert_eq!((play.seek, play.times), (millis(500), Some(2)));
    for (json, expected) in [
        (
            r#"{"verb":"dial","timeout":"30","target":[{"type":"phone","number":"1"}]}"#,
            "[0].timeout: a number is expected, not a string: 30 without quotes",
        ),
        (
            r#"{"verb":"dial","timeLimit":"nan","target":[{"type":"phone","number":"1"}]}"#,
            "[0].timeLimit: a number is expected, not a string",
        ),
        (
            r#"{"verb":"dial","timeLimit":"long","target":[{"type":"phone","number":"1"}]}"#,
            "[0].timeLimit: a number is expected, not a string",
        ),
        (
            r#"{"verb":"dial","target":[{"type":"phone","number":"1","timeout":"5.5"}]}"#,
            "[0].target[0].timeout: a number is expected, not a string: 5.5 without quotes",
        ),
        (
            r#"{"verb":"dial","timeout":-1,"target":[{"type":"phone","number":"1"}]}"#,
            "[0].timeout: -1 is not between 0 and 600",
        ),
        (
            r#"{"verb":"play","url":"a.wav","seekOffset":"far"}"#,
            "[0].seekOffset: a number is expected, also in quotes",
        ),
        (
            r#"{"verb":"play","url":"a.wav","timeoutSecs":"inf"}"#,
            "[0].timeoutSecs: inf is not between",
        ),
        (
            r#"{"verb":"gather","numDigits":2.5}"#,
            "[0].numDigits: 2.5 is no whole number",
        ),
    ] {
        let told = mistake(json);
        assert!(told.starts_with(expected), "{json}\n  says: {told}\n  not:  {expected}");
    }
}

#[test]
fn what_is_inside_a_verb_is_named_where_it_stands() {
    for (json, expected) in [
        (
            r#"[{"verb":"say","text":"x","synthesizer":{"vender":"a"}}]"#,
            "[0].synthesizer.vender: unknown property; did you mean vendor?",
        ),
        (
            r#"[{"verb":"answer"},{"gather":{"say":{"text":"x","synthesizer":{"langage":"en"}}}}]"#,
            "[1].gather.say.synthesizer.langage: unknown property; did you mean language?",
        ),
        (
            r#"[{"verb":"gather","play":{"url":"a.wav","lop":2}}]"#,
            "[0].play.lop: unknown property; did you mean loop?",
        ),
        (
            r#"[{"verb":"gather","recognizer":{"vender":"google"}}]"#,
            "[0].recognizer.vender: unknown property; did you mean vendor?",
        ),
        (
            r#"[{"verb":"gather","recognizer":{"vendor":"google","vad":{"enabel":true}}}]"#,
            "[0].recognizer.vad.enabel: unknown property; did you mean enable?",
        ),
        (
            r#"[{"verb":"gather","recognizer":{"vendor":"google","hints":["a"]}}]"#,
            "[0].recognizer: it belongs to speech recognition, which is not supported yet",
        ),
        (
            r#"[{"verb":"config","recognizer":{"vendor":"google","hintBoost":2}}]"#,
            "[0].recognizer.hintBoost: unknown property; did you mean hintsBoost?",
        ),
        (
            r#"[{"verb":"config","recognizer":"google"}]"#,
            "[0].recognizer: an object is expected, not a string",
        ),
        (
            r#"[{"verb":"transcribe","recognizer":{"vendr":"google"}}]"#,
            "[0].recognizer.vendr: unknown property; did you mean vendor?",
        ),
        (
            r#"[{"verb":"say","txt":"hello"}]"#,
            "[0].text: it is missing; is 'txt' meant to be it?",
        ),
        (
            r#"[{"verb":"gather","say":{"texts":"hello"}}]"#,
            "[0].say.text: it is missing; is 'texts' meant to be it?",
        ),
        (
            r#"[{"verb":"play","urls":["a.wav"]}]"#,
            "[0].url: it is missing; is 'urls' meant to be it?",
        ),
        (
            r#"[{"verb":"pause","lenght":1}]"#,
            "[0].length: it is missing: seconds; is 'lenght' meant to be it?",
        ),
        (r#"[{"verb":"play","url":"b c.wav"}]"#, "[0].url: the URL has a space"),
        (r#"[{"verb":"say","text":" "}]"#, "[0].text: there is nothing to say"),
    ] {
        let told = mistake(json);
        assert!(told.starts_with(expected), "{json}\n  says: {told}\n  not:  {expected}");
    }
    read(r#"{"verb":"config","recognizer":{"vendor":"voxist","voxistOptions":{"x":1},"deepgramOptions":{}}}"#);
    read(r#"{"verb":"config","recognizer":{"vendor":"google","fallbackVendor":"voxist","voxistOptions":{}}}"#);
    let slip = mistake(r#"{"verb":"config","recognizer":{"vendor":"google","gogleOptions":{}}}"#);
    assert!(
        slip.contains("gogleOptions: unknown property; did you mean googleOptions?"),
        "{slip}"
    );
}

#[test]
fn a_content_type_that_is_none_is_named_where_it_stands() {
    for (property, place) in [
        (r#""contentType":"text/x\r\nVia: b""#, "[0].content_type: "),
        (
            r#""headers":{"Content-Type":"text/x\r\nVia: b"}"#,
            "[0].headers.Content-Type: ",
        ),
    ] {
        let said = mistake(&format!(r#"{{"verb":"sip:request","method":"INFO",{property}}}"#));
        assert!(said.contains(place) && said.contains("it is no content type"), "{said}");
    }
}

#[test]
fn a_notify_has_an_event_of_the_applications_and_nothing_else_has_one() {
    let request = |method: &str, headers: &str| {
        let text = format!(r#"{{"verb":"sip:request","method":"{method}","headers":{headers}}}"#);
        parse_application(text.as_bytes()).map(|mut verbs| match verbs.remove(0) {
            Verb::SipRequest(request) => request.headers,
            other => panic!("{other:?}"),
        })
    };
    let talk = r#"{"event":"talk","Subscription-State":"active"}"#;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        request("NOTIFY", talk),
        Ok(vec![header("event", "talk"), header("Subscription-State", "active")])
    );
    for (method, headers, words) in [
        (
            "INFO",
            talk,
            "headers.Subscription-State: this header is written by the signalling",
        ),
        (
            "NOTIFY",
            r#"{"Event":" Refer;id=1"}"#,
            "headers.Event: what became of a REFER",
        ),
        (
            "NOTIFY",
            r#"{"Event":"talk\r\nVia: b"}"#,
            "headers.Event: the value has a line break",
        ),
        (
            "NOTIFY",
            r#"{"Event":7}"#,
            "headers.Event: this header is written by the signalling",
        ),
        (
            "INFO",
            r#"{"Content-Type":7}"#,
            "headers.Content-Type: this header means something",
        ),
    ] {
        let said = request(method, headers).expect_err(words).to_string();
        assert!(said.contains(words), "{said}");
    }
    let twice = r#"{"verb":"sip:request","method":"INFO","content_type":"text/x","headers":{"Content-Type":"text/y"}}"#;
    assert!(
        mistake(twice).contains("headers.Content-Type: it says something else"),
        "{}",
        mistake(twice)
    );
}

#[test]
fn what_is_kept_with_a_call_is_bounded() {
    let large = "x".repeat(17 * 1_024);
    assert!(mistake(&format!(r#"{{"verb":"tag","data":{{"a":["{large}"]}}}}"#)).contains("[0].data: it is larger"));
    let fits = "x".repeat(15 * 1_024);
    read(&format!(r#"{{"verb":"tag","data":{{"a":["{fits}"]}}}}"#));
    let many: String = vec![r#"{"verb":"answer"}"#; 201].join(",");
    assert!(mistake(&format!("[{many}]")).contains("201 verbs are more than 200"));
    let deep = format!(r#"{{"verb":"tag","data":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    assert!(mistake(&deep).contains("the answer is no JSON"));
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["dial", "sip", "phone", "play", "sip:a@b", "+14255550100", "/hook"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let names = vec![
            "verb",
            "dial",
            "target",
            "type",
            "sipUri",
            "number",
            "url",
            "auth",
            "headers",
            "dtmfCapture",
            "childCall",
            "play",
            "gather",
            "say",
            "text",
            "loop",
            "confirmHook",
            "length",
            "input",
            "config",
            "tag",
            "data",
        ];
        let name = prop_oneof![prop::sample::select(names).prop_map(str::to_owned), ".{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _refused = parse_application(&bytes);
    }

    #[test]
    fn no_json_panics_and_what_is_taken_survives_the_store(value in json()) {
        if let Ok(verbs) = read_application(value) {
            let stored = serde_json::to_string(&verbs).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<Verb>>(&stored).unwrap(), verbs);
        }
    }
}

#[test]
fn a_sip_uri_has_every_character_of_its_grammar() {
    for uri in [
        "sip:c.example",
        "sip:+1425-555.0100_!~*'()&=+$,;?/%5c:pass&=+$,@c.example:5061;transport=tls;lr;x=[/:&+$]",
        "sip:a@[2001:db8::1]:5060",
    ] {
        let text = serde_json::json!([{ "verb": "dial", "target": [{ "type": "sip", "sipUri": uri }] }]);
        read_application(text).unwrap_or_else(|error| panic!("{uri}: {error}"));
    }
}

#[test]
fn properties_that_are_refused_are_not_among_the_known_ones() {
    let text = serde_json::json!([{ "verb": "dial", "zzzzzzzz": 1, "target": [{ "type": "phone", "number": "1" }] }]);
    let error = read_application(text).unwrap_err().to_string();
    assert!(
        error.contains("these are known") && error.contains("timeLimit"),
        "{error}"
    );
    for refused in ["codecs", "amd", "dub"] {
        assert!(!error.contains(refused), "{error}");
    }
}
