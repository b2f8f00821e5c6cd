//! Which addresses an application may make this node connect to.

use crate::config::{Network, OwnAddresses, Sbc};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Decides over every address, after every resolution: a name that pointed elsewhere a second ago proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPolicy {
    networks: Vec<Network>,
    loopback: bool,
    /// A stranger has named the place.
    redirected: bool,
    own: Vec<IpAddr>,
    /// The admin and the REST listener, which nothing opens.
    listening: Vec<SocketAddr>,
}

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("unspecified, broadcast or multicast")]
    NotOneHost,
    #[error("link-local, where clouds keep their metadata")]
    LinkLocal,
    #[error("loopback")]
    Loopback,
    #[error("an address of this node")]
    Own,
    #[error("the admin or the REST listener of this node")]
    Administration,
    #[error("private, and in none of the networks that are allowed")]
    Private,
    #[error("reserved, and in none of the networks that are allowed")]
    Reserved,
    /// What it is, where exceptions don't count.
    #[error("{0}, and a redirect to another server is followed to a public address alone")]
    NotPublic(&'static str),
}

impl Forbidden {
    /// The same where no exception would have helped.
    fn of_redirect(self) -> Forbidden {
        match self {
            Forbidden::Private => Forbidden::NotPublic("private"),
            Forbidden::Reserved => Forbidden::NotPublic("reserved"),
            Forbidden::Loopback => Forbidden::NotPublic("loopback"),
            other => other,
        }
    }
}

impl AddressPolicy {
    /// Public addresses, and those in `networks`; loopback only where `loopback` says so; never one of `own`, unless
    /// `networks` names it.
    pub fn new(networks: Vec<Network>, loopback: bool, own: Vec<IpAddr>) -> AddressPolicy {
        AddressPolicy {
            networks,
            loopback,
            redirected: false,
            own,
            listening: Vec::new(),
        }
    }

    /// What the configuration allows application servers. `interfaces` are this node's addresses where something of it is
    /// bound to all of them.
    pub fn of(sbc: &Sbc, interfaces: &[IpAddr]) -> AddressPolicy {
        let own = OwnAddresses::of(sbc, interfaces);
        let servers = &sbc.application_servers;
        AddressPolicy::new(servers.allow_networks.clone(), servers.allow_loopback, own.all())
            .beside(own.administration().collect())
    }

    /// The same on a node whose admin and REST listeners are at `listening`.
    pub fn beside(self, listening: Vec<SocketAddr>) -> AddressPolicy {
        AddressPolicy { listening, ..self }
    }

    /// The same without the exceptions: for a place that a stranger named, such as a redirect's.
    pub fn public_only(&self) -> AddressPolicy {
        AddressPolicy {
            networks: Vec::new(),
            loopback: false,
            redirected: true,
            own: self.own.clone(),
            listening: self.listening.clone(),
        }
    }

    /// Whether `address` may be connected to: [`AddressPolicy::check`], and it is no listener for whoever administers this
    /// node, whatever network that is in.
    pub fn check_socket(&self, address: SocketAddr) -> Result<(), Forbidden> {
        self.check(address.ip())?;
        let ip = embedded(address.ip());
        let everywhere = ip.is_loopback() || self.own.iter().any(|own| own.to_canonical() == ip);
        let leads_there = |bind: &SocketAddr| {
            let here = bind.ip().to_canonical() == ip || (bind.ip().is_unspecified() && everywhere);
            here && bind.port() == address.port()
        };
        match self.listening.iter().any(leads_there) {
            true => Err(Forbidden::Administration),
            false => Ok(()),
        }
    }

    /// Whether `address` may be connected to. What is never one host, and link-local, can't be allowed by any network.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let address = embedded(address);
        let kind = kind(address);
        if let Some(never @ (Forbidden::NotOneHost | Forbidden::LinkLocal)) = kind {
            return Err(never);
        }
        if self.networks.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        match kind {
            Some(Forbidden::Loopback) if self.loopback => Ok(()),
            Some(why) if self.redirected => Err(why.of_redirect()),
            Some(why) => Err(why),
            None if self.own.iter().any(|own| own.to_canonical() == address) => Err(Forbidden::Own),
            None => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291 §2.5.5.2), behind NAT64 (RFC 6052) or 6to4
/// (RFC 3056); a translator on the way would deliver to it.
pub fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        (0x0064, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        (0x2002, _) => v4(b, c),
        _ => address.to_canonical(),
    }
}

/// What is special about an address; `None` for a public one.
fn kind(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6),
    }
}

fn kind_v4(v4: Ipv4Addr) -> Option<Forbidden> {
    Some(match v4.octets() {
        [0, ..] | [224..=239, ..] | [255, 255, 255, 255] => Forbidden::NotOneHost,
        [127, ..] => Forbidden::Loopback,
        [169, 254, ..] => Forbidden::LinkLocal,
        // RFC 1918, RFC 6598
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Forbidden::Private,
        // RFC 6890, RFC 2544, RFC 5737, RFC 1112 §4
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [240..=255, ..] => {
            Forbidden::Reserved
        }
        _ => return None,
    })
}

