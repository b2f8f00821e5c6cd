//! Why a message was refused, and what is needed to answer it.

use super::{HeaderName, Message, ResponseDraft};
use crate::sip::header::HeaderError;
use crate::sip::uri::UriError;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    #[error("nothing but line ends")]
    Empty,
    #[error("{size} bytes, the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("{what}: {count}, the limit is {limit}")]
    TooMany {
        what: &'static str,
        count: usize,
        limit: usize,
    },
    #[error("{what} of {size} bytes, the limit is {limit}")]
    TooLong {
        what: &'static str,
        size: usize,
        limit: usize,
    },
    #[error("the head ends without an empty line")]
    Unfinished,
    #[error("a line ends with CR or LF alone")]
    LineEnd,
    #[error("control character {0:#04x}")]
    Control(u8),
    #[error("start line: {0}")]
    StartLine(&'static str),
    #[error("version is not SIP/2.0")]
    Version,
    #[error("Request-URI: {0}")]
    RequestUri(UriError),
    #[error("the Request-URI carries headers")]
    RequestUriHeaders,
    #[error("a line that is no header")]
    NotAHeader,
    #[error("{} is missing", .0.as_str())]
    Missing(HeaderName),
    #[error("{} twice", .0.as_str())]
    Duplicate(HeaderName),
    #[error("{0}")]
    Header(HeaderError),
    #[error("Content-Length is not a number, or two of them differ")]
    ContentLength,
    #[error("Content-Length {announced}, but {present} bytes follow")]
    Truncated { announced: usize, present: usize },
    #[error("CSeq names another method than the start line")]
    MethodMismatch,
}

/// A message that was refused: the reason, where, and enough of it to answer when it was a request.
#[derive(Clone)]
pub struct ParseError {
    kind: ParseErrorKind,
    offset: usize,
    request: Option<Box<Message>>,
}

impl ParseError {
    pub(super) fn new(kind: ParseErrorKind, offset: usize) -> ParseError {
        ParseError {
            kind,
            offset,
            request: None,
        }
    }

    /// Attaches a request whose start line, Via, From, To, Call-ID and CSeq could be read.
    pub(super) fn of_request(mut self, request: Message) -> ParseError {
        self.request = Some(Box::new(request));
        self
    }

    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }

    /// Byte of the message at which it went wrong.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The status to answer a request with.
    pub fn status(&self) -> u16 {
        match &self.kind {
            ParseErrorKind::Version => 505,
            ParseErrorKind::TooLarge { .. } | ParseErrorKind::TooLong { .. } => 513,
            _ => 400,
        }
    }

    /// The answer to send back, without a transaction. None for responses, for ACK, and where the headers that an answer
    /// repeats could not be read.
    pub fn answer(&self, to_tag: &str, source: SocketAddr) -> Option<Bytes> {
        self.answer_as(self.status(), to_tag, source)
    }

    pub(in crate::sip) fn answer_as(&self, status: u16, to_tag: &str, source: SocketAddr) -> Option<Bytes> {
        let request = self.request.as_deref()?;
        let draft = ResponseDraft::new(status).because(&self.kind).to_tag(to_tag);
        Some(draft.to_bytes(request, source))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParseError")
            .field("kind", &self.kind)
            .field("offset", &self.offset)
            .field("answerable", &self.request.is_some())
            .finish()
    }
}

impl std::error::Error for ParseError {}
