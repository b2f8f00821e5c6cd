//! The end of a thread behind a queue.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const LOOKS: u32 = 50;

/// Puts `end` behind what is queued and waits until the thread is done, `grace` at most; false when it was not.
pub(super) fn finish<T>(queue: &SyncSender<T>, end: T, done: &Mutex<Receiver<()>>, grace: Duration) -> bool {
    let done = done.lock().unwrap_or_else(PoisonError::into_inner);
    let mut end = Some(end);
    for _ in 0..LOOKS {
        // A full queue has room for the end once the thread goes on.
        end = end.and_then(|end| match queue.try_send(end) {
            Err(TrySendError::Full(end)) => Some(end),
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
        });
        match done.recv_timeout(grace / LOOKS) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    false
}
