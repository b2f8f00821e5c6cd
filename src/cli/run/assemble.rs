//! The settings of the inner rooms, from the configuration.

use super::tls::{TlsError, profile};
use crate::carrier;
use crate::config::{Config, Listener, NumberRules, OwnAddresses, Purpose};
use crate::media::MediaSettings;
use crate::net::dns::{self, Servers, StaticHost};
use crate::net::interface_addresses;
use crate::net::{AcceptLimits, ListenerProtocol, ListenerSettings, PoolSettings};
use crate::sip::locate::AddressFamilies;
use crate::sip::transaction::{Limits, Marks, Timers};
use crate::sip::{HeaderName, HeaderValue, Transport};
use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

/// Media workers, ports and timeouts.
pub fn media(config: &Config) -> MediaSettings {
    let media = &config.sbc.media;
    MediaSettings {
        workers: u16::try_from(media.workers).ok().and_then(NonZeroU16::new),
        dscp: media.dscp,
        own: OwnAddresses::of(&config.sbc, interface_addresses()).of_media(),
        silence_after: media.timeout,
        allow_hairpin: media.allow_loopback,
        addresses: media.addresses().collect(),
        ..MediaSettings::new(media.address, media.ports.first..=media.ports.last)
    }
}

/// Name resolution. Hub addresses are never believed longer than the configuration's ceiling (TEAMS-019).
pub fn dns(config: &Config) -> dns::Settings {
    let sbc = &config.sbc;
    let hosts = sbc.dns.hosts.iter().map(|(name, addresses)| {
        (
            name.to_string(),
            addresses.iter().map(|ip| StaticHost { ip: *ip, port: None }).collect(),
        )
    });
    let mut spoken: Vec<Transport> = Vec::new();
    for transport in [Transport::Tls, Transport::Tcp, Transport::Udp] {
        if sbc.listeners.iter().any(|listener| listener.transport == transport) {
            spoken.push(transport);
        }
    }
    dns::Settings {
        servers: match sbc.dns.servers.is_empty() {
            true => Servers::System,
            false => Servers::Listed(sbc.dns.servers.clone()),
        },
        hosts: hosts.collect(),
        spoken,
        families: families(sbc.listeners.iter().map(|listener| listener.bind.ip())),
        ttl_ceiling: sbc.dns.ttl_ceiling,
        server_timeout: sbc.dns.timeout,
        ..dns::Settings::default()
    }
}

/// The families that peers are reached in: those that a listener is bound in (one bound to `::` takes IPv6 alone).
fn families(binds: impl Iterator<Item = IpAddr>) -> AddressFamilies {
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = binds.partition(IpAddr::is_ipv6);
    match (v4.is_empty(), v6.is_empty()) {
        (false, true) => AddressFamilies::V4,
        (true, false) => AddressFamilies::V6,
        _ => AddressFamilies::V4First,
    }
}

/// The listeners, in the order of their ids.
pub fn listeners(config: &Config) -> Result<Vec<ListenerSettings>, TlsError> {
    config
        .sbc
        .listeners
        .iter()
        .map(|listener| settings(config, listener))
        .collect()
}

fn settings(config: &Config, listener: &Listener) -> Result<ListenerSettings, TlsError> {
    let protocol = match (&listener.tls, listener.transport) {
        (Some(tls), _) => ListenerProtocol::Tls(profile(config, listener, tls)?),
        (None, Transport::Udp) => ListenerProtocol::Udp { sockets: 1 },
        (None, _) => ListenerProtocol::Tcp,
    };
    Ok(ListenerSettings {
        id: listener.id,
        name: listener.name.to_string(),
        protocol,
        bind: listener.bind,
        advertise_host: Some(listener.advertise.to_string()),
        advertise_port: Some(listener.advertise_port),
        dscp: listener.dscp,
        limits: accept_limits(config, listener),
    })
}

fn accept_limits(config: &Config, listener: &Listener) -> AcceptLimits {
    let mut limits = AcceptLimits {
        connections_per_source: listener.connections_per_source,
        ..AcceptLimits::default()
    };
    // Who may connect there without being known by address can be anybody, and carriers that are have to get in.
    if listener.purpose == Purpose::Carrier {
        limits.kept_connections = limits.connections / 4;
        limits.kept_handshakes = limits.handshakes / 4;
    }
    limits.stream.idle = config.sbc.timers.idle_connection;
    limits
}

