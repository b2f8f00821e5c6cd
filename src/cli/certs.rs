//! `portcullis certs`: a throw-away CA and the certificates it signs, for laboratories.

use crate::config::HostName;
use crate::net::tls::authority::{Authority, AuthorityError, LeafRequest, LeafUsage};
use crate::sim::WrongPaper;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that runs behind must not call a new certificate "not yet valid".
const CLOCK_SLACK: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Make certificates.
#[derive(Debug, clap::Args)]
pub struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CertsCommand {
    /// A throw-away CA, and an RSA-2048 certificate for each name and everything one label below it
    ///
    /// For laboratories: the CA's key is forgotten at once, and nobody outside trusts it. Microsoft Teams speaks only
    /// to certificates of the public CAs that it lists.
    Dev(DevArgs),
}

/// What `certs dev` makes.
#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// The folder to write to; it is made when it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// A host name, such as this node's trunk name; repeat it for more certificates.
    #[arg(long = "name", value_name = "NAME", required = true, value_parser = host_name)]
    pub names: Vec<HostName>,
    /// How long they are valid.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=825))]
    pub days: u16,
    /// Beside each, one of every kind that a peer should refuse: NAME.expired.pem, NAME.self-signed.pem …
    ///
    /// The kinds are expired, not-yet-valid, other-name, other-ca, self-signed, client-only (no serverAuth), wildcard-only
    /// (*.NAME without NAME itself) and elliptic (no RSA key). `sim … --wrong KIND` shows them.
    #[arg(long)]
    pub wrong: bool,
    /// Write over files that exist.
    #[arg(long)]
    pub force: bool,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("{} exists already; name another folder, or --force to write over it", .0.display())]
    Exists(PathBuf),
    #[error("cannot make the folder {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// Files of one certificate.
#[derive(Debug)]
struct Made {
    name: HostName,
    certificate: PathBuf,
    key: PathBuf,
}

impl Made {
    /// Where the one is that is wrong in this way.
    fn wrong(&self, wrong: WrongPaper) -> [PathBuf; 2] {
        [&self.certificate, &self.key].map(|right| wrong.beside(right))
    }
}

fn host_name(text: &str) -> Result<HostName, String> {
    HostName::parse(text).map_err(|expected| format!("expected {}", expected.0))
}

