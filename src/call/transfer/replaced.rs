//! INVITE with Replaces (RFC 3891) from Teams: somebody else there takes over the dialog that we have with it, as when an
//! agent answers a queue, or a call is parked, retrieved, or brought back from its music (TEAMS-088).

use super::{CalledTrunk, Kind, RefusedReplace, Transfer, TransferStep, side_of};
use crate::call::event::CallNews;
use crate::call::id::LegIndex;
use crate::call::leg::{Leg, LegState};
use crate::call::readable::description_of;
use crate::call::record::{LegTransfer, TransferKind};
use crate::call::session_clock::peer_session_timer;
use crate::call::value::Call;
use crate::dial::{AttemptFailure, LegKind, LegTerms, PeerName, allow};
use crate::moment::Moment;
use crate::sdp::{Direction, RtcpMux, Session};
use crate::sip::Flow;
use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::header::Replaces;
use crate::sip::message::{HeaderName, Message, ResponseDraft, reason_phrase};
use crate::sip::session_timer::{SessionTimerAnswer, answer};
use crate::sip::transaction::ServerTransactionId;
use std::sync::Arc;

/// Why a dialog is not replaced.
struct Kept {
    status: u16,
    why: String,
    header: Option<(HeaderName, String)>,
}

fn kept(status: u16, why: impl Into<String>) -> Box<Kept> {
    Box::new(Kept {
        status,
        why: why.into(),
        header: None,
    })
}

impl Kept {
    fn with(mut self: Box<Kept>, name: HeaderName, value: String) -> Box<Kept> {
        self.header = Some((name, value));
        self
    }
}

impl Call {
    /// An INVITE of Teams to this trunk that wants to replace a dialog. Nothing is opened for one that may not.
    pub(in crate::call) fn replace_asked(
        &mut self,
        transaction: ServerTransactionId,
        invite: &Message,
        (replaces, trunk): (&Replaces, &CalledTrunk),
        flow: &Flow,
    ) {
        let wanted = DialogId::of_replaces(replaces);
        let mut names = std::iter::once(&trunk.name).chain(&trunk.others);
        let mut is_of_one_tenant = |name: &str| names.any(|trunk| trunk.eq_ignore_ascii_case(name));
        let named = |leg: &&Leg| leg.dialog.as_ref().is_some_and(|dialog| *dialog.id() == wanted);
        let foreign = match self.legs.iter().find(named).map(|leg| (leg.index, &leg.terms.kind)) {
            Some((old, LegKind::Teams { tenant_fqdn })) if is_of_one_tenant(tenant_fqdn) => {
                if let Err(kept) = self.begin_replacing(old, transaction, invite, (replaces, trunk), flow)
                    && let Some(leg) = self.leg(old)
                {
                    let Kept { status, why, header } = *kept;
                    let draft = ResponseDraft::new(status);
                    let draft = match header {
                        Some((name, value)) => draft.header(name, value),
                        None => draft,
                    };
                    let draft = leg.decorate(draft);
                    self.respond(transaction, draft);
                    self.tell_kept(RefusedReplace::of(invite, flow, status, why));
                }
                return;
            }
            // The log alone says that there is one.
            Some((_, LegKind::Teams { tenant_fqdn })) => {
                let called = &trunk.name;
                format!("the dialog that it would replace is one of the trunk {tenant_fqdn}, and it calls {called}")
            }
            Some((_, kind)) => format!(
                "the dialog that it would replace is with a {}, and none of Teams'",
                kind.side()
            ),
            None => "no dialog of this call has the Call-ID and the tags of its Replaces".to_owned(),
        };
        self.respond(transaction, ResponseDraft::new(481));
        self.tell_kept(RefusedReplace::of(invite, flow, 481, foreign));
    }

    fn tell_kept(&mut self, refused: RefusedReplace) {
        self.tell(CallNews::ReplaceRefused(Box::new(refused)));
    }

