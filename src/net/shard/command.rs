//! What calls want from a shard.

use crate::sip::transaction::{ServerTransactionId, Shed};
use crate::sip::{HeaderName, HeaderValue, Hop, RequestDraft, ResponseDraft};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The ACK of a 2xx. It has no transaction; `token` comes back when it could be sent nowhere.
#[derive(Debug, Clone)]
pub struct Ack {
    pub token: u64,
    pub draft: RequestDraft,
    pub hop: Hop,
    /// Where else its name leads: it goes there when no connection takes it (RFC 3263 §4.3).
    pub others: VecDeque<Hop>,
}

impl Ack {
    /// One that goes to `hop` or nowhere.
    pub fn to(token: u64, draft: RequestDraft, hop: Hop) -> Ack {
        Ack {
            token,
            draft,
            hop,
            others: VecDeque::new(),
        }
    }
}

/// One wish.
#[derive(Debug, Clone)]
pub enum Command {
    /// Send a request as a transaction. `token` comes back with all that becomes of it; it must be new
    /// ([`SignallingHandle::next_token`](super::SignallingHandle::next_token)).
    Request { token: u64, draft: RequestDraft, hop: Hop },
    /// Cancel the INVITE of `token`, as soon as RFC 3261 §9.1 allows. `headers` (Reason) go with it.
    Cancel {
        token: u64,
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// Answer a request.
    Respond {
        id: ServerTransactionId,
        draft: ResponseDraft,
    },
    /// Answer a request with a refusal that leaves nothing behind, or not at all: a copy of it is a new request.
    Refuse {
        id: ServerTransactionId,
        draft: Option<ResponseDraft>,
    },
    /// The INVITE is taken: 100 Trying, unless it was answered already.
    Trying { id: ServerTransactionId },
    /// The ACK of this INVITE's 2xx came.
    Acknowledged { id: ServerTransactionId },
    /// Send the ACK of a 2xx.
    Ack(Box<Ack>),
    /// Let go of the connection that we opened to this hop.
    DropConnection { hop: Hop },
    /// While `Some`, a share of the new INVITEs is refused statelessly.
    ShedNewCalls(Option<Shed>),
    /// The transaction user has news of its own ([`TransactionUser::woken`](super::TransactionUser::woken)).
    Wake,
    /// From now on these user parts are never shed: emergency numbers, as dialled.
    Spare(Arc<HashSet<String>>),
}
