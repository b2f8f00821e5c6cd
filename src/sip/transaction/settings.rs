//! What the operator may set of the transaction layer.

use super::identifiers::Shard;
use super::marks::Marks;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The timers of RFC 3261 §17 and Table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate: first retransmission interval; 64*T1 bounds a transaction.
    pub t1: Duration,
    /// The longest retransmission interval of non-INVITE requests and of INVITE responses.
    pub t2: Duration,
    /// How long a message may live in the network.
    pub t4: Duration,
    /// How long an INVITE may ring in either direction: a safety net behind the call's own ring limits, the longest of which
    /// is an hour, so that a call that was lost leaves no transaction behind (at least timer C, 3 minutes).
    pub invite_limit: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            invite_limit: Duration::from_secs(3_660),
        }
    }
}

impl Timers {
    /// 64*T1: timers B, F, H, J, L, M.
    pub fn transaction_timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D on unreliable transports: as long as the peer's timer H may repeat its response.
    pub(super) fn d(&self) -> Duration {
        self.transaction_timeout()
    }
}

/// How much a peer may make us remember. Above the limits new work is refused statelessly (503 and Retry-After);
/// requests in dialogs that live, OPTIONS and priority users pass up to twice the limits, for memory stays bounded.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Server transactions at a time.
    pub max_transactions: usize,
    /// Server transactions at a time from one source address.
    pub max_per_source: usize,
    /// Server transactions at a time in one dialog; a few BYEs pass above it.
    pub max_per_dialog: usize,
    /// The base of Retry-After, in whole seconds; up to as much again is added to spread the return.
    pub retry_after: Duration,
    /// User parts of Request-URIs that are never shed: emergency numbers, as dialled.
    pub priority_users: Arc<HashSet<String>>,
}

impl Default for Limits {
    /// Over UDP a call leaves two server transactions behind for 32 s (timers L and J), of half a KiB each: 1,500 calls a
    /// second, all that one core can do, are 96,000. Keys pressed without a pause, each an INFO, are some hundred in that time.
    fn default() -> Limits {
        Limits {
            max_transactions: 200_000,
            max_per_source: 150_000,
            max_per_dialog: 1_000,
            retry_after: Duration::from_secs(5),
            priority_users: Arc::default(),
        }
    }
}

/// Everything [`Transactions::new`](super::Transactions::new) wants.
#[derive(Debug, Clone)]
pub struct Settings {
    pub timers: Timers,
    pub limits: Limits,
    /// On responses.
    pub marks: Marks,
    /// Which shard this is.
    pub shard: Shard,
    /// Seeds the generator of branches: from the system's randomness in production, fixed in tests.
    pub seed: [u8; 32],
}
