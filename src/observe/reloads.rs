//! What became of the last configuration that was read, for status pages.

use super::{Happening, Observer, unix_ms};
use crate::config::{Mistake, Reload};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    /// Files that are new, gone or have another text in the last one that was read, whatever became of it. Of a refused one
    /// all since the one in force: others may have been refused before it.
    pub files: Vec<String>,
    /// Keys of `sbc.toml` of which something waits for the next start, with the configuration in force.
    pub waiting: Vec<&'static str>,
    /// Why the last one was refused; empty when it was not.
    pub mistakes: Vec<Mistake>,
    /// Files of certificates and of roots that are wrong now, by listener; what was read before stays in use.
    pub certificates: Vec<String>,
}

/// Remembers the last reload.
#[derive(Debug)]
pub struct Reloads(Mutex<Remembered>);

#[derive(Debug)]
struct Remembered {
    /// Without the files that are wrong.
    last: ReloadReport,
    /// What is wrong with the files of a listener, until they are read again.
    wrong: BTreeMap<(String, Files), Vec<String>>,
}

/// Files that are read apart from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Files {
    Certificates,
    Roots,
}

impl Remembered {
    fn read_again(&mut self, listener: &str, files: Files, wrong: Vec<String>) {
        let key = (listener.to_owned(), files);
        match wrong.is_empty() {
            true => self.wrong.remove(&key),
            false => self.wrong.insert(key, wrong),
        };
    }
}

impl Reloads {
    /// A configuration came into force now.
    pub fn new() -> Reloads {
        let now = unix_ms();
        let last = ReloadReport {
            outcome: ReloadOutcome::Applied,
            at_ms: now,
            applied_ms: now,
            refused_ms: None,
            files: Vec::new(),
            waiting: Vec::new(),
            mistakes: Vec::new(),
            certificates: Vec::new(),
        };
        let wrong = BTreeMap::new();
        Reloads(Mutex::new(Remembered { last, wrong }))
    }

    /// What is remembered.
    pub fn report(&self) -> ReloadReport {
        let remembered = self.lock();
        ReloadReport {
            certificates: remembered.wrong.values().flatten().cloned().collect(),
            ..remembered.last.clone()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
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
                .map(|(name, error)| format!("listener {listener}, {name}: {error}"))
                .collect();
            self.lock().read_again(listener, Files::Certificates, failed);
            return;
        }
        if let Happening::Trust { listener, failed, .. } = happening {
            let failed = failed.map(str::to_owned).into_iter().collect();
            self.lock().read_again(listener, Files::Roots, failed);
            return;
        }
        let Happening::Reloaded { outcome } = happening else {
            return;
        };
        let now = unix_ms();
        let mut remembered = self.lock();
        let last = &mut remembered.last;
        last.at_ms = now;
        match outcome {
            Reload::Applied { changed, waiting, .. } => {
                last.outcome = ReloadOutcome::Applied;
                last.applied_ms = now;
                last.files = named(changed);
                last.waiting.clone_from(waiting);
                last.mistakes.clear();
            }
            Reload::Refused { mistakes, changed, .. } => {
                last.outcome = ReloadOutcome::Refused;
                last.refused_ms = Some(now);
                last.files = named(changed);
                last.mistakes = mistakes.iter().cloned().collect();
            }
            Reload::Unchanged => {
                last.outcome = ReloadOutcome::Unchanged;
                last.files.clear();
                last.mistakes.clear();
            }
        }
    }
}

fn named(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::fixture::machine;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_files_are_those_that_the_mistakes_are_in() {
        let reloads = Reloads::new();
        let reloaded = |outcome: Reload| {
            reloads.happened(&Happening::Reloaded { outcome: &outcome });
            let last = reloads.report();
            (last.files, last.mistakes.len(), last.waiting)
        };
        let config = Config::from_toml_strs(&machine(""), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let applied = reloaded(Reload::Applied {
            config: Arc::new(config),
            changed: vec!["sbc.toml".into()],
            waiting: vec!["listeners"],
            took: Duration::ZERO,
        });
        assert_eq!(applied, (vec!["sbc.toml".to_owned()], 0, vec!["listeners"]));
        let mistakes = Config::from_toml_strs(&machine(""), &[("contoso", "label = 5")]).map(|_| ());
        let refused = reloaded(Reload::Refused {
            mistakes: mistakes.expect_err("a number"),
            changed: vec!["tenants/contoso.toml".into()],
            took: Duration::ZERO,
        });
        assert_eq!(refused, (vec!["tenants/contoso.toml".to_owned()], 3, vec!["listeners"]));
        // It was undone: what waits goes on waiting.
        assert_eq!(reloaded(Reload::Unchanged), (Vec::new(), 0, vec!["listeners"]));
    }

    #[test]
    fn what_is_wrong_with_a_listener_stays_until_its_own_files_are_read_again() {
        let reloads = Reloads::new();
        let roots = |listener, failed| {
            reloads.happened(&Happening::Trust {
                listener,
                replaced: false,
                failed,
            });
        };
        let known = || reloads.report().certificates;
        // However the sentence begins.
        roots("teams", Some("teams.pem is no PEM"));
        roots("carriers", Some("listener 'teams': is another's trouble"));
        roots("teams", Some("teams.pem can't be read"));
        assert_eq!(
            known(),
            ["listener 'teams': is another's trouble", "teams.pem can't be read"]
        );
        let read = crate::net::tls::Reload::default();
        reloads.happened(&Happening::Certificates {
            listener: "teams",
            reload: &read,
        });
        assert_eq!(known().len(), 2, "certificates are no roots");
        roots("teams", None);
        assert_eq!(known(), ["listener 'teams': is another's trouble"]);
    }
}
