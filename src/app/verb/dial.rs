//! The `dial` verb: its targets and what goes with them.

use super::hook::Hook;
use super::read::{Object, PayloadError, Read, element, kind, meant};
use super::tap;
use crate::config::E164;
use crate::dial::Secret;
use crate::sip::{Scheme, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// Destinations of one dial.
pub const MOST_TARGETS: usize = 10;
/// The patterns of one side, and the keys of one pattern.
const MOST_PATTERNS: usize = 50;
const LONGEST_PATTERN: usize = 32;

/// How long a destination may ring where nothing is said.
const USUAL_RINGING: Duration = Duration::from_secs(60);
/// How long a screening may last where nothing is said.
pub const USUAL_SCREENING: Duration = Duration::from_secs(60);

/// A dial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dial {
    pub id: Option<String>,
    /// 1 to 10, none twice.
    pub targets: Vec<Target>,
    pub action_hook: Option<Hook>,
    /// The caller is answered when a destination is; else at once.
    pub answer_on_bridge: bool,
    pub caller_id: Option<CallerId>,
    pub caller_name: Option<String>,
    pub confirm_hook: Option<Hook>,
    /// How long a screening may last.
    pub confirm_timeout: Duration,
    pub dial_music: Option<String>,
    pub dtmf_capture: DtmfCapture,
    pub dtmf_hook: Option<Hook>,
    pub headers: Vec<(String, String)>,
    /// From the bridge on.
    pub time_limit: Option<Duration>,
    /// How long a destination may ring.
    pub timeout: Duration,
    pub refer_hook: Option<Hook>,
    pub on_hold_hook: Option<Hook>,
    /// Decibels on what the callee says.
    pub boost: Option<i8>,
    /// A next hop, `host` or `host:port`.
    pub proxy: Option<String>,
    /// `customerData` of the children.
    pub tag: Option<Map<String, Value>>,
    /// The identity that the caller asserts goes on.
    pub forward_pai: bool,
    /// SRTP with SDES keys toward `sip` targets.
    pub sdes: bool,
}

/// Who an application says calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerId {
    Number(E164),
    /// No E.164 number: it stands for the caller where it repeats the `from` that the application was told, and for nobody else.
    Word(String),
}

impl CallerId {
    /// As it is written.
    pub fn read(text: &str) -> CallerId {
        E164::parse(text).map_or_else(|_| CallerId::Word(text.to_owned()), CallerId::Number)
    }

    pub fn number(&self) -> Option<E164> {
        match self {
            CallerId::Number(number) => Some(*number),
            CallerId::Word(_) => None,
        }
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerId::Number(number) => number.fmt(f),
            CallerId::Word(word) => f.write_str(word),
        }
    }
}

/// Keys that are told while two sides talk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DtmfCapture {
    /// Of the caller.
    pub parent: Vec<String>,
    /// Of the callee.
    pub child: Vec<String>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    pub kind: TargetKind,
    pub confirm_hook: Option<Hook>,
    pub headers: Vec<(String, String)>,
    /// Another caller than the dial's: user, host.
    pub from: Option<TargetFrom>,
    /// Another ring limit than the dial's.
    pub timeout: Option<Duration>,
    pub auth: Option<TargetAuth>,
    pub proxy: Option<String>,
}

/// What kind of destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    Phone {
        number: String,
        /// The name of a carrier of the tenant.
        trunk: Option<String>,
    },
    Sip {
        uri: String,
    },
    User {
        /// `user@realm`, or `user` alone.
        name: String,
        /// Another user part in the Request-URI.
        override_to: Option<String>,
    },
    Teams {
        number: String,
        /// A domain or trunk name of the account.
        tenant: Option<String>,
        voicemail: bool,
    },
}

impl TargetKind {
    /// The number, name or URI.
    pub fn name(&self) -> &str {
        match self {
            TargetKind::Phone { number, .. } | TargetKind::Teams { number, .. } => number,
            TargetKind::Sip { uri } => uri,
            TargetKind::User { name, .. } => name,
        }
    }
}

/// The caller that a destination is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFrom {
    pub user: Option<String>,
    pub host: Option<String>,
}

/// Credentials for the challenge of this destination alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetAuth {
    pub username: String,
    pub password: Secret,
}

