//! TLS over real sockets: who is let in, who is believed, what a swapped certificate does.

use super::harness::*;
use crate::net::tls::authority::LeafUsage;
use crate::net::tls::fixtures::*;
use crate::net::tls::*;
use crate::net::*;
use crate::sip::{Hop, Transport};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Our node and a hub under one CA.
struct World {
    directory: Directory,
    authority: authority::Authority,
    hub: TlsProfile,
    ours: Arc<IdentityStore>,
}

impl World {
    fn new() -> World {
        let directory = Directory::new();
        let authority = authority();
        let ours = leaf(&authority, &["sbc1.example.net"], LeafUsage::Server);
        let ours = directory.store(&[("ours", &ours)]);
        let hub = leaf(&authority, &[HUB], LeafUsage::Server);
        let hub = directory.store(&[("hub", &hub)]);
        let trust = ClientTrust::teams(roots(&authority), vec!["sbc1.example.net".to_owned()]);
        let hub = TlsProfile::new(hub, ClientCertificates::Require(trust), roots(&authority), HUB);
        World {
            directory,
            authority,
            hub,
            ours,
        }
    }

    /// Demands Teams' certificate of callers, shows ours.
    fn profile(&self) -> TlsProfile {
        let trust = ClientTrust::teams(roots(&self.authority), vec![HUB.to_owned()]);
        let clients = ClientCertificates::Require(trust);
        TlsProfile::new(self.ours.clone(), clients, roots(&self.authority), "sbc1.example.net")
    }

    fn node(&self, pool: PoolSettings) -> Node {
        Node::with(
            listener(ListenerProtocol::Tls(self.profile())),
            pool,
            Arc::new(AdmitAll),
        )
    }
}

async fn call(node: &Node, profile: &TlsProfile) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(node.address()).await?;
    let name = ServerName::try_from("sbc1.example.net").unwrap();
    let (config, _) = profile.connect(profile.presented(None)).unwrap();
    Ok(TlsConnector::from(config).connect(name, stream).await?.into())
}

/// A socket whose backlog is full, and what fills it.
async fn full_listener() -> ((TcpListener, Vec<TcpStream>), SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listening = socket.listen(1).unwrap();
    let address = listening.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
    }
    ((listening, filling), address)
}

async fn answer(listening: &TcpListener, profile: &TlsProfile) -> TlsStream<TcpStream> {
    let (stream, _) = timeout(BOUND, listening.accept()).await.expect("a connection").unwrap();
    let (config, _) = profile.accept().unwrap();
    TlsAcceptor::from(config).accept(stream).await.unwrap().into()
}

fn shown(stream: &TlsStream<TcpStream>) -> crate::sip::PeerCertificate {
    peer_certificate(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap()
}

fn tls_hop(remote: SocketAddr, name: &str) -> Hop {
    Hop {
        server_name: Some(name.into()),
        ..hop(Transport::Tls, remote)
    }
}

#[tokio::test]
async fn teams_is_let_in_and_its_certificate_is_noted_on_the_flow() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let mut hub = call(&node, &world.hub).await.unwrap();
    hub.write_all(&options("teams")).await.unwrap();
    let flow = node.received().await.flow;
    assert_eq!(flow.peer.unwrap().dns_names, [HUB]);
    let agreed = node.transports.connections()[0].agreed.map(|agreed| agreed.to_string());
    assert_eq!(agreed.as_deref(), Some("TLSv1_3 TLS13_AES_256_GCM_SHA384"));
    let ours = node.transports.connections()[0].shown.clone();
    assert_eq!(ours.as_deref(), Some(shown(&hub).serial.as_str()));
}

