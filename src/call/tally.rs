//! What calls have open toward application servers, counted: for figures, and for a stop that waits until the last event is
//! told.

use tokio::sync::watch;

/// The counts of a node.
#[derive(Debug, Default)]
pub struct Tally {
    /// WebSockets to applications, those that are being opened or closed among them.
    pub sessions: Counted,
    /// Questions over HTTP that wait for their answers.
    pub questions: Counted,
    /// Events that are not told yet.
    pub untold: Counted,
}

/// A number of things that exist.
#[derive(Debug, Clone, Default)]
pub struct Counted(watch::Sender<usize>);

/// One of them; it is gone when this is dropped.
#[derive(Debug)]
pub struct One(watch::Sender<usize>);

impl Counted {
    /// One more.
    pub fn one(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.0.clone())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until there are none.
    pub async fn none(&self) {
        let mut counts = self.0.subscribe();
        // Fails only without a sender, and this is one.
        let _none = counts.wait_for(|count| *count == 0).await.is_ok();
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_the_last_one() {
        let counted = Counted::default();
        counted.none().await;
        let (first, second) = (counted.one(), counted.one());
        let waiting = tokio::spawn({
            let counted = counted.clone();
            async move { counted.none().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!((counted.count(), waiting.is_finished()), (1, false));
        drop(second);
        waiting.await.unwrap();
        assert_eq!(counted.count(), 0);
    }
}
