//! Why the media plane refused something.

use super::{LegId, PortUsage};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A refusal. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A worker could not be started.
    #[error("the media plane did not start: {0}")]
    Start(#[source] io::Error),
    /// Every port is held by a leg, by somebody else, or kept for emergency calls.
    #[error("no media port of {address} is free: {}", exhausted(usage, *foreign, *kept))]
    PortsExhausted {
        /// The bind address.
        address: IpAddr,
        /// Its range. What others hold rests.
        usage: PortUsage,
        /// Ports that other programs hold.
        foreign: u32,
        /// The last ones, resting or not, that were kept from this leg: they are for emergency calls.
        kept: u32,
    },
    /// The kernel refused a socket (descriptors, address not ours).
    #[error("media socket on {address}: {error}")]
    Socket {
        /// What was to be bound.
        address: SocketAddr,
        /// The kernel's reason.
        #[source]
        error: io::Error,
    },
    /// No media address of this index is configured.
    #[error("there is no media address {0}")]
    NoSuchAddress(usize),
    /// An id of another process.
    #[error("there is no media worker {0}")]
    NoSuchWorker(u16),
    /// The leg is closed.
    #[error("media leg {0} is closed")]
    NoSuchLeg(LegId),
    /// Bridged legs must be two and share a worker: open the second one near the first.
    #[error("media legs {0} and {1} do not share a worker")]
    NotBridgeable(LegId, LegId),
    /// Not 0 to 127.
    #[error("{0} is no payload type")]
    PayloadNumber(u8),
    /// Not a digit that can be sent.
    #[error("`{0}` is no DTMF digit")]
    Digit(char),
    /// One key for both directions is refused: the same key stream would be used twice (RFC 4568 §6.1).
    #[error("both directions have the same SRTP key")]
    SameKeys,
    /// The worker has thousands of commands waiting.
    #[error("media worker {0} is too far behind")]
    Behind(u16),
    /// The worker could not go on; its legs were closed.
    #[error("media worker {0} has ended")]
    WorkerEnded(u16),
    /// All of them have ended.
    #[error("every media worker has ended")]
    NoWorkers,
}

/// What became of all ports of a range.
fn exhausted(usage: &PortUsage, foreign: u32, kept: u32) -> String {
    let resting = usage.resting.saturating_sub(foreign);
    let mut words = format!("of {} ports {} are in use", usage.capacity, usage.in_use);
    for (count, what) in [
        (resting, "rest after a call"),
        (foreign, "are held by other programs"),
        (kept, "are kept for emergency calls, resting or not"),
    ] {
        if count > 0 {
            words.push_str(&format!(", {count} {what}"));
        }
    }
    words
}
