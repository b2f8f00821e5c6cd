//! SIP: what comes in datagrams and on streams, and the values in it.

use bytes::Bytes;
use portcullis::moment::Moment;
use portcullis::sip::dialog::{Dialog, DialogId};
use portcullis::sip::digest::{Algorithm, Authorizations, Credentials, DigestClient, DigestServer, Realm, realm_of};
use portcullis::sip::header::{Challenge, Credentials as Authorization, Params, Reason, Replaces, RetryAfter, Warning};
use portcullis::sip::locate::Target;
use portcullis::sip::session_timer::SessionExpires;
use portcullis::sip::{
    Frame, FramingError, HeaderName, Message, Method, NameAddr, ResponseDraft, StreamFramer, Uri, Via,
};
use std::net::SocketAddr;

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 5060))
}

/// One datagram: the message, each typed view of it, and what we would answer.
pub fn datagram(bytes: &[u8]) {
    match Message::parse(Bytes::copy_from_slice(bytes)) {
        Ok(message) => look_at(&message),
        Err(error) => {
            let _shown = (error.to_string(), error.status(), error.offset());
            is_answer(error.answer("t", source()), error.status());
        }
    }
}

/// An answer to what can't be read repeats of it what may be wrong, in whole lines.
fn is_answer(answer: Option<Bytes>, status: u16) {
    if let Some(answer) = answer {
        assert!(
            answer.starts_with(format!("SIP/2.0 {status} ").as_bytes()),
            "{answer:?}"
        );
        assert!(answer.ends_with(b"\r\n\r\n"), "{answer:?}");
    }
}

fn look_at(message: &Message) {
    let _views = (
        message.contact(),
        message.uri(),
        message.max_forwards(),
        message.top_via().received(),
    );
    let _shown = format!("{message:?}");
    assert_eq!(message.challenges().count(), message.challenges().count());
    for header in message.raw_headers() {
        assert!(!header.name().is_empty());
        let Some(name) = header.known else { continue };
        for address in message.addresses(name).flatten() {
            let printed = address.to_string();
            assert_eq!(NameAddr::parse(name, &printed).as_ref(), Ok(&address), "{printed}");
        }
        for text in message.headers(name) {
            header_value(text);
        }
    }
    if message.is_request() {
        let draft = ResponseDraft::new(200).to_tag("t");
        let answer = Message::parse(draft.to_bytes(message, source())).expect("what we answer can be read");
        assert_eq!(answer.from_tag(), message.from_tag());
        assert_eq!(answer.call_id(), message.call_id());
        assert_eq!(answer.top_via().branch(), message.top_via().branch());
        assert_eq!(answer.cseq(), message.cseq());
        let _id = DialogId::of_request(message);
        if let Ok(mut dialog) = Dialog::from_request(message, "t") {
            dialog.confirm();
            let _accepted = dialog.accept_request(message);
            let bye = dialog.request(Method::Bye).to_bytes("SIP/2.0/UDP a;branch=z9hG4bK1");
            Message::parse(bye).expect("what we send can be read");
            let _hop = Target::from_uri(&dialog.next_hop_uri());
        }
    }
}

/// A connection's bytes: how they are cut into reads must change no message. Keep-alives are told by what came at once.
pub fn stream(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = frames(bytes, StreamFramer::MAX_BUFFERED);
    let pieces = frames(bytes, 1 + usize::from(step));
    let is_message = |frame: &&Frame| matches!(frame, Frame::Message(_));
    let messages = whole.0.iter().filter(is_message);
    assert!(messages.eq(pieces.0.iter().filter(is_message)), "{whole:?}\n{pieces:?}");
    match (whole.1, pieces.1) {
        (None, None) => {}
        (Some(one), Some(other)) => {
            // A head that is too large is known sooner when it comes in pieces.
            assert_eq!(one.status(), other.status(), "{one} {other}");
            for error in [one, other] {
                is_answer(error.answer("t", source()), error.status());
            }
        }
        (one, other) => panic!("{one:?} in one piece, {other:?} in several"),
    }
    for frame in whole.0 {
        if let Frame::Message(bytes) = frame {
            let _message = Message::parse(bytes);
        }
    }
}

