//! What was found out of a name lately, so that it isn't found out again at once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Names come from applications: the oldest makes room.
const MOST: usize = 100;

/// Names, and what holds of each for a while.
pub(super) struct Lately<T> {
    span: Duration,
    /// The oldest first.
    found: Mutex<VecDeque<(Instant, String, T)>>,
}

impl<T: Clone> Lately<T> {
    pub fn new(span: Duration) -> Lately<T> {
        Lately {
            span,
            found: Mutex::default(),
        }
    }

    /// What was found of a name, where that is not too long ago.
    pub fn of(&self, name: &str) -> Option<T> {
        let now = Instant::now();
        let found = self.lock();
        let holds = |(at, known, _): &&(Instant, String, T)| known == name && now - *at < self.span;
        found.iter().rfind(holds).map(|(.., what)| what.clone())
    }

    pub fn note(&self, name: &str, what: T) {
        let mut found = self.lock();
        found.retain(|(_, known, _)| known != name);
        if found.len() >= MOST {
            found.pop_front();
        }
        found.push_back((Instant::now(), name.to_owned(), what));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, String, T)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_holds_for_its_span_and_the_oldest_makes_room() {
        let lately = Lately::new(Duration::from_secs(10));
        lately.note("a", 1);
        lately.note("a", 2);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!((lately.of("a"), lately.of("b")), (Some(2), None));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lately.of("a"), None);
        for number in 0..=MOST {
            lately.note(&number.to_string(), 0);
        }
        assert_eq!((lately.of("0"), lately.of("1")), (None, Some(0)));
        assert_eq!(lately.lock().len(), MOST);
    }
}
