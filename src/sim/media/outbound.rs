//! What an endpoint sends: 20 ms of tone at a time, digits in between.

use super::Stream;
use crate::codec::speech::{Encoder, Speech};
use crate::codec::tone::Sine;
use crate::moment::Moment;
use crate::rtp::packet::{FIXED_HEADER, Header};
use crate::rtp::rtcp::{NtpTime, SenderInfo};
use crate::rtp::telephone_event::{Event, code};
use std::collections::VecDeque;
use std::ops::Range;

/// Packets a second.
const PACKETS: u32 = 50;
/// Bytes, and units of the clock, of 20 ms of what is encoded here.
const FRAME: usize = 160;
/// Samples of 20 ms, at the most.
const WIDE_FRAME: usize = 320;
/// Of the tones that are sent, in dBov.
const LEVEL: f64 = -20.0;
/// Packets of one digit (100 ms), the end among them.
const EVENT_PACKETS: u16 = 5;
/// How often a digit's end is sent (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;

/// One stream out.
pub(super) struct Outbound {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The tone as it was begun, for its frequency and codec.
    sine: Option<((f64, Speech), Sine)>,
    encoder: Encoder,
    events: VecDeque<Pending>,
    /// Timestamp of the digit that is being sent: all its packets bear it.
    pressed_at: u32,
    begins: bool,
    packets: u32,
    octets: u32,
}

/// A packet that was written.
pub(super) struct Said {
    pub len: usize,
    /// Where its audio lies.
    pub audio: Option<Range<usize>>,
}

/// One packet of a digit that is still to be sent.
struct Pending {
    code: u8,
    /// Packets since the digit began, 1 for the first.
    at: u16,
    end: bool,
}

impl Outbound {
    pub(super) fn new() -> Outbound {
        Outbound {
            ssrc: rand::random(),
            // Far from a wrap of the sequence, so that a short test crosses none by chance.
            sequence: rand::random::<u16>() >> 2,
            timestamp: rand::random(),
            sine: None,
            encoder: Encoder::default(),
            events: VecDeque::new(),
            pressed_at: 0,
            begins: true,
            packets: 0,
            octets: 0,
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Digits to send before the tone goes on.
    pub(super) fn queue(&mut self, digits: &str) {
        for code in digits.chars().filter_map(code) {
            let ends = (0..END_PACKETS).map(|_| Pending {
                code,
                at: EVENT_PACKETS,
                end: true,
            });
            let presses = (1..EVENT_PACKETS).map(|at| Pending { code, at, end: false });
            self.events.extend(presses.chain(ends));
        }
    }

    /// Writes the next packet.
    pub(super) fn next(&mut self, stream: &Stream, buffer: &mut [u8]) -> Option<Said> {
        let event = match stream.events {
            Some(payload_type) => self.events.pop_front().map(|event| (payload_type, event)),
            None => None,
        };
        self.timestamp = self.timestamp.wrapping_add(stream.codec.clock() / PACKETS);
        self.sequence = self.sequence.wrapping_add(1);
        let (payload_type, marker, timestamp) = match &event {
            Some((payload_type, event)) => {
                if event.at == 1 {
                    self.pressed_at = self.timestamp;
                }
                (*payload_type, event.at == 1, self.pressed_at)
            }
            None => (stream.payload_type, std::mem::take(&mut self.begins), self.timestamp),
        };
        let header = Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            len: FIXED_HEADER,
        };
        header.write(buffer)?;
        let payload = buffer.get_mut(FIXED_HEADER..)?;
        let (len, is_audio) = match (event, stream.codec.speech()) {
            (Some((_, event)), _) => (Outbound::write_event(&event, payload)?, false),
            (None, Some(codec)) => (self.write_tone(stream, codec, payload)?, true),
            (None, None) => {
                let payload = payload.get_mut(..stream.codec.packet())?;
                rand::fill(payload);
                (payload.len(), true)
            }
        };
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(len as u32);
        let len = FIXED_HEADER + len;
        Some(Said {
            len,
            audio: is_audio.then_some(FIXED_HEADER..len),
        })
    }

    /// For the next SR; `None` before the first packet.
    pub(super) fn sender_info(&self, now: Moment) -> Option<SenderInfo> {
        (self.packets > 0).then(|| SenderInfo {
            ntp: NtpTime::at(now),
            rtp_timestamp: self.timestamp,
            packets: self.packets,
            octets: self.octets,
        })
    }

    fn write_tone(&mut self, stream: &Stream, codec: Speech, payload: &mut [u8]) -> Option<usize> {
        let wanted = (stream.tone, codec);
        let sine = match &mut self.sine {
            Some((known, sine)) if *known == wanted => sine,
            other => {
                &mut other
                    .insert((wanted, Sine::new(stream.tone, LEVEL, codec.sample_rate())))
                    .1
            }
        };
        let mut samples = [0; WIDE_FRAME];
        let samples = samples.get_mut(..FRAME * codec.samples_per_byte())?;
        sine.fill(samples);
        Some(self.encoder.encode(codec, samples, payload.get_mut(..FRAME)?))
    }

    fn write_event(pending: &Pending, payload: &mut [u8]) -> Option<usize> {
        let event = Event {
            code: pending.code,
            end: pending.end,
            volume: 10,
            duration: pending.at * FRAME as u16,
        };
        payload.get_mut(..Event::LEN)?.copy_from_slice(&event.to_bytes());
        Some(Event::LEN)
    }
}
