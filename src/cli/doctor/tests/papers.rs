//! Certificates of every kind, as files.

use crate::net::tls::authority::PemPair;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "portcullis-doctor-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the node's pair is.
    pub fn put(&self, pair: &PemPair) {
        pair.write(&self.path("sbc.pem"), &self.path("sbc.key")).expect("files");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// A CA with an intermediate that issues.
pub struct Issuers {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    now: u64,
}

const DAY: u64 = 86_400;

fn ca(name: &str, now: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut params, now.saturating_sub(90 * DAY), now + 900 * DAY);
    params
}

fn valid(params: &mut CertificateParams, from: u64, until: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(until);
}

/// What a leaf is to be.
pub struct Leaf<'a> {
    pub names: &'a [&'a str],
    /// Days from now.
    pub ends_in: i64,
    pub rsa: bool,
    /// The intermediate behind it.
    pub whole: bool,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Leaf {
            names: &["sbc1.example.net", "*.sbc1.example.net"],
            ends_in: 200,
            rsa: true,
            whole: true,
        }
    }
}

impl Issuers {
    pub fn new(now: u64) -> Issuers {
        let root =
            CertifiedIssuer::self_signed(ca("Test Root", now), KeyPair::generate().expect("a key")).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let intermediate =
            CertifiedIssuer::signed_by(ca("Test Intermediate", now), key, &root).expect("an intermediate");
        Issuers {
            root,
            intermediate,
            now,
        }
    }

    pub fn write_root(&self, path: &Path) {
        std::fs::write(path, self.root.pem()).expect("a file");
    }

    pub fn leaf(&self, leaf: &Leaf<'_>) -> PemPair {
        let (params, key) = self.params(leaf);
        let certificate = params.signed_by(&key, &self.intermediate).expect("a leaf").pem();
        let more = if leaf.whole {
            self.intermediate.pem()
        } else {
            String::new()
        };
        PemPair {
            certificate: format!("{certificate}{more}"),
            key: key.serialize_pem(),
        }
    }

    /// The same, signed by itself.
    pub fn self_signed(&self, leaf: &Leaf<'_>) -> PemPair {
        let (params, key) = self.params(leaf);
        PemPair {
            certificate: params.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    fn params(&self, leaf: &Leaf<'_>) -> (CertificateParams, KeyPair) {
        let names: Vec<String> = leaf.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, leaf.names[0]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let until = self.now.saturating_add_signed(leaf.ends_in * 86_400);
        valid(&mut params, self.now.saturating_sub(30 * DAY), until);
        let key = match leaf.rsa {
            true => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            false => KeyPair::generate(),
        };
        (params, key.expect("a key"))
    }
}
