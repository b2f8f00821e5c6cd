//! One leg: its sockets, what was negotiated, and the two halves of the packet path, [`Leg::receive`] and
//! [`Leg::transmit`]. A leg knows no other leg and no worker.

use super::dtmf::DigitDetector;
use super::latch::{PlainStream, Source};
use super::protection::Protection;
use super::socket::Sockets;
use super::stats::WorkerStats;
use super::{
    Dropped, Latch, LegConfig, LegId, MediaEvent, MediaEvents, MediaStats, PayloadKind, RemoteRtcp, RtcpPort, Security,
};
use crate::moment::Moment;
use crate::rtp::packet::{Header, Packet, Rewrite};
use crate::srtp::SrtpError;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Longest media packet: an Ethernet payload. Longer ones are dropped.
pub(super) const MAX_PACKET: usize = 1500;

/// One of a leg's two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Rtp,
    Rtcp,
}

/// A believed RTP packet on its way to the bridged leg; its bytes are in the worker's buffer.
pub(super) struct Onward {
    /// Slot of the bridged leg.
    pub peer: u32,
    pub len: usize,
    header: Header,
    payload_len: usize,
    /// Its first packet begins a stream whose sequence numbers need not continue the last one's.
    begins: bool,
    relay_as: u8,
}

/// What became of a packet given to [`Leg::transmit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transmitted {
    Yes,
    /// The leg sends nothing now: not configured, on hold, or no address to send to.
    NotNow,
    Failed,
}

/// A leg. Everything that a move to another worker takes along is in here.
pub(super) struct Leg {
    pub id: LegId,
    pub address: usize,
    pub label: Arc<str>,
    /// Slot of the bridged leg.
    pub peer: Option<u32>,
    sockets: Sockets,
    events: MediaEvents,
    settled: Option<Settled>,
    stream: PlainStream,
    source: Option<u32>,
    life: Life,
    digits: DigitDetector,
    /// XORed into the SSRC of what we send: not 0 where a source repeats sequence numbers under a key of ours.
    ssrc_mask: u32,
    stats: MediaStats,
}

/// What `configure` brought, and what was learnt since.
struct Settled {
    config: LegConfig,
    protection: Option<Box<Protection>>,
    rtp: Source,
    rtcp: Option<Source>,
    /// A plain source may move until then.
    movable_until: Option<Moment>,
    /// The next packet may restart the sequence: the peer's key is new.
    rekeyed: bool,
}

/// Whether the peer is heard.
struct Life {
    state: LifeState,
    /// Last believed RTP packet, or since when one is waited for.
    last: Moment,
    last_rtcp: Option<Moment>,
    /// Silence limits that were told since `last`.
    told: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LifeState {
    Waiting,
    Flowing,
    Silent,
}

impl Leg {
    pub fn new(id: LegId, address: usize, sockets: Sockets, events: MediaEvents, label: Arc<str>) -> Leg {
        Leg {
            id,
            address,
            label,
            peer: None,
            sockets,
            events,
            settled: None,
            stream: PlainStream::default(),
            source: None,
            life: Life {
                state: LifeState::Waiting,
                last: Moment::ZERO,
                last_rtcp: None,
                told: 0,
            },
            digits: DigitDetector::default(),
            ssrc_mask: 0,
            stats: MediaStats::default(),
        }
    }

    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    pub fn socket(&self, channel: Channel) -> Option<&UdpSocket> {
        match channel {
            Channel::Rtp => Some(&self.sockets.rtp),
            Channel::Rtcp => self.sockets.rtcp.as_ref(),
        }
    }

    pub fn own(&mut self, events: MediaEvents) {
        self.events = events;
    }

    pub fn is_orphan(&self) -> bool {
        self.events.is_closed()
    }

    pub fn dropped(&mut self) -> &mut Dropped {
        &mut self.stats.received.dropped
    }

