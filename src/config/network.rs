//! IP networks in CIDR form: whom a carrier or Teams may call from.

use super::names::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// An IPv4 or IPv6 network. The host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `203.0.113.0/24`, or one address (`203.0.113.7`, the same as `/32`).
    pub fn parse(text: &str) -> Result<Network, Invalid> {
        const EXPECTED: Invalid = Invalid("an IP address or a network such as 203.0.113.0/24");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let whole = width(base);
        let prefix = match prefix {
            None => whole,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| EXPECTED)?,
            Some(_) => return Err(EXPECTED),
        };
        if prefix > whole {
            return Err(EXPECTED);
        }
        let network = Network { base, prefix };
        if bits(base) & !network.mask() != 0 {
            return Err(Invalid(
                "a network whose host bits are zero (203.0.113.0/24, not 203.0.113.7/24)",
            ));
        }
        Ok(network)
    }

    /// Bits that every address of the network shares: 0 to 32, or to 128.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && bits(address) & self.mask() == bits(self.base)
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    /// Its lowest address.
    pub const fn first(self) -> IpAddr {
        self.base
    }

    /// Leading bits that `address` shares with the network's own; 0 where one is IPv4 and the other IPv6.
    pub fn shared_bits(self, address: IpAddr) -> u8 {
        let address = address.to_canonical();
        if address.is_ipv4() != self.base.is_ipv4() {
            return 0;
        }
        let unlike = bits(address) ^ bits(self.base);
        let width = width(address);
        let differing = u8::try_from(u128::BITS - unlike.leading_zeros()).unwrap_or(width);
        self.prefix.min(width.saturating_sub(differing))
    }

    fn mask(self) -> u128 {
        let host = u32::from(width(self.base) - self.prefix);
        u128::MAX.checked_shl(host).unwrap_or(0)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        match (Network::parse(network), address.parse()) {
            (Ok(network), Ok(address)) => network.contains(address),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn membership() {
        assert!(holds("52.112.0.0/14", "52.115.255.255"));
        assert!(!holds("52.112.0.0/14", "52.116.0.0"));
        assert!(holds("203.0.113.7", "203.0.113.7"));
        assert!(!holds("203.0.113.7", "203.0.113.8"));
        assert!(holds("203.0.113.0/24", "::ffff:203.0.113.9"));
        assert!(holds("2001:db8::/32", "2001:db8::1"));
        assert!(holds("0.0.0.0/0", "198.51.100.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1"));
    }

    #[test]
    fn how_near_an_address_is() {
        for (network, address, bits) in [
            ("203.0.113.0/24", "203.0.113.9", 24),
            ("203.0.113.0/28", "203.0.113.16", 27),
            ("203.0.113.7", "203.0.112.7", 23),
            ("203.0.113.0/24", "::ffff:203.0.114.9", 22),
            ("203.0.113.0/24", "2001:db8::1", 0),
            ("2001:db8::/32", "2001:db9::1", 31),
            ("0.0.0.0/0", "198.51.100.1", 0),
        ] {
            let network = Network::parse(network).expect("a network");
            let address = address.parse().expect("an address");
            assert_eq!(network.shared_bits(address), bits, "{network} {address}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "",
            "203.0.113.7/24",
            "203.0.113.0/33",
            "203.0.113.0/",
            "203.0.113.0/+8",
            "example.net",
            "2001:db8::/129",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
