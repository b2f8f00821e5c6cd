//! Requests that we receive: from the first copy to the last response.

use super::admission::{Denied, Party, dialog_of, fingerprint, stateless_tag};
use super::identifiers::ServerTransactionId;
use super::output::{Output, SendTo};
use super::reply::{other_proof, way_back};
use super::server_invite::{self, ServerInvite};
use super::server_non_invite::{self, ServerNonInvite};
use super::table::{Transaction, Transactions};
use crate::moment::Moment;
use crate::sip::message::{HeaderName, HeaderValue, Message, ResponseDraft};
use crate::sip::{Flow, Method};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// The transaction has had its final response, or was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server transaction has ended")]
pub struct Ended;

#[derive(Debug)]
enum Machine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

/// A peer's request.
#[derive(Debug)]
pub(super) struct Server {
    machine: Machine,
    /// Until the final response: what answers are made from.
    request: Option<Message>,
    /// As it came, before any way back is worked out.
    remote: SocketAddr,
    way_back: SendTo,
    /// The last response, while it may be wanted again.
    last: Bytes,
    /// It went once more because it did not arrive.
    went_again: bool,
    /// The To-tag of our responses, for the answer to CANCEL.
    to_tag: Option<Box<str>>,
    cancelled: bool,
    pub(super) party: Party,
    pub(super) merge: Option<u64>,
}

impl Transactions {
    pub(super) fn receive_request(
        &mut self,
        message: Message,
        flow: Flow,
        now: Moment,
        lives: impl FnOnce(&str) -> bool,
    ) {
        let key = self.keys.server(&message, &flow);
        let found = self.by_key.get(key).copied();
        match (message.method(), found) {
            (Some(Method::Ack), Some(slot)) => self.receive_ack(slot, message, flow, now),
            (Some(Method::Ack), None) => self.receive_stray_ack(message, flow),
            (Some(Method::Cancel), _) => self.receive_cancel(found, message, flow),
            (_, Some(slot)) => self.receive_again(slot),
            (_, None) => self.receive_new(message, flow, now, lives),
        }
    }

    /// Answers a request; `draft` without Via, From, To, Call-ID and CSeq, which are copied. What makes no dialog and has no
    /// To-tag gets one (RFC 3261 §8.2.6.2).
    ///
    /// # Errors
    /// [`Ended`] when a final response was sent already, or 64*T1 passed without one: nothing is sent.
    pub fn respond(&mut self, id: ServerTransactionId, draft: &ResponseDraft, now: Moment) -> Result<(), Ended> {
        let slot = self.slot_of(id.0).ok_or(Ended)?;
        let (timers, secret, marks) = (self.settings.timers, self.secret, self.settings.marks.clone());
        let server = self.server_mut(slot).ok_or(Ended)?;
        let request = server.request.as_ref().ok_or(Ended)?;
        let status = draft.status();
        let lacks = marks.are_lacking(draft, &server.way_back);
        let marked = lacks.then(|| marks.mark(draft.clone(), &server.way_back));
        let draft = marked.as_ref().unwrap_or(draft);
        let lacks_tag = status > 100 && draft.tag().is_none() && request.to_tag().is_none();
        let tagged = lacks_tag.then(|| draft.clone().to_tag(stateless_tag(fingerprint(secret, request))));
        let draft = tagged.as_ref().unwrap_or(draft);
        let bytes = draft.to_bytes(request, server.remote);
        let (ended, deadline) = match &mut server.machine {
            Machine::Invite(machine) => match machine.on_respond(status, &timers, now) {
                server_invite::Progress::Refused => return Err(Ended),
                progress => (progress == server_invite::Progress::Ended, machine.deadline()),
            },
            Machine::NonInvite(machine) => match machine.on_respond(status, &timers, now) {
                server_non_invite::Progress::Refused => return Err(Ended),
                progress => (progress == server_non_invite::Progress::Ended, machine.deadline()),
            },
        };
        server.last = bytes.clone();
        server.went_again = false;
        if let Some(tag) = draft.tag() {
            server.to_tag = Some(tag.into());
        }
        let mut merge = None;
        if status >= 200 {
            server.request = None;
            // A peer that tries again after a refusal, even unchanged, is no second copy.
            merge = server.merge.take_if(|_| status >= 300);
        }
        let way_back = server.way_back.clone();
        if let Some(merge) = merge {
            self.forget_merge(merge, slot);
        }
        self.send(Some(id.0), way_back, bytes);
        if ended {
            self.remove(slot);
        } else {
            self.arm(slot, deadline);
        }
        Ok(())
    }

