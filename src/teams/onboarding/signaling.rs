//! Where Teams connects to, as everybody outside sees it.

use crate::config::{Config, Host, Listener};
use crate::net::inside;
use std::net::IpAddr;

/// The port of the listener for Teams.
pub(super) fn signaling_port(config: &Config) -> u16 {
    listener(config).map_or(5061, |listener| listener.advertise_port)
}

/// The address of the listener for Teams, which is told by a name alone: its own where that is a public one. Behind NAT, and on
/// all interfaces, it is what else is bound there is told to peers as, SIP before media. `None`: the configuration does not say.
pub fn signaling_address(config: &Config) -> Option<IpAddr> {
    let own = listener(config)?.bind.ip();
    if is_public(own) {
        return Some(own);
    }
    let sbc = &config.sbc;
    let of_sip = sbc.listeners.iter().filter_map(|listener| match listener.advertise {
        Host::Address(told) => Some((listener.bind.ip(), told)),
        Host::Name(_) => None,
    });
    let of_teams = std::iter::once(sbc.media_of(sbc.teams.listener));
    let of_media = of_teams
        .chain(sbc.media.addresses())
        .map(|media| (media.bind, media.advertise));
    // A socket of one IP version hears nothing of the other.
    let told: Vec<(IpAddr, IpAddr)> = of_sip
        .chain(of_media)
        .filter(|(_, told)| told.is_ipv4() == own.is_ipv4())
        .collect();
    let public = || told.iter().filter(|(_, told)| is_public(*told));
    if let Some((_, told)) = public().find(|(bind, _)| *bind == own) {
        return Some(*told);
    }
    let mut perhaps = public().filter(|(bind, _)| bind.is_unspecified() || own.is_unspecified());
    match perhaps.next() {
        Some((_, first)) => perhaps.all(|(_, told)| told == first).then_some(*first),
        // A laboratory, all of it inside.
        None if public().next().is_none() => told
            .iter()
            .find(|(bind, _)| *bind == own)
            .or(told.first())
            .map(|(_, told)| *told),
        None => None,
    }
}

/// Whether the listener for Teams has its socket at `address`: one of `interfaces` where it is bound to all of them.
pub fn is_bound(config: &Config, address: IpAddr, interfaces: &[IpAddr]) -> bool {
    listener(config).is_some_and(|listener| match listener.bind.ip() {
        own if own.is_unspecified() => own.is_ipv4() == address.is_ipv4() && interfaces.contains(&address),
        own => own == address,
    })
}

fn listener(config: &Config) -> Option<&Listener> {
    config.sbc.listener(config.sbc.teams.listener)
}

fn is_public(address: IpAddr) -> bool {
    !address.is_unspecified() && inside(address).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found where the listener for Teams is bound to `teams`, beside what else is bound, and told as what.
    fn found(teams: &str, carriers: (&str, &str), media: (&str, &str)) -> Option<String> {
        let told = |(bind, told): (&str, &str)| format!("bind = \"{bind}\"\nadvertise = \"{told}\"\n");
        let sbc = format!(
            "[[listeners]]\nname = \"teams\"\npurpose = \"teams\"\ntransport = \"tls\"\nbind = \"{teams}:5061\"\n\
             certificates = [{{ certificate = \"sbc.pem\", key = \"sbc.key\" }}]\n\
             [[listeners]]\nname = \"udp\"\npurpose = \"carrier\"\ntransport = \"udp\"\n{}\
             [media]\n{}\
             [teams]\nbase = \"sbc1.example.net\"\n[emergency]\nnumbers = [\"112\"]\n",
            told((&format!("{}:5060", carriers.0), carriers.1)),
            told(media)
        );
        let config = Config::from_toml_strs(&sbc, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
        signaling_address(&config).map(|address| address.to_string())
    }

    #[test]
    fn signaling_has_its_own_address_where_it_is_known() {
        let (sip, media) = ("198.51.100.7", "198.51.100.10");
        let cases = [
            // Two public addresses.
            (sip, (sip, sip), (media, media), Some(sip)),
            // 1:1 NAT of one address, and of two.
            ("0.0.0.0", ("0.0.0.0", media), ("0.0.0.0", media), Some(media)),
            ("10.0.0.4", ("10.0.0.4", sip), ("10.0.0.5", media), Some(sip)),
            ("10.0.0.5", ("10.0.0.4", sip), ("10.0.0.5", media), Some(media)),
            ("0.0.0.0", ("0.0.0.0", sip), ("10.0.0.5", media), Some(sip)),
            // Carriers on a network of their own.
            ("0.0.0.0", ("0.0.0.0", "10.0.0.4"), ("0.0.0.0", media), Some(media)),
            ("10.0.0.4", ("10.0.0.9", "10.0.0.9"), ("0.0.0.0", media), Some(media)),
            // An outer address of which nothing is said.
            ("10.0.0.4", ("10.0.0.9", "10.0.0.9"), ("10.0.0.5", media), None),
            ("0.0.0.0", ("10.0.0.4", sip), ("10.0.0.5", media), None),
            // Nothing is outside.
            (
                "10.0.0.4",
                ("10.0.0.9", "10.0.0.9"),
                ("10.0.0.4", "10.0.0.4"),
                Some("10.0.0.4"),
            ),
            // IPv6 beside IPv4 carriers.
            (
                "[::]",
                ("192.0.2.4", "192.0.2.4"),
                ("::", "2001:db8::10"),
                Some("2001:db8::10"),
            ),
        ];
        for (teams, carriers, media, wanted) in cases {
            assert_eq!(
                found(teams, carriers, media).as_deref(),
                wanted,
                "{teams} {carriers:?} {media:?}"
            );
        }
    }
}
