//! What is known of the node, its files and its surroundings. Plain data: what gathers it is in `files` and `online`.

use super::finding::Needs;
use super::rehearsal::Rehearsal;
use crate::call::TransferKind;
use crate::config::Config;
use crate::net::tls::{KeyKind, Offered, covers};
use crate::teams::onboarding::{is_bound, signaling_address};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that checks look at.
#[derive(Debug, Clone)]
pub struct World {
    /// Seconds since the Unix epoch.
    pub now: i64,
    pub config: Arc<Config>,
    /// Certificates of the Teams listener.
    pub certificates: Vec<CertificateFile>,
    pub trust: Trust,
    /// Handshakes with our own Teams listener as it would be, in memory; empty where its certificates can't be used.
    pub handshakes: Vec<Handshake>,
    /// Whether a hub gets in whose certificate is for serverAuth alone; tried where a handshake was had.
    pub server_only_client: Result<(), String>,
    /// A call each way, as this configuration makes it; the error says why there is none.
    pub to_teams: Result<Rehearsal, String>,
    pub from_teams: Result<Rehearsal, String>,
    /// Calls of tenants and of carriers of other kinds than those are of.
    pub of_other_kinds: Vec<Rehearsal>,
    /// Addresses of this machine's interfaces.
    pub interfaces: Vec<IpAddr>,
    /// The last calls on record; the error says why there are none.
    pub records: Result<Vec<PastCall>, String>,
    /// `None`: nobody looked.
    pub online: Option<Online>,
    /// Why not, then.
    pub offline: String,
}

impl World {
    /// All calls that were gone through.
    pub fn rehearsals(&self) -> impl Iterator<Item = &Rehearsal> {
        let of_first = [&self.to_teams, &self.from_teams].into_iter().flatten();
        of_first.chain(&self.of_other_kinds)
    }

    /// Why what a check needs is not there.
    pub fn missing(&self, needs: Needs) -> Option<String> {
        let rehearsed = |way: &str, call: &Result<Rehearsal, String>| {
            let why = call.as_ref().err()?;
            Some(format!("calls {way} Teams were not rehearsed: {why}"))
        };
        let (to, from) = (rehearsed("to", &self.to_teams), rehearsed("from", &self.from_teams));
        match (needs, &self.online) {
            (Needs::Files, _) | (Needs::Network, Some(_)) => None,
            (Needs::Handshakes, _) => {
                let why = "the Teams listener has no certificate and roots that can be used";
                self.handshakes.is_empty().then(|| why.to_owned())
            }
            (Needs::Connection, _) => {
                let why = "no suite of Teams gets a handshake";
                (!self.handshakes.iter().any(Handshake::is_had)).then(|| why.to_owned())
            }
            (Needs::CallToTeams, _) => to,
            (Needs::CallFromTeams, _) => from,
            (Needs::Call, _) => to.and(from),
            (Needs::Records, _) => self.records.as_ref().err().cloned(),
            (Needs::Network | Needs::TestName | Needs::Node, None) => Some(self.offline.clone()),
            (Needs::TestName, Some(online)) => {
                let why = "no hub of the configuration is Microsoft's, or all are pinned to addresses";
                online.test_name.is_none().then(|| why.to_owned())
            }
            (Needs::Node, Some(online)) => online.node.as_ref().err().cloned(),
        }
    }

    /// The trunk names of the node and of its tenants, each once.
    pub fn trunks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.config.sbc.teams.bases().map(|base| base.as_str()).collect();
        for tenant in self.config.tenants.iter() {
            names.extend(
                std::iter::once(&tenant.fqdn)
                    .chain(&tenant.aliases)
                    .map(|name| name.as_str()),
            );
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }

    /// Whether the hubs are simulators on this machine: what Microsoft would want there is then nobody's business.
    pub fn is_laboratory(&self) -> bool {
        let sbc = &self.config.sbc;
        let is_here = |hub: &crate::config::Hub| {
            let addresses = sbc.dns.hosts.get(&hub.host);
            addresses.is_some_and(|addresses| addresses.iter().all(IpAddr::is_loopback))
        };
        sbc.media.allow_loopback && sbc.teams.hubs.iter().all(is_here)
    }