/// Reads a dial.
pub(super) fn read_dial(mut object: Object) -> Read<Dial> {
    for name in ["listen", "stream"] {
        if let Some(listen) = object.object(name)? {
            tap::refuse_listen::<()>(listen)?;
        }
    }
    if let Some(transcribe) = object.object("transcribe")? {
        tap::refuse_transcribe::<()>(transcribe)?;
    }
    for (name, reason) in [
        ("amd", "answering machine detection is not supported"),
        ("dub", "dub tracks are not supported yet"),
        (
            "codecs",
            "the carriers' and tenants' configuration says which codecs are offered",
        ),
        (
            "exitMediaPath",
            "media always stays with the SBC: leave it out, or say false",
        ),
    ] {
        object.refuse(name, reason)?;
    }
    let sdes = match object.text("srtpEncryption")? {
        None => false,
        Some(kind) if kind.eq_ignore_ascii_case("sdes") => true,
        Some(kind) if kind.eq_ignore_ascii_case("dtls") => {
            return object.wrong("srtpEncryption", "DTLS-SRTP is not supported yet: use sdes");
        }
        Some(other) => return object.wrong("srtpEncryption", format!("'{other}' is not sdes")),
    };
    // Media always stays with the SBC.
    object.flag("anchorMedia")?;
    let dial = Dial {
        id: object.line("id")?,
        targets: read_targets(&mut object)?,
        action_hook: object.hook("actionHook")?,
        answer_on_bridge: object.flag("answerOnBridge")?.unwrap_or(false),
        caller_id: read_caller_id(&mut object)?,
        caller_name: object.line("callerName")?,
        confirm_hook: object.hook("confirmHook")?,
        confirm_timeout: read_confirm_timeout(&mut object)?,
        dial_music: read_music(&mut object)?,
        dtmf_capture: read_capture(&mut object)?,
        dtmf_hook: object.hook("dtmfHook")?,
        headers: object.headers("headers")?,
        time_limit: read_time_limit(&mut object)?,
        timeout: read_timeout(&mut object)?,
        refer_hook: object.hook("referHook")?,
        on_hold_hook: object.hook("onHoldHook")?,
        boost: read_decibels(&mut object, "boostAudioSignal")?,
        proxy: read_proxy(&mut object)?,
        tag: object.data("tag")?,
        forward_pai: object.flag("forwardPAI")?.unwrap_or(true),
        sdes,
    };
    object.finish()?;
    Ok(dial)
}

/// How long two may talk.
pub(in crate::app) fn read_time_limit(object: &mut Object) -> Read<Option<Duration>> {
    object.seconds("timeLimit", 86_400)
}

/// How long it may ring.
pub(in crate::app) fn read_timeout(object: &mut Object) -> Read<Duration> {
    Ok(object.seconds("timeout", 600)?.unwrap_or(USUAL_RINGING))
}

/// How long a screening may last.
fn read_confirm_timeout(object: &mut Object) -> Read<Duration> {
    Ok(object.seconds("confirmTimeout", 600)?.unwrap_or(USUAL_SCREENING))
}

fn read_targets(object: &mut Object) -> Read<Vec<Target>> {
    let list = match object.take("target") {
        Some(Value::Array(list)) => list,
        Some(Value::Object(one)) => vec![Value::Object(one)],
        Some(other) => return object.wrong("target", format!("a list of targets is expected, not {}", kind(&other))),
        None => return object.missing("target", ": a dial needs 1 to 10 targets"),
    };
    if list.is_empty() {
        return object.wrong("target", "it is empty: a dial needs 1 to 10 targets");
    }
    let mut targets: Vec<Target> = Vec::with_capacity(list.len().min(MOST_TARGETS));
    for (position, value) in list.into_iter().enumerate() {
        let target = read_target(Object::of(object.place(&format!("target[{position}]")), value)?)?;
        // The same destination twice is rung once, as it was named first.
        let is_same = |known: &Target| known.kind == target.kind && known.proxy == target.proxy;
        if !targets.iter().any(is_same) {
            targets.push(target);
        }
        if targets.len() > MOST_TARGETS {
            return object.wrong("target", "more than 10 targets");
        }
    }
    Ok(targets)
}

pub(in crate::app) fn read_target(mut object: Object) -> Read<Target> {
    let kind = object.required_text("type")?;
    let kind = match kind.as_str() {
        "phone" => TargetKind::Phone {
            number: object.required_line("number")?,
            trunk: object.line("trunk")?,
        },
        "sip" => TargetKind::Sip {
            uri: read_uri(&mut object)?,
        },
        "user" => TargetKind::User {
            name: read_user(&mut object)?,
            override_to: object.line("overrideTo")?,
        },
        "teams" => TargetKind::Teams {
            number: object.required_line("number")?,
            tenant: object.line("tenant")?,
            voicemail: object.either(["voicemail", "vmail"], Object::flag)?.unwrap_or(false),
        },
        other => {
            let known = ["phone", "sip", "user", "teams"];
            let shown: String = other.chars().take(64).collect();
            let problem = format!(
                "'{}' is none of phone, sip, user, teams{}",
                shown.escape_debug(),
                meant(other, &known)
            );
            return object.wrong("type", problem);
        }
    };
    let confirm_hook = object.either(["confirmHook", "url"], Object::hook)?;
    // GET or POST of an earlier shape; hooks have their own.
    object.ignore("method");
    let target = Target {
        kind,
        confirm_hook,
        headers: object.headers("headers")?,
        from: read_from(&mut object)?,
        timeout: object.number("timeout", 1.0, 600.0)?.map(Duration::from_secs_f64),
        auth: read_auth(&mut object)?,
        proxy: read_proxy(&mut object)?,
    };
    object.finish()?;
    Ok(target)
}

