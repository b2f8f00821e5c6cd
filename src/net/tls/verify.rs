//! The verifiers. Chain, time, usage and name are checked here for both directions, because the stock client verifier
//! refuses a Teams leaf that carries serverAuth alone (TEAMS-008), and because each refusal needs its own reason.

use super::identity::{KeyKind, key_kind};
use super::names::covers;
use super::profile::Evidence;
use super::rejection::PeerRejected;
use super::roots::TrustRoots;
use crate::sip::PeerCertificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// What a certificate must be allowed to do (extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
    /// Teams alone: its leafs carry only serverAuth since 2026 even where it is the TLS client.
    ClientOrServer,
}

impl Usage {
    fn accepted(self) -> &'static [fn() -> KeyUsage] {
        match self {
            Usage::Server => &[KeyUsage::server_auth],
            Usage::Client => &[KeyUsage::client_auth],
            Usage::ClientOrServer => &[KeyUsage::client_auth, KeyUsage::server_auth],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Usage::Server => "serverAuth",
            Usage::Client => "clientAuth",
            Usage::ClientOrServer => "clientAuth or serverAuth",
        }
    }
}

/// Checks chain, validity and usage of a presented certificate.
pub(super) fn verify_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &TrustRoots,
    usage: Usage,
    now: UnixTime,
) -> Result<(), PeerRejected> {
    let leaf = EndEntityCert::try_from(end_entity).map_err(|error| PeerRejected::Unreadable(error.to_string()))?;
    let mut last = None;
    for accepted in usage.accepted() {
        let verified = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            roots.anchors(),
            intermediates,
            now,
            accepted(),
            None,
            None,
        );
        match verified {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    match last {
        None => Ok(()),
        Some(error) => Err(rejection(error, end_entity, intermediates, usage, now)),
    }
}

fn rejection(
    error: webpki::Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    usage: Usage,
    now: UnixTime,
) -> PeerRejected {
    let Ok((_, leaf)) = x509_parser::parse_x509_certificate(end_entity) else {
        return PeerRejected::Unreadable("not X.509".to_owned());
    };
    let subject = subject_text(&leaf);
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let now = seconds(now);
    match error {
        webpki::Error::CertExpired { not_after, .. } => PeerRejected::Expired {
            subject,
            not_after: seconds(not_after),
            now,
        },
        webpki::Error::CertNotValidYet { not_before, .. } => PeerRejected::NotYetValid {
            subject,
            not_before: seconds(not_before),
            now,
        },
        webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity
            if leaf.subject().as_raw() == leaf.issuer().as_raw() =>
        {
            PeerRejected::SelfSigned { subject }
        }
        webpki::Error::UnknownIssuer => PeerRejected::UnknownIssuer {
            subject,
            issuer: last_issuer(&leaf, intermediates),
        },
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => PeerRejected::WrongUsage {
            subject,
            required: usage.text(),
            presented: usages(&leaf),
        },
        webpki::Error::InvalidSignatureForPublicKey => PeerRejected::BadSignature { subject },
        other => PeerRejected::Unacceptable {
            subject,
            cause: other.to_string(),
        },
    }
}

/// Checks that the key is one that Teams takes (TEAMS-004): RSA, of 2048 bits or more.
fn verify_key(end_entity: &CertificateDer<'_>) -> Result<(), PeerRejected> {
    let (_, leaf) =
        x509_parser::parse_x509_certificate(end_entity).map_err(|error| PeerRejected::Unreadable(error.to_string()))?;
    let key = match key_kind(&leaf) {
        KeyKind::Rsa { bits } if bits >= 2048 => return Ok(()),
        KeyKind::Rsa { bits } => format!("an RSA key of {bits} bits"),
        KeyKind::Ecdsa => "an ECDSA key".to_owned(),
        KeyKind::Other => "a key of another kind".to_owned(),
    };
    Err(PeerRejected::WrongKey {
        subject: subject_text(&leaf),
        key,
    })
}

/// Checks that one of `expected` is covered by the certificate's subject alternative names, DNS or address. The common
/// name does not count (RFC 6125 §6.4.4).
pub(super) fn verify_names(end_entity: &CertificateDer<'_>, expected: &[String]) -> Result<(), PeerRejected> {
    let (_, leaf) =
        x509_parser::parse_x509_certificate(end_entity).map_err(|error| PeerRejected::Unreadable(error.to_string()))?;
    let (dns_names, addresses) = alternative_names(&leaf);
    let proven = expected.iter().any(|host| match host.parse::<IpAddr>() {
        Ok(address) => addresses.contains(&address),
        Err(_) => dns_names.iter().any(|name| covers(name, host)),
    });
    if proven {
        return Ok(());
    }
    let presented = dns_names
        .into_iter()
        .chain(addresses.iter().map(|address| address.to_string()))
        .collect();
    Err(PeerRejected::WrongName {
        expected: expected.to_vec(),
        presented,
    })
}

/// DNS names and addresses of the subject alternative name.
pub(super) fn alternative_names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let mut dns_names = Vec::new();
    let mut addresses = Vec::new();
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => {
                    if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                        addresses.push(IpAddr::from(v4));
                    } else if let Ok(v6) = <[u8; 16]>::try_from(*bytes) {
                        addresses.push(IpAddr::from(v6));
                    }
                }
                _ => {}
            }
        }
    }
    (dns_names, addresses)
}

