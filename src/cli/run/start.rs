//! A running node: started in one step, stopped in order.

use super::papers::{Papers, read_trust};
use super::servers::{Makings, Servers};
use super::tls::TlsError;
use super::{assemble, overload};
use crate::call::{LiveCall, Node, OutsideResponse, Switchboard};
use crate::carrier::{Comer, Unidentified};
use crate::config::Config;
use crate::dial::PeerName;
use crate::guard::{AdmissionTable, Monitor, Peers, Surroundings, Turn};
use crate::media::{MediaError, MediaPlane};
use crate::moment::Moment;
use crate::net::dns::Resolver;
use crate::net::shard::{Signalling, SignallingSettings};
use crate::net::tls::IdentityStore;
use crate::net::{Clock, CloseReason, ListenError, ListenerProtocol, ListenerSettings, NetEvent, Opener};
use crate::observe::{Happening, Observer};
use crate::sip::ListenerId;
use crate::store::{StoreError, StoreFile};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
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
/// How often the calls are looked at meanwhile.
const CLEARING: Duration = Duration::from_millis(500);
/// How long a disk may take for the last bindings.
const LAST_WRITES: Duration = Duration::from_secs(10);
/// How long events of calls that ended may take to be told to applications at the end.
const LAST_EVENTS: Duration = Duration::from_secs(5);
/// How long calls that are cut may take for their records.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// A node that takes calls.
pub struct Running {
    pub node: Arc<Node>,
    pub signalling: Arc<Signalling>,
    pub admission: Arc<AdmissionTable>,
    /// Certificates and trust of the TLS listeners.
    pub papers: Arc<Papers>,
    servers: Arc<Servers>,
}

/// What transports tell goes where everything goes.
struct NetObserver {
    observer: Arc<dyn Observer>,
    /// The node owns the transports: what they hold of it would outlive both.
    node: Weak<Node>,
}

impl NetObserver {
    fn learn(&self, learn: impl FnOnce(&Peers, Moment)) {
        if let Some(node) = self.node.upgrade() {
            learn(&node.peers, node.clock.now());
        }
    }

    fn turned_away(&self, id: ListenerId, remote: SocketAddr) {
        let Some(node) = self.node.upgrade() else { return };
        let config = node.config.load();
        let Some(listener) = config.sbc.listener(id) else {
            return;
        };
        let comer = Comer {
            address: remote.ip().to_canonical(),
            listener: id,
            transport: listener.transport,
            peer: None,
        };
        self.observer.happened(&Happening::Unidentified {
            method: None,
            source: remote,
            listener: id,
            why: Unidentified::of(&config, &comer),
        });
    }
}

impl crate::net::Observer for NetObserver {
    fn event(&self, event: &NetEvent<'_>) {
        match event {
            NetEvent::ConnectFailed { hop, failure } => {
                self.learn(|peers, now| peers.not_connected(hop.remote, failure.to_string(), now));
            }
            // With TLS 1.3 a peer that refuses our certificate says so behind the handshake.
            NetEvent::Closed {
                connection,
                reason: reason @ CloseReason::PeerAlert(_),
            } if connection.opener == Opener::Us => {
                self.learn(|peers, now| peers.not_connected(connection.flow.remote, reason.to_string(), now));
            }
            NetEvent::Connected { connection } if connection.opener == Opener::Us => {
                self.learn(|peers, _| peers.connected(connection.flow.remote));
            }
            NetEvent::NotAdmitted { listener, remote } => self.turned_away(*listener, *remote),
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
    let makings = Makings::of(&config, Makings::roots()?);
    let (ways, sounds) = makings.make(None)?;
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
        node.restore(StoreFile::open(path)?, &config)?;
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
        sent_again_after: assemble::timers(&config).t1,
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
    let transports = signalling.transports().clone();
    let load = overload::watch(node.clone(), transports, signalling.calls_begun(), observer);
    signalling.keep("the watch over the load", load);
    let servers = Arc::new(Servers::new(node.clone(), makings));
    let transports = signalling.transports().clone();
    let papers = Papers::new(node.clone(), transports, servers.clone(), certificates, trust);
    Ok(Running {
        node,
        signalling: Arc::new(signalling),
        admission,
        papers: Arc::new(papers),
        servers,
    })
}

impl Running {
    /// Where a listener is bound, with the port that port 0 became.
    pub fn local_address(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.signalling.transports().local_address(listener)
    }

    /// Puts a configuration into force: whom listeners hear before anything else, so that nobody is read by the new one
    /// and turned away by the old. Reads no file.
    pub async fn apply(&self, config: &Arc<Config>) {
        self.admission.publish(config);
        self.node.config.store(config.clone());
        self.node.registrar.apply(config);
        self.node.elins.apply(config);
        // Fails only when the shards are gone, and then nothing is shed any more.
        let _stopped = self.signalling.handle().spare(&assemble::priority_users(config)).await;
        let resolver = self.node.resolver.load().with_settings(assemble::dns(config));
        self.node.resolver.store(Arc::new(resolver));
        self.servers.follow(config);
    }

    /// Waits until no call is left, or until `patience` is over; calls that are left then are cleared, but emergency calls
    /// are given an hour to end by themselves (promise 6).
    pub async fn drain(&self, patience: Duration) {
        self.node.drain();
        if tokio::time::timeout(patience, self.empty()).await.is_ok() {
            return;
        }
        // An application that dialled for help and has its caller back is cleared then.
        let no_help_needed = async {
            loop {
                let calls = &self.node.calls;
                calls.clear_where(LEAVING, |call| !call.is_emergency());
                if !calls.list().iter().any(LiveCall::is_emergency) {
                    return;
                }
                tokio::time::sleep(CLEARING).await;
            }
        };
        if self.node.calls.list().iter().any(LiveCall::is_emergency) {
            tracing::warn!("emergency calls go on; a second signal ends them");
        }
        // What lasts longer is ended with the others.
        let _late = tokio::time::timeout(EMERGENCY_PATIENCE, no_help_needed).await;
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
        self.node.repeated_byes.shut_down().await;
        self.signalling.shut_down(Duration::from_secs(1)).await;
        // A server that does not take them in time loses them.
        let _told = tokio::time::timeout(LAST_EVENTS, self.node.tally.untold.none()).await;
        let node = self.node;
        let closed = tokio::task::spawn_blocking(move || node.registrar.close());
        if tokio::time::timeout(LAST_WRITES, closed).await.is_err() {
            tracing::error!("the store's disk does not answer: what was not written is lost");
        }
    }
}
