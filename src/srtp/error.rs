//! Why a packet was not protected or not accepted.

/// The verdict on one packet. Contexts stay usable after every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Fewer bytes than headers, tag and MKI need.
    #[error("packet of {len} bytes is too short")]
    TooShort {
        /// Bytes given.
        len: usize,
    },
    /// Not version 2, or a header that claims more than the packet holds.
    #[error("not an RTP or RTCP packet")]
    Malformed,
    /// The buffer cannot hold the protected packet.
    #[error("buffer of {given} bytes, {needed} needed")]
    NoRoom {
        /// Bytes the protected packet takes.
        needed: usize,
        /// Bytes of the buffer.
        given: usize,
    },
    /// The tag is wrong: not from the peer, damaged, or under another key or rollover counter.
    #[error("authentication failed")]
    AuthFailed,
    /// This index was accepted (or sent) before.
    #[error("replayed index {index}")]
    Replayed {
        /// The SRTP packet index, or the SRTCP index.
        index: u64,
    },
    /// Older than the replay window reaches.
    #[error("index {index} is older than the replay window")]
    TooOld {
        /// The SRTP packet index, or the SRTCP index.
        index: u64,
    },
    /// 2^48 RTP or 2^31 RTCP packets were sent under this key (RFC 3711 §9.2): a new key is needed.
    #[error("key used up")]
    KeyExhausted,
    /// This SSRC was used before and its place is forgotten: sending under it could repeat an index.
    #[error("the SSRC was used before under this key")]
    SpentSsrc,
    /// The cipher refused the operation; not reachable by a packet's contents.
    #[error("cipher failure")]
    Cipher,
}
