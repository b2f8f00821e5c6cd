//! Provisional responses once a minute while an INVITE waits (RFC 3261 §13.3.1.1): a proxy on the caller's side gives up
//! an INVITE of which it has heard no more than 100 for three minutes. Teams does so after seconds.

use super::cause::Cause;
use super::hunt::Awaited;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
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
    /// Something was said already.
    pub told: bool,
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
            told: false,
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
            told: true,
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
        let soon = caller.terms.patience.filter(|_| !self.last_word.told);
        unanswered.then_some(self.last_word.said + soon.unwrap_or(MINUTE).min(MINUTE))
    }

    /// Repeats it when a minute has passed. Where nothing was said yet and the caller goes elsewhere when it hears nothing,
    /// it is told that it rings, or, where nobody lives, the end (TEAMS-045). An emergency call is held on to (promise 6), and
    /// what becomes of a call is an application's to say.
    pub(super) fn say_again(&mut self, now: Moment) {
        if self.next_word().is_none_or(|due| due > now) {
            return;
        }
        let patience = self.leg(LegIndex::CALLER).and_then(|caller| caller.terms.patience);
        let may_end = !self.last_word.told && self.app.is_none() && !self.facts.emergency;
        if let Some(patience) = patience.filter(|_| may_end && !self.somebody_lives()) {
            let detail = format!("nobody who was tried has said a word within {patience:?}");
            self.end(Cause::Unreachable { detail }, now);
            return;
        }
        let LastWord {
            status, early_media, ..
        } = self.last_word;
        self.tell_caller(status, early_media, now);
    }

    /// Whether somebody who is tried now has said anything.
    fn somebody_lives(&self) -> bool {
        let invited = |leg: &Leg| leg.state == LegState::Inviting && leg.invite.is_some();
        self.ringing.iter().any(|ringing| {
            let leg = ringing.leg.and_then(|leg| self.leg(leg));
            leg.is_some_and(invited) && !matches!(ringing.awaited, Some(Awaited::Response { .. }))
        })
    }
}
