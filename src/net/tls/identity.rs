//! A certificate of ours with its key, as read from PEM files.

use super::pem;
use super::rejection::{PeerRejected, date};
use super::roots::TrustRoots;
use super::verify::{Usage, alternative_names, common_name, serial, verify_chain};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::public_key::PublicKey;

/// Where an identity is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The name that the configuration gives it.
    pub name: String,
    /// PEM: the leaf, then all intermediates.
    pub certificate: PathBuf,
    /// PEM: the key, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why an identity cannot be used. Each text names the file and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{} is broken or half written ({cause}); write the file anew, beside it first, and rename it into place", path.display())]
    BrokenPem { path: PathBuf, cause: String },
    #[error("{} contains no certificate; put the leaf there in PEM form, followed by its intermediates", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} contains no private key; put the unencrypted key there in PEM form", path.display())]
    NoKey { path: PathBuf },
    #[error("the key in {} cannot be used ({cause}); make an RSA key of 2048 bits or more", path.display())]
    UnusableKey { path: PathBuf, cause: String },
    #[error("the key in {} does not belong to the certificate in {}; put the pair of one order there", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error("the certificate in {} ended on {}; this machine's clock says {}; renew it", path.display(), date(*not_after), date(*now))]
    Expired { path: PathBuf, not_after: i64, now: i64 },
    #[error("the certificate in {} begins on {}; this machine's clock says {}; check the clock", path.display(), date(*not_before), date(*now))]
    NotYetValid { path: PathBuf, not_before: i64, now: i64 },
    #[error("certificate {position} in {} was issued by {issuer}, but {found} follows it; order the file leaf first, then each issuer", path.display())]
    ChainBroken {
        path: PathBuf,
        position: usize,
        issuer: String,
        found: String,
    },
    #[error("{} holds the leaf alone; append the certificate of its issuer {issuer}", path.display())]
    MissingIntermediate { path: PathBuf, issuer: String },
}

/// The kind of a key. Teams speaks only to RSA keys (TEAMS-004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa { bits: usize },
    Ecdsa,
    Other,
}

/// A chain with its key and what is written in the leaf.
#[derive(Debug)]
pub struct Identity {
    /// The name that the configuration gives it.
    pub name: String,
    pub key_kind: KeyKind,
    pub common_name: Option<String>,
    /// DNS names of the subject alternative name, as written.
    pub dns_names: Vec<String>,
    /// Addresses of the subject alternative name.
    pub addresses: Vec<IpAddr>,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// Seconds since the Unix epoch.
    pub not_before: i64,
    /// Seconds since the Unix epoch.
    pub not_after: i64,
    pub issuer: String,
    /// The leaf may be used by a TLS server (its usages say so, or it has none).
    pub server_usage: bool,
    /// The leaf may be used by a TLS client (its usages say so, or it has none).
    pub client_usage: bool,
    /// Certificates in the file.
    pub chain_length: usize,
    certified: Arc<CertifiedKey>,
    fingerprint: [u8; 32],
}

impl Identity {
    /// Reads and checks the pair of files; `now` is in seconds since the Unix epoch.
    pub fn load(files: &IdentityFiles, now: i64) -> Result<Identity, IdentityError> {
        Identity::from_pem(files, &read(&files.certificate)?, &read(&files.key)?, Some(now))
    }

    /// The same whenever it is valid: for peers that show what is out of date.
    pub(super) fn load_untimely(files: &IdentityFiles) -> Result<Identity, IdentityError> {
        Identity::from_pem(files, &read(&files.certificate)?, &read(&files.key)?, None)
    }

    /// The names that the first certificate in the file is for, whatever is wrong with the pair; none where it can't be read.
    pub fn names_in(certificate: &Path) -> Vec<String> {
        let text = read(certificate).unwrap_or_default();
        let mut chain = CertificateDer::pem_slice_iter(&text);
        let leaf = chain.next().and_then(Result::ok);
        let leaf = leaf.and_then(|leaf| super::peer_certificate(&leaf));
        leaf.map_or_else(Vec::new, |leaf| leaf.names().map(str::to_owned).collect())
    }

    /// True when one of the leaf's names covers `host`.
    pub fn covers(&self, host: &str) -> bool {
        self.names().any(|name| super::covers(name, host))
    }

