//! The diagnosis for people and for scripts.

use super::finding::{Diagnosis, Severity};
use crate::config::Mistakes;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// One JSON object.
pub fn json(diagnosis: &Diagnosis, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, diagnosis)?;
    writeln!(out)
}

/// What `check --json` says of them.
pub fn mistakes_json(mistakes: &Mistakes, out: &mut impl Write) -> io::Result<()> {
    let mistakes: Vec<_> = mistakes.iter().collect();
    writeln!(out, "{:#}", json!({ "right": false, "mistakes": mistakes }))
}

/// Lines for a terminal: the worst first; notes only where `notes` says so.
pub fn text(diagnosis: &Diagnosis, notes: bool, out: &mut impl Write) -> io::Result<()> {
    let shown = diagnosis
        .findings
        .iter()
        .filter(|finding| notes || finding.severity > Severity::Note);
    for finding in shown {
        writeln!(out, "{}  {}", word(finding.severity), finding.id)?;
        writeln!(out, "      {}", finding.evidence)?;
        writeln!(out, "      What to do: {}\n", finding.fix)?;
    }
    let count = |severity| {
        diagnosis
            .findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (fails, warnings) = (count(Severity::Fail), count(Severity::Warn));
    let hidden = match (notes, count(Severity::Note)) {
        (false, number @ 1..) => format!(", {} (--notes shows them)", plural(number, "note")),
        _ => String::new(),
    };
    writeln!(
        out,
        "{}, {}{hidden}; {} found nothing",
        plural(fails, "failure"),
        plural(warnings, "warning"),
        plural(diagnosis.passed.len(), "check")
    )?;
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skipped in &diagnosis.skipped {
        reasons.entry(&skipped.why).or_default().push(skipped.id);
    }
    for (why, checks) in reasons {
        writeln!(out, "not looked at, {why}: {}", checks.join(", "))?;
    }
    Ok(())
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Fail => "FAIL",
        Severity::Warn => "warn",
        Severity::Note => "note",
    }
}

fn plural(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
