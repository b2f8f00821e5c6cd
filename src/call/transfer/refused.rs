//! A REFER that is not carried out: its sender hears a status, the log, the metrics and the record of its leg hear why.

use crate::call::event::CallNews;
use crate::call::id::LegIndex;
use crate::call::record::{MOST_REFUSED_REFERS, RefusedRefer};
use crate::call::value::Call;
use crate::route::{Refusal, Trace, Unreferable, refer_target};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;

impl Call {
    /// With a sentence of its own, or for a reason that the status alone says.
    pub(in crate::call) fn refuse_refer(
        &mut self,
        by: LegIndex,
        transaction: ServerTransactionId,
        refer: &Message,
        fault: impl Into<Unreferable>,
    ) {
        let target = refer_target(refer).ok();
        let target = target.map(|target| target.as_str().to_owned());
        self.refuse_target(by, transaction, target, fault);
    }

    /// The same, where the REFER has been read.
    pub(in crate::call) fn refuse_target(
        &mut self,
        by: LegIndex,
        transaction: ServerTransactionId,
        refer_to: Option<String>,
        fault: impl Into<Unreferable>,
    ) {
        let Unreferable { status, why: sentence } = fault.into();
        self.answer_plainly(by, transaction, status);
        let why = sentence.unwrap_or_else(|| why(status).to_owned());
        let trace = Vec::new();
        self.tell_refused(
            by,
            RefusedRefer {
                refer_to,
                status,
                why,
                trace,
            },
        );
    }

    /// The call that it asks for is not routed.
    pub(super) fn refuse_routed(
        &mut self,
        by: LegIndex,
        transaction: ServerTransactionId,
        refer_to: String,
        (refusal, trace): (Refusal, Trace),
    ) {
        let Some(leg) = self.leg(by) else { return };
        let mut draft = leg
            .decorate(ResponseDraft::new(refusal.status))
            .header(HeaderName::Allow, &*leg.terms.allow);
        if let Some(span) = refusal.retry_after {
            draft = draft.header(HeaderName::RetryAfter, span.as_secs().max(1).to_string());
        }
        self.respond(transaction, draft);
        self.tell_refused(
            by,
            RefusedRefer {
                refer_to: Some(refer_to),
                status: refusal.status,
                why: refusal.sentence,
                trace: trace.0,
            },
        );
    }

    fn tell_refused(&mut self, by: LegIndex, refused: RefusedRefer) {
        if let Some(leg) = self.leg_mut(by)
            && leg.record.refers_refused.len() < MOST_REFUSED_REFERS
        {
            leg.record.refers_refused.push(refused.clone());
        }
        self.tell(CallNews::ReferRefused { leg: by, refused });
    }
}

/// What a status says of a REFER.
const fn why(status: u16) -> &'static str {
    match status {
        400 => "it does not name exactly one URI that can be read",
        403 => "what it names is not called, or it asks for more than a call",
        405 => "REFER is not taken from this peer",
        486 => "the dialog that it names is up, and it wants one that is not",
        501 => "the application has no referHook",
        _ => "it can't be carried out now",
    }
}
