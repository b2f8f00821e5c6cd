//! What the transaction layer wants done, or has to tell.

use super::identifiers::{ClientTransactionId, ServerTransactionId, TransactionId};
use crate::sip::message::Message;
use crate::sip::{Flow, Hop};
use bytes::Bytes;

/// Where bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTo {
    /// A request: to this resolved hop.
    Hop(Hop),
    /// A response (RFC 3261 §18.2.2, RFC 3581): on `flow.connection` while it lives, as a datagram to `flow.remote`
    /// else. When the connection is gone, to `fallback`.
    Flow { flow: Flow, fallback: Option<Hop> },
}

impl SendTo {
    /// The way of an answer that leaves no transaction: only a server transaction goes to the fallback (RFC 3261 §18.2.2),
    /// and nothing is opened for who has proven nothing.
    pub(super) fn without_fallback(self) -> SendTo {
        match self {
            SendTo::Flow { flow, .. } => SendTo::Flow { flow, fallback: None },
            hop @ SendTo::Hop(_) => hop,
        }
    }
}

/// Why a request got no final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Timer B or F, or 64*T1 after CANCEL. Counts as 408 (RFC 3261 §8.1.3.1).
    Timeout,
    /// The transport could not deliver it. Counts as 503.
    Transport,
}

/// One effect of the layer. `token` is what the transaction user gave with the request.
#[derive(Debug, Clone)]
pub enum Output {
    /// Bytes for the wire. When they can't be delivered and `transaction` is given, say so by
    /// [`Transactions::transport_failed`](super::Transactions::transport_failed).
    Send {
        transaction: Option<TransactionId>,
        to: SendTo,
        bytes: Bytes,
    },
    /// A new request, once. Answer it by [`Transactions::respond`](super::Transactions::respond); an INVITE that is taken and
    /// not answered at once by [`Transactions::trying`](super::Transactions::trying), within 200 ms (RFC 3261 §17.2.1).
    Request {
        id: ServerTransactionId,
        message: Message,
        flow: Flow,
    },
    /// An ACK that belongs to no refusal of ours: the dialog's.
    Ack { message: Message, flow: Flow },
    /// The INVITE `id` is cancelled and wants its 487; the CANCEL itself is answered already.
    Cancelled { id: ServerTransactionId, message: Message },
    /// A response: provisional ones, the final one, and every 2xx of an INVITE, repeated ones too (ACK each).
    Response {
        id: ClientTransactionId,
        token: u64,
        message: Message,
        flow: Flow,
    },
    /// No final response came: nothing more bears this token.
    Failed {
        id: ClientTransactionId,
        token: u64,
        cause: Cause,
    },
    /// A client transaction that had its final response is over: nothing more bears this token.
    Terminated { id: ClientTransactionId, token: u64 },
    /// No ACK came for our 2xx, which had this To-tag, within 64*T1: end the call (RFC 3261 §13.3.1.4).
    AckTimeout { id: ServerTransactionId, to_tag: Box<str> },
}
