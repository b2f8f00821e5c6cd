//! Certificates and directories for tests.

use super::authority::{Authority, LeafRequest, LeafUsage, PemPair};
use super::{Identity, IdentityFiles, IdentityStore, TrustRoots};
use rustls::pki_types::UnixTime;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(in crate::net) const DAY: u64 = 86_400;
pub(in crate::net) const HUB: &str = "sip.pstnhub.microsoft.com";

pub(in crate::net) fn now() -> u64 {
    UnixTime::now().as_secs()
}

/// A directory that goes with the test.
pub(in crate::net) struct Directory(pub(in crate::net) PathBuf);

impl Directory {
    pub(in crate::net) fn new() -> Directory {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("portcullis-tls-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(in crate::net) fn files(&self, name: &str) -> IdentityFiles {
        IdentityFiles {
            name: name.to_owned(),
            certificate: self.0.join(format!("{name}.pem")),
            key: self.0.join(format!("{name}.key")),
        }
    }

    pub(in crate::net) fn put(&self, name: &str, pair: &PemPair) -> IdentityFiles {
        let files = self.files(name);
        pair.write(&files.certificate, &files.key).unwrap();
        files
    }

    pub(in crate::net) fn store(&self, pairs: &[(&str, &PemPair)]) -> Arc<IdentityStore> {
        let files = pairs.iter().map(|(name, pair)| self.put(name, pair)).collect();
        Arc::new(IdentityStore::open(files).unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(in crate::net) fn authority() -> Authority {
    Authority::new("Test Root", now() - DAY, now() + 30 * DAY).unwrap()
}

pub(in crate::net) fn leaf(authority: &Authority, names: &[&str], usage: LeafUsage) -> PemPair {
    leaf_valid(authority, names, usage, now() - DAY, now() + 10 * DAY)
}

pub(in crate::net) fn leaf_valid(
    authority: &Authority,
    names: &[&str],
    usage: LeafUsage,
    not_before: u64,
    not_after: u64,
) -> PemPair {
    let dns_names = names.iter().map(|name| (*name).to_owned()).collect();
    authority
        .leaf(&LeafRequest {
            dns_names,
            addresses: vec![],
            usage,
            not_before,
            not_after,
        })
        .unwrap()
}

pub(in crate::net) fn roots(authority: &Authority) -> Arc<TrustRoots> {
    Arc::new(TrustRoots::from_pem(authority.root_pem().as_bytes(), "test").unwrap())
}

/// An identity of this name whose certificate ends then (seconds since the Unix epoch).
pub(in crate::net) fn identity_until(name: &str, not_after: u64) -> Identity {
    let authority = Authority::new("Test Root", 0, not_after + DAY).unwrap();
    let pair = leaf_valid(&authority, &["sbc1.example.net"], LeafUsage::Server, 0, not_after);
    let files = Directory::new().files(name);
    Identity::from_pem(&files, pair.certificate.as_bytes(), pair.key.as_bytes(), Some(1)).unwrap()
}

/// A certificate for this name that has signed itself, with an ECDSA key.
pub(in crate::net) fn ecdsa(name: &str) -> PemPair {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    PemPair {
        certificate: certificate.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}
