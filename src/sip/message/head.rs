//! Splits a head into its start line and header fields. The stream framer and the message parser both use it, so that they
//! can't see two different messages in the same bytes.

use super::error::ParseErrorKind;
use super::limits::{MAX_HEADER, MAX_HEADERS, MAX_NAME};
use super::name::HeaderName;
use crate::sip::grammar::{
    self, after, count, find, is_control, is_unusual, quoted_length, token_length, trim_bytes, trim_end, trim_start,
};
use memchr::{memchr, memchr2};
use smallvec::SmallVec;

/// A range of a message; 16 bits are enough for [`MAX_MESSAGE`](super::limits::MAX_MESSAGE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

impl Span {
    /// Offsets into a message, which fit.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u16,
            end: end as u16,
        }
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }

    /// The span of `part`, which begins `offset` bytes into this one.
    pub(super) fn within(self, offset: usize, length: usize) -> Span {
        let start = usize::from(self.start) + offset;
        Span::new(start, start + length)
    }
}

/// One header field: where its name and its trimmed value are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) id: Option<HeaderName>,
    pub(super) name: Span,
    pub(super) value: Span,
}

/// Headers that are still kept of a message that has too many.
const MORE_HEADERS: usize = 16;

pub(super) type Fields = SmallVec<[Field; 24]>;

/// The head of a message.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) start_line: Span,
    pub(super) fields: Fields,
    /// Where the body begins.
    pub(super) end: usize,
    /// Some header runs over several lines.
    pub(super) folded: bool,
    /// The first thing that was wrong. What could be read is in the table all the same, so that a request can be answered.
    pub(super) fault: Option<(ParseErrorKind, usize)>,
}

/// Reads the head that `bytes` begin with. `Err` only where its lines can't be told apart.
pub(super) fn scan(bytes: &[u8]) -> Result<Head, (ParseErrorKind, usize)> {
    let mut head = Head::new(bytes.len());
    let lines = head.walk::<false>(bytes)?;
    if has_strays(bytes.get(..head.end).unwrap_or_default(), lines) {
        // Rare: now each line is searched for them.
        head = Head::new(bytes.len());
        head.walk::<true>(bytes)?;
    }
    Ok(head)
}

/// True when a head of so many lines holds control characters that end no line, or a CR without LF.
fn has_strays(head: &[u8], lines: usize) -> bool {
    count(head, is_unusual) != 2 * lines && count(head, is_control) != 2 * lines
}

/// Length of the line that `text` begins with, without its CRLF; `at` is where it stands.
#[inline]
fn line_length(text: &[u8], at: usize) -> Result<usize, (ParseErrorKind, usize)> {
    let feed = find(b'\n', text).ok_or((ParseErrorKind::Unfinished, at))?;
    match feed.checked_sub(1) {
        Some(length) if text.get(length) == Some(&b'\r') => Ok(length),
        _ => Err((ParseErrorKind::LineEnd, at + feed)),
    }
}

