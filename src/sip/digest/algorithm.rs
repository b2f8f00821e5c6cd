//! The arithmetic of RFC 7616 §3.4, shared by both sides.

use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Digest algorithms that we answer, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

impl Algorithm {
    pub(super) fn parse(name: &str) -> Option<Algorithm> {
        [
            Algorithm::Md5,
            Algorithm::Md5Sess,
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The value of `algorithm=`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    pub(super) const fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }

    /// The hash of A1 (RFC 7616 §3.4.2) in lower-case hexadecimal: as good as the password, for this realm alone.
    pub fn hashed_secret(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&format!("{username}:{realm}:{password}"))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => hexadecimal(&Md5::digest(text)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hexadecimal(&Sha256::digest(text)),
        }
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What a response proves: that its maker knows the password, for this request and nonce.
pub(super) struct Proof<'a> {
    /// [`Algorithm::hashed_secret`].
    pub secret: &'a str,
    pub nonce: &'a str,
    pub cnonce: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    /// The nonce count under `qop=auth`; `None` without qop (RFC 2069).
    pub count: Option<u32>,
}

impl Proof<'_> {
    /// The response of RFC 7616 §3.4.1.
    pub(super) fn response(&self, algorithm: Algorithm) -> String {
        let Proof {
            secret,
            nonce,
            cnonce,
            method,
            uri,
            count,
        } = self;
        let session;
        let mut secret = *secret;
        if algorithm.is_session() {
            session = algorithm.hash(&format!("{secret}:{nonce}:{cnonce}"));
            secret = &session;
        }
        let request = algorithm.hash(&format!("{method}:{uri}"));
        match count {
            Some(count) => algorithm.hash(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:auth:{request}")),
            None => algorithm.hash(&format!("{secret}:{nonce}:{request}")),
        }
    }
}
