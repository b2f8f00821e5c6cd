//! Throw-away certificates for portcullis and a simulated Teams, in a folder of their own.

use crate::net::tls::authority::{Authority, AuthorityError, LeafRequest, LeafUsage};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long they are valid, to both sides of now.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

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

impl Papers {
    /// Makes a CA and both leafs with keys of RSA-2048 (TEAMS-004). `base`: portcullis' trunk name, with its wildcard;
    /// `hubs`: the names of the simulated Teams, whose leaf is for serverAuth alone (TEAMS-008).
    #[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
    pub fn make(folder: &Path, base: &str, hubs: &[&str]) -> Result<Papers, PapersError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (begin, end) = ((now - VALIDITY.min(now)).as_secs(), (now + VALIDITY).as_secs());
        let authority = Authority::new("portcullis throw-away CA", begin, end)?;
        let leaf = |dns_names: Vec<String>, usage| {
            authority.leaf(&LeafRequest {
                dns_names,
                addresses: Vec::new(),
                usage,
                not_before: begin,
                not_after: end,
            })
        };
        let sbc = leaf(vec![base.to_owned(), format!("*.{base}")], LeafUsage::Server)?;
        let teams = leaf(hubs.iter().map(|hub| (*hub).to_owned()).collect(), LeafUsage::Server)?;
        let papers = Papers {
            root: folder.join("root.pem"),
            sbc_certificate: folder.join("sbc.pem"),
            sbc_key: folder.join("sbc.key"),
            teams_certificate: folder.join("teams.pem"),
            teams_key: folder.join("teams.key"),
        };
        sbc.write(&papers.sbc_certificate, &papers.sbc_key)?;
        teams.write(&papers.teams_certificate, &papers.teams_key)?;
        std::fs::write(&papers.root, authority.root_pem()).map_err(|source| PapersError::Unwritable {
            path: papers.root.clone(),
            source,
        })?;
        Ok(papers)
    }
}
