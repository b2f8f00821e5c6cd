//! The route set of a dialog (RFC 3261 §12.1, §12.2.1.1, §16.12.1.2).

use crate::sip::{HeaderName, Message, NameAddr, RequestDraft, Uri};
use serde::{Deserialize, Serialize};

/// Route values in the order in which a request of ours visits them, byte for byte as Record-Route had them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RouteSet(Vec<String>);

impl RouteSet {
    /// As the UAS of `request`: Record-Route in its order.
    pub(super) fn from_request(request: &Message) -> RouteSet {
        RouteSet(request.headers(HeaderName::RecordRoute).map(str::to_owned).collect())
    }

    /// As the UAC that got `response`: Record-Route reversed.
    pub(super) fn from_response(response: &Message) -> RouteSet {
        let mut route = RouteSet::from_request(response);
        route.0.reverse();
        route
    }

    /// The first hop, and whether it is a loose router (`lr`).
    fn first(&self) -> Option<(Uri, bool)> {
        let first = NameAddr::parse(HeaderName::Route, self.0.first()?).ok()?;
        let loose = first.uri().param("lr").is_some();
        Some((first.uri().clone(), loose))
    }

    /// Where a request to `target` goes first: the first route, else the target itself. The Request-URI never
    /// decides when there is a route (Teams: Contact is an API host, TEAMS-033).
    pub(super) fn next_hop(&self, target: &Uri) -> Uri {
        self.first().map_or_else(|| target.clone(), |(uri, _)| uri)
    }

    /// The Request-URI of a request to `target`: the target byte for byte, or the first hop when that is a strict
    /// router of RFC 2543.
    pub(super) fn request_uri(&self, target: &Uri) -> Uri {
        match self.first() {
            Some((uri, false)) => uri.without_headers(),
            _ => target.without_headers(),
        }
    }

    /// Adds the Route headers.
    pub(super) fn write(&self, mut draft: RequestDraft, target: &Uri) -> RequestDraft {
        let strict = matches!(self.first(), Some((_, false)));
        for route in self.0.iter().skip(usize::from(strict)) {
            draft = draft.header(HeaderName::Route, route);
        }
        if strict {
            draft = draft.header(HeaderName::Route, format!("<{}>", target.as_str()));
        }
        draft
    }
}