    /// Certificates that can be used.
    pub fn usable(&self) -> impl Iterator<Item = (&str, &Certificate)> {
        self.certificates.iter().filter_map(|file| {
            let certificate = file.certificate.as_ref().ok()?;
            Some((file.path.as_str(), certificate))
        })
    }

    /// Whether a certificate that can't be used is for this trunk: what is wrong with it is told of itself, and the one that is shown
    /// in its place is none to judge.
    pub fn waits_for(&self, trunk: &str) -> bool {
        let mut unusable = self
            .certificates
            .iter()
            .filter_map(|file| file.certificate.as_ref().err());
        unusable.any(|file| file.names.iter().any(|name| covers(name, trunk)))
    }

    /// The certificate that the node shows on connections for a trunk: the one that bears its name, as it stands there before a
    /// wildcard, else that of the base name, else the first.
    pub fn shown_for(&self, trunk: &str) -> Option<(&str, &Certificate)> {
        let bears = |host: &str, by_wildcard: bool| {
            self.usable().find(|(_, certificate)| {
                let mut names = certificate.names.iter();
                names.any(|name| name.starts_with("*.") == by_wildcard && covers(name, host))
            })
        };
        let names = [trunk, self.config.sbc.teams.base.as_str()];
        let mut found = names
            .iter()
            .filter_map(|host| bears(host, false).or_else(|| bears(host, true)));
        found.next().or_else(|| self.usable().next())
    }

    /// Whether who connects to `address` reaches the listener for Teams, as far as the configuration says.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        signaling_address(&self.config) == Some(address) || is_bound(&self.config, address, &self.interfaces)
    }
}

/// A handshake with our own Teams listener.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The carrier trunk that the client asked for.
    pub trunk: String,
    pub offered: Offered,
    /// How many certificates were shown.
    pub outcome: Result<usize, String>,
}

impl Handshake {
    /// With a suite of Teams.
    pub fn is_had(&self) -> bool {
        self.offered != Offered::Tls13 && self.outcome.is_ok()
    }
}

/// A certificate that the configuration names.
#[derive(Debug, Clone)]
pub struct CertificateFile {
    pub path: String,
    pub certificate: Result<Certificate, Unusable>,
}

/// What stands in it.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub key: KeyKind,
    pub common_name: Option<String>,
    pub names: Vec<String>,
    pub serial: String,
    /// Seconds since the Unix epoch.
    pub not_after: i64,
    pub server_usage: bool,
    pub client_usage: bool,
    pub issuer: String,
    /// Certificates in the file.
    pub length: usize,
    /// The last one is its own issuer.
    pub ends_in_its_own_issuer: bool,
    /// The common name of who issued the last one: the root, where the chain is whole.
    pub last_issuer: Option<String>,
    pub chain: Chain,
}

/// Whether the file's chain leads to a root, for a peer that has the roots alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// To one of these.
    Leads {
        roots: String,
    },
    Broken {
        label: &'static str,
        why: String,
    },
    /// There are no roots to compare with.
    NotTried {
        why: String,
    },
}

/// Why a certificate can't be used.
#[derive(Debug, Clone)]
pub struct Unusable {
    pub kind: UnusableKind,
    pub why: String,
    /// What its first certificate is for, as far as that can be read.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusableKind {
    Expired,
    /// An intermediate is missing, or in the wrong place.
    Chain,
    Other,
}

/// Whom the Teams listener believes.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What the configuration names.
    pub origin: String,
    /// SHA-1 of each root; the error says why there are none.
    pub roots: Result<Vec<String>, String>,
}

