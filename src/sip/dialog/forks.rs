//! The dialogs that one INVITE of ours made: as many as there are To-tags in its responses (RFC 3261 §12.1.2).

use super::initiation::Initiation;
use super::state::{Dialog, DialogError, Stage};
use crate::sip::Message;
use serde::{Deserialize, Serialize};

/// What a response means for the dialogs of its INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// It touches none: 100, or a provisional response without To-tag, or a refusal.
    None,
    /// This early dialog, new or known.
    Early(usize),
    /// The first 2xx of this dialog: ACK it. It is the call's, or, when the call has one, gets BYE.
    Answered(usize),
    /// A 2xx of this dialog came again: ACK it again.
    AnsweredAgain(usize),
}

/// All dialogs of one INVITE, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forks {
    dialogs: Vec<Dialog>,
}

impl Forks {
    /// How many early dialogs are kept.
    pub const LIMIT: usize = 16;

    /// How many dialogs, when more are answered: a 2xx must be acknowledged, but each new To-tag costs an ACK and a BYE. Who
    /// answers as somebody else again and again is left to end that by itself.
    pub const MOST: usize = 32;

    /// Takes note of a response.
    ///
    /// # Errors
    /// It is not a response to this INVITE, or there are too many forks: ignore it.
    pub fn receive(&mut self, initiation: &Initiation, response: &Message) -> Result<Fork, DialogError> {
        let status = response.status().unwrap_or_default();
        let answer = (200..300).contains(&status);
        let tag = match response.to_tag() {
            Some(tag) if (101..300).contains(&status) => tag,
            // RFC 3261 §12.1.2: such a peer is answered all the same, and its tag is null.
            None if answer => "",
            _ => return Ok(Fork::None),
        };
        let limit = if answer { Forks::MOST } else { Forks::LIMIT };
        let known = self.dialogs.iter().position(|dialog| dialog.id().remote_tag == tag);
        let index = match known {
            Some(index) => index,
            None if self.dialogs.len() < limit => {
                self.dialogs.push(Dialog::from_response(initiation, response)?);
                self.dialogs.len() - 1
            }
            None => return Err(DialogError::TooManyForks { limit }),
        };
        let Some(dialog) = self.dialogs.get_mut(index) else {
            return Ok(Fork::None);
        };
        match (answer, dialog.stage()) {
            (true, Stage::Early) => {
                dialog.confirm_by(response);
                Ok(Fork::Answered(index))
            }
            (true, Stage::Confirmed) => Ok(Fork::AnsweredAgain(index)),
            (false, Stage::Early) => {
                dialog.refresh_target(response);
                Ok(Fork::Early(index))
            }
            // Overtaken by its own 2xx.
            (false, Stage::Confirmed) => Ok(Fork::None),
        }
    }

    /// The dialog at an index that [`Forks::receive`] gave.
    pub fn get(&self, index: usize) -> Option<&Dialog> {
        self.dialogs.get(index)
    }

    /// The same, to make requests in it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Dialog> {
        self.dialogs.get_mut(index)
    }

    /// All dialogs.
    pub fn dialogs(&self) -> &[Dialog] {
        &self.dialogs
    }
}
