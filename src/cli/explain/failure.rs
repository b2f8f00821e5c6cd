//! `portcullis explain --sip 403 --reason "…"`: what a failure that Teams told of means, and what to do.

use super::ExplainArgs;
use crate::observe::printable;
use crate::sip::header::Reason;
use crate::sip::message::reason_phrase;
use crate::teams::catalogue::{CauseClass, Entry, Failure, Known, cause_name, class, look_up, status_of_the_sbc};
use crate::teams::{TeamsReason, codes};
use serde::Serialize;
use std::io::{self, Write};

/// What is known of a failure.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// As asked, or as the Reason names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip: Option<u16>,
    /// Microsoft's code, as asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Q.850.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
    pub class: CauseClass,
    /// False: only the status is known, and it may be any of `entries`.
    pub certain: bool,
    pub entries: Vec<&'static Entry>,
    /// Statuses that Microsoft's code goes with, where the one asked about is none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub code_goes_with: Vec<u16>,
    /// What the Q.850 cause says wherever it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause_name: Option<&'static str>,
    /// What goes on of the cause between Teams and carriers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cause_goes_on: Vec<String>,
    /// Where the answer was the SBC's own by Microsoft's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_of_the_sbc: Option<u16>,
}

impl Explanation {
    /// Of the arguments, where they ask about a failure and not about a call.
    pub fn asked(args: &ExplainArgs) -> Option<Explanation> {
        if args.sip.is_none() && args.code.is_none() && args.reason.is_none() {
            return None;
        }
        let bare = args.reason.as_deref().and_then(read_code);
        let told = args.reason.as_deref().filter(|_| bare.is_none());
        let (reason, status) = told.map(read_reason).unwrap_or_default();
        let (sip, code) = (args.sip.or(status), args.code.or(bare));
        let status_of_the_sbc = code.and_then(status_of_the_sbc);
        let failure = Failure {
            status: sip,
            code,
            cause: reason.cause,
            phrase: reason.phrase.as_deref(),
        };
        let (certain, entries) = match look_up(failure) {
            Known::Exactly(entries) => (true, entries),
            Known::OneOf(entries) => (false, entries),
            Known::Nothing => (false, Vec::new()),
        };
        let cause_goes_on = reason.cause.map(|cause| codes::what_goes_on(cause, sip));
        Some(Explanation {
            code_goes_with: misfits(sip, code, &entries),
            cause_name: reason.cause.and_then(cause_name),
            cause_goes_on: cause_goes_on.unwrap_or_default(),
            sip,
            code,
            class: class(failure),
            cause: reason.cause,
            guid: reason.guid,
            phrase: reason.phrase,
            certain,
            entries,
            status_of_the_sbc,
        })
    }

    /// Whether anything could be said.
    pub fn says_something(&self) -> bool {
        !self.entries.is_empty() || self.status_of_the_sbc.is_some() || self.cause_name.is_some()
    }
}

/// The statuses that a code goes with, where `status` is none of them.
fn misfits(status: Option<u16>, code: Option<u32>, entries: &[&'static Entry]) -> Vec<u16> {
    let (Some(status), Some(code)) = (status, code) else {
        return Vec::new();
    };
    let of_entries = entries
        .iter()
        .filter(|entry| entry.code == Some(code))
        .map(|entry| entry.status);
    let mut known: Vec<u16> = of_entries.chain(status_of_the_sbc(code)).collect();
    known.sort_unstable();
    known.dedup();
    match known.contains(&status) {
        true => Vec::new(),
        false => known,
    }
}

/// A bare number of six digits is Microsoft's code, and no phrase.
fn read_code(typed: &str) -> Option<u32> {
    let typed = typed.trim();
    let is_code = typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit());
    typed.parse().ok().filter(|_| is_code)
}

