//! What a node holds for calls, counted from outside: the same numbers as before mean that nothing was left behind.

use crate::app_server::AppServer;
use crate::lab::{BOUND, Lab};
use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Short SIP timers: a transaction lives a few seconds instead of half a minute.
pub const TIMERS: &str = "[timers]\nt1 = \"50ms\"\nt2 = \"200ms\"\nt4 = \"200ms\"\n";

/// Live objects of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// With their legs and dialogs, which they own.
    calls: usize,
    /// Places under the limits.
    places: u32,
    media_legs: u64,
    media_ports: u32,
    sessions: usize,
    questions: usize,
    untold: usize,
    transactions: usize,
    /// Listeners and media sockets on the node's own address, and the node's connections to the application server.
    descriptors: usize,
}

impl Live {
    pub fn of(lab: &Lab, server: &AppServer) -> Live {
        let node = &lab.running.node;
        Live {
            calls: node.calls.count(),
            places: node.places.calls("node"),
            media_legs: node.media.worker_stats().iter().map(|worker| worker.legs).sum(),
            media_ports: node.media.port_usage().iter().map(|ports| ports.in_use).sum(),
            sessions: node.tally.sessions.count(),
            questions: node.tally.questions.count(),
            untold: node.tally.untold.count(),
            transactions: lab
                .running
                .signalling
                .shards()
                .iter()
                .map(|shard| shard.transactions)
                .sum(),
            descriptors: descriptors(lab.address(), server.address).len(),
        }
    }

    /// A node without calls: nothing but its listeners, and its connections to peers.
    pub async fn idle(lab: &Lab, server: &AppServer) -> Live {
        let idle = async {
            loop {
                let live = Live::of(lab, server);
                if live.transactions == 0 {
                    return live;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(BOUND, idle).await.expect("transactions that end")
    }

    /// Waits until everything is as it was, the lifetimes of transactions and of idle connections included.
    pub async fn returns(self, lab: &Lab, server: &AppServer) {
        let same = async {
            while Live::of(lab, server) != self {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(BOUND, same).await.is_err() {
            let sockets = descriptors(lab.address(), server.address);
            assert_eq!(Live::of(lab, server), self, "something was left behind of {sockets:#?}");
        }
    }

    /// The same without what ends by its own timers: transactions, idle connections, ports behind them.
    pub async fn soon_returns(self, lab: &Lab, server: &AppServer) {
        let lasting = |live: Live| Live {
            transactions: 0,
            descriptors: 0,
            ..live
        };
        let same = async {
            while lasting(Live::of(lab, server)) != lasting(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(BOUND, same).await.is_err() {
            assert_eq!(
                lasting(Live::of(lab, server)),
                lasting(self),
                "something was left behind"
            );
        }
    }
}

/// Sockets of this process at `address` that are no connections, and those of connections to `server`, as the kernel lists
/// them. Labs run side by side in one process, each with addresses of its own; their peers' ports may be the server's.
fn descriptors(address: Ipv4Addr, server: SocketAddr) -> Vec<String> {
    let own = own_sockets();
    let of = |table: &str| {
        let table_is_tcp = table == "tcp";
        let table = fs::read_to_string(Path::new("/proc/self/net").join(table)).unwrap_or_default();
        let is_ours = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().take(10).collect();
            let [_, local, remote, state, _, _, _, _, _, inode] = fields[..] else {
                return false;
            };
            let at_node = end(local).is_some_and(|(at, _)| at == address);
            let to_server = end(remote).is_some_and(|(at, port)| SocketAddr::new(at.into(), port) == server);
            // Connections with SIP peers outlive calls and come by themselves.
            let is_connection = state == "01" && table_is_tcp;
            ((at_node && !is_connection) || to_server) && own.contains(inode)
        };
        let ours = table.lines().skip(1).filter(is_ours);
        ours.map(str::to_owned).collect::<Vec<String>>()
    };
    [of("udp"), of("tcp")].concat()
}

/// Address and port of `0100007F:1F90`.
fn end(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    Some((
        Ipv4Addr::from(address.swap_bytes()),
        u16::from_str_radix(port, 16).ok()?,
    ))
}

/// The inodes of this process's sockets.
fn own_sockets() -> HashSet<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let link = link.to_string_lossy().into_owned();
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
}
