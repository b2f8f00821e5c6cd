//! What the sockets of one node are to each other: two that want one port, media where SIP arrives, a gateway that is
//! ourselves, and a trunk that everybody may call from.

use super::address;
use super::reader::Reader;
use crate::config::checked::{Admin, Api, Host, Media};
use crate::config::network::Network;
use crate::config::raw::{At, RawListener, RawPurpose, RawSbc, RawTransport};
use crate::sip::Transport;
use std::net::SocketAddr;

/// A network of fewer bits is no trunk's: `fc00::/7` and `10.0.0.0/8` are the widest that belong to somebody.
const WIDEST: u8 = 7;

/// Listeners that can't be bound beside each other.
pub fn check(raw: &RawSbc, reader: &mut Reader<'_>) {
    for (position, listener) in raw.listeners.iter().enumerate() {
        let Some(bind) = bound(listener) else { continue };
        let other =
            raw.listeners.iter().take(position).find(|other| {
                is_udp(other) == is_udp(listener) && bound(other).is_some_and(|other| overlap(other, bind))
            });
        if let Some(other) = other {
            let message = match other.bind.value() == listener.bind.value() {
                true => format!("another listener has {} already", listener.bind.value()),
                false => format!(
                    "{bind} overlaps {} of listener {:?}",
                    other.bind.value(),
                    other.name.value()
                ),
            };
            reader.fault(listener.bind.span(), message);
        }
    }
}

/// What is bound beside the listeners: HTTP and media.
pub fn beside(raw: &RawSbc, admin: Option<&Admin>, api: Option<&Api>, media: Option<&Media>, reader: &mut Reader<'_>) {
    let http = [
        (
            "admin",
            admin.map(|admin| admin.bind),
            raw.admin.as_ref().and_then(|admin| admin.bind.as_ref()),
        ),
        (
            "REST",
            api.map(|api| api.bind),
            raw.api.as_ref().and_then(|api| api.bind.as_ref()),
        ),
    ];
    for listener in &raw.listeners {
        let Some(bind) = bound(listener) else { continue };
        let name = listener.name.value();
        for (what, address, typed) in &http {
            if !is_udp(listener) && address.is_some_and(|address| overlap(address, bind)) {
                let place = typed.map_or_else(|| listener.bind.span(), At::span);
                let message = format!(
                    "the {what} listener and listener {name:?} want the same port {}",
                    bind.port()
                );
                reader.fault_expecting(place, message, "a port of its own for each");
            }
        }
        let in_range = |media: &&Media| {
            (media.ports.first..=media.ports.last).contains(&bind.port())
                && media
                    .addresses()
                    .any(|address| overlap(SocketAddr::new(address.bind, bind.port()), bind))
        };
        if let (true, Some(media)) = (is_udp(listener), media.filter(in_range)) {
            let place = match &raw.media.value().ports {
                Some(ports) => ports.span(),
                None => listener.bind.span(),
            };
            let (first, last) = (media.ports.first, media.ports.last);
            let message = format!(
                "media ports {first}-{last} include {} of listener {name:?}",
                bind.port()
            );
            reader.fault_expecting(place, message, "ports that no listener has");
        }
    }
    if let (Some(admin), Some(api)) = (admin, api)
        && overlap(admin.bind, api.bind)
    {
        let place = http.iter().find_map(|(_, _, typed)| typed.map(At::span));
        let message = format!("the admin and the REST listener want the same port {}", api.bind.port());
        reader.fault_expecting(place.unwrap_or(0..0), message, "a port of its own for each");
    }
}

/// Says where `networks` let everybody in. On loopback, in a laboratory, nobody else is there.
pub fn open_to_all(networks: &[At<String>], purpose: RawPurpose, listeners: &[RawListener], reader: &mut Reader<'_>) {
    let mut of_purpose = listeners.iter().filter(|listener| *listener.purpose.value() == purpose);
    // What can't be read may be loopback.
    if of_purpose.all(|listener| bound(listener).is_none_or(|bind| bind.ip().is_loopback())) {
        return;
    }
    for text in networks {
        if Network::parse(text.value()).is_ok_and(|network| network.prefix() < WIDEST) {
            let (message, expected) = match purpose {
                RawPurpose::Teams => ("everybody would be Teams", "Microsoft's networks, or no `networks`"),
                RawPurpose::Carrier | RawPurpose::Users => (
                    "everybody would be this carrier, and could call at your cost",
                    "the carrier's own networks, or `digest` with a password",
                ),
            };
            reader.fault_expecting(text.span(), message, expected);
        }
    }
}

/// The name of the listener that calls to this gateway would arrive at.
pub fn own<'l>(host: &Host, port: Option<u16>, transport: Transport, listeners: &'l [RawListener]) -> Option<&'l str> {
    let usual = if transport == Transport::Tls { 5061 } else { 5060 };
    let own = |listener: &&RawListener| {
        let Some(bind) = bound(listener) else { return false };
        let told = listener.advertise.as_ref();
        let told = told.and_then(|text| address::host_and_port(text.value()).ok());
        let bound = bind.port() == port.unwrap_or(usual) && *host == Host::Address(bind.ip());
        let told = told.is_some_and(|told| {
            // A name without a port is looked up, and may lead anywhere.
            let asked = port.or_else(|| matches!(host, Host::Address(_)).then_some(usual));
            told.host == *host && asked == Some(told.port.unwrap_or(bind.port()))
        });
        super::listener::transport(*listener.transport.value()) == transport && (bound || told)
    };
    listeners
        .iter()
        .find(own)
        .map(|listener| listener.name.value().as_str())
}

fn bound(listener: &RawListener) -> Option<SocketAddr> {
    address::socket(listener.bind.value()).ok()
}

fn is_udp(listener: &RawListener) -> bool {
    *listener.transport.value() == RawTransport::Udp
}

/// One address and port can't be bound twice, nor beside every address of its family.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let every = a.is_unspecified() || b.is_unspecified();
    one.port() == other.port() && (a == b || (every && a.is_ipv4() == b.is_ipv4()))
}
