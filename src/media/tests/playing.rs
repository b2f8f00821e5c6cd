use super::*;
use crate::codec::speech::{Decoder, Gain};
use crate::codec::tone::{Detector, Sine};
use crate::rtp::telephone_event::{Digits, digit};

const COOKIE: u64 = 77;

fn tone(frequency: f64, millis: usize) -> Arc<Sound> {
    let mut samples = vec![0; 16 * millis];
    Sine::new(frequency, -12.0, 16_000).fill(&mut samples);
    Arc::new(Sound::new(&samples, 16_000))
}

fn voice(peer: &Peer, codec: Speech, number: u8) -> LegConfig {
    let payload = Payload {
        number,
        clock_rate: 8_000,
        kind: PayloadKind::Speech(codec),
        relay_as: Some(number),
        recode: None,
    };
    let events = Payload {
        number: 101,
        kind: PayloadKind::TelephoneEvent,
        relay_as: Some(101),
        ..payload
    };
    LegConfig {
        payloads: vec![payload, events],
        voice: Some(Voice { codec, number }),
        ..peer.config()
    }
}

/// The level of a frequency in what came under one payload type, in dBov.
fn level(codec: Speech, frequency: f64, packets: &[(Header, Vec<u8>)]) -> f64 {
    let mut decoder = Decoder::default();
    let mut samples = Vec::new();
    for (_, payload) in packets {
        let mut frame = vec![0; payload.len() * codec.samples_per_byte()];
        decoder.decode(codec, payload, &mut frame);
        samples.extend(frame);
    }
    Detector::new(frequency, codec.sample_rate()).level(&samples)
}

/// One stream: one SSRC, sequence numbers one by one, timestamps that never go back.
fn assert_one_stream(packets: &[(Header, Vec<u8>)]) {
    for pair in packets.windows(2) {
        let [(before, _), (after, _)] = pair else { continue };
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((1..80_000).contains(&step), "{step} after {before:?}");
        assert!(after.marker || step == 160, "{step} without a marker");
    }
}

fn played(ending: Ending, leg: MediaLeg, played: Duration) -> MediaEvent {
    MediaEvent::Played {
        leg: leg.id,
        cookie: COOKIE,
        ending,
        played,
    }
}

#[test]
fn a_leg_without_a_partner_plays_in_each_codec() {
    for (codec, number) in [(Speech::Pcmu, 0), (Speech::Pcma, 8), (Speech::G722, 9)] {
        for mut peer in [Peer::plain(1), Peer::secure(1)] {
            let mut rig = Rig::new(settings(20_000..=20_099));
            let leg = rig.open(RtcpPort::Mux, None);
            rig.configure(leg, voice(&peer, codec, number));
            rig.plane
                .play(leg.id, Play::once(tone(1_000.0, 100), COOKIE))
                .expect("accepted");
            let packets: Vec<_> = (0..5).map(|_| peer.receive()).collect();
            assert!(
                packets
                    .iter()
                    .all(|(header, payload)| header.payload_type == number && payload.len() == 160)
            );
            assert!(packets[0].0.marker);
            assert_one_stream(&packets);
            assert!((level(codec, 1_000.0, &packets) + 12.0).abs() < 1.5);
            assert_eq!(rig.event(), played(Ending::Completed, leg, Duration::from_millis(100)));
            assert!(peer.has_nothing());
        }
    }
}

#[test]
fn a_sound_takes_the_place_of_the_relay_in_the_same_stream() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let mut heard = Vec::new();
    for _ in 0..3 {
        call.carrier.send(call.a, 8, &[0xd5; 160]);
        heard.push(call.teams.receive());
    }
    let sound = Play {
        rounds: Rounds::Forever,
        ..Play::once(tone(600.0, 20), COOKIE)
    };
    call.rig.plane.play(call.b.id, sound).expect("accepted");
    call.rig.stats(call.b);
    call.carrier.send(call.a, 8, &[0xd5; 160]);
    call.rig
        .stats_when(call.a, |stats| stats.received.dropped.replaced == 1);
    heard.extend((0..4).map(|_| call.teams.receive()));
    assert!((level(Speech::Pcma, 600.0, &heard[3..]) + 12.0).abs() < 1.0);
    assert_eq!(call.rig.event(), MediaEvent::Flowing { leg: call.a.id });
    call.rig
        .plane
        .stop_playing(call.b.id, Some(COOKIE + 1))
        .expect("accepted");
    heard.push(call.teams.receive());
    call.rig.plane.stop_playing(call.b.id, None).expect("accepted");
    let MediaEvent::Played {
        cookie: COOKIE,
        ending: Ending::Stopped,
        played,
        ..
    } = call.rig.event()
    else {
        panic!("stopped");
    };
    assert!(played >= Duration::from_millis(100));
    for round in 0u8..3 {
        call.carrier.send(call.a, 8, &[round; 160]);
        loop {
            heard.push(call.teams.receive());
            if heard.last().is_some_and(|(_, payload)| payload == &[round; 160]) {
                break;
            }
        }
    }
    assert_one_stream(&heard);
    // the other direction never noticed
    call.teams.send(call.b, 8, b"still");
    assert_eq!(
        call.carrier.receive(),
        (
            Header {
                timestamp: 160_000,
                sequence: 1_000,
                ssrc: 2,
                payload_type: 8,
                marker: false,
                len: 12
            },
            b"still".to_vec()
        )
    );
}

