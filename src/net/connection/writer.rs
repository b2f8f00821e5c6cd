//! The writing half: the queue in batches, pings between them.

use super::serve::Life;
use super::{CloseReason, Opener};
use crate::net::outgoing::Outgoing;
use std::io;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

const PING: &[u8] = b"\r\n\r\n";
/// Messages that share one flush.
const BATCH: usize = 32;

/// Where the keep-alive stands (RFC 5626 §4.4.1).
enum Ping {
    Due(Instant),
    /// `read`: bytes read from the peer when the ping left. Any byte after that proves life.
    Awaiting {
        until: Instant,
        read: u64,
    },
}

/// Writes until the connection fails; ends by itself only then, or when the queue's senders are gone.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    life: &Life<'_>,
    writing: &mut W,
    queue: &mut mpsc::Receiver<Outgoing>,
) -> CloseReason {
    let pinging = life.connection.opener == Opener::Us;
    let mut ping = Ping::Due(Instant::now() + life.keep_alive.interval);
    loop {
        let wake = match ping {
            Ping::Due(at) | Ping::Awaiting { until: at, .. } => at,
        };
        let written = tokio::select! {
            outgoing = queue.recv() => match outgoing {
                Some(outgoing) => timeout(life.limits.write, write_batch(life, writing, outgoing, queue)).await,
                None => return CloseReason::Stopped,
            },
            () = sleep_until(wake), if pinging => {
                let read = life.bytes_read.load(Ordering::Relaxed);
                match ping {
                    Ping::Due(_) => {
                        ping = Ping::Awaiting { until: Instant::now() + life.keep_alive.pong, read };
                        life.awaits_pong.store(true, Ordering::Relaxed);
                        timeout(life.limits.write, write_flushed(writing, PING)).await
                    }
                    Ping::Awaiting { read: before, .. } => {
                        if before == read && life.answers_pings.load(Ordering::Relaxed) {
                            return CloseReason::NoPong;
                        }
                        life.awaits_pong.store(false, Ordering::Relaxed);
                        let rest = life.keep_alive.interval.saturating_sub(life.keep_alive.pong);
                        ping = Ping::Due(Instant::now() + rest);
                        continue;
                    }
                }
            }
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return CloseReason::of_error(&error),
            Err(_) => return CloseReason::WriteStalled,
        }
    }
}

async fn write_batch<W: AsyncWrite + Unpin>(
    life: &Life<'_>,
    writing: &mut W,
    first: Outgoing,
    queue: &mut mpsc::Receiver<Outgoing>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(outgoing) = next {
        writing.write_all(outgoing.bytes()).await?;
        batch.push(outgoing);
        next = if batch.len() < BATCH {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    writing.flush().await?;
    if batch.iter().any(Outgoing::is_of_transaction) {
        life.connection.serves();
    }
    let messages = batch.iter().filter(|outgoing| outgoing.is_message()).count();
    if messages > 0 {
        life.connection.sent.fetch_add(messages as u64, Ordering::Relaxed);
        life.connection.touch(life.context.clock.now());
    }
    life.remember(batch.into_iter().filter_map(Outgoing::delivered));
    Ok(())
}

async fn write_flushed<W: AsyncWrite + Unpin>(writing: &mut W, bytes: &[u8]) -> io::Result<()> {
    writing.write_all(bytes).await?;
    writing.flush().await
}
