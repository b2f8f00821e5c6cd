//! Character classes and splitters of the SIP grammar (RFC 3261 §25.1) that every parser here shares.

use memchr::{memchr2, memchr3};

/// One flag for each byte: a table is a load where the ranges are a chain of branches.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            );
        byte += 1;
    }
    table
};

/// True for a byte of `token`.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// True for a non-empty `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// True for a byte that may never stand unescaped in a head: a control character other than HTAB.
pub(crate) const fn is_control(byte: u8) -> bool {
    // Without short circuits, so that a scan of a line becomes vector code.
    ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
}

const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without linear white space at both ends.
pub(crate) fn trim_bytes(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

/// `text` without linear white space at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// A number written with digits only; none when empty, signed or too big for 64 bits.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?
    })
}

/// A port, 1 to 65535.
pub(crate) fn port(text: &str) -> Option<u16> {
    let number = digits(text.as_bytes())?;
    u16::try_from(number).ok().filter(|port| *port != 0)
}

/// The part of `text` after `prefix` bytes; empty when there are fewer.
pub(crate) fn after(text: &[u8], prefix: usize) -> &[u8] {
    text.get(prefix..).unwrap_or_default()
}

/// Length of the quoted string that `text` begins with, both quotes included; none when it never closes.
pub(crate) fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Splits at `separator` outside quoted strings and `<>`. An unclosed quote or bracket keeps the rest together.
pub(crate) fn split_values(text: &[u8], separator: u8) -> Values<'_> {
    Values {
        rest: Some(text),
        separator,
    }
}

/// See [`split_values`].
#[derive(Debug, Clone)]
pub(crate) struct Values<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest.take()?;
        let mut at = 0;
        while let Some(step) = memchr3(self.separator, b'"', b'<', after(text, at)) {
            let found = at + step;
            let tail = after(text, found);
            let skip = match tail.first() {
                Some(byte) if *byte == self.separator => {
                    self.rest = Some(after(text, found + 1));
                    return Some(trim_bytes(text.get(..found).unwrap_or_default()));
                }
                Some(b'"') => quoted_length(tail),
                _ => memchr::memchr(b'>', tail).map(|close| close + 1),
            };
            match skip {
                Some(length) => at = found + length,
                None => break,
            }
        }
        Some(trim_bytes(text))
    }
}

/// UTF-8 as it is; anything else read as Latin-1, which is what such devices send.
pub(crate) fn text_of(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let values: Vec<_> = split_values(b" \"a,\\\",b\" <sip:x,y@z> , c;p=\",\" ,<sip:d>", b',').collect();
        assert_eq!(values, [&b"\"a,\\\",b\" <sip:x,y@z>"[..], b"c;p=\",\"", b"<sip:d>"]);
    }

    #[test]
    fn an_unclosed_quote_keeps_the_rest() {
        assert_eq!(split_values(b"\"a, b, c", b',').count(), 1);
        assert_eq!(split_values(b"\"a\\", b',').count(), 1);
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(digits(b"0042"), Some(42));
        for bad in [&b""[..], b"-1", b"+1", b"1 ", b"99999999999999999999"] {
            assert_eq!(digits(bad), None);
        }
    }
}
