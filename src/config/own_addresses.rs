//! Which addresses are this node's: one place for all who may not be led there, or whom no peer may name as its own.

use super::{Host, Listener, Sbc};
use std::net::{IpAddr, SocketAddr};

/// The addresses that a configuration gives this node. What is bound to all interfaces has the addresses of `interfaces`.
/// Loopback is judged by itself wherever addresses are, and is none of them.
#[derive(Debug, Clone, Copy)]
pub struct OwnAddresses<'a> {
    sbc: &'a Sbc,
    interfaces: &'a [IpAddr],
}

impl<'a> OwnAddresses<'a> {
    pub fn of(sbc: &'a Sbc, interfaces: &'a [IpAddr]) -> OwnAddresses<'a> {
        OwnAddresses { sbc, interfaces }
    }

    /// Those that our media have: no peer may name one as its own.
    pub fn of_media(self) -> Vec<IpAddr> {
        let mut own: Vec<IpAddr> = self.configured_for_media().collect();
        if own.iter().any(IpAddr::is_unspecified) {
            own.extend(self.interfaces.iter().filter(|address| !address.is_loopback()));
        }
        own
    }

    /// All of them: listeners for peers and for who administers the node, and media.
    pub fn all(self) -> Vec<IpAddr> {
        let advertised = self.sbc.listeners.iter().filter_map(advertised);
        let bound = self.sbc.listeners.iter().map(|listener| listener.bind.ip());
        let administration = self.administration().map(|bind| bind.ip());
        let media = self.configured_for_media();
        all_of(
            bound.chain(advertised).chain(administration).chain(media),
            self.interfaces,
        )
    }

    fn configured_for_media(self) -> impl Iterator<Item = IpAddr> {
        let addresses = self.sbc.media.addresses();
        addresses.flat_map(|address| [address.bind, address.advertise])
    }

    /// Where the admin and the REST interface listen.
    pub fn administration(self) -> impl Iterator<Item = SocketAddr> {
        let rest = self.sbc.api.as_ref().map(|api| api.bind);
        [Some(self.sbc.admin.bind), rest].into_iter().flatten()
    }

    /// The sockets of our listeners for peers, and where peers are told that they are.
    pub fn sockets(self) -> Vec<SocketAddr> {
        let mut sockets = Vec::new();
        for listener in &self.sbc.listeners {
            let (bind, port) = (listener.bind.ip(), listener.bind.port());
            match bind.is_unspecified() {
                true => sockets.extend(
                    self.interfaces
                        .iter()
                        .map(|own| SocketAddr::new(own.to_canonical(), port)),
                ),
                false => sockets.push(SocketAddr::new(bind.to_canonical(), port)),
            }
            let told = advertised(listener).map(|told| SocketAddr::new(told.to_canonical(), listener.advertise_port));
            sockets.extend(told);
        }
        sockets.sort_unstable();
        sockets.dedup();
        sockets
    }

    /// Whether one of our listeners for peers has its socket at `address` (in its plain form) and `port`, or is told to peers
    /// so.
    pub fn is_socket(self, address: IpAddr, port: u16) -> bool {
        let is_own = |own: IpAddr| own.to_canonical() == address;
        let on_an_interface = address.is_loopback() || self.interfaces.iter().any(|own| is_own(*own));
        self.sbc.listeners.iter().any(|listener| {
            let told = advertised(listener).is_some_and(is_own);
            let bound = is_own(listener.bind.ip()) || (listener.bind.ip().is_unspecified() && on_an_interface);
            (told && port == listener.advertise_port) || (bound && port == listener.bind.port())
        })
    }
}

/// What counts as the node's own of the addresses that its parts have and tell.
pub fn all_of(parts: impl Iterator<Item = IpAddr>, interfaces: &[IpAddr]) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = parts.collect();
    if own.iter().any(IpAddr::is_unspecified) {
        own.extend(interfaces);
    }
    own.retain(|address| !address.is_unspecified() && !address.is_loopback());
    own
}

fn advertised(listener: &Listener) -> Option<IpAddr> {
    match listener.advertise {
        Host::Address(address) => Some(address),
        Host::Name(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::fixture::machine;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn bound_to_all_interfaces_the_addresses_of_all_are_ours() {
        let config = Config::from_toml_strs(&machine(""), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut sbc = Sbc::clone(&config.sbc);
        let interfaces = [ip("127.0.0.1"), ip("10.0.0.4"), ip("2001:db8::4")];
        let (inner, outer) = (ip("10.0.0.4"), ip("198.51.100.10"));
        (sbc.media.address.bind, sbc.media.address.advertise) = (ip("0.0.0.0"), outer);
        assert_eq!(
            OwnAddresses::of(&sbc, &interfaces).of_media(),
            [ip("0.0.0.0"), outer, inner, ip("2001:db8::4")]
        );
        sbc.media.address.bind = inner;
        let own = OwnAddresses::of(&sbc, &interfaces);
        assert_eq!(own.of_media(), [inner, outer]);
        let all = own.all();
        assert!(all.contains(&inner) && all.contains(&outer), "{all:?}");
        assert!(all.contains(&ip("192.0.2.10")), "listeners: {all:?}");
        let judged = |address: &IpAddr| address.is_loopback() || address.is_unspecified();
        assert!(!all.iter().any(judged), "{all:?}");
    }

    #[test]
    fn a_socket_is_ours_where_it_is_bound_and_where_every_interface_leads() {
        let config = Config::from_toml_strs(&machine(""), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let interfaces = [ip("10.0.0.4"), ip("2001:db8::4")];
        let ours = |address: IpAddr, port| OwnAddresses::of(&config.sbc, &interfaces).is_socket(address, port);
        let (bound, other) = (ip("192.0.2.10"), ip("192.0.2.11"));
        assert!(ours(bound, 5060) && !ours(bound, 5062) && !ours(other, 5060));
        for address in interfaces.into_iter().chain([ip("127.0.0.1")]) {
            assert!(ours(address, 5061) && !ours(address, 5063), "{address}");
        }
        let sockets = OwnAddresses::of(&config.sbc, &interfaces).sockets();
        assert!(
            sockets.iter().all(|socket| ours(socket.ip(), socket.port())),
            "{sockets:?}"
        );
        for known in [SocketAddr::new(bound, 5060), SocketAddr::new(interfaces[0], 5061)] {
            assert!(sockets.contains(&known), "{known}: {sockets:?}");
        }
    }
}
