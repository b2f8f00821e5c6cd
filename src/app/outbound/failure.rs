//! What can go wrong between this node and an application server.

use super::address::Forbidden;
use super::retry::RetryPolicy;
use super::url::UrlFault;
use crate::net::dns::DnsError;
use crate::sip::locate::TargetError;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Why no connection was made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectFailure {
    #[error(transparent)]
    Host(#[from] TargetError),
    #[error("{0}")]
    Name(Arc<DnsError>),
    /// None of the addresses may be asked; this is the first.
    #[error("{}", forbidden(host, *address, *why))]
    Forbidden {
        host: String,
        address: IpAddr,
        why: Forbidden,
    },
    #[error("{address} can't be reached: {kind}")]
    Unreachable {
        address: SocketAddr,
        kind: std::io::ErrorKind,
    },
    #[error("TLS with {address} failed: {detail}")]
    Tls { address: SocketAddr, detail: String },
    #[error("no connection within {} ms", .after.as_millis())]
    TimedOut { after: Duration },
}

/// Why a request brought no usable answer. Every variant names the URL, without its query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HookFailure {
    #[error("{0}")]
    Url(#[from] UrlFault),
    #[error("{url}: {failure}")]
    Connect { url: String, failure: ConnectFailure },
    #[error("{url}: no whole answer within {} ms", .after.as_millis())]
    TimedOut { url: String, after: Duration },
    #[error("{url}: the connection broke: {detail}")]
    Broken { url: String, detail: String },
    #[error("{url}: the answer is no HTTP: {detail}")]
    NotHttp { url: String, detail: String },
    #[error("{url}: the request has {bytes} bytes, more than {limit}")]
    RequestTooLarge { url: String, bytes: usize, limit: usize },
    #[error("{url}: the answer is encoded ({encoding}), which was not asked for: none but identity is read")]
    Encoded { url: String, encoding: String },
    #[error("{url}: the answer is longer than {limit} bytes")]
    AnswerTooLarge { url: String, limit: usize },
    #[error("{url}: status {status}")]
    Status { url: String, status: u16 },
    #[error("{url}: the redirect (status {status}) is not followed: {why}")]
    Redirect { url: String, status: u16, why: String },
    #[error("{url}: too many bytes of files are on their way: no room came within {} ms", .after.as_millis())]
    NoRoom { url: String, after: Duration },
    #[error("{url}: no place for another request; its account has {under_way} under way")]
    Busy { url: String, under_way: usize },
}

/// A host that is an address is not said twice.
fn forbidden(host: &str, address: IpAddr, why: Forbidden) -> String {
    match host.trim_matches(['[', ']']).parse() == Ok(address) {
        true => format!("{address} is {why}"),
        false => format!("{host} is at {address}, which is {why}"),
    }
}

impl HookFailure {
    /// Whether the same request may be sent again under `policy`. What we refuse ourselves is refused for good.
    pub fn is_repeatable(&self, policy: &RetryPolicy) -> bool {
        match self {
            HookFailure::Connect { failure, .. } => match failure {
                ConnectFailure::Forbidden { .. } | ConnectFailure::Host(_) => false,
                _ => policy.on_connection,
            },
            HookFailure::Broken { .. } => policy.on_connection,
            HookFailure::TimedOut { .. } => policy.on_timeout,
            HookFailure::Status { status, .. } => match status {
                400..=499 => policy.on_client_error,
                500..=599 => policy.on_server_error,
                _ => false,
            },
            HookFailure::Url(_)
            | HookFailure::NotHttp { .. }
            | HookFailure::RequestTooLarge { .. }
            | HookFailure::Encoded { .. }
            | HookFailure::AnswerTooLarge { .. }
            | HookFailure::Redirect { .. }
            | HookFailure::NoRoom { .. }
            | HookFailure::Busy { .. } => false,
        }
    }

    /// The labels beside those of [`ConnectFailure`].
    pub(super) const OWN_LABELS: [&str; 11] = [
        "bad_url",
        "timeout",
        "broken",
        "not_http",
        "request_too_large",
        "encoded",
        "answer_too_large",
        "status",
        "redirect",
        "no_room",
        "busy",
    ];

    /// A short word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            HookFailure::Url(_) => "bad_url",
            HookFailure::Connect { failure, .. } => failure.label(),
            HookFailure::TimedOut { .. } => "timeout",
            HookFailure::Broken { .. } => "broken",
            HookFailure::NotHttp { .. } => "not_http",
            HookFailure::RequestTooLarge { .. } => "request_too_large",
            HookFailure::Encoded { .. } => "encoded",
            HookFailure::AnswerTooLarge { .. } => "answer_too_large",
            HookFailure::Status { .. } => "status",
            HookFailure::Redirect { .. } => "redirect",
            HookFailure::NoRoom { .. } => "no_room",
            HookFailure::Busy { .. } => "busy",
        }
    }
}

impl ConnectFailure {
    /// All labels.
    pub const LABELS: [&str; 5] = ["name", "forbidden_address", "unreachable", "tls", "connect_timeout"];

    /// A short word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            ConnectFailure::Host(_) | ConnectFailure::Name(_) => "name",
            ConnectFailure::Forbidden { .. } => "forbidden_address",
            ConnectFailure::Unreachable { .. } => "unreachable",
            ConnectFailure::Tls { .. } => "tls",
            ConnectFailure::TimedOut { .. } => "connect_timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_never_asked_is_said_once() {
        for (host, address, expected) in [
            (
                "169.254.169.254",
                "169.254.169.254",
                "169.254.169.254 is link-local, where",
            ),
            ("[fe80::1]", "fe80::1", "fe80::1 is link-local, where"),
            (
                "a.example",
                "169.254.1.1",
                "a.example is at 169.254.1.1, which is link-local, where",
            ),
        ] {
            let failure = ConnectFailure::Forbidden {
                host: host.to_owned(),
                address: address.parse().unwrap(),
                why: Forbidden::LinkLocal,
            };
            assert!(failure.to_string().starts_with(expected), "{failure}");
        }
    }

    #[test]
    fn a_repetition_needs_a_cause_that_the_url_names() {
        let url = || "http://app.example/".to_owned();
        let unreachable = HookFailure::Connect {
            url: url(),
            failure: ConnectFailure::TimedOut {
                after: Duration::from_secs(3),
            },
        };
        let forbidden = HookFailure::Connect {
            url: url(),
            failure: ConnectFailure::Forbidden {
                host: "app.example".to_owned(),
                address: "10.0.0.1".parse().unwrap(),
                why: Forbidden::Private,
            },
        };
        let status = |status| HookFailure::Status { url: url(), status };
        let late = HookFailure::TimedOut {
            url: url(),
            after: Duration::from_secs(10),
        };
        let repeats = |fragment: &str| {
            let policy = RetryPolicy::from_fragment(fragment).unwrap();
            [&unreachable, &forbidden, &late, &status(404), &status(503)].map(|failure| failure.is_repeatable(&policy))
        };
        assert_eq!(repeats(""), [true, false, false, false, false]);
        assert_eq!(repeats("rp=rt,4xx"), [false, false, true, true, false]);
        assert_eq!(repeats("rp=5xx"), [false, false, false, false, true]);
        assert_eq!(repeats("rp=all"), [true, false, true, true, true]);
    }
}
