//! Speech cut anew into packets of the length that a peer asked for, where the bridged leg sends others.
//!
//! PCMU, PCMA and G.722 have a byte for each unit of the RTP clock, so that a packet may end at any byte. Nothing waits for
//! a clock: a packet leaves with the one that completes it, late by less than its own length. What came late itself is
//! dropped, for its place has been filled.

use super::inbound::Onward;
use super::leg::{Leg, MAX_PACKET};
use super::outbound::Transmitted;
use super::sound::units;
use super::stats::WorkerStats;
use crate::codec::speech::Speech;
use crate::moment::Moment;
use crate::rtp::packet::{Header, Rewrite};
use crate::srtp::Suite;
use std::time::Duration;

/// After so long sequence numbers that are missing say nothing of loss.
const PATIENCE: Duration = Duration::from_secs(1);

/// Units of 5 ms: what is no multiple of it is no packet time, but what a source had left.
const STEP: usize = 40;

/// Units of 60 ms, the longest packet time that we send.
const LONGEST: usize = 480;

/// More packets than these are no loss, but what was sent while nothing was passed on.
const MOST_LOST: u16 = 100;

/// What became of one source's packets, and what waits for the rest of its packet.
pub(super) struct Repacker {
    ssrc: u32,
    /// Newest sequence number that came.
    newest: u16,
    /// Packets came that were not passed on: what waits is of another time.
    interrupted: bool,
    /// When the last one came.
    last: Moment,
    /// Sequence number of the next packet that leaves.
    next: u16,
    /// Timestamp of the first byte that waits, or of the one that comes next.
    timestamp: u32,
    marker: bool,
    /// What waits, and its payload type.
    voice: Option<(Speech, u8)>,
    waiting: [u8; MAX_PACKET + LONGEST],
    len: usize,
}

/// A packet that leaves.
struct Piece<'a> {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    relay_as: u8,
    speech: Option<Speech>,
    payload: &'a [u8],
}

impl Repacker {
    /// For a stream of which `first` is the first packet that is cut anew; those before it went out as they came.
    fn new(first: &Header, now: Moment) -> Repacker {
        Repacker {
            ssrc: first.ssrc,
            newest: first.sequence.wrapping_sub(1),
            interrupted: false,
            last: now,
            next: first.sequence,
            timestamp: first.timestamp,
            marker: first.marker,
            voice: None,
            waiting: [0; MAX_PACKET + LONGEST],
            len: 0,
        }
    }

