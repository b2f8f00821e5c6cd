use super::*;
use crate::net::Clock;
use crate::rtp::rtcp;
use std::io::ErrorKind;

fn quick(settings: MediaSettings) -> MediaSettings {
    MediaSettings {
        report_interval: Duration::from_millis(250),
        silence_after: Duration::from_millis(300),
        ..settings
    }
}

#[test]
fn legs_on_hold_report_on_every_interval_where_the_peer_wants_it() {
    let rig = Rig::new(quick(settings(20_000..=20_099)));
    let mut secure = Peer::secure(2);
    let mux = rig.open(RtcpPort::Mux, None);
    rig.configure(
        mux,
        LegConfig {
            direction: Direction::Inactive,
            ..secure.config()
        },
    );
    let plain = Peer::plain(1);
    let rtcp_socket = Peer::plain(1);
    let pair = rig.open(RtcpPort::Pair, None);
    let remote_rtcp = RemoteRtcp::At(rtcp_socket.address());
    rig.configure(
        pair,
        LegConfig {
            direction: Direction::Inactive,
            remote_rtcp,
            ..plain.config()
        },
    );

    let mut cnames = Vec::new();
    for _ in 0..4 {
        let mut buffer = [0; 512];
        let len = secure.socket.recv(&mut buffer).expect("a report");
        let len = secure
            .receiver
            .as_mut()
            .expect("keys")
            .unprotect_rtcp(&mut buffer[..len])
            .expect("SRTCP");
        assert!(matches!(
            rtcp::packets(&buffer[..len]).next(),
            Some(rtcp::Packet::Report { sender: None, .. })
        ));
        cnames.push(buffer[len - 20..len].to_vec());
        let (len, from) = rtcp_socket.socket.recv_from(&mut buffer).expect("a report");
        assert_eq!(from.port(), pair.rtcp_port);
        assert_eq!(rtcp::packets(&buffer[..len]).count(), 2, "RR and SDES");
    }
    cnames.dedup();
    assert_eq!(cnames.len(), 1, "one CNAME for the life of the leg");
    assert!(plain.has_nothing());
    assert!(rig.stats(mux).sent.rtcp_packets >= 4);
}

#[test]
fn flowing_silence_and_resumption_are_told() {
    let mut rig = Rig::new(quick(settings(20_000..=20_099)));
    let (mut carrier, teams) = (Peer::plain(1), Peer::secure(2));
    let (a, b) = (rig.open(RtcpPort::Pair, None), rig.open(RtcpPort::Mux, None));
    let inactive = LegConfig {
        direction: Direction::Inactive,
        ..teams.config()
    };
    rig.configure(b, inactive);
    rig.configure(a, carrier.config());
    rig.plane.bridge(a.id, b.id).expect("bridged");
    let leg = a.id;
    // As often as time wants it; but never of the leg on hold.
    let is_silence = |event: &MediaEvent, least: u64| {
        let least = Duration::from_millis(least);
        matches!(event, MediaEvent::Silence { leg: silent, lasting, reports: false } if *silent == leg && *lasting >= least)
    };
    let any_silence = |event: &MediaEvent| is_silence(event, 300);
    carrier.send(a, 8, b"first");
    rig.event_that(|event| *event == MediaEvent::Flowing { leg }, any_silence);
    rig.event_that(any_silence, |_| false);
    rig.event_that(|event| is_silence(event, 600), any_silence);
    carrier.send(a, 8, b"again");
    rig.event_that(|event| *event == MediaEvent::Resumed { leg }, any_silence);
}

#[test]
fn closing_tells_the_final_figures_and_frees_the_ports() {
    let mut call = Call::new(Peer::plain(1), Peer::secure(2));
    call.assert_flows();
    for _ in 0..2 {
        assert!(matches!(call.rig.event(), MediaEvent::Flowing { .. }));
    }
    call.rig.plane.close(call.a.id).expect("accepted");
    let MediaEvent::Closed { leg, stats } = call.rig.event() else {
        panic!("closed")
    };
    assert_eq!((leg, stats.received.packets, stats.sent.packets), (call.a.id, 1, 1));
    let usage = call.rig.plane.port_usage()[0];
    assert_eq!((usage.in_use, usage.resting, usage.capacity), (1, 2, 100));
    // the leg that is left goes on by itself
    call.teams.send(call.b, 8, b"nobody there");
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.unbridged == 1);
    let gone = call.rig.runtime.block_on(call.rig.plane.stats(call.a.id));
    assert!(matches!(gone, Err(MediaError::NoSuchLeg(id)) if id == call.a.id));
}

#[test]
fn commands_for_a_closed_leg_never_reach_its_successor() {
    let rig = Rig::new(settings(20_000..=20_003));
    let first = rig.open(RtcpPort::Pair, None);
    rig.plane.close(first.id).expect("accepted");
    assert!(rig.runtime.block_on(rig.plane.stats(first.id)).is_err());
    let second = rig.open(RtcpPort::Pair, None);
    assert_ne!(first.id, second.id);
    assert_ne!(first.rtp_port, second.rtp_port, "a freed port rests");
    rig.plane.close(first.id).expect("accepted");
    rig.stats(second);
}

