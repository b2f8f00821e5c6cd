//! Whom ELINs stand for, over time and over a restart.

use super::book::Standing;
use super::*;
use crate::config::{E164, TenantId};
use crate::moment::Moment;
use crate::registrar::Clocks;
use crate::route::EmergencyCaller;
use proptest::prelude::*;
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(1_800);

fn tenant() -> TenantId {
    TenantId::parse("contoso").expect("an id")
}

fn elin(last: u64) -> E164 {
    E164::from_digits(&format!("1425555{last:04}")).expect("a number")
}

fn key(last: u64) -> Key {
    Key {
        tenant: tenant(),
        number: elin(last),
    }
}

fn caller(last: u64) -> EmergencyCaller {
    EmergencyCaller::Teams(elin(9_000 + last))
}

fn at(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

#[test]
fn the_next_free_elin_is_taken_and_none_from_whom_may_be_called_back_while_there_is_another() {
    let mut book = Book::default();
    let fitting = [elin(1), elin(2)];
    let call = |book: &mut Book, who: u64, now: u64| {
        let chosen = book
            .choose(&tenant(), Some(&caller(who)), &fitting, at(now))
            .expect("one");
        let taken = Key {
            tenant: tenant(),
            number: chosen.0,
        };
        book.begin(taken, Some(caller(who)), at(now));
        chosen
    };
    assert_eq!(call(&mut book, 1, 0), (elin(1), Why::Free));
    assert_eq!(call(&mut book, 2, 10), (elin(2), Why::Free));
    // Who calls again is shown by the same.
    assert_eq!(call(&mut book, 1, 20), (elin(1), Why::SameCaller));
    // Both are in use, the first by two calls.
    assert_eq!(call(&mut book, 3, 30), (elin(2), Why::FewestCalls));
    assert_eq!(book.caller(&key(2), at(31)), Some(&caller(3)), "who called last");
    for (last, began, now) in [(1, 0, 40), (1, 20, 41), (2, 10, 50), (2, 30, 60)] {
        book.end(&key(last), at(began), KEEP, at(now));
    }
    // Nobody talks any more; the one whose call ended first makes room.
    assert_eq!(call(&mut book, 4, 70), (elin(1), Why::EndedLongestAgo));
    assert_eq!(book.caller(&key(1), at(70)), Some(&caller(4)));
    assert_eq!(book.caller(&key(2), at(60 + 1_799)), Some(&caller(3)));
    assert_eq!(book.caller(&key(2), at(60 + 1_800)), None);
    assert_eq!(call(&mut book, 5, 60 + 1_800), (elin(2), Why::Free));
}

#[test]
fn an_elin_stands_as_long_as_the_call_lasts_and_a_while_longer() {
    let mut book = Book::default();
    book.begin(key(1), Some(caller(1)), at(0));
    assert_eq!(book.caller(&key(1), at(1_000_000)), Some(&caller(1)));
    book.end(&key(1), at(0), KEEP, at(1_000_000));
    assert_eq!(book.count(at(1_000_001)), 1);
    assert_eq!(book.sweep(at(1_001_799), |_| true), []);
    assert_eq!(book.sweep(at(1_001_800), |_| true), [key(1)]);
    assert_eq!(book.caller(&key(1), at(0)), None);
    // A call that ends after its number was taken out of the configuration changes nothing.
    book.end(&key(1), at(0), KEEP, at(0));
    assert_eq!(book.count(at(0)), 0);
}

#[test]
fn a_call_from_before_its_elin_was_taken_out_and_came_back_ends_no_other() {
    let mut book = Book::default();
    book.begin(key(1), Some(caller(1)), at(0));
    assert_eq!(book.sweep(at(1), |_| false), [key(1)]);
    book.begin(key(1), Some(caller(2)), at(10));
    book.end(&key(1), at(0), KEEP, at(20));
    assert_eq!(book.caller(&key(1), at(20) + KEEP), Some(&caller(2)), "its call is up");
    book.end(&key(1), at(10), KEEP, at(30));
    assert_eq!(book.caller(&key(1), at(30) + KEEP), None);
}

#[test]
fn what_is_no_elin_any_more_is_forgotten_and_tenants_share_nothing() {
    let mut book = Book::default();
    let other = Key {
        tenant: TenantId::parse("fabrikam").expect("an id"),
        number: elin(1),
    };
    book.begin(key(1), Some(caller(1)), at(0));
    assert_eq!(book.caller(&other, at(1)), None);
    let choice = book.choose(&other.tenant, Some(&caller(2)), &[elin(1)], at(1));
    assert_eq!(choice, Some((elin(1), Why::Free)));
    assert_eq!(book.sweep(at(1), |known| *known != key(1)), [key(1)]);
    assert_eq!(book.choose(&tenant(), None, &[], at(1)), None);
}

#[test]
fn a_caller_without_a_number_takes_the_elin_and_nobody_is_called_in_its_place() {
    let mut book = Book::default();
    book.begin(key(1), Some(caller(1)), at(0));
    book.end(&key(1), at(0), KEEP, at(1));
    book.begin(key(1), None, at(2));
    assert_eq!((book.caller(&key(1), at(3)), book.count(at(3))), (None, 1));
}

/// Another process: its clock begins anew, the wall's goes on.
fn restarted(standing: &Standing, after: u64, down: u64) -> Option<(Key, Standing)> {
    let before = Clocks {
        now: at(10_000),
        unix: 1_800_000_000,
    };
    let value = stored::encode(standing, before).expect("a value");
    let clocks = Clocks {
        now: at(0),
        unix: before.unix + after + down,
    };
    stored::decode(&stored::key(&key(1)), &value, KEEP, clocks)
}

#[test]
fn a_restart_keeps_what_was_left_and_calls_that_were_up_end_with_it() {
    let standing = |until: u64| Standing {
        caller: Some(caller(1)),
        calls: u32::from(until == 0),
        began: at(9_900),
        since: at(9_900),
        until: (until > 0).then(|| at(10_000 + until)),
    };
    let (kept, left) = restarted(&standing(600), 0, 100).expect("kept");
    assert_eq!((kept, left.caller, left.calls), (key(1), Some(caller(1)), 0));
    assert_eq!(left.until, Some(at(500)));
    assert!(restarted(&standing(600), 0, 600).is_none());
    let (_, left) = restarted(&standing(0), 0, 100).expect("kept");
    assert_eq!(left.until, Some(at(0) + KEEP));
    assert!(restarted(&standing(0), 0, 86_400).is_none(), "days ago");
    let clocks = Clocks { now: at(0), unix: 0 };
    for (key, value) in [
        ("contoso", "{}"),
        ("contoso +14255550001", "{}"),
        ("contoso x", "null"),
        ("", ""),
    ] {
        assert!(
            stored::decode(key.as_bytes(), value.as_bytes(), KEEP, clocks).is_none(),
            "{key} {value}"
        );
    }
}

proptest! {
    /// Whatever comes in whatever order: one of those that fit is chosen, there are never more entries than ELINs, and calls
    /// that are all over leave nothing behind for longer than they may.
    #[test]
    fn the_book_balances(steps in prop::collection::vec((0u64..6, 0u64..4, prop::collection::vec(0u64..4, 1..4), 0u64..2_000), 0..60)) {
        let (mut book, mut up, mut now) = (Book::default(), Vec::new(), 0);
        for (who, which, fitting, passes) in steps {
            now += passes;
            if which == 0 && !up.is_empty() {
                let (ended, began): (Key, u64) = up.remove(0);
                book.end(&ended, at(began), KEEP, at(now));
                continue;
            }
            let fitting: Vec<E164> = fitting.into_iter().map(elin).collect();
            let who = (who > 0).then(|| caller(who));
            let (number, _) = book.choose(&tenant(), who.as_ref(), &fitting, at(now)).expect("one fits");
            prop_assert!(fitting.contains(&number));
            let taken = Key { tenant: tenant(), number };
            book.begin(taken.clone(), who.clone(), at(now));
            prop_assert_eq!(book.caller(&taken, at(now)), who.as_ref());
            up.push((taken, now));
            prop_assert!(book.standing.len() <= 4);
            book.sweep(at(now), |_| true);
            prop_assert!(up.iter().all(|(key, _)| book.standing.contains_key(key)), "a call that is up keeps its ELIN");
        }
        for (key, began) in up {
            book.end(&key, at(began), KEEP, at(now));
        }
        book.sweep(at(now) + KEEP, |_| true);
        prop_assert!(book.standing.is_empty());
    }
}
