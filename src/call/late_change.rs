//! What Teams asks for in a re-INVITE, above all to hold and to resume, is accepted whatever the other side says to it, and
//! before Teams loses patience (TEAMS-072). The other side then stays as it was: Teams is not heard there while it holds, nor
//! hears anything.

use super::change::{Change, Purpose};
use super::id::LegIndex;
use super::leg::Leg;
use super::value::Call;
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sdp::{Direction, Session};
use std::time::Duration;

/// How long Teams waits for what the other side says.
const PATIENCE: Duration = Duration::from_secs(3);

impl Change {
    /// Who waits for its answer, and with which offer.
    fn asked(&self) -> Option<(LegIndex, &[u8])> {
        match &self.purpose {
            Purpose::Asked { from, offer } => Some((*from, offer)),
            _ => None,
        }
    }
}

impl Call {
    /// A re-INVITE is under way: where Teams has asked for it, it does not wait for ever. `until`: what was said of it when it
    /// was sent for the first time.
    pub(super) fn limit_wait(&mut self, until: Option<Moment>, now: Moment) {
        let is_of_teams = self
            .change
            .as_ref()
            .is_some_and(|change| self.is_asked_by_teams(change));
        if let Some(change) = &mut self.change {
            change.answer_by = is_of_teams.then(|| until.unwrap_or(now + PATIENCE));
        }
    }

    pub(super) fn is_asked_by_teams(&self, change: &Change) -> bool {
        let from = change.asked().and_then(|(from, _)| self.leg(from));
        from.is_some_and(|leg: &Leg| matches!(leg.terms.kind, LegKind::Teams { .. }))
    }

    /// When Teams is answered at the latest.
    pub(super) fn next_late_answer(&self) -> Option<Moment> {
        self.change.as_ref().and_then(|change| change.answer_by)
    }

    pub(super) fn late_answers(&mut self, now: Moment) {
        if self.next_late_answer().is_none_or(|by| by > now) {
            return;
        }
        let Some(mut change) = self.change.take() else { return };
        change.answer_by = None;
        if self.answer_anyhow(&change, now) {
            change.purpose = Purpose::Late;
        }
        self.change = Some(change);
    }

    /// Answers Teams with what the other side has, although that has not agreed. False where somebody else has asked, or
    /// there is nothing in common, or where Teams would be heard again and the other side will not have it.
    pub(super) fn answer_anyhow(&mut self, change: &Change, now: Moment) -> bool {
        if !self.is_asked_by_teams(change) {
            return false;
        }
        let Some((from, offer)) = change.asked() else {
            return false;
        };
        if wants_open(offer) && !self.is_open_both_ways(change.to) {
            return false;
        }
        if self.answer_change(from, offer).is_err() {
            return false;
        }
        self.reconnect(now);
        self.accept_change(from, now);
        true
    }

    /// The other side has agreed to what Teams was answered long ago; things may have changed since.
    pub(super) fn agreed_late(&mut self, to: LegIndex, now: Moment) {
        self.reconnect(now);
        let settled = self.leg(to).and_then(|leg| leg.media.negotiated.as_ref());
        let direction = settled.map(|settled| settled.direction);
        let wanted = self.settled_beside(to).map(|(_, direction)| direction);
        if direction != wanted {
            self.align(to, now);
        }
    }
}

fn wants_open(offer: &[u8]) -> bool {
    let session = Session::parse(offer).ok();
    let audio = session.as_ref().and_then(|session| session.audio());
    audio.is_some_and(|audio| audio.direction == Direction::SendRecv)
}
