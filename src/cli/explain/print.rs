//! The answer for people and for scripts.

use super::answer::{Answer, Hop};
use std::io::{self, Write};
use std::time::Duration;

/// One JSON object.
pub fn json(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    writeln!(out)
}

/// Lines for a terminal. Headers that the INVITE before had too are left out.
pub fn text(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{} calls {} from {}", answer.caller, answer.dialled, answer.from)?;
    if let Some(assumed) = &answer.assumed {
        writeln!(out, "assumed: {assumed}")?;
    }
    writeln!(out)?;
    // The refusal is said below.
    let steps = || answer.trace.iter().filter(|step| step.rule != "refused");
    let width = steps().map(|step| step.rule.len()).max().unwrap_or(0);
    for step in steps() {
        let subject = match step.subject.as_str() {
            "" => "none",
            subject => subject,
        };
        writeln!(out, "  {:width$}  {subject}: {}", step.rule, step.outcome)?;
    }
    if width > 0 {
        writeln!(out)?;
    }
    if let Some(refusal) = &answer.refusal {
        writeln!(
            out,
            "Refused with {} {}: {}",
            refusal.status, refusal.phrase, refusal.sentence
        )?;
        for hint in &answer.hints {
            writeln!(out, "  {hint}")?;
        }
        return Ok(());
    }
    let emergency = if answer.emergency { "an emergency call " } else { "" };
    let tenant = answer.tenant.as_deref().unwrap_or_default();
    if let Some(user) = &answer.rings {
        return writeln!(
            out,
            "Routed: of tenant '{tenant}'; rings every device that {user} has registered, all at once"
        );
    }
    writeln!(out, "Routed: {emergency}of tenant '{tenant}'; tried in this order:")?;
    let before = std::iter::once(None).chain(answer.hops.iter().map(Some));
    for (number, (hop, before)) in (1..).zip(answer.hops.iter().zip(before)) {
        write_hop(number, hop, before, out)?;
    }
    Ok(())
}

fn write_hop(number: usize, hop: &Hop, before: Option<&Hop>, out: &mut impl Write) -> io::Result<()> {
    let transport = hop
        .transport
        .map(|transport| format!(" over {transport}"))
        .unwrap_or_default();
    writeln!(out, "\n{number}. {}{transport} by listener {}", hop.peer, hop.listener)?;
    writeln!(out, "     INVITE {}", hop.request_uri)?;
    for (name, value) in &hop.headers {
        let repeated = before.is_some_and(|before| before.headers.contains(&(name.clone(), value.clone())));
        if !repeated {
            writeln!(out, "     {name}: {value}")?;
        }
    }
    let codes: Vec<String> = hop.hunt_on.iter().map(u16::to_string).collect();
    let patience = Duration::from_millis(hop.first_response_ms);
    writeln!(
        out,
        "   next on {}, or on no answer within {patience:?}",
        codes.join(", ")
    )
}
