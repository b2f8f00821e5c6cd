//! How asking application servers goes.

use super::Scrape;
use crate::app::outbound::Figures;
use crate::call::Tally;

/// Requests to application servers by what came of them.
pub(super) fn applications(figures: &Figures, scrape: &mut Scrape) {
    let samples = figures.read().into_iter();
    scrape.counter(
        "portcullis_application_requests_total",
        "Requests to application servers, by what was asked for and what came of it.",
        ["kind", "outcome"],
        samples.map(|(asked, outcome, count)| ([asked.label().to_owned(), outcome.to_owned()], count)),
    );
}

/// What is open toward application servers.
pub(super) fn open(tally: &Tally, scrape: &mut Scrape) {
    let kinds = [
        ("socket", &tally.sessions),
        ("question", &tally.questions),
        ("event", &tally.untold),
    ];
    let samples = kinds.map(|(kind, counted)| {
        let count = u32::try_from(counted.count()).unwrap_or(u32::MAX);
        ([kind.to_owned()], f64::from(count))
    });
    scrape.gauge(
        "portcullis_applications_open",
        "WebSockets to applications, questions without an answer yet, events that are not told yet.",
        ["kind"],
        samples,
    );
}
