//! Our session refreshes, and sessions that die (RFC 4028).

use super::cause::{Cause, Refreshed};
use super::change::{Change, Purpose};
use super::event::CallNews;
use super::id::LegIndex;
use super::session_clock::SessionClock;
use super::value::{Call, Phase};
use crate::moment::Moment;
use std::time::Duration;

/// A refresh that meets another change waits this long.
const BUSY: Duration = Duration::from_secs(5);
/// A refused refresh is not tried again this close to the end.
const LAST_TRY: Duration = Duration::from_secs(10);

impl Call {
    /// Whether session timers run: those of a side that is up before the caller is, too, as while it is screened.
    pub(super) fn keeps_sessions(&self) -> bool {
        matches!(self.phase, Phase::Ringing | Phase::Answered)
    }

    /// Session timers that are due: refreshes are sent, dead sessions end the call (RFC 4028 §10).
    pub(super) fn session_timers(&mut self, now: Moment) {
        for position in 0..self.legs.len() {
            let leg = &self.legs[position];
            let (index, side) = (leg.index, leg.side);
            let Some(clock) = leg.session.filter(|_| leg.is_up() && self.keeps_sessions()) else {
                continue;
            };
            if clock.expires_at <= now {
                let cause = Cause::SessionExpired {
                    side,
                    refresh: self.fate_of_refresh(index, clock),
                };
                let reason = cause.reason();
                self.lose(index, cause, reason, now);
                continue;
            }
            if clock.refresh_at.is_some_and(|at| at <= now) {
                self.refresh(index, now);
            }
        }
    }

    /// What became of our own refreshes of a session that has expired.
    fn fate_of_refresh(&self, index: LegIndex, clock: SessionClock) -> Refreshed {
        let is_open = |change: &Change| change.to == index && matches!(change.purpose, Purpose::Refresh);
        match self.change.as_ref().is_some_and(is_open) {
            true => Refreshed::Unanswered,
            false => clock.failed.unwrap_or_default(),
        }
    }

    /// Repeats our description unchanged (TEAMS-074).
    fn refresh(&mut self, index: LegIndex, now: Moment) {
        let busy = self.may_change(index).is_err() || self.leg(index).is_some_and(|leg| leg.unacknowledged.is_some());
        let Some(leg) = self.leg_mut(index) else { return };
        if let Some(clock) = &mut leg.session {
            clock.refresh_at = busy.then(|| now + BUSY);
        }
        if busy {
            return;
        }
        let (terms, before) = (leg.terms.clone(), leg.media.clone());
        leg.authorization = None;
        if let Some(body) = leg.media.repeat_offer(&terms) {
            self.send_offer(index, body, None, Purpose::Refresh, before);
        }
    }

    /// A refresh that was refused with this status, or could not be sent (`None`), is tried again while there is time.
    pub(super) fn refresh_refused(&mut self, index: LegIndex, status: Option<u16>, now: Moment) {
        let glare = self.back_off(index);
        let Some(clock) = self.leg_mut(index).and_then(|leg| leg.session.as_mut()) else {
            return;
        };
        let fate = status.map_or(Refreshed::NotSent, |status| Refreshed::Refused { status });
        let is_news = clock.failed.replace(fate) != Some(fate);
        let left = clock.expires_at.since(now);
        clock.refresh_at = match status {
            Some(491) => Some(now + glare),
            _ if left > LAST_TRY => Some(now + left / 2),
            _ => None,
        };
        if let Some(status) = status.filter(|_| is_news) {
            self.tell(CallNews::RefreshRefused { leg: index, status });
        }
    }
}