    fn begin_replacing(
        &mut self,
        old: LegIndex,
        transaction: ServerTransactionId,
        invite: &Message,
        (replaces, trunk): (&Replaces, &CalledTrunk),
        flow: &Flow,
    ) -> Result<(), Box<Kept>> {
        let leg = self.leg(old).ok_or_else(|| kept(481, "its leg is gone"))?;
        match leg.state {
            // Only a dialog that is up is ours to give away (RFC 3891 §3).
            LegState::Opening | LegState::Inviting | LegState::Cancelling => {
                return Err(kept(481, "the dialog that it would replace is not answered yet"));
            }
            LegState::Up if replaces.early_only => {
                let why = "the dialog that it would replace is answered, and early-only wants one that is not";
                return Err(kept(486, why));
            }
            LegState::Up => {}
            LegState::AwaitingAck | LegState::Leaving { .. } | LegState::Closing | LegState::Gone => {
                return Err(kept(603, "the dialog that it would replace is over, or about to be"));
            }
        }
        let terms = under_name(&leg.terms, trunk.terms.as_deref());
        let (user, is_called) = (leg.contact_user.clone(), leg.record.peer.is_some());
        if let Some(foreign) = allow::foreign_extensions(invite) {
            let why = format!("it requires {foreign}, which is not supported");
            return Err(kept(420, why).with(HeaderName::Unsupported, foreign));
        }
        if invite.max_forwards() == Some(0) {
            return Err(kept(483, "its Max-Forwards is 0"));
        }
        let timer = match answer(&peer_session_timer(invite), &terms.session_timer.answering(), None) {
            SessionTimerAnswer::TooSmall { min_se } => {
                let why = format!("its session interval is below {min_se} s");
                return Err(kept(422, why).with(HeaderName::MinSe, min_se.to_string()));
            }
            other => other,
        };
        let offer = description_of(invite).map_err(|unreadable| {
            let refused = kept(unreadable.status(), unreadable.to_string());
            match unreadable.header() {
                Some((name, value)) => refused.with(name, value.to_owned()),
                None => refused,
            }
        })?;
        let session = offer.as_deref().map(Session::parse).transpose();
        let session = session.map_err(|error| kept(488, format!("its description can't be read: {error}")))?;
        let stays = self.who_stays(old);
        let stays = stays.map_err(|why| kept(why.status(), why.to_string()))?;
        let tag = self.new_tag();
        let dialog = Dialog::from_request(invite, &tag);
        let dialog = dialog.map_err(|error| kept(400, format!("it makes no dialog: {error}")))?;

        let new = LegIndex(u16::try_from(self.legs.len()).unwrap_or(u16::MAX));
        let mut leg = Leg::new(new, side_of(old), terms, user);
        leg.record.call_id = invite.call_id().to_owned();
        leg.note_caller(invite);
        leg.note_min_se(invite);
        // Whoever was called there: from now on it is the hub that this INVITE came by.
        leg.record.peer = leg
            .record
            .hub
            .as_deref()
            .filter(|_| is_called)
            .map(|hub| PeerName::Hub(hub.into()));
        leg.record.transfer = Some(LegTransfer {
            kind: TransferKind::Replaced,
            of: old.0,
            refer_to: None,
            referred_by: None,
            trace: Vec::new(),
        });
        leg.heard_from(flow);
        leg.dialog = Some(dialog);
        leg.state = LegState::Inviting;
        leg.session_answer = Some(timer);
        leg.waiting = Some(transaction);
        let asks_mux = session.is_some_and(|session| session.audio().is_some_and(|audio| audio.rtcp_mux));
        let mux = asks_mux && leg.terms.media.rtcp_mux != RtcpMux::Never;
        self.legs.push(leg);
        self.transfer = Some(Box::new(Transfer {
            old,
            new,
            stays,
            kind: Kind::Replaced { offer },
        }));
        self.tell_transfer(TransferStep::Began);
        self.open_sockets(new, mux);
        Ok(())
    }

