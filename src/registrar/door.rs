//! The registrar as the node has it: REGISTERs answered, users proven, devices found.

use super::aor::Aor;
use super::binding::Binding;
use super::bindings::Bindings;
use super::crowd::Crowd;
use super::proving::{Ban, Proof};
use super::register::{Register, Unfit};
use super::stored::{self, Clocks};
use super::vouching::Question;
use crate::config::{Config, Sbc, TenantId};
use crate::guard::Failures;
use crate::moment::Moment;
use crate::route::Voucher;
use crate::sip::digest::{DigestServer, UsedNonces};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{ConnectionId, Flow};
use crate::store::{Entry, Store, StoreStatus, Table};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a request to the registrar gets.
#[derive(Debug)]
pub enum Reply {
    /// A transaction's answer: repeated to copies of the request.
    Answer(ResponseDraft),
    /// The same without a transaction: whoever has proven nothing is not remembered.
    Forgotten(ResponseDraft),
    /// The request is for no realm of ours.
    Foreign,
    /// The hook is not asked about this name: a transaction's answer, and what the log says.
    Unasked(ResponseDraft, Box<Unasked>),
    /// The tenant's registration hook is to be asked; the request waits for its verdict.
    Ask(Box<Question>),
}

/// A name that no registration hook is asked about.
#[derive(Debug)]
pub struct Unasked {
    pub tenant: TenantId,
    /// As it was given.
    pub username: String,
    pub why: &'static str,
}

/// Counts of the registrar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrarStatus {
    /// Bindings by realm.
    pub bindings: Vec<(String, usize)>,
    /// REGISTERs that were accepted.
    pub accepted: u64,
    /// Requests that were challenged.
    pub challenged: u64,
    /// Requests with a wrong password, an unknown user or another's address.
    pub wrong: u64,
    /// Requests not looked at after too many wrong ones.
    pub banned: u64,
    /// REGISTERs refused for what they ask.
    pub refused: u64,
    /// Bindings that made room for newer ones of the same user.
    pub evicted: u64,
    /// Questions to registration hooks that are under way.
    pub asking: usize,
    /// What came of others.
    pub asked: Asked,
    pub store: Option<StoreStatus>,
}

/// What came of questions to registration hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub granted: u64,
    pub denied: u64,
    /// The hook was out of reach, slow, or said nothing that can be understood.
    pub failed: u64,
    /// Too many were under way.
    pub crowded: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub accepted: AtomicU64,
    pub challenged: AtomicU64,
    pub wrong: AtomicU64,
    pub banned: AtomicU64,
    pub refused: AtomicU64,
    pub evicted: AtomicU64,
    pub granted: AtomicU64,
    pub denied: AtomicU64,
    pub failed: AtomicU64,
    pub crowded: AtomicU64,
}

/// Which connections still stand.
struct Open(Box<dyn Fn(ConnectionId) -> bool + Send + Sync>);

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

/// The registrar. No lock is held beyond one request's few look-ups.
#[derive(Debug)]
pub struct Registrar {
    pub(super) bindings: Mutex<Bindings>,
    pub(super) digest: DigestServer,
    pub(super) used: Mutex<UsedNonces>,
    pub(super) failures: Mutex<Failures>,
    pub(super) crowd: Crowd,
    pub(super) store: OnceLock<Arc<Store>>,
    open: OnceLock<Open>,
    pub(super) counts: Counts,
}

