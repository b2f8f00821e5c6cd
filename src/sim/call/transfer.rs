//! REFER, and what becomes of it.

use super::task::{Fate, Task};
use crate::sim::beside::Beside;
use crate::sim::line::Line;
use crate::sim::simulator::Simulator;
use crate::sim::teams::notified;
use crate::sim::transfers::ExpectedTransfer;
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{HeaderName, Message, Method, ResponseDraft, Uri};
use serde::Serialize;
use std::sync::Arc;

/// A transfer to ask for.
#[derive(Clone)]
pub struct Refer {
    /// The URI of Refer-To, without brackets.
    pub to: String,
    /// The value of Referred-By, as it is to be copied.
    pub referred_by: Option<String>,
    /// The REFER comes from here; `None`: from the simulator of the call.
    through: Option<Arc<Line>>,
    /// The INVITE is expected here; `None`: at the simulator of the call.
    toward: Option<Arc<Line>>,
    /// No BYE after the transfer.
    stays: bool,
    /// Of a carrier: it may be refused, and whom it leads to is called as the node routes it.
    routed: bool,
}

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Transfer {
    /// The final response to the REFER.
    pub answered: Option<u16>,
    /// It was refused, and no `Allow` of the peer's has REFER: Teams would have sent none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_offered: bool,
    /// What the NOTIFYs told, in order.
    pub notified: Vec<u16>,
    /// No other will follow.
    pub over: bool,
}

/// What a task knows of the REFER that it sent.
pub(super) struct Subscription {
    expected: Arc<ExpectedTransfer>,
    /// Where the INVITE is waited for.
    at: Arc<Beside>,
    /// It has to come, and here: no carrier's, and none that goes to a hub which stands elsewhere.
    is_due: bool,
    stays: bool,
}

impl Refer {
    /// To this URI.
    pub fn to(uri: &str) -> Refer {
        Refer {
            to: uri.to_owned(),
            referred_by: None,
            through: None,
            toward: None,
            stays: false,
            routed: false,
        }
    }

    /// With this Referred-By.
    #[must_use]
    pub fn by(mut self, referred_by: &str) -> Refer {
        self.referred_by = Some(referred_by.to_owned());
        self
    }

    /// Sent by another simulator, on a connection of its own (TEAMS-089).
    #[must_use]
    pub fn through(mut self, other: &Simulator) -> Refer {
        self.through = Some(other.line().clone());
        self
    }

    /// To a URI that leads to another simulator.
    #[must_use]
    pub fn toward(mut self, other: &Simulator) -> Refer {
        self.toward = Some(other.line().clone());
        self
    }

    /// As a carrier or a PBX sends it: it may be refused, and the INVITE that follows is as the node routes it.
    #[must_use]
    pub fn routed(mut self) -> Refer {
        self.routed = true;
        self
    }

    /// The call that was transferred is not ended from here.
    #[must_use]
    pub fn staying(mut self) -> Refer {
        self.stays = true;
        self
    }
}

impl Task {
    /// Sends the REFER; the final status.
    pub(super) async fn refer(&mut self, refer: Refer) -> u16 {
        let Some(dialog) = &mut self.dialog else { return 481 };
        let mut draft = dialog
            .request(Method::Refer)
            .header(HeaderName::ReferTo, format!("<{}>", refer.to));
        if let Some(referred_by) = &refer.referred_by {
            draft = draft.header(HeaderName::ReferredBy, referred_by);
        }
        let at = refer.toward.as_ref().unwrap_or(&self.line).clone();
        let host = Uri::parse(&refer.to).ok().map(|uri| uri.host().to_owned());
        let hub = match &refer.toward {
            Some(line) => line.persona.hub().map(str::to_owned),
            None => host.and_then(|host| at.beside.hub_of(&host)),
        };
        let by = refer.referred_by.as_deref();
        let expected = ExpectedTransfer::new(&refer.to, by, self.script.clone(), hub.as_deref());
        let expected = Arc::new(if refer.routed { expected.routed() } else { expected });
        at.beside.transfers.expect(expected.clone());
        self.subscription = Some(Subscription {
            expected: expected.clone(),
            at: at.beside.clone(),
            is_due: !refer.routed && hub.is_some(),
            stays: refer.stays,
        });
        self.show(|view| view.transfer = Some(Transfer::default()));
        let through = refer.through.clone().unwrap_or_else(|| self.line.clone());
        let (status, answer) = self.transact_over(&through, draft, None).await;
        let allow = answer.filter(|answer| answer.header(HeaderName::Allow).is_some());
        let is_offered = allow.map_or(self.offers_refer, |answer| answer.lists(HeaderName::Allow, "REFER"));
        let not_offered = status == 405 && !is_offered;
        if status != 202 {
            self.subscription = None;
            at.beside.transfers.forget(&expected);
            if !refer.routed && !not_offered {
                self.breach("refer-refused", format!("REFER to {} was answered {status}", refer.to));
            }
        }
        self.show(|view| {
            let transfer = view.transfer.get_or_insert_default();
            (transfer.answered, transfer.not_offered) = (Some(status), not_offered);
            transfer.over |= status != 202;
        });
        status
    }

    /// A NOTIFY inside the call.
    pub(super) async fn notified(&mut self, id: ServerTransactionId, notify: &Message) {
        self.answer(id, notify, ResponseDraft::new(200)).await;
        let Some(subscription) = &self.subscription else {
            self.breach("notify", "a NOTIFY, and no REFER is out");
            return;
        };
        let step = match notified(notify) {
            Ok(step) => step,
            Err(violation) => return self.line.violations.record(violation),
        };
        let before = self.shown.borrow().transfer.clone().unwrap_or_default();
        if before.notified.is_empty() && step.status != 100 {
            self.breach("notify", format!("the first NOTIFY says {}, not 100", step.status));
        }
        if (200..300).contains(&step.status) {
            if subscription.is_due && !subscription.expected.has_come() {
                let uri = &subscription.expected.uri;
                self.breach("transfer-invite", format!("{} without an INVITE to {uri}", step.status));
            }
            self.bye_due |= !subscription.stays;
        }
        if step.terminated {
            if !subscription.expected.has_come() {
                subscription.at.transfers.forget(&subscription.expected);
            }
            self.subscription = None;
        }
        self.show(|view| {
            let transfer = view.transfer.get_or_insert_default();
            transfer.notified.push(step.status);
            transfer.over |= step.terminated;
        });
    }

    /// Who was transferred is let go, as Teams does it.
    pub(super) async fn let_go(&mut self, fate: Fate) -> Fate {
        if fate == Fate::GoesOn && std::mem::take(&mut self.bye_due) {
            return self.hang_up().await;
        }
        fate
    }
}