    /// Takes a packet and sends what is complete with it, in packets of `size` units; false: it came too late.
    fn pass(
        &mut self,
        onward: &Onward,
        payload: &[u8],
        size: usize,
        now: Moment,
        mut send: impl FnMut(Piece<'_>),
    ) -> bool {
        let header = &onward.header;
        let mut ahead = header.sequence.wrapping_sub(self.newest);
        let late = !(1..0x8000).contains(&ahead);
        let paused = ahead != 1 && now.since(self.last) > PATIENCE;
        if self.interrupted || paused || ahead > MOST_LOST && !late {
            (self.len, self.interrupted, ahead) = (0, false, 1);
        } else if late {
            return false;
        }
        (self.newest, self.last) = (header.sequence, now);
        let voice = onward.speech.map(|speech| (speech, onward.relay_as));
        let gap = header.timestamp.wrapping_sub(self.end());
        if gap != 0 || voice != self.voice {
            let gap = if gap < 1 << 31 { gap as usize } else { 0 };
            let bare = gap - self.finish(gap, size, &mut send);
            let lost = usize::from(ahead - 1);
            let missing = match voice {
                Some(_) => (bare / size).min(lost * LONGEST / size),
                None => lost,
            };
            self.next = self.next.wrapping_add(missing as u16);
            if voice.is_some() {
                (self.voice, self.timestamp) = (voice, header.timestamp);
            }
        }
        let Some((speech, relay_as)) = voice else {
            send(Piece {
                sequence: self.next,
                timestamp: header.timestamp,
                marker: header.marker,
                relay_as: onward.relay_as,
                speech: None,
                payload,
            });
            self.next = self.next.wrapping_add(1);
            return true;
        };
        if self.len == 0 {
            self.marker = header.marker;
        }
        let Some(room) = self.waiting.get_mut(self.len..self.len + payload.len()) else {
            return false;
        };
        room.copy_from_slice(payload);
        self.len += payload.len();
        while self.len >= size {
            self.cut(size, (speech, relay_as), &mut send);
        }
        true
    }

    /// Timestamp of what goes on without a gap.
    fn end(&self) -> u32 {
        self.timestamp.wrapping_add(self.len as u32)
    }

    /// Sends what waits, with silence up to the length of a packet where the gap behind it is that long; the units of silence.
    fn finish(&mut self, gap: usize, size: usize, send: &mut impl FnMut(Piece<'_>)) -> usize {
        let Some(voice) = self.voice.filter(|_| self.len > 0) else {
            return 0;
        };
        let silence = gap.min(size.saturating_sub(self.len));
        if let Some(rest) = self.waiting.get_mut(self.len..self.len + silence) {
            rest.fill(voice.0.silence());
        }
        self.len += silence;
        self.cut(self.len, voice, send);
        silence
    }

    fn cut(&mut self, size: usize, (speech, relay_as): (Speech, u8), send: &mut impl FnMut(Piece<'_>)) {
        send(Piece {
            sequence: self.next,
            timestamp: self.timestamp,
            marker: std::mem::take(&mut self.marker),
            relay_as,
            speech: Some(speech),
            payload: self.waiting.get(..size).unwrap_or_default(),
        });
        self.next = self.next.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(size as u32);
        self.waiting.copy_within(size..self.len, 0);
        self.len -= size;
    }
}

impl Leg {
    /// Sends what the bridged leg received, `buffer[..onward.len]`, in packets of the length that the peer asked for.
    pub fn relay(&mut self, buffer: &mut [u8], onward: &Onward, now: Moment, totals: &mut WorkerStats) -> Transmitted {
        let Some(settled) = self.settled.as_ref().filter(|_| self.sends()) else {
            if let Some(repacker) = &mut self.repacker {
                repacker.interrupted = true;
            }
            return Transmitted::NotNow;
        };
        let size = units(settled.config.spoken_packet_time());
        let before = self.repacker.take();
        let goes_on = |before: &Repacker| before.ssrc == onward.header.ssrc && !onward.begins;
        let fits = onward.payload_len == size || !onward.payload_len.is_multiple_of(STEP);
        let mut repacker = match before {
            Some(before) if goes_on(&before) => before,
            _ if fits || onward.speech.is_none() => return self.transmit(buffer, onward, now, totals),
            _ => Box::new(Repacker::new(&onward.header, now)),
        };
        let (head, rest) = buffer.split_at(onward.header.len.min(buffer.len()));
        let payload = rest.get(..onward.payload_len).unwrap_or_default();
        let mut begins = onward.begins;
        let mut transmitted = Transmitted::Yes;
        let in_time = repacker.pass(onward, payload, size, now, |piece| {
            let mut packet = [0; MAX_PACKET + Suite::MAX_OVERHEAD];
            if let Some(mut piece) = piece.write(onward, head, &mut packet) {
                piece.begins = std::mem::take(&mut begins);
                transmitted = self.transmit(&mut packet, &piece, now, totals);
            }
        });
        self.repacker = Some(repacker);
        if in_time { transmitted } else { Transmitted::Replaced }
    }
}

impl Piece<'_> {
    /// Puts the packet together behind the header of the one that it came from; None: it is longer than a packet may be.
    fn write(&self, onward: &Onward, head: &[u8], packet: &mut [u8]) -> Option<Onward> {
        let len = head.len() + self.payload.len();
        let (front, back) = packet.get_mut(..MAX_PACKET)?.split_at_mut_checked(head.len())?;
        front.copy_from_slice(head);
        back.get_mut(..self.payload.len())?.copy_from_slice(self.payload);
        Rewrite::new(packet)?
            .sequence(self.sequence)
            .timestamp(self.timestamp)
            .marker(self.marker)
            .no_padding();
        let mut piece = *onward;
        let header = &mut piece.header;
        (header.sequence, header.timestamp, header.marker) = (self.sequence, self.timestamp, self.marker);
        (piece.len, piece.payload_len) = (len, self.payload.len());
        (piece.relay_as, piece.speech) = (self.relay_as, self.speech);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence number, timestamp, marker and payload of each packet that left.
    type Left = Vec<(u16, u32, bool, Vec<u8>)>;

    /// A stream that begins at sequence number 65,535 and timestamp 1,000, and what is made of it.
    struct Stream {
        repacker: Repacker,
        size: usize,
        now: Moment,
    }

    fn onward(sequence: u16, timestamp: u32, speech: Option<Speech>, len: usize) -> Onward {
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence,
            timestamp,
            ssrc: 7,
            len: 12,
        };
        Onward::of(header, speech, len)
    }

    impl Stream {
        fn of(size: usize) -> Stream {
            let first = onward(65_535, 1_000, None, 0).header;
            Stream {
                repacker: Repacker::new(&first, Moment::from_micros(0)),
                size,
                now: Moment::from_micros(0),
            }
        }

        fn pass(&mut self, packet: Onward, payload: &[u8]) -> Option<Left> {
            let mut left = Vec::new();
            let in_time = self.repacker.pass(&packet, payload, self.size, self.now, |piece| {
                left.push((piece.sequence, piece.timestamp, piece.marker, piece.payload.to_vec()));
            });
            in_time.then_some(left)
        }

        fn speech(&mut self, sequence: u16, timestamp: u32, payload: &[u8]) -> Option<Left> {
            self.pass(onward(sequence, timestamp, Some(Speech::Pcma), payload.len()), payload)
        }
    }

    fn bytes(count: usize, value: u8) -> Vec<u8> {
        vec![value; count]
    }

    #[test]
    fn long_packets_become_short_ones() {
        let mut stream = Stream::of(160);
        let long: Vec<u8> = (0..240).collect();
        assert_eq!(
            stream.speech(65_535, 1_000, &long),
            Some(vec![(65_535, 1_000, false, long[..160].to_vec())])
        );
        let rest = [&long[160..], &long[..80]].concat();
        assert_eq!(
            stream.speech(0, 1_240, &long),
            Some(vec![(0, 1_160, false, rest), (1, 1_320, false, long[80..].to_vec())])
        );
    }

    #[test]
    fn short_packets_become_long_ones() {
        let mut stream = Stream::of(240);
        assert_eq!(stream.speech(65_535, 1_000, &bytes(160, 1)), Some(vec![]));
        let both = [bytes(160, 1), bytes(80, 2)].concat();
        assert_eq!(
            stream.speech(0, 1_160, &bytes(160, 2)),
            Some(vec![(65_535, 1_000, false, both)])
        );
        let both = [bytes(80, 2), bytes(160, 3)].concat();
        assert_eq!(
            stream.speech(1, 1_320, &bytes(160, 3)),
            Some(vec![(0, 1_240, false, both)])
        );
    }

    #[test]
    fn a_lost_packet_is_one_that_the_peer_misses() {
        let mut stream = Stream::of(160);
        stream.speech(65_535, 1_000, &bytes(240, 1));
        // 80 units wait: 80 of the 240 lost ones are made up, 160 are missing.
        let padded = [bytes(80, 1), bytes(80, Speech::Pcma.silence())].concat();
        assert_eq!(
            stream.speech(1, 1_480, &bytes(240, 2)),
            Some(vec![(0, 1_160, false, padded), (2, 1_480, false, bytes(160, 2))])
        );
        assert_eq!(stream.speech(0, 1_240, &bytes(240, 9)), None, "its place is filled");
        assert_eq!(stream.speech(1, 1_480, &bytes(240, 9)), None, "it came twice");
    }

    #[test]
    fn a_pause_of_the_source_is_no_loss() {
        let mut stream = Stream::of(160);
        stream.speech(65_535, 1_000, &bytes(240, 1));
        let mut resumed = onward(0, 9_000, Some(Speech::Pcma), 240);
        resumed.header.marker = true;
        let padded = [bytes(80, 1), bytes(80, Speech::Pcma.silence())].concat();
        assert_eq!(
            stream.pass(resumed, &bytes(240, 2)),
            Some(vec![(0, 1_160, false, padded), (1, 9_000, true, bytes(160, 2))])
        );
    }

    #[test]
    fn what_was_said_while_nothing_was_passed_on_is_neither_lost_nor_late() {
        let mut stream = Stream::of(160);
        stream.speech(65_535, 1_000, &bytes(240, 1));
        // On hold for so long that the numbers look as if they went back; or not for long.
        stream.now = Moment::from_micros(900_000_000);
        assert_eq!(
            stream.speech(40_000, 7_200_040, &bytes(240, 2)),
            Some(vec![(0, 7_200_040, false, bytes(160, 2))])
        );
        stream.repacker.interrupted = true;
        assert_eq!(
            stream.speech(40_004, 7_201_000, &bytes(160, 3)),
            Some(vec![(1, 7_201_000, false, bytes(160, 3))])
        );
        assert_eq!(
            stream.speech(45_000, 9_000_000, &bytes(160, 4)),
            Some(vec![(2, 9_000_000, false, bytes(160, 4))]),
            "a source that skips"
        );
    }

    #[test]
    fn an_event_follows_what_was_said_before_it() {
        let mut stream = Stream::of(160);
        stream.speech(65_535, 1_000, &bytes(240, 1));
        // The event begins where the speech ended: there is no time for silence.
        assert_eq!(
            stream.pass(onward(0, 1_240, None, 4), &[5, 10, 0, 160]),
            Some(vec![
                (0, 1_160, false, bytes(80, 1)),
                (1, 1_240, false, vec![5, 10, 0, 160])
            ])
        );
        // One was lost, this one tells the end.
        assert_eq!(
            stream.pass(onward(2, 1_240, None, 4), &[5, 138, 1, 64]),
            Some(vec![(3, 1_240, false, vec![5, 138, 1, 64])])
        );
        assert_eq!(
            stream.speech(3, 1_720, &bytes(160, 2)),
            Some(vec![(4, 1_720, false, bytes(160, 2))])
        );
    }

    #[test]
    fn another_codec_begins_a_packet_of_its_own() {
        let mut stream = Stream::of(160);
        stream.speech(65_535, 1_000, &bytes(240, 1));
        let other = onward(0, 1_240, Some(Speech::Pcmu), 160);
        assert_eq!(
            stream.pass(other, &bytes(160, 2)),
            Some(vec![(0, 1_160, false, bytes(80, 1)), (1, 1_240, false, bytes(160, 2))])
        );
    }

    #[test]
    fn a_shorter_packet_time_and_times_that_go_back() {
        let mut stream = Stream::of(480);
        assert_eq!(stream.speech(65_535, 1_000, &bytes(400, 1)), Some(vec![]));
        stream.size = 160;
        let left = stream.speech(0, 1_400, &bytes(80, 1)).expect("in time");
        assert_eq!(
            left.iter().map(|piece| piece.1).collect::<Vec<_>>(),
            [1_000, 1_160, 1_320]
        );
        assert_eq!(
            stream.speech(1, 40, &bytes(160, 2)),
            Some(vec![(2, 40, false, bytes(160, 2))])
        );
    }
}
