//! The last answer to a caller who was not answered: the cause's own, and where the caller is Teams, what its map makes of it.

use super::cause::Cause;
use crate::dial::LegKind;
use crate::sip::header::Reason;
use crate::teams::codes;
use std::time::Duration;

/// A caller is never sent away for longer by what the other side has said.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// What a caller is told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FinalWord {
    pub status: u16,
    pub phrase: String,
    /// Values of Reason.
    pub reasons: Vec<String>,
    /// Of Retry-After.
    pub retry_after: Option<Duration>,
}

impl FinalWord {
    /// What a caller of this kind is told of `cause`. Another SBC may help Teams where a carrier fails, unless it `rang` there,
    /// or where this node does (TEAMS-046); another route may help a carrier or a device, unless it rang here. What an
    /// application, a limit or a route wants said is said.
    pub fn to(caller: &LegKind, cause: &Cause, rang: bool) -> FinalWord {
        let mut reasons = cause.reasons_for_caller();
        reasons.retain(|reason| Reason::is_list(reason));
        let failed = match cause {
            Cause::Refused { .. } | Cause::Unreachable { .. } => Some((cause.came(), rang)),
            Cause::Fault { .. } => Some((cause.came(), false)),
            _ => None,
        };
        let is_teams = matches!(caller, LegKind::Teams { .. });
        let told = failed.and_then(|(status, rang)| match is_teams {
            true => codes::to_teams(status, &reasons, rang),
            false => codes::to_others(cause.status(), &reasons, rang),
        });
        let mut word = match told {
            Some(told) => FinalWord {
                status: told.status,
                phrase: told.phrase.to_owned(),
                reasons: told.reasons,
                retry_after: None,
            },
            None => FinalWord {
                status: cause.status(),
                phrase: cause.phrase().to_owned(),
                reasons,
                retry_after: None,
            },
        };
        word.retry_after = word.wait(cause);
        word
    }

    /// Our own, or the far side's as far as it is a word about whom was called. On a 5xx of ours it would say of this node,
    /// to all tenants, that it is to be left alone (RFC 3261 §16.7 step 6, §21.5.4).
    fn wait(&self, cause: &Cause) -> Option<Duration> {
        let about_callee = |status| matches!(status, 404 | 413 | 480 | 486 | 600 | 603);
        match cause {
            Cause::Refused { retry_after, .. } if about_callee(cause.came()) && about_callee(self.status) => {
                retry_after.map(|span| span.min(LONGEST_WAIT))
            }
            // Ports come back with the calls that end.
            Cause::NoMediaPort { .. } => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(caller: &LegKind, status: u16, reason: Option<&str>, seconds: u64) -> (u16, Option<u64>) {
        let cause = Cause::Refused {
            status,
            phrase: String::new(),
            received: None,
            reasons: reason.map(str::to_owned).into_iter().collect(),
            retry_after: Some(Duration::from_secs(seconds)),
            remark: None,
        };
        let word = FinalWord::to(caller, &cause, false);
        (word.status, word.retry_after.map(|span| span.as_secs()))
    }

    #[test]
    fn teams_046_one_carriers_overload_sends_nobody_away_from_the_node() {
        let teams = LegKind::Teams {
            tenant_fqdn: "sbc.contoso.com".into(),
        };
        let carrier = LegKind::Carrier {
            carrier: "example".into(),
        };
        for caller in [&teams, &carrier] {
            for status in [404, 480, 486, 603] {
                assert_eq!(waits(caller, status, None, 90), (status, Some(90)));
                assert_eq!(
                    waits(caller, status, None, 86_400),
                    (status, Some(3_600)),
                    "an hour at most"
                );
            }
            for status in [500, 502, 503, 504] {
                assert_eq!(waits(caller, status, None, 60).1, None, "{status}");
            }
        }
        assert_eq!(waits(&teams, 600, None, 60), (486, Some(60)));
        // What a server says of itself is no word about the user, whatever the code that stands for it.
        assert_eq!(waits(&teams, 503, Some("Q.850;cause=17"), 60), (486, None));
        assert_eq!(waits(&teams, 480, Some("Q.850;cause=41"), 60), (503, None));
        assert_eq!(waits(&carrier, 503, Some("Q.850;cause=17"), 60), (503, None));
    }
}
