//! Who sent a request: Teams, a carrier by address or by password, or nobody known.

use super::switchboard::Switchboard;
use crate::carrier;
use crate::config::{Carrier, Config, Purpose, Tenant, UserName};
use crate::route::Voucher;
use crate::sip::digest::{Algorithm, Password, Realm, Unproven, User};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{Flow, Method};
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

    /// OPTIONS from a hub: which one is known by its Contact or Via only loosely, so all hubs of the base name count.
    pub(super) fn hear(&self, config: &Config, sender: &Sender, message: &Message) {
        if !matches!(sender, Sender::Teams) {
            return;
        }
        let host = message
            .from()
            .map(|from| from.uri().host().to_ascii_lowercase())
            .unwrap_or_default();
        let now = self.node.clock.now();
        for hub in &config.sbc.teams.hubs {
            if host.is_empty()
                || host == hub.host.as_str()
                || config.sbc.teams.hubs.len() == 1
                || host.starts_with("sip-")
            {
                self.node.peers.heard(&teams::hub_name(hub), now);
            }
        }
    }
}
