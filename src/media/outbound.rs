//! Sending on a leg: what the bridged leg received, and our own reports.

use super::inbound::Onward;
use super::leg::Leg;
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
    Failed,
}

impl Leg {
    /// Sends the packet in `buffer[..onward.len]`, which the bridged leg received.
    pub fn transmit(
        &mut self,
        buffer: &mut [u8],
        onward: &Onward,
        now: Moment,
        totals: &mut WorkerStats,
    ) -> Transmitted {
        let Some(settled) = &mut self.settled else {
            return Transmitted::NotNow;
        };
        let destination = settled.rtp.destination().filter(|_| settled.config.direction.sends());
        let Some(destination) = destination else {
            return Transmitted::NotNow;
        };
        if let Some(mut rewrite) = Rewrite::new(buffer) {
            rewrite.payload_type(onward.relay_as);
        }
        let protected = match &mut settled.protection {
            Some(protection) => protect(&mut protection.sender, &mut self.ssrc_mask, buffer, onward),
            None => Ok((onward.len, onward.header.ssrc)),
        };
        let sent = protected.is_ok_and(|(len, ssrc)| {
            let sent = send(&self.sockets.rtp, buffer, len, destination, totals);
            if sent {
                let (timestamp, payload_len) = (onward.header.timestamp, onward.payload_len);
                self.reports.sent(ssrc, timestamp, onward.clock_rate, payload_len, now);
                self.stats.sent.packets += 1;
                self.stats.sent.bytes += payload_len as u64;
            }
            sent
        });
        if sent {
            return Transmitted::Yes;
        }
        self.stats.sent.errors += 1;
        Transmitted::Failed
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
        Err(SrtpError::TooOld { .. }) => {
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
