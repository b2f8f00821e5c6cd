//! The command: reads the configuration, runs the node, reloads it, and stops it in order.

use super::start::{Running, StartError, start};
use crate::config::{Loader, Reload, Watch};
use crate::observe::{Happening, Observer};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How often certificate files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(30);

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder of sbc.toml and tenants/
    #[arg(long, value_name = "FOLDER", default_value = "config")]
    pub config: PathBuf,
}

/// Why the node ended with an error.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("signals can't be heard: {0}")]
    Signals(#[from] std::io::Error),
    #[error("the configuration folder can't be watched: {0}")]
    Watch(#[from] notify::Error),
}

/// Runs until SIGTERM or SIGINT and the end of the last call.
pub fn run(args: &RunArgs) -> ExitCode {
    let mut loader = Loader::new(&args.config);
    if let Err(mistakes) = loader.load() {
        eprint!("{mistakes}");
        eprintln!("portcullis: not started: {} to mend first", mistakes.count());
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("portcullis: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(loader)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(mut loader: Loader) -> Result<(), RunError> {
    let config = match loader.load() {
        Ok(config) => config,
        // It was right a moment ago: somebody is editing. What is there now is said like any mistake.
        Err(mistakes) => return Err(StartError::Config(mistakes).into()),
    };
    let mut signals = Signals::listen()?;
    let observer: Arc<dyn Observer> = Arc::new(Unheard);
    let running = start(config, observer.clone()).await?;
    let (reloads, mut reloaded) = mpsc::unbounded_channel();
    let watch = Watch::start(loader, running.node.config.clone(), move |outcome| {
        // Fails only when the node is stopping, and then no configuration matters.
        let _stopping = reloads.send(outcome);
    })?;
    let mut certificates = tokio::time::interval(CERTIFICATE_LOOK);
    loop {
        tokio::select! {
            Some(outcome) = reloaded.recv() => apply(&running, &*observer, &outcome),
            _ = certificates.tick() => running.reload_certificates(&*observer),
            Some(()) = signals.reload.recv() => {
                watch.reload();
                running.reload_certificates(&*observer);
            }
            Some(()) = signals.terminate.recv() => break,
            Some(()) = signals.interrupt.recv() => break,
        }
    }
    let patience = running.node.config.load().sbc.drain;
    observer.happened(&Happening::Draining {
        calls: running.node.calls.count(),
        patience,
    });
    tokio::select! {
        () = running.drain(patience) => {}
        // A second signal ends the patience.
        Some(()) = signals.terminate.recv() => running.drain(Duration::ZERO).await,
        Some(()) = signals.interrupt.recv() => running.drain(Duration::ZERO).await,
    }
    drop(watch);
    running.shut_down().await;
    Ok(())
}

fn apply(running: &Running, observer: &dyn Observer, outcome: &Reload) {
    if let Reload::Applied { config, .. } = outcome {
        running.apply(config);
    }
    observer.happened(&Happening::Reloaded { outcome });
}

/// Nobody listens.
struct Unheard;

impl Observer for Unheard {
    fn happened(&self, _happening: &Happening<'_>) {}
}

/// The signals that a service hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }
}
