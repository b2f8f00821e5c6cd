//! Throw-away certificates for portcullis and a simulated Teams, in a folder of their own.

use crate::net::tls::authority::{Authority, AuthorityError, LeafRequest, LeafUsage, PemPair, self_signed};
use crate::net::tls::{IdentityError, IdentityFiles, IdentityStore, TlsProfile};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of roots.
const AUTHORITY: &str = "portcullis throw-away CA";
/// How long they are valid, to both sides of now.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("cannot write {path}: {source}")]
    Unwritable { path: PathBuf, source: std::io::Error },
}

/// Where the PEM files are.
#[derive(Debug, Clone)]
pub struct Papers {
    /// The one root of both sides.
    pub root: PathBuf,
    pub sbc_certificate: PathBuf,
    pub sbc_key: PathBuf,
    pub teams_certificate: PathBuf,
    pub teams_key: PathBuf,
}

/// Whose leaf is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    Sbc,
    Teams,
}

/// What can be wrong with a leaf, one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongPaper {
    /// Its time ended an hour ago.
    Expired,
    /// Its time begins in an hour.
    NotYetValid,
    /// It is for another name.
    OtherName,
    /// Another root signed it.
    OtherRoot,
    SelfSigned,
    /// For clientAuth alone (TEAMS-007).
    ClientAuthAlone,
    /// The base name stands in it by its wildcard alone, which does not cover it (TEAMS-011).
    WildcardAlone,
    /// The key is on an elliptic curve (TEAMS-004).
    EllipticKey,
}

impl WrongPaper {
    pub const ALL: [WrongPaper; 8] = [
        WrongPaper::Expired,
        WrongPaper::NotYetValid,
        WrongPaper::OtherName,
        WrongPaper::OtherRoot,
        WrongPaper::SelfSigned,
        WrongPaper::ClientAuthAlone,
        WrongPaper::WildcardAlone,
        WrongPaper::EllipticKey,
    ];

    /// Its word on command lines and in names of files.
    pub const fn word(self) -> &'static str {
        match self {
            WrongPaper::Expired => "expired",
            WrongPaper::NotYetValid => "not-yet-valid",
            WrongPaper::OtherName => "other-name",
            WrongPaper::OtherRoot => "other-ca",
            WrongPaper::SelfSigned => "self-signed",
            WrongPaper::ClientAuthAlone => "client-only",
            WrongPaper::WildcardAlone => "wildcard-only",
            WrongPaper::EllipticKey => "elliptic",
        }
    }

    /// True when the clock alone speaks against it.
    pub const fn is_untimely(self) -> bool {
        matches!(self, WrongPaper::Expired | WrongPaper::NotYetValid)
    }

    /// The file that is wrong in this way, beside the right one: `teams.pem` and `teams.expired.pem`.
    pub fn beside(self, right: &Path) -> PathBuf {
        match right.extension().and_then(OsStr::to_str) {
            Some(extension) => right.with_extension(format!("{}.{extension}", self.word())),
            None => right.with_extension(self.word()),
        }
    }

    /// A leaf as requested but for what is wrong; `now`: seconds since the Unix epoch.
    pub fn leaf(self, authority: &Authority, mut request: LeafRequest, now: u64) -> Result<PemPair, AuthorityError> {
        match self {
            WrongPaper::Expired => {
                request.not_before = request.not_before.min(now.saturating_sub(DAY));
                request.not_after = now.saturating_sub(HOUR);
            }
            WrongPaper::NotYetValid => {
                request.not_before = now + HOUR;
                request.not_after = request.not_after.max(now + DAY);
            }
            WrongPaper::OtherName => request.dns_names = vec!["somebody.example".to_owned()],
            WrongPaper::ClientAuthAlone => request.usage = LeafUsage::Client,
            WrongPaper::WildcardAlone => {
                let first = request.dns_names.first().cloned().unwrap_or_default();
                request.dns_names = vec![format!("*.{first}")];
            }
            WrongPaper::OtherRoot => {
                let (from, to) = (request.not_before, request.not_after);
                return Authority::new(AUTHORITY, from, to)?.leaf(&request);
            }
            WrongPaper::SelfSigned => return self_signed(&request),
            WrongPaper::EllipticKey => return authority.elliptic_leaf(&request),
        }
        authority.leaf(&request)
    }
}

