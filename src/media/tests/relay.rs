use super::*;

#[test]
fn plain_and_secure_peers_hear_each_other() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    for _ in 0..50 {
        call.assert_flows();
    }
    let (a, b) = (call.rig.stats(call.a), call.rig.stats(call.b));
    assert_eq!(
        (a.received.packets, a.received.bytes, a.sent.packets, a.sent.errors),
        (50, 100, 50, 0)
    );
    assert_eq!(
        (b.received.packets, b.received.lost, b.sent.packets, b.sent.bytes),
        (50, 0, 50, 100)
    );
    assert_eq!((a.received.ssrc, b.received.ssrc), (Some(1), Some(2)));
    assert_eq!(a.received.dropped, Dropped::default());
    let worker = call.rig.plane.worker_stats()[0];
    assert!(worker.packets_in >= 100 && worker.packets_out >= 100 && worker.legs == 2);
}

#[test]
fn two_secure_legs_and_two_plain_legs_relay() {
    Call::new(Peer::secure(1), Peer::secure(2)).assert_flows();
    Call::new(Peer::plain(1), Peer::plain(2)).assert_flows();
}

#[test]
fn payload_types_are_renumbered_and_unknown_ones_dropped() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.carrier.send(call.a, 18, b"g729");
    call.carrier.send(call.a, 101, &[5, 0x80, 0, 160]);
    call.carrier.send(call.a, 0, b"pcmu");
    assert_eq!(call.teams.receive().0.payload_type, 96);
    let (header, payload) = call.teams.receive();
    assert_eq!(
        (header.payload_type, header.ssrc, payload.as_slice()),
        (0, 1, b"pcmu".as_slice())
    );
    assert_eq!(call.rig.stats(call.a).received.dropped.payload, 1);
}

#[test]
fn a_digit_is_told_once_and_relayed() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    for duration in [160u16, 320, 480] {
        for _ in 0..if duration == 480 { 3 } else { 1 } {
            let [high, low] = duration.to_be_bytes();
            let mut packet = call
                .carrier
                .packet(101, &[9, if duration == 480 { 0x8a } else { 10 }, high, low]);
            packet[4..8].copy_from_slice(&4242u32.to_be_bytes());
            call.carrier.send_raw(call.a, &packet);
            assert_eq!(call.teams.receive().0.timestamp, 4242);
        }
    }
    assert_eq!(call.rig.event(), MediaEvent::Flowing { leg: call.a.id });
    let duration = Duration::from_millis(60);
    assert_eq!(
        call.rig.event(),
        MediaEvent::Dtmf {
            leg: call.a.id,
            digit: '9',
            duration,
            source: DigitSource::Event,
        }
    );
    call.rig.stats(call.a);
    assert!(call.rig.told.try_recv().is_err(), "each digit once");
}

#[test]
fn hold_stops_media_both_ways_and_resume_brings_it_back() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    let held = LegConfig {
        direction: Direction::Inactive,
        ..call.teams.config()
    };
    call.rig.configure(call.b, held);
    call.rig.stats(call.b);
    call.teams.send(call.b, 8, b"muted");
    call.carrier.send(call.a, 8, b"not sent");
    call.rig.stats_when(call.b, |stats| stats.received.dropped.muted == 1);
    call.rig
        .stats_when(call.a, |stats| stats.received.dropped.unbridged == 1);
    assert!(call.carrier.has_nothing() && call.teams.has_nothing());
    call.rig.configure(call.b, call.teams.config());
    call.rig.stats(call.b);
    call.assert_flows();
}

#[test]
fn same_keys_keep_their_rollover_counter() {
    let mut carrier = Peer::plain(1);
    carrier.sequence = 65_530;
    let mut call = Call::new(carrier, Peer::secure(2));
    for _ in 0..10 {
        call.assert_flows();
    }
    // past the wrap: contexts that began anew would fail to verify at both ends
    call.rig.configure(call.b, call.teams.config());
    for _ in 0..10 {
        call.assert_flows();
    }
    assert_eq!(call.rig.stats(call.b).received.dropped.auth_failures, 0);
}

