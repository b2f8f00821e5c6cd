//! Messages inside a call.

use super::contact_host;
use super::everywhere::everywhere;
use super::media::{answered, description};
use crate::sim::persona::Known;
use crate::sim::violation::Violation;
use crate::sip::header::Reason;
use crate::sip::{HeaderName, Message, Method};

/// What is wrong with a message inside a call.
pub(in crate::sim::teams) fn inspect(message: &Message, known: &Known) -> Vec<Violation> {
    // A request outside dialogs was judged already.
    let mut found = match message.is_request() && message.to_tag().is_none() {
        true => Vec::new(),
        false => everywhere(message),
    };
    let answers_invite = message.is_response() && message.cseq_method() == &Method::Invite;
    let needs_contact = message.method() == Some(&Method::Invite)
        || (answers_invite && message.status().is_some_and(|status| (101..300).contains(&status)));
    if needs_contact && contact_host(message).is_none() {
        found.push(Violation::new("contact", "no Contact that can be read"));
    }
    if needs_contact
        && let (Some(trunk), Some(host)) = (&known.trunk, contact_host(message))
        && !host.eq_ignore_ascii_case(trunk)
    {
        found.push(Violation::new(
            "tenant",
            format!("Contact host {host} in a call of {trunk}"),
        ));
    }
    if let Some(method) = message.method()
        && message.to_tag().is_some()
    {
        found.extend(routing(method, message, known));
    }
    if answers_invite
        && let Some(route) = &known.face.record_route
        && message.to_tag().is_some()
        && message.status().is_some_and(|status| (180..300).contains(&status))
        && !known.answered
        && !message.headers(HeaderName::RecordRoute).any(|value| value == route)
    {
        found.push(Violation::new(
            "record-route",
            "the response does not repeat Record-Route",
        ));
    }
    if answers_invite && message.status() == Some(180) && !message.body().is_empty() {
        found.push(Violation::new("ringing-description", "180 with a description"));
    }
    if !message.body().is_empty() && !is_fragment(message) {
        found.extend(description(message.body(), known));
        let is_answer = answers_invite || message.method() == Some(&Method::Ack);
        if let Some(offer) = known.offered.as_ref().filter(|_| is_answer) {
            found.extend(answered(message.body(), offer));
        }
    }
    found
}

/// In-dialog requests take Contact as Request-URI, byte for byte, and go by Record-Route (TEAMS-033, TEAMS-034).
fn routing(method: &Method, request: &Message, known: &Known) -> Vec<Violation> {
    let mut found = Vec::new();
    let uri = request.request_uri().unwrap_or_default();
    if uri != known.face.contact_uri() {
        let wanted = known.face.contact_uri();
        found.push(Violation::new(
            "request-uri",
            format!("{method} to {uri}, Contact is {wanted}"),
        ));
    }
    if let Some(route) = &known.face.record_route {
        let given: Vec<&str> = request.headers(HeaderName::Route).collect();
        if given != [route.as_str()] {
            found.push(Violation::new(
                "route",
                format!("{method} with Route {given:?}, Record-Route is {route}"),
            ));
        }
    }
    found
}

/// The body of a NOTIFY, and of other messages that are no offer or answer.
fn is_fragment(message: &Message) -> bool {
    message
        .header(HeaderName::ContentType)
        .is_some_and(|kind| !kind.eq_ignore_ascii_case("application/sdp"))
}

/// A CANCEL because another side answered says so, in these words: otherwise a missed call is shown (TEAMS-115).
pub(in crate::sim) fn is_completed_elsewhere(cancel: &Message) -> bool {
    cancel.headers(HeaderName::Reason).any(|value| {
        value.parse::<Reason>().is_ok_and(|reason| {
            reason.protocol.eq_ignore_ascii_case("SIP")
                && reason.cause == Some(200)
                && reason.text.as_deref() == Some("Call completed elsewhere")
        })
    })
}