    /// Whether a leg is about to take another's place by the INVITE of its peer.
    pub(in crate::call) fn brings_invite(&self, index: LegIndex) -> bool {
        let transfer = self.transfer.as_ref().filter(|transfer| transfer.new == index);
        transfer.is_some_and(|transfer| matches!(transfer.kind, Kind::Replaced { .. }))
    }

    /// The media of the leg that comes are open: its INVITE is accepted, with what the one who stays has settled.
    pub(in crate::call) fn accept_arriving(&mut self, index: LegIndex, now: Moment) {
        if let Err(why) = self.describe_arriving(index) {
            self.arriving_refused(index, 488, why, now);
            return;
        }
        let Some(leg) = self.leg_mut(index) else { return };
        if let Some(dialog) = &mut leg.dialog {
            dialog.confirm();
        }
        leg.state = LegState::Up;
        leg.record.note_own(200);
        self.accept_change(index, now);
        self.swap_in(now);
    }

    fn describe_arriving(&mut self, index: LegIndex) -> Result<(), String> {
        let transfer = self.transfer.as_ref().ok_or("no transfer")?;
        let Kind::Replaced { offer } = &transfer.kind else {
            return Err("its INVITE is ours".into());
        };
        let (stays, offer) = (transfer.stays, offer.clone());
        let settled = self.leg(stays).and_then(|leg| leg.media.negotiated.as_ref());
        let formats = settled.ok_or("the other side has no media")?.formats();
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        let terms = leg.terms.clone();
        // Live, whoever was on hold before.
        let direction = Direction::SendRecv;
        match offer {
            Some(offer) => {
                let answer = leg.media.answer(&terms, &offer, &formats, direction);
                answer.map_err(|refusal| refusal.to_string())?;
                self.fits(stays, index)
            }
            None => {
                let offered = leg.media.offer(&terms, &formats, direction);
                offered.map(|_| ()).ok_or_else(|| "media is not open".into())
            }
        }
    }

    /// The INVITE of a leg that was to come can't be served after all.
    pub(in crate::call) fn arriving_refused(&mut self, index: LegIndex, status: u16, why: String, now: Moment) {
        if let Some(leg) = self.leg_mut(index) {
            let refused = RefusedReplace {
                status,
                why: why.clone(),
                trunk: match &leg.terms.kind {
                    LegKind::Teams { tenant_fqdn } => tenant_fqdn.to_string(),
                    _ => String::new(),
                },
                hub: leg.record.hub.clone(),
                source: leg.record.address.map(|(_, source)| source),
            };
            self.tell_kept(refused);
        }
        let failure = AttemptFailure::local(status, reason_phrase(status), why);
        self.transfer_failed(&failure, now);
    }

    /// Answers the INVITE of a leg that was to come for good, where it waits.
    pub(super) fn refuse_arriving(&mut self, index: LegIndex, status: u16) {
        let Some(leg) = self.leg_mut(index) else { return };
        let Some(transaction) = leg.waiting.take() else { return };
        let mut draft = ResponseDraft::new(status);
        if let Some(dialog) = &leg.dialog {
            draft = draft.to_tag(&dialog.id().local_tag);
        }
        let draft = leg.decorate(draft);
        self.respond(transaction, draft);
    }
}

/// The terms of a leg, for one of the trunk name that Teams calls now: both are the same tenant's (TEAMS-029).
fn under_name(terms: &Arc<LegTerms>, called: Option<&LegTerms>) -> Arc<LegTerms> {
    match called.filter(|called| called.kind != terms.kind) {
        Some(called) => Arc::new(LegTerms {
            kind: called.kind.clone(),
            contact: called.contact.clone(),
            ..LegTerms::clone(terms)
        }),
        None => terms.clone(),
    }
}
