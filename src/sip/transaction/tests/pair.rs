//! Two transaction tables joined by a network that loses, delays, reorders and doubles, in simulated time.

use crate::moment::Moment;
use crate::sip::transaction::{
    Cause, ClientTransactionId, Limits, Marks, Output, SendTo, ServerTransactionId, Settings, Shard, Timers,
    Transactions,
};
use crate::sip::{
    ConnectionId, Flow, HeaderName, Hop, ListenerId, Message, Method, RequestDraft, ResponseDraft, Transport,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const CALLER: &str = "192.0.2.1:5060";
pub(super) const CALLEE: &str = "198.51.100.1:5060";

pub(super) fn settings() -> Settings {
    Settings {
        timers: Timers::default(),
        limits: Limits::default(),
        marks: Marks::default(),
        shard: Shard::SINGLE,
        seed: [7; 32],
    }
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn flow(transport: Transport, local: &str, remote: &str) -> Flow {
    Flow {
        transport,
        listener: ListenerId(0),
        local: address(local),
        remote: address(remote),
        connection: if transport.is_reliable() {
            ConnectionId(1)
        } else {
            ConnectionId::NONE
        },
        peer: None,
    }
}

pub(super) fn hop(transport: Transport, remote: &str) -> Hop {
    Hop {
        transport,
        listener: ListenerId(0),
        remote: address(remote),
        server_name: None,
        connection: None,
        account: None,
        presented: None,
    }
}

/// A request of the caller without a dialog.
pub(super) fn draft(method: Method, cseq: u32) -> RequestDraft {
    let number = format!("{cseq} {method}");
    RequestDraft::new(method, "sip:bob@example.com")
        .header(HeaderName::Route, "<sip:edge.example.com;lr>")
        .header(HeaderName::MaxForwards, "70")
        .header(HeaderName::From, "<sip:alice@example.com>;tag=alice")
        .header(HeaderName::To, "<sip:bob@example.com>")
        .header(HeaderName::CallId, "call-1")
        .header(HeaderName::CSeq, number)
}

/// What the network does to one datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub(super) lost: bool,
    /// Milliseconds under way; differing ones reorder.
    pub(super) delay: u64,
    /// A second copy arrives after so many milliseconds.
    pub(super) copy: Option<u64>,
}

impl Fate {
    pub(super) const GOOD: Fate = Fate {
        lost: false,
        delay: 20,
        copy: None,
    };
}

/// What a transaction user saw, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Request(Method),
    Ack,
    Cancelled,
    Response(u16),
    Failed(Cause),
    Terminated,
    AckTimeout,
}

/// How the callee treats an INVITE: final status and after how many milliseconds it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Callee {
    pub(super) status: u16,
    pub(super) after: u64,
    pub(super) acknowledges: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

#[derive(Debug)]
enum Event {
    Arrives(Side, Bytes),
    Answer(ServerTransactionId),
    Cancel,
}

pub(super) struct Pair {
    pub(super) now: Moment,
    pub(super) caller: Transactions,
    pub(super) callee: Transactions,
    /// What each side's user saw.
    pub(super) caller_saw: Vec<Seen>,
    pub(super) callee_saw: Vec<Seen>,
    /// First line of everything that was sent, with its time in milliseconds.
    pub(super) wire: Vec<(u64, String)>,
    transport: Transport,
    fates: VecDeque<Fate>,
    behaviour: Callee,
    events: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
    invite: Option<ClientTransactionId>,
    answering: HashMap<String, ServerTransactionId>,
}

impl Pair {
    /// The first datagrams meet `fates`, later ones a good network.
    pub(super) fn new(transport: Transport, fates: &[Fate], behaviour: Callee) -> Pair {
        Pair {
            now: Moment::ZERO,
            caller: Transactions::new(settings()),
            callee: Transactions::new(Settings {
                seed: [8; 32],
                ..settings()
            }),
            caller_saw: Vec::new(),
            callee_saw: Vec::new(),
            wire: Vec::new(),
            transport,
            fates: fates.iter().copied().collect(),
            behaviour,
            events: BTreeMap::new(),
            sequence: 0,
            invite: None,
            answering: HashMap::new(),
        }
    }

    /// The caller sends a request.
    pub(super) fn request(&mut self, method: Method) {
        let draft = draft(method.clone(), 1);
        let hop = hop(self.transport, CALLEE);
        let id = self.caller.request(&draft, hop, 42, CALLER, self.now).unwrap();
        if method == Method::Invite {
            self.invite = Some(id);
        }
        self.drain();
    }

    /// The caller cancels its INVITE after so many milliseconds.
    pub(super) fn cancel_after(&mut self, millis: u64) {
        self.schedule(millis, Event::Cancel);
    }

