//! From a TCP stream to one that may carry SIP: TLS where the listener has it, within a deadline.

use super::tls::{Agreed, Evidence, IdentityPlace, PeerRejected, TlsProfile, TlsProfileError, peer_certificate};
use crate::sip::PeerCertificate;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// TCP: refused, unreachable, reset.
    Connect(String),
    /// TCP: no answer in time.
    Silent(Duration),
    /// TCP is connected, and TLS was not done in time.
    Timeout(Duration),
    /// We did not believe the peer.
    Rejected(PeerRejected),
    /// The peer did not believe us, or wants other versions or suites than we have.
    Alert(AlertDescription),
    /// The peer speaks no TLS that we have: plain text, an old version, no common suite.
    Protocol(String),
    /// The connection broke off.
    Broken(String),
    /// The server's name is neither a DNS name nor an address.
    BadServerName(String),
    /// Our own TLS could not be set up.
    Setup(String),
}

impl HandshakeFailure {
    /// The labels beside those of [`PeerRejected`] that a failed handshake is counted under: `connect` comes before TLS.
    const OWN_LABELS: [&str; 6] = ["timeout", "alert", "protocol", "broken", "bad_server_name", "setup"];

    /// All labels that a failed handshake is counted under.
    pub(super) fn labels() -> impl Iterator<Item = &'static str> {
        Self::OWN_LABELS.into_iter().chain(PeerRejected::LABELS)
    }

    /// A stable word for metrics and for doctor's codes.
    pub fn label(&self) -> &'static str {
        match self {
            HandshakeFailure::Connect(_) | HandshakeFailure::Silent(_) => "connect",
            HandshakeFailure::Timeout(_) => "timeout",
            HandshakeFailure::Rejected(rejected) => rejected.label(),
            HandshakeFailure::Alert(_) => "alert",
            HandshakeFailure::Protocol(_) => "protocol",
            HandshakeFailure::Broken(_) => "broken",
            HandshakeFailure::BadServerName(_) => "bad_server_name",
            HandshakeFailure::Setup(_) => "setup",
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeFailure::Connect(cause) => write!(f, "cannot connect: {cause}"),
            HandshakeFailure::Silent(limit) => {
                write!(f, "cannot connect: no answer by TCP within {} ms", limit.as_millis())
            }
            HandshakeFailure::Timeout(limit) => write!(
                f,
                "TCP is connected, and the TLS handshake was not done within {} ms",
                limit.as_millis()
            ),
            HandshakeFailure::Rejected(rejected) => write!(f, "the peer was refused: {rejected}"),
            HandshakeFailure::Alert(alert) => write!(f, "the peer refused us with TLS alert {alert:?}"),
            HandshakeFailure::Protocol(cause) => write!(f, "no common TLS: {cause}"),
            HandshakeFailure::Broken(cause) => write!(f, "the connection broke off during TLS: {cause}"),
            HandshakeFailure::BadServerName(name) => write!(f, "{name:?} is no name that a TLS server can prove"),
            HandshakeFailure::Setup(cause) => f.write_str(cause),
        }
    }
}

impl From<TlsProfileError> for HandshakeFailure {
    fn from(error: TlsProfileError) -> HandshakeFailure {
        HandshakeFailure::Setup(error.to_string())
    }
}

/// A stream after TLS, and what the peer presented.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) peer: Option<Arc<PeerCertificate>>,
    pub(super) agreed: Option<Agreed>,
    /// The serial number of our certificate.
    pub(super) shown: Option<Arc<str>>,
}

/// The server's side.
pub(super) async fn accept(
    stream: TcpStream,
    profile: &TlsProfile,
    limit: Duration,
) -> Result<Secured, HandshakeFailure> {
    let (config, evidence) = profile.accept()?;
    match timeout(limit, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = profile.serial_for(stream.get_ref().1.server_name());
            Ok(secured(stream.into(), shown))
        }
        Ok(Err(error)) => Err(failure(&error, &evidence)),
        Err(_) => Err(HandshakeFailure::Timeout(limit)),
    }
}

/// The client's side, which shows one of the profile's identities; the caller bounds its time.
pub(super) async fn connect(
    stream: TcpStream,
    profile: &TlsProfile,
    shown: IdentityPlace,
    server_name: &str,
) -> Result<Secured, HandshakeFailure> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| HandshakeFailure::BadServerName(server_name.to_owned()))?;
    let (config, evidence) = profile.connect(shown)?;
    let shown = profile.serial(shown);
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(secured(stream.into(), shown)),
        Err(error) => Err(failure(&error, &evidence)),
    }
}

fn secured(stream: TlsStream<TcpStream>, shown: Option<Arc<str>>) -> Secured {
    let session = stream.get_ref().1;
    let chain = session.peer_certificates();
    let peer = chain.and_then(|chain| peer_certificate(chain.first()?)).map(Arc::new);
    let agreed = Agreed::of(session);
    Secured {
        stream,
        peer,
        agreed,
        shown,
    }
}

fn failure(error: &io::Error, evidence: &Evidence) -> HandshakeFailure {
    if let Some(rejected) = evidence.rejection() {
        return HandshakeFailure::Rejected(rejected);
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => HandshakeFailure::Rejected(PeerRejected::NoCertificate),
        Some(rustls::Error::AlertReceived(alert)) => HandshakeFailure::Alert(*alert),
        Some(other) => HandshakeFailure::Protocol(other.to_string()),
        None => HandshakeFailure::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_failure_of_a_handshake_has_its_label_in_the_list() {
        let text = String::new;
        let rejected = [
            PeerRejected::NoCertificate,
            PeerRejected::Expired {
                subject: text(),
                not_after: 0,
                now: 0,
            },
            PeerRejected::NotYetValid {
                subject: text(),
                not_before: 0,
                now: 0,
            },
            PeerRejected::SelfSigned { subject: text() },
            PeerRejected::UnknownIssuer {
                subject: text(),
                issuer: text(),
            },
            PeerRejected::WrongName {
                expected: Vec::new(),
                presented: Vec::new(),
            },
            PeerRejected::WrongUsage {
                subject: text(),
                required: "clientAuth",
                presented: Vec::new(),
            },
            PeerRejected::WrongKey {
                subject: text(),
                key: text(),
            },
            PeerRejected::BadSignature { subject: text() },
            PeerRejected::Unreadable(text()),
            PeerRejected::Unacceptable {
                subject: text(),
                cause: text(),
            },
        ];
        let own = [
            HandshakeFailure::Timeout(Duration::ZERO),
            HandshakeFailure::Alert(AlertDescription::UnknownCA),
            HandshakeFailure::Protocol(text()),
            HandshakeFailure::Broken(text()),
            HandshakeFailure::BadServerName(text()),
            HandshakeFailure::Setup(text()),
        ];
        let failures = rejected.map(HandshakeFailure::Rejected).into_iter().chain(own);
        let labels: BTreeSet<_> = failures.map(|failure| failure.label()).collect();
        assert_eq!(labels, HandshakeFailure::labels().collect());
    }

    #[test]
    fn a_cause_is_counted_from_0() {
        let counters = crate::net::Counters::default();
        counters.handshake_failed("expired");
        let failed = counters.handshakes_failed();
        assert_eq!((failed["expired"], failed["alert"]), (1, 0));
    }
}
