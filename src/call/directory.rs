//! The live calls of the node and the way to each of them.

use super::application::AppTerms;
use super::ended::EndedCalls;
use super::event::Event;
use super::farewells::Farewells;
use super::id::{CallId, Token};
use super::leg::Leg;
use super::record::CallFacts;
use super::talkers::Talker;
use super::transfer::TransferStatus;
use super::value::Phase;
use crate::app::payload::{Properties, Status};
use crate::app::sid::CallSid;
use crate::dial::PeerName;
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::message::Message;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

const PARTS: usize = 16;
/// Room in a mailbox that requests leave to BYE and to events that come once: final responses, failures, timers of the
/// transactions.
const RESERVED: usize = 128;
/// What of it BYE may take: one ends the call, and the others end nothing.
const FOR_BYE: usize = 16;

/// What a status page shows of a live call. The call's task writes it, others read.
#[derive(Debug, Clone, serde::Serialize)]
pub struct CallStatus {
    pub phase: Phase,
    /// Since birth.
    #[serde(skip)]
    pub answered: Option<Moment>,
    pub ended: Option<Moment>,
    /// Somebody in it calls an emergency number, or has one on the line.
    #[serde(skip)]
    pub emergency: bool,
    /// Hub or gateway that is tried or talked to.
    pub peer: Option<PeerName>,
    /// Who is up in the caller's place and in the callee's.
    #[serde(skip)]
    pub talkers: Vec<Talker>,
    /// A transfer that is under way.
    #[serde(skip)]
    pub transfer: Option<TransferStatus>,
    /// The callee that the caller of an application talks to.
    #[serde(skip)]
    pub bridged: Option<CallSid>,
    /// The legs as the application knows them, the caller's first; none where a route decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineStatus>,
    /// Legs of dials that are over.
    #[serde(skip)]
    pub past: Vec<Arc<LineStatus>>,
    /// Those of its application.
    #[serde(skip)]
    pub terms: Option<Arc<AppTerms>>,
}

/// A leg as its application knows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LineStatus {
    pub call_sid: CallSid,
    pub status: Status,
    /// The standard properties of the leg.
    #[serde(skip)]
    pub properties: Properties,
}

/// A live call as others see it.
#[derive(Debug, Clone)]
pub struct LiveCall {
    pub id: CallId,
    pub born: Moment,
    pub facts: Arc<CallFacts>,
    pub status: Arc<Mutex<CallStatus>>,
    mailbox: mpsc::Sender<Box<Event>>,
}

impl LiveCall {
    /// A call whose events go to `mailbox`.
    pub fn new(id: CallId, born: Moment, facts: CallFacts, mailbox: mpsc::Sender<Box<Event>>) -> LiveCall {
        let status = CallStatus {
            phase: Phase::Opening,
            answered: None,
            ended: None,
            emergency: facts.emergency,
            peer: None,
            talkers: Vec::new(),
            transfer: None,
            bridged: None,
            lines: Vec::new(),
            past: Vec::new(),
            terms: None,
        };
        LiveCall {
            id,
            born,
            facts: Arc::new(facts),
            status: Arc::new(Mutex::new(status)),
            mailbox,
        }
    }

    /// What its legs, those that are over too, are called by applications.
    pub(super) fn sids(&self) -> Vec<CallSid> {
        lock(&self.status).sids()
    }

    /// This leg of a call that is over is shown no more.
    pub(super) fn forget(&self, sid: CallSid) {
        let mut status = lock(&self.status);
        status.lines.retain(|line| line.call_sid != sid);
        status.past.retain(|line| line.call_sid != sid);
    }

    /// An emergency number is called in it; what its application dials counts as long as it rings or talks.
    pub fn is_emergency(&self) -> bool {
        lock(&self.status).emergency
    }

    /// The legs that `of` chooses, the first leg first, those that are over last.
    pub fn lines<T>(&self, of: impl Fn(&LineStatus) -> Option<T>) -> Vec<T> {
        let status = lock(&self.status);
        status.all_lines().filter_map(of).collect()
    }
}