#[tokio::test]
async fn strangers_are_refused_each_for_its_reason() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let nobody = Arc::new(IdentityStore::open(vec![]).unwrap());
    let stranger = leaf(&world.authority, &["sip.example.org"], LeafUsage::Server);
    let stranger = world.directory.store(&[("stranger", &stranger)]);
    let trusted = || roots(&world.authority);
    for (identities, reason) in [(nobody, "no_certificate"), (stranger, "wrong_name")] {
        let profile = TlsProfile::new(identities, ClientCertificates::Ignore, trusted(), "sip.example.org");
        // Under TLS 1.3 the caller believes itself connected until it reads the alert.
        if let Ok(mut stream) = call(&node, &profile).await {
            read_to_end(&mut stream).await;
        }
        assert_eq!(node.event().await, Seen::Refused(reason));
        assert_eq!(node.transports.counters().handshakes_failed()[reason], 1);
    }
    let mut plain = TcpStream::connect(node.address()).await.unwrap();
    plain.write_all(&options("plain")).await.unwrap();
    assert_eq!(node.event().await, Seen::Refused("protocol"));
    assert_eq!(node.transports.counters().connections_accepted.get(), 0);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_ended() {
    let world = World::new();
    let mut settings = listener(ListenerProtocol::Tls(world.profile()));
    settings.limits.handshake = Duration::from_millis(100);
    let mut node = Node::open(settings);
    let mut silent = TcpStream::connect(node.address()).await.unwrap();
    assert_eq!(node.event().await, Seen::Refused("timeout"));
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn a_peer_that_takes_tcp_and_no_tls_is_told_from_one_that_is_silent() {
    let world = World::new();
    let pool = PoolSettings {
        connect: Duration::from_millis(100),
        ..PoolSettings::default()
    };
    let mut node = world.node(pool);
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    node.request(&tls_hop(mute.local_addr().unwrap(), HUB), transactions(1)[0]);
    assert_eq!(node.event().await, Seen::ConnectFailed("timeout"));
    assert_eq!(node.transports.counters().handshakes_failed()["timeout"], 1);
    let hangs = HandshakeFailure::Timeout(Duration::from_millis(100));
    assert_eq!(
        hangs.to_string(),
        "TCP is connected, and the TLS handshake was not done within 100 ms"
    );
    // No backlog is left: the kernel answers no more SYNs.
    let (_full, silent) = full_listener().await;
    node.request(&hop(Transport::Tls, silent), transactions(1)[0]);
    assert_eq!(node.event().await, Seen::ConnectFailed("connect"));
    assert_eq!(node.transports.counters().connects_failed.get(), 1);
}

#[tokio::test]
async fn handshakes_at_a_time_are_limited() {
    let world = World::new();
    let mut settings = listener(ListenerProtocol::Tls(world.profile()));
    settings.limits.handshakes = 1;
    let node = Node::open(settings);
    let _hanging = TcpStream::connect(node.address()).await.unwrap();
    let mut second = TcpStream::connect(node.address()).await.unwrap();
    assert_eq!(read_to_end(&mut second).await, "");
    assert_eq!(node.transports.counters().handshakes_over_limit.get(), 1);
}

#[tokio::test]
async fn our_certificate_is_shown_to_the_hub_and_the_hub_must_prove_its_name() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listening.local_addr().unwrap();
    let sent = transactions(2);
    node.request(&tls_hop(address, HUB), sent[0]);
    let mut hub = answer(&listening, &world.hub).await;
    assert!(read_until(&mut hub, "\r\n\r\n").await.starts_with("OPTIONS "));
    assert_eq!(shown(&hub).dns_names, ["sbc1.example.net"]);
    let Seen::Connected(flow, Opener::Us) = node.event().await else {
        panic!()
    };
    assert_eq!(flow.peer.unwrap().dns_names, [HUB]);

    node.request(&tls_hop(address, "sip2.pstnhub.microsoft.com"), sent[1]);
    let (stream, _) = timeout(BOUND, listening.accept()).await.unwrap().unwrap();
    let (config, _) = world.hub.accept().unwrap();
    assert!(TlsAcceptor::from(config).accept(stream).await.is_err());
    assert_eq!(node.failure().await, sent[1]);
    assert_eq!(node.event().await, Seen::ConnectFailed("wrong_name"));
}

#[tokio::test]
async fn a_hub_that_refuses_our_certificate_fails_the_request_at_once() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trust = ClientTrust::teams(roots(&world.authority), vec!["sbc9.example.net".to_owned()]);
    let hub = leaf(&world.authority, &[HUB], LeafUsage::Server);
    let hub = world.directory.store(&[("strict", &hub)]);
    let strict = TlsProfile::new(hub, ClientCertificates::Require(trust), roots(&world.authority), HUB);
    let sent = transactions(1);
    node.request(&tls_hop(listening.local_addr().unwrap(), HUB), sent[0]);
    let (stream, _) = timeout(BOUND, listening.accept()).await.unwrap().unwrap();
    let (config, _) = strict.accept().unwrap();
    assert!(TlsAcceptor::from(config).accept(stream).await.is_err());
    assert_eq!(node.failure().await, sent[0]);
    assert_eq!(
        node.closed().await.1,
        CloseReason::PeerAlert(rustls::AlertDescription::BadCertificate)
    );
}

#[tokio::test]
async fn after_a_swap_our_connections_show_the_new_certificate_and_the_old_ones_drain() {
    let world = World::new();
    let mut pool = PoolSettings::default();
    pool.keep_alive.drained = Duration::from_millis(100);
    let mut node = world.node(pool);
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = tls_hop(listening.local_addr().unwrap(), HUB);
    let sent = transactions(2);
    node.request(&hop, sent[0]);
    let mut before = answer(&listening, &world.hub).await;
    read_until(&mut before, "\r\n\r\n").await;
    node.transports.renew();

    world.directory.put(
        "ours",
        &leaf(&world.authority, &["sbc1.example.net"], LeafUsage::Server),
    );
    assert_eq!(world.ours.reload().replaced, ["ours"]);
    node.transports.renew();
    let mut after = answer(&listening, &world.hub).await;
    assert_ne!(shown(&before).serial, shown(&after).serial);
    assert_eq!(node.closed().await.1, CloseReason::Drained);
    let ours = node.transports.connections()[0].shown.clone();
    assert_eq!(ours.as_deref(), Some(shown(&after).serial.as_str()));
    node.request(&hop, sent[1]);
    assert!(read_until(&mut after, "\r\n\r\n").await.starts_with("OPTIONS "));
    assert_eq!(node.transports.counters().connections_opened.get(), 2);
    drop(before);
    assert!(node.failures.try_recv().is_err());
}

