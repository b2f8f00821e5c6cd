//! What the configuration says about name resolution.

use crate::sip::Transport;
use crate::sip::locate::AddressFamilies;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Which name servers are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Servers {
    /// Those of `/etc/resolv.conf`, with its search list for names without a dot.
    #[default]
    System,
    /// These, over UDP and, for long answers, TCP.
    Listed(Vec<SocketAddr>),
}

/// An address given to a name by the configuration instead of by DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticHost {
    pub ip: IpAddr,
    /// Replaces the URI's port too: what lets a simulator play a hub on a port of its own.
    pub port: Option<u16>,
}

impl FromStr for StaticHost {
    type Err = String;

    /// Reads `192.0.2.1`, `192.0.2.1:5061`, `2001:db8::1` or `[2001:db8::1]:5061`.
    fn from_str(text: &str) -> Result<StaticHost, String> {
        if let Ok(ip) = text.parse() {
            return Ok(StaticHost { ip, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(StaticHost {
                ip: address.ip(),
                port: Some(address.port()),
            }),
            Err(_) => Err(format!("`{text}` is not an IP address, with or without a port")),
        }
    }
}

/// Limits and sources of the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub servers: Servers,
    /// Host names, lower case, that are never looked up: for demo and tests.
    pub hosts: BTreeMap<String, Vec<StaticHost>>,
    /// The transports that this node has listeners for, in our order of preference.
    pub spoken: Vec<Transport>,
    pub families: AddressFamilies,
    /// No answer is used as fresh for longer, whatever its TTL (TEAMS-019: 15 minutes).
    pub ttl_ceiling: Duration,
    /// An answer is used as fresh at least this long, even at TTL 0: one request's retries see one answer.
    pub ttl_floor: Duration,
    /// How long "no such name" is believed, when an SOA record came with it (RFC 2308 §5); else `failure_pause`.
    pub negative_ttl: Duration,
    /// How long after a failure of the name servers they are left alone with this name.
    pub failure_pause: Duration,
    /// How long an answer may be served after it ran out, while the name servers fail (RFC 8767 §5: up to three days).
    pub keep_stale: Duration,
    /// The longest that a caller without any answer waits.
    pub patience: Duration,
    /// The longest that a caller waits for a newer answer than the one that just ran out.
    pub stale_patience: Duration,
    /// How long one question waits for one round of servers. Longer than `patience`: a slow answer still serves the next call.
    pub server_timeout: Duration,
    /// A name asked for within this time is renewed before its answer runs out.
    pub in_use: Duration,
    /// How many names are renewed so.
    pub most_renewed: usize,
    /// How many names are remembered; beyond it the longest unused is forgotten.
    pub most_remembered: usize,
    /// Addresses kept of one name; more are left out.
    pub most_addresses: usize,
    /// NAPTR records followed of one name, the preferred ones first.
    pub most_naptr: usize,
    /// SRV records kept of one name, lowest priority first.
    pub most_srv: usize,
    /// Candidates given for one target.
    pub most_candidates: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            servers: Servers::System,
            hosts: BTreeMap::new(),
            spoken: vec![Transport::Tls, Transport::Tcp, Transport::Udp],
            families: AddressFamilies::default(),
            ttl_ceiling: Duration::from_secs(15 * 60),
            ttl_floor: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(30),
            failure_pause: Duration::from_secs(2),
            keep_stale: Duration::from_secs(3 * 24 * 3600),
            patience: Duration::from_secs(2),
            stale_patience: Duration::from_millis(200),
            server_timeout: Duration::from_secs(4),
            in_use: Duration::from_secs(10 * 60),
            most_renewed: 256,
            most_remembered: 4096,
            most_addresses: 16,
            most_naptr: 8,
            most_srv: 32,
            most_candidates: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_hosts_are_addresses_with_or_without_port() {
        let read = |text: &str| text.parse::<StaticHost>().map(|host| (host.ip.to_string(), host.port));
        assert_eq!(read("127.0.0.1"), Ok(("127.0.0.1".into(), None)));
        assert_eq!(read("127.0.0.1:5071"), Ok(("127.0.0.1".into(), Some(5071))));
        assert_eq!(read("::1"), Ok(("::1".into(), None)));
        assert_eq!(read("[::1]:5071"), Ok(("::1".into(), Some(5071))));
        assert_eq!(
            read("hub.example"),
            Err("`hub.example` is not an IP address, with or without a port".into())
        );
    }
}
