//! The thread that writes: one transaction for all that gathered.

use super::Table;
use super::journal::{Change, Shared};
use redb::{Database, TableDefinition};
use std::collections::HashMap;
use std::time::Duration;

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// How long after a failure until the next try.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

pub(super) const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(match table {
        Table::Bindings => "bindings",
    })
}

/// Until the store closes and nothing waits, or the last of it can't be written.
pub(super) fn run(database: &Database, shared: &Shared) {
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
        let written = write(database, &batch);
        let mut waiting = shared.lock();
        match written {
            Ok(()) => {
                waiting.status.written += batch.len() as u64;
                waiting.status.is_failing = false;
                pause = GATHER;
            }
            Err(error) => {
                waiting.status.failures += 1;
                waiting.status.is_failing = true;
                if waiting.status.failures.is_power_of_two() {
                    tracing::error!(%error, changes = batch.len(), "the store can't be written");
                }
                for (key, value) in batch {
                    waiting.changes.entry(key).or_insert(value);
                }
                if closing {
                    return;
                }
                pause = AFTER_FAILURE;
            }
        }
    }
}

/// All or nothing; on the disk once it returns.
fn write(database: &Database, batch: &HashMap<Change, Option<Vec<u8>>>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut bindings = transaction.open_table(definition(Table::Bindings))?;
        for ((table, key), value) in batch {
            match (table, value) {
                (Table::Bindings, Some(value)) => bindings.insert(key.as_slice(), value.as_slice())?,
                (Table::Bindings, None) => bindings.remove(key.as_slice())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}
