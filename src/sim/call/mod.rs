//! Calls of a simulator: a task each, and the handle that tests and commands hold.
//!
//! In: messages of portcullis, a script or a dial, orders of the handle's holder. Out: what happened so far, as a
//! [`View`] that can be awaited. All waits are bounded.

mod called;
mod change;
mod dial;
mod placed;
mod replaced;
mod scripted;
mod task;
mod transfer;
mod view;

pub use dial::Dial;
pub(super) use replaced::{judge_end, replaces};
pub use transfer::{Refer, Transfer};
pub use view::{DialogNames, EndedBy, Ending, Played, Provisional, SimError, Stage, View};

use super::heard::Heard;
use super::line::Line;
use super::media::Ear;
use super::script::Script;
use super::spoken::Payloads;
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Message, Uri};
use serde::Serialize;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use task::Task;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// No wait lasts longer, but for that for a tone.
pub const BOUND: Duration = Duration::from_secs(10);
/// How long a tone is waited for: a ringing tone is heard for one second in five, and who missed it hears one of the next.
const LISTENING: Duration = Duration::from_secs(20);
/// Events and orders that may wait for one call.
const QUEUE: usize = 64;

/// What the wire has for a call.
pub(super) enum Event {
    Request { id: ServerTransactionId, message: Message },
    Ack { message: Message },
    Cancelled { id: ServerTransactionId, message: Message },
    Response { token: u64, message: Message },
    Failed { token: u64, status: u16 },
}

/// How a held side says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HoldForm {
    /// `a=inactive`: Teams.
    Inactive,
    /// `a=sendonly`.
    SendOnly,
    /// `c=IN IP4 0.0.0.0`.
    Blackhole,
    /// `a=recvonly`: music is wanted.
    RecvOnly,
    /// The stream is off (RFC 3264 §8.2).
    PortZero,
}

/// What a re-INVITE is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Hold(HoldForm),
    Resume,
    /// Nothing changes.
    Refresh,
    /// No description: portcullis has to offer.
    Offerless,
    /// ICE begins anew, under another name and password (TEAMS-078).
    Restart,
    /// The pair that was nominated is named (TEAMS-079).
    FinalCandidates,
    /// Live, and from now on under another key (TV-09).
    NewKey,
    /// A media processor takes the place of whoever had the media: other ports, keys, and ICE credentials (TV-10).
    Processor,
}

/// What the holder of a handle wants.
enum Order {
    HangUp,
    Answer,
    Digits(String),
    NumberFrom(u32),
    Change(Change, oneshot::Sender<u16>),
    Refer(Refer, oneshot::Sender<u16>),
}

/// A call of a simulator. Dropping the handle leaves the call to its script.
#[derive(Clone)]
pub struct Call {
    invite: Option<Message>,
    orders: mpsc::Sender<Order>,
    view: watch::Receiver<View>,
}

impl Call {
    /// A call that portcullis places.
    pub(super) fn receive(line: &Arc<Line>, id: ServerTransactionId, invite: Message, script: Script) {
        let call_id = invite.call_id().to_owned();
        let (call, task) = Call::new(line, &call_id, Some(invite.clone()));
        spawn(line, task.called(id, invite, script));
        // Nobody asks for the calls of a simulator that has more than it can hold; they follow their scripts.
        let _ = line.incoming.try_send(call);
    }

    /// A call to portcullis.
    pub(super) fn place(line: &Arc<Line>, uri: Uri, dial: Dial) -> Call {
        let script = Arc::new(dial.script.clone());
        Call::place_within(line, uri, dial, script)
    }

    /// The same where the steps of the dial are the rest of a script.
    fn place_within(line: &Arc<Line>, uri: Uri, dial: Dial, script: Arc<Script>) -> Call {
        let call_id = crate::sip::dialog::new_call_id(&mut rand::rng());
        let (call, task) = Call::new(line, &call_id, None);
        spawn(line, task.placed(call_id, uri, dial, script));
        call
    }

    fn new(line: &Arc<Line>, call_id: &str, invite: Option<Message>) -> (Call, Task) {
        let (events, taken) = mpsc::channel(QUEUE);
        let (orders, ordered) = mpsc::channel(QUEUE);
        let (shown, view) = watch::channel(View::new(call_id));
        line.enter(call_id, &events);
        let task = Task::new(line.clone(), events, taken, ordered, shown);
        (Call { invite, orders, view }, task)
    }

    /// What happened so far.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// The Call-ID.
    pub fn id(&self) -> String {
        self.view.borrow().call_id.clone()
    }

    /// The INVITE, where portcullis sent it.
    pub fn invite(&self) -> Option<&Message> {
        self.invite.as_ref()
    }

    /// Until it is answered.
    ///
    /// # Errors
    /// It was refused or ended first, or nothing came in time.
    pub async fn answered(&self) -> Result<(), SimError> {
        let view = self.until("an answer", |view| view.stage >= Stage::Answered).await?;
        match (view.answered, view.ending) {
            (true, _) => Ok(()),
            (false, Some(ending)) => Err(SimError::NotAnswered(ending)),
            (false, None) => Err(SimError::Late("an answer")),
        }
    }

    /// Until a provisional response of this status.
    pub async fn provisional(&self, status: u16) -> Result<Provisional, SimError> {
        let found = |view: &View| view.provisionals.iter().find(|one| one.status == status).cloned();
        let view = self
            .until("a provisional response", |view| {
                found(view).is_some() || view.ending.is_some()
            })
            .await?;
        found(&view).ok_or(SimError::Late("a provisional response"))
    }

