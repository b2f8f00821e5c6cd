//! What the peers and the clock do.

use super::messages::{Reply, Sent, reply};
use super::peers::{carrier_sdp, teams_sdp, with_body};
use super::rig::{Rig, flow, parse, render};
use crate::app::payload::Kind;
use crate::call::{Call, CallId, CallRecord, Effect, Event, LegIndex, Phase, SendFailure, Token};
use crate::dial::LegKind;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use crate::sip::{Flow, Method};
use std::time::Duration;

/// What the peers do.
impl Rig {
    /// A response to a request of ours.
    pub fn respond(&mut self, request: &Sent, reply: Reply) {
        self.respond_from(flow(), request, reply);
    }

    /// The same from elsewhere.
    pub fn respond_from(&mut self, flow: Flow, request: &Sent, reply: Reply) {
        let token = request.token.expect("a request with a transaction");
        let mut draft = ResponseDraft::new(reply.status);
        if reply.status > 100 && !reply.tag.is_empty() {
            draft = draft.to_tag(reply.tag);
        }
        if (101..300).contains(&reply.status) && request.is(&Method::Invite) {
            let teams = matches!(
                self.call.legs()[usize::from(request.leg.0)].terms.kind,
                LegKind::Teams { .. }
            );
            draft = match teams {
                true => draft
                    .header(
                        HeaderName::RecordRoute,
                        "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>",
                    )
                    .header(
                        HeaderName::Contact,
                        "<sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=0c1d;x-c=%2Fa>",
                    ),
                false if reply.more.iter().any(|(name, _)| *name == HeaderName::Contact) => draft,
                false => draft.header(HeaderName::Contact, "<sip:gw9@203.0.113.9:5070>"),
            };
        }
        for (name, value) in &reply.more {
            draft = draft.header(*name, value);
        }
        if let Some(sdp) = reply.sdp {
            draft = draft.body("application/sdp", sdp);
        }
        if reply.status >= 200 {
            self.answered_requests.insert(token);
        }
        let message = render(&draft.to_bytes(&request.message, flow.remote));
        self.step(Event::Response { token, message, flow });
    }

    /// No final response to a request of ours will come.
    pub fn fail(&mut self, request: &Sent, cause: TransportCause) {
        let token = request.token.expect("a request with a transaction");
        self.answered_requests.insert(token);
        self.step(Event::Failed {
            token,
            failure: SendFailure::Transport(cause),
        });
    }

    /// A request of a peer inside its dialog; returns its transaction.
    pub fn request(&mut self, leg: LegIndex, method: Method, more: &str, sdp: &str) -> ServerTransactionId {
        let flow = self.flow_of(leg);
        self.request_from((flow, false), leg, method, more, sdp)
    }

    /// The same from elsewhere, perhaps vouched for.
    pub fn request_from(
        &mut self,
        (flow, vouched): (Flow, bool),
        leg: LegIndex,
        method: Method,
        more: &str,
        sdp: &str,
    ) -> ServerTransactionId {
        let cseq = self.peer_cseq.entry(leg).or_insert(1);
        *cseq += 1;
        let cseq = *cseq;
        if method == Method::Invite {
            self.last_peer_invite.insert(leg, cseq);
        }
        let message = self.in_dialog(leg, &method, cseq, more, sdp);
        self.request_of((flow, vouched), leg, message)
    }

    /// This very request.
    pub fn request_of(
        &mut self,
        (flow, vouched): (Flow, bool),
        leg: LegIndex,
        message: Message,
    ) -> ServerTransactionId {
        let transaction = ServerTransactionId::numbered(self.next_transaction);
        self.next_transaction += 1;
        self.requests.insert(transaction, (leg, message.clone(), false));
        self.step(Event::Request {
            transaction,
            message,
            flow,
            vouched,
        });
        transaction
    }

    /// The ACK of our last 2xx on a leg.
    pub fn ack(&mut self, leg: LegIndex, sdp: &str) {
        self.ack_from(self.flow_of(leg), leg, sdp);
    }

    /// The same from elsewhere.
    pub fn ack_from(&mut self, flow: Flow, leg: LegIndex, sdp: &str) {
        let cseq = self.last_peer_invite.get(&leg).copied().unwrap_or(1);
        let message = self.in_dialog(leg, &Method::Ack, cseq, "", sdp);
        let vouched = false;
        self.step(Event::Ack { message, flow, vouched });
    }

    /// The caller's CANCEL of its INVITE, or of a re-INVITE.
    pub fn cancel(&mut self, transaction: ServerTransactionId, more: &str) {
        let (_, request, _) = &self.requests[&transaction];
        let (number, _) = request.cseq();
        let text = format!(
            "CANCEL {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} CANCEL\r\n{more}",
            request.request_uri().unwrap_or_default(),
            request.top_via().as_str(),
            request.header(HeaderName::From).unwrap_or_default(),
            request.header(HeaderName::To).unwrap_or_default(),
            request.call_id(),
        );
        let message = parse(&with_body(&text, ""));
        self.step(Event::Cancelled { transaction, message });
    }

