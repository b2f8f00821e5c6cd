//! SIP messages on the wire (RFC 3261 §7): bytes come in, a [`Message`] with typed views comes out; drafts go in, bytes come
//! out. Pure: no clock, no socket.
//!
//! A message owns its bytes and a table of spans into them; nothing is copied until a view is asked for. It is strict about what
//! we route on (start line, Via, From, To, Call-ID, CSeq, Content-Length, and in requests Contact and Route) and lenient
//! about what we only relay: those bytes stay as they came.

mod draft;
mod error;
mod head;
pub mod limits;
mod name;
mod parse;
mod value;

#[cfg(test)]
mod tests;

pub use draft::{RequestDraft, ResponseDraft, reason_phrase};
pub use error::{ParseError, ParseErrorKind};
pub use name::HeaderName;
pub use value::{HeaderValue, InvalidHeader};

pub(super) use head_of_stream::{StreamHead, head_of_stream};

use super::grammar::{self, split_values, text_of};
use super::header::{AddressLayout, CSeq, Challenge, HeaderError, NameAddr, RetryAfter, Via, ViaLayout};
use super::method::Method;
use super::uri::{self, Uri};
use bytes::Bytes;
use head::{Field, Fields, Span};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One SIP message. Cloning shares the bytes and the table.
#[derive(Clone)]
pub struct Message(Arc<Parsed>);

struct Parsed {
    bytes: Bytes,
    start: StartLine,
    fields: Fields,
    body: Span,
    via: Span,
    via_layout: ViaLayout,
    call_id: Span,
    from: Address,
    to: Address,
    /// The first Contact, when the parser has read it.
    contact: Address,
    cseq: u32,
    cseq_method: Method,
}

#[derive(Clone)]
enum StartLine {
    Request {
        method: Method,
        uri: Span,
        /// None when the Request-URI is wrong.
        layout: Option<uri::Layout>,
    },
    Response {
        status: u16,
        reason: Span,
    },
}

/// A value that is an address, and what the parser found in it; None where it is unreadable or was not looked at.
#[derive(Clone, Copy, Default)]
struct Address {
    value: Span,
    layout: Option<AddressLayout>,
}

/// A header as it came: for relaying what we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawHeader<'a> {
    name: &'a [u8],
    /// The id, when we know the name.
    pub known: Option<HeaderName>,
    /// The value without white space at its ends, unfolded; UTF-8 is not promised.
    pub value: &'a [u8],
}

impl<'a> RawHeader<'a> {
    /// The name as written.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }
}

