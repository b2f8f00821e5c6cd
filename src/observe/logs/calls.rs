//! Lines about calls, each inside the call's span: id, tenant, direction.

use super::lines::LogLines;
use crate::call::{
    CallFacts, CallId, CallNews, CallRecord, ElinUse, RefusedReplace, TransferKind, TransferNews, TransferStep,
};
use crate::dial::PeerName;
use crate::observe::cdr::carrier;
use crate::route::{Refusal, TraceStep};
use std::net::SocketAddr;
use tracing::{Span, debug, info, info_span, warn};

fn span(call: &str, facts: &CallFacts) -> Span {
    info_span!("call", call, tenant = facts.tenant, direction = facts.direction.label())
}

pub(super) fn began(lines: &LogLines, call: CallId, facts: &CallFacts) {
    span(&call.to_string(), facts).in_scope(|| {
        info!(
            from = lines.number(&facts.from),
            to = lines.number(&facts.to),
            carrier = facts.carrier,
            emergency = facts.emergency,
            elin = facts
                .elin
                .and_then(ElinUse::number)
                .map(|number| lines.number(&number.to_string()).to_string()),
            "call began"
        );
        if facts.elin == Some(ElinUse::Missing) {
            warn!("no ELIN fits this emergency call: carriers are shown the caller's own number");
        }
        trace_steps(lines, &facts.trace);
    });
}

fn trace_steps(lines: &LogLines, trace: &[TraceStep]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for step in trace {
            debug!(
                rule = step.rule,
                subject = lines.text(&step.subject),
                "route: {}",
                lines.text(&step.outcome)
            );
        }
    }
}

/// With whom a call runs: `peer` is the hub or gateway that is tried or talked to, `hub` the one that called.
pub(super) fn news(
    lines: &LogLines,
    call: CallId,
    facts: &CallFacts,
    news: &CallNews,
    (peer, hub): (Option<&PeerName>, Option<&str>),
) {
    let carrier = || facts.carrier.as_deref().or_else(|| peer.and_then(PeerName::carrier));
    let peer_text = || peer.map(|peer| lines.text(&peer.to_string()));
    let hub = || hub.map(|hub| lines.text(hub));
    span(&call.to_string(), facts).in_scope(|| match news {
        CallNews::Ringing => info!(carrier = carrier(), peer = peer_text(), hub = hub(), "ringing"),
        CallNews::Answered => info!(carrier = carrier(), peer = peer_text(), hub = hub(), "answered"),
        CallNews::Silent {
            leg,
            seconds,
            reports: false,
        } => warn!(leg = leg.0, seconds, "no media arrives from this leg"),
        CallNews::Silent {
            leg,
            seconds,
            reports: true,
        } => warn!(
            leg = leg.0,
            seconds,
            "reports arrive from this leg, but no audio: it is muted, or its audio is blocked or sent elsewhere"
        ),
        CallNews::Hunting { from, why } => {
            warn!(failed = %from, why = lines.text(why), "a hop failed, the next one is tried");
        }
        CallNews::TargetFailed { target, why } => lines.throttles.targets.say(|withheld| {
            let destination = match target.kind() {
                "phone" | "teams" => lines.number(target.name()).to_string(),
                _ => lines.text(target.name()).to_string(),
            };
            warn!(
                kind = target.kind(),
                destination,
                why = lines.text(why),
                withheld,
                "a destination of an application was not reached"
            );
        }),
        CallNews::AckNotSent { why } => warn!(why = lines.text(why), "an ACK could not be sent"),
        CallNews::ByeDelayed { leg, why } => lines.throttles.byes_delayed.say(|withheld| {
            warn!(
                leg = leg.0,
                why = lines.text(why),
                withheld,
                "a BYE has not reached the far side; it is said again for half a minute"
            );
        }),
        CallNews::ByeNotSent { leg, why } => lines.throttles.byes_given_up.say(|withheld| {
            warn!(
                leg = leg.0,
                why = lines.text(why),
                withheld,
                "a BYE was given up: the far side keeps the call until its own timers end it"
            );
        }),
        CallNews::TransportPassedOver { leg, named } => info!(
            leg = leg.0,
            named = lines.text(named),
            "the far side's Contact or Record-Route names another transport; requests go to it on the one of its listener"
        ),
        CallNews::Stranger { leg, source } => lines.throttles.strangers.say(|withheld| {
            warn!(leg = leg.0, %source, withheld, "a request inside the dialog came from somebody else: 481");
        }),
        CallNews::ReferRefused { leg, refused } => lines.throttles.refers.say(|withheld| {
            warn!(
                leg = leg.0,
                status = refused.status,
                refer_to = lines.text(refused.refer_to.as_deref().unwrap_or_default()),
                why = lines.text(&refused.why),
                withheld,
                "a REFER was refused"
            );
            trace_steps(lines, &refused.trace);
        }),
        CallNews::ReferDecided { leg, refer_to, status } => lines.throttles.refers.say(|withheld| {
            info!(
                leg = leg.0,
                refer_to = lines.text(refer_to),
                status,
                withheld,
                "a REFER was accepted, and the application has said what comes of it"
            );
        }),
        CallNews::ReplaceRefused(refused) => replace_refused(lines, None, refused),
        CallNews::Transfer(news) => transferred(lines, news),
        CallNews::StaysOnHold { leg, status } => lines.throttles.refers.say(|withheld| {
            warn!(
                leg = leg.0,
                status,
                withheld,
                "this leg's peer was not to be taken off hold: the other side is told that it is on hold"
            );
        }),
        CallNews::ChangePutOff { leg, status, held } => lines.throttles.changes_put_off.say(|withheld| {
            let what = match held {
                true => "this leg's peer could not be told that it is on hold; it is asked again, and the hold was accepted",
                false => "this leg's peer could not be asked for what the other side wants, which may ask again: 500",
            };
            warn!(leg = leg.0, status, withheld, "{what}");
        }),
        CallNews::Holds { leg } => debug!(leg = leg.0, "this leg's peer has put the other side on hold"),
        CallNews::Resumes { leg, held_ms } => debug!(leg = leg.0, held_ms, "this leg's peer holds no longer"),
        CallNews::RefreshRefused { leg, status } => info!(
            leg = leg.0,
            status,
            "our session refresh was refused; it is tried again while there is time"
        ),
        CallNews::NotRecoded { leg } => lines.throttles.overflows.say(|withheld| {
            warn!(
                leg = leg.0,
                withheld, "no codec is shared, and too many calls are recoded already (recoded_calls of [media]): 503"
            );
        }),
        CallNews::ApplicationError { what, detail, call_sid } => lines.throttles.applications.say(|withheld| {
            warn!(
                what,
                why = lines.text(detail),
                call_sid = call_sid.map(tracing::field::display),
                withheld,
                "the application failed, or what it wants can't be done"
            );
        }),
    });
}

