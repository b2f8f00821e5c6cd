//! Why a call ended or was refused. One value gives the SIP answer, the CDR cause and the metric label, so that all agree.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose doing it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Caller,
    Callee,
    /// This node: policy, limits, drain, an administrator, or a side of which nothing was heard any more.
    Node,
}

impl Party {
    fn in_words(self) -> &'static str {
        match self {
            Party::Caller => "caller",
            Party::Callee => "called side",
            Party::Node => "node",
        }
    }
}

/// What became of our own refreshes of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Refreshed {
    /// There was none: the other side had to, or the leg was busy.
    #[default]
    Never,
    /// The last one was refused.
    Refused { status: u16 },
    /// The last one had no answer yet.
    Unanswered,
    /// The last one could not be sent.
    NotSent,
}

/// The end of a call, or the reason it never began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// Somebody hung up an answered call, or whoever had it placed gave it up.
    HungUp {
        by: Party,
        /// Where this node did: for whom, and why.
        #[serde(default)]
        detail: Option<String>,
    },
    /// The caller gave up before an answer.
    CallerGaveUp,
    /// Every destination failed; this is the best of their answers.
    Refused {
        status: u16,
        phrase: String,
        /// What was answered, where another code stands for it.
        received: Option<(u16, String)>,
        reasons: Vec<String>,
        retry_after: Option<Duration>,
        /// What the answer leaves unsaid.
        #[serde(default)]
        remark: Option<String>,
    },
    /// Nobody answered in time.
    NoAnswer,
    /// No destination could be reached at all.
    Unreachable { detail: String },
    /// The two sides have no media in common, or one asked for what is not served.
    MediaRefused { detail: String },
    /// No media port was free.
    NoMediaPort { detail: String },
    /// The 2xx was never acknowledged.
    AckLost { by: Party },
    /// A session timer ran out, or a refresh went unanswered (RFC 4028 §10).
    SessionExpired {
        side: Party,
        #[serde(default)]
        refresh: Refreshed,
    },
    /// Nothing was heard of one side for too long.
    MediaLost { side: Party, seconds: u64 },
    /// The dialog is gone on one side: 481 or 408 inside the dialog (RFC 3261 §12.2.1.2).
    DialogLost {
        side: Party,
        /// It has said nothing at all.
        #[serde(default)]
        silent: bool,
    },
    /// An administrator or the end of a drain.
    Cleared { detail: String },
    /// The application has no verbs for the call.
    ApplicationFailed { detail: String },
    /// The application said no, or ended without an answer.
    ApplicationDeclined {
        status: u16,
        phrase: String,
        headers: Vec<(String, String)>,
        detail: String,
    },
    /// The request could not be served as it stood.
    BadRequest { status: u16, detail: String },
    /// The caller's session interval is below what is accepted; seconds (RFC 4028 §6).
    IntervalTooSmall { min_se: u32 },
    /// A fault of ours: the call was ended, the process goes on.
    Fault { detail: String },
}

impl Cause {
    /// The peer of a side hung up.
    pub const fn hung_up(by: Party) -> Cause {
        Cause::HungUp { by, detail: None }
    }

    /// This node hung up, for somebody that the sentence names.
    pub fn hung_up_here(detail: impl Into<String>) -> Cause {
        Cause::HungUp {
            by: Party::Node,
            detail: Some(detail.into()),
        }
    }

    /// An application has left its caller without an answer for longer than `setup`.
    pub fn unanswered() -> Cause {
        Cause::ApplicationDeclined {
            status: 480,
            phrase: "Temporarily Unavailable".into(),
            headers: vec![("X-Reason".into(), "not answered in time".into())],
            detail: "the application has not answered within `setup` of [timers]".into(),
        }
    }

    /// The final answer for a caller who was not answered yet.
    pub fn status(&self) -> u16 {
        match self {
            Cause::HungUp { .. } | Cause::CallerGaveUp => 487,
            Cause::Refused { status, .. } | Cause::BadRequest { status, .. } => *status,
            Cause::NoAnswer | Cause::ApplicationFailed { .. } => 480,
            Cause::ApplicationDeclined { status, .. } => *status,
            Cause::Unreachable { .. } | Cause::NoMediaPort { .. } | Cause::Cleared { .. } => 503,
            Cause::MediaRefused { .. } => 488,
            Cause::AckLost { .. }
            | Cause::SessionExpired { .. }
            | Cause::DialogLost { .. }
            | Cause::MediaLost { .. } => 408,
            Cause::IntervalTooSmall { .. } => 422,
            Cause::Fault { .. } => 500,
        }
    }

