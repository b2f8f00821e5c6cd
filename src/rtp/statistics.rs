//! Reception of one source (RFC 3550 Appendix A.1, A.3, A.8).

use super::rtcp::{NtpTime, ReportBlock, short_units};
use crate::moment::Moment;
use std::time::Duration;

/// A forward jump up to this many packets is loss; a larger one must repeat to be believed.
const MAX_DROPOUT: u16 = 3000;
/// A packet up to this many behind the newest is late; an older one must repeat to be believed.
const MAX_MISORDER: u16 = 100;

/// What a packet was, seen from the sequence so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The newest packet so far.
    Newest,
    /// Late, but new.
    Reordered,
    /// Seen before.
    Duplicate,
    /// Far off the sequence: not counted, unless the next one continues it.
    Stray,
    /// The source began again somewhere else; the packet is its newest.
    Restarted,
}

/// Counts and jitter of one source. Counting begins at the first packet, also when joining late.
#[derive(Debug, Clone)]
pub struct Reception {
    clock_rate: u32,
    sequence: Option<Sequence>,
    /// Expected packets of sequences that a restart ended.
    expected_before: u64,
    received: u64,
    reordered: u64,
    duplicates: u64,
    transit: Option<Transit>,
    /// Jitter in timestamp units, times 16 (A.8's integer form).
    jitter_16: u32,
    reported: Reported,
    last_sr: Option<(u32, Moment)>,
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    first: u32,
    /// Cycles << 16 | newest sequence number.
    newest: u32,
    /// Bit `n` is `newest - n`.
    seen: u128,
    /// What would continue a jump.
    after_jump: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Transit {
    relative: u32,
    timestamp: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    expected: u64,
    received: u64,
}

impl Reception {
    /// Nothing received yet; `clock_rate` of the payload format in Hz.
    pub fn new(clock_rate: u32) -> Reception {
        Reception {
            clock_rate: clock_rate.max(1),
            sequence: None,
            expected_before: 0,
            received: 0,
            reordered: 0,
            duplicates: 0,
            transit: None,
            jitter_16: 0,
            reported: Reported::default(),
            last_sr: None,
        }
    }

    /// The clock of what comes next. Timestamps of two clocks tell nothing of each other (RFC 7160 §4.2).
    pub fn clocked(&mut self, clock_rate: u32) {
        let (before, now) = (self.clock_rate, clock_rate.max(1));
        if before != now {
            let jitter = u64::from(self.jitter_16) * u64::from(now) / u64::from(before);
            self.jitter_16 = u32::try_from(jitter).unwrap_or(u32::MAX);
            self.clock_rate = now;
            self.transit = None;
        }
    }

    /// Counts a packet that arrived at `now`.
    pub fn receive(&mut self, sequence: u16, timestamp: u32, now: Moment) -> Arrival {
        let arrival = self.place(sequence);
        match arrival {
            Arrival::Stray => return arrival,
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::Reordered => self.reordered += 1,
            Arrival::Restarted => self.transit = None,
            Arrival::Newest => {}
        }
        self.received += 1;
        if arrival != Arrival::Duplicate {
            self.measure_jitter(timestamp, now);
        }
        arrival
    }

    /// Notes the peer's SR, whose time the next report block hands back.
    pub fn receive_sender_report(&mut self, ntp: NtpTime, now: Moment) {
        self.last_sr = Some((ntp.middle(), now));
    }

    /// Packets that the source has sent between the first and the newest one received.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.sequence.map_or(0, |sequence| sequence.expected())
    }

    /// Packets received, with late ones and duplicates (RFC 3550 §6.4.1).
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets lost; negative when duplicates outnumber losses.
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Packets that came after a newer one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Packets that came again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Cycles << 16 | newest sequence number; 0 before the first packet.
    pub fn highest_sequence(&self) -> u32 {
        self.sequence.map_or(0, |sequence| sequence.newest)
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter_16 >> 4
    }

    /// Interarrival jitter as time.
    pub fn jitter_time(&self) -> Duration {
        Duration::from_nanos(u64::from(self.jitter_16) * 1_000_000_000 / 16 / u64::from(self.clock_rate))
    }

