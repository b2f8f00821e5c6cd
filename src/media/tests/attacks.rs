use super::*;

#[test]
fn strangers_get_nothing_and_move_nothing() {
    for secure in [false, true] {
        let carrier = if secure { Peer::secure(1) } else { Peer::plain(1) };
        let mut call = Call::new(carrier, Peer::secure(2));
        call.assert_flows();
        let mut stranger = Peer::plain(1);
        stranger.sequence = call.carrier.sequence;
        for _ in 0..20 {
            stranger.send(call.a, 8, b"injected by a stranger");
        }
        let refused = |stats: &MediaStats| stats.received.dropped.strangers + stats.received.dropped.auth_failures;
        call.rig.stats_when(call.a, |stats| refused(stats) == 20);
        assert!(call.teams.has_nothing(), "nothing was injected");
        call.assert_flows();
        assert!(stranger.has_nothing(), "nothing was bled");
        assert_eq!(call.rig.stats(call.a).remote, Some(call.carrier.address()));
    }
}

#[test]
fn who_speaks_before_the_descriptions_are_known_is_early_and_no_stranger() {
    let rig = Rig::new(settings(40_000..=40_100));
    let leg = rig.open(RtcpPort::Mux, None);
    let mut peer = Peer::plain(1);
    peer.send(leg, 8, b"before the answer");
    let report = [0x81, 201, 0, 7, 0, 0, 0, 1]
        .into_iter()
        .chain([0; 24])
        .collect::<Vec<u8>>();
    peer.send_raw(leg, &report);
    let stats = rig.stats_when(leg, |stats| stats.received.dropped.early == 2);
    assert_eq!(stats.received.dropped.strangers, 0);
}

#[test]
fn a_forged_source_address_does_not_break_into_a_running_plain_stream() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    // sent from the carrier's own socket: the same address and port, as a spoofer would have them
    let genuine = (call.carrier.ssrc, call.carrier.sequence);
    call.carrier.send(call.a, 8, b"keeps the stream running");
    call.teams.receive();
    call.carrier.ssrc = 666;
    call.carrier.send(call.a, 8, b"other source");
    (call.carrier.ssrc, call.carrier.sequence) = (genuine.0, genuine.1 + 30_000);
    call.carrier.send(call.a, 8, b"far away");
    call.carrier.sequence = genuine.1 + 1;
    call.carrier.send(call.a, 8, b"genuine");
    assert_eq!(call.teams.receive().1, b"genuine");
    assert_eq!(call.rig.stats(call.a).received.dropped.off_stream, 2);
}

#[test]
fn a_million_bad_tags_are_only_counted_and_no_other_call_notices() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    // Another call of the same worker.
    let (mut office, mut user) = (Peer::plain(3), Peer::secure(4));
    let one = call.rig.open(RtcpPort::Pair, Some(call.a.id));
    let other = call.rig.open(RtcpPort::Mux, Some(one.id));
    call.rig.configure(one, office.config());
    call.rig.configure(other, user.config());
    call.rig.plane.bridge(one.id, other.id).expect("bridged");
    call.rig.stats(other);
    let stranger = Peer::plain(9);
    let mut forged = call.teams.packet(8, &[0x55; 160]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut refused = 0;
    while refused < 1_000_000 {
        // in portions that fit the socket's buffer
        (0..100).for_each(|_| stranger.send_raw(call.b, &forged));
        refused += 100;
        let text = office.sequence.to_be_bytes();
        office.send(one, 8, &text);
        assert_eq!(user.receive().1, text);
        user.send(other, 8, &text);
        assert_eq!(office.receive().1, text);
        let is_judged = |_| call.rig.stats(call.b).received.dropped.auth_failures == refused;
        assert!((0..100_000).any(is_judged), "all are counted");
        if refused % 10_000 == 0 {
            call.assert_flows();
        }
    }
    call.assert_flows();
    assert_eq!(call.rig.stats(call.b).remote, Some(call.teams.address()));
    assert!(stranger.has_nothing());
}

#[test]
fn a_replayed_packet_is_dropped_and_moves_nothing() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    let packet = call.teams.packet(8, b"once");
    call.teams.send_raw(call.b, &packet);
    assert_eq!(call.carrier.receive().1, b"once");
    Peer::plain(9).send_raw(call.b, &packet);
    let stats = call.rig.stats_when(call.b, |stats| stats.received.dropped.replays == 1);
    assert_eq!(stats.remote, Some(call.teams.address()));
    assert!(call.carrier.has_nothing());
}

#[test]
fn an_srtp_source_moves_with_its_verified_packets() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    let moved = Peer::plain(0).socket;
    call.teams.socket = moved;
    call.teams.send(call.b, 8, b"from elsewhere");
    assert_eq!(call.carrier.receive().1, b"from elsewhere");
    call.assert_flows();
    assert_eq!(call.rig.stats(call.b).remote, Some(call.teams.address()));
}

