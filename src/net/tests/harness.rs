//! A node with one shard's inbox in the test's hands, and peers that speak by hand.

use crate::net::*;
use crate::sip::transaction::{Output, SendTo, Settings, Shard, TransactionId, Transactions};
use crate::sip::{Flow, Hop, ListenerId, Method, RequestDraft, Transport};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No wait of a test is longer: what takes this long does not come.
pub(in crate::net) const BOUND: Duration = Duration::from_secs(10);
pub(in crate::net) const LISTENER: ListenerId = ListenerId(0);

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Connected(Flow, Opener),
    Closed(Flow, CloseReason),
    Refused(&'static str),
    ConnectFailed(&'static str),
    NotAdmitted(SocketAddr),
    Unparsable,
    AcceptFailed,
    LongDatagram(usize),
}

struct Recorder(mpsc::UnboundedSender<Seen>);

impl Observer for Recorder {
    fn event(&self, event: &NetEvent<'_>) {
        let seen = match event {
            NetEvent::HandshakeRefused { failure, .. } => Seen::Refused(failure.label()),
            NetEvent::Connected { connection } => Seen::Connected(connection.flow.clone(), connection.opener),
            NetEvent::Closed { connection, reason } => Seen::Closed(connection.flow.clone(), (*reason).clone()),
            NetEvent::ConnectFailed { failure, .. } => Seen::ConnectFailed(failure.label()),
            NetEvent::NotAdmitted { remote, .. } => Seen::NotAdmitted(*remote),
            NetEvent::Unparsable { .. } => Seen::Unparsable,
            NetEvent::AcceptFailed { .. } => Seen::AcceptFailed,
            NetEvent::LongDatagram { length, .. } => Seen::LongDatagram(*length),
        };
        // A test that ends does not look at the rest.
        let _ = self.0.send(seen);
    }
}

pub(super) struct Node {
    pub(super) transports: Transports,
    pub(super) received: mpsc::Receiver<Received>,
    pub(super) events: mpsc::UnboundedReceiver<Seen>,
    pub(super) failures: mpsc::UnboundedReceiver<TransactionId>,
    failed: mpsc::UnboundedSender<TransactionId>,
}

pub(in crate::net) fn listener(protocol: ListenerProtocol) -> ListenerSettings {
    ListenerSettings {
        id: LISTENER,
        name: "test".to_owned(),
        protocol,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise_host: None,
        advertise_port: None,
        dscp: 24,
        limits: AcceptLimits::default(),
    }
}

pub(super) fn tcp(change: impl FnOnce(&mut AcceptLimits)) -> ListenerSettings {
    let mut settings = listener(ListenerProtocol::Tcp);
    change(&mut settings.limits);
    settings
}

impl Node {
    pub(super) fn open(listener: ListenerSettings) -> Node {
        Node::with(listener, PoolSettings::default(), Arc::new(AdmitAll))
    }

    pub(super) fn with(listener: ListenerSettings, pool: PoolSettings, admission: Arc<dyn Admission>) -> Node {
        let counters = Arc::new(Counters::default());
        let (inbox, mut shards) = Inbox::new(1, 64, counters.clone());
        let (events_in, events) = mpsc::unbounded_channel();
        let surroundings = Surroundings {
            clock: Clock::start(),
            counters,
            inbox,
            admission,
            observer: Arc::new(Recorder(events_in)),
        };
        let transports = Transports::open(vec![listener], pool, surroundings).unwrap();
        let (failed, failures) = mpsc::unbounded_channel();
        Node {
            transports,
            received: shards.remove(0),
            events,
            failures,
            failed,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.transports.local_address(LISTENER).unwrap()
    }

    pub(super) async fn received(&mut self) -> Received {
        timeout(BOUND, self.received.recv())
            .await
            .expect("a message in time")
            .unwrap()
    }

    pub(super) async fn event(&mut self) -> Seen {
        timeout(BOUND, self.events.recv())
            .await
            .expect("an event in time")
            .unwrap()
    }

    pub(super) async fn closed(&mut self) -> (Flow, CloseReason) {
        loop {
            if let Seen::Closed(flow, reason) = self.event().await {
                return (flow, reason);
            }
        }
    }

    pub(super) async fn failure(&mut self) -> TransactionId {
        timeout(BOUND, self.failures.recv())
            .await
            .expect("a failure in time")
            .unwrap()
    }

    /// Answers on a flow as a transaction would.
    pub(super) fn answer(&self, flow: Flow, transaction: TransactionId) {
        let report = FailureReport::new(transaction, self.failed.clone());
        let answer = Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n");
        let to = SendTo::Flow { flow, fallback: None };
        self.transports
            .send(&to, Outgoing::response(answer, Some(report)))
            .unwrap();
    }

    /// Sends OPTIONS to a hop as the shard would.
    pub(super) fn request(&self, hop: &Hop, transaction: TransactionId) {
        let report = FailureReport::new(transaction, self.failed.clone());
        let outgoing = Outgoing::request(options("10"), Some(report));
        // Whatever comes of it is in `failures`.
        let _ = self.transports.send(&SendTo::Hop(hop.clone()), outgoing);
    }
}

/// Names of `count` transactions.
pub(super) fn transactions(count: usize) -> Vec<TransactionId> {
    let settings = Settings {
        timers: Default::default(),
        limits: Default::default(),
        marks: Default::default(),
        shard: Shard::SINGLE,
        seed: [7; 32],
    };
    let mut table = Transactions::new(settings);
    let hop = hop(Transport::Tcp, SocketAddr::from(([127, 0, 0, 1], 1)));
    for token in 0..count {
        let draft = RequestDraft::new(Method::Options, "sip:x@127.0.0.1");
        let now = crate::moment::Moment::ZERO;
        table
            .request(&draft, hop.clone(), token as u64, "127.0.0.1:5060", now)
            .unwrap();
    }
    std::iter::from_fn(|| table.poll())
        .filter_map(|output| match output {
            Output::Send { transaction, .. } => transaction,
            _ => None,
        })
        .collect()
}

pub(in crate::net) fn hop(transport: Transport, remote: SocketAddr) -> Hop {
    Hop {
        transport,
        listener: LISTENER,
        remote,
        server_name: None,
        connection: None,
        account: None,
        presented: None,
    }
}

/// An OPTIONS request; `mark` makes its Call-ID.
pub(super) fn options(mark: &str) -> Bytes {
    Bytes::from(format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{mark}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: {mark}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// Reads until `end` has come.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    timeout(BOUND, async {
        while !text.ends_with(end.as_bytes()) {
            text.push(stream.read_u8().await.expect("more bytes"));
        }
    })
    .await
    .expect("the end in time");
    String::from_utf8(text).unwrap()
}

/// Reads to the end of the stream, in order or not.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    // A reset is an end as well.
    let _ = timeout(BOUND, stream.read_to_end(&mut text))
        .await
        .expect("the end in time");
    String::from_utf8_lossy(&text).into_owned()
}