/// `user@realm`, also as the URI that it stands for.
fn read_user(object: &mut Object) -> Read<String> {
    let name = object.required_line("name")?;
    let name = name.trim();
    match name.split_once(':') {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("sip") && !address.contains([':', ';', '?', '<']) => {
            Ok(address.to_owned())
        }
        None if !name.contains(['<', '>']) => Ok(name.to_owned()),
        _ => object.wrong(
            "name",
            "a user such as alice@sip.example.com is expected, and nothing around it",
        ),
    }
}

/// A SIP URI with a host and without headers, which a peer might act on.
fn read_uri(object: &mut Object) -> Read<String> {
    let text = object.required_line("sipUri")?;
    match Uri::parse(&text) {
        Ok(uri) if uri.scheme() == Scheme::Sips => object.wrong(
            "sipUri",
            "sips: asks for TLS on every hop, which nobody can promise: say sip: with ;transport=tls",
        ),
        Ok(uri) if uri.host().is_empty() => object.wrong("sipUri", "the URI has no host"),
        Ok(uri) if uri.headers().next().is_some() => {
            object.wrong("sipUri", "headers have no place in the URI: use the property headers")
        }
        Ok(_) => match strange_character(&text) {
            Some(problem) => object.wrong("sipUri", problem),
            None => Ok(text),
        },
        Err(error) => {
            let is_sip = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"));
            let problem = strange_character(&text).filter(|_| is_sip);
            let plain = || format!("it is no SIP URI such as sip:user@host: {error}");
            object.wrong("sipUri", problem.unwrap_or_else(plain))
        }
    }
}

/// What is wrong with the first character that RFC 3261 §25.1 does not have where it stands.
fn strange_character(uri: &str) -> Option<String> {
    let after_scheme = uri.find(':').map_or(0, |colon| colon + 1);
    let host = uri.find('@').map_or(after_scheme, |at| at + 1);
    let host_end = uri
        .get(host..)
        .and_then(|rest| rest.find([';', '?']))
        .map_or(uri.len(), |length| host + length);
    let stands = |(at, character): &(usize, char)| match character {
        '%' => {
            let digits = uri.as_bytes().get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) && !(host..host_end).contains(at)
        }
        '[' | ']' => *at >= host,
        '@' => at + 1 == host,
        _ => character.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/:".contains(*character),
    };
    let (at, character) = uri.char_indices().find(|found| !stands(found))?;
    if (host..host_end).contains(&at) {
        let shown = character.escape_debug();
        return Some(format!(
            "'{shown}' has no place in a host: names are ASCII, others begin with xn--"
        ));
    }
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    let escaped: String = bytes.map(|byte| format!("%{byte:02X}")).collect();
    let shown = character.escape_debug();
    Some(format!(
        "'{shown}' can't stand there in a SIP URI: write it as {escaped}"
    ))
}

/// A URL, the path of a file among the node's sounds, or a tone.
fn read_music(object: &mut Object) -> Read<Option<String>> {
    match object.text("dialMusic")?.filter(|url| !url.is_empty()) {
        Some(url) => super::speaking::check_sound(&url)
            .map(|()| Some(url))
            .or_else(|problem| object.wrong("dialMusic", problem)),
        None => Ok(None),
    }
}

fn read_from(object: &mut Object) -> Read<Option<TargetFrom>> {
    let Some(mut from) = object.object("from")? else {
        return Ok(None);
    };
    let read = TargetFrom {
        user: from.line("user")?,
        host: from.line("host")?,
    };
    from.finish()?;
    Ok(Some(read))
}

fn read_auth(object: &mut Object) -> Read<Option<TargetAuth>> {
    let Some(mut auth) = object.object("auth")? else {
        return Ok(None);
    };
    let Some(username) = auth.either(["username", "user"], Object::line)? else {
        return auth.missing("username", "");
    };
    let Some(password) = auth.line("password")? else {
        return auth.missing("password", "");
    };
    auth.finish()?;
    Ok(Some(TargetAuth {
        username,
        password: Secret(password),
    }))
}

fn read_proxy(object: &mut Object) -> Read<Option<String>> {
    let proxy = object.text("proxy")?.filter(|proxy| !proxy.is_empty());
    match &proxy {
        Some(text) if text.len() > 255 || text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            object.wrong("proxy", "a host, host:port or SIP URI is expected")
        }
        _ => Ok(proxy),
    }
}

