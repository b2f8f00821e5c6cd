//! Numbers as a trunk writes them, to E.164 and back, and in URIs.

use crate::config::{BareNumbers, E164, NumberFormat, NumberRule, NumberRules};
use crate::sip::without_separators;
use std::fmt;

/// The E.164 number that `written` means on a trunk: the first matching inbound rule, then `+`, the international
/// prefix, the national prefix, and at last what bare numbers are there. `None` when it is no telephone number.
pub fn read_number(rules: &NumberRules, written: &str) -> Option<E164> {
    let digits = without_separators(written);
    let number = rules
        .inbound
        .iter()
        .find_map(|rule| rule.apply(&digits))
        .unwrap_or(digits);
    if number.starts_with('+') {
        return E164::parse(&number).ok();
    }
    let prefixed = |prefix: &str| {
        if prefix.is_empty() {
            None
        } else {
            number.strip_prefix(prefix)
        }
    };
    if let Some(rest) = prefixed(&rules.international_prefix) {
        return E164::from_digits(rest);
    }
    // A country code alone is no number: an empty caller is unknown, not `+1`.
    let national = |rest: &str| {
        rules
            .country_code
            .as_ref()
            .filter(|_| !rest.is_empty())
            .and_then(|code| E164::from_digits(&format!("{code}{rest}")))
    };
    if let Some(rest) = prefixed(&rules.national_prefix) {
        return national(rest);
    }
    match rules.bare {
        BareNumbers::International => E164::from_digits(&number),
        BareNumbers::National => national(&number),
    }
}

/// The forms in which [`read_number`] takes `number` on a trunk, but those that `inbound` rules make and those with a plus.
pub fn written_forms(rules: &NumberRules, number: E164) -> Vec<String> {
    let number = number.to_string();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let code = rules.country_code.as_deref().unwrap_or_default();
    let national = digits.strip_prefix(code).filter(|_| !code.is_empty());
    let with = |prefix: &str, rest: &str| format!("{prefix}{rest}");
    let mut forms = vec![digits.to_owned(), with(&rules.international_prefix, digits)];
    if let Some(rest) = national {
        forms.extend([rest.to_owned(), with(&rules.national_prefix, rest)]);
    }
    forms
}

/// How a trunk wants `number` written: by the first matching outbound rule, else in its format. Works on what was
/// dialled when it is no E.164 number (short codes): rules apply, the format does not.
pub fn write_number(rules: &NumberRules, number: &str) -> String {
    if let Some(written) = rewrite(&rules.outbound, number) {
        return written;
    }
    let Some(digits) = number.strip_prefix('+') else {
        return number.to_owned();
    };
    match rules.format {
        NumberFormat::Plus => number.to_owned(),
        NumberFormat::Digits => digits.to_owned(),
        NumberFormat::Prefixed => format!("{}{digits}", rules.international_prefix),
        NumberFormat::National => {
            national_form(rules, digits).unwrap_or_else(|| format!("{}{digits}", rules.international_prefix))
        }
    }
}

/// How a number of the trunk's own country is written there. `None` where it is none, or where what was written would be
/// another number: `+44 0 0 1900…` would dial abroad, past all that was asked of the first one.
fn national_form(rules: &NumberRules, digits: &str) -> Option<String> {
    let code = rules.country_code.as_deref()?;
    let rest = digits.strip_prefix(code)?;
    let written = format!("{}{rest}", rules.national_prefix);
    let international = &rules.international_prefix;
    let leads_abroad = !international.is_empty() && written.starts_with(&**international);
    // Where numbers have no prefix at home, the country's own code in front of one is mostly read as that.
    let is_twice = rules.national_prefix.is_empty() && rest.starts_with(code);
    (!leads_abroad && !is_twice).then_some(written)
}

/// What stands behind the country code of a trunk that writes nationally: where that is an emergency number, it is meant.
pub fn national_code<'n>(rules: &NumberRules, number: &'n str) -> Option<&'n str> {
    let code = rules.country_code.as_deref()?;
    let rest = number.strip_prefix('+')?.strip_prefix(code);
    rest.filter(|_| rules.format == NumberFormat::National)
}

/// A number with the trunk prefix behind its country code, as some write it (`+44 0 871…`), without that prefix.
pub fn without_trunk_prefix(rules: &NumberRules, number: &str) -> Option<String> {
    let code = rules.country_code.as_deref()?;
    let rest = number.strip_prefix('+')?.strip_prefix(code)?;
    let prefix = Some(&*rules.national_prefix).filter(|prefix| !prefix.is_empty())?;
    Some(format!("+{code}{}", rest.strip_prefix(prefix)?))
}

