//! Lines about requests and connections that are nobody's.

use super::lines::LogLines;
use crate::carrier::Unidentified;
use crate::sip::{ListenerId, Method};
use std::net::SocketAddr;
use tracing::{info, warn};

/// What was turned away. Nothing is written down for a line that is withheld.
pub(super) fn turned_away(
    lines: &LogLines,
    method: Option<&Method>,
    (source, listener): (SocketAddr, ListenerId),
    why: &Unidentified<'_>,
) {
    let throttles = &lines.throttles;
    let (throttle, is_news) = match (why.carrier(), method) {
        (Some(_), _) => (&throttles.near_misses, true),
        (None, Some(Method::Invite)) => (&throttles.unknown_calls, true),
        (None, _) => (&throttles.unknown_others, false),
    };
    throttle.say(|withheld| {
        let carrier = why.carrier().map(|carrier| carrier.id.as_str());
        let method = method.map(Method::as_str);
        let listener = lines.listener(listener);
        let what = if method.is_some() { "a request" } else { "a connection" };
        let why = lines.text(&why.to_string());
        match is_news {
            true => warn!(method, %source, listener, carrier, withheld, "{what} of nobody: {why}"),
            false => info!(method, %source, listener, withheld, "{what} of nobody: {why}"),
        }
    });
}