    /// 100 Trying (RFC 3261 §17.2.1): the transaction user has taken the INVITE and said nothing itself. Whoever is refused
    /// or passed over in silence hears no 100, so this waits for the user's word. Nothing happens after any answer.
    pub fn trying(&mut self, id: ServerTransactionId) {
        let Some(slot) = self.slot_of(id.0) else { return };
        let marks = self.settings.marks.clone();
        let Some(server) = self.server_mut(slot) else { return };
        let pending = matches!(&server.machine, Machine::Invite(machine) if machine.is_pending());
        let Some(request) = server.request.as_ref().filter(|_| pending && server.last.is_empty()) else {
            return;
        };
        let draft = marks.mark(ResponseDraft::new(100), &server.way_back);
        server.last = draft.to_bytes(request, server.remote);
        self.send_last(slot);
    }

    /// Ends a transaction with a refusal, or with nothing, and forgets it: whoever has proven nothing costs no memory. A
    /// copy of the request is a new one, and the ACK of the refusal is known by its tag.
    pub fn refuse(&mut self, id: ServerTransactionId, draft: Option<ResponseDraft>) {
        let Some(slot) = self.slot_of(id.0) else { return };
        let Some(server) = self.server_mut(slot) else { return };
        let (request, remote, way_back) = (server.request.take(), server.remote, server.way_back.clone());
        if let Some(merge) = server.merge.take() {
            self.forget_merge(merge, slot);
        }
        self.remove(slot);
        if let (Some(request), Some(draft)) = (request, draft) {
            let tag = stateless_tag(fingerprint(self.secret, &request));
            let draft = self.settings.marks.mark(draft.to_tag(tag), &way_back);
            let bytes = draft.to_bytes(&request, remote);
            self.send(None, way_back.without_fallback(), bytes);
        }
    }

    /// The dialog saw the ACK of this INVITE's 2xx: it is sent no more.
    pub fn acknowledged(&mut self, id: ServerTransactionId) {
        let Some(slot) = self.slot_of(id.0) else { return };
        let Some(server) = self.server_mut(slot) else { return };
        let Machine::Invite(machine) = &mut server.machine else {
            return;
        };
        match machine.on_acknowledged() {
            server_invite::Progress::Refused => {}
            server_invite::Progress::Ended => self.remove(slot),
            server_invite::Progress::Waiting => {
                let deadline = machine.deadline();
                server.last = Bytes::new();
                self.arm(slot, deadline);
            }
        }
    }

