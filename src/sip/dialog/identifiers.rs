//! Call-ID and tags: made from randomness alone, for a host name or address in them would show our inside.

use crate::sip::Message;
use crate::sip::header::Replaces;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// A new tag for From or To: 64 random bits (RFC 3261 §19.3 asks for 32). Serves as cnonce of a digest too.
pub fn new_tag(rng: &mut impl Rng) -> String {
    format!("{:016x}", rng.next_u64())
}

/// A new Call-ID: 128 random bits.
pub fn new_call_id(rng: &mut impl Rng) -> String {
    format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())
}

/// What names a dialog at our side (RFC 3261 §12). A peer of RFC 2543 has an empty tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DialogId {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a request from the peer is for; `None` when it has no To-tag and so is for none.
    pub fn of_request(request: &Message) -> Option<DialogId> {
        Some(DialogId {
            call_id: request.call_id().to_owned(),
            local_tag: request.to_tag()?.to_owned(),
            remote_tag: request.from_tag().unwrap_or_default().to_owned(),
        })
    }

    /// The dialog of ours that an INVITE with Replaces wants (RFC 3891 §3): its to-tag is our tag. A tag of `0`
    /// stands for the missing one of an RFC 2543 peer.
    pub fn of_replaces(replaces: &Replaces) -> DialogId {
        let remote_tag = if replaces.from_tag == "0" {
            ""
        } else {
            &replaces.from_tag
        };
        DialogId {
            call_id: replaces.call_id.clone(),
            local_tag: replaces.to_tag.clone(),
            remote_tag: remote_tag.to_owned(),
        }
    }
}
