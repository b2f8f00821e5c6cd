//! Certificates and trust of the listeners, from the configuration's files.

use crate::config::{self, Config, Listener, ListenerTls, Purpose, Roots};
use crate::net::tls::{
    ClientCertificates, ClientTrust, IdentityError, IdentityFiles, IdentityStore, RootsError, TlsProfile, TrustRoots,
};
use std::sync::Arc;

/// Why a listener has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("listener '{listener}': {}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Identities {
        listener: String,
        errors: Vec<IdentityError>,
    },
    #[error("listener '{listener}': {source}")]
    Roots { listener: String, source: RootsError },
    #[error("the roots for application servers: {detail}")]
    ApplicationServers { detail: String },
}

/// What is wrong with the certificates and the trust of all listeners; without a mistake, the trunk names that no
/// certificate of the Teams listener bears.
pub fn inspect(config: &Config) -> Result<Vec<String>, Vec<TlsError>> {
    let mut errors = Vec::new();
    let mut unnamed = Vec::new();
    for listener in &config.sbc.listeners {
        let Some(tls) = &listener.tls else { continue };
        match profile(config, listener, tls) {
            Err(error) => errors.push(error),
            Ok(profile) if listener.purpose == Purpose::Teams => {
                let identities = profile.identities().identities();
                let base = config.sbc.teams.base.to_string();
                let names = std::iter::once(base).chain(config.tenants.iter().map(|tenant| tenant.fqdn.to_string()));
                unnamed.extend(names.filter(|name| !identities.iter().any(|identity| identity.covers(name))));
            }
            Ok(_) => {}
        }
    }
    match errors.is_empty() {
        true => Ok(unnamed),
        false => Err(errors),
    }
}

/// The TLS of one listener. Toward Teams the names that a client certificate must bear are the hubs' (TEAMS-010).
pub fn profile(config: &Config, listener: &Listener, tls: &ListenerTls) -> Result<TlsProfile, TlsError> {
    let name = || listener.name.to_string();
    let files = tls.identities.iter().map(|identity| IdentityFiles {
        name: identity.certificate.display().to_string(),
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
    });
    let identities = IdentityStore::open(files.collect()).map_err(|errors| TlsError::Identities {
        listener: name(),
        errors,
    })?;
    let roots = match &tls.roots {
        Roots::Teams => TrustRoots::teams(),
        Roots::System => TrustRoots::system(),
        Roots::File(path) => TrustRoots::from_file(path),
    };
    let roots = Arc::new(roots.map_err(|source| TlsError::Roots {
        listener: name(),
        source,
    })?);
    let trust = match listener.purpose {
        Purpose::Teams => {
            let hubs = config.sbc.teams.hubs.iter().map(|hub| hub.host.to_string()).collect();
            ClientTrust::teams(roots.clone(), hubs)
        }
        Purpose::Carrier | Purpose::Users => ClientTrust::carrier(roots.clone(), Vec::new()),
    };
    let clients = match tls.client_certificate {
        config::ClientCertificate::None => ClientCertificates::Ignore,
        config::ClientCertificate::Request => ClientCertificates::Request(trust),
        config::ClientCertificate::Require => ClientCertificates::Require(trust),
    };
    let presented = match listener.purpose {
        Purpose::Teams => config.sbc.teams.base.to_string(),
        Purpose::Carrier | Purpose::Users => listener.advertise.to_string(),
    };
    Ok(TlsProfile::new(Arc::new(identities), clients, roots, &presented))
}
