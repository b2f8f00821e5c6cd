//! How much an application may say: so many messages a second, and not too many in a row that can't be done.

use super::closing::{FAREWELL, close_frame};
use super::{Left, Socket, Worker};
use crate::app::websocket::failure::SessionFailure;
use crate::app::websocket::session::End;
use futures_util::StreamExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding;

/// Messages a second, and those that may come at once: as many requests as a token of REST may make. Answers to what we sent
/// are free.
const RATE: f64 = 50.0;
const BURST: f64 = 100.0;
/// A span of time, and the errors that an application may cause in it: a broken one that means well causes a few a second.
const SPAN: Duration = Duration::from_secs(10);
const MOST_ERRORS: u32 = 100;

/// What may be read at once. What waits is not lost: it stays in the connection.
#[derive(Debug)]
pub(super) struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace { left: BURST, at: now }
    }

    /// One more message was read.
    pub fn step(&mut self, now: Instant) {
        self.fill(now);
        self.left -= 1.0;
    }

    /// When the next one may be read; `None`: now.
    pub fn rests_until(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        (self.left < 1.0).then(|| now + Duration::from_secs_f64((1.0 - self.left) / RATE))
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * RATE).min(BURST);
        self.at = now;
    }
}

/// Counts what an application said that could not be read or done.
#[derive(Debug, Default)]
pub(in crate::app::websocket) struct Errors(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    since: Option<Instant>,
    errors: u32,
}

impl Errors {
    pub fn one(&self, now: Instant) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since: Instant| now.saturating_duration_since(since) >= SPAN;
        if count.since.is_none_or(over) {
            *count = Count {
                since: Some(now),
                errors: 0,
            };
        }
        count.errors = count.errors.saturating_add(1);
    }

    pub fn are_too_many(&self, now: Instant) -> bool {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_late = |since: Instant| now.saturating_duration_since(since) < SPAN;
        count.errors > MOST_ERRORS && count.since.is_some_and(of_late)
    }
}

impl Worker {
    /// The application keeps saying what can't be done: it hears why it is left, and is not connected to again.
    pub(super) async fn shut_out(&mut self, socket: &mut Socket) -> Left {
        let failure = SessionFailure::Nonsense {
            url: self.url(),
            most: MOST_ERRORS,
            within: SPAN,
        };
        let telling = async {
            let frame = close_frame(coding::CloseCode::Policy, "too many messages that can't be done");
            self.write(socket, Message::Close(Some(frame))).await?;
            // A connection that is closed over unread bytes is reset, and the close may not be read.
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<_, SessionFailure>(())
        };
        // However it ends, the connection is dropped now.
        let _told = timeout(FAREWELL, telling).await;
        Left::Over(End::Failed(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_read_at_once_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let read = (0..1_000)
            .take_while(|_| {
                let may = pace.rests_until(start).is_none();
                pace.step(start);
                may
            })
            .count();
        assert_eq!(read, 100);
        let mut pace = Pace::new(start);
        (0..100).for_each(|_| pace.step(start));
        assert_eq!(pace.rests_until(start), Some(start + Duration::from_millis(20)));
        assert_eq!(pace.rests_until(start + Duration::from_millis(21)), None);
        let rested = start + Duration::from_secs(60);
        (0..99).for_each(|_| pace.step(rested));
        assert_eq!(pace.rests_until(rested), None);
        pace.step(rested);
        assert!(pace.rests_until(rested).is_some(), "no more is saved up than a burst");
    }

    #[test]
    fn a_few_errors_a_second_are_borne_and_a_flood_is_not() {
        let (errors, start) = (Errors::default(), Instant::now());
        for n in 0..600 {
            let now = start + Duration::from_millis(n * 110);
            errors.one(now);
            assert!(!errors.are_too_many(now), "{n}");
        }
        let flood = start + Duration::from_secs(100);
        (0..101).for_each(|_| errors.one(flood));
        assert!(errors.are_too_many(flood));
        assert!(!errors.are_too_many(flood + SPAN), "it is over");
    }
}
