//! Master key and salt as SDES and DTLS-SRTP hand them over.

use super::Suite;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const MAX_LEN: usize = 30;

/// Master key followed by master salt, with the suite that they are for. Wiped on drop, never printed by `Debug`.
///
/// Serialises *with* its secret (a call snapshot needs it): whoever stores the result encrypts it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    bytes: [u8; MAX_LEN],
}

/// Why bytes or text are no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64.
    #[error("the key is not base64")]
    Base64,
    /// Not as long as the suite wants.
    #[error("key and salt are {given} bytes, {suite} wants {wanted}", suite = suite.name(), wanted = suite.key_and_salt_len())]
    Length {
        /// The suite.
        suite: Suite,
        /// Bytes given.
        given: usize,
    },
}

impl MasterKey {
    /// From key || salt: 16 + 14 bytes for AES_CM_128, 16 + 12 for AEAD_AES_128_GCM.
    pub fn from_bytes(suite: Suite, key_and_salt: &[u8]) -> Result<MasterKey, KeyError> {
        if key_and_salt.len() != suite.key_and_salt_len() {
            return Err(KeyError::Length {
                suite,
                given: key_and_salt.len(),
            });
        }
        let mut bytes = [0; MAX_LEN];
        for (slot, byte) in bytes.iter_mut().zip(key_and_salt) {
            *slot = *byte;
        }
        Ok(MasterKey { suite, bytes })
    }

    /// From the key-salt part of an `inline:` parameter (RFC 4568 §6.1), without `|lifetime|MKI`.
    pub fn from_base64(suite: Suite, text: &str) -> Result<MasterKey, KeyError> {
        let mut decoded = Zeroizing::new([0u8; 64]);
        let given = STANDARD
            .decode_slice(text.as_bytes(), decoded.as_mut_slice())
            .map_err(|error| match error {
                base64::DecodeSliceError::DecodeError(_) => KeyError::Base64,
                base64::DecodeSliceError::OutputSliceTooSmall => KeyError::Length {
                    suite,
                    given: text.len() / 4 * 3,
                },
            })?;
        MasterKey::from_bytes(suite, decoded.get(..given).unwrap_or_default())
    }

    /// A fresh key out of `random`, which must be a cryptographic source.
    pub fn generate<R: rand::CryptoRng>(suite: Suite, random: &mut R) -> MasterKey {
        let mut bytes = [0; MAX_LEN];
        let (used, _) = bytes.split_at_mut(suite.key_and_salt_len());
        random.fill_bytes(used);
        MasterKey { suite, bytes }
    }

    /// The suite that these bytes are for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key || salt in base64, for an `inline:` parameter.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.key_and_salt()))
    }

    pub(super) fn key(&self) -> &[u8; 16] {
        self.bytes.first_chunk().unwrap_or(&[0; 16])
    }

    /// The salt as the 112 bits of the key derivation; a 96-bit salt is padded on the right (RFC 7714 §11).
    pub(super) fn salt(&self) -> &[u8; 14] {
        self.bytes.last_chunk().unwrap_or(&[0; 14])
    }

    fn key_and_salt(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_and_salt_len()).unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, redacted)", self.suite.name())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    suite: Suite,
    inline: Zeroizing<String>,
}

impl Serialize for MasterKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            suite: self.suite,
            inline: self.to_base64(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MasterKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MasterKey, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        MasterKey::from_base64(stored.suite, &stored.inline).map_err(de::Error::custom)
    }
}
