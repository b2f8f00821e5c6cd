//! A throw-away CA and the leafs it signs, for demo, tests and `certs dev`. Leaf keys are RSA-2048, which is what Teams
//! speaks to (TEAMS-004).

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("cannot make the certificate: {0}")]
    Generation(#[from] rcgen::Error),
    #[error("cannot write {path}: {source}")]
    Unwritable {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

/// What a leaf may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafUsage {
    /// serverAuth alone, as public CAs issue since 2026.
    Server,
    /// clientAuth alone.
    Client,
    /// serverAuth and clientAuth.
    ServerAndClient,
}

/// What stands in a leaf.
#[derive(Debug, Clone)]
pub struct LeafRequest {
    /// DNS names; the first is the common name too. A wildcard is written `*.sbc1.example.net`.
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub usage: LeafUsage,
    /// Seconds since the Unix epoch.
    pub not_before: u64,
    /// Seconds since the Unix epoch.
    pub not_after: u64,
}

/// PEM texts of a certificate and its key.
#[derive(Debug, Clone)]
pub struct PemPair {
    pub certificate: String,
    pub key: String,
}

impl PemPair {
    /// Writes both files; the key is readable by its owner alone (0600).
    pub fn write(&self, certificate: &Path, key: &Path) -> Result<(), AuthorityError> {
        replace(certificate, &self.certificate, 0o644)?;
        replace(key, &self.key, 0o600)
    }
}

/// A CA whose key lives only in this value.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new root, valid between the two times (seconds since the Unix epoch).
    pub fn new(name: &str, not_before: u64, not_after: u64) -> Result<Authority, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, not_before, not_after);
        let key = KeyPair::generate()?;
        Ok(Authority {
            issuer: CertifiedIssuer::self_signed(params, key)?,
        })
    }

    /// The root in PEM form.
    pub fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A leaf with a new RSA-2048 key.
    pub fn leaf(&self, request: &LeafRequest) -> Result<PemPair, AuthorityError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let certificate = params_of(request)?.signed_by(&key, &self.issuer)?;
        Ok(pair(&certificate, &key))
    }

    /// A leaf with a new key on the curve P-256, which Teams does not speak to (TEAMS-004).
    pub fn elliptic_leaf(&self, request: &LeafRequest) -> Result<PemPair, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = params_of(request)?.signed_by(&key, &self.issuer)?;
        Ok(pair(&certificate, &key))
    }
}

/// A leaf that nobody but itself has signed.
pub fn self_signed(request: &LeafRequest) -> Result<PemPair, AuthorityError> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = params_of(request)?;
    params.use_authority_key_identifier_extension = false;
    let certificate = params.self_signed(&key)?;
    Ok(pair(&certificate, &key))
}

fn pair(certificate: &Certificate, key: &KeyPair) -> PemPair {
    PemPair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn params_of(request: &LeafRequest) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(request.dns_names.clone())?;
    params
        .subject_alt_names
        .extend(request.addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = request.dns_names.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = match request.usage {
        LeafUsage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        LeafUsage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        LeafUsage::ServerAndClient => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
    };
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, request.not_before, request.not_after);
    Ok(params)
}

fn validity(params: &mut CertificateParams, not_before: u64, not_after: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(not_before);
    params.not_after = epoch + Duration::from_secs(not_after);
}

/// Written beside and renamed into place: a reload must never meet half a file.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let unwritable = |source| AuthorityError::Unwritable {
        path: path.to_owned(),
        source,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // A leftover would keep its own mode.
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(unwritable(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    fs::rename(&beside, path).map_err(unwritable)
}
