//! Character classes and splitters of the SIP grammar (RFC 3261 §25.1) that every parser here shares.

#![allow(clippy::indexing_slicing, reason = "tables have an entry for every byte")]

use memchr::{memchr2, memchr3};

/// Flags for each byte: a table is a load where the ranges are a chain of branches.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let letter = byte as u8;
        let alphanumeric = letter.is_ascii_alphanumeric();
        let host = matches!(letter, b'-' | b'.' | b'_');
        let token = host || matches!(letter, b'!' | b'%' | b'*' | b'+' | b'`' | b'\'' | b'~');
        let name = token || matches!(letter, b'[' | b']' | b'/' | b':' | b'&' | b'$' | b'(' | b')');
        let ends_uri = letter.is_ascii_control() || matches!(letter, b' ' | b'"' | b'<' | b'>');
        let ends_value = ends_uri || matches!(letter, b',' | b';');
        table[byte] = (TOKEN * (alphanumeric || token) as u8)
            | (HOST * (alphanumeric || host) as u8)
            | (URI_PARAM_NAME * (alphanumeric || name) as u8)
            | (URI * !ends_uri as u8)
            | (URI_PARAM_VALUE * (!ends_uri && !matches!(letter, b';' | b'?' | b',' | b'@')) as u8)
            | (PARAM_VALUE * !ends_value as u8);
        byte += 1;
    }
    table
};

const TOKEN: u8 = 1;
/// Letters of a host name or IPv4 address.
pub(crate) const HOST: u8 = 2;
/// `pname` of a URI parameter (RFC 3261 §25.1).
pub(crate) const URI_PARAM_NAME: u8 = 4;
/// What does not end the value of a URI parameter, and may stand in it.
pub(crate) const URI_PARAM_VALUE: u8 = 8;
/// What may stand in a URI at all.
pub(crate) const URI: u8 = 32;
/// What may stand in the unquoted value of a header parameter.
pub(crate) const PARAM_VALUE: u8 = 16;

/// How many bytes `text` begins with that are of a class; for what is mostly short.
#[inline]
pub(crate) fn run(text: &[u8], class: u8) -> usize {
    let is_out = |byte: &u8| CLASS[usize::from(*byte)] & class == 0;
    // A block needs no look for the end of the text.
    let (blocks, rest) = text.as_chunks::<8>();
    for (at, block) in blocks.iter().enumerate() {
        if let Some(out) = block.iter().position(is_out) {
            return 8 * at + out;
        }
    }
    text.len() - rest.len() + rest.iter().position(is_out).unwrap_or(rest.len())
}

/// The same for what is mostly long: eight loads and one branch for each whole block.
#[inline]
pub(crate) fn long_run(text: &[u8], class: u8) -> usize {
    let (blocks, _) = text.as_chunks::<8>();
    let whole = |block: &&[u8; 8]| block.iter().fold(class, |all, byte| all & CLASS[usize::from(*byte)]) != 0;
    let start = blocks.iter().take_while(whole).count() * 8;
    start + run(after(text, start), class)
}

/// How many bytes of `token` the text begins with.
#[inline]
pub(crate) fn token_length(text: &[u8]) -> usize {
    run(text, TOKEN)
}

/// True for a non-empty `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_length(text) == text.len()
}

/// True for a byte that may never stand unescaped in a head: a control character other than HTAB.
pub(crate) const fn is_control(byte: u8) -> bool {
    // Without short circuits, so that a scan of a line becomes vector code.
    ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
}

/// True when some byte is a control character other than HTAB.
pub(crate) fn has_control(text: &[u8]) -> bool {
    // What comes out below is a control character, HTAB or no ASCII: rare, and then looked at again.
    any(text, is_unusual) && any(text, is_control)
}

/// True for control characters and for what is not ASCII: two instructions for a whole vector.
pub(crate) const fn is_unusual(byte: u8) -> bool {
    (byte.wrapping_add(1) as i8) < 0x21
}

/// True when `wanted` holds for some byte. Looks at blocks of one vector, or of half of it where there are no more bytes; the
/// last one overlaps the one before.
#[inline(always)]
pub(crate) fn any(text: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    if let Some(last) = text.last_chunk::<16>() {
        let (blocks, _) = text.as_chunks::<16>();
        return blocks.iter().any(|block| any_of(block, &wanted)) || any_of(last, &wanted);
    }
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => any_of(first, &wanted) || any_of(last, &wanted),
        _ => text.iter().any(|byte| wanted(*byte)),
    }
}

#[inline(always)]
fn any_of<const LENGTH: usize>(block: &[u8; LENGTH], wanted: &impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |any, byte| any | wanted(*byte))
}

/// How many bytes are `wanted`: a sum of bytes becomes vector code, and holds 255 at most.
#[inline]
pub(crate) fn count(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    const PART: usize = 224;
    text.chunks(PART)
        .map(|part| part.iter().map(|byte| u8::from(wanted(*byte))).sum::<u8>())
        .map(usize::from)
        .sum()
}

