//! `[teams]`: this node's trunk toward Microsoft.

use super::{ClientCertificate, Roots};
use crate::config::names::{HostName, TenantFqdn};
use crate::config::network::Network;
use crate::sip::ListenerId;
use std::time::Duration;

/// How this node speaks with Teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teams {
    /// Whose hubs, networks and commands these are.
    pub cloud: Cloud,
    /// The carrier trunk's name; OPTIONS use it, tenants' names are made from it.
    pub base: TenantFqdn,
    /// Further carrier trunks, none a label below another: as `base`, for tenants that name them.
    pub further_bases: Vec<TenantFqdn>,
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

impl Teams {
    /// The names of all carrier trunks, `base` first.
    pub fn bases(&self) -> impl Iterator<Item = &TenantFqdn> + Clone {
        std::iter::once(&self.base).chain(&self.further_bases)
    }

    /// The carrier trunk that a trunk derives from; none: it is of its own (TEAMS-024).
    pub fn base_of(&self, trunk: &TenantFqdn) -> Option<&TenantFqdn> {
        self.bases().find(|base| trunk.is_derived_from(base))
    }

    /// Whether a host is one of the carrier trunks (case-blind).
    pub fn is_base(&self, host: &str) -> bool {
        self.bases().any(|base| base.as_str().eq_ignore_ascii_case(host))
    }
}

/// One of Microsoft's SIP proxies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hub {
    pub host: HostName,
    pub port: u16,
}

impl Hub {
    /// The port of all that Microsoft publishes.
    pub const PORT: u16 = 5_061;

    /// A name that Microsoft publishes, by its usual port.
    pub fn published(name: &str) -> Option<Hub> {
        let host = HostName::parse(name).ok()?;
        Some(Hub { host, port: Hub::PORT })
    }
}

/// One of Microsoft's clouds; GCC is in the commercial one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    Commercial,
    GccHigh,
    Dod,
}

impl Cloud {
    pub const ALL: [Cloud; 3] = [Cloud::Commercial, Cloud::GccHigh, Cloud::Dod];

    /// As the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Cloud::Commercial => "commercial",
            Cloud::GccHigh => "gcc-high",
            Cloud::Dod => "dod",
        }
    }

    /// The cloud that `host` is a SIP proxy of (case-blind).
    pub fn of_hub(host: &str) -> Option<Cloud> {
        let is_its = |cloud: &Cloud| cloud.hubs().iter().any(|hub| hub.eq_ignore_ascii_case(host));
        Cloud::ALL.into_iter().find(is_its)
    }

    /// Its SIP proxies, the one that finds the nearest region first.
    pub const fn hubs(self) -> &'static [&'static str] {
        match self {
            Cloud::Commercial => &[
                "sip.pstnhub.microsoft.com",
                "sip2.pstnhub.microsoft.com",
                "sip3.pstnhub.microsoft.com",
            ],
            Cloud::GccHigh => &["sip.pstnhub.gov.teams.microsoft.us"],
            Cloud::Dod => &["sip.pstnhub.dod.teams.microsoft.us"],
        }
    }

    /// Names of proxies that show what certificates come next, the one in use first: for OPTIONS, never for calls.
    pub const fn test_names(self) -> &'static [&'static str] {
        match self {
            Cloud::Commercial => &["sip.g1.pstnhub.microsoft.com", "sip.mspki.pstnhub.microsoft.com"],
            Cloud::GccHigh => &["x.sip.pstnhub.infra.gov.teams.microsoft.us"],
            Cloud::Dod => &["x.sip.pstnhub.infra.dod.teams.microsoft.us"],
        }
    }

    /// Whether `host` is for tests alone, in whichever cloud (case-blind).
    pub fn is_test_name(host: &str) -> bool {
        let mut names = Cloud::ALL.into_iter().flat_map(Cloud::test_names);
        names.any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Where its SIP proxies are, as Microsoft publishes it.
    pub fn signalling(self) -> Vec<Network> {
        match self {
            Cloud::Commercial => networks(&["52.112.0.0/14", "52.122.0.0/15"]),
            Cloud::GccHigh | Cloud::Dod => self.media(),
        }
    }

    /// Where its media processors and relays are, as Microsoft publishes it.
    pub fn media(self) -> Vec<Network> {
        networks(match self {
            Cloud::Commercial => &["52.112.0.0/14", "52.120.0.0/14"],
            Cloud::GccHigh => &["52.127.88.0/21"],
            Cloud::Dod => &["52.127.64.0/21"],
        })
    }

    /// Where it may call from (TEAMS-113): the ranges of its media, in which those of its proxies lie. Older lists have all of
    /// them for signalling.
    pub fn networks(self) -> Vec<Network> {
        self.media()
    }

    /// The port of an SBC that it connects to; none: whichever the trunk has.
    pub const fn port(self) -> Option<u16> {
        match self {
            Cloud::Commercial => None,
            Cloud::GccHigh | Cloud::Dod => Some(5_061),
        }
    }

    /// What Microsoft's Teams module calls it (`-TeamsEnvironmentName`); none: the one that it takes by itself.
    pub const fn environment(self) -> Option<&'static str> {
        match self {
            Cloud::Commercial => None,
            Cloud::GccHigh => Some("TeamsGCCH"),
            Cloud::Dod => Some("TeamsDOD"),
        }
    }

    /// The roots that an SBC's certificate has to lead to, by common name; none: any of Microsoft's Trusted Root Program.
    pub const fn authorities(self) -> Option<&'static [&'static str]> {
        match self {
            Cloud::Commercial => None,
            Cloud::GccHigh | Cloud::Dod => Some(&["DigiCert Global Root CA", "DigiCert High Assurance EV Root CA"]),
        }
    }
}

fn networks(published: &[&str]) -> Vec<Network> {
    published.iter().filter_map(|text| Network::parse(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_signals_from_networks_that_are_let_in() {
        for cloud in Cloud::ALL {
            let (signalling, allowed) = (cloud.signalling(), cloud.networks());
            assert!(!signalling.is_empty() && !cloud.hubs().is_empty(), "{cloud:?}");
            for network in signalling {
                assert!(
                    allowed.iter().any(|wider| wider.covers(network)),
                    "{cloud:?}: {network}"
                );
            }
            for hub in cloud.hubs() {
                assert_eq!(Cloud::of_hub(&hub.to_uppercase()), Some(cloud));
                assert!(!Cloud::is_test_name(hub), "{hub}");
            }
            assert!(!cloud.test_names().is_empty(), "{cloud:?}");
            for name in cloud.test_names() {
                assert!(Cloud::is_test_name(&name.to_uppercase()), "{name}");
                assert_eq!(Cloud::of_hub(name), None, "it takes no calls");
            }
        }
        assert_eq!(Cloud::of_hub("sip.pstnhub.example.com"), None);
    }
}
