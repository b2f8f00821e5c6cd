//! Names of transactions: handles, branches, and the shard that a message belongs to.

use crate::sip::Message;
use rand::Rng;
use std::fmt;

/// What RFC 3261 §8.1.1.7 begins every branch with.
pub(super) const MAGIC_COOKIE: &str = "z9hG4bK";

/// One of the parallel transaction tables: `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u16,
    count: u16,
}

impl Shard {
    /// The only shard.
    pub const SINGLE: Shard = Shard { index: 0, count: 1 };

    /// Shard `index` of `count`; `None` unless `index < count`.
    pub const fn new(index: u16, count: u16) -> Option<Shard> {
        if index < count {
            Some(Shard { index, count })
        } else {
            None
        }
    }

    /// This shard's index.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// The index, below `count`, of the shard that must receive `message`.
    ///
    /// A response carries the shard in our branch. A request goes by Call-ID: so it meets its retransmission, CANCEL,
    /// ACK (of a 2xx too, which has another branch) and a copy that took another path (RFC 3261 §8.2.2.2).
    pub fn of(message: &Message, count: u16) -> u16 {
        let hash = if message.is_request() {
            fnv1a(message.call_id().as_bytes())
        } else {
            message.top_via().branch().and_then(branch_shard).map_or(0, u64::from)
        };
        (hash % u64::from(count.max(1))) as u16
    }
}

/// FNV-1a: spreads; the tables behind it use a keyed hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A new branch: cookie, shard in four hexadecimal digits, 96 random bits.
pub(super) fn new_branch(shard: Shard, rng: &mut impl Rng) -> String {
    format!(
        "{MAGIC_COOKIE}{:04x}{:016x}{:08x}",
        shard.index,
        rng.next_u64(),
        rng.next_u32()
    )
}

/// The shard in a branch of ours.
fn branch_shard(branch: &str) -> Option<u16> {
    let digits = branch.strip_prefix(MAGIC_COOKIE)?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// A transaction of one table. A handle of a transaction that has ended names nothing, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId {
    pub(super) shard: u16,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl TransactionId {
    /// The index of the shard whose table holds it.
    pub const fn shard(self) -> u16 {
        self.shard
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.slot, self.generation)
    }
}

/// A request that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientTransactionId(pub(super) TransactionId);

/// A request that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerTransactionId(pub(super) TransactionId);

impl ClientTransactionId {
    /// The index of the shard whose table holds it.
    pub const fn shard(self) -> u16 {
        self.0.shard
    }
}

impl ServerTransactionId {
    /// A name for transaction users that have no table: tests and rehearsals.
    pub(crate) const fn numbered(slot: u32) -> ServerTransactionId {
        ServerTransactionId(TransactionId {
            shard: 0,
            slot,
            generation: 0,
        })
    }

    /// The index of the shard whose table holds it.
    pub const fn shard(self) -> u16 {
        self.0.shard
    }
}