    pub fn stats(&self) -> MediaStats {
        MediaStats {
            remote: self.settled.as_ref().and_then(|settled| settled.rtp.destination()),
            ..self.stats.clone()
        }
    }

    /// Queues an event for the owner, or counts it as dropped.
    pub fn tell(&self, event: MediaEvent, totals: &mut WorkerStats) {
        tell(&self.events, event, totals);
    }

    /// Takes a new configuration without losing packets: equal keys keep their contexts, equal addresses what was
    /// learnt about them.
    pub fn configure(&mut self, config: LegConfig, now: Moment) -> Result<(), SrtpError> {
        let rtcp_address = match config.remote_rtcp {
            RemoteRtcp::At(address) => Some(address),
            RemoteRtcp::Mux | RemoteRtcp::Nowhere => None,
        };
        let movable_until = match config.security {
            Security::Plain {
                latch: Latch::NatOnce { window },
            } => Some(now + window),
            _ => None,
        };
        let receives = config.direction.receives();
        let waits_anew = match &mut self.settled {
            Some(settled) => {
                if !same_keys(&settled.config.security, &config.security) {
                    settled.protection = Protection::new(&config.security)?;
                    settled.rekeyed = true;
                    self.ssrc_mask = 0;
                }
                settled.rtp.signal(config.remote);
                match (&mut settled.rtcp, rtcp_address) {
                    (Some(source), Some(address)) => source.signal(address),
                    (source, address) => *source = address.map(Source::new),
                }
                settled.movable_until = movable_until;
                let waits_anew = receives && !settled.config.direction.receives();
                settled.config = config;
                waits_anew
            }
            None => {
                self.settled = Some(Settled {
                    protection: Protection::new(&config.security)?,
                    rtp: Source::new(config.remote),
                    rtcp: rtcp_address.map(Source::new),
                    movable_until,
                    rekeyed: false,
                    config,
                });
                true
            }
        };
        if waits_anew {
            self.life.last = now;
            self.life.told = 0;
        }
        Ok(())
    }

