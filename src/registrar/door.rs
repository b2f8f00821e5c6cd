//! The registrar as the node has it: REGISTERs answered, users proven, devices found.

use super::aor::Aor;
use super::binding::{Binding, Device, is_behind_nat};
use super::bindings::Bindings;
use super::failures::Failures;
use super::register::{Register, Unfit, Wish};
use super::stored::{self, Clocks};
use crate::config::{Config, Realm, RegistrarSettings, Sbc, Tenant, User};
use crate::moment::Moment;
use crate::sip::digest::{self, DigestServer, Password, Unproven};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{ConnectionId, Flow, Method, Transport, Uri};
use crate::store::{Store, StoreError, StoreStatus, Table};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Users whose bindings are looked through for expiry with each REGISTER.
const SWEEP: usize = 16;
/// The longest that a device taking part in RFC 5626 may stay silent before it pings (its Flow-Timer).
const FLOW_TIMER: Duration = Duration::from_secs(120);
/// A password that nobody has, so that an unknown user costs what a known one does.
const NOBODY: Password<'static> = Password::Hashed {
    md5: Some("00000000000000000000000000000000"),
    sha256: Some("0000000000000000000000000000000000000000000000000000000000000000"),
};

/// What a request to the registrar gets.
#[derive(Debug)]
pub enum Reply {
    /// A transaction's answer: repeated to copies of the request.
    Answer(ResponseDraft),
    /// The same without a transaction: whoever has proven nothing is not remembered.
    Forgotten(ResponseDraft),
    /// The request is for no realm of ours.
    Foreign,
}

/// Whether a request comes from a user.
#[derive(Debug)]
pub enum UserProof {
    Proven { tenant: Arc<Tenant>, aor: Aor },
    Unproven(Reply),
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
    pub store: Option<StoreStatus>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    challenged: AtomicU64,
    wrong: AtomicU64,
    banned: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
}

/// The registrar. No lock is held beyond one request's few look-ups.
#[derive(Debug)]
pub struct Registrar {
    bindings: Mutex<Bindings>,
    digest: Mutex<DigestServer>,
    failures: Mutex<Failures>,
    store: OnceLock<Store>,
    counts: Counts,
}

