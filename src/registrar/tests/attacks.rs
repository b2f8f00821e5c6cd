//! Guessers, thieves and those who replay.

use super::*;

const HERE: &str = "Contact: <sip:mallory@203.0.113.7:40001>\r\n";

fn uri() -> String {
    format!("sip:{REALM}")
}

/// What two answers have in common once what is fresh each time is taken out.
fn alike(draft: &ResponseDraft) -> String {
    let challenges = draft.values(HeaderName::WwwAuthenticate).map(|value| {
        let (before, rest) = value.split_once("nonce=\"").expect("a nonce");
        format!("{before}{}", rest.split_once('"').expect("its end").1)
    });
    format!(
        "{} {} {:?}",
        draft.status(),
        draft.reason_text(),
        challenges.collect::<Vec<_>>()
    )
}

#[test]
fn an_unknown_user_gets_what_a_wrong_password_gets() {
    let (registrar, config) = (registrar(), config());
    let mut stranger = Phone::new("nobody", "x", udp(NAT));
    let mut guesser = Phone::new("alice", "guess", udp(NAT));
    let first = |phone: &mut Phone| {
        let request = phone.request("REGISTER", &uri(), HERE);
        let reply = registrar.register(&config, &request, &phone.flow, clocks(1));
        assert!(matches!(reply, Reply::Forgotten(_)), "nothing is remembered of it");
        alike(&draft(reply))
    };
    assert_eq!(first(&mut stranger), first(&mut guesser));
    let answered = |phone: &mut Phone| alike(&phone.register(&registrar, &config, HERE, 1));
    let refused = answered(&mut stranger);
    assert_eq!(refused, answered(&mut guesser));
    assert!(refused.starts_with("401"), "{refused}");
    assert_eq!(registrar.status(at(1)).wrong, 2);
}

#[test]
fn a_user_registers_itself_alone() {
    let (registrar, config) = (registrar(), config());
    let mut thief = Phone::new("bob", "builder", udp(NAT));
    thief.address = format!("alice@{REALM}");
    assert_eq!(thief.register(&registrar, &config, HERE, 1).status(), 403);
    assert!(registrar.bindings(&Aor::new("alice", REALM), at(1)).is_empty());
    assert!(registrar.bindings(&Aor::new("bob", REALM), at(1)).is_empty());
}

#[test]
fn a_recorded_register_proves_nothing_here_or_elsewhere() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    let challenge = draft(registrar.register(
        &config,
        &phone.request("REGISTER", &uri(), HERE),
        &phone.flow,
        clocks(1),
    ));
    let answer = phone.answer(&challenge, "REGISTER", &uri());
    let request = phone.request("REGISTER", &uri(), &format!("Authorization: {answer}\r\n{HERE}"));
    let elsewhere = udp("198.51.100.66:40001");
    let stale = |draft: &ResponseDraft| {
        draft
            .values(HeaderName::WwwAuthenticate)
            .all(|value| value.contains("stale=true"))
    };
    let stolen = draft(registrar.register(&config, &request, &elsewhere, clocks(1)));
    assert!(
        stolen.status() == 401 && stale(&stolen),
        "a nonce is for one source: {stolen:?}"
    );
    assert_eq!(
        draft(registrar.register(&config, &request, &phone.flow, clocks(1))).status(),
        200
    );
    let again = draft(registrar.register(&config, &request, &phone.flow, clocks(2)));
    assert!(again.status() == 401 && stale(&again), "{again:?}");
    let late = phone.answer(&challenge, "REGISTER", &uri());
    let late = phone.request("REGISTER", &uri(), &format!("Authorization: {late}\r\n{HERE}"));
    assert!(stale(&draft(registrar.register(
        &config,
        &late,
        &phone.flow,
        clocks(400)
    ))));
}

#[test]
fn an_answer_that_was_made_for_another_request_uri_registers_nobody() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    // A nonce is one moment's.
    let mut second = 0;
    let mut registers = |made_for: &str| {
        second += 1;
        let first = phone.request("REGISTER", &uri(), HERE);
        let challenge = draft(registrar.register(&config, &first, &phone.flow, clocks(second)));
        let answer = phone.answer(&challenge, "REGISTER", made_for);
        let answered = phone.request("REGISTER", &uri(), &format!("Authorization: {answer}\r\n{HERE}"));
        draft(registrar.register(&config, &answered, &phone.flow, clocks(second))).status()
    };
    assert_eq!(registers("sip:evil"), 401);
    assert_eq!(registers("sip:alice@evil.example"), 401);
    assert_eq!(
        registers(&format!("{};transport=tcp", uri())),
        200,
        "as devices write it"
    );
}