    /// The block to send about this source, `ssrc`. Its loss fraction covers the time since the previous block.
    pub fn report_block(&mut self, ssrc: u32, now: Moment) -> ReportBlock {
        let total = Reported {
            expected: self.expected(),
            received: self.received,
        };
        let expected = total.expected.saturating_sub(self.reported.expected);
        let received = total.received.saturating_sub(self.reported.received);
        self.reported = total;
        let lost = expected.saturating_sub(received);
        let fraction = (lost << 8).checked_div(expected).unwrap_or(0).min(255);
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((middle, at)) => (middle, short_units(now.since(at))),
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: self.lost().clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            highest_sequence: self.highest_sequence(),
            jitter: self.jitter(),
            last_sr,
            delay_since_last_sr,
        }
    }

    fn place(&mut self, number: u16) -> Arrival {
        let Some(sequence) = &mut self.sequence else {
            self.sequence = Some(Sequence::starting_at(number));
            return Arrival::Newest;
        };
        let ahead = number.wrapping_sub(sequence.newest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            Arrival::Duplicate
        } else if ahead < MAX_DROPOUT {
            sequence.newest = sequence.newest.wrapping_add(u32::from(ahead));
            sequence.seen = sequence.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            sequence.after_jump = None;
            Arrival::Newest
        } else if behind < MAX_MISORDER {
            let bit = 1u128 << behind;
            if sequence.seen & bit != 0 {
                return Arrival::Duplicate;
            }
            sequence.seen |= bit;
            // Older than what counting began with: it was never expected.
            if let Some(older) = sequence.newest.checked_sub(u32::from(behind)) {
                sequence.first = sequence.first.min(older);
            }
            Arrival::Reordered
        } else if sequence.after_jump == Some(number) {
            self.expected_before += sequence.expected();
            self.sequence = Some(Sequence::starting_at(number));
            Arrival::Restarted
        } else {
            sequence.after_jump = Some(number.wrapping_add(1));
            Arrival::Stray
        }
    }

    fn measure_jitter(&mut self, timestamp: u32, now: Moment) {
        let arrival = u128::from(now.as_micros()) * u128::from(self.clock_rate) / 1_000_000;
        let relative = (arrival as u32).wrapping_sub(timestamp);
        let previous = self.transit.replace(Transit { relative, timestamp });
        let Some(previous) = previous else { return };
        let difference = (relative.wrapping_sub(previous.relative) as i32).unsigned_abs();
        // Packets of one telephone-event share a timestamp, and a source that switches jumps: neither says anything about
        // the network.
        if timestamp != previous.timestamp && difference < self.clock_rate {
            self.jitter_16 =
                (self.jitter_16.saturating_add(difference)).saturating_sub(self.jitter_16.saturating_add(8) >> 4);
        }
    }
}

impl Sequence {
    fn starting_at(number: u16) -> Sequence {
        Sequence {
            first: u32::from(number),
            newest: u32::from(number),
            seen: 1,
            after_jump: None,
        }
    }

