//! `portcullis teams`: what administrators of Microsoft tenants and of DNS have to do, from the configuration, and what
//! they did otherwise.

use super::written;
use crate::config::{self, Config, Tenant};
use crate::teams::onboarding::drift::{self, Export, Weight};
use crate::teams::onboarding::{powershell, records, zone};
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print what has to be done outside this machine before Teams and a tenant reach each other, and what is not done.
#[derive(Debug, clap::Args)]
pub struct TeamsArgs {
    #[command(subcommand)]
    pub what: TeamsCommand,
}

#[derive(Debug, clap::Subcommand)]
pub enum TeamsCommand {
    /// The DNS records of a tenant's trunk names, as lines of a zone file
    Dns {
        #[command(flatten)]
        of: Of,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The PowerShell commands that pair the trunk, route the tenant's calls and assign its numbers
    Powershell {
        #[command(flatten)]
        of: Of,
    },
    /// What differs between the configuration and what Get-CsOnlinePSTNGateway, Get-CsOnlineVoiceRoute, Get-CsOnlineUser
    /// and Get-CsPhoneNumberAssignment print
    ///
    /// Exit code 0: nothing that breaks calls; 1: something does; 2: it could not be compared.
    Drift {
        #[command(flatten)]
        of: Of,
        /// Files with their output, JSON or text; `-` is standard input.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which tenant.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// The tenant: its id, one of its domains, or its trunk name.
    #[arg(value_name = "TENANT")]
    pub tenant: String,
    /// The configuration folder.
    #[arg(long, default_value = "config")]
    pub config: PathBuf,
}

/// Could not be compared; 1 says that something differs.
const NOT_COMPARED: u8 = 2;

/// Exit code 1 when the configuration is wrong or has no such tenant; `drift` has its own.
pub fn run(args: &TeamsArgs) -> ExitCode {
    let (of, failure) = match &args.what {
        TeamsCommand::Dns { of, .. } | TeamsCommand::Powershell { of } => (of, ExitCode::FAILURE),
        TeamsCommand::Drift { of, .. } => (of, ExitCode::from(NOT_COMPARED)),
    };
    let config = match config::load(&of.config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return failure;
        }
    };
    let Some(tenant) = find(&config, &of.tenant) else {
        let known: Vec<_> = config.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
        eprintln!(
            "portcullis: no tenant is called '{}'; there are: {}",
            of.tenant.escape_debug(),
            known.join(", ")
        );
        return failure;
    };
    let text = match &args.what {
        TeamsCommand::Dns { json: false, .. } => zone(&records(&config, tenant)),
        TeamsCommand::Dns { json: true, .. } => format!("{:#}\n", json!(records(&config, tenant))),
        TeamsCommand::Powershell { .. } => powershell(&config, tenant),
        TeamsCommand::Drift { files, json, .. } => return differences(&config, tenant, files, *json),
    };
    written(write!(io::stdout().lock(), "{text}"))
}

fn differences(config: &Config, tenant: &Tenant, files: &[PathBuf], as_json: bool) -> ExitCode {
    let mut export = Export::default();
    for file in files {
        match output_of(file) {
            Ok(read) => export = export.and(read),
            Err(fault) => {
                eprintln!("portcullis: {}: {fault}", file.display());
                return ExitCode::from(NOT_COMPARED);
            }
        }
    }
    let found = drift::compare(config, tenant, &export);
    let compared = drift::Compared::of(config, tenant, &export);
    let text = match as_json {
        true => format!("{:#}\n", json!({ "differences": found, "compared": compared })),
        false => drift::report(&found, compared),
    };
    let printed = written(write!(io::stdout().lock(), "{text}"));
    match found.iter().any(|difference| difference.weight == Weight::Breaks) {
        true => ExitCode::FAILURE,
        false => printed,
    }
}

fn output_of(file: &Path) -> Result<Export, Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    match file == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut bytes)?,
        false => std::fs::File::open(file)?.read_to_end(&mut bytes)?,
    };
    Ok(drift::read(&drift::decode(&bytes)?)?)
}

fn find<'a>(config: &'a Config, name: &str) -> Option<&'a Tenant> {
    let by_id = config.tenants.iter().find(|tenant| tenant.id.as_str() == name);
    by_id.or_else(|| config.tenant_by_name(name)).map(|tenant| &**tenant)
}
