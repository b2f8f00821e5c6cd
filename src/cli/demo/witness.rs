//! Hears what portcullis tells of itself, and keeps what the demonstration shows.

use crate::call::CallRecord;
use crate::moment::Moment;
use crate::observe::{Happening, Observer, Way};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More arrows than two calls make.
const KEPT: usize = 2000;

/// One arrow.
#[derive(Debug, Clone)]
pub(super) struct Arrow {
    pub(super) call: String,
    pub(super) at: Moment,
    pub(super) leg: u16,
    pub(super) way: Way,
    pub(super) what: String,
    pub(super) method: String,
    pub(super) has_sdp: bool,
}

/// A call that was refused.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refused {
    pub(super) dialled: String,
    pub(super) why: String,
}

/// Everything that was told.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    arrows: Vec<Arrow>,
    records: Vec<CallRecord>,
    refused: Vec<Refused>,
    /// Of transports: failed handshakes and connections.
    troubles: Vec<String>,
}

impl Witness {
    pub(super) fn arrows(&self) -> Vec<Arrow> {
        self.told().arrows.clone()
    }

    pub(super) fn records(&self) -> Vec<CallRecord> {
        self.told().records.clone()
    }

    pub(super) fn refused(&self) -> Vec<Refused> {
        self.told().refused.clone()
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        self.told().troubles.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Witness {
    fn happened(&self, happening: &Happening<'_>) {
        let mut told = self.told();
        match happening {
            Happening::Message(line) if told.arrows.len() < KEPT => told.arrows.push(Arrow {
                call: line.call.to_string(),
                at: line.at,
                leg: line.leg,
                way: line.way,
                what: line.what.to_owned(),
                method: line.method.to_owned(),
                has_sdp: line.has_sdp,
            }),
            Happening::CallOver { record } => told.records.push((*record).clone()),
            Happening::CallRefused { dialled, refusal, .. } => told.refused.push(Refused {
                dialled: (*dialled).to_owned(),
                why: format!("{} {}: {}", refusal.status, refusal.phrase, refusal.sentence),
            }),
            Happening::Net(event) => {
                use crate::net::NetEvent::{ConnectFailed, HandshakeRefused, Unparsable};
                match event {
                    ConnectFailed { hop, failure } => told.troubles.push(format!("to {}: {failure}", hop.remote)),
                    HandshakeRefused { remote, failure, .. } => told.troubles.push(format!("from {remote}: {failure}")),
                    Unparsable { flow, error } => told.troubles.push(format!("from {}: {error}", flow.remote)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn wants_messages(&self) -> bool {
        true
    }
}
