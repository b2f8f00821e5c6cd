//! What a datagram on a media port is, by its first bytes (RFC 7983 §7, RFC 5761 §4).

/// The protocol of a datagram. Only a first guess: each protocol checks further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// First byte 0 to 3.
    Stun,
    /// First byte 20 to 63.
    Dtls,
    /// First byte 128 to 191, no RTCP packet type behind it.
    Rtp,
    /// First byte 128 to 191, second byte 192 to 223.
    Rtcp,
    /// ZRTP, TURN channels, QUIC, noise; also what is too short to tell.
    Other,
}

impl Protocol {
    /// Classifies one datagram. RTP payload types 64 to 95 are not usable on such a port.
    pub fn of(datagram: &[u8]) -> Protocol {
        match datagram {
            [0..=3, ..] => Protocol::Stun,
            [20..=63, ..] => Protocol::Dtls,
            [128..=191, 192..=223, ..] => Protocol::Rtcp,
            [128..=191, _, ..] => Protocol::Rtp,
            _ => Protocol::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn by_the_first_two_bytes() {
        let of = |first, second| Protocol::of(&[first, second, 0, 0]);
        assert_eq!(of(0x00, 0x01), Protocol::Stun);
        assert_eq!(of(22, 0xfe), Protocol::Dtls);
        assert_eq!(of(0x80, 0), Protocol::Rtp);
        assert_eq!(of(0x80, 0x80 | 63), Protocol::Rtp);
        assert_eq!(of(0x80, 0x80 | 96), Protocol::Rtp);
        assert_eq!(of(0x81, 200), Protocol::Rtcp);
        assert_eq!(of(0xbf, 192), Protocol::Rtcp);
        assert_eq!(of(0x80, 223), Protocol::Rtcp);
        for first in [4, 19, 64, 79, 127, 192, 255] {
            assert_eq!(of(first, 200), Protocol::Other);
        }
        assert_eq!(Protocol::of(&[]), Protocol::Other);
        assert_eq!(Protocol::of(&[0x80]), Protocol::Other);
    }
}