#[test]
fn a_whisper_is_mixed_over_what_is_relayed_and_plays_alone_in_silence() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let mut speech = vec![0; 160 * 25];
    Sine::new(1_500.0, -18.0, 8_000).fill(&mut speech);
    let mut bytes = vec![0; speech.len()];
    crate::codec::g711::Law::A.encode(&speech, &mut bytes);
    let mut frames = bytes.chunks(160);
    call.carrier.send(call.a, 8, frames.next().expect("speech"));
    let mut heard = vec![call.teams.receive()];
    let whisper = Play {
        over: Over::Mix,
        gain: Gain::decibels(-3.0),
        rounds: Rounds::Forever,
        ..Play::once(tone(700.0, 200), COOKIE)
    };
    call.rig.plane.play(call.b.id, whisper).expect("accepted");
    call.rig.stats(call.b);
    // sent as fast as it goes: each relayed packet takes its part of the sound, and where time passes it plays alone
    let (mut mixed, mut alone) = (Vec::new(), Vec::new());
    let speaks = |packet: &(Header, Vec<u8>)| level(Speech::Pcma, 1_500.0, std::slice::from_ref(packet)) > -30.0;
    for frame in frames.by_ref().take(5) {
        call.carrier.send(call.a, 8, frame);
        loop {
            let packet = call.teams.receive();
            heard.push(packet.clone());
            if speaks(&packet) {
                mixed.push(packet);
                break;
            }
            alone.push(packet);
        }
    }
    assert!((level(Speech::Pcma, 700.0, &mixed) + 15.0).abs() < 1.0);
    assert!((level(Speech::Pcma, 1_500.0, &mixed) + 18.0).abs() < 1.0);
    // then the carrier is silent
    for _ in 0..5 {
        let packet = call.teams.receive();
        heard.push(packet.clone());
        alone.push(packet);
    }
    assert!((level(Speech::Pcma, 700.0, &alone) + 15.0).abs() < 1.0);
    assert!(level(Speech::Pcma, 1_500.0, &alone) < -40.0);
    assert_one_stream(&heard);
    call.rig.plane.stop_playing(call.b.id, None).expect("accepted");
    assert_eq!(call.rig.event(), MediaEvent::Flowing { leg: call.a.id });
    let MediaEvent::Played {
        ending: Ending::Stopped,
        played,
        ..
    } = call.rig.event()
    else {
        panic!("stopped");
    };
    let parts = (mixed.len() + alone.len()) as u32;
    assert!(played >= Duration::from_millis(20) * parts, "{played:?} of {parts}");
}

#[test]
fn a_whisper_takes_the_place_of_audio_that_can_not_be_mixed() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let mut config = call.carrier.config();
    config.payloads.push(Payload {
        number: 97,
        clock_rate: 16_000,
        kind: PayloadKind::Audio,
        relay_as: Some(104),
        recode: None,
    });
    call.rig.configure(call.a, config);
    call.carrier.send(call.a, 97, b"opaque");
    let (header, payload) = call.teams.receive();
    assert_eq!((header.payload_type, &payload[..]), (104, &b"opaque"[..]));
    let whisper = Play {
        over: Over::Mix,
        ..Play::once(tone(700.0, 100), COOKIE)
    };
    call.rig.plane.play(call.b.id, whisper).expect("accepted");
    call.rig.stats(call.b);
    call.carrier.send(call.a, 97, b"unheard");
    let mut heard: Vec<_> = (0..5).map(|_| call.teams.receive()).collect();
    assert!((level(Speech::Pcma, 700.0, &heard) + 12.0).abs() < 1.5);
    assert_eq!(call.rig.event(), MediaEvent::Flowing { leg: call.a.id });
    let over = played(Ending::Completed, call.b, Duration::from_millis(100));
    assert_eq!(call.rig.event(), over);
    call.carrier.send(call.a, 97, b"again");
    heard.push(call.teams.receive());
    assert_eq!(heard.last().map(|(_, payload)| &payload[..]), Some(&b"again"[..]));
    assert_eq!(call.rig.stats(call.a).received.dropped.replaced, 1);
}

