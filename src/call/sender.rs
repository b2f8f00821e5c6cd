//! Who sent a request: Teams, a carrier by address or by password, or nobody known.

use super::carrier_proof::CarrierProof;
use super::switchboard::Switchboard;
use crate::carrier;
use crate::config::{Carrier, Config, Hub, Purpose, Tenant, UserName};
use crate::observe::Happening;
use crate::route::Voucher;
use crate::sip::locate::Target;
use crate::sip::message::Message;
use crate::sip::{Flow, Method, Transport};
use crate::teams;
use std::sync::Arc;

/// Who sent a request.
pub enum Sender {
    Teams,
    Carrier(Arc<Carrier>),
    /// A user that registers here, proven.
    User {
        tenant: Arc<Tenant>,
        name: UserName,
        /// What the tenant's registration hook says of one that is not listed.
        voucher: Option<Voucher>,
    },
    /// A carrier's, once its password is proven.
    Unproven {
        challenges: Vec<String>,
    },
    /// It has guessed too often.
    Banned,
    Unknown,
}

impl Switchboard {
    /// Who sent this request.
    pub(super) fn sender(&self, config: &Config, message: &Message, flow: &Flow) -> Sender {
        match config.sbc.listener(flow.listener).map(|listener| listener.purpose) {
            Some(Purpose::Teams) => {
                let address = flow.remote.ip().to_canonical();
                let published = config
                    .sbc
                    .teams
                    .networks
                    .iter()
                    .any(|network| network.contains(address));
                if flow.peer.is_some() || published {
                    Sender::Teams
                } else {
                    Sender::Unknown
                }
            }
            _ => match carrier::identify(config, flow) {
                Some(carrier) if carrier.identify.digest.is_none() => Sender::Carrier(carrier.clone()),
                // OPTIONS asks for nothing that a password guards.
                Some(carrier) if message.method() == Some(&Method::Options) => Sender::Carrier(carrier.clone()),
                known => self.prove(config, message, flow, known),
            },
        }
    }

    fn prove(&self, config: &Config, message: &Message, flow: &Flow, known: Option<&Arc<Carrier>>) -> Sender {
        let now = self.node.clock.now();
        let proof = self.node.carriers.prove(config, message, flow, known, now);
        let refused = |username: &str, banned| {
            self.node.observer.happened(&Happening::PasswordRefused {
                source: flow.remote,
                username,
                banned,
            });
        };
        match proof {
            CarrierProof::Proven(carrier) => Sender::Carrier(carrier),
            CarrierProof::Unproven { challenges, wrong } => {
                if let Some(username) = wrong {
                    refused(&username, false);
                }
                Sender::Unproven { challenges }
            }
            CarrierProof::Banned { username } => {
                refused(&username, true);
                Sender::Banned
            }
            CarrierProof::Nobody => Sender::Unknown,
        }
    }

    /// OPTIONS from Teams. Every certificate of Teams bears every hub's name, so a hub is known by the name that it gives
    /// itself or by the address that its name leads to; what comes from elsewhere (TEAMS-016) is counted for none.
    pub(super) fn hear(&self, config: &Config, sender: &Sender, message: &Message, flow: &Flow) {
        if !matches!(sender, Sender::Teams) {
            return;
        }
        let from = message
            .from()
            .map(|from| from.uri().host().to_ascii_lowercase())
            .unwrap_or_default();
        let (source, resolver) = (flow.remote.ip().to_canonical(), self.node.resolver.load());
        let leads_there = |hub: &Hub| {
            let target = Target::new(hub.host.as_str()).ok()?;
            let target = target.with_port(hub.port).with_transport(Transport::Tls);
            let answer = resolver.try_cached(&target)?;
            Some(answer.candidates.iter().any(|known| known.address.ip() == source))
        };
        let heard = hubs_heard(&config.sbc.teams.hubs, &from, |hub| leads_there(hub) == Some(true));
        let now = self.node.clock.now();
        if heard.is_empty() {
            self.node.peers.heard_elsewhere(now);
        }
        for hub in heard {
            self.node.peers.heard(&teams::hub_name(hub), now);
        }
    }
}

/// The hubs that a request of Teams is of: the one that it names, else those at its address; the only one there is, always.
fn hubs_heard<'a>(hubs: &'a [Hub], from: &str, leads_there: impl Fn(&Hub) -> bool) -> Vec<&'a Hub> {
    if let [only] = hubs {
        return vec![only];
    }
    match hubs.iter().find(|hub| hub.host.as_str() == from) {
        Some(named) => vec![named],
        None => hubs.iter().filter(|hub| leads_there(hub)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostName;

    #[test]
    fn options_count_for_the_hub_that_sent_them() {
        let hub = |host: &str| Hub {
            host: HostName::parse(host).expect("a name"),
            port: 5061,
        };
        let hubs = [hub("sip.hub.example"), hub("sip2.hub.example"), hub("sip3.hub.example")];
        let heard = |from, at: &'static str| -> Vec<&str> {
            let heard = hubs_heard(&hubs, from, |hub| hub.host.as_str() == at);
            heard.iter().map(|hub| hub.host.as_str()).collect()
        };
        assert_eq!(heard("sip2.hub.example", "sip.hub.example"), ["sip2.hub.example"]);
        assert_eq!(
            heard("sip-du-a-eu.hub.example", "sip3.hub.example"),
            ["sip3.hub.example"]
        );
        assert_eq!(heard("sip-du-a-eu.hub.example", "nowhere"), [""; 0]);
        assert_eq!(heard("", "nowhere"), [""; 0]);
        assert_eq!(hubs_heard(&hubs[..1], "sip-du-a-eu.hub.example", |_| false).len(), 1);
    }
}
