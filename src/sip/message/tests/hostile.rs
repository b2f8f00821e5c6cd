//! Hostile and broken input, by the number of the case in the attack list's section on parsing.

use super::*;
use ParseErrorKind as Kind;

fn refused(text: &str) -> ParseErrorKind {
    match parse(text) {
        Err(error) => {
            assert!(matches!(error.status(), 400 | 505 | 513), "{error}");
            error.kind().clone()
        }
        Ok(message) => panic!("accepted {message:?}: {text:?}"),
    }
}

// 4
#[test]
fn content_length_in_a_datagram() {
    let length = "CONTENT-LENGTH: 0\r\n";
    assert_eq!(read(&format!("{}abc", with(length, ""))).body(), b"abc");
    assert_eq!(read(&format!("{TEAMS}abc")).body(), b"");
    assert_eq!(
        refused(&with(length, "CONTENT-LENGTH: 1\r\n")),
        Kind::Truncated {
            announced: 1,
            present: 0
        }
    );
    for bad in ["-1", "+0", "0x0", "", "0 0", "0,0", "1e1", "99999999999999999999999"] {
        assert_eq!(
            refused(&with(length, &format!("Content-Length: {bad}\r\n"))),
            Kind::ContentLength,
            "{bad}"
        );
    }
    assert_eq!(
        refused(&with(length, "Content-Length: 0\r\nl: 1\r\n")),
        Kind::ContentLength
    );
    assert_eq!(read(&with(length, "Content-Length: 0\r\nl: 00\r\n")).body(), b"");
}

// 6
#[test]
fn sizes_and_counts_have_limits() {
    let add = |lines: String| with("CONTENT-LENGTH: 0\r\n", &format!("{lines}CONTENT-LENGTH: 0\r\n"));
    let many = |line: &str, count| add(line.repeat(count));
    assert!(matches!(
        refused(&add(format!("X-A: {}\r\n", "a".repeat(60_000)))),
        Kind::TooLong { what: "header", .. }
    ));
    assert!(matches!(
        refused(&add(format!("{}: a\r\n", "a".repeat(300)))),
        Kind::TooLong {
            what: "header name",
            ..
        }
    ));
    assert!(matches!(
        refused(&many("X: 1\r\n", 10_000)),
        Kind::TooMany { what: "headers", .. }
    ));
    assert!(matches!(
        refused(&many("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n", 40)),
        Kind::TooMany { what: "Via values", .. }
    ));
    assert!(matches!(
        refused(&many("Route: <sip:a;lr>, <sip:b;lr>\r\n", 100)),
        Kind::TooMany {
            what: "Route values",
            ..
        }
    ));
    assert!(matches!(
        refused(&many(&format!("X: {}\r\n", "a".repeat(1000)), 40)),
        Kind::TooLong { what: "head", .. }
    ));
    assert!(matches!(
        refused(&format!("{TEAMS}{}", "a".repeat(70_000))),
        Kind::TooLarge { .. }
    ));
    assert_eq!(
        parse(&format!("{TEAMS}{}", "a".repeat(70_000))).unwrap_err().status(),
        513
    );
    for empty in ["tag=", "tag"] {
        let refused = refused(&with("tag=1779cf3a", empty));
        assert!(
            matches!(refused, Kind::Header(_)),
            "a dialog can't be told by it: {empty}"
        );
    }
    let long = "a".repeat(600);
    for (line, value) in [
        ("tag=1779cf3a", "tag="),
        ("CALL-ID: ", "CALL-ID: "),
        ("branch=z9hG4bK", "branch=z9hG4bK"),
    ] {
        assert!(
            matches!(refused(&with(line, &format!("{value}{long}"))), Kind::TooLong { .. }),
            "{line}"
        );
    }
}

// 6 and 17
#[test]
fn a_request_beyond_a_limit_is_told_so() {
    let source = std::net::SocketAddr::from(([192, 0, 2, 1], 5060));
    let answer = |text: &str| {
        let error = parse(text).expect_err("beyond a limit");
        let answer = error.answer("t", source).unwrap_or_else(|| panic!("silence: {error}"));
        assert!(answer.len() <= text.len() + 512, "{} from {}", answer.len(), text.len());
        String::from_utf8_lossy(&answer)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let core = "CALL-ID: ";
    let in_front = |lines: &str| with(core, &format!("{lines}{core}"));
    let (long, method) = ("a".repeat(600), "M".repeat(200));
    let cases = [
        (with("INVITE sip", &format!("{method} sip")), 400),
        (in_front(&"X: 1\r\n".repeat(300)), 400),
        (in_front(&"X: 1\r\n".repeat(10_000)), 400),
        (in_front(&"Via: SIP/2.0/UDP a\r\n".repeat(1_000)), 400),
        (in_front(&"Route: <sip:a;lr>\r\n".repeat(1_000)), 400),
        (in_front(&format!("X: {}\r\n", "a".repeat(60_000))), 513),
        (with("branch=z9hG4bK", &format!("branch=z9hG4bK{long}")), 513),
        (with("tag=1779cf3a", &format!("tag={long}")), 513),
        (with(core, &format!("{core}{long}")), 513),
    ];
    for (text, status) in cases {
        let answer = answer(&text);
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")) && answer.contains('('),
            "{answer}"
        );
    }
}

