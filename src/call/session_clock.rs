//! The running session timer of one leg on the process clock (RFC 4028).

use crate::moment::Moment;
use crate::sip::session_timer::SessionTimer;
use serde::{Deserialize, Serialize};

/// When a leg's session is refreshed by us, and when it counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClock {
    pub timer: SessionTimer,
    /// `None`: the peer refreshes, or our refresh is on its way.
    pub refresh_at: Option<Moment>,
    pub expires_at: Moment,
}

impl SessionClock {
    /// Starts counting at `now`: the 2xx of an INVITE or of a refresh.
    pub fn start(timer: SessionTimer, now: Moment) -> SessionClock {
        SessionClock {
            timer,
            refresh_at: timer.refresh_after().map(|after| now + after),
            expires_at: now + timer.expires_after(),
        }
    }

    /// The earlier of both.
    pub fn next(&self) -> Moment {
        self.refresh_at
            .map_or(self.expires_at, |refresh| refresh.min(self.expires_at))
    }
}
