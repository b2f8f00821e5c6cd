//! The tasks of the transports: each has an owner, hears of the stop, and is awaited.

use super::counters::Counters;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) struct Tasks {
    set: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
}

impl Tasks {
    pub(super) fn new(counters: Arc<Counters>) -> Tasks {
        Tasks {
            set: Mutex::default(),
            stop: watch::Sender::new(false),
            counters,
        }
    }

    /// Runs `task` until it ends or the stop; it is dropped at the stop unless it listens to [`Tasks::stopping`] itself.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = set.try_join_next() {
            self.note(ended);
        }
        set.spawn(task);
    }

    /// Completes when the stop has been called.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the sender is gone, which is a stop too.
            let _ = stop.wait_for(|stopped| *stopped).await;
        }
    }

    /// Calls the stop and waits for all tasks; those that outlast `grace` are dropped.
    pub(super) async fn shut_down(&self, grace: Duration) {
        self.stop.send_replace(true);
        let mut set = std::mem::take(&mut *self.set.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async {
            while let Some(ended) = set.join_next().await {
                self.note(ended);
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            set.shutdown().await;
        }
    }

    fn note(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            self.counters.tasks_panicked.add();
        }
    }
}