impl Registrar {
    /// Nobody is registered. `key`: the system's randomness.
    pub fn new(key: [u8; 32]) -> Registrar {
        Registrar {
            bindings: Mutex::default(),
            digest: DigestServer::new(key),
            used: Mutex::default(),
            failures: Mutex::default(),
            crowd: Crowd::default(),
            store: OnceLock::new(),
            open: OnceLock::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what the store kept, and keeps changes in it from now on.
    pub fn restore(&self, kept: Vec<Entry>, store: Arc<Store>, config: &Config, clocks: Clocks) {
        let mut bindings = lock(&self.bindings);
        for (key, value) in kept {
            let kept =
                stored::decode(&key, &value, &config.sbc, clocks).filter(|(aor, kept)| is_user(config, aor, kept));
            match kept {
                // Limits are for those who come, not for those who were there.
                Some((aor, kept)) => {
                    let _never_full = bindings.replace(&aor, kept, usize::MAX);
                }
                None => {
                    store.put(Table::Bindings, key, None);
                }
            }
        }
        // A second store is a fault of the caller's that costs nothing but the second.
        let _already = self.store.set(store);
    }

    /// Says from now on which connections still stand; until then all do.
    pub fn watch(&self, is_open: impl Fn(ConnectionId) -> bool + Send + Sync + 'static) {
        // A second one is a fault of the caller's that costs nothing but the second.
        let _already = self.open.set(Open(Box::new(is_open)));
    }

    /// A device whose connection is gone has none: its Contact has to do.
    fn as_it_stands(&self, mut binding: Binding) -> Binding {
        if let Some(Open(is_open)) = self.open.get() {
            binding.connection = binding.connection.filter(|connection| is_open(*connection));
        }
        binding
    }

    /// Writes what the store has not written yet; nothing is kept after that. Blocks.
    pub fn close(&self) {
        if let Some(store) = self.store.get() {
            store.close();
        }
    }

    /// Forgets users that the configuration has no more.
    pub fn apply(&self, config: &Config) {
        let mut bindings = lock(&self.bindings);
        let gone: Vec<Aor> = bindings
            .users()
            .filter(|(aor, bindings)| !is_user(config, aor, bindings))
            .map(|(aor, _)| aor.clone())
            .collect();
        for aor in gone {
            let _never_full = bindings.replace(&aor, Vec::new(), usize::MAX);
            self.keep(&aor, None);
        }
    }

    /// Answers a REGISTER.
    pub fn register(&self, config: &Config, message: &Message, flow: &Flow, clocks: Clocks) -> Reply {
        let sbc = &config.sbc;
        // Before anything that is wrong is told: whoever does not know the realm learns nothing.
        let aor = message.to().ok().and_then(|to| Aor::of(to.uri()));
        let realm = aor
            .filter(|aor| is_for(message, &aor.realm))
            .and_then(|aor| config.realm(&aor.realm));
        let Some((tenant, realm)) = realm else {
            return Reply::Foreign;
        };
        let register = match Register::read(message) {
            Ok(register) => register,
            Err(unfit) => return Reply::Forgotten(self.unfit(sbc, &unfit)),
        };
        let user = match self.prove(realm, message, flow, Ban::Heeded, clocks.now) {
            Ok(Proof::Listed(user)) => user,
            Ok(Proof::Hook(claim)) => {
                if claim.username != *register.aor.user {
                    let why = "it is not the address that it registers";
                    return self.unasked(config, tenant, &claim.username, why, (flow, clocks.now));
                }
                return self.question(config, tenant, claim, Some(register), message, (flow, clocks.now));
            }
            Err(why) => {
                return Reply::Forgotten(self.challenge(
                    sbc,
                    realm,
                    why,
                    HeaderName::WwwAuthenticate,
                    flow,
                    clocks.now,
                ));
            }
        };
        if user.name.as_str() != &*register.aor.user {
            self.counts.wrong.fetch_add(1, Relaxed);
            return Reply::Answer(answer(sbc, 403).reason("Not Your Address"));
        }
        Reply::Answer(self.change(config, &register, None, flow, clocks))
    }

    /// Where a user's devices are, the preferred first.
    pub fn bindings(&self, aor: &Aor, now: Moment) -> Vec<Binding> {
        let known = lock(&self.bindings).of(aor, now);
        known.into_iter().map(|binding| self.as_it_stands(binding)).collect()
    }

    /// What the registration hook said of a user that registered, at the last time.
    pub fn voucher(&self, aor: &Aor, now: Moment) -> Option<Voucher> {
        let live = lock(&self.bindings).live(aor, now);
        live.into_iter().rev().find_map(|binding| binding.voucher)
    }

    /// Whether one of the user's devices registered on `flow`.
    pub fn is_registered_on(&self, aor: &Aor, flow: &Flow, now: Moment) -> bool {
        // Also on a connection that has ended since.
        let known = lock(&self.bindings).of(aor, now);
        known.iter().any(|binding| binding.is_on(flow))
    }

    /// Users that `wanted` names with their devices, by address; `most` users at most.
    pub fn list(&self, now: Moment, most: usize, wanted: impl Fn(&Aor) -> bool) -> Vec<(Aor, Vec<Binding>)> {
        let bindings = lock(&self.bindings);
        let mut users: Vec<&Aor> = bindings.users().map(|(aor, _)| aor).filter(|aor| wanted(aor)).collect();
        users.sort_unstable();
        users.truncate(most);
        let live = |aor: &Aor| {
            let devices = bindings.of(aor, now).into_iter();
            let devices: Vec<Binding> = devices.map(|binding| self.as_it_stands(binding)).collect();
            (aor.clone(), devices)
        };
        users
            .into_iter()
            .map(live)
            .filter(|(_, devices)| !devices.is_empty())
            .collect()
    }

    /// Counts.
    pub fn status(&self, now: Moment) -> RegistrarStatus {
        let mut bindings = lock(&self.bindings);
        self.sweep(&mut bindings, now, usize::MAX);
        let counts = &self.counts;
        RegistrarStatus {
            bindings: bindings
                .counts()
                .map(|(realm, count)| (realm.to_owned(), count))
                .collect(),
            accepted: counts.accepted.load(Relaxed),
            challenged: counts.challenged.load(Relaxed),
            wrong: counts.wrong.load(Relaxed),
            banned: counts.banned.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            evicted: counts.evicted.load(Relaxed),
            asking: self.crowd.count(),
            asked: Asked {
                granted: counts.granted.load(Relaxed),
                denied: counts.denied.load(Relaxed),
                failed: counts.failed.load(Relaxed),
                crowded: counts.crowded.load(Relaxed),
            },
            store: self.store.get().map(|store| store.status()),
        }
    }

    fn unfit(&self, sbc: &Sbc, unfit: &Unfit) -> ResponseDraft {
        self.counts.refused.fetch_add(1, Relaxed);
        let draft = answer(sbc, unfit.status).reason(unfit.phrase);
        match &unfit.unsupported {
            Some(tags) => draft.header(HeaderName::Unsupported, tags),
            None => draft,
        }
    }
}

pub(super) fn answer(sbc: &Sbc, status: u16) -> ResponseDraft {
    ResponseDraft::new(status).header(HeaderName::Server, &sbc.teams.product)
}

/// Whether the Request-URI names the realm (RFC 3261 §10.2: the domain of the location service).
fn is_for(message: &Message, realm: &str) -> bool {
    message.uri().is_some_and(|uri| uri.host().eq_ignore_ascii_case(realm))
}

/// Whether these are bindings of a user that the file lists, or that a hook which is still asked has vouched for.
fn is_user(config: &Config, aor: &Aor, bindings: &[Binding]) -> bool {
    config.realm(&aor.realm).is_some_and(|(_, realm)| {
        let vouched = || realm.hook.is_some() && bindings.iter().any(|binding| binding.voucher.is_some());
        realm.user(&aor.user).is_some() || vouched()
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
