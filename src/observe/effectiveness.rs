//! The network effectiveness ratio (NER) as Microsoft's dashboard counts it: the share of attempts that were answered, or in
//! which the called party itself was busy, did not answer, or could not be had (TEAMS-114). What is older than a day tells nothing
//! of today.

use super::{Happening, Observer};
use crate::call::{CallRecord, Cause, Direction};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts that are looked back on.
const WINDOW: usize = 1_000;
const DAY_MS: u64 = 86_400_000;
/// Below as many the ratio says nothing.
const MEANINGFUL: usize = 100;

/// The latest attempts of every tenant, each way.
#[derive(Debug, Default)]
pub struct Effectiveness {
    ways: Mutex<BTreeMap<(String, &'static str), Way>>,
}

#[derive(Debug, Default)]
struct Way {
    /// When each began (milliseconds since the Unix epoch), and whether it was effective, in the order of their ends.
    attempts: VecDeque<(u64, bool)>,
}

/// The ratio of one tenant's calls, one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    pub tenant: String,
    pub direction: &'static str,
    pub attempts: usize,
    pub percent: f64,
}

impl Effectiveness {
    /// Ratios of at least a hundred attempts of the last day, by tenant and direction. `now_ms` since the Unix epoch.
    pub fn ratios(&self, now_ms: u64) -> Vec<Ratio> {
        let mut ways = self.lock();
        for way in ways.values_mut() {
            way.attempts.retain(|(began, _)| began.saturating_add(DAY_MS) > now_ms);
        }
        ways.retain(|_, way| !way.attempts.is_empty());
        let meaningful = ways.iter().filter(|(_, way)| way.attempts.len() >= MEANINGFUL);
        let ratio = |((tenant, direction), way): (&(String, &'static str), &Way)| {
            let attempts = way.attempts.len();
            let effective = way.attempts.iter().filter(|(_, is_effective)| *is_effective).count();
            #[allow(clippy::cast_precision_loss, reason = "at most a thousand")]
            let percent = 100.0 * effective as f64 / attempts as f64;
            Ratio {
                tenant: tenant.clone(),
                direction,
                attempts,
                percent,
            }
        };
        meaningful.map(ratio).collect()
    }

    fn count(&self, record: &CallRecord) {
        let Some(is_effective) = effective(record) else { return };
        let mut ways = self.lock();
        let key = (record.facts.tenant.clone(), record.facts.direction.label());
        let way = ways.entry(key).or_default();
        way.attempts.push_back((record.facts.began_unix_ms, is_effective));
        if way.attempts.len() > WINDOW {
            way.attempts.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), Way>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Effectiveness {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::CallOver { record } = happening {
            self.count(record);
        }
    }
}

/// Whether the network did its part; `None`: no attempt between Teams and a carrier, or given up before anybody could tell.
fn effective(record: &CallRecord) -> Option<bool> {
    let is_trunk = matches!(
        record.facts.direction,
        Direction::CarrierToTeams | Direction::TeamsToCarrier
    );
    let has_rung = record.ringing_after_ms.is_some() || record.answered_after_ms.is_some();
    match record.cause {
        _ if !is_trunk => None,
        Cause::CallerGaveUp if !has_rung => None,
        _ if has_rung => Some(true),
        // Nobody has said anything, not even that it rings.
        Cause::NoAnswer => Some(false),
        _ => Some(is_word_of_the_called(record)),
    }
}

/// Whether the final code is the called party's or its number's own: busy, unknown, declined. All others are the network's,
/// its configuration's or ours.
fn is_word_of_the_called(record: &CallRecord) -> bool {
    let came = record.cause.came();
    match record.facts.direction {
        // Microsoft counts what Teams is told: the code map has read the carrier's Q.850 cause, and has made of refused
        // passwords and extensions what they are. A redirection is nobody's word.
        Direction::TeamsToCarrier => {
            let told = matches!(
                record.status,
                403 | 404 | 410 | 433 | 480 | 484 | 486 | 487 | 600 | 603 | 604 | 607 | 608
            );
            told && !matches!(came, 300..=399)
        }
        // What Teams itself said: its 403 is of a trunk, a tenant or a licence, its 410 of media that don't get through.
        _ => matches!(came, 404 | 412 | 480 | 484 | 486 | 487 | 600 | 603 | 604 | 607 | 608),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, Party};

    fn attempt(direction: Direction, status: u16, rang: bool, cause: Cause) -> CallRecord {
        CallRecord {
            call: "0000000007".into(),
            facts: CallFacts {
                direction,
                tenant: "contoso".into(),
                carrier: None,
                from: String::new(),
                to: String::new(),
                emergency: false,
                elin: None,
                began_unix_ms: 0,
                trace: Vec::new(),
            },
            ringing_after_ms: rang.then_some(100),
            answered_after_ms: (status == 200).then_some(200),
            ended_after_ms: 300,
            status,
            cause_text: String::new(),
            ended_by: Party::Caller,
            cause,
            application: None,
            legs: Vec::new(),
        }
    }

    fn refused(status: u16, rang: bool) -> CallRecord {
        mapped(Direction::TeamsToCarrier, status, status, rang)
    }

    /// The one side said `came`, and the other was told `status`.
    fn mapped(direction: Direction, came: u16, status: u16, rang: bool) -> CallRecord {
        let cause = Cause::Refused {
            status,
            phrase: String::new(),
            received: (came != status).then_some((came, String::new())),
            reasons: Vec::new(),
            retry_after: None,
            remark: None,
        };
        attempt(direction, status, rang, cause)
    }

    #[test]
    fn teams_114_what_the_called_party_did_is_no_failure_of_the_network() {
        for (status, rang, wanted) in [
            (486, false, true),
            (404, false, true),
            (603, true, true),
            (480, true, true),
            (503, false, false),
            (500, false, false),
            (408, false, false),
            (503, true, true),
        ] {
            assert_eq!(
                effective(&refused(status, rang)),
                Some(wanted),
                "{status}, rang: {rang}"
            );
        }
        let silent = attempt(Direction::TeamsToCarrier, 480, false, Cause::NoAnswer);
        assert_eq!(effective(&silent), Some(false));
        let answered = attempt(Direction::CarrierToTeams, 200, true, Cause::hung_up(Party::Callee));
        assert_eq!(effective(&answered), Some(true));
        let gave_up = |rang| attempt(Direction::CarrierToTeams, 487, rang, Cause::CallerGaveUp);
        assert_eq!(
            (effective(&gave_up(true)), effective(&gave_up(false))),
            (Some(true), None)
        );
        let elsewhere = attempt(Direction::CarrierToUser, 503, false, Cause::NoAnswer);
        assert_eq!(effective(&elsewhere), None);
    }

    #[test]
    fn teams_114_what_is_wrong_with_the_trunk_is_a_failure() {
        use Direction::{CarrierToTeams, TeamsToCarrier};
        for (direction, came, status, wanted) in [
            (CarrierToTeams, 403, 403, false),
            (CarrierToTeams, 488, 488, false),
            (CarrierToTeams, 400, 400, false),
            (CarrierToTeams, 410, 480, false),
            (CarrierToTeams, 412, 484, true),
            (CarrierToTeams, 480, 480, true),
            (TeamsToCarrier, 403, 403, true),
            (TeamsToCarrier, 407, 503, false),
            (TeamsToCarrier, 420, 503, false),
            (TeamsToCarrier, 606, 488, false),
            (TeamsToCarrier, 302, 480, false),
            // With cause 17 of Q.850.
            (TeamsToCarrier, 500, 486, true),
        ] {
            let record = mapped(direction, came, status, false);
            assert_eq!(
                effective(&record),
                Some(wanted),
                "{direction:?}: {came}, told as {status}"
            );
        }
    }

    #[test]
    fn teams_114_a_hundred_attempts_make_a_ratio_and_old_ones_are_forgotten() {
        let kept = Effectiveness::default();
        let count = |status, times: usize| {
            let record = refused(status, false);
            (0..times).for_each(|_| kept.happened(&Happening::CallOver { record: &record }));
        };
        count(503, 20);
        count(486, 79);
        assert_eq!(kept.ratios(0), []);
        count(486, 1);
        let ratio = |attempts, percent| Ratio {
            tenant: "contoso".into(),
            direction: "teams_to_carrier",
            attempts,
            percent,
        };
        assert_eq!(kept.ratios(0), [ratio(100, 80.0)]);
        count(486, 910);
        assert_eq!(kept.ratios(0), [ratio(1_000, 99.0)]);
        count(503, 500);
        assert_eq!(kept.ratios(DAY_MS - 1), [ratio(1_000, 50.0)]);
        assert_eq!(kept.ratios(DAY_MS), [], "yesterday's");
    }
}
