//! The digits of one received stream, also those whose end packets were all lost and that no other digit follows.

use crate::moment::Moment;
use crate::rtp::telephone_event::{Digits, Event};
use std::time::Duration;

/// A digit whose packets stopped without an end is over after this long.
const LOST_END: Duration = Duration::from_millis(300);

/// A finished digit: its sign (`0`-`9`, `*`, `#`, `A`-`D`) and how long it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digit {
    pub sign: char,
    pub duration: Duration,
}

/// Finds each digit once.
#[derive(Default)]
pub(super) struct DigitWatch {
    digits: Digits,
    held: Option<Held>,
}

/// The digit that has no end yet.
struct Held {
    sign: char,
    /// Timestamp units.
    duration: u16,
    clock_rate: u32,
    heard: Moment,
}

impl DigitWatch {
    /// Takes the payload of one telephone-event packet; the digit that it finishes.
    pub fn packet(
        &mut self,
        marker: bool,
        timestamp: u32,
        clock_rate: u32,
        payload: &[u8],
        now: Moment,
    ) -> Option<Digit> {
        let heard = self.digits.receive(marker, timestamp, payload);
        if heard.released.is_some() {
            self.held = None;
        }
        let duration = Event::parse(payload).map_or(0, |event| event.duration);
        match (heard.pressed, &mut self.held) {
            (Some(sign), held) if heard.released.is_none_or(|released| released.digit != sign) => {
                *held = Some(Held {
                    sign,
                    duration,
                    clock_rate,
                    heard: now,
                });
            }
            (None, Some(held)) => {
                held.duration = held.duration.max(duration);
                held.heard = now;
            }
            _ => {}
        }
        heard
            .released
            .map(|released| digit(released.digit, released.duration, clock_rate))
    }

    /// The digit whose end packets were all lost.
    pub fn overdue(&mut self, now: Moment) -> Option<Digit> {
        let held = self.held.take_if(|held| now.since(held.heard) >= LOST_END)?;
        self.digits = Digits::new();
        Some(digit(held.sign, held.duration, held.clock_rate))
    }
}

fn digit(sign: char, units: u16, clock_rate: u32) -> Digit {
    Digit {
        sign,
        duration: Duration::from_secs(u64::from(units)) / clock_rate.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    /// Packets of (timestamp, event, end, duration) 20 ms apart from `start`; the digits told.
    fn feed(watch: &mut DigitWatch, start: u64, packets: &[(u32, u8, bool, u16)]) -> Vec<(char, u128)> {
        let mut told = Vec::new();
        for ((timestamp, event, end, units), millis) in packets.iter().zip((start..).step_by(20)) {
            let [high, low] = units.to_be_bytes();
            let payload = [*event, if *end { 0x8a } else { 0x0a }, high, low];
            let digit = watch.packet(*units == 160, *timestamp, 8000, &payload, at(millis));
            told.extend(digit.map(|digit| (digit.sign, digit.duration.as_millis())));
        }
        told
    }

    #[test]
    fn updates_and_repeated_ends_are_one_digit() {
        let mut watch = DigitWatch::default();
        let packets = [
            (9, 5, false, 160),
            (9, 5, false, 320),
            (9, 5, true, 480),
            (9, 5, true, 480),
            (9, 5, true, 480),
        ];
        assert_eq!(feed(&mut watch, 0, &packets), [('5', 60)]);
        assert_eq!(watch.overdue(at(5000)), None);
    }

    #[test]
    fn a_lost_end_is_told_by_time_and_only_once() {
        let mut watch = DigitWatch::default();
        assert_eq!(feed(&mut watch, 0, &[(100, 11, false, 160), (100, 11, false, 320)]), []);
        assert_eq!(watch.overdue(at(319)), None);
        assert_eq!(
            watch.overdue(at(320)),
            Some(Digit {
                sign: '#',
                duration: Duration::from_millis(40)
            })
        );
        assert_eq!(watch.overdue(at(900)), None);
        assert_eq!(
            feed(&mut watch, 1000, &[(9000, 1, false, 160), (9000, 1, true, 320)]),
            [('1', 40)]
        );
    }

    #[test]
    fn a_lost_end_is_told_by_the_next_digit() {
        let mut watch = DigitWatch::default();
        let packets = [
            (100, 1, false, 160),
            (900, 2, false, 160),
            (900, 2, true, 320),
            (900, 2, true, 320),
        ];
        assert_eq!(feed(&mut watch, 0, &packets), [('1', 20), ('2', 40)]);
        assert_eq!(watch.overdue(at(5000)), None);
    }

    #[test]
    fn foreign_events_and_short_payloads_are_no_digits() {
        let mut watch = DigitWatch::default();
        assert_eq!(
            feed(&mut watch, 0, &[(3000, 255, true, 160), (3000, 16, true, 160)]),
            []
        );
        assert_eq!(watch.packet(true, 9000, 8000, &[1, 0x80, 0], at(100)), None);
        assert_eq!(watch.overdue(at(5000)), None);
    }
}
