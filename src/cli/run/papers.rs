//! Certificates and roots of a node that runs: their files are looked at by a task of its own, since they can lie on a
//! network that hangs, and then nothing else may wait for them.

use super::modes::doubts_of_modes;
use super::servers::Servers;
use super::tls::{TlsError, Trust, inspect};
use crate::call::Node;
use crate::config::{Config, Listener};
use crate::net::Transports;
use crate::net::tls::{ExpiryWatch, IdentityStore, TrustRoots};
use crate::observe::{Happening, Observer, unix_ms};
use crate::sip::ListenerId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// A look that takes longer is told.
const SLOW: Duration = Duration::from_secs(30);

/// What the TLS listeners show, and whom they believe.
pub struct Papers {
    node: Arc<Node>,
    transports: Transports,
    servers: Arc<Servers>,
    /// By the listener's name.
    certificates: Vec<(String, Arc<IdentityStore>)>,
    trust: Mutex<HashMap<ListenerId, Trust>>,
    asked: Notify,
}

/// Whom the TLS listeners are to believe by `config`, with the root files as they are now.
pub fn read_trust(config: &Config) -> Vec<(ListenerId, String, Result<Trust, TlsError>)> {
    let read = |listener: &Listener| {
        let trust = Trust::read(config, listener, listener.tls.as_ref()?);
        Some((listener.id, listener.name.to_string(), trust))
    };
    config.sbc.listeners.iter().filter_map(read).collect()
}

impl Papers {
    /// Those that the listeners were bound with.
    pub fn new(
        node: Arc<Node>,
        transports: Transports,
        servers: Arc<Servers>,
        certificates: Vec<(String, Arc<IdentityStore>)>,
        trust: HashMap<ListenerId, Trust>,
    ) -> Papers {
        Papers {
            node,
            transports,
            servers,
            certificates,
            trust: Mutex::new(trust),
            asked: Notify::new(),
        }
    }

    /// Certificates of the TLS listeners, by the listener's name.
    pub fn certificates(&self) -> &[(String, Arc<IdentityStore>)] {
        &self.certificates
    }

    /// Has the files looked at now, or once more where that is going on.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Looks at the files for ever; first of all says what is doubtful of them, and of the modes of `secrets`.
    pub async fn watch(self: Arc<Papers>, observer: Arc<dyn Observer>, secrets: Vec<PathBuf>) {
        self.tell_doubts(secrets).await;
        let mut due = interval(LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = ExpiryWatch::default();
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = self.asked.notified() => {}
            }
            self.reload_certificates(&*observer).await;
            self.reload_trust(&*observer).await;
            self.tell_ends(&mut expiry, &*observer);
        }
    }

    /// Reads certificate files that changed; connections are renewed with the new ones (TEAMS-012).
    pub async fn reload_certificates(&self, observer: &dyn Observer) {
        for (listener, store) in &self.certificates {
            let store = store.clone();
            let Some(reload) = read("certificates", move || store.reload()).await else {
                continue;
            };
            if !reload.replaced.is_empty() {
                self.transports.renew();
            }
            // Told even when nothing changed: a file that was wrong may be right again.
            observer.happened(&Happening::Certificates {
                listener,
                reload: &reload,
            });
        }
    }

    /// Reads again whom the TLS listeners and application servers are believed by: root files, and what the configuration
    /// in force says. New handshakes follow at once; connections made under older trust are renewed or drained. A file that
    /// is wrong changes nothing.
    pub async fn reload_trust(&self, observer: &dyn Observer) {
        let config = self.node.config.load_full();
        let Some((listeners, machine)) =
            read("root certificates", move || (read_trust(&config), TrustRoots::system())).await
        else {
            return;
        };
        // A machine without a bundle goes on with what it started with.
        if let Ok(roots) = machine {
            self.servers.trust(roots);
        }
        for (listener, name, trust) in listeners {
            let mut failed = None;
            let mut replaced = false;
            match trust {
                Ok(trust) => {
                    let (clients, roots) = trust.parts();
                    let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
                    replaced = known.get(&listener) != Some(&trust);
                    if replaced {
                        known.insert(listener, trust);
                        self.transports.set_trust(listener, clients, roots);
                    }
                }
                Err(error) => failed = Some(error.to_string()),
            }
            observer.happened(&Happening::Trust {
                listener: &name,
                replaced,
                failed: failed.as_deref(),
            });
        }
    }

    async fn tell_doubts(&self, secrets: Vec<PathBuf>) {
        let config = self.node.config.load_full();
        let of_files = move || {
            let doubts = inspect(&config, |_| None).unwrap_or_default();
            doubts.into_iter().chain(doubts_of_modes(&secrets)).collect::<Vec<_>>()
        };
        for doubt in read("certificates", of_files).await.unwrap_or_default() {
            tracing::warn!("{doubt}");
        }
    }

    fn tell_ends(&self, expiry: &mut ExpiryWatch, observer: &dyn Observer) {
        let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
        for (listener, store) in &self.certificates {
            for identity in store.identities() {
                if expiry.is_due(listener, &identity, now) {
                    observer.happened(&Happening::CertificateEnds {
                        listener,
                        certificate: &identity.name,
                        serial: &identity.serial,
                        days: (identity.not_after - now).div_euclid(86_400),
                    });
                }
            }
        }
    }
}

/// Reads files on a thread that may block. None: that panicked, and what was read before stays.
async fn read<T: Send + 'static>(what: &'static str, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let mut reading = tokio::task::spawn_blocking(read);
    let read = match timeout(SLOW, &mut reading).await {
        Ok(read) => read,
        Err(_) => {
            tracing::warn!(
                "{what} are still being read after {} s, the old ones stay until then",
                SLOW.as_secs()
            );
            reading.await
        }
    };
    read.inspect_err(|error| tracing::error!(%error, "{what} were not read, the old ones stay"))
        .ok()
}
