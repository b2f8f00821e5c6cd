//! The thread that writes: one transaction for all that gathered.

use super::file::StoreFile;
use super::journal::Shared;
use std::time::Duration;

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// How long after a failure until the next try; twice as long after each that follows, for to open the file anew is to walk
/// through all of it.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Until the store closes and nothing waits, or the last of it can't be written.
pub(super) fn run(file: &mut StoreFile, shared: &Shared) {
    let mut pause = GATHER;
    loop {
        let mut waiting = shared.lock();
        while waiting.changes.is_empty() && !waiting.closing {
            waiting = shared
                .woken
                .wait(waiting)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if !waiting.closing {
            // Ends early only when the store closes: further changes are what is waited for.
            (waiting, _) = shared
                .woken
                .wait_timeout_while(waiting, pause, |waiting| !waiting.closing)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let closing = waiting.closing;
        let batch = std::mem::take(&mut waiting.changes);
        drop(waiting);
        if batch.is_empty() {
            return;
        }
        let written = file.write(&batch);
        let mut waiting = shared.lock();
        match written {
            Ok(()) => {
                waiting.status.written += batch.len() as u64;
                if std::mem::take(&mut waiting.status.is_failing) {
                    tracing::info!(changes = batch.len(), "the store is written again");
                }
                pause = GATHER;
            }
            Err(error) => {
                waiting.status.failures += 1;
                waiting.status.is_failing = true;
                if closing {
                    tracing::error!(%error, changes = batch.len(), "the store can't be written at the end: these changes are lost");
                } else if waiting.status.failures.is_power_of_two() {
                    tracing::error!(%error, changes = batch.len(), "the store can't be written, and is opened anew");
                }
                for (key, value) in batch {
                    waiting.changes.entry(key).or_insert(value);
                }
                if closing {
                    return;
                }
                pause = (pause * 2).clamp(AFTER_FAILURE, LONGEST_PAUSE);
            }
        }
    }
}
