//! The simulators' own SIP wire: transports and one transaction table in one task.
//!
//! Not the shards that portcullis runs on: a peer must be able to leave a message unheard, to write header names as Teams
//! does, and to never acknowledge.

use super::persona::Persona;
use super::unconnected::Failures;
use super::violation::Violations;
use crate::net::shard::Command;
use crate::net::{
    AdmitAll, Clock, Counters, FailureReport, Inbox, ListenError, ListenerSettings, NetEvent, Observer, Opener,
    Outgoing, PoolSettings, Received, Surroundings, Transports,
};
use crate::sip::transaction::{
    Cause, ClientTransactionId, Limits, Marks, Output, SendTo, Settings, Shard, Timers, TransactionId, Transactions,
};
use crate::sip::{ConnectionId, Flow, Message, Method};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Messages and commands that may wait; callers wait when the queue is full.
const QUEUE: usize = 1024;
/// Without a transaction no timer is due; the sleep needs some end.
const NO_TIMER: Duration = Duration::from_secs(3600);
/// A request may be unanswered for so long.
const LONGEST_RINGING: Duration = Duration::from_secs(180);

/// Whose wire it is.
pub(super) trait Ears: Send + 'static {
    /// A message arrived; false: it was never heard.
    fn overhears(&mut self, message: &Message, flow: &Flow, arrival: Arrival) -> bool;

    /// Bytes about to leave.
    fn dresses(&mut self, bytes: Bytes) -> Bytes;

    /// The transaction layer has something to tell.
    fn hears(&mut self, output: Output, commands: &mut Vec<Command>);
}

/// The connection that a message came on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// We opened it.
    pub(super) own: bool,
    /// For how long it is up.
    pub(super) age: Duration,
    /// We opened others to the same address, and lost none lately: what we sent over them can be answered there.
    pub(super) others_stand: bool,
}

/// The running wire. Dropping it stops it.
pub(super) struct Wire {
    pub(super) transports: Transports,
    own: Arc<Connections>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Binds the listeners and starts the task; `ears` gets the queue of commands.
    pub(super) fn start<E: Ears>(
        listeners: Vec<ListenerSettings>,
        clock: Clock,
        (persona, violations): (Arc<dyn Persona>, Arc<Violations>),
        ears: impl FnOnce(mpsc::Sender<Command>) -> E,
    ) -> Result<Wire, ListenError> {
        let counters = Arc::new(Counters::default());
        let (inbox, mut received) = Inbox::new(1, QUEUE, counters.clone());
        let own = Arc::new(Connections {
            open: Mutex::default(),
            failures: Failures::default(),
            persona,
            violations,
        });
        let transports = Transports::open(
            listeners,
            PoolSettings::default(),
            Surroundings {
                clock,
                counters,
                inbox,
                admission: Arc::new(AdmitAll),
                observer: own.clone(),
            },
        )?;
        let (commands, orders) = mpsc::channel(QUEUE);
        let (failures, failed) = mpsc::unbounded_channel();
        let loop_ = WireTask {
            ears: ears(commands),
            transactions: Transactions::new(Settings {
                timers: Timers::default(),
                limits: Limits::default(),
                marks: Marks::default(),
                shard: Shard::SINGLE,
                seed: rand::random(),
            }),
            transports: transports.clone(),
            clock,
            own: own.clone(),
            failures,
            tokens: HashMap::new(),
        };
        let messages = received.pop();
        Ok(Wire {
            transports,
            own,
            task: tokio::spawn(async move {
                if let Some(messages) = messages {
                    loop_.run(messages, orders, failed).await;
                }
            }),
        })
    }

    /// What did not come about since the last call.
    pub(super) fn unconnected(&self) -> &Failures {
        &self.own.failures
    }

