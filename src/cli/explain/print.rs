//! The answer for people and for scripts.

use super::answer::{Answer, AskedHook, Asks, Hop};
use crate::route::TraceStep;
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
    if write_steps(answer.trace.iter().filter(|step| step.rule != "refused"), out)? {
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
    write_way(answer, out)?;
    if !answer.others.is_empty() {
        writeln!(out, "\nWhy not the others:")?;
        write_steps(answer.others.iter(), out)?;
    }
    Ok(())
}

/// True when there was one.
fn write_steps<'a>(steps: impl Iterator<Item = &'a TraceStep> + Clone, out: &mut impl Write) -> io::Result<bool> {
    let width = steps.clone().map(|step| step.rule.len()).max();
    for step in steps {
        let subject = match step.subject.as_str() {
            "" => "none",
            subject => subject,
        };
        let width = width.unwrap_or(0);
        writeln!(out, "  {:width$}  {subject}: {}", step.rule, step.outcome)?;
    }
    Ok(width.is_some())
}

/// Where a routed call goes.
fn write_way(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let emergency = match (answer.emergency, answer.elin_use) {
        (true, Some("called_back")) => "back to an emergency caller ",
        (true, _) => "an emergency call ",
        (false, _) => "",
    };
    let tenant = answer.tenant.as_deref().unwrap_or_default();
    if let Some(asks) = &answer.asks {
        return write_asks(asks, tenant, out);
    }
    if let Some(user) = &answer.rings {
        return writeln!(
            out,
            "Routed: {emergency}of tenant '{tenant}'; rings every device that {user} has registered, all at once"
        );
    }
    writeln!(out, "Routed: {emergency}of tenant '{tenant}'; tried in this order:")?;
    let before = std::iter::once(None).chain(answer.hops.iter().map(Some));
    for (number, (hop, before)) in (1..).zip(answer.hops.iter().zip(before)) {
        write_hop(number, hop, before, out)?;
    }
    Ok(())
}

fn write_asks(asks: &Asks, tenant: &str, out: &mut impl Write) -> io::Result<()> {
    let text = |hook: &AskedHook| match hook.method {
        Some(method) => format!("{method} {}", hook.url),
        None => format!("WebSocket {}", hook.url),
    };
    writeln!(
        out,
        "Routed: of tenant '{tenant}'; application '{}' decides\n\n     hook: {}",
        asks.application,
        text(&asks.hook)
    )?;
    if let Some(fallback) = &asks.fallback {
        writeln!(out, "     when that fails: {}", text(fallback))?;
    }
    if let Some(status) = &asks.call_status_hook {
        writeln!(out, "     call status: {}", text(status))?;
    }
    if !asks.env_vars.is_empty() {
        writeln!(out, "     env_vars: {}", asks.env_vars.join(", "))?;
    }
    writeln!(out, "     application_sid: {}", asks.application_sid)?;
    writeln!(out, "     account_sid: {}", asks.account_sid)
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
    let codes = if hop.hunt_on_every {
        "every refusal".to_owned()
    } else {
        codes.join(", ")
    };
    match hop.progress_ms.map(Duration::from_millis) {
        Some(progress) => writeln!(
            out,
            "   next on {codes}, on no answer within {patience:?}, or on 100 alone for {progress:?}"
        ),
        None => writeln!(out, "   next on {codes}, or on no answer within {patience:?}"),
    }
}
