//! Named telephone events seen once each (RFC 4733 §2.5): updates, three end packets, lost ends, long events.

use crate::moment::Moment;
use std::time::Duration;

/// An event whose packets stopped without an end is over after this long.
const LOST_END: Duration = Duration::from_millis(300);

/// A finished digit: its sign (`0`-`9`, `*`, `#`, `A`-`D`) and its length on the RTP clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digit {
    pub sign: char,
    pub duration: Duration,
}

/// The event in progress of one received stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DigitDetector(Option<Progress>);

#[derive(Debug, Clone, Copy)]
struct Progress {
    sign: char,
    /// RTP timestamp of the event's present segment.
    timestamp: u32,
    /// Timestamp units of the segments before this one (§2.5.1.3) and of this one.
    earlier: u32,
    units: u16,
    clock_rate: u32,
    heard: Moment,
    reported: bool,
}

impl Progress {
    fn digit(&self) -> Digit {
        let units = u64::from(self.earlier) + u64::from(self.units);
        let micros = units * 1_000_000 / u64::from(self.clock_rate.max(1));
        Digit {
            sign: self.sign,
            duration: Duration::from_micros(micros),
        }
    }
}

impl DigitDetector {
    /// Takes one telephone-event packet; the digits that it finishes (an unfinished earlier one, then its own).
    pub fn packet(&mut self, timestamp: u32, clock_rate: u32, payload: &[u8], now: Moment) -> [Option<Digit>; 2] {
        let [event, flags, high, low, ..] = *payload else {
            return [None; 2];
        };
        let Some(sign) = sign_of(event) else { return [None; 2] };
        let ended = flags & 0x80 != 0;
        let units = u16::from_be_bytes([high, low]);
        let mut finished = [None; 2];
        match &mut self.0 {
            Some(known) if known.timestamp == timestamp => {
                if known.sign != sign {
                    return finished;
                }
                known.units = known.units.max(units);
                known.heard = now;
            }
            Some(known) if timestamp.wrapping_sub(known.timestamp) > u32::MAX / 2 => return finished,
            Some(known)
                if known.sign == sign
                    && !known.reported
                    && known.timestamp.wrapping_add(u32::from(known.units)) == timestamp =>
            {
                known.earlier = known.earlier.saturating_add(u32::from(known.units));
                known.timestamp = timestamp;
                known.units = units;
                known.heard = now;
            }
            _ => {
                finished[0] = self.finish();
                self.0 = Some(Progress {
                    sign,
                    timestamp,
                    earlier: 0,
                    units,
                    clock_rate,
                    heard: now,
                    reported: false,
                });
            }
        }
        if ended {
            finished[1] = self.finish();
        }
        finished
    }

    /// The digit whose end packets were all lost.
    pub fn overdue(&mut self, now: Moment) -> Option<Digit> {
        if now.since(self.0.as_ref()?.heard) < LOST_END {
            return None;
        }
        self.finish()
    }

    fn finish(&mut self) -> Option<Digit> {
        let progress = self.0.as_mut().filter(|progress| !progress.reported)?;
        progress.reported = true;
        Some(progress.digit())
    }
}

fn sign_of(event: u8) -> Option<char> {
    b"0123456789*#ABCD".get(usize::from(event)).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(detector: &mut DigitDetector, packets: &[(u32, u8, bool, u16)]) -> Vec<(char, u128)> {
        let mut seen = Vec::new();
        for (timestamp, event, end, units) in packets {
            let [high, low] = units.to_be_bytes();
            let payload = [*event, if *end { 0x8a } else { 0x0a }, high, low];
            let digits = detector.packet(*timestamp, 8000, &payload, Moment::ZERO);
            seen.extend(
                digits
                    .into_iter()
                    .flatten()
                    .map(|digit| (digit.sign, digit.duration.as_millis())),
            );
        }
        seen
    }

    #[test]
    fn updates_and_repeated_ends_are_one_digit() {
        let mut detector = DigitDetector::default();
        let packets = [
            (100, 5, false, 160),
            (100, 5, false, 320),
            (100, 5, true, 480),
            (100, 5, true, 480),
            (100, 5, true, 480),
        ];
        assert_eq!(feed(&mut detector, &packets), [('5', 60)]);
    }

    #[test]
    fn a_lost_end_is_reported_by_the_next_digit_or_by_time() {
        let mut detector = DigitDetector::default();
        assert_eq!(
            feed(&mut detector, &[(100, 1, false, 160), (900, 2, true, 80)]),
            [('1', 20), ('2', 10)]
        );
        assert_eq!(feed(&mut detector, &[(2000, 11, false, 160)]), []);
        assert_eq!(detector.overdue(Moment::from_micros(299_999)), None);
        let digit = Digit {
            sign: '#',
            duration: Duration::from_millis(20),
        };
        assert_eq!(detector.overdue(Moment::from_micros(300_000)), Some(digit));
        assert_eq!(detector.overdue(Moment::from_micros(900_000)), None);
    }

    #[test]
    fn late_packets_foreign_events_and_short_payloads_are_no_digits() {
        let mut detector = DigitDetector::default();
        assert_eq!(
            feed(&mut detector, &[(1000, 3, true, 160), (500, 4, true, 160)]),
            [('3', 20)]
        );
        assert_eq!(
            feed(&mut detector, &[(3000, 255, true, 160), (3000, 16, true, 160)]),
            []
        );
        assert_eq!(detector.packet(9000, 8000, &[1, 0x80, 0], Moment::ZERO), [None; 2]);
    }

    #[test]
    fn the_same_digit_twice_is_two_and_a_long_one_is_one() {
        let mut detector = DigitDetector::default();
        assert_eq!(
            feed(&mut detector, &[(0, 7, true, 800), (1600, 7, true, 800)]),
            [('7', 100), ('7', 100)]
        );
        let start = 100_000;
        let long = [
            (start, 8, false, 65535),
            (start + 65535, 8, false, 160),
            (start + 65535, 8, true, 465),
        ];
        assert_eq!(feed(&mut detector, &long), [('8', 8250)]);
    }
}
