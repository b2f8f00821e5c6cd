//! Carriers that are known by a password: who is asked for it in which realm, and who guesses.

use crate::carrier;
use crate::config::{Carrier, Config};
use crate::guard::Failures;
use crate::moment::Moment;
use crate::route;
use crate::sip::digest::{Algorithm, Authorizations, DigestServer, Password, Realm, Unproven, UsedNonces, User};
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Flow, Method};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What carriers proved lately, and failed to. No lock is held beyond one look-up.
#[derive(Debug)]
pub struct CarrierProofs {
    digest: DigestServer,
    used: Mutex<UsedNonces>,
    failures: Mutex<Failures>,
}

/// What a request says of the carrier that sent it.
#[derive(Debug)]
pub enum CarrierProof {
    Proven(Arc<Carrier>),
    /// One challenge for each algorithm of each realm, and the user name of a wrong answer.
    Unproven {
        challenges: Vec<String>,
        wrong: Option<String>,
    },
    /// Too many wrong answers under this user name, or in all, came from the source.
    Banned {
        username: String,
    },
    /// No carrier that could have sent it has a password.
    Nobody,
}

/// What one realm is challenged with, whichever of its carriers it is.
struct Asked<'c> {
    realm: &'c str,
    algorithms: Vec<Algorithm>,
    why: Unproven,
}

