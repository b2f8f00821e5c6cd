//! Sets of trusted roots: the Teams bundle that we ship, the machine's own, a private CA's file.

use super::pem;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use sha1::{Digest, Sha1};
use std::fmt;
use std::path::{Path, PathBuf};

static TEAMS_ROOTS: &[u8] = include_bytes!("../../../certs/teams-roots.pem");

/// Roots that Teams' certificates chain to, by common name and SHA-1: Microsoft's notice MC1213773, the chain of 2026.
pub const ROOTS_OF_TEAMS: [(&str, &str); 7] = [
    ("DigiCert Global Root CA", "A8985D3A65E5E5C4B2D7D66D40C6DD2FB19C5436"),
    ("DigiCert Global Root G2", "DF3C24F9BFD666761B268073FE06D1CC8D4F82A4"),
    ("DigiCert Global Root G3", "7E04DE896A3E666D00E687D33FFAD93BE83D349E"),
    (
        "DigiCert TLS ECC P384 Root G5",
        "17F3DE5E9F0F19E98EF61F32266E20C407AE30EE",
    ),
    (
        "DigiCert TLS RSA4096 Root G5",
        "A78849DC5D7C758C8CDE399856B3AAD0B2A57135",
    ),
    (
        "Microsoft ECC Root Certificate Authority 2017",
        "999A64C37FF47D9FAB95F14769891460EEC4C3C5",
    ),
    (
        "Microsoft RSA Root Certificate Authority 2017",
        "73A5E64A3BFF8316FF0EDCCC618A906E4EAE4D74",
    ),
];

/// Where Linux distributions keep the machine's bundle: Debian, RHEL, SUSE, Alpine.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why a set of roots could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("cannot read the roots in {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{origin} is not a PEM file of certificates: {cause}")]
    BrokenPem { origin: String, cause: String },
    #[error("{origin} contains no certificate; put the CA's certificate there in PEM form")]
    Empty { origin: String },
    #[error("this machine has no bundle of roots; install the package ca-certificates or name a file of roots")]
    NoSystemBundle,
}

/// Roots that a chain may end at.
pub struct TrustRoots {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl TrustRoots {
    /// The seven roots that Microsoft names for Direct Routing (TEAMS-009), shipped with the program.
    pub fn teams() -> Result<TrustRoots, RootsError> {
        TrustRoots::from_pem(TEAMS_ROOTS, "the built-in Teams roots")
    }

    /// The machine's own bundle.
    pub fn system() -> Result<TrustRoots, RootsError> {
        let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.is_file());
        TrustRoots::from_file(bundle.ok_or(RootsError::NoSystemBundle)?)
    }

    /// All certificates of a PEM file.
    pub fn from_file(path: &Path) -> Result<TrustRoots, RootsError> {
        let pem = std::fs::read(path).map_err(|source| RootsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        TrustRoots::from_pem(&pem, &path.display().to_string())
    }

    /// All certificates of a PEM text; `origin` names it in errors.
    pub fn from_pem(pem: &[u8], origin: &str) -> Result<TrustRoots, RootsError> {
        let broken = |cause: String| RootsError::BrokenPem {
            origin: origin.to_owned(),
            cause,
        };
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| broken(pem::fault(&error)))?;
        let anchors = certificates
            .iter()
            .map(|der| webpki::anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| broken(error.to_string()))?;
        if anchors.is_empty() {
            return Err(RootsError::Empty {
                origin: origin.to_owned(),
            });
        }
        Ok(TrustRoots { certificates, anchors })
    }

    /// The certificates, in the order of the file.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// SHA-1 of each certificate, upper-case hexadecimal, in the order of the file.
    pub fn fingerprints(&self) -> Vec<String> {
        let hex = |der: &CertificateDer<'_>| Sha1::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
        self.certificates.iter().map(hex).collect()
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

/// The same certificates in the same order.
impl PartialEq for TrustRoots {
    fn eq(&self, other: &TrustRoots) -> bool {
        self.certificates == other.certificates
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustRoots")
            .field("certificates", &self.certificates.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_bundle_holds_exactly_the_seven_teams_roots() {
        let roots = TrustRoots::teams().unwrap();
        let names = roots.certificates().iter().map(|der| {
            let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
            let name = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap();
            name.to_owned()
        });
        let found: Vec<(String, String)> = names.zip(roots.fingerprints()).collect();
        let expected = ROOTS_OF_TEAMS.map(|(name, sha1)| (name.to_owned(), sha1.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(matches!(
            TrustRoots::from_pem(b"hello", "x"),
            Err(RootsError::Empty { .. })
        ));
    }
}
