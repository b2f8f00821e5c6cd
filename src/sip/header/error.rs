//! Why a header value could not be read.

use crate::sip::message::HeaderName;

const EXCERPT: usize = 80;

/// A header value that could not be read: which header, why, and the beginning of the value, escaped for logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}: {value:?}", header.as_str())]
pub struct HeaderError {
    pub header: HeaderName,
    pub reason: &'static str,
    pub value: String,
}

impl HeaderError {
    pub(crate) fn new(header: HeaderName, reason: &'static str, value: &[u8]) -> HeaderError {
        let excerpt = value.get(..EXCERPT).unwrap_or(value);
        HeaderError {
            header,
            reason,
            value: String::from_utf8_lossy(excerpt).into_owned(),
        }
    }
}
