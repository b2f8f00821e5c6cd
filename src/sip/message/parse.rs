//! From bytes to a checked [`Message`].

use super::error::{ParseError, ParseErrorKind};
use super::head::{self, Field, Head, Span};
use super::limits::{MAX_HEAD, MAX_HOPS, MAX_KEY, MAX_MESSAGE};
use super::name::HeaderName;
use super::{Address, Message, Parsed, StartLine};
use crate::sip::grammar::{after, any, digits, is_token, is_utf8, range_in, split_values};
use crate::sip::header::{AddressLayout, CSeq, HeaderError, ViaLayout};
use crate::sip::method::Method;
use crate::sip::uri;
use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memrchr};
use std::sync::Arc;

type Fault = (ParseErrorKind, usize);

pub(super) fn parse(datagram: Bytes) -> Result<Message, ParseError> {
    let whole = |(kind, offset)| ParseError::new(kind, offset);
    if datagram.len() > MAX_MESSAGE {
        let (size, limit) = (datagram.len(), MAX_MESSAGE);
        return Err(whole((ParseErrorKind::TooLarge { size, limit }, limit)));
    }
    let mut bytes = datagram;
    let lead = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .ok_or_else(|| whole((ParseErrorKind::Empty, 0)))?;
    bytes.advance(lead);

    let mut head = head::scan(&bytes).map_err(whole)?;
    if head.folded {
        let mut copy = BytesMut::from(&*bytes);
        head::unfold(&mut copy, &head.fields);
        bytes = copy.freeze();
    }
    let mut fault = head.fault.take();
    let start = start_line(head.start_line, &bytes).map_err(|found| whole(fault.take().unwrap_or(found)))?;
    let (start, start_fault) = start;
    let mut note = |found: Fault| {
        fault.get_or_insert(found);
    };
    start_fault.map(&mut note);
    if head.end > MAX_HEAD {
        let (what, size, limit) = ("head", head.end, MAX_HEAD);
        note((ParseErrorKind::TooLong { what, size, limit }, limit));
    }
    let body = body(&head, &bytes).unwrap_or_else(|found| {
        note(found);
        Span::new(head.end, bytes.len())
    });

    let is_request = matches!(start, StartLine::Request { .. });
    let method = match &start {
        StartLine::Request { method, .. } => Some(method.clone()),
        StartLine::Response { .. } => None,
    };
    let mut message = Parsed {
        via: Span::default(),
        via_layout: Default::default(),
        call_id: Span::default(),
        from: Address::default(),
        to: Address::default(),
        contact: Address::default(),
        cseq: 0,
        cseq_method: method.unwrap_or(Method::Options),
        body,
        start,
        fields: head.fields,
        bytes,
    };
    let answerable = message.check_core(&mut note);
    message.check_rest(is_request, &mut note);

    let is_ack = matches!(
        &message.start,
        StartLine::Request {
            method: Method::Ack,
            ..
        }
    );
    match fault {
        None => Ok(Message(Arc::new(message))),
        Some(fault) if is_request && answerable && !is_ack => Err(whole(fault).of_request(Message(Arc::new(message)))),
        Some(fault) => Err(whole(fault)),
    }
}

