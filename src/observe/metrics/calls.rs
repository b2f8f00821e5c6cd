//! What is counted of calls.

use crate::call::{CallFacts, CallNews, CallRecord, Direction, ElinUse, RefusedReplace};
use crate::carrier::gateway_name;
use crate::config::Config;
use crate::dial::PeerName;
use crate::media::MediaStats;
use crate::observe::cdr::{carrier, dropped};
use crate::route::Refusal;
use crate::teams::hub_name;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// The label of a call without a carrier.
const NONE: &str = "none";
/// The label of devices and of servers that applications name.
const USER: &str = "user";

pub(super) struct CallMetrics {
    calls: IntCounterVec,
    refused: IntCounterVec,
    hunts: IntCounterVec,
    silent: IntCounterVec,
    strangers: IntCounterVec,
    ringing: HistogramVec,
    setup: HistogramVec,
    talked: HistogramVec,
    loss: HistogramVec,
    jitter: HistogramVec,
    packets: IntCounterVec,
    dropped: IntCounterVec,
    refers_refused: IntCounterVec,
    acks_not_sent: IntCounterVec,
    byes_not_sent: IntCounterVec,
    not_recoded: IntCounterVec,
    application_alerts: IntCounterVec,
    elins: IntCounterVec,
}

impl CallMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<CallMetrics> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(format!("portcullis_{name}"), help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, label: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(format!("portcullis_{name}"), help).buckets(buckets.to_vec());
            let histogram = HistogramVec::new(options, &[label])?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(CallMetrics {
            calls: counter(
                "calls_total",
                "Calls that are over.",
                &["tenant", "carrier", "direction", "code", "cause"],
            )?,
            refused: counter(
                "calls_refused_total",
                "INVITEs that became no call, or that took nobody's place by Replaces.",
                &["code"],
            )?,
            hunts: counter(
                "hops_failed_total",
                "INVITEs after which the next hop was tried.",
                &["peer"],
            )?,
            silent: counter("calls_silent_total", "Times that media stayed away.", &["direction"])?,
            strangers: counter(
                "dialog_strangers_total",
                "Requests inside dialogs that came from somebody else.",
                &["direction"],
            )?,
            ringing: histogram(
                "call_ringing_after_seconds",
                "From the INVITE to the first ringing.",
                "direction",
                &[0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 30.0],
            )?,
            setup: histogram(
                "call_answered_after_seconds",
                "From the INVITE to the answer.",
                "direction",
                &[1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 180.0],
            )?,
            talked: histogram(
                "call_talked_seconds",
                "From the answer to the end.",
                "direction",
                &[1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 14_400.0],
            )?,
            loss: histogram(
                "media_loss_ratio",
                "Share of the RTP packets of a leg that never arrived.",
                "side",
                &[0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25],
            )?,
            jitter: histogram(
                "media_jitter_seconds",
                "Interarrival jitter of a leg at its end.",
                "side",
                &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25],
            )?,
            packets: counter(
                "media_call_packets_total",
                "RTP packets of calls that are over.",
                &["side", "way"],
            )?,
            dropped: counter(
                "media_dropped_total",
                "Packets of calls that are over which went no further.",
                &["side", "reason"],
            )?,
            refers_refused: counter(
                "refers_refused_total",
                "REFERs that were not carried out.",
                &["direction", "code"],
            )?,
            acks_not_sent: counter("acks_not_sent_total", "ACKs whose way was not found.", &["direction"])?,
            byes_not_sent: counter(
                "byes_not_sent_total",
                "BYEs that were given up: whom they were for keeps the call until its own timers end it.",
                &["direction"],
            )?,
            not_recoded: counter(
                "calls_not_recoded_total",
                "Destinations that were not called because too many calls are recoded already.",
                &["direction"],
            )?,
            application_alerts: counter(
                "application_alerts_total",
                "Hooks that failed, and wishes of applications that could not be met.",
                &["what"],
            )?,
            elins: counter(
                "elin_calls_total",
                "Emergency calls to carriers that are shown ELINs, and calls back to their callers.",
                &["elin"],
            )?,
        })
    }

    /// What can be counted under a configuration is there before it is: a rate over a series that begins with its first event
    /// does not see that event. Codes of calls are left out, for each tenant would have all of them.
    pub(super) fn expect(&self, config: &Config) {
        let sbc = &config.sbc;
        let hubs = sbc.teams.hubs.iter().map(hub_name);
        let gateways = sbc.carriers.iter().flat_map(|carrier| {
            let gateways = carrier.gateways.iter();
            gateways.map(|gateway| gateway_name(carrier, gateway))
        });
        for peer in hubs.chain(gateways) {
            self.hunts.with_label_values(&[&peer.to_string()]);
        }
        self.hunts.with_label_values(&[USER]);
        for status in Refusal::STATUSES.into_iter().chain(RefusedReplace::STATUSES) {
            self.refused.with_label_values(&[&code(status)]);
        }
        for label in ElinUse::LABELS {
            self.elins.with_label_values(&[label]);
        }
        for direction in Direction::ALL.map(Direction::label) {
            let by_direction = [
                &self.silent,
                &self.strangers,
                &self.acks_not_sent,
                &self.byes_not_sent,
                &self.not_recoded,
            ];
            for counter in by_direction {
                counter.with_label_values(&[direction]);
            }
            for histogram in [&self.ringing, &self.setup, &self.talked] {
                histogram.with_label_values(&[direction]);
            }
        }
    }

    pub(super) fn began(&self, facts: &CallFacts) {
        if let Some(elin) = facts.elin {
            self.elins.with_label_values(&[elin.label()]).inc();
        }
    }

    pub(super) fn news(&self, facts: &CallFacts, news: &CallNews) {
        match news {
            CallNews::Silent { .. } => self.silent.with_label_values(&[facts.direction.label()]).inc(),
            // A device's address is a peer's word, and no label.
            CallNews::Stranger { .. } => self.strangers.with_label_values(&[facts.direction.label()]).inc(),
            CallNews::Hunting {
                from: PeerName::User { .. } | PeerName::Uri(_),
                ..
            } => self.hunts.with_label_values(&[USER]).inc(),
            CallNews::Hunting { from, .. } => self.hunts.with_label_values(&[&from.to_string()]).inc(),
            CallNews::ReferRefused { refused, .. } => {
                let labels = [facts.direction.label(), &code(refused.status)];
                self.refers_refused.with_label_values(&labels).inc();
            }
            CallNews::ReplaceRefused(refused) => self.refused(refused.status),
            CallNews::AckNotSent { .. } => self.acks_not_sent.with_label_values(&[facts.direction.label()]).inc(),
            CallNews::ByeNotSent { .. } => self.byes_not_sent.with_label_values(&[facts.direction.label()]).inc(),
            CallNews::NotRecoded { .. } => self.not_recoded.with_label_values(&[facts.direction.label()]).inc(),
            CallNews::ApplicationError { what, .. } => self.application_alerts.with_label_values(&[what]).inc(),
            CallNews::Ringing
            | CallNews::TargetFailed { .. }
            | CallNews::Answered
            | CallNews::Transfer(_)
            | CallNews::ReferDecided { .. }
            | CallNews::Holds { .. }
            | CallNews::Resumes { .. }
            | CallNews::StaysOnHold { .. }
            | CallNews::ChangePutOff { .. }
            | CallNews::ByeDelayed { .. }
            | CallNews::RefreshRefused { .. }
            | CallNews::TransportPassedOver { .. } => {}
        }
    }

    pub(super) fn refused(&self, status: u16) {
        self.refused.with_label_values(&[&code(status)]).inc();
    }

    pub(super) fn over(&self, record: &CallRecord) {
        let direction = record.facts.direction.label();
        let carrier = carrier(record).unwrap_or(NONE);
        let labels = [
            &record.facts.tenant,
            carrier,
            direction,
            &code(record.status),
            record.cause.label(),
        ];
        self.calls.with_label_values(&labels).inc();
        let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
        if let Some(after) = record.ringing_after_ms {
            self.ringing.with_label_values(&[direction]).observe(seconds(after));
        }
        if let Some(after) = record.answered_after_ms {
            self.setup.with_label_values(&[direction]).observe(seconds(after));
            let talked = record.ended_after_ms.saturating_sub(after);
            self.talked.with_label_values(&[direction]).observe(seconds(talked));
        }
        for leg in &record.legs {
            if let Some(stats) = &leg.media {
                self.media(&leg.side, stats);
            }
        }
    }

    fn media(&self, side: &str, stats: &MediaStats) {
        let received = &stats.received;
        self.packets.with_label_values(&[side, "in"]).inc_by(received.packets);
        self.packets
            .with_label_values(&[side, "out"])
            .inc_by(stats.sent.packets);
        for (reason, count) in dropped(stats).into_iter().filter(|(_, count)| *count > 0) {
            self.dropped.with_label_values(&[side, reason]).inc_by(count);
        }
        if received.packets == 0 {
            return;
        }
        let lost = u64::try_from(received.lost).unwrap_or(0);
        let expected = received.packets.saturating_add(lost);
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let share = lost as f64 / expected as f64;
        self.loss.with_label_values(&[side]).observe(share);
        self.jitter.with_label_values(&[side]).observe(received.jitter_ms / 1e3);
    }
}

/// A code as a label. Codes that nobody has defined are told by their class, so that a peer can't make labels.
fn code(status: u16) -> String {
    match status {
        200 | 202 | 204 => status.to_string(),
        300..=305
        | 380
        | 400..=410
        | 412..=417
        | 420..=424
        | 428..=430
        | 433
        | 436..=440
        | 469
        | 470
        | 480..=489
        | 491
        | 493
        | 494 => status.to_string(),
        500..=505 | 513 | 555 | 580 | 600 | 603 | 604 | 606 | 607 | 608 => status.to_string(),
        other => format!("{}xx", (other / 100).min(9)),
    }
}

#[cfg(test)]
mod tests {
    use super::code;
    use std::collections::BTreeSet;

    #[test]
    fn no_peer_can_make_labels() {
        let codes: BTreeSet<String> = (0..=u16::MAX).map(code).collect();
        assert!(codes.len() < 90, "{}", codes.len());
        assert_eq!(
            (code(486), code(499), code(699)),
            ("486".into(), "4xx".into(), "6xx".into())
        );
    }
}