/// All live calls, in parts so that look-ups of different calls seldom meet. No lock is held beyond a look-up.
#[derive(Debug, Default)]
pub struct Directory {
    parts: [Mutex<HashMap<CallId, LiveCall>>; PARTS],
    /// Events that found a call's mailbox full. Peers repeat requests and final responses.
    overflows: AtomicU64,
    /// Which call the legs of applications belong to.
    legs: Mutex<HashMap<CallSid, CallId>>,
    /// Calls of applications that are over.
    ended: Mutex<EndedCalls>,
    /// Legs of calls that are over whose peers may have said BYE, too.
    farewells: Mutex<Farewells>,
    /// What began in one call and goes on in another.
    moved: Moved,
}

/// Dialogs whose call is another one than their tag says, and the INVITEs that made them. There are few or none: looking for
/// one costs nothing while there are none.
#[derive(Debug, Default)]
struct Moved {
    count: AtomicUsize,
    dialogs: Mutex<Vec<(MovedDialog, CallId)>>,
}

/// A dialog that has left the call which its tag and its INVITE's token name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedDialog {
    /// Our tag.
    pub tag: String,
    /// The INVITE that made it, and the last one inside it: their 2xx may come again.
    pub invites: [Option<Token>; 2],
}

/// Why an event did not reach a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// No such call.
    Unknown,
    /// Its mailbox is full: the event is dropped and counted; whoever sent the message repeats it.
    Full,
}

impl Directory {
    /// Adds a call; false when its id is taken.
    pub fn add(&self, call: LiveCall) -> bool {
        let mut part = self.part(call.id);
        if part.contains_key(&call.id) {
            return false;
        }
        part.insert(call.id, call);
        true
    }

    /// Takes a call out. What an application steered can be asked for a while longer.
    pub fn remove(&self, id: CallId) {
        let removed = self.part(id).remove(&id);
        self.moved.forget(id);
        let Some(call) = removed else { return };
        let sids = call.sids();
        if !sids.is_empty() {
            lock(&self.ended).add(call);
            self.rename(id, &sids, &[]);
        }
    }

    /// What others see of a call from now on.
    pub fn publish(&self, call: &LiveCall, status: CallStatus) {
        let now = status.sids();
        let before = std::mem::replace(&mut *lock(&call.status), status).sids();
        if before != now {
            self.rename(call.id, &before, &now);
        }
    }

    /// A leg that has become another call's stays that call's.
    fn rename(&self, call: CallId, before: &[CallSid], now: &[CallSid]) {
        let mut legs = lock(&self.legs);
        for sid in before.iter().filter(|sid| !now.contains(sid)) {
            if legs.get(sid) == Some(&call) {
                legs.remove(sid);
            }
        }
        legs.extend(now.iter().map(|sid| (*sid, call)));
    }

    /// A tenant's calls of applications that ended lately, the latest first.
    pub fn ended(&self, tenant: &str) -> Vec<LiveCall> {
        lock(&self.ended).of_tenant(tenant)
    }

    /// The ended call that had this leg.
    pub fn ended_call(&self, sid: CallSid) -> Option<LiveCall> {
        lock(&self.ended).find(sid)
    }

    /// Forgets this leg of an ended call.
    pub fn forget(&self, sid: CallSid) {
        lock(&self.ended).forget(sid);
    }

    /// Keeps the legs that we have hung up.
    pub(super) fn keep_hung_up(&self, legs: impl IntoIterator<Item = Leg>, now: Moment) {
        lock(&self.farewells).add(legs, now);
    }

    /// The leg of a call that is over, when a BYE that `is_peer` has sent has crossed ours there. Who that is may take
    /// look-ups: no lock is held meanwhile.
    pub(super) fn hung_up_too(
        &self,
        bye: &Message,
        now: Moment,
        is_peer: impl FnOnce(&Leg) -> bool,
    ) -> Option<Arc<Leg>> {
        let leg = lock(&self.farewells).find(bye, now)?;
        (is_peer(&leg) && lock(&self.farewells).take(bye)).then_some(leg)
    }

