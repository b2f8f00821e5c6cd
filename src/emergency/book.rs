//! The ELINs that stand for somebody: plain data.

use crate::config::{E164, TenantId};
use crate::moment::Moment;
use crate::route::EmergencyCaller;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// An ELIN of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: TenantId,
    pub number: E164,
}

/// For whom an ELIN stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Who called last; `None` where nobody could call back.
    pub caller: Option<EmergencyCaller>,
    /// Emergency calls that are up under it.
    pub calls: u32,
    /// When the last of them began.
    pub began: Moment,
    /// When it began to stand: calls from before that are none of its.
    pub since: Moment,
    /// While none is up: how long it stands yet.
    pub until: Option<Moment>,
}

impl Standing {
    fn is_live(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Why an ELIN was chosen among those that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    SameCaller,
    Free,
    EndedLongestAgo,
    FewestCalls,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::SameCaller => "it stands for this caller already",
            Why::Free => "the first that stands for nobody",
            Why::EndedLongestAgo => "all stand for somebody; the call of this one ended longest ago",
            Why::FewestCalls => "calls are up under all of them; fewest under this one",
        })
    }
}

/// All ELINs that stand for somebody. There are never more than the configuration has.
#[derive(Debug, Default)]
pub struct Book {
    pub(super) standing: HashMap<Key, Standing>,
}

impl Book {
    /// Which of the ELINs in `fitting`, the preferred first, is best shown for `caller`: the one that stands for it, one that is
    /// free, one whose caller is done, and only then one that somebody is talking under.
    pub fn choose(
        &self,
        tenant: &TenantId,
        caller: Option<&EmergencyCaller>,
        fitting: &[E164],
        now: Moment,
    ) -> Option<(E164, Why)> {
        let standing = |number: &E164| {
            let key = Key {
                tenant: tenant.clone(),
                number: *number,
            };
            self.standing.get(&key).filter(|standing| standing.is_live(now))
        };
        let its_own =
            |number: &&E164| caller.is_some() && standing(number).is_some_and(|known| known.caller.as_ref() == caller);
        if let Some(number) = fitting.iter().find(its_own) {
            return Some((*number, Why::SameCaller));
        }
        if let Some(number) = fitting.iter().find(|number| standing(number).is_none()) {
            return Some((*number, Why::Free));
        }
        let rank = |number: &&E164| standing(number).map(|known| (known.calls, known.until, known.began));
        let number = fitting.iter().min_by_key(rank)?;
        match standing(number).is_some_and(|known| known.calls > 0) {
            true => Some((*number, Why::FewestCalls)),
            false => Some((*number, Why::EndedLongestAgo)),
        }
    }

    /// From now on `key` stands for `caller`, whose call begins: whoever called last is called back.
    pub fn begin(&mut self, key: Key, caller: Option<EmergencyCaller>, now: Moment) {
        let before = self.standing.get(&key).filter(|known| known.is_live(now));
        let calls = before.map_or(0, |known| known.calls).saturating_add(1);
        let standing = Standing {
            caller,
            calls,
            began: now,
            since: before.map_or(now, |known| known.since),
            until: None,
        };
        self.standing.insert(key, standing);
    }

    /// A call that `began` to be shown under `key` is over: with the last one its time begins to run. One from before the
    /// number was taken out of the configuration and came back changes nothing.
    pub fn end(&mut self, key: &Key, began: Moment, keep: Duration, now: Moment) {
        if let Some(known) = self.standing.get_mut(key).filter(|known| began >= known.since) {
            known.calls = known.calls.saturating_sub(1);
            if known.calls == 0 {
                known.until = Some(now + keep);
            }
        }
    }

    /// Whom a call to this ELIN reaches.
    pub fn caller(&self, key: &Key, now: Moment) -> Option<&EmergencyCaller> {
        let known = self.standing.get(key).filter(|known| known.is_live(now));
        known.and_then(|known| known.caller.as_ref())
    }

    /// ELINs that stand for somebody.
    pub fn count(&self, now: Moment) -> usize {
        self.standing.values().filter(|known| known.is_live(now)).count()
    }

    /// Takes out those whose time is over, and those that `is_known` does not know.
    pub fn sweep(&mut self, now: Moment, is_known: impl Fn(&Key) -> bool) -> Vec<Key> {
        let over = |(key, known): (&Key, &Standing)| (!known.is_live(now) || !is_known(key)).then(|| key.clone());
        let gone: Vec<Key> = self.standing.iter().filter_map(over).collect();
        for key in &gone {
            self.standing.remove(key);
        }
        gone
    }
}