    fn receive_new(&mut self, message: Message, flow: Flow, now: Moment, lives: impl FnOnce(&str) -> bool) {
        let party = Party {
            source: flow.remote.ip(),
            dialog: dialog_of(self.secret, &message),
        };
        let fingerprint = fingerprint(self.secret, &message);
        let limits = &self.settings.limits;
        let is_invite = message.method() == Some(&Method::Invite);
        let begins_call = is_invite && message.to_tag().is_none();
        self.counters.calls_begun += u64::from(begins_call);
        if let Err(denied) = self.admission.admit(&message, fingerprint, party, limits, lives) {
            self.counters.refused += 1;
            let refusal = match denied {
                Denied::NoDialog => ResponseDraft::new(481),
                Denied::Crowded => ResponseDraft::new(500).header(HeaderName::RetryAfter, HeaderValue::cleaned("2")),
                Denied::Busy => {
                    let seconds = self.admission.retry_after(limits, fingerprint);
                    ResponseDraft::new(503).header(HeaderName::RetryAfter, HeaderValue::cleaned(seconds.to_string()))
                }
            };
            return self.answer_stateless(refusal, fingerprint, &message, &flow);
        }
        let merge = begins_call.then_some(fingerprint);
        if merge.is_some_and(|merge| self.unmerged.contains_key(&merge)) {
            self.counters.merged += 1;
            return self.answer_stateless(ResponseDraft::new(482), fingerprint, &message, &flow);
        }
        let (reliable, timers) = (flow.transport.is_reliable(), self.settings.timers);
        let (machine, deadline) = if is_invite {
            let machine = ServerInvite::new(reliable, &timers, now);
            let deadline = machine.deadline();
            (Machine::Invite(machine), deadline)
        } else {
            let machine = ServerNonInvite::new(reliable, &timers, now);
            let deadline = machine.deadline();
            (Machine::NonInvite(machine), deadline)
        };
        let server = Server {
            machine,
            request: Some(message.clone()),
            remote: flow.remote,
            way_back: way_back(&message, &flow),
            last: Bytes::new(),
            went_again: false,
            to_tag: None,
            cancelled: false,
            party,
            merge,
        };
        let key: Arc<str> = Arc::from(self.keys.last());
        self.admission.enter(party);
        let slot = self.insert(key, Transaction::Server(server), deadline);
        if let Some(merge) = merge {
            self.unmerged.insert(merge, slot);
        }
        let id = ServerTransactionId(self.id(slot));
        self.output(Output::Request { id, message, flow });
    }

    fn receive_again(&mut self, slot: u32) {
        self.counters.repeated_requests += 1;
        let Some(server) = self.server_mut(slot) else { return };
        let repeats = match &server.machine {
            Machine::Invite(machine) => machine.on_retransmission() == server_invite::OnRetransmission::Resend,
            Machine::NonInvite(machine) => machine.repeats(),
        };
        if repeats {
            self.send_last(slot);
        }
    }

    fn receive_ack(&mut self, slot: u32, message: Message, flow: Flow, now: Moment) {
        let timers = self.settings.timers;
        let Some(server) = self.server_mut(slot) else { return };
        let Machine::Invite(machine) = &mut server.machine else {
            return;
        };
        match machine.on_ack(&timers, now) {
            server_invite::Progress::Ended => self.remove(slot),
            server_invite::Progress::Waiting => {
                let deadline = machine.deadline();
                server.last = Bytes::new();
                self.arm(slot, deadline);
            }
            // Some user agents put the INVITE's branch into the ACK of a 2xx too.
            server_invite::Progress::Refused => self.output(Output::Ack { message, flow }),
        }
    }

    fn receive_stray_ack(&mut self, message: Message, flow: Flow) {
        let refused = stateless_tag(fingerprint(self.secret, &message));
        if message.to_tag() != Some(refused.as_str()) {
            self.output(Output::Ack { message, flow });
        }
    }

    /// CANCEL needs no memory of its own: asked again, the answer is the same (RFC 3261 §9.2).
    fn receive_cancel(&mut self, found: Option<u32>, message: Message, flow: Flow) {
        let fingerprint = fingerprint(self.secret, &message);
        let Some((slot, server)) = found.and_then(|slot| Some((slot, self.server_mut(slot)?))) else {
            self.counters.stray_cancels += 1;
            return self.answer_stateless(ResponseDraft::new(481), fingerprint, &message, &flow);
        };
        let pending = matches!(&server.machine, Machine::Invite(machine) if machine.is_pending());
        let news = pending && !server.cancelled;
        server.cancelled |= pending;
        let tag = server
            .to_tag
            .as_deref()
            .map_or_else(|| stateless_tag(fingerprint), str::to_owned);
        let way = way_back(&message, &flow);
        let draft = self.settings.marks.mark(ResponseDraft::new(200).to_tag(tag), &way);
        let bytes = draft.to_bytes(&message, flow.remote);
        let id = self.id(slot);
        // Whoever knows the branch of an INVITE that was taken has proven itself with it.
        self.send(Some(id), way, bytes);
        if news {
            let id = ServerTransactionId(id);
            self.output(Output::Cancelled { id, message });
        }
    }

