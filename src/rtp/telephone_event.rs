//! telephone-event (RFC 4733): the payload, and digits out of a stream that repeats and loses packets.

/// One event block of a payload (RFC 4733 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// 0 to 9, 10 `*`, 11 `#`, 12 to 15 `A` to `D`, further ones are not digits.
    pub code: u8,
    /// Whether the event is over.
    pub end: bool,
    /// Tone level in dB below 0 dBm0, 0 to 63.
    pub volume: u8,
    /// How long it lasted so far, in timestamp units.
    pub duration: u16,
}

impl Event {
    /// Bytes of one block.
    pub const LEN: usize = 4;

    /// Reads the first block; `None` when the payload is shorter.
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let [code, flags, high, low] = *payload.first_chunk()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Event {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration,
        })
    }

    /// The block as payload.
    pub fn to_bytes(self) -> [u8; Event::LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

/// The digit of an event code.
pub fn digit(code: u8) -> Option<char> {
    match code {
        0..=9 => Some(char::from(b'0' + code)),
        10 => Some('*'),
        11 => Some('#'),
        12..=15 => Some(char::from(b'A' + code - 12)),
        _ => None,
    }
}

/// The event code of a digit; letters in either case.
pub fn code(digit: char) -> Option<u8> {
    match digit.to_ascii_uppercase() {
        digit @ '0'..='9' => Some(digit as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        digit @ 'A'..='D' => Some(digit as u8 - b'A' + 12),
        _ => None,
    }
}

/// What one packet told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// A digit that is over. When its end packets were lost, the next digit ends it.
    pub released: Option<Released>,
    /// A digit that began.
    pub pressed: Option<char>,
}

/// A digit that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// The digit.
    pub digit: char,
    /// The longest duration seen, in timestamp units; 65,535 means that long or longer.
    pub duration: u16,
}

/// Finds each digit once in a stream of telephone-event packets, whatever was repeated, lost or reordered.
#[derive(Debug, Clone, Default)]
pub struct Digits {
    current: Option<Current>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    digit: char,
    timestamp: u32,
    duration: u16,
    over: bool,
}

/// A packet up to this far in the past (5 s at 8 kHz) is late; further back, the timestamps began anew.
const LATE: u32 = 40_000;
/// Senders that wrongly advance the timestamp do so within an event's three end packets, here 100 ms at 8 kHz.
const END_REPEATS: u32 = 800;

impl Digits {
    /// Nothing heard yet.
    pub fn new() -> Digits {
        Digits::default()
    }

    /// Takes the payload of one packet with its marker and timestamp. Events that are no digits are ignored.
    pub fn receive(&mut self, marker: bool, timestamp: u32, payload: &[u8]) -> Heard {
        let mut heard = Heard::default();
        let Some(event) = Event::parse(payload) else {
            return heard;
        };
        let Some(digit) = digit(event.code) else { return heard };
        if let Some(current) = &mut self.current {
            let later = timestamp.wrapping_sub(current.timestamp);
            if later != 0 && later.wrapping_neg() < LATE {
                return heard;
            }
            if current.is_continued_by(marker, later, digit, &event) {
                heard.released = current.go_on(timestamp, &event);
                return heard;
            }
            if !current.over {
                heard.released = Some(current.released());
            }
        }
        self.current = Some(Current {
            digit,
            timestamp,
            duration: event.duration,
            over: event.end,
        });
        heard.pressed = Some(digit);
        if event.end && heard.released.is_none() {
            heard.released = self.current.map(|current| current.released());
        } else if event.end {
            // Two digits ended in one packet: the older one's end is told, its successor's follows with the repeats.
            self.current = self.current.map(|current| Current { over: false, ..current });
        }
        heard
    }
}

impl Current {
    /// `later`: the packet's timestamp relative to the event's.
    fn is_continued_by(&self, marker: bool, later: u32, digit: char, event: &Event) -> bool {
        if later == 0 {
            // One timestamp is one event (RFC 4733 §2.2); a different code under it is damage.
            return true;
        }
        if digit != self.digit || marker {
            return false;
        }
        if self.over {
            return event.end && event.duration == self.duration && later <= END_REPEATS;
        }
        // The next segment of a long event (RFC 4733 §2.5.1.3), or a sender that wrongly advances the timestamp while
        // the duration grows.
        later == 0xffff || event.duration > self.duration && later <= u32::from(event.duration)
    }

    fn go_on(&mut self, timestamp: u32, event: &Event) -> Option<Released> {
        if timestamp.wrapping_sub(self.timestamp) >= 0xffff {
            self.duration = u16::MAX;
        } else {
            self.duration = self.duration.max(event.duration);
        }
        self.timestamp = timestamp;
        let ends = event.end && !self.over;
        self.over |= event.end;
        ends.then(|| self.released())
    }

