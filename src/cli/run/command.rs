//! The command: reads the configuration, runs the node, reloads it, and stops it in order.

use super::descriptors;
use super::modes::secret_files;
use super::start::{Running, StartError, start};
use super::tls::mistakes as tls_mistakes;
use crate::api::rest::NodeDesk;
use crate::api::{self, AdminState, ServeError};
use crate::cli::check::whole;
use crate::cli::writable::{unkept, unwritable};
use crate::config::{Config, Loader, Mistake, Mistakes, Reload, Resource, Watch};
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
    #[error("not started:\n{0}")]
    NotStarted(Mistakes),
    #[error("signals can't be heard: {0}")]
    Signals(#[from] std::io::Error),
    #[error("{0} has ended, which is a defect: the node is no use without it")]
    Lost(&'static str),
    #[error("the runtime does not start: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Observation(ObservationError),
}

/// Runs until SIGTERM or SIGINT and the end of the last call.
pub fn run(args: &RunArgs) -> ExitCode {
    let mut loader = Loader::new(&args.config);
    let loaded = loader.load();
    let config = match ready(&loader, loaded) {
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

/// What was loaded, with all that is wrong in the files that it names: those that are read, and those that are written.
fn ready(loader: &Loader, loaded: Result<Arc<Config>, Mistakes>) -> Result<Arc<Config>, Mistakes> {
    let written = loaded
        .as_ref()
        .map_or_else(|_| Vec::new(), |config| unwritable_files(loader, config));
    match whole(loader, loaded) {
        Ok(config) => Mistakes::none_in(written).map(|()| config),
        Err(others) => {
            let all = others.iter().cloned().chain(written);
            Mistakes::none_in(all.collect()).and(Err(others))
        }
    }
}

fn unwritable_files(loader: &Loader, config: &Config) -> Vec<Mistake> {
    let records = config.sbc.cdr.as_ref().and_then(|cdr| unwritable(&cdr.path));
    let store = config.sbc.registrar.store.as_ref().and_then(|path| unkept(path));
    let refused = [(Resource::Records, records), (Resource::Store, store)];
    let refused = refused
        .into_iter()
        .filter_map(|(resource, why)| Some(loader.refused(resource, &why?)));
    refused
        .flat_map(|mistakes| mistakes.iter().cloned().collect::<Vec<_>>())
        .collect()
}

fn observe_and_serve(loader: Loader, config: Arc<Config>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let observation = Observation::start(&config).map_err(|error| match error {
        ObservationError::Cdr(why) => RunError::NotStarted(loader.refused(Resource::Records, &why.to_string())),
        other => RunError::Observation(other),
    })?;
    let observation = Arc::new(observation);
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
    let running = start(config, observer.clone())
        .await
        .map_err(|error| RunError::NotStarted(told(&loader, &error)))?;
    let unbound = |socket| {
        let loader = &loader;
        move |error: ServeError| RunError::NotStarted(loader.refused(socket, &error.to_string()))
    };
    let state = AdminState::new(
        running.node.clone(),
        running.signalling.clone(),
        running.papers.certificates().to_vec(),
        observation,
    );
    let admin = api::serve(admin, Arc::new(state))
        .await
        .map_err(unbound(Resource::Admin))?;
    let rest = match running.node.config.load().sbc.api.as_ref().map(|api| api.bind) {
        Some(bind) => {
            let desk = Arc::new(NodeDesk::new(running.node.clone()));
            let rest = api::serve_rest(bind, desk).await.map_err(unbound(Resource::Rest))?;
            tracing::info!(bound = %rest.address(), "serving REST");
            Some(rest)
        }
        None => None,
    };
    tell_start(&running, admin.address());
    if let Some(doubt) = loader.without_tenants() {
        tracing::warn!("{doubt}");
    }
    let secrets = secret_files(&loader, &running.node.config.load());
    let (reloads, mut reloaded) = mpsc::unbounded_channel();
    let folder = loader.folder().to_path_buf();
    let watch = Watch::start(loader, move |outcome| {
        // Fails only when the node is stopping, and then no configuration matters.
        let _stopping = reloads.send(outcome);
    });
    let watch = watch.map_err(|error| {
        let why = format!("the folder can't be watched: {error}");
        RunError::NotStarted(Loader::new(&folder).refused(Resource::Folder, &why))
    })?;
    let look = running.papers.clone().watch(observer.clone(), secrets);
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

/// Why the node does not start, told where the configuration asks for what it does not get.
fn told(loader: &Loader, error: &StartError) -> Mistakes {
    let resource = match error {
        StartError::Listen(error) => Resource::Listener(&error.name),
        StartError::Store(_) => Resource::Store,
        StartError::Media(_) => Resource::Media,
        StartError::Tls(error) => {
            let in_files = Mistakes::none_in(tls_mistakes(&loader.tls_files()));
            return in_files
                .err()
                .unwrap_or_else(|| loader.refused(Resource::Roots, &error.to_string()));
        }
    };
    loader.refused(resource, &error.to_string())
}

fn tell_start(running: &Running, admin: SocketAddr) {
    let config = running.node.config.load();
    for listener in &config.sbc.listeners {
        let bound = running.local_address(listener.id).unwrap_or(listener.bind);
        tracing::info!(listener = %listener.name, transport = %listener.transport, %bound, "listening");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::assemble;
    use crate::media::MediaError;
    use crate::sim::Papers;
    use crate::store::StoreFile;
    use std::path::Path;

    /// A folder with the example's configuration over papers of its own.
    fn loaded(folder: &Path, papers: &Papers) -> (Loader, Arc<Config>) {
        std::fs::create_dir_all(folder.join("tenants")).expect("a folder");
        let (certificate, key) = (papers.sbc_certificate.display(), papers.sbc_key.display());
        let sbc = include_str!("../../../config/sbc.toml")
            .replace("certs/sbc1.example.net.pem", &certificate.to_string())
            .replace("certs/sbc1.example.net.key", &key.to_string());
        let sbc = format!("{sbc}\n[registrar]\nstore = \"nowhere/bindings.redb\"\n");
        std::fs::write(folder.join("sbc.toml"), sbc).expect("a file");
        std::fs::write(
            folder.join("tenants/contoso.toml"),
            include_str!("../../../config/tenants/contoso.toml"),
        )
        .expect("a file");
        let mut loader = Loader::new(folder);
        let config = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        (loader, config)
    }

    #[test]
    fn why_a_node_does_not_start_is_told_where_the_configuration_asks_for_it() {
        let folder = std::env::temp_dir().join(format!("portcullis-told-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let papers = Papers::make(&folder, "sbc1.example.net", &["sip.pstnhub.example.com"]).expect("papers");
        let (loader, config) = loaded(&folder, &papers);
        let one = |mistakes: Mistakes| {
            assert_eq!(mistakes.count(), 1, "{mistakes}");
            mistakes.iter().next().cloned().expect("one")
        };

        let store = StoreFile::open(&folder.join("nowhere/bindings.redb")).expect_err("there is no folder");
        let store = one(told(&loader, &store.into()));
        assert_eq!(store.text, "\"nowhere/bindings.redb\"");
        assert!(store.expected.is_some_and(|fix| fix.contains("a folder that is there")));

        let media = MediaError::Start(std::io::ErrorKind::AddrNotAvailable.into());
        let media = one(told(&loader, &media.into()));
        assert!(
            media.line > 0 && media.message.contains("address not available"),
            "{media}"
        );

        std::fs::copy(&papers.teams_key, &papers.sbc_key).expect("another's key");
        let Err(tls) = assemble::listeners(&config) else {
            panic!("the key of another");
        };
        let tls = one(told(&loader, &tls.into()));
        assert!(tls.line > 0 && tls.message.contains("does not belong"), "{tls}");

        // With the file of records, whose folder can't be made, and the store's, which is not there.
        let text = std::fs::read_to_string(folder.join("sbc.toml")).expect("the file");
        let text = text.replace("/var/log/portcullis/cdr.jsonl", "/dev/null/cdr.jsonl");
        std::fs::write(folder.join("sbc.toml"), text).expect("a file");
        let mut whole = Loader::new(&folder);
        let loaded = whole.load();
        let all = ready(&whole, loaded).expect_err("three mistakes").to_string();
        for part in ["does not belong", "/dev/null/cdr.jsonl", "nowhere/bindings.redb"] {
            assert!(all.contains(part), "{part} in\n{all}");
        }

        let records = loader.refused(Resource::Records, "the disk is full");
        assert!(one(records).text.contains("cdr.jsonl"));
        let watch = one(loader.refused(Resource::Folder, "too many watches"));
        assert_eq!((watch.file.as_path(), watch.line), (folder.as_path(), 0));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
