//! Why a peer's certificate was not believed.

use rustls::{CertificateError, Error};
use x509_parser::time::ASN1Time;

/// A refused peer. The text says what was wrong with the certificate; the peer itself sees only an alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRejected {
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// Times are seconds since the Unix epoch; `now` is this machine's clock.
    #[error("{}", expired_text(.subject, *.not_after, *.now))]
    Expired { subject: String, not_after: i64, now: i64 },
    /// Times are seconds since the Unix epoch; `now` is this machine's clock.
    #[error("{}", not_yet_valid_text(.subject, *.not_before, *.now))]
    NotYetValid { subject: String, not_before: i64, now: i64 },
    #[error("the certificate of {subject} is self-signed")]
    SelfSigned { subject: String },
    #[error("the certificate of {subject} leads to no trusted root: its chain ends at issuer {issuer}")]
    UnknownIssuer { subject: String, issuer: String },
    #[error("the certificate is for {}, expected {}", list(.presented), list(.expected))]
    WrongName {
        expected: Vec<String>,
        presented: Vec<String>,
    },
    #[error("the certificate of {subject} may not be used for {required}: its usages are {}", list(.presented))]
    WrongUsage {
        subject: String,
        required: &'static str,
        presented: Vec<String>,
    },
    #[error("the certificate of {subject} has {key}, expected an RSA key of 2048 bits or more")]
    WrongKey { subject: String, key: String },
    #[error("a signature in the certificate chain of {subject} does not verify")]
    BadSignature { subject: String },
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    #[error("the certificate chain of {subject} is not acceptable: {cause}")]
    Unacceptable { subject: String, cause: String },
}

impl PeerRejected {
    /// All labels.
    pub const LABELS: [&str; 11] = [
        "no_certificate",
        "expired",
        "not_yet_valid",
        "self_signed",
        "unknown_issuer",
        "wrong_name",
        "wrong_usage",
        "wrong_key",
        "bad_signature",
        "unreadable",
        "unacceptable",
    ];

    /// A stable word for metrics and for doctor's codes.
    pub fn label(&self) -> &'static str {
        match self {
            PeerRejected::NoCertificate => "no_certificate",
            PeerRejected::Expired { .. } => "expired",
            PeerRejected::NotYetValid { .. } => "not_yet_valid",
            PeerRejected::SelfSigned { .. } => "self_signed",
            PeerRejected::UnknownIssuer { .. } => "unknown_issuer",
            PeerRejected::WrongName { .. } => "wrong_name",
            PeerRejected::WrongUsage { .. } => "wrong_usage",
            PeerRejected::WrongKey { .. } => "wrong_key",
            PeerRejected::BadSignature { .. } => "bad_signature",
            PeerRejected::Unreadable(_) => "unreadable",
            PeerRejected::Unacceptable { .. } => "unacceptable",
        }
    }

    /// The rustls error whose alert tells the peer as much as TLS has words for.
    pub(super) fn to_rustls(&self) -> Error {
        Error::InvalidCertificate(match self {
            PeerRejected::NoCertificate => return Error::NoCertificatesPresented,
            PeerRejected::Expired { .. } => CertificateError::Expired,
            PeerRejected::NotYetValid { .. } => CertificateError::NotValidYet,
            PeerRejected::SelfSigned { .. } | PeerRejected::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
            PeerRejected::WrongName { .. } => CertificateError::NotValidForName,
            PeerRejected::WrongUsage { .. } => CertificateError::InvalidPurpose,
            PeerRejected::BadSignature { .. } => CertificateError::BadSignature,
            PeerRejected::Unreadable(_) => CertificateError::BadEncoding,
            PeerRejected::WrongKey { .. } | PeerRejected::Unacceptable { .. } => {
                CertificateError::ApplicationVerificationFailure
            }
        })
    }
}

fn expired_text(subject: &str, not_after: i64, now: i64) -> String {
    format!(
        "the certificate of {subject} ended on {}; this machine's clock says {}",
        date(not_after),
        date(now)
    )
}

fn not_yet_valid_text(subject: &str, not_before: i64, now: i64) -> String {
    format!(
        "the certificate of {subject} begins on {}; this machine's clock says {}: check the clock",
        date(not_before),
        date(now)
    )
}

/// A Unix time as a date for people.
pub(super) fn date(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
