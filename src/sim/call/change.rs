//! Re-INVITEs, ours and theirs.

use super::task::{Fate, Task, Unacknowledged};
use super::{Change, HoldForm};
use crate::net::shard::Command;
use crate::sdp::Direction;
use crate::sim::description::{Chosen, Disagreement, Form, audio_of, is_off, place_of};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Message, Method, ResponseDraft};
use bytes::Bytes;
use tokio::time::Instant;

impl Task {
    /// A re-INVITE of ours; its final status.
    pub(super) async fn change(&mut self, change: Change) -> (u16, Fate) {
        let before = self.direction;
        let direction = match change {
            Change::Hold(HoldForm::Inactive | HoldForm::PortZero) => Direction::Inactive,
            Change::Hold(HoldForm::SendOnly | HoldForm::Blackhole) => Direction::SendOnly,
            Change::Hold(HoldForm::RecvOnly) => Direction::RecvOnly,
            Change::Resume | Change::NewKey | Change::Processor => Direction::SendRecv,
            Change::Refresh | Change::Offerless | Change::Restart | Change::FinalCandidates => before,
        };
        let form = match change {
            Change::Hold(HoldForm::Blackhole) => Form::Blackhole,
            Change::Hold(HoldForm::PortZero) => Form::Off,
            Change::Hold(_) | Change::Resume | Change::Refresh | Change::Offerless => Form::Plain,
            Change::Restart | Change::FinalCandidates | Change::NewKey | Change::Processor => Form::Plain,
        };
        self.direction = direction;
        if change == Change::Processor {
            self.move_media().await;
        }
        let offer = match &mut self.side {
            _ if change == Change::Offerless => None,
            Some(side) => {
                side.description.form = form;
                if matches!(change, Change::Restart | Change::Processor) {
                    side.description.restart();
                    self.known.ice = None;
                }
                if matches!(change, Change::NewKey | Change::Processor) {
                    side.description.take_new_keys();
                }
                if change == Change::FinalCandidates {
                    let checks = side.stream.as_ref().and_then(|stream| stream.checks.as_ref());
                    side.description.chosen = checks.map(|checks| Chosen {
                        rtp: checks.candidate,
                        rtcp: checks.rtcp_candidate,
                    });
                }
                Some(side.description.offer(&side.endpoint, direction))
            }
            None => None,
        };
        self.known.offered = offer.clone().map(Bytes::from);
        if let Some((_, protocol)) = offer.as_ref().and_then(|offer| place_of(offer.as_bytes())) {
            // An answer has the transport of its offer, and what comes later has it too.
            self.known.protocol = Some(protocol);
        }
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
            self.judge_refusal(change, status);
            return (status, Fate::GoesOn);
        }
        self.inspect(&message);
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(&message);
        }
        let mut answer = None;
        if change == Change::Offerless {
            answer = self.answer_to(message.body()).await;
        } else if form == Form::Off {
            self.turn_off(message.body()).await;
        } else if let Err(disagreement) = self.agree_on_answer(message.body()).await {
            self.breach("answer", disagreement.to_string());
        }
        if change == Change::Hold(HoldForm::Inactive) {
            self.judge_hold(message.body());
        }
        self.send_ack(cseq, answer).await;
        (status, Fate::GoesOn)
    }

    /// Other ports. Who listens is heard there from now on.
    async fn move_media(&mut self) {
        let Ok(fresh) = self.open_side().await else { return };
        let Some(side) = &mut self.side else { return };
        side.endpoint = fresh.endpoint;
        // Counts of two endpoints may be the same by chance.
        self.silence = None;
        let ear = side.endpoint.ear().clone();
        self.show(|view| view.ear = Some(ear));
    }

    /// A hold or a resume of Teams is accepted, whatever the other side says; a glare or an end is neither (TEAMS-072).
    fn judge_refusal(&self, change: Change, status: u16) {
        let asked = matches!(change, Change::Hold(_) | Change::Resume);
        if self.is_teams() && asked && !matches!(status, 408 | 481 | 491 | 500 | 503) {
            self.breach("hold-refused", format!("{change:?} was answered {status}"));
        }
    }

    /// Inactive is answered with inactive (TEAMS-072).
    fn judge_hold(&self, answer: &[u8]) {
        let Ok(audio) = audio_of(answer) else { return };
        if self.is_teams() && audio.direction != Direction::Inactive {
            self.breach("hold-answer", format!("a={}", audio.direction.as_str()));
        }
    }

    /// A stream that is off is answered with one that is off (RFC 3264 §6).
    async fn turn_off(&mut self, answer: &[u8]) {
        if !is_off(answer) {
            self.breach("answer", "a stream with port 0 was answered with another port");
        }
        let Some(side) = &mut self.side else { return };
        if let Some(stream) = &mut side.stream {
            stream.direction = Direction::Inactive;
            side.endpoint.flow(stream.clone()).await;
        }
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
        if !offers {
            self.known.offered = body.clone().map(Bytes::from);
        }
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
            Err(Disagreement::NotSpoken(_)) => None,
            Err(disagreement) => {
                self.breach("offer", disagreement.to_string());
                None
            }
        }
    }
}