/// The start line. A Request-URI or version that is wrong leaves the request answerable: that fault comes beside it.
fn start_line(span: Span, bytes: &[u8]) -> Result<(StartLine, Option<Fault>), Fault> {
    let line = span.of(bytes);
    let fail = |what| (ParseErrorKind::StartLine(what), 0);
    if let Some(rest) = line.strip_prefix(b"SIP/") {
        let space = memchr(b' ', rest).ok_or(fail("no status code"))?;
        if rest.get(..space) != Some(b"2.0") {
            return Err((ParseErrorKind::Version, 0));
        }
        let rest = after(rest, space + 1);
        let (code, reason) = rest.split_at_checked(3).ok_or(fail("no status code"))?;
        let status = digits(code)
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..700).contains(code))
            .ok_or(fail("the status code is not 100 to 699"))?;
        if !matches!(reason.first(), None | Some(b' ')) {
            return Err(fail("the status code is not 100 to 699"));
        }
        let reason = span.within(
            line.len() - reason.len() + reason.len().min(1),
            reason.len().saturating_sub(1),
        );
        return Ok((StartLine::Response { status, reason }, None));
    }
    let first = memchr(b' ', line).ok_or(fail("no Request-URI"))?;
    let last = memrchr(b' ', line)
        .filter(|last| *last > first)
        .ok_or(fail("no version"))?;
    let name = line.get(..first).unwrap_or_default();
    let mut fault = None;
    let method = match name.get(..Method::MAX_LENGTH) {
        Some(beginning) if name.len() > Method::MAX_LENGTH && is_token(name) => {
            fault = Some(fail("the method is too long"));
            Method::from_bytes(beginning)
        }
        _ => Method::from_bytes(name),
    };
    let method = method.map_err(|_| fail("the method is no token"))?;
    let uri = line.get(first + 1..last).unwrap_or_default();
    let version = after(line, last + 1);
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let other = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
        fault.get_or_insert(match other {
            true => (ParseErrorKind::Version, last + 1),
            false => (ParseErrorKind::StartLine("it does not end with SIP/2.0"), last + 1),
        });
    }
    let text = if is_utf8(uri) { uri } else { b"\x7f" };
    let layout = uri::Layout::of(text);
    match &layout {
        Err(error) => {
            fault.get_or_insert((ParseErrorKind::RequestUri(*error), first + 1));
        }
        Ok(layout) if layout.has_sip_headers(text) => {
            fault.get_or_insert((ParseErrorKind::RequestUriHeaders, first + 1));
        }
        Ok(_) => {}
    }
    let uri = span.within(first + 1, uri.len());
    let layout = layout.ok();
    Ok((StartLine::Request { method, uri, layout }, fault))
}

fn body(head: &Head, bytes: &[u8]) -> Result<Span, Fault> {
    let present = bytes.len().saturating_sub(head.end);
    match head::content_length(bytes, &head.fields)? {
        None => Ok(Span::new(head.end, bytes.len())),
        Some(announced) if announced <= present => Ok(Span::new(head.end, head.end + announced)),
        Some(announced) => Err((ParseErrorKind::Truncated { announced, present }, head.end)),
    }
}