    /// Judges `buffer[..len]` that came from `from`. RTP that may pass is left there in plain form.
    pub fn receive(
        &mut self,
        channel: Channel,
        buffer: &mut [u8],
        len: usize,
        from: SocketAddr,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Option<Onward> {
        let dropped = &mut self.stats.received.dropped;
        let packet = buffer.get_mut(..len).filter(|packet| packet.len() <= MAX_PACKET);
        let Some(packet) = packet else {
            dropped.oversize += 1;
            return None;
        };
        // RFC 7983 §7, RFC 5761 §4
        match *packet {
            [0..=3 | 20..=63, ..] => {
                dropped.not_negotiated += 1;
                None
            }
            [128..=191, 192..=223, ..] => {
                self.receive_rtcp(channel, packet, from, now);
                None
            }
            [128..=191, _, ..] if channel == Channel::Rtp => self.receive_rtp(packet, from, now, totals),
            _ => {
                dropped.malformed += 1;
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
        let received = &mut self.stats.received;
        let dropped = &mut received.dropped;
        let Some(settled) = &mut self.settled else {
            dropped.strangers += 1;
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
        let len = match &mut settled.protection {
            Some(protection) => match protection.receiver.unprotect_rtp(packet) {
                Ok(len) => len,
                Err(error) => {
                    count_srtp(error, dropped);
                    return None;
                }
            },
            None => {
                if !settled.rtp.is_current(from)
                    && (payload.is_none() || !settled.rtp.may_move(settled.movable_until, now))
                {
                    dropped.strangers += 1;
                    return None;
                }
                let patience = settled.config.packet_time.max(MIN_PACKET_TIME) * 3;
                if !self.stream.admits(header.ssrc, header.sequence, patience, now) {
                    dropped.off_stream += 1;
                    return None;
                }
                packet.len()
            }
        };
        let Ok(content) = Packet::parse(packet.get(..len)?) else {
            dropped.malformed += 1;
            return None;
        };
        settled.rtp.believe(from);
        let begins = self.source != Some(header.ssrc) || std::mem::take(&mut settled.rekeyed);
        if begins {
            received.source_changes += u64::from(self.source.is_some_and(|known| known != header.ssrc));
            self.source = Some(header.ssrc);
        }
        received.ssrc = Some(header.ssrc);
        received.packets += 1;
        received.bytes += content.payload().len() as u64;
        self.life.heard(self.id, now, &self.events, totals);

        let Some(payload) = payload else {
            dropped.payload += 1;
            return None;
        };
        if !settled.config.direction.receives() {
            dropped.muted += 1;
            return None;
        }
        if payload.kind == PayloadKind::TelephoneEvent {
            let digits = self
                .digits
                .packet(header.timestamp, payload.clock_rate, content.payload(), now);
            for digit in digits.into_iter().flatten() {
                let event = MediaEvent::Dtmf {
                    leg: self.id,
                    digit: digit.sign,
                    duration: digit.duration,
                };
                tell(&self.events, event, totals);
            }
        }
        let Some(peer) = self.peer else {
            dropped.unbridged += 1;
            return None;
        };
        let Some(relay_as) = payload.relay_as else {
            dropped.payload += 1;
            return None;
        };
        Some(Onward {
            peer,
            len,
            header,
            payload_len: content.payload().len(),
            begins,
            relay_as,
        })
    }

    fn receive_rtcp(&mut self, channel: Channel, packet: &mut [u8], from: SocketAddr, now: Moment) {
        let received = &mut self.stats.received;
        let dropped = &mut received.dropped;
        let Some(settled) = &mut self.settled else {
            dropped.strangers += 1;
            return;
        };
        // what arrives on the RTP port is rtcp-mux, negotiated or not
        let source = match channel {
            Channel::Rtp => Some(&mut settled.rtp),
            Channel::Rtcp => settled.rtcp.as_mut(),
        };
        let Some(source) = source else {
            dropped.not_negotiated += 1;
            return;
        };
        match &mut settled.protection {
            Some(protection) => match protection.receiver.unprotect_rtcp(packet) {
                Ok(_) => {}
                Err(error) => return count_srtp(error, dropped),
            },
            None if source.is_current(from) => {}
            None => {
                dropped.strangers += 1;
                return;
            }
        }
        source.believe(from);
        received.rtcp_packets += 1;
        self.life.last_rtcp = Some(now);
    }

    /// Sends a packet that the bridged leg received and that lies in `buffer[..onward.len]`.
    pub fn transmit(&mut self, buffer: &mut [u8], onward: &Onward, totals: &mut WorkerStats) -> Transmitted {
        let Some(settled) = &mut self.settled else {
            return Transmitted::NotNow;
        };
        let destination = settled.rtp.destination().filter(|_| settled.config.direction.sends());
        let Some(destination) = destination else {
            return Transmitted::NotNow;
        };
        let mut ssrc = onward.header.ssrc ^ self.ssrc_mask;
        let mut len = onward.len;
        let Some(mut rewrite) = Rewrite::new(buffer) else {
            return Transmitted::Failed;
        };
        rewrite.payload_type(onward.relay_as);
        if let Some(protection) = &mut settled.protection {
            // RFC 3711 §9.1: a sequence number that comes again under one key needs another SSRC
            if onward.begins && protection.sender.rollover_counter(ssrc).is_some() {
                self.ssrc_mask = rand::random();
                ssrc = onward.header.ssrc ^ self.ssrc_mask;
            }
            rewrite.ssrc(ssrc);
            let mut protected = protection.sender.protect_rtp(buffer, len);
            if let Err(SrtpError::TooOld { .. }) = protected {
                self.ssrc_mask = rand::random();
                ssrc = onward.header.ssrc ^ self.ssrc_mask;
                if let Some(mut rewrite) = Rewrite::new(buffer) {
                    rewrite.ssrc(ssrc);
                }
                protected = protection.sender.protect_rtp(buffer, len);
            }
            match protected {
                Ok(protected) => len = protected,
                Err(_) => {
                    self.stats.sent.errors += 1;
                    return Transmitted::Failed;
                }
            }
        }
        if !send(&self.sockets.rtp, buffer, len, destination, totals) {
            self.stats.sent.errors += 1;
            return Transmitted::Failed;
        }
        self.stats.sent.packets += 1;
        self.stats.sent.bytes += onward.payload_len as u64;
        Transmitted::Yes
    }

    /// The wheel's visit: silence, digits whose end was lost.
    pub fn visit(&mut self, silence_after: Duration, now: Moment, totals: &mut WorkerStats) {
        if let Some(digit) = self.digits.overdue(now) {
            let event = MediaEvent::Dtmf {
                leg: self.id,
                digit: digit.sign,
                duration: digit.duration,
            };
            tell(&self.events, event, totals);
        }
        if self
            .settled
            .as_ref()
            .is_some_and(|settled| settled.config.direction.receives())
            && let Some(event) = self.life.silence(self.id, silence_after, now)
        {
            tell(&self.events, event, totals);
        }
    }

    /// True when `from` is a port of this leg itself.
    pub fn is_from_itself(&self, from: SocketAddr) -> bool {
        let claim = self.sockets.claim;
        from.port() == claim.rtp || (claim.rtcp == RtcpPort::Pair && from.port() == claim.rtp.saturating_add(1))
    }
}

/// Streams with tiny packet times still get a little patience.
const MIN_PACKET_TIME: Duration = Duration::from_millis(20);

impl Life {
    fn heard(&mut self, leg: LegId, now: Moment, events: &MediaEvents, totals: &mut WorkerStats) {
        self.last = now;
        match self.state {
            LifeState::Flowing => return,
            LifeState::Waiting => tell(events, MediaEvent::Flowing { leg }, totals),
            LifeState::Silent => tell(events, MediaEvent::Resumed { leg }, totals),
        }
        self.state = LifeState::Flowing;
        self.told = 0;
    }

    fn silence(&mut self, leg: LegId, limit: Duration, now: Moment) -> Option<MediaEvent> {
        let lasting = now.since(self.last);
        if lasting < limit * (self.told + 1) {
            return None;
        }
        self.told += 1;
        if self.state == LifeState::Flowing {
            self.state = LifeState::Silent;
        }
        Some(MediaEvent::Silence {
            leg,
            lasting,
            since_rtcp: self.last_rtcp.map(|last| now.since(last)),
        })
    }
}

fn tell(events: &MediaEvents, event: MediaEvent, totals: &mut WorkerStats) {
    if events.try_send(event).is_err() {
        totals.events_dropped += 1;
    }
}

fn send(socket: &UdpSocket, buffer: &[u8], len: usize, to: SocketAddr, totals: &mut WorkerStats) -> bool {
    let Some(packet) = buffer.get(..len) else { return false };
    match socket.send_to(packet, to) {
        Ok(_) => {
            totals.packets_out += 1;
            true
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::WouldBlock => totals.send_would_block += 1,
                _ => totals.send_errors += 1,
            }
            false
        }
    }
}

fn same_keys(before: &Security, after: &Security) -> bool {
    match (before, after) {
        (Security::Plain { .. }, Security::Plain { .. }) => true,
        _ => before == after,
    }
}

fn count_srtp(error: SrtpError, dropped: &mut Dropped) {
    match error {
        SrtpError::Replayed { .. } | SrtpError::TooOld { .. } => dropped.replays += 1,
        SrtpError::AuthFailed | SrtpError::KeyExhausted | SrtpError::Cipher => dropped.auth_failures += 1,
        SrtpError::TooShort { .. } | SrtpError::Malformed | SrtpError::NoRoom { .. } => dropped.malformed += 1,
    }
}
