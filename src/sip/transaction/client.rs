//! Requests that we send: from the draft to the last response.

use super::client_invite::{self, ClientInvite};
use super::client_non_invite::{self, ClientNonInvite};
use super::identifiers::{ClientTransactionId, new_branch};
use super::output::{Cause, Output, SendTo};
use super::table::{Transaction, Transactions};
use crate::moment::Moment;
use crate::sip::message::{HeaderName, HeaderValue, Message, RequestDraft};
use crate::sip::{Flow, Hop, Method, Transport};
use bytes::Bytes;
use std::sync::Arc;

/// Why a request can't be sent as a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("ACK has no transaction of its own")]
    Ack,
    #[error("CANCEL belongs to the transaction of its INVITE: cancel")]
    Cancel,
}

#[derive(Debug)]
enum Machine {
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

/// How far the wish to cancel an INVITE has come (RFC 3261 §9.1).
#[derive(Debug)]
enum Cancellation {
    No,
    /// Wanted, but no provisional response came yet.
    Held(Vec<(HeaderName, HeaderValue)>),
    Sent,
}

/// One request of ours.
#[derive(Debug)]
pub(super) struct Client {
    /// The transaction user's; `None` for a CANCEL, whose fate nobody follows.
    token: Option<u64>,
    hop: Hop,
    machine: Machine,
    cancellation: Cancellation,
    /// What is sent again: the request; after a refusal of an INVITE, its ACK; then nothing.
    again: Bytes,
}

impl Transactions {
    /// Sends a request to `hop`. `via_sent_by` is the listener's advertised `host:port`. `token` comes back with
    /// every output about it.
    ///
    /// # Errors
    /// ACK and CANCEL have calls of their own.
    pub fn request(
        &mut self,
        draft: &RequestDraft,
        hop: Hop,
        token: u64,
        via_sent_by: &str,
        now: Moment,
    ) -> Result<ClientTransactionId, RequestError> {
        match draft.method() {
            Method::Ack => return Err(RequestError::Ack),
            Method::Cancel => return Err(RequestError::Cancel),
            _ => {}
        }
        let branch = new_branch(self.settings.shard, &mut self.rng);
        let bytes = draft.to_bytes(&via(&hop, via_sent_by, &branch));
        let slot = self.start_client(draft.method(), &branch, bytes, hop, Some(token), now);
        Ok(ClientTransactionId(self.id(slot)))
    }

    /// The ACK of a 2xx as it is to be sent: it has no transaction (RFC 3261 §13.2.2.4). Call it again for each repeated 2xx.
    pub fn ack(&mut self, draft: &RequestDraft, hop: &Hop, via_sent_by: &str) -> Bytes {
        let branch = new_branch(self.settings.shard, &mut self.rng);
        draft.to_bytes(&via(hop, via_sent_by, &branch))
    }

    /// Cancels an INVITE: now, or as soon as a provisional response came. `headers` (Reason) go with it. Nothing
    /// happens once a final response came. A 2xx that crosses still comes as a [`Output::Response`]: ACK it, then BYE.
    pub fn cancel(&mut self, id: ClientTransactionId, headers: Vec<(HeaderName, HeaderValue)>, now: Moment) {
        let Some(slot) = self.slot_of(id.0) else { return };
        let Some(client) = self.client_mut(slot) else { return };
        let Client {
            machine: Machine::Invite(machine),
            cancellation: cancellation @ Cancellation::No,
            ..
        } = client
        else {
            return;
        };
        if machine.is_pending() {
            *cancellation = Cancellation::Held(headers);
            self.release_cancel(slot, now);
        }
    }

    /// Sends the CANCEL that is held, if it may leave.
    fn release_cancel(&mut self, slot: u32, now: Moment) {
        let timers = self.settings.timers;
        let Some(client) = self.client_mut(slot) else { return };
        let Machine::Invite(machine) = &mut client.machine else {
            return;
        };
        let Cancellation::Held(headers) = &mut client.cancellation else {
            return;
        };
        if !machine.may_cancel() {
            return;
        }
        let headers = std::mem::take(headers);
        client.cancellation = Cancellation::Sent;
        machine.cancel_sent(&timers, now);
        let (hop, deadline) = (client.hop.clone(), machine.deadline());
        let cancel = follow_up(&client.again, Method::Cancel, None, headers);
        self.arm(slot, deadline);
        if let Some((bytes, branch)) = cancel {
            self.start_client(&Method::Cancel, &branch, bytes, hop, None, now);
        }
    }

