//! Sending on a leg: what the bridged leg received, and our own reports.

use super::inbound::Onward;
use super::leg::Leg;
use super::outgoing::Numbers;
use super::stats::WorkerStats;
use super::{LegConfig, RemoteRtcp};
use crate::moment::Moment;
use crate::rtp::packet::Rewrite;
use crate::srtp::{Sender, SrtpError};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// What became of a packet given to [`Leg::transmit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transmitted {
    Yes,
    /// The leg sends nothing now: not configured, on hold, or no address to send to.
    NotNow,
    /// Something of ours was sent instead.
    Replaced,
    Failed,
}

impl Leg {
    /// True when audio may go out: configured, not on hold, with an address to send to.
    pub(super) fn sends(&self) -> bool {
        self.settled
            .as_ref()
            .is_some_and(|settled| settled.config.direction.sends() && settled.rtp.destination().is_some())
    }

    /// Sends the packet in `buffer[..onward.len]`, which the bridged leg received.
    pub fn transmit(
        &mut self,
        buffer: &mut [u8],
        onward: &Onward,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Transmitted {
        if !self.sends() {
            return Transmitted::NotNow;
        }
        if let Some(speaker) = &mut self.speaker {
            // What can't be decoded can't be mixed with a sound; an event is no audio.
            let is_opaque = onward.speech.is_none() && onward.clock_rate.is_some();
            if speaker.replaces() || (is_opaque && speaker.plays()) {
                return Transmitted::Replaced;
            }
            let payload = onward.header.len..onward.header.len + onward.payload_len;
            if let (Some(codec), Some(payload)) = (onward.speech, buffer.get_mut(payload)) {
                speaker.treat(codec, payload);
            }
        }
        if let Some(mut rewrite) = Rewrite::new(buffer) {
            rewrite.payload_type(onward.relay_as);
        }
        if self
            .settled
            .as_ref()
            .is_some_and(|settled| settled.protection.is_some())
        {
            self.outgoing.begin_low(onward.header.sequence, onward.begins);
        }
        if self.outgoing.is_owned() {
            let numbers = self
                .outgoing
                .relay(&onward.header, onward.begins, onward.clock_rate, now);
            let Some(numbers) = numbers else {
                return Transmitted::Replaced;
            };
            if let Some(mut rewrite) = Rewrite::new(buffer) {
                rewrite
                    .sequence(numbers.sequence)
                    .timestamp(numbers.timestamp)
                    .ssrc(numbers.ssrc)
                    .marker(numbers.marker);
            }
            let (clock_rate, payload_len) = (onward.clock_rate, onward.payload_len);
            return self.send_numbered(buffer, onward.len, numbers, clock_rate, payload_len, now, totals);
        }
        let Some(settled) = &mut self.settled else {
            return Transmitted::NotNow;
        };
        let protected = match &mut settled.protection {
            Some(protection) => protect(&mut protection.sender, &mut self.ssrc_mask, buffer, onward),
            None => Ok((onward.len, onward.header.ssrc)),
        };
        let Ok((len, ssrc)) = protected else {
            self.stats.sent.errors += 1;
            return Transmitted::Failed;
        };
        self.outgoing
            .passed(ssrc, &onward.header, onward.begins, onward.clock_rate, now);
        let timestamp = onward.header.timestamp;
        self.send_rtp(
            buffer,
            len,
            (ssrc, timestamp),
            onward.clock_rate,
            onward.payload_len,
            now,
            totals,
        )
    }

    /// Sends the packet in `buffer[..len]`, whose header has `numbers`.
    #[allow(clippy::too_many_arguments, reason = "one packet's circumstances")]
    pub(super) fn send_numbered(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        numbers: Numbers,
        clock_rate: Option<u32>,
        payload_len: usize,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Transmitted {
        let Some(settled) = &mut self.settled else {
            return Transmitted::NotNow;
        };
        let protected = match &mut settled.protection {
            Some(protection) => protection.sender.protect_rtp(buffer, len),
            None => Ok(len),
        };
        let Ok(len) = protected else {
            self.stats.sent.errors += 1;
            return Transmitted::Failed;
        };
        let stream = (numbers.ssrc, numbers.timestamp);
        self.send_rtp(buffer, len, stream, clock_rate, payload_len, now, totals)
    }

    /// Hands a finished packet to the kernel and counts it; `stream` is its SSRC and timestamp.
    #[allow(clippy::too_many_arguments, reason = "one packet's circumstances")]
    fn send_rtp(
        &mut self,
        buffer: &[u8],
        len: usize,
        (ssrc, timestamp): (u32, u32),
        clock_rate: Option<u32>,
        payload_len: usize,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Transmitted {
        let destination = self.settled.as_ref().and_then(|settled| settled.rtp.destination());
        let Some(destination) = destination else {
            return Transmitted::NotNow;
        };
        if !send(&self.sockets.rtp, buffer, len, destination, totals) {
            self.stats.sent.errors += 1;
            return Transmitted::Failed;
        }
        self.reports.sent(ssrc, timestamp, clock_rate, payload_len, now);
        self.stats.sent.packets += 1;
        self.stats.sent.bytes += payload_len as u64;
        Transmitted::Yes
    }

    /// Sends our report when it is due, whatever the direction: a leg on hold reports, too.
    pub(super) fn report(&mut self, buffer: &mut [u8], interval: Duration, now: Moment, totals: &mut WorkerStats) {
        let Some(settled) = &mut self.settled else { return };
        let LegConfig { remote_rtcp, .. } = settled.config;
        let (socket, destination) = match remote_rtcp {
            RemoteRtcp::Nowhere => return,
            RemoteRtcp::Mux => (&self.sockets.rtp, settled.rtp.destination()),
            RemoteRtcp::At(_) => {
                let destination = settled.rtcp.as_ref().and_then(|source| source.destination());
                (self.sockets.rtcp.as_ref().unwrap_or(&self.sockets.rtp), destination)
            }
        };
        let Some(destination) = destination else { return };
        let Some(len) = self.reports.write_due(buffer, self.source.as_mut(), interval, now) else {
            return;
        };
        let protected = match &mut settled.protection {
            Some(protection) => protection.sender.protect_rtcp(buffer, len),
            None => Ok(len),
        };
        if protected.is_ok_and(|len| send(socket, buffer, len, destination, totals)) {
            self.stats.sent.rtcp_packets += 1;
        } else {
            self.stats.sent.errors += 1;
        }
    }
}

/// Protects in place; the new length, and the SSRC that the packet left with.
fn protect(sender: &mut Sender, mask: &mut u32, buffer: &mut [u8], onward: &Onward) -> Result<(usize, u32), SrtpError> {
    // RFC 3711 §9.1: a sequence number that comes again under one key needs another SSRC
    if onward.begins && sender.rollover_counter(onward.header.ssrc ^ *mask).is_some() {
        *mask = rand::random();
    }
    match protect_masked(sender, *mask, buffer, onward) {
        Err(SrtpError::TooOld { .. } | SrtpError::SpentSsrc) => {
            *mask = rand::random();
            protect_masked(sender, *mask, buffer, onward)
        }
        protected => protected,
    }
}

fn protect_masked(
    sender: &mut Sender,
    mask: u32,
    buffer: &mut [u8],
    onward: &Onward,
) -> Result<(usize, u32), SrtpError> {
    let ssrc = onward.header.ssrc ^ mask;
    if let Some(mut rewrite) = Rewrite::new(buffer) {
        rewrite.ssrc(ssrc);
    }
    Ok((sender.protect_rtp(buffer, onward.len)?, ssrc))
}

pub(super) fn send(socket: &UdpSocket, buffer: &[u8], len: usize, to: SocketAddr, totals: &mut WorkerStats) -> bool {
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
