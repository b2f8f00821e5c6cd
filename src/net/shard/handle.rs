//! How calls reach the shards.

use super::Command;
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

/// Sends commands to the shard that they concern. Cheap to clone. Overflow: the caller waits; commands of one caller
/// about one transaction stay in order.
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

    /// Sends the ACK of a 2xx; again for each repeated 2xx.
    pub async fn send_ack(&self, draft: RequestDraft, hop: Hop) -> Result<(), Stopped> {
        self.send(self.of_token(u64::from(hop.remote.port())), Command::Ack { draft, hop })
            .await
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
        usize::try_from(token % count).unwrap_or(0)
    }

    async fn send(&self, shard: usize, command: Command) -> Result<(), Stopped> {
        let queue = self.shards.get(shard).ok_or(Stopped)?;
        queue.send(command).await.map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_never_run_into_those_of_others() {
        let handle = SignallingHandle::new(Vec::new());
        handle.next_token.store(OWN_TOKENS - 1, Ordering::Relaxed);
        assert_eq!([(); 3].map(|()| handle.next_token()), [OWN_TOKENS - 1, 0, 1]);
    }
}