impl Message {
    /// Reads one message: a datagram, or what the stream framer cut out. Line ends before it are skipped. A body longer than
    /// Content-Length is cut (RFC 3261 §18.3), a shorter one is refused; without Content-Length the rest is the body.
    ///
    /// # Errors
    /// [`ParseError`] says what and where, which status to answer with, and writes that answer.
    pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
        parse::parse(datagram)
    }

    pub fn is_request(&self) -> bool {
        matches!(self.0.start, StartLine::Request { .. })
    }

    pub fn is_response(&self) -> bool {
        !self.is_request()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.0.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI of a request, as written.
    pub fn request_uri(&self) -> Option<&str> {
        match &self.0.start {
            StartLine::Request { uri, .. } => Some(self.text(*uri)),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> Option<Uri> {
        match &self.0.start {
            StartLine::Request { uri, layout, .. } => Some(Uri::with_layout(self.text(*uri), (*layout)?)),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        match &self.0.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(*status),
        }
    }

    /// The reason phrase of a response as written, [`limits::MAX_PHRASE`] octets of it; empty for requests and where it is not
    /// UTF-8.
    pub fn reason(&self) -> &str {
        match &self.0.start {
            StartLine::Request { .. } => "",
            StartLine::Response { reason, .. } => {
                let phrase = self.text(*reason);
                phrase
                    .get(..phrase.floor_char_boundary(limits::MAX_PHRASE))
                    .unwrap_or_default()
            }
        }
    }

    pub fn body(&self) -> &[u8] {
        self.0.body.of(&self.0.bytes)
    }

    /// The body as a share of the message's own bytes.
    pub fn body_bytes(&self) -> Bytes {
        self.0.bytes.slice_ref(self.0.body.of(&self.0.bytes))
    }

    /// The message as it came, folded headers unfolded; bytes after the body are not part of it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes.get(..usize::from(self.0.body.end)).unwrap_or_default()
    }

    /// The whole value of the first header of this name, unfolded and trimmed; comma lists are not split. None when it is
    /// absent or not UTF-8: see [`Message::header_text`].
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        std::str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// The same, bytes that are not UTF-8 read as Latin-1.
    pub fn header_text(&self, name: HeaderName) -> Option<Cow<'_, str>> {
        self.header_bytes(name).map(text_of)
    }

    /// The same, as bytes.
    pub fn header_bytes(&self, name: HeaderName) -> Option<&[u8]> {
        self.fields(name).next().map(|value| value.of(&self.0.bytes))
    }

    /// All values of a header over all its fields; comma lists are split outside quotes and `<>` where the header is a list.
    /// Values that are not UTF-8 are left out: see [`Message::headers_bytes`].
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers_bytes(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The same, as bytes.
    pub fn headers_bytes(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.fields(name).flat_map(move |span| {
            let value = span.of(&self.0.bytes);
            let mut whole = (!name.is_list()).then_some(value);
            let mut parts = name.is_list().then(|| split_values(value, b','));
            std::iter::from_fn(move || match &mut parts {
                Some(parts) => parts.find(|part| !part.is_empty()),
                None => whole.take(),
            })
        })
    }

    /// The value of the first header with a name that we have no id for (`X-MS-MediaPath`), compared case-blind.
    pub fn header_named(&self, name: &str) -> Option<&str> {
        let id = HeaderName::parse(name.as_bytes());
        if let Some(id) = id {
            return self.header(id);
        }
        self.raw_headers()
            .find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))
            .and_then(|header| std::str::from_utf8(header.value).ok())
    }

    /// All headers in their order, for relaying them byte for byte.
    pub fn raw_headers(&self) -> impl Iterator<Item = RawHeader<'_>> {
        self.0.fields.iter().map(|field| RawHeader {
            name: field.name.of(&self.0.bytes),
            known: field.id,
            value: field.value.of(&self.0.bytes),
        })
    }

    /// True when a list header (Supported, Require, Allow) names this token, compared case-blind.
    pub fn lists(&self, name: HeaderName, token: &str) -> bool {
        self.headers(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    pub fn call_id(&self) -> &str {
        self.text(self.0.call_id)
    }

    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        self.address(HeaderName::From, &self.0.from)
    }

    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        self.address(HeaderName::To, &self.0.to)
    }

    /// The tag of From, without making the whole view.
    pub fn from_tag(&self) -> Option<&str> {
        self.tag(&self.0.from)
    }

    /// The tag of To, without making the whole view.
    pub fn to_tag(&self) -> Option<&str> {
        self.tag(&self.0.to)
    }

    /// The CSeq number and method.
    pub fn cseq(&self) -> (u32, Method) {
        (self.0.cseq, self.0.cseq_method.clone())
    }

    /// The CSeq method, by reference.
    pub fn cseq_method(&self) -> &Method {
        &self.0.cseq_method
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Via<'_> {
        Via::with_layout(self.text(self.0.via), self.0.via_layout)
    }

    /// Max-Forwards, more than 255 read as 255.
    pub fn max_forwards(&self) -> Option<u8> {
        let number = grammar::digits(self.header_bytes(HeaderName::MaxForwards)?)?;
        Some(u8::try_from(number).unwrap_or(u8::MAX))
    }

    /// How long the sender is to be left alone. None where that is no number of seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header(HeaderName::RetryAfter)?;
        value.parse().ok().map(|RetryAfter(span)| span)
    }

    /// The first Contact. `*` is an error here: a registrar asks `header(Contact)` for it.
    pub fn contact(&self) -> Result<Option<NameAddr>, HeaderError> {
        match self.0.contact.layout {
            Some(_) => self.address(HeaderName::Contact, &self.0.contact).map(Some),
            None => self.addresses(HeaderName::Contact).next().transpose(),
        }
    }

    /// The values of a header that holds addresses: Contact, Route, Record-Route, P-Asserted-Identity, Diversion,
    /// History-Info, Refer-To, Referred-By, Path ….
    pub fn addresses(&self, name: HeaderName) -> impl Iterator<Item = Result<NameAddr, HeaderError>> {
        self.headers_bytes(name)
            .map(move |value| NameAddr::parse_bytes(name, value))
    }

    /// The challenges of a 401 or 407, WWW-Authenticate before Proxy-Authenticate; unreadable ones are left out.
    pub fn challenges(&self) -> impl Iterator<Item = (HeaderName, Challenge)> {
        [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate]
            .into_iter()
            .flat_map(|name| {
                self.headers(name)
                    .filter_map(move |value| Some((name, value.parse().ok()?)))
            })
    }

    fn fields(&self, name: HeaderName) -> impl Iterator<Item = Span> {
        self.0
            .fields
            .iter()
            .filter(move |field: &&Field| field.id == Some(name))
            .map(|field| field.value)
    }

    fn address(&self, name: HeaderName, address: &Address) -> Result<NameAddr, HeaderError> {
        let value = address.value.of(&self.0.bytes);
        match address.layout {
            Some(layout) => Ok(NameAddr::with_layout(value, layout)),
            None => NameAddr::parse_bytes(name, value),
        }
    }

    fn tag(&self, address: &Address) -> Option<&str> {
        let tag = address.layout.as_ref()?.tag(address.value.of(&self.0.bytes));
        std::str::from_utf8(tag).ok().filter(|tag| !tag.is_empty())
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.0.bytes)).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.start {
            StartLine::Request { method, .. } => write!(f, "Message({method}")?,
            StartLine::Response { status, .. } => write!(f, "Message({status}")?,
        }
        let cseq = CSeq {
            number: self.0.cseq,
            method: self.0.cseq_method.clone(),
        };
        write!(f, ", {cseq}, {})", self.call_id())
    }
}

mod head_of_stream {
    use super::error::ParseErrorKind;
    use super::head;

    /// What the framer must know of a head.
    pub(in crate::sip) struct StreamHead {
        pub(in crate::sip) length: usize,
        pub(in crate::sip) body: Option<usize>,
    }

    /// Reads the head that `bytes` begin with, which must be whole.
    pub(in crate::sip) fn head_of_stream(bytes: &[u8]) -> Result<StreamHead, (ParseErrorKind, usize)> {
        let head = head::scan(bytes)?;
        Ok(StreamHead {
            length: head.end,
            body: head::content_length(bytes, &head.fields)?,
        })
    }
}
