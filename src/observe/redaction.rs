//! What may be shown of telephone numbers, and how text that a caller controls is written down.

use std::borrow::Cow;
use std::fmt::Write;

/// Digits that stay readable.
const SHOWN_DIGITS: usize = 2;
/// Shorter runs of digits in free text are ports, codes and emergency numbers.
const NUMBER_DIGITS: usize = 6;
/// A number that is no longer is an emergency or service number: it names nobody.
const SHORT_NUMBER: usize = 3;
/// As many digits behind a `+` are a whole number: what comes after a space is something else.
const WHOLE_NUMBER: usize = 10;
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

/// Masks every telephone number inside a text: runs of six digits and more, and of four behind a `+`; with separators
/// (RFC 3966 §5.1.1, and spaces) too, and with any of it written as an escape (`%2B`, `%39`).
pub fn mask_numbers_in(text: &str) -> String {
    let signs = signs(text);
    let mut masked = String::with_capacity(text.len());
    let (mut rest, mut before) = (signs.as_slice(), None);
    while !rest.is_empty() {
        let number = number_at(rest, before);
        let (shown, after) = rest.split_at(number.map_or(1, |number| number.signs).min(rest.len()));
        let mut left = number.map_or(0, |number| number.digits);
        for sign in shown {
            let hides = left > SHOWN_DIGITS && sign.is_digit();
            left = left.saturating_sub(usize::from(sign.is_digit()));
            masked.push_str(if hides { "*" } else { sign.written });
        }
        before = shown.last().map(|sign| sign.means);
        rest = after;
    }
    masked
}

/// A character as it is written, and what that means: `%39` is a 9. Escapes of what numbers don't have are left as they are.
#[derive(Debug, Clone, Copy)]
struct Sign<'t> {
    written: &'t str,
    means: char,
}

impl Sign<'_> {
    fn is_digit(&self) -> bool {
        self.means.is_ascii_digit()
    }
}

fn signs(text: &str) -> Vec<Sign<'_>> {
    let mut signs = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let escaped = rest
            .get(1..3)
            .filter(|hex| first == '%' && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = escaped
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|byte| byte.is_ascii_digit() || b"+ -.()".contains(byte));
        let (means, length) = byte.map_or((first, first.len_utf8()), |byte| (char::from(byte), 3));
        let (written, after) = rest.split_at(length);
        signs.push(Sign { written, means });
        rest = after;
    }
    signs
}

/// How far a number goes.
#[derive(Debug, Clone, Copy)]
struct Spread {
    signs: usize,
    digits: usize,
    /// Of digits, between separators.
    groups: usize,
}

/// The number that begins here, if one does; `before` is the character in front of it.
fn number_at(signs: &[Sign<'_>], before: Option<char>) -> Option<Spread> {
    if !signs.first()?.is_digit() && signs.first()?.means != '(' {
        return None;
    }
    if before == Some('+') {
        return Some(spread(signs, " -.()")).filter(|number| number.digits > SHORT_NUMBER);
    }
    // Without a `+` dots are of addresses, two groups a range, and what touches a letter is an id.
    let grouped = spread(signs, "-()");
    let next = signs.get(grouped.signs).map(|sign| sign.means);
    let after_next = signs.get(grouped.signs + 1).map(|sign| sign.means);
    let is_id = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let goes_on = is_id(next) || (next == Some('-') && is_id(after_next));
    let stands_alone = !(is_id(before) || before == Some('-') || goes_on);
    if grouped.groups > 2 && grouped.digits >= NUMBER_DIGITS && stands_alone {
        return Some(grouped);
    }
    Some(spread(signs, "")).filter(|run| run.digits >= NUMBER_DIGITS)
}

/// Digits, with at most two of `separators` between them.
fn spread(signs: &[Sign<'_>], separators: &str) -> Spread {
    let mut found = Spread {
        signs: 0,
        digits: 0,
        groups: 0,
    };
    let mut gap = 0;
    for (at, sign) in signs.iter().enumerate() {
        if sign.is_digit() {
            found.groups += usize::from(gap > 0 || found.digits == 0);
            found.signs = at + 1;
            found.digits += 1;
            gap = 0;
            continue;
        }
        // A space behind a whole number is the end of it: `+14255550100 404`.
        let ends = sign.means == ' ' && found.digits >= WHOLE_NUMBER;
        if ends || gap == 2 || !separators.contains(sign.means) {
            break;
        }
        gap += 1;
    }
    found
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
    fn numbers_with_separators_and_escapes_are_masked_whole() {
        for (text, shown) in [
            ("'+1-206-555-9876' is no number", "'+*-***-***-**76' is no number"),
            ("sip:+1(206)555-9876@x", "sip:+*(***)***-**76@x"),
            ("+1 (206) 555 9876 404", "+* (***) *** **76 404"),
            ("Busy +1.206.555.9876. 2 left", "Busy +*.***.***.**76. 2 left"),
            ("206-555-9876 is not", "***-***-**76 is not"),
            ("<tel:%2B12065559876>", "<tel:%2B*********76>"),
            ("%2b4711", "%2b**11"),
            ("+1206555%39876", "+*********76"),
            ("+1%2D206%20555%2d9876", "+*%2D***%20***%2d**76"),
            ("+%31%32%30%36%35", "+***%36%35"),
            ("+(206)5559876", "+(***)*****76"),
            ("20655598%3", "******98%3"),
            ("50%12345678", "50%******78"),
            ("%é206555%", "%é****55%"),
        ] {
            assert_eq!(mask_numbers_in(text), shown);
        }
    }

    #[test]
    fn what_only_looks_like_a_number_with_separators_stays() {
        for text in [
            "203.0.113.7:50610 and 192.0.2.0/24",
            "ports 50000-50999",
            "id d853-4711-41ed-1234-c121",
            "4711-8123-0815-aded",
            "408 (32 s), 1-2-3",
            "1 + 1, C++ 20",
        ] {
            assert_eq!(mask_numbers_in(text), text);
        }
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
        fn separators_and_escapes_hide_no_digit(number in "[1-9]([-.()]?[0-9]){3,14}", escaped in any::<[bool; 32]>()) {
            let escape = |(c, escapes): (char, bool)| match escapes {
                true => format!("%{:02X}", u32::from(c)),
                false => c.to_string(),
            };
            let text: String = format!("+{number}").chars().zip(escaped.into_iter().cycle()).map(escape).collect();
            let masked: String = signs(&mask_numbers_in(&text)).iter().map(|sign| sign.means).collect();
            prop_assert_eq!(masked.chars().filter(char::is_ascii_digit).count(), 2, "{}", masked);
        }

        #[test]
        fn what_is_masked_stays_a_character(text in "[%+0-9a-fA-F(). é-]{0,40}") {
            prop_assert_eq!(signs(&mask_numbers_in(&text)).len(), signs(&text).len());
        }

        #[test]
        fn no_text_brings_a_control_character(text in "\\PC{0,20}[\\x00-\\x1f\\x7f]{0,9}\\PC{0,400}") {
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }
    }
}
