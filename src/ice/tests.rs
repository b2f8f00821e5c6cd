//! STUN that others wrote, peers that try everything, and a full agent that we did not write.

use super::*;
use crate::moment::Moment;
use ::is::stun::{StunMessage, TransId};
use ::is::{DefaultSha1HmacProvider, Sha1HmacProvider as _};
use std::net::SocketAddr;

/// RFC 5769 §2.1: user `evtj:h6vY`, ICE-CONTROLLED.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
const SAMPLE_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, parts)
}

/// A check of the other implementation, signed.
fn signed(message: StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut buffer = vec![0; 600];
    let len = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
    buffer.truncate(len);
    buffer
}

/// Who checks us: one of several forks.
struct Full {
    ufrag: &'static str,
    priority: u32,
}

impl Full {
    fn check(&self, ours: &Credentials, nominates: bool) -> Vec<u8> {
        let user = format!("{}:{}", ours.ufrag, self.ufrag);
        let message = StunMessage::binding_request(&user, TransId::new(), true, 7, self.priority, nominates);
        signed(message, &ours.password)
    }
}

fn ours() -> Credentials {
    Credentials::derive(&Secret::from_bytes([3; 32]), 0)
}

fn is_check(heard: &Heard) -> bool {
    matches!(heard, Heard::Check(_))
}

const ONE: Full = Full {
    ufrag: "tC1u",
    priority: 100,
};
const OTHER: Full = Full {
    ufrag: "mP9x",
    priority: 50,
};

#[test]
fn the_sample_request_of_rfc_5769_is_read_and_proven() {
    let packet = bytes(SAMPLE_REQUEST);
    let request = read(&packet).unwrap();
    assert_eq!((request.username, request.priority), (&b"evtj:h6vY"[..], 0x6e00_01ff));
    assert_eq!((request.role, request.nominates), (Role::Controlled, false));
    assert!(request.proves(&Key::new(SAMPLE_PASSWORD)));
    assert!(!request.proves(&Key::new("VOkJxbRl1RmTxUk/WvJxBu")));
}

