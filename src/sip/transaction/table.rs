//! The table of one shard: who is in it, when each entry wakes, and what has to be done.

use super::admission::{Admission, Shed};
use super::client::Client;
use super::identifiers::TransactionId;
use super::matching::KeyBuffer;
use super::output::{Output, SendTo};
use super::server::Server;
use super::settings::Settings;
use crate::moment::Moment;
use crate::sip::Flow;
use crate::sip::message::Message;
use crate::sip::timer_wheel::{TimerKey, TimerWheel};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use slab::Slab;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// What happened in a table since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests and responses that we sent again.
    pub retransmissions: u64,
    /// Requests that came again.
    pub repeated_requests: u64,
    /// Responses that match no request of ours.
    pub stray_responses: u64,
    /// Requests of ours without a final response in time.
    pub timeouts: u64,
    /// Requests refused without a transaction for want of room: by 503, or 481 where their dialog is none.
    pub refused: u64,
    /// INVITEs outside of dialogs, also those that were refused.
    pub calls_begun: u64,
    /// INVITEs that came by a second path (482).
    pub merged: u64,
    /// CANCELs that match no INVITE (481).
    pub stray_cancels: u64,
    /// INVITE answers, 2xx or not, that were never acknowledged.
    pub unacknowledged: u64,
    /// Requests that the transaction user never answered.
    pub abandoned: u64,
    /// Messages that the transport could not deliver.
    pub undeliverable: u64,
}

#[derive(Debug)]
pub(super) enum Transaction {
    Client(Client),
    Server(Server),
}

#[derive(Debug)]
pub(super) struct Entry {
    generation: u32,
    key: Arc<str>,
    timer: Option<TimerKey>,
    pub(super) transaction: Transaction,
}

/// All transactions of one shard. See the [module](super) for its use.
#[derive(Debug)]
pub struct Transactions {
    pub(super) settings: Settings,
    pub(super) rng: StdRng,
    /// Keys the tags of stateless answers.
    pub(super) secret: u64,
    pub(super) keys: KeyBuffer,
    pub(super) by_key: HashMap<Arc<str>, u32>,
    /// Server INVITEs outside dialogs that had no refusal yet, by what a merged copy has in common with them.
    pub(super) unmerged: HashMap<u64, u32>,
    pub(super) admission: Admission,
    pub(super) counters: Counters,
    entries: Slab<Entry>,
    generation: u32,
    wheel: TimerWheel<u32>,
    outputs: VecDeque<Output>,
}

impl Transactions {
    /// An empty table.
    pub fn new(settings: Settings) -> Transactions {
        let mut rng = StdRng::from_seed(settings.seed);
        Transactions {
            secret: rng.next_u64(),
            rng,
            settings,
            keys: KeyBuffer::default(),
            by_key: HashMap::new(),
            unmerged: HashMap::new(),
            admission: Admission::default(),
            counters: Counters::default(),
            entries: Slab::new(),
            generation: 0,
            wheel: TimerWheel::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A message came by `flow`. `lives` says whether a To-tag of ours is of a dialog that there is; it is asked only where
    /// there is no room for what is new.
    pub fn receive(&mut self, message: Message, flow: Flow, now: Moment, lives: impl FnOnce(&str) -> bool) {
        if message.is_request() {
            self.receive_request(message, flow, now, lives);
        } else {
            self.receive_response(message, flow, now);
        }
    }

    /// The next effect; call until `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Transactions::handle_timeout`] is due next.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.wheel.next_timeout()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(slot) = self.wheel.expire(now) {
            let Some(entry) = self.entries.get_mut(slot as usize) else {
                continue;
            };
            entry.timer = None;
            match entry.transaction {
                Transaction::Client(_) => self.client_timer(slot, now),
                Transaction::Server(_) => self.server_timer(slot, now),
            }
        }
    }

    /// Bytes of this transaction could not be delivered. A request without a final response fails; a response goes once more
    /// where there is a fallback, and then waits for the peer to ask again.
    pub fn transport_failed(&mut self, id: TransactionId) {
        self.counters.undeliverable += 1;
        if let Some(slot) = self.slot_of(id) {
            self.client_transport_failed(slot);
            self.server_transport_failed(slot);
        }
    }

    /// While `Some`, a share of the new INVITEs is refused statelessly by 503 with Retry-After. Requests in dialogs that live,
    /// ACK, BYE, OPTIONS and priority users pass.
    pub fn shed_new_calls(&mut self, shed: Option<Shed>) {
        self.admission.shed(shed);
    }

    /// From now on INVITEs to these user parts are never shed ([`Limits::priority_users`](super::Limits)).
    pub fn spare(&mut self, users: Arc<HashSet<String>>) {
        self.settings.limits.priority_users = users;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many transactions live.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when no transaction lives.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn insert(&mut self, key: Arc<str>, transaction: Transaction, deadline: Moment) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let entry = Entry {
            generation,
            key: key.clone(),
            timer: None,
            transaction,
        };
        let slot = self.entries.insert(entry) as u32;
        self.by_key.insert(key, slot);
        self.arm(slot, deadline);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.try_remove(slot as usize) else {
            return;
        };
        self.by_key.remove(&entry.key);
        if let Some(timer) = entry.timer {
            self.wheel.cancel(timer);
        }
        if let Transaction::Server(server) = entry.transaction {
            self.admission.leave(server.party);
            if let Some(merge) = server.merge {
                self.forget_merge(merge, slot);
            }
        }
    }

    pub(super) fn forget_merge(&mut self, merge: u64, slot: u32) {
        if self.unmerged.get(&merge) == Some(&slot) {
            self.unmerged.remove(&merge);
        }
    }

    /// Sets the one timer of an entry.
    pub(super) fn arm(&mut self, slot: u32, deadline: Moment) {
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return;
        };
        if let Some(timer) = entry.timer.take() {
            self.wheel.cancel(timer);
        }
        entry.timer = Some(self.wheel.insert(deadline, slot));
    }

    pub(super) fn id(&self, slot: u32) -> TransactionId {
        let generation = self.entries.get(slot as usize).map_or(0, |entry| entry.generation);
        TransactionId {
            shard: self.settings.shard.index(),
            slot,
            generation,
        }
    }

    pub(super) fn slot_of(&self, id: TransactionId) -> Option<u32> {
        let entry = self.entries.get(id.slot as usize)?;
        (entry.generation == id.generation && id.shard == self.settings.shard.index()).then_some(id.slot)
    }

    pub(super) fn client_mut(&mut self, slot: u32) -> Option<&mut Client> {
        match &mut self.entries.get_mut(slot as usize)?.transaction {
            Transaction::Client(client) => Some(client),
            Transaction::Server(_) => None,
        }
    }

    pub(super) fn server_mut(&mut self, slot: u32) -> Option<&mut Server> {
        match &mut self.entries.get_mut(slot as usize)?.transaction {
            Transaction::Server(server) => Some(server),
            Transaction::Client(_) => None,
        }
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn send(&mut self, transaction: Option<TransactionId>, to: SendTo, bytes: Bytes) {
        self.outputs.push_back(Output::Send { transaction, to, bytes });
    }
}
