//! Header values that we write: a line end or NUL can't get in.

use super::name::HeaderName;
use crate::sip::grammar::{has_control, is_control, is_token};
use std::fmt;

/// Why a header can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("control character {byte:#04x} at byte {at} of a header value")]
    Control { byte: u8, at: usize },
    #[error("{0:?} is no header name")]
    Name(String),
    #[error("{} is written by the message writer", .0.as_str())]
    Reserved(HeaderName),
}

/// A header value without control characters. Bytes that are not UTF-8 are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderValue(Box<[u8]>);

impl HeaderValue {
    /// Takes a value as it is, or refuses it: for what users and applications give.
    pub fn new(value: impl AsRef<[u8]>) -> Result<HeaderValue, InvalidHeader> {
        let value = value.as_ref();
        match value.iter().enumerate().find(|(_, byte)| is_control(**byte)) {
            Some((at, byte)) => Err(InvalidHeader::Control { byte: *byte, at }),
            None => Ok(HeaderValue(value.into())),
        }
    }

    /// Takes a value and puts a space in place of every control character: for what peers sent and what we made.
    pub fn cleaned(value: impl AsRef<[u8]>) -> HeaderValue {
        let mut value: Box<[u8]> = value.as_ref().into();
        if has_control(&value) {
            blank_controls(&mut value);
        }
        HeaderValue(value)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Appends `text` with a space in place of every control character.
pub(super) fn push_cleaned(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    if !has_control(text) {
        return;
    }
    blank_controls(out.get_mut(start..).unwrap_or_default());
}

fn blank_controls(text: &mut [u8]) {
    for byte in text {
        if is_control(*byte) {
            *byte = b' ';
        }
    }
}

/// The id of a header name, when it is one that a caller may write.
pub(super) fn writable_name(name: &str) -> Result<Option<HeaderName>, InvalidHeader> {
    if !is_token(name.as_bytes()) {
        return Err(InvalidHeader::Name(name.to_owned()));
    }
    match HeaderName::parse(name.as_bytes()) {
        Some(id @ (HeaderName::Via | HeaderName::ContentLength)) => Err(InvalidHeader::Reserved(id)),
        id => Ok(id),
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
