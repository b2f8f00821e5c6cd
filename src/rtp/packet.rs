//! The RTP packet (RFC 3550 §5.1): a checked view over its bytes, and in-place changes of the fixed header.

use std::ops::Range;

/// Bytes of the fixed header.
pub const FIXED_HEADER: usize = 12;

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The header needs more bytes than there are.
    #[error("RTP header of {needed} bytes in a packet of {given}")]
    Short {
        /// Bytes the header claims.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// Not version 2.
    #[error("RTP version {0}")]
    Version(u8),
    /// The padding count is zero or reaches into the header.
    #[error("{padding} bytes of padding behind {available}")]
    Padding {
        /// The count in the last byte.
        padding: u8,
        /// Bytes behind the header.
        available: usize,
    },
}

/// The header, read once. Says nothing about padding, whose count SRTP encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in the payload format's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Bytes in front of the payload: fixed header, CSRC list and extension.
    pub len: usize,
}

impl Header {
    /// Reads the header and checks that the CSRC list and the extension lie inside `packet`.
    pub fn parse(packet: &[u8]) -> Result<Header, PacketError> {
        let given = packet.len();
        let short = |needed| PacketError::Short { needed, given };
        let fixed: &[u8; FIXED_HEADER] = packet.first_chunk().ok_or(short(FIXED_HEADER))?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return Err(PacketError::Version(first >> 6));
        }
        let mut len = FIXED_HEADER + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let profile: &[u8; 4] = packet
                .get(len..)
                .and_then(|rest| rest.first_chunk())
                .ok_or(short(len + 4))?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([profile[2], profile[3]]));
        }
        if len > given {
            return Err(short(len));
        }
        Ok(Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            len,
        })
    }

    /// Writes the fixed header (version 2, no CSRC, no extension) in front of `buf`; `len` is not used.
    /// `None` when `buf` is too short.
    pub fn write(&self, buf: &mut [u8]) -> Option<usize> {
        let fixed: &mut [u8; FIXED_HEADER] = buf.first_chunk_mut()?;
        fixed[0] = 0x80;
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        fixed[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        Some(FIXED_HEADER)
    }
}

/// A plain RTP packet whose every length was checked.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    header: Header,
    padding: u8,
}

impl<'a> Packet<'a> {
    /// Checks version, CSRC list, extension and padding.
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let header = Header::parse(bytes)?;
        let available = bytes.len() - header.len;
        let padded = bytes.first().is_some_and(|first| first & 0x20 != 0);
        let padding = match bytes.last() {
            Some(count) if padded => *count,
            _ => 0,
        };
        if padded && (padding == 0 || usize::from(padding) > available) {
            return Err(PacketError::Padding { padding, available });
        }
        Ok(Packet { bytes, header, padding })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the payload lies, without padding.
    pub fn payload_range(&self) -> Range<usize> {
        self.header.len..self.bytes.len() - usize::from(self.padding)
    }

    /// The payload, without padding.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.payload_range()).unwrap_or_default()
    }

    /// Contributing sources.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        let count = self.bytes.first().map_or(0, |first| usize::from(first & 0x0f));
        let (words, _) = self.bytes.get(FIXED_HEADER..).unwrap_or_default().as_chunks::<4>();
        words.iter().take(count).map(|word| u32::from_be_bytes(*word))
    }
}

/// Changes fields of a packet's fixed header where it lies.
#[derive(Debug)]
pub struct Rewrite<'a> {
    fixed: &'a mut [u8; FIXED_HEADER],
}

