//! What Teams demands of a session border controller's messages (facts of Direct Routing, rules TEAMS-…). Pure.
//!
//! In: a message, and what is known of its call. Out: what is wrong with it, and the refusal that Teams would send.

mod catalogue;
mod connection;
mod everywhere;
mod inside;
mod media;
mod setup;
mod transfer;

pub(in crate::sim) use catalogue::RULES;
pub(super) use connection::{arrival, handshake, pings, pong};
pub(super) use inside::inspect;
pub(in crate::sim) use inside::is_completed_elsewhere;
pub(in crate::sim) use media::ice_lines;
pub(super) use setup::judge;
pub(in crate::sim) use transfer::{notified, transferred};

use crate::sip::{HeaderName, Message, ResponseDraft};

/// What Teams' Allow lists.
pub(super) const ALLOW: &str = "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY";

/// The host that Contact names.
pub(in crate::sim) fn contact_host(message: &Message) -> Option<String> {
    let contact = message.contact().ok().flatten()?;
    Some(contact.uri().host().to_owned())
}

/// Teams' way of refusing: the GUID, then the phrase (TEAMS-066).
fn refusal(status: u16, cause: u16, phrase: &str) -> ResponseDraft {
    let reason = format!("Q.850;cause={cause};text=\"{};{phrase}\"", super::guid());
    ResponseDraft::new(status).header(HeaderName::Reason, reason)
}
