//! Which peers hold the other side, since when: told to the log, shown of a live call, summed up in the record of the leg.

use super::event::CallNews;
use super::id::LegIndex;
use super::leg::Leg;
use super::leg_media::OneWay;
use super::value::Call;
use crate::moment::Moment;

impl Call {
    /// Notes which peers hold by now, of their own accord and not because they were put on hold.
    pub(super) fn note_holds(&mut self, now: Moment) {
        for position in 0..self.legs.len() {
            let leg = &mut self.legs[position];
            let (index, is_up) = (leg.index, leg.is_up());
            let news = match (leg.holds_since, leg.holds_now()) {
                (None, true) => {
                    leg.holds_since = Some(now);
                    leg.record.holds = leg.record.holds.saturating_add(1);
                    CallNews::Holds { leg: index }
                }
                (Some(since), false) => {
                    leg.holds_since = None;
                    let held_ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
                    leg.record.held_ms = leg.record.held_ms.saturating_add(held_ms);
                    CallNews::Resumes { leg: index, held_ms }
                }
                (None, false) | (Some(_), true) => continue,
            };
            // Who leaves resumes nothing.
            if !is_up {
                continue;
            }
            if matches!(news, CallNews::Resumes { .. }) {
                // It may have said nothing for as long as it held.
                self.await_media(index);
            }
            self.tell(news);
        }
    }

    /// Nothing was heard of a peer for `media.timeout`. One that has announced something holds from now on: it has said that it
    /// sends alone, and need not. The other side stays open, for it may go on. False where it is no such peer.
    pub(super) fn announcement_ends(&mut self, index: LegIndex, now: Moment) -> bool {
        let is_heard = self.partner(index).is_some() && !self.is_alone(index);
        let Some(leg) = self.leg_mut(index).filter(|leg| is_heard && leg.media.announces()) else {
            return false;
        };
        leg.media.one_way = OneWay::FellSilent;
        self.reconnect(now);
        true
    }

    /// A peer is heard: where it had fallen silent it announces on, and holds nobody any more.
    pub(super) fn announcement_goes_on(&mut self, index: LegIndex, now: Moment) {
        let fell_silent = |leg: &&mut Leg| leg.media.one_way == OneWay::FellSilent;
        if let Some(leg) = self.leg_mut(index).filter(fell_silent) {
            leg.media.one_way = OneWay::FromTheStart;
            self.reconnect(now);
        }
    }
}

impl Leg {
    /// For a leg that has come from another call: what was stands in the record that it has left there, and a hold that lasts
    /// is one of both calls.
    pub(super) fn count_holds_anew(&mut self, now: Moment) {
        self.holds_since = self.holds_since.map(|_| now);
        (self.record.holds, self.record.held_ms) = (u32::from(self.holds_since.is_some()), 0);
    }

    /// Whether its peer has the other side on hold.
    pub(super) fn holds_now(&self) -> bool {
        self.is_up() && self.media.holds()
    }
}
