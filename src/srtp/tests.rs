//! Both directions against each other and against rtc-srtp.

use super::*;
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

const KEY: [u8; 30] = *b"0123456789abcdefghijklmnopqrst";
const SUITES: [Suite; 3] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
];
const SSRC: u32 = 0xcafe_babe;

fn key(suite: Suite) -> MasterKey {
    MasterKey::from_bytes(suite, &KEY[..suite.key_and_salt_len()]).unwrap()
}

fn pair(suite: Suite) -> (Sender, Receiver) {
    (Sender::new(&key(suite)).unwrap(), Receiver::new(&key(suite)).unwrap())
}

fn oracle(suite: Suite) -> Context {
    let profile = match suite {
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
    };
    let provider = rtc_srtp::crypto::default_provider().unwrap();
    let (key, salt) = KEY[..suite.key_and_salt_len()].split_at(16);
    let replay = (Some(srtp_replay_protection(128)), Some(srtcp_replay_protection(128)));
    Context::new(key, salt, profile, replay.0, replay.1, provider.crypto()).unwrap()
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 160];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A receiver report with one block.
fn rtcp(ssrc: u32, fill: u8) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([fill; 24]);
    packet
}

fn protect(sender: &mut Sender, plain: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = [plain, &[0; Suite::MAX_OVERHEAD]].concat();
    let len = sender.protect_rtp(&mut buf, plain.len())?;
    buf.truncate(len);
    Ok(buf)
}

fn protect_rtcp(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut buf = [plain, &[0; Suite::MAX_OVERHEAD]].concat();
    let len = sender.protect_rtcp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

fn unprotect(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = packet.to_vec();
    let len = receiver.unprotect_rtp(&mut buf)?;
    buf.truncate(len);
    Ok(buf)
}

fn unprotect_rtcp(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = packet.to_vec();
    let len = receiver.unprotect_rtcp(&mut buf)?;
    buf.truncate(len);
    Ok(buf)
}

/// Sends these sequence numbers in order, and returns the packets.
fn stream(sender: &mut Sender, numbers: impl IntoIterator<Item = u16>) -> Vec<Vec<u8>> {
    numbers
        .into_iter()
        .map(|number| protect(sender, &rtp(SSRC, number, &number.to_be_bytes())).unwrap())
        .collect()
}

#[test]
fn keys_as_text() {
    let suite = Suite::AesCm128HmacSha1_80;
    let text = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0";
    assert_eq!(MasterKey::from_base64(suite, text), Ok(key(suite)));
    assert_eq!(*key(suite).to_base64(), text);
    assert_eq!(
        format!("{:?}", key(suite)),
        "MasterKey(AES_CM_128_HMAC_SHA1_80, redacted)"
    );
    assert_eq!(MasterKey::from_base64(suite, "not base64!"), Err(KeyError::Base64));
    let gcm = Suite::AeadAes128Gcm;
    assert_eq!(
        MasterKey::from_base64(gcm, text),
        Err(KeyError::Length { suite: gcm, given: 30 })
    );
    assert!(matches!(
        MasterKey::from_base64(suite, &text.repeat(9)),
        Err(KeyError::Length { .. })
    ));
    for suite in SUITES {
        assert_eq!(Suite::from_name(suite.name()), Some(suite));
        let generated = MasterKey::generate(suite, &mut rand::rng());
        let stored = serde_json::to_string(&generated).unwrap();
        assert_eq!(serde_json::from_str::<MasterKey>(&stored).unwrap(), generated);
        assert_eq!(generated.to_base64().len(), suite.key_and_salt_len().div_ceil(3) * 4);
        assert_ne!(generated, MasterKey::generate(suite, &mut rand::rng()));
    }
    assert_eq!(Suite::from_name("aes_cm_128_hmac_sha1_80"), None);
}

#[test]
fn wraps_and_losses_across_the_wrap() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let packets = stream(&mut sender, (65_000..=65_535).chain(0..1000));
        // 65,500 to 100 are lost, wrap included.
        for packet in packets[..500].iter().chain(&packets[637..]) {
            unprotect(&mut receiver, packet).unwrap();
        }
        assert_eq!(
            (sender.rollover_counter(SSRC), receiver.rollover_counter(SSRC)),
            (Some(1), Some(1))
        );
    }
}

