//! The rule book on golden messages, and the handshake with a stranger.

mod breaches;
mod raw;
mod scenarios;

use super::rules::{inspect, judge};
use super::*;
use crate::sim::persona::{Face, Known};
use crate::sim::{Papers, Showing};
use crate::sip::{HeaderName, Message, PeerCertificate};

const SDP: &str = "v=0\r\no=- 88001 1 IN IP4 198.51.100.5\r\ns=-\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n\
    m=audio 30440 RTP/SAVP 0 8 101\r\na=rtcp-mux\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xhqrJOKme4fZTKjOLe56fy9ZZ/yUV11f+nW7VOXU|2^31\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

/// TV-05, on a non-bypass trunk.
fn invite(change: impl FnOnce(String) -> String) -> Message {
    let text = format!(
        "INVITE sip:+14255550111@sip.pstnhub.example.com:5061;user=phone;transport=tls SIP/2.0\r\n\
         Via: SIP/2.0/TLS woodgrove.sbc1.example.net:5061;branch=z9hG4bKs5-001\r\nMax-Forwards: 69\r\n\
         From: \"Example Caller\" <sip:+12065550100@woodgrove.sbc1.example.net;user=phone>;tag=s5from\r\n\
         To: <sip:+14255550111@woodgrove.sbc1.example.net;user=phone>\r\nCall-ID: s5-0001@woodgrove.sbc1.example.net\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:+12065550100@woodgrove.sbc1.example.net:5061;transport=tls>\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER\r\nSupported: timer, replaces\r\nX-MS-SBC: Example/SBC/1\r\n\
         Session-Expires: 1800;refresher=uac\r\nMin-SE: 300\r\nContent-Type: application/sdp\r\n\r\n{SDP}"
    );
    Message::parse(change(text).into_bytes().into()).unwrap()
}

fn certificate() -> PeerCertificate {
    PeerCertificate {
        common_name: Some("sbc1.example.net".to_owned()),
        dns_names: vec!["sbc1.example.net".to_owned(), "*.sbc1.example.net".to_owned()],
        serial: "1".to_owned(),
        not_after: i64::MAX,
    }
}

fn verdict(message: &Message) -> (Vec<&'static str>, Option<u16>) {
    let judgement = judge(message, Some(&certificate()), false);
    let rules = judgement.violations.iter().map(|violation| violation.rule).collect();
    (rules, judgement.refusal.map(|draft| draft.status()))
}

#[test]
fn the_reference_invite_passes() {
    assert_eq!(verdict(&invite(|text| text)), (vec![], None));
}

