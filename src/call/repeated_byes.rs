//! BYEs that could not be sent, or not passed on: said again beside their calls, which may be over and on record.

use super::delivery::{Deliveries, Guard};
use super::directory::LiveCall;
use super::event::{CallNews, To};
use super::id::{LegIndex, Token};
use super::node::Node;
use super::tasks::CallTasks;
use crate::net::shard::SignallingHandle;
use crate::observe::Happening;
use crate::sip::RequestDraft;
use crate::sip::message::reason_phrase;
use crate::sip::transaction::Cause;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// T1s before each further try: together about as many as a transaction lasts (RFC 3261 §17.1.2.2, timer F).
const PAUSES: [u32; 5] = [2, 4, 8, 16, 32];
/// From the first failure to the end of the last try.
const LONGEST_IN_T1: u32 = 124;
/// The same with the usual T1.
pub(super) const LONGEST: Duration = Duration::from_secs(62);
/// What ends while so many wait is given up at once.
const MOST: usize = 4_096;

/// Those that wait for their next try, or for what becomes of it. They do not hold up the stop of the node.
#[derive(Debug, Default)]
pub struct RepeatedByes {
    tasks: CallTasks,
    /// By the token of their requests.
    waiting: Mutex<HashMap<u64, mpsc::Sender<End>>>,
}

/// What became of a BYE that was sent: the status of its answer.
type End = Result<Option<u16>, Cause>;

/// Whether a server that refuses a BYE so may take it a moment later: it drains, is overloaded, or does not reach who is to
/// hear it (RFC 3261 §21.5; a 503 behind a proxy is a 500 before it, §16.7).
pub(super) const fn may_pass(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

/// A BYE that has found nobody.
pub(super) struct Bye {
    pub call: LiveCall,
    pub leg: LegIndex,
    pub draft: RequestDraft,
    pub to: To,
    pub guard: Option<Guard>,
}

/// Says a BYE again until it is heard, or given up.
pub(super) fn repeat(node: &Arc<Node>, signalling: &SignallingHandle, bye: Bye) {
    let token = Token::outside(signalling.next_token());
    let Some(ends) = node.repeated_byes.enter(token) else {
        bye.given_up(node, format!("{MOST} BYEs wait to be sent already"));
        return;
    };
    let repeated = Repeated {
        node: node.clone(),
        signalling: signalling.clone(),
        bye,
        token,
        ends,
    };
    node.repeated_byes.tasks.spawn(repeated.run());
}

impl RepeatedByes {
    /// Something has become of the request of `token`. False when it is none of these.
    pub(super) fn ended(&self, token: u64, end: End) -> bool {
        let waiting = self.waiting();
        let known = waiting.get(&token);
        // One request is under way at a time, and ends once.
        known.map(|ends| ends.try_send(end)).is_some()
    }

    /// Drops what still waits.
    pub async fn shut_down(&self) {
        self.tasks.shut_down(Duration::ZERO).await;
    }

    fn enter(&self, token: Token) -> Option<mpsc::Receiver<End>> {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST {
            return None;
        }
        let (ends, ended) = mpsc::channel(1);
        waiting.insert(token.to_wire(), ends);
        Some(ended)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<End>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bye {
    fn given_up(&self, node: &Node, why: String) {
        node.observer.happened(&Happening::CallNews {
            call: self.call.id,
            facts: &self.call.facts,
            news: &CallNews::ByeNotSent { leg: self.leg, why },
            peer: None,
            hub: None,
        });
    }
}

/// One of them, on its own task.
struct Repeated {
    node: Arc<Node>,
    signalling: SignallingHandle,
    bye: Bye,
    token: Token,
    ends: mpsc::Receiver<End>,
}

impl Repeated {
    async fn run(mut self) {
        let t1 = self.node.config.load().sbc.timers.t1;
        let mut why = "no server has taken it in time".to_owned();
        if timeout(t1 * LONGEST_IN_T1, self.tries(t1, &mut why)).await != Ok(true) {
            self.bye.given_up(&self.node, why);
        }
    }

    /// Whether one has reached somebody; `why` the last has not.
    async fn tries(&mut self, t1: Duration, why: &mut String) -> bool {
        for pause in PAUSES {
            sleep(t1 * pause).await;
            match self.attempt().await {
                Ok(()) => return true,
                Err(failed) => *why = failed,
            }
        }
        false
    }

    /// Tries every address once. Whoever has heard a BYE ends its call, whatever it answers but for a challenge
    /// or that it could not pass it on.
    async fn attempt(&mut self) -> Result<(), String> {
        let mut deliveries = Deliveries::new(self.bye.call.id, self.node.clone(), self.signalling.clone());
        let (draft, to, guard) = (self.bye.draft.clone(), self.bye.to.clone(), self.bye.guard.clone());
        deliveries.send(Some(self.token), draft, to, guard).await?;
        loop {
            tokio::select! {
                end = self.ends.recv() => {
                    if let Some(Ok(Some(status @ (401 | 407)))) = end {
                        // Its call goes on; credentials are the call's to give, which is over.
                        self.bye.given_up(&self.node, format!("{status}: it asks for a password"));
                    }
                    let (why, goes_on) = match end {
                        Some(Err(Cause::Transport)) => {
                            let goes_on = deliveries.try_next(self.token).await;
                            let why = deliveries.why_not_sent(self.token);
                            (why.unwrap_or_else(|| "no connection".into()), goes_on)
                        }
                        Some(Ok(Some(status))) if may_pass(status) => {
                            let goes_on = deliveries.refused(self.token, status, None).await;
                            (format!("{status} {}", reason_phrase(status)), goes_on)
                        }
                        _ => return Ok(()),
                    };
                    if !goes_on {
                        return Err(why);
                    }
                }
                resolved = deliveries.resolved() => {
                    deliveries.send_resolved(resolved).await?;
                }
            }
        }
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.node.repeated_byes.waiting().remove(&self.token.to_wire());
    }
}
