//! The server side: challenges, and verifies what comes back.
//!
//! Nonces are made from the time and a key of the process, so that none has to be remembered until it is used; once used,
//! its count is kept until the nonce runs out, so that a recorded request proves nothing (RFC 7616 §3.4.6).

use super::algorithm::{Algorithm, Proof, hexadecimal};
use crate::moment::Moment;
use crate::sip::{Uri, header};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a nonce is good for.
const LIFETIME: Duration = Duration::from_secs(300);
/// Used nonces that are remembered for each `LIFETIME`: 800 registrations a second. With more of them in use, new
/// answers are told to come again with a fresh one.
const MOST_USED: usize = 250_000;

/// Authorizations of one request that are looked at: one each for some proxies on the way, and ours.
const MOST_AUTHORIZATIONS: usize = 8;

/// Challenges, and reads what comes back.
#[derive(Debug)]
pub struct DigestServer {
    key: [u8; 32],
}

/// The highest count of each nonce that was used, in two halves: the older one is dropped whole once everything in it
/// has run out. Only answers that were right get here, so that nobody without a password can fill it.
#[derive(Debug, Default)]
pub struct UsedNonces {
    recent: HashMap<NonceKey, u32>,
    older: HashMap<NonceKey, u32>,
    since: Moment,
}

/// A nonce of ours: when it was made, and 64 bits of its seal.
type NonceKey = (u64, u64);

/// Whose password is to be proven.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub realm: &'a str,
    pub username: &'a str,
    pub password: Password<'a>,
}

/// A password, or what it was hashed to: [`Algorithm::hashed_secret`] for each algorithm that it is known for.
#[derive(Clone, Copy)]
pub enum Password<'a> {
    Plain(&'a str),
    Hashed {
        md5: Option<&'a str>,
        sha256: Option<&'a str>,
    },
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

/// Whom a challenge is for.
#[derive(Debug, Clone, Copy)]
pub struct Realm<'a> {
    pub name: &'a str,
    /// The strongest first (RFC 8760 §2.4).
    pub algorithms: &'a [Algorithm],
    /// The nonce is good for this source alone (port 0: any of its ports); `None`: for every one.
    pub source: Option<SocketAddr>,
}

/// The credentials of a request by their realm: read once, in whichever realms they are asked for.
#[derive(Debug)]
pub struct Authorizations(Vec<(String, header::Credentials)>);

impl Authorizations {
    /// Reads Authorization or Proxy-Authorization. What can't be read, or names no realm, is for nobody.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Authorizations {
        let read = |value: &str| {
            let credentials: header::Credentials = value.parse().ok()?;
            let realm = credentials.param("realm")?.into_owned();
            Some((realm, credentials))
        };
        Authorizations(values.into_iter().take(MOST_AUTHORIZATIONS).filter_map(read).collect())
    }

    fn of(&self, realm: &str) -> Option<&header::Credentials> {
        let found = self.0.iter().find(|(name, _)| name == realm);
        found.map(|(_, credentials)| credentials)
    }
}

/// Credentials with a nonce of ours that has not run out. Nothing else about them is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub username: String,
    pub algorithm: Algorithm,
    pub nonce: String,
    pub uri: String,
    pub cnonce: String,
    pub count: u32,
    pub response: String,
    key: NonceKey,
}

impl Claim {
    /// Whether it is the right answer for the password of `user`, by whomever it was made: [`UsedNonces::spend`] says whether
    /// it came before.
    pub fn is_right(&self, method: &str, user: &User<'_>) -> bool {
        let made;
        let secret = match user.password {
            Password::Plain(password) => {
                made = self.algorithm.hashed_secret(user.username, user.realm, password);
                Some(made.as_str())
            }
            Password::Hashed { md5, sha256 } => match self.algorithm {
                Algorithm::Md5 | Algorithm::Md5Sess => md5,
                Algorithm::Sha256 | Algorithm::Sha256Sess => sha256,
            },
        };
        let proof = Proof {
            secret: secret.unwrap_or_default(),
            nonce: &self.nonce,
            cnonce: &self.cnonce,
            method,
            uri: &self.uri,
            count: Some(self.count),
        };
        let right = proof.response(self.algorithm);
        let proven = right.as_bytes().ct_eq(self.response.to_ascii_lowercase().as_bytes())
            & self.username.as_bytes().ct_eq(user.username.as_bytes());
        bool::from(proven) && secret.is_some()
    }

    /// Whether it was made for a request to this user: its `uri` has the same user part. Proxies on the way may have
    /// changed the rest of the Request-URI (RFC 3261 §22.4).
    pub fn calls(&self, request_uri: Option<&Uri>) -> bool {
        let made_for = Uri::parse(&self.uri).ok();
        made_for.as_ref().and_then(Uri::user) == request_uri.and_then(Uri::user)
    }

