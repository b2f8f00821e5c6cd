//! The identities in use, chosen by SNI and swapped while running.

use super::identity::{Identity, IdentityError, IdentityFiles, fingerprint, read};
use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reload {
    /// Names of the identities whose files had changed and are in use now.
    pub replaced: Vec<String>,
    /// Identities whose files are wrong now, by name; the old certificate stays in use.
    pub failed: Vec<(String, IdentityError)>,
}

/// One identity of a store, whatever its files hold: its place in the list stays as long as the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IdentityPlace(usize);

/// The identities of this node. The first is the default: for peers that send no SNI, an unknown one, or an address.
pub struct IdentityStore {
    files: Vec<IdentityFiles>,
    table: ArcSwap<Table>,
    reloading: Mutex<()>,
}

struct Table {
    identities: Vec<Arc<Identity>>,
    /// Lower-case host name.
    exact: HashMap<String, usize>,
    /// Lower-case name behind the wildcard label.
    wildcard: HashMap<String, usize>,
    generation: u64,
}

impl IdentityStore {
    /// Loads all identities; every faulty one is reported. An empty list makes a store that refuses every handshake.
    pub fn open(files: Vec<IdentityFiles>) -> Result<IdentityStore, Vec<IdentityError>> {
        let now = unix_now();
        IdentityStore::loaded(files, |entry| Identity::load(entry, now))
    }

    /// The same with certificates whose time is over or has not begun: what a simulated peer shows, and nobody should believe.
    pub fn open_untimely(files: Vec<IdentityFiles>) -> Result<IdentityStore, Vec<IdentityError>> {
        IdentityStore::loaded(files, Identity::load_untimely)
    }

    fn loaded(
        files: Vec<IdentityFiles>,
        load: impl Fn(&IdentityFiles) -> Result<Identity, IdentityError>,
    ) -> Result<IdentityStore, Vec<IdentityError>> {
        let mut identities = Vec::with_capacity(files.len());
        let mut errors = Vec::new();
        for entry in &files {
            match load(entry) {
                Ok(identity) => identities.push(Arc::new(identity)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let table = ArcSwap::from_pointee(Table::new(identities, 0));
        Ok(IdentityStore {
            files,
            table,
            reloading: Mutex::new(()),
        })
    }

    /// Reads the files again and takes over those that changed and are right. Reads a few small files: call it when
    /// the files changed, or every minute.
    pub fn reload(&self) -> Reload {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = unix_now();
        let table = self.table.load();
        let mut identities = table.identities.clone();
        let mut reload = Reload::default();
        for (files, current) in self.files.iter().zip(&mut identities) {
            match changed(files, current, now) {
                Ok(None) => {}
                Ok(Some(identity)) => {
                    *current = Arc::new(identity);
                    reload.replaced.push(files.name.clone());
                }
                Err(error) => reload.failed.push((files.name.clone(), error)),
            }
        }
        if !reload.replaced.is_empty() {
            self.table.store(Arc::new(Table::new(identities, table.generation + 1)));
        }
        reload
    }

    /// The identities as they are now, the default first.
    pub fn identities(&self) -> Vec<Arc<Identity>> {
        self.table.load().identities.clone()
    }

    /// Goes up with every change; a connection that was made under a lower one shows an old certificate.
    pub fn generation(&self) -> u64 {
        self.table.load().generation
    }

    /// The identity for a host name: an exact name before a wildcard, else the default.
    pub fn resolve(&self, host: Option<&str>) -> Option<Arc<Identity>> {
        let table = self.table.load();
        let index = host.and_then(|host| table.find(host)).unwrap_or(0);
        table.identities.get(index).cloned()
    }

    /// Which one `resolve` finds for the first of these names that one of them bears, else the default. Allocates nothing
    /// for names in lower case.
    pub fn place_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> IdentityPlace {
        let table = self.table.load();
        let found = names.into_iter().find_map(|name| table.find(name));
        IdentityPlace(found.unwrap_or(0))
    }

    /// The identity that has this place now.
    pub fn at(&self, place: IdentityPlace) -> Option<Arc<Identity>> {
        self.table.load().identities.get(place.0).cloned()
    }
}

fn changed(files: &IdentityFiles, current: &Identity, now: i64) -> Result<Option<Identity>, IdentityError> {
    let certificate = read(&files.certificate)?;
    let key = read(&files.key)?;
    if fingerprint(&certificate, &key) == *current.fingerprint() {
        return Ok(None);
    }
    Identity::from_pem(files, &certificate, &key, Some(now)).map(Some)
}

impl Table {
    fn new(identities: Vec<Arc<Identity>>, generation: u64) -> Table {
        let mut exact = HashMap::new();
        let mut wildcard = HashMap::new();
        for (index, identity) in identities.iter().enumerate() {
            for name in identity.names() {
                let name = name.to_ascii_lowercase();
                // The identity listed first wins a name that two carry.
                match name.strip_prefix("*.") {
                    Some(base) => wildcard.entry(base.to_owned()).or_insert(index),
                    None => exact.entry(name).or_insert(index),
                };
            }
        }
        Table {
            identities,
            exact,
            wildcard,
            generation,
        }
    }

    fn find(&self, host: &str) -> Option<usize> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        self.exact.get(&*host).copied().or_else(|| {
            let (_, base) = host.split_once('.')?;
            self.wildcard.get(base).copied()
        })
    }
}

impl ResolvesServerCert for IdentityStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let identity = self.resolve(hello.server_name())?;
        Some(identity.certified().clone())
    }
}

impl std::fmt::Debug for IdentityStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityStore")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn unix_now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}