    /// Keeps INVITEs whose destinations lost against another one, in a call that is over.
    pub(super) fn keep_lost(&self, invites: impl IntoIterator<Item = Token>, now: Moment) {
        lock(&self.farewells).add_lost(invites, now);
    }

    /// Whether the destination of an INVITE lost against another one.
    pub(super) fn has_lost(&self, invite: Token, now: Moment) -> bool {
        lock(&self.farewells).has_lost(invite, now)
    }

    /// Whether an answer is of a dialog that we have hung up of late.
    pub(super) fn has_hung_up(&self, answer: &Message) -> bool {
        lock(&self.farewells).knows(answer)
    }

    /// From now on what is heard of a dialog belongs to this call.
    pub fn move_dialog(&self, dialog: MovedDialog, call: CallId) {
        self.moved.add(dialog, call);
    }

    /// The call that a local tag belongs to.
    pub fn call_of_tag(&self, tag: &str) -> Option<CallId> {
        let moved = self.moved.find(|dialog| dialog.tag == tag);
        moved.or_else(|| CallId::from_tag(tag))
    }

    /// The call that a request of ours belongs to.
    pub fn call_of_token(&self, token: Token) -> CallId {
        self.moved
            .find(|dialog| dialog.invites.contains(&Some(token)))
            .unwrap_or(token.call)
    }

    /// Hands an event to its call.
    pub fn deliver(&self, id: CallId, event: Event) -> Result<(), Undelivered> {
        let part = self.part(id);
        let Some(call) = part.get(&id) else {
            return Err(Undelivered::Unknown);
        };
        let left_to_others = match &event {
            // Its sender takes any answer to it for the end.
            Event::Request { message, .. } if message.method() == Some(&Method::Bye) => RESERVED - FOR_BYE,
            Event::Request { .. } | Event::Ack { .. } | Event::Command(_) | Event::Wanted { .. } => RESERVED,
            _ => 0,
        };
        if call.mailbox.capacity() <= left_to_others && !call.mailbox.is_closed() {
            return Err(self.overflow());
        }
        call.mailbox.try_send(Box::new(event)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => self.overflow(),
            mpsc::error::TrySendError::Closed(_) => Undelivered::Unknown,
        })
    }

    fn overflow(&self) -> Undelivered {
        self.overflows.fetch_add(1, Relaxed);
        Undelivered::Full
    }

    /// Whether the call is live.
    pub fn contains(&self, id: CallId) -> bool {
        self.part(id).contains_key(&id)
    }

    /// How many calls are live.
    pub fn count(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// Events dropped so far.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    /// All live calls, the oldest first.
    pub fn list(&self) -> Vec<LiveCall> {
        let mut calls: Vec<LiveCall> = self
            .parts
            .iter()
            .flat_map(|part| lock(part).values().cloned().collect::<Vec<_>>())
            .collect();
        calls.sort_by_key(|call| call.born);
        calls
    }

    /// The live call that has, or had, a leg of this name.
    pub fn find_sid(&self, sid: CallSid) -> Option<LiveCall> {
        let id = lock(&self.legs).get(&sid).copied()?;
        self.part(id).get(&id).cloned()
    }

    /// Ends the calls that `is_meant`.
    pub fn clear_where(&self, detail: &str, is_meant: impl Fn(&LiveCall) -> bool) {
        let clear = || Event::Clear {
            detail: detail.to_owned(),
        };
        self.tell(is_meant, clear);
    }

    /// Ends every call and what it still waits for.
    pub fn cut(&self, detail: &str) {
        let cut = || Event::Cut {
            detail: detail.to_owned(),
        };
        self.tell(|_| true, cut);
    }

    fn tell(&self, is_meant: impl Fn(&LiveCall) -> bool, event: impl Fn() -> Event) {
        for call in self.list().iter().filter(|call| is_meant(call)) {
            // A full mailbox belongs to a call that is busy ending or flooded; the next round reaches it.
            let _counted = self.deliver(call.id, event());
        }
    }

    fn part(&self, id: CallId) -> MutexGuard<'_, HashMap<CallId, LiveCall>> {
        lock(&self.parts[id.spread() % PARTS])
    }
}