#[test]
fn no_changed_bit_of_the_sample_is_proven() {
    let packet = bytes(SAMPLE_REQUEST);
    let key = Key::new(SAMPLE_PASSWORD);
    // FINGERPRINT stands behind what is signed
    for bit in 0..(packet.len() - 8) * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let proven = read(&changed).is_ok_and(|request| request.proves(&key));
        assert!(!proven, "bit {bit}");
    }
    for len in 0..packet.len() {
        assert!(read(&packet[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn without_a_fingerprint_integrity_alone_decides() {
    let mut packet = bytes(SAMPLE_REQUEST);
    packet.truncate(packet.len() - 8);
    packet[3] -= 8;
    assert!(read(&packet).unwrap().proves(&Key::new(SAMPLE_PASSWORD)));
}

#[test]
fn what_is_signed_ends_at_the_integrity() {
    let user = format!("{}:peer", ours().ufrag);
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 9, false);
    let mut packet = signed(message, &ours().password);
    // in place of FINGERPRINT: USE-CANDIDATE that nobody signed
    packet.truncate(packet.len() - 8);
    packet.extend_from_slice(&[0, 0x25, 0, 0]);
    let length = (packet.len() - 20) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let request = read(&packet).unwrap();
    assert!(request.proves(&Key::new(&ours().password)) && !request.nominates);
}

#[test]
fn unknown_attributes_are_passed_over() {
    // USERNAME, PRIORITY, an unknown one that demands to be understood, then the signature
    let user = format!("{}:peer", ours().ufrag);
    let mut packet = vec![
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    packet.extend_from_slice(&[0, 6, 0, user.len() as u8]);
    packet.extend_from_slice(user.as_bytes());
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet.extend_from_slice(&[0, 0x24, 0, 4, 0, 0, 0, 9, 0x12, 0x34, 0, 1, 0xff, 0, 0, 0]);
    // As long as a check may be.
    let rest = stun::MAX_REQUEST - packet.len() - 4 - 24;
    packet.extend_from_slice(&[0xc0, 1, (rest >> 8) as u8, rest as u8]);
    packet.resize(packet.len() + rest, 0);
    let length = (packet.len() + 24 - 20) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let mac = hmac(ours().password.as_bytes(), &[&packet]);
    packet.extend_from_slice(&[0, 8, 0, 20]);
    packet.extend_from_slice(&mac);
    let heard = Lite::new(ours()).receive(Component::Rtp, &packet, at("192.0.2.1:4000"), ms(0));
    assert!(is_check(&heard), "{heard:?}");
}

#[test]
fn replies_are_what_the_other_implementation_expects() {
    for from in ["192.0.2.1:32853", "[2001:db8::9]:4000", "[::ffff:192.0.2.1]:9"] {
        let mut lite = Lite::new(ours());
        let packet = ONE.check(&ours(), false);
        let Heard::Check(reply) = lite.receive(Component::Rtp, &packet, at(from), ms(0)) else {
            panic!("answered")
        };
        let read = StunMessage::parse(reply.as_slice()).unwrap();
        assert!(read.is_successful_binding_response() && read.verify(ours().password.as_bytes(), hmac));
        let plain = SocketAddr::new(at(from).ip().to_canonical(), at(from).port());
        assert_eq!(read.mapped_address(), Some(plain));
        assert_eq!(read.trans_id(), StunMessage::parse(&packet).unwrap().trans_id());
        assert!(reply.as_slice().len() <= packet.len(), "no amplification");
    }
}

#[test]
fn who_claims_our_role_is_told_and_leads_nowhere() {
    let user = format!("{}:peer", ours().ufrag);
    let message = StunMessage::binding_request(&user, TransId::new(), false, 1, 9, true);
    let packet = signed(message, &ours().password);
    let mut lite = Lite::new(ours());
    let Heard::RoleConflict(reply) = lite.receive(Component::Rtp, &packet, at("192.0.2.1:4000"), ms(0)) else {
        panic!("a role conflict")
    };
    let read = StunMessage::parse(reply.as_slice()).unwrap();
    assert_eq!(read.error_code().map(|(code, _)| code), Some(487));
    assert!(read.verify(ours().password.as_bytes(), hmac) && reply.as_slice().len() <= packet.len());
    assert_eq!(
        (lite.nominated(Component::Rtp), lite.checked(Component::Rtp)),
        (None, None)
    );
}

#[test]
fn teams_100_a_thousand_wrong_checks_change_nothing() {
    let mut lite = Lite::new(ours());
    let good = at("192.0.2.1:4000");
    assert!(is_check(&lite.receive(
        Component::Rtp,
        &ONE.check(&ours(), true),
        good,
        ms(0)
    )));
    let elsewhere = Credentials::derive(&Secret::from_bytes([4; 32]), 0);
    let named = Credentials {
        ufrag: ours().ufrag,
        ..elsewhere.clone()
    };
    let longer = Credentials {
        ufrag: format!("{}x", ours().ufrag),
        ..ours()
    };
    let cut = |credentials: &Credentials| {
        let message = StunMessage::binding_request(&credentials.ufrag, TransId::new(), true, 1, 9, true);
        let mut buffer = vec![0; 600];
        let len = message
            .to_bytes(Some(credentials.password.as_bytes()), &mut buffer, hmac)
            .unwrap();
        buffer.truncate(len);
        buffer
    };
    for round in 0..1000u32 {
        let from = SocketAddr::from(([198, 51, 100, (round % 250) as u8], 1000 + round as u16));
        let mut receive = |packet: &[u8]| match lite.receive(Component::Rtp, packet, from, ms(u64::from(round))) {
            Heard::Dropped(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(receive(&ONE.check(&named, true)), Why::Integrity);
        assert_eq!(receive(&ONE.check(&elsewhere, true)), Why::UnknownUser);
        assert_eq!(receive(&ONE.check(&longer, true)), Why::UnknownUser);
        assert_eq!(receive(&cut(&ours())), Why::UnknownUser);
        assert_eq!(receive(&ONE.check(&ours(), true)[..60]), Why::Malformed);
        assert_eq!(
            receive(&bytes("000100002112a442b7e7a701bc34d686fa87dfae")),
            Why::Malformed
        );
    }
    assert_eq!(lite.nominated(Component::Rtp), Some(good));
    assert_eq!(lite.checked(Component::Rtp), Some(good));
}

#[test]
fn before_a_nomination_the_highest_priority_counts() {
    let mut lite = Lite::new(ours());
    let (near, relay) = (at("192.0.2.1:4000"), at("192.0.2.9:3478"));
    lite.receive(Component::Rtp, &ONE.check(&ours(), false), near, ms(0));
    lite.receive(Component::Rtp, &OTHER.check(&ours(), false), relay, ms(1));
    assert_eq!(
        (lite.checked(Component::Rtp), lite.nominated(Component::Rtp)),
        (Some(near), None)
    );
    assert_eq!(lite.checked(Component::Rtcp), None);
    lite.receive(Component::Rtp, &OTHER.check(&ours(), true), relay, ms(2));
    assert_eq!(lite.nominated(Component::Rtp), Some(relay));
}

#[test]
fn teams_100_forks_nominate_at_once_and_the_answer_says_who_counts() {
    let mut lite = Lite::new(ours());
    let (one, other) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), one, ms(0));
    lite.receive(Component::Rtp, &OTHER.check(&ours(), true), other, ms(1));
    assert_eq!(lite.nominated(Component::Rtp), Some(other));
    lite.settle(Some(ONE.ufrag));
    assert_eq!(lite.nominated(Component::Rtp), Some(one), "of those that had nominated");
    let late = lite.receive(Component::Rtp, &OTHER.check(&ours(), true), at("192.0.2.3:1"), ms(2));
    assert!(is_check(&late), "answered");
    assert_eq!(lite.nominated(Component::Rtp), Some(one));
    lite.settle(Some("else"));
    assert_eq!(
        (lite.nominated(Component::Rtp), lite.checked(Component::Rtp)),
        (None, None)
    );
}

#[test]
fn a_side_that_nominates_with_every_check_does_not_make_media_jump() {
    let mut lite = Lite::new(ours());
    let (first, second) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
    for round in 0..10 {
        for from in [first, second] {
            lite.receive(Component::Rtp, &ONE.check(&ours(), true), from, ms(round * 500));
        }
        assert_eq!(lite.nominated(Component::Rtp), Some(second));
    }
    // the chosen pair is dead, the other one is nominated again
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), first, ms(4500 + 14_999));
    assert_eq!(lite.nominated(Component::Rtp), Some(second));
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), first, ms(4500 + 15_000));
    assert_eq!(lite.nominated(Component::Rtp), Some(first));
}

