//! Tokens of the REST interface: kept as hashes, so that a configuration that leaks opens nothing.

use super::names::Invalid;
use sha2::{Digest, Sha256};
use std::fmt;

/// The SHA-256 of a token. Tokens are 32 random bytes, so that no slower hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token as a client sends it.
    pub fn of(token: &str) -> TokenDigest {
        TokenDigest(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<TokenDigest, Invalid> {
        const EXPECTED: Invalid = Invalid("64 hexadecimal digits, as `portcullis token new` prints them");
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(EXPECTED);
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| EXPECTED)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| EXPECTED)?;
        }
        Ok(TokenDigest(digest))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_other_tools_make() {
        // printf abc | sha256sum
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenDigest::of("abc").to_string(), known);
        assert_eq!(TokenDigest::parse(&known.to_uppercase()), Ok(TokenDigest::of("abc")));
        for wrong in ["", "abc", &known[1..], &known.replace('b', "x"), &"é".repeat(32)] {
            assert!(TokenDigest::parse(wrong).is_err(), "{wrong}");
        }
    }
}