/// Outgoing connections.
pub fn pool(config: &Config) -> PoolSettings {
    PoolSettings {
        connect: config.sbc.timers.connect,
        ..PoolSettings::default()
    }
}

/// SIP timers.
pub fn timers(config: &Config) -> Timers {
    let timers = &config.sbc.timers;
    Timers {
        t1: timers.t1,
        t2: timers.t2,
        t4: timers.t4,
        ..Timers::default()
    }
}

/// What peers may make the node remember; emergency numbers are never shed.
pub fn limits(config: &Config) -> Limits {
    let sbc = &config.sbc;
    Limits {
        retry_after: sbc.guard.retry_after,
        priority_users: priority_users(config),
        ..Limits::default()
    }
}

/// Teams is told in every message what we are (TEAMS-038).
pub fn marks(config: &Config) -> Marks {
    let teams = &config.sbc.teams;
    let product = || HeaderValue::cleaned(&teams.product);
    Marks::on(
        teams.listener,
        [(HeaderName::XMsSbc, product()), (HeaderName::Server, product())],
    )
}

/// Emergency numbers as they are dialled, and ELINs as carriers write them, for emergency services call them back: shards spare
/// them.
pub fn priority_users(config: &Config) -> Arc<HashSet<String>> {
    let numbers = config.sbc.emergency.numbers.iter();
    let mut users: HashSet<String> = numbers
        .flat_map(|number| [number.to_string(), format!("+{number}")])
        .collect();
    let elins = config.tenants.iter().flat_map(|tenant| tenant.elins());
    let rules = distinct_rules(config);
    for elin in elins.flat_map(|entry| entry.span.numbers()) {
        users.extend(rules.iter().flat_map(|rules| carrier::written_forms(rules, elin)));
    }
    Arc::new(users)
}

/// One carrier's rules of each kind that writes numbers in other forms: many carriers write alike, and a node may have 100,000
/// ELINs.
fn distinct_rules(config: &Config) -> Vec<&NumberRules> {
    let mut known = HashSet::new();
    let mut is_new = |rules: &&NumberRules| {
        known.insert((
            rules.country_code.clone(),
            rules.national_prefix.clone(),
            rules.international_prefix.clone(),
        ))
    };
    let all = config.sbc.carriers.iter().map(|carrier| &carrier.numbers);
    all.filter(|rules| is_new(rules)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elins_are_spared_in_every_form_that_a_carrier_may_write() {
        let carrier = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\n\
                       numbers = { country_code = \"1\", national_prefix = \"1\", international_prefix = \"011\" }\n";
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n[[numbers]]\nnumber = \"+14255550100\"\n\
                      [[numbers]]\nrange = \"+14255550180-+14255550181\"\nelin = true\n";
        let machine = crate::config::fixture::machine(carrier);
        let config = Config::from_toml_strs(&machine, &[("contoso", tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let spared = priority_users(&config);
        for user in ["112", "+112", "14255550180", "01114255550181", "4255550181"] {
            assert!(spared.contains(user), "{user}");
        }
        assert!(!spared.iter().any(|user| user.ends_with("4255550100")));
    }

    #[test]
    fn carriers_that_write_alike_are_asked_once() {
        let carriers = [
            ("a", "country_code = \"1\""),
            ("b", "country_code = \"44\", national_prefix = \"0\""),
            ("c", "country_code = \"1\", format = \"digits\""),
        ];
        let carriers: String = (1..)
            .zip(carriers)
            .map(|(network, (id, rules))| {
                format!("[[carriers]]\nid = \"{id}\"\nnetworks = [\"203.0.{network}.0/24\"]\nnumbers = {{ {rules} }}\n")
            })
            .collect();
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"a\"]\n";
        let machine = crate::config::fixture::machine(&carriers);
        let config = Config::from_toml_strs(&machine, &[("contoso", tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let codes = distinct_rules(&config)
            .into_iter()
            .map(|rules| rules.country_code.as_deref());
        assert_eq!(codes.collect::<Vec<_>>(), [Some("1"), Some("44")]);
    }

    #[test]
    fn names_are_looked_up_in_the_families_that_listeners_have() {
        let of = |binds: &[&str]| families(binds.iter().map(|bind| bind.parse().unwrap()));
        assert_eq!(of(&["0.0.0.0", "192.0.2.1"]), AddressFamilies::V4);
        assert_eq!(of(&["::"]), AddressFamilies::V6);
        assert_eq!(of(&["0.0.0.0", "::"]), AddressFamilies::V4First);
    }
}
