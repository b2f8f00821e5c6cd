//! Hears what portcullis tells of itself, and keeps what the demonstration shows.

use crate::call::CallRecord;
use crate::moment::Moment;
use crate::observe::{Happening, Observer, Way};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More of each than two calls make; what comes later, to a demonstration that stays up, is not shown any more.
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
            Happening::Message(line) => keep(&mut told.arrows, || Arrow {
                call: line.call.to_string(),
                at: line.at,
                leg: line.leg,
                way: line.way,
                what: line.what.to_owned(),
                method: line.method.to_owned(),
                has_sdp: line.has_sdp,
            }),
            Happening::CallOver { record } => keep(&mut told.records, || (*record).clone()),
            Happening::CallRefused { dialled, refusal, .. } => keep(&mut told.refused, || Refused {
                dialled: (*dialled).to_owned(),
                why: format!("{} {}: {}", refusal.status, refusal.phrase, refusal.sentence),
            }),
            Happening::Net(event) => {
                use crate::net::NetEvent::{ConnectFailed, HandshakeRefused, Unparsable};
                let troubles = &mut told.troubles;
                match event {
                    ConnectFailed { hop, failure } => keep(troubles, || format!("to {}: {failure}", hop.remote)),
                    HandshakeRefused { remote, failure, .. } => keep(troubles, || format!("from {remote}: {failure}")),
                    Unparsable { flow, error } => keep(troubles, || format!("from {}: {error}", flow.remote)),
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

fn keep<T>(list: &mut Vec<T>, item: impl FnOnce() -> T) {
    if list.len() < KEPT {
        list.push(item());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Refusal;

    #[test]
    fn a_demonstration_that_stays_up_remembers_so_much_and_no_more() {
        let witness = Witness::default();
        let refusal = Refusal::unknown_number("+1");
        for _ in 0..KEPT + 5 {
            witness.happened(&Happening::CallRefused {
                source: ([127, 0, 0, 1], 5060).into(),
                dialled: "+1",
                refusal: &refusal,
                trace: &[],
            });
        }
        assert_eq!(witness.refused().len(), KEPT);
    }
}
