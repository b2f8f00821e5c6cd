//! What hubs that stand beside one another know together: they are one Teams.

use super::attempts::Attempts;
use super::teams::proxy_of;
use super::transfers::Transfers;
use std::sync::{Mutex, PoisonError};

/// Shared by those hubs; a simulator that stands alone has one of its own.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// INVITEs of one call at several of them.
    pub(super) attempts: Attempts,
    pub(super) transfers: Transfers,
    hubs: Mutex<Vec<String>>,
}

impl Beside {
    /// One hub more.
    pub(super) fn add(&self, hub: &str) {
        self.hubs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hub.to_owned());
    }

    /// The hub of these that has this name, or this one of a Record-Route.
    pub(super) fn hub_of(&self, host: &str) -> Option<String> {
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_named = |hub: &&String| host.eq_ignore_ascii_case(hub) || host.eq_ignore_ascii_case(&proxy_of(hub));
        hubs.iter().find(is_named).cloned()
    }
}