/// Exit code 1 when a file exists or can't be written.
pub fn run(args: &CertsArgs) -> ExitCode {
    let CertsCommand::Dev(args) = &args.command;
    match make(args) {
        Ok((root, made)) => super::written(tell(&root, &made, &mut io::stdout().lock())),
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(args: &DevArgs) -> Result<(PathBuf, Vec<Made>), CertsError> {
    let root = args.out.join("ca.pem");
    let made: Vec<Made> = args
        .names
        .iter()
        .map(|name| Made {
            name: name.clone(),
            certificate: args.out.join(format!("{name}.pem")),
            key: args.out.join(format!("{name}.key")),
        })
        .collect();
    // A key that some listener uses must not be lost to a slip.
    if !args.force {
        let wrong = |made: &Made| WrongPaper::ALL.map(|wrong| made.wrong(wrong)).concat();
        let right = made
            .iter()
            .flat_map(|made| [made.certificate.clone(), made.key.clone()]);
        let wrong = made.iter().filter(|_| args.wrong).flat_map(wrong);
        let mut files = right.chain(wrong).chain([root.clone()]);
        if let Some(existing) = files.find(|file| file.exists()) {
            return Err(CertsError::Exists(existing));
        }
    }
    let folder = |source| CertsError::Folder {
        path: args.out.clone(),
        source,
    };
    std::fs::create_dir_all(&args.out).map_err(folder)?;
    let now = unix_now();
    let not_before = now.saturating_sub(CLOCK_SLACK).as_secs();
    let not_after = (now + DAY * u32::from(args.days)).as_secs();
    let authority = Authority::new("portcullis development CA", not_before, not_after)?;
    for made in &made {
        let request = LeafRequest {
            dns_names: vec![made.name.to_string(), format!("*.{}", made.name)],
            addresses: Vec::new(),
            usage: LeafUsage::ServerAndClient,
            not_before,
            not_after,
        };
        authority.leaf(&request)?.write(&made.certificate, &made.key)?;
        for wrong in WrongPaper::ALL.into_iter().filter(|_| args.wrong) {
            let [certificate, key] = made.wrong(wrong);
            let leaf = wrong.leaf(&authority, request.clone(), now.as_secs())?;
            leaf.write(&certificate, &key)?;
        }
    }
    std::fs::write(&root, authority.root_pem()).map_err(|source| AuthorityError::Unwritable {
        path: root.clone(),
        source,
    })?;
    Ok((root, made))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the validity of a certificate is wall-clock time"
)]
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn tell(root: &Path, made: &[Made], out: &mut impl Write) -> io::Result<()> {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        format!("{:?}", path.display().to_string())
    };
    writeln!(out, "In sbc.toml, on the listener that has the name:\n")?;
    for made in made {
        writeln!(
            out,
            "  certificates = [{{ certificate = {}, key = {} }}]   # {} and *.{}",
            absolute(&made.certificate),
            absolute(&made.key),
            made.name,
            made.name
        )?;
    }
    if made.len() > 1 {
        writeln!(
            out,
            "\nSeveral on one listener stand in one list. The one that bears the name is shown, to callers that ask for it and on\n\
             connections for a trunk of that name; else the first."
        )?;
    }
    writeln!(
        out,
        "\nWhere peers have certificates of the same CA, on the listener, and under [teams] for a simulated Teams:\n\n  roots = {}\n",
        absolute(root)
    )?;
    writeln!(
        out,
        "Peers have to trust {}. Its key is gone: for more certificates run this again with all names, into another folder.",
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::{Identity, IdentityError, IdentityFiles, KeyKind};

    fn args(out: &Path, force: bool) -> DevArgs {
        let name = |text| HostName::parse(text).expect("a name");
        DevArgs {
            out: out.to_owned(),
            names: vec![name("sbc1.example.net"), name("trunk.example.net")],
            days: 2,
            wrong: false,
            force,
        }
    }

    #[test]
    fn what_is_made_can_be_loaded_and_is_not_written_over() {
        let folder = std::env::temp_dir().join(format!("portcullis-certs-{}", std::process::id()));
        let (root, made) = make(&args(&folder, false)).expect("certificates");
        let now = i64::try_from(unix_now().as_secs()).expect("a time");
        for made in &made {
            let files = IdentityFiles {
                name: "test".into(),
                certificate: made.certificate.clone(),
                key: made.key.clone(),
            };
            let identity = Identity::load(&files, now).expect("an identity");
            assert_eq!(identity.key_kind, KeyKind::Rsa { bits: 2048 });
            assert!(identity.covers(made.name.as_str()) && identity.covers(&format!("contoso.{}", made.name)));
        }
        let mut told = Vec::new();
        tell(&root, &made, &mut told).expect("a vector takes everything");
        let told = String::from_utf8(told).expect("text");
        assert!(
            told.contains("sbc1.example.net.key\" }]   # sbc1.example.net and *."),
            "{told}"
        );
        assert!(told.contains("Several on one listener stand in one list"), "{told}");
        assert!(matches!(make(&args(&folder, false)), Err(CertsError::Exists(_))));
        assert!(make(&args(&folder, true)).is_ok());
        let wrong = DevArgs {
            wrong: true,
            force: true,
            ..args(&folder, true)
        };
        make(&wrong).expect("wrong ones too");
        let kept = DevArgs { force: false, ..wrong };
        let expired = folder.join("trunk.example.net.expired.pem");
        for name in ["sbc1.example.net", "trunk.example.net"] {
            std::fs::remove_file(folder.join(format!("{name}.pem"))).expect("a certificate");
            std::fs::remove_file(folder.join(format!("{name}.key"))).expect("a key");
        }
        assert!(matches!(make(&kept), Err(CertsError::Exists(file)) if file.to_string_lossy().contains(".expired.")));
        let files = IdentityFiles {
            name: "test".into(),
            key: expired.with_extension("key"),
            certificate: expired,
        };
        assert!(matches!(
            Identity::load(&files, now),
            Err(IdentityError::Expired { .. })
        ));
        std::fs::remove_dir_all(&folder).expect("clean up");
    }
}