#[test]
fn late_across_the_wrap_replayed_and_too_old() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let packets = stream(&mut sender, (65_530..=65_535).chain(0..200));
    for packet in packets[..4].iter().chain(&packets[6..20]) {
        unprotect(&mut receiver, packet).unwrap();
    }
    // 65,534 and 65,535 come after 0 to 13.
    assert_eq!(
        unprotect(&mut receiver, &packets[5]).unwrap()[12..],
        65_535u16.to_be_bytes()
    );
    assert_eq!(
        unprotect(&mut receiver, &packets[4]).unwrap()[12..],
        65_534u16.to_be_bytes()
    );
    assert_eq!(
        unprotect(&mut receiver, &packets[4]),
        Err(SrtpError::Replayed { index: 65_534 })
    );
    assert_eq!(receiver.rollover_counter(SSRC), Some(1));
    unprotect(&mut receiver, &packets[205]).unwrap();
    assert_eq!(
        unprotect(&mut receiver, &packets[20]),
        Err(SrtpError::TooOld { index: 65_550 })
    );
    unprotect(&mut receiver, &packets[204]).unwrap();
}

#[test]
fn an_index_is_never_sent_twice() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    stream(&mut sender, 1000..1200);
    assert_eq!(
        protect(&mut sender, &rtp(SSRC, 1100, b"other")),
        Err(SrtpError::Replayed { index: 1100 })
    );
    assert_eq!(
        protect(&mut sender, &rtp(SSRC, 900, b"other")),
        Err(SrtpError::TooOld { index: 900 })
    );
    // Not sent yet, merely late.
    assert!(protect(&mut sender, &rtp(SSRC, 1300, b"")).is_ok() && protect(&mut sender, &rtp(SSRC, 1299, b"")).is_ok());
}

/// A receiver by the letter of RFC 3711 looks for such a packet behind index zero, and finds none of the stream any more.
#[test]
fn who_leaps_by_more_than_half_of_all_numbers_needs_another_ssrc() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    stream(&mut sender, [9_000]);
    let leap = protect(&mut sender, &rtp(SSRC, 9_000 + 32_769, b"x"));
    assert!(matches!(leap, Err(SrtpError::TooOld { .. })), "{leap:?}");
    assert!(protect(&mut sender, &rtp(SSRC, 9_000 + 32_768, b"x")).is_ok());
}

#[test]
fn strangers_change_nothing() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let packets = stream(&mut sender, 10..20);
        unprotect(&mut receiver, &packets[0]).unwrap();
        let before = receiver.snapshot();
        for bit in 0..packets[1].len() * 8 {
            let mut forged = packets[1].clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut receiver, &forged).is_err(), "{suite:?} bit {bit}");
        }
        for ssrc in 0..100 {
            let forged = [rtp(ssrc, 60_000, b"noise"), vec![7; 16]].concat();
            assert_eq!(unprotect(&mut receiver, &forged), Err(SrtpError::AuthFailed));
            let forged = [rtcp(ssrc, 9), vec![0xff; 20]].concat();
            assert_eq!(unprotect_rtcp(&mut receiver, &forged), Err(SrtpError::AuthFailed));
        }
        assert_eq!(receiver.snapshot(), before);
        unprotect(&mut receiver, &packets[1]).unwrap();
    }
}

#[test]
fn ssrcs_come_and_go() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    for ssrc in 0..40 {
        // The steady one is never idle, so that it is never replaced.
        for (ssrc, sequence) in [(SSRC, ssrc as u16), (ssrc, 40_000)] {
            let plain = rtp(ssrc, sequence, b"media");
            assert_eq!(
                unprotect(&mut receiver, &protect(&mut sender, &plain).unwrap()).unwrap(),
                plain
            );
        }
    }
    assert_eq!(receiver.snapshot().rtp.len(), 16);
    assert_eq!(receiver.rollover_counter(0), None);
    assert!(receiver.rollover_counter(39).is_some() && receiver.rollover_counter(SSRC).is_some());
}

#[test]
fn a_replaced_ssrc_is_never_sent_again_under_the_key() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    for ssrc in 0..17 {
        protect(&mut sender, &rtp(ssrc, 40_000, b"media")).unwrap();
    }
    let again = rtp(0, 40_000, b"other");
    assert_eq!(protect(&mut sender, &again), Err(SrtpError::SpentSsrc));
    let mut restored = Sender::new(&key(Suite::AesCm128HmacSha1_80)).unwrap();
    restored.restore(&sender.snapshot());
    assert_eq!(protect(&mut restored, &again), Err(SrtpError::SpentSsrc));
    // What is remembered as spent has a bound: then the key is used up, for new SSRCs alone.
    for ssrc in 17..4096 + 16 {
        protect(&mut sender, &rtp(ssrc, 1, b"media")).unwrap();
    }
    assert_eq!(
        protect(&mut sender, &rtp(5_000, 1, b"media")),
        Err(SrtpError::KeyExhausted)
    );
    protect(&mut sender, &rtp(4_111, 2, b"media")).unwrap();
}