// 9
#[test]
fn control_characters_and_lone_line_ends_are_refused() {
    for bad in ["\0", "\u{1}", "\u{b}", "\u{1b}", "\u{7f}", "a\rb"] {
        for line in ["external", "Ada Jones", "sip:*21#", "CSEQ: 1", "branch=z9", "0a3d7213"] {
            assert!(
                matches!(refused(&with(line, &format!("{line}{bad}"))), Kind::Control(_)),
                "{line} {bad:?}"
            );
        }
    }
    assert!(matches!(refused(&with("external\r\n", "external\n")), Kind::LineEnd));
    assert!(matches!(
        refused(&with("X-MS-UserLocation", "X-MS\0Location")),
        Kind::NotAHeader | Kind::Control(_)
    ));
    assert!(matches!(
        refused(&with("external\r\n", "external\r\n\u{1} x\r\n")),
        Kind::NotAHeader
    ));
    assert_eq!(
        read(&with("external", "external\tmind\r\n\tit")).header_named("X-MS-UserLocation"),
        Some("external\tmind  \tit")
    );
    assert!(matches!(
        refused(&with("external", "\"a\\\r\n b\0\"")),
        Kind::Control(_)
    ));
    assert!(matches!(refused(TEAMS.trim_end_matches("\r\n")), Kind::Unfinished));
    assert!(matches!(refused("\r\n\r\n"), Kind::Empty));
    assert!(matches!(refused(""), Kind::Empty));
}

// 10 and 11
#[test]
fn names_with_blanks_and_mixed_forms_are_one_header() {
    for second in [
        "From: <sip:b@c>;tag=2",
        "f: <sip:b@c>;tag=2",
        "FROM \t: <sip:b@c>",
        "f\t:\r\n <sip:b@c>",
    ] {
        let text = with("CSEQ: 1", &format!("{second}\r\nCSEQ: 1"));
        assert_eq!(refused(&text), Kind::Duplicate(HeaderName::From), "{second}");
    }
    let duplicates = [
        ("i: other", HeaderName::CallId),
        ("CSeq: 1 INVITE", HeaderName::CSeq),
        ("t: <sip:b@c>", HeaderName::To),
        ("Max-Forwards: 3", HeaderName::MaxForwards),
    ];
    for (line, name) in duplicates {
        let error = parse(&with("CONTENT-LENGTH", &format!("{line}\r\nCONTENT-LENGTH"))).unwrap_err();
        assert_eq!(error.kind(), &Kind::Duplicate(name));
        let answer = Message::parse(error.answer("t", source()).unwrap()).unwrap();
        assert_eq!((answer.status(), answer.from_tag()), (Some(400), Some("1779cf3a")));
        assert_eq!(answer.reason(), format!("Bad Request ({} twice)", name.as_str()));
    }
    for bad in ["From : : x", " leading: x", "no colon", ": x", "a b: x"] {
        let text = TEAMS.replacen("FROM", &format!("{bad}\r\nFROM"), 1);
        if bad != "From : : x" {
            assert_eq!(refused(&text), Kind::NotAHeader, "{bad}");
        }
    }
}

// 12
#[test]
fn cseq_is_small_and_names_the_method() {
    for bad in [
        "4294967296 INVITE",
        "2147483648 INVITE",
        "-1 INVITE",
        "1",
        "INVITE",
        "1 INVITE x",
        "1 INV/ITE",
    ] {
        assert!(matches!(refused(&with("1 INVITE", bad)), Kind::Header(_)), "{bad}");
    }
    assert_eq!(refused(&with("1 INVITE", "1 ACK")), Kind::MethodMismatch);
    assert_eq!(refused(&with("1 INVITE", "1 invite")), Kind::MethodMismatch);
}

// 13
#[test]
fn max_forwards() {
    let hops = |value: &str| read(&with("MAX-FORWARDS: 70", value)).max_forwards();
    assert_eq!(hops("Max-Forwards: 0"), Some(0));
    assert_eq!(hops("X: 1"), None);
    assert_eq!(hops("Max-Forwards: 999"), Some(255));
    for bad in ["-1", "", "7x", "99999999999999999999999"] {
        assert!(
            matches!(
                refused(&with("MAX-FORWARDS: 70", &format!("Max-Forwards: {bad}"))),
                Kind::Header(_)
            ),
            "{bad}"
        );
    }
}

