//! Media bypass: full ICE agents that we did not write, several forks, and who has not our password.

use super::*;
use crate::ice::{Credentials, Secret};
use ::is::stun::{StunMessage, StunPacket, TransId};
use ::is::{Candidate, DefaultSha1HmacProvider, IceAgent, IceCreds, Protocol, Sha1HmacProvider as _};
use std::io::ErrorKind;
use std::time::Instant;

fn ours() -> Credentials {
    Credentials::derive(&Secret::from_bytes([5; 32]), 0)
}

fn restarted() -> Credentials {
    Credentials::derive(&Secret::from_bytes([5; 32]), 1)
}

/// A fork of Teams: a full, controlling agent and the SRTP of the same socket.
struct Fork {
    media: Peer,
    agent: IceAgent,
    ufrag: String,
    /// Its checks that nominate, and whether one was answered.
    nominating: Vec<TransId>,
    nominated: bool,
}

impl Fork {
    fn new(ssrc: u32, leg: MediaLeg, ours: &Credentials) -> Fork {
        Fork::of(Peer::secure(ssrc), leg, ours)
    }

    fn of(media: Peer, leg: MediaLeg, ours: &Credentials) -> Fork {
        let (ufrag, pass) = (format!("fork{}", media.ssrc), "p".repeat(24));
        let mut agent = IceAgent::new(IceCreds {
            ufrag: ufrag.clone(),
            pass,
        });
        agent.set_controlling(true);
        let candidate = |address| Candidate::host(address, "udp").expect("a candidate");
        agent.add_local_candidate(candidate(media.address()));
        agent.set_remote_credentials(IceCreds {
            ufrag: ours.ufrag.clone(),
            pass: ours.password.clone(),
        });
        agent.add_remote_candidate(candidate(SocketAddr::new(leg.address, leg.rtp_port)));
        Fork {
            media,
            agent,
            ufrag,
            nominating: Vec::new(),
            nominated: false,
        }
    }

