//! Which source is believed and where to send: one [`Latch`](super::Latch) state for RTP and one for RTCP of a leg.

use crate::moment::Moment;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where a peer's packets come from and ours go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    signalled: SocketAddr,
    current: SocketAddr,
    state: State,
    /// By connectivity checks: nothing that is heard moves it.
    nominated: Option<SocketAddr>,
    /// The best that was checked, while nothing is nominated and nobody heard.
    checked: Option<SocketAddr>,
}

/// Who may take the signalled address' place, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenWay {
    pub until: Moment,
    /// None: any host.
    pub host: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No packet was believed since the address was signalled.
    Fresh,
    /// Packets were believed: a plain source moves no more.
    Settled,
}

impl Source {
    pub fn new(signalled: SocketAddr) -> Source {
        Source {
            signalled,
            current: signalled,
            state: State::Fresh,
            nominated: None,
            checked: None,
        }
    }

    /// Takes a newly signalled address. The same one again keeps what was learnt.
    pub fn signal(&mut self, signalled: SocketAddr) {
        if signalled != self.signalled {
            *self = Source::new(signalled);
        }
    }

    /// Where to send; None when the peer gave no usable address.
    pub fn destination(&self) -> Option<SocketAddr> {
        let checked = self.checked.filter(|_| self.state == State::Fresh);
        let remote = self.nominated.or(checked).unwrap_or(self.current);
        (!remote.ip().is_unspecified() && remote.port() != 0).then_some(remote)
    }

    /// Takes what connectivity checks prove: the nominated and the best checked remote end.
    pub fn pair(&mut self, (nominated, checked): (Option<SocketAddr>, Option<SocketAddr>)) {
        (self.nominated, self.checked) = (nominated, checked);
    }

    /// The nominated pair's remote end.
    pub fn nominated(&self) -> Option<SocketAddr> {
        self.nominated
    }

    /// True when packets were believed since the address was signalled.
    pub fn is_heard(&self) -> bool {
        self.state == State::Settled
    }

    /// True when an unauthenticated packet from `from` is believed as it is.
    pub fn is_current(&self, from: SocketAddr) -> bool {
        from == self.current
    }

    /// True when `from` may become the source: while the way is open, another address where nothing was believed yet, and
    /// the signalled one from whoever was quicker.
    pub fn may_move(&self, from: SocketAddr, way: Option<OpenWay>, now: Moment) -> bool {
        let Some(way) = way.filter(|way| now < way.until) else {
            return false;
        };
        let is_open = way.host.is_none_or(|host| host == from.ip());
        from == self.signalled || self.state == State::Fresh && is_open
    }

    /// A packet from `from` was believed (verified, or allowed by the two tests above). True when the source moved.
    pub fn believe(&mut self, from: SocketAddr) -> bool {
        let moved = from != self.current;
        self.current = from;
        self.state = State::Settled;
        moved
    }
}

/// Largest step forward (RFC 3550 A.1 MAX_DROPOUT) and backward (MAX_MISORDER) of a believable sequence number.
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;

/// The one RTP stream that a plain source is believed to send. A forged packet with the right addresses but another
/// SSRC or a far sequence number is not relayed: the stream changes only after it was silent for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PlainStream(Option<Run>);

/// Numbers that go on.
#[derive(Debug, Clone, Copy)]
struct Run {
    ssrc: u32,
    highest: u16,
    /// When it went on last.
    at: Moment,
    /// What would go on from the last packet, where that was behind the highest.
    behind: Option<u16>,
}

/// How a packet fits the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Continues,
    /// The first packet of a new stream.
    Begins,
    /// Of another stream while the present one runs.
    Foreign,
}

