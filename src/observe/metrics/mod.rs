//! Prometheus metrics. `docs/metrics.md` lists them.
//!
//! In: [`Happening`](super::Happening)s, counted as they happen, and the figures that the rooms keep themselves, read
//! when somebody asks. Out: the text format. Labels are tenants, carriers, peers and listeners of the configuration and
//! fixed words: what a peer sends never becomes a label.

mod applications;
mod calls;
mod node;
mod process;
mod scrape;
mod users;

pub use node::NodeFigures;
pub use scrape::Scrape;

use super::{Happening, Observer, Queue};
use crate::carrier::Unidentified;
use crate::config::{Config, Reload};
use crate::sip::Method;
use calls::CallMetrics;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// What was counted since the start.
pub struct Metrics {
    registry: Registry,
    calls: CallMetrics,
    overflows: IntCounterVec,
    passwords: IntCounterVec,
    unidentified: IntCounterVec,
    overloaded: IntGauge,
    panics: IntCounter,
    late_answers: IntCounter,
}

impl Metrics {
    /// Everything at zero. An error is a defect: two metrics of one name.
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let overflows = IntCounterVec::new(
            Opts::new(
                "portcullis_queue_dropped_total",
                "Events dropped because a queue was full.",
            ),
            &["queue"],
        )?;
        registry.register(Box::new(overflows.clone()))?;
        for queue in Queue::ALL {
            overflows.with_label_values(&[queue.label()]);
        }
        let passwords = IntCounterVec::new(
            Opts::new(
                "portcullis_carrier_passwords_refused_total",
                "Requests that did not prove a carrier's password.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(passwords.clone()))?;
        let unidentified = IntCounterVec::new(
            Opts::new(
                "portcullis_unidentified_total",
                "Requests and connections turned away because nobody of the configuration is known to send them.",
            ),
            &["what", "reason"],
        )?;
        registry.register(Box::new(unidentified.clone()))?;
        for what in ["invite", "request", "connection"] {
            for reason in Unidentified::LABELS {
                unidentified.with_label_values(&[what, reason]);
            }
        }
        for outcome in ["wrong", "banned"] {
            passwords.with_label_values(&[outcome]);
        }
        let overloaded = IntGauge::new(
            "portcullis_overloaded",
            "1 while a share of the new calls is refused for overload.",
        )?;
        registry.register(Box::new(overloaded.clone()))?;
        let panics = IntCounter::new("portcullis_call_panics_total", "Calls ended by a fault of portcullis.")?;
        registry.register(Box::new(panics.clone()))?;
        let late_answers = IntCounter::new(
            "portcullis_call_late_answers_total",
            "Answers that came when their call was over: acknowledged and hung up.",
        )?;
        registry.register(Box::new(late_answers.clone()))?;
        Ok(Metrics {
            calls: CallMetrics::new(&registry)?,
            registry,
            overflows,
            passwords,
            unidentified,
            overloaded,
            panics,
            late_answers,
        })
    }

    /// Shows at 0 what may be counted under `config`, where its labels are known before it happens.
    pub fn expect(&self, config: &Config) {
        self.calls.expect(config);
    }

    /// All metrics in the text format, with those that were read for this answer.
    pub fn text(&self, scrape: Scrape) -> String {
        let mut families = self.registry.gather();
        families.extend(scrape.into_families());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        // Fails for a family without metrics alone, and an empty one is not gathered.
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

impl Observer for Metrics {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::CallNews { facts, news, .. } => self.calls.news(facts, news),
            Happening::CallOver { record } => self.calls.over(record),
            Happening::CallRefused { refusal, .. } => self.calls.refused(refusal.status),
            Happening::ReplaceRefused { refused, .. } => self.calls.refused(refused.status),
            Happening::CallPanicked { .. } => self.panics.inc(),
            Happening::AnsweredAfterTheEnd { .. } => self.late_answers.inc(),
            Happening::Overflow { queue } => self.overflows.with_label_values(&[queue.label()]).inc(),
            Happening::PasswordRefused { banned, .. } => {
                let outcome = if *banned { "banned" } else { "wrong" };
                self.passwords.with_label_values(&[outcome]).inc();
            }
            Happening::Unidentified { method, why, .. } => {
                let labels = [what_came(*method), why.label()];
                self.unidentified.with_label_values(&labels).inc();
            }
            Happening::Overload { shedding, .. } => self.overloaded.set(i64::from(*shedding)),
            Happening::Reloaded {
                outcome: Reload::Applied { config, .. },
            } => self.expect(config),
            Happening::CallBegan { facts, .. } => self.calls.began(facts),
            Happening::HookAsked { .. }
            | Happening::HookUnasked { .. }
            | Happening::Message(_)
            | Happening::Net(_)
            | Happening::Reloaded { .. }
            | Happening::Certificates { .. }
            | Happening::CertificateEnds { .. }
            | Happening::Trust { .. }
            | Happening::PeerTurned { .. }
            | Happening::Draining { .. } => {}
        }
    }
}

/// What somebody that is nobody has sent. Extension methods are anybody's words, and no labels.
fn what_came(method: Option<&Method>) -> &'static str {
    match method {
        Some(Method::Invite) => "invite",
        Some(_) => "request",
        None => "connection",
    }
}

#[cfg(test)]
mod tests;