    /// Checks until a pair is nominated and the nomination was answered.
    #[allow(clippy::disallowed_methods, reason = "the agent reads this clock's type")]
    fn nominate(&mut self) {
        let end = Instant::now() + BOUND;
        let local = self.media.address();
        self.media.socket.set_nonblocking(true).expect("mode");
        while !self.nominated {
            let now = Instant::now();
            assert!(now < end, "no pair was nominated");
            self.agent.handle_timeout(now);
            while let Some(transmit) = self.agent.poll_transmit() {
                let check = StunMessage::parse(&transmit.contents).expect("its own check");
                self.nominating.extend(check.use_candidate().then(|| check.trans_id()));
                let sent = self.media.socket.send_to(&transmit.contents, transmit.destination);
                sent.expect("sent");
            }
            while self.agent.poll_event().is_some() {}
            let mut buffer = [0; 2048];
            match self.media.socket.recv_from(&mut buffer) {
                Ok((len, source)) if buffer[0] < 4 => {
                    let message = StunMessage::parse(&buffer[..len]).expect("STUN that the agent can read");
                    let packet = StunPacket {
                        proto: Protocol::Udp,
                        source,
                        destination: local,
                        message,
                    };
                    assert!(
                        self.agent.accepts_message(&packet.message),
                        "a reply that the agent believes"
                    );
                    self.nominated = self.nominating.contains(&packet.message.trans_id());
                    self.agent.handle_packet(now, packet);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        self.media.socket.set_nonblocking(false).expect("mode");
    }

    fn keys(&self) -> (MasterKey, MasterKey) {
        self.media.keys.clone().expect("keys")
    }

    /// What the plane is told when this fork has answered, `ours` being the key of our offer.
    fn config(&self, signalled: SocketAddr, local: &MasterKey) -> LegConfig {
        let mut config = self.media.config();
        config.remote = signalled;
        config.ice = Some(IceConfig {
            local: ours(),
            remote_ufrag: Some(self.ufrag.clone()),
            chosen: None,
        });
        if let Security::Sdes { local: sending, .. } = &mut config.security {
            *sending = local.clone();
        }
        config
    }

    /// The same while others ring.
    fn ringing(&self, signalled: SocketAddr, local: &MasterKey, others: &[&Fork]) -> LegConfig {
        let keys = |fork: &&Fork| crate::sdp::SrtpKeys {
            local: local.clone(),
            remote: fork.keys().1,
            remote_mki_length: 0,
        };
        let keys: Vec<_> = [self].iter().chain(others).map(keys).collect();
        let mut config = self.config(signalled, local);
        // So that no stream counts as silent, however slow the machine is.
        config.packet_time = BOUND;
        config.while_forks_ring(&keys)
    }

    /// One check of its own making.
    fn check(&self, leg: MediaLeg, ours: &Credentials, nominates: bool) {
        let user = format!("{}:{}", ours.ufrag, self.ufrag);
        let message = StunMessage::binding_request(&user, TransId::new(), true, 7, 9, nominates);
        let mut buffer = [0; 600];
        let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
        let len = message
            .to_bytes(Some(ours.password.as_bytes()), &mut buffer, hmac)
            .expect("room");
        self.media.send_raw(leg, &buffer[..len]);
    }
}

/// A carrier and a leg that was offered to Teams, before anybody has answered.
struct Offered {
    rig: Rig,
    carrier: Peer,
    a: MediaLeg,
    b: MediaLeg,
    key: MasterKey,
}

impl Offered {
    fn new() -> Offered {
        let rig = Rig::new(settings(20_000..=20_099));
        let carrier = Peer::plain(1);
        let a = rig.open(RtcpPort::Pair, None);
        let b = rig.open(RtcpPort::Mux, Some(a.id));
        rig.configure(a, carrier.config());
        rig.plane.bridge(a.id, b.id).expect("bridged");
        rig.plane.expect_checks(b.id, ours()).expect("accepted");
        rig.stats(b);
        let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
        Offered {
            rig,
            carrier,
            a,
            b,
            key,
        }
    }

    fn fork(&self, ssrc: u32) -> Fork {
        let mut fork = Fork::new(ssrc, self.b, &ours());
        fork.media.receiver = Some(Receiver::new(&self.key).expect("context"));
        fork
    }

    fn configure(&self, config: LegConfig) {
        self.rig.configure(self.b, config);
        self.rig.stats(self.b);
    }

    fn carrier_says(&mut self, text: &[u8]) {
        self.carrier.send(self.a, 8, text);
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.rig.stats(self.b).remote
    }
}

/// An address where nobody listens: what a client behind NAT says of itself.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9))
}

#[test]
fn teams_099_a_full_agent_nominates_before_the_answer_and_media_follow() {
    let mut call = Offered::new();
    let mut fork = call.fork(2);
    fork.nominate();
    let received = call.rig.stats(call.b).received;
    assert!(
        received.checks >= 1 && received.dropped == Dropped::default(),
        "{received:?}"
    );
    call.configure(fork.config(nowhere(), &call.key));
    assert_eq!(call.remote(), Some(fork.media.address()));
    call.carrier_says(b"to the nominated pair");
    assert_eq!(fork.media.receive().1, b"to the nominated pair");
    fork.media.send(call.b, 8, b"and back");
    assert_eq!(call.carrier.receive().1, b"and back");
}

#[test]
fn teams_100_a_full_agent_nominates_after_the_answer_and_media_follow() {
    let mut call = Offered::new();
    let mut fork = call.fork(2);
    call.configure(fork.config(nowhere(), &call.key));
    assert_eq!(
        call.remote(),
        Some(nowhere()),
        "the signalled address, as long as nothing is known"
    );
    fork.nominate();
    assert_eq!(call.remote(), Some(fork.media.address()));
    call.carrier_says(b"to the nominated pair");
    assert_eq!(fork.media.receive().1, b"to the nominated pair");
}

#[test]
fn teams_100_forks_check_at_once_and_who_answers_is_heard() {
    let mut call = Offered::new();
    let (mut one, mut other) = (call.fork(2), call.fork(3));
    one.nominate();
    other.nominate();
    call.configure(one.config(nowhere(), &call.key));
    assert_eq!(call.remote(), Some(one.media.address()));
    other.check(call.b, &ours(), true);
    call.rig.stats_when(call.b, |stats| stats.received.checks >= 3);
    assert_eq!(
        call.remote(),
        Some(one.media.address()),
        "answered, but no peer of this call any more"
    );
    other.media.send(call.b, 8, b"not heard");
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.auth_failures == 1);
    call.carrier_says(b"to who answered");
    assert_eq!(one.media.receive().1, b"to who answered");
}

#[test]
fn teams_102_while_forks_ring_the_first_that_streams_is_heard_until_a_nominated_one_streams_or_one_answers() {
    let mut call = Offered::new();
    let (mut one, mut other) = (call.fork(2), call.fork(3));
    call.configure(one.ringing(nowhere(), &call.key, &[]));
    one.media.send(call.b, 8, b"the first");
    assert_eq!(call.carrier.receive().1, b"the first");
    assert_eq!(
        call.remote(),
        Some(one.media.address()),
        "latched on authenticated SRTP"
    );
    call.configure(other.ringing(nowhere(), &call.key, &[&one]));
    one.media.send(call.b, 8, b"still the first");
    assert_eq!(call.carrier.receive().1, b"still the first");
    other.media.send(call.b, 8, b"between");
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.off_stream == 1);
    other.check(call.b, &ours(), true);
    call.rig.stats_when(call.b, |stats| stats.received.checks == 1);
    one.media.send(call.b, 8, b"the nominated one is silent");
    assert_eq!(call.carrier.receive().1, b"the nominated one is silent");
    assert_eq!(
        call.remote(),
        Some(other.media.address()),
        "where to send is what was nominated"
    );
    other.media.send(call.b, 8, b"nominated");
    assert_eq!(call.carrier.receive().1, b"nominated");
    one.media.send(call.b, 8, b"no longer");
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.off_stream == 2);
    assert_eq!(call.remote(), Some(other.media.address()));
    // the first one answers after all
    call.configure(one.config(nowhere(), &call.key));
    one.media.send(call.b, 8, b"answered");
    assert_eq!(call.carrier.receive().1, b"answered");
    assert_eq!(call.remote(), Some(one.media.address()));
    other.media.send(call.b, 8, b"its key is gone");
    call.rig
        .stats_when(call.b, |stats| stats.received.dropped.auth_failures == 1);
    call.carrier_says(b"to the first");
    assert_eq!(one.media.receive().1, b"to the first");
}

