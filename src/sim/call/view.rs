//! What can be known of a call from outside.

use super::Call;
use super::transfer::Transfer;
use crate::sim::heard::Heard;
use crate::sim::media::Ear;
use serde::Serialize;

/// How far a call is; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Stage {
    Calling,
    Ringing,
    Answered,
    Ended,
}

/// A provisional response that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provisional {
    pub status: u16,
    pub to_tag: Option<String>,
    pub has_description: bool,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EndedBy {
    /// The simulator.
    Us,
    /// Portcullis.
    Peer,
    /// Nobody answered, or the way was broken.
    Nobody,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    pub by: EndedBy,
    /// The final status of an unanswered call.
    pub status: Option<u16>,
    /// Reason headers of the BYE, CANCEL or final response.
    pub reasons: Vec<String>,
    /// Retry-After of the final response.
    pub retry_after: Option<String>,
    /// X-Reason of the final response: why an application's call failed.
    pub x_reason: Option<String>,
}

/// What tells a dialog from others, beside its Call-ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DialogNames {
    /// Of the simulator.
    pub local_tag: String,
    /// Of portcullis.
    pub remote_tag: String,
}

/// A request of a script, and what was answered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Played {
    /// The step, such as `hold`.
    pub word: &'static str,
    pub status: u16,
}

/// A call until now.
#[derive(Clone)]
pub struct View {
    pub call_id: String,
    pub stage: Stage,
    pub answered: bool,
    pub provisionals: Vec<Provisional>,
    pub ending: Option<Ending>,
    /// Tags of this side, one for each branch.
    pub tags: Vec<String>,
    /// Re-INVITEs of portcullis that were accepted.
    pub changes: u32,
    /// Since the answer.
    pub dialog: Option<DialogNames>,
    /// The last REFER of ours.
    pub transfer: Option<Transfer>,
    /// Steps of the script that asked for something, in order.
    pub played: Vec<Played>,
    /// Who takes it over by a `replace` of the script.
    pub taken_by: Option<Call>,
    pub(in crate::sim) ear: Option<Ear>,
}

/// Why a simulator's call could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SimError {
    #[error("{0} did not come in time")]
    Late(&'static str),
    #[error("the call ended without an answer: {0:?}")]
    NotAnswered(Ending),
    #[error("the call is over")]
    Over,
    #[error("{expected} Hz were expected, this was heard: {heard:?}")]
    OtherTone { expected: f64, heard: Box<Heard> },
    #[error("{0} is no address that can be called")]
    NoAddress(String),
}

impl View {
    pub(super) fn new(call_id: &str) -> View {
        View {
            call_id: call_id.to_owned(),
            stage: Stage::Calling,
            answered: false,
            provisionals: Vec::new(),
            ending: None,
            tags: Vec::new(),
            changes: 0,
            dialog: None,
            transfer: None,
            played: Vec::new(),
            taken_by: None,
            ear: None,
        }
    }
}
