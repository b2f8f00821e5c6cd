//! A call that portcullis places: the script says what becomes of it.

use super::task::{Fate, Next, Parties, Side, Task, Unacknowledged};
use super::view::{EndedBy, Stage};
use super::{Event, Order};
use crate::net::shard::Command;
use crate::sdp::Direction;
use crate::sim::description::{Disagreement, audio_of};
use crate::sim::script::{Fork, Script, Step};
use crate::sim::teams::{contact_host, guid, is_completed_elsewhere};
use crate::sip::dialog::{Dialog, new_tag};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{HeaderName, Message, ResponseDraft};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The unanswered INVITE.
struct Ringing {
    id: ServerTransactionId,
    invite: Message,
    branches: BTreeMap<Fork, Branch>,
}

struct Branch {
    tag: String,
    /// Since its first description, with the answer.
    media: Option<(Side, String)>,
}

impl Task {
    /// The whole life of a call that portcullis placed.
    pub(in crate::sim) async fn called(mut self, id: ServerTransactionId, invite: Message, script: Script) {
        let user = invite
            .uri()
            .and_then(|uri| uri.user().map(str::to_owned))
            .unwrap_or_default();
        self.known.face = self.line.persona.face(&user);
        self.tone = script.tone.unwrap_or(self.tone);
        self.codec = script.codec;
        self.sdp = script.sdp;
        self.hears_ack = script.hears_ack;
        self.elsewhere = script.elsewhere;
        self.script = Arc::new(script);
        self.known.trunk = contact_host(&invite);
        self.inspect(&invite);
        self.parties = Parties {
            own: Some(user).filter(|user| !user.is_empty()),
            other: invite.from().ok().and_then(|from| from.uri().user().map(str::to_owned)),
        };
        let mut ringing = Ringing {
            id,
            invite,
            branches: BTreeMap::new(),
        };
        let steps = self.script.clone();
        let mut rest = steps.steps.as_slice();
        let mut progress = Progress::Rings;
        while progress == Progress::Rings
            && let Some((step, later)) = rest.split_first()
        {
            rest = later;
            progress = self.set_up(&mut ringing, step).await;
        }
        if progress == Progress::Rings {
            // Only CANCEL, or an order, ends this.
            progress = self.ring(&mut ringing, None).await;
        }
        if progress == Progress::Answered && self.play(rest).await == Fate::GoesOn {
            self.live(None).await;
        }
        self.leave();
    }

    async fn set_up(&mut self, call: &mut Ringing, step: &Step) -> Progress {
        match step {
            Step::Wait(span) => self.ring(call, Some(*span)).await,
            Step::Ring(fork) => self.provisional(call, 180, *fork, false).await,
            Step::Forwarded(fork) => self.provisional(call, 181, *fork, false).await,
            Step::Progress(fork) => self.provisional(call, 183, *fork, true).await,
            Step::Answer(fork) => self.accept(call, *fork).await,
            Step::Refuse {
                status,
                retry_after,
                cause,
            } => {
                let mut draft = ResponseDraft::new(*status);
                if let Some(seconds) = retry_after {
                    draft = draft.header(HeaderName::RetryAfter, seconds.to_string());
                }
                if let Some(cause) = cause {
                    let text = format!("Q.850;cause={cause};text=\"simulated\"");
                    draft = draft.header(HeaderName::Reason, text);
                }
                self.refuse(call, draft, EndedBy::Us).await
            }
            Step::Cause(cause) => {
                let draft = cause.response(&guid());
                self.refuse(call, draft, EndedBy::Us).await
            }
            Step::Redirect(uri) => {
                let draft = ResponseDraft::new(302).header(HeaderName::Contact, format!("<{uri}>"));
                self.refuse(call, draft, EndedBy::Us).await
            }
            Step::HangUp => self.refuse(call, ResponseDraft::new(603), EndedBy::Us).await,
            // Met before there was a call, or without a meaning before the answer.
            Step::Silence
            | Step::Challenge { .. }
            | Step::Hold
            | Step::HoldAs(_)
            | Step::Resume
            | Step::Refresh
            | Step::Offerless
            | Step::Restart
            | Step::FinalCandidates
            | Step::Digits(_)
            | Step::Replace { .. }
            | Step::Refer { .. } => Progress::Rings,
        }
    }

    /// Rings for `span`, or until the call is answered or ends by an order, or is cancelled.
    async fn ring(&mut self, call: &mut Ringing, span: Option<Duration>) -> Progress {
        let limit = span.map(|span| Instant::now() + span);
        loop {
            match self.next_by(limit).await {
                Next::Event(Event::Cancelled { id, message }) if id == call.id => {
                    self.respond(call, ResponseDraft::new(487), Fork(0), false).await;
                    self.judge_cancel(&message);
                    self.end(EndedBy::Peer, Some(487), Some(&message));
                    return Progress::Over;
                }
                Next::Event(Event::Request { id, message }) => {
                    // Early dialogs take no requests from portcullis: it has nothing to say in them.
                    self.inspect(&message);
                    self.breach("early-request", format!("{:?} before the answer", message.method()));
                    self.answer(id, &message, ResponseDraft::new(481)).await;
                }
                Next::Event(_) => {}
                Next::Order(Order::HangUp) => {
                    return self.refuse(call, ResponseDraft::new(603), EndedBy::Us).await;
                }
                Next::Order(Order::Answer) => return self.accept(call, Fork(0)).await,
                Next::Order(_) => {}
                Next::Time => return Progress::Rings,
            }
        }
    }