impl<'a> Rewrite<'a> {
    /// `None` when `packet` is shorter than the fixed header.
    pub fn new(packet: &'a mut [u8]) -> Option<Rewrite<'a>> {
        packet.first_chunk_mut().map(|fixed| Rewrite { fixed })
    }

    /// Sets the payload type (7 bits), keeps the marker.
    pub fn payload_type(&mut self, payload_type: u8) -> &mut Self {
        self.fixed[1] = self.fixed[1] & 0x80 | payload_type & 0x7f;
        self
    }

    /// Sets the marker bit.
    pub fn marker(&mut self, marker: bool) -> &mut Self {
        self.fixed[1] = self.fixed[1] & 0x7f | u8::from(marker) << 7;
        self
    }

    /// Says that nothing follows the payload.
    pub fn no_padding(&mut self) -> &mut Self {
        self.fixed[0] &= !0x20;
        self
    }

    /// Sets the sequence number.
    pub fn sequence(&mut self, sequence: u16) -> &mut Self {
        self.fixed[2..4].copy_from_slice(&sequence.to_be_bytes());
        self
    }

    /// Sets the timestamp.
    pub fn timestamp(&mut self, timestamp: u32) -> &mut Self {
        self.fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
        self
    }

    /// Sets the SSRC.
    pub fn ssrc(&mut self, ssrc: u32) -> &mut Self {
        self.fixed[8..12].copy_from_slice(&ssrc.to_be_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        [
            &[first, 0x80 | 101, 0x12, 0x34, 0, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef][..],
            rest,
        ]
        .concat()
    }

    #[test]
    fn reads_every_part() {
        // Two CSRCs, one word of extension, three bytes of payload, two of padding.
        let bytes = packet(
            0xb2,
            &[0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 9, 9, 9, 9, 7, 8, 9, 0, 2],
        );
        let packet = Packet::parse(&bytes).unwrap();
        let header = packet.header();
        assert!(header.marker);
        assert_eq!(
            (header.payload_type, header.sequence, header.timestamp),
            (101, 0x1234, 256)
        );
        assert_eq!((header.ssrc, header.len), (0xdead_beef, 28));
        assert_eq!(packet.payload(), [7, 8, 9]);
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn refuses_lying_lengths() {
        assert_eq!(
            Packet::parse(&[0x80; 11]).unwrap_err(),
            PacketError::Short { needed: 12, given: 11 }
        );
        assert_eq!(Packet::parse(&packet(0x40, &[])).unwrap_err(), PacketError::Version(1));
        assert_eq!(
            Packet::parse(&packet(0x8f, &[0; 8])).unwrap_err(),
            PacketError::Short { needed: 72, given: 20 }
        );
        let extension = packet(0x90, &[0xbe, 0xde, 0xff, 0xff]);
        assert_eq!(
            Packet::parse(&extension).unwrap_err(),
            PacketError::Short {
                needed: 16 + 4 * 65_535,
                given: 16
            }
        );
        for padding in [0, 4, 255] {
            let bytes = packet(0xa0, &[0, 0, padding]);
            assert_eq!(
                Packet::parse(&bytes).unwrap_err(),
                PacketError::Padding { padding, available: 3 }
            );
        }
        assert_eq!(
            Packet::parse(&packet(0xa0, &[])).unwrap_err(),
            PacketError::Padding {
                padding: 0xef,
                available: 0
            }
        );
        assert!(Packet::parse(&packet(0xa0, &[0, 0, 3])).unwrap().payload().is_empty());
    }

    #[test]
    fn rewrites_in_place() {
        let mut bytes = packet(0x80, &[1, 2, 3]);
        let mut rewrite = Rewrite::new(&mut bytes).unwrap();
        rewrite.payload_type(8).sequence(7).timestamp(9).ssrc(11);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(
            header,
            Header {
                marker: true,
                payload_type: 8,
                sequence: 7,
                timestamp: 9,
                ssrc: 11,
                len: 12
            }
        );
        Rewrite::new(&mut bytes).unwrap().marker(false);
        assert_eq!(bytes[1], 8);
        assert_eq!(bytes[12..], [1, 2, 3]);
        assert!(Rewrite::new(&mut [0; 11]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload().len() + packet.header().len <= bytes.len());
                prop_assert!(packet.csrcs().count() <= 15);
            }
        }

        #[test]
        fn written_headers_read_back(marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc, len: FIXED_HEADER };
            let mut buf = [0; FIXED_HEADER];
            prop_assert_eq!(header.write(&mut buf), Some(FIXED_HEADER));
            prop_assert_eq!(Header::parse(&buf), Ok(header));
        }
    }
}
