//! Where a carrier may lead requests inside a call, by its Contact and Record-Route.

use crate::app::outbound::embedded;
use crate::config::{Config, Host, OwnAddresses};
use crate::net::interface_addresses;
use std::net::{IpAddr, SocketAddr};

/// Refuses what only this machine or its link can reach, and our own sockets. A carrier that lives there is known by its
/// networks, by a gateway's address, or by having spoken from there (`heard`).
pub fn may_lead(config: &Config, carrier: &str, heard: &[IpAddr], to: SocketAddr) -> Result<(), String> {
    let (sbc, address) = (&config.sbc, embedded(to.ip()));
    if OwnAddresses::of(sbc, interface_addresses()).is_socket(address, to.port()) {
        return Err(format!("{to} is this node: the request would come back"));
    }
    let known = sbc.carriers.iter().find(|known| known.id.as_str() == carrier);
    let lives_there = known.is_some_and(|known| {
        let gateway = |host: &Host| matches!(host, Host::Address(gateway) if gateway.to_canonical() == address);
        known.identify.networks.iter().any(|network| network.contains(address))
            || known.gateways.iter().any(|known| gateway(&known.host))
    });
    if sbc.media.allow_loopback || lives_there || heard.contains(&address) {
        return Ok(());
    }
    let what = match address {
        _ if address.is_loopback() => "this machine",
        _ if address.is_unspecified() => "no address",
        _ if address.is_multicast() => "multicast",
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        IpAddr::V4(v4) if v4.is_broadcast() => "broadcast",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        _ => return Ok(()),
    };
    Err(format!("{address} is {what}: carrier '{carrier}' led there"))
}
