//! `portcullis doctor`: why calls with Teams fail, or will fail, and what to do.
//!
//! In: a configuration folder, and with `--online` name servers, hubs and the running node. Out: findings with their evidence and
//! cure. Gathering (`files`, `online`) is apart from judging: every check is a pure function of the [`World`], so each failure can be
//! put into one. Messages are those of the call value (`rehearsal`), judged by the rules of the simulated hub.

mod carriers;
mod dns;
mod files;
mod finding;
mod media;
mod net;
mod numbers;
mod online;
mod options;
mod peers;
mod print;
mod rehearsal;
mod sip_lint;
mod tenants;
#[cfg(test)]
mod tests;
mod timers;
mod tls;
mod weight;
mod world;

use crate::config::{self, Mistakes};
use crate::observe::unix_ms;
use finding::{Check, Diagnosis, Severity};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use world::World;

/// The exit code where nothing fails, and something will.
const WARNED: u8 = 3;

/// All checks, by group.
const CHECKS: &[&[Check]] = &[
    dns::CHECKS,
    net::CHECKS,
    tls::CHECKS,
    options::CHECKS,
    sip_lint::CHECKS,
    media::CHECKS,
    tenants::CHECKS,
    timers::CHECKS,
    numbers::CHECKS,
    carriers::CHECKS,
];

/// Examine a node.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The configuration folder.
    #[arg(long, default_value = "config")]
    pub config: PathBuf,
    /// Ask name servers, hubs and the running node, too; sends one OPTIONS to each hub.
    #[arg(long)]
    pub online: bool,
    /// Seconds that all of this may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub patience: u64,
    /// Show what is merely worth knowing, too.
    #[arg(long)]
    pub notes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Exit code 0: nothing worse than a note; 1: something fails, or there is no diagnosis; 3: something will fail.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let (diagnosis, is_whole) = match examine(args) {
        Ok(examined) => examined,
        Err(why) => {
            let told = match (&why, args.json) {
                (NoDiagnosis::Mistakes(mistakes), true) => print::mistakes_json(mistakes, &mut io::stdout().lock()),
                _ => writeln!(io::stderr().lock(), "{why}"),
            };
            return match told {
                // Nobody reads on: the exit code still tells.
                Ok(()) | Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let mut out = io::stdout().lock();
    let written = match args.json {
        true => print::json(&diagnosis, &mut out),
        false => print::text(&diagnosis, args.notes, &mut out),
    };
    match (written, diagnosis.worst()) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => super::written(Err(error)),
        (_, Some(Severity::Fail)) => ExitCode::FAILURE,
        _ if !is_whole => ExitCode::FAILURE,
        (_, Some(Severity::Warn)) => ExitCode::from(WARNED),
        (_, Some(Severity::Note) | None) => ExitCode::SUCCESS,
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum NoDiagnosis {
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    #[error("{0}")]
    NoRuntime(String),
}

/// The diagnosis, and whether all that was asked for could be looked at in time.
fn examine(args: &DoctorArgs) -> Result<(Diagnosis, bool), NoDiagnosis> {
    let config = config::load(&args.config)?;
    let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
    let mut world = files::gather(config.clone(), now);
    if args.online {
        let names = world.trunks().into_iter().map(str::to_owned).collect();
        let limit = Duration::from_secs(args.patience);
        match super::runtime()
            .map_err(NoDiagnosis::NoRuntime)?
            .block_on(online::gather(&config, names, limit))
        {
            Ok(online) => world.online = Some(online),
            Err(why) => world.offline = why,
        }
    }
    Ok((diagnose(&world), world.online.is_some() || !args.online))
}

/// What all checks say of a world.
fn diagnose(world: &World) -> Diagnosis {
    Diagnosis::of(world, CHECKS)
}
