//! Whom the sockets listen to: the addresses of Teams and of carriers, published to `net` as one table.

use crate::config::{Carrier, Config, Host, Listener, Network, Purpose, UnknownSource};
use crate::net::Admission;
use crate::sip::{ListenerId, Transport};
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The table in force. Swapped whole by a reload, read without a lock.
#[derive(Debug)]
pub struct AdmissionTable {
    by_listener: ArcSwap<Vec<Door>>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Door {
    /// Everybody: unknown sources are to be told 403, or a carrier is known by its password alone.
    Open,
    /// These only; others get no answer, before parsing and before TLS (TEAMS-113).
    Only(Vec<Network>),
}

impl AdmissionTable {
    /// The table of a configuration.
    pub fn new(config: &Config) -> AdmissionTable {
        AdmissionTable {
            by_listener: ArcSwap::from_pointee(doors(config)),
        }
    }

    /// Publishes another configuration's table.
    pub fn publish(&self, config: &Config) {
        self.by_listener.store(Arc::new(doors(config)));
    }
}

impl Admission for AdmissionTable {
    fn admit(&self, listener: ListenerId, remote: SocketAddr) -> bool {
        match self.by_listener.load().get(usize::from(listener.0)) {
            Some(Door::Only(networks)) => {
                let address = remote.ip().to_canonical();
                networks.iter().any(|network| network.contains(address))
            }
            Some(Door::Open) => true,
            None => false,
        }
    }
}

fn doors(config: &Config) -> Vec<Door> {
    let sbc = &config.sbc;
    let door = |listener: &Listener| match listener.purpose {
        Purpose::Teams => Door::Only(sbc.teams.networks.clone()),
        Purpose::Carrier => {
            let speaks = |carrier: &&Arc<Carrier>| {
                carrier.identify.transports.is_empty() || carrier.identify.transports.contains(&listener.transport)
            };
            let carriers = sbc.carriers.iter().filter(speaks);
            let by_password =
                |carrier: &Arc<Carrier>| carrier.identify.networks.is_empty() && carrier.identify.digest.is_some();
            let gateways = carriers.clone().flat_map(|carrier| &carrier.gateways);
            let gateways: Vec<&Host> = gateways
                .filter(|gateway| gateway.listener == listener.id)
                .map(|gateway| &gateway.host)
                .collect();
            // Answers of a gateway that only has a name come from addresses that are not known here.
            let named =
                listener.transport == Transport::Udp && gateways.iter().any(|host| matches!(host, Host::Name(_)));
            if named || sbc.guard.unknown_source == UnknownSource::Forbid || carriers.clone().any(by_password) {
                return Door::Open;
            }
            let addresses = gateways.iter().filter_map(|host| match host {
                Host::Address(address) => Network::parse(&address.to_string()).ok(),
                Host::Name(_) => None,
            });
            Door::Only(
                carriers
                    .flat_map(|carrier| carrier.identify.networks.iter().cloned())
                    .chain(addresses)
                    .collect(),
            )
        }
    };
    sbc.listeners.iter().map(door).collect()
}
