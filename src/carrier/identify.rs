//! Whose call is it: the carrier by source address and transport.

use crate::config::{Carrier, Config, Host, HostName};
use crate::sip::{Flow, Transport};
use std::sync::Arc;

/// The carrier whose networks hold the source of `flow`; the longest prefix wins, so that one gateway inside another
/// carrier's network is still its own. `None`: nobody's.
pub fn identify<'a>(config: &'a Config, flow: &Flow) -> Option<&'a Arc<Carrier>> {
    let address = flow.remote.ip().to_canonical();
    let matches = config.sbc.carriers.iter().filter_map(|carrier| {
        carrier
            .identify
            .matches(address, flow.transport)
            .map(|prefix| (prefix, carrier))
    });
    matches.max_by_key(|(prefix, _)| *prefix).map(|(_, carrier)| carrier)
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
