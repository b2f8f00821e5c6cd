//! What a leg and a worker counted. Plain data; [`WorkerCounters`] is what other threads read meanwhile.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One leg, from its opening on. What was lost, late or jittered concerns the present source (SSRC): a new one starts
/// those figures again, the other counts go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaStats {
    /// From the peer to us.
    pub received: Received,
    /// From us to the peer.
    pub sent: Sent,
    /// Where RTP goes: the signalled address, or the learnt one.
    pub remote: Option<SocketAddr>,
    /// Last round trip from the peer's reception reports.
    pub round_trip: Option<Duration>,
}

/// Packets from the peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// RTP packets that were believed.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// The present source.
    pub ssrc: Option<u32>,
    /// Of the present source: expected and never seen; negative when duplicates outweigh losses (RFC 3550 §6.4.1).
    pub lost: i64,
    /// Of the present source: interarrival jitter, milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: f64,
    /// Of the present source: seen before.
    pub duplicates: u64,
    /// Of the present source: after a later one.
    pub reordered: u64,
    /// Times that the source changed.
    pub source_changes: u64,
    /// RTCP packets that were believed.
    pub rtcp_packets: u64,
    /// Connectivity checks that were answered.
    #[serde(default)]
    pub checks: u64,
    /// Packets that were not believed or not passed on.
    pub dropped: Dropped,
}

/// Why packets from the network went no further.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// SRTP or SRTCP tag wrong.
    pub auth_failures: u64,
    /// SRTP or SRTCP index seen before, or older than the window.
    pub replays: u64,
    /// Anything before the first configuration: a peer that speaks before the answer says what, or from where.
    pub early: u64,
    /// Plain packets from an address that is not believed.
    pub strangers: u64,
    /// Plain packets from the right address that do not continue its stream (another SSRC, a far sequence number); of an
    /// SRTP leg: of another fork than the one that is heard.
    pub off_stream: u64,
    /// Payload type not negotiated, or without a counterpart on the bridged leg.
    pub payload: u64,
    /// The direction does not allow it (hold), or the leg was muted and silence can't be put in its place.
    pub muted: u64,
    /// A sound or digits were sent to the bridged leg's peer instead.
    pub replaced: u64,
    /// Believed, but no bridged leg could take it.
    pub unbridged: u64,
    /// Neither RTP, RTCP, STUN nor DTLS, or a header that lies about its length.
    pub malformed: u64,
    /// Longer than a media packet may be.
    pub oversize: u64,
    /// STUN or DTLS on a leg that negotiated neither.
    pub not_negotiated: u64,
    /// From a media address of our own.
    pub hairpin: u64,
    /// Connectivity checks under another user name than ours.
    #[serde(default)]
    pub stun_user: u64,
    /// Connectivity checks under our user name, without our password.
    #[serde(default)]
    pub stun_integrity: u64,
    /// Connectivity checks of a peer that claims to be controlled, as we are.
    #[serde(default)]
    pub stun_role: u64,
}

/// Packets to the peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// RTP packets that the kernel took.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// RTCP packets that the kernel took.
    pub rtcp_packets: u64,
    /// Packets that the kernel or the encryption refused.
    pub errors: u64,
    /// The peer's last reception report about them.
    pub reported: Option<PeerReport>,
}

/// A reception report of the peer about what we send (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PeerReport {
    /// Packets lost since the start of its reception.
    pub lost: i32,
    /// Share lost since its report before, 0 to 1.
    pub fraction_lost: f32,
    /// Interarrival jitter at the peer, milliseconds.
    pub jitter_ms: f64,
}

/// A worker's totals since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStats {
    /// Returns from the wait for readiness.
    pub wakeups: u64,
    /// Packets taken from sockets, good or bad.
    pub packets_in: u64,
    /// Packets handed to the kernel.
    pub packets_out: u64,
    /// Sends refused because a socket buffer was full.
    pub send_would_block: u64,
    /// Sends refused for another reason.
    pub send_errors: u64,
    /// Events that an owner's full queue did not take.
    pub events_dropped: u64,
    /// Legs closed because their owner had gone.
    pub orphans: u64,
    /// Legs closed because handling a packet panicked.
    pub panics: u64,
    /// Legs now.
    pub legs: u64,
}

/// [`WorkerStats`] where other threads can read them: stored once per wake-up, by the worker alone.
#[derive(Default)]
pub(super) struct WorkerCounters {
    cells: [AtomicU64; 9],
}

impl WorkerCounters {
    pub fn publish(&self, stats: &WorkerStats) {
        let values = [
            stats.wakeups,
            stats.packets_in,
            stats.packets_out,
            stats.send_would_block,
            stats.send_errors,
            stats.events_dropped,
            stats.orphans,
            stats.panics,
            stats.legs,
        ];
        for (cell, value) in self.cells.iter().zip(values) {
            cell.store(value, Relaxed);
        }
    }

    pub fn read(&self) -> WorkerStats {
        let [
            wakeups,
            packets_in,
            packets_out,
            send_would_block,
            send_errors,
            events_dropped,
            orphans,
            panics,
            legs,
        ] = self.cells.each_ref().map(|cell| cell.load(Relaxed));
        WorkerStats {
            wakeups,
            packets_in,
            packets_out,
            send_would_block,
            send_errors,
            events_dropped,
            orphans,
            panics,
            legs,
        }
    }
}