/// What a simulated peer does with its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Showing {
    /// Shows it in both directions.
    #[default]
    Sound,
    /// The same, though its time is over or has not begun.
    Untimely,
    /// Shows none where it is the client.
    NoneAsClient,
}

impl Showing {
    pub(super) fn open(self, files: IdentityFiles) -> Result<IdentityStore, Vec<IdentityError>> {
        match self {
            Showing::Untimely => IdentityStore::open_untimely(vec![files]),
            Showing::Sound | Showing::NoneAsClient => IdentityStore::open(vec![files]),
        }
    }

    pub(super) fn dressed(self, profile: TlsProfile) -> TlsProfile {
        match self {
            Showing::NoneAsClient => profile.showing_none(),
            Showing::Sound | Showing::Untimely => profile,
        }
    }
}

/// The authorities and the time that leafs are made with.
struct Mill {
    authority: Authority,
    /// Seconds since the Unix epoch.
    now: u64,
}

impl Mill {
    #[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
    fn new() -> Result<Mill, AuthorityError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = now.as_secs().max(VALIDITY.as_secs());
        Ok(Mill {
            authority: Mill::root(now)?,
            now,
        })
    }

    fn root(now: u64) -> Result<Authority, AuthorityError> {
        let span = VALIDITY.as_secs();
        Authority::new(AUTHORITY, now - span, now + span)
    }

    fn leaf(&self, dns_names: Vec<String>, wrong: Option<WrongPaper>) -> Result<PemPair, AuthorityError> {
        let span = VALIDITY.as_secs();
        let request = LeafRequest {
            dns_names,
            addresses: Vec::new(),
            usage: LeafUsage::Server,
            not_before: self.now - span,
            not_after: self.now + span,
        };
        match wrong {
            Some(wrong) => wrong.leaf(&self.authority, request, self.now),
            None => self.authority.leaf(&request),
        }
    }
}

impl Papers {
    /// Makes a CA and both leafs with keys of RSA-2048 (TEAMS-004). `base`: portcullis' trunk name, with its wildcard;
    /// `hubs`: the names of the simulated Teams, whose leaf is for serverAuth alone (TEAMS-008).
    pub fn make(folder: &Path, base: &str, hubs: &[&str]) -> Result<Papers, PapersError> {
        Papers::with(folder, base, hubs, |_| None)
    }

    /// The same where one leaf is wrong.
    pub fn make_wrong(
        folder: &Path,
        base: &str,
        hubs: &[&str],
        whose: Bearer,
        wrong: WrongPaper,
    ) -> Result<Papers, PapersError> {
        Papers::with(folder, base, hubs, |bearer| (bearer == whose).then_some(wrong))
    }

