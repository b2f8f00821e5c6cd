//! The server side: challenges, and verifies what comes back.
//!
//! Nonces are made from the time and a key of the process, so that none has to be remembered until it is used; once used,
//! its count is kept until the nonce runs out, so that a recorded request proves nothing (RFC 7616 §3.4.6).

use super::algorithm::{Algorithm, Proof, hexadecimal};
use crate::moment::Moment;
use crate::sip::header;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a nonce is good for.
const LIFETIME: Duration = Duration::from_secs(300);
/// Used nonces that are remembered; with more of them in use, new answers are told to come again with a fresh one.
const MOST_USED: usize = 4_096;

/// Challenges and verifies.
#[derive(Debug)]
pub struct DigestServer {
    key: [u8; 32],
    /// The highest count of each nonce that was used.
    used: HashMap<String, (Moment, u32)>,
}

/// Whose password is to be proven.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub realm: &'a str,
    pub username: &'a str,
    pub password: &'a str,
}

/// Why a request proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("there are no credentials for this realm")]
    Absent,
    #[error("the credentials can't be read, or use an algorithm or qop that was not offered")]
    Unreadable,
    #[error("the nonce is not ours, has run out, or was used before")]
    Stale,
    #[error("the user name or the password is wrong")]
    Wrong,
}

impl DigestServer {
    /// `key`: the system's randomness.
    pub fn new(key: [u8; 32]) -> DigestServer {
        DigestServer {
            key,
            used: HashMap::new(),
        }
    }

