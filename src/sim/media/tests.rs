use super::*;
use crate::srtp::Suite;
use std::net::Ipv4Addr;

const BOUND: Duration = Duration::from_secs(5);

fn key() -> MasterKey {
    MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng())
}

fn stream(remote: &Endpoint, tone: f64, keys: Option<Keys>) -> Stream {
    let next = SocketAddr::new(remote.local().ip(), remote.local().port() + 1);
    let rtcp = keys.is_none().then_some(next);
    Stream {
        remote: remote.local(),
        remote_rtcp: rtcp,
        codec: Spoken::Pcma,
        payload_type: 8,
        is_noted: false,
        events: Some(101),
        keys,
        direction: Direction::SendRecv,
        tone,
        checks: None,
    }
}

async fn pair_of(mux: bool) -> (Endpoint, Endpoint) {
    let clock = Clock::start();
    let open = || Endpoint::open(IpAddr::V4(Ipv4Addr::LOCALHOST), mux, clock);
    (open().await.unwrap(), open().await.unwrap())
}

#[tokio::test]
async fn two_endpoints_hear_each_other_over_srtp() {
    let (a, b) = pair_of(true).await;
    let (one, two) = (key(), key());
    let keys = |local: &MasterKey, remote: &MasterKey| {
        Some(Keys {
            local: local.clone(),
            local_mki: 0,
            remote: remote.clone(),
            remote_mki: 0,
        })
    };
    a.flow(stream(&b, 440.0, keys(&one, &two))).await;
    b.flow(stream(&a, 620.0, keys(&two, &one))).await;
    let (at_a, at_b) = (a.ear().conclusive(BOUND).await, b.ear().conclusive(BOUND).await);
    assert!(at_a.is_tone(620.0) && at_b.is_tone(440.0), "{at_a:?} {at_b:?}");
    assert!(at_a.srtp && at_a.suite == Some("AES_CM_128_HMAC_SHA1_80"));
    assert_eq!(at_b.auth_failures, 0);
}

/// Both sides' keys have an identifier, and RTCP has a port of its own.
#[tokio::test]
async fn keys_with_an_identifier_open_what_came_on_either_port() {
    let (a, b) = pair_of(false).await;
    let (one, two) = (key(), key());
    let keys = |local: &MasterKey, remote: &MasterKey| {
        Some(Keys {
            local: local.clone(),
            local_mki: 1,
            remote: remote.clone(),
            remote_mki: 1,
        })
    };
    let on_pair = |remote: &Endpoint, tone, keys| Stream {
        remote_rtcp: remote.rtcp(),
        ..stream(remote, tone, keys)
    };
    a.flow(on_pair(&b, 440.0, keys(&one, &two))).await;
    b.flow(on_pair(&a, 620.0, keys(&two, &one))).await;
    let (at_a, at_b) = (a.ear().conclusive(BOUND).await, b.ear().conclusive(BOUND).await);
    assert!(at_a.is_tone(620.0) && at_b.is_tone(440.0), "{at_a:?} {at_b:?}");
    let end = Instant::now() + BOUND;
    let at_b = loop {
        let heard = b.ear().now();
        if heard.rtcp_on_next_port > 0 {
            break heard;
        }
        assert!(Instant::now() < end, "{heard:?}");
        sleep(GLANCE).await;
    };
    assert_eq!((at_b.auth_failures, at_b.rtcp_received), (0, at_b.rtcp_on_next_port));
}

#[tokio::test]
async fn a_wrong_key_is_heard_as_nothing() {
    let (a, b) = pair_of(true).await;
    let keys = || {
        Some(Keys {
            local: key(),
            local_mki: 0,
            remote: key(),
            remote_mki: 0,
        })
    };
    a.flow(stream(&b, 440.0, keys())).await;
    b.flow(stream(&a, 620.0, keys())).await;
    let end = Instant::now() + BOUND;
    let at_b = loop {
        let heard = b.ear().now();
        if heard.auth_failures > 5 {
            break heard;
        }
        assert!(Instant::now() < end, "{heard:?}");
        sleep(GLANCE).await;
    };
    assert_eq!(at_b.packets, 0);
}

#[tokio::test]
async fn digits_and_reports_arrive_on_a_pair_of_ports() {
    let (a, b) = pair_of(false).await;
    assert_eq!(a.local().port() % 2, 0);
    a.flow(stream(&b, 440.0, None)).await;
    b.flow(stream(&a, 620.0, None)).await;
    a.digits("42#").await;
    let end = Instant::now() + BOUND;
    loop {
        let heard = b.ear().now();
        if heard.digits == "42#" && heard.rtcp_received > 0 {
            break;
        }
        assert!(Instant::now() < end, "{heard:?}");
        sleep(GLANCE).await;
    }
}
