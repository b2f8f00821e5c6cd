//! How calls reach the shards.

use super::{Ack, Command};
use crate::sip::transaction::{ServerTransactionId, Shed};
use crate::sip::{HeaderName, HeaderValue, Hop, RequestDraft, ResponseDraft};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// The shards are gone: the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signalling has stopped")]
pub struct Stopped;

/// Whoever makes tokens of his own begins here: those below are for [`SignallingHandle::next_token`].
pub const OWN_TOKENS: u64 = 1 << 24;

/// Sends commands to the shard that they concern. Cheap to clone. Overflow: the caller waits. Requests of one call, the
/// ACKs among them, go through one shard, so that what it sends leaves in order.
#[derive(Debug, Clone)]
pub struct SignallingHandle {
    shards: Arc<[mpsc::Sender<Command>]>,
    next_token: Arc<AtomicU64>,
}

impl SignallingHandle {
    pub(super) fn new(shards: Vec<mpsc::Sender<Command>>) -> SignallingHandle {
        SignallingHandle {
            shards: shards.into(),
            next_token: Arc::new(AtomicU64::new(1)),
        }
    }

    /// A token that nobody else has, for one request. It is below [`OWN_TOKENS`]; after that many the first come again,
    /// of requests that ended long ago.
    pub fn next_token(&self) -> u64 {
        self.next_token.fetch_add(1, Ordering::Relaxed) % OWN_TOKENS
    }

    /// Sends a request as a transaction; `token` comes back with all that becomes of it.
    pub async fn request(&self, token: u64, draft: RequestDraft, hop: Hop) -> Result<(), Stopped> {
        self.send(self.of_token(token), Command::Request { token, draft, hop })
            .await
    }

    /// Cancels the INVITE of `token`, as soon as RFC 3261 §9.1 allows. Nothing happens once it had a final response.
    pub async fn cancel(&self, token: u64, headers: Vec<(HeaderName, HeaderValue)>) -> Result<(), Stopped> {
        self.send(self.of_token(token), Command::Cancel { token, headers })
            .await
    }

    /// Answers a request.
    pub async fn respond(&self, id: ServerTransactionId, draft: ResponseDraft) -> Result<(), Stopped> {
        self.send(usize::from(id.shard()), Command::Respond { id, draft }).await
    }

    /// The ACK of this INVITE's 2xx came: it is sent no more.
    pub async fn acknowledged(&self, id: ServerTransactionId) -> Result<(), Stopped> {
        self.send(usize::from(id.shard()), Command::Acknowledged { id }).await
    }

    /// Sends the ACK of a 2xx; again for each repeated 2xx. Its token is one of the call's: what the call sends after it
    /// leaves after it.
    pub async fn send_ack(&self, ack: Ack) -> Result<(), Stopped> {
        self.send(self.of_token(ack.token), Command::Ack(Box::new(ack))).await
    }

    /// Uses the connection to `hop` for nothing new: the next request opens another.
    pub async fn drop_connection(&self, hop: Hop) -> Result<(), Stopped> {
        self.send(0, Command::DropConnection { hop }).await
    }

    /// While `Some`, all shards refuse a share of the new INVITEs statelessly.
    pub async fn shed_new_calls(&self, shed: Option<Shed>) -> Result<(), Stopped> {
        for shard in 0..self.shards.len() {
            self.send(shard, Command::ShedNewCalls(shed)).await?;
        }
        Ok(())
    }

    /// From now on all shards spare INVITEs to these user parts: emergency numbers, as dialled.
    pub async fn spare(&self, users: &Arc<HashSet<String>>) -> Result<(), Stopped> {
        for shard in 0..self.shards.len() {
            self.send(shard, Command::Spare(users.clone())).await?;
        }
        Ok(())
    }

    /// Wakes the transaction user of the shard that a request came to.
    pub async fn wake(&self, id: ServerTransactionId) -> Result<(), Stopped> {
        self.send(usize::from(id.shard()), Command::Wake).await
    }

    fn of_token(&self, token: u64) -> usize {
        let count = self.shards.len().max(1) as u64;
        // Own tokens count the requests of a call below their call.
        let key = if token < OWN_TOKENS { token } else { token / OWN_TOKENS };
        usize::try_from(key % count).unwrap_or(0)
    }

    async fn send(&self, shard: usize, command: Command) -> Result<(), Stopped> {
        let queue = self.shards.get(shard).ok_or(Stopped)?;
        queue.send(command).await.map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{ListenerId, Method, Transport};

    #[test]
    fn tokens_never_run_into_those_of_others() {
        let handle = SignallingHandle::new(Vec::new());
        handle.next_token.store(OWN_TOKENS - 1, Ordering::Relaxed);
        assert_eq!([(); 3].map(|()| handle.next_token()), [OWN_TOKENS - 1, 0, 1]);
    }

    #[tokio::test]
    async fn what_one_call_sends_leaves_in_order() {
        let (queues, mut shards): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel(8)).unzip();
        let handle = SignallingHandle::new(queues);
        let hop = |port| Hop {
            transport: Transport::Udp,
            listener: ListenerId(0),
            remote: ([192, 0, 2, 1], port).into(),
            server_name: None,
            connection: None,
            account: None,
            presented: None,
        };
        let draft = |method| RequestDraft::new(method, "sip:a@b");
        let token = |number| 7 * OWN_TOKENS + number;
        handle
            .request(token(1), draft(Method::Invite), hop(5060))
            .await
            .unwrap();
        let ack = Ack::to(token(0), draft(Method::Ack), hop(5061));
        handle.send_ack(ack).await.unwrap();
        handle.request(token(2), draft(Method::Bye), hop(5062)).await.unwrap();
        let filled: Vec<usize> = shards
            .iter_mut()
            .map(|shard| shard.len())
            .filter(|len| *len > 0)
            .collect();
        assert_eq!(filled, [3]);
    }
}
