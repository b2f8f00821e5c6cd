//! Which addresses are this node's.

use crate::config::{Host, Sbc};
use crate::net::interface_addresses;
use std::net::IpAddr;

/// The addresses that media of ours has: no peer may name one as its own. Bound to all interfaces, those of all.
pub fn own_addresses(sbc: &Sbc) -> Vec<IpAddr> {
    addresses([sbc.media.bind, sbc.media.advertise], interface_addresses())
}

/// Loopback is judged by itself wherever addresses are.
fn addresses(configured: [IpAddr; 2], interfaces: &[IpAddr]) -> Vec<IpAddr> {
    let mut own = configured.to_vec();
    if configured.iter().any(IpAddr::is_unspecified) {
        own.extend(interfaces.iter().filter(|address| !address.is_loopback()));
    }
    own
}

/// Whether one of our listeners has its socket at `address` (in its plain form) and `port`, or is told to peers so.
pub fn is_our_socket(sbc: &Sbc, address: IpAddr, port: u16) -> bool {
    let is_own = |own: IpAddr| own.to_canonical() == address;
    let on_an_interface = address.is_loopback() || interface_addresses().iter().any(|own| is_own(*own));
    sbc.listeners.iter().any(|listener| {
        let advertised = matches!(listener.advertise, Host::Address(own) if is_own(own));
        let bound = is_own(listener.bind.ip()) || (listener.bind.ip().is_unspecified() && on_an_interface);
        (advertised && port == listener.advertise_port) || (bound && port == listener.bind.port())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::fixture::machine;

    #[test]
    fn bound_to_all_interfaces_the_addresses_of_all_are_ours() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let interfaces = [ip("127.0.0.1"), ip("10.0.0.4"), ip("2001:db8::4")];
        let (inner, outer) = (ip("10.0.0.4"), ip("198.51.100.10"));
        assert_eq!(
            addresses([ip("0.0.0.0"), outer], &interfaces),
            [ip("0.0.0.0"), outer, inner, ip("2001:db8::4")]
        );
        assert_eq!(addresses([inner, outer], &interfaces), [inner, outer]);
    }

    #[test]
    fn a_socket_is_ours_where_it_is_bound_and_where_every_interface_leads() {
        let config = Config::from_toml_strs(&machine(""), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let ours = |address: IpAddr, port| is_our_socket(&config.sbc, address, port);
        let (bound, other) = (IpAddr::from([192, 0, 2, 10]), IpAddr::from([192, 0, 2, 11]));
        assert!(ours(bound, 5060) && !ours(bound, 5062) && !ours(other, 5060));
        let everywhere = interface_addresses()
            .iter()
            .copied()
            .chain([IpAddr::from([127, 0, 0, 1])]);
        for address in everywhere {
            assert!(
                ours(address.to_canonical(), 5061) && !ours(address.to_canonical(), 5063),
                "{address}"
            );
        }
    }
}
