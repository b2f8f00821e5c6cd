//! What Teams means by the Reason of a refusal: `Q.850;cause=N;text="GUID;phrase"`.

use super::catalogue::{CauseClass, Failure, class};
use crate::sip::header::Reason;

/// A Reason of Teams, taken apart (TEAMS-066).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TeamsReason {
    /// Q.850.
    pub cause: Option<u16>,
    /// Names the call in Microsoft's logs.
    pub guid: Option<String>,
    pub phrase: Option<String>,
}

impl TeamsReason {
    /// Reads one value of the header; `None`: it is no Q.850 reason.
    pub fn parse(value: &str) -> Option<TeamsReason> {
        let reason: Reason = value.parse().ok()?;
        if !reason.is_q850() {
            return None;
        }
        Some(TeamsReason {
            cause: reason.cause,
            ..TeamsReason::of_text(reason.text.as_deref().unwrap_or_default())
        })
    }

    /// The text alone: a GUID, a semicolon, the phrase; or a phrase without a GUID.
    pub fn of_text(text: &str) -> TeamsReason {
        let text = text.trim();
        let (guid, phrase) = match text.split_once(';') {
            Some((guid, phrase)) if is_guid(guid.trim()) => (Some(guid.trim()), phrase.trim()),
            None if is_guid(text) => (Some(text), ""),
            _ => (None, text),
        };
        TeamsReason {
            cause: None,
            guid: guid.map(str::to_owned),
            phrase: (!phrase.is_empty()).then(|| phrase.to_owned()),
        }
    }

    /// The first Q.850 reason among the values of a message.
    pub fn among(values: &[String]) -> Option<TeamsReason> {
        values.iter().find_map(|value| TeamsReason::parse(value))
    }

    /// What kind of end it tells of, beside the final status of the INVITE.
    pub fn class(&self, status: Option<u16>) -> CauseClass {
        class(Failure {
            status,
            code: None,
            cause: self.cause,
            phrase: self.phrase.as_deref(),
        })
    }
}

/// 8-4-4-4-12 hexadecimal digits: the name of a call in Microsoft's logs.
pub fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;
    use crate::sip::message::HeaderName;

    /// One answer of TV-15, and what is made of it: cause, phrase, class.
    fn heard(status: &str, more: &str) -> (Option<u16>, TeamsReason, CauseClass) {
        let text = format!(
            "SIP/2.0 {status}\r\nFROM: \"Example Caller\" <sip:+12065550100@woodgrove.sbc1.example.net;user=phone>;tag=s5from\r\n\
             TO: <sip:+14255550111@woodgrove.sbc1.example.net;user=phone>;tag=a1856424e9dae0a61870f289f81a863a\r\n\
             CSEQ: 1 INVITE\r\nCALL-ID: s5-0001@woodgrove.sbc1.example.net\r\n\
             VIA: SIP/2.0/TLS woodgrove.sbc1.example.net:5061;branch=z9hG4bKs5-001\r\n{more}\r\n\
             SERVER: Microsoft.PSTNHub.SIPProxy v.2026.1.15.2 i.EUNO.3\r\nCONTENT-LENGTH: 0\r\n\r\n"
        );
        let message = Message::parse(text.into_bytes().into()).unwrap();
        let reasons: Vec<String> = message.headers(HeaderName::Reason).map(str::to_owned).collect();
        let reason = TeamsReason::among(&reasons).unwrap();
        let class = reason.class(message.status());
        (message.status(), reason, class)
    }

    #[test]
    fn teams_066_final_errors_are_taken_apart_and_classed() {
        const GUID: &str = "a1856424-e9da-40a6-a870-f289f81a863a";
        let cases = [
            ("486 Busy Here", 34, "Callee is busy", CauseClass::Busy),
            (
                "503 Service Unavailable",
                42,
                "Service state: DrainingTransactions",
                CauseClass::Service,
            ),
            (
                "403 Forbidden",
                63,
                "No trunk config was found",
                CauseClass::Configuration,
            ),
            (
                "404 Not Found",
                1,
                "Getting user info by number failed",
                CauseClass::WrongNumber,
            ),
            (
                "480 Temporarily Unavailable",
                31,
                "No callee endpoints were found.",
                CauseClass::Unavailable,
            ),
            (
                "488 Not Acceptable Here",
                88,
                "InternalDiagCode: SrtpEncryptionRequired",
                CauseClass::Media,
            ),
            ("420 Bad Extension", 111, "Bad Extension", CauseClass::Protocol),
            (
                "422 Session Interval Too Small",
                102,
                "Session Interval Too Small",
                CauseClass::Protocol,
            ),
            (
                "500 Server Error",
                41,
                "Duplicate CreateCallAsync request",
                CauseClass::Protocol,
            ),
            ("603 Decline", 21, "Callee declined", CauseClass::Declined),
        ];
        for (status, cause, phrase, class) in cases {
            let (_, reason, found) = heard(status, &format!("REASON: Q.850;cause={cause};text=\"{GUID};{phrase}\""));
            let wanted = TeamsReason {
                cause: Some(cause),
                guid: Some(GUID.to_owned()),
                phrase: Some(phrase.to_owned()),
            };
            assert_eq!((reason, found), (wanted, class), "{status}");
        }
    }

    #[test]
    fn a_phrase_may_hold_semicolons_and_a_text_no_guid() {
        let trunk = "Q.850;cause=63;text=\"d8534b2e-49b7-41ed-aded-c12126bca54c;Provided Trunk FQDN '198.51.100.5' is not \
                     allowed. Connection allows following fqdns: a; *.a.\"";
        let reason = TeamsReason::parse(trunk).unwrap();
        assert!(
            reason.phrase.as_deref().unwrap().ends_with("fqdns: a; *.a."),
            "{reason:?}"
        );
        assert_eq!(reason.class(Some(403)), CauseClass::Configuration);

        let bare = TeamsReason::of_text("Callee; declined");
        assert_eq!((bare.guid, bare.phrase.as_deref()), (None, Some("Callee; declined")));
        let guid = TeamsReason::of_text("d8534b2e-49b7-41ed-aded-c12126bca54c");
        assert!(guid.guid.is_some() && guid.phrase.is_none());
        assert_eq!(
            TeamsReason::parse("SIP;cause=200;text=\"Call completed elsewhere\""),
            None
        );
        assert_eq!(TeamsReason::parse("nonsense \""), None);
    }

    #[test]
    fn without_a_phrase_status_and_cause_tell() {
        let class = |status, cause| {
            let reason = TeamsReason {
                cause,
                ..TeamsReason::default()
            };
            reason.class(status)
        };
        assert_eq!(class(Some(486), Some(34)), CauseClass::Busy);
        assert_eq!(class(Some(200), Some(16)), CauseClass::Normal);
        assert_eq!(class(None, Some(17)), CauseClass::Busy);
        assert_eq!(class(Some(200), None), CauseClass::Unknown);
    }
}
