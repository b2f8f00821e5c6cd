//! Why a name led nowhere, in words that say what to do about it.

use crate::sip::locate::TargetError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A failed look-up: what was wanted, what was asked of whom, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsError {
    /// The target as a URI.
    pub target: String,
    /// The questions in the order asked: `NAPTR example.net`.
    pub asked: Vec<String>,
    /// The name servers, as text.
    pub servers: Arc<str>,
    pub cause: Cause,
    /// A "no" came without the SOA record by which it may be remembered (RFC 2308 §5).
    pub without_soa: bool,
}

impl DnsError {
    /// True when asking again soon may help: the name servers failed, or said a "no" that nobody signs for.
    pub(super) fn is_brief(&self) -> bool {
        self.without_soa || self.cause.is_temporary()
    }
}

/// What came of the questions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("the name does not exist (NXDOMAIN)")]
    NoSuchName,
    #[error("the name exists, but has none of these records")]
    NoRecords,
    #[error("the domain says that it offers no SIP service (SRV target \".\")")]
    NotOffered,
    #[error("the name server failed ({0})")]
    ServerFailed(String),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the name servers can't be reached ({0})")]
    Unreachable(String),
    #[error("no name server is known ({0})")]
    NoServers(String),
    #[error("{0}")]
    Target(#[from] TargetError),
}

impl Cause {
    /// What the reader can do about it.
    const fn advice(&self) -> &'static str {
        match self {
            Cause::NoSuchName => {
                "Check the spelling, and that the name is published where this node's name servers see it"
            }
            Cause::NoRecords => "Publish an A or AAAA record (or SRV), or write address and port in the configuration",
            Cause::NotOffered => "Ask the domain's owner, or write host, port and transport in the configuration",
            Cause::ServerFailed(_) => "Check the name server's log and the zone (DNSSEC, delegation, CNAME loop)",
            Cause::Timeout(_) | Cause::Unreachable(_) => {
                "Check that UDP and TCP port 53 to the name servers is open, or name others in `dns.servers`"
            }
            Cause::NoServers(_) => "Set `dns.servers`, or give this machine a /etc/resolv.conf",
            Cause::Target(_) => "Correct the host or transport where it is configured",
        }
    }

    /// True when asking again soon may help, and an old answer is better than none. False when the answer was "no".
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Cause::ServerFailed(_) | Cause::Timeout(_) | Cause::Unreachable(_) | Cause::NoServers(_)
        )
    }

    /// A short word for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Cause::NoSuchName => "nxdomain",
            Cause::NoRecords => "no_records",
            Cause::NotOffered => "not_offered",
            Cause::ServerFailed(_) => "server_failed",
            Cause::Timeout(_) => "timeout",
            Cause::Unreachable(_) => "unreachable",
            Cause::NoServers(_) => "no_servers",
            Cause::Target(_) => "bad_target",
        }
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no server found for {}: {}", self.target, self.cause)?;
        if !self.asked.is_empty() {
            write!(f, "; asked {} for {}", self.servers, self.asked.join(", "))?;
        }
        write!(f, ". {}.", self.cause.advice())
    }
}

impl std::error::Error for DnsError {}
