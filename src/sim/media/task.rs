//! The task of one endpoint.

use super::checks::Checker;
use super::inbound::Inbound;
use super::outbound::{Outbound, Said};
use super::{Ear, Keys, Order, Stream};
use crate::codec::speech::Speech;
use crate::net::Clock;
use crate::rtp::demux::Protocol;
use crate::rtp::packet::Packet;
use crate::rtp::rtcp::{self, Report};
use crate::srtp::{Receiver, Sender, Suite};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const PACKET_TIME: Duration = Duration::from_millis(20);
/// Short, for calls of simulators are short (RFC 3550 §6.2 allows it on so small a bandwidth).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Larger than any datagram that we take.
const BUFFER: usize = 2048;
/// Bytes of the longest key identifier of ours.
const MKI: usize = 1;
/// What a simulator calls itself in its reports (RFC 3550 §6.5.1).
const CNAME: &str = "simulator";

pub(super) struct Task {
    rtp: UdpSocket,
    rtcp: Option<UdpSocket>,
    clock: Clock,
    opened: Instant,
    ear: Ear,
    stream: Option<Stream>,
    protection: Option<Protection>,
    checker: Option<Checker>,
    rtcp_checker: Option<Checker>,
    outbound: Outbound,
    inbound: Inbound,
}

struct Protection {
    keys: Keys,
    sender: Sender,
    receiver: Receiver,
}

impl Task {
    pub(super) fn new(rtp: UdpSocket, rtcp: Option<UdpSocket>, clock: Clock, ear: Ear) -> Task {
        Task {
            rtp,
            rtcp,
            clock,
            opened: Instant::now(),
            ear,
            stream: None,
            protection: None,
            checker: None,
            rtcp_checker: None,
            outbound: Outbound::new(),
            inbound: Inbound::default(),
        }
    }

