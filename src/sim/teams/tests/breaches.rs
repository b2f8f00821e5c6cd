//! Rules that only a running hub sees, each broken by a controller that does what it must not.

use super::raw::{HUB, HUB2, Leg, Raw, TRUNK, description};
use super::{SDP, certificate, inspect, invite, judge, known};
use crate::sim::persona::Known;
use crate::sim::teams::rules;
use crate::sim::wire::Arrival;
use crate::sim::{Change, Dial, EndedBy, HoldForm, Script, TeamsSim, WrongPaper, catalogue};
use crate::sip::{HeaderName, Message};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

const CALLED: &str = "sip:+14255550100@sip.pstnhub.example.com:5061;user=phone;transport=tls";
const TO: &str = "<sip:+14255550100@woodgrove.sbc1.example.net;user=phone>";

fn dial() -> Dial {
    Dial::new("+14255550100", "+12065550100")
}

/// Until the hub has noted this and nothing else.
async fn noted(hub: &TeamsSim, expected: &[&str]) {
    let words = || hub.violations().iter().map(|one| one.rule).collect::<Vec<_>>();
    let end = Instant::now() + Duration::from_secs(20);
    while words().len() < expected.len() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(words(), expected, "{:?}", hub.violations());
}

/// The house rule of the rule book: a rule that no test breaks may as well not be there.
#[test]
fn every_rule_is_broken_by_a_test() {
    let tests = [
        include_str!("../tests.rs"),
        include_str!("breaches.rs"),
        include_str!("scenarios.rs"),
    ];
    let is_named = |word: &str| {
        let quoted = format!("\"{word}\"");
        let mut lines = tests.iter().flat_map(|text| text.lines());
        // A script may have the same word.
        lines.any(|line| line.contains(&quoted) && !line.contains(".parse()"))
    };
    let unbroken: Vec<_> = catalogue().iter().filter(|rule| !is_named(rule.word)).collect();
    assert!(unbroken.is_empty(), "{unbroken:?}");
}

#[tokio::test]
async fn teams_004_and_007_a_certificate_that_teams_does_not_take_makes_no_connection() {
    for (wrong, rule) in [(WrongPaper::EllipticKey, "key"), (WrongPaper::ClientAuthAlone, "usage")] {
        let raw = Raw::showing(Some(wrong)).await;
        let hub = raw.hub(HUB);
        let _call = hub.place_call(dial()).await.unwrap();
        assert!(raw.shaken().await.is_err(), "as TLS server");
        noted(&hub, &[rule]).await;
        // With TLS 1.3 the client is done before the server has looked at its certificate.
        if let Ok(mut ours) = raw.connecting(&hub).await {
            assert!(ours.next().await.is_none(), "as TLS client");
        }
        noted(&hub, &[rule, rule]).await;
    }
}

/// TLS 1.2 without a certificate.
fn client(raw: &Raw, change: impl FnOnce(&mut CryptoProvider)) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(raw.root()).unwrap() {
        roots.add(root.unwrap()).unwrap();
    }
    let mut provider = aws_lc_rs::default_provider();
    change(&mut provider);
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test]
async fn teams_002_and_003_without_a_version_or_suite_of_teams_there_is_no_connection() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let other = CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;
    let config = client(&raw, |provider| {
        provider.cipher_suites.retain(|suite| suite.suite() == other)
    });
    assert!(raw.connect_with(&hub, config).await.is_err());
    noted(&hub, &["suite"]).await;
    let mut old = TcpStream::connect(hub.address()).await.unwrap();
    // ClientHello of version 3.2 with ECDHE-RSA-AES128-SHA, no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
    old.write_all(&hello).await.unwrap();
    noted(&hub, &["suite", "version"]).await;
}

#[tokio::test]
async fn teams_006_who_shows_no_certificate_has_no_connection() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    assert!(raw.connect_with(&hub, client(&raw, |_| {})).await.is_err());
    noted(&hub, &["no-certificate"]).await;
}

#[tokio::test]
async fn teams_088_a_script_that_may_not_take_a_call_over_says_so() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let script = Script::of_placed_call("replace +14255550102, hang-up").unwrap();
    let call = hub.place_call(dial().script(script)).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    theirs.answer_invite(&invite, "t1").await;
    let invite = theirs.read().await;
    let replaces = format!("{};from-tag={};to-tag=t1", call.id(), call.view().tags[0]);
    assert_eq!(invite.header_named("Replaces"), Some(replaces.as_str()));
    assert_eq!(invite.from().unwrap().uri().user(), Some("+14255550102"));
    theirs.respond(&invite, "603 Decline", "", "").await;
    noted(&hub, &["replaces-refused"]).await;
    assert_eq!(call.view().ending, None);
}