    fn expected(&self) -> u64 {
        u64::from(self.newest.wrapping_sub(self.first)) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Duration = Duration::from_millis(20);

    /// Feeds sequence numbers as 20 ms packets that arrive in time.
    fn feed(reception: &mut Reception, numbers: impl IntoIterator<Item = u16>) -> Vec<Arrival> {
        let numbers = numbers.into_iter();
        numbers
            .map(|number| {
                let at = Moment::from_micros(u64::from(number) * 20_000);
                reception.receive(number, u32::from(number) * 160, at)
            })
            .collect()
    }

    #[test]
    fn counts_across_the_wrap() {
        let mut reception = Reception::new(8000);
        feed(
            &mut reception,
            (65_500..=65_535).chain(0..100).filter(|n| *n != 65_535 && *n != 7),
        );
        assert_eq!(
            (reception.expected(), reception.received(), reception.lost()),
            (136, 134, 2)
        );
        assert_eq!(reception.highest_sequence(), 1 << 16 | 99);
        let block = reception.report_block(9, Moment::ZERO);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (3, 2));
        feed(&mut reception, 100..200);
        let block = reception.report_block(9, Moment::ZERO);
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.last_sr), (0, 2, 0));
    }

    #[test]
    fn late_and_double_packets() {
        let mut reception = Reception::new(8000);
        use Arrival::{Duplicate, Newest, Reordered};
        let arrivals = feed(&mut reception, [10, 12, 11, 11, 12, 13, 9]);
        assert_eq!(
            arrivals,
            [Newest, Newest, Reordered, Duplicate, Duplicate, Newest, Reordered]
        );
        assert_eq!((reception.reordered(), reception.duplicates()), (2, 2));
        assert_eq!(
            (reception.expected(), reception.received(), reception.lost()),
            (5, 7, -2)
        );
    }

    #[test]
    fn a_stray_does_not_move_the_sequence_a_restart_does() {
        let mut reception = Reception::new(8000);
        feed(&mut reception, 1000..1010);
        assert_eq!(feed(&mut reception, [40_000, 1010]), [Arrival::Stray, Arrival::Newest]);
        assert_eq!(reception.lost(), 0);
        let arrivals = feed(&mut reception, [5, 6, 7]);
        assert_eq!(arrivals, [Arrival::Stray, Arrival::Restarted, Arrival::Newest]);
        assert_eq!((reception.expected(), reception.received()), (13, 13));
        assert_eq!(reception.highest_sequence(), 7);
    }

    #[test]
    fn jitter_settles_at_the_alternating_delay() {
        let mut reception = Reception::new(8000);
        let mut now = Moment::ZERO;
        for number in 0..1000u16 {
            now = now + FRAME;
            let late = Duration::from_millis(if number % 2 == 0 { 0 } else { 5 });
            reception.receive(number, u32::from(number) * 160, now + late);
        }
        // Every transit differs from the one before by 5 ms, 40 units.
        assert!((39..=40).contains(&reception.jitter()), "{}", reception.jitter());
        assert!(reception.jitter_time().abs_diff(Duration::from_millis(5)) < Duration::from_micros(100));
        let jitter = reception.jitter();
        // A telephone-event: one timestamp for a while, then the clock goes on; then the source switches.
        for number in 1000..1010u16 {
            now = now + FRAME;
            reception.receive(number, 160_000, now);
        }
        reception.receive(1010, 3_000_000_000, now + FRAME);
        assert!(reception.jitter() <= jitter + 10, "{}", reception.jitter());
    }

    #[test]
    fn another_clock_is_no_jitter() {
        let mut reception = Reception::new(16_000);
        let (mut now, mut timestamp) = (Moment::ZERO, 0u32);
        for number in 0..1_000u16 {
            let late = Duration::from_millis(if number % 2 == 0 { 0 } else { 5 });
            let clock = if (number / 100) % 2 == 0 { 16_000 } else { 8_000 };
            reception.clocked(clock);
            reception.receive(number, timestamp, now + late);
            timestamp += clock / 50;
            now = now + FRAME;
        }
        let told = reception.jitter_time();
        assert!(
            told.abs_diff(Duration::from_millis(5)) < Duration::from_micros(200),
            "{told:?}"
        );
    }

    #[test]
    fn hands_back_the_senders_report() {
        let mut reception = Reception::new(8000);
        feed(&mut reception, [1]);
        reception.receive_sender_report(NtpTime(0x0000_1234_5678_0000), Moment::from_micros(1_000_000));
        let block = reception.report_block(1, Moment::from_micros(2_500_000));
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x1234_5678, 98_304));
    }

    proptest! {
        #[test]
        fn no_input_panics_and_counts_add_up(packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<u64>()), 0..300)) {
            let mut reception = Reception::new(8000);
            for (number, timestamp, at) in packets {
                reception.receive(number, timestamp, Moment::from_micros(at));
                let block = reception.report_block(1, Moment::from_micros(at));
                prop_assert_eq!(i64::from(block.cumulative_lost), reception.lost());
            }
        }
    }
}
