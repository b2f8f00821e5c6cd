//! Why a source is nobody's, in words that lead to the key which is wrong.

use super::identify::is_certified;
use crate::config::{Carrier, Config, Host, Network, Purpose};
use crate::sip::{ListenerId, PeerCertificate, Transport};
use std::fmt;
use std::net::IpAddr;

/// Who comes: a request's flow, or a connection that is not let in.
#[derive(Debug, Clone, Copy)]
pub struct Comer<'a> {
    pub address: IpAddr,
    pub listener: ListenerId,
    pub transport: Transport,
    pub peer: Option<&'a PeerCertificate>,
}

/// Why it is nobody. Made of borrowed parts, for whoever floods a listener is looked up each time.
#[derive(Debug, Clone, Copy)]
pub enum Unidentified<'a> {
    /// No carrier's network has the address.
    Network { nearest: Option<Nearest<'a>> },
    /// This carrier's has, but it calls over other transports.
    Transport { carrier: &'a Carrier, came: Transport },
    /// This carrier's has, and the certificate is not its own.
    Certificate {
        carrier: &'a Carrier,
        shown: Option<&'a PeerCertificate>,
    },
    /// No network of Teams has the address.
    Teams,
    /// A user's request, in a realm that no tenant has.
    Realm,
}

/// Whom somebody that is nobody may well be.
#[derive(Debug, Clone, Copy)]
pub enum Nearest<'a> {
    /// Calls go to this address, and are not taken from there.
    Gateway(&'a Carrier),
    Network(&'a Carrier, Network),
}

/// Leading bits that an address has to share with a network to be called near.
const fn near(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 16,
        IpAddr::V6(_) => 32,
    }
}

impl<'a> Unidentified<'a> {
    /// Why `comer`, whom [`super::identify`] or admission does not know, is nobody.
    pub fn of(config: &'a Config, comer: &Comer<'a>) -> Unidentified<'a> {
        let listener = config.sbc.listener(comer.listener);
        if listener.is_some_and(|listener| listener.purpose == Purpose::Teams) {
            return Unidentified::Teams;
        }
        let carriers = || config.sbc.carriers.iter().map(|carrier| &**carrier);
        let longest = |of: &dyn Fn(&Carrier) -> Option<u8>| {
            let found = carriers().filter_map(|carrier| Some((of(carrier)?, carrier)));
            found.max_by_key(|(prefix, _)| *prefix).map(|(_, carrier)| carrier)
        };
        let over_this = |carrier: &Carrier| carrier.identify.matches(comer.address, comer.transport);
        let uncertified = |carrier: &Carrier| over_this(carrier).filter(|_| !is_certified(config, carrier, comer.peer));
        if let Some(carrier) = longest(&uncertified) {
            let shown = comer.peer;
            return Unidentified::Certificate { carrier, shown };
        }
        if let Some(carrier) = longest(&|carrier| carrier.identify.prefix_of(comer.address)) {
            let came = comer.transport;
            return Unidentified::Transport { carrier, came };
        }
        let gateway = carriers().find(|carrier| {
            let mut gateways = carrier.gateways.iter();
            gateways.any(|gateway| gateway.host == Host::Address(comer.address))
        });
        let networks = || {
            let networks =
                carriers().flat_map(|carrier| carrier.identify.networks.iter().map(move |net| (carrier, *net)));
            let shared = networks.map(|(carrier, net)| (net.shared_bits(comer.address), carrier, net));
            let nearest = shared
                .filter(|(bits, ..)| *bits >= near(comer.address))
                .max_by_key(|(bits, ..)| *bits);
            nearest.map(|(_, carrier, network)| Nearest::Network(carrier, network))
        };
        Unidentified::Network {
            nearest: gateway.map(Nearest::Gateway).or_else(networks),
        }
    }

    /// A fixed word for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Unidentified::Network { .. } => "network",
            Unidentified::Transport { .. } => "transport",
            Unidentified::Certificate { .. } => "certificate",
            Unidentified::Teams => "teams",
            Unidentified::Realm => "realm",
        }
    }

    /// All that [`Unidentified::label`] says.
    pub const LABELS: [&'static str; 5] = ["network", "transport", "certificate", "teams", "realm"];

    /// The carrier that it seems to be: few strangers seem to be one.
    pub const fn carrier(&self) -> Option<&'a Carrier> {
        match self {
            Unidentified::Transport { carrier, .. }
            | Unidentified::Certificate { carrier, .. }
            | Unidentified::Network {
                nearest: Some(Nearest::Gateway(carrier) | Nearest::Network(carrier, _)),
            } => Some(carrier),
            Unidentified::Network { nearest: None } | Unidentified::Teams | Unidentified::Realm => None,
        }
    }
}

