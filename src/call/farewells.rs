//! Legs that we have hung up and whose call is over: a BYE of the peer that crossed ours is still to be answered, for a 481
//! says that the call never was.

use super::leg::Leg;
use crate::moment::Moment;
use crate::sip::message::Message;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What crosses comes within a second, or is repeated three times by then (RFC 3261 §17.1.2.2, timer E); a leg is 3.4 KiB.
pub(super) const REMEMBERED: Duration = Duration::from_secs(5);
/// Where calls end faster the oldest give way.
pub(super) const MOST: usize = 4_096;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// By our tag.
    legs: HashMap<String, Box<Leg>>,
    /// The oldest first; some may have been answered.
    order: VecDeque<(Moment, String)>,
}

impl Farewells {
    /// Keeps legs whose call is over now.
    pub fn add(&mut self, legs: impl IntoIterator<Item = Leg>, now: Moment) {
        for leg in legs {
            let Some(tag) = leg.dialog.as_ref().map(|dialog| dialog.id().local_tag.clone()) else {
                continue;
            };
            self.order.push_back((now, tag.clone()));
            self.legs.insert(tag, Box::new(leg));
        }
        self.forget(now);
    }

    /// The leg that a BYE belongs to, when it comes from `is_peer`. Its second one is a stranger's.
    pub fn take(&mut self, bye: &Message, now: Moment, is_peer: impl FnOnce(&Leg) -> bool) -> Option<Box<Leg>> {
        self.forget(now);
        let tag = bye.to_tag()?;
        let leg = self.legs.get(tag)?;
        let belongs = leg.dialog.as_ref().is_some_and(|dialog| dialog.owns(bye)) && is_peer(leg);
        belongs.then(|| self.legs.remove(tag)).flatten()
    }

    fn forget(&mut self, now: Moment) {
        while let Some((since, _)) = self.order.front()
            && (self.order.len() > MOST || now.since(*since) >= REMEMBERED)
            && let Some((_, tag)) = self.order.pop_front()
        {
            self.legs.remove(&tag);
        }
    }
}
