//! What we send, before the transaction layer gives it a Via: the writer puts Via, Content-Length and line ends, and no value
//! can bring a line end of its own.

use super::name::HeaderName;
use super::value::{InvalidHeader, push_cleaned, writable_name};
use super::{Message, StartLine};
use crate::sip::grammar;
use crate::sip::header::NameAddr;
use crate::sip::method::Method;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

/// A request without Via.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDraft {
    method: Method,
    uri: String,
    headers: Block,
    body: Bytes,
}

/// A response without what it repeats from its request (Via, From, To, Call-ID, CSeq, Record-Route).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseDraft {
    status: u16,
    reason: Cow<'static, str>,
    to_tag: Option<String>,
    headers: Block,
    body: Bytes,
}

/// Header fields as they will stand on the wire, each `Name: value CRLF`.
#[derive(Clone, PartialEq, Eq, Default)]
struct Block {
    bytes: Vec<u8>,
    /// One bit for each known name that was put in: taking out what is not there costs nothing.
    known: u128,
}

impl Block {
    /// What a draft makes room for at once: the headers of a Teams INVITE have 700 bytes.
    const ROOM: usize = 512;

    fn push(&mut self, name: HeaderName, value: &[u8]) {
        self.known |= name.bit();
        self.line(name.with_colon().as_bytes(), value);
    }

    fn push_named(&mut self, name: &str, id: Option<HeaderName>, value: &[u8]) {
        self.known |= id.map_or(0, HeaderName::bit);
        self.bytes.extend_from_slice(name.as_bytes());
        self.line(b": ", value);
    }

    fn line(&mut self, beginning: &[u8], value: &[u8]) {
        let length = beginning.len() + value.len() + 2;
        if self.bytes.capacity() - self.bytes.len() < length {
            self.bytes.reserve(length.max(Self::ROOM));
        }
        self.bytes.extend_from_slice(beginning);
        push_cleaned(&mut self.bytes, value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.bytes.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((line.get(..colon)?, line.get(colon + 2..)?))
        })
    }

    fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.fields()
            .filter(move |(written, _)| HeaderName::parse(written) == Some(name))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn remove(&mut self, name: HeaderName) {
        if self.known & name.bit() == 0 {
            return;
        }
        let mut kept = Vec::with_capacity(self.bytes.capacity());
        for (written, value) in self.fields() {
            if HeaderName::parse(written) != Some(name) {
                kept.extend_from_slice(written);
                kept.extend_from_slice(b": ");
                kept.extend_from_slice(value);
                kept.extend_from_slice(b"\r\n");
            }
        }
        self.bytes = kept;
        self.known &= !name.bit();
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

macro_rules! header_setters {
    () => {
        /// Appends a header that we know. Control characters in the value become spaces. Via and Content-Length are the
        /// writer's own and are left out.
        #[must_use]
        pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
            if !matches!(name, HeaderName::Via | HeaderName::ContentLength) {
                self.headers.push(name, value.as_ref());
            }
            self
        }

        /// Appends a header under the name given, its value byte for byte apart from control characters, which become
        /// spaces.
        ///
        /// # Errors
        /// The name is no token, or it is Via or Content-Length.
        pub fn raw_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
            let id = writable_name(name)?;
            self.headers.push_named(name, id, value.as_ref());
            Ok(self)
        }

        /// Sets the body and its Content-Type.
        #[must_use]
        pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
            self.headers.remove(HeaderName::ContentType);
            self.headers
                .push(HeaderName::ContentType, content_type.as_bytes());
            self.body = body.into();
            self
        }

        /// The values of a header as they will be written, one for each field.
        pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
            self.headers.values(name)
        }

        /// The value of the first header of this name.
        pub fn value(&self, name: HeaderName) -> Option<&str> {
            self.headers.values(name).next()
        }

        /// Takes every header of this name out.
        #[must_use]
        pub fn without(mut self, name: HeaderName) -> Self {
            self.headers.remove(name);
            self
        }

        /// The body.
        pub fn body_bytes(&self) -> &Bytes {
            &self.body
        }
    };
}

