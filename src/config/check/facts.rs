//! What a tenant needs to know of the machine, as far as it can be read, whatever else is wrong with the machine's file.

use super::address;
use super::api::REST;
use super::carrier;
use super::machine::ADMIN;
use crate::app::outbound::AddressPolicy;
use crate::config::checked::Host;
use crate::config::names::TenantFqdn;
use crate::config::network::Network;
use crate::config::raw::{At, RawPurpose, RawSbc};
use std::net::{IpAddr, SocketAddr};

/// What a tenant needs to know of the machine; None is what can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// `teams.base`.
    pub base: Option<TenantFqdn>,
    /// Every carrier's id as typed.
    pub carriers: Option<Vec<String>>,
    /// Some listener is for users.
    pub users_listened: Option<bool>,
    /// Which addresses hooks may have. What only the machine itself knows, such as its interfaces, its client judges.
    pub reach: Option<AddressPolicy>,
    /// Media have an IPv4 address.
    pub media_ipv4: Option<bool>,
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
            base: TenantFqdn::parse(teams.base.value()).ok(),
            carriers: carrier::ids(raw).map(|ids| ids.into_iter().map(str::to_owned).collect()),
            users_listened: Some(listeners.any(|listener| *listener.purpose.value() == RawPurpose::Users)),
            reach: reach(raw),
            media_ipv4: media_ipv4(raw),
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
            base: same(self.base, &other.base),
            carriers: same(self.carriers, &other.carriers),
            users_listened: same(self.users_listened, &other.users_listened),
            reach: same(self.reach, &other.reach),
            media_ipv4: same(self.media_ipv4, &other.media_ipv4),
            bypass: same(self.bypass, &other.bypass),
            refer: same(self.refer, &other.refer),
        }
    }
}

/// What is advertised for media is IPv4.
fn media_ipv4(raw: &RawSbc) -> Option<bool> {
    let media = raw.media.value();
    let address: IpAddr = media.advertise.as_ref().or(media.bind.as_ref())?.value().parse().ok()?;
    Some(address.is_ipv4())
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
    let media = [&media.bind, &media.advertise].into_iter().flatten();
    let media = media.filter_map(|text| address::ip(text.value()).ok());
    let sockets = bound.chain(listening.iter().copied());
    let mut own: Vec<IpAddr> = sockets.map(|bind| bind.ip()).chain(told).chain(media).collect();
    own.retain(|address| !address.is_unspecified() && !address.is_loopback());
    let policy = AddressPolicy::new(
        networks.collect::<Result<_, _>>().ok()?,
        loopback.is_some_and(|loopback| *loopback.value()),
        own,
    );
    Some(policy.beside(listening))
}