#[test]
fn rtcp_indices_survive_replacement_and_restore() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let mut used = std::collections::BTreeSet::new();
    let mut send = |sender: &mut Sender, ssrc| {
        let packet = protect_rtcp(sender, &rtcp(ssrc, 1));
        let index = u32::from_be_bytes(*packet[..packet.len() - 10].last_chunk().unwrap());
        assert!(used.insert((ssrc, index)), "index {index} of {ssrc} used twice");
        unprotect_rtcp(&mut receiver, &packet).unwrap();
    };
    for ssrc in (0..20).chain(0..20).flat_map(|ssrc| [ssrc; 3]) {
        send(&mut sender, ssrc);
    }
    let snapshot = sender.snapshot();
    send(&mut sender, 1);
    let mut restored = Sender::new(&key(Suite::AesCm128HmacSha1_80)).unwrap();
    restored.restore(&snapshot);
    send(&mut restored, 1);
    send(&mut restored, 1);
}

#[test]
fn snapshots_go_on_where_they_were() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sender, mut receiver) = pair(suite);
    let packets = stream(&mut sender, (65_530..=65_535).chain(0..50));
    for packet in &packets[..30] {
        unprotect(&mut receiver, packet).unwrap();
    }
    let report = protect_rtcp(&mut sender, &rtcp(SSRC, 3));
    unprotect_rtcp(&mut receiver, &report).unwrap();
    let text = serde_json::to_string(&(sender.snapshot(), receiver.snapshot())).unwrap();
    let (of_sender, of_receiver): (Snapshot, Snapshot) = serde_json::from_str(&text).unwrap();
    let (mut sender, mut receiver) = pair(suite);
    sender.restore(&of_sender);
    receiver.restore(&of_receiver);
    assert_eq!(
        unprotect(&mut receiver, &packets[29]),
        Err(SrtpError::Replayed { index: 65_559 })
    );
    assert_eq!(
        unprotect_rtcp(&mut receiver, &report),
        Err(SrtpError::Replayed { index: 0 })
    );
    unprotect(&mut receiver, &packets[30]).unwrap();
    let next = protect(&mut sender, &rtp(SSRC, 50, b"next")).unwrap();
    unprotect(&mut receiver, &next).unwrap();
    assert_eq!(
        protect(&mut sender, &rtp(SSRC, 49, b"again")),
        Err(SrtpError::Replayed { index: 65_585 })
    );
}

#[test]
fn joining_late_needs_the_rollover_counter() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    sender.seed_rollover_counter(SSRC, 7);
    let packets = stream(&mut sender, [5, 6]);
    assert_eq!(unprotect(&mut receiver, &packets[0]), Err(SrtpError::AuthFailed));
    receiver.seed_rollover_counter(SSRC, 7);
    let mut restored = pair(Suite::AesCm128HmacSha1_80).1;
    restored.restore(&receiver.snapshot());
    for receiver in [&mut receiver, &mut restored] {
        assert_eq!(
            unprotect(receiver, &packets[0]).unwrap(),
            rtp(SSRC, 5, &5u16.to_be_bytes())
        );
        assert_eq!(receiver.rollover_counter(SSRC), Some(7));
    }
}

#[test]
fn a_wrap_before_the_first_packet_heard() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let packets = stream(&mut sender, (65_530..=65_535).chain(0..1010));
    assert_eq!(
        unprotect(&mut receiver, &packets[1010]),
        Err(SrtpError::AuthFailed),
        "too far behind the wrap"
    );
    unprotect(&mut receiver, &packets[500]).unwrap();
    assert_eq!(receiver.rollover_counter(SSRC), Some(1));
    unprotect(&mut receiver, &packets[501]).unwrap();
}

