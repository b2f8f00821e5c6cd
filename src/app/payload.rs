//! What an application is told: the properties of its calls and the results of its verbs, in the names of the protocol.

use super::gather::Outcome;
use super::sid::CallSid;
use super::verb::Voicing;
use crate::dial::TargetName;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{NameAddr, plain_user};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A JSON object.
pub type Properties = Map<String, Value>;

/// Where a leg stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Trying,
    Ringing,
    EarlyMedia,
    InProgress,
    Completed,
    Failed,
    Busy,
    NoAnswer,
}

impl Status {
    /// Every one.
    pub const ALL: [Status; 8] = [
        Status::Trying,
        Status::Ringing,
        Status::EarlyMedia,
        Status::InProgress,
        Status::Completed,
        Status::Failed,
        Status::Busy,
        Status::NoAnswer,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Trying => "trying",
            Status::Ringing => "ringing",
            Status::EarlyMedia => "early-media",
            Status::InProgress => "in-progress",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Busy => "busy",
            Status::NoAnswer => "no-answer",
        }
    }

    /// A leg never goes back to a lower one.
    pub const fn rank(self) -> u8 {
        match self {
            Status::Trying => 0,
            Status::Ringing => 1,
            Status::EarlyMedia => 2,
            Status::InProgress => 3,
            Status::Completed | Status::Failed | Status::Busy | Status::NoAnswer => 4,
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Status::Completed | Status::Failed | Status::Busy | Status::NoAnswer
        )
    }
}

/// What a message to an application is about; over a WebSocket its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SessionNew,
    SessionRedirect,
    SessionAdulting,
    VerbHook,
    DialConfirm,
    CallStatus,
    VerbStatus,
}

impl Kind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::SessionNew => "session:new",
            Kind::SessionRedirect => "session:redirect",
            Kind::SessionAdulting => "session:adulting",
            Kind::VerbHook => "verb:hook",
            Kind::DialConfirm => "dial:confirm",
            Kind::CallStatus => "call:status",
            Kind::VerbStatus => "verb:status",
        }
    }
}

/// On which side of the application a leg began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Inbound,
    Outbound,
}

/// Who ended a leg: `caller` is its far side in the words of the protocol, whoever called, and the other word the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    FarSide,
    Platform,
}

/// What the standard properties are made from.
#[derive(Debug, Clone, Copy)]
pub struct CallView<'a> {
    pub call_sid: CallSid,
    pub parent_call_sid: Option<CallSid>,
    pub direction: Direction,
    pub from: &'a str,
    pub to: &'a str,
    pub caller_id: Option<&'a str>,
    /// None while nothing was tried.
    pub call_id: Option<&'a str>,
    pub status: Status,
    pub sip_status: u16,
    pub sip_reason: &'a str,
    pub account_sid: &'a str,
    /// None where a hook steers the call that belongs to no application.
    pub application_sid: Option<&'a str>,
    pub trace_id: &'a str,
    pub sip_address: &'a str,
    pub api_base_url: Option<&'a str>,
    pub originating_sip_ip: Option<&'a str>,
    pub originating_sip_trunk_name: Option<&'a str>,
    pub termination_by: Option<EndedBy>,
    /// Why it has failed, where nobody's answer says so.
    pub why: Option<&'a str>,
    /// Seconds from the answer to the end.
    pub duration: Option<u64>,
    pub customer_data: Option<&'a Properties>,
    /// `Reason` of the message that ended the leg (RFC 3326).
    pub reasons: &'a [String],
    /// What else the BYE of the far side said.
    pub farewell: &'a [(String, String)],
}

/// The standard properties of a leg.
pub fn standard(call: &CallView<'_>) -> Properties {
    let mut properties = Properties::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            properties.insert(name.to_owned(), value);
        }
    };
    set("call_sid", call.call_sid.to_string().into());
    set("parent_call_sid", json!(call.parent_call_sid));
    set(
        "direction",
        match call.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        }
        .into(),
    );
    set("from", call.from.into());
    set("to", call.to.into());
    set("caller_id", json!(call.caller_id));
    set("call_id", json!(call.call_id));
    set("sbc_callid", json!(call.call_id));
    set("sip_status", call.sip_status.into());
    set("sip_reason", call.sip_reason.into());
    set("call_status", call.status.as_str().into());
    set("account_sid", call.account_sid.into());
    set("application_sid", json!(call.application_sid));
    set("trace_id", call.trace_id.into());
    set("fs_sip_address", call.sip_address.into());
    set("api_base_url", json!(call.api_base_url));
    set("originating_sip_ip", json!(call.originating_sip_ip));
    set("originating_sip_trunk_name", json!(call.originating_sip_trunk_name));
    set(
        "call_termination_by",
        match call.termination_by {
            None => Value::Null,
            Some(EndedBy::FarSide) => "caller".into(),
            Some(EndedBy::Platform) => "jambonz".into(),
        },
    );
    set("duration", json!(call.duration));
    set("customerData", json!(call.customer_data));
    if call.status.is_final() {
        let reasons = (!call.reasons.is_empty()).then(|| call.reasons.join(", "));
        set("sip_reason_header", json!(reasons));
        set("headers", farewell(call.farewell));
        set("error", json!(call.why.map(|_| "dial")));
        set("reason", json!(call.why));
    }
    properties
}

