//! The running session timer of one leg on the process clock (RFC 4028).

use super::cause::Refreshed;
use crate::moment::Moment;
use crate::sip::message::{HeaderName, Message};
use crate::sip::session_timer::{PeerSessionTimer, SessionExpires, SessionTimer, SessionTimerSettings, parse_seconds};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a leg's session is refreshed by us, and when it counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClock {
    pub timer: SessionTimer,
    /// `None`: the peer refreshes, or our refresh is on its way.
    pub refresh_at: Option<Moment>,
    pub expires_at: Moment,
    /// What became of the last refresh of ours that the peer did not accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Refreshed>,
}

impl SessionClock {
    /// Starts counting at `now`: the 2xx of an INVITE or of a refresh.
    pub fn start(timer: SessionTimer, now: Moment) -> SessionClock {
        SessionClock {
            timer,
            refresh_at: timer.refresh_after().map(|after| now + after),
            expires_at: now + timer.expires_after(),
            failed: None,
        }
    }

    /// The earlier of both.
    pub fn next(&self) -> Moment {
        self.refresh_at
            .map_or(self.expires_at, |refresh| refresh.min(self.expires_at))
    }
}

/// What a message says of session timers.
pub fn peer_session_timer(message: &Message) -> PeerSessionTimer {
    PeerSessionTimer {
        session_expires: message
            .header(HeaderName::SessionExpires)
            .and_then(SessionExpires::parse),
        min_se: message.header(HeaderName::MinSe).and_then(parse_seconds),
        supports_timer: message.lists(HeaderName::Supported, "timer") || message.lists(HeaderName::Require, "timer"),
    }
}

impl crate::dial::SessionTimer {
    /// As the negotiation wants it; `None` when this side offers no timer.
    pub(super) fn settings(&self) -> Option<SessionTimerSettings> {
        self.expires.map(|_| self.proposing())
    }

    /// For what we propose ourselves.
    pub(super) fn proposing(&self) -> SessionTimerSettings {
        let settings = self.answering();
        SessionTimerSettings {
            min_se: settings.min_se.max(seconds(self.least_proposed)),
            ..settings
        }
    }

    /// The same, for answering: a side that offers none still honours the peer's.
    pub(super) fn answering(&self) -> SessionTimerSettings {
        self.with_interval(self.expires.unwrap_or(Duration::from_secs(1800)))
    }

    fn with_interval(&self, expires: Duration) -> SessionTimerSettings {
        SessionTimerSettings {
            interval: seconds(expires),
            min_se: seconds(self.min),
        }
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_075_what_is_accepted_may_be_shorter_than_what_is_proposed() {
        let timer = crate::dial::SessionTimer {
            expires: Some(Duration::from_secs(1_800)),
            min: Duration::from_secs(90),
            least_proposed: Duration::from_secs(300),
        };
        assert_eq!((timer.proposing().min_se, timer.answering().min_se), (300, 90));
        let of_carrier = crate::dial::SessionTimer {
            least_proposed: Duration::ZERO,
            ..timer
        };
        assert_eq!(of_carrier.proposing().min_se, 90);
    }
}
