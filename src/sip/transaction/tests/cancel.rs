//! CANCEL from both sides (RFC 3261 §9).

use super::pair::{CALLEE, CALLER, Callee, Fate, Pair, Seen, flow, settings};
use crate::moment::Moment;
use crate::sip::transaction::{Cause, Output, Transactions};
use crate::sip::{Message, Method, Transport};
use std::time::Duration;

const RINGS_LONG: Callee = Callee {
    status: 200,
    after: 60_000,
    acknowledges: true,
};

#[test]
fn cancel_waits_for_a_provisional_response() {
    let slow = [
        Fate::GOOD,
        Fate {
            delay: 300,
            ..Fate::GOOD
        },
        Fate {
            delay: 310,
            ..Fate::GOOD
        },
    ];
    let mut pair = Pair::new(Transport::Udp, &slow, RINGS_LONG);
    pair.request(Method::Invite);
    pair.cancel_after(50);
    pair.run();
    let cancel = pair.wire.iter().find(|(_, line)| line.starts_with("CANCEL")).unwrap();
    assert_eq!(cancel.0, 320, "{:?}", pair.wire);
    assert!(pair.caller_saw.contains(&Seen::Response(487)));
    assert_eq!(pair.callee_saw, [Seen::Request(Method::Invite), Seen::Cancelled]);
    assert!(
        !pair.caller_saw.contains(&Seen::Response(200)),
        "the 200 of the CANCEL is nobody's business above"
    );
    pair.assert_reclaimed();
}

#[test]
fn the_200_of_a_cancel_that_found_its_invite_bears_the_transaction() {
    let message = |method: &str| {
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=f\r\n\
             To: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).unwrap()
    };
    let flow = || flow(Transport::Tcp, CALLEE, CALLER);
    let mut table = Transactions::new(settings());
    let answers = |table: &mut Transactions| {
        table.receive(message("CANCEL"), flow(), Moment::ZERO, |_| true);
        let Some(Output::Send { transaction, .. }) = table.poll() else {
            panic!("no answer")
        };
        transaction.is_some()
    };
    assert!(!answers(&mut table), "it found nothing");
    table.receive(message("INVITE"), flow(), Moment::ZERO, |_| true);
    assert!(matches!(table.poll(), Some(Output::Request { .. })));
    assert!(answers(&mut table));
}

#[test]
fn a_200_that_crosses_the_cancel_is_handed_up() {
    let callee = Callee {
        status: 200,
        after: 100,
        acknowledges: true,
    };
    let mut pair = Pair::new(Transport::Tls, &[], callee);
    pair.request(Method::Invite);
    pair.cancel_after(110);
    pair.run();
    assert_eq!((pair.sent("CANCEL"), pair.sent("ACK")), (1, 1));
    assert!(pair.caller_saw.contains(&Seen::Response(200)));
    assert!(
        !pair.callee_saw.contains(&Seen::Cancelled),
        "too late: the final response was out"
    );
    pair.assert_reclaimed();
}

#[test]
fn a_peer_that_ignores_cancel_is_given_up_after_64_t1() {
    let mut fates = vec![Fate::GOOD; 3];
    fates.extend(
        [Fate {
            lost: true,
            ..Fate::GOOD
        }; 60],
    );
    let mut pair = Pair::new(Transport::Udp, &fates, RINGS_LONG);
    pair.request(Method::Invite);
    pair.cancel_after(1_000);
    for _ in 0..200 {
        pair.step();
    }
    assert_eq!(pair.caller_saw.last(), Some(&Seen::Failed(Cause::Timeout)));
}

#[test]
fn a_call_that_nobody_takes_down_is_cancelled_by_the_safety_net() {
    let mut pair = Pair::new(
        Transport::Tls,
        &[],
        Callee {
            after: 2_000_000,
            ..RINGS_LONG
        },
    );
    pair.caller.settings.timers.invite_limit = Duration::from_secs(200);
    pair.request(Method::Invite);
    pair.run();
    assert_eq!(
        pair.wire.iter().find(|(_, line)| line.starts_with("CANCEL")).unwrap().0 / 1_000,
        200
    );
    assert!(pair.caller_saw.contains(&Seen::Response(487)));
    pair.assert_reclaimed();
}

#[test]
fn a_call_that_is_never_answered_is_refused_by_the_safety_net() {
    let mut pair = Pair::new(
        Transport::Tls,
        &[],
        Callee {
            after: 2_000_000,
            ..RINGS_LONG
        },
    );
    pair.callee.settings.timers.invite_limit = Duration::from_secs(200);
    pair.request(Method::Invite);
    pair.run();
    assert!(pair.caller_saw.contains(&Seen::Response(408)));
    assert_eq!(pair.callee.counters().abandoned, 1);
    pair.assert_reclaimed();
}
