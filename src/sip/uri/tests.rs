use super::*;
use std::net::Ipv4Addr;

fn read(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_teams_contact_keeps_what_it_carries() {
    let text = "sip:api-du-a-euno.pstnhub.example.com:443;x-i=81f328d9-9c68-4ce3;x-c=81f328d99c68/d/8/fae2";
    let uri = read(text);
    assert_eq!(
        (uri.user(), uri.host(), uri.port()),
        (None, "api-du-a-euno.pstnhub.example.com", Some(443))
    );
    assert_eq!(uri.param("X-I"), Some("81f328d9-9c68-4ce3"));
    assert_eq!(uri.param("x-c"), Some("81f328d99c68/d/8/fae2"));
    assert_eq!(uri.as_str(), text);
}

#[test]
fn users_may_hold_a_raw_hash_semicolons_and_escapes() {
    assert_eq!(read("sip:*21#@sbc1.example.net").user(), Some("*21#"));
    let uri = read("sip:user;par=u%40example.net@example.com");
    assert_eq!(
        (uri.user(), uri.host()),
        (Some("user;par=u%40example.net"), "example.com")
    );
    assert_eq!(read("sip:%00@host").user(), Some("%00"));
    assert_eq!(read("sip:alice:secret@host").user(), Some("alice"));
}

#[test]
fn telephone_uris() {
    let uri = read("tel:+1-201-555-0123;phone-context=example.com;ext=1");
    assert_eq!(
        (uri.scheme(), uri.user(), uri.host()),
        (Scheme::Tel, Some("+1-201-555-0123"), "")
    );
    assert_eq!(uri.param("phone-context"), Some("example.com"));
    assert_eq!(read("TEL:911").scheme(), Scheme::Tel);
    for bad in ["tel:", "tel:+", "tel:;x=1", "tel:alice", "tel:+1@host"] {
        assert!(Uri::parse(bad).is_err(), "{bad}");
    }
}

// RFC 5118 §4.1 to §4.4.
#[test]
fn ipv6_references_split_from_the_port() {
    let address = |text: &str| Some(IpAddr::V6(text.parse().unwrap()));
    let uri = read("sip:[2001:db8::10]");
    assert_eq!((uri.host_ip(), uri.port()), (address("2001:db8::10"), None));
    let uri = read("sip:[2001:db8::10:5070]");
    assert_eq!((uri.host_ip(), uri.port()), (address("2001:db8::10:5070"), None));
    let uri = read("sips:user@[2001:db8::10]:5070;lr");
    assert_eq!((uri.host_ip(), uri.port()), (address("2001:db8::10"), Some(5070)));
    let uri = read("sip:[::ffff:192.0.2.10]:19823");
    assert_eq!((uri.host(), uri.port()), ("[::ffff:192.0.2.10]", Some(19823)));
    for bad in [
        "sip:2001:db8::10",
        "sip:[2001:db8::10",
        "sip:[]",
        "sip:[192.0.2.1]",
        "sip:[fe80::1%25eth0]",
        "sip:[::1]5060",
    ] {
        assert!(Uri::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(
        read("sip:192.0.2.1").host_ip(),
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))
    );
}

#[test]
fn headers_are_listed_and_never_decoded() {
    let uri = read("sip:a@b;user=phone?Replaces=cb75%3Bto-tag%3Dx=y&Empty&Route=%3Csip:c%3E");
    let headers: Vec<_> = uri.headers().collect();
    assert_eq!(
        headers,
        [
            ("Replaces", Some("cb75%3Bto-tag%3Dx=y")),
            ("Empty", None),
            ("Route", Some("%3Csip:c%3E"))
        ]
    );
    assert_eq!(uri.param("user"), Some("phone"));
    assert!(uri.has_headers());
    assert_eq!(uri.without_headers().as_str(), "sip:a@b;user=phone");
    assert!(!uri.without_headers().has_headers());
}

#[test]
fn opaque_schemes_are_kept() {
    for text in [
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
        "urn:service:sos",
    ] {
        let uri = read(text);
        assert_eq!((uri.scheme(), uri.host(), uri.as_str()), (Scheme::Other, "", text));
    }
}

#[test]
fn what_is_no_uri_is_refused() {
    for bad in [
        "",
        "sip",
        "sip:",
        ":a",
        "1sip:a",
        "sip:@host",
        "sip::x@host",
        "sip:a@",
        "sip:a@@host",
        "sip:a@b@host",
        "sip:a@host:",
        "sip:a@host:0",
        "sip:a@host:65536",
        "sip:a@host:5x",
        "sip:a b@host",
        "sip:a@host; lr",
        "sip:a@host;",
        "sip:a@host;=1",
        "sip:a@host;;lr",
        "<sip:a@host>",
        "sip:a@ho\"st",
        "sip:a@host\r\n",
        "sip:a@ho st",
        "sip:a@host\0",
        "sip:a@h\u{fc}st",
        "sip:a@host;x@y",
    ] {
        assert!(Uri::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        Uri::parse(&format!("sip:{}", "a".repeat(MAX_URI))),
        Err(UriError::TooLong(MAX_URI + 4))
    );
}

#[test]
fn changes_touch_only_what_they_name() {
    for (uri, plain) in [("SIP:A@X.example;Y", "sip:A@X.example;Y"), ("Tel:+1", "tel:+1")] {
        assert_eq!(read(uri).with_plain_scheme(), read(plain));
    }
    let uri = read("sip:+1425@b.example:5061;user=phone;x-i=1?h=2");
    assert_eq!(
        uri.with_user("a b@c").unwrap().as_str(),
        "sip:a%20b%40c@b.example:5061;user=phone;x-i=1?h=2"
    );
    assert_eq!(
        uri.with_host("2001:db8::1", None).unwrap().as_str(),
        "sip:+1425@[2001:db8::1];user=phone;x-i=1?h=2"
    );
    assert_eq!(
        uri.with_param("USER", Some("ip")).unwrap().as_str(),
        "sip:+1425@b.example:5061;USER=ip;x-i=1?h=2"
    );
    assert_eq!(
        uri.with_param("lr", None).unwrap().as_str(),
        "sip:+1425@b.example:5061;user=phone;x-i=1;lr?h=2"
    );
    assert_eq!(uri.without_param("user").as_str(), "sip:+1425@b.example:5061;x-i=1?h=2");
    assert_eq!(read("sip:b").with_user("1").unwrap().as_str(), "sip:1@b");
    assert_eq!(read("tel:+1;ext=2").with_user("+3").unwrap().as_str(), "tel:+3;ext=2");
    assert!(uri.with_host("evil\r\nX: 1", None).is_err());
    assert!(uri.with_host("a@b", None).is_err());
    assert!(uri.with_param("x", Some("1;y=2")).is_err());
    assert!(uri.with_param("x", Some("1 2")).is_err());
    assert!(uri.with_param("x y", None).is_err());
}

#[test]
fn made_uris_are_escaped() {
    assert_eq!(
        Uri::sip(Some("a@b:c"), "h", Some(5070)).unwrap().as_str(),
        "sip:a%40b%3Ac@h:5070"
    );
    assert_eq!(Uri::sip(Some("*21#"), "::1", None).unwrap().as_str(), "sip:*21#@[::1]");
    assert_eq!(
        Uri::sip(Some("a%20b%zz"), "h", None).unwrap().user(),
        Some("a%20b%25zz")
    );
    assert_eq!(Uri::sip(None, "h;x", None), Err(UriError::Host));
    assert_eq!(Uri::sip(None, "", None), Err(UriError::Host));
}

#[test]
fn serialises_as_its_text() {
    let uri = read("sip:a@b;x-i=1");
    let json = serde_json::to_string(&uri).unwrap();
    assert_eq!(json, "\"sip:a@b;x-i=1\"");
    assert_eq!(serde_json::from_str::<Uri>(&json).unwrap(), uri);
    assert!(serde_json::from_str::<Uri>("\"nothing\"").is_err());
}