#[test]
fn what_cannot_be_played_says_why() {
    let mut rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let peer = Peer::plain(1);
    let play = || Play::once(tone(500.0, 40), COOKIE);
    rig.plane.play(leg.id, play()).expect("accepted");
    assert_eq!(
        rig.event(),
        played(Ending::Failed(CannotSend::NotNegotiated), leg, Duration::ZERO)
    );
    let g729 = LegConfig {
        voice: None,
        events: None,
        ..peer.config()
    };
    rig.configure(leg, g729.clone());
    rig.plane.play(leg.id, play()).expect("accepted");
    assert_eq!(
        rig.event(),
        played(Ending::Failed(CannotSend::NoCodec), leg, Duration::ZERO)
    );
    // a codec that goes away ends what was played
    rig.configure(leg, peer.config());
    rig.plane
        .play(
            leg.id,
            Play {
                rounds: Rounds::Forever,
                ..play()
            },
        )
        .expect("accepted");
    peer.clone_socket().recv(&mut [0; 500]).expect("a packet");
    rig.configure(leg, g729);
    let MediaEvent::Played {
        ending: Ending::Failed(CannotSend::NoCodec),
        ..
    } = rig.event()
    else {
        panic!("ended");
    };
    assert!(matches!(
        rig.plane.send_digits(
            leg.id,
            SendDigits {
                digits: "1x".into(),
                cookie: 1,
                duration: BOUND,
                gap: BOUND
            }
        ),
        Err(MediaError::Digit('x'))
    ));
}

#[test]
fn time_passes_on_hold_and_the_leg_takes_its_sound_along() {
    let mut rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let peer = Peer::plain(1);
    rig.configure(
        leg,
        LegConfig {
            direction: Direction::Inactive,
            ..peer.config()
        },
    );
    rig.plane
        .play(leg.id, Play::once(tone(500.0, 60), COOKIE))
        .expect("accepted");
    assert_eq!(rig.event(), played(Ending::Completed, leg, Duration::from_millis(60)));
    assert!(peer.has_nothing());
    rig.plane
        .play(
            leg.id,
            Play {
                rounds: Rounds::Forever,
                ..Play::once(tone(500.0, 60), COOKIE)
            },
        )
        .expect("accepted");
    rig.plane.close(leg.id).expect("accepted");
    let MediaEvent::Played {
        ending: Ending::Stopped,
        ..
    } = rig.event()
    else {
        panic!("stopped first")
    };
    let MediaEvent::Closed { .. } = rig.event() else {
        panic!("closed then")
    };
}

#[test]
fn digits_go_as_events_between_relayed_audio() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.carrier.send(call.a, 8, &[0xd5; 160]);
    let mut all = vec![call.teams.receive()];
    let send = SendDigits {
        digits: "4#".into(),
        cookie: COOKIE,
        duration: Duration::from_millis(60),
        gap: Duration::from_millis(40),
    };
    call.rig.plane.send_digits(call.b.id, send).expect("accepted");
    let (mut digits, mut heard) = (Digits::new(), Vec::new());
    // two updates and three ends each
    for _ in 0..10 {
        let (header, payload) = call.teams.receive();
        assert_eq!(header.payload_type, 101);
        assert!(digit(payload[0]).is_some());
        let told = digits.receive(header.marker, header.timestamp, &payload);
        heard.extend(told.released.map(|released| (released.digit, released.duration)));
        all.push((header, payload));
    }
    assert_eq!(heard, [('4', 480), ('#', 480)]);
    assert_eq!(call.rig.event(), MediaEvent::Flowing { leg: call.a.id });
    let sent = MediaEvent::DigitsSent {
        leg: call.b.id,
        cookie: COOKIE,
        ending: Ending::Completed,
    };
    assert_eq!(call.rig.event(), sent);
    call.carrier.send(call.a, 8, &[0xd5; 160]);
    all.push(call.teams.receive());
    for pair in all.windows(2) {
        assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
        assert_eq!(pair[1].0.ssrc, 1);
    }
}

