//! The runtime's clock: tokio's, counted from the start of the process.

use crate::moment::Moment;
use std::time::Duration;
use tokio::time::Instant;

/// Translates between tokio's instants and the [`Moment`]s that the protocol ring takes. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock whose epoch is now. One process has one.
    pub fn start() -> Clock {
        Clock { epoch: Instant::now() }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// An instant as a moment; the epoch when it lies before that.
    pub fn moment(&self, instant: Instant) -> Moment {
        Moment::ZERO + instant.saturating_duration_since(self.epoch)
    }

    /// A moment as an instant, to wait for.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.epoch + Duration::from_micros(moment.as_micros())
    }
}
