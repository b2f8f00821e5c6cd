//! Digits that a leg sends: what is asked for, and which packet comes next.

use super::sound::units;
use crate::rtp::telephone_event::{self, Event};
use std::time::Duration;

/// Copies of a digit's last packet (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// dB below 0 dBm0 that events tell.
const VOLUME: u8 = 10;

/// Digits for a leg's peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendDigits {
    /// `0`-`9`, `*`, `#`, `A`-`D` in either case.
    pub digits: String,
    /// Comes back in [`MediaEvent::DigitsSent`](super::MediaEvent::DigitsSent).
    pub cookie: u64,
    /// How long each is held: 40 ms to 6 s, what is outside becomes the nearest of them.
    pub duration: Duration,
    /// Silence behind each: 40 ms to 6 s.
    pub gap: Duration,
}

/// What the next packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An event's payload; whether it is a digit's first packet.
    Event { payload: [u8; Event::LEN], begins: bool },
    /// Audio of this digit.
    Tone(char),
    /// Audio without a tone.
    Silence,
    /// No packet now.
    Nothing,
    /// All digits were sent.
    Over,
}

/// How digits go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// RFC 4733 with this payload type.
    Events(u8),
    /// As tones in the audio.
    InBand,
}

/// Digits on their way.
pub(super) struct Keys {
    pub cookie: u64,
    pub manner: Manner,
    digits: Box<[u8]>,
    index: usize,
    duration: usize,
    gap: usize,
    /// Units since the digit began.
    elapsed: usize,
    ends: u8,
}

impl SendDigits {
    /// The first character that is no digit.
    pub fn fault(&self) -> Option<char> {
        self.digits
            .chars()
            .find(|digit| telephone_event::code(*digit).is_none())
    }
}

impl Keys {
    pub fn new(send: &SendDigits, manner: Manner) -> Keys {
        let clamped = |span: Duration| units(span.clamp(Duration::from_millis(40), Duration::from_secs(6)));
        Keys {
            cookie: send.cookie,
            manner,
            digits: send.digits.chars().filter_map(telephone_event::code).collect(),
            index: 0,
            duration: clamped(send.duration),
            gap: clamped(send.gap),
            elapsed: 0,
            ends: 0,
        }
    }

    /// The next packet of `units` of an 8 kHz clock.
    pub fn step(&mut self, units: usize) -> Step {
        let Some(code) = self.digits.get(self.index).copied() else {
            return Step::Over;
        };
        let begins = self.elapsed == 0;
        self.elapsed += units;
        let held = self.elapsed.min(self.duration);
        let step = match self.manner {
            Manner::Events(_) => {
                let end = self.elapsed >= self.duration;
                self.ends += u8::from(end);
                let event = Event {
                    code,
                    end,
                    volume: VOLUME,
                    duration: u16::try_from(held).unwrap_or(u16::MAX),
                };
                match self.ends <= ENDS {
                    true => Step::Event {
                        payload: event.to_bytes(),
                        begins,
                    },
                    false => Step::Nothing,
                }
            }
            Manner::InBand if self.elapsed <= self.duration => match telephone_event::digit(code) {
                Some(digit) => Step::Tone(digit),
                None => Step::Silence,
            },
            Manner::InBand => Step::Silence,
        };
        let ends_are_out = self.manner == Manner::InBand || self.ends >= ENDS;
        if self.elapsed >= self.duration + self.gap && ends_are_out {
            self.index += 1;
            self.elapsed = 0;
            self.ends = 0;
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::telephone_event::Digits;

    fn send(digits: &str, duration: u64, gap: u64) -> SendDigits {
        SendDigits {
            digits: digits.to_owned(),
            cookie: 1,
            duration: Duration::from_millis(duration),
            gap: Duration::from_millis(gap),
        }
    }

    #[test]
    fn a_receiver_hears_each_digit_once_with_its_length() {
        let mut keys = Keys::new(&send("1*d", 100, 60), Manner::Events(101));
        let (mut heard, mut digits, mut timestamp, mut now) = (Vec::new(), Digits::new(), 0, 0);
        let mut packets = 0;
        loop {
            now += 160;
            match keys.step(160) {
                Step::Event { payload, begins } => {
                    packets += 1;
                    if begins {
                        timestamp = now;
                    }
                    let told = digits.receive(begins, timestamp, &payload);
                    heard.extend(told.released.map(|released| (released.digit, released.duration)));
                }
                Step::Nothing => {}
                Step::Over => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, [('1', 800), ('*', 800), ('D', 800)]);
        // four updates and three ends each
        assert_eq!((packets, now), (21, (3 * 8 + 1) * 160));
    }

    #[test]
    fn tones_and_silence_in_band() {
        let mut keys = Keys::new(&send("5", 60, 40), Manner::InBand);
        let steps: Vec<Step> = (0..6).map(|_| keys.step(160)).collect();
        let tone = Step::Tone('5');
        assert_eq!(steps, [tone, tone, tone, Step::Silence, Step::Silence, Step::Over]);
    }

    #[test]
    fn what_is_no_digit_is_named() {
        assert_eq!(send("12a#", 100, 100).fault(), None);
        assert_eq!(send("1w2", 100, 100).fault(), Some('w'));
        assert_eq!(Keys::new(&send("", 100, 100), Manner::InBand).step(160), Step::Over);
    }
}
