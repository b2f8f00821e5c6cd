//! Words that stand in From for a number that is not shown.

/// Whether the user part of a From is a word that stands for a number that is not shown, as switches write it.
pub(super) fn is_nobody(user: &str) -> bool {
    let words = [
        "anonymous",
        "restricted",
        "unavailable",
        "unknown",
        "private",
        "withheld",
    ];
    words.iter().any(|word| user.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::config::CallerHeader;
    use crate::route::{Facts, Origin};
    use crate::sip::message::Message;

    #[test]
    fn a_word_for_a_number_that_is_not_shown_is_nobody() {
        for (user, hides) in [
            ("Restricted", true),
            ("unknown", true),
            ("%75nknown", true),
            ("ada", false),
        ] {
            let text = format!(
                "INVITE sip:+14255550100@sbc1.example.net SIP/2.0\r\nFrom: <sip:{user}@203.0.113.2>;tag=17\r\n\
                 To: <sip:+14255550100@sbc1.example.net>\r\nCSeq: 1 INVITE\r\nCall-ID: 0a3d\r\n\
                 Via: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bK7a6f\r\nContent-Length: 0\r\n\r\n"
            );
            let invite = Message::parse(text.into_bytes().into()).expect("an INVITE");
            let caller = Facts::read(Origin::Teams, &invite, CallerHeader::From).caller;
            assert_eq!((caller.private, caller.number.is_empty()), (hides, hides), "{user}");
        }
    }
}
