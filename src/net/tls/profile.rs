//! What one listener does in TLS: whom it shows itself as, and whom it believes in either direction.

use super::rejection::PeerRejected;
use super::roots::TrustRoots;
use super::store::{IdentityPlace, IdentityStore};
use super::verify::{ClientVerifier, ServerVerifier, Usage};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, NamedGroup, ServerConfig, SignatureScheme, SupportedCipherSuite};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A configuration that rustls refuses, which no peer can cause.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsProfileError(#[from] rustls::Error);

/// Whose client certificate is believed.
#[derive(Debug, Clone)]
pub struct ClientTrust {
    roots: Arc<TrustRoots>,
    names: Arc<[String]>,
    usage: Usage,
}

impl ClientTrust {
    /// Teams: chain to `roots`, one of `names` (`sip.pstnhub.microsoft.com`, or the government's) in the subject
    /// alternative name (TEAMS-010), and clientAuth or serverAuth as usage (TEAMS-008).
    pub fn teams(roots: Arc<TrustRoots>, names: Vec<String>) -> ClientTrust {
        ClientTrust {
            roots,
            names: names.into(),
            usage: Usage::ClientOrServer,
        }
    }

    /// A controller, as Teams takes it: chain to `roots` and serverAuth as usage (TEAMS-007). Its names are compared with what
    /// it says later.
    pub fn controller(roots: Arc<TrustRoots>) -> ClientTrust {
        ClientTrust {
            roots,
            names: Arc::default(),
            usage: Usage::Server,
        }
    }

    /// A carrier: chain to its own CA and clientAuth as usage. Any name passes when `names` is empty; the carrier is
    /// then told by the certificate that the flow notes.
    pub fn carrier(roots: Arc<TrustRoots>, names: Vec<String>) -> ClientTrust {
        ClientTrust {
            roots,
            names: names.into(),
            usage: Usage::Client,
        }
    }
}

/// Whether callers must present a certificate.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// None is asked for.
    Ignore,
    /// Asked for; none at all passes, a wrong one does not.
    Request(ClientTrust),
    /// None at all is refused too.
    Require(ClientTrust),
}

/// Tells handshakes made with the present profile and identities from older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    profile: u64,
    identities: u64,
}

/// The TLS of one listener, for connections that it accepts and for those that we open in its name.
#[derive(Debug, Clone)]
pub struct TlsProfile {
    identities: Arc<IdentityStore>,
    clients: ClientCertificates,
    server_roots: Arc<TrustRoots>,
    presented: Arc<str>,
    provider: Arc<CryptoProvider>,
    rsa_alone: bool,
    shows_none: bool,
    number: u64,
}

impl TlsProfile {
    /// `presented` is the host whose identity we show on connections that we open for nobody else's name (the listener's
    /// own: the base of Teams' trunks, a carrier listener's advertised host);
    /// `server_roots` are those that servers we connect to must chain to.
    pub fn new(
        identities: Arc<IdentityStore>,
        clients: ClientCertificates,
        server_roots: Arc<TrustRoots>,
        presented: &str,
    ) -> TlsProfile {
        TlsProfile {
            number: TlsProfile::next_number(),
            identities,
            clients,
            server_roots,
            presented: presented.into(),
            provider: provider(),
            rsa_alone: false,
            shows_none: false,
        }
    }

    /// As Teams has it: of TLS 1.2 the GCM suites for RSA keys alone, and no key but RSA (TEAMS-003, TEAMS-004).
    pub fn of_teams(mut self) -> TlsProfile {
        let mut provider = CryptoProvider::clone(&self.provider);
        let of_rsa = [
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ];
        let is_taken = |suite: &SupportedCipherSuite| suite.tls13().is_some() || of_rsa.contains(&suite.suite());
        provider.cipher_suites.retain(is_taken);
        self.provider = Arc::new(provider);
        self.rsa_alone = true;
        self
    }

    /// A client that has no certificate to show; a server has to have one.
    pub fn showing_none(self) -> TlsProfile {
        TlsProfile {
            shows_none: true,
            ..self
        }
    }

