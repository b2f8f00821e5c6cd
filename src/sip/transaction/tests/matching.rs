//! Who belongs to which transaction (RFC 3261 §17.2.3).

use super::pair::{CALLEE, CALLER, flow, settings};
use crate::moment::Moment;
use crate::sip::transaction::{Output, ServerTransactionId, Shard, Transactions};
use crate::sip::{Flow, Message, PeerCertificate, ResponseDraft, Transport};
use std::sync::Arc;
use std::time::Duration;

/// A request with the parts that matching looks at.
struct Crafted<'a> {
    method: &'a str,
    branch: &'a str,
    sent_by: &'a str,
    to_tag: Option<&'a str>,
    cseq: u32,
}

const INVITE: Crafted = Crafted {
    method: "INVITE",
    branch: "z9hG4bKone",
    sent_by: "192.0.2.1:5060",
    to_tag: None,
    cseq: 7,
};

impl Crafted<'_> {
    fn message(&self) -> Message {
        let Crafted {
            method,
            branch,
            sent_by,
            cseq,
            ..
        } = self;
        let tag = self.to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch={branch}\r\n\
             From: <sip:a@x>;tag=f\r\nTo: <sip:b@y>{tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:a@192.0.2.1>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).unwrap()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Got {
    Sent(u16),
    Request(ServerTransactionId),
    Ack,
    Cancelled(ServerTransactionId),
    Other,
}

fn receive(table: &mut Transactions, crafted: &Crafted, flow: &Flow) -> Vec<Got> {
    table.receive(crafted.message(), flow.clone(), Moment::ZERO, |_| true);
    drain(table)
}

fn drain(table: &mut Transactions) -> Vec<Got> {
    std::iter::from_fn(|| table.poll())
        .map(|output| match output {
            Output::Send { bytes, .. } => Got::Sent(Message::parse(bytes).unwrap().status().unwrap()),
            Output::Request { id, .. } => Got::Request(id),
            Output::Ack { .. } => Got::Ack,
            Output::Cancelled { id, .. } => Got::Cancelled(id),
            _ => Got::Other,
        })
        .collect()
}

fn invited(table: &mut Transactions, flow: &Flow) -> ServerTransactionId {
    let id = match receive(table, &INVITE, flow)[..] {
        [Got::Request(id)] => id,
        ref other => panic!("{other:?}"),
    };
    table.trying(id);
    assert_eq!(drain(table), [Got::Sent(100)]);
    id
}

fn table() -> Transactions {
    Transactions::new(settings())
}

fn udp() -> Flow {
    flow(Transport::Udp, CALLEE, CALLER)
}

#[test]
fn a_storm_of_one_invite_is_one_call_and_100_repeated() {
    let mut table = table();
    invited(&mut table, &udp());
    for _ in 0..1_000 {
        assert_eq!(receive(&mut table, &INVITE, &udp()), [Got::Sent(100)]);
    }
    assert_eq!((table.len(), table.counters().repeated_requests), (1, 1_000));
}

#[test]
fn an_invite_that_is_refused_or_passed_over_hears_no_100() {
    let request = |table: &mut Transactions| match receive(table, &INVITE, &udp())[..] {
        [Got::Request(id)] => id,
        ref other => panic!("{other:?}"),
    };
    let mut table = table();
    let id = request(&mut table);
    table.refuse(id, None);
    table.trying(id);
    assert_eq!((drain(&mut table), table.len()), (vec![], 0));

    let id = request(&mut table);
    table.refuse(id, Some(ResponseDraft::new(403)));
    table.trying(id);
    assert_eq!((drain(&mut table), table.len()), (vec![Got::Sent(403)], 0));

    let id = request(&mut table);
    let busy = ResponseDraft::new(486).to_tag("t");
    table.respond(id, &busy, Moment::ZERO).unwrap();
    table.trying(id);
    assert_eq!(drain(&mut table), [Got::Sent(486)]);
}

#[test]
fn the_same_branch_of_another_sent_by_or_source_is_another_request() {
    let mut table = table();
    let id = invited(&mut table, &udp());
    let hijack = Crafted {
        method: "CANCEL",
        ..INVITE
    };
    let stranger = flow(Transport::Udp, CALLEE, "203.0.113.9:5060");
    assert_eq!(receive(&mut table, &hijack, &stranger), [Got::Sent(481)]);
    let other_sent_by = Crafted {
        method: "CANCEL",
        sent_by: "192.0.2.1:5070",
        ..INVITE
    };
    assert_eq!(receive(&mut table, &other_sent_by, &udp()), [Got::Sent(481)]);
    assert_eq!(
        receive(&mut table, &hijack, &udp()),
        [Got::Sent(200), Got::Cancelled(id)]
    );
    assert_eq!(receive(&mut table, &hijack, &udp()), [Got::Sent(200)]);
    assert_eq!(table.counters().stray_cancels, 2);
}

#[test]
fn a_peer_with_a_certificate_may_cancel_from_another_address_of_its_own() {
    let peer = Arc::new(PeerCertificate {
        common_name: None,
        dns_names: vec!["sip.pstnhub.microsoft.com".to_owned()],
        serial: "1".to_owned(),
        not_after: 0,
    });
    let proven = |remote| Flow {
        peer: Some(peer.clone()),
        ..flow(Transport::Tls, CALLEE, remote)
    };
    let mut table = table();
    let id = invited(&mut table, &proven("192.0.2.1:40000"));
    let cancel = Crafted {
        method: "CANCEL",
        ..INVITE
    };
    assert_eq!(
        receive(&mut table, &cancel, &proven("192.0.2.2:40001")),
        [Got::Sent(200), Got::Cancelled(id)]
    );
}

#[test]
fn a_copy_by_another_path_is_refused_but_a_retry_after_refusal_is_not() {
    let mut table = table();
    let id = invited(&mut table, &udp());
    let copy = Crafted {
        branch: "z9hG4bKtwo",
        ..INVITE
    };
    assert_eq!(receive(&mut table, &copy, &udp()), [Got::Sent(482)]);
    assert_eq!(table.counters().merged, 1);
    table
        .respond(id, &ResponseDraft::new(503).to_tag("t"), Moment::ZERO)
        .unwrap();
    assert_eq!(drain(&mut table), [Got::Sent(503)]);
    assert!(matches!(receive(&mut table, &copy, &udp())[..], [Got::Request(_)]));
}

#[test]
fn acks_go_where_they_belong() {
    let mut table = table();
    let id = invited(&mut table, &udp());
    table
        .respond(id, &ResponseDraft::new(200).to_tag("t"), Moment::ZERO)
        .unwrap();
    drain(&mut table);
    let of_2xx = Crafted {
        method: "ACK",
        branch: "z9hG4bKack",
        to_tag: Some("t"),
        ..INVITE
    };
    assert_eq!(receive(&mut table, &of_2xx, &udp()), [Got::Ack]);
    let same_branch = Crafted {
        branch: "z9hG4bKone",
        ..of_2xx
    };
    assert_eq!(receive(&mut table, &same_branch, &udp()), [Got::Ack]);

    let refused = Crafted {
        branch: "z9hG4bKtwo",
        cseq: 8,
        ..INVITE
    };
    let Some(Got::Request(id)) = receive(&mut table, &refused, &udp()).pop() else {
        panic!("no request")
    };
    table
        .respond(id, &ResponseDraft::new(404).to_tag("t"), Moment::ZERO)
        .unwrap();
    drain(&mut table);
    let of_404 = Crafted {
        method: "ACK",
        to_tag: Some("t"),
        ..refused
    };
    assert_eq!(receive(&mut table, &of_404, &udp()), []);
}

#[test]
fn a_peer_of_rfc_2543_is_matched_by_call_id_tag_and_cseq() {
    let mut table = table();
    let old = Crafted { branch: "1", ..INVITE };
    let Some(Got::Request(id)) = receive(&mut table, &old, &udp()).pop() else {
        panic!("no request")
    };
    table.trying(id);
    assert_eq!(drain(&mut table), [Got::Sent(100)]);
    assert_eq!(receive(&mut table, &old, &udp()), [Got::Sent(100)]);
    let cancel = Crafted {
        method: "CANCEL",
        ..old
    };
    assert_eq!(
        receive(&mut table, &cancel, &udp()),
        [Got::Sent(200), Got::Cancelled(id)]
    );
    let next = Crafted {
        to_tag: Some("t"),
        cseq: 8,
        ..old
    };
    assert!(matches!(receive(&mut table, &next, &udp())[..], [Got::Request(_)]));
}

#[test]
fn a_response_that_matches_nothing_is_counted_and_dropped() {
    let mut table = table();
    for branch in ["z9hG4bK0000feedbeef", "x", "z9hG4bK"] {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch={branch}\r\nFrom: <sip:a@x>;tag=f\r\n\
             To: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(text.into_bytes().into()).unwrap();
        table.receive(message, udp(), Moment::ZERO, |_| true);
    }
    assert_eq!(drain(&mut table), []);
    assert_eq!(table.counters().stray_responses, 3);
}

#[test]
fn ten_thousand_requests_of_a_vanished_source_are_reclaimed() {
    let mut table = table();
    for number in 0..10_000 {
        let branch = format!("z9hG4bK{number}");
        receive(
            &mut table,
            &Crafted {
                method: "MESSAGE",
                branch: &branch,
                ..INVITE
            },
            &udp(),
        );
    }
    assert_eq!(table.len(), 10_000);
    table.handle_timeout(Moment::ZERO + Duration::from_secs(33));
    assert_eq!(table.counters().abandoned, 10_000);
    table.assert_reclaimed();
}

#[test]
fn every_answer_but_100_has_a_to_tag_and_keeps_the_one_it_was_given() {
    let options = Crafted {
        method: "OPTIONS",
        ..INVITE
    };
    let inside = Crafted {
        to_tag: Some("theirs"),
        ..options
    };
    let given = ResponseDraft::new(404).to_tag("ours");
    for (crafted, draft, tag) in [
        (options, ResponseDraft::new(200), None),
        (INVITE, ResponseDraft::new(482), None),
        (inside, ResponseDraft::new(481), Some("theirs")),
        (INVITE, given, Some("ours")),
    ] {
        let mut table = table();
        let Some(Got::Request(id)) = receive(&mut table, &crafted, &udp()).pop() else {
            panic!("no request")
        };
        table.respond(id, &draft, Moment::ZERO).unwrap();
        let Some(Output::Send { bytes, .. }) = table.poll() else {
            panic!("no answer")
        };
        let answer = Message::parse(bytes).unwrap();
        let told = answer.to_tag().expect("a tag");
        assert!(!told.is_empty() && tag.is_none_or(|tag| tag == told), "{told}");
    }
    let mut table = table();
    let id = match receive(&mut table, &INVITE, &udp())[..] {
        [Got::Request(id)] => id,
        ref other => panic!("{other:?}"),
    };
    table.trying(id);
    let Some(Output::Send { bytes, .. }) = table.poll() else {
        panic!("no 100")
    };
    assert_eq!(Message::parse(bytes).unwrap().to_tag(), None);
}

#[test]
fn a_spent_handle_answers_nothing() {
    let mut table = table();
    let tls = flow(Transport::Tls, CALLEE, CALLER);
    let options = Crafted {
        method: "OPTIONS",
        ..INVITE
    };
    let Some(Got::Request(id)) = receive(&mut table, &options, &tls).pop() else {
        panic!("no request")
    };
    assert!(table.respond(id, &ResponseDraft::new(200), Moment::ZERO).is_ok());
    let next = Crafted {
        branch: "z9hG4bKtwo",
        ..options
    };
    receive(&mut table, &next, &tls);
    assert!(table.respond(id, &ResponseDraft::new(500), Moment::ZERO).is_err());
}

#[test]
fn every_message_of_one_call_goes_to_one_shard_and_responses_to_the_sender() {
    let count = 8;
    let shard = Shard::of(&INVITE.message(), count);
    let ack = Crafted {
        method: "ACK",
        branch: "z9hG4bKother",
        to_tag: Some("t"),
        ..INVITE
    };
    for other in [
        Crafted {
            method: "CANCEL",
            ..INVITE
        },
        ack,
    ] {
        assert_eq!(Shard::of(&other.message(), count), shard);
    }
    for index in 0..count {
        let shard = Shard::new(index, count).unwrap();
        let mut table = Transactions::new(crate::sip::transaction::Settings { shard, ..settings() });
        let draft = super::pair::draft(crate::sip::Method::Options, 1);
        let hop = super::pair::hop(Transport::Udp, CALLEE);
        let id = table.request(&draft, hop, 0, CALLER, Moment::ZERO).unwrap();
        assert_eq!(id.shard(), index);
        let Some(Output::Send { bytes, .. }) = table.poll() else {
            panic!("nothing sent")
        };
        let response = ResponseDraft::new(200).to_bytes(&Message::parse(bytes).unwrap(), CALLER.parse().unwrap());
        assert_eq!(Shard::of(&Message::parse(response).unwrap(), count), index);
    }
}
