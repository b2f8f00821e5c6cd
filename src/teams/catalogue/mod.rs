//! What Teams means by a failed call: SIP status, Microsoft's own code, fragments of its phrases, the meaning and the cure.
//!
//! In: what is known of a failure. Out: the entries that fit. Pure data. Microsoft's code (CallEndSubReason in the admin centre
//! and in Graph) is not on the wire; the phrase behind the GUID of `Reason` is. A code of the form 560xxx says that the final
//! answer was the SBC's own: its last three digits are the SIP status.

mod causes;
mod entries;

use serde::Serialize;

pub use causes::cause_name;
pub use entries::CATALOGUE;

/// What kind of failure it is: one word for call records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseClass {
    /// Hung up, cancelled, answered elsewhere.
    Normal,
    /// The called user is busy.
    Busy,
    /// The called user said no.
    Declined,
    /// It rang, and nobody answered.
    NoAnswer,
    /// The called user has no device there.
    Unavailable,
    /// Nobody has the number.
    WrongNumber,
    /// Names, trunks or routes don't fit each other.
    Configuration,
    /// A licence or a policy of the tenant forbids it.
    Policy,
    /// No media in common, or none that gets through.
    Media,
    /// A message that Teams does not take as it stood.
    Protocol,
    /// The far side can't serve at the moment.
    Service,
    /// No connection: addresses, ports, certificates.
    Network,
    /// The answer was the carrier's or ours, handed on.
    HandedOn,
    Unknown,
}

impl CauseClass {
    /// The word in call records.
    pub const fn label(self) -> &'static str {
        match self {
            CauseClass::Normal => "normal",
            CauseClass::Busy => "busy",
            CauseClass::Declined => "declined",
            CauseClass::NoAnswer => "no_answer",
            CauseClass::Unavailable => "unavailable",
            CauseClass::WrongNumber => "wrong_number",
            CauseClass::Configuration => "configuration",
            CauseClass::Policy => "policy",
            CauseClass::Media => "media",
            CauseClass::Protocol => "protocol",
            CauseClass::Service => "service",
            CauseClass::Network => "network",
            CauseClass::HandedOn => "handed_on",
            CauseClass::Unknown => "unknown",
        }
    }

    /// Where neither Teams' phrase nor the catalogue says more: by the SIP status, else by the Q.850 cause.
    fn coarse(status: Option<u16>, cause: Option<u16>) -> CauseClass {
        let by_status = match status {
            Some(600) => CauseClass::Busy,
            Some(607) => CauseClass::Declined,
            Some(480) => CauseClass::Unavailable,
            Some(404 | 484 | 604) => CauseClass::WrongNumber,
            Some(606) => CauseClass::Media,
            Some(405 | 421 | 481 | 482 | 483 | 491) => CauseClass::Protocol,
            Some(403) => CauseClass::Policy,
            Some(500..=502) => CauseClass::Service,
            _ => CauseClass::Unknown,
        };
        if by_status != CauseClass::Unknown {
            return by_status;
        }
        match cause {
            Some(16 | 26) => CauseClass::Normal,
            Some(17) => CauseClass::Busy,
            Some(21) => CauseClass::Declined,
            Some(18 | 19) => CauseClass::NoAnswer,
            Some(20 | 31) => CauseClass::Unavailable,
            Some(1 | 22 | 28) => CauseClass::WrongNumber,
            Some(50 | 57 | 63) => CauseClass::Policy,
            Some(65 | 79 | 88) => CauseClass::Media,
            Some(95..=111) => CauseClass::Protocol,
            Some(34 | 41 | 42 | 44 | 47) => CauseClass::Service,
            Some(27 | 38) => CauseClass::Network,
            _ => CauseClass::Unknown,
        }
    }
}

/// One failure that Teams tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub status: u16,
    /// Microsoft's code; `None`: none is published for it.
    pub code: Option<u32>,
    /// In short.
    pub title: &'static str,
    /// Lower case; each one by itself marks Teams' phrase as this failure's.
    #[serde(skip)]
    pub phrases: &'static [&'static str],
    pub class: CauseClass,
    pub meaning: &'static str,
    pub fix: &'static str,
}

/// Of all redirections one is known: none is followed.
const REDIRECTION: u16 = 302;

/// What is known of a failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failure<'a> {
    pub status: Option<u16>,
    pub code: Option<u32>,
    /// Q.850.
    pub cause: Option<u16>,
    /// Teams' own, without the GUID in front.
    pub phrase: Option<&'a str>,
}

/// What the catalogue has of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// These, and no other: by Microsoft's code or by the phrase.
    Exactly(Vec<&'static Entry>),
    /// Only the status is known: it may be one of these.
    OneOf(Vec<&'static Entry>),
    Nothing,
}

/// Looks a failure up: by code, else by phrase, else by status alone.
pub fn look_up(failure: Failure<'_>) -> Known {
    let status = match failure.status {
        Some(300..=399) => Some(REDIRECTION),
        other => other,
    };
    let of_status = |entry: &&Entry| status.is_none_or(|status| entry.status == status);
    if let Some(code) = failure.code {
        let all: Vec<&Entry> = CATALOGUE.iter().filter(|entry| entry.code == Some(code)).collect();
        let fitting: Vec<&Entry> = all.iter().copied().filter(of_status).collect();
        return match (fitting.is_empty(), all.is_empty()) {
            (false, _) => Known::Exactly(fitting),
            (true, false) => Known::Exactly(all),
            (true, true) => Known::Nothing,
        };
    }
    if let Some(phrase) = failure.phrase {
        let phrase = phrase.to_ascii_lowercase();
        let says = |entry: &&Entry| entry.phrases.iter().any(|fragment| phrase.contains(fragment));
        let fitting: Vec<&Entry> = CATALOGUE.iter().filter(of_status).filter(says).collect();
        if !fitting.is_empty() {
            return Known::Exactly(fitting);
        }
    }
    let fitting: Vec<&Entry> = match status {
        Some(status) => CATALOGUE.iter().filter(|entry| entry.status == status).collect(),
        None => Vec::new(),
    };
    match fitting.is_empty() {
        true => Known::Nothing,
        false => Known::OneOf(fitting),
    }
}

/// The class of a failure: the catalogue's where it knows it, or where all that it may be is of one; else by status and
/// Q.850 cause.
pub fn class(failure: Failure<'_>) -> CauseClass {
    let of_all = match look_up(failure) {
        Known::Exactly(entries) => entries.first().map(|entry| entry.class),
        Known::OneOf(entries) => common(&entries),
        Known::Nothing => None,
    };
    of_all.unwrap_or_else(|| CauseClass::coarse(failure.status, failure.cause))
}

/// The class that all of these have, but for those that say whose answer it was and not what it means.
fn common(entries: &[&Entry]) -> Option<CauseClass> {
    let classes = entries.iter().map(|entry| entry.class);
    let mut meant = classes.filter(|class| *class != CauseClass::HandedOn);
    let first = meant.next()?;
    meant.all(|class| class == first).then_some(first)
}

/// The SIP status that the SBC gave, where Microsoft's code says that it was the SBC's (560xxx).
pub const fn status_of_the_sbc(code: u32) -> Option<u16> {
    match code {
        560_300..=560_699 => Some((code % 1_000) as u16),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