#[test]
fn an_exhausted_range_says_so_and_ports_of_others_are_passed_over() {
    let own = settings(20_000..=20_007);
    let address = own.addresses[0].bind;
    let foreign = UdpSocket::bind((address, 20_003)).expect("free");
    let rig = Rig::new(own);
    let legs: Vec<MediaLeg> = (0..3).map(|_| rig.open(RtcpPort::Pair, None)).collect();
    assert!(legs.iter().all(|leg| leg.rtp_port % 2 == 0 && leg.rtp_port != 20_002));
    let exhausted = rig.plane.open(rig.spec(RtcpPort::Pair, None)).map(|_| ()).unwrap_err();
    assert_eq!(
        exhausted.to_string(),
        format!("no media port of {address} is free: of 8 ports 6 are in use, 2 are held by other programs")
    );
    let MediaError::PortsExhausted { usage, .. } = exhausted else {
        panic!("exhausted")
    };
    assert_eq!((usage.in_use, usage.resting, usage.capacity), (6, 2, 8));
    drop(foreign);
    assert_eq!(rig.open(RtcpPort::Pair, None).rtp_port, 20_002);
    assert!(rig.plane.port_usage()[0].is_scarce());
}

#[test]
fn addresses_that_are_bound_alike_have_their_ports_together() {
    let mut own = settings(20_000..=20_003);
    let inner = own.addresses[0].bind;
    own.addresses[0].advertise = "198.51.100.10".parse().expect("an address");
    own.addresses.push(MediaAddress {
        bind: inner,
        advertise: inner,
    });
    let rig = Rig::new(own);
    let at = |address| OpenSpec {
        address,
        ..rig.spec(RtcpPort::Pair, None)
    };
    let outer_leg = rig.plane.open(at(0)).expect("the first pair");
    let inner_leg = rig.plane.open(at(1)).expect("the second pair");
    assert_ne!(outer_leg.rtp_port, inner_leg.rtp_port);
    assert_eq!(inner_leg.address, inner);
    let exhausted = rig.plane.open(at(1)).map(|_| ()).unwrap_err();
    assert_eq!(
        exhausted.to_string(),
        format!("no media port of {inner} is free: of 4 ports 4 are in use")
    );
    assert_eq!(rig.plane.port_usage().len(), 1);
}

#[test]
fn ports_that_rest_after_calls_are_nobody_elses() {
    let rig = Rig::new(settings(20_000..=20_031));
    let legs: Vec<MediaLeg> = (0..14).map(|_| rig.open(RtcpPort::Pair, None)).collect();
    let closed = legs.last().expect("a leg");
    rig.plane.close(closed.id).expect("accepted");
    assert!(rig.runtime.block_on(rig.plane.stats(closed.id)).is_err());
    let _last = rig.open(RtcpPort::Pair, None);
    let refused = rig.plane.open(rig.spec(RtcpPort::Pair, None)).map(|_| ()).unwrap_err();
    let says = "of 32 ports 28 are in use, 2 rest after a call, 4 are kept for emergency calls, resting or not";
    assert!(refused.to_string().ends_with(says), "{refused}");
}

