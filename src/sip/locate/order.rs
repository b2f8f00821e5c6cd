//! From found records to the order in which servers are tried (RFC 2782, RFC 3263 §4.2).

use super::target::Host;
use crate::sip::Transport;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Which address families are asked for, and which comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFamilies {
    V4,
    V6,
    #[default]
    V4First,
    V6First,
}

impl AddressFamilies {
    /// True when A records are asked for.
    pub const fn wants_v4(self) -> bool {
        !matches!(self, AddressFamilies::V6)
    }

    /// True when AAAA records are asked for.
    pub const fn wants_v6(self) -> bool {
        !matches!(self, AddressFamilies::V4)
    }

    /// The addresses of the wanted families, the preferred one first, otherwise as the server gave them.
    pub fn sort(self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut wanted: Vec<IpAddr> = addresses
            .iter()
            .copied()
            .filter(|ip| if ip.is_ipv4() { self.wants_v4() } else { self.wants_v6() })
            .collect();
        let v4_first = matches!(self, AddressFamilies::V4 | AddressFamilies::V4First);
        wanted.sort_by_key(|ip| ip.is_ipv4() != v4_first);
        wanted
    }
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: Arc<str>,
}

/// An SRV record with its target's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvTarget {
    pub record: Srv,
    pub addresses: Vec<IpAddr>,
}

/// What was found for one transport of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    Srv {
        transport: Transport,
        targets: Vec<SrvTarget>,
    },
    Addresses {
        transport: Transport,
        port: u16,
        addresses: Vec<IpAddr>,
    },
}

/// Everything found for a target: services, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub services: Vec<Service>,
}

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    pub transport: Transport,
    pub address: SocketAddr,
    /// The name that the TLS server must prove: the URI's host, not an SRV target (RFC 5922 §4). `Some` on TLS only.
    pub server_name: Option<Arc<str>>,
}

impl Candidate {
    /// A candidate for the URI host `host`.
    pub fn new(transport: Transport, address: SocketAddr, host: &Host) -> Candidate {
        let server_name = (transport == Transport::Tls).then(|| match host {
            Host::Ip(ip) => ip.to_string().into(),
            Host::Name(name) => name.clone(),
        });
        Candidate {
            transport,
            address,
            server_name,
        }
    }
}

