//! The verifying direction.

use super::cipher::SessionCipher;
use super::derivation::Protocol;
use super::replay::ReplayWindow;
use super::sender::rtcp_ssrc;
use super::streams::{RtpStream, Snapshot, StreamSnapshot, Streams};
use super::{MasterKey, SrtpError};
use crate::rtp::packet;
use std::fmt;

/// How far behind a wrap the first packet we hear may lie, when those before it were missed: 20 s at 20 ms.
const MISSED_WRAP: u16 = 1000;

/// Verifies and decrypts what a peer sends under one master key.
///
/// An SSRC is remembered once a packet of it was verified; strangers' packets change nothing. After an error the packet's
/// bytes are undefined and must not be used.
pub struct Receiver {
    rtp_cipher: SessionCipher,
    rtcp_cipher: SessionCipher,
    rtp: Streams<RtpStream>,
    rtcp: Streams<ReplayWindow>,
    mki_len: usize,
}

impl Receiver {
    /// A context at rollover counter 0 for packets without MKI. Fails only when the cipher refuses the key.
    pub fn new(key: &MasterKey) -> Result<Receiver, SrtpError> {
        Receiver::with_mki(key, 0)
    }

    /// The same for packets that carry an MKI of `mki_len` bytes (0 to 128, RFC 4568 §6.1). There is one key a context,
    /// so its value is skipped: the tag decides.
    pub fn with_mki(key: &MasterKey, mki_len: u8) -> Result<Receiver, SrtpError> {
        Ok(Receiver {
            rtp_cipher: SessionCipher::new(key, Protocol::Rtp)?,
            rtcp_cipher: SessionCipher::new(key, Protocol::Rtcp)?,
            rtp: Streams::new(),
            rtcp: Streams::new(),
            mki_len: usize::from(mki_len),
        })
    }

    /// Verifies and decrypts one SRTP packet in place; returns the length of the RTP packet.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = packet::Header::parse(packet).map_err(|_| SrtpError::Malformed)?;
        let stream = self.rtp.get(header.ssrc);
        let index = RtpStream::fresh_index(stream, header.sequence)?;
        let unprotect = |packet: &mut [u8], index| {
            self.rtp_cipher
                .unprotect_rtp(packet, self.mki_len, header.len, header.ssrc, index)
        };
        let (len, index) = match unprotect(packet, index) {
            // A peer may begin just below a wrap (RFC 3711 §3.3.1 only advises against it) and be heard first behind it.
            // Tried at the beginning only, so that a stranger's packet costs one MAC from then on.
            Err(SrtpError::AuthFailed)
                if header.sequence < MISSED_WRAP
                    && self.rtp.is_empty()
                    && self.rtp_cipher.keeps_packet_on_failure() =>
            {
                let behind_wrap = index | 1 << 16;
                (unprotect(packet, behind_wrap)?, behind_wrap)
            }
            verdict => (verdict?, index),
        };
        self.rtp.put(header.ssrc, RtpStream::after(stream, index));
        Ok(len)
    }

    /// Verifies and decrypts one SRTCP packet in place; returns the length of the compound RTCP packet.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        let index = self.rtcp_cipher.claimed_rtcp_index(packet, self.mki_len)?;
        let stream = self.rtcp.get(ssrc);
        if let Some(window) = &stream {
            window.check(u64::from(index))?;
        }
        let len = self.rtcp_cipher.unprotect_rtcp(packet, self.mki_len, ssrc, index)?;
        let window = match stream {
            Some(mut window) => {
                window.accept(u64::from(index));
                window
            }
            None => ReplayWindow::starting_at(u64::from(index)),
        };
        self.rtcp.put(ssrc, window);
        Ok(len)
    }

    /// The rollover counter of this SSRC, `None` before its first verified packet.
    pub fn rollover_counter(&self, ssrc: u32) -> Option<u32> {
        self.rtp.get(ssrc).map(RtpStream::rollover_counter)
    }

    /// Says which rollover counter an SSRC is at that we join late. Forgets its replay window.
    pub fn seed_rollover_counter(&mut self, ssrc: u32, roc: u32) {
        self.rtp.put(ssrc, RtpStream::Seeded { roc });
    }

    /// The streams' places and replay windows, to be restored under the same master key.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            rtp: self.rtp.snapshot(),
            rtcp: self
                .rtcp
                .iter()
                .map(|(ssrc, window)| StreamSnapshot::of_window(ssrc, &window))
                .collect(),
            spent: Default::default(),
        }
    }

    /// Goes on from a snapshot.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.rtp = Streams::restore(&snapshot.rtp);
        self.rtcp = Streams::new();
        for stream in &snapshot.rtcp {
            if let Some(window) = stream.window() {
                self.rtcp.put(stream.ssrc, window);
            }
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("rtp", &self.rtp)
            .field("rtcp", &self.rtcp)
            .finish_non_exhaustive()
    }
}
