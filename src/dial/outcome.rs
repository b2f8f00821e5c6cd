//! Which failure a caller is told when nobody answered.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How one attempt ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// The SIP status that a caller is told: the far side's, or the one that stands for it or for what happened (408 no
    /// answer, 503 unreachable).
    pub status: u16,
    pub phrase: String,
    /// What the far side itself answered, where that is not the caller's business.
    pub received: Option<(u16, String)>,
    /// `Reason` header values as received (RFC 3326), in order.
    pub reasons: Vec<String>,
    pub retry_after: Option<Duration>,
    /// What went wrong on our side of the hop: no address, no connection, no media in common. `None`: the far side
    /// answered.
    pub local: Option<String>,
    /// What its answer leaves unsaid, for the log and the record alone: what became of its challenge.
    #[serde(default)]
    pub remark: Option<String>,
    /// It rang there, at one of its hops at least.
    #[serde(default)]
    pub rang: bool,
}

impl AttemptFailure {
    /// A failure without an answer from the far side; `status` is the code that stands for it.
    pub fn local(status: u16, phrase: &str, detail: String) -> AttemptFailure {
        AttemptFailure {
            status,
            phrase: phrase.into(),
            received: None,
            reasons: Vec::new(),
            retry_after: None,
            local: Some(detail),
            remark: None,
            rang: false,
        }
    }

    /// What the far side itself answered where it did, else what stands for what happened.
    pub fn came(&self) -> u16 {
        self.received.as_ref().map_or(self.status, |(status, _)| *status)
    }

    /// True when the far side never answered.
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Whether it says more than one that came later: as [`best_failure`], and any answer more than none.
    pub fn outranks(&self, later: &AttemptFailure) -> bool {
        self.weight() > later.weight()
    }

    fn weight(&self) -> (u8, bool) {
        (rank(self.status), !self.is_local())
    }

    /// In words: what the far side itself answered, where it did.
    pub fn explain(&self) -> String {
        if let Some(local) = &self.local {
            return local.clone();
        }
        let (status, phrase) = match &self.received {
            Some((status, phrase)) => (*status, phrase),
            None => (self.status, &self.phrase),
        };
        match &self.remark {
            Some(remark) => format!("{status} {phrase}: {remark}"),
            None => format!("{status} {phrase}"),
        }
    }
}

/// The failure to relay: 6xx beats all (RFC 3261 §16.7 step 6), then a user's answer (busy, declined, unknown number),
/// then everything else; within a class an answer beats none, and the latest wins.
pub fn best_failure(failures: &[AttemptFailure]) -> Option<&AttemptFailure> {
    failures.iter().max_by_key(|failure| failure.weight())
}

fn rank(status: u16) -> u8 {
    match status {
        600..=699 => 4,
        486 => 3,
        404 | 410 | 480 | 484 => 2,
        408 | 487 | 500..=599 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16) -> AttemptFailure {
        AttemptFailure {
            status,
            phrase: String::new(),
            received: None,
            reasons: Vec::new(),
            retry_after: None,
            local: None,
            remark: None,
            rang: false,
        }
    }

    #[test]
    fn busy_beats_unreachable_and_decline_beats_busy() {
        let failures = [failure(486), failure(503)];
        assert_eq!(best_failure(&failures).map(|f| f.status), Some(486));
        let failures = [failure(603), failure(486), failure(408)];
        assert_eq!(best_failure(&failures).map(|f| f.status), Some(603));
    }

    #[test]
    fn an_answer_says_more_than_a_connection_that_failed() {
        let refused = AttemptFailure::local(503, "Service Unavailable", "connection refused".into());
        assert!(failure(503).outranks(&refused) && !refused.outranks(&failure(500)));
        let failures = [failure(503), refused];
        assert_eq!(best_failure(&failures).map(AttemptFailure::is_local), Some(false));
    }

    #[test]
    fn the_latest_wins_within_a_class() {
        let failures = [failure(503), failure(504)];
        assert_eq!(best_failure(&failures).map(|f| f.status), Some(504));
        assert_eq!(best_failure(&[]), None);
    }
}
