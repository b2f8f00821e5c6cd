//! The tasks of the transports: each has an owner, hears of the stop, and is awaited. A panic is counted when it happens.

use super::counters::Counters;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) struct Tasks {
    set: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
    /// The first vital task that ended before the stop.
    lost: watch::Sender<Option<&'static str>>,
}

impl Tasks {
    pub(super) fn new(counters: Arc<Counters>) -> Tasks {
        Tasks {
            set: Mutex::default(),
            stop: watch::Sender::new(false),
            counters,
            lost: watch::Sender::new(None),
        }
    }

    /// Runs `task` until it ends or the stop; it is dropped at the stop unless it listens to [`Tasks::stopping`] itself.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counters = self.counters.clone();
        let watched = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                counters.tasks_panicked.add();
            }
        };
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // Room of those that ended; what they return is nothing.
        while set.try_join_next().is_some() {}
        set.spawn(watched);
    }

    /// The same for a task without which the node is none: [`Tasks::lost`] tells `what` when it ends before the stop.
    pub(super) fn spawn_vital(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (lost, stop, counters) = (self.lost.clone(), self.stop.subscribe(), self.counters.clone());
        self.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                counters.tasks_panicked.add();
            }
            if !*stop.borrow() {
                lost.send_if_modified(|lost| {
                    let is_first = lost.is_none();
                    lost.get_or_insert(what);
                    is_first
                });
            }
        });
    }

    /// A vital task that ended before the stop. None: all is well.
    pub(super) fn lost(&self) -> Option<&'static str> {
        *self.lost.borrow()
    }

    /// Completes with the first vital task that ends before the stop.
    pub(super) async fn losing(&self) -> &'static str {
        let mut lost = self.lost.subscribe();
        let told = lost.wait_for(Option::is_some).await.ok().and_then(|lost| *lost);
        match told {
            Some(what) => what,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
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
        let all = async { while set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            set.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_at_once_and_the_end_of_a_vital_task_is_told() {
        let counters = Arc::new(Counters::default());
        let tasks = Tasks::new(counters.clone());
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async move {
            let _held = ended;
            panic!("a defect of a connection");
        });
        assert!(end.await.is_err(), "the task has unwound");
        while counters.tasks_panicked.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.lost(), None, "nobody depends on it");
        tasks.spawn_vital("a shard", async { panic!("a defect of a shard") });
        tasks.spawn_vital("a listener", async {});
        assert_eq!(tasks.losing().await, "a shard");
        assert_eq!(counters.tasks_panicked.get(), 2);
        tasks.shut_down(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn who_ends_with_the_stop_is_not_lost() {
        let tasks = Tasks::new(Arc::default());
        tasks.spawn_vital("a shard", tasks.stopping());
        tasks.shut_down(Duration::from_secs(1)).await;
        assert_eq!(tasks.lost(), None);
    }
}
