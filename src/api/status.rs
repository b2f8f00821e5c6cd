//! Connections and the configuration, as shown.

use super::state::AdminState;
use crate::config::Hub;
use crate::guard::PeerReport;
use crate::net::{ConnectionInfo, Opener};
use crate::observe::{ReloadReport, printable, rfc3339};
use crate::sip::Transport;
use crate::sip::locate::Target;
use serde::Serialize;

/// A TCP or TLS connection.
#[derive(Debug, Serialize)]
pub struct ConnectionView {
    pub listener: String,
    pub transport: &'static str,
    pub local: String,
    pub remote: String,
    /// `us` or `peer`.
    pub opener: &'static str,
    /// The first name of the certificate that the peer proved.
    pub peer: Option<String>,
    /// Version and suite of TLS.
    pub tls: Option<String>,
    /// The serial number of our certificate on it, as `/v1/certificates` has it.
    pub certificate: Option<String>,
    pub open_seconds: u64,
    /// Since the last message.
    pub idle_seconds: u64,
    pub received: u64,
    pub sent: u64,
    /// A newer connection takes the new requests.
    pub draining: bool,
}

/// A hub or gateway.
#[derive(Debug, Serialize)]
pub struct PeerView {
    #[serde(flatten)]
    pub report: PeerReport,
    /// Version and suite of our newest connection to a hub.
    pub tls: Option<String>,
}

/// A certificate that a listener shows.
#[derive(Debug, Serialize)]
pub struct CertificateView {
    pub listener: String,
    /// The file.
    pub name: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    pub not_after: String,
    pub names: Vec<String>,
}

/// The configuration in force.
#[derive(Debug, Serialize)]
pub struct ConfigView {
    pub generation: u64,
    pub in_force_since: String,
    pub tenants: usize,
    pub carriers: usize,
    /// What became of the last one that was read.
    pub last: ReloadReport,
}

/// All peers by name.
pub fn peers(state: &AdminState) -> Vec<PeerView> {
    let config = state.node.config.load();
    let connections = state.signalling.transports().connections();
    let tls = |hub: &Hub| {
        let target = Target::new(hub.host.as_str()).ok()?;
        let target = target.with_port(hub.port).with_transport(Transport::Tls);
        let known = state.node.resolver.load().try_cached(&target)?;
        let is_there = |connection: &&ConnectionInfo| {
            let mut candidates = known.candidates.iter();
            connection.opener == Opener::Us && candidates.any(|known| known.address == connection.flow.remote)
        };
        let newest = connections
            .iter()
            .filter(is_there)
            .max_by_key(|connection| connection.opened_at);
        newest?.agreed.map(|agreed| agreed.to_string())
    };
    let view = |report: PeerReport| {
        let hub = config
            .sbc
            .teams
            .hubs
            .iter()
            .find(|hub| hub.host.as_str() == report.peer);
        let tls = hub.and_then(tls);
        PeerView { report, tls }
    };
    let reports = state.node.peers.report(state.node.clock.now());
    reports.into_iter().map(view).collect()
}

/// All connections, the oldest first.
pub fn connections(state: &AdminState) -> Vec<ConnectionView> {
    let mut connections = state.signalling.transports().connections();
    connections.sort_by_key(|connection| connection.opened_at);
    connections.iter().map(|connection| view(state, connection)).collect()
}

fn view(state: &AdminState, connection: &ConnectionInfo) -> ConnectionView {
    let (flow, now) = (&connection.flow, state.node.clock.now());
    let certificate = flow.peer.as_ref();
    let name = certificate.and_then(|peer| peer.dns_names.first().or(peer.common_name.as_ref()));
    ConnectionView {
        listener: state.listener(flow.listener),
        transport: flow.transport.uri_name(),
        local: flow.local.to_string(),
        remote: flow.remote.to_string(),
        opener: match connection.opener {
            Opener::Us => "us",
            Opener::Peer => "peer",
        },
        peer: name.map(|name| printable(name).into_owned()),
        tls: connection.agreed.map(|agreed| agreed.to_string()),
        certificate: connection.shown.as_deref().map(str::to_owned),
        open_seconds: now.since(connection.opened_at).as_secs(),
        idle_seconds: now.since(connection.last_message).as_secs(),
        received: connection.received,
        sent: connection.sent,
        draining: connection.draining,
    }
}

/// The certificates that the listeners show now.
pub fn certificates(state: &AdminState) -> Vec<CertificateView> {
    let mut views = Vec::new();
    for (listener, store) in &state.certificates {
        for identity in store.identities() {
            views.push(CertificateView {
                listener: listener.clone(),
                name: identity.name.clone(),
                serial: identity.serial.clone(),
                not_after: rfc3339(u64::try_from(identity.not_after).unwrap_or(0).saturating_mul(1_000)),
                names: identity.names().map(|name| printable(name).into_owned()).collect(),
            });
        }
    }
    views
}

/// Which configuration is in force.
pub fn config(state: &AdminState) -> ConfigView {
    let config = state.node.config.load();
    let mut last = state.observation.reloads.report();
    for mistake in &mut last.mistakes {
        let also = [&mut mistake.expected, &mut mistake.nearest];
        for said in also
            .into_iter()
            .flatten()
            .chain([&mut mistake.message, &mut mistake.text])
        {
            *said = state.text(said);
        }
    }
    ConfigView {
        generation: config.generation,
        in_force_since: rfc3339(last.applied_ms),
        tenants: config.tenants.len(),
        carriers: config.sbc.carriers.len(),
        last,
    }
}
