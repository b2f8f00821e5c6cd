//! Comfort noise (RFC 3389): the level of the noise that stands for silence.

/// The static payload type of comfort noise at 8 kHz (RFC 3551).
pub const PAYLOAD_TYPE: u8 = 13;

/// The noise level in dB below the overload point (0 to 127 stand for 0 to -127 dBov); `None` without payload.
pub fn level(payload: &[u8]) -> Option<u8> {
    payload.first().map(|level| level & 0x7f)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reserved_bit_is_no_level() {
        assert_eq!(super::level(&[0x80 | 78, 1, 2]), Some(78));
        assert_eq!(super::level(&[]), None);
    }
}
