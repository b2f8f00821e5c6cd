//! Which addresses are this node's.

use crate::config::Sbc;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
