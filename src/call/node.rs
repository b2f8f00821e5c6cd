//! What all calls of a node share.

use super::carrier_proof::CarrierProofs;
use super::directory::{Directory, LiveCall};
use super::event::Event;
use super::hop_mark::HopMark;
use super::id::CallId;
use super::listed::Listed;
use super::record::CallFacts;
use super::repeated_byes::RepeatedByes;
use super::server::Ways;
use super::setup::Settings;
use super::tally::Tally;
use super::task;
use super::tasks::CallTasks;
use crate::app::sounds::Sounds;
use crate::config::{Carrier, Config, Limits, Tenant};
use crate::emergency::Elins;
use crate::guard::{NODE, Peers, Place, Places, carrier_owner, tenant_owner};
use crate::media::MediaPlane;
use crate::moment::Moment;
use crate::net::Clock;
use crate::net::dns::Resolver;
use crate::net::shard::SignallingHandle;
use crate::observe::Observer;
use crate::registrar::{Clocks, Registrar};
use crate::route::Refusal;
use crate::store::{Store, StoreError, StoreFile, Table};
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc};

/// The shared parts of a running node.
pub struct Node {
    /// The configuration in force; calls keep the one they began with.
    pub config: Arc<ArcSwap<Config>>,
    pub clock: Clock,
    pub media: Arc<MediaPlane>,
    pub resolver: ArcSwap<Resolver>,
    pub peers: Peers,
    pub places: Places,
    pub calls: Directory,
    pub call_tasks: CallTasks,
    /// What calls that may be over still have to say.
    pub repeated_byes: RepeatedByes,
    pub observer: Arc<dyn Observer>,
    pub hop_mark: HopMark,
    /// Proves carriers that are known by a password.
    pub carriers: CarrierProofs,
    pub registrar: Registrar,
    /// Whom ELINs stand for.
    pub elins: Arc<Elins>,
    /// The ways to application servers.
    pub ways: ArcSwap<Ways>,
    /// What is open toward application servers.
    pub tally: Arc<Tally>,
    /// What applications let callers hear.
    pub sounds: ArcSwap<Sounds>,
    /// Set once the shards run.
    pub signalling: OnceLock<SignallingHandle>,
    draining: AtomicBool,
    /// Woken whenever a call ended.
    pub call_ended: Notify,
}

impl Node {
    /// A node that takes calls as soon as its shards run.
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        media: Arc<MediaPlane>,
        resolver: Resolver,
        ways: Ways,
        sounds: Sounds,
        observer: Arc<dyn Observer>,
    ) -> Node {
        Node {
            config: Arc::new(ArcSwap::new(config)),
            clock,
            media,
            resolver: ArcSwap::from_pointee(resolver),
            peers: Peers::default(),
            places: Places::default(),
            calls: Directory::default(),
            call_tasks: CallTasks::default(),
            repeated_byes: RepeatedByes::default(),
            observer,
            hop_mark: HopMark::new(rand::random()),
            carriers: CarrierProofs::new(rand::random()),
            registrar: Registrar::new(rand::random()),
            elins: Arc::new(Elins::new(clock)),
            sounds: ArcSwap::from_pointee(sounds),
            ways: ArcSwap::from_pointee(ways),
            tally: Arc::default(),
            signalling: OnceLock::new(),
            draining: AtomicBool::new(false),
            call_ended: Notify::new(),
        }
    }

    /// Takes what outlived the last process, and keeps changes in the file from now on.
    pub fn restore(&self, mut file: StoreFile, config: &Config) -> Result<(), StoreError> {
        let (bindings, elins) = (file.read_all(Table::Bindings)?, file.read_all(Table::Elins)?);
        let store = Arc::new(Store::start(file)?);
        let clocks = Clocks::at(self.clock.now());
        self.registrar.restore(bindings, store.clone(), config, clocks);
        self.elins.restore(elins, store, config, clocks);
        Ok(())
    }

    /// Refuses new calls from now on, and answers OPTIONS with 503 (TEAMS-026).
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the node drains.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// A place for a call of a tenant, or for a transfer, under every limit that it meets, or why there is none. `carrier`: who
    /// it comes from; one that it goes to is asked when it is called.
    pub(super) fn take_place(
        &self,
        config: &Config,
        tenant: &Tenant,
        carrier: Option<&Carrier>,
        emergency: bool,
    ) -> Result<Place, Refusal> {
        let of_tenant = tenant_owner(tenant.id.as_str());
        let of_carrier = carrier.map(|carrier| (carrier_owner(carrier.id.as_str()), carrier.limits));
        let mut owners: Vec<(&str, Limits)> = vec![(NODE, config.sbc.guard.limits), (&of_tenant, tenant.limits)];
        owners.extend(of_carrier.as_ref().map(|(owner, limits)| (owner.as_str(), *limits)));
        let taken = self.places.take(&owners, emergency, self.clock.now());
        taken.map_err(|full| {
            let wait = full.retry_after(config.sbc.guard.retry_after);
            Refusal::unavailable(full.to_string(), Some(wait))
        })
    }

    /// Enters a call into the directory under a name of its own; what happens to it comes out of the receiver.
    pub(super) fn enter_call(self: &Arc<Node>, facts: &CallFacts, now: Moment) -> (Listed, mpsc::Receiver<Box<Event>>) {
        let (mailbox, events) = mpsc::channel(task::MAILBOX);
        loop {
            let id = CallId::from_random(rand::random());
            let live = LiveCall::new(id, now, facts.clone(), mailbox.clone());
            if self.calls.add(live.clone()) {
                return (Listed::new(self.clone(), live), events);
            }
        }
    }

    /// What all calls of this configuration go by.
    pub(super) fn call_settings(&self, config: &Config) -> Settings {
        Settings {
            hold_timeout: config.sbc.media.hold_timeout,
            hop_mark: self.hop_mark,
        }
    }
}