/// The servers in the order to try them, without repeats, at most `most`.
///
/// `random(n)` gives a number from 0 to `n`, both included, evenly spread. It is drawn anew for every request, which is
/// what spreads load over the weights.
pub fn arrange(
    found: &Found,
    host: &Host,
    families: AddressFamilies,
    most: usize,
    random: &mut dyn FnMut(u32) -> u32,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut add = |transport, port, addresses: &[IpAddr]| {
        for ip in families.sort(addresses) {
            let candidate = Candidate::new(transport, SocketAddr::new(ip, port), host);
            if candidates.len() < most && !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    };
    for service in &found.services {
        match service {
            Service::Addresses {
                transport,
                port,
                addresses,
            } => add(*transport, *port, addresses),
            Service::Srv { transport, targets } => {
                for target in by_priority_and_weight(targets, random) {
                    add(*transport, target.record.port, &target.addresses);
                }
            }
        }
    }
    candidates
}

/// RFC 2782's order: ascending priority; within one, weighted draws without putting back, weight 0 seldom first.
fn by_priority_and_weight<'a>(targets: &'a [SrvTarget], random: &mut dyn FnMut(u32) -> u32) -> Vec<&'a SrvTarget> {
    let mut waiting: Vec<&SrvTarget> = targets.iter().collect();
    // Within a priority the weightless come first: the draw 0 is theirs.
    waiting.sort_by_key(|target| (target.record.priority, target.record.weight != 0));
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(priority) = waiting.first().map(|target| target.record.priority) {
        let same = waiting.iter().take_while(|target| target.record.priority == priority);
        let total: u32 = same.clone().map(|target| u32::from(target.record.weight)).sum();
        let draw = random(total).min(total);
        let mut running = 0u32;
        let chosen = same
            .map(|target| {
                running += u32::from(target.record.weight);
                running
            })
            .position(|running| running >= draw)
            .unwrap_or(0);
        ordered.push(waiting.remove(chosen));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn srv(priority: u16, weight: u16, last: u8) -> SrvTarget {
        let target = format!("s{last}.example.net").into();
        SrvTarget {
            record: Srv {
                priority,
                weight,
                port: 5060,
                target,
            },
            addresses: vec![IpAddr::from([192, 0, 2, last])],
        }
    }

    fn found(targets: Vec<SrvTarget>) -> Found {
        Found {
            services: vec![Service::Srv {
                transport: Transport::Udp,
                targets,
            }],
        }
    }

    fn order(found: &Found, random: &mut dyn FnMut(u32) -> u32) -> Vec<u8> {
        let host = Host::parse("example.net").unwrap();
        let last = |candidate: Candidate| match candidate.address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        arrange(found, &host, AddressFamilies::V4First, 100, random)
            .into_iter()
            .map(last)
            .collect()
    }

    #[test]
    fn lower_priority_numbers_come_first_whatever_the_weights() {
        let found = found(vec![srv(20, 65535, 1), srv(10, 0, 2), srv(15, 1, 3)]);
        for draw in [0, 1, u32::MAX] {
            assert_eq!(order(&found, &mut |n| draw.min(n)), [2, 3, 1]);
        }
    }

    #[test]
    fn the_draw_picks_by_running_sum() {
        let found = found(vec![srv(1, 10, 1), srv(1, 0, 2), srv(1, 30, 3)]);
        // Sums in RFC order: weight 0 first -> 0, then 10, then 40.
        assert_eq!(order(&found, &mut |_| 0), [2, 1, 3]);
        assert_eq!(order(&found, &mut |n| if n == 40 { 10 } else { 0 }), [1, 2, 3]);
        assert_eq!(order(&found, &mut |n| if n == 40 { 11 } else { 0 }), [3, 2, 1]);
    }

    #[test]
    fn first_places_follow_the_weights() {
        let found = found(vec![srv(1, 60, 1), srv(1, 20, 2), srv(1, 20, 3), srv(1, 0, 4)]);
        let mut rng = StdRng::seed_from_u64(7);
        let mut firsts = [0u32; 5];
        for _ in 0..10_000 {
            let first = order(&found, &mut |n| rng.random_range(0..=n))[0];
            firsts[usize::from(first)] += 1;
        }
        let close = |got: u32, want: u32| got.abs_diff(want) < 250;
        assert!(
            close(firsts[1], 5940) && close(firsts[2], 1980) && close(firsts[3], 1980),
            "{firsts:?}"
        );
        assert!(
            (1..400).contains(&firsts[4]),
            "weight 0 is chosen seldom but not never: {firsts:?}"
        );
    }

    #[test]
    fn all_weights_zero_still_uses_every_server() {
        let found = found(vec![srv(1, 0, 1), srv(1, 0, 2)]);
        assert_eq!(order(&found, &mut |n| n), [1, 2]);
    }

    #[test]
    fn families_are_ordered_and_filtered_and_the_list_is_capped() {
        let ips: Vec<IpAddr> = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let found = Found {
            services: vec![Service::Addresses {
                transport: Transport::Tls,
                port: 5061,
                addresses: ips,
            }],
        };
        let host = Host::parse("sip.example.net").unwrap();
        let list = |families, most| {
            let candidates = arrange(&found, &host, families, most, &mut |_| 0);
            assert!(
                candidates
                    .iter()
                    .all(|c| c.server_name.as_deref() == Some("sip.example.net"))
            );
            candidates
                .into_iter()
                .map(|c| c.address.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            list(AddressFamilies::V4First, 9),
            [
                "192.0.2.1:5061",
                "192.0.2.2:5061",
                "[2001:db8::1]:5061",
                "[2001:db8::2]:5061"
            ]
        );
        assert_eq!(
            list(AddressFamilies::V6First, 3),
            ["[2001:db8::1]:5061", "[2001:db8::2]:5061", "192.0.2.1:5061"]
        );
        assert_eq!(list(AddressFamilies::V4, 9), ["192.0.2.1:5061", "192.0.2.2:5061"]);
        assert_eq!(list(AddressFamilies::V6, 1), ["[2001:db8::1]:5061"]);
    }

    proptest! {
        #[test]
        fn every_server_appears_once_in_priority_order(
            records in proptest::collection::vec((0u16..4, any::<u16>()), 0..40),
            draws in proptest::collection::vec(any::<u32>(), 40),
        ) {
            let targets: Vec<_> =
                records.iter().enumerate().map(|(i, (priority, weight))| srv(*priority, *weight, i as u8)).collect();
            let mut draws = draws.into_iter().cycle();
            let order = order(&found(targets), &mut |_| draws.next().unwrap_or(0));
            prop_assert_eq!(order.len(), records.len());
            let priorities: Vec<u16> = order.iter().map(|i| records[usize::from(*i)].0).collect();
            prop_assert!(priorities.is_sorted());
        }
    }
}
