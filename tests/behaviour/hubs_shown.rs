//! What the admin listener shows of hubs.

use crate::lab::{BOUND, HUB, Lab};
use portcullis::api::{AdminState, serve};
use portcullis::observe::Observation;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn peers(admin: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = "GET /v1/peers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_028_a_hub_is_shown_with_its_options_both_ways_its_server_and_its_tls() {
    let lab = Lab::start().await;
    let observation = Observation::without_logging(&lab.running.node.config.load()).unwrap();
    let state = AdminState::new(
        lab.running.node.clone(),
        lab.running.signalling.clone(),
        lab.running.papers.certificates().to_vec(),
        Arc::new(observation),
    );
    let admin = serve(([127, 0, 0, 1], 0).into(), Arc::new(state)).await.unwrap();
    let shown = async {
        loop {
            let peers = peers(admin.address()).await;
            let hub = peers["peers"]
                .as_array()
                .and_then(|all| all.iter().find(|peer| peer["peer"] == HUB).cloned());
            match hub {
                Some(hub) if !hub["answered_seconds_ago"].is_null() && !hub["heard_seconds_ago"].is_null() => {
                    return hub;
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let hub = tokio::time::timeout(BOUND, shown).await.expect("OPTIONS both ways");
    assert_eq!(hub["up"], true, "{hub}");
    assert_eq!(hub["tls"], "TLSv1_3 TLS13_AES_256_GCM_SHA384", "{hub}");
    for told in ["sent_seconds_ago", "round_trip_ms", "server"] {
        assert!(!hub[told].is_null(), "{told} of {hub}");
    }
    admin.shut_down(BOUND).await;
    lab.close().await;
}
