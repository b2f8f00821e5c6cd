//! Provisional responses once a minute while an INVITE waits (RFC 3261 §13.3.1.1): a proxy on the caller's side gives up
//! an INVITE of which it has heard no more than 100 for three minutes.

use super::id::LegIndex;
use super::value::{Call, Phase};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest that a caller who waits is told nothing.
const MINUTE: Duration = Duration::from_secs(60);

/// The last provisional response to the caller's INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastWord {
    pub status: u16,
    /// It had our description.
    pub early_media: bool,
    pub said: Moment,
    /// It was told already that somebody rings.
    pub rang: bool,
    /// It has had our description: it is the one that plays what it hears.
    pub described: bool,
}

impl LastWord {
    /// Nothing was said yet of an INVITE that came at `began`; what is to be said then claims no media (TEAMS-048).
    pub fn at(began: Moment) -> LastWord {
        LastWord {
            status: 180,
            early_media: false,
            said: began,
            rang: false,
            described: false,
        }
    }

    /// What is the last word when this is said.
    pub fn then(self, status: u16, early_media: bool, now: Moment) -> LastWord {
        LastWord {
            status,
            early_media,
            said: now,
            rang: self.rang || matches!(status, 180 | 183),
            described: self.described || early_media,
        }
    }
}

impl Call {
    /// When the caller is to hear again that its call goes on.
    pub(super) fn next_word(&self) -> Option<Moment> {
        let waits = matches!(self.phase, Phase::Opening | Phase::Ringing);
        let caller = self.leg(LegIndex::CALLER).filter(|_| waits)?;
        let unanswered = caller.waiting.is_some() && caller.dialog.is_some() && !caller.is_up();
        unanswered.then_some(self.last_word.said + MINUTE)
    }

    /// Repeats it when a minute has passed.
    pub(super) fn say_again(&mut self, now: Moment) {
        if self.next_word().is_some_and(|due| due <= now) {
            let LastWord {
                status, early_media, ..
            } = self.last_word;
            self.tell_caller(status, early_media, now);
        }
    }
}
