//! What holds for every message.

use crate::sim::persona::within_brackets;
use crate::sim::violation::Violation;
use crate::sip::{HeaderName, Message, Method, NameAddr, Scheme, Uri};

/// What may stand in no message at all.
pub(super) fn everywhere(message: &Message) -> Vec<Violation> {
    let mut found = Vec::new();
    let transport = message.top_via().transport();
    if message.is_request() && !transport.eq_ignore_ascii_case("TLS") {
        found.push(Violation::new("via", format!("Via says {transport}")));
    }
    if message.is_request() && message.max_forwards().is_none() {
        found.push(Violation::new("max-forwards", "missing"));
    }
    if message.is_request() && message.header(HeaderName::RecordRoute).is_some() {
        found.push(Violation::new("own-record-route", "Record-Route in a request"));
    }
    found.extend(product(message));
    found.extend(dialog_terms(message));
    for name in [HeaderName::Contact, HeaderName::RecordRoute] {
        let own = message.is_request() || name == HeaderName::Contact;
        for address in message.addresses(name).flatten().filter(|_| own) {
            let uri = address.uri();
            if uri.host_ip().is_some() {
                found.push(Violation::new(
                    "address",
                    format!("{} is {}", name.as_str(), uri.as_str()),
                ));
            }
        }
    }
    let targets = [message.request_uri(), message.header(HeaderName::Contact)];
    for target in targets.into_iter().flatten() {
        if Uri::parse(within_brackets(target)).is_ok_and(|uri| uri.scheme() == Scheme::Sips) {
            found.push(Violation::new("sips", target));
        }
    }
    if message.lists(HeaderName::Require, "100rel") {
        found.push(Violation::new("100rel", "Require: 100rel"));
    }
    let others = unsupported(message).map(|option| Violation::new("require", format!("Require: {option}")));
    found.extend(others);
    if message.header(HeaderName::Replaces).is_some() {
        found.push(Violation::new("replaces", "a Replaces header toward Teams"));
    }
    found
}

/// What a message requires beside 100rel, which has a rule of its own, and what Teams knows (TEAMS-043).
pub(super) fn unsupported(message: &Message) -> impl Iterator<Item = &str> {
    let options = message.headers(HeaderName::Require).flat_map(|value| value.split(','));
    let known = |option: &str| {
        ["100rel", "timer"]
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known))
    };
    options
        .map(str::trim)
        .filter(move |option| !option.is_empty() && !known(option))
}

/// Vendor/Product/Version on every request and response; ACK and CANCEL carry what a transaction needs (TEAMS-038).
fn product(message: &Message) -> Option<Violation> {
    let bare = [Method::Ack, Method::Cancel];
    if message.method().is_some_and(|method| bare.contains(method)) || message.status() == Some(100) {
        return None;
    }
    let given = message.header(HeaderName::XMsSbc);
    let parts = given.map_or(0, |text| text.split('/').filter(|part| !part.trim().is_empty()).count());
    (parts < 3).then(|| Violation::new("x-ms-sbc", given.unwrap_or("missing")))
}

/// What an INVITE, or a 2xx to one, says of its sender (TEAMS-029, TEAMS-081, TEAMS-088).
fn dialog_terms(message: &Message) -> Vec<Violation> {
    let mut found = Vec::new();
    let answers = message.is_response() && message.cseq_method() == &Method::Invite;
    let accepts = answers && message.status().is_some_and(|status| (200..300).contains(&status));
    if message.method() != Some(&Method::Invite) && !accepts {
        return found;
    }
    if let Ok(Some(contact)) = message.contact()
        && contact.uri().scheme() == Scheme::Sip
        && !contact
            .uri()
            .param("transport")
            .is_some_and(|transport| transport.eq_ignore_ascii_case("tls"))
    {
        found.push(Violation::new("contact-transport", contact.uri().as_str()));
    }
    if !message.lists(HeaderName::Allow, "NOTIFY") {
        let given = message.header(HeaderName::Allow).unwrap_or("missing");
        found.push(Violation::new("allow", given));
    }
    if !message.lists(HeaderName::Supported, "replaces") {
        let given = message.header(HeaderName::Supported).unwrap_or("missing");
        found.push(Violation::new("supported", given));
    }
    found
}

/// A number by itself, as it is dialled: at least seven digits and no `+`.
pub(super) fn is_bare_number(user: &str) -> bool {
    user.len() > 6 && user.bytes().all(|byte| byte.is_ascii_digit())
}

/// Numbers of From, To and P-Asserted-Identity say that they are numbers (TEAMS-039).
pub(super) fn marked_as_numbers(name: HeaderName, address: &NameAddr) -> Option<Violation> {
    let uri = address.uri();
    let is_number = uri.user().is_some_and(|user| user.starts_with('+'));
    (is_number && uri.param("user") != Some("phone"))
        .then(|| Violation::new("user-phone", format!("{}: {}", name.as_str(), uri.as_str())))
}