/// A REFER, or an INVITE with Replaces, that is carried out: who leaves, who goes on talking, and how far it has come.
fn transferred(lines: &LogLines, news: &TransferNews) {
    let about = &news.about;
    let (status, why) = match &news.step {
        TransferStep::Rings { status } => (Some(*status), None),
        TransferStep::Failed { status, why } => (Some(*status), Some(why)),
        TransferStep::Began | TransferStep::Made => (None, None),
    };
    let said = match (&news.step, about.kind) {
        (TransferStep::Began, TransferKind::Referred) => "a REFER was accepted",
        (TransferStep::Began, TransferKind::Replaced) => "an INVITE with Replaces was taken up",
        (TransferStep::Rings { .. }, _) => "whom the REFER names rings",
        (TransferStep::Made, _) => "the transfer is made",
        (TransferStep::Failed { .. }, _) => "the transfer failed",
    };
    info!(
        kind = about.kind.label(),
        leg = news.leg.0,
        leaves = %lines.text(&about.leaves),
        stays = %lines.text(&about.stays),
        refer_to = about.refer_to.as_deref().map(|target| lines.text(target)),
        status,
        why = why.map(|why| lines.text(why)),
        "{said}"
    );
}

pub(super) fn over(lines: &LogLines, record: &CallRecord) {
    span(&record.call, &record.facts).in_scope(|| {
        let talked_ms = record
            .answered_after_ms
            .map(|answered| record.ended_after_ms.saturating_sub(answered));
        // Who answered last, else who was tried last.
        let called = record
            .legs
            .iter()
            .filter_map(|leg| Some((leg.peer.as_ref()?, leg.status)));
        let peer = called.max_by_key(|(_, status)| status.is_some_and(|status| status < 300));
        let hub = record.legs.first().and_then(|leg| leg.hub.as_deref());
        info!(
            status = record.status,
            cause = record.cause.label(),
            why = lines.text(&record.cause_text),
            from = lines.number(&record.facts.from),
            to = lines.number(&record.facts.to),
            carrier = carrier(record),
            peer = peer.map(|(peer, _)| lines.text(&peer.to_string())),
            hub = hub.map(|hub| lines.text(hub)),
            talked_ms,
            lasted_ms = record.ended_after_ms,
            "call over"
        );
    });
}

pub(super) fn refused(lines: &LogLines, source: SocketAddr, dialled: &str, refusal: &Refusal, trace: &[TraceStep]) {
    lines.throttles.refused_calls.say(|withheld| {
        warn!(
            status = refusal.status,
            %source,
            dialled = lines.number(dialled),
            why = lines.text(&refusal.sentence),
            withheld,
            "call refused"
        );
        trace_steps(lines, trace);
    });
}

/// An INVITE with Replaces. Where a call was asked the line is in its span, whose tenant may be another one than that of the
/// trunk name.
pub(super) fn replace_refused(lines: &LogLines, tenant: Option<&str>, refused: &RefusedReplace) {
    lines.throttles.replaces.say(|withheld| {
        warn!(
            status = refused.status,
            tenant,
            trunk = lines.text(&refused.trunk),
            hub = refused.hub.as_deref().map(|hub| lines.text(hub)),
            source = refused.source.map(tracing::field::display),
            why = lines.text(&refused.why),
            withheld,
            "an INVITE with Replaces was refused"
        );
    });
}
