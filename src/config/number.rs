//! Telephone numbers as configured: E.164 numbers, spans of them, and dial strings that are not E.164.

use super::names::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// An international number (ITU-T E.164): 1 to 15 digits, the first not 0, written with a leading `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(u64);

impl E164 {
    /// Reads `+` and 1 to 15 digits; no spaces, no punctuation.
    pub fn parse(text: &str) -> Result<E164, Invalid> {
        const EXPECTED: Invalid = Invalid("an E.164 number: + and up to 15 digits, such as +14255550100");
        E164::from_digits(text.strip_prefix('+').ok_or(EXPECTED)?).ok_or(EXPECTED)
    }

    /// The number whose digits, without `+`, are `digits`.
    pub fn from_digits(digits: &str) -> Option<E164> {
        let plain = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || digits.starts_with('0') {
            return None;
        }
        digits.parse().ok().map(E164)
    }

    /// The digits as one number: `+14255550100` is 14255550100. No number begins with 0, so nothing is lost.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// How many digits, without `+`.
    pub const fn digit_count(self) -> u32 {
        match self.0.checked_ilog10() {
            Some(log) => log + 1,
            None => 1,
        }
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for E164 {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        E164::parse(&text)
    }
}

impl From<E164> for String {
    fn from(number: E164) -> String {
        number.to_string()
    }
}

/// One number or a range, both ends included. Both ends have the same number of digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberSpan {
    first: E164,
    last: E164,
}

impl NumberSpan {
    /// The span that holds `number` alone.
    pub const fn one(number: E164) -> NumberSpan {
        NumberSpan {
            first: number,
            last: number,
        }
    }

    /// Reads `+14255550100-+14255550198`.
    pub fn parse_range(text: &str) -> Result<NumberSpan, Invalid> {
        const EXPECTED: Invalid = Invalid("two E.164 numbers joined by '-', such as +14255550100-+14255550198");
        let (first, last) = text.split_once('-').ok_or(EXPECTED)?;
        let first = E164::parse(first.trim()).map_err(|_| EXPECTED)?;
        let last = E164::parse(last.trim()).map_err(|_| EXPECTED)?;
        if first.digit_count() != last.digit_count() {
            return Err(Invalid("both ends with the same number of digits"));
        }
        if first > last {
            return Err(Invalid("the lower number first"));
        }
        Ok(NumberSpan { first, last })
    }

    /// Every one of them.
    pub fn numbers(self) -> impl Iterator<Item = E164> {
        (self.first().value()..=self.last().value()).map(E164)
    }

    /// The lowest number.
    pub const fn first(self) -> E164 {
        self.first
    }

    /// The highest number.
    pub const fn last(self) -> E164 {
        self.last
    }

    /// How many numbers it holds, at least 1.
    pub const fn count(self) -> u64 {
        self.last.0 - self.first.0 + 1
    }

    /// How many numbers `spans` hold together, each counted once.
    pub fn count_all(spans: impl IntoIterator<Item = NumberSpan>) -> u64 {
        let mut spans: Vec<NumberSpan> = spans.into_iter().collect();
        spans.sort_unstable();
        let (mut count, mut next) = (0, 0);
        for span in spans {
            let first = span.first.0.max(next);
            if first <= span.last.0 {
                count += span.last.0 - first + 1;
                next = span.last.0 + 1;
            }
        }
        count
    }

    /// Whether `number` is one of them.
    pub fn contains(self, number: E164) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

impl fmt::Display for NumberSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Debug for NumberSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What somebody can dial, or the beginning of it: digits, `*`, `#`, and `+` as the first character only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialString(Arc<str>);

impl DialString {
    /// Checks `text`. The empty string is one (a prefix that every number has).
    pub fn parse(text: &str) -> Result<DialString, Invalid> {
        let fits = text.len() <= 32
            && text.bytes().enumerate().all(|(at, b)| match b {
                b'0'..=b'9' | b'*' | b'#' => true,
                b'+' => at == 0,
                _ => false,
            });
        if fits {
            Ok(DialString(text.into()))
        } else {
            Err(Invalid("digits, '*' and '#', with at most one '+' at the beginning"))
        }
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DialString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DialString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Countries whose national significant numbers may begin with a zero: Italy, San Marino, Côte d'Ivoire, Gabon, Congo.
const OWN_ZEROS: [&str; 5] = ["39", "378", "225", "241", "242"];

/// The number without the zeros that some write or dial behind its country code, the trunk prefix of most countries:
/// `+44871…` for `+440871…`. `None` where there are none, and where numbers of the country begin with a zero of their own.
pub fn without_trunk_zeros(number: &str) -> Option<String> {
    let digits = number.strip_prefix('+')?;
    let (code, rest) = digits.split_at_checked(country_code_length(digits))?;
    if OWN_ZEROS.contains(&code) {
        return None;
    }
    let meant = rest.trim_start_matches('0');
    (meant.len() < rest.len()).then(|| format!("+{code}{meant}"))
}

/// Digits of the country code that a number begins with (ITU-T E.164, list of assigned codes): no code is the beginning of
/// another.
fn country_code_length(digits: &str) -> usize {
    const OF_TWO: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    match digits.get(..2) {
        Some(code) if code.starts_with(['1', '7']) => 1,
        Some(code) if OF_TWO.contains(&code) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunk_zeros_behind_a_country_code_are_not_meant() {
        for (number, meant) in [
            ("+440871", Some("+44871")),
            ("+44008710", Some("+448710")),
            ("+3530900", Some("+353900")),
            ("+10900", Some("+1900")),
            ("+70900", Some("+7900")),
            ("+980900", Some("+98900")),
            ("+44871", None),
            ("+404871", None),
            ("+390892", None),
            ("+2250707", None),
            ("0871", None),
            ("+4", None),
            ("+", None),
        ] {
            assert_eq!(without_trunk_zeros(number).as_deref(), meant, "{number}");
        }
    }
    use proptest::prelude::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "+",
            "14255550100",
            "+0123",
            "+1425555010012345",
            "+1 425",
            "+1425x",
            "tel:+1425",
        ] {
            assert!(E164::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_says_what_is_wrong_with_it() {
        for (text, why) in [
            ("+14255550100", "joined by"),
            ("+14255550100-14255550198", "two E.164"),
            ("+1425555010-+14255550198", "same number of digits"),
            ("+14255550198-+14255550100", "lower number first"),
        ] {
            let Err(Invalid(expected)) = NumberSpan::parse_range(text) else {
                panic!("{text} was accepted")
            };
            assert!(expected.contains(why), "{text}: {expected}");
        }
        assert_eq!(
            NumberSpan::parse_range("+14255550100-+14255550198").map(NumberSpan::count),
            Ok(99)
        );
    }

    #[test]
    fn a_dial_string_may_hold_a_plus_only_first() {
        assert!(DialString::parse("*31#").is_ok());
        assert!(DialString::parse("+49").is_ok());
        assert!(DialString::parse("0+").is_err());
        assert!(DialString::parse("call me").is_err());
    }

    proptest! {
        #[test]
        fn a_number_survives_its_text(value in 1u64..=999_999_999_999_999) {
            let number = E164::parse(&format!("+{value}")).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(number.value(), value);
            prop_assert_eq!(number.to_string(), format!("+{value}"));
            prop_assert_eq!(number.digit_count() as usize, value.to_string().len());
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,40}") {
            let _ = E164::parse(&text).is_ok() | NumberSpan::parse_range(&text).is_ok() | DialString::parse(&text).is_ok();
        }
    }
}