    fn start_client(
        &mut self,
        method: &Method,
        branch: &str,
        bytes: Bytes,
        hop: Hop,
        token: Option<u64>,
        now: Moment,
    ) -> u32 {
        let (reliable, timers) = (hop.transport.is_reliable(), self.settings.timers);
        let (machine, deadline) = if *method == Method::Invite {
            let machine = ClientInvite::new(reliable, &timers, now);
            let deadline = machine.deadline();
            (Machine::Invite(machine), deadline)
        } else {
            let machine = ClientNonInvite::new(reliable, &timers, now);
            let deadline = machine.deadline();
            (Machine::NonInvite(machine), deadline)
        };
        let key: Arc<str> = Arc::from(self.keys.client(branch, method));
        // Over a reliable transport only an INVITE is needed again: its ACK and CANCEL are made from it.
        let again = if reliable && *method != Method::Invite {
            Bytes::new()
        } else {
            bytes.clone()
        };
        let client = Client {
            token,
            hop: hop.clone(),
            machine,
            cancellation: Cancellation::No,
            again,
        };
        let slot = self.insert(key, Transaction::Client(client), deadline);
        self.send(Some(self.id(slot)), SendTo::Hop(hop), bytes);
        slot
    }

    pub(super) fn receive_response(&mut self, message: Message, flow: Flow, now: Moment) {
        let via = message.top_via();
        let key = self
            .keys
            .client(via.branch().unwrap_or_default(), message.cseq_method());
        let slot = self.by_key.get(key).copied();
        let (Some(slot), Some(status)) = (slot, message.status()) else {
            self.counters.stray_responses += 1;
            return;
        };
        let timers = self.settings.timers;
        let Some(client) = self.client_mut(slot) else { return };
        match &mut client.machine {
            Machine::NonInvite(machine) => {
                let step = machine.on_response(status, &timers, now);
                let deadline = machine.deadline();
                match step {
                    client_non_invite::OnResponse::Absorb => {}
                    client_non_invite::OnResponse::PassUp => self.pass_up(slot, message, flow),
                    client_non_invite::OnResponse::PassUpFinal { ended } => {
                        client.again = Bytes::new();
                        self.pass_up(slot, message, flow);
                        if ended {
                            self.end_client(slot);
                        } else {
                            self.arm(slot, deadline);
                        }
                    }
                }
            }
            Machine::Invite(machine) => {
                let before = machine.deadline();
                let step = machine.on_response(status, &timers, now);
                let deadline = machine.deadline();
                match step {
                    client_invite::OnResponse::Absorb => {}
                    client_invite::OnResponse::PassUp => {
                        if (200..300).contains(&status) {
                            client.again = Bytes::new();
                        }
                        self.pass_up(slot, message, flow);
                        if deadline != before {
                            self.arm(slot, deadline);
                        }
                        self.release_cancel(slot, now);
                    }
                    client_invite::OnResponse::AcknowledgeAndPassUp { ended } => {
                        let ack = follow_up(&client.again, Method::Ack, Some(&message), Vec::new());
                        client.again = ack.map(|(bytes, _)| bytes).unwrap_or_default();
                        self.send_again(slot);
                        self.pass_up(slot, message, flow);
                        if ended {
                            self.end_client(slot);
                        } else {
                            self.arm(slot, deadline);
                        }
                    }
                    client_invite::OnResponse::AcknowledgeAgain => {
                        self.counters.retransmissions += 1;
                        self.send_again(slot);
                    }
                }
            }
        }
    }

    pub(super) fn client_timer(&mut self, slot: u32, now: Moment) {
        let timers = self.settings.timers;
        let Some(client) = self.client_mut(slot) else { return };
        let (step, deadline) = match &mut client.machine {
            Machine::Invite(machine) => {
                let step = machine.on_timer(now);
                // It rang for too long and nobody above took it down: CANCEL, and wait for the last time.
                if step == client_invite::OnTimer::TimedOut
                    && machine.may_cancel()
                    && matches!(client.cancellation, Cancellation::No)
                {
                    client.cancellation = Cancellation::Held(Vec::new());
                    return self.release_cancel(slot, now);
                }
                (step, machine.deadline())
            }
            Machine::NonInvite(machine) => {
                let step = match machine.on_timer(&timers, now) {
                    client_non_invite::OnTimer::Nothing => client_invite::OnTimer::Nothing,
                    client_non_invite::OnTimer::Retransmit => client_invite::OnTimer::Retransmit,
                    client_non_invite::OnTimer::TimedOut => client_invite::OnTimer::TimedOut,
                    client_non_invite::OnTimer::Ended => client_invite::OnTimer::Ended,
                };
                (step, machine.deadline())
            }
        };
        match step {
            client_invite::OnTimer::Nothing => self.arm(slot, deadline),
            client_invite::OnTimer::Retransmit => {
                self.counters.retransmissions += 1;
                self.arm(slot, deadline);
                self.send_again(slot);
            }
            client_invite::OnTimer::TimedOut => {
                self.counters.timeouts += 1;
                self.fail_client(slot, Cause::Timeout);
            }
            client_invite::OnTimer::Ended => self.end_client(slot),
        }
    }

