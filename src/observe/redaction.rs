//! What may be shown of telephone numbers, and how text that a caller controls is written down.

use std::borrow::Cow;
use std::fmt::Write;

/// Digits that stay readable.
const SHOWN_DIGITS: usize = 2;
/// Shorter runs of digits in free text are ports, codes and emergency numbers.
const NUMBER_DIGITS: usize = 6;
/// A number that is no longer is an emergency or service number: it names nobody.
const SHORT_NUMBER: usize = 3;
/// Longer texts are cut.
const LONGEST: usize = 512;

/// Masks a telephone number but for its last two digits: `+14255550100` is `+*********00`. Numbers of up to three
/// digits stay.
pub fn mask_number(number: &str) -> String {
    let digits = number.chars().filter(char::is_ascii_digit).count();
    if digits <= SHORT_NUMBER {
        return number.to_owned();
    }
    mask(number, digits)
}

/// Masks every telephone number inside a text: runs of six digits and more, and of four behind a `+`.
pub fn mask_numbers_in(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        masked.push_str(before);
        match run.len() {
            digits if digits >= NUMBER_DIGITS || (digits > SHORT_NUMBER && before.ends_with('+')) => {
                masked.push_str(&mask(run, digits))
            }
            _ => masked.push_str(run),
        }
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn mask(text: &str, digits: usize) -> String {
    let mut left = digits;
    text.chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return c;
            }
            left -= 1;
            if left < SHOWN_DIGITS { c } else { '*' }
        })
        .collect()
}

/// Text that a peer wrote, fit for a line of a log: no control characters, nothing that turns the direction of
/// writing, cut after 512 bytes.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() && !is_invisible(c);
    if text.len() <= LONGEST && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        if shown.len() >= LONGEST {
            shown.push('…');
            break;
        }
        if is_plain(c) {
            shown.push(c);
        } else {
            // Writing to a string can't fail.
            let _ = write!(shown, "{}", c.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

/// Zero width, direction marks and overrides, line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_digits_stay_and_emergency_numbers_stay_whole() {
        for (number, shown) in [
            ("+14255550100", "+*********00"),
            ("0151 123-45", "**** ***-45"),
            ("911", "911"),
            ("*31#4711", "***#**11"),
            ("anonymous", "anonymous"),
        ] {
            assert_eq!(mask_number(number), shown);
        }
    }

    #[test]
    fn numbers_inside_sentences_are_masked_and_ports_are_not() {
        assert_eq!(
            mask_numbers_in("no tenant has +14255550100; 203.0.113.7:50610 answered 404"),
            "no tenant has +*********00; 203.0.113.7:50610 answered 404"
        );
    }

    #[test]
    fn what_a_peer_wrote_stays_on_its_line() {
        assert_eq!(
            printable("a\r\nb\u{1b}[31m\u{202e}"),
            "a\\u{d}\\u{a}b\\u{1b}[31m\\u{202e}"
        );
        assert!(printable(&"é".repeat(1_000)).len() < 520);
        assert!(matches!(printable("Ada Jones"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_digits_but_the_last_two_survive(number in "\\+[0-9]{4,15}|[0-9]{6,15}", around in "[a-z :]{0,9}") {
            let masked = mask_numbers_in(&format!("{around}{number}{around}"));
            prop_assert_eq!(masked.chars().filter(char::is_ascii_digit).count(), 2);
            prop_assert_eq!(masked.chars().count(), number.len() + 2 * around.len());
            prop_assert_eq!(&mask_number(&number), &mask_numbers_in(&number));
        }

        #[test]
        fn no_text_brings_a_control_character(text in "\\PC{0,20}[\\x00-\\x1f\\x7f]{0,9}\\PC{0,400}") {
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }
    }
}