    /// Whether it was made for a request to this URI (RFC 7616 §3.4.6), as far as devices write it in both places: the user
    /// part, the host, and the port where both have one. A device behind an outbound proxy may write the realm for the host.
    /// Parameters, and `sip` or `sips`, do not count.
    pub fn fits(&self, request_uri: Option<&Uri>, realm: &str) -> bool {
        let (Ok(made_for), Some(asked)) = (Uri::parse(&self.uri), request_uri) else {
            return false;
        };
        if made_for.user() != asked.user() {
            return false;
        }
        let plain = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
        let host = plain(made_for.host());
        let ports_differ = made_for
            .port()
            .zip(asked.port())
            .is_some_and(|(one, other)| one != other);
        host == plain(realm) || (host == plain(asked.host()) && !ports_differ)
    }
}

impl DigestServer {
    /// `key`: the system's randomness.
    pub fn new(key: [u8; 32]) -> DigestServer {
        DigestServer { key }
    }

    /// Values for WWW-Authenticate or Proxy-Authenticate.
    pub fn challenges(&self, realm: Realm<'_>, why: Unproven, now: Moment) -> Vec<String> {
        let micros = now.as_micros();
        let nonce = format!("{micros:016x}{}", self.seal(realm, micros));
        let challenge = |algorithm: &Algorithm| {
            let mut challenge = header::Challenge::new("Digest")
                .quoted("realm", realm.name)
                .quoted("nonce", &nonce)
                .quoted("qop", "auth")
                .token("algorithm", algorithm.name());
            if why == Unproven::Stale {
                challenge = challenge.token("stale", "true");
            }
            challenge.to_string()
        };
        realm.algorithms.iter().map(challenge).collect()
    }

    /// What the `authorizations` of a request claim in the realm; their nonce is checked, which costs no look at any user.
    pub fn read(&self, authorizations: &Authorizations, realm: Realm<'_>, now: Moment) -> Result<Claim, Unproven> {
        let credentials = authorizations.of(realm.name).ok_or(Unproven::Absent)?;
        let read = |name: &str| credentials.param(name).map(|value| value.into_owned());
        let algorithm = Algorithm::parse(read("algorithm").as_deref().unwrap_or("MD5"));
        let algorithm = algorithm
            .filter(|algorithm| realm.algorithms.contains(algorithm))
            .ok_or(Unproven::Unreadable)?;
        let nonce = read("nonce").ok_or(Unproven::Unreadable)?;
        let uri = read("uri").ok_or(Unproven::Unreadable)?;
        let response = read("response").ok_or(Unproven::Unreadable)?;
        if !read("qop").is_some_and(|qop| qop.eq_ignore_ascii_case("auth")) {
            return Err(Unproven::Unreadable);
        }
        let count = read("nc")
            .and_then(|count| u32::from_str_radix(&count, 16).ok())
            .ok_or(Unproven::Unreadable)?;
        let cnonce = read("cnonce").ok_or(Unproven::Unreadable)?;
        let key = self
            .key_of(realm, &nonce)
            .filter(|(made, _)| now.since(Moment::from_micros(*made)) < LIFETIME)
            .ok_or(Unproven::Stale)?;
        Ok(Claim {
            username: read("username").unwrap_or_default(),
            algorithm,
            nonce,
            uri,
            cnonce,
            count,
            response,
            key,
        })
    }

    /// The nonce's parts; `None` when it is not ours, or was made for another source.
    fn key_of(&self, realm: Realm<'_>, nonce: &str) -> Option<NonceKey> {
        let (time, seal) = nonce.split_at_checked(16)?;
        let micros = u64::from_str_radix(time, 16).ok()?;
        let right = self.seal(realm, micros);
        if !bool::from(right.as_bytes().ct_eq(seal.as_bytes())) {
            return None;
        }
        Some((micros, u64::from_str_radix(right.get(..16)?, 16).ok()?))
    }

    fn seal(&self, realm: Realm<'_>, micros: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(micros.to_be_bytes());
        if let Some(source) = realm.source {
            hash.update(source.to_string());
            hash.update([0]);
        }
        hash.update(realm.name);
        hexadecimal(hash.finalize().split_at(16).0)
    }
}

impl UsedNonces {
    /// Whether a claim could still be spent: what proves it may take a while, and is not asked in vain.
    pub fn is_fresh(&self, claim: &Claim) -> bool {
        let halves = [&self.recent, &self.older];
        let highest = halves.into_iter().filter_map(|half| half.get(&claim.key)).max();
        highest.is_none_or(|highest| claim.count > *highest)
    }