/// A call on record: the fields of `docs/cdr.md` that checks use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PastCall {
    pub call: String,
    pub direction: String,
    pub tenant: String,
    pub carrier: Option<String>,
    pub from: String,
    pub to: String,
    pub began_ms: u64,
    pub ended_ms: u64,
    pub ringing_after_ms: Option<u64>,
    pub talked_ms: u64,
    pub status: u16,
    pub cause: String,
    pub cause_text: String,
    pub ended_by: String,
    pub legs: Vec<PastLeg>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PastLeg {
    pub side: String,
    /// None on the caller's leg.
    pub peer: Option<String>,
    pub transfer: Option<PastTransfer>,
    pub status: Option<u16>,
    /// Why it was given up here.
    pub why: Option<String>,
    pub reason_phrase: Option<String>,
    pub cause_class: Option<String>,
    pub media: Option<PastMedia>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PastTransfer {
    pub kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PastMedia {
    pub received_packets: u64,
    pub sent_packets: u64,
    pub dropped: BTreeMap<String, u64>,
}

impl PastCall {
    /// Which call it is, and when it began: `id of 2026-11-29T02:31Z`.
    pub fn named(&self) -> String {
        let when = crate::observe::rfc3339(self.began_ms);
        format!("{} of {}Z", self.call, when.get(..16).unwrap_or(&when))
    }

    /// Its legs with Teams.
    pub fn teams(&self) -> impl Iterator<Item = &PastLeg> {
        self.legs.iter().filter(|leg| leg.side == "teams")
    }

    /// Those whose final answer was the other side's own word: Teams', or a carrier's.
    pub fn answered_by(&self, side: &str) -> impl Iterator<Item = &PastLeg> {
        let of_side = self.legs.iter().filter(move |leg| leg.side == side);
        of_side.filter(|leg| leg.answered_itself())
    }
}

impl PastLeg {
    /// Calls out of Teams are answered by us, with what the carrier said, and so is who comes to take another's place.
    fn answered_itself(&self) -> bool {
        let came = |transfer: &PastTransfer| transfer.kind == TransferKind::Replaced.label();
        self.peer.is_some() && self.why.is_none() && !self.transfer.as_ref().is_some_and(came)
    }

    /// The carrier that it led to.
    pub fn carrier(&self) -> Option<&str> {
        let peer = self.peer.as_deref().filter(|_| self.side == "carrier")?;
        peer.split_once('/').map(|(carrier, _)| carrier)
    }
}

/// What was seen of the network.
#[derive(Debug, Clone)]
pub struct Online {
    /// Where our trunk names lead, by name.
    pub own_names: BTreeMap<String, Result<Vec<IpAddr>, String>>,
    /// Names of ours that were not looked up, there being so many.
    pub names_left: usize,
    pub hubs: Vec<HubSeen>,
    /// The cloud's name for tests; none where hubs are simulated.
    pub test_name: Option<HubSeen>,
    /// Whether somebody listens where the Teams listener should; the error says what happened.
    pub listener: Result<(), String>,
    /// What the running node says; the error says why it doesn't.
    pub node: Result<NodeSeen, String>,
}

/// One OPTIONS to one hub.
#[derive(Debug, Clone)]
pub struct HubSeen {
    /// As in health tables: the hub, and the trunk where it is a tenant's own.
    pub peer: String,
    pub addresses: Result<Vec<IpAddr>, String>,
    /// TCP and TLS; the error has a label and a text.
    pub connected: Result<String, (String, String)>,
    pub answer: Result<Answered, String>,
}

/// A hub's answer to OPTIONS.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    pub status: u16,
    /// Values of `Reason`.
    pub reasons: Vec<String>,
    pub server: Option<String>,
    pub milliseconds: u64,
}

/// What the admin listener of the running node says.
#[derive(Debug, Clone, Default)]
pub struct NodeSeen {
    pub up_seconds: u64,
    pub peers: Vec<PeerSeen>,
    pub connections: Vec<ConnectionSeen>,
    pub certificates: Vec<CertificateSeen>,
    /// The last OPTIONS of Teams that no hub's name leads to.
    pub heard_elsewhere_seconds_ago: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PeerSeen {
    pub peer: String,
    pub up: bool,
    pub failures: u32,
    pub sent_seconds_ago: Option<u64>,
    pub answered_seconds_ago: Option<u64>,
    pub heard_seconds_ago: Option<u64>,
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConnectionSeen {
    pub listener: String,
    pub remote: String,
    pub opener: String,
    pub peer: Option<String>,
    /// The serial number of our certificate on it.
    pub certificate: Option<String>,
    pub open_seconds: u64,
    pub draining: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CertificateSeen {
    pub listener: String,
    pub name: String,
    pub serial: String,
    pub not_after: String,
}
