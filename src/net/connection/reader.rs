//! The reading half: framing, parsing, pongs, and the deadlines that a slow or silent peer runs into.

use super::serve::Life;
use super::{CloseReason, Opener};
use crate::net::admission::{Admittance, Approach};
use crate::net::outgoing::Outgoing;
use crate::net::stateless;
use crate::sip::{Flow, Frame, FramingError, Message, StreamFramer};
use bytes::{Bytes, BytesMut};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep, sleep_until};

const PONG: Bytes = Bytes::from_static(b"\r\n");
/// A peer's pings are answered this often at most: what comes faster neither costs writes nor proves life.
const PONG_SPACING: Duration = Duration::from_secs(1);
/// A draining connection that is never quiet (the peer's OPTIONS come every minute) ends after this many times the quiet
/// that it waits for.
const DRAINING_LIMIT: u32 = 9;
/// A stranger that has spoken enough for this second is asked again after this long.
const PACE: Duration = Duration::from_millis(100);
const READ_BUFFER: usize = 16 * 1024;

pub(super) struct Reader<'a> {
    life: &'a Life<'a>,
    framer: StreamFramer,
    /// When the first byte of the unfinished message came.
    begun: Option<Instant>,
    last_pong: Option<Instant>,
    last_words: Option<Bytes>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(life: &'a Life<'a>) -> Reader<'a> {
        Reader {
            life,
            framer: StreamFramer::new(),
            begun: None,
            last_pong: None,
            last_words: None,
        }
    }

    /// Reads until the connection ends.
    pub(super) async fn run<R: AsyncRead + Unpin>(&mut self, mut reading: R) -> CloseReason {
        let mut buffer = BytesMut::with_capacity(READ_BUFFER);
        loop {
            let (deadline, _) = self.deadline();
            let ended = tokio::select! {
                read = reading.read_buf(&mut buffer) => match read {
                    Ok(0) => Some(CloseReason::PeerClosed),
                    Ok(read) => {
                        self.life.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
                        self.framer.push(&buffer);
                        buffer.clear();
                        self.take_frames().await
                    }
                    Err(error) => Some(CloseReason::of_error(&error)),
                },
                () = sleep_until(deadline) => {
                    // A message sent meanwhile moves the deadline on.
                    let (deadline, reason) = self.deadline();
                    (Instant::now() >= deadline).then_some(reason)
                }
                // Draining has a deadline of its own.
                () = self.life.connection.drain.notified() => None,
            };
            if let Some(reason) = ended {
                return reason;
            }
        }
    }

    /// The refusal to send before closing a stream whose framing is lost.
    pub(super) fn last_words(&mut self) -> Option<Bytes> {
        self.last_words.take()
    }

    async fn take_frames(&mut self) -> Option<CloseReason> {
        let mut whole = false;
        loop {
            match self.framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    whole = true;
                    self.turn().await;
                    self.message(bytes).await;
                }
                Ok(Some(Frame::KeepAlivePing)) => self.pong(),
                Ok(Some(Frame::Pong)) => {
                    let answers = self.life.awaits_pong.swap(false, Ordering::Relaxed);
                    self.life.answers_pings.fetch_or(answers, Ordering::Relaxed);
                }
                Ok(None) => break,
                Err(error) => return Some(self.framing_lost(error)),
            }
        }
        self.begun = match self.begun {
            _ if !self.framer.is_within_message() => None,
            Some(begun) if !whole => Some(begun),
            _ => Some(Instant::now()),
        };
        None
    }

    /// Waits until the peer may speak. Nothing is read meanwhile, so that TCP slows a stranger that floods. Whom we opened the
    /// connection to may say what it likes, and so may who has been let in under another configuration.
    async fn turn(&self) {
        let Life {
            connection, context, ..
        } = self.life;
        let Flow { listener, remote, .. } = connection.flow;
        let waits = || {
            let approach = match connection.has_served() {
                true => Approach::Served,
                false => Approach::Message,
            };
            context.admission.admit(listener, remote, approach) == Admittance::Later
        };
        if connection.opener == Opener::Us || !waits() {
            return;
        }
        context.counters.stream_messages_paced.add();
        loop {
            sleep(PACE).await;
            if !waits() {
                return;
            }
        }
    }

    async fn message(&mut self, bytes: Bytes) {
        let Life {
            connection, context, ..
        } = self.life;
        match Message::parse(bytes) {
            Ok(message) => {
                context.counters.stream_messages_received.add();
                connection.received.fetch_add(1, Ordering::Relaxed);
                connection.touch(context.clock.now());
                self.life.peer_spoke();
                context.inbox.stream(message, connection.flow.clone()).await;
            }
            Err(error) => {
                context.unparsable(&connection.flow, &error);
                if let Some(refusal) = stateless::refusal(&error, &connection.flow, context)
                    && connection.send(Outgoing::unwatched(refusal)).is_err()
                {
                    context.counters.sends_failed.add();
                }
            }
        }
    }

    fn pong(&mut self) {
        let now = Instant::now();
        let Life {
            connection, context, ..
        } = self.life;
        if self.last_pong.is_some_and(|last| now < last + PONG_SPACING) {
            context.counters.pings_ignored.add();
            return;
        }
        self.last_pong = Some(now);
        connection.touch(context.clock.now());
        if connection.send(Outgoing::unwatched(PONG)).is_err() {
            context.counters.sends_failed.add();
        }
    }

    fn framing_lost(&mut self, error: FramingError) -> CloseReason {
        let Life {
            connection, context, ..
        } = self.life;
        context.counters.messages_unparsable.add();
        self.last_words = stateless::last_words(&error, &connection.flow, context);
        CloseReason::FramingLost(error.to_string())
    }

    /// The next moment at which the peer has been too slow, and for what.
    fn deadline(&self) -> (Instant, CloseReason) {
        let Life {
            connection,
            limits,
            keep_alive,
            context,
            ..
        } = self.life;
        let quiet = context.clock.instant(connection.last_message());
        let waiting = if connection.opener == Opener::Peer && connection.received.load(Ordering::Relaxed) == 0 {
            (
                context.clock.instant(connection.opened_at) + limits.first_message,
                CloseReason::NoMessage,
            )
        } else if let Some(since) = connection.draining.get() {
            let longest = context.clock.instant(*since) + keep_alive.drained * DRAINING_LIMIT;
            (longest.min(quiet + keep_alive.drained), CloseReason::Drained)
        } else {
            let alive = context.clock.instant(connection.last_life());
            (alive + limits.idle, CloseReason::Idle)
        };
        match self.begun {
            Some(begun) if begun + limits.message < waiting.0 => (begun + limits.message, CloseReason::SlowMessage),
            _ => waiting,
        }
    }
}