    pub fn in_dialog(&self, leg: LegIndex, method: &Method, cseq: u32, more: &str, sdp: &str) -> Message {
        let (call_id, from, to) = if leg == LegIndex::CALLER {
            let tagged = |sent: &&Sent| sent.message.to_tag().is_some();
            let heard = self.heard_by_caller();
            let told = heard.iter().find(tagged).expect("the caller knows a dialog");
            (
                self.invite.call_id().to_owned(),
                self.invite.header(HeaderName::From).unwrap_or_default().to_owned(),
                told.header(HeaderName::To).unwrap_or_default().to_owned(),
            )
        } else {
            let ack = self.sent.iter().find(|sent| sent.leg == leg && sent.is(&Method::Ack));
            let ack = ack.expect("the callee knows a dialog");
            (
                ack.message.call_id().to_owned(),
                ack.header(HeaderName::To).unwrap_or_default().to_owned(),
                ack.header(HeaderName::From).unwrap_or_default().to_owned(),
            )
        };
        let contact = match method {
            Method::Invite => "Contact: <sip:moved@203.0.113.30:5060>\r\n",
            _ => "",
        };
        parse(&with_body(
            &format!(
                "{method} sip:us@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/TLS 203.0.113.2;branch=z9hG4bKp{cseq}{method}\r\n\
                 From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{more}"
            ),
            sdp,
        ))
    }

    /// Nobody acknowledges our 2xx to this request.
    pub fn no_ack(&mut self, transaction: ServerTransactionId) {
        self.step(Event::AckTimeout { transaction });
    }

    /// The usual answer from the callee, acknowledged by the caller.
    pub fn answered(mut self) -> Rig {
        let invite = self.last_invite();
        let sdp = match self.call.legs()[usize::from(invite.leg.0)].terms.kind {
            LegKind::Teams { .. } => teams_sdp("sendrecv"),
            LegKind::Carrier { .. } | LegKind::User { .. } | LegKind::SipUri { .. } => carrier_sdp("sendrecv"),
        };
        self.respond(&invite, reply(200).sdp(sdp));
        self.ack(LegIndex::CALLER, "");
        assert_eq!(self.call.phase(), Phase::Answered);
        self
    }

    /// The caller hangs up, and everything ends as it should.
    pub fn hang_up_and_finish(&mut self) -> CallRecord {
        self.request(LegIndex::CALLER, Method::Bye, "", "");
        self.finish()
    }

    /// The call that a callee has become, and what its peer says inside the dialog that went with it.
    pub fn become_a_call(&mut self) -> (Rig, Message) {
        let parted = self.parted.pop().expect("a callee that left");
        let handle = parted.leg.media.handle().expect("its media");
        let bye = self.in_dialog(parted.from, &Method::Bye, 2, "", "");
        let (call, effects) = Call::inherit(CallId::from_random(0xbeef), 99, parted, self.now);
        let mut rig = Rig::new(call, bye.clone(), self.now);
        rig.requests.clear();
        // Its leg knows its own side's names by another number.
        let with = LegIndex(1);
        rig.wishes.push(Effect::LegsSwapped { with });
        rig.opened.push((handle, LegIndex::CALLER));
        rig.carry_out(effects);
        rig.pump();
        (rig, bye)
    }

    /// A request that was written already.
    pub fn receive(&mut self, message: Message) {
        let transaction = ServerTransactionId::numbered(self.next_transaction);
        self.next_transaction += 1;
        self.requests
            .insert(transaction, (LegIndex::CALLER, message.clone(), false));
        self.step(Event::Request {
            transaction,
            message,
            flow: flow(),
            vouched: false,
        });
    }

    /// The transaction of the caller's INVITE.
    pub fn first_transaction() -> ServerTransactionId {
        ServerTransactionId::numbered(1)
    }
}

/// Time.
impl Rig {
    /// Lets time pass, tick by tick as the call asks for them.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        let mut ticks = 0;
        while let Some(due) = self.call.next_timeout().filter(|due| *due <= end) {
            if due > self.now {
                ticks = 0;
                self.now = due;
            }
            ticks += 1;
            assert!(ticks < 20, "the call asks for a tick at {due:?} for ever");
            self.step(Event::Tick);
        }
        self.now = end;
    }

    /// Plays both peers until the call is over: they accept BYEs and cancelled INVITEs. Then checks that nothing is left.
    pub fn finish(&mut self) -> CallRecord {
        self.release_media();
        for _ in 0..100 {
            let cancelled: Vec<Token> = self.cancelled.iter().map(|(token, _)| *token).collect();
            let open = |sent: &&Sent| {
                sent.token.is_some_and(|token| {
                    !self.answered_requests.contains(&token) && (sent.is(&Method::Bye) || cancelled.contains(&token))
                })
            };
            let Some(request) = self.sent.iter().find(open).cloned() else {
                break;
            };
            let status = if request.is(&Method::Bye) { 200 } else { 487 };
            self.respond(&request, reply(status));
        }
        self.wait(Duration::from_secs(60));
        assert_eq!(self.over.len(), 1, "the call is not over: {:?}", self.call.phase());
        for (handle, _) in &self.opened {
            assert!(self.closed.contains(handle), "media {handle} was left open");
        }
        for (leg, request, done) in self.requests.values() {
            assert!(*done, "no final answer on {leg:?} to\n{request:?}");
        }
        for event in self.told(Kind::CallStatus) {
            let status = event["call_status"].as_str().unwrap_or_default();
            let is_final = matches!(status, "completed" | "failed" | "busy" | "no-answer");
            assert_eq!(event.contains_key("call_termination_by"), is_final, "{event:?}");
        }
        self.over[0].clone()
    }
}