fn kind_v6(v6: Ipv6Addr) -> Option<Forbidden> {
    if v6.is_unspecified() || v6.is_multicast() {
        return Some(Forbidden::NotOneHost);
    }
    if v6.is_loopback() {
        return Some(Forbidden::Loopback);
    }
    let [a, b, ..] = v6.segments();
    Some(match a {
        0xfe80..=0xfebf => Forbidden::LinkLocal,
        // RFC 4193, and the site-local range of old
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Forbidden::Private,
        // Teredo and documentation
        0x2001 if b == 0 || b == 0x0db8 => Forbidden::Reserved,
        // Outside global unicast (RFC 4291 §2.4): among others IPv4-compatible and local-use NAT64 addresses
        a if a & 0xe000 != 0x2000 => Forbidden::Reserved,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str], loopback: bool) -> AddressPolicy {
        let networks = networks.iter().map(|text| Network::parse(text).unwrap()).collect();
        AddressPolicy::new(networks, loopback, vec!["198.41.0.4".parse().unwrap()])
    }

    fn check(policy: &AddressPolicy, address: &str) -> Result<(), Forbidden> {
        policy.check(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_pass_by_default() {
        let default = policy(&[], false);
        for (address, why) in [
            ("0.0.0.0", Forbidden::NotOneHost),
            ("255.255.255.255", Forbidden::NotOneHost),
            ("224.0.0.1", Forbidden::NotOneHost),
            ("ff02::1", Forbidden::NotOneHost),
            ("::", Forbidden::NotOneHost),
            ("127.0.0.1", Forbidden::Loopback),
            ("127.8.9.10", Forbidden::Loopback),
            ("::1", Forbidden::Loopback),
            ("::ffff:127.0.0.1", Forbidden::Loopback),
            ("64:ff9b::7f00:1", Forbidden::Loopback),
            ("169.254.169.254", Forbidden::LinkLocal),
            ("::ffff:169.254.169.254", Forbidden::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Forbidden::LinkLocal),
            ("2002:a9fe:a9fe::1", Forbidden::LinkLocal),
            ("fe80::1", Forbidden::LinkLocal),
            ("10.0.0.1", Forbidden::Private),
            ("172.31.255.255", Forbidden::Private),
            ("192.168.1.1", Forbidden::Private),
            ("100.64.0.1", Forbidden::Private),
            ("fd00:ec2::254", Forbidden::Private),
            ("198.18.0.1", Forbidden::Reserved),
            ("240.0.0.1", Forbidden::Reserved),
            ("2001:0:1::1", Forbidden::Reserved),
            ("::127.0.0.1", Forbidden::Reserved),
            ("64:ff9b:1::a00:1", Forbidden::Reserved),
            ("198.41.0.4", Forbidden::Own),
            ("::ffff:198.41.0.4", Forbidden::Own),
        ] {
            assert_eq!(check(&default, address), Err(why), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(&default, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_listed_network_opens_itself_and_nothing_else() {
        let listed = policy(&["10.1.0.0/16", "198.41.0.4"], false);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "198.41.0.4"] {
            assert_eq!(check(&listed, address), Ok(()), "{address}");
        }
        assert_eq!(check(&listed, "10.2.0.1"), Err(Forbidden::Private));
        assert_eq!(
            check(&listed.public_only(), "10.1.2.3"),
            Err(Forbidden::NotPublic("private"))
        );
        let everything = policy(&["0.0.0.0/0", "::/0"], false);
        assert_eq!(check(&everything, "10.0.0.1"), Ok(()));
        for address in ["169.254.169.254", "fe80::1", "0.0.0.0", "239.1.1.1"] {
            assert!(check(&everything, address).is_err(), "{address}");
        }
    }

    #[test]
    fn no_switch_and_no_network_opens_the_listeners_of_whoever_administers_the_node() {
        use crate::config::Config;
        use crate::config::fixture::machine;
        let more = "[admin]\nbind = \"127.0.0.1:8080\"\n[api]\nbind = \"0.0.0.0:8081\"\nallow_remote = true\n\
                    [application_servers]\nallow_loopback = true\nallow_networks = [\"10.0.0.0/8\"]\n";
        let config = Config::from_toml_strs(&machine(more), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let policy = AddressPolicy::of(&config.sbc, &["10.0.0.4".parse().unwrap()]);
        let check = |text: &str| policy.check_socket(text.parse().unwrap());
        for administration in [
            "127.0.0.1:8080",
            "[::ffff:127.0.0.1]:8080",
            "127.0.0.1:8081",
            "[::1]:8081",
            "10.0.0.4:8081",
        ] {
            assert_eq!(
                check(administration),
                Err(Forbidden::Administration),
                "{administration}"
            );
        }
        for other in ["127.0.0.1:3000", "127.0.0.2:8080", "10.0.0.4:3000", "10.0.0.5:8081"] {
            assert_eq!(check(other), Ok(()), "{other}");
        }
    }

    #[test]
    fn loopback_is_opened_by_its_own_switch() {
        let open = policy(&[], true);
        assert_eq!(check(&open, "127.0.0.1"), Ok(()));
        assert_eq!(check(&open, "::1"), Ok(()));
        assert_eq!(check(&open, "10.0.0.1"), Err(Forbidden::Private));
        assert_eq!(
            check(&open.public_only(), "127.0.0.1"),
            Err(Forbidden::NotPublic("loopback"))
        );
    }
}
