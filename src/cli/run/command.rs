//! The command: reads the configuration, runs the node, reloads it, and stops it in order.

use super::descriptors;
use super::start::{Running, StartError, start};
use super::tls::inspect;
use crate::api::rest::NodeDesk;
use crate::api::{self, AdminState, ServeError};
use crate::config::{Config, Loader, Mistake, Reload, Socket, Watch};
use crate::net::tls::ExpiryWatch;
use crate::observe::{Happening, Observation, ObservationError, Observer, unix_ms};
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
        running.certificates().to_vec(),
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
    let watch = Watch::start(loader, running.node.config.clone(), move |outcome| {
        // Fails only when the node is stopping, and then no configuration matters.
        let _stopping = reloads.send(outcome);
    })?;
    let mut certificates = tokio::time::interval(CERTIFICATE_LOOK);
    let mut expiry = ExpiryWatch::default();
    let lost = loop {
        tokio::select! {
            Some(outcome) = reloaded.recv() => apply(&running, &*observer, &outcome).await,
            _ = certificates.tick() => {
                running.reload_certificates(&*observer).await;
                running.reload_trust(&*observer).await;
                tell_ends(&running, &mut expiry, &*observer);
            }
            Some(()) = signals.reload.recv() => {
                watch.reload();
                running.reload_certificates(&*observer).await;
            }
            Some(()) = signals.terminate.recv() => break None,
            Some(()) = signals.interrupt.recv() => break None,
            what = running.signalling.losing() => break Some(what),
        }
    };
    let patience = match lost {
        None => running.node.config.load().sbc.drain,
        // The service manager starts a whole one; what is left of this one hangs up.
        Some(_) => Duration::ZERO,
    };
    observer.happened(&Happening::Draining {
        calls: running.node.calls.count(),
        patience,
    });
    if lost.is_some() {
        running.clear().await;
    } else {
        tokio::select! {
            () = running.drain(patience) => {}
            // A second signal ends the patience.
            Some(()) = signals.terminate.recv() => running.clear().await,
            Some(()) = signals.interrupt.recv() => running.clear().await,
        }
    }
    drop(watch);
    if let Some(rest) = rest {
        rest.shut_down(LAST_REQUESTS).await;
    }
    running.shut_down().await;
    admin.shut_down(LAST_REQUESTS).await;
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

fn tell_ends(running: &Running, expiry: &mut ExpiryWatch, observer: &dyn Observer) {
    let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
    for (listener, store) in running.certificates() {
        for identity in store.identities() {
            if expiry.is_due(listener, &identity, now) {
                observer.happened(&Happening::CertificateEnds {
                    listener,
                    certificate: &identity.name,
                    serial: &identity.serial,
                    days: (identity.not_after - now).div_euclid(86_400),
                });
            }
        }
    }
}

async fn apply(running: &Running, observer: &dyn Observer, outcome: &Reload) {
    if let Reload::Applied { config, .. } = outcome {
        running.apply(config).await;
    }
    observer.happened(&Happening::Reloaded { outcome });
    // Asked for too when nothing else changed: the files of roots may have.
    running.reload_trust(observer).await;
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