#[test]
fn our_key_goes_on_when_only_the_peer_takes_another() {
    let mut carrier = Peer::plain(1);
    carrier.sequence = 65_530;
    let mut call = Call::new(carrier, Peer::secure(2));
    for _ in 0..10 {
        call.assert_flows();
    }
    // past the wrap: a sender that began anew would fail to verify at the peer, whose context counts on
    call.teams.rekey_sending();
    call.rig.configure(call.b, call.teams.config());
    call.rig.stats(call.b);
    for _ in 0..10 {
        call.assert_flows();
    }
    assert_eq!(call.rig.stats(call.b).received.dropped.auth_failures, 0);
}

#[test]
fn new_keys_take_over_and_packets_in_flight_still_pass_until_one_is_heard() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    let mut old = call.teams.packet(8, b"in flight");
    let still_sent = call.teams.packet(8, b"noise");
    call.teams.rekey();
    call.rig.configure(call.b, call.teams.config());
    call.rig.stats(call.b);
    call.teams.send_raw(call.b, &old);
    assert_eq!(call.carrier.receive().1, b"in flight");
    call.assert_flows();
    call.teams.send_raw(call.b, &still_sent);
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.auth_failures == 1);
    call.assert_flows();
    old.truncate(20);
    call.teams.send_raw(call.b, &old);
    call.rig.stats_when(call.b, |stats| {
        stats.received.dropped.malformed + stats.received.dropped.auth_failures == 2
    });
}

#[test]
fn a_restarted_source_gets_another_ssrc_where_its_numbers_would_come_again() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    for _ in 0..5 {
        call.assert_flows();
    }
    // the same SSRC from a lower number on, as a media server does that restarts: believed once the stream paused
    call.carrier.sequence = 500;
    let pause = Duration::from_millis(70);
    call.rig.runtime.block_on(async { tokio::time::sleep(pause).await });
    call.carrier.send(call.a, 8, b"again");
    let (header, payload) = call.teams.receive();
    assert_eq!(payload, b"again");
    assert_ne!(header.ssrc, 1);
    call.assert_flows();
}

/// Its numbers come again, and what they bear is new.
#[test]
fn a_source_that_steps_back_a_little_is_heard_again_soon() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    for _ in 0..100 {
        call.assert_flows();
    }
    call.carrier.sequence -= 80;
    call.carrier.send(call.a, 8, b"dropped");
    let pause = Duration::from_millis(70);
    call.rig.runtime.block_on(async { tokio::time::sleep(pause).await });
    call.carrier.send(call.a, 8, b"again");
    let (header, payload) = call.teams.receive();
    assert_eq!(payload, b"again");
    assert_ne!(header.ssrc, 1, "no number comes twice under one key and SSRC");
    for _ in 0..100 {
        call.assert_flows();
    }
    assert_eq!(call.rig.stats(call.b).sent.errors, 0);
}

/// Whoever answers late begins at rollover counter 0.
#[test]
fn a_source_that_leaps_through_its_numbers_wraps_nobody_elses() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.carrier.sequence = 31_000;
    call.assert_flows();
    let mut last = 31_000;
    for leap in [52_000_u16, 65_500] {
        // believed once the stream paused
        let pause = Duration::from_millis(70);
        call.rig.runtime.block_on(async { tokio::time::sleep(pause).await });
        call.carrier.sequence = leap;
        for _ in 0..50 {
            call.carrier.send(call.a, 8, b"on");
            let (header, _) = call.teams.receive();
            assert_eq!((header.ssrc, header.sequence), (1, last + 1));
            last = header.sequence;
        }
    }
    let ours = call.teams.keys.clone().expect("keys").0;
    call.teams.receiver = Some(Receiver::new(&ours).expect("context"));
    call.assert_flows();
}

#[test]
fn a_leg_is_bridged_with_another_one() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    let mut target = Peer::plain(3);
    let c = call.rig.open(RtcpPort::Pair, Some(call.a.id));
    call.rig.configure(c, target.config());
    call.rig.plane.bridge(c.id, call.b.id).expect("bridged");
    call.rig.stats(c);
    target.send(c, 8, b"transferred");
    assert_eq!(call.teams.receive().1, b"transferred");
    call.carrier.send(call.a, 8, b"left behind");
    call.rig
        .stats_when(call.a, |stats| stats.received.dropped.unbridged == 1);
    call.rig.plane.unbridge(call.b.id).expect("accepted");
    target.send(c, 8, b"alone");
    call.rig.stats_when(c, |stats| stats.received.dropped.unbridged == 1);
    assert!(call.teams.has_nothing());
}

