//! Connections: how they come about, what comes on which, and the OPTIONS that keep them.

use crate::net::HandshakeFailure;
use crate::net::tls::PeerRejected;
use crate::sim::violation::Violation;
use crate::sim::wire::Arrival;
use crate::sip::{HeaderName, Message};
use rustls::AlertDescription;
use std::ops::RangeInclusive;
use std::time::Duration;

/// No request comes on an older connection (TEAMS-017).
const OLDEST: Duration = Duration::from_secs(3600);
/// OPTIONS come every 60 to 180 seconds, and a fifth of that may be jitter (TEAMS-022).
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(48)..=Duration::from_secs(216);

/// What Teams finds wrong with a handshake that failed (TEAMS-002, TEAMS-003, TEAMS-004, TEAMS-007). Names, dates and roots are told
/// where failed connections are.
pub(in crate::sim::teams) fn handshake(failure: &HandshakeFailure) -> Option<Violation> {
    let word = match failure {
        HandshakeFailure::Rejected(PeerRejected::NoCertificate) => "no-certificate",
        HandshakeFailure::Rejected(PeerRejected::WrongKey { .. }) => "key",
        HandshakeFailure::Rejected(PeerRejected::WrongUsage { .. }) => "usage",
        HandshakeFailure::Alert(AlertDescription::HandshakeFailure) => "suite",
        HandshakeFailure::Alert(AlertDescription::ProtocolVersion) => "version",
        HandshakeFailure::Protocol(cause) if cause.contains("CipherSuites") => "suite",
        // Who is older than 1.2 names no signature algorithms.
        HandshakeFailure::Protocol(cause) if cause.contains("Tls12") || cause.contains("SignatureAlgorithms") => {
            "version"
        }
        _ => return None,
    };
    Some(Violation::new(word, failure.to_string()))
}

/// What is wrong with the connection that a message came on (TEAMS-015, TEAMS-017).
pub(in crate::sim::teams) fn arrival(message: &Message, arrival: &Arrival) -> Option<Violation> {
    if arrival.own {
        return None;
    }
    if let Some(status) = message.status() {
        let evidence = format!(
            "{status} of call {} came on a connection of the SBC's own",
            message.call_id()
        );
        return arrival
            .others_stand
            .then(|| Violation::new("response-connection", evidence));
    }
    let minutes = arrival.age.as_secs() / 60;
    (arrival.age > OLDEST).then(|| Violation::new("old-connection", format!("it is {minutes} minutes old")))
}

/// What is wrong with an OPTIONS so long after the last one on the same connection (TEAMS-022).
pub(in crate::sim::teams) fn pings(interval: Duration) -> Option<Violation> {
    let seconds = interval.as_secs();
    (!INTERVAL.contains(&interval)).then(|| Violation::new("options-interval", format!("{seconds} s after the last")))
}

/// What is wrong with the answer to an OPTIONS of Teams (TEAMS-025); who drains says 503 (TEAMS-026).
pub(in crate::sim::teams) fn pong(answer: &Message) -> Option<Violation> {
    let evidence = match answer.status() {
        Some(200) if answer.header(HeaderName::Allow).is_some() => return None,
        Some(..200 | 503) => return None,
        Some(200) => "200 without Allow".to_owned(),
        status => format!("answered {}", status.unwrap_or_default()),
    };
    Some(Violation::new("options-unanswered", evidence))
}
