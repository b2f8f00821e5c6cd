//! Cuts messages out of a byte stream (RFC 3261 §18.3: Content-Length is required there) and finds the keep-alives between
//! them (RFC 5626 §4.4.1). Bytes come in as they arrive, frames come out; nothing but unfinished bytes is held.

use super::message::limits::{MAX_HEAD, MAX_MESSAGE};
use super::message::{Message, ParseErrorKind, ResponseDraft, StreamHead, head_of_stream};
use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use std::net::SocketAddr;

/// What stands next in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message for [`Message::parse`].
    Message(Bytes),
    /// CRLFCRLF: to be answered by CRLF.
    KeepAlivePing,
    /// CRLF alone: the answer to our ping.
    Pong,
}

/// Why no message boundary can be found any more. Framing is lost with every one of them: after the answer, if there is one, the
/// connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingErrorKind {
    #[error("no end of head within {MAX_HEAD} bytes")]
    HeadTooLarge,
    #[error("no Content-Length, which streams require")]
    NoContentLength,
    #[error("a message of {size} bytes, the limit is {MAX_MESSAGE}")]
    TooLarge { size: usize },
    #[error("{0}")]
    Head(ParseErrorKind),
    #[error("{size} bytes were pushed without taking frames out, the limit is {limit}")]
    Overflow { size: usize, limit: usize },
}

/// See [`FramingErrorKind`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind} (at byte {offset} of the message)")]
pub struct FramingError {
    kind: FramingErrorKind,
    offset: usize,
    head: Bytes,
}

impl FramingError {
    pub fn kind(&self) -> &FramingErrorKind {
        &self.kind
    }

    /// Byte of the message at which it went wrong.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The status to answer with before closing.
    pub fn status(&self) -> u16 {
        match self.kind {
            FramingErrorKind::HeadTooLarge | FramingErrorKind::TooLarge { .. } => 513,
            _ => 400,
        }
    }

    /// The answer to send before closing, when the head, or the beginning of one that is too large, names who asks.
    pub fn answer(&self, to_tag: &str, source: SocketAddr) -> Option<Bytes> {
        let head = match self.kind {
            FramingErrorKind::HeadTooLarge => whole_lines(&self.head)?,
            _ => self.head.clone(),
        };
        match Message::parse(head) {
            Ok(request) if request.is_request() && request.cseq_method().as_str() != "ACK" => {
                let draft = ResponseDraft::new(self.status()).because(&self.kind).to_tag(to_tag);
                Some(draft.to_bytes(&request, source))
            }
            Ok(_) => None,
            Err(error) => error.answer_as(self.status(), to_tag, source),
        }
    }
}

/// The lines that a head begins with, ended as a head ends.
fn whole_lines(head: &[u8]) -> Option<Bytes> {
    let end = memmem::rfind(head, b"\r\n")? + 2;
    let lines = head.get(..end)?;
    Some([lines, b"\r\n"].concat().into())
}

/// The framer of one connection.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Bytes of the buffer in which no end of head begins.
    searched: usize,
    /// Length of the message that the buffer begins with, once its head is read.
    awaited: Option<usize>,
    failed: Option<FramingError>,
}

impl StreamFramer {
    /// Most bytes that may wait: a whole message, and what one read brought behind it.
    pub const MAX_BUFFERED: usize = 2 * MAX_MESSAGE;

    pub fn new() -> StreamFramer {
        StreamFramer::default()
    }

    /// Takes bytes from the connection. Frames are to be taken out with [`StreamFramer::next`] before more are pushed: bytes
    /// beyond [`StreamFramer::MAX_BUFFERED`] are not stored, and `next` fails once it reaches them.
    pub fn push(&mut self, bytes: &[u8]) {
        let size = self.buffer.len() + bytes.len();
        if self.failed.is_some() {
            return;
        }
        if size > Self::MAX_BUFFERED {
            let limit = Self::MAX_BUFFERED;
            self.fail(FramingErrorKind::Overflow { size, limit }, limit, 0);
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; None when more bytes are needed.
    ///
    /// # Errors
    /// Framing is lost. The same error comes again on every later call.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.awaited.is_none() {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            self.awaited = match self.read_head() {
                Ok(length) => length,
                Err((kind, offset, head)) => return Err(self.fail(kind, offset, head)),
            };
        }
        match self.awaited {
            Some(length) if self.buffer.len() >= length => {
                self.awaited = None;
                self.searched = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    /// True while part of a message waits for the rest: the reader's header timeout runs then.
    pub fn is_within_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn keep_alive(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.advance(4);
            return Some(Frame::KeepAlivePing);
        }
        if *self.buffer == *b"\r\n" {
            self.buffer.advance(2);
            return Some(Frame::Pong);
        }
        // Line ends before a start line are passed over (RFC 3261 §7.5).
        if self.buffer.starts_with(b"\r\n") && !matches!(self.buffer.get(2), Some(b'\r')) {
            self.buffer.advance(2);
        }
        None
    }

    /// Length of the message that the buffer begins with.
    fn read_head(&mut self) -> Result<Option<usize>, (FramingErrorKind, usize, usize)> {
        if self.buffer.starts_with(b"\r") {
            return Ok(None);
        }
        let from = self.searched.saturating_sub(3);
        let found = memmem::find(self.buffer.get(from..).unwrap_or_default(), b"\r\n\r\n");
        let Some(end) = found.map(|at| from + at + 4) else {
            self.searched = self.buffer.len();
            return match self.buffer.len() > MAX_HEAD {
                true => Err((FramingErrorKind::HeadTooLarge, MAX_HEAD, MAX_HEAD)),
                false => Ok(None),
            };
        };
        if end > MAX_HEAD {
            return Err((FramingErrorKind::HeadTooLarge, MAX_HEAD, MAX_HEAD));
        }
        let head = self.buffer.get(..end).unwrap_or_default();
        let StreamHead { length, body } =
            head_of_stream(head).map_err(|(kind, at)| (FramingErrorKind::Head(kind), at, end))?;
        let body = body.ok_or((FramingErrorKind::NoContentLength, 0, end))?;
        match length.checked_add(body) {
            Some(size) if size <= MAX_MESSAGE => Ok(Some(size)),
            size => {
                let size = size.unwrap_or(usize::MAX);
                Err((FramingErrorKind::TooLarge { size }, 0, end))
            }
        }
    }

    fn fail(&mut self, kind: FramingErrorKind, offset: usize, head: usize) -> FramingError {
        let head = self.buffer.split_to(head.min(self.buffer.len())).freeze();
        self.buffer = BytesMut::new();
        let error = FramingError { kind, offset, head };
        self.failed = Some(error.clone());
        error
    }
}

#[cfg(test)]
mod tests;
