//! Two nodes that speak SIP to each other over real sockets.

use super::*;
use crate::net::tests::harness::{BOUND, LISTENER, hop, listener};
use crate::net::*;
use crate::sip::transaction::{Limits, Marks, Shed, Timers};
use crate::sip::{HeaderName, Hop, Method, RequestDraft, ResponseDraft, Transport};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What a user was told, in words.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Request(String),
    Ack,
    Cancelled,
    Response(u64, u16),
    Failed(u64, Cause),
    Terminated(u64),
    AckTimeout,
    Held(ServerTransactionId),
}

/// Answers OPTIONS with 200 and INVITE with 180, SUBSCRIBE once it is woken; panics at MESSAGE; tells the test everything.
struct Recorder {
    told: mpsc::UnboundedSender<Told>,
    invite: Option<ServerTransactionId>,
    held: Option<ServerTransactionId>,
    answer: u16,
}

impl Recorder {
    fn tell(&self, told: Told) {
        // A test that ends does not look at the rest.
        let _ = self.told.send(told);
    }
}

fn respond(id: ServerTransactionId, status: u16) -> Command {
    Command::Respond {
        id,
        draft: ResponseDraft::new(status).to_tag("theirs"),
    }
}

impl TransactionUser for Recorder {
    fn request(&mut self, id: ServerTransactionId, message: Message, _: Flow, commands: &mut Vec<Command>) {
        let method = message.method().unwrap().as_str().to_owned();
        self.tell(Told::Request(method.clone()));
        match method.as_str() {
            "MESSAGE" => panic!("a defect of the user"),
            "SUBSCRIBE" => {
                self.held = Some(id);
                self.tell(Told::Held(id));
            }
            "INVITE" => {
                self.invite = Some(id);
                commands.push(respond(id, 180));
                commands.push(respond(id, self.answer));
            }
            _ => commands.push(respond(id, 200)),
        }
    }

    fn has_dialog(&self, _: &str) -> bool {
        self.invite.is_some()
    }

    fn ack(&mut self, _: Message, _: Flow, commands: &mut Vec<Command>) {
        commands.extend(self.invite.map(|id| Command::Acknowledged { id }));
        self.tell(Told::Ack);
    }

    fn cancelled(&mut self, id: ServerTransactionId, _: Message, commands: &mut Vec<Command>) {
        commands.push(respond(id, 487));
        self.tell(Told::Cancelled);
    }

    fn response(&mut self, token: u64, message: Message, _: Flow, _: &mut Vec<Command>) {
        self.tell(Told::Response(token, message.status().unwrap()));
    }

    fn failed(&mut self, token: u64, _: Option<ClientTransactionId>, cause: Cause, _: &mut Vec<Command>) {
        self.tell(Told::Failed(token, cause));
    }

    fn terminated(&mut self, token: u64, _: &mut Vec<Command>) {
        self.tell(Told::Terminated(token));
    }

    fn woken(&mut self, commands: &mut Vec<Command>) {
        commands.extend(self.held.take().map(|id| respond(id, 202)));
    }

    fn ack_timeout(&mut self, _: ServerTransactionId, _: &str, _: &mut Vec<Command>) {
        self.tell(Told::AckTimeout);
    }
}

struct Silent;

