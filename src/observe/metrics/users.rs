//! The registrar's figures, read when somebody asks.

use super::Scrape;
use crate::registrar::RegistrarStatus;

#[allow(clippy::cast_precision_loss, reason = "the text format counts in floating point")]
pub(super) fn users(status: &RegistrarStatus, scrape: &mut Scrape) {
    let bindings = status.bindings.iter();
    scrape.gauge(
        "portcullis_registrar_bindings",
        "Devices that are registered.",
        ["realm"],
        bindings.map(|(realm, count)| ([realm.clone()], *count as f64)),
    );
    let outcomes = [
        ("accepted", status.accepted),
        ("challenged", status.challenged),
        ("wrong", status.wrong),
        ("banned", status.banned),
        ("refused", status.refused),
    ];
    scrape.counter(
        "portcullis_registrar_requests_total",
        "What requests of users came to.",
        ["outcome"],
        outcomes.map(|(outcome, count)| ([outcome.to_owned()], count)),
    );
    scrape.counter(
        "portcullis_registrar_evicted_total",
        "Devices that made room for newer ones of the same user.",
        [],
        [([], status.evicted)],
    );
    scrape.gauge(
        "portcullis_registration_hooks_asking",
        "Questions to registration hooks that are under way.",
        [],
        [([], status.asking as f64)],
    );
    let outcomes = [
        ("granted", status.asked.granted),
        ("denied", status.asked.denied),
        ("failed", status.asked.failed),
        ("crowded", status.asked.crowded),
    ];
    scrape.counter(
        "portcullis_registration_hooks_total",
        "What registration hooks said of users, or why they were not asked.",
        ["outcome"],
        outcomes.map(|(outcome, count)| ([outcome.to_owned()], count)),
    );
    let Some(store) = status.store else { return };
    scrape.gauge(
        "portcullis_store_waiting",
        "Changes that wait to be written.",
        [],
        [([], store.waiting as f64)],
    );
    let outcomes = [
        ("written", store.written),
        ("dropped", store.dropped),
        ("failed", store.failures),
    ];
    scrape.counter(
        "portcullis_store_changes_total",
        "Changes that were written or found no room, and batches that failed and were tried again.",
        ["outcome"],
        outcomes.map(|(outcome, count)| ([outcome.to_owned()], count)),
    );
}
