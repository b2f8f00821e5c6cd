//! What must hold for every message that we send, in every scenario.

use super::peers::TENANT_FQDN;
use crate::dial::LegKind;
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};

/// Checks one message on its way out of a leg. `foreign` is what must not be seen there: names of the other legs.
pub fn check(kind: &LegKind, message: &Message, foreign: &[String]) {
    let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
    for secret in foreign {
        assert!(
            !text.contains(secret.as_str()),
            "'{secret}' of another leg shows in\n{text}"
        );
    }
    assert!(!text.contains("hunter2"), "a password in\n{text}");
    if matches!(kind, LegKind::Teams { .. }) {
        teams(message, &text);
    }
}

/// Promise 5, and TEAMS-029 to TEAMS-044, TEAMS-071.
fn teams(message: &Message, text: &str) {
    if let Some(contact) = message.contact().expect("a Contact that can be read") {
        assert_eq!(contact.uri().host(), TENANT_FQDN, "Contact in\n{text}");
        assert_eq!(contact.uri().param("transport"), Some("tls"), "Contact in\n{text}");
    } else {
        let wants = match message.status() {
            Some(status) => (101..300).contains(&status) && *message.cseq_method() == Method::Invite,
            None => message.method() == Some(&Method::Invite),
        };
        assert!(!wants, "no Contact in\n{text}");
    }
    if message.is_request() {
        assert_eq!(message.header(HeaderName::RecordRoute), None, "{text}");
        let allowed = [
            Method::Invite,
            Method::Ack,
            Method::Bye,
            Method::Cancel,
            Method::Options,
            Method::Notify,
        ];
        assert!(
            message.method().is_some_and(|method| allowed.contains(method)),
            "{text}"
        );
    }
    // A request for no dialog of ours may be anybody's.
    let told = message.header(HeaderName::XMsSbc).is_some() || message.status() == Some(481);
    assert!(told, "no X-MS-SBC in\n{text}");
    for forbidden in [
        "\r\nReplaces:",
        "100rel",
        "sips:",
        "0.0.0.0",
        "a=sendonly",
        "a=recvonly",
        "RTP/AVP",
    ] {
        assert!(!text.contains(forbidden), "{forbidden} in\n{text}");
    }
    let addresses = [HeaderName::From, HeaderName::To, HeaderName::PAssertedIdentity];
    for name in addresses
        .into_iter()
        .filter(|_| message.method() == Some(&Method::Invite))
    {
        for address in message.addresses(name).flatten() {
            let ours = message.to_tag().is_none();
            if ours && address.uri().user().is_some_and(|user| user.starts_with('+')) {
                assert_eq!(address.uri().param("user"), Some("phone"), "{name:?} in\n{text}");
            }
        }
    }
    if !message.body().is_empty() && message.method() != Some(&Method::Notify) {
        assert!(text.contains("m=audio ") && text.contains(" RTP/SAVP "), "{text}");
        assert!(text.contains("a=crypto:"), "{text}");
    }
}