    /// Notes that a claim was right, which counts once; the error says that it was made before.
    pub fn spend(&mut self, claim: &Claim, now: Moment) -> Result<(), Unproven> {
        self.note(claim.key, claim.count, now)
    }

    fn note(&mut self, key: NonceKey, count: u32, now: Moment) -> Result<(), Unproven> {
        if now.since(self.since) >= LIFETIME {
            // What was used in the older half was made before it was used, and has run out by now.
            self.older = std::mem::take(&mut self.recent);
            self.since = now;
        }
        for half in [&mut self.recent, &mut self.older] {
            if let Some(highest) = half.get_mut(&key) {
                let fresh = count > *highest;
                *highest = count.max(*highest);
                return if fresh { Ok(()) } else { Err(Unproven::Stale) };
            }
        }
        if self.recent.len() >= MOST_USED {
            return Err(Unproven::Stale);
        }
        self.recent.insert(key, count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Credentials, DigestClient};
    use super::*;

    const BOTH: &[Algorithm] = &[Algorithm::Sha256, Algorithm::Md5];
    const REALM: Realm<'_> = Realm {
        name: "sbc1.example.net",
        algorithms: BOTH,
        source: None,
    };
    const USER: User<'_> = User {
        realm: "sbc1.example.net",
        username: "north",
        password: Password::Plain("secret"),
    };
    const NOW: Moment = Moment::from_micros(9_000_000);

    fn server() -> DigestServer {
        DigestServer::new([7; 32])
    }

    fn read(server: &DigestServer, value: &str, realm: Realm<'_>, now: Moment) -> Result<Claim, Unproven> {
        server.read(&Authorizations::read([value]), realm, now)
    }

    fn answer(server: &DigestServer, password: &str, now: Moment) -> String {
        let mut client = DigestClient::new(Credentials {
            realm: "sbc1.example.net".into(),
            username: "north".into(),
            password: password.into(),
        });
        let challenges = server.challenges(REALM, Unproven::Absent, now);
        client
            .answer(
                challenges.iter().map(String::as_str),
                "INVITE",
                "sip:+1@sbc1.example.net",
                "0a4f",
            )
            .expect("an answer")
    }

    /// Whether the Authorization of a request proves the password of `user`.
    fn proves(
        server: &DigestServer,
        value: &str,
        (algorithms, method): (&[Algorithm], &str),
        user: &User<'_>,
        now: Moment,
    ) -> Result<(), Unproven> {
        let realm = Realm { algorithms, ..REALM };
        let claim = read(server, value, realm, now)?;
        match claim.is_right(method, user) {
            true => Ok(()),
            false => Err(Unproven::Wrong),
        }
    }

    fn verify(server: &DigestServer, value: &str, now: Moment) -> Result<(), Unproven> {
        proves(server, value, (BOTH, "INVITE"), &USER, now)
    }

    #[test]
    fn the_right_password_passes_once() {
        let (server, mut used) = (server(), UsedNonces::default());
        let value = answer(&server, "secret", NOW);
        assert!(value.contains("SHA-256"), "{value}");
        assert_eq!(verify(&server, &value, NOW), Ok(()));
        let claim = read(&server, &value, REALM, NOW).expect("ours");
        assert!(used.is_fresh(&claim));
        assert_eq!(used.spend(&claim, NOW), Ok(()));
        assert!(!used.is_fresh(&claim));
        assert_eq!(used.spend(&claim, NOW), Err(Unproven::Stale), "a recorded request");
    }

    #[test]
    fn ours_is_found_among_those_of_some_proxies_and_no_crowd_of_them_is_read() {
        let server = server();
        let value = answer(&server, "secret", NOW);
        let after = |others: usize| {
            let others = std::iter::repeat_n("Digest realm=\"elsewhere\"", others);
            let authorizations = Authorizations::read(others.chain([value.as_str()]));
            server.read(&authorizations, REALM, NOW).map(|claim| claim.username)
        };
        assert_eq!(after(MOST_AUTHORIZATIONS - 1), Ok("north".to_owned()));
        assert_eq!(after(MOST_AUTHORIZATIONS), Err(Unproven::Absent));
    }

    #[test]
    fn what_does_not_pass() {
        let server = server();
        let wrong = answer(&server, "guess", NOW);
        assert_eq!(verify(&server, &wrong, NOW), Err(Unproven::Wrong));
        let right = answer(&server, "secret", NOW);
        assert_eq!(verify(&server, &right, NOW + LIFETIME), Err(Unproven::Stale));
        let other = DigestServer::new([8; 32]);
        assert_eq!(
            verify(&other, &right, NOW),
            Err(Unproven::Stale),
            "another node's nonce"
        );
        assert_eq!(proves(&server, &right, (BOTH, "BYE"), &USER, NOW), Err(Unproven::Wrong));
        assert_eq!(
            verify(&server, "Digest realm=\"elsewhere\"", NOW),
            Err(Unproven::Absent)
        );
        assert_eq!(
            verify(&server, "Digest realm=\"sbc1.example.net\", nonce=\"é\"", NOW),
            Err(Unproven::Unreadable)
        );
    }

    #[test]
    fn a_hashed_password_passes_under_the_algorithms_it_was_hashed_with() {
        let server = server();
        let hashed = Algorithm::Sha256.hashed_secret("north", "sbc1.example.net", "secret");
        let user = |md5, sha256| User {
            password: Password::Hashed { md5, sha256 },
            ..USER
        };
        let value = answer(&server, "secret", NOW);
        let verify = |user: User<'_>| proves(&server, &value, (BOTH, "INVITE"), &user, NOW);
        assert_eq!(verify(user(Some(&hashed), None)), Err(Unproven::Wrong));
        assert_eq!(verify(user(None, Some(&hashed))), Ok(()));
        assert_eq!(
            proves(&server, &value, (&[Algorithm::Md5], "INVITE"), &USER, NOW),
            Err(Unproven::Unreadable),
            "an algorithm that was not offered"
        );
    }

    #[test]
    fn a_nonce_for_one_source_is_nothing_worth_from_another() {
        let server = server();
        let (here, there) = ("192.0.2.1:5060", "192.0.2.2:5060");
        let realm = |source: &str| Realm {
            source: source.parse().ok(),
            ..REALM
        };
        let challenges = server.challenges(realm(here), Unproven::Absent, NOW);
        let mut client = DigestClient::new(Credentials {
            realm: "sbc1.example.net".into(),
            username: "north".into(),
            password: "secret".into(),
        });
        let value = client
            .answer(challenges.iter().map(String::as_str), "REGISTER", "sip:a", "c")
            .expect("an answer");
        assert_eq!(read(&server, &value, realm(there), NOW), Err(Unproven::Stale));
        assert_eq!(read(&server, &value, REALM, NOW), Err(Unproven::Stale));
        let claim = read(&server, &value, realm(here), NOW).expect("ours");
        assert!(claim.is_right("REGISTER", &USER));
    }

    #[test]
    fn an_answer_fits_the_request_that_it_was_made_for_as_devices_write_it() {
        let server = server();
        let value = answer(&server, "secret", NOW);
        let claim = read(&server, &value, REALM, NOW).expect("ours");
        let fits = |uri: &str, asked: &str| {
            let claim = Claim {
                uri: uri.to_owned(),
                ..claim.clone()
            };
            claim.fits(Uri::parse(asked).ok().as_ref(), "sip.contoso.example")
        };
        for (uri, asked) in [
            ("sip:sip.contoso.example", "sip:sip.contoso.example"),
            ("sip:SIP.Contoso.example.", "sip:sip.contoso.example:5080;transport=tcp"),
            ("sip:sip.contoso.example;transport=tls", "sips:sip.contoso.example"),
            ("sip:192.0.2.10:5080", "sip:192.0.2.10;transport=udp"),
            ("sip:bob@sip.contoso.example", "sip:bob@192.0.2.10:5080"),
            ("sip:bob@sip.contoso.example", "sip:bob@sip.contoso.example;user=phone"),
            ("tel:+14255550100", "tel:+14255550100;phone-context=x"),
        ] {
            assert!(fits(uri, asked), "{uri} for {asked}");
        }
        for (uri, asked) in [
            ("sip:evil", "sip:sip.contoso.example"),
            ("sip:carol@sip.contoso.example", "sip:bob@sip.contoso.example"),
            ("sip:sip.contoso.example", "sip:bob@sip.contoso.example"),
            ("sip:192.0.2.10:5081", "sip:192.0.2.10:5080"),
            ("sip:sip.contoso.example.evil.example", "sip:sip.contoso.example"),
            ("*", "sip:sip.contoso.example"),
        ] {
            assert!(!fits(uri, asked), "{uri} for {asked}");
        }
    }

    #[test]
    fn a_used_nonce_is_remembered_until_it_has_run_out_and_not_much_longer() {
        let mut used = UsedNonces::default();
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        assert_eq!(used.note((1, 1), 1, at(299)), Ok(()));
        assert_eq!(used.note((2, 2), 1, at(301)), Ok(()), "the halves change");
        assert_eq!(used.note((1, 1), 1, at(598)), Err(Unproven::Stale), "still remembered");
        assert_eq!(used.note((1, 1), 2, at(598)), Ok(()), "the next count");
        assert_eq!(used.note((3, 3), 1, at(700)), Ok(()));
        assert_eq!(used.note((4, 4), 1, at(1_000)), Ok(()));
        assert_eq!(used.older.len() + used.recent.len(), 2, "{used:?}");
    }
}