fn rewrite(rules: &[NumberRule], number: &str) -> Option<String> {
    rules.iter().find_map(|rule| rule.apply(number))
}

/// The SIP URI of who is shown: `user=phone` says that the user part is a telephone number, and stands where it is one
/// (RFC 3261 §19.1.1; TEAMS-039).
pub fn party_uri(user: &str, host: impl fmt::Display) -> String {
    let rest = user.strip_prefix('+').unwrap_or(user);
    let dials = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#' | b'-' | b'.');
    // `#` may stand escaped.
    match !rest.is_empty() && rest.split("%23").all(|part| part.bytes().all(dials)) {
        true => format!("sip:{user}@{host};user=phone"),
        false => format!("sip:{user}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german(bare: BareNumbers, format: NumberFormat) -> NumberRules {
        NumberRules {
            country_code: Some("49".into()),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
            bare,
            inbound: Vec::new(),
            outbound: Vec::new(),
            format,
        }
    }

    #[test]
    fn every_national_form_is_one_number() {
        let rules = german(BareNumbers::International, NumberFormat::Plus);
        for written in [
            "+4930123456",
            "004930123456",
            "030123456",
            "4930123456",
            "+49 (30) 123-456",
        ] {
            assert_eq!(
                read_number(&rules, written).map(|n| n.to_string()).as_deref(),
                Some("+4930123456"),
                "{written}"
            );
        }
        assert_eq!(read_number(&rules, "anonymous"), None);
        assert_eq!(read_number(&rules, ""), None);
        let rules = german(BareNumbers::National, NumberFormat::Plus);
        assert_eq!(
            read_number(&rules, "30123456").map(|n| n.to_string()).as_deref(),
            Some("+4930123456")
        );
        assert_eq!(read_number(&rules, ""), None);
    }

    #[test]
    fn numbers_leave_in_the_trunks_own_form() {
        for (format, number, written) in [
            (NumberFormat::Plus, "+4930123456", "+4930123456"),
            (NumberFormat::Digits, "+4930123456", "4930123456"),
            (NumberFormat::Prefixed, "+14255550100", "0014255550100"),
            (NumberFormat::National, "+4930123456", "030123456"),
            (NumberFormat::National, "+14255550100", "0014255550100"),
            (NumberFormat::National, "112", "112"),
            // No way abroad past what was asked of a number at home.
            (NumberFormat::National, "+49019005551234", "0049019005551234"),
            (NumberFormat::National, "+490900123456", "00490900123456"),
        ] {
            assert_eq!(
                write_number(&german(BareNumbers::National, format), number),
                written,
                "{format:?}"
            );
        }
    }

    #[test]
    fn teams_109_no_number_at_home_turns_into_another_one() {
        let american = NumberRules {
            country_code: Some("1".into()),
            national_prefix: String::new(),
            international_prefix: "011".into(),
            ..german(BareNumbers::National, NumberFormat::National)
        };
        for (number, written) in [
            ("+12065550100", "2065550100"),
            ("+10114930123456", "01110114930123456"),
            ("+119005551234", "011119005551234"),
        ] {
            assert_eq!(write_number(&american, number), written);
        }
        // The area code of Saint Petersburg begins as the prefix does.
        let russian = NumberRules {
            country_code: Some("7".into()),
            national_prefix: "8".into(),
            international_prefix: "810".into(),
            ..german(BareNumbers::National, NumberFormat::National)
        };
        assert_eq!(write_number(&russian, "+78123456789"), "88123456789");
        assert_eq!(write_number(&russian, "+7101234567"), "8107101234567");
        assert_eq!(
            without_trunk_prefix(&german(BareNumbers::National, NumberFormat::Plus), "+490900123"),
            Some("+49900123".into())
        );
    }

    #[test]
    fn teams_039_only_a_number_is_said_to_be_one() {
        for number in ["+14255550100", "0206-555.0100", "*21#", "*21%23", "112"] {
            assert_eq!(
                party_uri(number, "gw.example"),
                format!("sip:{number}@gw.example;user=phone")
            );
        }
        for name in ["ada", "+", "1a", "12+3", ""] {
            assert_eq!(party_uri(name, "gw.example"), format!("sip:{name}@gw.example"));
        }
    }
}