/// A list as people read it.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Unidentified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unidentified::Network { nearest: None } => write!(f, "no carrier's `networks` have this address"),
            Unidentified::Network {
                nearest: Some(Nearest::Gateway(carrier)),
            } => write!(
                f,
                "no carrier's `networks` have this address; it is a gateway of carrier {:?}, and calls are taken from `networks` alone",
                carrier.id.as_str()
            ),
            Unidentified::Network {
                nearest: Some(Nearest::Network(carrier, network)),
            } => write!(
                f,
                "no carrier's `networks` have this address; the nearest are {network} of carrier {:?}",
                carrier.id.as_str()
            ),
            Unidentified::Transport { carrier, came } => write!(
                f,
                "carrier {:?} has this address, but over {came} it is not taken for it: its `transports` are {}",
                carrier.id.as_str(),
                List(&carrier.identify.transports)
            ),
            Unidentified::Certificate { carrier, shown } => {
                let (id, names) = (carrier.id.as_str(), &carrier.identify.client_names);
                write!(f, "carrier {id:?} has this address, but ")?;
                match shown {
                    _ if names.is_empty() => write!(f, "the certificate is for `client_names` of another carrier"),
                    None => write!(f, "no certificate came; its `client_names` are {}", List(names)),
                    Some(shown) => {
                        write!(
                            f,
                            "the certificate bears none of its `client_names`, which are {}: ",
                            List(names)
                        )?;
                        match (&shown.common_name, shown.dns_names.as_slice()) {
                            (None, []) => write!(f, "it bears no name"),
                            (Some(name), []) => write!(f, "it is for {name}"),
                            (_, [name]) => write!(f, "it is for {name}"),
                            (_, [name, more @ ..]) => write!(f, "it is for {name} and {} more", more.len()),
                        }
                    }
                }
            }
            Unidentified::Teams => write!(f, "`networks` of [teams] have no such address"),
            Unidentified::Realm => write!(f, "no tenant has the realm that it names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;

    const CARRIERS: &str = r#"
        [[listeners]]
        name = "tls"
        purpose = "carrier"
        transport = "tls"
        bind = "192.0.2.10:5065"
        certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]
        client_certificate = "require"
        [[carriers]]
        id = "north"
        networks = ["203.0.113.0/28"]
        gateways = [{ host = "198.51.100.7", listener = "udp" }]
        [[carriers]]
        id = "south"
        networks = ["203.0.112.0/28", "2001:db8:1::/48"]
        transports = ["tls"]
        [[carriers]]
        id = "west"
        networks = ["192.0.2.64/28"]
        transports = ["tls"]
        client_names = ["gw.west.example", "gw2.west.example"]
    "#;

    fn certificate(names: &[&str]) -> PeerCertificate {
        PeerCertificate {
            common_name: None,
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            serial: "01".into(),
            not_after: 0,
        }
    }

    #[test]
    fn why_a_source_is_nobody_names_the_key_that_may_be_wrong() {
        let config = Config::from_toml_strs(&machine(CARRIERS), &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let listener = |name: &str| {
            let mut listeners = config.sbc.listeners.iter();
            listeners
                .find(|listener| listener.name.as_str() == name)
                .expect("a listener")
                .id
        };
        let (other, many) = (
            certificate(&["gw.other.example"]),
            certificate(&["a.example", "b.example"]),
        );
        let west = certificate(&["gw.west.example"]);
        for (address, transport, peer, label, carrier, says) in [
            (
                "198.18.0.1",
                Transport::Udp,
                None,
                "network",
                None,
                "no carrier's `networks` have this address",
            ),
            (
                "203.0.113.16",
                Transport::Udp,
                None,
                "network",
                Some("north"),
                "no carrier's `networks` have this address; the nearest are 203.0.113.0/28 of carrier \"north\"",
            ),
            (
                "2001:db8:2::1",
                Transport::Tls,
                None,
                "network",
                Some("south"),
                "no carrier's `networks` have this address; the nearest are 2001:db8:1::/48 of carrier \"south\"",
            ),
            (
                "198.51.100.7",
                Transport::Udp,
                None,
                "network",
                Some("north"),
                "no carrier's `networks` have this address; it is a gateway of carrier \"north\", and calls are taken from \
                 `networks` alone",
            ),
            (
                "203.0.112.1",
                Transport::Udp,
                None,
                "transport",
                Some("south"),
                "carrier \"south\" has this address, but over udp it is not taken for it: its `transports` are tls",
            ),
            (
                "192.0.2.65",
                Transport::Tls,
                None,
                "certificate",
                Some("west"),
                "carrier \"west\" has this address, but no certificate came; its `client_names` are gw.west.example, \
                 gw2.west.example",
            ),
            (
                "192.0.2.65",
                Transport::Tls,
                Some(&other),
                "certificate",
                Some("west"),
                "carrier \"west\" has this address, but the certificate bears none of its `client_names`, which are \
                 gw.west.example, gw2.west.example: it is for gw.other.example",
            ),
            (
                "192.0.2.65",
                Transport::Tls,
                Some(&many),
                "certificate",
                Some("west"),
                "carrier \"west\" has this address, but the certificate bears none of its `client_names`, which are \
                 gw.west.example, gw2.west.example: it is for a.example and 1 more",
            ),
            (
                "203.0.112.1",
                Transport::Tls,
                Some(&west),
                "certificate",
                Some("south"),
                "carrier \"south\" has this address, but the certificate is for `client_names` of another carrier",
            ),
        ] {
            let comer = Comer {
                address: address.parse().expect("an address"),
                listener: listener(if transport == Transport::Udp { "udp" } else { "tls" }),
                transport,
                peer,
            };
            let why = Unidentified::of(&config, &comer);
            let seems = why.carrier().map(|carrier| carrier.id.as_str());
            assert_eq!(
                (why.label(), seems, &*why.to_string()),
                (label, carrier, says),
                "{address}"
            );
            assert!(Unidentified::LABELS.contains(&label));
        }
        let comer = Comer {
            address: "203.0.113.1".parse().expect("an address"),
            listener: listener("teams"),
            transport: Transport::Tls,
            peer: None,
        };
        assert_eq!(
            Unidentified::of(&config, &comer).label(),
            "teams",
            "a carrier's, at Teams' door"
        );
    }
}