    /// Teams shows a missed call for every other word (TEAMS-115).
    fn judge_cancel(&self, cancel: &Message) {
        let reasons = || cancel.headers(HeaderName::Reason).collect::<Vec<_>>().join(", ");
        if self.elsewhere && !is_completed_elsewhere(cancel) {
            self.breach("cancel-reason", format!("Reason: {}", reasons()));
        }
    }

    async fn provisional(&mut self, call: &mut Ringing, status: u16, fork: Fork, describes: bool) -> Progress {
        if describes && self.describe(call, fork).await.is_none() {
            return self.refuse(call, ResponseDraft::new(488), EndedBy::Us).await;
        }
        self.respond(call, ResponseDraft::new(status), fork, describes).await;
        if describes {
            self.put_on_show(call, fork);
        }
        self.show(|view| view.stage = Stage::Ringing);
        Progress::Rings
    }

    async fn accept(&mut self, call: &mut Ringing, fork: Fork) -> Progress {
        let offers = !call.invite.body().is_empty();
        if self.describe(call, fork).await.is_none() {
            return self.refuse(call, ResponseDraft::new(488), EndedBy::Us).await;
        }
        self.respond(call, ResponseDraft::new(200), fork, true).await;
        self.put_on_show(call, fork);
        let Some(branch) = call.branches.remove(&fork) else {
            return Progress::Over;
        };
        let Ok(mut dialog) = Dialog::from_request(&call.invite, &branch.tag) else {
            return Progress::Over;
        };
        dialog.confirm();
        self.name_dialog(&branch.tag, call.invite.from_tag());
        self.known.answered = true;
        self.dialog = Some(dialog);
        self.side = branch.media.map(|(side, _)| side);
        self.unacknowledged = Some(Unacknowledged {
            id: call.id,
            limit: Instant::now() + self.line.persona.ack_limit(),
            answer_due: !offers,
        });
        self.show(|view| {
            view.stage = Stage::Answered;
            view.answered = true;
        });
        Progress::Answered
    }

    /// Opens a branch's media and writes its description; from then on it sends.
    async fn describe(&mut self, call: &mut Ringing, fork: Fork) -> Option<()> {
        self.branch(call, fork);
        if call.branches.get(&fork)?.media.is_some() {
            return Some(());
        }
        let mut side = self.open_side().await.ok()?;
        let text = if call.invite.body().is_empty() {
            let offer = side.description.offer(&side.endpoint, Direction::SendRecv);
            self.known.offered = Some(Bytes::from(offer.clone()));
            offer
        } else {
            let agreed = audio_of(call.invite.body())
                .and_then(|audio| side.description.answer(&side.endpoint, &audio, self.tone));
            match agreed {
                Ok((answer, stream)) => {
                    side.stream = Some(stream.clone());
                    side.endpoint.flow(stream).await;
                    answer
                }
                // Nothing is wrong with an offer of other codecs.
                Err(Disagreement::NotSpoken(_)) => return None,
                Err(disagreement) => {
                    self.breach("offer", disagreement.to_string());
                    return None;
                }
            }
        };
        call.branches.get_mut(&fork)?.media = Some((side, text));
        Some(())
    }

    fn put_on_show(&self, call: &Ringing, fork: Fork) {
        let media = call.branches.get(&fork).and_then(|branch| branch.media.as_ref());
        let ear = media.map(|(side, _)| side.endpoint.ear().clone());
        self.show(|view| view.ear = ear);
    }

    fn branch(&self, call: &mut Ringing, fork: Fork) {
        call.branches.entry(fork).or_insert_with(|| {
            let tag = new_tag(&mut rand::rng());
            self.show(|view| view.tags.push(tag.clone()));
            Branch { tag, media: None }
        });
    }

    async fn respond(&mut self, call: &mut Ringing, draft: ResponseDraft, fork: Fork, describes: bool) {
        self.branch(call, fork);
        let Some(branch) = call.branches.get(&fork) else { return };
        let mut draft = draft.to_tag(branch.tag.clone());
        if let Some((_, text)) = branch.media.as_ref().filter(|_| describes) {
            draft = draft.body("application/sdp", text.clone());
        }
        self.line
            .beside
            .attempts
            .answered(call.invite.call_id(), draft.status());
        let draft = self
            .line
            .persona
            .response(draft, &call.invite, Some(&self.known.face), true);
        self.command(Command::Respond { id: call.id, draft }).await;
    }

    async fn refuse(&mut self, call: &mut Ringing, draft: ResponseDraft, by: EndedBy) -> Progress {
        let status = draft.status();
        self.respond(call, draft, Fork(0), false).await;
        self.end(by, Some(status), None);
        Progress::Over
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Progress {
    Rings,
    Answered,
    Over,
}
