//! What the demonstration proved.

use super::calls::{Conversation, End, Tried};
use super::ladder::Ladder;
use super::stage::Stage;
use super::witness::Refused;
use crate::call::CallRecord;
use crate::sim::Violation;
use serde::Serialize;

/// Calls that have to be heard.
const CALLS: usize = 2;

/// The result, as printed and as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) passed: bool,
    /// Every reason against it.
    pub(super) faults: Vec<String>,
    pub(super) calls: Vec<Conversation>,
    pub(super) ladders: Vec<Ladder>,
    pub(super) violations_at_teams: Vec<Violation>,
    pub(super) violations_at_carrier: Vec<Violation>,
    pub(super) refused: Vec<Refused>,
    pub(super) records: Vec<CallRecord>,
}

/// Puts together what everybody saw.
pub(super) fn judge(stage: &Stage, tried: Tried) -> Report {
    let records = stage.witness.records();
    let arrows = stage.witness.arrows();
    let mut at_carrier = stage.carrier.violations();
    let internal: Vec<String> = tried.calls.iter().flat_map(teams_names).collect();
    at_carrier.extend(stage.carrier.leaks_of(&internal));
    let mut report = Report {
        passed: false,
        faults: tried.failure.into_iter().collect(),
        ladders: records.iter().map(|record| Ladder::of(record, &arrows)).collect(),
        calls: tried.calls,
        violations_at_teams: stage.teams.violations(),
        violations_at_carrier: at_carrier,
        refused: stage.witness.refused(),
        records,
    };
    report.faults.extend(faults(&report.calls));
    for violation in report.violations_at_teams.iter().chain(&report.violations_at_carrier) {
        report.faults.push(format!("a rule was broken: {violation}"));
    }
    for refused in &report.refused {
        report
            .faults
            .push(format!("{} was refused: {}", refused.dialled, refused.why));
    }
    report.passed = report.faults.is_empty();
    report
}

/// What is wrong with the calls.
fn faults(calls: &[Conversation]) -> Vec<String> {
    let mut faults = Vec::new();
    if calls.len() < CALLS {
        faults.push(format!("{} of {CALLS} calls were made", calls.len()));
    }
    for call in calls {
        faults.extend(call.failure.iter().map(|failure| format!("{}: {failure}", call.name)));
        for end in [&call.caller, &call.called] {
            match &end.heard {
                None => faults.push(format!("{}: {} heard nothing", call.name, end.side)),
                Some(heard) if !heard.is_tone(end.expected) => faults.push(format!(
                    "{}: {} heard {:?} Hz, not {}",
                    call.name, end.side, heard.frequency, end.expected
                )),
                Some(heard) if end.side == "Teams" && !heard.srtp => {
                    faults.push(format!("{}: the Teams leg was not SRTP", call.name));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

fn teams_names(call: &Conversation) -> Vec<String> {
    let ends = [&call.caller, &call.called];
    ends.into_iter()
        .filter(|end: &&End| end.side == "Teams")
        .flat_map(|end| end.names.clone())
        .collect()
}