#[tokio::test]
async fn teams_014_a_request_on_a_connection_of_the_hub_is_dropped() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    leg.cseq += 1;
    theirs.send(&leg, "BYE", "", "").await;
    noted(&hub, &["own-connection"]).await;
    assert_eq!(call.view().ending, None);
}

#[tokio::test]
async fn teams_015_a_response_on_a_connection_of_the_controller_is_noted() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let call = hub.place_call(dial()).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    let mut ours = raw.connect(&hub).await;
    let terms = ours.terms();
    ours.respond(&invite, "200 OK", &terms, &description(40_000, "sendrecv"))
        .await;
    call.answered().await.unwrap();
    noted(&hub, &["response-connection"]).await;
}

#[test]
fn teams_017_a_request_on_a_connection_of_more_than_an_hour_is_noted() {
    let of = |own, minutes: u64| {
        let arrival = Arrival {
            own,
            age: Duration::from_secs(minutes * 60),
            others_stand: true,
        };
        rules::arrival(&invite(|text| text), &arrival).map(|one| one.rule)
    };
    assert_eq!(of(false, 59), None);
    assert_eq!(of(false, 61), Some("old-connection"));
    // That is the hub's own business.
    assert_eq!(of(true, 61), None);
}

#[tokio::test]
async fn teams_022_025_options_come_each_minute_and_those_of_teams_are_answered() {
    for (seconds, rule) in [
        (47, Some("options-interval")),
        (54, None),
        (210, None),
        (217, Some("options-interval")),
    ] {
        let judged = rules::pings(Duration::from_secs(seconds));
        assert_eq!(judged.map(|one| one.rule), rule, "{seconds}");
    }
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let mut ours = raw.connect(&hub).await;
    assert_eq!(ours.options().await.status(), Some(200));
    let mut theirs = raw.accept().await;
    let options = theirs.read().await;
    theirs.respond(&options, "200 OK", "Allow: INVITE, ACK\r\n", "").await;
    hub.pings_until(|pings| pings.answered == 1).await.unwrap();
    noted(&hub, &[]).await;
    assert_eq!(ours.options().await.status(), Some(200));
    let options = theirs.read().await;
    theirs.respond(&options, "404 Not Found", "", "").await;
    noted(&hub, &["options-interval", "options-unanswered"]).await;
}

#[test]
fn teams_023_the_contact_of_options_is_where_teams_sends_its_own() {
    let options = |contact: &str| {
        let message = invite(|text| {
            text.replacen("INVITE ", "OPTIONS ", 1)
                .replace("1 INVITE", "1 OPTIONS")
                .replace(
                    "<sip:+12065550100@woodgrove.sbc1.example.net:5061;transport=tls>",
                    contact,
                )
                .replace(SDP, "")
        });
        let found = judge(&message, Some(&certificate()), false).violations;
        found.iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(
        options("<sip:woodgrove.sbc1.example.net:5061;transport=tls>"),
        Vec::<&str>::new()
    );
    assert_eq!(
        options("<sip:woodgrove.sbc1.example.net;transport=tls>"),
        ["options-contact"]
    );
    assert_eq!(options("<sip:woodgrove.sbc1.example.net:5061>"), ["options-contact"]);
}

#[test]
fn teams_029_a_call_keeps_to_the_name_of_its_tenant() {
    let of = |trunk: &str| {
        let known = Known {
            trunk: Some(trunk.to_owned()),
            ..known()
        };
        let found = inspect(&invite(|text| text), &known);
        found.iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(of(TRUNK), Vec::<&str>::new());
    // The certificate covers both.
    assert_eq!(of("contoso.sbc1.example.net"), ["tenant"]);
}

#[tokio::test]
async fn teams_045_a_call_that_does_not_ring_is_cancelled() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let _call = hub.place_call(dial()).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    theirs.respond(&invite, "100 Trying", "", "").await;
    // Nothing but time has to pass.
    tokio::time::pause();
    noted(&hub, &["late-ringing"]).await;
    tokio::time::resume();
    let cancel = theirs.read().await;
    assert_eq!(cancel.method().map(|method| method.as_str()), Some("CANCEL"));
}

#[tokio::test]
async fn teams_048_180_has_no_description() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let call = hub.place_call(dial()).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    let terms = theirs.terms();
    theirs
        .respond(&invite, "180 Ringing", &terms, &description(40_000, "sendrecv"))
        .await;
    call.provisional(180).await.unwrap();
    noted(&hub, &["ringing-description"]).await;
}