#[test]
fn digits_go_as_tones_where_events_were_not_negotiated() {
    let mut rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let mut peer = Peer::plain(1);
    rig.configure(
        leg,
        LegConfig {
            events: None,
            ..peer.config()
        },
    );
    let send = SendDigits {
        digits: "5".into(),
        cookie: COOKIE,
        duration: Duration::from_millis(100),
        gap: Duration::from_millis(40),
    };
    rig.plane.send_digits(leg.id, send).expect("accepted");
    let packets: Vec<_> = (0..7).map(|_| peer.receive()).collect();
    assert_one_stream(&packets);
    let (tone, gap) = packets.split_at(5);
    assert!(level(Speech::Pcma, 770.0, tone) > -17.0 && level(Speech::Pcma, 1_336.0, tone) > -15.0);
    assert!(level(Speech::Pcma, 770.0, gap) < -50.0);
    assert_eq!(
        rig.event(),
        MediaEvent::DigitsSent {
            leg: leg.id,
            cookie: COOKIE,
            ending: Ending::Completed
        }
    );
}

#[test]
fn boost_and_mute_concern_what_is_relayed() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let mut speech = [0; 160];
    Sine::new(1_000.0, -30.0, 8_000).fill(&mut speech);
    let mut bytes = [0; 160];
    crate::codec::g711::Law::A.encode(&speech, &mut bytes);
    call.rig
        .plane
        .boost(call.b.id, Some(Gain::decibels(6.0)))
        .expect("accepted");
    call.rig.stats(call.b);
    call.carrier.send(call.a, 8, &bytes);
    let louder = call.teams.receive();
    assert_eq!((louder.0.ssrc, louder.0.sequence), (1, 1_000), "numbers pass unchanged");
    assert!((level(Speech::Pcma, 1_000.0, &[louder]) + 24.0).abs() < 0.7);
    call.rig.plane.boost(call.b.id, None).expect("accepted");
    call.rig.plane.mute(call.b.id, true).expect("accepted");
    call.rig.stats(call.b);
    call.carrier.send(call.a, 8, &bytes);
    assert_eq!(call.teams.receive().1, bytes);
    call.teams.send(call.b, 8, b"muted");
    assert_eq!(call.carrier.receive().1, [0xd5; 5], "silence, and the stream goes on");
    call.rig.plane.mute(call.b.id, false).expect("accepted");
    call.rig.stats(call.b);
    call.teams.send(call.b, 8, b"heard");
    assert_eq!(call.carrier.receive().1, b"heard");
}

#[test]
fn legs_without_a_shared_codec_hear_each_other() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let recoded = |config: LegConfig, relay_as, recode| {
        let mut config = config;
        config.payloads.truncate(1);
        config.payloads[0].relay_as = Some(relay_as);
        config.payloads[0].recode = Some(recode);
        config
    };
    let narrow = recoded(voice(&call.carrier, Speech::Pcma, 8), 9, Speech::G722);
    let wide = recoded(voice(&call.teams, Speech::G722, 9), 8, Speech::Pcma);
    call.rig.configure(call.a, narrow);
    call.rig.configure(call.b, wide);
    call.rig.stats(call.b);
    let (mut toward_teams, mut toward_carrier) = (Vec::new(), Vec::new());
    let mut sines = [Sine::new(800.0, -20.0, 8_000), Sine::new(1_200.0, -20.0, 16_000)];
    let mut encoder = crate::codec::speech::Encoder::default();
    for _ in 0..10 {
        let (mut bytes, mut near, mut far) = ([0; 160], [0; 160], [0; 320]);
        sines[0].fill(&mut near);
        encoder.encode(Speech::Pcma, &near, &mut bytes);
        call.carrier.send(call.a, 8, &bytes);
        toward_teams.push(call.teams.receive());
        sines[1].fill(&mut far);
        encoder.encode(Speech::G722, &far, &mut bytes);
        call.teams.send(call.b, 9, &bytes);
        toward_carrier.push(call.carrier.receive());
    }
    assert!(
        toward_teams
            .iter()
            .all(|(header, _)| header.payload_type == 9 && header.ssrc == 1)
    );
    assert!(
        toward_carrier
            .iter()
            .all(|(header, _)| header.payload_type == 8 && header.ssrc == 2)
    );
    assert_eq!(
        toward_teams[9].0.timestamp - toward_teams[0].0.timestamp,
        9 * 160,
        "times pass unchanged"
    );
    assert!((level(Speech::G722, 800.0, &toward_teams) + 20.0).abs() < 1.0);
    assert!((level(Speech::Pcma, 1_200.0, &toward_carrier) + 20.0).abs() < 1.0);
}