    fn answer_stateless(&mut self, draft: ResponseDraft, fingerprint: u64, request: &Message, flow: &Flow) {
        let way = way_back(request, flow).without_fallback();
        let draft = draft.to_tag(stateless_tag(fingerprint));
        let bytes = self.settings.marks.mark(draft, &way).to_bytes(request, flow.remote);
        self.send(None, way, bytes);
    }

    pub(super) fn server_timer(&mut self, slot: u32, now: Moment) {
        let timers = self.settings.timers;
        let Some(server) = self.server_mut(slot) else { return };
        match &mut server.machine {
            Machine::NonInvite(machine) => match machine.on_timer(now) {
                server_non_invite::OnTimer::Nothing => {
                    let deadline = machine.deadline();
                    self.arm(slot, deadline);
                }
                server_non_invite::OnTimer::Abandoned => {
                    self.counters.abandoned += 1;
                    self.remove(slot);
                }
                server_non_invite::OnTimer::Ended => self.remove(slot),
            },
            Machine::Invite(machine) => {
                let unacknowledged = machine.awaits_ack();
                let step = machine.on_timer(&timers, now);
                let deadline = machine.deadline();
                match step {
                    server_invite::OnTimer::Nothing => self.arm(slot, deadline),
                    server_invite::OnTimer::Retransmit => {
                        self.counters.retransmissions += 1;
                        self.arm(slot, deadline);
                        self.send_last(slot);
                    }
                    server_invite::OnTimer::Abandoned => {
                        self.counters.abandoned += 1;
                        let id = ServerTransactionId(self.id(slot));
                        if self.respond(id, &ResponseDraft::new(408), now).is_err() {
                            self.remove(slot);
                        }
                    }
                    server_invite::OnTimer::NeverAcknowledged => {
                        self.counters.unacknowledged += 1;
                        let id = ServerTransactionId(self.id(slot));
                        let server = self.server_mut(slot);
                        let to_tag = server.and_then(|server| server.to_tag.take()).unwrap_or_default();
                        self.remove(slot);
                        self.output(Output::AckTimeout { id, to_tag });
                    }
                    server_invite::OnTimer::Ended => {
                        self.counters.unacknowledged += u64::from(unacknowledged);
                        self.remove(slot);
                    }
                }
            }
        }
    }

    /// A response was queued on a connection that ended before it was written. Over reliable transports nobody asks for it again,
    /// and only now is the connection known to be gone: it goes to the fallback (RFC 3261 §18.2.2), once; and once more where whoever
    /// is there may prove what Via names instead.
    pub(super) fn server_transport_failed(&mut self, slot: u32) {
        let Some(server) = self.server_mut(slot) else { return };
        let SendTo::Flow {
            fallback: Some(fallback),
            ..
        } = &mut server.way_back
        else {
            return;
        };
        if std::mem::replace(&mut server.went_again, true) {
            let Some(proof) = other_proof(&server.last, fallback) else {
                return;
            };
            fallback.server_name = Some(proof);
        }
        self.send_last(slot);
    }

    fn send_last(&mut self, slot: u32) {
        let id = self.id(slot);
        let Some(server) = self.server_mut(slot) else { return };
        if server.last.is_empty() {
            return;
        }
        let (to, bytes) = (server.way_back.clone(), server.last.clone());
        self.send(Some(id), to, bytes);
    }
}