#[test]
fn a_leg_whose_owner_is_gone_is_closed() {
    let rig = Rig::new(quick(settings(20_000..=20_099)));
    let (events, told) = mpsc::channel(1);
    let orphan = rig
        .plane
        .open(OpenSpec {
            events,
            ..rig.spec(RtcpPort::Pair, None)
        })
        .expect("a leg");
    let adopted = rig.plane.open(OpenSpec {
        events: mpsc::channel(1).0,
        ..rig.spec(RtcpPort::Pair, None)
    });
    let adopted = adopted.expect("a leg");
    rig.plane.hand_over(adopted.id, rig.events.clone()).expect("accepted");
    drop(told);
    let gone = async {
        while rig.plane.stats(orphan.id).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    rig.runtime
        .block_on(async { tokio::time::timeout(BOUND, gone).await })
        .expect("in time");
    rig.stats(adopted);
    assert_eq!(rig.plane.worker_stats()[0].orphans, 1);
}

#[test]
fn what_cannot_work_is_refused() {
    let rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let peer = Peer::secure(1);
    let (key, _) = peer.keys.clone().expect("keys");
    let same = Security::Sdes {
        local: key.clone(),
        remote: key,
        remote_mki_len: 0,
        forks: Vec::new(),
    };
    let refused = rig.plane.configure(
        leg.id,
        LegConfig {
            security: same,
            ..peer.config()
        },
    );
    assert!(matches!(refused, Err(MediaError::SameKeys)));
    assert!(matches!(
        rig.plane.bridge(leg.id, leg.id),
        Err(MediaError::NotBridgeable(..))
    ));
    let spec = OpenSpec {
        address: 1,
        urgent: false,
        ..rig.spec(RtcpPort::Mux, None)
    };
    assert!(matches!(rig.plane.open(spec), Err(MediaError::NoSuchAddress(1))));
}

#[test]
fn dropping_the_plane_closes_its_sockets() {
    let mut rig = Rig::new(settings(20_000..=20_099));
    let leg = rig.open(RtcpPort::Mux, None);
    let busy = UdpSocket::bind((leg.address, leg.rtp_port)).map_err(|error| error.kind());
    assert_eq!(busy.err(), Some(ErrorKind::AddrInUse));
    drop(rig.plane);
    let told = &mut rig.told;
    assert!(matches!(told.try_recv(), Ok(MediaEvent::Closed { leg: id, .. }) if id == leg.id));
    UdpSocket::bind((leg.address, leg.rtp_port)).expect("free again");
}

#[test]
fn a_worker_that_ends_closes_its_legs_and_gets_no_more() {
    let two = MediaSettings {
        workers: NonZeroU16::new(2),
        ..settings(20_000..=20_099)
    };
    let (plane, mut workers) = MediaPlane::prepare(two).expect("a plane");
    let (events, mut told) = mpsc::channel(8);
    let open = |near| {
        plane.open(OpenSpec {
            address: 0,
            urgent: false,
            rtcp: RtcpPort::Mux,
            near,
            events: events.clone(),
            label: Arc::from("test"),
        })
    };
    let first = open(None).expect("a leg");
    workers[0].close();
    assert!(matches!(told.try_recv(), Ok(MediaEvent::Closed { leg, .. }) if leg == first.id));
    assert_eq!(plane.ended_workers(), 1);
    assert!(matches!(open(Some(first.id)), Err(MediaError::WorkerEnded(0))));
    for _ in 0..3 {
        assert_eq!(open(None).expect("a leg").id.worker, 1);
    }
    assert_eq!(plane.port_usage()[0].in_use, 3);
    workers[1].close();
    assert!(matches!(open(None), Err(MediaError::NoWorkers)));
}

#[test]
fn silence_counts_anew_from_an_answer() {
    let mut call = Call::with(quick(settings(20_000..=20_099)), Peer::plain(1), Peer::secure(2));
    let inactive = LegConfig {
        direction: Direction::Inactive,
        ..call.teams.config()
    };
    call.rig.configure(call.b, inactive);
    assert!(matches!(call.rig.event(), MediaEvent::Silence { .. }));
    let clock = Clock::start();
    let answered = clock.now();
    call.rig.plane.await_rtp(call.a.id).expect("accepted");
    // One that was told of before the command may still wait.
    let counted_anew = (0..20).any(|_| {
        let told = call.rig.event();
        matches!(told, MediaEvent::Silence { lasting, .. } if lasting <= clock.now().since(answered))
    });
    assert!(counted_anew);
}

#[test]
fn a_leg_moves_to_another_worker_and_nobody_outside_notices() {
    let settings = MediaSettings {
        workers: NonZeroU16::new(2),
        ..settings(20_000..=20_019)
    };
    let rig = Rig::new(settings);
    let (mut carrier, mut teams) = (Peer::plain(1), Peer::secure(2));
    let (a, b) = (rig.open(RtcpPort::Mux, None), rig.open(RtcpPort::Pair, None));
    assert_ne!(a.id.worker, b.id.worker, "the load is spread");
    rig.configure(a, carrier.config());
    rig.configure(b, teams.config());
    assert!(rig.plane.bridge(a.id, b.id).is_err());
    teams.send(b, 8, b"before");
    rig.stats_when(b, |stats| stats.received.packets == 1);
    let moved = rig.runtime.block_on(rig.plane.relocate(b.id, a.id)).expect("a leg");
    assert_eq!(moved.worker, a.id.worker);
    let b = MediaLeg { id: moved, ..b };
    rig.plane.bridge(a.id, b.id).expect("they share a worker");
    rig.stats(b);
    carrier.send(a, 8, b"there");
    assert_eq!(teams.receive().1, b"there");
    teams.send(b, 8, b"back");
    assert_eq!(carrier.receive().1, b"back", "its keys and sequence went along");
    assert_eq!(rig.stats(b).received.packets, 2, "and its counts");
    let again = rig.runtime.block_on(rig.plane.relocate(b.id, a.id)).expect("a leg");
    assert_eq!(again, b.id, "it is there already");
    rig.plane.close(b.id).expect("taken");
    rig.stats(a);
    let elsewhere = LegId {
        worker: 1 - a.id.worker,
        ..a.id
    };
    let gone = rig.runtime.block_on(rig.plane.relocate(b.id, elsewhere));
    assert!(gone.is_err(), "who is closed does not move");
}
