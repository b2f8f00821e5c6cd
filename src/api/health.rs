//! Whether the process lives, and whether it should get calls.

use super::state::AdminState;
use crate::carrier::gateway_name;
use crate::dial::PeerName;
use crate::guard::PeerReport;
use crate::observe::{ReloadOutcome, rfc3339, unix_ms};
use crate::teams::hub_name;
use serde::Serialize;

/// A certificate that ends sooner is worth a word.
const CERTIFICATE_WARNING_MS: i64 = 7 * 86_400_000;

/// Answer of `/healthz`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// `ok`, or `degraded`: calls go on, and somebody should look.
    pub status: &'static str,
    pub reasons: Vec<String>,
    pub version: &'static str,
    pub started: String,
    pub up_seconds: u64,
}

/// Answer of `/readyz`.
#[derive(Debug, Serialize)]
pub struct Readiness {
    pub ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The process lives; `reasons` say what is wrong.
pub fn health(state: &AdminState) -> Health {
    let mut reasons = Vec::new();
    reasons.extend(
        state
            .signalling
            .lost()
            .map(|what| format!("{what} has ended: the node stops")),
    );
    let last = state.observation.reloads.report();
    if last.outcome == ReloadOutcome::Refused {
        let count = last.mistakes.len();
        let plural = if count == 1 { "" } else { "s" };
        reasons.push(format!(
            "the configuration has {count} mistake{plural}: the old one stays in force"
        ));
    }
    certificates(state, &mut reasons);
    reasons.extend(
        last.certificates
            .into_iter()
            .map(|file| format!("{file}; what was read before stays in use")),
    );
    peers(state, &mut reasons);
    effectiveness(state, &mut reasons);
    if state.node.media.port_usage().iter().any(|usage| usage.is_scarce()) {
        reasons.push("media ports are nearly used up: widen [media] ports".to_owned());
    }
    let ended = state.node.media.ended_workers();
    if ended > 0 {
        reasons.push(format!(
            "media workers have ended, which is a defect: {ended} of them; restart when the calls allow it"
        ));
    }
    let store = state.node.registrar.status(state.node.clock.now()).store;
    if store.is_some_and(|store| store.is_failing) {
        reasons.push("the store of registrations can't be written: they would not outlive a restart".to_owned());
    }
    let records = state.observation.cdr.counts();
    if records.is_losing {
        reasons.push(format!(
            "call detail records are being lost, {} so far: the file of [cdr] can't be written",
            records.lost
        ));
    }
    Health {
        status: if reasons.is_empty() { "ok" } else { "degraded" },
        reasons,
        version: env!("CARGO_PKG_VERSION"),
        started: rfc3339(state.started_ms()),
        up_seconds: unix_ms().saturating_sub(state.started_ms()) / 1_000,
    }
}

fn certificates(state: &AdminState, reasons: &mut Vec<String>) {
    let now = i64::try_from(unix_ms()).unwrap_or(i64::MAX);
    for (listener, store) in &state.certificates {
        for identity in store.identities() {
            let left = identity.not_after.saturating_mul(1_000).saturating_sub(now);
            if left < CERTIFICATE_WARNING_MS {
                let end = rfc3339(u64::try_from(identity.not_after).unwrap_or(0).saturating_mul(1_000));
                reasons.push(format!(
                    "certificate {} of listener {listener} ends {end}",
                    identity.name
                ));
            }
        }
    }
}

/// Calls of a tenant, one way, that fail more often than is borne (TEAMS-114).
fn effectiveness(state: &AdminState, reasons: &mut Vec<String>) {
    let config = state.node.config.load();
    let ratios = state.observation.effectiveness.ratios(unix_ms());
    let least = f64::from(config.sbc.teams.ner_alert);
    let is_known = |tenant: &str| config.tenants.iter().any(|known| known.id.as_str() == tenant);
    let mut poor = ratios;
    poor.retain(|ratio| ratio.percent < least && is_known(&ratio.tenant));
    reasons.extend(poor.into_iter().map(|ratio| {
        format!(
            "tenant {}: {} has a network effectiveness of {:.1} % over {} attempts, below {least}",
            ratio.tenant, ratio.direction, ratio.percent, ratio.attempts
        )
    }));
}

/// Hubs of which none answers, and carriers of which no gateway does. Calls of other carriers go on.
fn peers(state: &AdminState, reasons: &mut Vec<String>) {
    let config = state.node.config.load();
    let reports = state.node.peers.report(state.node.clock.now());
    let hubs = config.sbc.teams.hubs.iter().map(hub_name);
    reasons.extend(all_down(&reports, hubs).map(|why| format!("no hub of Teams answers{why}")));
    for carrier in &config.sbc.carriers {
        let gateways = carrier.gateways.iter().map(|gateway| gateway_name(carrier, gateway));
        let down = all_down(&reports, gateways);
        reasons.extend(down.map(|why| format!("no gateway of carrier {} answers{why}", carrier.id)));
    }
}

/// What is wrong with the first, where all are down. One that was neither asked nor called yet is not.
fn all_down(reports: &[PeerReport], names: impl Iterator<Item = PeerName>) -> Option<String> {
    let down = |name: PeerName| {
        let name = name.to_string();
        reports.iter().find(|report| report.peer == name && !report.up)
    };
    let all: Vec<&PeerReport> = names.map(down).collect::<Option<_>>()?;
    let first = all.first()?;
    let why = first.trouble.as_ref();
    Some(why.map_or_else(String::new, |why| format!("; {}: {why}", first.peer)))
}

/// Whether new calls are taken.
pub fn readiness(state: &AdminState) -> Readiness {
    let reason = if state.node.is_draining() {
        Some("the node is going out of service".to_owned())
    } else if state.node.signalling.get().is_none() {
        Some("the listeners are not up yet".to_owned())
    } else {
        state.signalling.lost().map(|what| format!("{what} has ended"))
    };
    Readiness {
        ready: reason.is_none(),
        reason,
    }
}
