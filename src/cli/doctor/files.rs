//! Gathering without the network: configuration, certificate files, call records.

use super::rehearsal;
use super::world::{Certificate, CertificateFile, Chain, Handshake, PastCall, Trust, Unusable, UnusableKind, World};
use crate::cli::run::teams_profile;
use crate::config::{Config, ListenerTls, Roots, TenantFqdn, TlsIdentity};
use crate::net::interface_addresses;
use crate::net::tls::{
    Identity, IdentityError, IdentityFiles, Offered, PeerRejected, TrustRoots, believes_a_server_only_client, trial,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Of the records, the end is read: some ten thousand calls.
const MOST_RECORDS: u64 = 16 << 20;
/// Older ones say nothing of the node as it is.
pub(super) const RECENT_DAYS: u64 = 7;

/// Everything that files tell. `now`: seconds since the Unix epoch.
pub fn gather(config: Arc<Config>, now: i64) -> World {
    let teams = &config.sbc.teams;
    let tls = config
        .sbc
        .listener(teams.listener)
        .and_then(|listener| listener.tls.as_ref());
    let certificates = tls.map(|tls| certificates(tls, now)).unwrap_or_default();
    let trust = tls.map_or_else(no_trust, trust);
    let (handshakes, server_only_client) = handshakes(&config, now);
    World {
        now,
        certificates,
        trust,
        handshakes,
        server_only_client,
        to_teams: rehearsal::to_teams(&config),
        from_teams: rehearsal::from_teams(&config),
        of_other_kinds: rehearsal::of_other_kinds(&config),
        interfaces: interface_addresses().to_vec(),
        records: records(&config, now),
        online: None,
        offline: "only with --online".to_owned(),
        config,
    }
}

fn certificates(tls: &ListenerTls, now: i64) -> Vec<CertificateFile> {
    let (roots, origin) = (roots_of_peers(tls), origin_of_peers(tls));
    let read = |identity: &TlsIdentity| {
        let files = IdentityFiles {
            name: identity.certificate.display().to_string(),
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
        };
        let loaded = Identity::load(&files, now);
        CertificateFile {
            path: files.name.clone(),
            certificate: match loaded {
                Ok(identity) => Ok(facts(&identity, &roots, origin, now)),
                Err(error) => Err(unusable(&error, &files.certificate)),
            },
        }
    };
    tls.identities.iter().map(read).collect()
}

/// What a peer verifies us with. Microsoft's program is much the same as the machine's own bundle; where the configuration names
/// roots of its own, the peers are of that CA too.
fn roots_of_peers(tls: &ListenerTls) -> Result<TrustRoots, String> {
    let roots = match &tls.roots {
        Roots::File(path) => TrustRoots::from_file(path),
        Roots::Teams | Roots::System => TrustRoots::system(),
    };
    roots.map_err(|error| error.to_string())
}

const fn origin_of_peers(tls: &ListenerTls) -> &'static str {
    match tls.roots {
        Roots::File(_) => "the file under `roots`",
        Roots::Teams | Roots::System => "this machine's bundle, which is much the same as Microsoft's program",
    }
}

fn facts(identity: &Identity, roots: &Result<TrustRoots, String>, origin: &str, now: i64) -> Certificate {
    let chain = match roots {
        Err(why) => Chain::NotTried { why: why.clone() },
        Ok(roots) => match identity.leads_to(roots, now) {
            Ok(()) => Chain::Leads {
                roots: origin.to_owned(),
            },
            Err(rejected) => broken(&rejected),
        },
    };
    Certificate {
        key: identity.key_kind,
        common_name: identity.common_name.clone(),
        names: identity.names().map(str::to_owned).collect(),
        serial: identity.serial.clone(),
        not_after: identity.not_after,
        server_usage: identity.server_usage,
        client_usage: identity.client_usage,
        issuer: identity.issuer.clone(),
        length: identity.chain_length,
        ends_in_its_own_issuer: identity.ends_in_its_own_issuer(),
        last_issuer: identity.last_issuer(),
        chain,
    }
}

fn broken(rejected: &PeerRejected) -> Chain {
    Chain::Broken {
        label: rejected.label(),
        why: rejected.to_string(),
    }
}

