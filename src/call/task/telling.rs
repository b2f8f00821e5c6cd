//! Messages of a call as its ladder shows them.

use super::CallTask;
use crate::call::directory::LiveCall;
use crate::call::event::Event;
use crate::call::id::LegIndex;
use crate::call::node::Node;
use crate::observe::{Happening, LadderLine, Way};
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Method, RequestDraft, ResponseDraft};

impl CallTask {
    /// A request of ours.
    pub(super) fn tell_request(&self, leg: LegIndex, draft: &RequestDraft) {
        if !self.wants_messages {
            return;
        }
        let method = draft.method().as_str();
        let reason = joined(draft.values(HeaderName::Reason));
        self.tell_sent(leg, method, method, reason.as_deref(), !draft.body_bytes().is_empty());
    }

    /// The CANCEL of an INVITE of ours.
    pub(super) fn tell_cancel(&self, leg: LegIndex, reason: Option<&str>) {
        self.tell_sent(leg, "CANCEL", "CANCEL", reason, false);
    }

    /// The request that this response refuses goes to another address.
    pub(super) fn tell_again(&self, refusal: &Event) {
        if let (Event::Response { message, .. }, Some(leg)) = (refusal, self.call.leg_heard(refusal)) {
            let method = message.cseq_method();
            self.tell_sent(leg, method.as_str(), method.as_str(), None, *method == Method::Invite);
        }
    }

    fn tell_sent(&self, leg: LegIndex, what: &str, method: &str, reason: Option<&str>, has_sdp: bool) {
        if self.wants_messages {
            let at = self.node.clock.now();
            let line = LadderLine {
                at,
                call: self.live.id,
                leg: leg.0,
                way: Way::Out,
                what,
                method,
                reason,
                has_sdp,
            };
            self.node.observer.happened(&Happening::Message(line));
        }
    }

    pub(super) fn tell_answer(&mut self, transaction: ServerTransactionId, draft: &ResponseDraft) {
        let what = format!("{} {}", draft.status(), draft.reason_text());
        let found = self.answering.iter().position(|(id, ..)| *id == transaction);
        // The caller's INVITE was there before the task.
        let (leg, method) = match found {
            Some(at) => {
                let (_, leg, method) = self.answering.swap_remove(at);
                (leg, method)
            }
            None => (LegIndex::CALLER, Method::Invite),
        };
        let reason = joined(draft.values(HeaderName::Reason));
        let has_sdp = !draft.body_bytes().is_empty();
        self.tell_sent(leg, &what, method.as_str(), reason.as_deref(), has_sdp);
        if draft.status() < 200 && found.is_some() {
            self.answering.push((transaction, leg, method));
        }
    }

    pub(super) fn tell_heard(&mut self, event: &Event) {
        let message = match event {
            Event::Response { message, .. }
            | Event::Request { message, .. }
            | Event::Replace { message, .. }
            | Event::Ack { message, .. }
            | Event::Cancelled { message, .. } => message,
            _ => return,
        };
        let leg = self.call.leg_heard(event).unwrap_or(LegIndex::CALLER);
        if let Event::Request {
            transaction, message, ..
        }
        | Event::Replace {
            transaction, message, ..
        } = event
        {
            let method = message.cseq_method().clone();
            self.answering.push((*transaction, leg, method));
        }
        tell_message(&self.node, &self.live, leg.0, Way::In, message, self.node.clock.now());
    }
}

pub(super) fn tell_message(
    node: &Node,
    live: &LiveCall,
    leg: u16,
    way: Way,
    message: &Message,
    at: crate::moment::Moment,
) {
    let method = message.cseq_method().as_str();
    let what = match message.status() {
        Some(status) => format!("{status} {}", message.reason()),
        None => method.to_owned(),
    };
    let reason = joined(message.headers(HeaderName::Reason));
    let has_sdp = !message.body().is_empty();
    node.observer.happened(&Happening::Message(LadderLine {
        at,
        call: live.id,
        leg,
        way,
        what: &what,
        method,
        reason: reason.as_deref(),
        has_sdp,
    }));
}

fn joined<'v>(values: impl Iterator<Item = &'v str>) -> Option<String> {
    let values: Vec<&str> = values.collect();
    (!values.is_empty()).then(|| values.join(", "))
}
