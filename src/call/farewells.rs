//! Legs that we have hung up and whose call is over: a BYE of the peer that crossed ours is still to be answered, for a 481
//! says that the call never was. And which INVITEs lost against others: what answers them yet is told so.

use super::id::Token;
use super::leg::{HungUp, Leg};
use super::{late_answers, repeated_byes};
use crate::moment::Moment;
use crate::sip::message::Message;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What crosses comes within a second, or is repeated three times by then (RFC 3261 §17.1.2.2, timer E); a leg is 3.4 KiB.
pub(super) const REMEMBERED: Duration = Duration::from_secs(5);
/// Where calls end faster the oldest give way.
pub(super) const MOST: usize = 4_096;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// By our tag.
    legs: HashMap<String, Kept>,
    /// Those first that were looked at longest ago; some may have been answered.
    order: VecDeque<(Moment, String)>,
    /// INVITEs whose destinations lost, the oldest first.
    lost: VecDeque<(Moment, Token)>,
}

#[derive(Debug)]
struct Kept {
    leg: Arc<Leg>,
    /// Our BYE may reach its peer this late: so long the peer may hang up by itself.
    until: Moment,
}

impl Farewells {
    /// Keeps legs whose call is over now.
    pub fn add(&mut self, legs: impl IntoIterator<Item = Leg>, now: Moment) {
        for leg in legs {
            let Some(tag) = leg.dialog.as_ref().map(|dialog| dialog.id().local_tag.clone()) else {
                continue;
            };
            self.order.push_back((now, tag.clone()));
            let until = match leg.hung_up {
                HungUp::Unheard => now + repeated_byes::LONGEST,
                HungUp::No | HungUp::Yes => now,
            };
            let leg = Arc::new(leg);
            self.legs.insert(tag, Kept { leg, until });
        }
        self.forget(now);
    }

    /// The leg in whose dialog a BYE came; who has sent it, the caller looks at.
    pub fn find(&mut self, bye: &Message, now: Moment) -> Option<Arc<Leg>> {
        self.forget(now);
        let leg = &self.legs.get(bye.to_tag()?)?.leg;
        let is_in_dialog = leg.dialog.as_ref().is_some_and(|dialog| dialog.owns(bye));
        is_in_dialog.then(|| leg.clone())
    }

    /// Whether a response is of a dialog that is kept.
    pub fn knows(&self, response: &Message) -> bool {
        let kept = response.from_tag().and_then(|tag| self.legs.get(tag));
        let dialog = kept.and_then(|kept| kept.leg.dialog.as_ref());
        dialog.is_some_and(|dialog| response.to_tag() == Some(dialog.id().remote_tag.as_str()))
    }

    /// The BYE was the peer's, and its second one is a stranger's: false for that.
    pub fn take(&mut self, bye: &Message) -> bool {
        bye.to_tag().is_some_and(|tag| self.legs.remove(tag).is_some())
    }

    /// Keeps INVITEs that lost, as long as answers of them may come.
    pub fn add_lost(&mut self, invites: impl IntoIterator<Item = Token>, now: Moment) {
        self.lost.extend(invites.into_iter().map(|invite| (now, invite)));
        while self.lost.len() > MOST {
            self.lost.pop_front();
        }
        self.forget_lost(now);
    }

    /// Whether an INVITE is one of those.
    pub fn has_lost(&mut self, invite: Token, now: Moment) -> bool {
        self.forget_lost(now);
        self.lost.iter().any(|(_, lost)| *lost == invite)
    }

    fn forget_lost(&mut self, now: Moment) {
        let is_past = |(since, _): &mut (Moment, Token)| now.since(*since) >= late_answers::REMEMBERED;
        while self.lost.pop_front_if(is_past).is_some() {}
    }

    fn forget(&mut self, now: Moment) {
        while let Some((since, _)) = self.order.front()
            && (self.order.len() > MOST || now.since(*since) >= REMEMBERED)
            && let Some((_, tag)) = self.order.pop_front()
        {
            match self.legs.get(&tag) {
                Some(kept) if kept.until > now && self.order.len() < MOST => self.order.push_back((now, tag)),
                _ => drop(self.legs.remove(&tag)),
            }
        }
    }
}
