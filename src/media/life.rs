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
    /// Silence limits that passed since `last`.
    passed: u32,
    /// This silence was told while reports came.
    told_reporting: bool,
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
            passed: 0,
            told_reporting: false,
        }
    }

    /// From now on RTP is expected.
    pub fn wait(&mut self, now: Moment) {
        self.last = now;
        self.passed = 0;
        self.told_reporting = false;
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
        self.passed = 0;
        self.told_reporting = false;
        Some(event)
    }

    /// A believed RTCP packet.
    pub fn heard_rtcp(&mut self, now: Moment) {
        self.last_rtcp = Some(now);
    }

    /// An event when the silence reached another multiple of `limit`; while reports come, only the first is one.
    pub fn silence(&mut self, leg: LegId, limit: Duration, now: Moment) -> Option<MediaEvent> {
        let lasting = now.since(self.last);
        if lasting < limit.saturating_mul(self.passed.saturating_add(1)) {
            return None;
        }
        self.passed = self.passed.saturating_add(1);
        let reports = self.last_rtcp.is_some_and(|last| now.since(last) < limit);
        if reports && std::mem::replace(&mut self.told_reporting, true) {
            return None;
        }
        if self.state == State::Flowing {
            self.state = State::Silent;
        }
        Some(MediaEvent::Silence { leg, lasting, reports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEG: LegId = LegId::first_in(0);
    const LIMIT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    fn silence(lasting: u64, reports: bool) -> Option<MediaEvent> {
        let lasting = Duration::from_secs(lasting);
        Some(MediaEvent::Silence {
            leg: LEG,
            lasting,
            reports,
        })
    }

    #[test]
    fn flowing_is_told_once_and_silence_at_every_limit() {
        let mut life = Life::new();
        life.wait(at(100));
        assert_eq!(life.silence(LEG, LIMIT, at(109)), None);
        assert_eq!(
            life.silence(LEG, LIMIT, at(110)),
            silence(10, false),
            "never heard is silent, too"
        );
        assert_eq!(life.heard(LEG, at(111)), Some(MediaEvent::Flowing { leg: LEG }));
        assert_eq!(life.heard(LEG, at(112)), None);
        life.heard_rtcp(at(117));
        assert_eq!(life.silence(LEG, LIMIT, at(121)), None);
        assert_eq!(life.silence(LEG, LIMIT, at(122)), silence(10, true));
        assert_eq!(life.silence(LEG, LIMIT, at(123)), None);
        assert_eq!(life.silence(LEG, LIMIT, at(132)), silence(20, false));
        assert_eq!(life.heard(LEG, at(133)), Some(MediaEvent::Resumed { leg: LEG }));
        assert_eq!(life.silence(LEG, LIMIT, at(143)), silence(10, false));
    }

    #[test]
    fn a_silence_with_reports_is_told_once_and_again_when_the_reports_end() {
        let mut life = Life::new();
        life.wait(at(0));
        for second in 1..=60 {
            life.heard_rtcp(at(second));
            let told = life.silence(LEG, LIMIT, at(second));
            assert_eq!(told.is_some(), second == 10, "after {second} s");
        }
        assert_eq!(life.silence(LEG, LIMIT, at(69)), None);
        assert_eq!(life.silence(LEG, LIMIT, at(70)), silence(70, false));
    }
}
