//! Calls over networks that lose, delay, reorder and double.

use super::pair::{Callee, Fate, Pair, Seen};
use crate::sip::transaction::Cause;
use crate::sip::{Method, Transport};
use proptest::prelude::*;

const ANSWERS: Callee = Callee {
    status: 200,
    after: 3_000,
    acknowledges: true,
};
const REFUSES: Callee = Callee {
    status: 486,
    after: 1_000,
    acknowledges: true,
};

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    delayed_below(2_000)
}

/// What a network does to each message: lost, late by less than `limit` ms, doubled.
fn delayed_below(limit: u64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (
        prop::bool::weighted(0.4),
        0..limit,
        prop::option::weighted(0.3, 0..limit),
    )
        .prop_map(|(lost, delay, copy)| Fate { lost, delay, copy });
    prop::collection::vec(fate, 0..24)
}

/// The caller's last word is that the transaction is over; no word comes twice.
fn assert_one_end(seen: &[Seen]) {
    let ends = |seen: &Seen| matches!(seen, Seen::Failed(_) | Seen::Terminated);
    assert_eq!(seen.iter().filter(|seen| ends(seen)).count(), 1, "{seen:?}");
    assert!(ends(seen.last().unwrap()), "{seen:?}");
}

#[test]
fn a_call_over_tls_costs_five_messages() {
    let mut pair = Pair::new(Transport::Tls, &[], ANSWERS);
    pair.request(Method::Invite);
    pair.run();
    let lines: Vec<&str> = pair
        .wire
        .iter()
        .map(|(_, line)| line.split(" sip:").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "INVITE",
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK",
            "ACK"
        ],
        "{:?}",
        pair.wire
    );
    assert_eq!(
        pair.caller_saw,
        [100, 180, 200]
            .map(Seen::Response)
            .into_iter()
            .chain([Seen::Terminated])
            .collect::<Vec<_>>()
    );
    assert_eq!(pair.callee_saw, [Seen::Request(Method::Invite), Seen::Ack]);
    pair.assert_reclaimed();
}

#[test]
fn without_ack_the_2xx_is_repeated_and_then_given_up() {
    let mut pair = Pair::new(
        Transport::Tls,
        &[],
        Callee {
            acknowledges: false,
            ..ANSWERS
        },
    );
    pair.request(Method::Invite);
    pair.run();
    assert_eq!(pair.sent("SIP/2.0 200"), 11);
    assert_eq!(pair.callee_saw.last(), Some(&Seen::AckTimeout));
    assert_eq!(pair.callee.counters().unacknowledged, 1);
    pair.assert_reclaimed();
}

#[test]
fn a_dead_network_is_a_timeout_after_seven_tries() {
    let dead = [Fate {
        lost: true,
        ..Fate::GOOD
    }; 100];
    let mut pair = Pair::new(Transport::Udp, &dead, ANSWERS);
    pair.request(Method::Invite);
    pair.run();
    assert_eq!(pair.caller_saw, [Seen::Failed(Cause::Timeout)]);
    assert_eq!(pair.sent("INVITE"), 7);
    assert_eq!(pair.wire.last().unwrap().0, 31_500);
    pair.assert_reclaimed();
}

proptest! {
    #[test]
    fn an_answered_invite_is_one_call_whatever_the_network(fates in fates()) {
        let mut pair = Pair::new(Transport::Udp, &fates, ANSWERS);
        pair.request(Method::Invite);
        pair.run();
        let calls = pair.callee_saw.iter().filter(|seen| **seen == Seen::Request(Method::Invite)).count();
        prop_assert!(calls <= 1, "{:?}", pair.wire);
        assert_one_end(&pair.caller_saw);
        if pair.caller_saw.contains(&Seen::Response(200)) {
            prop_assert!(pair.callee_saw.contains(&Seen::Ack), "{:?}", pair.wire);
        }
        pair.assert_reclaimed();
    }

    #[test]
    fn a_refused_invite_is_acknowledged_below_and_refused_once_above(fates in fates()) {
        let mut pair = Pair::new(Transport::Udp, &fates, REFUSES);
        pair.request(Method::Invite);
        pair.run();
        let count = |wanted: Seen| pair.caller_saw.iter().filter(|seen| **seen == wanted).count();
        prop_assert!(count(Seen::Response(486)) <= 1);
        prop_assert!(!pair.callee_saw.contains(&Seen::Ack), "the ACK of a refusal is nobody's business above");
        prop_assert!(pair.callee_saw.len() <= 1);
        assert_one_end(&pair.caller_saw);
        pair.assert_reclaimed();
    }

    // Its last retransmission leaves 500 ms before timer F, and timer J is as long as F: a delay above T1 may bring it to a
    // server that has already forgotten the transaction (RFC 3261 §17.1.2.2, §17.2.2).
    #[test]
    fn any_other_request_is_handled_once(fates in delayed_below(500)) {
        let mut pair = Pair::new(Transport::Udp, &fates, Callee { after: 10, ..ANSWERS });
        pair.request(Method::Options);
        pair.run();
        prop_assert!(pair.callee_saw.len() <= 1);
        let finals = pair.caller_saw.iter().filter(|seen| **seen == Seen::Response(200)).count();
        prop_assert!(finals <= 1);
        assert_one_end(&pair.caller_saw);
        pair.assert_reclaimed();
    }

    #[test]
    fn a_cancelled_invite_ends_in_one_way(fates in fates(), cancel in 0u64..4_000) {
        let mut pair = Pair::new(Transport::Udp, &fates, ANSWERS);
        pair.request(Method::Invite);
        pair.cancel_after(cancel);
        pair.run();
        let cancelled = pair.callee_saw.iter().filter(|seen| **seen == Seen::Cancelled).count();
        prop_assert!(cancelled <= 1);
        let answered = pair.caller_saw.contains(&Seen::Response(200));
        let refused = pair.caller_saw.contains(&Seen::Response(487));
        prop_assert!(!(answered && refused), "{:?}", pair.wire);
        if answered {
            prop_assert!(pair.callee_saw.contains(&Seen::Ack), "a 2xx that crossed the CANCEL is handed up and acknowledged");
        }
        assert_one_end(&pair.caller_saw);
        pair.assert_reclaimed();
    }
}
