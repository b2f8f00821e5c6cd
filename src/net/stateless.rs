//! Refusals of messages that never become transactions.

use crate::sip::{Flow, FramingError, ParseError};
use bytes::Bytes;

/// The answer to a request that did not parse; `None` where silence is right (responses, ACK, too broken to answer).
pub(super) fn refusal(error: &ParseError, flow: &Flow) -> Option<Bytes> {
    error.answer(&to_tag(), flow.remote)
}

/// The answer to send before a stream is closed that is no SIP any more, if its last head says whom to answer.
pub(super) fn last_words(error: &FramingError, flow: &Flow) -> Option<Bytes> {
    error.answer(&to_tag(), flow.remote)
}

fn to_tag() -> String {
    format!("{:016x}", rand::random::<u64>())
}
