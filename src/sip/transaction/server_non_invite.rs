//! The non-INVITE server transaction (RFC 3261 §17.2.2): states and timers alone.

use super::settings::Timers;
use crate::moment::Moment;

/// Where a request other than INVITE stands that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent; repeated on each retransmission until timer J.
    Completed,
}

/// What a response of the transaction user means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It lives on.
    Waiting,
    /// It is over at once (reliable transport).
    Ended,
    /// Too late: a final response was sent.
    Refused,
}

/// What a timer that fired means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTimer {
    /// Early: wait on.
    Nothing,
    /// The transaction user never answered and the client has given up (its timer F).
    Abandoned,
    /// Timer J: the transaction is over.
    Ended,
}

/// The machine.
#[derive(Debug)]
pub(super) struct ServerNonInvite {
    state: State,
    reliable: bool,
    /// Timer J, or the peer's timer F.
    expires: Moment,
}

impl ServerNonInvite {
    /// The request has just arrived.
    pub(super) fn new(reliable: bool, timers: &Timers, now: Moment) -> ServerNonInvite {
        ServerNonInvite {
            state: State::Trying,
            reliable,
            expires: now + timers.transaction_timeout(),
        }
    }

    /// The next moment at which [`ServerNonInvite::on_timer`] has work.
    pub(super) fn deadline(&self) -> Moment {
        self.expires
    }

    /// True when a retransmitted request is answered with the last response again.
    pub(super) fn repeats(&self) -> bool {
        self.state != State::Trying
    }

    /// The transaction user responds.
    pub(super) fn on_respond(&mut self, status: u16, timers: &Timers, now: Moment) -> Progress {
        match (self.state, status) {
            (State::Completed, _) => return Progress::Refused,
            (_, 100..200) => self.state = State::Proceeding,
            _ if self.reliable => return Progress::Ended,
            _ => {
                self.state = State::Completed;
                self.expires = now + timers.transaction_timeout();
            }
        }
        Progress::Waiting
    }

    /// The deadline has come.
    pub(super) fn on_timer(&self, now: Moment) -> OnTimer {
        match self.state {
            _ if now < self.expires => OnTimer::Nothing,
            State::Completed => OnTimer::Ended,
            State::Trying | State::Proceeding => OnTimer::Abandoned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_final_response_is_repeated_until_timer_j() {
        let timers = Timers::default();
        let mut machine = ServerNonInvite::new(false, &timers, Moment::ZERO);
        assert!(!machine.repeats());
        assert_eq!(machine.on_respond(200, &timers, Moment::ZERO), Progress::Waiting);
        assert!(machine.repeats());
        assert_eq!(machine.on_respond(500, &timers, Moment::ZERO), Progress::Refused);
        assert_eq!(
            machine.on_timer(Moment::ZERO + Duration::from_secs(31)),
            OnTimer::Nothing
        );
        assert_eq!(machine.on_timer(Moment::ZERO + Duration::from_secs(32)), OnTimer::Ended);
    }

    #[test]
    fn a_request_that_nobody_answers_is_reclaimed() {
        let timers = Timers::default();
        let machine = ServerNonInvite::new(true, &timers, Moment::ZERO);
        assert_eq!(machine.on_timer(machine.deadline()), OnTimer::Abandoned);
    }
}