fn farewell(headers: &[(String, String)]) -> Value {
    let named = |(name, value): &(String, String)| (snake_cased(name), Value::from(value.as_str()));
    match headers.is_empty() {
        true => Value::Null,
        false => Value::Object(headers.iter().map(named).collect()),
    }
}

/// The name of a header as a property.
fn snake_cased(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// Says when a status event was (RFC 3339).
pub fn date_event(properties: &mut Properties, timestamp: String) {
    properties.insert("timestamp".into(), timestamp.into());
}

/// Numbers a status event: events may overtake each other on their way.
pub fn number_event(properties: &mut Properties, sequence: u32) {
    properties.insert("sequence".into(), sequence.into());
}

/// The name that the caller shows, and its INVITE.
pub fn add_invite(properties: &mut Properties, invite: &Message, caller_name: Option<&str>) {
    if let Some(name) = caller_name {
        properties.insert("caller_name".into(), name.into());
    }
    let raw = String::from_utf8_lossy(invite.as_bytes());
    let body = String::from_utf8_lossy(invite.body());
    let mut headers = Properties::new();
    for header in invite.raw_headers() {
        let (name, value) = (header.name(), String::from_utf8_lossy(header.value));
        if !holds_credentials(name) {
            headers.entry(name.to_owned()).or_insert_with(|| value.into());
        }
    }
    let content_type = invite.header(HeaderName::ContentType).unwrap_or("application/sdp");
    let payload = match body.is_empty() {
        true => json!([]),
        false => json!([{ "type": content_type, "content": body }]),
    };
    let shown = without_credentials(&raw);
    properties.insert(
        "sip".into(),
        json!({
            "headers": headers,
            "raw": shown,
            "body": body,
            "method": "INVITE",
            "version": "2.0",
            "uri": invite.request_uri().unwrap_or_default(),
            "payload": payload,
        }),
    );
}

/// A message without the lines, folded ones included (RFC 3261 §7.3.1), of headers that hold credentials.
fn without_credentials(raw: &str) -> String {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
    let mut shown = String::with_capacity(raw.len());
    let mut hidden = false;
    for line in head.split_inclusive('\n') {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().trim();
            hidden = holds_credentials(name);
        }
        if !hidden {
            shown.push_str(line);
        }
    }
    let shown = shown.trim_end();
    format!("{shown}\r\n\r\n{body}")
}

/// Who proved itself with a password keeps it.
fn holds_credentials(header: &str) -> bool {
    header.eq_ignore_ascii_case("authorization") || header.eq_ignore_ascii_case("proxy-authorization")
}

/// What a say verb without a synthesizer speaks.
pub fn add_defaults(properties: &mut Properties, usual: &Voicing) {
    let vendor = usual.vendor.as_deref().unwrap_or("default");
    let mut synthesizer = Properties::from_iter([("vendor".to_owned(), vendor.into())]);
    if let Some(language) = &usual.language {
        synthesizer.insert("language".into(), language.as_str().into());
    }
    if let Some(voice) = &usual.voice {
        synthesizer.insert("voice".into(), voice.to_json());
    }
    properties.insert("defaults".into(), json!({ "synthesizer": synthesizer }));
}

/// What the application is told of itself, where its configuration says something.
pub fn add_env_vars<'a>(properties: &mut Properties, variables: impl Iterator<Item = (&'a str, &'a str)>) {
    let variables: Properties = variables.map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !variables.is_empty() {
        properties.insert("env_vars".into(), variables.into());
    }
}

/// What became of one destination of a dial.
#[derive(Debug, Clone)]
pub struct TargetResult {
    pub target: TargetName,
    pub call_sid: CallSid,
    pub status: Status,
    pub sip_status: u16,
    /// From its answer to its end.
    pub duration: Option<Duration>,
    /// Why it has failed, where nobody's answer says so.
    pub error: Option<String>,
}

/// What became of a dial.
#[derive(Debug, Clone)]
pub struct DialResult {
    pub status: Status,
    pub sip_status: u16,
    pub call_sid: Option<CallSid>,
    /// The SIP Call-ID of the same leg.
    pub call_id: Option<String>,
    /// How long the two sides talked.
    pub duration: Option<Duration>,
    pub answered_target: Option<TargetName>,
    pub ended_by: Option<&'static str>,
    pub targets: Vec<TargetResult>,
    /// Why nobody was rung, or could be called.
    pub error: Option<String>,
}