/// The common name of a subject, if it has one that is text.
pub(super) fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

/// Serial number as lower-case hexadecimal without separators.
pub(super) fn serial(certificate: &X509Certificate<'_>) -> String {
    certificate
        .raw_serial()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The verified peer's certificate as the rest of the program sees it. `None` when it is not readable.
pub fn peer_certificate(der: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(PeerCertificate {
        common_name: common_name(&certificate),
        dns_names: alternative_names(&certificate).0,
        serial: serial(&certificate),
        not_after: certificate.validity().not_after.timestamp(),
    })
}

fn subject_text(certificate: &X509Certificate<'_>) -> String {
    common_name(certificate)
        .or_else(|| alternative_names(certificate).0.into_iter().next())
        .unwrap_or_else(|| certificate.subject().to_string())
}

/// The issuer at which the presented certificates stop leading further up.
fn last_issuer(leaf: &X509Certificate<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    let parsed: Vec<_> = intermediates
        .iter()
        .filter_map(|der| x509_parser::parse_x509_certificate(der).ok().map(|(_, parsed)| parsed))
        .collect();
    let mut issuer = leaf.issuer();
    // Each certificate can be a step at most once, so a loop in the chain ends too.
    for _ in 0..parsed.len() {
        let above = parsed.iter().find(|candidate| candidate.subject() == issuer);
        match above {
            Some(next) if next.issuer() != issuer => issuer = next.issuer(),
            _ => break,
        }
    }
    issuer.to_string()
}

fn usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.extended_key_usage() else {
        return Vec::new();
    };
    let usage = extension.value;
    let named = [
        (usage.any, "anyExtendedKeyUsage"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
    ];
    let named = named
        .iter()
        .filter(|(present, _)| *present)
        .map(|(_, name)| (*name).to_owned());
    named.chain(usage.other.iter().map(|oid| oid.to_id_string())).collect()
}

/// Verifies clients: chain to `roots`, usage, and one of `names` when there are any. Lives for one handshake.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) roots: Arc<TrustRoots>,
    pub(super) names: Arc<[String]>,
    pub(super) usage: Usage,
    pub(super) mandatory: bool,
    pub(super) rsa_alone: bool,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) evidence: Evidence,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// No hints: a peer whose chain is cross-signed would rather send nothing than an unlisted issuer's certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        verify_chain(end_entity, intermediates, &self.roots, self.usage, now)
            .and_then(|()| if self.rsa_alone { verify_key(end_entity) } else { Ok(()) })
            .and_then(|()| match self.names.is_empty() {
                true => Ok(()),
                false => verify_names(end_entity, &self.names),
            })
            .map(|()| ClientCertVerified::assertion())
            .map_err(|rejected| self.evidence.record(rejected))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the server of an outbound connection. Lives for one handshake.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) roots: Arc<TrustRoots>,
    pub(super) rsa_alone: bool,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) evidence: Evidence,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_chain(end_entity, intermediates, &self.roots, Usage::Server, now)
            .and_then(|()| if self.rsa_alone { verify_key(end_entity) } else { Ok(()) })
            .and_then(|()| verify_names(end_entity, &[server_name.to_str().into_owned()]))
            .map(|()| ServerCertVerified::assertion())
            .map_err(|rejected| self.evidence.record(rejected))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

    #[test]
    fn usages_are_named_whatever_they_are() {
        let mut params = CertificateParams::new(vec!["pbx.example.org".to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::EmailProtection,
            ExtendedKeyUsagePurpose::CodeSigning,
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]),
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).expect("X.509");
        assert_eq!(
            usages(&parsed),
            ["codeSigning", "emailProtection", "1.3.6.1.5.5.7.3.17"]
        );
    }
}
