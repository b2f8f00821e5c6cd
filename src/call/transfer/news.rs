//! What becomes of a transfer, as the log tells it and a status page shows it.

use super::{Kind, Transfer};
use crate::call::event::CallNews;
use crate::call::id::LegIndex;
use crate::call::record::TransferKind;
use crate::call::value::Call;

/// A step of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferNews {
    /// Whose place is to be taken; its peer has sent the REFER, where there is one.
    pub leg: LegIndex,
    pub step: TransferStep,
    pub about: TransferStatus,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferStep {
    /// The REFER is accepted, or the INVITE with Replaces taken up.
    Began,
    /// Whom the REFER names says something for the first time.
    Rings { status: u16 },
    /// Whoever comes has the place.
    Made,
    /// Nothing comes of it; this status is told to who asked for it.
    Failed { status: u16, why: String },
}

/// A transfer that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferStatus {
    pub kind: TransferKind,
    /// Who leaves, and has referred the other side where it is that kind: `carrier north`.
    pub leaves: String,
    /// Who goes on talking.
    pub stays: String,
    /// Whom the REFER names.
    pub refer_to: Option<String>,
    /// What its sender was told last of whoever is called.
    pub status: Option<u16>,
}

impl Call {
    /// The transfer that is under way.
    pub(in crate::call) fn transfer_status(&self) -> Option<TransferStatus> {
        let Transfer { old, new, stays, kind } = &**self.transfer.as_ref()?;
        let (kind, asked, status) = match kind {
            Kind::Replaced { .. } => (TransferKind::Replaced, None, None),
            Kind::Referred(referral) => (TransferKind::Referred, referral.asked.as_ref(), Some(referral.said())),
        };
        let of_leg = || self.leg(*new).and_then(|leg| leg.record.transfer.as_ref());
        Some(TransferStatus {
            kind,
            leaves: self.who_is(*old),
            stays: self.who_is(*stays),
            refer_to: asked.or_else(of_leg).and_then(|asked| asked.refer_to.clone()),
            status,
        })
    }

    /// What a change of it shows by.
    pub(in crate::call) fn transfer_mark(&self) -> Option<(LegIndex, Option<u16>)> {
        let transfer = self.transfer.as_ref()?;
        let said = match &transfer.kind {
            Kind::Replaced { .. } => None,
            Kind::Referred(referral) => Some(referral.said()),
        };
        Some((transfer.old, said))
    }

    /// Tells of a step of the transfer that is under way.
    pub(super) fn tell_transfer(&mut self, step: TransferStep) {
        let leg = self.transfer.as_ref().map(|transfer| transfer.old);
        if let Some((leg, about)) = leg.zip(self.transfer_status()) {
            self.tell(CallNews::Transfer(TransferNews { leg, step, about }));
        }
    }

    fn who_is(&self, index: LegIndex) -> String {
        let kind = self.leg(index).map(|leg| &leg.terms.kind);
        kind.map(|kind| format!("{} {}", kind.side(), kind.name()))
            .unwrap_or_default()
    }
}
