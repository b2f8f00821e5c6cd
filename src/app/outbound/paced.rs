//! A connection of which only so many bytes are read in a second. What waits is not lost: it stays in the connection, and its
//! sender waits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How fast a connection is read: bytes that may come at once, and bytes a second from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRate {
    pub at_once: u32,
    pub per_second: u32,
}

/// The connection below TLS: also records that hold nothing count.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    rate: ReadRate,
    /// Less than nothing after a read that was longer: the next one waits for it.
    left: f64,
    at: Instant,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// Without a rate everything is read at once.
    pub fn new(stream: S, rate: Option<ReadRate>) -> Paced<S> {
        let pace = rate.map(|rate| Pace {
            rate,
            left: f64::from(rate.at_once),
            at: Instant::now(),
            rest: None,
        });
        Paced { stream, pace }
    }
}

impl Pace {
    /// Ready when something may be read.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(cx));
                self.rest = None;
            }
            let now = Instant::now();
            let rate = f64::from(self.rate.per_second);
            let since = now.saturating_duration_since(self.at).as_secs_f64();
            self.left = (self.left + since * rate).min(f64::from(self.rate.at_once));
            self.at = now;
            if self.left >= 0.0 {
                return Poll::Ready(());
            }
            // A timer has milliseconds: one that is too early would be set again and again.
            let rest = Duration::from_secs_f64(-self.left / rate) + Duration::from_millis(1);
            self.rest = Some(Box::pin(sleep_until(now + rest)));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Paced { stream, pace } = self.get_mut();
        if let Some(pace) = pace {
            ready!(pace.poll_rest(cx));
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(stream).poll_read(cx, buffer));
        if let Some(pace) = pace {
            pace.left -= (buffer.filled().len() - before) as f64;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const RATE: ReadRate = ReadRate {
        at_once: 100_000,
        per_second: 10_000,
    };

    /// How long it takes to read so many bytes, in pieces of 1,000.
    async fn reading(rate: Option<ReadRate>, bytes: usize) -> Duration {
        let (near, mut far) = duplex(4_096);
        let mut near = Paced::new(near, rate);
        let sent: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
        let expected = sent.clone();
        let begun = Instant::now();
        let writing = tokio::spawn(async move { far.write_all(&sent).await });
        let mut read = Vec::new();
        let mut piece = [0; 1_000];
        while read.len() < bytes {
            let count = near.read(&mut piece).await.expect("bytes");
            read.extend_from_slice(&piece[..count]);
        }
        writing.await.expect("a task").expect("all is written");
        assert!(read == expected, "nothing is lost");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn so_much_is_read_at_once_and_then_so_much_a_second() {
        assert_eq!(reading(Some(RATE), 100_000).await, Duration::ZERO);
        let took = reading(Some(RATE), 150_000).await;
        let about = Duration::from_millis(4_800)..Duration::from_millis(5_200);
        assert!(about.contains(&took), "{took:?}");
        assert_eq!(reading(None, 1_000_000).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_saved_up_than_may_come_at_once() {
        let (near, mut far) = duplex(1 << 20);
        let mut near = Paced::new(near, Some(RATE));
        far.write_all(&[0; 150_000]).await.expect("room");
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let begun = Instant::now();
        let mut all = vec![0; 150_000];
        for piece in all.chunks_mut(1_000) {
            near.read_exact(piece).await.expect("bytes");
        }
        assert!(begun.elapsed() >= Duration::from_millis(4_800), "{:?}", begun.elapsed());
    }
}