    /// Until the endpoint is dropped.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut frames = interval_at(self.opened, PACKET_TIME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut reports = interval_at(self.opened + REPORT_INTERVAL / 2, REPORT_INTERVAL);
        let (mut first, mut second) = ([0; BUFFER], [0; BUFFER]);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Flow(stream)) => self.agree(*stream),
                    Some(Order::Digits(digits)) => self.outbound.queue(&digits),
                    None => return,
                },
                Ok((len, from)) = self.rtp.recv_from(&mut first) => {
                    if let Some(datagram) = first.get_mut(..len) {
                        self.take(datagram, from);
                    }
                }
                Ok((len, from)) = receive(self.rtcp.as_ref(), &mut second) => {
                    if let Some(datagram) = second.get_mut(..len) {
                        self.take_on_next_port(datagram, from);
                    }
                }
                _ = frames.tick() => {
                    if let Some(checker) = &mut self.checker {
                        checker.turn(&self.rtp).await;
                    }
                    if let (Some(checker), Some(socket)) = (&mut self.rtcp_checker, &self.rtcp) {
                        checker.turn(socket).await;
                    }
                    self.send_frame().await;
                }
                _ = reports.tick() => self.send_report().await,
            }
        }
    }

    /// Contexts live on while their keys do: a new context under an old key would use its packet indices twice.
    fn agree(&mut self, stream: Stream) {
        let kept = self.protection.as_ref().map(|protection| &protection.keys);
        if kept != stream.keys.as_ref() {
            self.protection = stream.keys.clone().and_then(|keys| {
                Some(Protection {
                    sender: Sender::new(&keys.local).ok()?,
                    receiver: Receiver::with_mki(&keys.remote, keys.remote_mki).ok()?,
                    keys,
                })
            });
        }
        let checked = self.checker.as_ref().map(Checker::checks);
        if checked != stream.checks.as_ref() {
            let local = self.rtp.local_addr().ok();
            let checker = |checks| Checker::new(checks, local?);
            self.checker = stream.checks.as_ref().and_then(checker);
            let local = self.rtcp.as_ref().and_then(|socket| socket.local_addr().ok());
            let checker = |checks| Checker::of_rtcp(checks, local?);
            self.rtcp_checker = stream.checks.as_ref().and_then(checker);
        }
        let mut measured = self.ear.lock();
        measured.counts().suite = stream.keys.as_ref().map(|keys| keys.remote.suite().name());
        measured.clocked(stream.codec.clock());
        drop(measured);
        self.stream = Some(stream);
    }

    fn take(&mut self, datagram: &mut [u8], from: SocketAddr) {
        match Protocol::of(datagram) {
            Protocol::Rtcp => self.take_rtcp(datagram),
            Protocol::Rtp => self.take_rtp(datagram, from),
            Protocol::Stun => {
                if let Some(checker) = &mut self.checker {
                    checker.take(datagram, from);
                }
            }
            _ => {}
        }
    }

    /// What comes where RTCP has a port of its own.
    fn take_on_next_port(&mut self, datagram: &mut [u8], from: SocketAddr) {
        if Protocol::of(datagram) == Protocol::Stun {
            if let Some(checker) = &mut self.rtcp_checker {
                checker.take(datagram, from);
            }
            return;
        }
        let before = self.ear.lock().counts().rtcp_received;
        self.take_rtcp(datagram);
        let mut measured = self.ear.lock();
        let counts = measured.counts();
        counts.rtcp_on_next_port += counts.rtcp_received - before;
    }

    fn take_rtp(&mut self, datagram: &mut [u8], from: SocketAddr) {
        let Some(stream) = self.stream.as_ref() else { return };
        let mut measured = self.ear.lock();
        let plain = match &mut self.protection {
            Some(protection) => match protection.receiver.unprotect_rtp(datagram) {
                Ok(len) => datagram.get(..len).unwrap_or_default(),
                Err(_) => {
                    measured.counts().auth_failures += 1;
                    return;
                }
            },
            // Keys were agreed on that cannot be used: nothing plain is believed instead.
            None if stream.keys.is_some() => return,
            None => datagram,
        };
        let Ok(packet) = Packet::parse(plain) else { return };
        let header = packet.header();
        let now = self.clock.now();
        measured.packet_of(header.ssrc, from, now);
        measured.reception.receive(header.sequence, header.timestamp, now);
        let counts = measured.counts();
        counts.srtp = self.protection.is_some();
        let since = self.opened.elapsed();
        counts.first_after.get_or_insert(since);
        if Some(header.payload_type) == stream.events {
            let heard = measured
                .digits
                .receive(header.marker, header.timestamp, packet.payload());
            measured.counts().digits.extend(heard.pressed);
            return;
        }
        let speech = Speech::from_payload_type(header.payload_type);
        if speech.is_none() && stream.codec.speech().is_some() {
            return;
        }
        measured.counts().payload_type = Some(header.payload_type);
        if stream.is_noted {
            measured.payloads.hears(packet.payload());
        }
        if let Some(codec) = speech {
            let heard = self.inbound.decode(codec, packet.payload());
            measured.samples(heard.iter().copied());
        }
    }

    fn take_rtcp(&mut self, datagram: &mut [u8]) {
        let mut measured = self.ear.lock();
        let plain = match &mut self.protection {
            Some(protection) => match protection.receiver.unprotect_rtcp(datagram) {
                Ok(len) => datagram.get(..len).unwrap_or_default(),
                Err(_) => {
                    measured.counts().auth_failures += 1;
                    return;
                }
            },
            None => datagram,
        };
        for packet in rtcp::packets(plain) {
            if let rtcp::Packet::Report { sender, .. } = packet {
                measured.counts().rtcp_received += 1;
                if let Some(info) = sender {
                    measured.reception.receive_sender_report(info.ntp, self.clock.now());
                }
            }
        }
    }

    async fn send_frame(&mut self) {
        let Some(stream) = self.stream.as_ref().filter(|stream| stream.direction.sends()) else {
            return;
        };
        let remote = match &self.checker {
            Some(checker) => checker.nominated(),
            None => Some(stream.remote),
        };
        let Some(remote) = remote else { return };
        let mut buffer = [0; BUFFER];
        let Some(Said { len, audio }) = self.outbound.next(stream, &mut buffer) else {
            return;
        };
        if let Some(payload) = audio.filter(|_| stream.is_noted).and_then(|range| buffer.get(range)) {
            self.ear.lock().payloads.says(payload);
        }
        let len = match &mut self.protection {
            Some(protection) => {
                let len = protection.sender.protect_rtp(&mut buffer, len).ok();
                len.and_then(|len| protection.keys.identified(&mut buffer, len))
            }
            None => stream.keys.is_none().then_some(len),
        };
        let Some(bytes) = len.and_then(|len| buffer.get(..len)) else {
            return;
        };
        // A port that is closed yet (ICMP) is no reason to stop.
        if self.rtp.send_to(bytes, remote).await.is_ok() {
            self.ear.lock().counts().sent += 1;
        }
    }

    async fn send_report(&mut self) {
        let Some(stream) = self.stream.as_ref() else { return };
        let now = self.clock.now();
        let block = {
            let mut measured = self.ear.lock();
            let source = measured.source();
            source.map(|ssrc| measured.reception.report_block(ssrc, now))
        };
        let blocks: Vec<_> = block.into_iter().collect();
        let report = Report {
            ssrc: self.outbound.ssrc(),
            sender: self.outbound.sender_info(now),
            blocks: &blocks,
            cname: CNAME,
            bye: false,
        };
        let mut buffer = [0; 512];
        let room = buffer.len() - Suite::MAX_OVERHEAD - MKI;
        let written = buffer.get_mut(..room).and_then(|room| report.write(room));
        let len = match (&mut self.protection, written) {
            (Some(protection), Some(len)) => {
                let len = protection.sender.protect_rtcp(&mut buffer, len).ok();
                len.and_then(|len| protection.keys.identified(&mut buffer, len))
            }
            (None, len) if stream.keys.is_none() => len,
            _ => None,
        };
        let Some(bytes) = len.and_then(|len| buffer.get(..len)) else {
            return;
        };
        let remote = match &self.rtcp_checker {
            Some(checker) => match checker.nominated() {
                None => return,
                nominated => nominated,
            },
            None => stream.remote_rtcp,
        };
        // Reports that are lost are followed by others.
        let _ = match (&self.rtcp, remote) {
            (Some(socket), Some(remote)) => socket.send_to(bytes, remote).await,
            (None, Some(remote)) => self.rtp.send_to(bytes, remote).await,
            (_, None) => self.rtp.send_to(bytes, stream.remote).await,
        };
    }
}

impl Keys {
    /// Puts the key's identifier, 1, before the tag, which does not cover it (RFC 3711 §3.1); the length with it.
    fn identified(&self, packet: &mut [u8], len: usize) -> Option<usize> {
        let (mki, suite) = (usize::from(self.local_mki), self.local.suite());
        if mki == 0 {
            return Some(len);
        }
        // Both tags of the suite that is spoken are of one length.
        let tag = len.checked_sub(suite.rtcp_tag_len())?;
        let whole = packet.get_mut(..len.checked_add(mki)?)?;
        whole.copy_within(tag..len, tag + mki);
        let identifier = whole.get_mut(tag..tag + mki)?;
        identifier.fill(0);
        *identifier.last_mut()? = 1;
        Some(len + mki)
    }
}

/// Never ready without a socket.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}