    /// Jumps to the next moment at which something happens. False when nothing will.
    pub(super) fn step(&mut self) -> bool {
        let next = [
            self.events.keys().next().map(|(at, _)| *at),
            self.caller.next_timeout(),
            self.callee.next_timeout(),
        ];
        let Some(next) = next.into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        self.caller.handle_timeout(self.now);
        self.callee.handle_timeout(self.now);
        self.drain();
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Event::Arrives(Side::Callee, bytes) => {
                    let flow = flow(self.transport, CALLEE, CALLER);
                    self.callee
                        .receive(Message::parse(bytes).unwrap(), flow, self.now, |_| true);
                }
                Event::Arrives(Side::Caller, bytes) => {
                    let flow = flow(self.transport, CALLER, CALLEE);
                    self.caller
                        .receive(Message::parse(bytes).unwrap(), flow, self.now, |_| true);
                }
                Event::Answer(id) => {
                    let draft = ResponseDraft::new(self.behaviour.status).to_tag("bob");
                    // Too late when a CANCEL was first.
                    let _ = self.callee.respond(id, &draft, self.now);
                }
                Event::Cancel => {
                    self.caller.cancel(self.invite.unwrap(), Vec::new(), self.now);
                }
            }
            self.drain();
        }
        true
    }

    /// Steps until nothing happens any more.
    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.wire);
    }

    /// How often a line was put on the wire.
    pub(super) fn sent(&self, start: &str) -> usize {
        self.wire.iter().filter(|(_, line)| line.starts_with(start)).count()
    }

    /// Nothing is remembered on either side.
    pub(super) fn assert_reclaimed(&self) {
        self.caller.assert_reclaimed();
        self.callee.assert_reclaimed();
    }

    fn schedule(&mut self, millis: u64, event: Event) {
        self.sequence += 1;
        self.events
            .insert((self.now + Duration::from_millis(millis), self.sequence), event);
    }

    fn drain(&mut self) {
        loop {
            if let Some(output) = self.caller.poll() {
                self.caller_output(output);
            } else if let Some(output) = self.callee.poll() {
                self.callee_output(output);
            } else {
                return;
            }
        }
    }

    fn transmit(&mut self, from: Side, to: SendTo, bytes: Bytes) {
        let (to_side, expected) = match from {
            Side::Caller => (Side::Callee, CALLEE),
            Side::Callee => (Side::Caller, CALLER),
        };
        let remote = match to {
            SendTo::Hop(hop) => hop.remote,
            SendTo::Flow { flow, .. } => flow.remote,
        };
        assert_eq!(remote, address(expected));
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap().to_owned();
        self.wire.push(((self.now - Moment::ZERO).as_millis() as u64, line));
        let fate = self
            .fates
            .pop_front()
            .filter(|_| !self.transport.is_reliable())
            .unwrap_or(Fate::GOOD);
        if !fate.lost {
            self.schedule(fate.delay, Event::Arrives(to_side, bytes.clone()));
        }
        if let Some(delay) = fate.copy {
            self.schedule(delay, Event::Arrives(to_side, bytes));
        }
    }

    fn caller_output(&mut self, output: Output) {
        let seen = match output {
            Output::Send { to, bytes, .. } => return self.transmit(Side::Caller, to, bytes),
            Output::Response { token, message, .. } => {
                assert_eq!(token, 42);
                let status = message.status().unwrap();
                if (200..300).contains(&status) && *message.cseq_method() == Method::Invite {
                    let ack = draft(Method::Ack, 1).without(HeaderName::To);
                    let ack = ack.header(HeaderName::To, message.header(HeaderName::To).unwrap());
                    let to = hop(self.transport, CALLEE);
                    let bytes = self.caller.ack(&ack, &to, CALLER);
                    self.transmit(Side::Caller, SendTo::Hop(to), bytes);
                }
                Seen::Response(status)
            }
            Output::Failed { cause, .. } => Seen::Failed(cause),
            Output::Terminated { .. } => Seen::Terminated,
            other => panic!("not for a caller: {other:?}"),
        };
        self.caller_saw.push(seen);
    }

    fn callee_output(&mut self, output: Output) {
        let seen = match output {
            Output::Send { to, bytes, .. } => return self.transmit(Side::Callee, to, bytes),
            Output::Request { id, message, .. } => {
                let method = message.method().unwrap().clone();
                if method == Method::Invite {
                    self.answering.insert(message.call_id().to_owned(), id);
                    self.callee.trying(id);
                    self.callee
                        .respond(id, &ResponseDraft::new(180).to_tag("bob"), self.now)
                        .unwrap();
                }
                self.schedule(self.behaviour.after, Event::Answer(id));
                Seen::Request(method)
            }
            Output::Ack { message, .. } => {
                if self.behaviour.acknowledges {
                    self.callee.acknowledged(self.answering[message.call_id()]);
                }
                Seen::Ack
            }
            Output::Cancelled { id, .. } => {
                self.callee
                    .respond(id, &ResponseDraft::new(487).to_tag("bob"), self.now)
                    .unwrap();
                Seen::Cancelled
            }
            Output::AckTimeout { .. } => Seen::AckTimeout,
            other => panic!("not for a callee: {other:?}"),
        };
        self.callee_saw.push(seen);
    }
}

impl Transactions {
    /// Nothing is left of any transaction.
    pub(super) fn assert_reclaimed(&self) {
        assert!(self.is_empty(), "{} transactions left", self.len());
        assert!(self.by_key.is_empty() && self.unmerged.is_empty() && self.admission.is_idle());
        assert_eq!(self.next_timeout(), None);
    }
}