impl Registrar {
    /// Nobody is registered. `key`: the system's randomness.
    pub fn new(key: [u8; 32]) -> Registrar {
        Registrar {
            bindings: Mutex::default(),
            digest: Mutex::new(DigestServer::new(key)),
            failures: Mutex::default(),
            store: OnceLock::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what the store kept, and keeps changes in it from now on.
    pub fn restore(&self, store: Store, config: &Config, clocks: Clocks) -> Result<(), StoreError> {
        let mut bindings = lock(&self.bindings);
        for (key, value) in store.read_all(Table::Bindings)? {
            let kept = stored::decode(&key, &value, &config.sbc, clocks).filter(|(aor, _)| is_user(config, aor));
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
        Ok(())
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
        let gone: Vec<Aor> = bindings.users().filter(|aor| !is_user(config, aor)).cloned().collect();
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
        let Some((_, realm)) = realm else {
            return Reply::Foreign;
        };
        let register = match Register::read(message) {
            Ok(register) => register,
            Err(unfit) => return Reply::Forgotten(self.unfit(sbc, &unfit)),
        };
        let user = match self.prove(realm, message, flow, clocks.now) {
            Ok(user) => user,
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
        Reply::Answer(self.change(config, &register, flow, clocks))
    }

    /// Who sent this request outside a dialog: known by the connection that it registered on, else by its password.
    pub fn sender(&self, config: &Config, message: &Message, flow: &Flow, now: Moment) -> UserProof {
        let from = message.from().ok().and_then(|from| Aor::of(from.uri()));
        let Some((aor, (tenant, realm))) = from.and_then(|aor| {
            let found = config.realm(&aor.realm)?;
            Some((aor, found))
        }) else {
            return UserProof::Unproven(Reply::Foreign);
        };
        // Over UDP whoever writes a datagram chooses its source.
        if flow.transport.is_reliable() && realm.user(&aor.user).is_some() && self.is_registered_on(&aor, flow, now) {
            let tenant = tenant.clone();
            return UserProof::Proven { tenant, aor };
        }
        match self.prove(realm, message, flow, now) {
            Ok(user) => UserProof::Proven {
                tenant: tenant.clone(),
                aor: Aor::new(user.name.as_str(), realm.name.as_str()),
            },
            Err(why) => {
                let challenge = self.challenge(&config.sbc, realm, why, HeaderName::ProxyAuthenticate, flow, now);
                UserProof::Unproven(Reply::Forgotten(challenge))
            }
        }
    }

    /// Where a user's devices are, the preferred first.
    pub fn bindings(&self, aor: &Aor, now: Moment) -> Vec<Binding> {
        lock(&self.bindings).of(aor, now)
    }

    /// Whether one of the user's devices registered on `flow`.
    pub fn is_registered_on(&self, aor: &Aor, flow: &Flow, now: Moment) -> bool {
        self.bindings(aor, now).iter().any(|binding| binding.is_on(flow))
    }

    /// Users that `wanted` names with their devices, by address; `most` users at most.
    pub fn list(&self, now: Moment, most: usize, wanted: impl Fn(&Aor) -> bool) -> Vec<(Aor, Vec<Binding>)> {
        let bindings = lock(&self.bindings);
        let mut users: Vec<&Aor> = bindings.users().filter(|aor| wanted(aor)).collect();
        users.sort_unstable();
        users.truncate(most);
        let live = |aor: &Aor| (aor.clone(), bindings.of(aor, now));
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
            store: self.store.get().map(Store::status),
        }
    }

    /// The user whose password the request proves. What an unknown user gets, and what it costs, is what a known one
    /// with a wrong password gets.
    fn prove<'c>(&self, realm: &'c Realm, message: &Message, flow: &Flow, now: Moment) -> Result<&'c User, Refused> {
        let authorizations = message
            .headers(HeaderName::ProxyAuthorization)
            .chain(message.headers(HeaderName::Authorization));
        let method = message.cseq_method();
        let claim = lock(&self.digest).read(authorizations, asked(realm, flow), now);
        let claim = claim.map_err(Refused::Unproven)?;
        let source = flow.remote.ip();
        if lock(&self.failures).is_banned(source, &claim.username, now) {
            return Err(Refused::Banned);
        }
        let known = realm.user(&claim.username);
        let user = digest::User {
            realm: realm.name.as_str(),
            username: &claim.username,
            password: known.map_or(NOBODY, |user| user.secret.password()),
        };
        // An answer to a call may not be used for a call to somebody else.
        let redirected =
            *method == Method::Invite && user_of(&claim.uri) != message.uri().and_then(|uri| user_of(uri.as_str()));
        let checked = lock(&self.digest).check(&claim, method.as_str(), &user, now);
        match (checked, known) {
            (Ok(()), Some(user)) if !redirected => Ok(user),
            (Err(Unproven::Stale), _) => Err(Refused::Unproven(Unproven::Stale)),
            _ => {
                lock(&self.failures).note(source, &claim.username, now);
                self.counts.wrong.fetch_add(1, Relaxed);
                Err(Refused::Unproven(Unproven::Wrong))
            }
        }
    }

    fn challenge(
        &self,
        sbc: &Sbc,
        realm: &Realm,
        why: Refused,
        header: HeaderName,
        flow: &Flow,
        now: Moment,
    ) -> ResponseDraft {
        let Refused::Unproven(why) = why else {
            self.counts.banned.fetch_add(1, Relaxed);
            return answer(sbc, 403).header(HeaderName::RetryAfter, "300");
        };
        self.counts.challenged.fetch_add(1, Relaxed);
        let status = if header == HeaderName::ProxyAuthenticate {
            407
        } else {
            401
        };
        let challenges = lock(&self.digest).challenges(asked(realm, flow), why, now);
        challenges
            .iter()
            .fold(answer(sbc, status), |draft, challenge| draft.header(header, challenge))
    }

    fn unfit(&self, sbc: &Sbc, unfit: &Unfit) -> ResponseDraft {
        self.counts.refused.fetch_add(1, Relaxed);
        let draft = answer(sbc, unfit.status).reason(unfit.phrase);
        match &unfit.unsupported {
            Some(tags) => draft.header(HeaderName::Unsupported, tags),
            None => draft,
        }
    }

    /// Does what a proven user wishes, all of it or nothing.
    fn change(&self, config: &Config, register: &Register, flow: &Flow, clocks: Clocks) -> ResponseDraft {
        let (sbc, now) = (&config.sbc, clocks.now);
        let settings = &sbc.registrar;
        let mut bindings = lock(&self.bindings);
        self.sweep(&mut bindings, now, SWEEP);
        let before = bindings.live(&register.aor, now);
        let wished = match &register.wish {
            Wish::Query => Ok(None),
            Wish::RemoveAll if before.iter().any(|binding| is_old(register, binding)) => Err(OUT_OF_ORDER),
            Wish::RemoveAll => Ok(Some(Vec::new())),
            Wish::Change(devices) => self.changed(sbc, register, devices, &before, flow, now).map(Some),
        };
        let after = match wished {
            Ok(None) => before,
            Ok(Some(after)) => {
                if bindings
                    .replace(&register.aor, after.clone(), settings.bindings_per_tenant)
                    .is_err()
                {
                    self.counts.refused.fetch_add(1, Relaxed);
                    return answer(sbc, 503)
                        .reason("Too Many Registrations")
                        .header(HeaderName::RetryAfter, "60");
                }
                self.keep(&register.aor, stored::encode(&after, sbc, clocks));
                after
            }
            Err((status, phrase)) => {
                self.counts.refused.fetch_add(1, Relaxed);
                let draft = answer(sbc, status).reason(phrase);
                return match status {
                    423 => draft.header(HeaderName::MinExpires, settings.min_expires.as_secs().to_string()),
                    _ => draft,
                };
            }
        };
        drop(bindings);
        self.counts.accepted.fetch_add(1, Relaxed);
        let mut draft = answer(sbc, 200);
        for binding in &after {
            draft = draft.header(HeaderName::Contact, contact(binding, now));
        }
        if after
            .iter()
            .any(|binding| binding.device.reg_id.is_some() && binding.is_on(flow))
        {
            draft = draft
                .header(HeaderName::Require, "outbound")
                .header(HeaderName::FlowTimer, flow_timer(sbc).as_secs().to_string());
        }
        draft
    }

    fn changed(
        &self,
        sbc: &Sbc,
        register: &Register,
        devices: &[(Device, Option<u32>)],
        before: &[Binding],
        flow: &Flow,
        now: Moment,
    ) -> Result<Vec<Binding>, (u16, &'static str)> {
        let settings = &sbc.registrar;
        if devices.len() > settings.bindings_per_user {
            return Err((403, "Too Many Devices"));
        }
        let mut after = before.to_vec();
        for (device, asked) in devices {
            let mut device = device.clone();
            // Flows of one device are kept apart only where it keeps them alive as RFC 5626 has it; over UDP that takes STUN.
            let outbound = register.outbound && device.instance.is_some() && flow.transport.is_reliable();
            device.reg_id = device.reg_id.filter(|_| outbound);
            let same = |binding: &Binding| binding.device.is_same(&device);
            if before.iter().any(|known| same(known) && is_old(register, known)) {
                return Err(OUT_OF_ORDER);
            }
            let behind_nat = is_behind_nat(&device.contact, flow);
            let pings = device.reg_id.is_some();
            let granted = grant(settings, *asked, longest(sbc, flow, behind_nat, pings))?;
            after.retain(|binding| !same(binding));
            let Some(span) = granted else { continue };
            after.push(Binding {
                device,
                transport: flow.transport,
                listener: flow.listener,
                remote: flow.remote,
                connection: (flow.connection != ConnectionId::NONE).then_some(flow.connection),
                behind_nat,
                call_id: register.call_id.clone(),
                cseq: register.cseq,
                user_agent: register.user_agent.clone(),
                expires: now + span,
            });
        }
        // A device that changes its port at each start would lock its user out: the oldest make room.
        let surplus = after.len().saturating_sub(settings.bindings_per_user);
        after.drain(..surplus);
        self.counts.evicted.fetch_add(surplus as u64, Relaxed);
        Ok(after)
    }

    fn sweep(&self, bindings: &mut Bindings, now: Moment, most: usize) {
        for aor in bindings.expire(now, most) {
            // What is left of others runs out by itself, in the store too.
            if bindings.live(&aor, now).is_empty() {
                self.keep(&aor, None);
            }
        }
    }

    /// Under the lock of the bindings, so that changes of one user come in order. What finds no room in the store is
    /// counted there, and comes again with the next REGISTER.
    fn keep(&self, aor: &Aor, value: Option<Vec<u8>>) {
        if let Some(store) = self.store.get() {
            store.put(Table::Bindings, stored::key(aor), value);
        }
    }
}

/// Why a request proves no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Unproven(Unproven),
    Banned,
}

