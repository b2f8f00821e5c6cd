//! The fields of a record, as they are promised to whoever reads the file. `docs/cdr.md` describes them.

use crate::app::sid::CallSid;
use crate::call::{ApplicationRecord, CallRecord, Direction, ElinUse, LegRecord, LegTransfer, Party, RefusedRefer};
use crate::dial::PeerName;
use crate::media::{Dropped, MediaStats};
use crate::observe::rfc3339;
use crate::route::TraceStep;
use crate::rtp::quality::{Reception, mos};
use crate::teams::TeamsReason;
use crate::teams::UserPlace;
use crate::teams::catalogue::CauseClass;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Goes up when a field changes its meaning or goes away; new fields don't count.
const VERSION: u32 = 1;

/// One record.
#[derive(Debug, Serialize)]
pub struct CdrLine<'a> {
    version: u32,
    node: &'a str,
    call: &'a str,
    direction: Direction,
    tenant: &'a str,
    /// The carrier that the call came from or went to.
    carrier: Option<&'a str>,
    from: &'a str,
    to: &'a str,
    emergency: bool,
    /// `shown`, `missing` or `called_back`, and the number.
    elin_use: Option<&'static str>,
    elin: Option<String>,
    began: String,
    began_ms: u64,
    ringing_after_ms: Option<u64>,
    answered: Option<String>,
    answered_ms: Option<u64>,
    ended: String,
    ended_ms: u64,
    /// From the answer to the end; 0 for a call that nobody answered.
    talked_ms: u64,
    status: u16,
    cause: &'static str,
    cause_text: &'a str,
    ended_by: Party,
    /// None where a route decided.
    application: Option<&'a ApplicationRecord>,
    legs: Vec<CdrLeg<'a>>,
    trace: &'a [TraceStep],
}

/// One leg.
#[derive(Debug, Serialize)]
pub struct CdrLeg<'a> {
    /// `teams`, `carrier`, `user` or `sip`.
    side: &'a str,
    /// Hub or gateway; none on the caller's leg.
    peer: Option<String>,
    /// Of a leg of Teams, either way.
    hub: Option<&'a str>,
    /// Where the leg's INVITE went, or came from.
    address: Option<SocketAddr>,
    transport: Option<&'static str>,
    call_id: &'a str,
    /// What the application knows it by.
    call_sid: Option<CallSid>,
    status: Option<u16>,
    phrase: Option<&'a str>,
    /// Why we gave it up, or could not reach it.
    why: Option<&'a str>,
    reasons: &'a [String],
    /// Of a leg of Teams: what its Reason says (TEAMS-066, TEAMS-112).
    reason_guid: Option<String>,
    reason_phrase: Option<String>,
    cause_class: Option<&'static str>,
    correlation: Option<&'a str>,
    /// It was to take another leg's place.
    transfer: Option<&'a LegTransfer>,
    refers_refused: &'a [RefusedRefer],
    /// How often its peer held the other side, and how long in all.
    holds: u32,
    held_ms: u64,
    /// Of a leg of Teams: where it says that its user is, and the local media address that was taken for that.
    user_place: Option<&'a UserPlace>,
    local_media: Option<&'a str>,
    codec: Option<&'a str>,
    media: Option<CdrMedia>,
}

/// What a leg received and sent.
#[derive(Debug, Serialize)]
pub struct CdrMedia {
    remote: Option<String>,
    received_packets: u64,
    received_bytes: u64,
    received_lost: i64,
    received_jitter_ms: f64,
    /// Mean opinion scores by the E-model, of what came and of what the peer reports.
    received_mos: Option<f64>,
    reported_mos: Option<f64>,
    sent_packets: u64,
    sent_bytes: u64,
    reported_lost: Option<i32>,
    reported_jitter_ms: Option<f64>,
    round_trip_ms: Option<f64>,
    /// Packets that went no further, by reason; reasons that never happened are left out.
    dropped: BTreeMap<&'static str, u64>,
}

impl<'a> CdrLine<'a> {
    /// The record of a call on this node.
    pub fn new(node: &'a str, record: &'a CallRecord) -> CdrLine<'a> {
        let facts = &record.facts;
        let began_ms = facts.began_unix_ms;
        let answered_ms = record.answered_after_ms.map(|after| began_ms.saturating_add(after));
        let ended_ms = began_ms.saturating_add(record.ended_after_ms);
        CdrLine {
            version: VERSION,
            node,
            call: &record.call,
            direction: facts.direction,
            tenant: &facts.tenant,
            carrier: carrier(record),
            from: &facts.from,
            to: &facts.to,
            emergency: facts.emergency,
            elin_use: facts.elin.map(ElinUse::label),
            elin: facts.elin.and_then(ElinUse::number).map(|number| number.to_string()),
            began: rfc3339(began_ms),
            began_ms,
            ringing_after_ms: record.ringing_after_ms,
            answered: answered_ms.map(rfc3339),
            answered_ms,
            ended: rfc3339(ended_ms),
            ended_ms,
            talked_ms: answered_ms.map_or(0, |answered| ended_ms.saturating_sub(answered)),
            status: record.status,
            cause: record.cause.label(),
            cause_text: &record.cause_text,
            ended_by: record.ended_by,
            application: record.application.as_ref(),
            legs: record.legs.iter().map(CdrLeg::new).collect(),
            trace: &facts.trace,
        }
    }
}