impl Parsed {
    /// Reads the headers that every message has and that an answer repeats. True when all of them could be found.
    fn check_core(&mut self, note: &mut impl FnMut(Fault)) -> bool {
        let mut found = [None::<Field>; 4];
        let wanted = [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
        let mut via = None;
        let mut seen = [false; HeaderName::COUNT];
        for field in &self.fields {
            let Some(id) = field.id else { continue };
            if seen
                .get_mut(id as usize)
                .is_some_and(|seen| std::mem::replace(seen, true))
            {
                if id.is_single() {
                    note((ParseErrorKind::Duplicate(id), usize::from(field.name.start)));
                }
                continue;
            }
            match id {
                HeaderName::Via => via = Some(*field),
                HeaderName::From => found[0] = Some(*field),
                HeaderName::To => found[1] = Some(*field),
                HeaderName::CallId => found[2] = Some(*field),
                HeaderName::CSeq => found[3] = Some(*field),
                _ => {}
            }
        }
        for (field, name) in found.iter().zip(wanted) {
            if field.is_none() {
                note((ParseErrorKind::Missing(name), 0));
            }
        }
        let read = match via {
            Some(field) => self.read_via(field),
            None => Err((ParseErrorKind::Missing(HeaderName::Via), 0)),
        };
        if let Err(fault) = read {
            note(fault);
        }
        let via_read = self.via != Span::default();
        let [Some(from), Some(to), Some(call_id), Some(cseq)] = found else {
            return false;
        };
        self.read_dialog_headers(from, to, call_id, cseq, note);
        via_read
    }

    fn read_via(&mut self, field: Field) -> Result<(), Fault> {
        let at = usize::from(field.value.start);
        let value = field.value.of(&self.bytes);
        let first = split_values(value, b',').next().unwrap_or_default();
        self.via_layout = ViaLayout::of(first).map_err(|error| (ParseErrorKind::Header(error), at))?;
        self.via = field.value.within(0, first.len());
        key_length("branch", self.via_layout.branch(first), at)
    }

    fn read_dialog_headers(
        &mut self,
        from: Field,
        to: Field,
        call_id: Field,
        cseq: Field,
        note: &mut impl FnMut(Fault),
    ) {
        self.from = self.read_address(HeaderName::From, from.value, note);
        self.to = self.read_address(HeaderName::To, to.value, note);
        self.call_id = call_id.value;
        let at = usize::from(call_id.value.start);
        let text = call_id.value.of(&self.bytes);
        if text.is_empty() || any(text, |byte| !byte.is_ascii_graphic()) {
            let error = HeaderError::new(HeaderName::CallId, "not one word of visible ASCII", text);
            note((ParseErrorKind::Header(error), at));
        }
        if let Err(fault) = key_length("Call-ID", text, at) {
            note(fault);
        }
        let at = usize::from(cseq.value.start);
        match CSeq::parse_bytes(cseq.value.of(&self.bytes)) {
            Err(error) => note((ParseErrorKind::Header(error), at)),
            Ok(read) => {
                if matches!(&self.start, StartLine::Request { method, .. } if *method != read.method) {
                    note((ParseErrorKind::MethodMismatch, at));
                }
                self.cseq = read.number;
                self.cseq_method = read.method;
            }
        }
    }

    /// Reads From or To. One that is unreadable is still repeated in the answer.
    fn read_address(&self, name: HeaderName, span: Span, note: &mut impl FnMut(Fault)) -> Address {
        let at = usize::from(span.start);
        let value = span.of(&self.bytes);
        let layout = AddressLayout::of(name, value).and_then(|layout| {
            let tag = layout.tag(value);
            if tag.len() > MAX_KEY {
                let (what, size, limit) = ("tag", tag.len(), MAX_KEY);
                note((ParseErrorKind::TooLong { what, size, limit }, at));
            }
            match is_token(tag) || (tag.is_empty() && !layout.has_empty_tag()) {
                true => Ok(layout),
                false => Err(HeaderError::new(name, "the tag is no token", value)),
            }
        });
        let layout = layout.map_err(|error| note((ParseErrorKind::Header(error), at))).ok();
        Address { value: span, layout }
    }

    /// What else we route on: every Via, and in requests Contact, Route, Record-Route and Max-Forwards.
    fn check_rest(&mut self, is_request: bool, note: &mut impl FnMut(Fault)) {
        let mut hops = [0usize; 4];
        let mut contact = Address::default();
        for field in &self.fields {
            let (slot, what) = match field.id {
                Some(HeaderName::Via) => (0, "Via values"),
                Some(HeaderName::Route) => (1, "Route values"),
                Some(HeaderName::RecordRoute) => (2, "Record-Route values"),
                Some(HeaderName::Contact) => (3, "Contact values"),
                Some(HeaderName::MaxForwards) if is_request => {
                    let value = field.value.of(&self.bytes);
                    if digits(value).is_none() {
                        let error = HeaderError::new(HeaderName::MaxForwards, "not a number", value);
                        note((ParseErrorKind::Header(error), usize::from(field.value.start)));
                    }
                    continue;
                }
                _ => continue,
            };
            let at = usize::from(field.value.start);
            let Some(count) = hops.get_mut(slot) else {
                continue;
            };
            if *count == 0 && field.value == self.via {
                *count = 1;
                if let Err(error) = self.top_version() {
                    note((ParseErrorKind::Header(error), at));
                }
                continue;
            }
            for value in split_values(field.value.of(&self.bytes), b',') {
                *count += 1;
                let checked = match field.id {
                    Some(HeaderName::Via) if *count == 1 => self.top_version(),
                    Some(HeaderName::Via) => ViaLayout::of(value).and_then(|layout| layout.check_version(value)),
                    Some(HeaderName::Contact) if value == b"*" => Ok(()),
                    Some(name) if is_request => AddressLayout::of(name, value).map(|layout| {
                        if name == HeaderName::Contact && *count == 1 {
                            let (start, end) = range_in(&self.bytes, value);
                            let (value, layout) = (Span { start, end }, Some(layout));
                            contact = Address { value, layout };
                        }
                    }),
                    _ => Ok(()),
                };
                if let Err(error) = checked {
                    note((ParseErrorKind::Header(error), at));
                }
                if *count > MAX_HOPS {
                    let (count, limit) = (*count, MAX_HOPS);
                    note((ParseErrorKind::TooMany { what, count, limit }, at));
                    break;
                }
            }
        }
        self.contact = contact;
    }

    /// A request of another version can still be answered (505), so its Via was read whatever version it names.
    fn top_version(&self) -> Result<(), HeaderError> {
        self.via_layout.check_version(self.via.of(&self.bytes))
    }
}

fn key_length(what: &'static str, key: &[u8], at: usize) -> Result<(), Fault> {
    match key.len() {
        size if size > MAX_KEY => {
            let limit = MAX_KEY;
            Err((ParseErrorKind::TooLong { what, size, limit }, at))
        }
        _ => Ok(()),
    }
}
