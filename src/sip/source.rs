//! What counts as one source.

use std::net::{IpAddr, Ipv6Addr};

/// What limits count as one source: an IPv4 address, or the /64 that one IPv6 host can use at will.
pub fn source_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}