impl Moved {
    fn add(&self, dialog: MovedDialog, call: CallId) {
        let mut dialogs = lock(&self.dialogs);
        dialogs.retain(|(known, _)| *known != dialog);
        dialogs.push((dialog, call));
        self.count.store(dialogs.len(), Relaxed);
    }

    fn find(&self, wanted: impl Fn(&MovedDialog) -> bool) -> Option<CallId> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let dialogs = lock(&self.dialogs);
        dialogs.iter().find(|(dialog, _)| wanted(dialog)).map(|(_, call)| *call)
    }

    fn forget(&self, call: CallId) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        let mut dialogs = lock(&self.dialogs);
        dialogs.retain(|(_, owner)| *owner != call);
        self.count.store(dialogs.len(), Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallStatus {
    /// What others see of a call at this moment.
    pub(super) fn of(call: &super::Call, now: Moment) -> CallStatus {
        CallStatus {
            phase: call.phase,
            answered: call.milestones.answered,
            ended: call.milestones.ended,
            emergency: call.calls_emergency(),
            peer: call.leg(call.shown_leg()).and_then(|leg| leg.record.peer.clone()),
            talkers: call.talkers(),
            transfer: call.transfer_status(),
            bridged: call.bridged_child(),
            lines: call.line_statuses(now),
            past: call.past_lines(),
            terms: call.app.as_ref().map(|app| app.terms.clone()),
        }
    }

    fn all_lines(&self) -> impl Iterator<Item = &LineStatus> {
        self.lines.iter().chain(self.past.iter().map(|line| &**line))
    }

    fn sids(&self) -> Vec<CallSid> {
        self.all_lines().map(|line| line.call_sid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::MAILBOX;
    use super::*;
    use crate::call::record::Direction;
    use crate::sip::transaction::ServerTransactionId;
    use crate::sip::{ConnectionId, Flow, ListenerId, Transport};

    fn request(method: &str, number: u32) -> Event {
        let text = format!(
            "{method} sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK{number}\r\n\
             From: <sip:b@127.0.0.2>;tag=f\r\nTo: <sip:a@127.0.0.1>;tag=t\r\nCall-ID: c\r\nCSeq: {number} {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        Event::Request {
            transaction: ServerTransactionId::numbered(number),
            message: Message::parse(text.into_bytes().into()).expect("a request"),
            flow: Flow {
                transport: Transport::Udp,
                listener: ListenerId(0),
                local: ([127, 0, 0, 1], 5060).into(),
                remote: ([127, 0, 0, 2], 5060).into(),
                connection: ConnectionId::NONE,
                peer: None,
            },
            vouched: false,
        }
    }

    #[test]
    fn whoever_floods_a_call_keeps_nobody_from_hanging_up() {
        let directory = Directory::default();
        let (mailbox, mut events) = mpsc::channel(MAILBOX);
        let facts = CallFacts {
            direction: Direction::CarrierToTeams,
            tenant: "contoso".into(),
            carrier: None,
            from: String::new(),
            to: String::new(),
            emergency: false,
            elin: None,
            began_unix_ms: 0,
            trace: Vec::new(),
        };
        let id = CallId::from_random(1);
        directory.add(LiveCall::new(id, Moment::ZERO, facts, mailbox));
        let taken = (0..1_000).filter(|number| directory.deliver(id, request("INFO", *number)).is_ok());
        assert_eq!(taken.count(), MAILBOX - RESERVED);
        let hung_up = (1_000..2_000).filter(|number| directory.deliver(id, request("BYE", *number)).is_ok());
        assert_eq!(hung_up.count(), FOR_BYE);
        directory.deliver(id, Event::Tick).expect("room for what comes once");
        let mut byes = 0;
        while let Ok(event) = events.try_recv() {
            if let Event::Request { message, .. } = &*event {
                byes += usize::from(message.method() == Some(&Method::Bye));
            }
        }
        assert_eq!(byes, FOR_BYE);
    }
}
