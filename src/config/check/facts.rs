//! What a tenant needs to know of the machine, as far as it can be read, whatever else is wrong with the machine's file.

use super::address;
use super::api::REST;
use super::bases::Bases;
use super::carrier;
use super::machine::ADMIN;
use super::media;
use crate::app::outbound::AddressPolicy;
use crate::config::checked::Host;
use crate::config::network::Network;
use crate::config::own_addresses;
use crate::config::raw::{At, RawPurpose, RawSbc};
use std::net::SocketAddr;

/// What a tenant needs to know of the machine; None is what can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    pub bases: Bases,
    /// Every carrier's id as typed.
    pub carriers: Option<Vec<String>>,
    /// Some listener is for users.
    pub users_listened: Option<bool>,
    /// Which addresses hooks may have. What only the machine itself knows, such as its interfaces, its client judges.
    pub reach: Option<AddressPolicy>,
    /// Media of Teams have an IPv4 address.
    pub media_ipv4: Option<bool>,
    /// The names of further media addresses as typed, and which of them are IPv4.
    pub media_addresses: Option<Vec<(String, Option<bool>)>>,
    /// `teams.bypass`.
    pub bypass: Option<bool>,
    /// `teams.refer`.
    pub refer: Option<bool>,
}

impl MachineFacts {
    pub fn of(raw: &RawSbc) -> MachineFacts {
        let teams = raw.teams.value();
        let mut listeners = raw.listeners.iter();
        MachineFacts {
            bases: Bases::of(teams),
            carriers: carrier::ids(raw).map(|ids| ids.into_iter().map(str::to_owned).collect()),
            users_listened: Some(listeners.any(|listener| *listener.purpose.value() == RawPurpose::Users)),
            reach: reach(raw),
            media_ipv4: media::is_ipv4(raw, media::of_teams(raw)),
            media_addresses: Some(
                media::names(raw)
                    .into_iter()
                    .map(|name| (name.to_owned(), media::is_ipv4(raw, Some(name))))
                    .collect(),
            ),
            bypass: Some(teams.bypass.as_ref().is_some_and(|bypass| *bypass.value())),
            refer: Some(teams.refer.as_ref().is_none_or(|refer| *refer.value())),
        }
    }

    /// What is so in another reading of the machine's file as well.
    pub fn common(self, other: &MachineFacts) -> MachineFacts {
        fn same<T: PartialEq>(one: Option<T>, other: &Option<T>) -> Option<T> {
            one.filter(|one| other.as_ref() == Some(one))
        }
        MachineFacts {
            bases: self.bases.common(&other.bases),
            carriers: same(self.carriers, &other.carriers),
            users_listened: same(self.users_listened, &other.users_listened),
            reach: same(self.reach, &other.reach),
            media_ipv4: same(self.media_ipv4, &other.media_ipv4),
            media_addresses: same(self.media_addresses, &other.media_addresses),
            bypass: same(self.bypass, &other.bypass),
            refer: same(self.refer, &other.refer),
        }
    }
}

/// [`AddressPolicy::of`] for a file that may be wrong: an address of this node that can't be read is not known as one.
fn reach(raw: &RawSbc) -> Option<AddressPolicy> {
    let servers = raw.application_servers.as_ref();
    let networks = servers.map_or(&[][..], |servers| &servers.allow_networks);
    let networks = networks.iter().map(|text| Network::parse(text.value()));
    let loopback = servers.and_then(|servers| servers.allow_loopback.as_ref());
    let socket = |text: &At<String>| address::socket(text.value()).ok();
    let admin = raw.admin.as_ref().and_then(|admin| admin.bind.as_ref());
    let rest = raw.api.as_ref().map(|api| api.bind.as_ref().map_or(Some(REST), socket));
    let administration = [admin.map_or(Some(ADMIN), socket), rest.flatten()];
    let listening: Vec<SocketAddr> = administration.into_iter().flatten().collect();
    let bound = raw.listeners.iter().filter_map(|listener| socket(&listener.bind));
    let told = raw.listeners.iter().filter_map(|listener| listener.advertise.as_ref());
    let told = told.filter_map(|text| match address::host_and_port(text.value()).ok()?.host {
        Host::Address(address) => Some(address),
        Host::Name(_) => None,
    });
    let media = raw.media.value();
    let further = media
        .addresses
        .iter()
        .flat_map(|further| [Some(&further.bind), further.advertise.as_ref()]);
    let media = [media.bind.as_ref(), media.advertise.as_ref()]
        .into_iter()
        .chain(further)
        .flatten();
    let media = media.filter_map(|text| address::ip(text.value()).ok());
    let sockets = bound.chain(listening.iter().copied()).map(|bind| bind.ip());
    let policy = AddressPolicy::new(
        networks.collect::<Result<_, _>>().ok()?,
        loopback.is_some_and(|loopback| *loopback.value()),
        own_addresses::all_of(sockets.chain(told).chain(media), &[]),
    );
    Some(policy.beside(listening))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::file::File;
    use crate::config::fixture::machine;
    use crate::config::mistake::Source;
    use crate::config::schema::FileKind;
    use std::path::Path;

    #[test]
    fn what_hooks_may_reach_is_what_their_client_asks() {
        let own = "[application_servers]\nallow_networks = [\"10.0.0.0/8\"]\n[api]\nbind = \"10.0.0.7:8081\"\nallow_remote = true\n";
        for more in ["", "[application_servers]\nallow_loopback = true\n[api]\n", own] {
            let text = machine(more);
            let config = Config::from_toml_strs(&text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            let asked = AddressPolicy::of(&config.sbc, &[]);
            let file: File<RawSbc> = File::parse(FileKind::Sbc, Source::new(Path::new("sbc.toml"), &text));
            let judged = MachineFacts::of(file.raw.as_ref().expect("a machine"))
                .reach
                .expect("a policy");
            for address in [
                "192.0.2.10",
                "198.51.100.10",
                "203.0.114.1",
                "10.0.0.7",
                "10.1.1.1",
                "127.0.0.1",
                "172.16.0.1",
            ] {
                for port in [80, 8080, 8081] {
                    let socket = SocketAddr::new(address.parse().expect("an address"), port);
                    assert_eq!(
                        judged.check_socket(socket),
                        asked.check_socket(socket),
                        "{more}: {socket}"
                    );
                }
            }
        }
    }
}
