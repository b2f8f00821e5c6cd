//! The last answer to a caller who was not answered: the cause's own, and where the caller is Teams, what its map makes of it.

use super::cause::Cause;
use crate::dial::LegKind;
use crate::sip::header::Reason;
use crate::teams::codes;

/// What a caller is told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FinalWord {
    pub status: u16,
    pub phrase: String,
    /// Values of Reason.
    pub reasons: Vec<String>,
}

impl FinalWord {
    /// What a caller of this kind is told of `cause`. Another SBC may help Teams where a carrier fails, unless it `rang` there,
    /// or where this node does (TEAMS-046); what an application, a limit or a route wants said is said.
    pub fn to(caller: &LegKind, cause: &Cause, rang: bool) -> FinalWord {
        let mut reasons = cause.reasons_for_caller();
        reasons.retain(|reason| Reason::is_list(reason));
        let failed = match cause {
            Cause::Refused { .. } | Cause::Unreachable { .. } => Some((cause.came(), rang)),
            Cause::Fault { .. } => Some((cause.came(), false)),
            _ => None,
        };
        let is_teams = matches!(caller, LegKind::Teams { .. });
        let told = failed.filter(|_| is_teams);
        match told.and_then(|(status, rang)| codes::to_teams(status, &reasons, rang)) {
            Some(told) => FinalWord {
                status: told.status,
                phrase: told.phrase.to_owned(),
                reasons: told.reasons,
            },
            None => FinalWord {
                status: cause.status(),
                phrase: cause.phrase().to_owned(),
                reasons,
            },
        }
    }
}
