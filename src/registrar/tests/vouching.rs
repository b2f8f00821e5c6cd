//! Users that only the tenant's registration hook knows.

use super::*;
use crate::app::outbound::{AddressPolicy, HookFailure, HookReply, HookUrl};
use crate::config::{ApplicationName, UserName};
use crate::route::{Steering, Voucher};
use crate::sip::locate::Host;
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const HOOK: &str =
    "registration_hook = { url = \"https://app.contoso.example/who\", username = \"sbc\", password = \"x\" }";
const APPLICATION: &str = "[application.reception]\nhook = \"https://app.contoso.example/in\"\n";
const HERE: &str = "Contact: <sip:joe@203.0.113.7:40001>;expires=600\r\n";

fn hooked() -> Config {
    config_of(HOOK, APPLICATION)
}

fn joe() -> Phone {
    Phone::new("joe", "jazz", udp(NAT))
}

fn uri() -> String {
    format!("sip:{REALM}")
}

/// A REGISTER with an answer to the registrar's challenge.
fn proving(phone: &mut Phone, registrar: &Registrar, config: &Config, more: &str, seconds: u64) -> Message {
    let first = phone.request("REGISTER", &uri(), more);
    let challenge = draft(registrar.register(config, &first, &phone.flow, clocks(seconds)));
    assert_eq!(challenge.status(), 401);
    let answer = phone.answer(&challenge, "REGISTER", &uri());
    phone.request("REGISTER", &uri(), &format!("Authorization: {answer}\r\n{more}"))
}

fn question(reply: Reply) -> Question {
    match reply {
        Reply::Ask(question) => *question,
        other => panic!("the hook is to be asked, not {other:?}"),
    }
}

/// Registers, with this said by the hook.
fn register(phone: &mut Phone, registrar: &Registrar, config: &Config, said: &Verdict, seconds: u64) -> ResponseDraft {
    let request = proving(phone, registrar, config, HERE, seconds);
    let question = question(registrar.register(config, &request, &phone.flow, clocks(seconds)));
    registrar.registered(config, &question, said, &phone.flow, clocks(seconds))
}

fn says(body: Value) -> Verdict {
    answered(200, Some(body.to_string()))
}

fn answered(status: u16, json: Option<String>) -> Verdict {
    let reply = HookReply {
        status,
        json: json.map(Bytes::from),
        foreign: None,
        attempts: 1,
        took: Duration::ZERO,
    };
    let policy = AddressPolicy::new(vec![], false, vec![]);
    let permits = |url: &HookUrl| match url.host() {
        Host::Ip(address) => policy.check_socket(SocketAddr::new(*address, url.port())),
        Host::Name(_) => Ok(()),
    };
    Verdict::read(&hooked().tenants[0], permits, Ok(reply))
}

fn ok() -> Verdict {
    says(json!({ "status": "ok" }))
}