#[test]
fn each_fault_has_its_rule_and_its_status() {
    let contact = "<sip:+12065550100@woodgrove.sbc1.example.net:5061;transport=tls>";
    let cases: [(&str, &str, &[&str], Option<u16>); 30] = [
        (
            contact,
            "<sip:198.51.100.5:5061;transport=tls>",
            &["address", "trunk"],
            Some(403),
        ),
        (
            contact,
            "<sip:woodgrove.example.org;transport=tls>",
            &["trunk"],
            Some(403),
        ),
        (
            contact,
            "<sip:a.woodgrove.sbc1.example.net;transport=tls>",
            &["trunk"],
            Some(403),
        ),
        (contact, "<sips:woodgrove.sbc1.example.net>", &["sips"], None),
        (":5061;transport=tls>", ":5061>", &["contact-transport"], None),
        ("RTP/SAVP", "RTP/AVP", &["srtp"], Some(488)),
        ("HMAC_SHA1_80", "HMAC_SHA1_32", &["crypto"], Some(488)),
        (
            "Supported: timer",
            "Require: 100rel\r\nSupported: timer",
            &["100rel"],
            Some(420),
        ),
        (
            "Min-SE: 300",
            "Replaces: a;to-tag=b;from-tag=c",
            &["replaces"],
            Some(403),
        ),
        (
            "Session-Expires: 1800",
            "Session-Expires: 60",
            &["session-interval"],
            Some(422),
        ),
        (
            "Session-Expires: 1800",
            "Session-Expires: 200",
            &["session-interval"],
            None,
        ),
        ("Min-SE: 300", "Min-SE: 90", &["min-se"], None),
        ("SIP/2.0/TLS", "SIP/2.0/TCP", &["via"], None),
        ("Max-Forwards: 69\r\n", "", &["max-forwards"], None),
        (", NOTIFY", "", &["allow"], None),
        ("timer, replaces", "timer", &["supported"], None),
        ("Example/SBC/1", "Example", &["x-ms-sbc"], None),
        (
            "<sip:+12065550100@woodgrove.sbc1.example.net;user=phone>",
            "<sip:12065550100@woodgrove.sbc1.example.net>",
            &["from-e164"],
            None,
        ),
        ("user=phone>\r\nCall-ID", "a=b>\r\nCall-ID", &["user-phone"], None),
        ("|2^31", "", &["crypto-lifetime"], None),
        ("a=rtcp-mux\r\n", "", &["mux"], None),
        ("sip:+14255550111@sip.p", "sip:14255550111@sip.p", &["e164"], None),
        (
            ":5061;user=phone;transport=tls SIP",
            ":5061;transport=tls SIP",
            &["user-phone"],
            None,
        ),
        ("application/sdp", "application/pidf+xml", &["content-type"], Some(415)),
        ("Contact: <sip:+1", "X-Contact: <sip:+1", &["contact"], Some(400)),
        (
            "sip:+12065550100@woodgrove",
            "sip:anonymous@woodgrove",
            &["privacy", "anonymous"],
            None,
        ),
        (
            "sip:+12065550100@woodgrove.sbc1.example.net",
            "sip:anonymous@anonymous.invalid",
            &["privacy"],
            None,
        ),
        (
            "Supported: timer",
            "Require: timer, path\r\nSupported: timer",
            &["require"],
            Some(420),
        ),
        ("RTP/SAVP 0 8 101", "RTP/SAVP 101", &["codec"], None),
        ("101 telephone-event/8000", "101 CN/16000", &["telephone-event"], None),
    ];
    for (old, new, rules, status) in cases {
        let message = invite(|text| text.replacen(old, new, 1));
        assert_eq!(verdict(&message), (rules.to_vec(), status), "{new}");
    }
    let bare = invite(|text| text.replace(SDP, ""));
    assert_eq!(verdict(&bare), (vec!["offer"], Some(488)));
}

#[test]
fn other_methods_are_refused() {
    for method in ["REFER", "UPDATE", "PRACK", "INFO", "SUBSCRIBE", "MESSAGE"] {
        let message = invite(|text| {
            text.replacen("INVITE ", &format!("{method} "), 1)
                .replace("1 INVITE", &format!("1 {method}"))
        });
        assert_eq!(verdict(&message), (vec!["method"], Some(405)), "{method}");
    }
}

#[test]
fn the_403_has_the_shape_of_teams() {
    let message = invite(|text| {
        text.replace(
            "Contact: <sip:+12065550100@woodgrove.sbc1.example.net",
            "Contact: <sip:198.51.100.5",
        )
    });
    let refusal = judge(&message, Some(&certificate()), false).refusal.unwrap();
    let reason = refusal.value(crate::sip::HeaderName::Reason).unwrap();
    let reason: crate::sip::header::Reason = reason.parse().unwrap();
    let text = reason.text.unwrap();
    assert_eq!(reason.cause, Some(63));
    assert!(
        text.ends_with(
            ";Provided Trunk FQDN '198.51.100.5' is not allowed. Connection allows following fqdns: \
             sbc1.example.net, sbc1.example.net, *.sbc1.example.net."
        ),
        "{text}"
    );
}

fn known() -> Known {
    Known {
        face: Face {
            home: "sip:sip.pstnhub.example.com:5061".to_owned(),
            contact: "<sip:api.pstnhub.example.com:443;x-i=A%2fb;x-c=1/d/8/2>".to_owned(),
            record_route: Some("<sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>".to_owned()),
        },
        media: Some(SocketAddr::from(([198, 51, 100, 5], 30440))),
        protocol: Some(crate::sdp::Protocol::RtpSavp),
        bypass: false,
        ice: None,
        answered: true,
        trunk: None,
        described: None,
        offered: None,
    }
}

