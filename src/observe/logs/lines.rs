//! One line for each thing that happened.

use super::throttle::Throttle;
use super::unconnected::Unconnected;
use super::{calls, transports, unidentified, users};
use crate::config::{Config, Reload};
use crate::guard::Turn;
use crate::observe::{Happening, Observer, mask_number, mask_numbers_in, printable};
use crate::sip::ListenerId;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Writes log lines.
#[derive(Debug)]
pub struct LogLines {
    /// Numbers are masked.
    masks: AtomicBool,
    /// By their ids: listeners are bound once.
    listeners: Vec<String>,
    pub(super) throttles: Throttles,
    pub(super) unconnected: Unconnected,
}

/// As JSON has a number for it.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What strangers can cause, each kind by itself.
#[derive(Debug, Default)]
pub(super) struct Throttles {
    pub refused_calls: Throttle,
    pub handshakes: Throttle,
    pub connects: Throttle,
    pub unparsable: Throttle,
    pub long_datagrams: Throttle,
    pub strangers: Throttle,
    pub refers: Throttle,
    pub replaces: Throttle,
    pub changes_put_off: Throttle,
    pub byes_delayed: Throttle,
    pub byes_given_up: Throttle,
    pub accepts: Throttle,
    pub overflows: Throttle,
    pub late_answers: Throttle,
    pub hooks: Throttle,
    /// Names that no registration hook is asked about: strangers can say as many as they like.
    pub unasked: Throttle,
    /// Destinations of applications that were not reached.
    pub targets: Throttle,
    pub applications: Throttle,
    pub passwords: Throttle,
    /// Of nobody's requests: who seems to be a carrier, INVITEs of others, all else. A scanner that asks for OPTIONS keeps no
    /// line about a carrier's first call back.
    pub near_misses: Throttle,
    pub unknown_calls: Throttle,
    pub unknown_others: Throttle,
}

impl LogLines {
    /// Lines as the configuration wants them.
    pub fn new(config: &Config) -> LogLines {
        let listeners = config.sbc.listeners.iter().map(|listener| listener.name.to_string());
        LogLines {
            masks: AtomicBool::new(config.sbc.log.redact_numbers),
            listeners: listeners.collect(),
            throttles: Throttles::default(),
            unconnected: Unconnected::default(),
        }
    }

    /// A number or address as it may be shown.
    pub(super) fn number(&self, number: &str) -> String {
        let number = printable(number);
        if self.masks.load(Relaxed) {
            mask_number(&number)
        } else {
            number.into_owned()
        }
    }

    /// A sentence as it may be shown.
    pub(super) fn text(&self, text: &str) -> String {
        let text = printable(text);
        if self.masks.load(Relaxed) {
            mask_numbers_in(&text)
        } else {
            text.into_owned()
        }
    }

    pub(super) fn listener(&self, id: ListenerId) -> &str {
        self.listeners.get(usize::from(id.0)).map_or("?", String::as_str)
    }

    fn reloaded(&self, outcome: &Reload) {
        match outcome {
            Reload::Applied {
                config,
                changed,
                waiting,
                took,
            } => {
                self.masks.store(config.sbc.log.redact_numbers, Relaxed);
                let files: Vec<String> = changed.iter().map(|file| file.display().to_string()).collect();
                tracing::info!(
                    generation = config.generation,
                    files = files.join(", "),
                    took_ms = millis(*took),
                    "new configuration in force"
                );
                if !waiting.is_empty() {
                    tracing::warn!(
                        keys = waiting.join(", "),
                        "these changes take effect with the next start"
                    );
                }
            }
            Reload::Refused { mistakes, .. } => {
                for mistake in mistakes.iter() {
                    let shown = |text: &Option<String>| text.as_deref().map(|text| self.text(text));
                    tracing::error!(
                        place = mistake.place(),
                        expected = shown(&mistake.expected),
                        nearest = shown(&mistake.nearest),
                        "{}",
                        self.text(&mistake.message)
                    );
                }
                tracing::error!(
                    mistakes = mistakes.count(),
                    "the configuration is wrong: the old one stays in force"
                );
            }
            Reload::Unchanged => tracing::info!("the configuration is unchanged"),
        }
    }
}