impl CarrierProofs {
    /// `key`: the system's randomness.
    pub fn new(key: [u8; 32]) -> CarrierProofs {
        CarrierProofs {
            digest: DigestServer::new(key),
            used: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// The carrier whose password the request proves: the one that its address names (`known`), else any that is known by
    /// its password alone.
    pub fn prove(
        &self,
        config: &Config,
        message: &Message,
        flow: &Flow,
        known: Option<&Arc<Carrier>>,
        now: Moment,
    ) -> CarrierProof {
        let authorizations = Authorizations::read(message.headers(HeaderName::Authorization));
        let (method, source) = (message.cseq_method(), flow.remote.ip().to_canonical());
        let urgent = route::is_emergency_call(config, message);
        let candidates: Vec<&Arc<Carrier>> = config
            .sbc
            .carriers
            .iter()
            .filter(|carrier| may_be(config, carrier, known, flow))
            .collect();
        // Nor is it asked again, where every carrier that it may be is banned.
        if !urgent && let Some(username) = self.banned(&candidates, source, now) {
            return CarrierProof::Banned { username };
        }
        let mut asked: Vec<Asked<'_>> = Vec::new();
        let (mut wrong, mut banned, mut came_before) = (None, false, false);
        for carrier in candidates {
            let Some(credentials) = &carrier.identify.digest else {
                continue;
            };
            let realm = Realm {
                name: credentials.realm.as_deref().unwrap_or(config.sbc.teams.base.as_str()),
                algorithms: &carrier.identify.algorithms,
                // Whoever counts as a guesser has heard the nonce at the address that it guesses from: a forged
                // datagram bans nobody.
                source: Some(SocketAddr::new(source, 0)),
            };
            let user = User {
                realm: realm.name,
                username: &credentials.username,
                password: Password::Plain(credentials.password.reveal()),
            };
            let why = match self.digest.read(&authorizations, realm, now) {
                Err(why) => why,
                Ok(claim) => {
                    banned = lock(&self.failures).is_banned(source, &claim.username, now);
                    // A ban takes emergency numbers from nobody who knows the password (promise 6).
                    if banned && !urgent {
                        return CarrierProof::Banned {
                            username: claim.username,
                        };
                    }
                    // An answer to a call may not be used for a call to somebody else.
                    let redirected = *method == Method::Invite && !claim.calls(message.uri().as_ref());
                    let checked = match claim.is_right(method.as_str(), &user) {
                        true => lock(&self.used).spend(&claim, now),
                        false => Err(Unproven::Wrong),
                    };
                    match checked {
                        Ok(()) if !redirected => return CarrierProof::Proven(carrier.clone()),
                        Err(Unproven::Stale) => {
                            came_before = true;
                            Unproven::Stale
                        }
                        _ => {
                            wrong = Some(claim.username);
                            Unproven::Wrong
                        }
                    }
                }
            };
            ask(&mut asked, realm, why);
        }
        if asked.is_empty() {
            return CarrierProof::Nobody;
        }
        // A right answer that came before is one carrier's, and a wrong one of all others. A nonce that is not ours proves
        // nothing.
        if came_before {
            wrong = None;
        }
        if let Some(username) = &wrong {
            lock(&self.failures).note(source, username, now);
        }
        match wrong {
            Some(username) if banned => CarrierProof::Banned { username },
            wrong => {
                let challenges = asked.iter().flat_map(|asked| {
                    let realm = Realm {
                        name: asked.realm,
                        algorithms: &asked.algorithms,
                        source: Some(SocketAddr::new(source, 0)),
                    };
                    self.digest.challenges(realm, asked.why, now)
                });
                CarrierProof::Unproven {
                    challenges: challenges.collect(),
                    wrong,
                }
            }
        }
    }
}

impl CarrierProofs {
    /// The user name of the first carrier that has a password, when what `source` says of any of them is not looked at.
    fn banned(&self, carriers: &[&Arc<Carrier>], source: IpAddr, now: Moment) -> Option<String> {
        let mut failures = lock(&self.failures);
        let passwords = carriers.iter().filter_map(|carrier| carrier.identify.digest.as_ref());
        let mut usernames = passwords.map(|credentials| &credentials.username);
        let first = usernames.next()?;
        let all = std::iter::once(first)
            .chain(usernames)
            .all(|username| failures.is_banned(source, username, now));
        all.then(|| first.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn may_be(config: &Config, carrier: &Carrier, known: Option<&Arc<Carrier>>, flow: &Flow) -> bool {
    match known {
        Some(known) => carrier.id == known.id,
        None => {
            let identify = &carrier.identify;
            identify.networks.is_empty()
                && carrier::is_certified(config, carrier, flow.peer.as_deref())
                && (identify.transports.is_empty() || identify.transports.contains(&flow.transport))
        }
    }
}

fn ask<'c>(asked: &mut Vec<Asked<'c>>, realm: Realm<'c>, why: Unproven) {
    let Some(known) = asked.iter_mut().find(|known| known.realm == realm.name) else {
        asked.push(Asked {
            realm: realm.name,
            algorithms: realm.algorithms.to_vec(),
            why,
        });
        return;
    };
    known.algorithms.extend(realm.algorithms);
    // The strongest first (RFC 8760 §2.4).
    known.algorithms.sort_unstable_by(|one, other| other.cmp(one));
    known.algorithms.dedup();
    if why == Unproven::Stale {
        known.why = why;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;
    use crate::sip::digest::{Credentials, DigestClient};
    use crate::sip::{ConnectionId, ListenerId, Transport};

    fn config(carriers: &[(&str, &str)]) -> Config {
        let carrier = |(id, more): &(&str, &str)| {
            format!("[[carriers]]\nid = \"{id}\"\ndigest = {{ username = \"{id}\", password = \"{id}-secret\"{more}\n")
        };
        let carriers: String = carriers.iter().map(carrier).collect();
        Config::from_toml_strs(&machine(&carriers), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn flow(remote: &str) -> Flow {
        Flow {
            transport: Transport::Udp,
            listener: ListenerId(1),
            local: "192.0.2.10:5060".parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            connection: ConnectionId::NONE,
            peer: None,
        }
    }

    const PBX: &str = "198.51.100.7:5060";

    fn invite(callee: &str, authorization: Option<&str>) -> Message {
        let authorization = authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let text = format!(
            "INVITE sip:{callee}@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\n\
             From: <sip:1@pbx>;tag=1\r\nTo: <sip:2@pbx>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{authorization}\
             Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("a message")
    }

    struct Door {
        config: Config,
        proofs: CarrierProofs,
        /// A nonce is one moment's.
        now: Moment,
    }

    impl Door {
        fn new(carriers: &[(&str, &str)]) -> Door {
            Door {
                config: config(carriers),
                proofs: CarrierProofs::new([7; 32]),
                now: Moment::from_micros(1_000_000),
            }
        }

        fn hears(&mut self, message: &Message, from: &str) -> CarrierProof {
            self.proofs.prove(&self.config, message, &flow(from), None, self.now)
        }

        /// Calls to emergency numbers are asked, whoever guesses.
        fn challenges(&mut self, from: &str) -> Vec<String> {
            self.now = self.now + std::time::Duration::from_secs(1);
            match self.hears(&invite("112", None), from) {
                CarrierProof::Unproven {
                    challenges,
                    wrong: None,
                } => challenges,
                other => panic!("{other:?}"),
            }
        }

        /// An INVITE to `callee` with an answer that was made for a call to `answered`.
        fn proves(&mut self, (user, password): (&str, &str), realm: &str, callee: &str, from: &str) -> CarrierProof {
            let value = self.answer((user, password), realm, callee, from);
            self.hears(&invite(callee, Some(&value)), from)
        }

        fn answer(&mut self, (user, password): (&str, &str), realm: &str, callee: &str, from: &str) -> String {
            let challenges = self.challenges(from);
            let mut client = DigestClient::new(Credentials {
                realm: realm.into(),
                username: user.into(),
                password: password.into(),
            });
            let uri = format!("sip:{callee}@sbc1.example.net");
            let challenges = challenges.iter().map(String::as_str);
            client.answer(challenges, "INVITE", &uri, "0a4f").expect("an answer")
        }
    }

    const REALM: &str = "sbc1.example.net";

    fn name(proof: &CarrierProof) -> &str {
        match proof {
            CarrierProof::Proven(carrier) => carrier.id.as_str(),
            CarrierProof::Unproven { wrong: Some(_), .. } => "wrong",
            CarrierProof::Unproven { wrong: None, .. } => "unproven",
            CarrierProof::Banned { .. } => "banned",
            CarrierProof::Nobody => "nobody",
        }
    }

    #[test]
    fn an_answer_calls_whom_it_was_made_for_from_where_it_was_asked_for() {
        let mut door = Door::new(&[("north", " }")]);
        let right = ("north", "north-secret");
        let value = door.answer(right, REALM, "+441632960001", PBX);
        assert_eq!(name(&door.hears(&invite("+19005550100", Some(&value)), PBX)), "wrong");
        let value = door.answer(right, REALM, "+441632960001", PBX);
        let carried_off = door.hears(&invite("+441632960001", Some(&value)), "203.0.113.9:5060");
        assert_eq!(name(&carried_off), "unproven");
        assert_eq!(
            name(&door.hears(&invite("+441632960001", Some(&value)), "198.51.100.7:6000")),
            "north"
        );
        let again = door.hears(&invite("+441632960001", Some(&value)), PBX);
        assert_eq!(name(&again), "unproven", "stale, and no guess");
    }

    #[test]
    fn a_nonce_of_nobody_in_another_realm_hides_no_guess() {
        let mut door = Door::new(&[("north", " }"), ("south", ", realm = \"south.example\" }")]);
        let junk = "Digest username=\"south\", realm=\"south.example\", nonce=\"x\", uri=\"sip:x\", response=\"0\"";
        for _ in 0..11 {
            let guess = door.answer(("north", "guess"), REALM, "+441632960001", PBX);
            let both = format!("{guess}\r\nAuthorization: {junk}");
            door.hears(&invite("+441632960001", Some(&both)), PBX);
        }
        let right = door.proves(("north", "north-secret"), REALM, "+441632960001", PBX);
        assert_eq!(name(&right), "banned");
    }

    #[test]
    fn guessing_ends_where_it_comes_from_but_takes_emergency_numbers_from_nobody() {
        let mut door = Door::new(&[("north", " }")]);
        let (guess, right) = (("north", "guess"), ("north", "north-secret"));
        for _ in 0..10 {
            assert_eq!(name(&door.proves(guess, REALM, "+19005550100", PBX)), "wrong");
        }
        assert_eq!(name(&door.proves(guess, REALM, "+19005550100", PBX)), "banned");
        assert_eq!(name(&door.proves(right, REALM, "+19005550100", PBX)), "banned");
        assert_eq!(name(&door.proves(guess, REALM, "112", PBX)), "banned");
        assert_eq!(name(&door.proves(right, REALM, "112", PBX)), "north");
        assert_eq!(name(&door.hears(&invite("+19005550100", None), PBX)), "banned");
        assert_eq!(name(&door.hears(&invite("%31%312", None), PBX)), "unproven");
        let elsewhere = door.hears(&invite("+19005550100", None), "203.0.113.9:5060");
        assert_eq!(name(&elsewhere), "unproven");
        assert_eq!(
            name(&door.proves(right, REALM, "+19005550100", "203.0.113.9:5060")),
            "north"
        );
    }

    #[test]
    fn who_may_be_another_carrier_is_asked_on() {
        let mut door = Door::new(&[("north", " }"), ("west", " }")]);
        for _ in 0..10 {
            door.proves(("north", "guess"), REALM, "+19005550100", PBX);
        }
        let right = door.proves(("north", "north-secret"), REALM, "+19005550100", PBX);
        assert_eq!(name(&right), "banned");
        assert_eq!(name(&door.hears(&invite("+19005550100", None), PBX)), "unproven");
        let other = door.proves(("west", "west-secret"), REALM, "+19005550100", PBX);
        assert_eq!(name(&other), "west");
    }

    #[test]
    fn each_realm_is_asked_in_and_each_carrier_of_one_is_found() {
        let mut door = Door::new(&[
            ("north", " }"),
            ("south", ", realm = \"south.example\" }"),
            ("west", " }"),
        ]);
        let realms = |challenges: &[String]| {
            let of = |realm: &str| challenges.iter().filter(|value| value.contains(realm)).count();
            [
                of("realm=\"sbc1.example.net\""),
                of("realm=\"south.example\""),
                challenges.len(),
            ]
        };
        assert_eq!(realms(&door.challenges(PBX)), [2, 2, 4]);
        for (id, realm) in [("north", REALM), ("south", "south.example"), ("west", REALM)] {
            let password = format!("{id}-secret");
            assert_eq!(name(&door.proves((id, &password), realm, "+19005550100", PBX)), id);
        }
    }

    #[test]
    fn an_algorithm_that_a_carrier_may_not_use_is_neither_offered_nor_taken() {
        let mut door = Door::new(&[("north", " }\ndigest_algorithms = [\"SHA-256\"]")]);
        let challenges = door.challenges(PBX);
        assert!(
            challenges.len() == 1 && challenges[0].contains("SHA-256"),
            "{challenges:?}"
        );
        let mut client = DigestClient::new(Credentials {
            realm: REALM.into(),
            username: "north".into(),
            password: "north-secret".into(),
        });
        let weaker = challenges[0].replace("SHA-256", "MD5");
        let value = client
            .answer([weaker.as_str()], "INVITE", "sip:112@sbc1.example.net", "0a4f")
            .expect("an answer");
        assert_eq!(name(&door.hears(&invite("112", Some(&value)), PBX)), "unproven");
        assert_eq!(
            name(&door.proves(("north", "north-secret"), REALM, "112", PBX)),
            "north"
        );
    }
}
