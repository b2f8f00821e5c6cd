//! The non-INVITE client transaction (RFC 3261 §17.1.2): states and timers alone.

use super::settings::Timers;
use crate::moment::Moment;
use std::time::Duration;

/// Where a request other than INVITE stands that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No response yet; timer E doubles up to T2.
    Trying,
    /// A provisional response came; timer E runs at T2.
    Proceeding,
    /// A final response came; its retransmissions are absorbed until timer K.
    Completed,
}

/// What a response means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnResponse {
    /// Hand it to the transaction user.
    PassUp,
    /// Hand it up; it is final. When `ended`, nothing need be remembered (reliable transport).
    PassUpFinal { ended: bool },
    /// Nothing to do.
    Absorb,
}

/// What a timer that fired means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTimer {
    /// Early: wait on.
    Nothing,
    /// Timer E: send the request again.
    Retransmit,
    /// Timer F: no final response came.
    TimedOut,
    /// Timer K: the transaction is over.
    Ended,
}

/// The machine.
#[derive(Debug)]
pub(super) struct ClientNonInvite {
    state: State,
    reliable: bool,
    /// Timer E with its present interval (`None` on reliable transports and once completed).
    resend: Option<(Moment, Duration)>,
    /// Timer F or K.
    expires: Moment,
}

impl ClientNonInvite {
    /// The request has just been sent.
    pub(super) fn new(reliable: bool, timers: &Timers, now: Moment) -> ClientNonInvite {
        ClientNonInvite {
            state: State::Trying,
            reliable,
            resend: (!reliable).then(|| (now + timers.t1, timers.t1)),
            expires: now + timers.transaction_timeout(),
        }
    }

    /// The next moment at which [`ClientNonInvite::on_timer`] has work.
    pub(super) fn deadline(&self) -> Moment {
        self.resend.map_or(self.expires, |(at, _)| at.min(self.expires))
    }

    /// A response with this status arrived.
    pub(super) fn on_response(&mut self, status: u16, timers: &Timers, now: Moment) -> OnResponse {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..200) => {
                self.state = State::Proceeding;
                OnResponse::PassUp
            }
            (State::Trying | State::Proceeding, 200..700) => {
                self.state = State::Completed;
                self.resend = None;
                self.expires = now + timers.t4;
                OnResponse::PassUpFinal { ended: self.reliable }
            }
            _ => OnResponse::Absorb,
        }
    }

    /// True while no final response came.
    pub(super) fn is_pending(&self) -> bool {
        self.state != State::Completed
    }

    /// The deadline has come.
    pub(super) fn on_timer(&mut self, timers: &Timers, now: Moment) -> OnTimer {
        if now >= self.expires {
            return if self.is_pending() {
                OnTimer::TimedOut
            } else {
                OnTimer::Ended
            };
        }
        match &mut self.resend {
            Some((at, interval)) if now >= *at => {
                *interval = match self.state {
                    State::Trying => (*interval * 2).min(timers.t2),
                    _ => timers.t2,
                };
                *at = now + *interval;
                OnTimer::Retransmit
            }
            _ => OnTimer::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    fn retransmissions(machine: &mut ClientNonInvite, timers: &Timers) -> (Vec<Moment>, Moment) {
        let mut sent = Vec::new();
        loop {
            let now = machine.deadline();
            match machine.on_timer(timers, now) {
                OnTimer::Retransmit => sent.push(now),
                _ => return (sent, now),
            }
        }
    }

    #[test]
    fn udp_sends_at_the_times_of_rfc_3261() {
        let timers = Timers::default();
        let mut machine = ClientNonInvite::new(false, &timers, Moment::ZERO);
        let (sent, end) = retransmissions(&mut machine, &timers);
        let times = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sent, times.map(after));
        assert_eq!(end, after(32_000));
    }

    #[test]
    fn a_provisional_slows_retransmission_to_t2_but_does_not_end_timer_f() {
        let timers = Timers::default();
        let mut machine = ClientNonInvite::new(false, &timers, Moment::ZERO);
        assert_eq!(machine.on_response(100, &timers, after(100)), OnResponse::PassUp);
        let (sent, end) = retransmissions(&mut machine, &timers);
        assert_eq!(sent[..3], [500, 4_500, 8_500].map(after));
        assert_eq!(end, after(32_000));
    }

    #[test]
    fn a_final_response_goes_up_once_and_timer_k_ends_it() {
        let timers = Timers::default();
        let mut machine = ClientNonInvite::new(false, &timers, Moment::ZERO);
        assert_eq!(
            machine.on_response(200, &timers, after(10)),
            OnResponse::PassUpFinal { ended: false }
        );
        assert_eq!(machine.on_response(200, &timers, after(20)), OnResponse::Absorb);
        assert_eq!(machine.deadline(), after(5_010));
        assert_eq!(machine.on_timer(&timers, after(5_010)), OnTimer::Ended);
    }
}
