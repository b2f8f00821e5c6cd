//! The signalling of the node: transports and shards, started and stopped together.

use super::task::{Inputs, ShardTask};
use super::{SignallingHandle, TransactionUser};
use crate::net::inbox::Inbox;
use crate::net::tasks::Tasks;
use crate::net::{
    Admission, Clock, Counters, ListenError, ListenerSettings, Observer, PoolSettings, Surroundings, Transports,
};
use crate::sip::transaction::{self, Limits, Marks, Settings, Shard, Timers, Transactions};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// What [`Signalling::start`] wants.
pub struct SignallingSettings {
    pub listeners: Vec<ListenerSettings>,
    pub pool: PoolSettings,
    /// Shards; one for each core is plenty.
    pub shards: u16,
    /// Received messages that may wait for a shard.
    pub received_queue: usize,
    /// Commands that may wait for a shard.
    pub command_queue: usize,
    pub timers: Timers,
    /// Of each shard.
    pub limits: Limits,
    /// On responses.
    pub marks: Marks,
    pub clock: Clock,
    pub admission: Arc<dyn Admission>,
    pub observer: Arc<dyn Observer>,
}

/// A shard as metrics see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShardStatus {
    /// Live transactions.
    pub transactions: usize,
    pub counters: transaction::Counters,
}

/// The running signalling.
pub struct Signalling {
    transports: Transports,
    handle: SignallingHandle,
    statuses: Vec<Arc<Mutex<ShardStatus>>>,
    tasks: Tasks,
}

impl Signalling {
    /// Binds the listeners and starts the shards; `user` makes each shard's transaction user. Needs a tokio runtime.
    pub fn start<U: TransactionUser>(
        settings: SignallingSettings,
        mut user: impl FnMut(u16, &SignallingHandle, &Transports) -> U,
    ) -> Result<Signalling, ListenError> {
        let SignallingSettings {
            listeners,
            pool,
            received_queue,
            command_queue,
            timers,
            limits,
            marks,
            ..
        } = settings;
        let SignallingSettings {
            clock,
            admission,
            observer,
            ..
        } = settings;
        let count = settings.shards.max(1);
        let counters = Arc::new(Counters::default());
        let (inbox, received) = Inbox::new(count, received_queue, counters.clone());
        let surroundings = Surroundings {
            clock,
            counters: counters.clone(),
            inbox,
            admission,
            observer,
        };
        let transports = Transports::open(listeners, pool, surroundings)?;
        let (senders, commands): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(command_queue.max(1))).unzip();
        let handle = SignallingHandle::new(senders);
        let tasks = Tasks::new(counters.clone());
        let mut statuses = Vec::with_capacity(usize::from(count));
        for (index, (received, commands)) in (0..count).zip(received.into_iter().zip(commands)) {
            let (failures, failed) = mpsc::unbounded_channel();
            let (unsent_acks, came_back) = mpsc::unbounded_channel();
            let status = Arc::new(Mutex::new(ShardStatus::default()));
            statuses.push(status.clone());
            let shard = Shard::new(index, count).unwrap_or(Shard::SINGLE);
            let settings = Settings {
                timers,
                limits: limits.clone(),
                marks: marks.clone(),
                shard,
                seed: rand::random(),
            };
            let task = ShardTask {
                transactions: Transactions::new(settings),
                user: user(index, &handle, &transports),
                transports: transports.clone(),
                clock,
                counters: counters.clone(),
                failures,
                unsent_acks,
                tokens: HashMap::new(),
                status,
            };
            let inputs = Inputs {
                received,
                commands,
                failures: failed,
                unsent_acks: came_back,
            };
            tasks.spawn_vital("a shard", task.run(inputs, tasks.stopping()));
        }
        Ok(Signalling {
            transports,
            handle,
            statuses,
            tasks,
        })
    }

    /// The way for calls to send.
    pub fn handle(&self) -> &SignallingHandle {
        &self.handle
    }

    /// Listeners, connections, counts.
    pub fn transports(&self) -> &Transports {
        &self.transports
    }

    /// Each shard as it was after its last event.
    pub fn shards(&self) -> Vec<ShardStatus> {
        self.statuses
            .iter()
            .map(|status| *status.lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// How many calls have begun so far, also those that were refused, for a task that is kept beside the shards.
    pub fn calls_begun(&self) -> impl Fn() -> u64 + Send + use<> {
        let statuses = self.statuses.clone();
        move || {
            let begun = |status: &Arc<Mutex<ShardStatus>>| {
                let status = status.lock().unwrap_or_else(PoisonError::into_inner);
                status.counters.calls_begun
            };
            statuses.iter().map(begun).sum()
        }
    }

    /// Runs `task` beside the shards, and stops it with them: `what` is one more without which the node is none.
    pub fn keep(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.tasks.stopping();
        self.tasks.spawn_vital(what, async move {
            tokio::select! {
                biased;
                () = stopping => {}
                () = task => {}
            }
        });
    }

    /// Something without which the node is none and which has ended all the same: a shard, a listener, or what
    /// [`Signalling::keep`] was given. None: all is well.
    pub fn lost(&self) -> Option<&'static str> {
        self.tasks.lost().or_else(|| self.transports.lost())
    }

    /// Completes with the first thing that is [`lost`](Signalling::lost).
    pub async fn losing(&self) -> &'static str {
        tokio::select! {
            what = self.tasks.losing() => what,
            what = self.transports.losing() => what,
        }
    }

    /// Stops the shards, then the transports, each within `grace`. End the calls before.
    pub async fn shut_down(&self, grace: Duration) {
        self.tasks.shut_down(grace).await;
        self.transports.shut_down(grace).await;
    }
}