#[tokio::test]
async fn teams_064_what_was_refused_is_not_tried_again() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let hub2 = raw.hub_beside(&hub, HUB2);
    for (script, broken) in [("refuse 503", false), ("busy", true)] {
        hub.set_script(script.parse().unwrap());
        raw.connect(&hub).await.invite_and_read(CALLED, TO).await;
        raw.connect(&hub2).await.invite_and_read(CALLED, TO).await;
        let expected: &[&str] = if broken { &["tried-again"] } else { &[] };
        noted(&hub2, expected).await;
    }
    noted(&hub, &[]).await;
}

#[tokio::test]
async fn teams_070_one_call_is_at_one_hub() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let hub2 = raw.hub_beside(&hub, HUB2);
    hub.set_script("ring".parse().unwrap());
    let mut ours = raw.connect(&hub).await;
    ours.invite(CALLED, TO, "", "sendrecv").await;
    while ours.next().await.and_then(|response| response.status()) != Some(180) {}
    raw.connect(&hub2).await.invite_and_read(CALLED, TO).await;
    noted(&hub2, &["two-hubs"]).await;
}

#[tokio::test]
async fn teams_067_an_answer_without_ack_ends_the_call() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let mut ours = raw.connect(&hub).await;
    ours.invite_and_read(CALLED, TO).await;
    let call = hub.incoming().await.unwrap();
    // Nothing but time has to pass.
    tokio::time::pause();
    noted(&hub, &["ack-missing"]).await;
    tokio::time::resume();
    let mut theirs = raw.accept().await;
    let bye = theirs.read().await;
    assert_eq!(bye.method().map(|method| method.as_str()), Some("BYE"));
    theirs.respond(&bye, "200 OK", "", "").await;
    assert_eq!(call.ended().await.unwrap().by, EndedBy::Us);
}

#[tokio::test]
async fn teams_072_inactive_is_answered_with_inactive() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, _leg) = raw.answered(&hub).await;
    let controller = async {
        let invite = theirs.read().await;
        let terms = theirs.terms();
        theirs
            .respond(&invite, "200 OK", &terms, &description(40_000, "sendrecv"))
            .await;
        theirs.read().await
    };
    let (status, _ack) = tokio::join!(call.change(Change::Hold(HoldForm::Inactive)), controller);
    assert_eq!(status.unwrap(), 200);
    noted(&hub, &["hold-answer"]).await;
}

#[test]
fn teams_074_the_version_moves_with_the_description() {
    let after = |last: String| {
        let known = Known {
            described: Some(last.into_bytes().into()),
            ..known()
        };
        let found = inspect(&invite(|text| text), &known);
        found.iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    assert_eq!(after(SDP.to_owned()), Vec::<&str>::new());
    let (newer, held) = (("88001 1", "88001 2"), ("sendrecv", "inactive"));
    assert_eq!(after(SDP.replace(newer.0, newer.1)), ["description-version"]);
    assert_eq!(after(SDP.replace(held.0, held.1)), ["description-version"]);
    let both = SDP.replace(newer.0, newer.1).replace(held.0, held.1);
    assert_eq!(after(both), Vec::<&str>::new());
}

#[test]
fn teams_093_094_095_an_answer_takes_what_it_was_offered() {
    let (plain, dtls) = ("RTP/SAVP 0 8 101", "UDP/TLS/RTP/SAVP 0 8 101");
    let both = "a=crypto:0 AES_CM_128_HMAC_SHA1_32 inline:hkP0EaCta004J9lz6NB8a5nX9rdQJf25lZ5Xv1bI|2^31\r\na=crypto:1 ";
    let answer_to = |offer: String, change: &[(&str, &str)]| {
        let body = change
            .iter()
            .fold(SDP.to_owned(), |text, (old, new)| text.replacen(old, new, 1));
        let message = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 127.0.0.3:5061;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
             Call-ID: x\r\nCSeq: 2 INVITE\r\nContact: <sip:{TRUNK};transport=tls>\r\nX-MS-SBC: a/b/c\r\nAllow: NOTIFY\r\n\
             Supported: replaces\r\nContent-Type: application/sdp\r\n\r\n{body}"
        );
        let known = Known {
            offered: Some(offer.into_bytes().into()),
            protocol: None,
            ..known()
        };
        let message = Message::parse(message.into_bytes().into()).unwrap();
        let found = inspect(&message, &known);
        found.iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    let usual = || SDP.to_owned();
    let of_dtls = || SDP.replace(plain, dtls);
    let with_both = || SDP.replace("a=crypto:1 ", both);
    let none: [&str; 0] = [];
    assert_eq!(answer_to(usual(), &[]), none);
    assert_eq!(answer_to(with_both(), &[]), none);
    assert_eq!(answer_to(of_dtls(), &[(plain, dtls)]), none);
    assert_eq!(answer_to(usual(), &[("a=rtcp-mux\r\n", "")]), none);
    assert_eq!(answer_to(of_dtls(), &[]), ["answer-profile"]);
    assert_eq!(answer_to(usual(), &[(plain, dtls)]), ["answer-profile"]);
    let (one, other) = ("a=crypto:1 ", "AES_CM_128_HMAC_SHA1_80");
    for wrong in [
        (one, "a=crypto:0 "),
        (one, "a=x:"),
        (one, both),
        (other, "AES_CM_128_HMAC_SHA1_32"),
    ] {
        assert_eq!(answer_to(with_both(), &[wrong]), ["answer-crypto"], "{wrong:?}");
    }
    let short_alone = [(one, "a=crypto:0 "), (other, "AES_CM_128_HMAC_SHA1_32")];
    assert_eq!(answer_to(with_both(), &short_alone), ["answer-crypto"]);
    for line in ["a=fingerprint:sha-256 00\r\na=sendrecv", "a=setup:active\r\na=sendrecv"] {
        let answer = [(plain, dtls), ("a=sendrecv", line)];
        assert_eq!(answer_to(of_dtls(), &answer), ["answer-dtls"], "{line}");
    }
    let without = SDP.replace("a=rtcp-mux\r\n", "");
    assert_eq!(answer_to(without, &[]), ["answer-mux"]);
}

#[tokio::test]
async fn teams_103_a_call_without_a_packet_is_noted() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, _theirs, _leg) = raw.answered(&hub).await;
    // Nothing but time has to pass.
    tokio::time::pause();
    noted(&hub, &["no-media"]).await;
    tokio::time::resume();
    assert_eq!(call.view().ending, None);
}

