//! What became of the last configuration that was read, for status pages.

use super::{Happening, Observer, unix_ms};
use crate::config::{Mistake, Reload};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    Applied,
    /// Wrong: the configuration before it stays in force.
    Refused,
    Unchanged,
}

/// What is remembered. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadReport {
    pub outcome: ReloadOutcome,
    pub at_ms: u64,
    /// When the configuration in force came into force.
    pub applied_ms: u64,
    /// When one was last refused.
    pub refused_ms: Option<u64>,
    /// Files that changed with the configuration in force.
    pub files: Vec<String>,
    /// Keys of `sbc.toml` of which something waits for the next start.
    pub waiting: Vec<&'static str>,
    /// Why the last one was refused; empty when it was not.
    pub mistakes: Vec<Mistake>,
    /// Certificate files that are wrong now; the certificates that were read before stay in use.
    pub certificates: Vec<String>,
}

/// Remembers the last reload.
#[derive(Debug)]
pub struct Reloads(Mutex<ReloadReport>);

impl Reloads {
    /// A configuration came into force now.
    pub fn new() -> Reloads {
        let now = unix_ms();
        Reloads(Mutex::new(ReloadReport {
            outcome: ReloadOutcome::Applied,
            at_ms: now,
            applied_ms: now,
            refused_ms: None,
            files: Vec::new(),
            waiting: Vec::new(),
            mistakes: Vec::new(),
            certificates: Vec::new(),
        }))
    }

    /// What is remembered.
    pub fn report(&self) -> ReloadReport {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, ReloadReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Reloads {
    fn default() -> Reloads {
        Reloads::new()
    }
}

impl Observer for Reloads {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::Certificates { listener, reload } = happening {
            let failed = reload
                .failed
                .iter()
                .map(|(name, error)| format!("listener {listener}, {name}: {error}"));
            let mut last = self.lock();
            last.certificates
                .retain(|known| !known.starts_with(&format!("listener {listener}, ")));
            last.certificates.extend(failed);
            return;
        }
        if let Happening::Trust { listener, failed, .. } = happening {
            let of_listener = format!("listener '{listener}': ");
            let mut last = self.lock();
            last.certificates.retain(|known| !known.starts_with(&of_listener));
            last.certificates.extend(failed.map(str::to_owned));
            return;
        }
        let Happening::Reloaded { outcome } = happening else {
            return;
        };
        let now = unix_ms();
        let mut last = self.lock();
        last.at_ms = now;
        match outcome {
            Reload::Applied { changed, waiting, .. } => {
                last.outcome = ReloadOutcome::Applied;
                last.applied_ms = now;
                last.files = changed.iter().map(|file| file.display().to_string()).collect();
                last.waiting.clone_from(waiting);
                last.mistakes.clear();
            }
            Reload::Refused { mistakes, .. } => {
                last.outcome = ReloadOutcome::Refused;
                last.refused_ms = Some(now);
                last.mistakes = mistakes.iter().cloned().collect();
            }
            Reload::Unchanged => {
                last.outcome = ReloadOutcome::Unchanged;
                last.mistakes.clear();
            }
        }
    }
}