#[test]
fn the_hook_is_asked_as_jambonz_asks_it() {
    let (registrar, config) = (registrar(), hooked());
    let mut phone = joe();
    let request = proving(&mut phone, &registrar, &config, HERE, 1);
    let question = question(registrar.register(&config, &request, &phone.flow, clocks(1)));
    let asked = question.request(None).expect("a request");
    assert_eq!(asked.url.as_str(), "https://app.contoso.example/who");
    assert_eq!(asked.auth.as_ref().map(|auth| auth.username.as_str()), Some("sbc"));
    let mut told = asked.properties.clone();
    let headers = told["headers"].take();
    assert_eq!(headers["call-id"], phone.call_id.as_str());
    assert!(headers.get("authorization").is_none(), "{headers}");
    let nonce = told["nonce"].take();
    let response = told["response"].take();
    assert_eq!(
        told,
        json!({
            "source_address": "203.0.113.7", "source_port": 40001, "method": "REGISTER", "headers": null, "expires": 600,
            "scheme": "digest", "username": "joe", "realm": REALM, "nonce": null, "uri": uri(), "algorithm": "MD5",
            "response": null, "qop": "auth", "nc": "00000001", "cnonce": "0a4f113b", "opaque": "",
        })
    );
    // What a server with the password computes from it (RFC 2617 §3.2.2).
    let md5 = |text: String| {
        use md5::Digest as _;
        md5::Md5::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let (a1, a2) = (md5(format!("joe:{REALM}:jazz")), md5(format!("REGISTER:{}", uri())));
    let nonce = nonce.as_str().expect("a nonce");
    assert_eq!(response, md5(format!("{a1}:{nonce}:00000001:0a4f113b:auth:{a2}")));
}

#[test]
fn who_is_vouched_for_is_registered_and_known_until_the_binding_runs_out() {
    let (registrar, config) = (registrar(), hooked());
    let said = says(json!({ "status": "ok", "expires": 120 }));
    let done = register(&mut joe(), &registrar, &config, &said, 10);
    assert_eq!((done.status(), contacts(&done).len()), (200, 1));
    assert!(contacts(&done)[0].ends_with("expires=120"), "the hook's: {done:?}");
    let aor = Aor::new("joe", REALM);
    assert_eq!(registrar.voucher(&aor, at(129)), Some(Voucher::default()));
    assert_eq!(registrar.voucher(&aor, at(130)), None);
    registrar.apply(&config);
    assert_eq!(registrar.bindings(&aor, at(11)).len(), 1);
    registrar.apply(&super::config());
    assert!(registrar.bindings(&aor, at(11)).is_empty(), "the hook is gone");
}

#[test]
fn a_listed_user_is_never_the_hooks() {
    let (registrar, config) = (registrar(), hooked());
    assert_eq!(Phone::alice().register(&registrar, &config, HERE, 1).status(), 200);
    assert_eq!(registrar.voucher(&Aor::new("alice", REALM), at(1)), None);
    assert_eq!(registrar.status(at(1)).asked, Asked::default());
}

#[test]
fn a_wrong_password_gets_the_same_from_the_file_and_from_the_hook_and_guessing_ends() {
    let (registrar, config) = (registrar(), hooked());
    let listed = Phone::new("alice", "guess", udp("198.51.100.1:5060")).register(&registrar, &config, HERE, 1);
    let no = says(json!({ "status": "fail", "msg": "no such user" }));
    let mut guesser = joe();
    let unknown = register(&mut guesser, &registrar, &config, &no, 1);
    assert_eq!(format!("{listed:?}"), format!("{unknown:?}"));
    assert_eq!(unknown.status(), 403);
    for _ in 0..9 {
        register(&mut guesser, &registrar, &config, &no, 1);
    }
    let request = proving(&mut guesser, &registrar, &config, HERE, 1);
    let banned = draft(registrar.register(&config, &request, &guesser.flow, clocks(1)));
    assert_eq!(banned.value(HeaderName::RetryAfter), Some("300"), "no longer asked");
    assert_eq!(registrar.status(at(1)).asked.denied, 10);
}

#[test]
fn a_blacklisted_source_is_not_listened_to() {
    for blacklist in [json!(true), json!(60)] {
        let (registrar, config) = (registrar(), hooked());
        let no = says(json!({ "status": "fail", "blacklist": blacklist }));
        assert_eq!(register(&mut joe(), &registrar, &config, &no, 1).status(), 403);
        let other = Phone::alice().register(&registrar, &config, HERE, 2);
        assert_eq!(other.value(HeaderName::RetryAfter), Some("300"));
    }
}

#[test]
fn a_user_registers_its_own_address_alone_and_its_name_is_one() {
    let (registrar, config) = (registrar(), hooked());
    let mut thief = joe();
    thief.address = format!("ann@{REALM}");
    let request = proving(&mut thief, &registrar, &config, HERE, 1);
    assert_eq!(
        draft(registrar.register(&config, &request, &thief.flow, clocks(1))).status(),
        403
    );
    let mut odd = Phone::new("j%20o", "x", udp(NAT));
    let request = proving(&mut odd, &registrar, &config, HERE, 1);
    assert_eq!(
        draft(registrar.register(&config, &request, &odd.flow, clocks(1))).status(),
        403
    );
    assert_eq!(registrar.status(at(1)).asking, 0, "neither was asked about");
}

#[test]
fn every_user_part_that_needs_no_escape_is_asked_about_and_what_is_refused_is_told() {
    let config = hooked();
    for name in [
        "o'brien",
        "j(oe)",
        "joe*",
        "joe!",
        "joe=1",
        "joe&2",
        "a$b,c?d/e",
        "+1425~_-.",
    ] {
        let (registrar, mut phone) = (registrar(), Phone::new(name, "jazz", udp(NAT)));
        let request = proving(&mut phone, &registrar, &config, HERE, 1);
        let asked = question(registrar.register(&config, &request, &phone.flow, clocks(1)));
        let sent = asked.request(None).expect("a request");
        assert_eq!((&*asked.aor.user, &sent.properties["username"]), (name, &json!(name)));
        let registered = registrar.registered(&config, &asked, &ok(), &phone.flow, clocks(1));
        assert_eq!(registered.status(), 200, "{name}");
        // Written and read again, and with its escapes undone once, it is the same address.
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for written in [name, &escaped] {
            let uri = crate::sip::Uri::parse(&format!("sip:{written}@{REALM}")).expect("a URI");
            let aor = Aor::of(&uri).expect("an address");
            assert_eq!(registrar.bindings(&aor, at(2)).len(), 1, "{written}");
            assert_eq!(Aor::parse(&aor.to_string()), Some(aor));
        }
    }
    let (registrar, long) = (registrar(), &*"j".repeat(65).leak());
    for (name, username) in [
        ("j%20oe", "j oe"),
        ("joe%2541", "joe%41"),
        ("joe%40a", "joe@a"),
        ("joe%3bx", "joe;x"),
        ("j%c3%bcrgen", "j%c3%bcrgen"),
        (long, long),
        ("joe", "ann"),
    ] {
        let mut phone = Phone::new(username, "jazz", udp(NAT));
        phone.address = format!("{name}@{REALM}");
        // A name may hold what no Call-ID does.
        phone.call_id = "odd".into();
        let request = proving(&mut phone, &registrar, &config, HERE, 1);
        match registrar.register(&config, &request, &phone.flow, clocks(1)) {
            Reply::Unasked(draft, unasked) => {
                assert_eq!((draft.status(), &*unasked.username), (403, username));
                let why = unasked.why;
                assert_eq!(
                    why.contains("not the address"),
                    username == "ann" || username == "j oe",
                    "{why}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_nonce_is_good_for_one_verdict() {
    let (registrar, config) = (registrar(), hooked());
    let mut phone = joe();
    let request = proving(&mut phone, &registrar, &config, HERE, 1);
    let ask = || question(registrar.register(&config, &request, &phone.flow, clocks(1)));
    let (first, second) = (ask(), ask());
    assert_eq!(registrar.status(at(1)).asking, 2);
    let answer = |question: &Question| {
        registrar
            .registered(&config, question, &ok(), &phone.flow, clocks(2))
            .status()
    };
    assert_eq!((answer(&first), answer(&second)), (200, 401));
    let replayed = draft(registrar.register(&config, &request, &phone.flow, clocks(3)));
    assert!(
        replayed
            .values(HeaderName::WwwAuthenticate)
            .all(|value| value.contains("stale=true")),
        "not even asked: {replayed:?}"
    );
}

#[test]
fn a_hook_that_says_nothing_means_later() {
    let (registrar, config) = (registrar(), hooked());
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    let failed = |status| HookFailure::Status {
        url: "https://app.contoso.example/who".into(),
        status,
    };
    let tenant = &config.tenants[0];
    for (what, verdict) in [
        ("an error", Verdict::read(tenant, |_| Ok(()), Err(failed(500)))),
        ("no page", Verdict::read(tenant, |_| Ok(()), Err(failed(404)))),
        ("nothing", answered(200, None)),
        ("no content", answered(204, None)),
        ("a list", answered(200, Some("[]".into()))),
        (
            "a hole",
            answered(200, Some(format!("{{\"status\":\"ok\",\"x\":{deep}}}"))),
        ),
        ("half", answered(200, Some("{\"status\":\"o".into()))),
        ("another word", says(json!({ "status": "OK!" }))),
        ("no word", says(json!({ "status": true }))),
        (
            "a strange application",
            says(json!({ "status": "ok", "application_sid": "7" })),
        ),
        ("a relative hook", says(json!({ "status": "ok", "call_hook": "/in" }))),
        ("a number as sid", says(json!({ "status": "ok", "application_sid": 7 }))),
        (
            "a table as hook",
            says(json!({ "status": "ok", "call_hook": { "url": "https://a.example/" } })),
        ),
        ("a word as time", says(json!({ "status": "ok", "expires": "soon" }))),
        ("a time that is over", says(json!({ "status": "ok", "expires": -60 }))),
        (
            "a word as right",
            says(json!({ "status": "ok", "allow_direct_user_calling": "false" })),
        ),
    ] {
        assert!(matches!(verdict, Verdict::Failed(_)), "{what}: {verdict:?}");
        let done = register(&mut joe(), &registrar, &config, &verdict, 1);
        assert_eq!(done.status(), 503, "{what}");
        assert!(done.value(HeaderName::RetryAfter).is_some(), "{what}");
    }
    assert!(registrar.bindings(&Aor::new("joe", REALM), at(1)).is_empty());
    assert!(matches!(
        Verdict::read(tenant, |_| Ok(()), Err(failed(403))),
        Verdict::Denied { .. }
    ));
}

#[test]
fn what_has_the_wrong_type_is_refused_and_never_taken_for_a_yes() {
    for (name, value) in [
        ("allow_direct_user_calling", json!("false")),
        ("allow_direct_user_calling", json!(0)),
        ("expires", json!(-5)),
        ("expires", json!(1e30)),
        ("expires", json!(60.5)),
        ("expires", json!("ten minutes")),
        ("expires", json!([600])),
        ("application_sid", json!(7)),
        ("call_hook", json!({ "url": "https://a.example/" })),
        ("call_hook", json!("http://169.254.169.254/")),
        ("call_hook", json!("http://127.0.0.1:8080/")),
        ("call_status_hook", json!("http://10.0.0.1/")),
    ] {
        let mut body = json!({ "status": "ok", "call_hook": "https://a.example/" });
        body[name] = value.clone();
        match says(body) {
            Verdict::Failed(why) => assert!(why.contains(&format!("`{name}`")), "{value}: {why}"),
            other => panic!("{name} {value}: {other:?}"),
        }
    }
    for value in [json!("600"), json!(600), json!(600.0)] {
        let Verdict::Granted(grant) = says(json!({ "status": "ok", "expires": value })) else {
            panic!("{value}")
        };
        assert_eq!(grant.expires, Some(Duration::from_secs(600)), "{value}");
    }
}

#[test]
fn an_answer_in_which_a_name_stands_twice_says_nothing() {
    for text in [
        r#"{"status":"fail","status":"ok"}"#,
        r#"{"status":"ok","more":{"a":1,"a":2}}"#,
    ] {
        match answered(200, Some(text.into())) {
            Verdict::Failed(why) => assert!(why.contains("is there twice"), "{why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_the_hook_says_of_the_users_calls_is_kept() {
    let sid = {
        let config = hooked();
        let name = ApplicationName::parse("reception").expect("a name");
        config.tenants[0].account.application(&name).expect("there").sid.clone()
    };
    let voucher = |body: Value| match says(body) {
        Verdict::Granted(grant) => grant.voucher,
        other => panic!("{other:?}"),
    };
    let empty = json!({ "status": "ok", "application_sid": "", "call_hook": "", "allow_direct_user_calling": true });
    assert_eq!(voucher(empty), Voucher::default());
    let nothing =
        json!({ "status": "ok", "application_sid": null, "expires": null, "allow_direct_user_calling": null });
    assert_eq!(voucher(nothing), Voucher::default());
    let steered = voucher(json!({
        "status": "ok", "application_sid": sid.as_str(), "call_hook": "https://a.example/", "allow_direct_user_calling": false
    }));
    assert_eq!(
        steered,
        Voucher {
            no_users: true,
            steered_by: Some(Steering::Application(sid)),
        }
    );
    let hooks = json!({ "status": "ok", "call_hook": "wss://a.example/", "call_status_hook": "https://a.example/s" });
    let Some(Steering::Hook { call, status }) = voucher(hooks).steered_by else {
        panic!("hooks of its own")
    };
    assert_eq!(
        (call.as_str(), status.as_deref()),
        ("wss://a.example/", Some("https://a.example/s"))
    );
}

#[test]
fn one_source_has_so_many_questions_under_way_and_the_next_comes_later() {
    let (registrar, config) = (registrar(), hooked());
    let mut open = Vec::new();
    let refused = loop {
        let mut phone = joe();
        let request = proving(&mut phone, &registrar, &config, HERE, 1);
        match registrar.register(&config, &request, &phone.flow, clocks(1)) {
            Reply::Ask(question) => open.push(question),
            other => break draft(other),
        }
        assert!(open.len() < 1_000, "they are bounded");
    };
    assert_eq!((refused.status(), open.len()), (503, 32));
    open.clear();
    assert_eq!(register(&mut joe(), &registrar, &config, &ok(), 1).status(), 200);
    assert_eq!(registrar.status(at(1)).asked.crowded, 1);
}

#[test]
fn a_call_is_proven_by_the_connection_or_by_the_hook_and_an_emergency_by_the_address() {
    let hash = Algorithm::Md5.hashed_secret("alice", REALM, "wonderland");
    let tenant = format!(
        "domains = [\"contoso.example\"]\nlabel = \"contoso\"\nrealm = \"{REALM}\"\ncarriers = [\"north\"]\n{HOOK}\n\
         [[users]]\nname = \"alice\"\nha1_md5 = \"{hash}\"\n"
    );
    let config =
        Config::from_toml_strs(&sbc(), &[("contoso", &tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let registrar = registrar();
    let mut over_tcp = Phone::new("joe", "jazz", tcp("203.0.113.8:50000", 5));
    register(&mut over_tcp, &registrar, &config, &ok(), 1);
    let to_alice = format!("sip:alice@{REALM}");
    let invite = over_tcp.request("INVITE", &to_alice, HERE);
    match registrar.sender(&config, &invite, &over_tcp.flow, at(2)) {
        UserProof::Proven { aor, voucher, .. } => {
            assert_eq!(
                (aor.to_string(), voucher),
                (format!("joe@{REALM}"), Some(Voucher::default()))
            );
        }
        other => panic!("{other:?}"),
    }

    // The same device over UDP, and a stranger that is asked about.
    let calls = |from: &str, uri: &str| {
        let mut phone = Phone::new("joe", "jazz", udp(from));
        let first = phone.request("INVITE", uri, HERE);
        let UserProof::Unproven(reply) = registrar.sender(&config, &first, &phone.flow, at(2)) else {
            panic!("anybody can write this source")
        };
        let answer = phone.answer(&draft(reply), "INVITE", uri);
        let second = phone.request("INVITE", uri, &format!("Proxy-Authorization: {answer}\r\n{HERE}"));
        (registrar.sender(&config, &second, &phone.flow, at(2)), phone.flow)
    };
    let (UserProof::Unproven(reply), flow) = calls("203.0.113.8:40000", &to_alice) else {
        panic!("the hook proves it")
    };
    let question = question(reply);
    assert!(!question.is_register());
    assert_eq!(
        question.request(None).expect("a request").properties["expires"],
        Value::Null
    );
    let (tenant, _) = registrar
        .vouched(&config, &question, &ok(), &flow, at(3))
        .expect("vouched for");
    assert_eq!(tenant.id.as_str(), "contoso");

    let emergency = format!("sip:112@{REALM}");
    let (proof, _) = calls("203.0.113.8:40001", &emergency);
    assert!(
        matches!(proof, UserProof::Proven { voucher: Some(_), .. }),
        "no hook is asked: {proof:?}"
    );
    let (proof, _) = calls("198.51.100.1:40001", &emergency);
    assert!(
        matches!(proof, UserProof::Unproven(Reply::Ask(_))),
        "nobody registered from there: {proof:?}"
    );
}

#[test]
fn the_number_that_leads_to_the_user_is_its_own() {
    let tenant = format!(
        "domains = [\"contoso.example\"]\nlabel = \"contoso\"\nrealm = \"{REALM}\"\ncarriers = [\"north\"]\n{HOOK}\n\
         [[numbers]]\nrange = \"+14255550100-+14255550109\"\nto = {{ user = \"joe@{REALM}\" }}\n\
         [[numbers]]\nnumber = \"+14255550120\"\nto = {{ user = \"joe@{REALM}\" }}\n"
    );
    let config =
        Config::from_toml_strs(&sbc(), &[("contoso", &tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let name = UserName::parse("joe").expect("a name");
    let user = Voucher::default().user(&config.tenants[0], &name);
    assert_eq!(
        user.number.map(|number| number.to_string()).as_deref(),
        Some("+14255550120")
    );
    assert!(user.may_call.users && user.may_call.teams && user.may_call.phones && !user.srtp);
}