#[test]
fn teams_102_where_another_fork_was_heard_nothing_goes_once_one_has_answered() {
    for heard_one_answers in [true, false] {
        let mut call = Offered::new();
        let (mut one, other) = (call.fork(2), call.fork(3));
        call.configure(one.ringing(nowhere(), &call.key, &[]));
        one.media.send(call.b, 8, b"early");
        assert_eq!(call.carrier.receive().1, b"early");
        call.configure(other.ringing(nowhere(), &call.key, &[&one]));
        assert_eq!(call.remote(), Some(one.media.address()));
        let (answers, remote) = match heard_one_answers {
            true => (&one, one.media.address()),
            false => (&other, nowhere()),
        };
        call.configure(answers.config(nowhere(), &call.key));
        assert_eq!(call.remote(), Some(remote));
    }
}

#[test]
fn teams_102_the_one_fork_that_was_heard_falls_silent_when_another_answers() {
    for checks in [true, false] {
        let mut call = Offered::new();
        let (mut one, mut other) = (call.fork(2), call.fork(3));
        let configure = |call: &Offered, mut config: LegConfig| {
            config.ice.take_if(|_| !checks);
            call.configure(config);
        };
        configure(&call, one.ringing(nowhere(), &call.key, &[]));
        one.media.send(call.b, 8, b"early");
        assert_eq!(call.carrier.receive().1, b"early");
        configure(&call, other.config(nowhere(), &call.key));
        one.media.send(call.b, 8, b"not heard");
        call.rig
            .stats_when(call.b, |stats| stats.received.dropped.auth_failures == 1);
        other.media.send(call.b, 8, b"answered");
        assert_eq!(call.carrier.receive().1, b"answered");
    }
}

