//! Why a call is not routed.

use crate::sip::message::{HeaderName, reason_phrase};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A refused call: the SIP answer, the Q.850 cause and a sentence a human understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub status: u16,
    pub phrase: String,
    /// Q.850 cause for the Reason header (TEAMS-058).
    pub q850: u8,
    pub sentence: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// A header of this answer alone: what is served instead, or which extensions are not.
    pub header: Option<(HeaderName, String)>,
}

impl Refusal {
    /// Statuses that refusals have, but for bodies that can't be read.
    pub const STATUSES: [u16; 10] = [403, 404, 415, 416, 420, 480, 481, 482, 484, 503];

    fn new(status: u16, phrase: &str, q850: u8, sentence: String) -> Refusal {
        Refusal {
            status,
            phrase: phrase.into(),
            q850,
            sentence,
            retry_after: None,
            header: None,
        }
    }

    /// The Request-URI names no number at all, or one that can't be dialled.
    pub fn address_incomplete(dialled: &str) -> Refusal {
        Refusal::new(
            484,
            "Address Incomplete",
            28,
            format!("'{dialled}' is not a telephone number"),
        )
    }

    /// Nobody registers here under the name.
    pub fn unknown_user(name: &str, realm: &str) -> Refusal {
        let sentence = format!("'{name}' is neither a user of '{realm}' nor a telephone number");
        Refusal::new(404, "Not Found", 1, sentence)
    }

    /// Nobody here has the number.
    pub fn unknown_number(number: &str) -> Refusal {
        Refusal::new(404, "Not Found", 1, format!("no tenant has the number {number}"))
    }

    /// The Request-URI host is no tenant's trunk name (TEAMS-032); a `tel:` URI has none.
    pub fn unknown_tenant(host: &str) -> Refusal {
        let sentence = match host {
            "" => "the Request-URI is a tel: URI, which names no tenant's trunk".to_owned(),
            host => format!("no tenant has the trunk name '{host}'"),
        };
        Refusal::new(404, "Not Found", 3, sentence)
    }

    /// The caller shown is not the tenant's.
    pub fn foreign_caller(caller: &str, tenant: &str) -> Refusal {
        Refusal::new(
            403,
            "Forbidden",
            21,
            format!("the caller {caller} is not a number of tenant '{tenant}'"),
        )
    }

    /// The tenant has no way to the telephone network.
    pub fn no_carrier(tenant: &str) -> Refusal {
        Refusal::new(
            503,
            "Service Unavailable",
            3,
            format!("tenant '{tenant}' has no carrier for calls out of Teams"),
        )
    }

    /// The number lives on a carrier that calls can't be sent to: it has no gateway, or the call came from there.
    pub fn carrier_not_callable(number: &str, carrier: &str, why: &str) -> Refusal {
        Refusal::new(
            404,
            "Not Found",
            1,
            format!("{number} lives on carrier '{carrier}', {why}"),
        )
    }

    /// The user has no device that can be reached.
    pub fn not_registered(address: &str) -> Refusal {
        Refusal::new(
            480,
            "Temporarily Unavailable",
            20,
            format!("{address} is registered nowhere"),
        )
    }

    /// What the user asks for is not its to do.
    pub fn not_allowed(address: &str, what: &str) -> Refusal {
        Refusal::new(403, "Forbidden", 21, format!("{address} may not {what}"))
    }

    /// An emergency number from where no emergency call is served.
    pub fn emergency_from_carrier(number: &str) -> Refusal {
        Refusal::new(
            404,
            "Not Found",
            1,
            format!("the emergency number {number} is not served for this carrier: `emergency = true` would"),
        )
    }

    /// The caller requires extensions that we do not have (RFC 3261 §8.2.2.3): `tags` joined by commas.
    pub fn bad_extension(tags: String) -> Refusal {
        Refusal {
            header: Some((HeaderName::Unsupported, tags.clone())),
            ..Refusal::new(
                420,
                "Bad Extension",
                127,
                format!("the caller requires {tags}, which is not supported"),
            )
        }
    }

    /// The Request-URI, or the body, is of a kind that is not served (RFC 3261 §8.2.2.1, §8.2.3); `header` says what is.
    pub fn unreadable(status: u16, sentence: String, header: Option<(HeaderName, String)>) -> Refusal {
        let phrase = reason_phrase(status);
        Refusal {
            header,
            ..Refusal::new(status, phrase, 79, sentence)
        }
    }

    /// The INVITE wants to take over a dialog (RFC 3891), and no peer but Teams may.
    pub fn replaces_nothing() -> Refusal {
        Refusal::new(
            481,
            "Call/Transaction Does Not Exist",
            127,
            "the dialog that the call would replace is none that its sender may replace".into(),
        )
    }

    /// The called number has forwarded the call itself, again and again (TEAMS-052).
    pub fn circle(number: &str) -> Refusal {
        Refusal::new(
            482,
            "Loop Detected",
            25,
            format!("{number} has forwarded this call before, again and again: forwardings lead in a circle"),
        )
    }

    /// The tenant's calls may not reach the number (TEAMS-109).
    pub fn destination(callee: &str, tenant: &str, why: &str) -> Refusal {
        Refusal::new(
            403,
            "Forbidden",
            21,
            format!("calls of tenant '{tenant}' may not reach {callee}: {why}"),
        )
    }

    /// No place for the call now: a limit, overload, or the node drains.
    pub fn unavailable(sentence: String, retry_after: Option<Duration>) -> Refusal {
        Refusal {
            retry_after,
            ..Refusal::new(503, "Service Unavailable", 42, sentence)
        }
    }

    /// The `Reason` header (RFC 3326) in the cause's own words: whoever calls may read it, and the sentence names what is
    /// inside.
    pub fn reason(&self) -> String {
        let text = match self.q850 {
            1 => "Unallocated number",
            3 => "No route to destination",
            20 => "Subscriber absent",
            21 => "Call rejected",
            25 => "Exchange routing error",
            28 => "Invalid number format",
            42 => "Switching equipment congestion",
            79 => "Service or option not implemented",
            _ => "Interworking",
        };
        format!("Q.850;cause={};text=\"{text}\"", self.q850)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_without_a_host_is_said_to_be_a_tel_uri() {
        let refused = [Refusal::unknown_tenant(""), Refusal::unknown_tenant("sbc9.example.net")];
        let [tel, foreign] = refused.map(|refusal| refusal.sentence);
        assert!(tel.contains("tel: URI") && !tel.contains("''"), "{tel}");
        assert!(foreign.ends_with("the trunk name 'sbc9.example.net'"), "{foreign}");
    }

    #[test]
    fn strangers_are_told_the_cause_and_nothing_of_what_is_inside() {
        let span = Some(Duration::from_secs(5));
        for (refusal, reason) in [
            (
                Refusal::unknown_number("\"\r\nX: y"),
                "Q.850;cause=1;text=\"Unallocated number\"",
            ),
            (
                Refusal::emergency_from_carrier("112"),
                "Q.850;cause=1;text=\"Unallocated number\"",
            ),
            (
                Refusal::foreign_caller("+12065550100", "contoso"),
                "Q.850;cause=21;text=\"Call rejected\"",
            ),
            (
                Refusal::unavailable("tenant contoso has its 30 calls".into(), span),
                "Q.850;cause=42;text=\"Switching equipment congestion\"",
            ),
        ] {
            assert_eq!(refusal.reason(), reason, "{}", refusal.sentence);
        }
    }
}