fn frames(bytes: &[u8], step: usize) -> (Vec<Frame>, Option<FramingError>) {
    let mut framer = StreamFramer::new();
    let mut found = Vec::new();
    for piece in bytes.chunks(step) {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// A URI, in each way that it is taken apart and changed.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(uri) = Uri::parse(text) else { return };
    assert_eq!(uri.as_str(), text);
    let _parts = (uri.user(), uri.host(), uri.host_ip(), uri.port());
    for (name, value) in uri.params() {
        assert!(uri.param(name).is_some() || value.is_none(), "{name}");
    }
    let _headers = uri.headers().count();
    let _target = Target::from_uri(&uri);
    assert_eq!(uri, uri.clone());
    let plain = uri.without_headers();
    assert!(!plain.has_headers());
    let changed = [
        Ok(plain),
        Ok(uri.without_param("transport")),
        uri.with_param("transport", Some("tls")),
        uri.with_user("1 2\u{e9};@"),
        uri.with_host("2001:db8::1", Some(5061)),
    ];
    for changed in changed.into_iter().flatten() {
        assert_eq!(Uri::parse(changed.as_str()).as_ref(), Ok(&changed));
    }
}

/// The value of a header, as each of the kinds that are read.
pub fn header_values(bytes: &[u8]) {
    for name in [HeaderName::To, HeaderName::Contact, HeaderName::Route] {
        if let Ok(address) = NameAddr::parse_bytes(name, bytes) {
            let printed = address.to_string();
            assert_eq!(NameAddr::parse(name, &printed).as_ref(), Ok(&address), "{printed}");
            let tagged = address.with_tag("t").with_display(Some("\"\\\u{e9}"));
            assert_eq!(NameAddr::parse(name, &tagged.to_string()).as_ref(), Ok(&tagged));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        header_value(text);
    }
}

fn header_value(text: &str) {
    if let Ok(reason) = text.parse::<Reason>() {
        assert_eq!(reason.to_string().parse::<Reason>().as_ref(), Ok(&reason), "{reason}");
    }
    if let Ok(via) = Via::parse(text) {
        let received = via.as_received_from(source());
        let again = Via::parse(&received).expect("what we print can be read");
        assert_eq!(again.branch(), via.branch());
        let _parts = (
            via.host(),
            via.port(),
            via.sent_by(),
            via.received(),
            via.rport(),
            via.maddr(),
            via.ttl(),
        );
    }
    if let Some(params) = Params::parse(text) {
        let changed = params.clone().with("x", Some("\"")).without("y");
        assert!(changed.get("x").is_some() && changed.get("y").is_none());
        for (name, _) in params.iter() {
            let _value = params.unquoted(name);
        }
    }
    let _other = (
        text.parse::<Challenge>(),
        text.parse::<Authorization>(),
        text.parse::<Replaces>(),
        text.parse::<RetryAfter>(),
        text.parse::<Warning>(),
        SessionExpires::parse(text),
    );
}

/// A challenge that is answered, and credentials that are checked.
pub fn digest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let realm = realm_of(text);
    let mut client = DigestClient::new(Credentials {
        realm: realm.unwrap_or_default(),
        username: "a\"b".into(),
        password: "p".into(),
    });
    if let Ok(answer) = client.answer([text], "INVITE", "sip:a@b", "c") {
        let read: Authorization = answer.parse().expect("what we answer can be read");
        assert_eq!(read.param("username").as_deref(), Some("a\"b"));
        assert_eq!(read.param("uri").as_deref(), Some("sip:a@b"));
        let _next = client.authorize("BYE", "sip:a@b", "c");
    }
    let server = DigestServer::new([7; 32]);
    let realm = Realm {
        name: "r",
        algorithms: &[Algorithm::Sha256, Algorithm::Md5],
        source: None,
    };
    let read = server.read(&Authorizations::read([text]), realm, Moment::from_micros(1_000_000));
    read.expect_err("nobody guesses a nonce that was never made");
}