#[test]
fn teams_100_who_has_not_our_password_gets_no_answer_and_moves_nothing() {
    let mut call = Offered::new();
    let mut fork = call.fork(2);
    fork.nominate();
    call.configure(fork.config(nowhere(), &call.key));
    let stranger = Fork::new(9, call.b, &ours());
    let other = Credentials::derive(&Secret::from_bytes([6; 32]), 0);
    let half = Credentials {
        password: other.password.clone(),
        ..ours()
    };
    for round in 1..=1000 {
        stranger.check(call.b, &other, true);
        stranger.check(call.b, &half, true);
        stranger.media.send_raw(call.b, &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        if round % 50 == 0 {
            call.rig.stats_when(call.b, |stats| {
                let dropped = &stats.received.dropped;
                (dropped.stun_user, dropped.stun_integrity, dropped.malformed) == (round, round, round)
            });
        }
    }
    assert!(stranger.media.has_nothing(), "no answer to who has no password");
    assert_eq!(call.remote(), Some(fork.media.address()));
    call.carrier_says(b"as before");
    assert_eq!(fork.media.receive().1, b"as before");
}

#[test]
fn without_ice_no_check_is_answered() {
    let call = Call::new(Peer::plain(1), Peer::secure(2));
    let fork = Fork::new(9, call.b, &ours());
    fork.check(call.b, &ours(), true);
    fork.check(call.a, &ours(), true);
    for leg in [call.a, call.b] {
        let stats = call
            .rig
            .stats_when(leg, |stats| stats.received.dropped.not_negotiated == 1);
        assert_eq!(stats.received.checks, 0);
    }
    assert!(fork.media.has_nothing());
}

#[test]
fn a_nominated_pair_is_not_moved_by_verified_packets_from_elsewhere() {
    let mut call = Offered::new();
    let mut fork = call.fork(2);
    fork.nominate();
    call.configure(fork.config(nowhere(), &call.key));
    let packet = fork.media.packet(8, b"through another NAT binding");
    let elsewhere = Peer::plain(0);
    elsewhere.send_raw(call.b, &packet);
    assert_eq!(call.carrier.receive().1, b"through another NAT binding");
    assert_eq!(call.remote(), Some(fork.media.address()));
}

#[test]
fn a_client_that_moves_back_to_its_first_pair_is_followed_when_it_streams_from_there() {
    let mut call = Offered::new();
    let (mut home, mut away) = (call.fork(2), call.fork(2));
    home.nominate();
    call.configure(home.config(nowhere(), &call.key));
    away.nominate();
    assert_eq!(call.remote(), Some(away.media.address()));
    let before = call.rig.stats(call.b).received.checks;
    home.check(call.b, &ours(), true);
    call.rig.stats_when(call.b, |stats| stats.received.checks > before);
    assert_eq!(
        call.remote(),
        Some(away.media.address()),
        "it may be a keep-alive alone"
    );
    let has_moved = (0..500).any(|_| {
        home.media.send(call.b, 8, b"from home");
        assert_eq!(call.carrier.receive().1, b"from home");
        let frame = std::time::Duration::from_millis(20);
        call.rig.runtime.block_on(async { tokio::time::sleep(frame).await });
        call.remote() == Some(home.media.address())
    });
    assert!(has_moved, "media stay with the other pair");
}

#[test]
fn a_peer_that_gives_ice_up_gets_media_where_it_says() {
    let mut call = Offered::new();
    let mut fork = call.fork(2);
    fork.nominate();
    call.configure(fork.config(nowhere(), &call.key));
    let mut plain = Peer::plain(0);
    plain.receiver = Some(Receiver::new(&call.key).expect("context"));
    let mut config = fork.config(plain.address(), &call.key);
    config.ice = None;
    call.configure(config);
    call.carrier_says(b"without ICE");
    assert_eq!(plain.receive().1, b"without ICE");
}

#[test]
fn teams_079_a_checked_pair_that_signalling_names_is_taken() {
    let mut call = Offered::new();
    let (mut fork, mut named) = (call.fork(2), call.fork(2));
    fork.nominate();
    call.configure(fork.config(nowhere(), &call.key));
    let before = call.rig.stats(call.b).received.checks;
    let naming = |remote: &Fork| {
        let mut config = fork.config(remote.media.address(), &call.key);
        if let Some(ice) = &mut config.ice {
            ice.chosen = Some(remote.media.address());
        }
        config
    };
    // Behind some NAT nothing comes from the address that a client says.
    call.configure(naming(&call.fork(2)));
    assert_eq!(
        call.remote(),
        Some(fork.media.address()),
        "it was nominated, and is checked"
    );
    named.check(call.b, &ours(), false);
    call.rig.stats_when(call.b, |stats| stats.received.checks > before);
    let mut answer = [0; 600];
    named.media.socket.recv(&mut answer).expect("an answer to its check");
    call.configure(naming(&named));
    call.carrier_says(b"to the named pair");
    assert_eq!(named.media.receive().1, b"to the named pair");
}

#[test]
fn teams_078_a_restart_moves_media_to_the_new_pair_and_loses_none_before() {
    let mut call = Offered::new();
    let mut client = call.fork(2);
    client.nominate();
    call.configure(client.config(nowhere(), &call.key));
    client.media.send(call.b, 8, b"client");
    assert_eq!(call.carrier.receive().1, b"client");
    let mut processor = Fork::new(3, call.b, &restarted());
    processor.media.receiver = Some(Receiver::new(&call.key).expect("context"));
    let mut config = processor.config(processor.media.address(), &call.key);
    if let Some(ice) = &mut config.ice {
        ice.local = restarted();
    }
    call.configure(config.clone());
    client.media.send(call.b, 8, b"in flight");
    assert_eq!(call.carrier.receive().1, b"in flight");
    call.carrier_says(b"at once");
    assert_eq!(processor.media.receive().1, b"at once");
    processor.nominate();
    assert_eq!(call.remote(), Some(processor.media.address()));
    client.check(call.b, &ours(), true);
    call.rig.stats_when(call.b, |stats| stats.received.checks >= 3);
    assert_eq!(
        call.remote(),
        Some(processor.media.address()),
        "the old credentials lead nowhere"
    );
    processor.media.send(call.b, 8, b"processor");
    assert_eq!(call.carrier.receive().1, b"processor");
}
