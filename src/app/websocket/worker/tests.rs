//! A connection that its peer does not read.

use super::*;
use crate::app::outbound::{AddressPolicy, HookUrl, Paced};
use crate::app::websocket::handshake::{RATE, limits};
use crate::net::dns;
use crate::net::tls::authority::Authority;
use crate::net::tls::{TrustRoots, web_client};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Bytes of the kernel's buffers, as far as it allows.
const FEW: u32 = 1_024;

fn connector() -> Connector {
    let root = Authority::new("Nobody's Root", 0, 4_000_000_000)
        .expect("a root")
        .root_pem();
    let roots = TrustRoots::from_pem(root.as_bytes(), "test").expect("roots");
    let resolver = Connector::resolver(dns::Settings::default());
    let policy = AddressPolicy::new(vec![], true, vec![]);
    let tls = web_client(&roots).expect("a client");
    Connector::new(resolver, policy, tls, Duration::from_secs(3))
}

#[tokio::test]
async fn who_pings_and_takes_no_pong_is_not_listened_to() {
    let near = TcpSocket::new_v4().expect("a socket");
    let far = TcpSocket::new_v4().expect("a socket");
    near.set_send_buffer_size(FEW).expect("a size");
    far.set_recv_buffer_size(FEW).expect("a size");
    far.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = far.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(near.connect(address), listener.accept());
    let (near, (mut far, _)) = (near.expect("a connection"), far.expect("a connection"));

    let url = HookUrl::parse(&format!("ws://{address}/"), None).expect("a URL");
    let settings = SessionSettings {
        ack: Duration::from_millis(300),
        ..SessionSettings::new(url, None)
    };
    let config = limits(&settings);
    assert!(config.max_write_buffer_size <= 1 << 20);
    let near = Stream::Plain(Paced::new(near, Some(RATE)));
    let mut socket = WebSocketStream::from_raw_socket(near, Role::Client, Some(config)).await;
    let (_to_worker, queue) = mpsc::channel(1);
    let (events, _heard) = mpsc::channel(1);
    let (_close, closing) = oneshot::channel();
    let id = MessageId("0-0".to_owned());
    let mut worker = Worker::new(connector(), settings, None, id, queue, events, closing);

    let mut ping = vec![0x89, 125];
    ping.resize(127, b'p');
    let flood = async {
        while far.write_all(&ping).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let left = tokio::select! {
        left = timeout(Duration::from_secs(10), worker.connected(&mut socket)) => left.expect("an end"),
        () = flood => unreachable!("it waits for ever"),
    };
    assert!(matches!(left, Left::Lost(SessionFailure::NotReading { .. })));
}
