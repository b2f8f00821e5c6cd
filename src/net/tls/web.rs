//! TLS toward web servers.

use super::profile::{TlsProfileError, provider};
use super::roots::TrustRoots;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The configuration for connections to web servers (hooks, files): their chain and name are verified by the stock verifier,
/// which is right for them; we show no certificate.
pub fn web_client(roots: &TrustRoots) -> Result<Arc<ClientConfig>, TlsProfileError> {
    let store = RootCertStore {
        roots: roots.anchors().to_vec(),
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
