//! Behaviour of the parser and the writer: torture messages, hostile input, what Teams sends.

mod hostile;
mod property;
mod torture;
mod writing;

use super::*;

pub(super) fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

pub(super) fn read(text: &str) -> Message {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn source() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([192, 0, 2, 9], 40000))
}

/// A Teams INVITE without body: capitals, an unquoted name that touches the bracket, opaque Contact parameters.
pub(super) const TEAMS: &str = "INVITE sip:*21#@woodgrove.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0\r\n\
FROM: Ada Jones<sip:+14255550111@sip.pstnhub.example.com:5061;user=phone>;tag=1779cf3a\r\n\
TO: <sip:*21#@woodgrove.sbc1.example.net:5061;user=phone>\r\n\
CSEQ: 1 INVITE\r\n\
CALL-ID: 0a3d72134fb3d6c024db4c510bc1605b\r\n\
MAX-FORWARDS: 70\r\n\
VIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a6f150b\r\n\
RECORD-ROUTE: <sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>\r\n\
CONTACT: <sip:api-du-a-euno.pstnhub.example.com:443;x-i=81f328d9;x-c=81f3/d/8/fae2>\r\n\
P-ASSERTED-IDENTITY: <tel:+14255550111>,<sip:ada@woodgrove.example>\r\n\
X-MS-UserLocation: external\r\n\
REASON: Q.850;cause=16;text=\"81f328d9;Local user, gone\", SIP;cause=487\r\n\
CONTENT-LENGTH: 0\r\n\r\n";

/// The same with one line changed.
pub(super) fn with(line: &str, replacement: &str) -> String {
    assert!(TEAMS.contains(line), "{line}");
    TEAMS.replace(line, replacement)
}

#[test]
fn what_teams_sends_is_read() {
    let message = read(TEAMS);
    assert_eq!(message.method(), Some(&Method::Invite));
    assert_eq!(message.uri().unwrap().user(), Some("*21#"));
    assert_eq!(message.from().unwrap().display(), Some("Ada Jones"));
    assert_eq!((message.from_tag(), message.to_tag()), (Some("1779cf3a"), None));
    assert_eq!(message.call_id(), "0a3d72134fb3d6c024db4c510bc1605b");
    assert_eq!(message.cseq(), (1, Method::Invite));
    assert_eq!(message.max_forwards(), Some(70));
    assert_eq!(message.top_via().branch(), Some("z9hG4bK7a6f150b"));
    let contact = message.contact().unwrap().unwrap();
    assert_eq!(contact.uri().param("x-c"), Some("81f3/d/8/fae2"));
    let identities: Vec<_> = message.headers(HeaderName::PAssertedIdentity).collect();
    assert_eq!(identities, ["<tel:+14255550111>", "<sip:ada@woodgrove.example>"]);
    assert_eq!(message.headers(HeaderName::Reason).count(), 2);
    assert_eq!(message.header_named("x-ms-userlocation"), Some("external"));
    assert_eq!(message.header_named("max-forwards"), Some("70"));
    let raw = message.raw_headers().find(|header| header.known.is_none()).unwrap();
    assert_eq!((raw.name(), raw.value), ("X-MS-UserLocation", &b"external"[..]));
    assert_eq!(message.as_bytes(), TEAMS.as_bytes());
}

#[test]
fn compact_names_folding_and_blanks_are_one_view() {
    let message = read(
        "OPTIONS sip:a@b SIP/2.0\r\nv \t:\r\n  SIP/2.0/UDP a;branch=z9,\r\n\tSIP/2.0/TCP b\r\nf:<sip:f@b>;tag=1\r\n\
         t : <sip:t@b>\r\ni:x\r\nCSeq: 1\r\n OPTIONS\r\nk: 100rel,\r\n timer\r\nm: *\r\nl: 3\r\n\r\nabcdef",
    );
    assert_eq!(
        message.header(HeaderName::Via),
        Some("SIP/2.0/UDP a;branch=z9,  \tSIP/2.0/TCP b")
    );
    let vias: Vec<_> = message.headers(HeaderName::Via).collect();
    assert_eq!(vias, ["SIP/2.0/UDP a;branch=z9", "SIP/2.0/TCP b"]);
    assert!(message.lists(HeaderName::Supported, "TIMER"));
    assert!(message.contact().is_err());
    assert_eq!(message.header(HeaderName::Contact), Some("*"));
    assert_eq!(message.body(), b"abc");
    assert_eq!(&message.body_bytes()[..], b"abc");
}

#[test]
fn latin_1_bytes_survive() {
    let mut bytes = with("Ada Jones", "J\u{1}rgen").into_bytes();
    for byte in &mut bytes {
        if *byte == 1 {
            *byte = 0xfc;
        }
    }
    let message = Message::parse(bytes.into()).unwrap();
    assert_eq!(message.from().unwrap().display(), Some("J\u{fc}rgen"));
    assert_eq!(message.from_tag(), Some("1779cf3a"));
    assert_eq!(message.header(HeaderName::From), None);
    assert!(
        message
            .header_text(HeaderName::From)
            .unwrap()
            .starts_with("J\u{fc}rgen<")
    );
    let answer = ResponseDraft::new(200).to_bytes(&message, source());
    assert!(memchr::memmem::find(&answer, b"From: J\xfcrgen<sip:").is_some());
}

#[test]
fn responses_are_read() {
    let head = "Via: SIP/2.0/UDP a;branch=z9\r\nFrom: <sip:f@b>;tag=1\r\nTo: <sip:t@b>;tag=2\r\nCall-ID: x\r\nCSeq: 7 BYE\r\n\r\n";
    let message = read(&format!("SIP/2.0 486 Busy, really\r\n{head}"));
    assert_eq!((message.status(), message.reason()), (Some(486), "Busy, really"));
    assert_eq!((message.method(), message.cseq()), (None, (7, Method::Bye)));
    assert_eq!((message.from_tag(), message.to_tag()), (Some("1"), Some("2")));
    assert_eq!(read(&format!("SIP/2.0 200 \r\n{head}")).reason(), "");
    assert_eq!(read(&format!("SIP/2.0 699\r\n{head}")).status(), Some(699));
}
