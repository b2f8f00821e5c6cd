//! What follows a REFER: the INVITE that it asks for, and what is told of it (TEAMS-083, TEAMS-084).

use crate::sdp::{Direction, Session};
use crate::sim::violation::Violation;
use crate::sip::{HeaderName, Message};

/// One step of a transfer, as a NOTIFY tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Notified {
    pub(in crate::sim) status: u16,
    /// No other will follow.
    pub(in crate::sim) terminated: bool,
}

/// Reads a NOTIFY of a REFER (RFC 3515 §2.4).
pub(in crate::sim) fn notified(notify: &Message) -> Result<Notified, Violation> {
    let breach = |evidence: String| Err(Violation::new("notify", evidence));
    let event = notify.header(HeaderName::Event).unwrap_or_default();
    if !head(event).eq_ignore_ascii_case("refer") {
        return breach(format!("Event: {event}"));
    }
    let state = notify.header(HeaderName::SubscriptionState).unwrap_or_default();
    let terminated = match head(state).to_ascii_lowercase().as_str() {
        "active" => false,
        "terminated" => true,
        _ => return breach(format!("Subscription-State: {state}")),
    };
    let kind = notify.header(HeaderName::ContentType).unwrap_or_default();
    if !head(kind).eq_ignore_ascii_case("message/sipfrag") {
        return breach(format!("Content-Type: {kind}"));
    }
    let body = std::str::from_utf8(notify.body()).unwrap_or_default();
    let status = body
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .filter(|status| (100..700).contains(status));
    let Some(status) = status else {
        return breach(format!(
            "no status line but {:?}",
            body.lines().next().unwrap_or_default()
        ));
    };
    if terminated != (status >= 200) {
        return breach(format!("{status} with Subscription-State {state}"));
    }
    Ok(Notified { status, terminated })
}

/// What is wrong with the INVITE of a REFER to `uri`.
pub(in crate::sim) fn transferred(invite: &Message, uri: &str, referred_by: Option<&str>) -> Vec<Violation> {
    let mut found = Vec::new();
    let target = invite.request_uri().unwrap_or_default();
    if target != uri {
        found.push(Violation::new(
            "transfer-invite",
            format!("INVITE to {target}, Refer-To is {uri}"),
        ));
    }
    let to = invite.to().map(|to| to.uri().as_str().to_owned()).unwrap_or_default();
    if to != uri {
        found.push(Violation::new(
            "transfer-invite",
            format!("To is {to}, Refer-To is {uri}"),
        ));
    }
    let given = invite.header(HeaderName::ReferredBy);
    if given != referred_by {
        let given = given.unwrap_or("missing");
        let wanted = referred_by.unwrap_or("none");
        found.push(Violation::new("referred-by", format!("{given}, it came as {wanted}")));
    }
    if let Ok(session) = Session::parse(invite.body())
        && let Some(audio) = session.audio()
        && audio.direction != Direction::SendRecv
    {
        found.push(Violation::new(
            "transfer-invite",
            format!("a={}", audio.direction.as_str()),
        ));
    }
    found
}

fn head(value: &str) -> &str {
    value.split(';').next().unwrap_or(value).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(state: &str, body: &str) -> Message {
        let text = format!(
            "NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 2 NOTIFY\r\nEvent: refer;id=4\r\nSubscription-State: {state}\r\n\
             Content-Type: message/sipfrag;version=2.0\r\n\r\n{body}"
        );
        Message::parse(text.into_bytes().into()).unwrap()
    }

    #[test]
    fn teams_084_a_fragment_says_how_far_a_transfer_is() {
        let read = |state, body| {
            notified(&notify(state, body))
                .ok()
                .map(|step| (step.status, step.terminated))
        };
        assert_eq!(read("active;expires=60", "SIP/2.0 100 Trying"), Some((100, false)));
        assert_eq!(
            read("terminated;reason=noresource", "SIP/2.0 603 Decline\r\n"),
            Some((603, true))
        );
        for (state, body) in [
            ("terminated", "SIP/2.0 180 Ringing"),
            ("active", "SIP/2.0 200 OK"),
            ("pending", "SIP/2.0 100 Trying"),
            ("active", "100 Trying"),
            ("active", "SIP/2.0 é"),
            ("active", ""),
        ] {
            assert_eq!(read(state, body), None, "{state} {body}");
        }
    }
}
