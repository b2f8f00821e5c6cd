//! What one side of ICE is called, and its password (RFC 8445 §5.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that an ICE session's names and passwords are made of. Wiped on drop, never printed by `Debug`.
///
/// Serialises *with* its content (a call snapshot needs it): whoever stores the result encrypts it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Fresh bytes out of `random`, which must be a cryptographic source.
    pub fn generate<R: rand::CryptoRng>(random: &mut R) -> Secret {
        let mut bytes = [0; 32];
        random.fill_bytes(&mut bytes);
        Secret(bytes)
    }

    /// 256 bits for one use of this name, the `nth`: nobody without the secret tells one from another.
    pub fn derive(&self, name: &[u8], nth: u32) -> Zeroizing<[u8; 32]> {
        let mut hash = Sha256::new();
        hash.update(name);
        hash.update(self.0);
        hash.update(nth.to_be_bytes());
        Zeroizing::new(hash.finalize().into())
    }

    /// Bytes that the caller chose.
    pub fn from_bytes(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `a=ice-ufrag` and `a=ice-pwd` of one side.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// 4 to 256 characters of `ice-char`.
    pub ufrag: String,
    /// 22 to 256 characters of `ice-char`; never printed by `Debug`.
    pub password: String,
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// A peer's, as its description says; `None` when they are no credentials (RFC 8839 §5.4).
    pub fn read(ufrag: &str, password: &str) -> Option<Credentials> {
        let fits = |text: &str, least: usize| (least..=256).contains(&text.len()) && text.bytes().all(is_ice_char);
        (fits(ufrag, 4) && fits(password, 22)).then(|| Credentials {
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
        })
    }

    /// Ours of a session, `restarts` ICE restarts after its begin: nobody without the secret tells one from another, or
    /// the password from the name. 48 and 144 bits.
    pub fn derive(secret: &Secret, restarts: u32) -> Credentials {
        let text = Zeroizing::new(STANDARD.encode(secret.derive(b"ice credentials", restarts).as_slice()));
        // the last three of the 44 characters hold 4 bits and the padding
        let (ufrag, rest) = text.split_at_checked(8).unwrap_or_default();
        Credentials {
            ufrag: ufrag.to_owned(),
            password: rest.get(..24).unwrap_or_default().to_owned(),
        }
    }
}

fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_credentials_and_change_with_each_restart() {
        let secret = Secret::generate(&mut rand::rng());
        let all: Vec<Credentials> = (0..4).map(|restarts| Credentials::derive(&secret, restarts)).collect();
        for (nth, ours) in all.iter().enumerate() {
            assert_eq!((ours.ufrag.len(), ours.password.len()), (8, 24));
            assert_eq!(Credentials::read(&ours.ufrag, &ours.password).as_ref(), Some(ours));
            assert!(
                all[..nth]
                    .iter()
                    .all(|other| other.ufrag != ours.ufrag && other.password != ours.password)
            );
        }
        assert_eq!(Credentials::derive(&secret, 0), all[0]);
        let other = Secret::generate(&mut rand::rng());
        assert_ne!(Credentials::derive(&other, 0), all[0]);
    }

    #[test]
    fn what_is_no_credentials() {
        let password = "q3vZ8rT1mK5xW9bN2cL7dF4g";
        assert!(Credentials::read("tC1u", password).is_some());
        for ufrag in ["", "abc", "ab:d", "ab d", "äbcd", &"x".repeat(257)] {
            assert_eq!(Credentials::read(ufrag, password), None, "{ufrag}");
        }
        assert_eq!(Credentials::read("tC1u", &password[..21]), None);
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let secret = Secret::from_bytes([7; 32]);
        let ours = Credentials::derive(&secret, 0);
        let shown = format!("{secret:?} {ours:?}");
        assert!(
            shown.contains(&ours.ufrag) && !shown.contains(&ours.password) && !shown.contains('7'),
            "{shown}"
        );
    }
}