/// The carrier that a call came from, or the last one that it was tried with.
pub fn carrier(record: &CallRecord) -> Option<&str> {
    record.facts.carrier.as_deref().or_else(|| {
        let mut peers = record.legs.iter().rev().filter_map(|leg| leg.peer.as_ref());
        peers.find_map(PeerName::carrier)
    })
}

/// How a leg of Teams ended, where Teams gave a reason or a status that says so.
fn ending(leg: &LegRecord) -> Option<(TeamsReason, CauseClass)> {
    let failed = leg.status.filter(|status| *status >= 300);
    let reason = TeamsReason::among(&leg.reasons);
    if leg.side != "teams" || (failed.is_none() && reason.is_none()) {
        return None;
    }
    let class = match (&reason, failed) {
        (Some(reason), _) if leg.we_answered() => reason.class(None),
        // Our answer to a CANCEL.
        (None, Some(487)) if leg.we_answered() => CauseClass::Normal,
        (None, Some(_)) if leg.we_answered() => CauseClass::HandedOn,
        _ => reason.clone().unwrap_or_default().class(failed),
    };
    Some((reason.unwrap_or_default(), class))
}

impl<'a> CdrLeg<'a> {
    fn new(leg: &'a LegRecord) -> CdrLeg<'a> {
        let reason = ending(leg);
        let (reason_guid, reason_phrase, cause_class) = match reason {
            Some((reason, class)) => (reason.guid, reason.phrase, Some(class.label())),
            None => (None, None, None),
        };
        CdrLeg {
            side: &leg.side,
            peer: leg.peer.as_ref().map(ToString::to_string),
            hub: leg.hub.as_deref().or(match &leg.peer {
                Some(PeerName::Hub(hub)) => Some(hub),
                _ => None,
            }),
            address: leg.address.map(|(_, address)| address),
            transport: leg.address.map(|(transport, _)| transport.uri_name()),
            call_id: &leg.call_id,
            call_sid: leg.call_sid,
            status: leg.status,
            phrase: leg.phrase.as_deref(),
            why: leg.why.as_deref(),
            reasons: &leg.reasons,
            reason_guid,
            reason_phrase,
            cause_class,
            correlation: leg.correlation.as_deref(),
            transfer: leg.transfer.as_ref(),
            refers_refused: &leg.refers_refused,
            holds: leg.holds,
            held_ms: leg.held_ms,
            user_place: leg.user_place.as_ref(),
            local_media: leg.local_media.as_deref(),
            codec: leg.codec.as_deref(),
            media: leg
                .media
                .as_ref()
                .map(|stats| CdrMedia::new(stats, leg.codec.as_deref().unwrap_or_default())),
        }
    }
}

impl CdrMedia {
    fn new(stats: &MediaStats, codec: &str) -> CdrMedia {
        let (received, sent) = (&stats.received, &stats.sent);
        let reported = sent.reported.as_ref();
        let score = |loss, jitter_ms| {
            let score = mos(Reception {
                codec,
                loss,
                jitter_ms,
                round_trip: stats.round_trip,
            });
            (score * 100.0).round() / 100.0
        };
        CdrMedia {
            remote: stats.remote.map(|remote| remote.to_string()),
            received_packets: received.packets,
            received_bytes: received.bytes,
            received_lost: received.lost,
            received_jitter_ms: rounded(received.jitter_ms),
            received_mos: (received.packets > 0).then(|| {
                score(
                    share(
                        received.lost,
                        received.packets.saturating_add_signed(received.lost.max(0)),
                    ),
                    received.jitter_ms,
                )
            }),
            reported_mos: reported.map(|report| score(share(i64::from(report.lost), sent.packets), report.jitter_ms)),
            sent_packets: sent.packets,
            sent_bytes: sent.bytes,
            reported_lost: reported.map(|report| report.lost),
            reported_jitter_ms: reported.map(|report| rounded(report.jitter_ms)),
            round_trip_ms: stats.round_trip.map(|span| rounded(span.as_secs_f64() * 1e3)),
            dropped: dropped(stats).into_iter().filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// Every reason for which packets of a leg went no further, with its count.
pub fn dropped(stats: &MediaStats) -> [(&'static str, u64); 16] {
    // No `..`: a reason that is counted is shown.
    let Dropped {
        auth_failures,
        replays,
        early,
        strangers,
        off_stream,
        payload,
        muted,
        replaced,
        unbridged,
        malformed,
        oversize,
        not_negotiated,
        hairpin,
        stun_user,
        stun_integrity,
        stun_role,
    } = &stats.received.dropped;
    [
        ("auth_failures", *auth_failures),
        ("replays", *replays),
        ("early", *early),
        ("strangers", *strangers),
        ("off_stream", *off_stream),
        ("payload", *payload),
        ("muted", *muted),
        ("replaced", *replaced),
        ("unbridged", *unbridged),
        ("malformed", *malformed),
        ("oversize", *oversize),
        ("not_negotiated", *not_negotiated),
        ("hairpin", *hairpin),
        ("stun_user", *stun_user),
        ("stun_integrity", *stun_integrity),
        ("stun_role", *stun_role),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn share(lost: i64, of: u64) -> f64 {
    lost.max(0) as f64 / of.max(1) as f64
}

/// Microseconds are enough.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}
