//! The protecting direction.

use super::cipher::{RTCP_HEADER, SessionCipher};
use super::derivation::Protocol;
use super::streams::{RtpStream, Snapshot, StreamSnapshot, Streams};
use super::{MasterKey, SrtpError};
use crate::rtp::packet;
use std::collections::BTreeSet;
use std::fmt;

/// SRTCP indices are 31 bits (RFC 3711 §3.4).
const RTCP_INDEX_LIMIT: u32 = 1 << 31;
/// RTCP packets that may have left after a snapshot was taken: their indices must not be used twice.
const RTCP_RESTORE_MARGIN: u64 = 1 << 16;
/// SSRCs that are remembered as spent; a key that would need more is used up.
const MOST_SPENT: usize = 4096;

/// Protects what we send under one master key.
///
/// An index never encrypts twice: a packet sent again, or one more than 128 behind the newest, is refused. A stream whose
/// sequence numbers jump back needs a new SSRC, and an SSRC whose place had to make room for others is refused for good.
pub struct Sender {
    rtp_cipher: SessionCipher,
    rtcp_cipher: SessionCipher,
    rtp: Streams<RtpStream>,
    /// SSRCs whose place had to make room.
    spent: BTreeSet<u32>,
    /// The next SRTCP index.
    rtcp: Streams<u32>,
    /// Where a new SSRC's SRTCP index starts: no lower than that of any stream whose state had to make room.
    rtcp_floor: u32,
}

impl Sender {
    /// A context at rollover counter 0. Fails only when the cipher refuses the key.
    pub fn new(key: &MasterKey) -> Result<Sender, SrtpError> {
        Ok(Sender {
            rtp_cipher: SessionCipher::new(key, Protocol::Rtp)?,
            rtcp_cipher: SessionCipher::new(key, Protocol::Rtcp)?,
            rtp: Streams::new(),
            spent: BTreeSet::new(),
            rtcp: Streams::new(),
            rtcp_floor: 0,
        })
    }

    /// Protects the RTP packet in `buf[..len]` in place and returns its new length; `buf` must have
    /// [`Suite::MAX_OVERHEAD`](super::Suite::MAX_OVERHEAD) bytes to spare.
    pub fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let plain = buf.get(..len).ok_or(SrtpError::TooShort { len: buf.len() })?;
        let header = packet::Header::parse(plain).map_err(|_| SrtpError::Malformed)?;
        let stream = self.rtp.get(header.ssrc);
        if stream.is_none() {
            self.may_begin(header.ssrc)?;
        }
        let index = RtpStream::fresh_index(stream, header.sequence)?;
        if RtpStream::leaps(stream, index) {
            return Err(SrtpError::TooOld { index });
        }
        let protected = self.rtp_cipher.protect_rtp(buf, len, header.len, header.ssrc, index)?;
        self.keep(header.ssrc, RtpStream::after(stream, index));
        Ok(protected)
    }

    fn may_begin(&self, ssrc: u32) -> Result<(), SrtpError> {
        if self.spent.contains(&ssrc) {
            return Err(SrtpError::SpentSsrc);
        }
        if self.rtp.is_full() && self.spent.len() >= MOST_SPENT {
            return Err(SrtpError::KeyExhausted);
        }
        Ok(())
    }

    fn keep(&mut self, ssrc: u32, stream: RtpStream) {
        if let Some((spent, _)) = self.rtp.put(ssrc, stream) {
            self.spent.insert(spent);
        }
    }

    /// Protects the compound RTCP packet in `buf[..len]` in place and returns its new length; `buf` must have
    /// [`Suite::MAX_OVERHEAD`](super::Suite::MAX_OVERHEAD) bytes to spare.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let plain = buf.get(..len).ok_or(SrtpError::TooShort { len: buf.len() })?;
        let ssrc = rtcp_ssrc(plain)?;
        let index = self.rtcp.get(ssrc).unwrap_or(self.rtcp_floor);
        if index >= RTCP_INDEX_LIMIT {
            return Err(SrtpError::KeyExhausted);
        }
        let protected = self.rtcp_cipher.protect_rtcp(buf, len, ssrc, index)?;
        if let Some((_, next)) = self.rtcp.put(ssrc, index + 1) {
            self.rtcp_floor = self.rtcp_floor.max(next);
        }
        Ok(protected)
    }

    /// The rollover counter of this SSRC, `None` before its first packet.
    pub fn rollover_counter(&self, ssrc: u32) -> Option<u32> {
        self.rtp.get(ssrc).map(RtpStream::rollover_counter)
    }

    /// Starts (or restarts) this SSRC at a rollover counter. The caller answers for it that no index comes twice.
    pub fn seed_rollover_counter(&mut self, ssrc: u32, roc: u32) {
        self.keep(ssrc, RtpStream::Seeded { roc });
    }

    /// The streams' places, to be restored under the same master key.
    pub fn snapshot(&self) -> Snapshot {
        let floor = StreamSnapshot {
            ssrc: 0,
            highest: u64::from(self.rtcp_floor),
            seen: None,
        };
        Snapshot {
            rtp: self.rtp.snapshot(),
            rtcp: self
                .rtcp
                .iter()
                .map(|(ssrc, next)| StreamSnapshot {
                    ssrc,
                    highest: u64::from(next),
                    seen: None,
                })
                .chain([floor])
                .collect(),
            spent: self.spent.clone(),
        }
    }

    /// Goes on from a snapshot. SRTCP indices skip ahead of what may have been sent since it was taken; RTP sequence
    /// numbers are the caller's to skip.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.rtp = Streams::restore(&snapshot.rtp);
        self.spent = snapshot.spent.clone();
        self.rtcp = Streams::new();
        let highest = snapshot.rtcp.iter().map(|stream| stream.highest).max().unwrap_or(0);
        let ahead = highest
            .saturating_add(RTCP_RESTORE_MARGIN)
            .min(u64::from(RTCP_INDEX_LIMIT));
        self.rtcp_floor = ahead as u32;
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("rtp", &self.rtp)
            .field("rtcp", &self.rtcp)
            .finish_non_exhaustive()
    }
}

/// The sender's SSRC of a compound RTCP packet.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let header: &[u8; RTCP_HEADER] = packet.first_chunk().ok_or(SrtpError::TooShort { len: packet.len() })?;
    let [first, _, _, _, ssrc @ ..] = *header;
    if first >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    Ok(u32::from_be_bytes(ssrc))
}
