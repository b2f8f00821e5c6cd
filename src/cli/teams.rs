//! `portcullis teams`: what administrators of Microsoft tenants and of DNS have to do, from the configuration.

use super::written;
use crate::config::{self, Config, Tenant};
use crate::teams::onboarding::{powershell, records, zone};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print what has to be done outside this machine before Teams and a tenant reach each other.
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

/// Exit code 1 when the configuration is wrong or has no such tenant.
pub fn run(args: &TeamsArgs) -> ExitCode {
    let (TeamsCommand::Dns { of, .. } | TeamsCommand::Powershell { of }) = &args.what;
    let config = match config::load(&of.config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    let Some(tenant) = find(&config, &of.tenant) else {
        let known: Vec<_> = config.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
        eprintln!(
            "portcullis: no tenant is called '{}'; there are: {}",
            of.tenant.escape_debug(),
            known.join(", ")
        );
        return ExitCode::FAILURE;
    };
    let text = match &args.what {
        TeamsCommand::Dns { json: false, .. } => zone(&records(&config, tenant)),
        TeamsCommand::Dns { json: true, .. } => format!("{:#}\n", json!(records(&config, tenant))),
        TeamsCommand::Powershell { .. } => powershell(&config, tenant),
    };
    written(write!(io::stdout().lock(), "{text}"))
}

fn find<'a>(config: &'a Config, name: &str) -> Option<&'a Tenant> {
    let by_id = config.tenants.iter().find(|tenant| tenant.id.as_str() == name);
    by_id.or_else(|| config.tenant_by_name(name)).map(|tenant| &**tenant)
}
