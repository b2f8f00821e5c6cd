//! The client side of Digest authentication (RFC 7616, RFC 2617, RFC 8760): answers a 401 or 407 of the one realm
//! whose credentials are configured, and of no other (a called party must not harvest a trunk's response).

use crate::sip::header::{self, Challenge as ChallengeValue};

use super::algorithm::{Algorithm, Proof};

/// How many challenges in a row are answered before the credentials count as refused.
const MAX_UNPROVEN: u8 = 3;

/// Whose password, and for whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub realm: String,
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Why a challenge is not answered. The call fails with the 401 or 407 then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("no challenge is for the configured realm {configured:?} (offered: {offered:?})")]
    OtherRealm { configured: String, offered: Vec<String> },
    #[error("no challenge of realm {realm:?} can be read and has an algorithm and qop that we answer")]
    Unsupported { realm: String },
    #[error("realm {realm:?} refused our credentials")]
    Rejected { realm: String },
}

/// One `Digest` challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// `qop=auth` is offered; false: none at all is (RFC 2069 style).
    qop_auth: bool,
    stale: bool,
}

/// The realm of a `Digest` challenge, the value of WWW-Authenticate or Proxy-Authenticate.
pub fn realm_of(challenge: &str) -> Option<String> {
    let challenge: ChallengeValue = challenge.parse().ok()?;
    let is_digest = challenge.scheme().eq_ignore_ascii_case("Digest");
    challenge
        .param("realm")
        .filter(|_| is_digest)
        .map(|realm| realm.into_owned())
}

/// Answers challenges of one server with one set of credentials, and goes on using its nonce.
#[derive(Debug, Clone)]
pub struct DigestClient {
    credentials: Credentials,
    /// The challenge in use and how often its nonce was used.
    current: Option<(Challenge, u32)>,
    /// Answers given since the server last accepted one.
    unproven: u8,
}

impl DigestClient {
    /// Nothing was challenged yet.
    pub fn new(credentials: Credentials) -> DigestClient {
        DigestClient {
            credentials,
            current: None,
            unproven: 0,
        }
    }

    /// The value of Authorization (for `WWW-Authenticate`, 401) or Proxy-Authorization (`Proxy-Authenticate`, 407)
    /// that answers the strongest of `challenges`, for the next try of the request `method` to Request-URI `uri`.
    /// `cnonce` is fresh random text.
    ///
    /// Until [`DigestClient::accepted`], a nonce is answered once, and a second challenge is answered only if it says
    /// `stale=true` (RFC 7616 §3.3): else the credentials are wrong, and two peers would go round in circles.
    ///
    /// # Errors
    /// [`DigestError`]: the refusal is final.
    pub fn answer<'a>(
        &mut self,
        challenges: impl IntoIterator<Item = &'a str>,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Result<String, DigestError> {
        let challenge = self.strongest(challenges)?;
        let same_nonce = self
            .current
            .as_ref()
            .filter(|(current, _)| current.nonce == challenge.nonce);
        let circling = match self.unproven {
            0 => false,
            1..MAX_UNPROVEN => same_nonce.is_some() || !challenge.stale,
            _ => true,
        };
        if circling {
            return Err(DigestError::Rejected { realm: challenge.realm });
        }
        let used = same_nonce.map_or(0, |(_, used)| *used);
        let realm = challenge.realm.clone();
        self.unproven += 1;
        self.current = Some((challenge, used));
        self.authorize(method, uri, cnonce)
            .ok_or(DigestError::Unsupported { realm })
    }

    /// The value for a further request under the nonce in use, whose count goes up; `None` before any challenge.
    pub fn authorize(&mut self, method: &str, uri: &str, cnonce: &str) -> Option<String> {
        let (challenge, used) = self.current.as_mut()?;
        *used = used.checked_add(1)?;
        Some(authorization(&self.credentials, challenge, *used, method, uri, cnonce))
    }

    /// A request that bore our answer was not challenged again: the next challenge is a new question.
    pub fn accepted(&mut self) {
        self.unproven = 0;
    }

    fn strongest<'a>(&self, challenges: impl IntoIterator<Item = &'a str>) -> Result<Challenge, DigestError> {
        let configured = &self.credentials.realm;
        let mut offered = Vec::new();
        let mut strongest: Option<Challenge> = None;
        for value in challenges {
            let Ok(value) = value.parse::<ChallengeValue>() else {
                continue;
            };
            let realm = value.param("realm").unwrap_or_default().into_owned();
            // The first of equals wins: servers list by preference (RFC 8760 §2.4).
            if realm == *configured
                && let Some(challenge) = Challenge::new(&value)
                && strongest
                    .as_ref()
                    .is_none_or(|best| best.algorithm < challenge.algorithm)
            {
                strongest = Some(challenge);
            }
            offered.push(realm);
        }
        strongest.ok_or_else(|| {
            if offered.contains(configured) {
                DigestError::Unsupported {
                    realm: configured.clone(),
                }
            } else {
                DigestError::OtherRealm {
                    configured: configured.clone(),
                    offered,
                }
            }
        })
    }
}