    /// The far side's own final answer where it gave one, else [`Cause::status`].
    pub fn came(&self) -> u16 {
        match self {
            Cause::Refused {
                received: Some((status, _)),
                ..
            } => *status,
            _ => self.status(),
        }
    }

    /// The `Reason` header of a BYE or CANCEL that this cause makes us send (RFC 3326, Q.850 causes).
    pub fn reason(&self) -> Option<String> {
        let (cause, text) = match self {
            Cause::HungUp { .. } | Cause::CallerGaveUp => (16, "Normal call clearing"),
            Cause::NoAnswer => (19, "No answer"),
            Cause::AckLost { .. } => (102, "ACK lost"),
            Cause::SessionExpired { .. } => (102, "Session timer expired"),
            Cause::DialogLost { .. } => (102, "Dialog lost"),
            Cause::MediaLost { .. } => (102, "No media"),
            Cause::MediaRefused { .. } => (88, "Incompatible media"),
            Cause::Cleared { .. } => (31, "Cleared by the SBC"),
            Cause::NoMediaPort { .. } => (47, "No media port free"),
            Cause::Unreachable { .. } => (27, "Destination out of order"),
            Cause::Fault { .. } => (41, "Temporary failure"),
            Cause::ApplicationFailed { .. } => (31, "Normal, unspecified"),
            Cause::Refused { .. }
            | Cause::BadRequest { .. }
            | Cause::IntervalTooSmall { .. }
            | Cause::ApplicationDeclined { .. } => return None,
        };
        Some(format!("Q.850;cause={cause};text=\"{text}\""))
    }

    /// The reason phrase that goes with [`Cause::status`].
    pub fn phrase(&self) -> &str {
        match self {
            Cause::Refused { phrase, .. } => phrase,
            Cause::ApplicationDeclined { phrase, .. } if !phrase.is_empty() => phrase,
            other => crate::sip::message::reason_phrase(other.status()),
        }
    }

    /// Reason headers of the final answer: the far side's own, else ours (TEAMS-058).
    pub fn reasons_for_caller(&self) -> Vec<String> {
        match self {
            Cause::Refused { reasons, .. } => reasons.clone(),
            other => other.reason().into_iter().collect(),
        }
    }

    /// The Warning header of a refusal for its media, or of a request that can't be served as it stands (RFC 3261 §20.43).
    pub fn warning(&self) -> Option<String> {
        match self {
            Cause::MediaRefused { detail } | Cause::BadRequest { detail, .. } => {
                let text: String = detail
                    .chars()
                    .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
                    .collect();
                Some(format!("399 portcullis \"{text}\""))
            }
            _ => None,
        }
    }

    /// Headers that only this cause has: what an application gave, or that it has failed. Why it has is not the caller's
    /// business: there are URLs in it.
    pub fn headers(&self) -> Vec<(String, String)> {
        match self {
            Cause::ApplicationFailed { .. } => vec![("X-Reason".into(), "the application failed".into())],
            Cause::ApplicationDeclined { headers, .. } => headers.clone(),
            _ => Vec::new(),
        }
    }

