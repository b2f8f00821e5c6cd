//! Why an application behind a WebSocket is not there.

use crate::app::outbound::{ConnectFailure, RetryPolicy};
use std::time::Duration;

/// What ended a connection or kept it from coming about. Every variant names the URL, without its query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionFailure {
    #[error("{url}: {failure}")]
    Connect { url: String, failure: ConnectFailure },
    #[error("{url}: the handshake was not done within {} ms", .after.as_millis())]
    HandshakeTimeout { url: String, after: Duration },
    #[error("{url}: the handshake was answered with status {status}")]
    Refused { url: String, status: u16 },
    #[error("{url}: the redirect is not followed: {why}")]
    Redirect { url: String, why: String },
    #[error("{url}: the handshake failed: {detail}")]
    Handshake { url: String, detail: String },
    #[error("{url}: closed with code {code}: {reason:?}")]
    Closed { url: String, code: u16, reason: String },
    #[error("{url}: the connection broke: {detail}")]
    Broken { url: String, detail: String },
    #[error("{url}: nothing was heard for {} s", .after.as_secs())]
    Silent { url: String, after: Duration },
    #[error("{url}: a message was not taken within {} ms", .after.as_millis())]
    NotReading { url: String, after: Duration },
    #[error("{url}: {kind} was not acknowledged within {} ms", .after.as_millis())]
    Unacknowledged {
        url: String,
        kind: &'static str,
        after: Duration,
    },
    #[error("{url}: more than {most} messages that can't be done came within {} s", .within.as_secs())]
    Nonsense { url: String, most: u32, within: Duration },
}

impl SessionFailure {
    /// The labels beside those of [`ConnectFailure`].
    pub(in crate::app) const OWN_LABELS: [&str; 10] = [
        "handshake_timeout",
        "refused",
        "redirect",
        "handshake",
        "closed",
        "broken",
        "silent",
        "not_reading",
        "unacknowledged",
        "nonsense",
    ];

    /// A short word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            SessionFailure::Connect { failure, .. } => failure.label(),
            SessionFailure::HandshakeTimeout { .. } => "handshake_timeout",
            SessionFailure::Refused { .. } => "refused",
            SessionFailure::Redirect { .. } => "redirect",
            SessionFailure::Handshake { .. } => "handshake",
            SessionFailure::Closed { .. } => "closed",
            SessionFailure::Broken { .. } => "broken",
            SessionFailure::Silent { .. } => "silent",
            SessionFailure::NotReading { .. } => "not_reading",
            SessionFailure::Unacknowledged { .. } => "unacknowledged",
            SessionFailure::Nonsense { .. } => "nonsense",
        }
    }

    /// Whether connecting once more may help. `was_there`: it has been connected before, and what answers in its place now may
    /// stand in for one that starts.
    pub fn is_repeatable(&self, policy: &RetryPolicy, was_there: bool) -> bool {
        match self {
            SessionFailure::Connect { failure, .. } => {
                !matches!(failure, ConnectFailure::Forbidden { .. } | ConnectFailure::Host(_))
            }
            SessionFailure::Refused { status, .. } => was_there || *status >= 500 || policy.on_client_error,
            SessionFailure::Redirect { .. }
            | SessionFailure::Handshake { .. }
            | SessionFailure::Unacknowledged { .. }
            | SessionFailure::Nonsense { .. } => false,
            SessionFailure::HandshakeTimeout { .. }
            | SessionFailure::Closed { .. }
            | SessionFailure::Broken { .. }
            | SessionFailure::Silent { .. }
            | SessionFailure::NotReading { .. } => true,
        }
    }
}