// 14
#[test]
fn request_uris_hold_no_surprises() {
    let uri = "sip:*21#@woodgrove.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0";
    let request = |new: &str| with(uri, &format!("{new} SIP/2.0"));
    assert_eq!(read(&request("sip:%00@h")).uri().unwrap().user(), Some("%00"));
    for bad in [
        "sip:@@h",
        "sip:@h",
        "sip:a@b@h",
        "sip:\u{fc}@h\u{fc}",
        "sip:a@h:",
        "<sip:a@h>",
        "sip:a @h",
        "a@h",
        "",
    ] {
        assert!(
            matches!(refused(&request(bad)), Kind::RequestUri(_) | Kind::StartLine(_)),
            "{bad}"
        );
    }
    assert_eq!(
        refused(&request("sip:a@h?Replaces=x%3Bto-tag%3D1")),
        Kind::RequestUriHeaders
    );
    assert_eq!(read(&request("sip:\u{fc}@h")).uri().unwrap().user(), Some("\u{fc}"));
    let refer = read(&with(
        "CONTENT-LENGTH",
        "Refer-To: <sip:a@h?Replaces=x%3Bto-tag%3D1&X=a=b>\r\nCONTENT-LENGTH",
    ));
    let target = refer.addresses(HeaderName::ReferTo).next().unwrap().unwrap();
    assert_eq!(
        target.uri().headers().collect::<Vec<_>>(),
        [("Replaces", Some("x%3Bto-tag%3D1")), ("X", Some("a=b"))]
    );
    assert_eq!(refer.header(HeaderName::Replaces), None);
}

// 15
#[test]
fn unbalanced_quotes_are_refused_where_we_route() {
    let contact = "CONTACT: <sip:api-du-a-euno.pstnhub.example.com:443;x-i=81f328d9;x-c=81f3/d/8/fae2>";
    for bad in [
        "\"a <sip:b@c>",
        "<sip:b@c>;x=\"y",
        "<sip:b@c",
        "\"a\\\" <sip:b@c>",
        "<sip:b@c>, \"x <sip:d@e>",
    ] {
        assert!(
            matches!(refused(&with(contact, &format!("Contact: {bad}"))), Kind::Header(_)),
            "{bad}"
        );
        assert!(matches!(
            refused(&with("CONTENT-LENGTH", &format!("Route: {bad}\r\nCONTENT-LENGTH"))),
            Kind::Header(_)
        ));
    }
}

// 16
#[test]
fn long_refer_to_passes_unchanged() {
    let value = format!(
        "<sip:sip.pstnhub.example.com:5061;transport=tls;x-m=8:orgid:9f9d51bc;x-t={};x-tt=aHR0cHM6Ly9%3d?a=b=c>",
        "a0f".repeat(200)
    );
    let message = read(&with("CONTENT-LENGTH", &format!("REFER-TO: {value}\r\nCONTENT-LENGTH")));
    assert_eq!(message.header(HeaderName::ReferTo), Some(value.as_str()));
    let target = message.addresses(HeaderName::ReferTo).next().unwrap().unwrap();
    assert_eq!(format!("<{}>", target.uri()), value);
    assert_eq!(target.uri().param("x-tt"), Some("aHR0cHM6Ly9%3d"));
}

// 17
#[test]
fn methods() {
    let method = |name: &str| parse(&TEAMS.replace("INVITE", name));
    assert_eq!(method("FETCH").unwrap().method().unwrap().as_str(), "FETCH");
    assert_ne!(method("invite").unwrap().method(), Some(&Method::Invite));
    assert!(method(&"M".repeat(200)).is_err());
    assert!(method("IN(VITE").is_err());
    let version = parse(&with("tls SIP/2.0", "tls SIP/3.0")).unwrap_err();
    assert_eq!(version.status(), 505);
    assert!(version.answer("t", source()).is_some());
    assert!(parse(&with("tls SIP/2.0", "tls HTTP/1.1")).is_err());
}

// 18
#[test]
fn status_codes() {
    let head = TEAMS.split_once("\r\n").unwrap().1;
    for bad in ["1000", "99", "000", "0200", "700", "2x0", "", "-10", "20"] {
        let error = parse(&format!("SIP/2.0 {bad} What\r\n{head}")).unwrap_err();
        assert!(error.answer("t", source()).is_none(), "{bad}");
    }
    assert!(parse(&format!("SIP/3.0 200 OK\r\n{head}")).is_err());
}

#[test]
fn acks_are_never_answered() {
    let error = parse(
        &TEAMS
            .replace("INVITE", "ACK")
            .replace("MAX-FORWARDS: 70", "MAX-FORWARDS: x"),
    )
    .unwrap_err();
    assert!(error.answer("t", source()).is_none());
}

