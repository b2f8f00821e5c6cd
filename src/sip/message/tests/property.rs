use super::*;
use crate::sip::header::{Credentials, Reason};
use proptest::prelude::*;

/// Touches every view, so that a panic in one of them shows.
fn walk(message: &Message) {
    let _ = (
        message.from(),
        message.to(),
        message.contact(),
        message.uri(),
        message.cseq(),
        message.max_forwards(),
    );
    for header in message.raw_headers() {
        let Some(id) = header.known else { continue };
        let _ = message.headers(id).count();
        for address in message.addresses(id).flatten() {
            let printed = address.to_string();
            assert_eq!(NameAddr::parse(id, &printed).as_ref(), Ok(&address), "{printed}");
        }
        for text in message.headers(id) {
            let _ = (text.parse::<Reason>(), text.parse::<Credentials>(), Via::parse(text));
        }
    }
    if message.is_request() {
        let answer = ResponseDraft::new(200).to_tag("t").to_bytes(message, source());
        let answer = Message::parse(answer).unwrap_or_else(|error| panic!("{error}: {message:?}"));
        assert_eq!(answer.from_tag(), message.from_tag());
        assert_eq!(answer.call_id(), message.call_id());
        assert_eq!(answer.top_via().branch(), message.top_via().branch());
        assert_eq!(answer.cseq(), message.cseq());
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.!~*'-]{1,12}"
}

fn uri() -> impl Strategy<Value = Uri> {
    let host = prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,4}){0,2}",
        Just("192.0.2.1".to_owned()),
        Just("2001:db8::1".to_owned())
    ];
    let param = (word(), proptest::option::of(word()));
    (
        "[ -~\u{e9}]{0,10}",
        host,
        proptest::option::of(1u16..),
        proptest::collection::vec(param, 0..3),
    )
        .prop_map(|(user, host, port, params)| {
            let user = Some(user.as_str()).filter(|user| !user.is_empty());
            let made = Uri::sip(user, &host, port).unwrap();
            params.iter().fold(made, |uri, (name, value)| {
                uri.with_param(name, value.as_deref()).unwrap()
            })
        })
}

fn address() -> impl Strategy<Value = NameAddr> {
    (
        proptest::option::of(any::<String>()),
        uri(),
        proptest::option::of(any::<String>()),
    )
        .prop_map(|(display, uri, value)| {
            let made = NameAddr::new(uri).with_display(display.as_deref()).with_tag("1");
            match value {
                Some(value) => made.with_param("x", Some(&value)),
                None => made,
            }
        })
}

proptest! {
    #[test]
    fn addresses_read_back(address in address()) {
        prop_assert_eq!(NameAddr::parse(HeaderName::To, &address.to_string()), Ok(address));
    }

    #[test]
    fn uris_read_back(uri in uri()) {
        prop_assert_eq!(Uri::parse(uri.as_str()), Ok(uri));
    }

    #[test]
    fn reasons_read_back(cause in 1u16..700, text in any::<String>()) {
        let text = text.replace(|letter: char| letter.is_control(), "");
        let made = Reason::new("Q.850", cause, Some(&text));
        prop_assert_eq!(made.to_string().parse(), Ok(made));
    }

    #[test]
    fn what_is_written_reads_back(
        uri in uri(), from in address(), to in address(), number in 0u32..1 << 31,
        extra in proptest::collection::vec(("X-[A-Za-z]{1,10}", any::<String>()), 0..6),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (from, to) = (from.to_string(), to.to_string());
        let cseq = format!("{number} INVITE");
        let mut draft = RequestDraft::new(Method::Invite, uri.as_str())
            .header(HeaderName::From, &from)
            .header(HeaderName::To, &to)
            .header(HeaderName::CallId, "c")
            .header(HeaderName::CSeq, &cseq);
        for (name, value) in &extra {
            draft = draft.raw_header(name, value).unwrap();
        }
        let bytes = draft.body("a/b", body.clone()).to_bytes("SIP/2.0/UDP a;branch=z9");
        let message = Message::parse(bytes.clone()).unwrap();
        prop_assert_eq!(message.request_uri(), Some(uri.as_str()));
        prop_assert_eq!(message.header(HeaderName::From), Some(from.as_str()));
        prop_assert_eq!(message.to().unwrap().to_string(), to);
        prop_assert_eq!(message.cseq(), (number, Method::Invite));
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert_eq!(message.as_bytes(), &bytes[..]);
        let relayed: Vec<_> = message.raw_headers().filter(|header| header.known.is_none()).collect();
        prop_assert_eq!(relayed.len(), extra.len());
        for (header, (name, value)) in relayed.iter().zip(&extra) {
            let clean = HeaderValue::cleaned(value);
            prop_assert_eq!(header.name(), name);
            prop_assert_eq!(header.value, grammar::trim_bytes(clean.as_bytes()));
        }
        walk(&message);
    }

    #[test]
    fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::parse(bytes.into()) {
            walk(&message);
        }
    }

    #[test]
    fn no_mutation_makes_a_panic(
        edits in proptest::collection::vec((0usize..TEAMS.len(), 0u8..4, any::<u8>(), 0usize..40), 1..6),
    ) {
        let mut bytes = TEAMS.as_bytes().to_vec();
        const PIECES: &[&[u8]] = &[b"\r\n", b"\r\n ", b"\"", b"<", b">", b";", b",", b"=", b":", b"@", b"\\", b"\0", b"[", b"?"];
        for (at, kind, byte, length) in edits {
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => { bytes.splice(at..end, []); }
                1 => { bytes.splice(at..at, PIECES[usize::from(byte) % PIECES.len()].iter().copied()); }
                2 => { let part = bytes[at..end].to_vec(); bytes.splice(at..at, part); }
                _ => { if let Some(old) = bytes.get_mut(at) { *old = byte; } }
            }
        }
        match Message::parse(bytes.into()) {
            Ok(message) => walk(&message),
            Err(error) => { let _ = (error.to_string(), error.status(), error.answer("t", source())); }
        }
    }
}
