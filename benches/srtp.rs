//! SRTP per packet, ours next to rtc-srtp: 172 bytes, which is 20 ms of G.711, AES_CM_128_HMAC_SHA1_80.
//!
//! Wanted: at most 0.7 of rtc-srtp's time, and no allocation; the latter is asserted.

mod allocations;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::srtp::{MasterKey, Receiver, Sender, Suite};
use rtc_srtp::context::Context;
use rtc_srtp::option::srtp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;
use std::hint::black_box;

const PLAIN: usize = 172;
const POOL: u16 = 30_000;
const KEY: [u8; 30] = [0x5a; 30];

fn plain(sequence: u16) -> [u8; PLAIN] {
    let mut packet = [0xd5; PLAIN];
    packet[..12].copy_from_slice(&[0x80, 8, 0, 0, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet
}

fn key(suite: Suite) -> MasterKey {
    MasterKey::from_bytes(suite, &KEY[..suite.key_and_salt_len()]).expect("length of the suite")
}

fn theirs(profile: ProtectionProfile) -> Context {
    let provider = rtc_srtp::crypto::default_provider().expect("aws-lc-rs is enabled");
    let (key, salt) = KEY[..16 + profile.salt_len()].split_at(16);
    Context::new(
        key,
        salt,
        profile,
        Some(srtp_replay_protection(128)),
        None,
        provider.crypto(),
    )
    .expect("a context")
}

fn protect(criterion: &mut Criterion, suite: Suite, profile: ProtectionProfile) {
    let mut group = criterion.benchmark_group(format!("protect {}", suite.name()));
    let mut sender = Sender::new(&key(suite)).expect("a sender");
    let mut buf = [0; PLAIN + Suite::MAX_OVERHEAD];
    let mut sequence = 0u16;
    let mut ours = || {
        sequence = sequence.wrapping_add(1);
        buf[..PLAIN].copy_from_slice(&plain(sequence));
        sender.protect_rtp(&mut buf, PLAIN).expect("protected")
    };
    allocations::assert_none("protect", &mut ours);
    group.bench_function("portcullis", |bencher| bencher.iter(|| black_box(ours())));

    let mut context = theirs(profile);
    let mut sequence = 0u16;
    group.bench_function("rtc-srtp", |bencher| {
        bencher.iter(|| {
            sequence = sequence.wrapping_add(1);
            black_box(context.encrypt_rtp(&plain(sequence)).expect("protected"))
        })
    });
}

fn unprotect(criterion: &mut Criterion, suite: Suite, profile: ProtectionProfile) {
    let mut group = criterion.benchmark_group(format!("unprotect {}", suite.name()));
    let mut sender = Sender::new(&key(suite)).expect("a sender");
    let pool: Vec<Vec<u8>> = (1..=POOL)
        .map(|sequence| {
            let mut buf = [plain(sequence).to_vec(), vec![0; Suite::MAX_OVERHEAD]].concat();
            let len = sender.protect_rtp(&mut buf, PLAIN).expect("protected");
            buf.truncate(len);
            buf
        })
        .collect();

    // A pool is accepted once: a fresh context for each pass, one in 30,000 packets.
    let mut receiver = Receiver::new(&key(suite)).expect("a receiver");
    let mut next = 0;
    let mut buf = [0; PLAIN + Suite::MAX_OVERHEAD];
    let mut ours = || {
        if next == pool.len() {
            receiver = Receiver::new(&key(suite)).expect("a receiver");
            next = 0;
        }
        let packet = &mut buf[..pool[next].len()];
        packet.copy_from_slice(&pool[next]);
        next += 1;
        receiver.unprotect_rtp(packet).expect("verified")
    };
    allocations::assert_none("unprotect", &mut ours);
    group.bench_function("portcullis", |bencher| bencher.iter(|| black_box(ours())));

    let mut context = theirs(profile);
    let mut next = 0;
    group.bench_function("rtc-srtp", |bencher| {
        bencher.iter(|| {
            if next == pool.len() {
                context = theirs(profile);
                next = 0;
            }
            next += 1;
            black_box(context.decrypt_rtp(&pool[next - 1]).expect("verified"))
        })
    });
}

fn srtp(criterion: &mut Criterion) {
    let suites = [
        (Suite::AesCm128HmacSha1_80, ProtectionProfile::Aes128CmHmacSha1_80),
        (Suite::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    ];
    for (suite, profile) in suites {
        protect(criterion, suite, profile);
        unprotect(criterion, suite, profile);
    }
}

criterion_group!(benches, srtp);
criterion_main!(benches);