/// Nothing is what an application says that repeats a `from` of nobody.
fn read_caller_id(object: &mut Object) -> Read<Option<CallerId>> {
    let text = object.line("callerId")?.filter(|text| !text.is_empty());
    Ok(text.map(|text| CallerId::read(&text)))
}

fn read_capture(object: &mut Object) -> Read<DtmfCapture> {
    let place = object.place("dtmfCapture");
    match object.take("dtmfCapture") {
        None => Ok(DtmfCapture::default()),
        Some(Value::Object(map)) => {
            let mut sides = Object::new(place, map);
            let capture = DtmfCapture {
                parent: read_patterns(&mut sides, "parentCall")?,
                child: read_patterns(&mut sides, "childCall")?,
            };
            sides.finish()?;
            Ok(capture)
        }
        Some(value) => {
            let mut both = Object::new(String::new(), Map::from_iter([("dtmfCapture".to_owned(), value)]));
            let patterns = read_patterns(&mut both, "dtmfCapture").map_err(|error| PayloadError {
                place: error.place.replacen("dtmfCapture", &place, 1),
                ..error
            })?;
            Ok(DtmfCapture {
                parent: patterns.clone(),
                child: patterns,
            })
        }
    }
}

fn read_patterns(object: &mut Object, name: &'static str) -> Read<Vec<String>> {
    let is_list = object.is_list(name);
    let patterns = object.texts(name, MOST_PATTERNS)?;
    let fits = |pattern: &&String| {
        (1..=LONGEST_PATTERN).contains(&pattern.len()) && pattern.bytes().all(|key| b"0123456789*#".contains(&key))
    };
    match patterns.iter().enumerate().find(|(_, pattern)| !fits(pattern)) {
        Some((position, wrong)) => object.wrong(
            &element(name, is_list, position),
            format!("'{}' is no pattern of 1 to 32 keys 0-9, * and #", wrong.escape_debug()),
        ),
        None => Ok(patterns),
    }
}

/// `6`, `-3` or `"6 dB"`.
pub(in crate::app) fn read_decibels(object: &mut Object, name: &'static str) -> Read<Option<i8>> {
    let number = match object.take(name) {
        None => return Ok(None),
        Some(Value::String(text)) => {
            let digits = text.trim().trim_end_matches(['d', 'B', 'D', 'b']).trim();
            digits.parse::<f64>().ok()
        }
        Some(value) => value.as_f64(),
    };
    match number {
        Some(decibels) if (-30.0..=30.0).contains(&decibels) => Ok(Some(decibels.round() as i8)),
        _ => object.wrong(
            name,
            "decibels between -30 and 30 are expected, such as 6, -3 or \"6 dB\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::app::verb::{Verb, parse_application};

    #[test]
    fn a_user_is_one_in_a_uri_too() {
        let dial = |name: &str| {
            let user = serde_json::json!({ "type": "user", "name": name });
            parse_application(
                serde_json::json!({ "verb": "dial", "target": [user] })
                    .to_string()
                    .as_bytes(),
            )
        };
        for name in [
            "alice@sip.acme.example",
            "sip:alice@sip.acme.example",
            "SIP:alice@sip.acme.example ",
        ] {
            let verbs = dial(name).expect(name);
            let Verb::Dial(dial) = &verbs[0] else {
                panic!("{verbs:?}")
            };
            assert_eq!(dial.targets[0].kind.name(), "alice@sip.acme.example");
        }
        for name in [
            "sips:a@b.example",
            "sip:a@b.example;x=y",
            "sip:a@b.example:5060",
            "<sip:a@b.example>",
        ] {
            let told = dial(name).expect_err(name).to_string();
            assert!(told.starts_with("[0].target[0].name: a user such as"), "{told}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_named_with_its_place() {
        let mistake = |capture: &str| {
            let text = format!(
                r#"{{"dial":{{"target":[{{"type":"phone","number":"1"}}],"dtmfHook":"/k","dtmfCapture":{capture}}}}}"#
            );
            let error = parse_application(text.as_bytes()).expect_err(capture);
            error.place
        };
        for (capture, place) in [
            (r#"["*2",3]"#, "dtmfCapture[1]"),
            (r#"["*2","x"]"#, "dtmfCapture[1]"),
            (r#""x""#, "dtmfCapture"),
            (r#"{"childCall":["*2",3]}"#, "dtmfCapture.childCall[1]"),
            (r#"{"parentCall":["y"]}"#, "dtmfCapture.parentCall[0]"),
        ] {
            assert_eq!(mistake(capture), format!("[0].dial.{place}"), "{capture}");
        }
    }
}
