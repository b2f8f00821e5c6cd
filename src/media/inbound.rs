//! Judging what arrives on a leg: verified, or from where it must come from, before anything else is believed.

use super::checks::follow;
use super::converter::Converter;
use super::latch::{Fit, PlainStream};
use super::leg::{Channel, Leg, MAX_PACKET};
use super::reports;
use super::sound::units;
use super::stats::{Dropped, WorkerStats};
use super::{DigitSource, PayloadKind};
use crate::codec::speech::Speech;
use crate::moment::Moment;
use crate::rtp::comfort_noise;
use crate::rtp::demux::Protocol;
use crate::rtp::packet::{Header, Packet, Rewrite};
use crate::rtp::statistics::Arrival;
use crate::srtp::SrtpError;
use std::net::SocketAddr;
use std::time::Duration;

/// Streams with tiny packet times still get a little patience before another stream takes their place.
const MIN_PACKET_TIME: Duration = Duration::from_millis(20);

/// A believed RTP packet on its way to the bridged leg; its bytes are in the worker's buffer, plain.
#[derive(Clone, Copy)]
pub(super) struct Onward {
    /// Slot of the bridged leg.
    pub peer: u32,
    pub len: usize,
    pub header: Header,
    pub payload_len: usize,
    /// It is the first packet of a stream whose sequence numbers need not continue the last one's.
    pub begins: bool,
    /// Payload type on the bridged leg.
    pub relay_as: u8,
    /// What the payload is, when it can be decoded here.
    pub speech: Option<Speech>,
    /// It says how silence sounds, and has to be made into that.
    silence: Option<Silence>,
    /// Hz, where the timestamp tells the time of sending (an event keeps the timestamp of its beginning).
    pub clock_rate: Option<u32>,
}

/// Comfort noise for a leg that negotiated none.
#[derive(Clone, Copy)]
struct Silence {
    level: u8,
    codec: Speech,
}

#[cfg(test)]
impl Onward {
    /// A packet for the leg of slot 0.
    pub fn of(header: Header, speech: Option<Speech>, payload_len: usize) -> Onward {
        Onward {
            peer: 0,
            len: header.len + payload_len,
            header,
            payload_len,
            begins: false,
            relay_as: header.payload_type,
            speech,
            silence: None,
            clock_rate: speech.map(|_| Speech::CLOCK_RATE),
        }
    }
}