#[test]
fn comfort_noise_becomes_noise_for_a_leg_that_negotiated_none() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let mut config = voice(&call.carrier, Speech::Pcma, 8);
    let [speech, noise] = [PayloadKind::Speech(Speech::Pcma), PayloadKind::ComfortNoise];
    for (payload, (number, kind)) in config.payloads.iter_mut().zip([(8, speech), (13, noise)]) {
        *payload = Payload {
            number,
            kind,
            relay_as: Some(9),
            recode: Some(Speech::G722),
            ..*payload
        };
    }
    call.rig.configure(call.a, config);
    call.rig.stats(call.a);
    let mut came = Vec::new();
    // The level is 40 dB below the overload point; what follows it describes the spectrum.
    for (number, payload) in [(8, &[0xd5; 160][..]), (13, &[40, 9, 9]), (13, &[40]), (8, &[0xd5; 160])] {
        call.carrier.send(call.a, number, payload);
        came.push(call.teams.receive());
    }
    assert_one_stream(&came);
    assert!(
        came.iter()
            .all(|(header, payload)| header.payload_type == 9 && payload.len() == 160)
    );
    let mut decoder = Decoder::default();
    let levels: Vec<f64> = came
        .iter()
        .map(|(_, payload)| {
            let mut frame = [0; 320];
            decoder.decode(Speech::G722, payload, &mut frame);
            // The delay of the filters is left out.
            crate::codec::tone::level(&frame[64..])
        })
        .collect();
    assert!(levels[0] < -60.0 && levels[3] < -50.0, "silence is silence: {levels:?}");
    for level in &levels[1..3] {
        assert!((level + 40.0).abs() < 3.0, "{levels:?}");
    }
}

#[test]
fn tones_are_digits_where_somebody_listens_until_events_come() {
    for (codec, number) in [(Speech::Pcma, 8), (Speech::G722, 9)] {
        let mut rig = Rig::new(settings(20_000..=20_099));
        let leg = rig.open(RtcpPort::Mux, None);
        let mut peer = Peer::secure(1);
        rig.configure(leg, voice(&peer, codec, number));
        let press = |peer: &mut Peer, sound: &Sound| {
            let mut encoder = crate::codec::speech::Encoder::default();
            let each = 160 * codec.samples_per_byte();
            for frame in sound.from(0, codec).chunks(each) {
                let mut bytes = [0; 160];
                encoder.encode(codec, frame, &mut bytes);
                peer.send(leg, number, &bytes);
            }
        };
        let mut samples = vec![0; 8 * 200];
        crate::codec::tone::DigitTone::new((852.0, 1_477.0), 8_000).fill(&mut samples[..8 * 100]);
        let sound = Sound::new(&samples, 8_000);
        press(&mut peer, &sound);
        assert_eq!(rig.event(), MediaEvent::Flowing { leg: leg.id });
        rig.stats_when(leg, |stats| stats.received.packets == 10);
        rig.plane.listen_in_band(leg.id, true).expect("accepted");
        rig.stats(leg);
        press(&mut peer, &sound);
        let MediaEvent::Dtmf {
            digit: '9',
            duration,
            source: DigitSource::InBand,
            ..
        } = rig.event()
        else {
            panic!("a nine");
        };
        assert!((80..=130).contains(&duration.as_millis()), "{duration:?}");
        // an event: the tones of the same peer count no more
        for units in [160u16, 320] {
            let [high, low] = units.to_be_bytes();
            let mut packet = [4, 0x0a, high, low];
            packet[1] |= if units == 320 { 0x80 } else { 0 };
            peer.send(leg, 101, &packet);
        }
        press(&mut peer, &sound);
        rig.stats_when(leg, |stats| stats.received.packets == 32);
        let MediaEvent::Dtmf {
            digit: '4',
            source: DigitSource::Event,
            ..
        } = rig.event()
        else {
            panic!("a four");
        };
        assert!(rig.told.try_recv().is_err(), "the tones are the same digit");
    }
}