/// Replaces the line ends of folded headers by spaces, in place: offsets stay.
pub(super) fn unfold(bytes: &mut [u8], fields: &Fields) {
    for field in fields {
        let range = usize::from(field.value.start)..usize::from(field.value.end);
        for byte in bytes.get_mut(range).unwrap_or_default() {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
}

impl Head {
    fn new(end: usize) -> Head {
        Head {
            start_line: Span::default(),
            fields: Fields::new(),
            end,
            folded: false,
            fault: None,
        }
    }

    /// Fills the table and says how many lines there are. Each line is only searched for control characters when it is known
    /// that some line has one.
    fn walk<const STRAY: bool>(&mut self, bytes: &[u8]) -> Result<usize, (ParseErrorKind, usize)> {
        let control = |text: &[u8], from, to| match STRAY {
            true => control_in(text.get(from..to).unwrap_or_default()),
            false => None,
        };
        let length = line_length(bytes, 0)?;
        self.start_line = Span::new(0, length);
        if let Some(byte) = control(bytes, 0, length) {
            self.note(ParseErrorKind::Control(byte), 0);
        }
        let mut lines = 1;
        let mut start = length + 2;
        loop {
            let rest = after(bytes, start);
            let mut length = line_length(rest, start)?;
            lines += 1;
            let mut next = length + 2;
            if length == 0 {
                self.end = start + next;
                return Ok(lines);
            }
            let mut suspect = control(rest, 0, length);
            while matches!(rest.get(next), Some(b' ' | b'\t')) {
                self.folded = true;
                lines += 1;
                length = next + line_length(after(rest, next), start + next)?;
                suspect = suspect.or(control(rest, next, length));
                next = length + 2;
            }
            let text = rest.get(..length).unwrap_or_default();
            let has_room = self.fields.len() < MAX_HEADERS && length <= MAX_HEADER;
            // Without strays, what is known before a colon is a name, and the value is clean.
            let known = if STRAY { None } else { HeaderName::at_start(rest) };
            match known {
                Some((id, name)) if has_room => self.push(Some(id), text, start, name, name),
                _ if self.fields.len() < MAX_HEADERS => self.field(text, start, suspect),
                _ => self.field_too_many(text, start),
            }
            start += next;
        }
    }

    fn note(&mut self, kind: ParseErrorKind, offset: usize) {
        self.fault.get_or_insert((kind, offset));
    }

    /// Beyond the limit only what frames or answers a message is still kept, and little of that.
    fn field_too_many(&mut self, text: &[u8], start: usize) {
        let (what, count, limit) = ("headers", MAX_HEADERS + 1, MAX_HEADERS);
        self.note(ParseErrorKind::TooMany { what, count, limit }, start);
        let name = text.get(..token_length(text)).unwrap_or_default();
        let wanted = match HeaderName::of_token(name) {
            // The first is the way back.
            Some(HeaderName::Via) => self.fields.iter().all(|field| field.id != Some(HeaderName::Via)),
            Some(HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq) => true,
            known => known == Some(HeaderName::ContentLength),
        };
        if wanted && self.fields.len() < MAX_HEADERS + MORE_HEADERS {
            self.field(text, start, control_in(text));
        }
    }

    /// Takes a field that stands `start` bytes into the message, whatever it is. `suspect` is a control character in it.
    fn field(&mut self, text: &[u8], start: usize, suspect: Option<u8>) {
        if text.len() > MAX_HEADER {
            let (what, size, limit) = ("header", text.len(), MAX_HEADER);
            return self.note(ParseErrorKind::TooLong { what, size, limit }, start);
        }
        let length = token_length(text);
        let blanks = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let colon = length + after(text, length).iter().take_while(blanks).count();
        let name = text.get(..length).unwrap_or_default();
        if name.is_empty() || text.get(colon) != Some(&b':') {
            return self.note(ParseErrorKind::NotAHeader, start);
        }
        if length > MAX_NAME {
            let (what, size, limit) = ("header name", length, MAX_NAME);
            return self.note(ParseErrorKind::TooLong { what, size, limit }, start);
        }
        // Only a quoted pair may carry a control character (RFC 3261 §25.1, RFC 4475 intmeth).
        if let Some(byte) = suspect {
            let value = trim_bytes(after(text, colon + 1));
            if bare_return(value) || !controls_are_quoted(value) {
                return self.note(ParseErrorKind::Control(byte), start);
            }
        }
        self.push(HeaderName::of_token(name), text, start, length, colon);
    }

    /// Puts a field into the table.
    #[inline]
    fn push(&mut self, id: Option<HeaderName>, text: &[u8], start: usize, name: usize, colon: usize) {
        let value = trim_start(after(text, colon + 1));
        let value_start = start + text.len() - value.len();
        self.fields.push(Field {
            id,
            name: Span::new(start, start + name),
            value: Span::new(value_start, value_start + trim_end(value).len()),
        });
    }
}

fn control_in(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| is_control(*byte))
}

fn bare_return(value: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', value).any(|at| value.get(at + 1) != Some(&b'\n'))
}

/// Line ends are those of folding here: the caller has looked for others.
fn controls_are_quoted(value: &[u8]) -> bool {
    let breaks = |byte: u8| is_control(byte) && !matches!(byte, b'\r' | b'\n');
    let mut rest = value;
    while let Some(quote) = memchr(b'"', rest) {
        let (plain, quoted) = rest.split_at_checked(quote).unwrap_or_default();
        let Some(length) = quoted_length(quoted) else {
            return false;
        };
        let (mut inside, tail) = quoted.split_at_checked(length).unwrap_or_default();
        if plain.iter().any(|byte| breaks(*byte)) {
            return false;
        }
        while let Some(backslash) = memchr(b'\\', inside) {
            let before = inside.get(..backslash).unwrap_or_default();
            if before.iter().any(|byte| breaks(*byte))
                || memchr2(
                    b'\r',
                    b'\n',
                    inside.get(backslash + 1..backslash + 2).unwrap_or_default(),
                )
                .is_some()
            {
                return false;
            }
            inside = after(inside, backslash + 2);
        }
        if inside.iter().any(|byte| breaks(*byte)) {
            return false;
        }
        rest = tail;
    }
    !rest.iter().any(|byte| breaks(*byte))
}

/// The one Content-Length of a head: digits only, duplicates must agree. None when there is none.
pub(super) fn content_length(bytes: &[u8], fields: &Fields) -> Result<Option<usize>, (ParseErrorKind, usize)> {
    let mut found = None;
    for field in fields
        .iter()
        .filter(|field| field.id == Some(HeaderName::ContentLength))
    {
        let number = grammar::digits(field.value.of(bytes)).and_then(|number| usize::try_from(number).ok());
        let fault = (ParseErrorKind::ContentLength, usize::from(field.value.start));
        match (number, found) {
            (None, _) => return Err(fault),
            (Some(new), Some(old)) if new != old => return Err(fault),
            _ => found = number,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines up to the first fault, that fault, and whether something stray was among them; byte by byte.
    fn slowly(bytes: &[u8]) -> (Vec<usize>, (ParseErrorKind, usize), bool) {
        let (mut ends, mut start) = (Vec::new(), 0);
        let fault = loop {
            let Some(feed) = bytes.iter().skip(start).position(|byte| *byte == b'\n') else {
                break (ParseErrorKind::Unfinished, start);
            };
            let feed = start + feed;
            if feed == start || bytes[feed - 1] != b'\r' {
                break (ParseErrorKind::LineEnd, feed);
            }
            ends.push(feed - 1);
            start = feed + 1;
        };
        let seen = &bytes[..start];
        let returns = seen.iter().filter(|byte| **byte == b'\r').count();
        let control = |byte: &u8| is_control(*byte) && !matches!(byte, b'\r' | b'\n');
        let stray = returns != ends.len() || seen.iter().any(control);
        (ends, fault, stray)
    }

    proptest! {
        #[test]
        fn lines_and_strays_are_those_of_a_slow_search(
            mut bytes in proptest::collection::vec(
                prop_oneof![
                    8 => Just(&b"a"[..]), 2 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\t"[..]),
                    1 => Just(&b"\x7f"[..]), 1 => Just(&b"\xff"[..]), 1 => Just(&b"\x80 "[..]), 1 => Just(&b"\0"[..]),
                    1 => Just(&b"abcdefghij:"[..]),
                ],
                0..60,
            ).prop_map(|parts| parts.concat()),
            alone in proptest::option::of(0usize..100),
        ) {
            if let Some(byte) = alone.and_then(|at| bytes.get_mut(at)) {
                *byte = b'\n';
            }
            let (mut ends, mut start) = (Vec::new(), 0);
            let fault = loop {
                match line_length(&bytes[start..], start) {
                    Ok(length) => ends.push(start + length),
                    Err(fault) => break fault,
                }
                start = ends[ends.len() - 1] + 2;
            };
            let stray = has_strays(&bytes[..start], ends.len());
            prop_assert_eq!((ends, fault, stray), slowly(&bytes));
        }
    }
}