#[test]
fn a_nonce_is_used_again_with_a_higher_count_alone() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    let challenge = draft(registrar.register(
        &config,
        &phone.request("REGISTER", &uri(), HERE),
        &phone.flow,
        clocks(1),
    ));
    let mut client = DigestClient::new(Credentials {
        realm: REALM.into(),
        username: "alice".into(),
        password: "wonderland".into(),
    });
    let challenges = challenge.values(HeaderName::WwwAuthenticate);
    let mut values = vec![client.answer(challenges, "REGISTER", &uri(), "a").expect("an answer")];
    values.extend(client.authorize("REGISTER", &uri(), "b"));
    let mut send = |value: &String| {
        let request = phone.request("REGISTER", &uri(), &format!("Authorization: {value}\r\n{HERE}"));
        draft(registrar.register(&config, &request, &phone.flow, clocks(2))).status()
    };
    assert_eq!(send(&values[1]), 200);
    assert_eq!(send(&values[0]), 401, "a lower count");
    assert_eq!(send(&values[1]), 401, "the same count");
}

#[test]
fn guessing_is_stopped_for_the_guesser_and_not_for_the_user() {
    let (registrar, config) = (registrar(), config());
    let mut guesser = Phone::new("alice", "guess", udp("198.51.100.66:5060"));
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(guesser.register(&registrar, &config, HERE, 1).status());
    }
    assert_eq!(statuses, [[401; 10].as_slice(), [403; 2].as_slice()].concat());
    assert_eq!(Phone::alice().register(&registrar, &config, HERE, 1).status(), 200);
    guesser.password = "wonderland";
    assert_eq!(
        guesser.register(&registrar, &config, HERE, 2).status(),
        403,
        "not even the right one"
    );
    assert_eq!(guesser.register(&registrar, &config, HERE, 700).status(), 200);
}

#[test]
fn a_ban_takes_the_emergency_numbers_from_nobody_who_knows_the_password() {
    const HOOK: &str = "registration_hook = { url = \"https://app.contoso.example/who\" }";
    for keys in ["", HOOK] {
        let (registrar, config) = (registrar(), config_of(keys, ""));
        // A nonce is one moment's.
        let mut second = 1;
        let mut calls = |user: &'static str, password: &'static str, callee: &str| {
            let (mut phone, uri) = (Phone::new(user, password, udp(NAT)), format!("sip:{callee}@{REALM}"));
            let first = phone.request("INVITE", &uri, HERE);
            second += 1;
            let UserProof::Unproven(reply) = registrar.sender(&config, &first, &phone.flow, at(second)) else {
                panic!("anybody can write this source")
            };
            let value = phone.answer(&draft(reply), "INVITE", &uri);
            let proven = phone.request("INVITE", &uri, &format!("Proxy-Authorization: {value}\r\n{HERE}"));
            match registrar.sender(&config, &proven, &phone.flow, at(second)) {
                UserProof::Proven { .. } => 0,
                UserProof::Unproven(reply) => draft(reply).status(),
            }
        };
        for guess in 0..100 {
            let user = ["alice", "bob"][guess % 2];
            Phone::new(user, "guess", udp(NAT)).register(&registrar, &config, HERE, 1);
        }
        crate::registrar::door::lock(&registrar.failures).ban(udp(NAT).remote.ip(), at(1));
        assert_eq!(calls("alice", "wonderland", "bob"), 403, "{keys}");
        assert_eq!(calls("alice", "wonderland", "112"), 0, "{keys}");
        let wrong = registrar.status(at(2)).wrong;
        assert_eq!(calls("alice", "guess", "112"), 403, "{keys}");
        assert_eq!(registrar.status(at(2)).wrong, wrong + 1, "and counted, {keys}");
        assert_eq!(calls("nobody", "guess", "112"), 403, "no hook is asked, {keys}");
    }
}