/// RFC 3261 §10.3 step 7: a binding is changed only by a later request of the same Call-ID.
const OUT_OF_ORDER: (u16, &str) = (400, "CSeq Out Of Order");

fn is_old(register: &Register, binding: &Binding) -> bool {
    register.call_id == binding.call_id && register.cseq <= binding.cseq
}

/// What a challenge to the sender of `flow` says; its nonce is good for nobody else.
fn asked<'a>(realm: &'a Realm, flow: &Flow) -> digest::Realm<'a> {
    digest::Realm {
        name: realm.name.as_str(),
        algorithms: &realm.algorithms,
        source: Some(flow.remote),
    }
}

/// The longest that a binding may last: a way that closes when it is quiet must be used before it does.
fn longest(sbc: &Sbc, flow: &Flow, behind_nat: bool, pings: bool) -> Duration {
    let settings = &sbc.registrar;
    match flow.transport {
        Transport::Udp if behind_nat => settings.max_expires.min(settings.nat_expires),
        Transport::Udp => settings.max_expires,
        _ if pings => settings.max_expires,
        _ => settings.max_expires.min(sbc.timers.idle_connection.mul_f32(0.75)),
    }
    .max(Duration::from_secs(1))
}

/// How long a device is bound; `Ok(None)`: not any more.
fn grant(
    settings: &RegistrarSettings,
    asked: Option<u32>,
    longest: Duration,
) -> Result<Option<Duration>, (u16, &'static str)> {
    let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
        return Ok(Some(longest));
    };
    if asked.is_zero() {
        return Ok(None);
    }
    if asked < settings.min_expires.min(longest) {
        return Err((423, "Interval Too Brief"));
    }
    Ok(Some(asked.min(longest)))
}

