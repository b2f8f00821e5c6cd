//! `[teams]`: this node's trunk toward Microsoft.

use super::{ClientCertificate, Roots};
use crate::config::names::{HostName, TenantFqdn};
use crate::config::network::Network;
use crate::sip::ListenerId;
use std::time::Duration;

/// How this node speaks with Teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teams {
    /// The carrier trunk's name; OPTIONS use it, tenants' names are made from it.
    pub base: TenantFqdn,
    /// The TLS listener that Teams reaches, and whose identity our connections carry.
    pub listener: ListenerId,
    /// Tried in this order, the healthy ones first.
    pub hubs: Vec<Hub>,
    pub client_certificate: ClientCertificate,
    pub roots: Roots,
    /// Where Teams may call from.
    pub networks: Vec<Network>,
    /// Between OPTIONS to each hub (TEAMS-022).
    pub options_interval: Duration,
    /// Percent of network effectiveness below which health is told to suffer (TEAMS-114); 0: never.
    pub ner_alert: u8,
    /// Whether hubs are asked while every carrier is down (TEAMS-026).
    pub options_without_carriers: bool,
    /// For the answer to one OPTIONS.
    pub options_timeout: Duration,
    /// Consecutive unanswered or refused OPTIONS that mark a hub down, at least 1 (TEAMS-027).
    pub options_failures: u32,
    /// How long a hub is left alone after a 503 without Retry-After, or after a failed connection.
    pub hold_down: Duration,
    /// To the first response of an INVITE; then the next hub is tried (TEAMS-063).
    pub response_timeout: Duration,
    /// From a 100 to anything more; then the next hub is tried.
    pub progress_timeout: Duration,
    /// From a call's INVITE to ringing or an end (TEAMS-045).
    pub patience: Duration,
    /// Session timer offered, RFC 4028.
    pub session_expires: Duration,
    /// The lowest that we accept, RFC 4028.
    pub min_se: Duration,
    /// Media bypass, where a tenant says nothing else.
    pub bypass: bool,
    /// Teams may send REFER (TEAMS-081).
    pub refer: bool,
    /// The value of `X-MS-SBC`, User-Agent and Server: Vendor/Product/Version (TEAMS-038).
    pub product: String,
}

/// One of Microsoft's SIP proxies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hub {
    pub host: HostName,
    pub port: u16,
}

impl Hub {
    /// Those of the commercial cloud, the one that finds the nearest region first.
    pub const PUBLISHED: [&'static str; 3] = [
        "sip.pstnhub.microsoft.com",
        "sip2.pstnhub.microsoft.com",
        "sip3.pstnhub.microsoft.com",
    ];
}

/// One of Microsoft's clouds; GCC is in the commercial one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    Commercial,
    GccHigh,
    Dod,
}

impl Cloud {
    /// Its SIP proxies.
    pub fn hubs(self) -> &'static [&'static str] {
        match self {
            Cloud::Commercial => &Hub::PUBLISHED,
            Cloud::GccHigh => &["sip.pstnhub.gov.teams.microsoft.us"],
            Cloud::Dod => &["sip.pstnhub.dod.teams.microsoft.us"],
        }
    }

    /// What Microsoft publishes for its signalling and media (TEAMS-113).
    pub fn networks(self) -> Vec<Network> {
        let published: &[&str] = match self {
            Cloud::Commercial => &["52.112.0.0/14", "52.120.0.0/14"],
            Cloud::GccHigh => &["52.127.88.0/21"],
            Cloud::Dod => &["52.127.64.0/21"],
        };
        published.iter().filter_map(|text| Network::parse(text).ok()).collect()
    }

    /// The port of an SBC that it connects to; none: whichever the trunk has.
    pub fn port(self) -> Option<u16> {
        match self {
            Cloud::Commercial => None,
            Cloud::GccHigh | Cloud::Dod => Some(5_061),
        }
    }
}
