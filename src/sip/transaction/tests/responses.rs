//! Via going out, and the way back of responses (RFC 3261 §18.2, RFC 3581).

use super::pair::{CALLEE, CALLER, address, draft, flow, hop, settings};
use crate::moment::Moment;
use crate::sip::transaction::{Cause, Limits, Output, SendTo, Settings, Transactions};
use crate::sip::{Flow, HeaderName, HeaderValue, Message, Method, PeerCertificate, ResponseDraft, Transport};
use std::time::Duration;

fn options(via: &str) -> Message {
    let text = format!(
        "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: {via};branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=f\r\n\
         To: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(text.into_bytes().into()).unwrap()
}

/// Where the answer goes and what its top Via says.
fn answer(via: &str, flow: Flow) -> (SendTo, String) {
    let mut table = Transactions::new(settings());
    table.receive(options(via), flow, Moment::ZERO, |_| true);
    let Some(Output::Request { id, .. }) = table.poll() else {
        panic!("no request")
    };
    table.respond(id, &ResponseDraft::new(200), Moment::ZERO).unwrap();
    let Some(Output::Send { to, bytes, .. }) = table.poll() else {
        panic!("no answer")
    };
    (to, Message::parse(bytes).unwrap().top_via().as_str().to_owned())
}

#[test]
fn rport_brings_the_answer_back_through_nat() {
    let natted = flow(Transport::Udp, CALLEE, "203.0.113.5:31000");
    let (to, via) = answer("SIP/2.0/UDP 10.0.0.1:5062;rport", natted.clone());
    assert_eq!(
        to,
        SendTo::Flow {
            flow: natted,
            fallback: None
        }
    );
    assert!(
        via.contains(";received=203.0.113.5") && via.contains(";rport=31000"),
        "{via}"
    );
}

#[test]
fn without_rport_the_sent_by_port_is_used_and_maddr_is_not_followed() {
    let natted = flow(Transport::Udp, CALLEE, "203.0.113.5:31000");
    let (to, via) = answer("SIP/2.0/UDP 10.0.0.1:5062;maddr=198.51.100.77", natted.clone());
    let flow = Flow {
        remote: address("203.0.113.5:5062"),
        ..natted
    };
    assert_eq!(to, SendTo::Flow { flow, fallback: None });
    assert!(via.contains(";received=203.0.113.5"), "{via}");
}

#[test]
fn a_lost_connection_is_replaced_by_one_to_the_sent_by_port() {
    let tls = flow(Transport::Tls, CALLEE, "203.0.113.5:31000");
    let (to, _) = answer("SIP/2.0/TLS edge.example.com:5063", tls.clone());
    let SendTo::Flow {
        flow,
        fallback: Some(fallback),
    } = to
    else {
        panic!("{to:?}")
    };
    assert_eq!(flow, tls);
    assert_eq!(fallback.remote, address("203.0.113.5:5063"));
    assert_eq!(fallback.server_name.as_deref(), Some("edge.example.com"));
}

/// Teams' Via mostly is an address, or a host that no certificate bears.
#[test]
fn a_lost_connection_is_replaced_by_one_that_proves_what_it_had_proven() {
    let proof = |via: &str, names: Option<&[&str]>| {
        let peer = names.map(|names| PeerCertificate {
            common_name: None,
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            serial: "01".into(),
            not_after: 0,
        });
        let tls = Flow {
            peer: peer.map(Into::into),
            ..flow(Transport::Tls, CALLEE, "203.0.113.5:31000")
        };
        match answer(&format!("SIP/2.0/TLS {via}"), tls).0 {
            SendTo::Flow {
                fallback: Some(fallback),
                ..
            } => {
                assert_eq!(fallback.remote, address("203.0.113.5:5063"));
                fallback.server_name.as_deref().map(str::to_owned).expect("a name")
            }
            other => panic!("{other:?}"),
        }
    };
    let teams = ["*.hub.example", "sip.hub.example", "sip2.hub.example"];
    for (via, names, proven) in [
        ("203.0.113.5:5063", Some(&teams[..]), "sip.hub.example"),
        ("api.hub.example:5063", Some(&teams), "sip.hub.example"),
        ("SIP2.hub.example:5063", Some(&teams), "SIP2.hub.example"),
        ("api.hub.example:5063", Some(&["*.hub.example"]), "api.hub.example"),
        ("api.hub.example:5063", None, "api.hub.example"),
        ("203.0.113.5:5063", None, "203.0.113.5"),
        ("[2001:db8::1]:5063", None, "2001:db8::1"),
    ] {
        assert_eq!(proof(via, names), proven, "{via} {names:?}");
    }
}

#[test]
fn what_was_queued_on_a_connection_that_died_goes_to_the_fallback_once() {
    let [tls, udp] = [Transport::Tls, Transport::Udp].map(|transport| flow(transport, CALLEE, "203.0.113.5:31000"));
    for (flow, again) in [(tls, true), (udp, false)] {
        let mut table = Transactions::new(settings());
        let invite = options(&format!("SIP/2.0/{} edge.example.com:5063", flow.transport.via_name()));
        let invite = String::from_utf8_lossy(invite.as_bytes()).replace("OPTIONS", "INVITE");
        let invite = Message::parse(invite.into_bytes().into()).unwrap();
        table.receive(invite, flow, Moment::ZERO, |_| true);
        let Some(Output::Request { id, .. }) = table.poll() else {
            panic!("no request")
        };
        for status in [180, 486] {
            table.respond(id, &ResponseDraft::new(status), Moment::ZERO).unwrap();
            let Some(Output::Send {
                transaction: Some(transaction),
                bytes: first,
                ..
            }) = table.poll()
            else {
                panic!("no answer")
            };
            table.transport_failed(transaction);
            match table.poll() {
                Some(Output::Send { bytes, .. }) => assert!(again && bytes == first),
                None => assert!(!again, "{status}"),
                other => panic!("{other:?}"),
            }
            table.transport_failed(transaction);
            assert!(table.poll().is_none());
        }
    }
}

/// A client's certificate may be for another name than its server's.
#[test]
fn where_nobody_proves_what_was_proven_what_via_names_will_do() {
    let peer = PeerCertificate {
        common_name: None,
        dns_names: vec!["client.example.com".into()],
        serial: "01".into(),
        not_after: 0,
    };
    let tls = Flow {
        peer: Some(peer.into()),
        ..flow(Transport::Tls, CALLEE, "203.0.113.5:31000")
    };
    for (via, proofs) in [
        ("edge.example.com:5063", &["client.example.com", "edge.example.com"][..]),
        ("203.0.113.5:5063", &["client.example.com"]),
    ] {
        let mut table = Transactions::new(settings());
        let invite = options(&format!("SIP/2.0/TLS {via}"));
        let invite = String::from_utf8_lossy(invite.as_bytes()).replace("OPTIONS", "INVITE");
        let invite = Message::parse(invite.into_bytes().into()).unwrap();
        table.receive(invite, tls.clone(), Moment::ZERO, |_| true);
        let Some(Output::Request { id, .. }) = table.poll() else {
            panic!("no request")
        };
        table.respond(id, &ResponseDraft::new(200), Moment::ZERO).unwrap();
        let (mut proven, mut last) = (Vec::new(), None);
        while let Some(Output::Send {
            transaction: Some(transaction),
            to: SendTo::Flow {
                fallback: Some(fallback),
                ..
            },
            ..
        }) = table.poll()
        {
            let again = last.replace(transaction).is_some();
            if again {
                proven.push(fallback.server_name.expect("a name").to_string());
            }
            assert!(proven.len() < 5, "without end");
            table.transport_failed(transaction);
        }
        assert_eq!(proven, proofs, "{via}");
    }
}

#[test]
fn who_is_refused_without_a_transaction_has_nothing_opened() {
    let tcp = flow(Transport::Tcp, CALLEE, "203.0.113.5:31000");
    let sent = |table: &mut Transactions| match table.poll() {
        Some(Output::Send { to, .. }) => to,
        other => panic!("{other:?}"),
    };
    let nowhere_else = SendTo::Flow {
        flow: tcp.clone(),
        fallback: None,
    };
    let request = || options("SIP/2.0/TCP 10.0.0.1:5062");
    let mut table = Transactions::new(settings());
    table.receive(request(), tcp.clone(), Moment::ZERO, |_| true);
    let Some(Output::Request { id, .. }) = table.poll() else {
        panic!("no request")
    };
    table.refuse(id, Some(ResponseDraft::new(401)));
    assert_eq!(sent(&mut table), nowhere_else);

    let limits = Limits {
        max_transactions: 0,
        ..Limits::default()
    };
    let mut full = Transactions::new(Settings { limits, ..settings() });
    full.receive(request(), tcp, Moment::ZERO, |_| true);
    assert_eq!(sent(&mut full), nowhere_else);
}

#[test]
fn requests_ask_for_rport_over_udp_alone() {
    for (transport, rport) in [(Transport::Udp, true), (Transport::Tls, false)] {
        let mut table = Transactions::new(settings());
        table
            .request(
                &draft(Method::Options, 1),
                hop(transport, CALLEE),
                1,
                "sbc.example.com:5061",
                Moment::ZERO,
            )
            .unwrap();
        let Some(Output::Send { bytes, .. }) = table.poll() else {
            panic!("nothing sent")
        };
        let message = Message::parse(bytes).unwrap();
        let via = message.top_via();
        assert_eq!(
            (via.sent_by(), via.transport()),
            ("sbc.example.com:5061", transport.via_name())
        );
        assert_eq!(via.rport().is_some(), rport);
        assert!(
            via.branch()
                .is_some_and(|branch| branch.starts_with("z9hG4bK") && branch.len() > 30)
        );
    }
}

#[test]
fn the_ack_of_a_refusal_and_the_cancel_repeat_what_routes_the_invite() {
    let mut table = Transactions::new(settings());
    let invite = draft(Method::Invite, 5);
    let id = table
        .request(&invite, hop(Transport::Udp, CALLEE), 1, CALLER, Moment::ZERO)
        .unwrap();
    let Some(Output::Send { bytes, .. }) = table.poll() else {
        panic!("nothing sent")
    };
    let invite = Message::parse(bytes).unwrap();
    let reply = |table: &mut Transactions, status| {
        let bytes = ResponseDraft::new(status)
            .to_tag("bob")
            .to_bytes(&invite, address(CALLER));
        table.receive(
            Message::parse(bytes).unwrap(),
            flow(Transport::Udp, CALLER, CALLEE),
            Moment::ZERO,
            |_| true,
        );
        std::iter::from_fn(|| table.poll())
            .filter_map(|output| match output {
                Output::Send { bytes, .. } => Some(Message::parse(bytes).unwrap()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let reason = HeaderValue::new("SIP;cause=200;text=\"Call completed elsewhere\"").unwrap();
    table.cancel(id, vec![(HeaderName::Reason, reason)], Moment::ZERO);
    let cancel = reply(&mut table, 180).pop().unwrap();
    assert_eq!(
        cancel.header(HeaderName::Reason),
        Some("SIP;cause=200;text=\"Call completed elsewhere\"")
    );
    assert_eq!(cancel.to_tag(), None);
    let ack = reply(&mut table, 487).pop().unwrap();
    assert_eq!(ack.to_tag(), Some("bob"));
    for (message, method) in [(&cancel, Method::Cancel), (&ack, Method::Ack)] {
        assert_eq!(message.method(), Some(&method));
        assert_eq!(message.request_uri(), invite.request_uri());
        assert_eq!(message.top_via(), invite.top_via());
        assert_eq!(message.header(HeaderName::Route), Some("<sip:edge.example.com;lr>"));
        assert_eq!(message.cseq(), (5, method));
        assert_eq!(
            (message.call_id(), message.from_tag()),
            (invite.call_id(), invite.from_tag())
        );
    }
}

#[test]
fn a_request_that_cannot_be_sent_fails_at_once_and_an_answered_one_does_not() {
    let mut table = Transactions::new(settings());
    table
        .request(
            &draft(Method::Invite, 1),
            hop(Transport::Tls, CALLEE),
            9,
            CALLER,
            Moment::ZERO,
        )
        .unwrap();
    let Some(Output::Send {
        transaction: Some(id), ..
    }) = table.poll()
    else {
        panic!("nothing sent")
    };
    table.transport_failed(id);
    assert!(matches!(
        table.poll(),
        Some(Output::Failed {
            token: 9,
            cause: Cause::Transport,
            ..
        })
    ));
    table.transport_failed(id);
    assert!(table.poll().is_none());
    assert_eq!(table.counters().undeliverable, 2);
    table.assert_reclaimed();

    table.receive(
        options("SIP/2.0/TLS a.example.com"),
        flow(Transport::Tls, CALLEE, CALLER),
        Moment::ZERO,
        |_| true,
    );
    let Some(Output::Request { id, .. }) = table.poll() else {
        panic!("no request")
    };
    table.respond(id, &ResponseDraft::new(100), Moment::ZERO).unwrap();
    let Some(Output::Send {
        transaction: Some(sent),
        ..
    }) = table.poll()
    else {
        panic!("no answer")
    };
    table.transport_failed(sent);
    assert!(
        table
            .respond(id, &ResponseDraft::new(200), Moment::ZERO + Duration::from_secs(1))
            .is_ok()
    );
}
