use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    verdict: String,
    status: Option<u16>,
    answered: Option<bool>,
    why: String,
}

#[test]
fn every_message_of_rfc_4475_gets_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc4475");
    let text = std::fs::read_to_string(folder.join("verdicts.toml")).unwrap();
    let mut verdicts: BTreeMap<String, Verdict> = toml::from_str(&text).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "dat") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let verdict = verdicts
            .remove(&name)
            .unwrap_or_else(|| panic!("{name} has no verdict"));
        assert!(!verdict.why.is_empty(), "{name}: a verdict says why");
        let bytes = std::fs::read(&path).unwrap();
        match (Message::parse(bytes.into()), verdict.verdict.as_str()) {
            (Ok(message), "accept") => views_read(&name, &message),
            (Err(error), "refuse") => {
                assert_eq!(Some(error.status()), verdict.status, "{name}: {error}");
                let answer = error.answer("t", source());
                assert_eq!(Some(answer.is_some()), verdict.answered, "{name}: {error}");
                // An answer repeats what could not be read, so only its status line is looked at.
                let status = format!("SIP/2.0 {} ", error.status());
                assert!(
                    answer.is_none_or(|answer| answer.starts_with(status.as_bytes())),
                    "{name}"
                );
            }
            (read, expected) => panic!("{name}: expected {expected}, got {read:?}"),
        }
    }
    assert!(verdicts.is_empty(), "verdicts without a message: {:?}", verdicts.keys());
}

fn views_read(name: &str, message: &Message) {
    assert!(message.from().is_ok(), "{name}");
    assert!(message.to().is_ok(), "{name}");
    assert!(!message.top_via().host().is_empty(), "{name}");
    assert_eq!(message.is_request(), message.uri().is_some(), "{name}");
}

fn torture(name: &str) -> Message {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/rfc4475")
        .join(name);
    Message::parse(std::fs::read(path).unwrap().into()).unwrap()
}

#[test]
fn wsinv_means_what_the_rfc_says() {
    let message = torture("wsinv.dat");
    assert_eq!(message.cseq(), (9, Method::Invite));
    assert_eq!(message.max_forwards(), Some(68));
    assert_eq!(message.to_tag(), Some("1918181833n"));
    assert_eq!(message.from_tag(), Some("98asjd8"));
    assert_eq!(message.from().unwrap().display(), Some("J Rosenberg \\\""));
    assert_eq!(
        message.header_named("NewFangledHeader"),
        Some("newfangled value   continued newfangled value")
    );
    let branches: Vec<_> = message
        .headers(HeaderName::Via)
        .map(|via| Via::parse(via).unwrap().branch())
        .collect();
    assert_eq!(
        branches,
        [Some("390skdjuw"), Some("z9hG4bK9ikj8"), Some("z9hG4bK30239")]
    );
    assert_eq!(message.body().len(), 150);
}

#[test]
fn dblreq_is_cut_and_mpart01_is_whole() {
    assert_eq!(torture("dblreq.dat").body(), b"");
    let body = torture("mpart01.dat").body_bytes();
    assert_eq!(body.len(), 553);
    assert!(body.ends_with(b"--\r\n"), "{:?}", body.slice(540..));
}

#[test]
fn intmeth_keeps_its_strange_tokens() {
    let message = torture("intmeth.dat");
    assert_eq!(
        message.method().unwrap().as_str(),
        "!interesting-Method0123456789_*+`.%indeed'~"
    );
    assert_eq!(message.to().unwrap().display(), Some("BEL:  NUL:  DEL: "));
    assert_eq!(message.from_tag(), Some("_token~1'+`*%!-."));
}

#[test]
fn semiuri_and_transports() {
    assert_eq!(
        torture("semiuri.dat").uri().unwrap().user(),
        Some("user;par=u%40example.net")
    );
    let message = torture("transports.dat");
    let transports: Vec<_> = message
        .headers(HeaderName::Via)
        .map(|via| Via::parse(via).unwrap().transport())
        .collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}