impl Challenge {
    /// `None` when we can't answer it.
    fn new(value: &ChallengeValue) -> Option<Challenge> {
        if !value.scheme().eq_ignore_ascii_case("Digest") {
            return None;
        }
        Some(Challenge {
            realm: value.param("realm")?.into_owned(),
            nonce: value.param("nonce").filter(|nonce| !nonce.is_empty())?.into_owned(),
            opaque: value.param("opaque").map(|opaque| opaque.into_owned()),
            algorithm: Algorithm::parse(value.param("algorithm").as_deref().unwrap_or("MD5"))?,
            qop_auth: match value.param("qop") {
                None => false,
                Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
                // auth-int alone
                Some(_) => return None,
            },
            stale: value
                .param("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

/// The response of RFC 7616 §3.4.1, as a header value.
fn authorization(
    credentials: &Credentials,
    challenge: &Challenge,
    used: u32,
    method: &str,
    uri: &str,
    cnonce: &str,
) -> String {
    let Credentials {
        realm,
        username,
        password,
    } = credentials;
    let Challenge { nonce, algorithm, .. } = challenge;
    let qop = challenge.qop_auth.then_some(used);
    let secret = algorithm.hashed_secret(username, realm, password);
    let proof = Proof {
        secret: &secret,
        nonce,
        cnonce,
        method,
        uri,
        count: qop,
    };
    let response = proof.response(*algorithm);
    let mut value = header::Credentials::new("Digest")
        .quoted("username", username)
        .quoted("realm", realm)
        .quoted("nonce", nonce)
        .quoted("uri", uri)
        .quoted("response", &response)
        .token("algorithm", algorithm.name());
    if let Some(opaque) = &challenge.opaque {
        value = value.quoted("opaque", opaque);
    }
    if challenge.qop_auth {
        value = value
            .token("qop", "auth")
            .token("nc", &format!("{used:08x}"))
            .quoted("cnonce", cnonce);
    } else if algorithm.is_session() {
        value = value.quoted("cnonce", cnonce);
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(realm: &str, username: &str, password: &str) -> DigestClient {
        DigestClient::new(Credentials {
            realm: realm.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    fn answer(client: &mut DigestClient, challenge: &str) -> Result<String, DigestError> {
        client.answer([challenge], "INVITE", "sip:a", "c")
    }

    fn parameter(value: &str, name: &str) -> Option<String> {
        let value: header::Credentials = value.parse().unwrap();
        value.param(name).map(|text| text.into_owned())
    }

    #[test]
    fn rfc_2617_section_3_5() {
        let challenge = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let value = client("testrealm@host.com", "Mufasa", "Circle Of Life")
            .answer([challenge], "GET", "/dir/index.html", "0a4f113b")
            .unwrap();
        assert_eq!(
            parameter(&value, "response").unwrap(),
            "6629fae49393a05397450978507c4ef1"
        );
        assert_eq!(parameter(&value, "nc").unwrap(), "00000001");
        assert_eq!(parameter(&value, "opaque").unwrap(), "5ccc069c403ebaf9f0171e9517f40e41");
        assert!(
            value.contains("qop=auth,") && value.contains("nc=00000001,"),
            "unquoted (RFC 7616 §3.4): {value}"
        );
    }

    /// RFC 7616 §3.9.1: both challenges offered, SHA-256 is answered.
    #[test]
    fn rfc_7616_section_3_9_1() {
        let tail = "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                    nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                    opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let md5 = format!("Digest algorithm=MD5, {tail}");
        let sha256 = format!("Digest algorithm=SHA-256, {tail}");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = |challenges: &[&str]| {
            client("http-auth@example.org", "Mufasa", "Circle of Life")
                .answer(challenges.iter().copied(), "GET", "/dir/index.html", cnonce)
                .unwrap()
        };
        let both = answer(&[&md5, &sha256]);
        assert_eq!(parameter(&both, "algorithm").unwrap(), "SHA-256");
        assert_eq!(
            parameter(&both, "response").unwrap(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        assert_eq!(
            parameter(&answer(&[&md5]), "response").unwrap(),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
    }

    #[test]
    fn without_qop_neither_nc_nor_cnonce_is_sent() {
        let value = answer(&mut client("r", "u", "p"), "Digest realm=r,nonce=\"n\"").unwrap();
        // MD5(MD5("u:r:p") ":n:" MD5("INVITE:sip:a")), by md5sum.
        assert_eq!(
            parameter(&value, "response").unwrap(),
            "4c24ec560b5bcadcc1cfe9e4da4db19a"
        );
        assert!(parameter(&value, "nc").is_none() && parameter(&value, "cnonce").is_none());
    }

    #[test]
    fn another_realm_gets_nothing() {
        let error = answer(
            &mut client("trunk.example", "u", "p"),
            "Digest realm=\"evil.example\", nonce=\"n\"",
        );
        assert!(matches!(error, Err(DigestError::OtherRealm { offered, .. }) if offered == ["evil.example"]));
    }

    #[test]
    fn a_refusal_is_not_answered_again_but_a_stale_nonce_is() {
        let mut client = client("r", "u", "p");
        let first = "Digest realm=\"r\", nonce=\"1\", qop=\"auth\"";
        let other = "Digest realm=\"r\", nonce=\"2\", qop=\"auth\"";
        let stale = "Digest realm=\"r\", nonce=\"3\", qop=\"auth\", stale=TRUE";
        assert!(answer(&mut client, first).is_ok());
        assert!(matches!(answer(&mut client, first), Err(DigestError::Rejected { .. })));
        assert!(matches!(answer(&mut client, other), Err(DigestError::Rejected { .. })));
        assert!(answer(&mut client, stale).is_ok());
        client.accepted();
        let next = client.authorize("BYE", "sip:a", "c").unwrap();
        assert_eq!(parameter(&next, "nc").unwrap(), "00000002");
        assert!(answer(&mut client, other).is_ok());
    }

    #[test]
    fn endless_stale_challenges_are_not_followed() {
        let mut client = client("r", "u", "p");
        let answered = (0..20)
            .filter(|nonce| {
                answer(
                    &mut client,
                    &format!("Digest realm=\"r\", nonce=\"{nonce}\", stale=true"),
                )
                .is_ok()
            })
            .count();
        assert_eq!(answered, usize::from(MAX_UNPROVEN));
    }

    #[test]
    fn what_we_cannot_answer_is_said() {
        for challenge in [
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"\"",
            "Basic realm=\"r\", nonce=\"n\"",
        ] {
            let error = answer(&mut client("r", "u", "p"), challenge).unwrap_err();
            assert_eq!(error, DigestError::Unsupported { realm: "r".to_owned() }, "{challenge}");
        }
    }

    #[test]
    fn the_password_is_not_in_the_debug_text() {
        assert!(!format!("{:?}", client("r", "u", "hunter2")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_challenge_panics_or_injects_a_line(nonce in "[^\"\\\\\u{0}-\u{1f}\u{7f}]{0,20}", tail in "[ -~]{0,40}") {
            let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\"{tail}");
            if let Ok(value) = answer(&mut client("r", "u", "p"), &challenge) {
                prop_assert!(!value.contains(|letter: char| letter.is_control()));
                prop_assert!(value.parse::<header::Credentials>().is_ok());
            }
        }
    }
}