fn flow_timer(sbc: &Sbc) -> Duration {
    FLOW_TIMER
        .min(sbc.timers.idle_connection.mul_f32(0.5))
        .max(Duration::from_secs(1))
}

fn answer(sbc: &Sbc, status: u16) -> ResponseDraft {
    ResponseDraft::new(status).header(HeaderName::Server, &sbc.teams.product)
}

fn contact(binding: &Binding, now: Moment) -> String {
    // Rounded up: a refresh that comes when it says is in time.
    let left = binding.expires.since(now).as_millis().div_ceil(1000);
    let mut text = format!("<{}>;expires={left}", binding.device.contact);
    // Writing to a String can't fail.
    if binding.device.q < 1000 {
        let _ = write!(text, ";q=0.{:03}", binding.device.q);
    }
    if let Some(instance) = &binding.device.instance {
        let _ = write!(text, ";+sip.instance=\"{}\"", instance.replace(['"', '\\'], ""));
    }
    if let Some(id) = binding.device.reg_id {
        let _ = write!(text, ";reg-id={id}");
    }
    text
}

/// Whether the Request-URI names the realm (RFC 3261 §10.2: the domain of the location service).
fn is_for(message: &Message, realm: &str) -> bool {
    message.uri().is_some_and(|uri| uri.host().eq_ignore_ascii_case(realm))
}

fn user_of(uri: &str) -> Option<String> {
    Uri::parse(uri).ok()?.user().map(str::to_owned)
}

fn is_user(config: &Config, aor: &Aor) -> bool {
    config
        .realm(&aor.realm)
        .is_some_and(|(_, realm)| realm.user(&aor.user).is_some())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
