//! Who has diverted a call, by History-Info, Diversion or Referred-By, and what of it nobody reads.

use super::facts::{MAX_DIGITS, cut, is_number, number_of};
use crate::config::E164;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{NameAddr, Uri};
use serde::{Deserialize, Serialize};

/// Diversions that are read; what comes before them is forgotten.
const MAX_DIVERSIONS: usize = 10;

/// One diverting party: an entry of History-Info or Diversion, or Referred-By.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// The number, as written.
    pub number: String,
    /// Why: the Diversion header's words (`unconditional`, `user-busy`, `no-answer` …), empty when unknown.
    pub reason: String,
    /// It asked not to be shown: `privacy` of Diversion (RFC 5806 §4.3.3), `Privacy=history` of History-Info or of the whole
    /// message (RFC 7044 §10.1).
    #[serde(default)]
    pub private: bool,
}

impl Diversion {
    /// The number, where it is E.164.
    pub fn e164(&self) -> Option<E164> {
        E164::parse(&self.number).ok()
    }
}

/// The parties that diverted the call, the oldest first: History-Info without its last entry (the callee), else
/// Diversion (which stands latest first), else Referred-By.
pub(super) fn diversions(invite: &Message, read_number: impl Fn(&Uri) -> String) -> Vec<Diversion> {
    let hidden = invite.headers(HeaderName::Privacy).any(hides_history);
    let entry = |address: &NameAddr, reason: String, private: bool| Diversion {
        number: read_number(address.uri()),
        reason,
        private: private || hidden,
    };
    let mut found: Vec<Diversion> = invite
        .addresses(HeaderName::HistoryInfo)
        .flatten()
        .map(|address| {
            let uri = address.uri();
            let header = |wanted: &str| {
                let found = uri.headers().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.and_then(|(_, value)| value)
            };
            let reason = header("Reason").map(history_reason).unwrap_or_default();
            entry(&address, reason, header("Privacy").is_some_and(hides_history))
        })
        .collect();
    found.pop();
    if found.is_empty() {
        // What is no word would be written into the next trunk's header as if it were one.
        let reason = |address: &NameAddr| {
            let word = address.param("reason").unwrap_or_default().trim_matches('"');
            let is_word =
                word.len() <= MAX_DIGITS && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if is_word { word } else { "unknown" }.to_ascii_lowercase()
        };
        found = invite
            .addresses(HeaderName::Diversion)
            .flatten()
            .map(|address| {
                let wish = address.param("privacy").unwrap_or("off").trim_matches('"');
                entry(&address, reason(&address), !wish.eq_ignore_ascii_case("off"))
            })
            .collect();
        found.reverse();
    }
    if found.is_empty()
        && let Some(Ok(address)) = invite.addresses(HeaderName::ReferredBy).next()
    {
        found.push(entry(&address, String::new(), false));
    }
    found.retain(|diversion| is_number(&diversion.number));
    let surplus = found.len().saturating_sub(MAX_DIVERSIONS);
    found.drain(..surplus);
    found
}

/// What an INVITE says of who calls and who has diverted the call, and nobody reads: for who asks why it counts for nothing.
/// The header's name, its value, and why.
pub fn unread(invite: &Message) -> Vec<(HeaderName, String, String)> {
    use HeaderName::{Diversion, From, HistoryInfo, PAssertedIdentity, ReferredBy};
    let mut found = Vec::new();
    for name in [From, PAssertedIdentity, HistoryInfo, Diversion, ReferredBy] {
        let values: Vec<&[u8]> = invite.headers_bytes(name).collect();
        for (position, value) in values.iter().enumerate() {
            let is_callee = name == HistoryInfo && position + 1 == values.len();
            let why = match NameAddr::parse_bytes(name, value) {
                Err(error) => format!("can't be read: {}", error.reason),
                Ok(_) if is_callee && position == 0 => "is the last entry, the callee: nobody has diverted".to_owned(),
                Ok(_) if is_callee || matches!(name, From | PAssertedIdentity) => continue,
                Ok(address) if !is_number(&number_of(address.uri())) => "names no telephone number".to_owned(),
                Ok(_) => continue,
            };
            found.push((name, cut(&String::from_utf8_lossy(value)), why));
        }
    }
    found
}

/// Whether a value of Privacy, escaped or not, keeps the history from others.
fn hides_history(value: &str) -> bool {
    let words = value.to_ascii_lowercase().replace("%3b", ";");
    words
        .split([';', ','])
        .any(|word| matches!(word.trim(), "history" | "header" | "session"))
}

/// The Diversion header's word for an escaped `Reason` of History-Info.
fn history_reason(escaped: &str) -> String {
    let lower = escaped.to_ascii_lowercase();
    let word = match lower.split("cause%3d").nth(1).map(|rest| rest.get(..3).unwrap_or(rest)) {
        Some("486" | "600") => "user-busy",
        Some("408" | "480") => "no-answer",
        Some("503" | "500") => "unavailable",
        Some("302" | "181") => "unconditional",
        _ => "unknown",
    };
    word.to_owned()
}