impl PlainStream {
    /// Places a packet; after `silence` without packets that go on any packet may begin a new stream. A late one, or a copy,
    /// comes alone, or between those that go on: where it is the second in a row, the source has stepped back and goes on there.
    pub fn place(&mut self, ssrc: u32, sequence: u16, silence: Duration, now: Moment) -> Fit {
        if let Some(run) = &mut self.0 {
            if run.ssrc == ssrc && sequence.wrapping_sub(run.highest) < MAX_DROPOUT {
                (run.highest, run.at, run.behind) = (sequence, now, None);
                return Fit::Continues;
            }
            let is_silent = now.since(run.at) >= silence;
            let is_late = run.ssrc == ssrc && run.highest.wrapping_sub(sequence) <= MAX_MISORDER;
            if is_late {
                let goes_on_there = run.behind.replace(sequence.wrapping_add(1)) == Some(sequence);
                if !(is_silent && goes_on_there) {
                    return Fit::Continues;
                }
            } else if !is_silent {
                return Fit::Foreign;
            }
        }
        self.0 = Some(Run {
            ssrc,
            highest: sequence,
            at: now,
            behind: None,
        });
        Fit::Begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(60);

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn ms(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    #[test]
    fn a_plain_source_moves_once_and_only_in_the_window() {
        let mut source = Source::new(at("192.0.2.1:4000"));
        let nat = at("198.51.100.7:61000");
        assert!(!source.is_current(nat));
        let way = |host| Some(OpenWay { until: ms(5000), host });
        assert!(!source.may_move(nat, None, ms(0)), "strict profiles never move");
        assert!(!source.may_move(nat, way(None), ms(5000)), "the window is over");
        assert!(source.may_move(nat, way(None), ms(4999)));
        assert!(source.may_move(nat, way(Some(nat.ip())), ms(4999)));
        let other = Some(at("198.51.100.8:1").ip());
        assert!(!source.may_move(nat, way(other), ms(4999)), "another host");
        assert!(source.believe(nat));
        assert!(
            !source.may_move(at("198.51.100.8:1"), way(None), ms(10)),
            "one move only"
        );
        let signalled = at("192.0.2.1:4000");
        assert!(
            source.may_move(signalled, way(None), ms(10)),
            "the signalled address may return"
        );
        assert!(!source.may_move(signalled, way(None), ms(5000)));
        assert_eq!(source.destination(), Some(nat));
    }

    #[test]
    fn a_believed_signalled_address_ends_the_window() {
        let mut source = Source::new(at("192.0.2.1:4000"));
        assert!(!source.believe(at("192.0.2.1:4000")));
        let way = OpenWay {
            until: ms(5000),
            host: None,
        };
        assert!(!source.may_move(at("198.51.100.7:61000"), Some(way), ms(1)));
    }

    #[test]
    fn the_same_address_signalled_again_keeps_the_learnt_one() {
        let mut source = Source::new(at("192.0.2.1:4000"));
        source.believe(at("198.51.100.7:61000"));
        source.signal(at("192.0.2.1:4000"));
        assert_eq!(source.destination(), Some(at("198.51.100.7:61000")));
        source.signal(at("192.0.2.1:4002"));
        assert_eq!(source.destination(), Some(at("192.0.2.1:4002")));
        let way = OpenWay {
            until: ms(9),
            host: None,
        };
        assert!(source.may_move(at("198.51.100.7:61000"), Some(way), ms(1)));
    }

    #[test]
    fn a_nominated_pair_is_before_who_is_heard_and_who_is_heard_before_a_checked_one() {
        let (signalled, heard) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
        let (checked, nominated) = (at("192.0.2.3:4000"), at("192.0.2.4:4000"));
        let mut source = Source::new(signalled);
        source.pair((None, Some(checked)));
        assert_eq!(source.destination(), Some(checked));
        source.believe(heard);
        assert_eq!(source.destination(), Some(heard));
        source.pair((Some(nominated), Some(checked)));
        source.believe(heard);
        assert_eq!(source.destination(), Some(nominated));
        source.pair((None, None));
        assert_eq!(
            source.destination(),
            Some(heard),
            "a restart forgets the pair, not who is heard"
        );
    }

    #[test]
    fn no_address_means_nothing_is_sent() {
        assert_eq!(Source::new(at("0.0.0.0:4000")).destination(), None);
        assert_eq!(Source::new(at("192.0.2.1:0")).destination(), None);
    }

    #[test]
    fn a_running_plain_stream_refuses_other_ssrcs_and_far_sequences() {
        let mut stream = PlainStream::default();
        let mut place = |ssrc, sequence, millis| stream.place(ssrc, sequence, SILENCE, ms(millis));
        assert_eq!(place(1, 65530, 0), Fit::Begins);
        assert_eq!(place(2, 65531, 10), Fit::Foreign);
        assert_eq!(place(1, 30000, 10), Fit::Foreign);
        assert_eq!(place(1, 4, 20), Fit::Continues, "across the wrap");
        assert_eq!(place(1, 65533, 30), Fit::Continues, "late, across the wrap");
        assert_eq!(
            place(1, 5, 40),
            Fit::Continues,
            "a late packet does not move the window back"
        );
        assert_eq!(place(2, 7, 99), Fit::Foreign);
        assert_eq!(
            place(2, 7, 100),
            Fit::Begins,
            "the old stream is silent: a new one may begin"
        );
        assert_eq!(place(1, 6, 101), Fit::Foreign);
        assert_eq!(
            place(2, 8, 60_000),
            Fit::Continues,
            "silence alone does not end a stream"
        );
        assert_eq!(place(2, 30_000, 60_060), Fit::Begins);
    }

    #[test]
    fn a_source_that_steps_back_and_goes_on_there_begins_anew() {
        for back in [1, 60, MAX_MISORDER] {
            let mut stream = PlainStream::default();
            let mut place = |sequence, millis| stream.place(1, sequence, SILENCE, ms(millis));
            assert_eq!(place(1_000, 0), Fit::Begins);
            assert_eq!(place(1_001, 20), Fit::Continues);
            let first = 1_002 - back;
            for more in 0..2 {
                let fit = place(first + more, 40 + u64::from(more) * 20);
                assert_eq!(fit, Fit::Continues, "a copy, or late: {back}");
            }
            let begun = place(first + 2, 80);
            // Where it has stepped back by two it goes on already.
            let wanted = if back > 2 { Fit::Begins } else { Fit::Continues };
            assert_eq!(begun, wanted, "{back}");
            assert_eq!(place(first + 3, 100), Fit::Continues, "{back}");
        }
    }

    #[test]
    fn late_packets_and_copies_begin_nothing() {
        let mut stream = PlainStream::default();
        let mut place = |sequence, millis| stream.place(1, sequence, SILENCE, ms(millis));
        assert_eq!(place(1_000, 0), Fit::Begins);
        for (sequence, millis) in [(999, 100), (997, 120), (990, 5_000), (1_000, 5_020)] {
            assert_eq!(place(sequence, millis), Fit::Continues, "each by itself");
        }
        for more in 1..10 {
            let now = 5_020 + u64::from(more) * 20;
            assert_eq!(place(1_000 + more, now), Fit::Continues);
            assert_eq!(place(950 + more, now), Fit::Continues, "beside those that go on");
        }
    }
}
