//! The life of a connection: reading and writing side by side until one of them ends it.

use super::reader::Reader;
use super::writer::write;
use super::{CloseReason, Connection, KeepAlive, StreamLimits};
use crate::net::context::Context;
use crate::net::outgoing::{FailureReport, Outgoing};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// To say goodbye (the refusal of a broken stream, close_notify) once the connection has ended for us.
const FAREWELL: Duration = Duration::from_secs(1);
/// Requests remembered as written but unanswered; older ones run into their timers instead.
const REMEMBERED: usize = 256;

/// Serves `stream` until it ends, by a panic too, and returns why. The caller has put `connection` into the table, and takes
/// it out.
pub(in crate::net) async fn serve<S>(
    stream: S,
    connection: &Connection,
    queue: mpsc::Receiver<Outgoing>,
    limits: &StreamLimits,
    keep_alive: &KeepAlive,
    context: &Context,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let life = live(stream, connection, queue, limits, keep_alive, context);
    AssertUnwindSafe(life).catch_unwind().await.unwrap_or_else(|_| {
        context.counters.tasks_panicked.add();
        connection.close(CloseReason::Panicked);
        CloseReason::Panicked
    })
}

async fn live<S>(
    stream: S,
    connection: &Connection,
    mut queue: mpsc::Receiver<Outgoing>,
    limits: &StreamLimits,
    keep_alive: &KeepAlive,
    context: &Context,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reading, mut writing) = tokio::io::split(stream);
    let life = Life {
        connection,
        limits,
        keep_alive,
        context,
        bytes_read: AtomicU64::new(0),
        awaits_pong: AtomicBool::new(false),
        answers_pings: AtomicBool::new(false),
        unanswered: Mutex::default(),
    };
    let mut reader = Reader::new(&life);
    let reason = tokio::select! {
        reason = reader.run(reading) => reason,
        reason = write(&life, &mut writing, &mut queue) => reason,
        () = connection.closed.notified() => connection.closing.get().cloned().unwrap_or(CloseReason::Stopped),
        () = context.tasks.stopping() => CloseReason::Stopped,
    };
    connection.close(reason.clone());
    // Responses and BYEs of the last moment still leave when we stop. Else what is queued fails now, not after the
    // farewell: its transactions may have another way to go.
    let mut last = Vec::new();
    while let (CloseReason::Stopped, Ok(outgoing)) = (&reason, queue.try_recv()) {
        last.push(outgoing);
    }
    drop(queue);
    // Where it was we who found it quiet for minutes, timers have long told the transactions.
    if !matches!(reason, CloseReason::Drained | CloseReason::Idle) {
        life.fail_unanswered();
    }
    // The peer may be gone or not reading: nobody waits for the outcome.
    let _ = timeout(FAREWELL, async {
        for outgoing in last {
            writing.write_all(outgoing.bytes()).await?;
            drop(outgoing.delivered());
        }
        if let Some(refusal) = reader.last_words() {
            writing.write_all(&refusal).await?;
        }
        writing.shutdown().await
    })
    .await;
    reason
}

/// What reading and writing share.
pub(super) struct Life<'a> {
    pub(super) connection: &'a Connection,
    pub(super) limits: &'a StreamLimits,
    pub(super) keep_alive: &'a KeepAlive,
    pub(super) context: &'a Context,
    pub(super) bytes_read: AtomicU64,
    /// A ping of ours has no answer yet: line ends that come by themselves are none.
    pub(super) awaits_pong: AtomicBool,
    /// The peer has answered a ping before, so a missing pong means that it is gone. Until then it may simply not know
    /// RFC 5626.
    pub(super) answers_pings: AtomicBool,
    /// Requests written since the peer last sent a message: should the connection die now, they were never heard. So it
    /// is with a client certificate refused under TLS 1.3, where we have finished the handshake before the server has.
    unanswered: Mutex<Vec<FailureReport>>,
}

impl Life<'_> {
    pub(super) fn remember(&self, reports: impl Iterator<Item = FailureReport>) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let room = REMEMBERED.saturating_sub(unanswered.len());
        unanswered.extend(reports.take(room));
    }

    pub(super) fn peer_spoke(&self) {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn fail_unanswered(&self) {
        let unanswered = std::mem::take(&mut *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner));
        for report in unanswered {
            report.fail();
        }
    }
}
