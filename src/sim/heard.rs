//! What arrived at a media endpoint, and what it sounded like.

use super::spoken::Payloads;
use crate::codec::tone::{Detector, level};
use crate::moment::Moment;
use crate::rtp::statistics::Reception;
use crate::rtp::telephone_event::Digits;
use serde::{Serialize, Serializer};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Samples a second of G.711.
pub(super) const RATE: u32 = 8000;
/// Samples that the tone is looked for in: 200 ms, so that 5 Hz are told apart.
const WINDOW: usize = 1600;
/// A tone has nearly all the power of what is heard.
const DOMINANT: f64 = -3.0;
/// Quieter than this, in dBov, is silence.
const AUDIBLE: f64 = -50.0;

/// What an endpoint heard since its listening began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// Hz of the tone in the last 200 ms; `None`: silence, or no single tone.
    pub frequency: Option<f64>,
    /// Of everything in the last 200 ms, in dBov; -127 for silence.
    pub level: f64,
    /// RTP packets received, in all.
    pub packets: u64,
    /// Packets lost; negative when duplicates outnumber losses.
    pub lost: i64,
    /// Interarrival jitter; milliseconds in JSON.
    #[serde(rename = "jitter_ms", serialize_with = "as_ms")]
    pub jitter: Duration,
    /// From the beginning to the first packet; milliseconds in JSON.
    #[serde(rename = "first_after_ms", serialize_with = "as_optional_ms")]
    pub first_after: Option<Duration>,
    /// The longest time without a packet, from the beginning of this listening to its last packet; milliseconds in JSON.
    #[serde(rename = "longest_gap_ms", serialize_with = "as_ms")]
    pub longest_gap: Duration,
    /// True when the packets were protected and verified.
    pub srtp: bool,
    /// The SRTP suite by its SDES name.
    pub suite: Option<&'static str>,
    /// RTCP packets received (verified ones, where SRTP is spoken).
    pub rtcp_received: u64,
    /// Those of them that came on the port beside that of RTP.
    pub rtcp_on_next_port: u64,
    /// Packets whose tag was wrong, or that came again.
    pub auth_failures: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Payload type of the last audio packet.
    pub payload_type: Option<u8>,
    /// Where packets came from, in order of appearance.
    pub sources: Vec<SocketAddr>,
    /// Digits by telephone-event.
    pub digits: String,
}

impl Heard {
    /// True when the tone is this one, within 10 Hz.
    pub fn is_tone(&self, hertz: f64) -> bool {
        self.frequency
            .is_some_and(|frequency| (frequency - hertz).abs() <= 10.0)
    }

    /// True when nothing audible came.
    pub fn is_silent(&self) -> bool {
        self.level < AUDIBLE
    }
}

fn as_ms<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(milliseconds(*span))
}

fn as_optional_ms<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(milliseconds).serialize(serializer)
}

fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

/// The running measurement.
pub(super) struct Measured {
    pub(super) reception: Reception,
    source: Option<u32>,
    /// When the last packet came, or this listening began anew.
    last: Option<Moment>,
    window: VecDeque<i16>,
    pub(super) digits: Digits,
    pub(super) payloads: Payloads,
    /// Of the codec that is spoken, Hz.
    clock: u32,
    heard: Heard,
    /// Packets of earlier listenings, reports among them.
    earlier: u64,
}

impl Measured {
    pub(super) fn new() -> Measured {
        Measured {
            reception: Reception::new(RATE),
            source: None,
            last: None,
            window: VecDeque::with_capacity(WINDOW),
            digits: Digits::new(),
            payloads: Payloads::default(),
            clock: RATE,
            heard: Heard {
                frequency: None,
                level: -127.0,
                packets: 0,
                lost: 0,
                jitter: Duration::ZERO,
                first_after: None,
                longest_gap: Duration::ZERO,
                srtp: false,
                suite: None,
                rtcp_received: 0,
                rtcp_on_next_port: 0,
                auth_failures: 0,
                sent: 0,
                payload_type: None,
                sources: Vec::new(),
                digits: String::new(),
            },
            earlier: 0,
        }
    }

    /// Begins anew; what was heard of the stream's numbering stays.
    pub(super) fn restart(&mut self, now: Moment) {
        *self = Measured {
            earlier: self.arrived(),
            last: Some(now),
            reception: Reception::new(self.clock),
            clock: self.clock,
            heard: Heard {
                srtp: self.heard.srtp,
                suite: self.heard.suite,
                ..Measured::new().heard
            },
            ..Measured::new()
        };
    }

