//! The node's book of ELINs, and what the store keeps of it.

use super::book::{Book, Key, Standing};
use super::stored;
use crate::carrier::read_number;
use crate::config::Config;
use crate::moment::Moment;
use crate::net::Clock;
use crate::registrar::Clocks;
use crate::route::{Decision, Elin, ElinFacts, EmergencyCaller, Facts, Origin, Trace, elin_of};
use crate::store::{Entry, Store, Table};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// For whom the node's ELINs stand.
#[derive(Debug)]
pub struct Elins {
    book: Mutex<Book>,
    store: OnceLock<Arc<Store>>,
    clock: Clock,
}

impl Elins {
    /// None stands for anybody.
    pub fn new(clock: Clock) -> Elins {
        Elins {
            book: Mutex::default(),
            store: OnceLock::new(),
            clock,
        }
    }

    /// Takes what the store kept, and keeps changes in it from now on.
    pub fn restore(&self, kept: Vec<Entry>, store: Arc<Store>, config: &Config, clocks: Clocks) {
        let keep = config.sbc.emergency.callback;
        let mut book = self.lock();
        for (key, value) in kept {
            let live = stored::decode(&key, &value, keep, clocks).filter(|(key, _)| is_known(config, key));
            match live {
                Some((known, standing)) => {
                    store.put(Table::Elins, key, stored::encode(&standing, clocks));
                    book.standing.insert(known, standing);
                }
                None => {
                    store.put(Table::Elins, key, None);
                }
            }
        }
        // A second store is a fault of the caller's that costs nothing but the second.
        let _already = self.store.set(store);
    }

    /// Chooses the ELIN that is shown for an emergency call where any fits. It stands for the caller until what is returned is
    /// dropped, with the call, and a while longer.
    pub fn show(
        self: &Arc<Elins>,
        config: &Config,
        facts: &Facts,
        decision: &mut Decision,
        trace: &mut Trace,
    ) -> Option<Showing> {
        let Elin::Fitting(fitting) = &decision.elin else {
            return None;
        };
        let caller = EmergencyCaller::of(facts, decision);
        let now = self.clock.now();
        let mut book = self.lock();
        self.sweep(&mut book, config);
        let (number, why) = book.choose(&decision.tenant.id, caller.as_ref(), fitting, now)?;
        let key = Key {
            tenant: decision.tenant.id.clone(),
            number,
        };
        let whom = match &caller {
            Some(caller) => format!("a call to it goes to {caller}"),
            None => "the caller has no number that could be called back".to_owned(),
        };
        book.begin(key.clone(), caller, now);
        self.keep(&key, book.standing.get(&key));
        drop(book);
        trace.step(
            "elin",
            number.to_string(),
            format!("shown as the caller: {why}; {whom}"),
        );
        decision.elin = Elin::Shown(number);
        Some(Showing {
            elins: self.clone(),
            key,
            began: now,
            keep: config.sbc.emergency.callback,
        })
    }

    /// The facts of a call with whom the called number stands for, where it is an ELIN that a carrier calls.
    pub fn known_to(&self, config: &Config, facts: Facts) -> Facts {
        let found = || {
            let Origin::Carrier(id) = &facts.origin else {
                return None;
            };
            let number = read_number(&config.carrier(id)?.numbers, &facts.dialled)?;
            let (tenant, _) = elin_of(config, number)?;
            let key = Key {
                tenant: tenant.id.clone(),
                number,
            };
            self.lock().caller(&key, self.clock.now()).cloned()
        };
        match found() {
            Some(caller) => Facts {
                elin: ElinFacts::ShownFor(caller),
                ..facts
            },
            None => facts,
        }
    }

    /// Forgets numbers that are ELINs of their tenant no more.
    pub fn apply(&self, config: &Config) {
        self.sweep(&mut self.lock(), config);
    }

    /// How many stand for somebody.
    pub fn count(&self) -> usize {
        self.lock().count(self.clock.now())
    }

    fn sweep(&self, book: &mut Book, config: &Config) {
        for gone in book.sweep(self.clock.now(), |key| is_known(config, key)) {
            self.keep(&gone, None);
        }
    }

    fn end(&self, key: &Key, began: Moment, keep: Duration) {
        let mut book = self.lock();
        book.end(key, began, keep, self.clock.now());
        if let Some(standing) = book.standing.get(key) {
            self.keep(key, Some(standing));
        }
    }

    /// Under the lock of the book, so that changes come in order. What finds no room in the store is counted there.
    fn keep(&self, key: &Key, standing: Option<&Standing>) {
        if let Some(store) = self.store.get() {
            let value = standing.and_then(|standing| stored::encode(standing, Clocks::at(self.clock.now())));
            store.put(Table::Elins, stored::key(key), value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_known(config: &Config, key: &Key) -> bool {
    elin_of(config, key.number).is_some_and(|(owner, _)| owner.id == key.tenant)
}

/// An ELIN that is shown for a call; dropped with the call.
#[derive(Debug)]
pub struct Showing {
    elins: Arc<Elins>,
    key: Key,
    began: Moment,
    keep: Duration,
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.elins.end(&self.key, self.began, self.keep);
    }
}