impl Observer for Silent {
    fn event(&self, _: &NetEvent<'_>) {}
}

struct Node {
    signalling: Signalling,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Node {
    fn start(protocol: ListenerProtocol) -> Node {
        Node::answering(protocol, 200)
    }

    /// Its transactions last little more than a second.
    fn hasty(protocol: ListenerProtocol) -> Node {
        Node::with(protocol, 200, Duration::from_millis(20))
    }

    /// Answers INVITE with `answer`.
    fn answering(protocol: ListenerProtocol, answer: u16) -> Node {
        Node::with(protocol, answer, Timers::default().t1)
    }

    fn with(protocol: ListenerProtocol, answer: u16, t1: Duration) -> Node {
        let (sender, told) = mpsc::unbounded_channel();
        let settings = SignallingSettings {
            listeners: vec![listener(protocol)],
            pool: PoolSettings::default(),
            shards: 2,
            received_queue: 64,
            command_queue: 64,
            timers: Timers {
                t1,
                t4: t1 * 10,
                ..Timers::default()
            },
            limits: Limits::default(),
            marks: Marks::default(),
            clock: Clock::start(),
            admission: Arc::new(AdmitAll),
            observer: Arc::new(Silent),
        };
        let user = |_, _: &SignallingHandle, _: &Transports| Recorder {
            told: sender.clone(),
            invite: None,
            held: None,
            answer,
        };
        Node {
            signalling: Signalling::start(settings, user).unwrap(),
            told,
        }
    }

    fn address(&self) -> SocketAddr {
        self.signalling.transports().local_address(LISTENER).unwrap()
    }

    async fn told(&mut self) -> Told {
        timeout(BOUND, self.told.recv())
            .await
            .expect("to be told in time")
            .unwrap()
    }

    async fn request(&self, method: Method, hop: Hop) -> u64 {
        let token = self.signalling.handle().next_token();
        let draft = draft(method, &format!("call-{token}"));
        self.signalling.handle().request(token, draft, hop).await.unwrap();
        token
    }

    /// Acknowledges the 2xx of `token` at the first of these that takes it.
    async fn acknowledge<const N: usize>(&self, token: u64, hops: [Hop; N]) {
        let mut others = VecDeque::from(hops);
        let ack = Ack {
            token,
            draft: draft(Method::Ack, &format!("call-{token}")),
            hop: others.pop_front().expect("a hop"),
            others,
        };
        self.signalling.handle().send_ack(ack).await.unwrap();
    }

    fn transactions(&self) -> usize {
        self.signalling.shards().iter().map(|shard| shard.transactions).sum()
    }
}

fn draft(method: Method, call: &str) -> RequestDraft {
    let cseq = format!("1 {}", method.as_str());
    RequestDraft::new(method, "sip:b@127.0.0.1")
        .header(HeaderName::From, "<sip:a@127.0.0.1>;tag=ours")
        .header(HeaderName::To, "<sip:b@127.0.0.1>")
        .header(HeaderName::CallId, call)
        .header(HeaderName::CSeq, cseq)
        .header(HeaderName::MaxForwards, "70")
        .header(HeaderName::Contact, "<sip:a@127.0.0.1>")
}

fn udp() -> ListenerProtocol {
    ListenerProtocol::Udp { sockets: 1 }
}

#[tokio::test]
async fn options_is_answered_over_udp_and_over_tcp() {
    for protocol in [udp(), ListenerProtocol::Tcp] {
        let transport = protocol.transport();
        let [mut caller, mut callee] = [Node::start(protocol.clone()), Node::start(protocol)];
        // Four tokens: both shards of the caller and of the callee have their turn.
        for _ in 0..4 {
            let token = caller.request(Method::Options, hop(transport, callee.address())).await;
            assert_eq!(callee.told().await, Told::Request("OPTIONS".to_owned()));
            assert_eq!(caller.told().await, Told::Response(token, 200));
            if transport == Transport::Tcp {
                assert_eq!(caller.told().await, Told::Terminated(token));
            }
        }
        let opened = u64::from(transport == Transport::Tcp);
        assert_eq!(
            caller.signalling.transports().counters().connections_opened.get(),
            opened
        );
    }
}

#[tokio::test]
async fn an_invite_rings_is_answered_and_acknowledged() {
    let [mut caller, mut callee] = [Node::start(udp()), Node::start(udp())];
    let to = hop(Transport::Udp, callee.address());
    let token = caller.request(Method::Invite, to.clone()).await;
    assert_eq!(callee.told().await, Told::Request("INVITE".to_owned()));
    // 100 Trying may come before it.
    while caller.told().await != Told::Response(token, 180) {}
    assert_eq!(caller.told().await, Told::Response(token, 200));
    caller.acknowledge(token, [to]).await;
    // The 2xx may have been repeated before the ACK came.
    while callee.told().await != Told::Ack {}
}

#[tokio::test]
async fn teams_067_an_ack_goes_on_to_the_next_address_where_no_connection_takes_it() {
    let [mut caller, mut callee] = [Node::start(ListenerProtocol::Tcp), Node::start(ListenerProtocol::Tcp)];
    let to = hop(Transport::Tcp, callee.address());
    // Nobody listens there, and nobody else can.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let dead = hop(Transport::Tcp, taken.local_addr().unwrap());
    let token = caller.request(Method::Invite, to.clone()).await;
    while caller.told().await != Told::Response(token, 200) {}
    caller.acknowledge(token, [dead.clone(), dead.clone(), to]).await;
    while callee.told().await != Told::Ack {}
    caller.acknowledge(token, [dead.clone(), dead]).await;
    while caller.told().await != Told::Failed(token, Cause::Transport) {}
    assert_eq!(caller.signalling.transports().counters().sends_failed.get(), 4);
}

#[tokio::test]
async fn a_2xx_without_ack_ends_in_ack_timeout() {
    let [caller, mut callee] = [Node::start(udp()), Node::hasty(udp())];
    caller
        .request(Method::Invite, hop(Transport::Udp, callee.address()))
        .await;
    assert_eq!(callee.told().await, Told::Request("INVITE".to_owned()));
    assert_eq!(callee.told().await, Told::AckTimeout);
}

#[tokio::test]
async fn cancel_finds_its_invite_by_token() {
    // 183 keeps the INVITE ringing.
    let [mut caller, mut callee] = [
        Node::answering(ListenerProtocol::Tcp, 183),
        Node::answering(ListenerProtocol::Tcp, 183),
    ];
    let token = caller
        .request(Method::Invite, hop(Transport::Tcp, callee.address()))
        .await;
    caller.signalling.handle().cancel(token, Vec::new()).await.unwrap();
    assert_eq!(callee.told().await, Told::Request("INVITE".to_owned()));
    assert_eq!(callee.told().await, Told::Cancelled);
    while caller.told().await != Told::Response(token, 487) {}
}

/// As where a server has refused it, and it goes to the next one.
#[tokio::test]
async fn a_token_is_its_second_requests_when_the_first_is_over() {
    let (mut caller, mut callee) = (Node::hasty(udp()), Node::with(udp(), 183, Duration::from_millis(20)));
    let to = hop(Transport::Udp, callee.address());
    let token = caller.request(Method::Options, to.clone()).await;
    assert_eq!(caller.told().await, Told::Response(token, 200));
    let again = draft(Method::Invite, "again");
    caller.signalling.handle().request(token, again, to).await.unwrap();
    while caller.told().await != Told::Terminated(token) {}
    caller.signalling.handle().cancel(token, Vec::new()).await.unwrap();
    while callee.told().await != Told::Cancelled {}
}

#[tokio::test]
async fn a_request_fails_by_transport_or_by_time() {
    let mut caller = Node::hasty(ListenerProtocol::Tcp);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let token = caller.request(Method::Options, hop(Transport::Tcp, nobody)).await;
    assert_eq!(caller.told().await, Told::Failed(token, Cause::Transport));
    assert_eq!(caller.signalling.transports().counters().sends_failed.get(), 1);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token = caller
        .request(Method::Options, hop(Transport::Tcp, silent.local_addr().unwrap()))
        .await;
    assert_eq!(caller.told().await, Told::Failed(token, Cause::Timeout));

    let mut elsewhere = hop(Transport::Tcp, nobody);
    elsewhere.listener = crate::sip::ListenerId(9);
    let token = caller.request(Method::Options, elsewhere).await;
    assert_eq!(caller.told().await, Told::Failed(token, Cause::Transport));
}

#[tokio::test]
async fn a_request_that_waits_is_answered_once_its_shard_is_woken() {
    let (mut asker, mut slow) = (Node::start(udp()), Node::start(udp()));
    let token = asker
        .request(Method::Subscribe, hop(Transport::Udp, slow.address()))
        .await;
    assert_eq!(slow.told().await, Told::Request("SUBSCRIBE".into()));
    let Told::Held(id) = slow.told().await else {
        panic!("it is held")
    };
    slow.signalling.handle().wake(id).await.unwrap();
    assert_eq!(asker.told().await, Told::Response(token, 202));
}

#[tokio::test]
async fn a_panic_of_the_user_costs_one_event() {
    let [mut caller, mut callee] = [Node::start(ListenerProtocol::Tcp), Node::start(ListenerProtocol::Tcp)];
    let to = hop(Transport::Tcp, callee.address());
    let lost = caller.request(Method::Message, to.clone()).await;
    assert_eq!(callee.told().await, Told::Request("MESSAGE".to_owned()));
    assert_eq!(caller.told().await, Told::Response(lost, 500));
    assert_eq!(caller.told().await, Told::Terminated(lost));
    assert_eq!(callee.signalling.transports().counters().tasks_panicked.get(), 1);
    for _ in 0..4 {
        let token = caller.request(Method::Options, to.clone()).await;
        assert_eq!(caller.told().await, Told::Response(token, 200));
        assert_eq!(caller.told().await, Told::Terminated(token));
    }
}

#[tokio::test]
async fn shedding_refuses_new_calls_and_nothing_else() {
    let [mut caller, mut callee] = [Node::start(ListenerProtocol::Tcp), Node::start(ListenerProtocol::Tcp)];
    let to = hop(Transport::Tcp, callee.address());
    callee
        .signalling
        .handle()
        .shed_new_calls(Some(Shed {
            share: 1.0,
            retry_after: Duration::from_secs(3),
        }))
        .await
        .unwrap();
    let token = caller.request(Method::Invite, to.clone()).await;
    assert_eq!(caller.told().await, Told::Response(token, 503));
    assert_eq!(caller.told().await, Told::Terminated(token));
    let token = caller.request(Method::Options, to).await;
    assert_eq!(callee.told().await, Told::Request("OPTIONS".to_owned()));
    assert_eq!(caller.told().await, Told::Response(token, 200));
}

#[tokio::test]
async fn a_stopped_node_says_so_and_leaves_nothing_behind() {
    let node = Node::start(ListenerProtocol::Tcp);
    assert_eq!(node.transactions(), 0);
    node.signalling.shut_down(BOUND).await;
    let draft = draft(Method::Options, "late");
    let sent = node
        .signalling
        .handle()
        .request(1, draft, hop(Transport::Tcp, node.address()))
        .await;
    assert_eq!(sent, Err(Stopped));
    assert_eq!(node.signalling.transports().connections(), []);
}