// RFC 5118 §4.1 to §4.5 and §4.10.
#[test]
fn ipv6_messages() {
    let message = read(
        "REGISTER sip:[2001:db8::10]:5070 SIP/2.0\r\nTo: sip:user@example.com\r\nFrom: sip:user@example.com;tag=81x2\r\n\
         Via: SIP/2.0/UDP [2001:db8::9:1]:6050;received=2001:db8::9:255;branch=z9hG4bKas3-111\r\nCall-ID: SSG9559905523997077@hlau_4100\r\n\
         Max-Forwards: 70\r\nContact: \"Caller\" <sip:caller@[2001:db8::1]>, <sip:caller@[::ffff:192.0.2.2]:5061;lr>\r\n\
         CSeq: 98176 REGISTER\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        (message.uri().unwrap().host(), message.uri().unwrap().port()),
        ("[2001:db8::10]", Some(5070))
    );
    assert_eq!(
        (message.top_via().host(), message.top_via().port()),
        ("[2001:db8::9:1]", Some(6050))
    );
    assert_eq!(message.top_via().received(), "2001:db8::9:255".parse().ok());
    let ports: Vec<_> = message
        .addresses(HeaderName::Contact)
        .map(|contact| contact.unwrap().uri().port())
        .collect();
    assert_eq!(ports, [None, Some(5061)]);
    let bare = TEAMS.replace(
        "sip:*21#@woodgrove.sbc1.example.net:5061;user=phone;transport=tls",
        "sip:2001:db8::10",
    );
    assert!(matches!(
        refused(&bare),
        Kind::RequestUri(UriError::Host | UriError::Port)
    ));
}

use crate::sip::uri::UriError;

#[test]
fn the_last_header_may_be_short_and_end_the_bytes() {
    for last in [
        "l:0",
        "L: 0",
        "Content-Length:0",
        "To2:x",
        "x:",
        "X-A-Name-That-Nobody-Knows:",
    ] {
        let text = with("CONTENT-LENGTH: 0\r\n", &format!("{last}\r\n"));
        assert_eq!(read(&text).raw_headers().count(), 12, "{last}");
        // Cut anywhere, the head has no end.
        for cut in 1..last.len() + 4 {
            let cut = &text[..text.len() - cut];
            assert!(matches!(refused(cut), Kind::Unfinished), "{cut:?}");
        }
    }
    for last in ["Content-Length", "l", ":", "\u{e9}: 1"] {
        assert_eq!(refused(&with("CONTENT-LENGTH: 0", last)), Kind::NotAHeader, "{last}");
    }
}

#[test]
fn a_name_is_known_only_up_to_its_own_colon() {
    let known = |line: &str| {
        let message = read(&with("X-MS-UserLocation: external", line));
        let header = message
            .raw_headers()
            .nth(9)
            .map(|header| (header.known, header.name().to_owned()));
        header.unwrap_or_else(|| panic!("{line}"))
    };
    assert_eq!(known("Subject:a"), (Some(HeaderName::Subject), "Subject".to_owned()));
    assert_eq!(
        known("sUBJECT \t:\r\n a"),
        (Some(HeaderName::Subject), "sUBJECT".to_owned())
    );
    assert_eq!(known("s:a"), (Some(HeaderName::Subject), "s".to_owned()));
    assert_eq!(known("Subjects:a"), (None, "Subjects".to_owned()));
    assert_eq!(known("Subjec:t"), (None, "Subjec".to_owned()));
    assert_eq!(known("Subject_:a"), (None, "Subject_".to_owned()));
    assert_eq!(known("z:a"), (None, "z".to_owned()));
}

#[test]
fn control_characters_are_found_beside_tabs_and_foreign_letters() {
    let line = "X-MS-UserLocation: external";
    for good in ["X-A:\tb\tc", "X-A: J\u{fc}rgen \u{2603}", "X-A: \"\\\u{7}\""] {
        assert!(parse(&with(line, good)).is_ok(), "{good:?}");
    }
    // A CR without LF may not stand in a value, and in a name it could pass for a hyphen.
    for bad in [
        "X-A: b\rc",
        "X-A: b\u{fc}\0",
        "X-A:\tb\u{7f}",
        "Content\rType: a/b",
        "User\rAgent: x",
    ] {
        assert!(
            matches!(refused(&with(line, bad)), Kind::Control(_) | Kind::NotAHeader),
            "{bad:?}"
        );
    }
    assert_eq!(refused(&with(line, "X-A: b\nX-B: c")), Kind::LineEnd);
    assert_eq!(refused(&with(line, "\nX-A: b")), Kind::LineEnd);
}