/// The header as it was copied, with or without its name, or its text alone; and the status that it names, where it is one of
/// SIP (RFC 3326).
fn read_reason(typed: &str) -> (TeamsReason, Option<u16>) {
    let typed = typed.trim();
    let value = match typed.split_once(':') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("reason") => value.trim(),
        _ => typed,
    };
    let of_sip = value
        .parse()
        .ok()
        .filter(|reason: &Reason| reason.protocol.eq_ignore_ascii_case("SIP"));
    match of_sip {
        Some(Reason { cause, text, .. }) => {
            let reason = text.as_deref().map(TeamsReason::of_text);
            (
                reason.unwrap_or_default(),
                cause.filter(|status| (300..700).contains(status)),
            )
        }
        None => {
            let reason = TeamsReason::parse(value);
            (
                reason.unwrap_or_else(|| TeamsReason::of_text(value.trim_matches('"'))),
                None,
            )
        }
    }
}

/// One JSON object.
pub fn json(explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, explanation)?;
    writeln!(out)
}

/// Lines for a terminal.
pub fn text(explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", asked(explanation))?;
    if let Some(guid) = &explanation.guid {
        writeln!(out, "Microsoft's support finds the call by {guid}")?;
    }
    if let Some(status) = explanation.status_of_the_sbc {
        let phrase = reason_phrase(status);
        writeln!(
            out,
            "Codes 560xxx say that the final answer was the SBC's own, or handed on by it: {status} {phrase}"
        )?;
    }
    if let (Some(code), false) = (explanation.code, explanation.code_goes_with.is_empty()) {
        let known: Vec<String> = explanation.code_goes_with.iter().map(u16::to_string).collect();
        writeln!(
            out,
            "The status does not fit: {code} goes with {}. What follows is of the code; one of the two is another call's",
            known.join(" or ")
        )?;
    }
    // A phrase that is known says it more exactly.
    let named = explanation
        .cause
        .zip(explanation.cause_name)
        .filter(|_| !explanation.certain);
    if let Some((cause, name)) = named {
        writeln!(out, "\nQ.850 cause {cause}: {name}")?;
        for line in &explanation.cause_goes_on {
            writeln!(out, "  {line}")?;
        }
    }
    match (explanation.certain, explanation.entries.len()) {
        (_, 0) if named.is_some() => {}
        (_, 0) if explanation.says_something() => {
            return writeln!(out, "The call records say why: `cause` and the other leg's `status`.");
        }
        (_, 0) => {
            return writeln!(
                out,
                "\nNothing is known of it: neither the code, nor the phrase, nor the status."
            );
        }
        (true, 1) => {}
        (true, number) => writeln!(out, "\nIt is one of {number}; --sip tells them apart:")?,
        (false, 1) => {
            writeln!(
                out,
                "\nNothing is known of the phrase or code; of the status one thing:"
            )?;
        }
        (false, number) => writeln!(
            out,
            "\nMicrosoft's code (--code) or Teams' phrase (--reason) would tell which of {number} it is:"
        )?,
    }
    for entry in &explanation.entries {
        write_entry(entry, out)?;
    }
    Ok(())
}

fn asked(explanation: &Explanation) -> String {
    let mut parts = Vec::new();
    if let Some(status) = explanation.sip {
        parts.push(format!("{status} {}", reason_phrase(status)));
    }
    if let Some(code) = explanation.code {
        parts.push(format!("Microsoft's code {code}"));
    }
    if let Some(cause) = explanation.cause {
        parts.push(format!("Q.850 cause {cause}"));
    }
    if let Some(phrase) = &explanation.phrase {
        parts.push(format!("\"{}\"", printable(phrase)));
    }
    parts.join(", ")
}

fn write_entry(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    let code = entry.code.map(|code| format!(", {code}")).unwrap_or_default();
    writeln!(
        out,
        "\n{} ({}{code}): {}",
        entry.title,
        entry.status,
        entry.class.label()
    )?;
    writeln!(out, "  {}", entry.meaning)?;
    writeln!(out, "  What to do: {}", entry.fix)
}