impl Observer for LogLines {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::CallBegan { call, facts } => calls::began(self, *call, facts),
            Happening::CallNews {
                call,
                facts,
                news,
                peer,
                hub,
            } => calls::news(self, *call, facts, news, (*peer, *hub)),
            Happening::CallOver { record } => calls::over(self, record),
            Happening::CallRefused {
                source,
                dialled,
                refusal,
                trace,
            } => calls::refused(self, *source, dialled, refusal, trace),
            Happening::ReplaceRefused { tenant, refused } => calls::replace_refused(self, *tenant, refused),
            Happening::Unidentified {
                method,
                source,
                listener,
                why,
            } => unidentified::turned_away(self, *method, (*source, *listener), why),
            Happening::HookAsked {
                tenant,
                user,
                source,
                method,
                verdict,
                took,
            } => users::hook_asked(self, (tenant, user), *source, method, (verdict, *took)),
            Happening::HookUnasked {
                unasked,
                source,
                method,
            } => users::hook_unasked(self, unasked, *source, method),
            Happening::PasswordRefused {
                source,
                username,
                banned,
            } => users::password_refused(self, *source, username, *banned),
            Happening::Net(event) => transports::event(self, event),
            Happening::Reloaded { outcome } => self.reloaded(outcome),
            Happening::Certificates { listener, reload } => {
                for name in &reload.replaced {
                    tracing::info!(listener, certificate = name, "new certificate in use");
                }
                for (name, error) in &reload.failed {
                    tracing::error!(listener, certificate = name, %error, "the old certificate stays in use");
                }
            }
            Happening::CertificateEnds {
                listener,
                certificate,
                serial,
                days,
            } => match days {
                ..0 => tracing::error!(listener, certificate, serial, "the certificate has ended: renew it"),
                ..=7 => tracing::error!(
                    listener,
                    certificate,
                    serial,
                    days,
                    "the certificate ends soon: renew it now"
                ),
                _ => tracing::warn!(
                    listener,
                    certificate,
                    serial,
                    days,
                    "the certificate ends soon: renew it"
                ),
            },
            Happening::Trust { failed: Some(why), .. } => tracing::error!("{why}: the roots read before stay in use"),
            Happening::Trust {
                listener,
                replaced: true,
                ..
            } => {
                tracing::info!(
                    listener,
                    "other peers are trusted from now on; older connections are drained"
                );
            }
            Happening::Trust { .. } => {}
            Happening::PeerTurned { peer, turn, trouble } => {
                let why = trouble.map(printable);
                let why = why.as_deref().unwrap_or("no answer");
                match turn {
                    Turn::Up => tracing::info!(%peer, "the peer answers OPTIONS"),
                    Turn::TakesCalls => tracing::info!(%peer, "the peer was down and takes calls"),
                    Turn::Unheard => tracing::warn!(%peer, "the peer was not reached: {why}"),
                    Turn::Down => tracing::warn!(%peer, "the peer is down and tried last: {why}"),
                }
            }
            Happening::Draining { calls, patience } => {
                tracing::info!(
                    calls,
                    patience_s = patience.as_secs(),
                    "going out of service: no new calls"
                );
            }
            Happening::Overload { shedding: true, load } => {
                let (backlog_percent, lag_ms) = ((load.backlog * 100.0).round() as u32, millis(load.lag));
                tracing::warn!(
                    backlog_percent,
                    lag_ms,
                    "overloaded: a share of the new calls is refused"
                );
            }
            Happening::Overload { shedding: false, .. } => tracing::info!("no longer overloaded: calls are taken"),
            Happening::CallPanicked { call } => {
                tracing::error!(%call, "a fault of portcullis ended this call: please report it")
            }
            Happening::AnsweredAfterTheEnd { call, source } => self.throttles.late_answers.say(|withheld| {
                tracing::info!(%call, %source, withheld, "somebody answered when the call was over, and is hung up");
            }),
            Happening::Overflow { queue } => self.throttles.overflows.say(|withheld| {
                tracing::warn!(queue = queue.label(), withheld, "a queue is full: dropped");
            }),
            Happening::Message(_) => {}
        }
    }
}