#[test]
fn a_foreign_realm_is_nobodys_and_a_foreign_request_uri_too() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    let at_an_address = phone.request("REGISTER", "sip:192.0.2.10", HERE);
    assert!(matches!(
        registrar.register(&config, &at_an_address, &phone.flow, clocks(1)),
        Reply::Foreign
    ));
    phone.address = "alice@elsewhere.example".into();
    let elsewhere = phone.request("REGISTER", "sip:elsewhere.example", HERE);
    assert!(matches!(
        registrar.register(&config, &elsewhere, &phone.flow, clocks(1)),
        Reply::Foreign
    ));
}

#[test]
fn a_weaker_algorithm_than_offered_is_not_taken() {
    let (registrar, strict) = (registrar(), {
        let hash = Algorithm::Sha256.hashed_secret("carol", REALM, "x");
        config_with(&format!("[[users]]\nname = \"carol\"\nha1_sha256 = \"{hash}\"\n"))
    });
    let mut phone = Phone::alice();
    let challenge = draft(registrar.register(
        &strict,
        &phone.request("REGISTER", &uri(), HERE),
        &phone.flow,
        clocks(1),
    ));
    let offered: Vec<&str> = challenge.values(HeaderName::WwwAuthenticate).collect();
    assert!(offered.len() == 1 && offered[0].contains("SHA-256"), "{offered:?}");
    let downgraded = offered[0].replace("SHA-256", "MD5");
    let mut client = DigestClient::new(Credentials {
        realm: REALM.into(),
        username: "alice".into(),
        password: "wonderland".into(),
    });
    let value = client
        .answer([downgraded.as_str()], "REGISTER", &uri(), "a")
        .expect("an answer");
    let request = phone.request("REGISTER", &uri(), &format!("Authorization: {value}\r\n{HERE}"));
    assert_eq!(
        draft(registrar.register(&strict, &request, &phone.flow, clocks(1))).status(),
        401
    );
    assert_eq!(phone.register(&registrar, &strict, HERE, 1).status(), 200);
}

#[test]
fn a_call_is_proven_by_the_connection_or_by_the_password_never_by_a_source_address() {
    let (registrar, config) = (registrar(), config());
    let sender = |message: &Message, flow: &Flow| match registrar.sender(&config, message, flow, at(2)) {
        UserProof::Proven { aor, .. } => Ok(aor.to_string()),
        UserProof::Unproven(reply) => Err(Box::new(draft(reply))),
    };
    let mut over_udp = Phone::alice();
    over_udp.register(&registrar, &config, HERE, 1);
    let to_bob = format!("sip:bob@{REALM}");
    let invite = over_udp.request("INVITE", &to_bob, HERE);
    let challenge = sender(&invite, &over_udp.flow).expect_err("anybody can write this source");
    assert_eq!(challenge.status(), 407);
    let value = over_udp.answer(&challenge, "INVITE", &to_bob);
    let proven = over_udp.request("INVITE", &to_bob, &format!("Proxy-Authorization: {value}\r\n{HERE}"));
    assert_eq!(
        sender(&proven, &over_udp.flow).expect("proven"),
        format!("alice@{REALM}")
    );
    let value = over_udp.answer(&challenge, "INVITE", &to_bob);
    let redirected = over_udp.request(
        "INVITE",
        "sip:+19005550100@x",
        &format!("Proxy-Authorization: {value}\r\n{HERE}"),
    );
    assert!(
        sender(&redirected, &over_udp.flow).is_err(),
        "an answer for a call to bob"
    );

    let mut over_tcp = Phone::new("bob", "builder", tcp("203.0.113.8:50000", 5));
    over_tcp.register(&registrar, &config, "Contact: <sip:bob@10.0.0.4;transport=tcp>\r\n", 1);
    let invite = over_tcp.request("INVITE", &to_bob, HERE);
    assert_eq!(
        sender(&invite, &over_tcp.flow).expect("its own connection"),
        format!("bob@{REALM}")
    );
    over_tcp.address = format!("alice@{REALM}");
    let invite = over_tcp.request("INVITE", &to_bob, HERE);
    assert!(
        sender(&invite, &over_tcp.flow).is_err(),
        "another user on bob's connection"
    );
}
