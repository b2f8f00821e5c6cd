//! Who sent a request: Teams, a carrier by address or by password, or nobody known.

use super::switchboard::Switchboard;
use crate::carrier;
use crate::config::{Carrier, Config, Hub, Purpose, Tenant, UserName};
use crate::route::Voucher;
use crate::sip::digest::{Algorithm, Password, Realm, Unproven, User};
use crate::sip::locate::Target;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{Flow, Method, Transport};
use crate::teams;
use std::sync::{Arc, PoisonError};

/// What carriers are offered.
const OFFERED: &[Algorithm] = &[Algorithm::Sha256, Algorithm::Md5];

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
        realm: String,
        why: Unproven,
    },
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

    /// The carrier whose password the request proves: the one that its address names, else any that is known by its
    /// password alone.
    fn prove(&self, config: &Config, message: &Message, flow: &Flow, known: Option<&Arc<Carrier>>) -> Sender {
        let by_password = |carrier: &&Arc<Carrier>| match known {
            Some(known) => carrier.id == known.id,
            None => {
                let identify = &carrier.identify;
                identify.networks.is_empty()
                    && (identify.transports.is_empty() || identify.transports.contains(&flow.transport))
            }
        };
        let authorizations: Vec<&str> = message.headers(HeaderName::Authorization).collect();
        let method = message.cseq_method().as_str();
        let now = self.node.clock.now();
        let mut digest = self.node.digest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = None;
        for carrier in config.sbc.carriers.iter().filter(by_password) {
            let Some(credentials) = &carrier.identify.digest else {
                continue;
            };
            let realm = credentials.realm.as_deref().unwrap_or(config.sbc.node.as_str());
            let user = User {
                realm,
                username: &credentials.username,
                password: Password::Plain(credentials.password.reveal()),
            };
            match digest.verify(authorizations.iter().copied(), OFFERED, method, &user, now) {
                Ok(()) => return Sender::Carrier(carrier.clone()),
                Err(why) => refused = Some((realm.to_owned(), why)),
            }
        }
        match refused {
            Some((realm, why)) => Sender::Unproven { realm, why },
            None => Sender::Unknown,
        }
    }

    /// 401 with a challenge for each algorithm.
    pub(super) fn challenge(&self, config: &Config, realm: &str, why: Unproven) -> ResponseDraft {
        let digest = self.node.digest.lock().unwrap_or_else(PoisonError::into_inner);
        let realm = Realm {
            name: realm,
            algorithms: OFFERED,
            source: None,
        };
        let challenges = digest.challenges(realm, why, self.node.clock.now());
        drop(digest);
        challenges.iter().fold(self.plain(config, 401), |draft, challenge| {
            draft.header(HeaderName::WwwAuthenticate, challenge)
        })
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
        if heard.is_empty() {
            self.node.peers.heard_elsewhere();
        }
        let now = self.node.clock.now();
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