/// The result of a dial: the names of the protocol, of its older page, and what both lack.
pub fn dial_result(result: &DialResult) -> Properties {
    let target = |name: &TargetName| json!({ "type": name.kind(), "name": name.name() });
    let targets: Vec<Value> = result
        .targets
        .iter()
        .map(|each| {
            let mut told = json!({
                "type": each.target.kind(),
                "name": each.target.name(),
                "call_sid": each.call_sid,
                "status": each.status,
                "sip_status": each.sip_status,
                "duration": each.duration.map(|span| span.as_secs()),
            });
            if let Some(error) = &each.error {
                told["error"] = error.as_str().into();
            }
            told
        })
        .collect();
    let mut properties = Properties::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            properties.insert(name.to_owned(), value);
        }
    };
    set("dial_call_status", result.status.as_str().into());
    set("dial_status", result.status.as_str().into());
    set("dial_sip_status", result.sip_status.into());
    set("dial_call_sid", json!(result.call_sid));
    set("dial_sbc_callid", json!(result.call_id));
    set("dial_duration", json!(result.duration.map(|span| span.as_secs())));
    set(
        "dial_answered_target",
        result.answered_target.as_ref().map_or(Value::Null, target),
    );
    set("dial_ended_by", json!(result.ended_by));
    set("dial_targets", targets.into());
    set("dial_error", json!(result.error));
    properties
}

fn properties(value: Value) -> Properties {
    match value {
        Value::Object(map) => map,
        _ => Properties::new(),
    }
}

/// The result of a play verb: how long it was heard, and where in the last sound it ended.
pub fn played(played: Duration, position: Duration, failed: Option<&str>) -> Properties {
    properties(match failed {
        None => json!({
            "reason": "playCompleted",
            "playback_seconds": played.as_secs(),
            "playback_milliseconds": u64::try_from(played.as_millis()).unwrap_or(u64::MAX),
            // In samples of 8 kHz, as `seekOffset`.
            "playback_last_offset_pos": u64::try_from(position.as_micros() / 125).unwrap_or(u64::MAX),
        }),
        Some(why) => json!({ "reason": "playFailed", "status": "fail", "details": why }),
    })
}

/// The result of a gather verb.
pub fn gathered(outcome: &Outcome) -> Properties {
    properties(match outcome {
        Outcome::Digits(digits) => json!({ "reason": "dtmfDetected", "digits": digits }),
        Outcome::Timeout => json!({ "reason": "timeout" }),
    })
}

/// The result of a gather verb that nobody could press a key for.
pub fn not_gathered(why: &str) -> Properties {
    properties(json!({ "reason": "error", "details": why }))
}

/// Keys that an application wanted to hear of.
pub fn dtmf(pattern: &str) -> Properties {
    properties(json!({ "dtmf": pattern }))
}

/// The result of a `sip:request` that was not sent.
pub fn request_failed(why: &str) -> Properties {
    properties(json!({ "result": "failed", "err": why }))
}

/// The result of a `sip:request`; without a status nobody answered.
pub fn request_answered(status: Option<u16>) -> Properties {
    properties(match status {
        Some(status @ 200..=299) => json!({ "result": "success", "sip_status": status }),
        Some(status) => json!({ "result": "failed", "sip_status": status }),
        // As over REST, and as RFC 3261 §8.1.3.1 counts it.
        None => json!({ "result": "failed", "sip_status": 408, "err": "no answer" }),
    })
}

/// A step of a transfer.
pub fn transfer_status(status: u16) -> Properties {
    properties(json!({ "event": "transfer-status", "call_status": status }))
}

/// The result of a `sip:refer` that was not sent.
pub fn refer_failed(why: &str) -> Properties {
    properties(json!({ "err": why }))
}

/// The result of a `sip:refer`: what the REFER was answered with, 408 for nothing, and what the last NOTIFY said.
pub fn referred(status: Option<u16>, outcome: Option<u16>) -> Properties {
    let mut result = properties(json!({ "refer_status": status.unwrap_or(408) }));
    if let Some(outcome) = outcome {
        result.insert("final_referred_call_status".into(), outcome.into());
    }
    result
}

