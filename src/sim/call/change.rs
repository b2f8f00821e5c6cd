//! Re-INVITEs, ours and theirs.

use super::task::{Fate, Task, Unacknowledged};
use super::{Change, HoldForm};
use crate::net::shard::Command;
use crate::sdp::Direction;
use crate::sim::description::audio_of;
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Message, Method, ResponseDraft};
use tokio::time::Instant;

impl Task {
    /// A re-INVITE of ours; its final status.
    pub(super) async fn change(&mut self, change: Change) -> (u16, Fate) {
        let before = self.direction;
        let (direction, blackhole) = match change {
            Change::Hold(HoldForm::Inactive) => (Direction::Inactive, false),
            Change::Hold(HoldForm::SendOnly) => (Direction::SendOnly, false),
            Change::Hold(HoldForm::Blackhole) => (Direction::SendOnly, true),
            Change::Resume => (Direction::SendRecv, false),
            Change::Refresh | Change::Offerless => (before, false),
        };
        self.direction = direction;
        let offer = match &mut self.side {
            _ if change == Change::Offerless => None,
            Some(side) => {
                side.description.blackhole = blackhole;
                Some(side.description.offer(&side.endpoint, direction))
            }
            None => None,
        };
        let Some(dialog) = &mut self.dialog else {
            return (481, Fate::Over);
        };
        let draft = dialog.request(Method::Invite);
        let cseq = dialog.local_cseq();
        self.changing = true;
        let (status, message) = self.transact(draft, offer).await;
        self.changing = false;
        let Some(message) = message else {
            let fate = match self.shown.borrow().ending {
                Some(_) => Fate::Over,
                None => Fate::GoesOn,
            };
            return (status, fate);
        };
        if status >= 300 {
            self.direction = before;
            return (status, Fate::GoesOn);
        }
        self.inspect(&message);
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(&message);
        }
        let mut answer = None;
        if change == Change::Offerless {
            answer = self.answer_to(message.body()).await;
        } else if let Err(disagreement) = self.agree_on_answer(message.body()).await {
            self.breach("answer", disagreement.to_string());
        }
        self.send_ack(cseq, answer).await;
        (status, Fate::GoesOn)
    }

    /// A re-INVITE of theirs.
    pub(super) async fn changed(&mut self, id: ServerTransactionId, invite: &Message) {
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(invite);
        }
        let offers = !invite.body().is_empty();
        let body = match offers {
            true => self.answer_to(invite.body()).await,
            false => self
                .side
                .as_mut()
                .map(|side| side.description.offer(&side.endpoint, Direction::SendRecv)),
        };
        let draft = match body {
            Some(body) => ResponseDraft::new(200).body("application/sdp", body),
            None => {
                self.answer(id, invite, ResponseDraft::new(488)).await;
                return;
            }
        };
        let draft = self.line.persona.response(draft, invite, Some(&self.known.face), false);
        self.command(Command::Respond { id, draft }).await;
        self.unacknowledged = Some(Unacknowledged {
            id,
            limit: Instant::now() + self.line.persona.ack_limit(),
            answer_due: !offers,
        });
        self.show(|view| view.changes += 1);
    }

    /// Our answer to an offer, taken up at once.
    pub(super) async fn answer_to(&mut self, offer: &[u8]) -> Option<String> {
        let tone = self.tone;
        let side = self.side.as_mut()?;
        let agreed = audio_of(offer).and_then(|audio| side.description.answer(&side.endpoint, &audio, tone));
        match agreed {
            Ok((answer, stream)) => {
                side.stream = Some(stream.clone());
                side.endpoint.flow(stream).await;
                Some(answer)
            }
            Err(disagreement) => {
                self.breach("offer", disagreement.to_string());
                None
            }
        }
    }
}
