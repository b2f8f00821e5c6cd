//! What a carrier may expect of a session border controller: one hop, and nothing of what lies behind it. Pure.

use crate::sim::persona::Judgement;
use crate::sim::violation::Violation;
use crate::sip::{HeaderName, Message, Method, ResponseDraft, Scheme};

/// What every carrier takes.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY";
/// Words that stand in Teams' messages alone.
const INTERNAL: [&str; 6] = ["pstnhub", "x-i=", "x-c=", "x-ms-", "x-jambonz", "api-du-a"];

/// Judges a request outside dialogs.
pub(super) fn judge(request: &Message) -> Judgement {
    let mut judgement = Judgement {
        violations: inspect(request),
        refusal: None,
    };
    match request.method() {
        Some(Method::Invite | Method::Options | Method::Notify | Method::Register) => {}
        _ => judgement.refusal = Some(ResponseDraft::new(405)),
    }
    judgement
}

/// What is wrong with any message.
pub(super) fn inspect(message: &Message) -> Vec<Violation> {
    let mut found = leaks(message, &INTERNAL.map(str::to_owned));
    if message.is_request() {
        let hops = message.headers(HeaderName::Via).count();
        if hops != 1 {
            found.push(Violation::new("topology", format!("{hops} Via values")));
        }
        if message.header(HeaderName::RecordRoute).is_some() {
            found.push(Violation::new("topology", "a Record-Route of a user agent"));
        }
        if message.max_forwards().is_none() {
            found.push(Violation::new("max-forwards", "missing"));
        }
        if message.uri().is_some_and(|uri| uri.scheme() == Scheme::Sips) {
            found.push(Violation::new("sips", message.request_uri().unwrap_or_default()));
        }
    }
    if !message.body().is_empty() {
        let body = String::from_utf8_lossy(message.body());
        for word in ["RTP/SAVP", "a=crypto", "a=ice-", "a=candidate", "a=label:main-audio"] {
            if body.contains(word) {
                found.push(Violation::new("description", format!("{word} on a plain leg")));
            }
        }
    }
    found
}

/// The words that stand in a message and should not.
pub(super) fn leaks(message: &Message, words: &[String]) -> Vec<Violation> {
    let text = String::from_utf8_lossy(message.as_bytes()).to_ascii_lowercase();
    let seen = words.iter().filter(|word| text.contains(&word.to_ascii_lowercase()));
    let what = message
        .method()
        .map_or_else(|| message.status().unwrap_or_default().to_string(), ToString::to_string);
    seen.map(|word| Violation::new("leak", format!("{word} in {what}")))
        .collect()
}
