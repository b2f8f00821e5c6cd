//! The one RTP stream that a leg sends, whoever speaks in it: the bridged leg, a sound, digits.
//!
//! While nothing but one bridged leg ever spoke, its numbers pass unchanged. Once something of ours was sent, or another leg
//! is bridged, the SSRC stays, sequence numbers go on by one and timestamps never go back, so that the peer's SRTP context
//! and jitter buffer see one stream; the marker says where the speaker changes (RFC 3551 §4.1).

use crate::moment::Moment;
use crate::rtp::packet::Header;
use std::time::Duration;

/// A bridged leg that sent within this time is speaking.
const SPEAKING: Duration = Duration::from_millis(60);
/// One that was not heard here for so long (it was quiet, or this leg on hold) may be anywhere in its numbers.
const PAUSE: Duration = Duration::from_secs(1);
/// Numbers that go further than packets are lost (RFC 3550 §A.1) leap: whose do joins anew.
const MAX_DROPOUT: u16 = 3_000;

/// Numbers of the stream, and who spoke last.
#[derive(Default)]
pub(super) struct Outgoing {
    last: Option<Last>,
    speaker: Speaker,
    /// Something of ours was sent, or another leg's: the numbers are ours.
    owned: bool,
    relayed: Option<Moment>,
}

/// The newest packet that was sent.
#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    clock_rate: u32,
    /// When the packet of `timestamp` was sent.
    at: Moment,
}

#[derive(Debug, Clone, Copy, Default)]
enum Speaker {
    #[default]
    Nobody,
    Bridged(Joint),
    /// A sound, whose next packet has this timestamp.
    Sound {
        next: u32,
    },
    /// An event that began at this timestamp.
    Event {
        began: u32,
    },
}

/// How the bridged leg's numbers become ours.
#[derive(Debug, Clone, Copy)]
struct Joint {
    ssrc: u32,
    newest: u16,
    /// Packets from its first one here to the newest: earlier ones come too late.
    ahead: u32,
    sequence: u16,
    timestamp: u32,
}

impl Joint {
    /// Notes a packet; false where it is from before the first one here.
    fn takes(&mut self, sequence: u16) -> bool {
        let step = sequence.wrapping_sub(self.newest);
        if step < 0x8000 {
            self.newest = sequence;
            self.ahead = self.ahead.saturating_add(u32::from(step));
            return true;
        }
        u32::from(step.wrapping_neg()) <= self.ahead
    }
}

/// What a packet's header must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
}

impl Outgoing {
    /// True when relayed packets need [`Outgoing::relay`]'s numbers.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// True while the bridged leg's packets come.
    pub fn is_relaying(&self, now: Moment) -> bool {
        self.relayed.is_some_and(|last| now.since(last) < SPEAKING)
    }

    fn pauses(&self, now: Moment) -> bool {
        self.relayed.is_some_and(|last| now.since(last) >= PAUSE)
    }

    /// Another leg speaks from now on: where anything was sent its numbers go on.
    pub fn keep_on(&mut self) {
        self.owned |= self.last.is_some();
        if matches!(self.speaker, Speaker::Bridged(_)) {
            self.speaker = Speaker::Nobody;
        }
    }

    /// What is sent from now on is a stream of its own.
    pub fn begin_anew(&mut self) {
        *self = Outgoing::default();
    }

    /// Where a packet with this number `begins` a stream, or leaps, all have numbers of ours: one that goes on near the end of
    /// its range would soon wrap, and a fork that has not heard all of it would guess SRTP's rollover wrong.
    pub fn begin_low(&mut self, sequence: u16, begins: bool) {
        let begins = begins || self.last.is_none_or(|last| is_leap(last.sequence, sequence));
        self.owned |= begins && sequence >= 0x8000;
    }

    /// Notes a relayed packet that went out as it came in; `begins` for the first one of a stream.
    pub fn passed(&mut self, ssrc: u32, header: &Header, begins: bool, clock_rate: Option<u32>, now: Moment) {
        let pauses = self.pauses(now);
        self.relayed = Some(now);
        let next = Last {
            ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            clock_rate: clock_rate.unwrap_or(8_000),
            at: now,
        };
        match &mut self.last {
            last if begins || pauses => *last = Some(next),
            // an event keeps the timestamp of its beginning
            Some(last) if last.ssrc == ssrc && clock_rate.is_none() => last.advance(header.sequence),
            Some(last) if last.ssrc == ssrc && !is_later(header.sequence, last.sequence) => {}
            last => *last = Some(next),
        }
    }