#[test]
fn ipv6_peers_relay() {
    let address = MediaAddress {
        bind: "::1".parse().expect("IP"),
        advertise: "::1".parse().expect("IP"),
    };
    let own = settings(20_000..=20_999);
    let rig = Rig::new(MediaSettings {
        addresses: vec![address],
        ..own
    });
    let Ok(a) = rig.plane.open(rig.spec(RtcpPort::Mux, None)) else {
        eprintln!("no IPv6 on this machine");
        return;
    };
    let b = rig.open(RtcpPort::Mux, Some(a.id));
    let peer = |ssrc| {
        let socket = UdpSocket::bind("[::1]:0").expect("socket");
        socket.set_read_timeout(Some(BOUND)).expect("timeout");
        Peer {
            socket,
            ..Peer::plain(ssrc)
        }
    };
    let (mut near, mut far) = (peer(1), peer(2));
    rig.configure(a, near.config());
    rig.configure(b, far.config());
    rig.plane.bridge(a.id, b.id).expect("bridged");
    rig.stats(b);
    near.send(a, 8, b"six");
    assert_eq!(far.receive().1, b"six");
}

#[test]
fn packets_have_the_length_that_each_peer_asked_for() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let carrier = LegConfig {
        packet_time: Duration::from_millis(30),
        ..call.carrier.config()
    };
    call.rig.configure(call.a, carrier);
    call.rig.stats(call.a);
    // As it comes while the lengths fit, and under the same numbers.
    call.carrier.send(call.a, 8, &[1; 160]);
    let (first, payload) = call.teams.receive();
    assert_eq!(payload, [1; 160]);
    let long: Vec<u8> = (0..240).collect();
    let mut heard = Vec::new();
    for packet in 0..4u32 {
        let mut bytes = call.carrier.packet(8, &long);
        let timestamp = first.timestamp + 160 + packet * 240;
        bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
        call.carrier.send_raw(call.a, &bytes);
    }
    for number in 0..6 {
        let (header, payload) = call.teams.receive();
        assert_eq!(
            (header.sequence, header.timestamp, header.payload_type, payload.len()),
            (
                first.sequence + 1 + number,
                first.timestamp + 160 * (1 + u32::from(number)),
                8,
                160
            )
        );
        heard.extend(payload);
    }
    assert_eq!(heard, long.repeat(4));
    // A key that is pressed meanwhile has its place among them.
    call.carrier.send(call.a, 101, &[5, 0x80, 0, 160]);
    let (event, _) = call.teams.receive();
    assert_eq!((event.sequence, event.payload_type), (first.sequence + 7, 96));

    for value in 0..3 {
        call.teams.send(call.b, 8, &[value; 160]);
    }
    let (begins, payload) = call.carrier.receive();
    assert_eq!(payload, [[0; 160].as_slice(), &[1; 80]].concat());
    let (header, payload) = call.carrier.receive();
    assert_eq!(payload, [[1; 80].as_slice(), &[2; 160]].concat());
    assert_eq!(
        (header.sequence, header.timestamp),
        (begins.sequence + 1, begins.timestamp + 240)
    );
    let (a, b) = (call.rig.stats(call.a), call.rig.stats(call.b));
    assert_eq!((a.received.packets, a.sent.packets, b.sent.packets), (6, 2, 8));
    assert_eq!((a.received.dropped, b.received.dropped), Default::default());
}

#[test]
fn packets_are_cut_anew_after_a_hold_however_long_it_was() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.carrier.send(call.a, 8, &[1; 240]);
    assert_eq!(call.teams.receive().1, [1; 160]);
    let held = LegConfig {
        direction: Direction::Inactive,
        ..call.teams.config()
    };
    call.rig.configure(call.b, held);
    call.rig.stats(call.b);
    for _ in 0..20 {
        // A quarter of an hour: more than half of all sequence numbers.
        call.carrier.sequence = call.carrier.sequence.wrapping_add(2_000);
        call.carrier.send(call.a, 8, &[2; 240]);
    }
    call.rig
        .stats_when(call.a, |stats| stats.received.dropped.unbridged == 20);
    call.rig.configure(call.b, call.teams.config());
    call.rig.stats(call.b);
    call.carrier.send(call.a, 8, &[3; 240]);
    assert_eq!(call.teams.receive().1, [3; 160], "nothing from before the hold");
}
