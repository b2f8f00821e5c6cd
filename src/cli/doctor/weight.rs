//! How much the cases among the calls on record weigh: what has worked since is told, and fails nothing.

use super::finding::{Severity, Verdict};
use super::world::PastCall;

/// Fewer cases than these show no pattern.
const FEW: usize = 3;
/// Of so many calls one case is a pattern.
const MANY: usize = 20;
/// What happens by accident too is a habit where one of so many calls goes so,
const MOSTLY: usize = 3;
/// and is suspect where one of so many does.
const OFTEN: usize = 10;

/// Cases of one kind.
pub struct Cases<'a> {
    pub count: usize,
    /// Calls that could have been such a case.
    pub of: usize,
    pub last: &'a PastCall,
    /// The last call of the kind in which it went well.
    pub worked: Option<&'a PastCall>,
}

impl Cases<'_> {
    fn are_over(&self) -> bool {
        self.worked.is_some_and(|worked| worked.began_ms > self.last.began_ms)
    }

    /// What people and lines do now and then as well, so that a case or two show nothing.
    pub fn of_habit(&self, evidence: &str, fix: impl Into<String>) -> Verdict {
        let is_share = |one_in: usize| self.count >= FEW && self.count * one_in >= self.of;
        if is_share(MOSTLY) {
            return self.verdict(evidence, fix);
        }
        let severity = if is_share(OFTEN) {
            Severity::Warn
        } else {
            Severity::Note
        };
        Verdict::new(severity, evidence, fix)
    }

    /// Calls fail while none has worked since; cases now and then are a warning where they are many.
    pub fn verdict(&self, evidence: &str, fix: impl Into<String>) -> Verdict {
        match self.are_over() {
            false => Verdict::new(Severity::Fail, evidence, fix),
            true => {
                let is_pattern = self.count >= FEW && self.count * MANY >= self.of;
                let severity = if is_pattern { Severity::Warn } else { Severity::Note };
                Verdict::new(severity, format!("{evidence}; since then it has worked"), fix)
            }
        }
    }
}

/// The newest of these calls.
pub fn newest<'a>(calls: impl Iterator<Item = &'a PastCall>) -> Option<&'a PastCall> {
    calls.max_by_key(|call| call.began_ms)
}
