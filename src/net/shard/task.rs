//! The task of one shard.

use super::signalling::ShardStatus;
use super::{Ack, Command, TransactionUser};
use crate::net::guarded::Guarded;
use crate::net::{Clock, Counters, FailureReport, Outgoing, Received, Transports};
use crate::sip::Method;
use crate::sip::message::ResponseDraft;
use crate::sip::transaction::{Cause, ClientTransactionId, Output, SendTo, TransactionId, Transactions};
use bytes::Bytes;
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// Messages or commands taken from a queue before the others are looked at again.
const BATCH: usize = 64;
/// Without a transaction no timer is due; the sleep needs some end.
const NO_TIMER: Duration = Duration::from_secs(3600);

/// What a shard reads from.
pub(super) struct Inputs {
    pub(super) received: mpsc::Receiver<Received>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) failures: mpsc::UnboundedReceiver<TransactionId>,
    pub(super) unsent_acks: mpsc::UnboundedReceiver<Box<Ack>>,
}

/// The transaction user has panicked over an event.
struct Panicked;

pub(super) struct ShardTask<U> {
    pub(super) transactions: Transactions,
    pub(super) user: U,
    pub(super) transports: Transports,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    /// To be told of sends that failed.
    pub(super) failures: mpsc::UnboundedSender<TransactionId>,
    /// Where ACKs come back that could not be sent.
    pub(super) unsent_acks: mpsc::UnboundedSender<Box<Ack>>,
    /// For CANCEL, which names its INVITE by token.
    pub(super) tokens: HashMap<u64, ClientTransactionId>,
    pub(super) status: Arc<Mutex<ShardStatus>>,
}

impl<U: TransactionUser> ShardTask<U> {
    /// Runs until `stopping` completes or the queues' other ends are gone. A panic costs one message, one batch of commands
    /// or one look at the timers.
    pub(super) async fn run(mut self, mut inputs: Inputs, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        let timer = sleep_until(tokio::time::Instant::now());
        tokio::pin!(timer);
        let mut received = Vec::with_capacity(BATCH);
        let mut commands = Vec::with_capacity(BATCH);
        let mut guarded = Guarded::new(self.counters.clone());
        loop {
            let due = self.transactions.next_timeout().unwrap_or(self.clock.now() + NO_TIMER);
            timer.as_mut().reset(self.clock.instant(due));
            // Own commands come before new messages: under load, what was begun is finished first.
            tokio::select! {
                biased;
                () = &mut stopping => return,
                Some(id) = inputs.failures.recv() => {
                    self.counters.sends_failed.add();
                    guarded.run(|| {
                        self.transactions.transport_failed(id);
                        self.settle(&mut commands);
                    });
                }
                Some(mut ack) = inputs.unsent_acks.recv() => {
                    self.counters.sends_failed.add();
                    guarded.run(|| {
                        match ack.others.pop_front() {
                            Some(other) => {
                                ack.hop = other;
                                self.acknowledge(ack);
                            }
                            None => self.tell(|user| user.failed(ack.token, None, Cause::Transport, &mut commands)),
                        }
                        self.settle(&mut commands);
                    });
                }
                taken = inputs.commands.recv_many(&mut commands, BATCH) => match taken {
                    0 => return,
                    _ => guarded.run(|| self.settle(&mut commands)),
                },
                taken = inputs.received.recv_many(&mut received, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    for Received { message, flow } in received.drain(..) {
                        guarded.run(|| {
                            let (user, now) = (&self.user, self.clock.now());
                            self.transactions.receive(message, flow, now, |tag| user.has_dialog(tag));
                            self.settle(&mut commands);
                        });
                    }
                }
                () = &mut timer => {}
            }
            // Not in the branch of the timer alone: busy queues must not hold it up.
            let now = self.clock.now();
            if self.transactions.next_timeout().is_some_and(|due| due <= now) {
                guarded.run(|| {
                    self.transactions.handle_timeout(now);
                    self.settle(&mut commands);
                });
            }
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = ShardStatus {
                transactions: self.transactions.len(),
                counters: self.transactions.counters(),
            };
        }
    }

    /// Carries out all effects and commands until none is left.
    fn settle(&mut self, commands: &mut Vec<Command>) {
        loop {
            for command in std::mem::take(commands) {
                self.execute(command, commands);
            }
            while let Some(output) = self.transactions.poll() {
                self.carry_out(output, commands);
            }
            if commands.is_empty() {
                return;
            }
        }
    }

