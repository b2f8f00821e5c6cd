//! Whether a request may become a transaction at all, decided before one exists (a flood must cost no memory).

use super::settings::Limits;
use crate::sip::message::Message;
use crate::sip::{Method, Uri, dialled_with, source_network};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

/// BYEs of a dialog that has as many transactions as it may: one ends it.
const BYES: usize = 16;

/// Counts server transactions: in all, by source, and by dialog.
#[derive(Debug, Default)]
pub(super) struct Admission {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
    by_dialog: HashMap<DialogKey, usize>,
    shedding: Option<Shed>,
}

/// How new calls are shed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shed {
    /// The share of new INVITEs that is refused, 0 to 1.
    pub share: f64,
    /// The Retry-After of a refusal, at least.
    pub retry_after: Duration,
}

impl Shed {
    /// Whether it hits the request of this fingerprint. All copies of a request meet the same fate.
    fn hits(&self, fingerprint: u64) -> bool {
        (fingerprint as f64 / u64::MAX as f64) < self.share
    }
}

/// A dialog as its requests name it: never zero, so that none takes no room.
pub(super) type DialogKey = NonZeroU64;

/// Whose a server transaction is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Party {
    pub source: IpAddr,
    /// Inside which dialog, if in any.
    pub dialog: Option<DialogKey>,
}

/// Why a request may have no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no room for it now.
    Busy,
    /// There is none in its dialog. To be told that the whole node is busy would lead its peer away from it.
    Crowded,
    /// It would go on in a dialog, and there is none.
    NoDialog,
}

impl Admission {
    /// Begins, changes or ends the shedding of new INVITEs.
    pub(super) fn shed(&mut self, shed: Option<Shed>) {
        self.shedding = shed;
    }

    /// Whether `request`, of this [`fingerprint`], may have a transaction. `lives` says whether a To-tag is of a dialog that
    /// there is: anybody can write one.
    pub(super) fn admit(
        &self,
        request: &Message,
        fingerprint: u64,
        party: Party,
        limits: &Limits,
        lives: impl FnOnce(&str) -> bool,
    ) -> Result<(), Denied> {
        let from_source = self.by_source.get(&source_network(party.source)).copied().unwrap_or(0);
        let in_dialog = party.dialog.and_then(|dialog| self.by_dialog.get(&dialog));
        let more = if request.method() == Some(&Method::Bye) {
            BYES
        } else {
            0
        };
        // Who floods one dialog is refused before anybody else is.
        if in_dialog.is_some_and(|count| *count >= limits.max_per_dialog + more) {
            return Err(Denied::Crowded);
        }
        let hit = self.shedding.is_some_and(|shed| shed.hits(fingerprint));
        let shed = hit && request.method() == Some(&Method::Invite);
        if !shed && self.total < limits.max_transactions && from_source < limits.max_per_source {
            return Ok(());
        }
        if request.to_tag().is_some_and(|tag| !lives(tag)) {
            return Err(Denied::NoDialog);
        }
        let bounded = self.total < limits.max_transactions.saturating_mul(2)
            && from_source < limits.max_per_source.saturating_mul(2);
        match bounded && is_exempt(request, limits) {
            true => Ok(()),
            false => Err(Denied::Busy),
        }
    }

    /// Seconds for the Retry-After of a refusal: the base and up to as much again, by `spread`.
    pub(super) fn retry_after(&self, limits: &Limits, spread: u64) -> u64 {
        let base = self.shedding.map_or(limits.retry_after, |shed| shed.retry_after);
        let base = base.as_secs().max(1);
        base + spread % (base + 1)
    }

    /// A server transaction began.
    pub(super) fn enter(&mut self, party: Party) {
        self.total += 1;
        *self.by_source.entry(source_network(party.source)).or_default() += 1;
        if let Some(dialog) = party.dialog {
            *self.by_dialog.entry(dialog).or_default() += 1;
        }
    }

    /// A server transaction ended.
    pub(super) fn leave(&mut self, party: Party) {
        self.total = self.total.saturating_sub(1);
        take_one(&mut self.by_source, &source_network(party.source));
        if let Some(dialog) = &party.dialog {
            take_one(&mut self.by_dialog, dialog);
        }
    }

    /// No server transaction is counted.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.total == 0 && self.by_source.is_empty() && self.by_dialog.is_empty()
    }
}

/// One less; what is none is forgotten.
fn take_one<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Requests that end or keep what exists (their To-tag was looked at), peers' health checks, and calls to priority numbers.
fn is_exempt(request: &Message, limits: &Limits) -> bool {
    matches!(request.method(), Some(Method::Bye | Method::Options))
        || request.to_tag().is_some()
        || is_priority(request, limits)
}

fn is_priority(request: &Message, limits: &Limits) -> bool {
    if limits.priority_users.is_empty() {
        return false;
    }
    let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
    let user = uri.as_ref().and_then(Uri::user).unwrap_or_default();
    // `112;phone-context=…`, `%31%31%32`, `1-1-2` and `+112` are 112 too.
    let number = &*dialled_with(user.split(';').next().unwrap_or_default());
    limits.priority_users.contains(number) || limits.priority_users.contains(number.trim_start_matches('+'))
}

/// A number that a peer can't foretell and that is the same for every copy of a request and for its ACK.
pub(super) fn fingerprint(secret: u64, request: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    request.call_id().hash(&mut hasher);
    request.from_tag().hash(&mut hasher);
    request.cseq().0.hash(&mut hasher);
    hasher.finish()
}

/// The dialog that a request goes on in, by a number that a peer can't foretell.
pub(super) fn dialog_of(secret: u64, request: &Message) -> Option<DialogKey> {
    let tag = request.to_tag()?;
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    request.call_id().hash(&mut hasher);
    tag.hash(&mut hasher);
    Some(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
}

/// The To-tag of answers that leave no state behind: the ACK of such a refusal is known by it.
pub(super) fn stateless_tag(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}
