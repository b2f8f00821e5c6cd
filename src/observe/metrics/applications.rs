//! How asking application servers goes.

use super::Scrape;
use crate::app::outbound::Figures;

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
