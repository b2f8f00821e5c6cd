//! Escapes in the user part of a URI, put there and read.

use std::borrow::Cow;

/// A dialled string as a user part (RFC 3261 §25.1 `user`): `#` is escaped too, which only some peers write as it is.
pub fn escaped_user(user: &str) -> String {
    let mut text = String::with_capacity(user.len());
    escape_user(user, &mut text);
    text.replace('#', "%23")
}

/// A user part without the escapes that mean nothing: those of letters, digits and marks, which need none
/// (RFC 3261 §19.1.4), and of `+` and `#`, which numbers are written with. All others stay as they are, that of `%` too, so
/// that nothing is unescaped twice.
pub fn plain_user(user: &str) -> Cow<'_, str> {
    unescaped(user, needs_no_escape)
}

/// A number without what is there for the eye: visual separators (RFC 3966 §5.1.1) and spaces.
pub fn without_separators(number: &str) -> String {
    let is_for_the_eye = |c: &char| matches!(c, ' ' | '-' | '.' | '(' | ')');
    number.chars().filter(|c| !is_for_the_eye(c)).collect()
}

/// What a user part without parameters, or a number that somebody typed, dials: without escapes and what is there for the
/// eye. Names have dots and dashes of their own: this is for emergency numbers, which count before names do.
pub fn dialled_with(user: &str) -> String {
    without_separators(&unescaped(user, u8::is_ascii))
}

/// A user part with the escapes undone of the octets that are wanted; all others stay.
pub fn unescaped(user: &str, wanted: impl Fn(&u8) -> bool) -> Cow<'_, str> {
    if !user.contains('%') {
        return Cow::Borrowed(user);
    }
    let mut text = String::with_capacity(user.len());
    let mut rest = user;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let octet = after.as_bytes().first_chunk::<2>().and_then(octet);
        match octet.filter(&wanted) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                text.push('%');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn octet(hex: &[u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = *hex;
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn needs_no_escape(byte: &u8) -> bool {
    let is_mark = matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
    byte.is_ascii_alphanumeric() || is_mark || matches!(byte, b'+' | b'#')
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1 `user`); an existing `%XX` stays.
pub(super) fn escape_user(user: &str, text: &mut String) {
    let bytes = user.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escape = *byte == b'%'
            && bytes
                .get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let plain = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_'
                    | b'.'
                    | b'!'
                    | b'~'
                    | b'*'
                    | b'\''
                    | b'('
                    | b')'
                    | b'&'
                    | b'='
                    | b'+'
                    | b'$'
                    | b','
                    | b';'
                    | b'?'
                    | b'/'
                    | b'#'
            );
        if escape || plain {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_escape_is_read_without_and_nothing_twice() {
        for (user, plain) in [
            ("%39%31%31", "911"),
            ("%2B1900%35550100", "+19005550100"),
            ("%2b1-%34(25)", "+1-4(25)"),
            ("%2A21%23", "*21#"),
            ("%61da", "ada"),
            // `;`, `@`, `:` and `%` change what is read; others are no characters of a user part, or no escapes.
            ("%3Bx%40y%3Az", "%3Bx%40y%3Az"),
            ("%2539%2531", "%2539%2531"),
            ("%20%00%C3%BC", "%20%00%C3%BC"),
            ("1%", "1%"),
            ("1%3", "1%3"),
            ("%+1%-1", "%+1%-1"),
        ] {
            assert_eq!(plain_user(user), plain, "{user}");
            assert_eq!(plain_user(plain), plain, "{plain}");
        }
    }

    #[test]
    fn what_is_dialled_is_the_same_however_it_is_written() {
        for user in [
            "911",
            "9-1-1",
            "9.1.1",
            "(911)",
            "9 1 1",
            " 911 ",
            "%39-1-1",
            "911%20",
            "9%2D1%2d1",
        ] {
            assert_eq!(dialled_with(user), "911", "{user}");
        }
        for (user, dialled) in [
            ("+9-1-1", "+911"),
            ("%2B9.1.1", "+911"),
            ("%2539%2531%2531", "%39%31%31"),
            ("911%3Bx", "911;x"),
            ("911;ext=1", "911;ext=1"),
            ("9_1_1", "9_1_1"),
            ("ada.911", "ada911"),
            ("", ""),
        ] {
            assert_eq!(dialled_with(user), dialled, "{user}");
        }
    }
}
