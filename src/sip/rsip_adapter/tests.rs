//! The other parser as a judge: where it reads a message, ours reads the same.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use rsip::prelude::*;

fn via_and_dialog(message: &rsip::SipMessage) -> Vec<Option<String>> {
    let via = message.via_header().unwrap().typed().unwrap();
    let from = message.from_header().unwrap().typed().unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    vec![
        via.branch().map(|branch| branch.value().to_owned()),
        Some(via.transport.to_string()),
        Some(via.uri.host_with_port.to_string()),
        from.tag().map(|tag| tag.value().to_owned()),
        to.tag().map(|tag| tag.value().to_owned()),
        from.uri.user().map(str::to_owned),
        Some(from.uri.host_with_port.to_string()),
        Some(cseq.seq.to_string()),
        Some(cseq.method.to_string()),
        Some(message.call_id_header().unwrap().value().to_owned()),
    ]
}

fn ours(message: &Message) -> Vec<Option<String>> {
    let text = |text: &str| text.to_owned();
    let (via, from) = (message.top_via(), message.from().unwrap());
    let uri = from.uri();
    let host = match uri.port() {
        Some(port) => format!("{}:{port}", uri.host()),
        None => uri.host().to_owned(),
    };
    let (number, method) = message.cseq();
    vec![
        via.branch().map(text),
        Some(via.transport().to_owned()),
        Some(via.sent_by().to_owned()),
        message.from_tag().map(text),
        message.to_tag().map(text),
        uri.user().map(text),
        Some(host),
        Some(number.to_string()),
        Some(method.to_string()),
        Some(message.call_id().to_owned()),
    ]
}

proptest! {
    #[test]
    fn where_the_other_parser_reads_we_agree(
        method in prop_oneof![Just("INVITE"), Just("BYE"), Just("OPTIONS"), Just("REFER"), Just("SUBSCRIBE")],
        // With a user of other characters, such as a lone dot, rsip takes the whole userinfo for the host.
        user in "[+a-z0-9][a-z0-9+]{0,11}",
        host in "[a-z]{1,8}(\\.[a-z]{2,5}){0,2}",
        port in proptest::option::of(1u16..),
        transport in prop_oneof![Just("UDP"), Just("TCP"), Just("TLS")],
        display in prop_oneof![Just(String::new()), Just("\"A, B\" ".to_owned()), Just("Ada ".to_owned())],
        from_tag in "[a-z0-9]{1,16}",
        to_tag in proptest::option::of("[a-z0-9]{1,16}"),
        number in 1u32..1 << 31,
        branch in "z9hG4bK[a-zA-Z0-9]{1,20}",
        body in "[a-z=\r\n ]{0,60}",
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let to_tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let wire = format!(
            "{method} sip:{user}@{host}{port};user=phone SIP/2.0\r\nVia: SIP/2.0/{transport} {host}{port};branch={branch}\r\n\
             From: {display}<sip:{user}@{host}{port}>;tag={from_tag}\r\nTo: <sip:b@c>{to_tag}\r\nCall-ID: {branch}@{host}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:{user}@{host}{port}>\r\nX-Unknown: 1, 2\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let message = Message::parse(Bytes::from(wire.clone())).unwrap();
        let converted = rsip::SipMessage::try_from(&message).unwrap();
        prop_assert_eq!(via_and_dialog(&converted), ours(&message));
        prop_assert_eq!(converted.body(), message.body());
        if let Ok(judge) = rsip::SipMessage::try_from(wire.as_str()) {
            prop_assert_eq!(via_and_dialog(&judge), ours(&message));
            prop_assert_eq!(judge.body(), message.body());
            prop_assert_eq!(&judge, &converted);
        }
        let rsip::SipMessage::Request(request) = converted else { panic!("a request") };
        prop_assert_eq!(Uri::try_from(&request.uri).unwrap(), message.uri().unwrap());
        let draft = RequestDraft::try_from(&request).unwrap();
        let again = Message::parse(draft.to_bytes(message.top_via().as_str())).unwrap();
        prop_assert_eq!(ours(&again), ours(&message));
    }
}

#[test]
fn what_the_wire_may_hold_is_normalised_first() {
    let wire = "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9,\r\n SIP/2.0/TCP b;branch=z8\r\nf: <sip:f@b>;tag=1\r\n\
                t: <sip:t@b>\r\ni: x\r\nCSeq: 1 OPTIONS\r\nx: 90\r\nX-Mine: yes\r\n\r\n";
    let message = Message::parse(Bytes::from_static(wire.as_bytes())).unwrap();
    let converted = rsip::SipMessage::try_from(&message).unwrap();
    let vias = converted
        .headers()
        .iter()
        .filter(|header| matches!(header, rsip::Header::Via(_)))
        .count();
    assert_eq!(vias, 2);
    let others: Vec<_> = converted
        .headers()
        .iter()
        .filter_map(|header| match header {
            rsip::Header::Other(name, value) => Some((name.as_str(), value.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(others, [("Session-Expires", "90"), ("X-Mine", "yes")]);
}

#[test]
fn what_it_can_not_say_is_an_error() {
    let lower: Method = "invite".parse().unwrap();
    assert_eq!(rsip::Method::try_from(&lower), Err(RsipError::Method(lower)));
    assert_eq!(rsip::Method::try_from(&Method::Prack), Ok(rsip::Method::PRack));
}
