//! Refusal before a transaction exists.

use super::pair::{CALLEE, flow, settings};
use crate::moment::Moment;
use crate::sip::transaction::{Limits, Output, Settings, Shed, Transactions};
use crate::sip::{HeaderName, Message, ResponseDraft, Transport};
use std::sync::Arc;
use std::time::Duration;

fn request(method: &str, user: &str, to_tag: &str, number: usize) -> Message {
    let text = format!(
        "{method} sip:{user}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\n\
         From: <sip:a@x>;tag=f\r\nTo: <sip:b@y>{to_tag}\r\nCall-ID: c{number}\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(text.into_bytes().into()).unwrap()
}

fn limited(max_transactions: usize, max_per_source: usize) -> Transactions {
    let limits = Limits {
        max_transactions,
        max_per_source,
        priority_users: Arc::new(["112".to_owned()].into()),
        ..Limits::default()
    };
    Transactions::new(Settings { limits, ..settings() })
}

/// The one dialog that there is.
fn lives(to_tag: &str) -> bool {
    to_tag == "t"
}

/// What came of a request: handed up, or the refusal.
fn offer(table: &mut Transactions, message: Message, source: &str) -> Result<(), Message> {
    table.receive(message, flow(Transport::Udp, CALLEE, source), Moment::ZERO, lives);
    let mut refusal = None;
    while let Some(output) = table.poll() {
        match output {
            Output::Request { .. } => return Ok(()),
            Output::Send {
                bytes,
                transaction: None,
                ..
            } => refusal = Some(Message::parse(bytes).unwrap()),
            _ => {}
        }
    }
    Err(refusal.unwrap())
}

#[test]
fn a_flood_costs_no_memory_and_each_call_learns_when_to_return() {
    let mut table = limited(100, 1_000);
    let mut waits = std::collections::BTreeSet::new();
    for number in 0..5_000 {
        let source = format!("10.0.{}.{}:5060", number / 250, number % 250 + 1);
        if let Err(refusal) = offer(&mut table, request("INVITE", "bob", "", number), &source) {
            assert_eq!(refusal.status(), Some(503));
            waits.insert(refusal.header(HeaderName::RetryAfter).unwrap().parse::<u32>().unwrap());
        }
    }
    let counters = table.counters();
    assert_eq!(
        (table.len(), counters.refused, counters.calls_begun),
        (100, 4_900, 5_000)
    );
    assert_eq!(waits.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
}

fn shed(share: f64) -> Shed {
    Shed {
        share,
        retry_after: Duration::from_secs(30),
    }
}

#[test]
fn a_share_of_the_calls_is_shed_and_a_copy_meets_the_fate_of_the_first() {
    let mut table = limited(10_000, 10_000);
    table.shed_new_calls(Some(shed(0.25)));
    let source = "192.0.2.1:5060";
    let mut refused = 0;
    for number in 0..2_000 {
        let first = offer(&mut table, request("INVITE", "bob", "", number), source);
        if let Err(refusal) = first {
            refused += 1;
            assert_eq!(refusal.status(), Some(503));
            let wait: u32 = refusal.header(HeaderName::RetryAfter).unwrap().parse().unwrap();
            assert!((30..=60).contains(&wait), "{wait}");
            assert!(offer(&mut table, request("INVITE", "bob", "", number), source).is_err());
        }
    }
    assert!((400..600).contains(&refused), "{refused} of 2000");
    table.shed_new_calls(Some(shed(0.0)));
    for number in 2_000..2_500 {
        assert!(offer(&mut table, request("INVITE", "bob", "", number), source).is_ok());
    }
}

#[test]
fn what_exists_and_what_saves_lives_passes() {
    let mut table = limited(100, 1_000);
    table.shed_new_calls(Some(shed(1.0)));
    let source = "192.0.2.1:5060";
    assert!(offer(&mut table, request("INVITE", "bob", "", 0), source).is_err());
    assert!(offer(&mut table, request("INVITE", "bob", ";tag=t", 1), source).is_ok());
    assert!(offer(&mut table, request("INVITE", "+112;phone-context=x", "", 2), source).is_ok());
    assert!(offer(&mut table, request("OPTIONS", "bob", "", 3), source).is_ok());
    assert!(offer(&mut table, request("BYE", "bob", "", 4), source).is_ok());
    assert!(offer(&mut table, request("INVITE", "%31%312", "", 8), source).is_ok());
    assert!(offer(&mut table, request("INVITE", "1-1.2", "", 9), source).is_ok());
    table.spare(Arc::new(["999".to_owned()].into()));
    assert!(offer(&mut table, request("INVITE", "999", "", 6), source).is_ok());
    assert!(offer(&mut table, request("INVITE", "112", "", 7), source).is_err());
    assert_eq!(
        table.counters().calls_begun,
        6,
        "neither in a dialog nor of another method"
    );
    table.shed_new_calls(None);
    assert!(offer(&mut table, request("INVITE", "bob", "", 5), source).is_ok());
}

#[test]
fn a_tag_of_no_dialog_buys_nothing() {
    let refused = |table: &mut Transactions, method, number| {
        let made_up = request(method, "112", ";tag=made-up", number);
        offer(table, made_up, "192.0.2.1:5060").unwrap_err().status()
    };
    let mut shedding = limited(100, 1_000);
    shedding.shed_new_calls(Some(shed(1.0)));
    assert_eq!(refused(&mut shedding, "INVITE", 0), Some(481));
    for mut full in [limited(1, 1_000), limited(100, 1)] {
        assert!(offer(&mut full, request("INVITE", "bob", "", 1), "192.0.2.1:5060").is_ok());
        for (number, method) in (2..).zip(["INVITE", "BYE", "OPTIONS", "MESSAGE"]) {
            assert_eq!(refused(&mut full, method, number), Some(481), "{method}");
        }
        assert_eq!(full.len(), 1);
        assert!(offer(&mut full, request("INVITE", "bob", ";tag=t", 9), "192.0.2.1:5060").is_ok());
    }
}

#[test]
fn one_source_does_not_fill_the_table_for_the_others() {
    let mut table = limited(1_000, 10);
    let admitted = (0..100)
        .filter(|number| offer(&mut table, request("INVITE", "bob", "", *number), "192.0.2.1:5060").is_ok())
        .count();
    assert_eq!(admitted, 10);
    assert!(offer(&mut table, request("INVITE", "bob", "", 100), "192.0.2.2:5060").is_ok());
    let exempt = (200..300)
        .filter(|number| offer(&mut table, request("OPTIONS", "bob", "", *number), "192.0.2.1:5060").is_ok())
        .count();
    assert_eq!(exempt, 10, "even what is exempt is bounded");
}

#[test]
fn who_floods_one_dialog_is_refused_there_and_can_hang_up() {
    let limits = Limits {
        max_per_dialog: 10,
        ..Limits::default()
    };
    let mut table = Transactions::new(Settings { limits, ..settings() });
    let source = "192.0.2.1:5060";
    let inside = |method, call: usize, number| {
        let text = String::from_utf8(request(method, "bob", ";tag=t", number).as_bytes().to_vec()).unwrap();
        let text = text.replace(&format!("Call-ID: c{number}"), &format!("Call-ID: d{call}"));
        Message::parse(text.into_bytes().into()).unwrap()
    };
    let taken = (0..100).filter(|number| offer(&mut table, inside("INFO", 0, *number), source).is_ok());
    assert_eq!(taken.count(), 10);
    assert!(
        offer(&mut table, inside("INFO", 1, 100), source).is_ok(),
        "another dialog"
    );
    assert!(
        offer(&mut table, request("INVITE", "bob", "", 101), source).is_ok(),
        "a new call"
    );
    let refusal = offer(&mut table, inside("INVITE", 0, 102), source).unwrap_err();
    assert_eq!(refusal.status(), Some(500), "others may go on calling");
    assert!(offer(&mut table, inside("BYE", 0, 103), source).is_ok());
    let byes = (200..300).filter(|number| offer(&mut table, inside("BYE", 0, *number), source).is_ok());
    assert!(byes.count() < 20);
    table.handle_timeout(Moment::from_micros(600_000_000));
    while table.poll().is_some() {}
    assert!(
        offer(&mut table, inside("INFO", 0, 104), source).is_ok(),
        "what is over is not counted"
    );
}

#[test]
fn one_ipv6_host_is_one_source_whatever_address_it_takes() {
    let mut table = limited(1_000, 10);
    let admitted = (0..50)
        .filter(|number| {
            let source = format!("[2001:db8::{number:x}]:5060");
            offer(&mut table, request("INVITE", "bob", "", *number), &source).is_ok()
        })
        .count();
    assert_eq!(admitted, 10);
}

#[test]
fn the_ack_of_a_stateless_refusal_ends_here() {
    let mut table = limited(0, 0);
    let refusal = offer(&mut table, request("INVITE", "bob", "", 1), "192.0.2.1:5060").unwrap_err();
    let tag = format!(";tag={}", refusal.to_tag().unwrap());
    table.receive(
        request("ACK", "bob", &tag, 1),
        flow(Transport::Udp, CALLEE, "192.0.2.1:5060"),
        Moment::ZERO,
        lives,
    );
    assert!(table.poll().is_none());
    table.receive(
        request("ACK", "bob", ";tag=t", 1),
        flow(Transport::Udp, CALLEE, "192.0.2.1:5060"),
        Moment::ZERO,
        lives,
    );
    assert!(matches!(table.poll(), Some(Output::Ack { .. })));
}

#[test]
fn who_is_refused_by_the_user_leaves_nothing_behind_and_its_ack_ends_here() {
    let mut table = limited(1_000, 1_000);
    let source = flow(Transport::Udp, CALLEE, "192.0.2.1:5060");
    for number in 0..100 {
        for method in ["REGISTER", "INVITE"] {
            table.receive(request(method, "bob", "", number), source.clone(), Moment::ZERO, lives);
            let mut refusal = None;
            while let Some(output) = table.poll() {
                match output {
                    Output::Request { id, .. } => table.refuse(id, Some(ResponseDraft::new(401))),
                    Output::Send { bytes, .. } => refusal = Some(Message::parse(bytes).unwrap()),
                    _ => {}
                }
            }
            let refusal = refusal.unwrap();
            assert_eq!(refusal.status(), Some(401));
            let tag = format!(";tag={}", refusal.to_tag().unwrap());
            table.receive(request("ACK", "bob", &tag, number), source.clone(), Moment::ZERO, lives);
            assert!(table.poll().is_none());
        }
    }
    assert_eq!((table.len(), table.next_timeout()), (0, None));
}

#[test]
fn who_gets_no_answer_is_forgotten_too() {
    let mut table = limited(1_000, 1_000);
    let source = flow(Transport::Udp, CALLEE, "192.0.2.1:5060");
    table.receive(request("REGISTER", "bob", "", 1), source, Moment::ZERO, lives);
    let Some(Output::Request { id, .. }) = table.poll() else {
        panic!("handed up")
    };
    table.refuse(id, None);
    assert!(table.poll().is_none());
    assert_eq!(table.len(), 0);
    assert!(table.respond(id, &ResponseDraft::new(200), Moment::ZERO).is_err());
}