impl RequestDraft {
    /// A request without headers. Bytes that may not stand in a Request-URI are escaped.
    pub fn new(method: Method, uri: impl AsRef<str>) -> RequestDraft {
        RequestDraft {
            method,
            uri: clean_uri(uri.as_ref()),
            headers: Block {
                bytes: Vec::with_capacity(2 * Block::ROOM),
                known: 0,
            },
            body: Bytes::new(),
        }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    header_setters!();

    /// The request as it goes out. `via` is the value of the one Via.
    pub fn to_bytes(&self, via: &str) -> Bytes {
        let method = self.method.as_str();
        let line = method.len() + self.uri.len() + via.len() + " SIP/2.0\r\nVia: \r\n".len() + 1;
        let mut out = Vec::with_capacity(line + tail_length(&self.headers, &self.body));
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.uri.as_bytes());
        out.extend_from_slice(b" SIP/2.0\r\nVia: ");
        push_cleaned(&mut out, via.as_bytes());
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

impl ResponseDraft {
    /// A response with the phrase that RFC 3261 §21 and its successors give the status.
    pub fn new(status: u16) -> ResponseDraft {
        ResponseDraft {
            status: status.clamp(100, 699),
            reason: reason_phrase(status).into(),
            to_tag: None,
            headers: Block::default(),
            body: Bytes::new(),
        }
    }

    /// Another reason phrase.
    #[must_use]
    pub fn reason(mut self, phrase: &str) -> ResponseDraft {
        self.reason = phrase.replace(|letter: char| letter.is_control(), " ").into();
        self
    }

    /// Adds to the reason phrase what is wrong with the request (RFC 3261 §21.4.1). It may quote the peer: it is kept short.
    #[must_use]
    pub fn because(self, what: impl fmt::Display) -> ResponseDraft {
        const MOST: usize = 160;
        let phrase = format!("{} ({what})", self.reason);
        self.reason(&phrase.chars().take(MOST).collect::<String>())
    }

    /// The tag that To gets when the request had none.
    #[must_use]
    pub fn to_tag(mut self, tag: impl Into<String>) -> ResponseDraft {
        self.to_tag = Some(tag.into());
        self
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn reason_text(&self) -> &str {
        &self.reason
    }

    /// The tag that was set.
    pub fn tag(&self) -> Option<&str> {
        self.to_tag.as_deref()
    }

    header_setters!();

    /// The response to `request` as it goes out. Via, From, To, Call-ID and CSeq are repeated, Record-Route where a dialog is
    /// made, Timestamp in a 100. The topmost Via gets `received` and `rport` from `source`, the address that the request
    /// came from (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn to_bytes(&self, request: &Message, source: SocketAddr) -> Bytes {
        let head = request.as_bytes().len() - request.body().len();
        let mut out = Vec::with_capacity(head + tail_length(&self.headers, &self.body) + 128);
        out.extend_from_slice(b"SIP/2.0 ");
        push_number(&mut out, usize::from(self.status));
        out.push(b' ');
        out.extend_from_slice(self.reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        let records_route = (101..300).contains(&self.status)
            && matches!(&request.0.start, StartLine::Request { method, .. } if method.creates_dialog());
        let mut top = true;
        let mut written = 0;
        for header in request.raw_headers() {
            let Some(id) = header.known else { continue };
            let repeated = match id {
                HeaderName::Via | HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq => true,
                HeaderName::RecordRoute => records_route,
                HeaderName::Timestamp => self.status == 100,
                _ => false,
            };
            // A request with two of them is answered (400) too, with the first.
            if !repeated || (id.is_single() && written & id.bit() != 0) {
                continue;
            }
            written |= id.bit();
            out.extend_from_slice(id.with_colon().as_bytes());
            match id {
                HeaderName::Via if std::mem::take(&mut top) => push_via(&mut out, request, header.value, source),
                HeaderName::To => self.push_to(&mut out, request, header.value),
                _ => push_cleaned(&mut out, header.value),
            }
            out.extend_from_slice(b"\r\n");
        }
        finish(out, &self.headers, &self.body)
    }

    fn push_to(&self, out: &mut Vec<u8>, request: &Message, value: &[u8]) {
        push_cleaned(out, value);
        if let Some(tag) = &self.to_tag
            && request.to_tag().is_none()
            && !NameAddr::has_tag_parameter(value)
        {
            out.extend_from_slice(b";tag=");
            push_cleaned(out, tag.as_bytes());
        }
    }
}

/// `uri` with everything escaped that may not stand in a Request-URI.
fn clean_uri(uri: &str) -> String {
    let (mut clean, mut rest) = (String::with_capacity(uri.len()), uri);
    loop {
        // What may not stand in a URI is ASCII.
        let Some((fitting, after)) = rest.split_at_checked(grammar::long_run(rest.as_bytes(), grammar::URI)) else {
            return clean;
        };
        clean.push_str(fitting);
        let Some(byte) = after.bytes().next() else {
            return clean;
        };
        // Writing to a String does not fail.
        let _ = write!(clean, "%{byte:02X}");
        rest = after.get(1..).unwrap_or_default();
    }
}

fn push_via(out: &mut Vec<u8>, request: &Message, value: &[u8], source: SocketAddr) {
    let via = request.top_via();
    let rest = value.get(via.as_str().len()..).unwrap_or_default();
    let first = via.as_received_from(source);
    push_cleaned(out, first.as_bytes());
    push_cleaned(out, rest);
}

/// Exactly what [`finish`] appends, so that the message is written into one allocation that fits.
fn tail_length(headers: &Block, body: &Bytes) -> usize {
    let digits = body.len().checked_ilog10().map_or(1, |log| log as usize + 1);
    headers.bytes.len() + "Content-Length: \r\n\r\n".len() + digits + body.len()
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}

fn finish(mut out: Vec<u8>, headers: &Block, body: &Bytes) -> Bytes {
    out.extend_from_slice(&headers.bytes);
    out.extend_from_slice(b"Content-Length: ");
    push_number(&mut out, body.len());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    Bytes::from(out)
}

/// The usual phrase of a status code.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirected",
            4 => "Request Failed",
            5 => "Server Failed",
            _ => "Refused Everywhere",
        },
    }
}
