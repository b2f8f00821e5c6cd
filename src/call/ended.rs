//! Calls of applications after their end: each tenant has its own row, and where all are full the longest gives way.

use super::directory::LiveCall;
use crate::app::sid::CallSid;
use std::collections::{HashMap, VecDeque};

/// Calls that are remembered after their end.
const MOST: usize = 1_000;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct EndedCalls {
    /// By tenant, the latest last.
    rows: HashMap<String, VecDeque<LiveCall>>,
    count: usize,
    /// By each of their legs.
    by_sid: HashMap<CallSid, LiveCall>,
}

impl EndedCalls {
    /// Keeps a call that is over.
    pub fn add(&mut self, call: LiveCall) {
        if self.count >= MOST {
            self.make_room();
        }
        self.by_sid
            .extend(call.sids().into_iter().map(|sid| (sid, call.clone())));
        self.rows.entry(call.facts.tenant.clone()).or_default().push_back(call);
        self.count += 1;
    }

    fn make_room(&mut self) {
        let longest = self.rows.values_mut().max_by_key(|row| row.len());
        if let Some(oldest) = longest.and_then(VecDeque::pop_front) {
            self.lost(&oldest);
        }
    }

    fn lost(&mut self, call: &LiveCall) {
        self.count -= 1;
        for sid in call.sids() {
            self.by_sid.remove(&sid);
        }
    }

    /// The latest first.
    pub fn of_tenant(&self, tenant: &str) -> Vec<LiveCall> {
        let row = self.rows.get(tenant);
        row.map_or_else(Vec::new, |row| row.iter().rev().cloned().collect())
    }

    /// The call that had this leg.
    pub fn find(&self, sid: CallSid) -> Option<LiveCall> {
        self.by_sid.get(&sid).cloned()
    }

    /// Forgets this leg, and with the last of them its call.
    pub fn forget(&mut self, sid: CallSid) {
        let Some(call) = self.by_sid.remove(&sid) else { return };
        call.forget(sid);
        if !call.sids().is_empty() {
            return;
        }
        let Some(row) = self.rows.get_mut(&call.facts.tenant) else {
            return;
        };
        row.retain(|known| known.id != call.id);
        if row.is_empty() {
            self.rows.remove(&call.facts.tenant);
        }
        self.lost(&call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::payload::{Properties, Status};
    use crate::call::{CallFacts, CallId, CallStatus, Direction, Directory, LineStatus};
    use crate::moment::Moment;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    fn line(number: u128) -> LineStatus {
        LineStatus {
            call_sid: CallSid::from_random(number),
            status: Status::Completed,
            properties: Properties::new(),
        }
    }

    fn call(id: u64, tenant: &str) -> LiveCall {
        let facts = CallFacts {
            direction: Direction::Placed,
            tenant: tenant.into(),
            carrier: None,
            from: String::new(),
            to: String::new(),
            emergency: false,
            elin: None,
            began_unix_ms: 0,
            trace: Vec::new(),
        };
        LiveCall::new(
            CallId::from_random(id),
            Moment::from_micros(0),
            facts,
            mpsc::channel(1).0,
        )
    }

    fn status(lines: &[u128], past: &[u128]) -> CallStatus {
        CallStatus {
            lines: lines.iter().map(|number| line(*number)).collect(),
            past: past.iter().map(|number| Arc::new(line(*number))).collect(),
            ..call(0, "").status.lock().unwrap().clone()
        }
    }

    fn found(directory: &Directory, sid: u128) -> Option<CallId> {
        directory.find_sid(CallSid::from_random(sid)).map(|call| call.id)
    }

    fn ended(directory: &Directory, sid: u128) -> Option<CallId> {
        directory.ended_call(CallSid::from_random(sid)).map(|call| call.id)
    }

    #[test]
    fn legs_are_found_by_their_names_while_their_call_lives_and_after_it() {
        let directory = Directory::default();
        let (first, second) = (call(1, "a"), call(2, "a"));
        for call in [&first, &second] {
            directory.add(call.clone());
        }
        directory.publish(&first, status(&[10, 11], &[]));
        assert_eq!((found(&directory, 11), found(&directory, 12)), (Some(first.id), None));
        directory.publish(&first, status(&[10, 12], &[11]));
        assert_eq!(
            found(&directory, 11),
            Some(first.id),
            "it is over, and still the call's"
        );
        // A callee becomes a call of its own: it was told of before the old call lets go.
        directory.publish(&second, status(&[12], &[]));
        directory.publish(&first, status(&[10], &[11]));
        assert_eq!(found(&directory, 12), Some(second.id));
        directory.remove(first.id);
        assert_eq!((found(&directory, 10), found(&directory, 11)), (None, None));
        assert_eq!(
            (ended(&directory, 10), ended(&directory, 11)),
            (Some(first.id), Some(first.id))
        );
        assert_eq!((found(&directory, 12), ended(&directory, 12)), (Some(second.id), None));
        directory.forget(CallSid::from_random(11));
        let left = directory.ended_call(CallSid::from_random(10)).expect("the other leg");
        assert_eq!(ended(&directory, 11), None);
        assert!(!left.sids().contains(&CallSid::from_random(11)), "nor is it listed");
        directory.forget(CallSid::from_random(10));
        assert_eq!((ended(&directory, 10), directory.ended("a").len()), (None, 0));
    }

    #[test]
    fn a_busy_tenant_does_not_push_out_the_calls_of_others() {
        let directory = Directory::default();
        let end = |number: u32, tenant: &str| {
            let call = call(u64::from(number) + 1, tenant);
            directory.add(call.clone());
            directory.publish(&call, status(&[u128::from(number)], &[]));
            directory.remove(call.id);
        };
        for number in 0..10 {
            end(number, "quiet");
        }
        for number in 10..2_000 {
            end(number, "busy");
        }
        assert_eq!(
            (directory.ended("quiet").len(), directory.ended("busy").len()),
            (10, 990)
        );
        assert!(ended(&directory, 3).is_some() && ended(&directory, 1_999).is_some());
        assert_eq!(ended(&directory, 10), None, "the oldest of the longest row");
        let latest = &directory.ended("busy")[0];
        assert_eq!(latest.sids(), [CallSid::from_random(1_999)]);
    }
}