    fn execute(&mut self, command: Command, commands: &mut Vec<Command>) {
        let now = self.clock.now();
        match command {
            Command::Request { token, draft, hop } => {
                let sent_by = self.transports.sent_by(hop.listener).cloned();
                let id = sent_by.and_then(|sent_by| self.transactions.request(&draft, hop, token, &sent_by, now).ok());
                match id {
                    Some(id) => {
                        self.tokens.insert(token, id);
                    }
                    None => self.tell(|user| user.failed(token, None, Cause::Transport, commands)),
                }
            }
            Command::Cancel { token, headers } => {
                // A token that is gone had its final response.
                if let Some(id) = self.tokens.get(&token) {
                    self.transactions.cancel(*id, headers, now);
                }
            }
            Command::Respond { id, draft } => {
                if self.transactions.respond(id, &draft, now).is_err() {
                    self.counters.responses_late.add();
                }
            }
            Command::Refuse { id, draft } => self.transactions.refuse(id, draft),
            Command::Trying { id } => self.transactions.trying(id),
            Command::Acknowledged { id } => self.transactions.acknowledged(id),
            Command::Ack(ack) => {
                // What was to leave before it leaves before it.
                while let Some(output) = self.transactions.poll() {
                    self.carry_out(output, commands);
                }
                self.acknowledge(ack);
            }
            Command::Wake => self.tell(|user| user.woken(commands)),
            Command::DropConnection { hop } => self.transports.let_go(&hop),
            Command::ShedNewCalls(shed) => self.transactions.shed_new_calls(shed),
            Command::Spare(users) => self.transactions.spare(users),
        }
    }

    fn acknowledge(&mut self, ack: Box<Ack>) {
        let Some(sent_by) = self.transports.sent_by(ack.hop.listener) else {
            return FailureReport::of_ack(ack, self.unsent_acks.clone()).fail();
        };
        let bytes = self.transactions.ack(&ack.draft, &ack.hop, sent_by);
        let to = SendTo::Hop(ack.hop.clone());
        let report = FailureReport::of_ack(ack, self.unsent_acks.clone());
        // Dropping it gives the ACK back.
        let _not_sent = self.transports.send(&to, Outgoing::ack(bytes, report));
    }

    fn carry_out(&mut self, output: Output, commands: &mut Vec<Command>) {
        match output {
            Output::Send { transaction, to, bytes } => self.send(transaction, &to, bytes),
            Output::Request { id, message, flow } => {
                let is_invite = message.method() == Some(&Method::Invite);
                if self.ask(|user| user.request(id, message, flow, commands)).is_err() {
                    // The sender would wait for its answer until its own timers end.
                    let draft = ResponseDraft::new(500);
                    commands.push(Command::Respond { id, draft });
                } else if is_invite {
                    // Behind what the user said: a refusal or silence needs no 100.
                    commands.push(Command::Trying { id });
                }
            }
            Output::Ack { message, flow } => self.tell(|user| user.ack(message, flow, commands)),
            Output::Cancelled { id, message } => self.tell(|user| user.cancelled(id, message, commands)),
            Output::Response {
                token, message, flow, ..
            } => {
                self.tell(|user| user.response(token, message, flow, commands));
            }
            Output::Failed { id, token, cause } => {
                self.forget(token, id);
                self.tell(|user| user.failed(token, Some(id), cause, commands));
            }
            Output::Terminated { id, token } => {
                self.forget(token, id);
                self.tell(|user| user.terminated(token, commands));
            }
            Output::AckTimeout { id, to_tag } => self.tell(|user| user.ack_timeout(id, &to_tag, commands)),
        }
    }

    /// A transaction is over. Its token may be another one's by now: of the same request at the next server.
    fn forget(&mut self, token: u64, id: ClientTransactionId) {
        if self.tokens.get(&token) == Some(&id) {
            self.tokens.remove(&token);
        }
    }

    fn send(&mut self, transaction: Option<TransactionId>, to: &SendTo, bytes: Bytes) {
        if let (None, SendTo::Flow { flow, .. }) = (transaction, to)
            && !self.transports.may_be_told(flow)
        {
            return;
        }
        let report = transaction.map(|id| FailureReport::new(id, self.failures.clone()));
        let watched = report.is_some();
        let outgoing = match to {
            SendTo::Hop(_) => Outgoing::request(bytes, report),
            SendTo::Flow { .. } => Outgoing::response(bytes, report),
        };
        // A watched one comes back through the queue of failures and is counted there.
        if self.transports.send(to, outgoing).is_err() && !watched {
            self.counters.sends_failed.add();
        }
    }

    /// A panic of the transaction user costs this one event, not the shard.
    fn tell(&mut self, event: impl FnOnce(&mut U)) {
        // It is counted, and nobody waits for more.
        let _panicked = self.ask(event);
    }

    fn ask(&mut self, event: impl FnOnce(&mut U)) -> Result<(), Panicked> {
        catch_unwind(AssertUnwindSafe(|| event(&mut self.user))).map_err(|_| {
            self.counters.tasks_panicked.add();
            Panicked
        })
    }
}
