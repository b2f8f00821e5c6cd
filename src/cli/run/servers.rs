//! The ways to application servers: made anew when something that they are made of changes, and kept otherwise. With them go
//! their connections, what their resolver knows and the sounds that were fetched. What bounds them stays: calls that began
//! before keep the ways that they have.

use super::assemble;
use super::tls::TlsError;
use crate::app::outbound::{AddressPolicy, ClientSettings, Connector, HookClient};
use crate::app::sounds::{SoundSettings, Sounds};
use crate::call::{Node, Ways};
use crate::config::Config;
use crate::net::tls::{TrustRoots, web_client};
use crate::net::{dns, interface_addresses};
use crate::sip::Transport;
use crate::sip::locate::AddressFamilies;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the ways are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Makings {
    policy: AddressPolicy,
    dns: dns::Settings,
    client: ClientSettings,
    connect: Duration,
    initial: Duration,
    media_folder: Option<PathBuf>,
    roots: Arc<TrustRoots>,
}

impl Makings {
    /// By the configuration, with the roots that servers are believed by.
    pub fn of(config: &Config, roots: Arc<TrustRoots>) -> Makings {
        let servers = &config.sbc.application_servers;
        Makings {
            policy: AddressPolicy::of(&config.sbc, interface_addresses()),
            dns: dns::Settings {
                // connections to them leave by sockets of their own, in whichever family the machine has
                families: AddressFamilies::default(),
                spoken: vec![Transport::Tcp],
                ..assemble::dns(config)
            },
            client: ClientSettings {
                patience: servers.timeout,
                most_received: usize::try_from(servers.max_answer).unwrap_or(usize::MAX),
                ..ClientSettings::default()
            },
            connect: servers.connect_timeout,
            initial: servers.initial_timeout,
            media_folder: servers.media_folder.clone(),
            roots,
        }
    }

    /// The roots of the machine. One without a bundle still reaches servers whose chain ends at one of ours.
    pub fn roots() -> Result<Arc<TrustRoots>, TlsError> {
        let roots = TrustRoots::system().or_else(|_| TrustRoots::teams());
        roots.map(Arc::new).map_err(|error| TlsError::ApplicationServers {
            detail: error.to_string(),
        })
    }

    /// The ways, and the sounds that come over them; in the place of those `before`.
    pub fn make(&self, before: Option<(&Ways, &Sounds)>) -> Result<(Ways, Sounds), TlsError> {
        let tls = web_client(&self.roots).map_err(|error| TlsError::ApplicationServers {
            detail: error.to_string(),
        })?;
        let resolver = Connector::resolver(self.dns.clone());
        let connector = Connector::new(resolver, self.policy.clone(), tls, self.connect);
        let client = match before {
            Some((ways, _)) => ways.client.anew(connector.clone(), self.client),
            None => HookClient::new(connector.clone(), self.client),
        };
        let settings = SoundSettings {
            folder: self.media_folder.clone(),
            ..SoundSettings::default()
        };
        let fetch = Arc::new(client.clone());
        let sounds = match before {
            Some((_, sounds)) => sounds.anew(settings, fetch),
            None => Sounds::new(settings, fetch),
        };
        let ways = Ways {
            client,
            connector,
            initial: self.initial,
        };
        Ok((ways, sounds))
    }
}

/// The ways of a node that runs.
pub struct Servers {
    node: Arc<Node>,
    in_force: Mutex<Makings>,
}

impl Servers {
    /// The node's ways were made of `makings`.
    pub fn new(node: Arc<Node>, makings: Makings) -> Servers {
        Servers {
            node,
            in_force: Mutex::new(makings),
        }
    }

    /// A configuration is in force.
    pub fn follow(&self, config: &Config) {
        self.take(|in_force| Makings::of(config, in_force.roots.clone()));
    }

    /// The machine's bundle of roots was read.
    pub fn trust(&self, roots: TrustRoots) {
        self.take(|in_force| Makings {
            roots: Arc::new(roots),
            ..in_force.clone()
        });
    }

    fn take(&self, makings: impl FnOnce(&Makings) -> Makings) {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let makings = makings(&in_force);
        if makings == *in_force {
            return;
        }
        let before = (self.node.ways.load(), self.node.sounds.load());
        match makings.make(Some((&before.0, &before.1))) {
            Ok((ways, sounds)) => {
                self.node.sounds.store(Arc::new(sounds));
                self.node.ways.store(Arc::new(ways));
                *in_force = makings;
            }
            Err(error) => tracing::error!(%error, "application servers are reached as before"),
        }
    }
}