    /// Values for WWW-Authenticate, the strongest first (RFC 8760 §2.4).
    pub fn challenges(&self, realm: &str, why: Unproven, now: Moment) -> [String; 2] {
        let nonce = self.nonce(realm, now);
        [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
            let mut challenge = header::Challenge::new("Digest")
                .quoted("realm", realm)
                .quoted("nonce", &nonce)
                .quoted("qop", "auth")
                .token("algorithm", algorithm.name());
            if why == Unproven::Stale {
                challenge = challenge.token("stale", "true");
            }
            challenge.to_string()
        })
    }

    /// Whether one of the `authorizations` of a request proves the password of `user` in its realm.
    pub fn verify<'a>(
        &mut self,
        authorizations: impl IntoIterator<Item = &'a str>,
        method: &str,
        user: &User<'_>,
        now: Moment,
    ) -> Result<(), Unproven> {
        let User {
            realm,
            username,
            password,
        } = *user;
        let ours = |value: &str| {
            let credentials: header::Credentials = value.parse().ok()?;
            (credentials.param("realm")? == realm).then_some(credentials)
        };
        let credentials = authorizations.into_iter().find_map(ours).ok_or(Unproven::Absent)?;
        let read = |name: &str| credentials.param(name).map(|value| value.into_owned());
        let algorithm = Algorithm::parse(read("algorithm").as_deref().unwrap_or("MD5"));
        let algorithm = algorithm
            .filter(|algorithm| !algorithm.is_session())
            .ok_or(Unproven::Unreadable)?;
        let nonce = read("nonce").ok_or(Unproven::Unreadable)?;
        let uri = read("uri").ok_or(Unproven::Unreadable)?;
        let given = read("response").ok_or(Unproven::Unreadable)?;
        if !read("qop").is_some_and(|qop| qop.eq_ignore_ascii_case("auth")) {
            return Err(Unproven::Unreadable);
        }
        let count = read("nc")
            .and_then(|count| u32::from_str_radix(&count, 16).ok())
            .ok_or(Unproven::Unreadable)?;
        let cnonce = read("cnonce").ok_or(Unproven::Unreadable)?;
        let made = self
            .made_at(realm, &nonce)
            .filter(|made| now.since(*made) < LIFETIME)
            .ok_or(Unproven::Stale)?;
        let proof = Proof {
            realm,
            username,
            password,
            nonce: &nonce,
            cnonce: &cnonce,
            method,
            uri: &uri,
            count: Some(count),
        };
        let named = read("username").unwrap_or_default();
        let right = proof.response(algorithm);
        let proven =
            right.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()) & named.as_bytes().ct_eq(username.as_bytes());
        if !bool::from(proven) {
            return Err(Unproven::Wrong);
        }
        self.note_use(nonce, made, count, now)
    }

    fn note_use(&mut self, nonce: String, made: Moment, count: u32, now: Moment) -> Result<(), Unproven> {
        if self.used.len() >= MOST_USED {
            self.used.retain(|_, (made, _)| now.since(*made) < LIFETIME);
        }
        if let Some((_, highest)) = self.used.get_mut(&nonce) {
            let fresh = count > *highest;
            *highest = count.max(*highest);
            return if fresh { Ok(()) } else { Err(Unproven::Stale) };
        }
        if self.used.len() >= MOST_USED {
            return Err(Unproven::Stale);
        }
        self.used.insert(nonce, (made, count));
        Ok(())
    }

    fn nonce(&self, realm: &str, now: Moment) -> String {
        let micros = now.as_micros();
        format!("{micros:016x}{}", self.seal(realm, micros))
    }

    /// When this nonce was made; `None` when it is not ours.
    fn made_at(&self, realm: &str, nonce: &str) -> Option<Moment> {
        let (time, seal) = nonce.split_at_checked(16)?;
        let micros = u64::from_str_radix(time, 16).ok()?;
        bool::from(self.seal(realm, micros).as_bytes().ct_eq(seal.as_bytes())).then(|| Moment::from_micros(micros))
    }

    fn seal(&self, realm: &str, micros: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(micros.to_be_bytes());
        hash.update(realm.as_bytes());
        hexadecimal(hash.finalize().split_at(16).0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Credentials, DigestClient};
    use super::*;

    const USER: User<'_> = User {
        realm: "sbc1.example.net",
        username: "north",
        password: "secret",
    };
    const NOW: Moment = Moment::from_micros(9_000_000);

    fn server() -> DigestServer {
        DigestServer::new([7; 32])
    }

    fn answer(server: &DigestServer, password: &str, now: Moment) -> String {
        let mut client = DigestClient::new(Credentials {
            realm: "sbc1.example.net".into(),
            username: "north".into(),
            password: password.into(),
        });
        let challenges = server.challenges("sbc1.example.net", Unproven::Absent, now);
        client
            .answer(
                challenges.iter().map(String::as_str),
                "INVITE",
                "sip:+1@sbc1.example.net",
                "0a4f",
            )
            .expect("an answer")
    }

    fn verify(server: &mut DigestServer, value: &str, now: Moment) -> Result<(), Unproven> {
        server.verify([value], "INVITE", &USER, now)
    }

    #[test]
    fn the_right_password_passes_once() {
        let mut server = server();
        let value = answer(&server, "secret", NOW);
        assert!(value.contains("SHA-256"), "{value}");
        assert_eq!(verify(&mut server, &value, NOW), Ok(()));
        assert_eq!(
            verify(&mut server, &value, NOW),
            Err(Unproven::Stale),
            "a recorded request"
        );
    }

    #[test]
    fn what_does_not_pass() {
        let mut server = server();
        let wrong = answer(&server, "guess", NOW);
        assert_eq!(verify(&mut server, &wrong, NOW), Err(Unproven::Wrong));
        let right = answer(&server, "secret", NOW);
        assert_eq!(verify(&mut server, &right, NOW + LIFETIME), Err(Unproven::Stale));
        let mut other = DigestServer::new([8; 32]);
        assert_eq!(
            verify(&mut other, &right, NOW),
            Err(Unproven::Stale),
            "another node's nonce"
        );
        assert_eq!(server.verify([right.as_str()], "BYE", &USER, NOW), Err(Unproven::Wrong));
        assert_eq!(
            verify(&mut server, "Digest realm=\"elsewhere\"", NOW),
            Err(Unproven::Absent)
        );
        assert_eq!(
            verify(&mut server, "Digest realm=\"sbc1.example.net\", nonce=\"é\"", NOW),
            Err(Unproven::Unreadable)
        );
    }
}
