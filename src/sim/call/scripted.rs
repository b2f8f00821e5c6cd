//! What a script does in a call that is answered, whoever placed it.

use super::task::{Fate, Task};
use super::view::Played;
use super::{Change, HoldForm, Refer};
use crate::sim::description::Shape;
use crate::sim::script::Step;
use std::time::Duration;
use tokio::time::Instant;

/// How long one digit is sent, with its repeated ends.
const DIGIT: Duration = Duration::from_millis(150);

impl Task {
    /// The steps, one after the other, to the last or to the end of the call.
    pub(super) async fn play(&mut self, steps: &[Step]) -> Fate {
        let mut rest = steps;
        while let Some((step, later)) = rest.split_first() {
            rest = later;
            let fate = match step {
                Step::Replace { by } => {
                    // What follows is of who has taken over.
                    self.hand_over(by.as_deref(), later);
                    return Fate::GoesOn;
                }
                step => self.converse(step).await,
            };
            if self.let_go(fate).await == Fate::Over {
                return Fate::Over;
            }
        }
        Fate::GoesOn
    }

    async fn converse(&mut self, step: &Step) -> Fate {
        let held = match self.is_teams() {
            true => HoldForm::Inactive,
            false => HoldForm::SendOnly,
        };
        let change = match step {
            Step::Wait(span) => return self.live(Some(Instant::now() + *span)).await,
            Step::HangUp => return self.hang_up().await,
            Step::Digits(digits) => {
                if let Some(side) = &self.side {
                    side.endpoint.digits(digits).await;
                }
                let span = DIGIT * u32::try_from(digits.len()).unwrap_or(u32::MAX);
                return self.live(Some(Instant::now() + span)).await;
            }
            Step::Refer { to, by } => {
                let mut refer = Refer::to(to);
                refer.referred_by.clone_from(by);
                // What a carrier refers to is called as the node routes it.
                let refer = if self.is_teams() { refer } else { refer.routed() };
                let status = self.refer(refer).await;
                self.note(step, status);
                return Fate::GoesOn;
            }
            Step::Hold => Change::Hold(held),
            Step::HoldAs(form) => Change::Hold(*form),
            Step::Resume => Change::Resume,
            Step::Refresh => Change::Refresh,
            Step::Offerless => Change::Offerless,
            Step::Restart => Change::Restart,
            Step::FinalCandidates => Change::FinalCandidates,
            _ => return Fate::GoesOn,
        };
        let (status, fate) = self.change(change).await;
        self.note(step, status);
        fate
    }

    fn note(&self, step: &Step, status: u16) {
        let word = step.word();
        self.show(|view| view.played.push(Played { word, status }));
    }

    pub(super) fn is_teams(&self) -> bool {
        matches!(self.line.persona.shape(), Shape::Teams | Shape::TeamsBypass)
    }
}
