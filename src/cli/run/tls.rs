//! Certificates and trust of the listeners, from the configuration's files.

use crate::config::{self, Config, Listener, ListenerTls, Mistake, Purpose, Roots, TlsFiles};
use crate::net::tls::{
    ClientCertificates, ClientTrust, Identity, IdentityError, IdentityFiles, IdentityStore, RootsError, TlsProfile,
    TrustRoots,
};
use rustls::pki_types::UnixTime;
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

/// What is wrong with the certificates and the trust of all listeners; without a mistake, what Microsoft would not like of
/// the Teams listener's, a sentence each.
///
/// `place`: where an alias is named, as far as that is known.
pub fn inspect(config: &Config, place: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, Vec<TlsError>> {
    let mut errors = Vec::new();
    let mut doubts = Vec::new();
    for listener in &config.sbc.listeners {
        let Some(tls) = &listener.tls else { continue };
        match profile(config, listener, tls) {
            Err(error) => errors.push(error),
            Ok(profile) if listener.purpose == Purpose::Teams => {
                doubts.extend(doubts_of_teams(config, &profile.identities().identities(), &place));
            }
            Ok(_) => {}
        }
    }
    match errors.is_empty() {
        true => Ok(doubts),
        false => Err(errors),
    }
}

/// What is wrong with the files that a configuration names, told where it names them.
pub fn mistakes(files: &TlsFiles) -> Vec<Mistake> {
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    let mut mistakes = Vec::new();
    for (certificate, key) in &files.pairs {
        // One that is not there was told already.
        if !certificate.path.is_file() || !key.path.is_file() {
            continue;
        }
        let pair = IdentityFiles {
            name: certificate.path.display().to_string(),
            certificate: certificate.path.clone(),
            key: key.path.clone(),
        };
        if let Err(error) = Identity::load(&pair, now) {
            let of_key = match &error {
                IdentityError::KeyMismatch { .. } => true,
                IdentityError::NoKey { path }
                | IdentityError::UnusableKey { path, .. }
                | IdentityError::Unreadable { path, .. }
                | IdentityError::BrokenPem { path, .. } => *path == key.path,
                _ => false,
            };
            let place = if of_key { key } else { certificate };
            mistakes.push(place.mistake(error.to_string()));
        }
    }
    for roots in files.roots.iter().filter(|roots| roots.path.is_file()) {
        if let Err(error) = TrustRoots::from_file(&roots.path) {
            mistakes.push(roots.mistake(error.to_string()));
        }
    }
    mistakes
}

/// Aliases that no certificate is for, and that are told one by one.
const MOST_ALIASES: usize = 5;

fn doubts_of_teams(
    config: &Config,
    identities: &[Arc<Identity>],
    place: &impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let objection = |identity: &Arc<Identity>| {
        let why = identity.objection_of_teams()?;
        Some(format!(
            "the certificate {} of the Teams listener {why}; Microsoft refuses such connections",
            identity.name
        ))
    };
    let mut doubts: Vec<String> = identities.iter().filter_map(objection).collect();
    let bases = config.sbc.teams.bases().map(ToString::to_string);
    let names = bases.chain(config.tenants.iter().map(|tenant| tenant.fqdn.to_string()));
    let is_unnamed = |name: &str| !identities.iter().any(|identity| identity.covers(name));
    let mut unnamed = names.filter(|name| is_unnamed(name));
    if let Some(name) = unnamed.next() {
        let more = match unnamed.count() {
            0 => String::new(),
            number => format!(", nor for {number} more"),
        };
        doubts.push(format!(
            "no certificate of the Teams listener is for {name}{more}; Microsoft refuses such calls"
        ));
    }
    let aliases = config.tenants.iter().flat_map(|tenant| &tenant.aliases);
    let mut unnamed = aliases.map(|alias| alias.as_str()).filter(|alias| is_unnamed(alias));
    doubts.extend(unnamed.by_ref().take(MOST_ALIASES).map(|alias| {
        let place = place(alias).map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}no certificate of the Teams listener is for the alias {alias}; Microsoft refuses calls of that trunk")
    }));
    match unnamed.count() {
        0 => {}
        more => doubts.push(format!(
            "no certificate of the Teams listener is for {more} more aliases"
        )),
    }
    doubts
}

/// The TLS of the Teams listener.
pub fn teams_profile(config: &Config) -> Result<TlsProfile, TlsError> {
    let listener = config.sbc.listener(config.sbc.teams.listener);
    match listener.and_then(|listener| Some((listener, listener.tls.as_ref()?))) {
        Some((listener, tls)) => profile(config, listener, tls),
        None => Err(TlsError::Identities {
            listener: "of Teams".to_owned(),
            errors: Vec::new(),
        }),
    }
}

/// The TLS of one listener.
pub fn profile(config: &Config, listener: &Listener, tls: &ListenerTls) -> Result<TlsProfile, TlsError> {
    let files = tls.identities.iter().map(|identity| IdentityFiles {
        name: identity.certificate.display().to_string(),
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
    });
    let identities = IdentityStore::open(files.collect()).map_err(|errors| TlsError::Identities {
        listener: listener.name.to_string(),
        errors,
    })?;
    let trust = Trust::read(config, listener, tls)?;
    let presented = match listener.purpose {
        Purpose::Teams => config.sbc.teams.base.to_string(),
        Purpose::Carrier | Purpose::Users => listener.advertise.to_string(),
    };
    let (clients, roots) = trust.parts();
    Ok(TlsProfile::new(Arc::new(identities), clients, roots, &presented))
}

/// Whom a listener believes.
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    roots: Arc<TrustRoots>,
    asked_for: config::ClientCertificate,
    /// Toward Teams the names that a client certificate must bear are the hubs' (TEAMS-010); a carrier's or a user's may bear any.
    hubs: Option<Vec<String>>,
}

impl Trust {
    /// As the configuration says, with the root files as they are now.
    pub fn read(config: &Config, listener: &Listener, tls: &ListenerTls) -> Result<Trust, TlsError> {
        let roots = match &tls.roots {
            Roots::Teams => TrustRoots::teams(),
            Roots::System => TrustRoots::system(),
            Roots::File(path) => TrustRoots::from_file(path),
        };
        let roots = roots.map_err(|source| TlsError::Roots {
            listener: listener.name.to_string(),
            source,
        })?;
        let hubs = || config.sbc.teams.hubs.iter().map(|hub| hub.host.to_string()).collect();
        Ok(Trust {
            roots: Arc::new(roots),
            asked_for: tls.client_certificate,
            hubs: (listener.purpose == Purpose::Teams).then(hubs),
        })
    }

    /// For `net`: of clients, and of servers that we connect to.
    pub fn parts(&self) -> (ClientCertificates, Arc<TrustRoots>) {
        let roots = self.roots.clone();
        let trust = match &self.hubs {
            Some(hubs) => ClientTrust::teams(roots.clone(), hubs.clone()),
            None => ClientTrust::carrier(roots.clone(), Vec::new()),
        };
        let clients = match self.asked_for {
            config::ClientCertificate::None => ClientCertificates::Ignore,
            config::ClientCertificate::Request => ClientCertificates::Request(trust),
            config::ClientCertificate::Require => ClientCertificates::Require(trust),
        };
        (clients, roots)
    }
}
