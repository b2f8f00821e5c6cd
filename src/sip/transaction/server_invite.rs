//! The INVITE server transaction (RFC 3261 §17.2.1 as corrected by RFC 6026 §7.1), and the retransmission of its
//! 2xx that RFC 3261 §13.3.1.4 asks of the UAS core: states and timers alone.

use super::settings::Timers;
use crate::moment::Moment;
use std::time::Duration;

/// Where an INVITE stands that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No final response yet.
    Proceeding,
    /// A 2xx was sent and its ACK is awaited; sent again over every transport, for hops beyond may lose it.
    Accepted { resend: Moment, interval: Duration },
    /// The ACK of the 2xx came; retransmissions of the INVITE are absorbed until timer L.
    Acknowledged,
    /// A 300-699 was sent; timer G (`None` on reliable transports).
    Completed { resend: Option<(Moment, Duration)> },
    /// The ACK of the 300-699 came; its retransmissions are absorbed until timer I.
    Confirmed,
}

/// What a retransmitted INVITE means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnRetransmission {
    /// Send the last response again.
    Resend,
    /// Nothing to do.
    Absorb,
}

/// What a final response, or the ACK, means for the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It lives on.
    Waiting,
    /// It is over at once (reliable transport).
    Ended,
    /// Too late: the state does not allow it.
    Refused,
}

/// What a timer that fired means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTimer {
    /// Early: wait on.
    Nothing,
    /// Timer G, or the 2xx: send the last response again.
    Retransmit,
    /// The transaction user never answered.
    Abandoned,
    /// 64*T1 after a 2xx without ACK.
    NeverAcknowledged,
    /// Timers H, I, L: the transaction is over.
    Ended,
}

/// The machine.
#[derive(Debug)]
pub(super) struct ServerInvite {
    state: State,
    reliable: bool,
    /// Timer H, I or L, or the longest wait for the transaction user.
    expires: Moment,
}

impl ServerInvite {
    /// The INVITE has just arrived.
    pub(super) fn new(reliable: bool, timers: &Timers, now: Moment) -> ServerInvite {
        ServerInvite {
            state: State::Proceeding,
            reliable,
            expires: now + timers.invite_limit,
        }
    }

    /// The next moment at which [`ServerInvite::on_timer`] has work.
    pub(super) fn deadline(&self) -> Moment {
        match self.state {
            State::Accepted { resend, .. } => resend.min(self.expires),
            State::Completed { resend: Some((at, _)) } => at.min(self.expires),
            _ => self.expires,
        }
    }

    /// True while no final response was sent.
    pub(super) fn is_pending(&self) -> bool {
        self.state == State::Proceeding
    }

    /// True while the ACK of a 300-699 is missing.
    pub(super) fn awaits_ack(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// The same INVITE came again.
    pub(super) fn on_retransmission(&self) -> OnRetransmission {
        match self.state {
            State::Proceeding | State::Completed { .. } => OnRetransmission::Resend,
            State::Accepted { .. } | State::Acknowledged | State::Confirmed => OnRetransmission::Absorb,
        }
    }

    /// The transaction user responds.
    pub(super) fn on_respond(&mut self, status: u16, timers: &Timers, now: Moment) -> Progress {
        match (self.state, status) {
            (State::Proceeding, 100..200) => {}
            (State::Proceeding, 200..300) => {
                self.state = State::Accepted {
                    resend: now + timers.t1,
                    interval: timers.t1,
                };
                self.expires = now + timers.transaction_timeout();
            }
            (State::Proceeding, _) => {
                self.state = State::Completed {
                    resend: (!self.reliable).then(|| (now + timers.t1, timers.t1)),
                };
                self.expires = now + timers.transaction_timeout();
            }
            _ => return Progress::Refused,
        }
        Progress::Waiting
    }

    /// The ACK of a 300-699 came.
    pub(super) fn on_ack(&mut self, timers: &Timers, now: Moment) -> Progress {
        match self.state {
            State::Completed { .. } if self.reliable => Progress::Ended,
            State::Completed { .. } => {
                self.state = State::Confirmed;
                self.expires = now + timers.t4;
                Progress::Waiting
            }
            State::Confirmed => Progress::Waiting,
            _ => Progress::Refused,
        }
    }

    /// The transaction user saw the ACK of the 2xx. A reliable hop repeats no INVITE, so nothing is left to absorb.
    pub(super) fn on_acknowledged(&mut self) -> Progress {
        match self.state {
            State::Accepted { .. } if self.reliable => Progress::Ended,
            State::Accepted { .. } => {
                self.state = State::Acknowledged;
                Progress::Waiting
            }
            _ => Progress::Refused,
        }
    }

    /// The deadline has come.
    pub(super) fn on_timer(&mut self, timers: &Timers, now: Moment) -> OnTimer {
        if now >= self.expires {
            return match self.state {
                State::Proceeding => OnTimer::Abandoned,
                State::Accepted { .. } => OnTimer::NeverAcknowledged,
                _ => OnTimer::Ended,
            };
        }
        match &mut self.state {
            State::Accepted { resend: at, interval }
            | State::Completed {
                resend: Some((at, interval)),
            } if now >= *at => {
                *interval = (*interval * 2).min(timers.t2);
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
    fn a_2xx_is_repeated_over_tls_too_until_64_t1() {
        let timers = Timers::default();
        let mut machine = ServerInvite::new(true, &timers, Moment::ZERO);
        assert_eq!(machine.on_respond(200, &timers, Moment::ZERO), Progress::Waiting);
        let mut sent = Vec::new();
        loop {
            let now = machine.deadline();
            match machine.on_timer(&timers, now) {
                OnTimer::Retransmit => sent.push(now),
                other => break assert_eq!((other, now), (OnTimer::NeverAcknowledged, after(32_000))),
            }
        }
        assert_eq!(sent[..5], [500, 1_500, 3_500, 7_500, 11_500].map(after));
    }

    #[test]
    fn the_ack_of_the_2xx_stops_it_and_udp_still_absorbs_the_invite_until_timer_l() {
        let timers = Timers::default();
        let mut machine = ServerInvite::new(false, &timers, Moment::ZERO);
        machine.on_respond(200, &timers, Moment::ZERO);
        assert_eq!(machine.on_acknowledged(), Progress::Waiting);
        assert_eq!(machine.on_retransmission(), OnRetransmission::Absorb);
        assert_eq!(machine.deadline(), after(32_000));
        assert_eq!(machine.on_timer(&timers, after(32_000)), OnTimer::Ended);
    }

    #[test]
    fn a_refusal_over_udp_is_repeated_until_ack_then_confirmed_for_t4() {
        let timers = Timers::default();
        let mut machine = ServerInvite::new(false, &timers, Moment::ZERO);
        machine.on_respond(486, &timers, Moment::ZERO);
        assert_eq!(machine.on_timer(&timers, after(500)), OnTimer::Retransmit);
        assert_eq!(machine.on_retransmission(), OnRetransmission::Resend);
        assert_eq!(machine.on_ack(&timers, after(700)), Progress::Waiting);
        assert_eq!(machine.on_retransmission(), OnRetransmission::Absorb);
        assert_eq!(machine.on_timer(&timers, after(5_700)), OnTimer::Ended);
    }

    #[test]
    fn one_final_response_only() {
        let timers = Timers::default();
        let mut machine = ServerInvite::new(false, &timers, Moment::ZERO);
        machine.on_respond(487, &timers, Moment::ZERO);
        assert_eq!(machine.on_respond(200, &timers, after(1)), Progress::Refused);
        assert_eq!(machine.on_acknowledged(), Progress::Refused);
    }
}