    /// Until it is over.
    pub async fn ended(&self) -> Result<Ending, SimError> {
        let view = self.until("the end", |view| view.ending.is_some()).await?;
        view.ending.ok_or(SimError::Late("the end"))
    }

    /// The same with another bound; `None`: it lives on.
    pub async fn ended_within(&self, bound: Duration) -> Option<Ending> {
        let mut view = self.view.clone();
        let seen = timeout(bound, view.wait_for(|view| view.ending.is_some())).await;
        seen.ok()?.ok()?.ending.clone()
    }

    /// What the live side hears, as soon as a tone can be told.
    pub async fn heard(&self) -> Result<Heard, SimError> {
        let view = self.until("media", |view| view.ear.is_some()).await?;
        match view.ear {
            Some(ear) => Ok(ear.conclusive(LISTENING).await),
            None => Err(SimError::Late("media")),
        }
    }

    /// What it hears within `span`, from now on.
    pub async fn listen(&self, span: Duration) -> Result<Heard, SimError> {
        let view = self.until("media", |view| view.ear.is_some()).await?;
        match view.ear {
            Some(ear) => Ok(ear.listen(span).await),
            None => Err(SimError::Late("media")),
        }
    }

    /// Counts what is heard from now on alone: ask [`Call::heard_so_far`] later.
    pub fn listen_anew(&self) {
        if let Some(ear) = &self.view.borrow().ear {
            ear.restart();
        }
    }

    /// What was heard until now; nothing when there is no media yet.
    pub fn heard_so_far(&self) -> Option<Heard> {
        self.view.borrow().ear.as_ref().map(|ear| ear.now())
    }

    /// The last packets of a side that is held to a codec; none before there are media.
    pub fn payloads(&self) -> Payloads {
        let view = self.view.borrow();
        view.ear.as_ref().map(Ear::payloads).unwrap_or_default()
    }

    /// Until this tone is what the live side hears.
    ///
    /// # Errors
    /// It did not come; the evidence is what came.
    pub async fn hears(&self, hertz: f64) -> Result<Heard, SimError> {
        let end = tokio::time::Instant::now() + LISTENING;
        loop {
            let heard = self.heard().await?;
            if heard.is_tone(hertz) {
                return Ok(heard);
            }
            if tokio::time::Instant::now() >= end {
                return Err(SimError::OtherTone {
                    expected: hertz,
                    heard: Box::new(heard),
                });
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// 200 on the first branch of a call that rings here, whose script says no more or still waits.
    ///
    /// # Errors
    /// It is over.
    pub async fn answer(&self) -> Result<(), SimError> {
        let sent = self.orders.send(Order::Answer).await;
        sent.map_err(|_| SimError::Over)
    }

    /// BYE, or CANCEL before the answer, or 603 to a call that rings here; returns when it is over.
    pub async fn hang_up(&self) -> Result<Ending, SimError> {
        // A call that is over already has its ending to show.
        let _ = self.orders.send(Order::HangUp).await;
        self.ended().await
    }

    /// A re-INVITE; the final status.
    pub async fn change(&self, change: Change) -> Result<u16, SimError> {
        let (reply, status) = oneshot::channel();
        let sent = self.orders.send(Order::Change(change, reply)).await;
        sent.map_err(|_| SimError::Over)?;
        let status = timeout(BOUND, status)
            .await
            .map_err(|_| SimError::Late("a final response"))?;
        status.map_err(|_| SimError::Over)
    }

    /// The next request of this side has this CSeq number, unless it is further already: somebody else has spoken for it.
    ///
    /// # Errors
    /// It is over.
    pub async fn number_from(&self, cseq: u32) -> Result<(), SimError> {
        let sent = self.orders.send(Order::NumberFrom(cseq)).await;
        sent.map_err(|_| SimError::Over)
    }

    /// REFER inside the call; its final status, 202 when the transfer begins.
    pub async fn refer(&self, refer: Refer) -> Result<u16, SimError> {
        let (reply, status) = oneshot::channel();
        let sent = self.orders.send(Order::Refer(refer, reply)).await;
        sent.map_err(|_| SimError::Over)?;
        let status = timeout(BOUND, status)
            .await
            .map_err(|_| SimError::Late("a final response"))?;
        status.map_err(|_| SimError::Over)
    }

    /// Until a REFER of ours is over: its last NOTIFY came, or it was refused.
    pub async fn transferred(&self) -> Result<Transfer, SimError> {
        let over = |view: &View| view.transfer.as_ref().is_some_and(|transfer| transfer.over);
        let view = self.until("the last NOTIFY", over).await?;
        view.transfer.ok_or(SimError::Late("the last NOTIFY"))
    }

    /// Digits by telephone-event.
    pub async fn send_digits(&self, digits: &str) -> Result<(), SimError> {
        let sent = self.orders.send(Order::Digits(digits.to_owned())).await;
        sent.map_err(|_| SimError::Over)
    }

    /// What becomes of it, as it goes.
    pub(super) fn watch(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    async fn until(&self, what: &'static str, enough: impl FnMut(&View) -> bool) -> Result<View, SimError> {
        let mut view = self.view.clone();
        let seen = timeout(BOUND, view.wait_for(enough)).await;
        match seen.map_err(|_| SimError::Late(what))? {
            Ok(view) => Ok(view.clone()),
            Err(_) => Err(SimError::Over),
        }
    }
}

fn spawn(line: &Arc<Line>, task: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = line.tasks.lock().unwrap_or_else(PoisonError::into_inner);
    while tasks.try_join_next().is_some() {}
    tasks.spawn(task);
}