    /// Another codec is spoken from now on.
    pub(super) fn clocked(&mut self, clock: u32) {
        if std::mem::replace(&mut self.clock, clock) != clock {
            self.reception = Reception::new(clock);
        }
    }

    /// Packets in all, reports among them: no new listening takes any away.
    pub(super) fn arrived(&self) -> u64 {
        self.earlier + self.heard.packets + self.heard.rtcp_received
    }

    /// The counts, to be raised.
    pub(super) fn counts(&mut self) -> &mut Heard {
        &mut self.heard
    }

    /// A packet of this source; another source than before is another stream.
    pub(super) fn packet_of(&mut self, ssrc: u32, from: SocketAddr, now: Moment) {
        if let Some(last) = self.last.replace(now) {
            self.heard.longest_gap = self.heard.longest_gap.max(now.since(last));
        }
        if self.source.replace(ssrc).is_some_and(|before| before != ssrc) {
            self.reception = Reception::new(self.clock);
        }
        self.heard.packets += 1;
        if !self.heard.sources.contains(&from) {
            self.heard.sources.push(from);
        }
    }

    /// The source that is heard.
    pub(super) fn source(&self) -> Option<u32> {
        self.source
    }

    /// Decoded audio.
    pub(super) fn samples(&mut self, samples: impl Iterator<Item = i16>) {
        for sample in samples {
            if self.window.len() == WINDOW {
                self.window.pop_front();
            }
            self.window.push_back(sample);
        }
    }

    /// True when enough was heard to tell a tone.
    pub(super) fn is_conclusive(&self) -> bool {
        self.window.len() == WINDOW
    }

    pub(super) fn report(&self) -> Heard {
        let frame: Vec<i16> = self.window.iter().copied().collect();
        let total = level(&frame);
        Heard {
            frequency: (total >= AUDIBLE).then(|| loudest(&frame, total)).flatten(),
            level: total,
            lost: self.reception.lost(),
            jitter: self.reception.jitter_time(),
            ..self.heard.clone()
        }
    }
}

/// The frequency that has nearly all the power, if one has.
fn loudest(frame: &[i16], total: f64) -> Option<f64> {
    let grid = (60..=680).map(|step| f64::from(step) * 5.0);
    let measured = grid.map(|hertz| (hertz, Detector::new(hertz, RATE).level(frame)));
    let (hertz, power) = measured.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (power >= total + DOMINANT).then_some(hertz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::Sine;

    fn heard_of(samples: &[i16]) -> Heard {
        let mut measured = Measured::new();
        measured.samples(samples.iter().copied());
        measured.report()
    }

    #[test]
    fn a_tone_is_named_and_two_tones_are_none() {
        let mut samples = vec![0; WINDOW];
        Sine::new(620.0, -20.0, RATE).fill(&mut samples);
        let heard = heard_of(&samples);
        assert!(heard.is_tone(620.0) && !heard.is_tone(440.0), "{heard:?}");
        assert!((heard.level + 20.0).abs() < 0.5, "{heard:?}");
        let mut other = vec![0; WINDOW];
        Sine::new(1200.0, -20.0, RATE).fill(&mut other);
        let both: Vec<i16> = samples.iter().zip(&other).map(|(a, b)| a + b).collect();
        assert_eq!(heard_of(&both).frequency, None);
    }

    #[test]
    fn the_longest_gap_counts_from_the_beginning_of_a_listening() {
        let from = SocketAddr::from(([192, 0, 2, 1], 4000));
        let at = |milliseconds| Moment::default() + Duration::from_millis(milliseconds);
        let mut measured = Measured::new();
        for milliseconds in [500, 520, 540, 800, 820] {
            measured.packet_of(1, from, at(milliseconds));
        }
        assert_eq!(measured.report().longest_gap, Duration::from_millis(260));
        measured.restart(at(900));
        assert_eq!(measured.report().longest_gap, Duration::ZERO);
        measured.packet_of(2, from, at(1200));
        measured.packet_of(2, from, at(1220));
        assert_eq!(measured.report().longest_gap, Duration::from_millis(300));
        assert_eq!((measured.report().packets, measured.arrived()), (2, 7));
    }

    #[test]
    fn silence_has_no_tone() {
        let heard = heard_of(&[0; WINDOW]);
        assert!(heard.is_silent());
        assert_eq!(heard.frequency, None);
    }
}