#[test]
fn who_moves_back_to_an_earlier_pair_is_followed_by_its_nomination_and_its_stream() {
    let (home, away) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
    let mut lite = Lite::new(ours());
    let nominates = |lite: &mut Lite, from, time| {
        lite.receive(Component::Rtp, &ONE.check(&ours(), true), from, ms(time));
        lite.nominated(Component::Rtp)
    };
    assert_eq!(nominates(&mut lite, home, 0), Some(home));
    assert!(!lite.streamed(home, ms(100)));
    assert_eq!(nominates(&mut lite, away, 5_000), Some(away));
    // What was on its way, and a keep-alive: neither alone is a way back, nor is a stream alone.
    assert!(!lite.streamed(home, ms(5_010)));
    assert!(!lite.streamed(away, ms(5_020)));
    assert_eq!(nominates(&mut lite, home, 5_030), Some(away));
    assert!(!lite.streamed(away, ms(9_000)), "it streams from the present pair");
    assert!(!lite.streamed(home, ms(9_020)));
    assert!(!lite.streamed(home, ms(10_019)));
    assert!(lite.streamed(home, ms(10_020)), "from there alone for a second");
    assert_eq!(lite.nominated(Component::Rtp), Some(home));
    // Not again without another nomination.
    assert!(!lite.streamed(away, ms(11_000)));
    assert!(!lite.streamed(away, ms(13_000)));
    assert_eq!(lite.nominated(Component::Rtp), Some(home));
}

#[test]
fn a_side_that_nominates_with_every_check_keeps_the_pair_that_it_streams_from() {
    let (one, other) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
    let mut lite = Lite::new(ours());
    for time in (0..60_000).step_by(20) {
        if time % 500 == 0 {
            for from in [one, other] {
                lite.receive(Component::Rtp, &ONE.check(&ours(), true), from, ms(time));
            }
        }
        lite.streamed(one, ms(time));
        let expected = if time < 1_000 { other } else { one };
        assert_eq!(lite.nominated(Component::Rtp), Some(expected), "{time} ms");
    }
}

#[test]
fn a_flood_of_proven_checks_forgets_neither_the_nominated_pair_nor_its_bounds() {
    let mut lite = Lite::new(ours());
    let good = at("192.0.2.1:4000");
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), good, ms(0));
    for port in 1..2000 {
        let from = SocketAddr::from(([198, 51, 100, 7], port));
        assert!(is_check(&lite.receive(
            Component::Rtp,
            &OTHER.check(&ours(), false),
            from,
            ms(u64::from(port))
        )));
    }
    assert_eq!(lite.nominated(Component::Rtp), Some(good));
}