    /// The names that the leaf is for: its DNS names, or the common name where it has none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let common = self.common_name.as_deref().filter(|_| self.dns_names.is_empty());
        self.dns_names.iter().map(String::as_str).chain(common)
    }

    /// SHA-256 over both files; changes when, and only when, one of them does.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether the chain as it is sent leads to one of `roots` for a TLS server, at `now` (seconds since the Unix epoch): what
    /// a peer finds that has the roots alone (TEAMS-005).
    pub fn leads_to(&self, roots: &TrustRoots, now: i64) -> Result<(), PeerRejected> {
        let Some((leaf, intermediates)) = self.certified.cert.split_first() else {
            return Err(PeerRejected::NoCertificate);
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap_or(0)));
        verify_chain(leaf, intermediates, roots, Usage::Server, now)
    }

    /// The common name of who issued the last certificate of the file.
    pub fn last_issuer(&self) -> Option<String> {
        let last = self.certified.cert.last()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(last).ok()?;
        let name = parsed.issuer().iter_common_name().next()?.as_str().ok()?;
        Some(name.to_owned())
    }

    /// Whether the last certificate of the file is its own issuer: a root, or a self-signed leaf.
    pub fn ends_in_its_own_issuer(&self) -> bool {
        self.certified.cert.last().is_some_and(|der| {
            let parsed = x509_parser::parse_x509_certificate(der);
            parsed.is_ok_and(|(_, last)| last.issuer() == last.subject())
        })
    }

    /// Why Teams takes no connection that is made with it, if one can be made (TEAMS-004, TEAMS-007).
    pub fn objection_of_teams(&self) -> Option<&'static str> {
        match self.key_kind {
            KeyKind::Rsa { .. } if self.server_usage => None,
            KeyKind::Rsa { .. } => Some("may not be used by a TLS server: serverAuth is not among its usages"),
            KeyKind::Ecdsa | KeyKind::Other => Some("has no RSA key, which all suites of Teams in TLS 1.2 need"),
        }
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(super) fn from_pem(
        files: &IdentityFiles,
        certificate: &[u8],
        key: &[u8],
        now: Option<i64>,
    ) -> Result<Identity, IdentityError> {
        let path = &files.certificate;
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| broken(path, pem::fault(&error)))?;
        let leaf = chain
            .first()
            .ok_or_else(|| IdentityError::NoCertificate { path: path.clone() })?;
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|error| broken(path, error))?;
        check_chain(path, &chain)?;

        let unusable = |cause: String| IdentityError::UnusableKey {
            path: files.key.clone(),
            cause,
        };
        let private = match PrivateKeyDer::from_pem_slice(key) {
            Ok(private) => private,
            Err(rustls::pki_types::pem::Error::NoItemsFound) => {
                return Err(IdentityError::NoKey {
                    path: files.key.clone(),
                });
            }
            Err(error) => return Err(broken(&files.key, pem::fault(&error))),
        };
        let key_kind = key_kind(&leaf);
        if let KeyKind::Rsa { bits } = key_kind
            && bits < 2048
        {
            return Err(unusable(format!("RSA of {bits} bits")));
        }
        let signer = any_supported_type(&private).map_err(|error| unusable(error.to_string()))?;
        let certified = CertifiedKey::new(chain.clone(), signer);
        certified.keys_match().map_err(|_| IdentityError::KeyMismatch {
            certificate: path.clone(),
            key: files.key.clone(),
        })?;

        let not_before = leaf.validity().not_before.timestamp();
        let not_after = leaf.validity().not_after.timestamp();
        if let Some(now) = now.filter(|now| *now > not_after) {
            return Err(IdentityError::Expired {
                path: path.clone(),
                not_after,
                now,
            });
        }
        if let Some(now) = now.filter(|now| *now < not_before) {
            return Err(IdentityError::NotYetValid {
                path: path.clone(),
                not_before,
                now,
            });
        }
        let usage = leaf.extended_key_usage().ok().flatten();
        let usage = usage.as_ref().map(|extension| extension.value);
        let (dns_names, addresses) = alternative_names(&leaf);
        Ok(Identity {
            name: files.name.clone(),
            key_kind,
            common_name: common_name(&leaf),
            dns_names,
            addresses,
            serial: serial(&leaf),
            not_before,
            not_after,
            issuer: leaf.issuer().to_string(),
            server_usage: usage.is_none_or(|usage| usage.server_auth || usage.any),
            client_usage: usage.is_none_or(|usage| usage.client_auth || usage.any),
            chain_length: chain.len(),
            certified: Arc::new(certified),
            fingerprint: fingerprint(certificate, key),
        })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|error| IdentityError::Unreadable {
        path: path.to_owned(),
        cause: match error.kind() {
            ErrorKind::PermissionDenied => {
                format!("{error}; let the user that portcullis runs as read it: `chgrp` to its group and `chmod g+r`")
            }
            _ => error.to_string(),
        },
    })
}

pub(super) fn fingerprint(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(certificate.len().to_be_bytes());
    hash.update(certificate);
    hash.update(key);
    hash.finalize().into()
}

fn broken(path: &Path, cause: impl std::fmt::Display) -> IdentityError {
    IdentityError::BrokenPem {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

/// TEAMS-005: the file must carry the intermediates in order. A leaf alone is complete only where its issuer does not
/// publish its own certificate (authority information access), as throw-away CAs don't.
fn check_chain(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(), IdentityError> {
    let parsed = chain
        .iter()
        .map(|der| x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(path, error))?;
    for (index, pair) in parsed.windows(2).enumerate() {
        if let [lower, upper] = pair
            && lower.issuer() != upper.subject()
        {
            return Err(IdentityError::ChainBroken {
                path: path.to_owned(),
                position: index + 1,
                issuer: lower.issuer().to_string(),
                found: upper.subject().to_string(),
            });
        }
    }
    match parsed.as_slice() {
        [leaf] if leaf.issuer() != leaf.subject() && publishes_issuer(leaf) => {
            Err(IdentityError::MissingIntermediate {
                path: path.to_owned(),
                issuer: leaf.issuer().to_string(),
            })
        }
        _ => Ok(()),
    }
}

/// True when the certificate says where its issuer's certificate can be fetched (RFC 5280 §4.2.2.1, id-ad-caIssuers).
fn publishes_issuer(leaf: &X509Certificate<'_>) -> bool {
    leaf.iter_extensions()
        .any(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => access
                .accessdescs
                .iter()
                .any(|description| description.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2"),
            _ => false,
        })
}

pub(super) fn key_kind(leaf: &X509Certificate<'_>) -> KeyKind {
    match leaf.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => KeyKind::Rsa { bits: key.key_size() },
        Ok(PublicKey::EC(_)) => KeyKind::Ecdsa,
        _ => KeyKind::Other,
    }
}
