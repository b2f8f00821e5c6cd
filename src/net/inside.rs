//! Addresses that lead nowhere from outside.

use std::net::IpAddr;

/// What keeps others from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// RFC 1918, unique local (RFC 4193).
    Private,
    /// Between a carrier's NAT and its customers (RFC 6598).
    Shared,
    LinkLocal,
}

/// Whether an address is of some inside network; one mapped into IPv6 counts as the IPv4 address.
pub fn inside(address: IpAddr) -> Option<Inside> {
    match address.to_canonical() {
        IpAddr::V4(v4) => match v4.octets() {
            [100, 64..=127, ..] => Some(Inside::Shared),
            _ if v4.is_private() => Some(Inside::Private),
            _ if v4.is_link_local() => Some(Inside::LinkLocal),
            _ => None,
        },
        IpAddr::V6(v6) if v6.is_unique_local() => Some(Inside::Private),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Inside::LinkLocal),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_end_where_the_rfcs_say() {
        for (wanted, addresses) in [
            (
                Some(Inside::Private),
                &[
                    "10.0.0.1",
                    "172.31.255.255",
                    "192.168.0.1",
                    "fd00::1",
                    "::ffff:10.0.0.1",
                ][..],
            ),
            (Some(Inside::Shared), &["100.64.0.0", "100.127.255.255"]),
            (Some(Inside::LinkLocal), &["169.254.169.254", "fe80::1", "febf::1"]),
            (
                None,
                &[
                    "100.63.255.255",
                    "100.128.0.0",
                    "172.32.0.0",
                    "203.0.113.1",
                    "2001:db8::1",
                    "fec0::1",
                    "127.0.0.1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(inside(address.parse().unwrap()), wanted, "{address}");
            }
        }
    }
}
