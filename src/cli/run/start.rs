//! A running node: started in one step, stopped in order.

use super::tls::{TlsError, Trust};
use super::{assemble, overload};
use crate::call::{Node, OutsideResponse, Switchboard};
use crate::config::{Config, Listener, Mistakes};
use crate::dial::PeerName;
use crate::guard::{AdmissionTable, Monitor, Peers, Surroundings, Turn};
use crate::media::{MediaError, MediaPlane};
use crate::net::dns::Resolver;
use crate::net::shard::{Signalling, SignallingSettings};
use crate::net::tls::IdentityStore;
use crate::net::{Clock, CloseReason, ListenError, ListenerProtocol, ListenerSettings, NetEvent, Opener};
use crate::observe::{Happening, Observer};
use crate::registrar::Clocks;
use crate::sip::ListenerId;
use crate::store::{StoreError, StoreFile};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{0}")]
    Config(Mistakes),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("media: {0}")]
    Media(#[from] MediaError),
}

/// Messages that may wait for a shard, commands of calls likewise: some hundred milliseconds of a full load.
const RECEIVED_QUEUE: usize = 4_096;
const COMMAND_QUEUE: usize = 4_096;
/// Answers to OPTIONS that may wait for the monitor.
const OUTSIDE_QUEUE: usize = 256;
/// How long ended calls may take for their last answers once everything else is over.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Told to whoever is hung up on.
const LEAVING: &str = "the node is going out of service";
/// How long emergency calls go on when the drain of all others is over.
const EMERGENCY_PATIENCE: Duration = Duration::from_secs(3_600);
/// How long events of calls that ended may take to be told to applications at the end.
const LAST_EVENTS: Duration = Duration::from_secs(5);
/// How long calls that are cut may take for their records.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// A node that takes calls.
pub struct Running {
    pub node: Arc<Node>,
    pub signalling: Arc<Signalling>,
    pub admission: Arc<AdmissionTable>,
    /// Certificates of the TLS listeners, by the listener's name.
    certificates: Vec<(String, Arc<IdentityStore>)>,
    /// Whom the TLS listeners believe.
    trust: Mutex<HashMap<ListenerId, Trust>>,
}

/// What transports tell goes where everything goes.
struct NetObserver {
    observer: Arc<dyn Observer>,
    /// The node owns the transports: what they hold of it would outlive both.
    node: Weak<Node>,
}

impl NetObserver {
    fn learn(&self, learn: impl FnOnce(&Peers)) {
        if let Some(node) = self.node.upgrade() {
            learn(&node.peers);
        }
    }
}

impl crate::net::Observer for NetObserver {
    fn event(&self, event: &NetEvent<'_>) {
        match event {
            NetEvent::ConnectFailed { hop, failure } => {
                self.learn(|peers| peers.not_connected(hop.remote, failure.to_string()));
            }
            // With TLS 1.3 a peer that refuses our certificate says so behind the handshake.
            NetEvent::Closed {
                connection,
                reason: reason @ CloseReason::PeerAlert(_),
            } if connection.opener == Opener::Us => {
                self.learn(|peers| peers.not_connected(connection.flow.remote, reason.to_string()));
            }
            NetEvent::Connected { connection } if connection.opener == Opener::Us => {
                self.learn(|peers| peers.connected(connection.flow.remote));
            }
            _ => {}
        }
        self.observer.happened(&Happening::Net(event));
    }
}

impl Surroundings for Arc<Node> {
    fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn resolver(&self) -> Arc<Resolver> {
        self.resolver.load_full()
    }

    fn is_draining(&self) -> bool {
        Node::is_draining(self)
    }

    fn turned(&self, peer: &PeerName, turn: Turn, trouble: Option<&str>) {
        self.observer.happened(&Happening::PeerTurned { peer, turn, trouble });
    }
}

fn identities(listener: &ListenerSettings) -> Option<(String, Arc<IdentityStore>)> {
    match &listener.protocol {
        ListenerProtocol::Tls(profile) => Some((listener.name.clone(), profile.identities().clone())),
        ListenerProtocol::Udp { .. } | ListenerProtocol::Tcp => None,
    }
}

