//! Refusals of messages that never become transactions. Whoever is to be told nothing gets none.

use super::context::Context;
use crate::sip::{Flow, FramingError, ParseError};
use bytes::Bytes;

/// The answer to a request that did not parse; `None` where silence is right (responses, ACK, too broken to answer).
pub(super) fn refusal(error: &ParseError, flow: &Flow, context: &Context) -> Option<Bytes> {
    told(flow, context, || error.answer(&to_tag(), flow.remote))
}

/// The answer to send before a stream is closed that is no SIP any more, if its last head says whom to answer.
pub(super) fn last_words(error: &FramingError, flow: &Flow, context: &Context) -> Option<Bytes> {
    told(flow, context, || error.answer(&to_tag(), flow.remote))
}

fn told(flow: &Flow, context: &Context, answer: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
    if !context.admission.may_be_told(flow.listener, flow.remote) {
        return None;
    }
    let answer = answer()?;
    context.counters.requests_refused_unparsed.add();
    Some(answer)
}

fn to_tag() -> String {
    format!("{:016x}", rand::random::<u64>())
}
