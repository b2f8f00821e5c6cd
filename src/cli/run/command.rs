//! The command: reads the configuration, runs the node, reloads it, and stops it in order.

use super::descriptors;
use super::start::{Running, StartError, start};
use super::tls::inspect;
use crate::api::rest::NodeDesk;
use crate::api::{self, AdminState, ServeError};
use crate::config::{Config, Loader, Mistake, Reload, Socket, Watch};
use crate::observe::{Happening, Observation, ObservationError, Observer};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long records and log lines may take to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How long answers of the admin listener may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// How long threads that read files may take at the end: on a network that hangs they never come back.
const LAST_READS: Duration = Duration::from_secs(1);

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
    #[error("not started:\n{0}")]
    Bind(Box<Mistake>),
    #[error("signals can't be heard: {0}")]
    Signals(#[from] std::io::Error),
    #[error("{0} has ended, which is a defect: the node is no use without it")]
    Lost(&'static str),
    #[error("the runtime does not start: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Observation(#[from] ObservationError),
    #[error("the configuration folder can't be watched: {0}")]
    Watch(#[from] notify::Error),
}

/// Runs until SIGTERM or SIGINT and the end of the last call.
pub fn run(args: &RunArgs) -> ExitCode {
    let mut loader = Loader::new(&args.config);
    let config = match loader.load() {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            eprintln!("portcullis: not started: {} to mend first", mistakes.count());
            return ExitCode::FAILURE;
        }
    };
    match observe_and_serve(loader, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

fn observe_and_serve(loader: Loader, config: Arc<Config>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let observation = Arc::new(Observation::start(&config)?);
    descriptors::raise_limit();
    let served = runtime.block_on(serve(loader, config, observation.clone()));
    observation.finish(LAST_LINES);
    runtime.shutdown_timeout(LAST_READS);
    served
}

async fn serve(loader: Loader, config: Arc<Config>, observation: Arc<Observation>) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let observer = observation.observer(&config);
    let admin = config.sbc.admin.bind;
    let running = start(config, observer.clone()).await.map_err(|error| match error {
        StartError::Listen(error) => {
            let socket = Socket::Listener(&error.name);
            RunError::Bind(Box::new(loader.unbound(socket, &error.to_string())))
        }
        other => RunError::Start(other),
    })?;
    let unbound = |socket| {
        let loader = &loader;
        move |error: ServeError| RunError::Bind(Box::new(loader.unbound(socket, &error.to_string())))
    };
    let state = AdminState::new(
        running.node.clone(),
        running.signalling.clone(),
        running.papers.certificates().to_vec(),
        observation,
    );
    let admin = api::serve(admin, Arc::new(state))
        .await
        .map_err(unbound(Socket::Admin))?;
    let rest = match running.node.config.load().sbc.api.as_ref().map(|api| api.bind) {
        Some(bind) => {
            let desk = Arc::new(NodeDesk::new(running.node.clone()));
            let rest = api::serve_rest(bind, desk).await.map_err(unbound(Socket::Rest))?;
            tracing::info!(bound = %rest.address(), "serving REST");
            Some(rest)
        }
        None => None,
    };
    tell_start(&running, admin.address());
    let (reloads, mut reloaded) = mpsc::unbounded_channel();
    let watch = Watch::start(loader, move |outcome| {
        // Fails only when the node is stopping, and then no configuration matters.
        let _stopping = reloads.send(outcome);
    })?;
    let look = running.papers.clone().watch(observer.clone());
    running.signalling.keep("the look at certificates", look);
    let lost = loop {
        tokio::select! {
            Some(outcome) = reloaded.recv() => apply(&running, &*observer, &outcome).await,
            Some(()) = signals.reload.recv() => {
                watch.reload();
                running.papers.ask();
            }
            Some(()) = signals.terminate.recv() => break None,
            Some(()) = signals.interrupt.recv() => break None,
            what = running.signalling.losing() => break Some(what),
        }
    };
    // What is saved from now on is for the next start. The thread may be in a file that hangs: it is waited for last.
    drop(reloaded);
    let watch = tokio::task::spawn_blocking(move || drop(watch));
    let patience = match lost {
        None => running.node.config.load().sbc.drain,
        // The service manager starts a whole one; what is left of this one hangs up.
        Some(_) => Duration::ZERO,
    };
    observer.happened(&Happening::Draining {
        calls: running.node.calls.count(),
        patience,
    });
    let lost = match lost {
        Some(what) => {
            running.clear().await;
            Some(what)
        }
        None => drain(&running, patience, &mut signals).await,
    };
    if let Some(rest) = rest {
        rest.shut_down(LAST_REQUESTS).await;
    }
    running.shut_down().await;
    admin.shut_down(LAST_REQUESTS).await;
    // A thread that is late, or has panicked and said so, has nothing left to do.
    let _stopped = tokio::time::timeout(LAST_READS, watch).await;
    lost.map_or(Ok(()), |what| Err(RunError::Lost(what)))
}

fn tell_start(running: &Running, admin: SocketAddr) {
    let config = running.node.config.load();
    for listener in &config.sbc.listeners {
        let bound = running.local_address(listener.id).unwrap_or(listener.bind);
        tracing::info!(listener = %listener.name, transport = %listener.transport, %bound, "listening");
    }
    for doubt in inspect(&config).unwrap_or_default() {
        tracing::warn!("{doubt}");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = %config.sbc.node,
        %admin,
        tenants = config.tenants.len(),
        carriers = config.sbc.carriers.len(),
        "running"
    );
}

/// Lets the calls end until `patience` is over, a second signal comes, or something is lost without which the node is none:
/// that is what comes out. Certificates are looked at as before, the configuration stays as it is.
async fn drain(running: &Running, patience: Duration, signals: &mut Signals) -> Option<&'static str> {
    let drained = running.drain(patience);
    tokio::pin!(drained);
    let lost = loop {
        tokio::select! {
            () = &mut drained => return None,
            Some(()) = signals.reload.recv() => {
                tracing::warn!("the node goes out of service: certificates are read again, the configuration is not");
                running.papers.ask();
            }
            Some(()) = signals.terminate.recv() => break None,
            Some(()) = signals.interrupt.recv() => break None,
            what = running.signalling.losing() => break Some(what),
        }
    };
    running.clear().await;
    lost
}

async fn apply(running: &Running, observer: &dyn Observer, outcome: &Reload) {
    if let Reload::Applied { config, .. } = outcome {
        running.apply(config).await;
    }
    observer.happened(&Happening::Reloaded { outcome });
    // Asked for too when nothing else changed: the files of roots may have.
    running.papers.ask();
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