    /// Numbers for a packet of the bridged leg; None: it belongs to a time before the last speaker.
    pub fn relay(&mut self, header: &Header, begins: bool, clock_rate: Option<u32>, now: Moment) -> Option<Numbers> {
        self.relayed = Some(now);
        let (joint, joins) = match &mut self.speaker {
            Speaker::Bridged(joint)
                if joint.ssrc == header.ssrc && !begins && !is_leap(joint.newest, header.sequence) =>
            {
                if !joint.takes(header.sequence) {
                    return None;
                }
                (*joint, false)
            }
            _ => {
                let joint = Joint {
                    ssrc: header.ssrc,
                    newest: header.sequence,
                    ahead: 0,
                    sequence: self.next_sequence().wrapping_sub(header.sequence),
                    timestamp: self.timestamp_at(160, now).wrapping_sub(header.timestamp),
                };
                self.speaker = Speaker::Bridged(joint);
                (joint, true)
            }
        };
        let numbers = Numbers {
            ssrc: self.last.map_or(header.ssrc, |last| last.ssrc),
            sequence: header.sequence.wrapping_add(joint.sequence),
            timestamp: header.timestamp.wrapping_add(joint.timestamp),
            marker: header.marker || joins,
        };
        match clock_rate {
            Some(clock_rate) => self.note(numbers, clock_rate, now),
            None => self.advance(numbers, now),
        }
        Some(numbers)
    }

    /// Numbers for a packet of a sound that is `units` of an 8 kHz clock long. `ssrc` is for a stream that begins.
    pub fn sound(&mut self, ssrc: u32, units: u32, now: Moment) -> Numbers {
        let (timestamp, marker) = match self.speaker {
            Speaker::Sound { next } => (next, false),
            _ => (self.timestamp_at(units, now), true),
        };
        let numbers = self.own(ssrc, timestamp, marker);
        let next = timestamp.wrapping_add(units);
        self.speaker = Speaker::Sound { next };
        self.note(numbers, 8_000, now);
        numbers
    }

    /// Numbers for a packet of an event; `begins` for its first one.
    pub fn event(&mut self, ssrc: u32, begins: bool, now: Moment) -> Numbers {
        let (timestamp, marker) = match self.speaker {
            Speaker::Event { began } if !begins => (began, false),
            _ => (self.timestamp_at(160, now), true),
        };
        let numbers = self.own(ssrc, timestamp, marker);
        self.speaker = Speaker::Event { began: timestamp };
        match marker {
            true => self.note(numbers, 8_000, now),
            false => self.advance(numbers, now),
        }
        numbers
    }

    /// Nobody speaks: what comes next is placed by the clock.
    pub fn pause(&mut self) {
        if !matches!(self.speaker, Speaker::Bridged(_)) {
            self.speaker = Speaker::Nobody;
        }
    }

    fn own(&mut self, ssrc: u32, timestamp: u32, marker: bool) -> Numbers {
        self.owned = true;
        Numbers {
            ssrc: self.last.map_or(ssrc, |last| last.ssrc),
            sequence: self.next_sequence(),
            timestamp,
            marker,
        }
    }

    fn next_sequence(&self) -> u16 {
        // RFC 3550 §5.1: random; the upper half is left out, where SRTP's rollover could be guessed wrong at the start
        self.last
            .map_or_else(|| rand::random::<u16>() >> 1, |last| last.sequence.wrapping_add(1))
    }

    /// The clock's timestamp now, at least `units` after the last one.
    fn timestamp_at(&self, units: u32, now: Moment) -> u32 {
        let Some(last) = self.last else { return rand::random() };
        let elapsed = now.since(last.at).as_micros() * u128::from(last.clock_rate) / 1_000_000;
        last.timestamp.wrapping_add((elapsed as u32).max(units))
    }

    fn note(&mut self, numbers: Numbers, clock_rate: u32, now: Moment) {
        let late = self.last.is_some_and(|last| !is_later(numbers.sequence, last.sequence));
        if !late {
            self.last = Some(Last {
                ssrc: numbers.ssrc,
                sequence: numbers.sequence,
                timestamp: numbers.timestamp,
                clock_rate,
                at: now,
            });
        }
    }

    fn advance(&mut self, numbers: Numbers, now: Moment) {
        match &mut self.last {
            Some(last) => last.advance(numbers.sequence),
            None => self.note(numbers, 8_000, now),
        }
    }
}

impl Last {
    fn advance(&mut self, sequence: u16) {
        if is_later(sequence, self.sequence) {
            self.sequence = sequence;
        }
    }
}

fn is_leap(from: u16, to: u16) -> bool {
    let step = to.wrapping_sub(from);
    step.min(step.wrapping_neg()) > MAX_DROPOUT
}

