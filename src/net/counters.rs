//! Counts of everything that the transports refuse, drop or lose, for metrics and doctor.

use super::handshake::HandshakeFailure;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The present count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counts, each with the name that a metric takes from it.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])+ pub $name: Counter,)+
            handshakes_failed: Mutex<BTreeMap<&'static str, u64>>,
        }

        impl Counters {
            /// Name and value of every plain count.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Datagrams that held a message.
    datagrams_received,
    /// Datagrams from sources that admission refused.
    datagrams_not_admitted,
    /// Datagrams dropped because their shard's queue was full, or its shard gone; peers retransmit.
    datagrams_shed,
    /// Messages, of any transport, that did not parse.
    messages_unparsable,
    /// Requests among them that were answered: malformed, or beyond a limit.
    requests_refused_unparsed,
    /// Datagrams that the kernel would not take.
    datagrams_not_sent,
    /// Messages longer than 1,300 bytes that left in datagrams, most likely in fragments.
    datagrams_long,
    /// Receive errors of a UDP socket.
    datagram_errors,
    /// Messages received on connections.
    stream_messages_received,
    /// Messages on connections that had to wait because a stranger's rate was used up: nothing is read meanwhile.
    stream_messages_paced,
    /// Connections accepted and served.
    connections_accepted,
    /// Connections opened by us.
    connections_opened,
    /// Connections ended, either side's.
    connections_closed,
    /// Connections from sources that admission refused.
    connections_not_admitted,
    /// Connections refused because there were too many, in all or from one source.
    connections_over_limit,
    /// Connections refused because too many handshakes were going on.
    handshakes_over_limit,
    /// Accept errors of a listening socket (out of descriptors, for one).
    accept_errors,
    /// Connects that failed before TLS.
    connects_failed,
    /// Messages for which no connection was opened: there are too many, in all or on one account.
    hops_over_limit,
    /// Messages that could not be delivered and were reported so.
    sends_failed,
    /// Responses to transactions that had ended.
    responses_late,
    /// Keep-alive pings that came faster than we answer.
    pings_ignored,
    /// Panics, each a defect: one message, one connection or one event of a call is lost; a shard or a listener that ends
    /// by one ends the node.
    tasks_panicked,
}

impl Counters {
    /// Handshakes that failed, by the label of the cause; causes that have not come are at 0.
    pub fn handshakes_failed(&self) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, _> = HandshakeFailure::labels().map(|label| (label, 0)).collect();
        let failed = self.handshakes_failed.lock().unwrap_or_else(PoisonError::into_inner);
        counts.extend(failed.iter().map(|(label, count)| (*label, *count)));
        counts
    }

    pub(super) fn handshake_failed(&self, label: &'static str) {
        *self
            .handshakes_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(label)
            .or_default() += 1;
    }
}
