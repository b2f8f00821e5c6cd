//! The way of received messages to their shards.

use super::counters::Counters;
use crate::sip::Flow;
use crate::sip::message::Message;
use crate::sip::transaction::Shard;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A message with its flow.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    pub flow: Flow,
}

/// The shards' queues of received messages. Overflow: datagrams are dropped and counted (peers retransmit), connections
/// wait (TCP slows the peer).
#[derive(Debug, Clone)]
pub struct Inbox {
    shards: Arc<[mpsc::Sender<Received>]>,
    counters: Arc<Counters>,
}

impl Inbox {
    /// Queues of `capacity` messages for `shards` shards, with their receiving ends in shard order.
    pub fn new(shards: u16, capacity: usize, counters: Arc<Counters>) -> (Inbox, Vec<mpsc::Receiver<Received>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards.max(1)).map(|_| mpsc::channel(capacity.max(1))).unzip();
        (
            Inbox {
                shards: senders.into(),
                counters,
            },
            receivers,
        )
    }

    /// How full the fullest queue is: 0 to 1.
    pub(super) fn fullness(&self) -> f64 {
        let full = |queue: &mpsc::Sender<Received>| 1.0 - queue.capacity() as f64 / queue.max_capacity() as f64;
        self.shards.iter().map(full).fold(0.0, f64::max)
    }

    pub(super) fn datagram(&self, message: Message, flow: Flow) {
        if let Some(shard) = self.shard(&message)
            && shard.try_send(Received { message, flow }).is_err()
        {
            self.counters.datagrams_shed.add();
        }
    }

    pub(super) async fn stream(&self, message: Message, flow: Flow) {
        if let Some(shard) = self.shard(&message) {
            // A closed queue means that the node stops; its connections are being closed as well.
            let _ = shard.send(Received { message, flow }).await;
        }
    }

    fn shard(&self, message: &Message) -> Option<&mpsc::Sender<Received>> {
        let count = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        self.shards.get(usize::from(Shard::of(message, count)))
    }
}
