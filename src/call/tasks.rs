//! The tasks of the calls, and of what they leave: the node owns them, and awaits them when it stops.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// The running calls' tasks. A task deals with panics of its own.
#[derive(Debug, Default)]
pub struct CallTasks(Mutex<JoinSet<()>>);

impl CallTasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Room of those that ended; what they return is nothing.
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Waits for the tasks of calls that were told to end; those that outlast `grace` are dropped, and write what is known
    /// of their calls as they go.
    pub async fn shut_down(&self, grace: Duration) {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            set.shutdown().await;
        }
    }
}