#[test]
fn keys_run_out() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    sender.seed_rollover_counter(SSRC, u32::MAX);
    stream(&mut sender, [65_000, 65_535]);
    assert_eq!(protect(&mut sender, &rtp(SSRC, 0, b"")), Err(SrtpError::KeyExhausted));
    let last = StreamSnapshot {
        ssrc: SSRC,
        highest: (1 << 31) - (1 << 16) - 1,
        seen: None,
    };
    sender.restore(&Snapshot {
        rtp: Vec::new(),
        rtcp: vec![last],
        ..Snapshot::default()
    });
    protect_rtcp(&mut sender, &rtcp(SSRC, 0));
    let mut buf = [rtcp(SSRC, 0), vec![0; 20]].concat();
    assert_eq!(sender.protect_rtcp(&mut buf, 32), Err(SrtpError::KeyExhausted));
}

#[test]
fn an_mki_is_skipped() {
    for suite in SUITES {
        for mki_len in [1, 4, 128] {
            let mut sender = pair(suite).0;
            let mut receiver = Receiver::with_mki(&key(suite), mki_len).unwrap();
            let (plain, report) = (rtp(SSRC, 1, b"payload"), rtcp(SSRC, 1));
            let mut media = protect(&mut sender, &plain).unwrap();
            let mut control = protect_rtcp(&mut sender, &report);
            // In front of the HMAC tag, but behind AEAD's (RFC 7714 §14.1).
            let hmac_len = |len| if suite == Suite::AeadAes128Gcm { 0 } else { len };
            for (packet, tag) in [(&mut media, suite.rtp_tag_len()), (&mut control, suite.rtcp_tag_len())] {
                let at = packet.len() - hmac_len(tag);
                packet.splice(at..at, vec![0xab; usize::from(mki_len)]);
            }
            assert_eq!(unprotect(&mut pair(suite).1, &media), Err(SrtpError::AuthFailed));
            assert_eq!(unprotect(&mut receiver, &media).unwrap(), plain);
            assert_eq!(unprotect_rtcp(&mut receiver, &control).unwrap(), report);
        }
    }
}

#[test]
fn authenticated_but_clear_rtcp_is_accepted_under_hmac() {
    let suite = Suite::AesCm128HmacSha1_80;
    let report = rtcp(SSRC, 5);
    let master = derivation::counter_mode(key(suite).key()).unwrap();
    let purpose = derivation::Purpose::Authentication;
    let mac_key = derivation::derive::<20>(&master, key(suite).salt(), derivation::Protocol::Rtcp, purpose).unwrap();
    let mut packet = [&report[..], &[0, 0, 0, 9]].concat();
    let tag = hmac::HmacSha1::new(mac_key.as_slice()).mac(&packet, &[]);
    packet.extend(&tag[..10]);
    let mut receiver = pair(suite).1;
    assert_eq!(unprotect_rtcp(&mut receiver, &packet).unwrap(), report);
    assert_eq!(
        unprotect_rtcp(&mut receiver, &packet),
        Err(SrtpError::Replayed { index: 9 })
    );
}

#[test]
fn buffers_and_packets_too_short() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let plain = rtp(SSRC, 1, b"payload");
        let needed = plain.len() + suite.rtp_tag_len();
        let mut tight = [&plain[..], &vec![0; suite.rtp_tag_len() - 1]].concat();
        assert_eq!(
            sender.protect_rtp(&mut tight, plain.len()),
            Err(SrtpError::NoRoom {
                needed,
                given: needed - 1
            })
        );
        assert_eq!(tight[..plain.len()], plain, "untouched");
        assert_eq!(
            sender.protect_rtp(&mut tight, 1000),
            Err(SrtpError::TooShort { len: needed - 1 })
        );
        let protected = protect(&mut sender, &plain).unwrap();
        for len in 0..protected.len() {
            assert!(unprotect(&mut receiver, &protected[..len]).is_err());
        }
        assert_eq!(
            unprotect(&mut receiver, &protected[..12]),
            Err(SrtpError::TooShort { len: 12 })
        );
        let control = protect_rtcp(&mut sender, &rtcp(SSRC, 1)[..8]);
        for len in 0..control.len() {
            assert!(unprotect_rtcp(&mut receiver, &control[..len]).is_err());
        }
        assert_eq!(unprotect_rtcp(&mut receiver, &control).unwrap().len(), 8);
    }
}