/// What a peer wants with its REFER.
pub fn refer_details(refer: &Message, referring: Option<CallSid>, referred: Option<CallSid>) -> Properties {
    let text = |name| refer.header(name).map(str::to_owned);
    let user = |name| {
        let address = NameAddr::parse(name, refer.header(name)?).ok()?;
        Some(plain_user(address.uri().user().unwrap_or_default()).into_owned())
    };
    let mut details = properties(json!({
        "sip_refer_to": text(HeaderName::ReferTo),
        "refer_to_user": user(HeaderName::ReferTo),
        "sip_referred_by": text(HeaderName::ReferredBy),
        "referred_by_user": user(HeaderName::ReferredBy),
        "sip_user_agent": text(HeaderName::UserAgent),
        "referring_call_sid": referring,
        "referred_call_sid": referred,
    }));
    for header in refer.raw_headers() {
        let (name, value) = (header.name(), String::from_utf8_lossy(header.value));
        if name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-")) {
            details.insert(snake_cased(name), value.into());
        }
    }
    details.retain(|_, value| !value.is_null());
    properties(json!({ "refer_details": details }))
}

/// What happens to a verb while it runs.
#[derive(Debug, Clone, Copy)]
pub struct VerbEvent<'a> {
    pub call_sid: Option<CallSid>,
    pub event: &'a str,
    pub name: &'a str,
    /// What the application calls this verb.
    pub id: Option<&'a str>,
    /// The key that ended a prompt.
    pub digit: Option<char>,
    /// The text that is spoken.
    pub voiced: Option<&'a Voiced>,
}

/// A text that has been spoken, or was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voiced {
    /// As verbs name it.
    pub vendor: String,
    pub language: String,
    pub characters: usize,
    /// How long that took; `None`: it was spoken before.
    pub took: Option<Duration>,
}

/// The name of the verb goes by another word where the verb as a whole begins or ends.
pub fn verb_event(told: &VerbEvent<'_>) -> Properties {
    let word = match told.event {
        "starting" | "finished" => "name",
        _ => "verb",
    };
    let mut shown =
        properties(json!({ "event": told.event, "id": told.id, "dtmf": told.digit, "call_sid": told.call_sid }));
    shown.insert(word.into(), told.name.into());
    if let Some(voiced) = told.voiced {
        let new = voiced.took.is_some();
        shown.extend(properties(json!({
            "vendor": voiced.vendor,
            "language": voiced.language,
            "served_from_cache": !new,
            "characters": new.then_some(voiced.characters),
            "elapsed_time": voiced.took.map(|took| took.as_millis() as u64),
        })));
    }
    shown.retain(|_, value| !value.is_null());
    shown
}

/// Who put whom on hold.
pub fn hold_details(from: &str, to: &str) -> Properties {
    properties(json!({ "hold_detail": { "from": from, "to": to } }))
}

/// The scalars of a payload as a query, for hooks that are called with GET.
pub fn query(properties: &Properties) -> Vec<(String, String)> {
    let scalar = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some((name.clone(), text.clone())),
        Value::Number(number) => Some((name.clone(), number.to_string())),
        Value::Bool(flag) => Some((name.clone(), flag.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    properties.iter().filter_map(scalar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_dial_has_both_spellings() {
        let sid = CallSid::from_random(7);
        let result = dial_result(&DialResult {
            status: Status::Busy,
            sip_status: 486,
            call_sid: Some(sid),
            call_id: Some("x@sbc".into()),
            duration: None,
            answered_target: None,
            ended_by: None,
            targets: vec![TargetResult {
                target: TargetName::phone("+14255550100"),
                call_sid: sid,
                status: Status::Busy,
                sip_status: 486,
                duration: None,
                error: None,
            }],
            error: None,
        });
        assert_eq!(result["dial_status"], result["dial_call_status"]);
        assert_eq!(result["dial_call_sid"], json!(sid.to_string()));
        assert_eq!(result["dial_sbc_callid"], "x@sbc");
        assert_eq!(result["dial_targets"][0]["status"], "busy");
        assert!(!result.contains_key("dial_duration"));
    }

    #[test]
    fn a_password_of_the_caller_is_not_shown() {
        let text = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
                    Call-ID: x\r\nCSeq: 1 INVITE\r\nX-Foo: bar\r\nAuthorization: Digest secret\r\n response=\"secret\"\r\nMax-Forwards: 70\r\n\
                    Content-Length: 0\r\n\r\n";
        let invite = Message::parse(text.as_bytes().to_vec().into()).unwrap();
        let mut shown = Properties::new();
        add_invite(&mut shown, &invite, Some("Ada"));
        assert!(!Value::Object(shown.clone()).to_string().contains("secret"));
        let raw = shown["sip"]["raw"].as_str().unwrap();
        assert!(raw.contains("X-Foo: bar\r\nMax-Forwards: 70\r\n"), "{raw}");
        assert_eq!(shown["sip"]["headers"]["X-Foo"], "bar");
        assert_eq!(shown["caller_name"], "Ada");
    }

    #[test]
    fn the_query_of_a_get_has_the_scalars() {
        let shown = properties(json!({ "a": "x y", "b": 2, "c": true, "d": { "e": 1 } }));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query(&shown), [pair("a", "x y"), pair("b", "2"), pair("c", "true")]);
    }
}
