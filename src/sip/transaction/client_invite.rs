//! The INVITE client transaction (RFC 3261 §17.1.1 as corrected by RFC 6026 §7.2): states and timers alone.

use super::settings::Timers;
use crate::moment::Moment;
use std::time::Duration;

/// Where an INVITE stands that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No response yet. `resend` is timer A with its present interval (`None` on reliable transports).
    Calling { resend: Option<(Moment, Duration)> },
    /// A provisional response came.
    Proceeding,
    /// A 2xx came: further 2xx (retransmitted, or of other forks) go up until timer M.
    Accepted,
    /// A 300-699 came and was acknowledged: its retransmissions are acknowledged again until timer D.
    Completed,
}

/// What a response means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnResponse {
    /// Hand it to the transaction user.
    PassUp,
    /// Send ACK and hand the response up. When `ended`, nothing need be remembered (reliable transport).
    AcknowledgeAndPassUp { ended: bool },
    /// Send the same ACK again.
    AcknowledgeAgain,
    /// Nothing to do.
    Absorb,
}

/// What a timer that fired means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTimer {
    /// Early: wait on.
    Nothing,
    /// Timer A: send the request again.
    Retransmit,
    /// Timer B, or no final response in time after CANCEL or after the last provisional.
    TimedOut,
    /// Timers D and M: the transaction is over.
    Ended,
}

/// The machine.
#[derive(Debug)]
pub(super) struct ClientInvite {
    state: State,
    reliable: bool,
    /// Timer B, D or M, or the longest wait in Proceeding.
    expires: Moment,
}

impl ClientInvite {
    /// The request has just been sent.
    pub(super) fn new(reliable: bool, timers: &Timers, now: Moment) -> ClientInvite {
        let resend = (!reliable).then(|| (now + timers.t1, timers.t1));
        ClientInvite {
            state: State::Calling { resend },
            reliable,
            expires: now + timers.transaction_timeout(),
        }
    }

    /// The next moment at which [`ClientInvite::on_timer`] has work.
    pub(super) fn deadline(&self) -> Moment {
        match self.state {
            State::Calling { resend: Some((at, _)) } => at.min(self.expires),
            _ => self.expires,
        }
    }

    /// A response with this status arrived.
    pub(super) fn on_response(&mut self, status: u16, timers: &Timers, now: Moment) -> OnResponse {
        match (self.state, status) {
            (State::Calling { .. }, 100..200) => {
                self.state = State::Proceeding;
                self.expires = now + timers.invite_limit;
                OnResponse::PassUp
            }
            (State::Proceeding, 100..200) => OnResponse::PassUp,
            (State::Calling { .. } | State::Proceeding, 200..300) => {
                self.state = State::Accepted;
                self.expires = now + timers.transaction_timeout();
                OnResponse::PassUp
            }
            (State::Calling { .. } | State::Proceeding, 300..700) => {
                self.state = State::Completed;
                self.expires = now + timers.d();
                OnResponse::AcknowledgeAndPassUp { ended: self.reliable }
            }
            (State::Accepted, 200..300) => OnResponse::PassUp,
            (State::Completed, 300..700) => OnResponse::AcknowledgeAgain,
            _ => OnResponse::Absorb,
        }
    }

    /// The transaction user wants the call gone. True when CANCEL may leave now; else it must wait for a
    /// provisional response (RFC 3261 §9.1).
    pub(super) fn may_cancel(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// True while no final response came.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
    }

    /// CANCEL has left: without a final response the INVITE counts as failed after 64*T1 (RFC 3261 §9.1).
    pub(super) fn cancel_sent(&mut self, timers: &Timers, now: Moment) {
        if self.is_pending() {
            self.expires = now + timers.transaction_timeout();
        }
    }

    /// The deadline has come.
    pub(super) fn on_timer(&mut self, now: Moment) -> OnTimer {
        if now >= self.expires {
            return if self.is_pending() {
                OnTimer::TimedOut
            } else {
                OnTimer::Ended
            };
        }
        match &mut self.state {
            State::Calling {
                resend: Some((at, interval)),
            } if now >= *at => {
                *interval *= 2;
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

    #[test]
    fn udp_doubles_timer_a_until_timer_b() {
        let timers = Timers::default();
        let mut machine = ClientInvite::new(false, &timers, Moment::ZERO);
        let mut sent = Vec::new();
        loop {
            let now = machine.deadline();
            match machine.on_timer(now) {
                OnTimer::Retransmit => sent.push(now),
                OnTimer::TimedOut => break assert_eq!(now, after(32_000)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(after));
    }

    #[test]
    fn tls_never_retransmits_and_forgets_a_refused_call_at_once() {
        let timers = Timers::default();
        let mut machine = ClientInvite::new(true, &timers, Moment::ZERO);
        assert_eq!(machine.deadline(), after(32_000));
        assert_eq!(
            machine.on_response(486, &timers, after(9)),
            OnResponse::AcknowledgeAndPassUp { ended: true }
        );
    }

    #[test]
    fn every_2xx_goes_up_until_timer_m_and_nothing_else_does() {
        let timers = Timers::default();
        let mut machine = ClientInvite::new(false, &timers, Moment::ZERO);
        assert_eq!(machine.on_response(183, &timers, after(5)), OnResponse::PassUp);
        assert_eq!(machine.on_response(200, &timers, after(10)), OnResponse::PassUp);
        assert_eq!(machine.on_response(200, &timers, after(20)), OnResponse::PassUp);
        assert_eq!(machine.on_response(180, &timers, after(30)), OnResponse::Absorb);
        assert_eq!(machine.on_response(500, &timers, after(30)), OnResponse::Absorb);
        assert_eq!(machine.deadline(), after(32_010));
        assert_eq!(machine.on_timer(after(32_010)), OnTimer::Ended);
    }

    #[test]
    fn a_refusal_is_passed_up_once_and_acknowledged_each_time() {
        let timers = Timers::default();
        let mut machine = ClientInvite::new(false, &timers, Moment::ZERO);
        assert_eq!(
            machine.on_response(486, &timers, after(9)),
            OnResponse::AcknowledgeAndPassUp { ended: false }
        );
        assert_eq!(
            machine.on_response(486, &timers, after(600)),
            OnResponse::AcknowledgeAgain
        );
        assert_eq!(machine.on_timer(machine.deadline()), OnTimer::Ended);
    }

    #[test]
    fn a_cancelled_invite_without_final_response_times_out_after_64_t1() {
        let timers = Timers::default();
        let mut machine = ClientInvite::new(true, &timers, Moment::ZERO);
        assert!(!machine.may_cancel());
        machine.on_response(180, &timers, after(100));
        assert!(machine.may_cancel());
        machine.cancel_sent(&timers, after(1_000));
        assert_eq!(machine.on_timer(after(33_000)), OnTimer::TimedOut);
    }
}
