//! Whose call is it: the carrier by source address, transport and certificate.

use crate::config::{Carrier, Config, Host, HostName};
use crate::net::tls::covers;
use crate::sip::{Flow, PeerCertificate, Transport};
use std::sync::Arc;

/// The carrier whose networks hold the source of `flow`, and whose certificate came with it; the longest prefix wins, so that one gateway inside another
/// carrier's network is still its own. `None`: nobody's.
pub fn identify<'a>(config: &'a Config, flow: &Flow) -> Option<&'a Arc<Carrier>> {
    let address = flow.remote.ip().to_canonical();
    let certified = config
        .sbc
        .carriers
        .iter()
        .filter(|carrier| is_certified(config, carrier, flow.peer.as_deref()));
    let matches = certified.filter_map(|carrier| {
        carrier
            .identify
            .matches(address, flow.transport)
            .map(|prefix| (prefix, carrier))
    });
    matches.max_by_key(|(prefix, _)| *prefix).map(|(_, carrier)| carrier)
}

/// Whether the certificate that came with a request, or none, can be this carrier's: one of the names that it has to bear, and
/// of a carrier that none is asked of, no name that is another's (RFC 5922 §7.3). On a connection that we opened, it is a
/// gateway's.
pub fn is_certified(config: &Config, carrier: &Carrier, peer: Option<&PeerCertificate>) -> bool {
    if carrier.identify.client_names.is_empty() {
        let mut others = config.sbc.carriers.iter();
        return peer.is_none() || !others.any(|other| other.identify.is_shown_by(peer));
    }
    let mut servers = carrier
        .gateways
        .iter()
        .filter_map(|gateway| gateway.server_name.as_ref());
    carrier.identify.is_shown_by(peer)
        || servers.any(|server| peer.is_some_and(|peer| peer.names().any(|name| covers(name, server.as_str()))))
}

/// The name that this carrier's server has to prove when requests go back inside a call that came by `flow`: its own, else
/// that of the gateway that called, else of the first one there.
pub fn server_name<'a>(carrier: &'a Carrier, flow: &Flow) -> Option<&'a HostName> {
    let source = Host::Address(flow.remote.ip().to_canonical());
    let gateways = || carrier.gateways.iter().filter(|known| known.listener == flow.listener);
    let gateway = gateways()
        .find(|known| known.host == source)
        .or_else(|| gateways().next());
    let own = carrier
        .server_name
        .as_ref()
        .filter(|_| flow.transport == Transport::Tls);
    own.or_else(|| gateway.and_then(|gateway| gateway.server_name.as_ref()))
}
