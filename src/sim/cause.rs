//! Teams' final refusals as it words them: status, Q.850 cause, and a phrase behind the GUID (TV-15).

use crate::sip::{HeaderName, ResponseDraft};
use serde::Serialize;
use std::borrow::Cow;
use std::str::FromStr;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub status: u16,
    /// Of Q.850.
    pub cause: u16,
    /// What stands behind the GUID.
    pub phrase: Cow<'static, str>,
}

/// A text that is no refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a status that Teams refuses with, such as 486, or status/cause and a phrase, such as `486/34 Callee is busy`")]
pub struct NoCause;

const fn cause(status: u16, cause: u16, phrase: &'static str) -> Cause {
    Cause {
        status,
        cause,
        phrase: Cow::Borrowed(phrase),
    }
}

/// What Teams was seen to answer. The Q.850 values of others than 403, 480 and 486 are guesses.
pub const CAUSES: &[Cause] = &[
    cause(403, 63, "No trunk config was found"),
    cause(404, 1, "Getting user info by number failed"),
    cause(420, 111, "Bad Extension"),
    cause(422, 102, "Session Interval Too Small"),
    cause(480, 31, "No callee endpoints were found."),
    cause(486, 34, "Callee is busy"),
    cause(488, 88, "InternalDiagCode: SrtpEncryptionRequired"),
    cause(500, 41, "Duplicate CreateCallAsync request"),
    cause(503, 42, "Service state: DrainingTransactions"),
    cause(603, 21, "Callee declined"),
];

impl Cause {
    /// The response, with what else stands in one of its status.
    pub(super) fn response(&self, guid: &str) -> ResponseDraft {
        let Cause { status, cause, phrase } = self;
        let phrase: String = phrase.chars().filter(|letter| !matches!(letter, '"' | '\\')).collect();
        let reason = format!("Q.850;cause={cause};text=\"{guid};{phrase}\"");
        let draft = ResponseDraft::new(*status).header(HeaderName::Reason, reason);
        match status {
            420 => draft.header(HeaderName::Unsupported, "100rel"),
            422 => draft.header(HeaderName::MinSe, "300"),
            503 => draft.header(HeaderName::RetryAfter, "1"),
            _ => draft,
        }
    }
}

impl FromStr for Cause {
    type Err = NoCause;

    fn from_str(text: &str) -> Result<Cause, NoCause> {
        let Some((status, rest)) = text.split_once('/') else {
            let status: u16 = text.trim().parse().map_err(|_| NoCause)?;
            return CAUSES
                .iter()
                .find(|known| known.status == status)
                .cloned()
                .ok_or(NoCause);
        };
        let (cause, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = status.trim().parse().map_err(|_| NoCause)?;
        let cause = cause.trim().parse().map_err(|_| NoCause)?;
        match ((300..700).contains(&status), cause) {
            (true, 1..=127) => Ok(Cause {
                status,
                cause,
                phrase: Cow::Owned(phrase.trim().trim_matches('"').to_owned()),
            }),
            _ => Err(NoCause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::Reason;

    #[test]
    fn teams_066_each_refusal_reads_back() {
        for known in CAUSES {
            let draft = known.response("38b99b53-e25d-49da-a9c8-0a9986786898");
            let reason: Reason = draft.value(HeaderName::Reason).unwrap().parse().unwrap();
            assert_eq!((draft.status(), reason.cause), (known.status, Some(known.cause)));
            let text = reason.text.unwrap();
            assert_eq!(text.split_once(';').unwrap().1, known.phrase);
        }
    }

    #[test]
    fn a_text_names_a_known_refusal_or_spells_one() {
        assert_eq!("486".parse(), Ok(CAUSES[5].clone()));
        let own: Cause = "480/31 \"Nobody is there\"".parse().unwrap();
        assert_eq!(
            (own.status, own.cause, own.phrase.as_ref()),
            (480, 31, "Nobody is there")
        );
        for bad in ["", "487", "200/16 x", "486/0", "486/128 x", "x/1"] {
            assert_eq!(bad.parse::<Cause>(), Err(NoCause), "{bad}");
        }
    }
}