/// Whom the TLS listeners are to believe by `config`, with the root files as they are now.
fn read_trust(config: &Config) -> Vec<(ListenerId, String, Result<Trust, TlsError>)> {
    let read = |listener: &Listener| {
        let trust = Trust::read(config, listener, listener.tls.as_ref()?);
        Some((listener.id, listener.name.to_string(), trust))
    };
    config.sbc.listeners.iter().filter_map(read).collect()
}

/// Binds everything and takes calls. Needs a tokio runtime.
pub async fn start(config: Arc<Config>, observer: Arc<dyn Observer>) -> Result<Running, StartError> {
    let listeners = assemble::listeners(&config)?;
    let certificates = listeners.iter().filter_map(identities).collect();
    let trust = read_trust(&config)
        .into_iter()
        .map(|(listener, _, trust)| Ok((listener, trust?)))
        .collect::<Result<_, TlsError>>()?;
    let clock = Clock::start();
    let media = MediaPlane::start(assemble::media(&config))?;
    let resolver = Resolver::new(assemble::dns(&config));
    let admission = Arc::new(AdmissionTable::new(&config, clock));
    let ways = assemble::ways(&config)?;
    let sounds = assemble::sounds(&config, &ways);
    let node = Arc::new(Node::new(
        config.clone(),
        clock,
        media,
        resolver,
        ways,
        sounds,
        observer.clone(),
    ));
    if let Some(path) = &config.sbc.registrar.store {
        node.registrar
            .restore(StoreFile::open(path)?, &config, Clocks::at(clock.now()))?;
    }
    let (outside, mut outside_responses) = mpsc::channel::<OutsideResponse>(OUTSIDE_QUEUE);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = SignallingSettings {
        listeners,
        pool: assemble::pool(&config),
        shards: u16::try_from(cores).unwrap_or(1),
        received_queue: RECEIVED_QUEUE,
        command_queue: COMMAND_QUEUE,
        timers: assemble::timers(&config),
        limits: assemble::limits(&config),
        marks: assemble::marks(&config),
        clock,
        admission: admission.clone(),
        observer: Arc::new(NetObserver {
            observer: observer.clone(),
            node: Arc::downgrade(&node),
        }),
    };
    let signalling = Signalling::start(settings, |_, handle, _| {
        // Every shard has the same handle; the first one to come sets it.
        node.signalling.get_or_init(|| handle.clone());
        Switchboard::new(node.clone(), outside.clone())
    })?;
    let transports = signalling.transports().clone();
    node.registrar.watch(move |connection| transports.is_open(connection));
    let monitor = Monitor {
        peers: node.clone(),
        clock,
        signalling: signalling.handle().clone(),
    };
    let (outcomes, heard) = mpsc::channel(OUTSIDE_QUEUE);
    signalling.keep("the monitor of peers", async move {
        let forward = async move {
            while let Some(response) = outside_responses.recv().await {
                if outcomes.send((response.token, response.outcome)).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(forward, monitor.run(heard));
    });
    let load = overload::watch(node.clone(), signalling.transports().clone(), observer);
    signalling.keep("the watch over the load", load);
    Ok(Running {
        node,
        signalling: Arc::new(signalling),
        admission,
        certificates,
        trust: Mutex::new(trust),
    })
}

impl Running {
    /// Where a listener is bound, with the port that port 0 became.
    pub fn local_address(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.signalling.transports().local_address(listener)
    }

    /// Certificates of the TLS listeners, by the listener's name.
    pub fn certificates(&self) -> &[(String, Arc<IdentityStore>)] {
        &self.certificates
    }

    /// Takes over what of a new configuration is not read call by call.
    pub async fn apply(&self, config: &Config) {
        self.admission.publish(config);
        self.node.registrar.apply(config);
        // Fails only when the shards are gone, and then nothing is shed any more.
        let _stopped = self.signalling.handle().spare(&assemble::priority_users(config)).await;
        let resolver = self.node.resolver.load().with_settings(assemble::dns(config));
        self.node.resolver.store(Arc::new(resolver));
        match assemble::ways(config) {
            Ok(ways) => {
                self.node.sounds.store(Arc::new(assemble::sounds(config, &ways)));
                self.node.ways.store(Arc::new(ways));
            }
            Err(error) => tracing::error!(%error, "application servers are reached as before the reload"),
        }
    }

    /// Reads certificate files that changed; connections are renewed with the new ones (TEAMS-012). The files are read on
    /// a thread that may block: they can lie on a network.
    pub async fn reload_certificates(&self, observer: &dyn Observer) {
        for (listener, store) in &self.certificates {
            let store = store.clone();
            let reload = match tokio::task::spawn_blocking(move || store.reload()).await {
                Ok(reload) => reload,
                Err(error) => {
                    tracing::error!(%listener, %error, "certificates were not read, the old ones stay");
                    continue;
                }
            };
            if !reload.replaced.is_empty() {
                self.signalling.transports().renew();
            }
            // Told even when nothing changed: a file that was wrong may be right again.
            observer.happened(&Happening::Certificates {
                listener,
                reload: &reload,
            });
        }
    }

    /// Reads again whom the TLS listeners are to believe: root files, and what the configuration in force says. New
    /// handshakes follow at once; connections made under older trust are renewed or drained. A file that is wrong changes
    /// nothing. The files are read on a thread that may block.
    pub async fn reload_trust(&self, observer: &dyn Observer) {
        let config = self.node.config.load_full();
        let read = match tokio::task::spawn_blocking(move || read_trust(&config)).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "root certificates were not read, the old ones stay");
                return;
            }
        };
        for (listener, name, trust) in read {
            let mut failed = None;
            let mut replaced = false;
            match trust {
                Ok(trust) => {
                    let (clients, roots) = trust.parts();
                    let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
                    replaced = known.get(&listener) != Some(&trust);
                    if replaced {
                        known.insert(listener, trust);
                        self.signalling.transports().set_trust(listener, clients, roots);
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

    /// Waits until no call is left, or until `patience` is over; calls that are left then are cleared, but emergency calls
    /// are given an hour to end by themselves (promise 6).
    pub async fn drain(&self, patience: Duration) {
        self.node.drain();
        if tokio::time::timeout(patience, self.empty()).await.is_ok() {
            return;
        }
        let calls = &self.node.calls;
        calls.clear_where(LEAVING, |call| !call.facts.emergency);
        if calls.list().iter().any(|call| call.facts.emergency) {
            tracing::warn!("emergency calls go on; a second signal ends them");
            if tokio::time::timeout(EMERGENCY_PATIENCE, self.empty()).await.is_ok() {
                return;
            }
        }
        self.clear().await;
    }

    /// Ends every call, emergency calls too, and gives them a moment for their last answers.
    pub async fn clear(&self) {
        self.node.drain();
        self.node.calls.clear_where(LEAVING, |_| true);
        // What doesn't get its last answers by then is cut when everything stops.
        let _late = tokio::time::timeout(LAST_ANSWERS, self.empty()).await;
    }

    async fn empty(&self) {
        loop {
            let ended = self.node.call_ended.notified();
            if self.node.calls.count() == 0 {
                return;
            }
            // A second look in case the last call ended between the two.
            let _second_look = tokio::time::timeout(Duration::from_millis(200), ended).await;
        }
    }

    /// Stops everything. Calls that are still there are cut: [`Running::drain`] first. Every call has its record then.
    pub async fn shut_down(self) {
        self.node.calls.cut("the node stops");
        self.node.call_tasks.shut_down(LAST_RECORDS).await;
        self.signalling.shut_down(Duration::from_secs(1)).await;
        // A server that does not take them in time loses them.
        let _told = tokio::time::timeout(LAST_EVENTS, self.node.tally.untold.none()).await;
        let node = self.node;
        // What it returns is that the writer is done, or that the runtime ends.
        let _done = tokio::task::spawn_blocking(move || node.registrar.close()).await;
    }
}
