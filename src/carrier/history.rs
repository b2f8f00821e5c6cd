//! Who diverted a call, as History-Info tells it (RFC 7044).

use super::number::party_uri;
use crate::route::Diversion;

/// History-Info of a diverted call (TEAMS-051, TEAMS-069), the oldest diversion first, the callee last; `None` of a call that
/// was not diverted. `written` is how a diverting number is written, `host` stands behind every number.
pub fn history_info(
    diversions: &[Diversion],
    written: impl Fn(&Diversion) -> String,
    callee: &str,
    host: &str,
) -> Option<String> {
    if diversions.is_empty() {
        return None;
    }
    let mut index = String::from("1");
    let mut entries = Vec::with_capacity(diversions.len() + 1);
    for diversion in diversions {
        let cause = match diversion.reason.as_str() {
            "user-busy" => 486,
            "no-answer" => 408,
            "unavailable" | "out-of-service" => 503,
            _ => 302,
        };
        let number = written(diversion);
        let privacy = if diversion.private { "&Privacy=history" } else { "" };
        entries.push(format!(
            "<{}?Reason=SIP%3Bcause%3D{cause}{privacy}>;index={index}",
            party_uri(&number, host)
        ));
        index.push_str(".1");
    }
    entries.push(format!("<sip:{callee}@{host};user=phone>;index={index}"));
    Some(entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_diversion_comes_first_with_its_cause_and_the_callee_last() {
        let diverted = |number: &str, reason: &str| Diversion {
            number: number.into(),
            reason: reason.into(),
            private: reason.is_empty(),
        };
        let diversions = [diverted("+12065550111", "no-answer"), diverted("+12065550112", "")];
        let national = |diversion: &Diversion| diversion.number.replacen("+1", "0", 1);
        assert_eq!(
            history_info(&diversions, national, "+14255550100", "gw.example").as_deref(),
            Some(
                "<sip:02065550111@gw.example;user=phone?Reason=SIP%3Bcause%3D408>;index=1,\
                 <sip:02065550112@gw.example;user=phone?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1.1,\
                 <sip:+14255550100@gw.example;user=phone>;index=1.1.1"
            )
        );
        assert_eq!(history_info(&[], national, "+14255550100", "gw.example"), None);
    }
}
