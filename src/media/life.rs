//! Whether a leg's peer is heard: flowing, silent, flowing again.

use super::{LegId, MediaEvent};
use crate::moment::Moment;
use std::time::Duration;

/// When the peer was heard last, and what the owner knows about it.
pub(super) struct Life {
    state: State,
    /// Last believed RTP packet, or since when one is waited for.
    last: Moment,
    last_rtcp: Option<Moment>,
    /// Silence limits that were told since `last`.
    told: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Flowing,
    Silent,
}

impl Life {
    pub fn new() -> Life {
        Life {
            state: State::Waiting,
            last: Moment::ZERO,
            last_rtcp: None,
            told: 0,
        }
    }

    /// From now on RTP is expected.
    pub fn wait(&mut self, now: Moment) {
        self.last = now;
        self.told = 0;
    }

    /// A believed RTP packet; an event when that is news.
    pub fn heard(&mut self, leg: LegId, now: Moment) -> Option<MediaEvent> {
        self.last = now;
        let event = match self.state {
            State::Flowing => return None,
            State::Waiting => MediaEvent::Flowing { leg },
            State::Silent => MediaEvent::Resumed { leg },
        };
        self.state = State::Flowing;
        self.told = 0;
        Some(event)
    }

    /// A believed RTCP packet.
    pub fn heard_rtcp(&mut self, now: Moment) {
        self.last_rtcp = Some(now);
    }

    /// An event when the silence reached another multiple of `limit`.
    pub fn silence(&mut self, leg: LegId, limit: Duration, now: Moment) -> Option<MediaEvent> {
        let lasting = now.since(self.last);
        if lasting < limit.saturating_mul(self.told.saturating_add(1)) {
            return None;
        }
        self.told = self.told.saturating_add(1);
        if self.state == State::Flowing {
            self.state = State::Silent;
        }
        Some(MediaEvent::Silence {
            leg,
            lasting,
            since_rtcp: self.last_rtcp.map(|last| now.since(last)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEG: LegId = LegId {
        worker: 0,
        slot: 0,
        generation: 1,
    };
    const LIMIT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    fn silence(lasting: u64, since_rtcp: Option<u64>) -> Option<MediaEvent> {
        let lasting = Duration::from_secs(lasting);
        Some(MediaEvent::Silence {
            leg: LEG,
            lasting,
            since_rtcp: since_rtcp.map(Duration::from_secs),
        })
    }

    #[test]
    fn flowing_is_told_once_and_silence_at_every_limit() {
        let mut life = Life::new();
        life.wait(at(100));
        assert_eq!(life.silence(LEG, LIMIT, at(109)), None);
        assert_eq!(
            life.silence(LEG, LIMIT, at(110)),
            silence(10, None),
            "never heard is silent, too"
        );
        assert_eq!(life.heard(LEG, at(111)), Some(MediaEvent::Flowing { leg: LEG }));
        assert_eq!(life.heard(LEG, at(112)), None);
        life.heard_rtcp(at(117));
        assert_eq!(life.silence(LEG, LIMIT, at(121)), None);
        assert_eq!(life.silence(LEG, LIMIT, at(122)), silence(10, Some(5)));
        assert_eq!(life.silence(LEG, LIMIT, at(123)), None);
        assert_eq!(life.silence(LEG, LIMIT, at(132)), silence(20, Some(15)));
        assert_eq!(life.heard(LEG, at(133)), Some(MediaEvent::Resumed { leg: LEG }));
        assert_eq!(life.silence(LEG, LIMIT, at(143)), silence(10, Some(26)));
    }
}