impl Leg {
    /// Judges `buffer[..len]` that came from `from`. RTP that goes on is left there in plain form.
    pub fn receive(
        &mut self,
        channel: Channel,
        buffer: &mut [u8],
        len: usize,
        from: SocketAddr,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Option<Onward> {
        let Some(packet) = buffer.get_mut(..len).filter(|packet| packet.len() <= MAX_PACKET) else {
            self.dropped().oversize += 1;
            return None;
        };
        match (Protocol::of(packet), channel) {
            (Protocol::Rtp, Channel::Rtp) => {
                let onward = self.receive_rtp(packet, from, now, totals)?;
                match onward.silence {
                    Some(silence) => self.hush(buffer, onward, silence),
                    None => Some(onward),
                }
            }
            // on the RTP port it is rtcp-mux, negotiated or not: believed by the same rules
            (Protocol::Rtcp, _) => {
                self.receive_rtcp(channel, packet, from, now);
                None
            }
            (Protocol::Stun, _) => {
                self.receive_check(channel, packet, from, now, totals);
                None
            }
            (Protocol::Dtls, _) => {
                self.dropped().not_negotiated += 1;
                None
            }
            (Protocol::Rtp | Protocol::Other, _) => {
                self.dropped().malformed += 1;
                None
            }
        }
    }

    fn receive_rtp(
        &mut self,
        packet: &mut [u8],
        from: SocketAddr,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Option<Onward> {
        let dropped = &mut self.stats.received.dropped;
        let Some(settled) = &mut self.settled else {
            dropped.early += 1;
            return None;
        };
        let Ok(header) = Header::parse(packet) else {
            dropped.malformed += 1;
            return None;
        };
        let payload = settled
            .config
            .payloads
            .iter()
            .find(|payload| payload.number == header.payload_type)
            .copied();
        let mut in_flight = false;
        let (len, begins) = match &mut settled.protection {
            Some(protection) => match protection.unprotect_rtp(packet, now) {
                Ok(verified) => {
                    in_flight = verified.in_flight;
                    if settled.config.rings() {
                        // forks may speak at once: the first is heard, or the nominated one once it speaks (TEAMS-102)
                        let patience = settled.config.packet_time.max(MIN_PACKET_TIME) * 3;
                        let takes_over = settled.rtp.nominated() == Some(from) && !settled.rtp.is_current(from);
                        if takes_over {
                            self.stream = PlainStream::default();
                        }
                        if self.stream.place(header.ssrc, header.sequence, patience, now) == Fit::Foreign {
                            dropped.off_stream += 1;
                            return None;
                        }
                    }
                    let known = self.source.as_ref().is_some_and(|source| source.ssrc == header.ssrc);
                    (verified.len, !known || settled.rekeyed && !in_flight)
                }
                Err(error) => {
                    count_refusal(error, dropped);
                    return None;
                }
            },
            None => {
                let moves = || payload.is_some() && settled.rtp.may_move(from, settled.open_way, now);
                if !settled.rtp.is_current(from) {
                    if !moves() {
                        dropped.strangers += 1;
                        return None;
                    }
                    self.stream = PlainStream::default();
                }
                let patience = settled.config.packet_time.max(MIN_PACKET_TIME) * 3;
                match self.stream.place(header.ssrc, header.sequence, patience, now) {
                    Fit::Continues => (packet.len(), false),
                    Fit::Begins => (packet.len(), true),
                    Fit::Foreign => {
                        dropped.off_stream += 1;
                        return None;
                    }
                }
            }
        };
        let content = packet.get(..len).and_then(|packet| Packet::parse(packet).ok());
        let Some(content) = content.filter(|content| !content.payload().is_empty()) else {
            dropped.malformed += 1;
            return None;
        };
        if !in_flight {
            settled.rtp.believe(from);
            if let Some(protection) = &mut settled.protection {
                protection.believed(now);
            }
            settled.rekeyed = false;
        }
        let is_proven = !in_flight && settled.protection.is_some();
        if let Some(ice) = self.ice.as_mut().filter(|_| is_proven)
            && ice.streamed(from, now)
        {
            follow(ice, settled);
        }
        if begins {
            let changes = self.source.as_ref().is_some_and(|source| source.ssrc != header.ssrc);
            self.stats.received.source_changes += u64::from(changes);
            let clock_rate = payload
                .or(settled.config.payloads.first().copied())
                .map_or(8000, |p| p.clock_rate);
            self.source = Some(reports::Source::new(header.ssrc, clock_rate));
        }
        let arrival = match &mut self.source {
            Some(source) => {
                // An event goes on in the clock of what it interrupts.
                if let Some(spoken) = payload.filter(|payload| payload.kind != PayloadKind::TelephoneEvent) {
                    source.reception.clocked(spoken.clock_rate);
                }
                source.reception.receive(header.sequence, header.timestamp, now)
            }
            None => Arrival::Newest,
        };
        self.stats.received.packets += 1;
        self.stats.received.bytes += content.payload().len() as u64;
        let receives = settled.config.direction.receives();
        if let Some(event) = self.life.heard(self.id, now) {
            self.tell(event, totals);
        }

        let dropped = &mut self.stats.received.dropped;
        // counted by the reception as well; an SRTP sender refuses it anyway
        if arrival == Arrival::Duplicate {
            return None;
        }
        let Some(payload) = payload else {
            dropped.payload += 1;
            return None;
        };
        if !receives {
            dropped.muted += 1;
            return None;
        }
        let is_event = payload.kind == PayloadKind::TelephoneEvent;
        if is_event {
            let (timestamp, clock_rate) = (header.timestamp, payload.clock_rate);
            let digit = self
                .digits
                .packet(header.marker, timestamp, clock_rate, content.payload(), now);
            if let Some(ear) = &mut self.ear {
                ear.event();
            }
            if let Some(digit) = digit {
                self.tell_digit(digit, DigitSource::Event, totals);
            }
        }
        if let (Some(ear), PayloadKind::Speech(codec)) = (&mut self.ear, payload.kind)
            && let Some(digit) = ear.hear(codec, content.payload(), now)
        {
            self.tell_digit(digit, DigitSource::InBand, totals);
        }
        let dropped = &mut self.stats.received.dropped;
        // A stream that stops has many a peer hang up: what can be silent here is silent.
        let hushed = match (self.muted, payload.kind) {
            (false, _) | (true, PayloadKind::ComfortNoise) => None,
            (true, PayloadKind::Speech(codec)) => Some(codec.silence()),
            (true, PayloadKind::Audio | PayloadKind::TelephoneEvent) => {
                dropped.muted += 1;
                return None;
            }
        };
        let Some(peer) = self.peer else {
            dropped.unbridged += 1;
            return None;
        };
        let Some(relay_as) = payload.relay_as else {
            dropped.payload += 1;
            return None;
        };
        let payload_range = content.payload_range();
        let payload_len = payload_range.len();
        let clock_rate = (!is_event).then_some(payload.clock_rate);
        let mut speech = match payload.kind {
            PayloadKind::Speech(speech) => Some(speech),
            PayloadKind::Audio | PayloadKind::ComfortNoise | PayloadKind::TelephoneEvent => None,
        };
        let silence = match (payload.kind, payload.recode) {
            (PayloadKind::ComfortNoise, Some(codec)) => {
                comfort_noise::level(content.payload()).map(|level| Silence { level, codec })
            }
            _ => None,
        };
        if let Some((silence, bytes)) = hushed.zip(packet.get_mut(payload_range.clone())) {
            bytes.fill(silence);
        }
        if let Some(target) = payload.recode.filter(|_| silence.is_none()) {
            let recoded = match (speech, &mut self.converter, packet.get_mut(payload_range)) {
                (Some(from), Some(converter), Some(bytes)) => {
                    if begins {
                        **converter = Converter::default();
                    }
                    converter.run(from, target, bytes)
                }
                _ => false,
            };
            if !recoded {
                dropped.payload += 1;
                return None;
            }
            speech = Some(target);
        }
        Some(Onward {
            peer,
            len,
            header,
            payload_len,
            begins,
            relay_as,
            speech,
            silence,
            clock_rate,
        })
    }

    /// Puts a packet's time of noise in the place of its description.
    fn hush(&mut self, buffer: &mut [u8], mut onward: Onward, silence: Silence) -> Option<Onward> {
        let count = units(self.settled.as_ref()?.config.spoken_packet_time());
        let begin = onward.header.len;
        let room = buffer
            .get_mut(..MAX_PACKET)
            .and_then(|packet| packet.get_mut(begin..begin + count));
        let filled = match (room, &mut self.converter) {
            (Some(payload), Some(converter)) => converter.hush(silence.level, silence.codec, payload),
            _ => false,
        };
        if !filled {
            self.dropped().payload += 1;
            return None;
        }
        if let Some(mut rewrite) = Rewrite::new(buffer) {
            rewrite.no_padding();
        }
        (onward.payload_len, onward.len) = (count, begin + count);
        onward.speech = Some(silence.codec);
        Some(onward)
    }

    fn receive_rtcp(&mut self, channel: Channel, packet: &mut [u8], from: SocketAddr, now: Moment) {
        let received = &mut self.stats.received;
        let dropped = &mut received.dropped;
        let Some(settled) = &mut self.settled else {
            dropped.early += 1;
            return;
        };
        let rtp_host = settled.rtp.destination().map(|destination| destination.ip());
        let source = match channel {
            Channel::Rtp => Some(&mut settled.rtp),
            Channel::Rtcp => settled.rtcp.as_mut(),
        };
        let Some(source) = source else {
            dropped.not_negotiated += 1;
            return;
        };
        let mut in_flight = false;
        let len = match &mut settled.protection {
            Some(protection) => match protection.unprotect_rtcp(packet, now) {
                Ok(verified) => {
                    in_flight = verified.in_flight;
                    verified.len
                }
                Err(error) => return count_refusal(error, dropped),
            },
            None => {
                // behind NAT, RTCP comes from another port of the host that RTP was believed from
                let moves = channel == Channel::Rtcp
                    && rtp_host == Some(from.ip())
                    && source.may_move(from, settled.open_way, now);
                if !source.is_current(from) && !moves {
                    dropped.strangers += 1;
                    return;
                }
                packet.len()
            }
        };
        // RTCP alone neither ends a plain RTP source's freedom to move nor moves an SRTP one
        if channel == Channel::Rtcp && !in_flight {
            source.believe(from);
        }
        received.rtcp_packets += 1;
        self.life.heard_rtcp(now);
        let compound = packet.get(..len).unwrap_or_default();
        self.reports
            .read(compound, self.source.as_mut(), &mut self.stats.sent, now);
    }
}

fn count_refusal(error: SrtpError, dropped: &mut Dropped) {
    match error {
        SrtpError::Replayed { .. } | SrtpError::TooOld { .. } => dropped.replays += 1,
        SrtpError::AuthFailed | SrtpError::KeyExhausted | SrtpError::SpentSsrc | SrtpError::Cipher => {
            dropped.auth_failures += 1
        }
        SrtpError::TooShort { .. } | SrtpError::Malformed | SrtpError::NoRoom { .. } => dropped.malformed += 1,
    }
}
