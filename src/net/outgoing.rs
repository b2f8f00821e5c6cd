//! Bytes on their way to a connection, with whom must hear when they don't arrive: a transaction, or an ACK's shard.

use super::shard::Ack;
use crate::sip::transaction::TransactionId;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

/// Bytes for a stream. Dropping it before [`Outgoing::delivered`] reports them as lost, so that no path can forget to.
#[derive(Debug)]
pub struct Outgoing {
    bytes: Bytes,
    report: Option<FailureReport>,
    request: bool,
}

/// Who is told of a failure. The channel is unbounded, yet holds at most one entry for each queued message, and the
/// queues are bounded.
#[derive(Debug)]
pub struct FailureReport(About);

#[derive(Debug)]
enum About {
    Transaction(TransactionId, UnboundedSender<TransactionId>),
    Ack(Box<Ack>, UnboundedSender<Box<Ack>>),
}

impl FailureReport {
    /// A report about `transaction` to its shard.
    pub fn new(transaction: TransactionId, to: UnboundedSender<TransactionId>) -> FailureReport {
        FailureReport(About::Transaction(transaction, to))
    }

    /// An ACK that has no transaction goes back to its shard, which knows where else it may go.
    pub(super) fn of_ack(ack: Box<Ack>, to: UnboundedSender<Box<Ack>>) -> FailureReport {
        FailureReport(About::Ack(ack, to))
    }

    pub(super) fn fail(self) {
        // A shard that is gone has no transactions left to fail.
        match self.0 {
            About::Transaction(transaction, to) => drop(to.send(transaction)),
            About::Ack(ack, to) => drop(to.send(ack)),
        }
    }
}

impl Outgoing {
    /// Bytes that nobody waits for.
    pub fn unwatched(bytes: Bytes) -> Outgoing {
        Outgoing {
            bytes,
            report: None,
            request: false,
        }
    }

    /// A request. It counts as failed also when the connection dies before the peer speaks again.
    pub fn request(bytes: Bytes, report: Option<FailureReport>) -> Outgoing {
        Outgoing {
            bytes,
            report,
            request: true,
        }
    }

    /// The ACK of a 2xx. Once written it has not failed: the peer repeats its 2xx if it has not heard it.
    pub(super) fn ack(bytes: Bytes, report: FailureReport) -> Outgoing {
        Outgoing::response(bytes, Some(report))
    }

    /// A response. Once written it has not failed: the peer repeats its request if it wants it again.
    pub fn response(bytes: Bytes, report: Option<FailureReport>) -> Outgoing {
        Outgoing {
            bytes,
            report,
            request: false,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// False for keep-alive.
    pub(super) fn is_message(&self) -> bool {
        self.bytes.len() > 4
    }

    /// Whether a transaction stands behind it, which who has proven nothing never gets.
    pub(super) fn is_of_transaction(&self) -> bool {
        self.report.is_some()
    }

    /// The bytes have left. A request's report comes back: it can fail until the peer has spoken.
    pub(super) fn delivered(mut self) -> Option<FailureReport> {
        self.report.take().filter(|_| self.request)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            report.fail();
        }
    }
}
