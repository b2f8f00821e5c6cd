use super::*;

#[test]
fn a_request_is_written_with_its_via_and_length() {
    let draft = RequestDraft::new(Method::Invite, "sip:+1425@sip.example.com;user=phone")
        .header(HeaderName::MaxForwards, "69")
        .header(HeaderName::From, "<sip:a@b>;tag=1")
        .raw_header("X-MS-SBC", "portcullis")
        .unwrap()
        .body("application/sdp", &b"v=0\r\n"[..]);
    assert_eq!(
        draft.to_bytes("SIP/2.0/TLS b:5061;branch=z9hG4bKx"),
        &b"INVITE sip:+1425@sip.example.com;user=phone SIP/2.0\r\nVia: SIP/2.0/TLS b:5061;branch=z9hG4bKx\r\n\
Max-Forwards: 69\r\nFrom: <sip:a@b>;tag=1\r\nX-MS-SBC: portcullis\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"[..]
    );
    assert_eq!(draft.value(HeaderName::MaxForwards), Some("69"));
    assert_eq!(
        draft.without(HeaderName::MaxForwards).value(HeaderName::MaxForwards),
        None
    );
}

#[test]
fn nothing_can_be_injected() {
    let evil = "x\r\nEvil: 1\r\n\r\n\0body";
    let draft = RequestDraft::new(Method::Options, format!("sip:a@b {evil}"))
        .header(HeaderName::Subject, evil)
        .header(HeaderName::ContentLength, "7")
        .header(HeaderName::Via, "SIP/2.0/UDP evil")
        .raw_header("X-A", evil)
        .unwrap()
        .body(evil, Bytes::new());
    let bytes = draft.to_bytes(&format!("SIP/2.0/UDP a;branch={evil}"));
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.lines().all(|line| !line.starts_with("Evil")));
    assert_eq!(text.matches("\r\n\r\n").count(), 1);
    assert_eq!(text.matches("\nContent-Length:").count(), 1);
    assert_eq!(text.matches("\nVia:").count(), 1);
    assert!(!text.contains('\0'));
    let new = || RequestDraft::new(Method::Options, "sip:a");
    for name in ["", "a b", "a:b", "a\r\nb", "via", "V", "l", "Content-Length "] {
        assert!(new().raw_header(name, "1").is_err(), "{name:?}");
    }
    assert!(HeaderValue::new("a\r\nb").is_err());
    assert!(HeaderValue::new("a\0b").is_err());
    assert_eq!(
        HeaderValue::new("J\u{fc}rgen\t").unwrap().as_bytes(),
        "J\u{fc}rgen\t".as_bytes()
    );
    assert_eq!(HeaderValue::cleaned("a\r\nb").as_bytes(), b"a  b");
    let phrase = ResponseDraft::new(200)
        .reason(evil)
        .to_tag(evil)
        .to_bytes(&read(TEAMS), source());
    assert!(!std::str::from_utf8(&phrase).unwrap().contains("\nEvil"));
}

#[test]
fn a_response_repeats_what_it_must() {
    let request = read(&with(
        "VIA: SIP/2.0/TLS 192.0.2.10:5061",
        "TIMESTAMP: 5\r\nVIA: SIP/2.0/TLS 192.0.2.10:5061;rport",
    ));
    let written = ResponseDraft::new(180).to_tag("ours").to_bytes(&request, source());
    assert_eq!(
        std::str::from_utf8(&written).unwrap(),
        "SIP/2.0 180 Ringing\r\n\
         From: Ada Jones<sip:+14255550111@sip.pstnhub.example.com:5061;user=phone>;tag=1779cf3a\r\n\
         To: <sip:*21#@woodgrove.sbc1.example.net:5061;user=phone>;tag=ours\r\n\
         CSeq: 1 INVITE\r\n\
         Call-ID: 0a3d72134fb3d6c024db4c510bc1605b\r\n\
         Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a6f150b;received=192.0.2.9;rport=40000\r\n\
         Record-Route: <sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let trying = Message::parse(ResponseDraft::new(100).to_bytes(&request, source())).unwrap();
    assert_eq!(trying.header(HeaderName::Timestamp), Some("5"));
    assert_eq!((trying.to_tag(), trying.header(HeaderName::RecordRoute)), (None, None));
}

#[test]
fn a_tag_in_to_is_never_doubled_and_only_the_top_via_is_filled() {
    let request = read(
        "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP one;branch=z9;rport , SIP/2.0/UDP two;branch=z8;rport\r\n\
         Via: SIP/2.0/UDP three;rport\r\nFrom: <sip:f@b>;tag=1\r\nTo: <sip:t@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n",
    );
    let written = ResponseDraft::new(481).to_tag("ours").to_bytes(&request, source());
    let answer = Message::parse(written).unwrap();
    assert_eq!(answer.to_tag(), Some("2"));
    let vias: Vec<_> = answer.headers(HeaderName::Via).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP one;branch=z9;received=192.0.2.9;rport=40000",
            "SIP/2.0/UDP two;branch=z8;rport",
            "SIP/2.0/UDP three;rport"
        ]
    );
}
