//! `a=crypto`: SRTP keys in the description (RFC 4568).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

/// A 16-byte master key followed by a 14-byte master salt. Never shown by `Debug`, wiped when dropped; serialised as
/// base64 for call snapshots, which the store encrypts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MasterKey([u8; 30]);

/// Not 30 bytes of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an SRTP key and salt are 30 bytes, 40 characters of base64")]
pub struct MasterKeyError;

impl MasterKey {
    /// From 30 random bytes (RFC 4568 §6.1: fresh for every stream and direction).
    pub fn new(bytes: [u8; 30]) -> MasterKey {
        MasterKey(bytes)
    }

    /// Key (16 bytes) and salt (14 bytes).
    pub fn as_bytes(&self) -> &[u8; 30] {
        &self.0
    }

    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl FromStr for MasterKey {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<MasterKey, MasterKeyError> {
        if text.len() != 40 {
            return Err(MasterKeyError);
        }
        let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(text).map_err(|_| MasterKeyError)?);
        <[u8; 30]>::try_from(bytes.as_slice())
            .map(MasterKey)
            .map_err(|_| MasterKeyError)
    }
}

impl TryFrom<String> for MasterKey {
    type Error = MasterKeyError;

    fn try_from(text: String) -> Result<MasterKey, MasterKeyError> {
        text.parse()
    }
}

impl From<MasterKey> for String {
    fn from(key: MasterKey) -> String {
        key.to_base64()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The crypto suite of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CryptoSuite {
    /// The one that Teams requires and the only one that we print.
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
    Unknown(String),
}

impl CryptoSuite {
    pub fn as_str(&self) -> &str {
        match self {
            CryptoSuite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            CryptoSuite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            CryptoSuite::Unknown(name) => name,
        }
    }
}

impl From<&str> for CryptoSuite {
    fn from(name: &str) -> CryptoSuite {
        [CryptoSuite::AesCm128HmacSha1_80, CryptoSuite::AesCm128HmacSha1_32]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
            .unwrap_or_else(|| CryptoSuite::Unknown(name.to_owned()))
    }
}

/// One `a=crypto` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Up to nine digits (RFC 4568 §9.1); 0 is a tag like any other.
    pub tag: u32,
    pub suite: CryptoSuite,
    /// `None` where the line can't be used: an unknown suite, a key of another length, several keys, or a session
    /// parameter that changes how packets look (RFC 4568 §6.3.7).
    pub key: Option<MasterKey>,
    /// Bytes of master key identifier in each packet that this describer sends; 0 without one.
    pub mki_length: u8,
}

impl Crypto {
    /// From the value of the attribute. `None`: not even a tag and a suite.
    pub(super) fn read(value: &str) -> Option<Crypto> {
        let mut fields = value.split_ascii_whitespace();
        let tag_text = fields
            .next()
            .filter(|text| text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()))?;
        let tag = tag_text.parse().ok()?;
        let suite = CryptoSuite::from(fields.next()?);
        let parameters = fields.next().unwrap_or_default();
        let unusable = Crypto {
            tag,
            suite,
            key: None,
            mki_length: 0,
        };
        if matches!(unusable.suite, CryptoSuite::Unknown(_)) || !fields.all(is_harmless) {
            return Some(unusable);
        }
        match read_inline(parameters) {
            Some((key, mki_length)) => Some(Crypto {
                key: Some(key),
                mki_length,
                ..unusable
            }),
            None => Some(unusable),
        }
    }

    /// A usable line of the suite that we speak.
    pub(super) fn is_acceptable(&self) -> bool {
        self.suite == CryptoSuite::AesCm128HmacSha1_80 && self.key.is_some()
    }
}

/// Session parameters that may be ignored: the window hint, and what its author marked with `-`.
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

/// `inline:<40 characters>[|lifetime][|MKI:length]`. Several keys (`;`) would need MKI look-up and are not used.
fn read_inline(parameters: &str) -> Option<(MasterKey, u8)> {
    let (method, info) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut parts = info.split('|');
    let key = parts.next()?.parse().ok()?;
    let mut mki_length = 0;
    for part in parts {
        if let Some((identifier, length)) = part.split_once(':') {
            identifier.parse::<u64>().ok()?;
            mki_length = length.parse().ok().filter(|bytes| (1..=128).contains(bytes))?;
        } else {
            let exponent = part.strip_prefix("2^").unwrap_or(part);
            exponent.parse::<u64>().ok()?;
        }
    }
    Some((key, mki_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "PPo4ehfXhNOzs1JIuYc2a6DOXMzhabvIt2Pmzo8P";

    #[test]
    fn lifetime_and_mki_in_every_form() {
        for (tail, mki_length) in [
            ("", 0),
            ("|2^31", 0),
            ("|1048576", 0),
            ("|2^31|1:1", 1),
            ("|1:4", 4),
            ("|2^20|255:128", 128),
        ] {
            let line = Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}")).unwrap();
            assert!(line.is_acceptable(), "{tail}");
            assert_eq!(line.mki_length, mki_length, "{tail}");
            assert_eq!(line.key.unwrap().to_base64(), KEY);
        }
    }

    #[test]
    fn unusable_lines_keep_their_tag_and_have_no_key() {
        let short = &KEY[..39];
        for value in [
            format!("7 AEAD_AES_256_GCM inline:{KEY}"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{short}"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}A"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31|1:200"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:1;inline:{KEY}|2:1"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("7 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            "7 AES_CM_128_HMAC_SHA1_80".to_owned(),
        ] {
            let line = Crypto::read(&value).unwrap();
            assert_eq!((line.tag, &line.key), (7, &None), "{value}");
        }
        assert_eq!(Crypto::read("x AES_CM_128_HMAC_SHA1_80 inline:"), None);
        assert_eq!(Crypto::read("1"), None);
        let hinted = Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 -X")).unwrap();
        assert!(hinted.is_acceptable());
    }

    #[test]
    fn keys_do_not_show_in_debug_and_survive_a_snapshot() {
        let key: MasterKey = KEY.parse().unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
        let stored = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<MasterKey>(&stored).unwrap(), key);
    }
}
