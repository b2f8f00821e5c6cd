//! What Teams means by the Reason of a refusal.

/// `reasons` of a refusal from Teams as they go to a carrier. Teams gives cause 34, "no circuit", with a 486 where the user
/// is busy (it maps by NICC ND1017): carriers would try another route, so it is said as 17, "user busy" (TEAMS-065).
pub fn reasons_from_teams(status: u16, reasons: &[String]) -> Vec<String> {
    let said = |reason: &String| {
        let mut parts: Vec<&str> = reason.split(';').collect();
        let is_q850 = parts
            .first()
            .is_some_and(|protocol| protocol.trim().eq_ignore_ascii_case("Q.850"));
        if status == 486 && is_q850 {
            for part in &mut parts {
                if part.trim().eq_ignore_ascii_case("cause=34") {
                    *part = "cause=17";
                }
            }
        }
        parts.join(";")
    };
    reasons.iter().map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_user_is_no_full_trunk() {
        let heard = [
            "Q.850; cause=34;text=\"5f1d;busy cause=34\"".to_owned(),
            "SIP;cause=34".to_owned(),
        ];
        assert_eq!(
            reasons_from_teams(486, &heard),
            ["Q.850;cause=17;text=\"5f1d;busy cause=34\"", "SIP;cause=34"]
        );
        assert_eq!(reasons_from_teams(503, &heard), heard);
    }
}