    fn with(
        folder: &Path,
        base: &str,
        hubs: &[&str],
        wrong: impl Fn(Bearer) -> Option<WrongPaper>,
    ) -> Result<Papers, PapersError> {
        let mill = Mill::new()?;
        let sbc = mill.leaf(vec![base.to_owned(), format!("*.{base}")], wrong(Bearer::Sbc))?;
        let hubs = hubs.iter().map(|hub| (*hub).to_owned()).collect();
        let teams = mill.leaf(hubs, wrong(Bearer::Teams))?;
        let papers = Papers {
            root: folder.join("root.pem"),
            sbc_certificate: folder.join("sbc.pem"),
            sbc_key: folder.join("sbc.key"),
            teams_certificate: folder.join("teams.pem"),
            teams_key: folder.join("teams.key"),
        };
        sbc.write(&papers.sbc_certificate, &papers.sbc_key)?;
        teams.write(&papers.teams_certificate, &papers.teams_key)?;
        std::fs::write(&papers.root, mill.authority.root_pem()).map_err(|source| PapersError::Unwritable {
            path: papers.root.clone(),
            source,
        })?;
        Ok(papers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::{ClientCertificates, ClientTrust, Evidence, TrustRoots};
    use rustls::pki_types::ServerName;
    use std::sync::Arc;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    const HUB: &str = "sip.pstnhub.example.com";

    fn profile(name: &str, certificate: &Path, key: &Path, roots: &Path, names: &[&str]) -> Option<TlsProfile> {
        let identities = IdentityStore::open(vec![IdentityFiles {
            name: name.to_owned(),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }])
        .ok()?;
        let roots = Arc::new(TrustRoots::from_file(roots).unwrap());
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let trust = ClientTrust::teams(roots.clone(), names);
        let clients = ClientCertificates::Require(trust);
        Some(TlsProfile::new(Arc::new(identities), clients, roots, name))
    }

    /// What one side's verifier says of the other's leaf: as client certificate, as server certificate.
    type Verdict = (Option<&'static str>, Option<&'static str>);

    /// What is said of Teams' leaf, and of the controller's.
    async fn judged(papers: &Papers) -> (Verdict, Verdict) {
        let ours = profile(
            "sbc1.example.net",
            &papers.sbc_certificate,
            &papers.sbc_key,
            &papers.root,
            &[HUB],
        );
        let theirs = profile(HUB, &papers.teams_certificate, &papers.teams_key, &papers.root, &[]);
        let not_loaded = (Some("not_loaded"), Some("not_loaded"));
        let (ours, theirs) = match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (None, _) => return ((None, None), not_loaded),
            (_, None) => return (not_loaded, (None, None)),
        };
        let roots = Arc::new(TrustRoots::from_file(&papers.root).unwrap());
        let theirs = theirs
            .trusting(
                ClientCertificates::Require(ClientTrust::controller(roots.clone())),
                roots,
            )
            .of_teams();
        let mut labels = [[None; 2]; 2];
        for (position, (caller, called, name)) in [(&theirs, &ours, "sbc1.example.net"), (&ours, &theirs, HUB)]
            .into_iter()
            .enumerate()
        {
            let (one, two) = tokio::io::duplex(65_536);
            let (accept, as_server) = called.accept().unwrap();
            let (connect, as_client) = caller.connect(caller.presented(None)).unwrap();
            let name = ServerName::try_from(name).unwrap();
            // How the handshake ends shows in the evidence.
            let _ = tokio::join!(
                TlsConnector::from(connect).connect(name, one),
                TlsAcceptor::from(accept).accept(two)
            );
            let label = |evidence: Evidence| evidence.rejection().map(|rejected| rejected.label());
            labels[position] = [label(as_server), label(as_client)];
        }
        let [[as_client, theirs_as_server], [theirs_as_client, as_server]] = labels;
        ((as_client, as_server), (theirs_as_client, theirs_as_server))
    }

    #[tokio::test]
    async fn each_wrong_paper_is_refused_for_what_is_wrong() {
        let both = |label| (Some(label), Some(label));
        let folder = std::env::temp_dir().join(format!("portcullis-papers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let right = Papers::make(&folder, "sbc1.example.net", &[HUB]).unwrap();
        assert_eq!(judged(&right).await, ((None, None), (None, None)));
        for wrong in WrongPaper::ALL {
            // Teams takes RSA keys alone, and a controller's leaf for serverAuth alone; we take any key of Teams.
            let (of_teams, of_sbc) = match wrong {
                // Nobody here gets to show it: it is refused where it is loaded.
                WrongPaper::Expired | WrongPaper::NotYetValid => (both("not_loaded"), both("not_loaded")),
                // Teams compares a controller's names with Contact, later.
                WrongPaper::OtherName | WrongPaper::WildcardAlone => (both("wrong_name"), (None, Some("wrong_name"))),
                WrongPaper::OtherRoot => (both("bad_signature"), both("bad_signature")),
                WrongPaper::SelfSigned => (both("self_signed"), both("self_signed")),
                WrongPaper::ClientAuthAlone => ((None, Some("wrong_usage")), both("wrong_usage")),
                WrongPaper::EllipticKey => ((None, None), both("wrong_key")),
            };
            for (whose, expected) in [
                (Bearer::Teams, (of_teams, (None, None))),
                (Bearer::Sbc, ((None, None), of_sbc)),
            ] {
                let papers = Papers::make_wrong(&folder, "sbc1.example.net", &[HUB], whose, wrong).unwrap();
                assert_eq!(judged(&papers).await, expected, "{whose:?} {wrong:?}");
            }
        }
        // A folder left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&folder);
    }
}