fn unusable(error: &IdentityError, certificate: &Path) -> Unusable {
    let kind = match error {
        IdentityError::Expired { .. } => UnusableKind::Expired,
        IdentityError::ChainBroken { .. } | IdentityError::MissingIntermediate { .. } => UnusableKind::Chain,
        IdentityError::Unreadable { .. }
        | IdentityError::BrokenPem { .. }
        | IdentityError::NoCertificate { .. }
        | IdentityError::NoKey { .. }
        | IdentityError::UnusableKey { .. }
        | IdentityError::KeyMismatch { .. }
        | IdentityError::NotYetValid { .. } => UnusableKind::Other,
    };
    Unusable {
        kind,
        why: error.to_string(),
        names: Identity::names_in(certificate),
    }
}

fn trust(tls: &ListenerTls) -> Trust {
    let (origin, roots) = match &tls.roots {
        Roots::Teams => ("\"teams\"".to_owned(), TrustRoots::teams()),
        Roots::System => ("\"system\"".to_owned(), TrustRoots::system()),
        Roots::File(path) => (path.display().to_string(), TrustRoots::from_file(path)),
    };
    Trust {
        origin,
        roots: roots
            .map(|roots| roots.fingerprints())
            .map_err(|error| error.to_string()),
    }
}

fn no_trust() -> Trust {
    Trust {
        origin: "the Teams listener".to_owned(),
        roots: Err("it has no TLS".to_owned()),
    }
}

fn handshakes(config: &Config, now: i64) -> (Vec<Handshake>, Result<(), String>) {
    // What is wrong with the files is told elsewhere.
    let Ok(profile) = teams_profile(config) else {
        return (Vec::new(), Ok(()));
    };
    let mut tried: Vec<Handshake> = Vec::new();
    let mut shown = Vec::new();
    for base in config.sbc.teams.bases().map(TenantFqdn::as_str) {
        // Where two names get the same certificate, one tells of both.
        let place = profile.presented(Some(base));
        if shown.contains(&place) {
            continue;
        }
        shown.push(place);
        tried.extend(
            [Offered::Aes256Gcm, Offered::Aes128Gcm, Offered::Tls13].map(|offered| Handshake {
                trunk: base.to_owned(),
                offered,
                outcome: trial(&profile, base, offered).map(|shown| shown.certificates),
            }),
        );
    }
    let server_only = match tried.iter().find(|handshake| handshake.is_had()) {
        Some(had) => believes_a_server_only_client(&profile, &had.trunk, u64::try_from(now).unwrap_or(0)),
        None => Ok(()),
    };
    (tried, server_only)
}

/// The calls of the last days; a line that is no record is passed over, as the first one may be cut. What was wrong before may
/// be mended since.
pub(super) fn records(config: &Config, now: i64) -> Result<Vec<PastCall>, String> {
    let cdr = config
        .sbc
        .cdr
        .as_ref()
        .ok_or("no call records are kept: there is no [cdr]")?;
    let text = end_of(&cdr.path).map_err(|error| format!("{}: {error}", cdr.path.display()))?;
    let calls: Vec<PastCall> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|call: &PastCall| call.began_ms / 1_000 + RECENT_DAYS * 86_400 >= u64::try_from(now).unwrap_or(0))
        .collect();
    match calls.is_empty() {
        true => Err(format!(
            "{} has no calls of the last {RECENT_DAYS} days",
            cdr.path.display()
        )),
        false => Ok(calls),
    }
}

fn end_of(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for its writer, and read what another one is to get.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file: whoever reads it has the records"));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_RECORDS)))?;
    let mut bytes = Vec::new();
    file.take(MOST_RECORDS).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn records_that_go_into_a_pipe_are_not_waited_for() {
        let pipe = std::env::temp_dir().join(format!("portcullis-doctor-pipe-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        let (told, hears) = std::sync::mpsc::channel();
        let read = pipe.clone();
        std::thread::spawn(move || told.send(end_of(&read).map_err(|error| error.to_string())));
        let said = hears.recv_timeout(Duration::from_secs(10)).expect("in time");
        assert!(said.is_err_and(|why| why.contains("no file")));
        std::fs::remove_file(&pipe).expect("removed");
    }
}