    fn released(&self) -> Released {
        Released {
            digit: self.digit,
            duration: self.duration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(digit: char, end: bool, duration: u16) -> [u8; 4] {
        Event {
            code: code(digit).unwrap(),
            end,
            volume: 10,
            duration,
        }
        .to_bytes()
    }

    /// The packets of one press as RFC 4733 §2.5.1 has them: updates every 20 ms, the end three times.
    fn press(digit: char, timestamp: u32, duration: u16) -> Vec<(bool, u32, [u8; 4])> {
        let updates = (1..duration / 160).map(|n| (n == 1, timestamp, event(digit, false, n * 160)));
        updates
            .chain([(false, timestamp, event(digit, true, duration)); 3])
            .collect()
    }

    fn hear(packets: &[(bool, u32, [u8; 4])]) -> (String, Vec<Released>) {
        let mut digits = Digits::new();
        let mut pressed = String::new();
        let mut released = Vec::new();
        for (marker, timestamp, payload) in packets {
            let heard = digits.receive(*marker, *timestamp, payload);
            pressed.extend(heard.pressed);
            released.extend(heard.released);
        }
        (pressed, released)
    }

    #[test]
    fn digits_and_codes() {
        for known in "0123456789*#ABCD".chars() {
            assert_eq!(digit(code(known).unwrap()), Some(known));
        }
        assert_eq!(
            (code('d'), code('x'), digit(16), digit(255)),
            (Some(15), None, None, None)
        );
    }

    #[test]
    fn repeated_ends_count_once() {
        let (pressed, released) = hear(&[press('5', 1000, 1600), press('5', 9000, 800)].concat());
        assert_eq!(pressed, "55");
        let of = |duration| Released { digit: '5', duration };
        assert_eq!(released, [of(1600), of(800)]);
    }

    #[test]
    fn lost_ends_and_overlap() {
        let mut packets = press('1', 1000, 1600);
        packets.truncate(packets.len() - 3);
        // The next digit begins, and a late packet of the first comes between.
        packets.extend(
            [
                press('2', 3000, 1600),
                vec![(false, 1000, event('1', true, 1600))],
                press('3', 5000, 480),
            ]
            .concat(),
        );
        let (pressed, released) = hear(&packets);
        assert_eq!(pressed, "123");
        assert_eq!(
            released.iter().map(|released| released.digit).collect::<String>(),
            "123"
        );
    }

    #[test]
    fn only_the_end_arrives() {
        let mut packets = press('1', 1000, 1600);
        packets.truncate(3);
        packets.extend([(false, 4000, event('2', true, 800)); 2]);
        let (pressed, released) = hear(&packets);
        assert_eq!(pressed, "12");
        assert_eq!(released.iter().map(|released| released.digit).collect::<String>(), "12");
        assert_eq!(hear(&[(false, 7, event('9', true, 800))]).0, "9");
    }

    #[test]
    fn one_long_press_in_segments() {
        let mut packets: Vec<_> = (1..=400u16)
            .map(|n| (n == 1, 500, event('7', false, n * 160)))
            .collect();
        let segment = 500 + 0xffff;
        packets.extend((1..5u16).map(|n| (false, segment, event('7', false, n * 160))));
        packets.extend([(false, segment, event('7', true, 800)); 3]);
        let (pressed, released) = hear(&packets);
        assert_eq!(pressed, "7");
        assert_eq!(
            released,
            [Released {
                digit: '7',
                duration: u16::MAX
            }]
        );
    }

    #[test]
    fn a_sender_that_advances_the_timestamp() {
        let mut packets: Vec<_> = (1..10u16)
            .map(|n| (n == 1, 160 * u32::from(n), event('4', false, n * 160)))
            .collect();
        packets.extend((10..13u32).map(|n| (false, 160 * n, event('4', true, 1600))));
        assert_eq!(hear(&packets).0, "4");
    }

    #[test]
    fn what_is_no_digit() {
        let other = Event {
            code: 255,
            end: true,
            volume: 0,
            duration: 800,
        }
        .to_bytes();
        let flash = Event {
            code: 16,
            end: true,
            volume: 0,
            duration: 800,
        }
        .to_bytes();
        assert_eq!(hear(&[(true, 1, other), (true, 2, flash)]), (String::new(), Vec::new()));
        assert_eq!(Digits::new().receive(true, 1, &[1, 2, 3]), Heard::default());
    }

    proptest! {
        /// Any loss that leaves one packet of each press, with every packet doubled.
        #[test]
        fn loss_and_duplication_keep_each_digit_once(
            typed in prop::collection::vec((0u8..16, 5u16..20), 1..12),
            losses in prop::collection::vec(any::<bool>(), 300),
            start: u32,
        ) {
            let mut packets = Vec::new();
            let mut wanted = String::new();
            let mut timestamp = start;
            let mut losses = losses.into_iter().cycle();
            for (code, length) in typed {
                let digit = digit(code).unwrap();
                wanted.push(digit);
                let all = press(digit, timestamp, length * 160);
                // The marker separates a digit from the same one before it, so its packet is the one to stay.
                packets.extend(all.iter().enumerate().filter(|(n, _)| *n == 0 || !losses.next().unwrap()).flat_map(|(_, packet)| [*packet; 2]));
                timestamp = timestamp.wrapping_add(u32::from(length) * 160 + 800);
            }
            let (pressed, released) = hear(&packets);
            prop_assert_eq!(&pressed, &wanted);
            prop_assert!(released.len() + 1 >= wanted.chars().count());
        }

        #[test]
        fn no_bytes_panic(packets in prop::collection::vec((any::<bool>(), any::<u32>(), any::<[u8; 4]>()), 0..50)) {
            hear(&packets);
        }
    }
}