    /// A word for metrics and the CDR.
    pub fn label(&self) -> &'static str {
        match self {
            Cause::HungUp { .. } => "hung_up",
            Cause::CallerGaveUp => "caller_gave_up",
            Cause::Refused { .. } => "refused",
            Cause::NoAnswer => "no_answer",
            Cause::Unreachable { .. } => "unreachable",
            Cause::MediaRefused { .. } => "media_refused",
            Cause::NoMediaPort { .. } => "no_media_port",
            Cause::AckLost { .. } => "ack_lost",
            Cause::SessionExpired { .. } => "session_expired",
            Cause::DialogLost { .. } => "dialog_lost",
            Cause::MediaLost { .. } => "media_lost",
            Cause::Cleared { .. } => "cleared",
            Cause::ApplicationFailed { .. } => "application_failed",
            Cause::ApplicationDeclined { .. } => "application_declined",
            Cause::BadRequest { .. } => "bad_request",
            Cause::IntervalTooSmall { .. } => "interval_too_small",
            Cause::Fault { .. } => "fault",
        }
    }

    /// Who ended it.
    pub fn ended_by(&self) -> Party {
        match self {
            Cause::HungUp { by: side, .. } | Cause::DialogLost { side, .. } => *side,
            Cause::CallerGaveUp | Cause::BadRequest { .. } | Cause::IntervalTooSmall { .. } => Party::Caller,
            Cause::Refused { .. } => Party::Callee,
            // Whoever fell silent, or rings on, it is this node that hangs up on both.
            Cause::NoAnswer | Cause::AckLost { .. } | Cause::SessionExpired { .. } | Cause::MediaLost { .. } => {
                Party::Node
            }
            // Nobody was there to end it.
            Cause::Unreachable { .. }
            | Cause::MediaRefused { .. }
            | Cause::NoMediaPort { .. }
            | Cause::Cleared { .. }
            | Cause::ApplicationFailed { .. }
            | Cause::ApplicationDeclined { .. }
            | Cause::Fault { .. } => Party::Node,
        }
    }

    /// [`Cause::explain`], with what the caller was told in the end, where that is not what the far side said.
    pub fn explain_told(&self, told: u16) -> String {
        match matches!(self, Cause::Refused { .. }) && self.came() != told {
            true => format!("{}; the caller was told {told}", self.explain()),
            false => self.explain(),
        }
    }

    /// A sentence for a human.
    pub fn explain(&self) -> String {
        match self {
            Cause::HungUp {
                detail: Some(detail), ..
            } => detail.clone(),
            Cause::HungUp { by: Party::Node, .. } => "ended by this node".into(),
            Cause::HungUp { by, .. } => format!("the {} hung up", by.in_words()),
            Cause::CallerGaveUp => "the caller gave up before an answer".into(),
            Cause::Refused {
                received: Some((status, phrase)),
                remark,
                ..
            }
            | Cause::Refused {
                status, phrase, remark, ..
            } => {
                let remark = remark.as_ref().map(|remark| format!(": {remark}"));
                format!(
                    "the called side answered {status} {phrase}{}",
                    remark.unwrap_or_default()
                )
            }
            Cause::NoAnswer => "nobody answered in time".into(),
            Cause::Unreachable { detail } => format!("no destination could be reached: {detail}"),
            Cause::MediaRefused { detail } => format!("no media in common: {detail}"),
            Cause::NoMediaPort { detail } => format!("no media port was free: {detail}"),
            Cause::AckLost { by } => format!(
                "the ACK of our 200 never arrived from the {}: check its Contact and NAT",
                by.in_words()
            ),
            Cause::SessionExpired { side, refresh } => {
                let side = side.in_words();
                match refresh {
                    Refreshed::Never => format!("the session timer of the {side} expired without a refresh"),
                    Refreshed::Refused { status } => {
                        format!("the session timer of the {side} expired: our refresh got {status}")
                    }
                    Refreshed::NotSent => {
                        format!("the session timer of the {side} expired: our refresh could not be sent")
                    }
                    Refreshed::Unanswered => {
                        format!("the session timer of the {side} expired: our refresh got no answer")
                    }
                }
            }
            Cause::DialogLost { side, silent: false } => format!("the {} no longer knows the dialog", side.in_words()),
            Cause::DialogLost { side, silent: true } => {
                format!("the {} gave no answer to our re-INVITE", side.in_words())
            }
            Cause::MediaLost { side, seconds } => format!(
                "no media from the {} for {seconds} s: check its firewall and the address in its SDP",
                side.in_words()
            ),
            Cause::Cleared { detail } | Cause::Fault { detail } => detail.clone(),
            Cause::ApplicationFailed { detail } => format!("the application failed: {detail}"),
            Cause::BadRequest { detail, .. } | Cause::ApplicationDeclined { detail, .. } => detail.clone(),
            Cause::IntervalTooSmall { min_se } => format!("the session interval is below {min_se} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_far_sides_code_and_an_unreachable_callee_lets_others_try() {
        let busy = Cause::Refused {
            status: 486,
            phrase: "Busy Here".into(),
            received: None,
            reasons: vec![],
            retry_after: None,
            remark: None,
        };
        assert_eq!(
            (busy.status(), busy.label(), busy.ended_by()),
            (486, "refused", Party::Callee)
        );
        // 503 is in Teams' default FailoverResponseCodes (TEAMS-046, TEAMS-047).
        let unreachable = Cause::Unreachable {
            detail: "refused".into(),
        };
        assert_eq!((unreachable.status(), unreachable.ended_by()), (503, Party::Node));
        assert_eq!(Cause::NoAnswer.ended_by(), Party::Node, "its limit is ours");
    }
}
