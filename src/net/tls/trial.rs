//! Handshakes with ourselves, in memory: what a peer that offers this or that would get of a profile. No socket.

use super::authority::{Authority, LeafRequest, LeafUsage, PemPair};
use super::profile::{ClientCertificates, ClientTrust, TlsProfile, provider};
use super::roots::TrustRoots;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection, SignatureScheme,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Flights that a handshake takes at most.
const FLIGHTS: usize = 16;
const DAY: u64 = 86_400;

/// What the trying client offers, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offered {
    /// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 in TLS 1.2.
    Aes256Gcm,
    /// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 in TLS 1.2.
    Aes128Gcm,
    /// TLS 1.3.
    Tls13,
}

impl Offered {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Offered::Aes256Gcm => "TLS 1.2 with ECDHE-RSA-AES256-GCM-SHA384",
            Offered::Aes128Gcm => "TLS 1.2 with ECDHE-RSA-AES128-GCM-SHA256",
            Offered::Tls13 => "TLS 1.3",
        }
    }

    fn suite(self) -> Option<CipherSuite> {
        match self {
            Offered::Aes256Gcm => Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
            Offered::Aes128Gcm => Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
            Offered::Tls13 => None,
        }
    }
}

/// What the server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Certificates that came.
    pub certificates: usize,
}

/// Offers that, and nothing else, to a server with this profile that is asked for `host`. Whether the client's own certificate
/// is then asked for does not matter. The error is the server's, in words.
pub fn trial(profile: &TlsProfile, host: &str, offered: Offered) -> Result<Shown, String> {
    let mut provider = CryptoProvider::clone(&provider());
    if let Some(suite) = offered.suite() {
        provider.cipher_suites.retain(|known| known.suite() == suite);
    }
    let versions = match offered {
        Offered::Tls13 => &TLS13,
        Offered::Aes256Gcm | Offered::Aes128Gcm => &TLS12,
    };
    let seen = Arc::new(Witness::new(provider.clone()));
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[versions])
        .map_err(words)?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let outcome = shake_hands(profile, host, config);
    match (seen.certificates(), outcome) {
        (Some(certificates), _) => Ok(Shown { certificates }),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err("the handshake came to no end".to_owned()),
    }
}

/// Whether a client whose certificate is for serverAuth alone, as Teams' are since 2026, gets in where the profile's client
/// certificates are checked as Teams' (TEAMS-008). With a CA made for this; `now`: seconds since the Unix epoch.
pub fn believes_a_server_only_client(profile: &TlsProfile, host: &str, now: u64) -> Result<(), String> {
    const HUB: &str = "hub.portcullis.invalid";
    let made = |error: super::authority::AuthorityError| error.to_string();
    let (begin, end) = (now.saturating_sub(DAY), now.saturating_add(DAY));
    let authority = Authority::new("portcullis self-test", begin, end).map_err(made)?;
    let leaf = authority
        .leaf(&LeafRequest {
            dns_names: vec![HUB.to_owned()],
            addresses: Vec::new(),
            usage: LeafUsage::Server,
            not_before: begin,
            not_after: end,
        })
        .map_err(made)?;
    let roots = TrustRoots::from_pem(authority.root_pem().as_bytes(), "the self-test").map_err(words)?;
    let roots = Arc::new(roots);
    let trust = ClientTrust::teams(roots.clone(), vec![HUB.to_owned()]);
    let profile = profile.trusting(ClientCertificates::Require(trust), roots);
    let provider = provider();
    let (chain, key) = keys(&leaf)?;
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS12])
        .map_err(words)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Witness::new(CryptoProvider::clone(&provider))))
        .with_client_auth_cert(chain, key)
        .map_err(words)?;
    shake_hands(&profile, host, config)
}

fn keys(leaf: &PemPair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(words)?;
    Ok((chain.map_err(words)?, key))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Carries flights to and fro until both sides are done; the first error of either.
fn shake_hands(profile: &TlsProfile, host: &str, client: ClientConfig) -> Result<(), String> {
    let name = ServerName::try_from(host.to_owned()).map_err(words)?;
    let (server, evidence) = profile.accept().map_err(words)?;
    let mut server = ServerConnection::new(server).map_err(words)?;
    let mut client = ClientConnection::new(Arc::new(client), name).map_err(words)?;
    for _ in 0..FLIGHTS {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).map_err(words)?;
        }
        let mut bytes = flight.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).map_err(words)?;
            if let Err(error) = server.process_new_packets() {
                return Err(evidence.rejection().map_or_else(|| words(error), words));
            }
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).map_err(words)?;
        }
        let mut bytes = flight.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).map_err(words)?;
            client.process_new_packets().map_err(words)?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err("the handshake came to no end".to_owned())
}

/// Believes every server that proves its key, and remembers how many certificates it showed.
#[derive(Debug)]
struct Witness {
    provider: CryptoProvider,
    shown: Mutex<usize>,
    proven: Mutex<bool>,
}

impl Witness {
    fn new(provider: CryptoProvider) -> Witness {
        Witness {
            provider,
            shown: Mutex::default(),
            proven: Mutex::default(),
        }
    }

    fn certificates(&self) -> Option<usize> {
        let proven = *self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.then(|| *self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, proof: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = proof.is_ok();
        proof
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = 1 + intermediates.len();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls12_signature(message, cert, dss, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls13_signature(message, cert, dss, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Directory, authority, ecdsa, leaf, now, roots};
    use super::*;

    #[test]
    fn an_rsa_key_gets_every_offer_and_a_server_only_client_in() {
        let (directory, authority) = (Directory::new(), authority());
        let pair = leaf(&authority, &["sbc1.example.net"], LeafUsage::Server);
        let profile = TlsProfile::new(
            directory.store(&[("sbc", &pair)]),
            ClientCertificates::Require(ClientTrust::teams(roots(&authority), Vec::new())),
            roots(&authority),
            "sbc1.example.net",
        );
        for offered in [Offered::Aes256Gcm, Offered::Aes128Gcm, Offered::Tls13] {
            assert_eq!(
                trial(&profile, "sbc1.example.net", offered),
                Ok(Shown { certificates: 1 }),
                "{offered:?}"
            );
        }
        assert_eq!(
            believes_a_server_only_client(&profile, "sbc1.example.net", now()),
            Ok(())
        );
        // The CA was made long ago: what is wrong is said.
        let over = believes_a_server_only_client(&profile, "sbc1.example.net", now() - 30 * DAY);
        assert!(over.as_ref().is_err_and(|why| why.contains("ended on")), "{over:?}");
    }

    #[test]
    fn an_ecdsa_key_gets_no_suite_of_teams() {
        let directory = Directory::new();
        let pair = ecdsa("sbc1.example.net");
        let roots = Arc::new(TrustRoots::from_pem(pair.certificate.as_bytes(), "test").unwrap());
        let store = directory.store(&[("sbc", &pair)]);
        let profile = TlsProfile::new(store, ClientCertificates::Ignore, roots, "sbc1.example.net");
        for offered in [Offered::Aes256Gcm, Offered::Aes128Gcm] {
            assert!(trial(&profile, "sbc1.example.net", offered).is_err(), "{offered:?}");
        }
        assert!(trial(&profile, "sbc1.example.net", Offered::Tls13).is_ok());
    }
}