fn is_later(sequence: u16, than: u16) -> bool {
    (1..0x8000).contains(&sequence.wrapping_sub(than))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 8,
            sequence,
            timestamp,
            ssrc,
            len: 12,
        }
    }

    fn numbers(ssrc: u32, sequence: u16, timestamp: u32, marker: bool) -> Numbers {
        Numbers {
            ssrc,
            sequence,
            timestamp,
            marker,
        }
    }

    #[test]
    fn a_sound_goes_on_where_the_relay_was_and_back_again() {
        let mut outgoing = Outgoing::default();
        assert!(!outgoing.is_owned());
        outgoing.passed(7, &packet(7, 65_535, 1_000), false, Some(8_000), at(0));
        outgoing.passed(7, &packet(7, 65_534, 840), false, Some(8_000), at(1));
        assert_eq!(outgoing.sound(99, 160, at(100)), numbers(7, 0, 1_800, true));
        assert_eq!(outgoing.sound(99, 160, at(121)), numbers(7, 1, 1_960, false));
        assert!(outgoing.is_owned());
        // the bridged leg went on meanwhile
        let relay = |outgoing: &mut Outgoing, sequence, timestamp, now| {
            outgoing.relay(&packet(7, sequence, timestamp), false, Some(8_000), now)
        };
        assert_eq!(
            relay(&mut outgoing, 50, 9_000, at(141)),
            Some(numbers(7, 2, 2_120, true))
        );
        assert_eq!(
            relay(&mut outgoing, 52, 9_320, at(181)),
            Some(numbers(7, 4, 2_440, false))
        );
        assert_eq!(
            relay(&mut outgoing, 51, 9_160, at(182)),
            Some(numbers(7, 3, 2_280, false))
        );
        assert_eq!(relay(&mut outgoing, 49, 8_840, at(183)), None, "from before the sound");
        assert_eq!(outgoing.sound(99, 160, at(201)), numbers(7, 5, 2_600, true));
    }

    #[test]
    fn a_relay_goes_on_for_hours_behind_a_sound() {
        let mut outgoing = Outgoing::default();
        let sound = outgoing.sound(99, 160, at(0));
        let mut relay = |place: u32| {
            let source = packet(7, (60_000 + place) as u16, place * 160);
            let numbers = outgoing.relay(&source, place == 0, Some(8_000), at(u64::from(place) * 20));
            numbers.map(|numbers| numbers.sequence)
        };
        let ours = |place: u32| Some(sound.sequence.wrapping_add(1).wrapping_add(place as u16));
        for place in 0..200_000 {
            assert_eq!(relay(place), ours(place), "{place}");
            if place % 1_000 == 999 {
                assert_eq!(relay(place - 50), ours(place - 50), "late, but of this stream");
            }
        }
    }

    #[test]
    fn whoever_was_on_hold_for_long_goes_on_where_it_was() {
        let hold = 15 * 60 * 50;
        let mut outgoing = Outgoing::default();
        let sound = outgoing.sound(99, 160, at(0));
        let mut relay = |place: u32| {
            let source = packet(7, place as u16, place * 160);
            outgoing.relay(&source, place == 0, Some(8_000), at(u64::from(place) * 20))
        };
        for place in 0..1_000 {
            assert!(relay(place).is_some());
        }
        let resumed = relay(1_000 + hold).expect("heard");
        assert_eq!(resumed.sequence, sound.sequence.wrapping_add(1_001));
        assert!(resumed.marker);
        let next = relay(1_001 + hold).expect("heard");
        assert_eq!(next.sequence, sound.sequence.wrapping_add(1_002));
        assert_eq!(next.timestamp, resumed.timestamp.wrapping_add(160));

        // And one whose numbers pass unchanged, until a sound takes over.
        let mut outgoing = Outgoing::default();
        outgoing.passed(7, &packet(7, 10, 0), true, Some(8_000), at(0));
        outgoing.passed(7, &packet(7, 45_000, 900), false, Some(8_000), at(900_000));
        assert_eq!(outgoing.sound(99, 160, at(900_020)).sequence, 45_001);
    }

    #[test]
    fn a_stream_that_would_wrap_soon_begins_low() {
        for (first, is_ours) in [(0x7fff, false), (0x8000, true)] {
            let mut outgoing = Outgoing::default();
            outgoing.begin_low(first, true);
            assert_eq!(outgoing.is_owned(), is_ours);
        }
        let mut outgoing = Outgoing::default();
        outgoing.passed(7, &packet(7, 0x7ffe, 1_000), true, Some(8_000), at(0));
        outgoing.begin_low(0x8000, false);
        assert!(!outgoing.is_owned(), "it goes on");
        let mut outgoing = Outgoing::default();
        outgoing.passed(7, &packet(7, 10, 1_000), true, Some(8_000), at(0));
        outgoing.begin_low(0x7000, false);
        assert!(!outgoing.is_owned(), "far from its end");
        outgoing.begin_low(0x9000, false);
        let begun = outgoing.relay(&packet(7, 0x9000, 5), true, Some(8_000), at(20));
        assert_eq!(begun.map(|numbers| numbers.sequence), Some(11));
    }

    #[test]
    fn numbers_that_leap_do_not_bring_ours_nearer_to_their_end() {
        for begins in [true, false] {
            let mut outgoing = Outgoing::default();
            outgoing.passed(7, &packet(7, 31_000, 1_000), true, Some(8_000), at(0));
            for (place, source) in [52_000, 65_500, 10_000, 40_000].into_iter().enumerate() {
                outgoing.begin_low(source, begins);
                let now = at(20 + place as u64 * 20);
                let relayed = outgoing.relay(&packet(7, source, 5), begins, Some(8_000), now);
                let place = 31_001 + place as u16;
                assert_eq!(
                    relayed.map(|numbers| (numbers.ssrc, numbers.sequence)),
                    Some((7, place))
                );
            }
        }
    }

    #[test]
    fn a_sound_goes_on_where_a_stream_that_began_anew_is() {
        let mut outgoing = Outgoing::default();
        outgoing.passed(7, &packet(7, 9_000, 1_000), true, Some(8_000), at(0));
        outgoing.passed(7, &packet(7, 20, 50_000), true, Some(8_000), at(20));
        assert_eq!(outgoing.sound(99, 160, at(40)), numbers(7, 21, 50_160, true));
    }

    #[test]
    fn another_source_is_still_our_stream() {
        let mut outgoing = Outgoing::default();
        let first = outgoing.sound(99, 160, at(0));
        assert!(first.ssrc == 99 && first.marker && first.sequence < 0x8000);
        let other = outgoing
            .relay(&packet(1, 9, 77), true, Some(8_000), at(20))
            .expect("in time");
        assert_eq!(
            other,
            numbers(
                99,
                first.sequence.wrapping_add(1),
                first.timestamp.wrapping_add(160),
                true
            )
        );
        let third = outgoing
            .relay(&packet(2, 3, 5), true, Some(8_000), at(30))
            .expect("in time");
        assert_eq!((third.sequence, third.marker), (first.sequence.wrapping_add(2), true));
        assert_eq!(
            third.timestamp,
            first.timestamp.wrapping_add(320),
            "never less than a packet"
        );
    }

    #[test]
    fn another_bridged_leg_goes_on_where_the_one_before_was() {
        let mut outgoing = Outgoing::default();
        outgoing.keep_on();
        assert!(!outgoing.is_owned(), "nothing was sent that could go on");
        outgoing.passed(7, &packet(7, 10, 1_000), false, Some(8_000), at(0));
        outgoing.keep_on();
        let mut relay = |ssrc, sequence, timestamp, now| {
            outgoing.relay(&packet(ssrc, sequence, timestamp), false, Some(8_000), at(now))
        };
        assert_eq!(relay(9, 40_000, 77, 20), Some(numbers(7, 11, 1_160, true)));
        assert_eq!(relay(9, 40_001, 237, 40), Some(numbers(7, 12, 1_320, false)));
        outgoing.keep_on();
        // Even one that has made up the same source.
        let again = outgoing.relay(&packet(9, 3, 5), false, Some(8_000), at(60));
        assert_eq!(again, Some(numbers(7, 13, 1_480, true)));
    }

    #[test]
    fn an_event_keeps_its_timestamp() {
        let mut outgoing = Outgoing::default();
        outgoing.passed(7, &packet(7, 10, 1_000), false, Some(8_000), at(0));
        assert_eq!(outgoing.event(99, true, at(20)), numbers(7, 11, 1_160, true));
        assert_eq!(outgoing.event(99, false, at(40)), numbers(7, 12, 1_160, false));
        assert_eq!(
            outgoing.event(99, true, at(120)),
            numbers(7, 13, 1_960, true),
            "the next one"
        );
        outgoing.pause();
        assert_eq!(outgoing.sound(99, 160, at(220)), numbers(7, 14, 2_760, true));
    }

    #[test]
    fn relaying_is_what_came_lately() {
        let mut outgoing = Outgoing::default();
        assert!(!outgoing.is_relaying(at(0)));
        outgoing.passed(7, &packet(7, 10, 1_000), false, Some(8_000), at(10));
        assert!(outgoing.is_relaying(at(69)) && !outgoing.is_relaying(at(70)));
    }
}