const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without linear white space at both ends.
pub(crate) fn trim_bytes(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// `text` without linear white space before it.
#[inline]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    text
}

/// `text` without linear white space after it.
#[inline]
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
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
    let first = text.first()?;
    let digit = |byte: u8| Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10).map(u64::from);
    text.iter().skip(1).try_fold(digit(*first)?, |number, byte| {
        number.checked_mul(10)?.checked_add(digit(*byte)?)
    })
}

/// A port, 1 to 65535.
pub(crate) fn port(text: &[u8]) -> Option<u16> {
    match leading_number(text) {
        (number, length) if length == text.len() => u16::try_from(number).ok().filter(|port| *port != 0),
        _ => None,
    }
}

/// The number that `text` begins with, 65536 for all above, and how many digits it has.
pub(crate) fn leading_number(text: &[u8]) -> (u32, usize) {
    let mut number = 0;
    for (length, byte) in text.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ ..10 => number = (number * 10 + u32::from(digit)).min(1 << 16),
            _ => return (number, length),
        }
    }
    (number, text.len())
}

/// True when no byte is above 127.
#[inline]
pub(crate) fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    let Some(last) = text.last_chunk::<16>() else {
        return text.iter().fold(0, |all, byte| all | byte) < 0x80;
    };
    let (blocks, _) = text.as_chunks::<16>();
    let join = |all, block: &[u8; 16]| all | u128::from_ne_bytes(*block);
    blocks.iter().fold(join(0, last), join) & HIGH == 0
}

/// True for UTF-8, which mostly is ASCII.
pub(crate) fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || std::str::from_utf8(text).is_ok()
}

/// Where `byte` is first, for what is mostly short: there memchr's choice of a search for this very processor costs more than
/// it wins.
#[inline]
pub(crate) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(search) = memchr::arch::x86_64::sse2::memchr::One::new(byte) {
        return search.find(text);
    }
    memchr::memchr(byte, text)
}

/// The part of `text` after `prefix` bytes; empty when there are fewer.
pub(crate) fn after(text: &[u8], prefix: usize) -> &[u8] {
    text.get(prefix..).unwrap_or_default()
}

/// Where `part`, a piece of `whole`, is in it; empty for what is none. Offsets fit 16 bits because the limit of a header does.
pub(crate) fn range_in(whole: &[u8], part: &[u8]) -> (u16, u16) {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() => (start as u16, end as u16),
        _ => (0, 0),
    }
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
        if find(self.separator, text).is_none() {
            return Some(trim_bytes(text));
        }
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
                _ => find(b'>', tail).map(|close| close + 1),
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
    use proptest::prelude::{prop_assert_eq, prop_oneof, proptest};
    use proptest::{collection, num};

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

    #[test]
    fn ports_are_digits_and_leading_numbers_stop_at_others() {
        for (text, expected) in [("5061", Some(5061)), ("0005061", Some(5061)), ("65535", Some(65535))] {
            assert_eq!(port(text.as_bytes()), expected);
        }
        for bad in ["", "0", "65536", "99999999999", "50 60", "5060a", "-1"] {
            assert_eq!(port(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(leading_number(b"5061;lr"), (5061, 4));
        assert_eq!(leading_number(b"65537"), (1 << 16, 5));
        assert_eq!(leading_number(b";lr"), (0, 0));
    }

    proptest! {
        #[test]
        fn blocks_are_seen_as_their_bytes_are(
            text in collection::vec(prop_oneof![20 => 0x20u8..0x7f, 1 => num::u8::ANY], 0..600),
            byte in num::u8::ANY,
        ) {
            let first = |wanted: &dyn Fn(u8) -> bool| text.iter().position(|byte| wanted(*byte));
            for class in [TOKEN, HOST, URI_PARAM_NAME, URI_PARAM_VALUE, URI, PARAM_VALUE] {
                let end = first(&|byte| CLASS[usize::from(byte)] & class == 0).unwrap_or(text.len());
                prop_assert_eq!((run(&text, class), long_run(&text, class)), (end, end));
            }
            prop_assert_eq!(find(byte, &text), first(&|other| other == byte));
            prop_assert_eq!(any(&text, is_control), first(&is_control).is_some());
            prop_assert_eq!(has_control(&text), first(&is_control).is_some());
            prop_assert_eq!(is_ascii(&text), text.is_ascii());
            prop_assert_eq!(is_utf8(&text), std::str::from_utf8(&text).is_ok());
            prop_assert_eq!(count(&text, is_unusual), text.iter().filter(|byte| is_unusual(**byte)).count());
        }

        #[test]
        fn more_is_counted_than_a_byte_holds(length in 0usize..2000) {
            prop_assert_eq!(count(&vec![0; length], is_control), length);
        }
    }
}
