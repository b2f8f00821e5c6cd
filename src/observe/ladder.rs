//! The last messages of each call, as arrows of a ladder diagram; off until somebody asks. Ladders stay for a while when
//! their call is over: it is the refused call that one wants to see, and that one is gone at once.

use super::{Happening, LadderLine, Observer, Way, printable};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Arrows kept of one call; the oldest go first.
const ARROWS: usize = 64;
/// Ladders kept: live calls, and the last ones that ended. More calls have none.
const CALLS: usize = 512;

/// One arrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrow {
    /// Milliseconds after the first arrow that was seen of the call.
    pub after_ms: u64,
    /// 0: the caller's leg.
    pub leg: u16,
    /// `in` or `out`, seen from us.
    pub way: &'static str,
    /// `INVITE` or `200 OK`.
    pub what: String,
    /// Method of the CSeq.
    pub method: String,
    /// Why it was sent: the values of Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub has_sdp: bool,
}

/// Collects ladders while it is switched on.
#[derive(Debug, Default)]
pub struct Ladders {
    on: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By call id.
    ladders: HashMap<String, Ladder>,
    /// Ended calls, the oldest first.
    ended: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Ladder {
    began_micros: u64,
    arrows: VecDeque<Arrow>,
}

impl Ladders {
    /// Switches the collection on or off. Off forgets everything. Calls that began before see the switch with their
    /// next messages, if at all.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Relaxed);
        if !on {
            *self.table() = Table::default();
        }
    }

    /// Whether it collects.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// The arrows of a call, live or over, the oldest first; none when nothing was kept of it.
    pub fn of(&self, call: &str) -> Vec<Arrow> {
        let table = self.table();
        let ladder = table.ladders.get(call);
        ladder
            .map(|ladder| ladder.arrows.iter().cloned().collect())
            .unwrap_or_default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &LadderLine<'_>) {
        let mut table = self.table();
        let call = line.call.to_string();
        if !table.ladders.contains_key(&call) {
            while table.ladders.len() >= CALLS {
                let Some(oldest) = table.ended.pop_front() else { return };
                table.ladders.remove(&oldest);
            }
            let ladder = Ladder {
                began_micros: line.at.as_micros(),
                arrows: VecDeque::new(),
            };
            table.ladders.insert(call.clone(), ladder);
        }
        if let Some(ladder) = table.ladders.get_mut(&call) {
            if ladder.arrows.len() >= ARROWS {
                ladder.arrows.pop_front();
            }
            ladder.arrows.push_back(Arrow {
                after_ms: line.at.as_micros().saturating_sub(ladder.began_micros) / 1_000,
                leg: line.leg,
                way: match line.way {
                    Way::In => "in",
                    Way::Out => "out",
                },
                what: printable(line.what).into_owned(),
                method: printable(line.method).into_owned(),
                reason: line.reason.map(|reason| printable(reason).into_owned()),
                has_sdp: line.has_sdp,
            });
        }
    }
}

impl Observer for Ladders {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Message(line) if self.is_on() => self.add(line),
            Happening::CallOver { record } if self.is_on() => {
                let mut table = self.table();
                if table.ladders.contains_key(&record.call) {
                    table.ended.push_back(record.call.clone());
                }
            }
            _ => {}
        }
    }

    fn wants_messages(&self) -> bool {
        self.is_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallId;
    use crate::moment::Moment;

    fn line(call: u64, at: u64, what: &str) -> LadderLine<'_> {
        LadderLine {
            at: Moment::from_micros(at),
            call: CallId::from_random(call),
            leg: 0,
            way: Way::In,
            what,
            method: "INVITE",
            reason: None,
            has_sdp: true,
        }
    }

    #[test]
    fn nothing_is_kept_while_off_and_the_last_arrows_are_kept_while_on() {
        let ladders = Ladders::default();
        let call = CallId::from_random(7).to_string();
        ladders.happened(&Happening::Message(line(7, 1_000, "INVITE")));
        assert!(!ladders.wants_messages() && ladders.of(&call).is_empty());
        ladders.switch(true);
        for at in 0..100 {
            ladders.happened(&Happening::Message(line(7, 1_000 * at, "INVITE")));
        }
        let arrows = ladders.of(&call);
        assert_eq!(
            (arrows.len(), arrows[0].after_ms, arrows[63].after_ms),
            (ARROWS, 36, 99)
        );
        ladders.switch(false);
        assert!(ladders.of(&call).is_empty());
    }

    #[test]
    fn ended_calls_make_room_and_live_ones_stay() {
        let ladders = Ladders::default();
        ladders.switch(true);
        for call in 1..=CALLS as u64 {
            ladders.happened(&Happening::Message(line(call, 0, "INVITE")));
        }
        ladders.happened(&Happening::Message(line(9_999, 0, "INVITE")));
        assert!(
            ladders.of(&CallId::from_random(9_999).to_string()).is_empty(),
            "full of live calls"
        );
        let ended = CallId::from_random(3).to_string();
        ladders.table().ended.push_back(ended.clone());
        ladders.happened(&Happening::Message(line(9_999, 0, "INVITE")));
        assert_eq!(ladders.of(&CallId::from_random(9_999).to_string()).len(), 1);
        assert!(ladders.of(&ended).is_empty());
    }
}