    pub(super) fn client_transport_failed(&mut self, slot: u32) {
        let Some(client) = self.client_mut(slot) else { return };
        let pending = match &client.machine {
            Machine::Invite(machine) => machine.is_pending(),
            Machine::NonInvite(machine) => machine.is_pending(),
        };
        if pending {
            self.fail_client(slot, Cause::Transport);
        }
    }

    fn send_again(&mut self, slot: u32) {
        let id = self.id(slot);
        let Some(client) = self.client_mut(slot) else { return };
        if client.again.is_empty() {
            return;
        }
        let (to, bytes) = (SendTo::Hop(client.hop.clone()), client.again.clone());
        self.send(Some(id), to, bytes);
    }

    fn pass_up(&mut self, slot: u32, message: Message, flow: Flow) {
        let id = ClientTransactionId(self.id(slot));
        if let Some(token) = self.client_mut(slot).and_then(|client| client.token) {
            self.output(Output::Response {
                id,
                token,
                message,
                flow,
            });
        }
    }

    fn fail_client(&mut self, slot: u32, cause: Cause) {
        let id = ClientTransactionId(self.id(slot));
        let token = self.client_mut(slot).and_then(|client| client.token);
        self.remove(slot);
        if let Some(token) = token {
            self.output(Output::Failed { id, token, cause });
        }
    }

    fn end_client(&mut self, slot: u32) {
        let id = ClientTransactionId(self.id(slot));
        let token = self.client_mut(slot).and_then(|client| client.token);
        self.remove(slot);
        if let Some(token) = token {
            self.output(Output::Terminated { id, token });
        }
    }
}

/// The Via of a request; `rport` where the answer's way back is not the connection (RFC 3581).
fn via(hop: &Hop, sent_by: &str, branch: &str) -> String {
    let rport = if hop.transport == Transport::Udp { ";rport" } else { "" };
    format!("SIP/2.0/{} {sent_by};branch={branch}{rport}", hop.transport.via_name())
}

/// The CANCEL of an INVITE, or the ACK of its refusal (then with the `To` of that), and the INVITE's branch: same
/// Request-URI, top Via, Route, From, Call-ID and CSeq number (RFC 3261 §9.1, §17.1.1.3).
fn follow_up(
    invite: &Bytes,
    method: Method,
    refusal: Option<&Message>,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Option<(Bytes, String)> {
    let invite = Message::parse(invite.clone()).ok()?;
    let via = invite.top_via();
    let to = refusal.unwrap_or(&invite).header_bytes(HeaderName::To)?;
    let (number, _) = invite.cseq();
    let copied = |name| Some(HeaderValue::cleaned(invite.header_bytes(name)?));
    let cseq = format!("{number} {method}");
    let mut draft = RequestDraft::new(method, invite.request_uri()?);
    for route in invite.headers_bytes(HeaderName::Route) {
        draft = draft.header(HeaderName::Route, HeaderValue::cleaned(route));
    }
    draft = draft
        .header(HeaderName::MaxForwards, HeaderValue::cleaned("70"))
        .header(HeaderName::From, copied(HeaderName::From)?)
        .header(HeaderName::To, HeaderValue::cleaned(to))
        .header(HeaderName::CallId, copied(HeaderName::CallId)?)
        .header(HeaderName::CSeq, HeaderValue::cleaned(cseq));
    // They say who we are as the INVITE did (TEAMS-038).
    for name in [HeaderName::UserAgent, HeaderName::XMsSbc] {
        if let Some(value) = copied(name) {
            draft = draft.header(name, value);
        }
    }
    for (name, value) in headers {
        draft = draft.header(name, value);
    }
    Some((draft.to_bytes(via.as_str()), via.branch()?.to_owned()))
}
