//! What the handlers read.

use crate::call::Node;
use crate::net::shard::Signalling;
use crate::net::tls::IdentityStore;
use crate::observe::metrics::{NodeFigures, Scrape};
use crate::observe::{Observation, mask_number, mask_numbers_in, printable, unix_ms};
use crate::sip::ListenerId;
use std::sync::Arc;

/// A running node and what listens on it.
pub struct AdminState {
    pub node: Arc<Node>,
    pub signalling: Arc<Signalling>,
    /// Certificates of the TLS listeners, by the listener's name.
    pub certificates: Vec<(String, Arc<IdentityStore>)>,
    pub observation: Arc<Observation>,
    started_ms: u64,
}

impl AdminState {
    /// A node that started now.
    pub fn new(
        node: Arc<Node>,
        signalling: Arc<Signalling>,
        certificates: Vec<(String, Arc<IdentityStore>)>,
        observation: Arc<Observation>,
    ) -> AdminState {
        AdminState {
            node,
            signalling,
            certificates,
            observation,
            started_ms: unix_ms(),
        }
    }

    pub(super) fn metrics(&self) -> String {
        let mut scrape = Scrape::default();
        let shards = self.signalling.shards();
        let figures = NodeFigures {
            node: &self.node,
            transports: self.signalling.transports(),
            shards: &shards,
            certificates: &self.certificates,
            reloads: &self.observation.reloads,
            effectiveness: &self.observation.effectiveness,
            cdr: self.observation.cdr.counts(),
            log_dropped: self.observation.log_dropped(),
            started_ms: self.started_ms,
        };
        figures.read(&mut scrape);
        self.observation.metrics.text(scrape)
    }

    /// A number as the configuration lets it be shown.
    pub(super) fn number(&self, number: &str) -> String {
        let number = printable(number);
        if self.node.config.load().sbc.log.redact_numbers {
            mask_number(&number)
        } else {
            number.into_owned()
        }
    }

    /// A sentence as the configuration lets it be shown.
    pub(super) fn text(&self, text: &str) -> String {
        let text = printable(text);
        if self.node.config.load().sbc.log.redact_numbers {
            mask_numbers_in(&text)
        } else {
            text.into_owned()
        }
    }

    pub(super) fn listener(&self, id: ListenerId) -> String {
        let config = self.node.config.load();
        config
            .sbc
            .listener(id)
            .map(|listener| listener.name.to_string())
            .unwrap_or_default()
    }

    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }
}