    /// Stops listening and closes all connections.
    pub(super) async fn shut_down(&self) {
        self.task.abort();
        self.transports.shut_down(Duration::from_secs(2)).await;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<ConnectionId, (Opener, SocketAddr, Instant)>,
    /// When one of ours was closed.
    lost: Option<Instant>,
}

/// What the transports told of connections.
struct Connections {
    open: Mutex<Open>,
    failures: Failures,
    persona: Arc<dyn Persona>,
    violations: Arc<Violations>,
}

impl Connections {
    /// A request of the peer must not come on what this side opened (RFC 5923 is not spoken).
    fn arrival(&self, flow: &Flow) -> Arrival {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.connections.get(&flow.connection);
        let mut others = open.connections.values();
        Arrival {
            own: known.is_some_and(|(opener, ..)| *opener == Opener::Us),
            age: known.map_or(Duration::ZERO, |(_, _, since)| since.elapsed()),
            others_stand: others.any(|(opener, remote, _)| *opener == Opener::Us && remote.ip() == flow.remote.ip())
                && open.lost.is_none_or(|lost| lost.elapsed() > LONGEST_RINGING),
        }
    }
}

impl Observer for Connections {
    fn event(&self, event: &NetEvent<'_>) {
        self.failures.note(event);
        if let NetEvent::HandshakeRefused { failure, .. } | NetEvent::ConnectFailed { failure, .. } = event {
            self.violations.record_all(self.persona.judge_handshake(failure));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            NetEvent::Connected { connection } => {
                let known = (connection.opener, connection.flow.remote, Instant::now());
                open.connections.insert(connection.flow.connection, known);
            }
            NetEvent::Closed { connection, .. } => {
                open.connections.remove(&connection.flow.connection);
                if connection.opener == Opener::Us {
                    open.lost = Some(Instant::now());
                }
            }
            _ => {}
        }
    }
}

struct WireTask<E> {
    ears: E,
    transactions: Transactions,
    transports: Transports,
    clock: Clock,
    own: Arc<Connections>,
    failures: mpsc::UnboundedSender<TransactionId>,
    tokens: HashMap<u64, ClientTransactionId>,
}

impl<E: Ears> WireTask<E> {
    async fn run(
        mut self,
        mut received: mpsc::Receiver<Received>,
        mut orders: mpsc::Receiver<Command>,
        mut failed: mpsc::UnboundedReceiver<TransactionId>,
    ) {
        let mut commands = Vec::new();
        loop {
            let due = self.transactions.next_timeout().unwrap_or(self.clock.now() + NO_TIMER);
            tokio::select! {
                Some(id) = failed.recv() => self.transactions.transport_failed(id),
                order = orders.recv() => match order {
                    Some(order) => commands.push(order),
                    None => return,
                },
                Some(Received { message, flow }) = received.recv() => {
                    if self.ears.overhears(&message, &flow, self.own.arrival(&flow)) {
                        self.transactions.receive(message, flow, self.clock.now(), |_| true);
                    }
                }
                () = sleep_until(self.clock.instant(due)) => self.transactions.handle_timeout(self.clock.now()),
            }
            self.settle(&mut commands);
        }
    }

    fn settle(&mut self, commands: &mut Vec<Command>) {
        loop {
            for command in std::mem::take(commands) {
                self.execute(command);
            }
            while let Some(output) = self.transactions.poll() {
                match output {
                    Output::Send { transaction, to, bytes } => self.send(transaction, &to, bytes),
                    Output::Failed { id, token, cause } => {
                        self.tokens.remove(&token);
                        self.ears.hears(Output::Failed { id, token, cause }, commands);
                    }
                    Output::Terminated { id, token } => {
                        self.tokens.remove(&token);
                        self.ears.hears(Output::Terminated { id, token }, commands);
                    }
                    Output::Request { id, message, flow } => {
                        let is_invite = message.method() == Some(&Method::Invite);
                        self.ears.hears(Output::Request { id, message, flow }, commands);
                        if is_invite {
                            commands.push(Command::Trying { id });
                        }
                    }
                    other => self.ears.hears(other, commands),
                }
            }
            if commands.is_empty() {
                return;
            }
        }
    }

    fn execute(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Request { token, draft, hop } => {
                let sent_by = self.transports.sent_by(hop.listener).cloned().unwrap_or_default();
                if let Ok(id) = self.transactions.request(&draft, hop, token, &sent_by, now) {
                    self.tokens.insert(token, id);
                }
            }
            Command::Cancel { token, headers } => {
                if let Some(id) = self.tokens.get(&token) {
                    self.transactions.cancel(*id, headers, now);
                }
            }
            // A response that comes too late is the peer's to miss.
            Command::Respond { id, draft } => drop(self.transactions.respond(id, &draft, now)),
            Command::Refuse { id, draft } => self.transactions.refuse(id, draft),
            Command::Trying { id } => self.transactions.trying(id),
            Command::Acknowledged { id } => self.transactions.acknowledged(id),
            Command::Ack(ack) => {
                let sent_by = self.transports.sent_by(ack.hop.listener).cloned().unwrap_or_default();
                let bytes = self.transactions.ack(&ack.draft, &ack.hop, &sent_by);
                self.send(None, &SendTo::Hop(ack.hop), bytes);
            }
            Command::DropConnection { hop } => self.transports.let_go(&hop),
            Command::ShedNewCalls(shed) => self.transactions.shed_new_calls(shed),
            // Nothing here waits for what is not a message.
            Command::Wake => {}
            Command::Spare(users) => self.transactions.spare(users),
        }
    }

    fn send(&mut self, transaction: Option<TransactionId>, to: &SendTo, bytes: Bytes) {
        let report = transaction.map(|id| FailureReport::new(id, self.failures.clone()));
        let bytes = self.ears.dresses(bytes);
        let outgoing = match to {
            SendTo::Hop(_) => Outgoing::request(bytes, report),
            SendTo::Flow { .. } => Outgoing::response(bytes, report),
        };
        // Dropping it reports the failure to the transaction.
        let _ = self.transports.send(to, outgoing);
    }
}

/// A request that got no final response, as the response that RFC 3261 §8.1.3.1 makes of it.
pub(super) const fn status_of(cause: Cause) -> u16 {
    match cause {
        Cause::Timeout => 408,
        Cause::Transport => 503,
    }
}