    /// The same identities, with other trust.
    pub fn trusting(&self, clients: ClientCertificates, server_roots: Arc<TrustRoots>) -> TlsProfile {
        TlsProfile {
            number: TlsProfile::next_number(),
            clients,
            server_roots,
            ..self.clone()
        }
    }

    fn next_number() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The identities behind this profile.
    pub fn identities(&self) -> &Arc<IdentityStore> {
        &self.identities
    }

    /// Another one after every reload that replaced an identity, and for every other profile.
    pub fn generation(&self) -> Generation {
        Generation {
            profile: self.number,
            identities: self.identities.generation(),
        }
    }

    /// Which identity is shown on connections that we open in the name of `host`: the one that bears it (TEAMS-011), as a
    /// client that asks for it would find; where none does, or `host` is `None`, that of the listener's own name.
    pub fn presented(&self, host: Option<&str>) -> IdentityPlace {
        self.identities.place_of(host.into_iter().chain([&*self.presented]))
    }

    /// The serial number of the certificate that stands there now.
    pub fn serial(&self, place: IdentityPlace) -> Option<Arc<str>> {
        Some(self.identities.at(place)?.serial.as_str().into())
    }

    /// The same of the one that a client gets which asks for this host.
    pub fn serial_for(&self, host: Option<&str>) -> Option<Arc<str>> {
        Some(self.identities.resolve(host)?.serial.as_str().into())
    }

    /// The configuration of one inbound handshake, and where its refusal will be found.
    pub fn accept(&self) -> Result<(Arc<ServerConfig>, Evidence), TlsProfileError> {
        let evidence = Evidence::default();
        let (trust, mandatory) = match &self.clients {
            ClientCertificates::Ignore => (None, false),
            ClientCertificates::Request(trust) => (Some(trust), false),
            ClientCertificates::Require(trust) => (Some(trust), true),
        };
        let builder =
            ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match trust {
            None => builder.with_client_cert_verifier(WebPkiClientVerifier::no_client_auth()),
            Some(trust) => builder.with_client_cert_verifier(Arc::new(ClientVerifier {
                roots: trust.roots.clone(),
                names: trust.names.clone(),
                usage: trust.usage,
                mandatory,
                rsa_alone: self.rsa_alone,
                provider: self.provider.clone(),
                evidence: evidence.clone(),
            })),
        };
        let mut config = builder.with_cert_resolver(self.identities.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((Arc::new(config), evidence))
    }

    /// The configuration of one outbound handshake that shows this identity, and where its refusal will be found.
    pub fn connect(&self, shown: IdentityPlace) -> Result<(Arc<ClientConfig>, Evidence), TlsProfileError> {
        let evidence = Evidence::default();
        let verifier = ServerVerifier {
            roots: self.server_roots.clone(),
            rsa_alone: self.rsa_alone,
            provider: self.provider.clone(),
            evidence: evidence.clone(),
        };
        let shown = Some(shown).filter(|_| !self.shows_none);
        let shown = shown
            .and_then(|place| self.identities.at(place))
            .map(|identity| identity.certified().clone());
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Shown(shown)));
        config.resumption = Resumption::disabled();
        Ok((Arc::new(config), evidence))
    }
}

/// Where a verifier leaves the reason of its refusal: the alert and rustls' error alone would not say it.
#[derive(Debug, Clone, Default)]
pub struct Evidence(Arc<OnceLock<PeerRejected>>);

impl Evidence {
    /// The reason, if the verifier of this handshake refused.
    pub fn rejection(&self) -> Option<PeerRejected> {
        self.0.get().cloned()
    }

    /// Keeps the first reason and returns what rustls shall turn into an alert.
    pub(super) fn record(&self, rejected: PeerRejected) -> rustls::Error {
        self.0.get_or_init(|| rejected).to_rustls()
    }
}

/// Shows an identity of ours to every server that asks, whichever issuers it hints at (TEAMS-006).
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0
            .clone()
            .filter(|certified| certified.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// aws-lc-rs without the post-quantum key shares: their ClientHello spans two segments, which old carriers' equipment
/// does not reassemble.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| {
        matches!(
            group.name(),
            NamedGroup::X25519 | NamedGroup::secp256r1 | NamedGroup::secp384r1
        )
    });
    Arc::new(provider)
}
