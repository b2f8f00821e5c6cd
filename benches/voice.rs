//! What a packet of 20 ms costs that is not only relayed: a sound that is played, and recoding between legs without a shared
//! codec. Nothing may be allocated; that is asserted.

mod allocations;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::codec::speech::{Encoder, Gain, Speech};
use portcullis::codec::tone::Sine;
use portcullis::media::{Converter, Play, Player, Rounds, Sound};
use std::hint::black_box;
use std::sync::Arc;

/// Bytes of 20 ms: all three codecs have one for each unit of 8 kHz.
const PACKET: usize = 160;
const CODECS: [Speech; 3] = [Speech::Pcmu, Speech::Pcma, Speech::G722];

/// A second of a tone, in packets.
fn packets(codec: Speech) -> Vec<[u8; PACKET]> {
    let mut sine = Sine::new(800.0, -20.0, codec.sample_rate());
    let mut encoder = Encoder::default();
    let mut frame = vec![0; PACKET * codec.samples_per_byte()];
    let packet = |_| {
        let mut packet = [0; PACKET];
        sine.fill(&mut frame);
        encoder.encode(codec, &frame, &mut packet);
        packet
    };
    (0..50).map(packet).collect()
}

fn recode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recode 20 ms");
    for (from, to) in CODECS.iter().flat_map(|from| CODECS.map(|to| (*from, to))) {
        if from == to {
            continue;
        }
        let (pool, mut converter, mut next) = (packets(from), Converter::default(), 0);
        let mut round = || {
            let mut packet = pool[next];
            next = (next + 1) % pool.len();
            assert!(converter.run(from, to, &mut packet));
            packet
        };
        allocations::assert_none("recoding", &mut round);
        group.bench_function(format!("{from:?} to {to:?}"), |bencher| {
            bencher.iter(|| black_box(round()))
        });
    }
}

fn play(criterion: &mut Criterion) {
    let mut samples = vec![0; 16_000];
    Sine::new(800.0, -20.0, 16_000).fill(&mut samples);
    let sound = Arc::new(Sound::new(&samples, 16_000));
    let mut group = criterion.benchmark_group("play 20 ms");
    for codec in CODECS {
        let mut player = Player::new(Play {
            rounds: Rounds::Forever,
            gain: Gain::decibels(-6.0),
            ..Play::once(sound.clone(), 1)
        });
        let mut encoder = Encoder::default();
        let (mut frame, mut packet) = ([0; 2 * PACKET], [0; PACKET]);
        let frame = &mut frame[..PACKET * codec.samples_per_byte()];
        let mut round = || {
            player.fill(codec, frame);
            encoder.encode(codec, frame, &mut packet)
        };
        allocations::assert_none("playing", &mut round);
        group.bench_function(format!("{codec:?}"), |bencher| bencher.iter(|| black_box(round())));
    }
}

criterion_group!(benches, recode, play);
criterion_main!(benches);
