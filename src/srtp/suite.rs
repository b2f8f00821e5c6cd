//! Crypto suites by their SDES names (RFC 4568 §6.2, RFC 7714 §14.2).

use serde::{Deserialize, Serialize};

/// A crypto suite as named in `a=crypto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// AES-CM with 128-bit keys, 80-bit HMAC-SHA1 tags.
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    AesCm128HmacSha1_80,
    /// The same with 32-bit tags on RTP; RTCP keeps 80 bits (RFC 4568 §6.2.2).
    #[serde(rename = "AES_CM_128_HMAC_SHA1_32")]
    AesCm128HmacSha1_32,
    /// AES-GCM with 128-bit keys and 128-bit tags.
    #[serde(rename = "AEAD_AES_128_GCM")]
    AeadAes128Gcm,
}

impl Suite {
    /// Most bytes that `protect_rtp` or `protect_rtcp` adds to a packet: tag, plus E bit and index of SRTCP.
    pub const MAX_OVERHEAD: usize = 16 + 4;

    /// The suite of this SDES name. Names are case-sensitive tokens (RFC 4568 §9.2).
    pub fn from_name(name: &str) -> Option<Suite> {
        match name {
            "AES_CM_128_HMAC_SHA1_80" => Some(Suite::AesCm128HmacSha1_80),
            "AES_CM_128_HMAC_SHA1_32" => Some(Suite::AesCm128HmacSha1_32),
            "AEAD_AES_128_GCM" => Some(Suite::AeadAes128Gcm),
            _ => None,
        }
    }

    /// The SDES name.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 14,
            Suite::AeadAes128Gcm => 12,
        }
    }

    /// Bytes of master key and master salt together, what `inline:` carries in base64.
    pub const fn key_and_salt_len(self) -> usize {
        16 + self.salt_len()
    }

    /// Bytes of the tag on an RTP packet.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 => 4,
            Suite::AeadAes128Gcm => 16,
        }
    }

    /// Bytes of the tag on an RTCP packet.
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 10,
            Suite::AeadAes128Gcm => 16,
        }
    }
}