#[test]
fn teams_078_after_a_restart_old_checks_are_answered_for_a_moment_and_lead_nowhere() {
    let (first, second) = (ours(), Credentials::derive(&Secret::from_bytes([3; 32]), 1));
    let mut lite = Lite::new(first.clone());
    let (before, after) = (at("192.0.2.1:4000"), at("192.0.2.81:49980"));
    lite.receive(Component::Rtp, &ONE.check(&first, true), before, ms(0));
    lite.describe(&first, ms(10));
    assert_eq!(
        lite.nominated(Component::Rtp),
        Some(before),
        "described again is no restart"
    );
    lite.describe(&second, ms(20));
    assert_eq!(lite.nominated(Component::Rtp), None);
    let late = lite.receive(Component::Rtp, &ONE.check(&first, true), before, ms(5019));
    assert!(is_check(&late), "{late:?}");
    assert_eq!(lite.checked(Component::Rtp), None);
    assert!(is_check(&lite.receive(
        Component::Rtp,
        &OTHER.check(&second, true),
        after,
        ms(30)
    )));
    assert_eq!(lite.nominated(Component::Rtp), Some(after));
    let too_late = lite.receive(Component::Rtp, &ONE.check(&first, true), before, ms(5020));
    assert!(matches!(too_late, Heard::Dropped(Why::UnknownUser)), "{too_late:?}");
}

#[test]
fn teams_079_a_checked_pair_that_signalling_names_counts_until_another_is_nominated() {
    let mut lite = Lite::new(ours());
    let (one, named, other) = (at("192.0.2.1:4000"), at("203.0.113.50:50012"), at("192.0.2.2:4000"));
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), one, ms(0));
    lite.receive(Component::Rtp, &ONE.check(&ours(), false), named, ms(100));
    lite.prefer(one, ms(150));
    assert_eq!(
        lite.nominated(Component::Rtp),
        Some(one),
        "named, and nominated already"
    );
    lite.prefer(named, ms(200));
    assert_eq!(lite.nominated(Component::Rtp), Some(named));
    assert_eq!(lite.nominated(Component::Rtcp), None);
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), one, ms(500));
    assert_eq!(
        lite.nominated(Component::Rtp),
        Some(named),
        "the old nomination repeated"
    );
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), other, ms(600));
    assert_eq!(lite.nominated(Component::Rtp), Some(other));
}

#[test]
fn teams_079_a_pair_that_nobody_checked_moves_no_living_one() {
    let mut lite = Lite::new(ours());
    let (one, named) = (at("192.0.2.1:4000"), at("203.0.113.50:50012"));
    lite.prefer(named, ms(0));
    assert_eq!(
        lite.nominated(Component::Rtp),
        Some(named),
        "nothing is known that were better"
    );
    lite.receive(Component::Rtp, &ONE.check(&ours(), true), one, ms(100));
    lite.prefer(named, ms(14_000));
    assert_eq!(lite.nominated(Component::Rtp), Some(one));
    lite.prefer(named, ms(15_100));
    assert_eq!(
        lite.nominated(Component::Rtp),
        Some(named),
        "it is not checked any more"
    );
}

#[test]
fn among_pairs_of_one_priority_the_first_stays() {
    let mut lite = Lite::new(ours());
    let (one, other) = (at("192.0.2.1:4000"), at("192.0.2.2:4000"));
    for (from, millis) in [(one, 0), (other, 50), (one, 100), (other, 150)] {
        lite.receive(Component::Rtp, &ONE.check(&ours(), false), from, ms(millis));
        assert_eq!(lite.checked(Component::Rtp), Some(one), "after {millis} ms");
    }
}

#[test]
fn other_stun_is_not_answered() {
    let mut lite = Lite::new(ours());
    let mut receive = |packet: &[u8]| lite.receive(Component::Rtp, packet, at("192.0.2.1:4000"), ms(0));
    let kept_alive = receive(&bytes("001100002112a442b7e7a701bc34d686fa87dfae"));
    assert!(matches!(kept_alive, Heard::Indication), "{kept_alive:?}");
    let reply = StunMessage::binding_reply(TransId::new(), at("192.0.2.1:4000"));
    let reflected = receive(&signed(reply, &ours().password));
    assert!(matches!(reflected, Heard::Dropped(Why::Malformed)), "{reflected:?}");
}

#[test]
fn no_bytes_cause_a_panic() {
    use proptest::prelude::*;
    let sample = bytes(SAMPLE_REQUEST);
    proptest!(|(noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..108, byte: u8)| {
        let mut lite = Lite::new(ours());
        let from = SocketAddr::from(([192, 0, 2, 1], 4000));
        prop_assert!(!is_check(&lite.receive(Component::Rtcp, &noise, from, ms(0))));
        let mut changed = sample.clone();
        changed[at] = byte;
        prop_assert!(!is_check(&lite.receive(Component::Rtcp, &changed, from, ms(0))));
    });
}
