//! Everything that listens on a node, started and ended together.

use super::cdr::{CdrError, CdrWriter};
use super::logs::{LogLines, Logging, LoggingError};
use super::metrics::Metrics;
use super::{Effectiveness, Happening, Ladders, Observer, Observers, Reloads};
use crate::config::{Config, Reload};
use std::sync::Arc;
use std::time::Duration;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error("call detail records: {0}; `path` under [cdr] has to be a file that this user may write")]
    Cdr(#[from] CdrError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Logs, metrics, records, ladders of a node.
pub struct Observation {
    pub metrics: Arc<Metrics>,
    pub cdr: Arc<CdrWriter>,
    pub ladders: Arc<Ladders>,
    pub reloads: Arc<Reloads>,
    pub effectiveness: Arc<Effectiveness>,
    /// `None`: the process logs by other means, or not at all.
    pub logging: Option<Arc<Logging>>,
}

impl Observation {
    /// Logs to standard error from now on, and opens the file of call detail records.
    pub fn start(config: &Config) -> Result<Observation, ObservationError> {
        let logging = Arc::new(Logging::install(&config.sbc.log)?);
        let mut observation = Observation::without_logging(config)?;
        observation.logging = Some(logging);
        Ok(observation)
    }

    /// Everything but the process's log, which only one can have.
    pub fn without_logging(config: &Config) -> Result<Observation, ObservationError> {
        let metrics = Metrics::new()?;
        metrics.expect(config);
        Ok(Observation {
            metrics: Arc::new(metrics),
            cdr: Arc::new(CdrWriter::start(config.sbc.node.as_str(), config.sbc.cdr.clone())?),
            ladders: Arc::default(),
            reloads: Arc::default(),
            effectiveness: Arc::default(),
            logging: None,
        })
    }

    /// All of it as one observer.
    pub fn observer(&self, config: &Config) -> Arc<dyn Observer> {
        let settings = Settings {
            cdr: self.cdr.clone(),
            logging: self.logging.clone(),
        };
        // Settings first: the line about a reload follows its level already.
        Arc::new(Observers::new(vec![
            Arc::new(settings),
            Arc::new(LogLines::new(config)),
            self.metrics.clone(),
            self.cdr.clone(),
            self.ladders.clone(),
            self.reloads.clone(),
            self.effectiveness.clone(),
        ]))
    }

    /// Log lines that were dropped.
    pub fn log_dropped(&self) -> u64 {
        self.logging.as_ref().map_or(0, |logging| logging.dropped())
    }

    /// Writes what is queued, records before lines, `grace` each at most. Blocks: call it when the node has stopped.
    pub fn finish(&self, grace: Duration) {
        if !self.cdr.finish(grace) {
            tracing::error!("call detail records were not written in time");
        }
        if let Some(logging) = &self.logging {
            logging.finish(grace);
        }
    }
}

/// Lets log and records follow the configuration.
struct Settings {
    cdr: Arc<CdrWriter>,
    logging: Option<Arc<Logging>>,
}

impl Observer for Settings {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::Reloaded {
            outcome: Reload::Applied { config, .. },
        } = happening
        {
            self.cdr.apply(config.sbc.cdr.as_ref());
            if let Some(logging) = &self.logging {
                logging.apply(&config.sbc.log);
            }
        }
    }
}