#[test]
fn requests_inside_a_call_go_by_record_route_to_the_very_contact() {
    let bye = |uri: &str, route: &str| {
        let message = invite(|text| {
            text.replacen(
                "INVITE sip:+14255550111@sip.pstnhub.example.com:5061;user=phone;transport=tls",
                &format!("BYE {uri}"),
                1,
            )
            .replace("1 INVITE", "2 BYE")
            .replace(
                "To: <sip:+14255550111@woodgrove.sbc1.example.net;user=phone>",
                "To: <sip:a@b>;tag=t",
            )
            .replace("Min-SE: 300\r\n", route)
            .replace(SDP, "")
        });
        let found = inspect(&message, &known());
        found.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    let uri = "sip:api.pstnhub.example.com:443;x-i=A%2fb;x-c=1/d/8/2";
    let route = "Route: <sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>\r\n";
    assert_eq!(bye(uri, route), Vec::<&str>::new());
    assert_eq!(bye(uri, ""), ["route"]);
    assert_eq!(
        bye("sip:api.pstnhub.example.com:443;x-c=1/d/8/2;x-i=A%2fb", route),
        ["request-uri"]
    );
    assert_eq!(
        bye("sip:api.pstnhub.example.com:443;x-i=A%2Fb;x-c=1/d/8/2", route),
        ["request-uri"]
    );
}

#[test]
fn hold_is_inactive_and_media_stays_where_it_is() {
    let faults = |old: &str, new: &str| {
        let message = invite(|text| text.replace(old, new));
        let found = inspect(&message, &known());
        found.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    assert_eq!(faults("a=sendrecv", "a=inactive"), Vec::<&str>::new());
    assert_eq!(faults("a=sendrecv", "a=sendonly"), ["direction"]);
    assert_eq!(faults("m=audio 30440", "m=audio 30442"), ["media-moved"]);
    assert_eq!(faults("RTP/SAVP", "UDP/TLS/RTP/SAVP"), ["protocol-moved"]);
    assert_eq!(faults("RTP/SAVP 0 8", "RTP/SAVP 0 8 0"), ["payload-types"]);
    assert_eq!(
        faults(
            "a=sendrecv",
            "a=rtpmap:101 CN/8000\r\na=rtpmap:101 x/8000\r\na=sendrecv"
        ),
        ["payload-types"]
    );
    assert_eq!(faults("|2^31", "==|2^31"), ["crypto-key"]);
    assert_eq!(faults("a=sendrecv", "a=ptime:30\r\na=sendrecv"), ["packet-time"]);
    assert_eq!(
        faults("c=IN IP4 198.51.100.5", "c=IN IP4 0.0.0.0"),
        ["direction", "blackhole", "media-moved"]
    );
}

#[test]
fn an_offer_without_ice_is_refused_where_media_are_bypassed() {
    let judgement = judge(&invite(|text| text), Some(&certificate()), true);
    let rules: Vec<_> = judgement.violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, ["ice"]);
    let refusal = judgement.refusal.unwrap();
    let reason = crate::teams::TeamsReason::parse(refusal.value(HeaderName::Reason).unwrap()).unwrap();
    assert_eq!(
        (refusal.status(), reason.phrase.as_deref()),
        (488, Some("No ICE candidates"))
    );
}

#[test]
fn teams_099_101_ice_is_lite_with_one_candidate_and_stays() {
    let right = "a=sendrecv\r\na=ice-lite\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n\
                 a=candidate:1 1 UDP 2130706431 198.51.100.5 30440 typ host\r\n";
    let faults = |from: &str, to: &str, first: Option<&str>| {
        let right = right.replace(from, to);
        // a=ice-lite is of the session.
        let message = invite(|text| {
            let text = text.replace("a=sendrecv\r\n", &right.replace("a=ice-lite\r\n", ""));
            match right.contains("a=ice-lite") {
                true => text.replacen("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1),
                false => text,
            }
        });
        let known = Known {
            bypass: true,
            ice: first.map(str::to_owned),
            ..known()
        };
        let found = inspect(&message, &known);
        found.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    assert_eq!(faults("", "", None), Vec::<&str>::new());
    for (from, to) in [
        ("a=ice-lite\r\n", ""),
        ("a=ice-ufrag:abcd\r\n", ""),
        ("198.51.100.5 30440", "10.0.0.5 30440"),
        ("198.51.100.5 30440", "198.51.100.5 30442"),
        ("typ host", "typ srflx"),
        (
            "a=candidate:1",
            "a=candidate:2 1 UDP 2130706430 198.51.100.5 30440 typ host\r\na=candidate:1",
        ),
        (
            "a=candidate:1",
            "a=candidate:1 2 UDP 2130706430 198.51.100.5 30441 typ host\r\na=candidate:1",
        ),
    ] {
        assert_eq!(faults(from, to, None), ["ice"], "{to}");
    }
    let stated: Vec<&str> = right
        .lines()
        .filter(|line| line.starts_with("a=ice-u") || line.starts_with("a=ice-p"))
        .collect();
    let (stated, rtp) = (
        stated.join("\n"),
        "a=candidate:1 1 UDP 2130706431 198.51.100.5 30440 typ host",
    );
    let rtcp = "a=candidate:1 2 UDP 2130706430 198.51.100.5 30441 typ host";
    for (first, rules) in [
        ("a=ice-ufrag:other".to_owned(), &["ice-changed"][..]),
        (format!("a=ice-lite\n{stated}\n{rtp}"), &[]),
        (format!("a=ice-lite\n{stated}\n{rtp}\n{rtcp}"), &[]),
        (format!("a=ice-lite\n{stated}\n{rtcp}"), &["ice-changed"]),
    ] {
        assert_eq!(faults("", "", Some(&first)), rules, "{first}");
    }
}

#[test]
fn responses_to_the_first_invite_repeat_record_route() {
    let ringing = |route: &str, answered| {
        let text = format!(
            "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TLS 127.0.0.3:5061;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:contoso.sbc1.example.net>\r\nX-MS-SBC: a/b/c\r\n{route}\r\n"
        );
        let message = Message::parse(text.into_bytes().into()).unwrap();
        let known = Known { answered, ..known() };
        let found = inspect(&message, &known);
        found.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    let route = "Record-Route: <sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>\r\n";
    assert_eq!(ringing(route, false), Vec::<&str>::new());
    assert_eq!(ringing("", false), ["record-route"]);
    assert_eq!(ringing("", true), Vec::<&str>::new());
}

/// Two hubs that call each other: the called one sees a trunk that the other's certificate does not cover.
#[tokio::test]
async fn a_stranger_with_a_good_certificate_gets_403() {
    let folder = std::env::temp_dir().join(format!("portcullis-hub-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let papers = Papers::make(&folder, "sbc1.example.net", &["sip.pstnhub.example.com"]).unwrap();
    let hub = |sbc| {
        TeamsSim::start(TeamsSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            sbc,
            trunk: "sip.pstnhub.example.com".to_owned(),
            hub: "sip.pstnhub.example.com".to_owned(),
            certificate: papers.teams_certificate.clone(),
            key: papers.teams_key.clone(),
            roots: papers.root.clone(),
            tone: 440.0,
            bypass: false,
            strict: false,
            idle: None,
            showing: Showing::Sound,
        })
        .unwrap()
    };
    let called = hub(None);
    let caller = hub(Some(called.address()));
    let placed = caller
        .place_call(Dial::new("+14255550100", "+12065550100"))
        .await
        .unwrap();
    let ending = placed.ended().await.unwrap();
    // A folder left behind in the temporary directory harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(ending.status, Some(403));
    let [reason] = ending.reasons.as_slice() else {
        panic!("{ending:?}")
    };
    assert!(
        reason.contains("Provided Trunk FQDN 'api-du-a-euno.pstnhub.example.com' is not allowed"),
        "{reason}"
    );
    let rules: Vec<_> = called.violations().iter().map(|violation| violation.rule).collect();
    // The other hub is no controller, and has more that is not of one.
    assert!(
        rules.contains(&"trunk") && rules.contains(&"own-record-route"),
        "{rules:?}"
    );
}