/// A node with a certificate for the base and its wildcard, and one for a trunk name of a tenant's own.
#[tokio::test]
async fn teams_011_trunks_show_the_certificate_that_bears_them_and_share_connections_under_one() {
    const OWN: &str = "voice.contoso.example";
    let world = World::new();
    let base = |names: &[&str]| leaf(&world.authority, names, LeafUsage::Server);
    let store = world.directory.store(&[
        ("base", &base(&["sbc1.example.net", "*.sbc1.example.net"])),
        ("own", &base(&[OWN])),
    ]);
    let roots = || roots(&world.authority);
    let profile = TlsProfile::new(store.clone(), ClientCertificates::Ignore, roots(), "sbc1.example.net");
    let mut node = Node::open(listener(ListenerProtocol::Tls(profile)));
    let anybody = ClientCertificates::Require(ClientTrust::teams(roots(), Vec::new()));
    let hub = world.hub.trusting(anybody, roots());
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to_hub = tls_hop(listening.local_addr().unwrap(), HUB);
    let of = |trunk: &str| Hop {
        presented: Some(trunk.into()),
        ..to_hub.clone()
    };
    let sent = transactions(8);

    node.request(&of("fabrikam.sbc1.example.net"), sent[0]);
    let mut shared = answer(&listening, &hub).await;
    assert_eq!(shown(&shared).dns_names, ["sbc1.example.net", "*.sbc1.example.net"]);
    node.request(&of(OWN), sent[1]);
    let mut own = answer(&listening, &hub).await;
    assert_eq!(shown(&own).dns_names, [OWN]);
    for (number, trunk) in ["tailspin.sbc1.example.net", "sbc1.example.net", "nobody.example"]
        .into_iter()
        .enumerate()
    {
        node.request(&of(trunk), sent[2 + number]);
    }
    node.request(&to_hub, sent[5]);
    for _ in 0..5 {
        read_until(&mut shared, "\r\n\r\n").await;
    }
    read_until(&mut own, "\r\n\r\n").await;
    assert_eq!(node.transports.counters().connections_opened.get(), 2);

    // Letting one go leaves the other.
    node.transports.let_go(&of(OWN));
    node.request(&of("fabrikam.sbc1.example.net"), sent[6]);
    read_until(&mut shared, "\r\n\r\n").await;

    // The name moves into the first certificate: requests follow it, and what shows the other one shows that for nobody new.
    world
        .directory
        .put("base", &base(&["sbc1.example.net", "*.sbc1.example.net", OWN]));
    assert_eq!(store.reload().replaced, ["base"]);
    node.transports.renew();
    let mut after = answer(&listening, &hub).await;
    assert_eq!(shown(&after).dns_names.len(), 3);
    node.request(&of(OWN), sent[7]);
    assert!(read_until(&mut after, "\r\n\r\n").await.starts_with("OPTIONS "));
    assert_eq!(node.transports.counters().connections_opened.get(), 3);
    assert!(node.failures.try_recv().is_err());
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let mut old = TcpStream::connect(node.address()).await.unwrap();
    // ClientHello of version 3.2 with ECDHE-RSA-AES128-SHA, no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
    old.write_all(&hello).await.unwrap();
    assert_eq!(node.event().await, Seen::Refused("protocol"));
}

#[tokio::test]
async fn who_was_let_in_under_older_trust_is_drained() {
    let world = World::new();
    let mut node = world.node(PoolSettings::default());
    let mut hub = call(&node, &world.hub).await.unwrap();
    hub.write_all(&options("teams")).await.unwrap();
    node.received().await;
    node.transports.renew();
    assert!(
        !node.transports.connections()[0].draining,
        "a swapped certificate of ours concerns our connections"
    );

    let other = Arc::new(TrustRoots::teams().unwrap());
    let trust = ClientTrust::teams(other.clone(), vec![HUB.to_owned()]);
    let clients = ClientCertificates::Require(trust);
    node.transports.set_trust(LISTENER, clients, other);
    assert!(node.transports.connections()[0].draining);
    if let Ok(mut refused) = call(&node, &world.hub).await {
        read_to_end(&mut refused).await;
    }
    loop {
        match node.event().await {
            Seen::Refused(reason) => break assert_eq!(reason, "unknown_issuer"),
            Seen::Connected(..) => {}
            other => panic!("{other:?}"),
        }
    }
}