#[test]
fn a_plain_source_behind_nat_moves_once_in_its_window() {
    let rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let (mut behind_nat, mut late) = (Peer::plain(1), Peer::plain(1));
    let config = behind_nat.config();
    let nat = |window, host| LegConfig {
        remote: "192.0.2.1:4000".parse().expect("address"),
        security: Security::Plain {
            latch: Latch::NatOnce { window, host },
        },
        ..config.clone()
    };
    let open = Duration::from_secs(60);
    let host = behind_nat.address().ip();
    rig.configure(leg, nat(Duration::ZERO, None));
    rig.stats(leg);
    let packet = behind_nat.packet(8, b"too late");
    behind_nat.send_raw(leg, &packet);
    rig.stats_when(leg, |stats| stats.received.dropped.strangers == 1);
    rig.configure(leg, nat(open, Some("192.0.2.1".parse().expect("address"))));
    rig.stats(leg);
    behind_nat.send_raw(leg, &packet);
    rig.stats_when(leg, |stats| stats.received.dropped.strangers == 2);
    rig.configure(leg, nat(open, Some(host)));
    rig.stats(leg);
    behind_nat.send_raw(leg, &packet);
    rig.stats_when(leg, |stats| stats.remote == Some(behind_nat.address()));
    late.sequence = behind_nat.sequence;
    late.send(leg, 8, b"second move");
    let stats = rig.stats_when(leg, |stats| stats.received.dropped.strangers == 3);
    assert_eq!(stats.remote, Some(behind_nat.address()));
}

#[test]
fn who_was_quicker_behind_nat_loses_to_the_signalled_address() {
    let rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let (mut quicker, mut owner) = (Peer::plain(1), Peer::plain(2));
    let window = Duration::from_secs(60);
    let security = Security::Plain {
        latch: Latch::NatOnce { window, host: None },
    };
    rig.configure(
        leg,
        LegConfig {
            security,
            ..owner.config()
        },
    );
    rig.stats(leg);
    quicker.send(leg, 8, b"a stranger's");
    rig.stats_when(leg, |stats| stats.remote == Some(quicker.address()));
    owner.send(leg, 8, b"the owner's");
    rig.stats_when(leg, |stats| stats.remote == Some(owner.address()));
    quicker.send(leg, 8, b"too late");
    rig.stats_when(leg, |stats| stats.received.dropped.strangers == 1);
}

#[test]
fn junk_of_every_kind_is_counted_for_what_it_is() {
    let call = Call::new(Peer::plain(1), Peer::secure(2));
    let send = |packet: &[u8]| call.carrier.send_raw(call.a, packet);
    send(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    send(&[22, 254, 253, 0, 0]);
    send(&[]);
    send(&[0x80, 8]);
    send(&[0x8f; 14]);
    send(&[[0xa0, 8, 0, 1].as_slice(), &[0; 8], &[7, 7, 200]].concat());
    send(&[0x80; 1501]);
    send(&[0x80; 9000]);
    let dropped = Dropped {
        not_negotiated: 2,
        malformed: 4,
        oversize: 2,
        ..Dropped::default()
    };
    assert_eq!(
        call.rig
            .stats_when(call.a, |stats| stats.received.dropped.oversize == 2)
            .received
            .dropped,
        dropped
    );
}

#[test]
fn packets_from_our_own_media_ports_do_not_loop() {
    let inner = own_address();
    let rig = Rig::new(MediaSettings {
        own: vec![inner],
        ..settings(20_000..=20_099)
    });
    let (a, b) = (rig.open(RtcpPort::Mux, None), rig.open(RtcpPort::Mux, None));
    let beside = rig.open(RtcpPort::Mux, Some(b.id));
    let mut peer = Peer::plain(1);
    rig.configure(beside, peer.config());
    let at = |leg: MediaLeg| SocketAddr::new(leg.address, leg.rtp_port);
    for (leg, remote) in [(a, at(b)), (b, at(a))] {
        let config = LegConfig {
            remote,
            ..peer.config()
        };
        rig.configure(leg, config);
        rig.stats(leg);
    }
    rig.plane.bridge(beside.id, b.id).expect("bridged");
    peer.send(beside, 8, b"hairpin");
    rig.stats_when(a, |stats| stats.received.dropped.hairpin == 1);
    let mut from_the_inner_address = Peer {
        socket: UdpSocket::bind((inner, b.rtp_port)).expect("a port of the range"),
        ..Peer::plain(2)
    };
    from_the_inner_address.send(a, 8, b"hairpin");
    rig.stats_when(a, |stats| stats.received.dropped.hairpin == 2);
    // Nobody's port any more: it may be a peer's, behind the address that we have as well.
    let mut behind_our_address = Peer {
        socket: drop_and_rebind(&rig, b),
        ..Peer::plain(3)
    };
    behind_our_address.send(a, 8, b"from a neighbour");
    rig.stats_when(a, |stats| stats.received.packets == 1);
}

/// Takes over the port of a leg that is closed for it.
fn drop_and_rebind(rig: &Rig, leg: MediaLeg) -> UdpSocket {
    rig.plane.close(leg.id).expect("accepted");
    assert!(rig.runtime.block_on(rig.plane.stats(leg.id)).is_err(), "closed");
    UdpSocket::bind((leg.address, leg.rtp_port)).expect("the port is free again")
}
