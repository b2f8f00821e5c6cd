//! `portcullis demo`: the whole thing on one machine, in some five seconds.
//!
//! A throw-away CA, a configuration in a temporary folder, portcullis started as `run` starts it, a simulated carrier
//! and a simulated Teams, one call each way. Out: what happened, the ladder of each call, what was heard, a verdict.

mod calls;
mod ladder;
mod plan;
mod printing;
mod stage;
mod verdict;
mod witness;

use calls::Tried;
use clap::Args;
use printing::Printer;
use stage::Stage;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use verdict::Report;

/// How long the command may take in all before it gives up.
const LIMIT: Duration = Duration::from_secs(40);

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Stay up after the calls, for a softphone or a look around; Ctrl-C ends it. Not with --json
    #[arg(long, conflicts_with = "json")]
    pub keep: bool,
}

/// Why there was no demonstration.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// Something of this machine: what it was, and why not.
    #[error("{what}: {why}")]
    Machine { what: String, why: io::Error },
    #[error(transparent)]
    Papers(#[from] crate::sim::PapersError),
    #[error("the configuration of the demo is wrong:\n{0}")]
    Config(crate::config::Mistakes),
    #[error(transparent)]
    Observation(#[from] crate::observe::ObservationError),
    #[error(transparent)]
    Admin(#[from] crate::api::ServeError),
    #[error("portcullis does not start: {0}")]
    Start(#[from] crate::cli::run::StartError),
    #[error("a simulator does not start: {0}")]
    Simulator(#[from] crate::sim::SimStartError),
}

impl DemoError {
    fn machine(what: impl Into<String>) -> impl FnOnce(io::Error) -> DemoError {
        |why| DemoError::Machine { what: what.into(), why }
    }
}

/// SIGINT and SIGTERM, before which the temporary folder with its keys has to go.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn new() -> io::Result<Stops> {
        Ok(Stops {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Exit code 0 only when everything was as it must be.
pub fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(perform(args)) {
        Ok(report) if report.passed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(args: &DemoArgs) -> Result<Report, DemoError> {
    let printer = Printer::new(args.json);
    let mut stops = Stops::new().map_err(DemoError::machine("signals can't be heard"))?;
    let stage = Stage::build(&printer).await?;
    let tried = tokio::select! {
        limited = tokio::time::timeout(LIMIT, calls::both(&stage, &printer)) => limited.unwrap_or_default(),
        () = stops.next() => Tried::stopped(),
    };
    let tried_all = !tried.stopped;
    let report = verdict::judge(&stage, tried);
    printer.report(&report);
    let kept = args.keep && tried_all;
    if kept {
        printer.addresses(&stage);
        stops.next().await;
        printer.line("ending", "");
    }
    stage.strike().await;
    if kept {
        let verdict = if report.passed { "PASSED" } else { "FAILED" };
        printer.line("ended", &format!("everything is down; the calls have {verdict}"));
    }
    Ok(report)
}