/// Bytes that another implementation made, kept so that an error shared by both directions shows.
#[test]
fn bytes_equal_the_oracle() {
    for suite in SUITES {
        let (mut sender, mut theirs) = (pair(suite).0, oracle(suite));
        for sequence in (65_500..=65_535).chain(0..60) {
            let plain = rtp(SSRC, sequence, &[sequence as u8; 160]);
            assert_eq!(
                protect(&mut sender, &plain).unwrap(),
                theirs.encrypt_rtp(&plain).unwrap()[..]
            );
        }
        // The oracle's first SRTCP index is 1, ours 0 (RFC 3711 §3.4).
        protect_rtcp(&mut sender, &rtcp(SSRC, 0));
        for fill in 1..50 {
            let plain = rtcp(SSRC, fill);
            assert_eq!(
                protect_rtcp(&mut sender, &plain),
                theirs.encrypt_rtcp(&plain).unwrap()[..]
            );
        }
    }
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(&SUITES[..])
}

proptest! {
    #[test]
    fn no_bytes_panic(suite in any_suite(), bytes in prop::collection::vec(any::<u8>(), 0..120), second: u8, mki in 0u8..20) {
        let mut sender = pair(suite).0;
        let mut receiver = Receiver::with_mki(&key(suite), mki).unwrap();
        let mut shaped = bytes.clone();
        if let [first, next, ..] = &mut shaped[..] {
            (*first, *next) = (*first & 0x3f | 0x80, second);
        }
        for bytes in [bytes, shaped] {
            prop_assert!(unprotect(&mut receiver, &bytes).is_err());
            prop_assert!(unprotect_rtcp(&mut receiver, &bytes).is_err());
            let mut buf = bytes.clone();
            for len in [0, bytes.len() / 2, bytes.len(), bytes.len() + 1] {
                let _ = sender.protect_rtp(&mut buf, len).is_ok_and(|len| len <= bytes.len());
                let _ = sender.protect_rtcp(&mut buf, len).is_ok_and(|len| len <= bytes.len());
            }
        }
    }

    /// Header shapes: CSRCs, extension, any payload; each side reads what the other made.
    #[test]
    fn either_reads_the_other(
        suite in any_suite(), csrcs in 0u8..16, extension in prop::option::of(0u8..5), payload in prop::collection::vec(any::<u8>(), 0..300),
        sequence: u16, ssrc: u32,
    ) {
        let mut plain = rtp(ssrc, sequence, &vec![1; usize::from(csrcs) * 4]);
        plain[0] |= csrcs;
        if let Some(words) = extension {
            plain[0] |= 0x10;
            plain.extend([0xab, 0xac, 0, words]);
            plain.extend(vec![2; usize::from(words) * 4]);
        }
        plain.extend(payload);
        let (mut sender, mut receiver) = pair(suite);
        let protected = protect(&mut sender, &plain).unwrap();
        prop_assert_eq!(&oracle(suite).decrypt_rtp(&protected).unwrap()[..], &plain[..]);
        prop_assert_eq!(unprotect(&mut receiver, &oracle(suite).encrypt_rtp(&plain).unwrap()).unwrap(), plain);

        let report = rtcp(ssrc, csrcs);
        protect_rtcp(&mut sender, &report);
        let protected = protect_rtcp(&mut sender, &report);
        prop_assert_eq!(&oracle(suite).decrypt_rtcp(&protected).unwrap()[..], &report[..]);
        prop_assert_eq!(unprotect_rtcp(&mut receiver, &oracle(suite).encrypt_rtcp(&report).unwrap()).unwrap(), report);
    }

    /// Loss, reordering and repeats over a wrap or two, packets 175 apart: what is newest passes, nothing else.
    #[test]
    fn any_arrival_order(start in 64_000u16.., seeds in prop::collection::vec((0usize..100, 0u8..10), 400)) {
        let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
        let sent = stream(&mut sender, (0..70_000u32).step_by(175).map(|n| start.wrapping_add(n as u16)));
        let mut order: Vec<usize> = (0..sent.len()).filter(|n| *n == 0 || seeds[*n].1 != 0).collect();
        for (at, (shift, kind)) in seeds.iter().enumerate() {
            if *kind == 1 && at + 1 < order.len() { order.swap(at, at + 1) }
            if *kind == 2 && at < order.len() { order.insert(at, order[shift % at.max(1)]) }
        }
        let mut newest = None;
        for n in order {
            let fresh = newest.is_none_or(|newest| n > newest);
            prop_assert_eq!(unprotect(&mut receiver, &sent[n]).is_ok(), fresh, "packet {}", n);
            if fresh { newest = Some(n) }
        }
    }
}