#[tokio::test]
async fn an_answer_has_to_fit_the_offer() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let _call = hub.place_call(dial()).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    let terms = theirs.terms();
    let keyless = description(40_000, "sendrecv").replace("_80", "_32");
    theirs.respond(&invite, "200 OK", &terms, &keyless).await;
    theirs.read().await;
    noted(&hub, &["answer-crypto", "answer"]).await;
}

#[tokio::test]
async fn an_answer_in_ack_has_to_fit_the_offer() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (_call, _theirs, mut leg) = raw.answered(&hub).await;
    let mut ours = raw.connect(&hub).await;
    let terms = ours.terms();
    let offer = ours.request(&mut leg, "INVITE", &terms, "").await;
    assert_eq!(offer.status(), Some(200));
    let keyless = description(40_000, "sendrecv")
        .replace("_80", "_32")
        .replace("o=- 88001 4", "o=- 88001 5");
    ours.send(&leg, "ACK", "Content-Type: application/sdp\r\n", &keyless)
        .await;
    noted(&hub, &["answer-crypto", "late-answer"]).await;
}

#[tokio::test]
async fn a_response_of_another_dialog_makes_none_and_early_ones_take_no_requests() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let _call = hub.place_call(dial()).await.unwrap();
    let mut theirs = raw.accept().await;
    let invite = theirs.read().await;
    let header = |name| invite.header(name).unwrap_or_default();
    let head = format!(
        "SIP/2.0 180 Ringing\r\nVia: {}\r\nRecord-Route: {}\r\nFrom: {}\r\nTo: {};tag=t1\r\nCall-ID: {}\r\n\
         CSeq: 1 INVITE\r\nX-MS-SBC: Example/SBC/1\r\nContact: <sip:{TRUNK}:5061;transport=tls>\r\n",
        header(HeaderName::Via),
        header(HeaderName::RecordRoute),
        header(HeaderName::From).replace(";tag=", ";tag=x"),
        header(HeaderName::To),
        invite.call_id(),
    );
    theirs.write(head, "").await;
    noted(&hub, &["dialog"]).await;
    let terms = theirs.terms();
    theirs
        .respond(
            &invite,
            "183 Session Progress",
            &terms,
            &description(40_000, "sendrecv"),
        )
        .await;
    let mut leg = Leg::of(&invite, "t1");
    let refusal = raw.connect(&hub).await.request(&mut leg, "OPTIONS", "", "").await;
    assert_eq!(refusal.status(), Some(481));
    noted(&hub, &["dialog", "early-request"]).await;
}
