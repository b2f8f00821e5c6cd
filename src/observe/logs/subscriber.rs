//! The process's `tracing` subscriber.

use super::queue::LineQueue;
use crate::config::{Log, LogFormat, LogLevel};
use std::io::{self, IsTerminal};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("the log can't be written: {0}")]
    Thread(#[from] io::Error),
    #[error("logging was set up already")]
    Twice,
}

/// The process's logging.
pub struct Logging {
    level: reload::Handle<Targets, Registry>,
    lines: LineQueue,
}

impl Logging {
    /// Logs to standard error from now on.
    pub fn install(log: &Log) -> Result<Logging, LoggingError> {
        let lines = LineQueue::start(io::stderr())?;
        let (subscriber, level) = subscriber(log, lines.clone(), io::stderr().is_terminal());
        subscriber.try_init().map_err(|_| LoggingError::Twice)?;
        Ok(Logging { level, lines })
    }

    /// Takes over the level of a new configuration. Another format waits for a restart.
    pub fn apply(&self, log: &Log) {
        if let Err(error) = self.level.reload(targets(log.level)) {
            tracing::error!(%error, "the log level can't be changed");
        }
    }

    /// Lines dropped because standard error was too slow.
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Writes what is queued, `grace` at most. Later lines are lost.
    pub fn finish(&self, grace: Duration) {
        self.lines.finish(grace);
    }
}

/// A subscriber that writes to `lines`, and the handle that changes its level.
pub(super) fn subscriber(
    log: &Log,
    lines: LineQueue,
    colours: bool,
) -> (impl Subscriber + Send + Sync, reload::Handle<Targets, Registry>) {
    let (filter, level) = reload::Layer::new(targets(log.level));
    let layer = fmt::layer().with_writer(lines);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Human => layer.with_ansi(colours).with_target(false).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    (tracing_subscriber::registry().with(layer.with_filter(filter)), level)
}

/// The level is ours; of libraries only warnings are of interest.
fn targets(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target("portcullis", own)
}
